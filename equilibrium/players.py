"""Who decides what: players, their decisions, what stands outside them, and which prices each moves or takes.

Nothing here is listed by hand. A Block with its own active Objective is a player and owns the Vars below it, except
those below another player's Block. The model itself is a player only if it is the only one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyomo.environ as pyo
from pyomo.common.collections import ComponentMap, ComponentSet
from pyomo.core.base.block import BlockData
from pyomo.core.base.constraint import ConstraintData
from pyomo.core.base.objective import ObjectiveData
from pyomo.core.base.var import VarData
from pyomo.core.expr.visitor import identify_variables
from pyomo.mpec import Complementarity
from pyomo.mpec.complementarity import ComplementarityData

from .errors import Infeasible, Refused
from .pairs import Pair, check_pairs, read_pair
from .scenarios import as_number, larger, typical
from .tolerances import FEASIBLE

KNOWN = (
    pyo.Objective,
    pyo.Constraint,
    pyo.Var,
    pyo.Param,
    pyo.Set,
    pyo.RangeSet,
    pyo.SetOf,
    pyo.Expression,
    pyo.Block,
    pyo.Suffix,
    Complementarity,
    pyo.BuildAction,
    pyo.BuildCheck,
)
"""Kinds of component, by ctype: a Disjunct is a Python subclass of Block, yet nothing descends into it."""


@dataclass(frozen=True)
class Player:
    """One decision maker.

    ``decisions`` are its Vars (fixed ones left out), ``constraints`` the active constraints on its Block, ``sign`` is
    +1 if it minimises and -1 if it maximises, ``stage`` its place in the order of moves (all equal: simultaneous).
    """

    name: str
    block: BlockData
    objective: ObjectiveData
    decisions: tuple[VarData, ...]
    constraints: tuple[ConstraintData, ...]
    stage: int = 1

    @property
    def sign(self) -> float:
        """+1 if the player minimises its Objective, -1 if it maximises it."""
        return 1.0 if self.objective.sense == pyo.minimize else -1.0


@dataclass
class Game:
    """A model sorted into players and what stands outside them."""

    model: pyo.ConcreteModel
    players: tuple[Player, ...]
    variables: tuple[VarData, ...]  # outside every player
    pairs: tuple[Pair, ...]
    equations: tuple[ConstraintData, ...]  # equality rows outside
    shared: tuple[ConstraintData, ...]  # inequalities over several players' Vars
    owner: ComponentMap = field(repr=False)
    ahead: tuple[VarData, ...] = ()  # decided before these players move: data to them, kept as symbols
    _seen: dict = field(default_factory=dict, repr=False)  # Vars of named Expressions, which players share

    def given(self, player: Player) -> ComponentSet:
        """The Vars that enter a player's problem without being its own (fixed Vars included)."""
        own = ComponentSet(player.decisions)
        seen = ComponentSet()
        for part in (player.objective, *player.constraints):
            for variable in identify_variables(part.expr, include_fixed=True, named_expression_cache=self._seen):
                if variable not in own:
                    seen.add(variable)
        return seen

    def shareable(self, row: ConstraintData) -> bool:
        """Whether only decisions of several players enter the row, so that it can be a limit they share."""
        owners = {self.owner.get(v, -1) for v in identify_variables(row.body, include_fixed=False)}
        return -1 not in owners and len(owners) > 1

    @property
    def stages(self) -> tuple[int, ...]:
        """The stages that occur, first mover first; one stage means that all move together."""
        return tuple(sorted({player.stage for player in self.players}))


@contextmanager
def finite_numbers() -> Iterator[None]:
    """Turn what Pyomo says about a missing or infinite number into a refusal in one line."""
    try:
        yield
    except ValueError as error:
        raise Refused(f"a number of this model is missing or not finite: {' '.join(str(error).split())}") from error


@finite_numbers()
def find_game(model: pyo.ConcreteModel) -> Game:
    """Sort ``model`` into players and what stands outside. Raises Refused where the statement is not one we can
    treat."""
    _refuse_unknown(model)
    blocks = _player_blocks(model)
    owner_of_block = owners(model, blocks)
    stage = _stages(model, blocks)

    decisions: dict[int, list[VarData]] = {i: [] for i in range(-1, len(blocks))}
    constraints: dict[int, list[ConstraintData]] = {i: [] for i in range(-1, len(blocks))}
    complementarities: list[ComplementarityData] = []
    owner = ComponentMap()
    for block in model.block_data_objects(active=True, descend_into=True):
        i = owner_of_block[id(block)]
        for variable in block.component_data_objects(pyo.Var, descend_into=False):
            if variable.parent_block() is not block:  # a Reference: owned where it is declared, listed here once more
                continue
            owner[variable] = i
            if not variable.fixed:
                decisions[i].append(variable)
        rows = block.component_data_objects(pyo.Constraint, active=True, descend_into=False)
        constraints[i].extend(row for row in rows if row.parent_block() is block)
        found = list(block.component_data_objects(Complementarity, active=True, descend_into=False))
        if found and i >= 0:
            raise Refused(
                f"the complementarity {found[0].name} stands on the Block of player {blocks[i].name}; conditions that "
                "hold "
                "between players belong outside every player's Block"
            )
        complementarities.extend(found)

    players = tuple(
        Player(_name(model, block), block, _objective(block), tuple(decisions[i]), tuple(constraints[i]), stage[i])
        for i, block in enumerate(blocks)
    )
    pairs = tuple(read_pair(c, owner) for c in complementarities)
    check_pairs(pairs, owner)
    for variable in decisions[-1]:
        if not variable.is_continuous():
            raise Refused(
                f"{variable.name} belongs to no player and takes whole numbers only; prices and rules are continuous "
                f"here"
            )
    equations, shared = _classify(constraints[-1], owner, players, len(decisions[-1]) - len(pairs))
    game = Game(model, players, tuple(decisions[-1]), pairs, tuple(equations), tuple(shared), owner)
    _refuse_strangers(game)
    return game


# ---------------------------------------------------------------------------------------------------------------------


def _refuse_strangers(game: Game) -> None:
    """Every free Var that enters something must be one that somebody owns or that stands outside."""
    parts = [part for player in game.players for part in (player.objective, *player.constraints)]
    known = {id(v) for v in game.owner}
    seen: dict = {}  # what was found in named Expressions, which many players may share
    for part in (*parts, *game.equations, *game.shared, *game.pairs):
        expression = part.body if isinstance(part, Pair) else part.expr
        for variable in identify_variables(expression, include_fixed=False, named_expression_cache=seen):
            if id(variable) not in known:
                raise Refused(
                    f"{variable.name} enters {part.name} but is not on this model or stands on a deactivated Block; "
                    "fix it, or put it on the Block of whoever decides it"
                )


def _name(model: pyo.ConcreteModel, block: BlockData) -> str:
    return "planner" if block is model else block.name


def _player_blocks(model: pyo.ConcreteModel) -> list[BlockData]:
    blocks = []
    for block in model.block_data_objects(active=True, descend_into=True):
        objectives = list(block.component_data_objects(pyo.Objective, active=True, descend_into=False))
        if len(objectives) > 1:
            names = ", ".join(o.name for o in objectives)
            raise Refused(f"{block.name} has several active Objectives ({names}); a player has exactly one")
        if objectives:
            blocks.append(block)
    if len(blocks) > 1 and any(block is model for block in blocks):
        raise Refused(
            "the model's root has an Objective beside players that are Blocks; who decides it? Put it, with the "
            "Vars it "
            "decides, on a Block of its own"
        )
    return blocks


def owners(model: pyo.ConcreteModel, blocks: list[BlockData]) -> dict[int, int]:
    """For every Block, the index of the nearest player at or above it (-1: outside)."""
    index = {id(block): i for i, block in enumerate(blocks)}
    owners: dict[int, int] = {}
    for block in model.block_data_objects(active=True, descend_into=True):
        parent = block.parent_block()
        inherited = -1 if parent is None else owners.get(id(parent), -1)
        owners[id(block)] = index.get(id(block), inherited)
    return owners


def _objective(block: BlockData) -> ObjectiveData:
    return next(block.component_data_objects(pyo.Objective, active=True, descend_into=False))


def _stages(model: pyo.ConcreteModel, blocks: list[BlockData]) -> list[int]:
    suffix = model.component("stage")
    if suffix is None or suffix.ctype is not pyo.Suffix:
        return [1] * len(blocks)
    known = {id(block) for block in blocks}
    stage: dict[int, int] = {}
    for component, value in suffix.items():
        members = component.values() if component.is_indexed() else (component,)
        for block in members:
            if id(block) not in known:
                raise Refused(
                    f"the Suffix 'stage' names {block.name}, which is not a player (a Block with an active Objective)"
                )
            if not isinstance(value, (int, float)) or int(value) != value:
                raise Refused(f"the stage of {block.name} is {value}; stages are whole numbers, the lowest moves first")
            stage[id(block)] = int(value)
    last = max(stage.values(), default=1)
    return [stage.get(id(block), last) for block in blocks]


def _refuse_unknown(model: pyo.ConcreteModel) -> None:
    for block in model.block_data_objects(active=True, descend_into=True):
        for component in block.component_objects(active=True, descend_into=False):
            if component.ctype not in KNOWN:
                raise Refused(
                    f"{component.name} is a {component.ctype.__name__}, which the solvers would silently ignore; "
                    "transform it "
                    "into constraints first (for example with TransformationFactory('gdp.bigm'))"
                )


def _classify(
    rows: list[ConstraintData], owner: ComponentMap, players: tuple[Player, ...], prices: int
) -> tuple[list[ConstraintData], list[ConstraintData]]:
    """Equality rows and shared inequalities outside the players; ``prices``: how many Vars outside wait for an
    equality."""
    equations, shared = [], []
    for row in rows:
        owners = {owner.get(v, -1) for v in identify_variables(row.body, include_fixed=False)}
        if not owners:
            _must_hold(row)
            continue
        touched = owners - {-1}
        if len(touched) == 1 and -1 not in owners and not (row.equality and prices):
            name = players[next(iter(touched))].name
            raise Refused(
                f"the constraint {row.name} stands outside but only {name} enters it; move it onto the Block {name}"
            )
        if row.equality:
            equations.append(row)
        elif len(touched) >= 2 and -1 not in owners:
            shared.append(row)
        else:
            raise Refused(
                f"the inequality {row.name} stands outside the players and involves Vars of no player; pair it with "
                "its price by Complementarity, or write an equality"
            )
    return equations, shared


def _must_hold(row: ConstraintData) -> None:
    """A row outside the players that no free Var enters: it holds, or nothing can be done about it."""
    body = as_number(pyo.value(row.body))
    off = larger(row.lb - body if row.has_lb() else 0.0, body - row.ub if row.has_ub() else 0.0)
    if off > FEASIBLE * larger(1.0, abs(body)):
        raise Infeasible(
            f"the constraint {row.name} cannot hold: nothing free enters it, and it is off by {typical(off):g}"
        )
