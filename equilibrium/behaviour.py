"""Which prices each player moves and which it takes as given: computed from the expressions, never declared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyomo.core.base.constraint import ConstraintData
from pyomo.core.base.expression import NamedExpressionData
from pyomo.core.base.var import VarData
from pyomo.core.expr.visitor import identify_variables

from .players import Game, Player, owners


@dataclass(frozen=True)
class Conduct:
    """What a player's payoff depends on beyond its own Block: what it moves, what it takes as given."""

    player: str
    moves: tuple[str, ...]
    takes: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def conduct(game: Game) -> list[Conduct]:
    """For every player: the outside Expressions its own Vars move, and the outside Vars and rivals' Vars it takes as
    given."""
    blocks = owners(game.model, [p.block for p in game.players])
    ties = _ties(game)
    seen: dict[int, _Named] = {}
    return [_conduct_of(game, i, blocks, ties.get(i, []), seen) for i in range(len(game.players))]


@dataclass(frozen=True)
class _Named:
    """A named Expression outside some player: whose free Vars enter it, and all its Vars by id."""

    movers: frozenset[int]
    variables: frozenset[int]


def _conduct_of(game: Game, index: int, blocks: dict[int, int], ties: list[_Tie], seen: dict[int, _Named]) -> Conduct:
    player = game.players[index]
    moves: dict[str, None] = {}
    takes: dict[str, None] = {}
    inside: set[int] = set()
    for named in _outside_expressions(player.objective.expr, index, blocks):
        if id(named) not in seen:
            entering = list(identify_variables(named))
            movers = frozenset(game.owner.get(v, -1) for v in entering if not v.fixed)
            seen[id(named)] = _Named(movers, frozenset(map(id, entering)))
        if player.block is not game.model:
            (moves if index in seen[id(named)].movers else takes)[named.name] = None
        inside |= seen[id(named)].variables
    given = game.given(player)
    for variable in given:
        price = (
            game.owner.get(variable, -1) == -1 and not variable.fixed
        )  # named even inside an Expression that the player moves
        if id(variable) not in inside or price:
            takes[variable.name] = None
    warnings = tuple(_tied(player, tie, price) for tie in ties for price in tie.prices if price in given)
    return Conduct(player.name, tuple(moves), tuple(takes), warnings)


@dataclass(frozen=True)
class _Tie:
    """An equality row outside the players that ties prices to a player's own Var."""

    row: ConstraintData
    own: VarData
    prices: tuple[VarData, ...]


def _ties(game: Game) -> dict[int, list[_Tie]]:
    """For each player the equality rows that hold prices and own Vars."""
    found: dict[int, list[_Tie]] = {}
    for row in game.equations:
        entering = list(identify_variables(row.body, include_fixed=False))
        prices = tuple(v for v in entering if game.owner.get(v, -1) == -1)
        first = {game.owner.get(v, -1): v for v in reversed(entering)} if prices else {}
        for index in first.keys() - {-1}:
            found.setdefault(index, []).append(_Tie(row, first[index], prices))
    return found


def _tied(player: Player, tie: _Tie, price: VarData) -> str:
    return (
        f"{player.name} takes {price.name} as given although the row {tie.row.name} ties it to its own "
        f"{tie.own.name}; "
        "if it should move that price, write the price as an Expression"
    )


def _named(expression: object) -> Iterator[NamedExpressionData]:
    """Named Expressions met from the top of an expression (each is yielded and not entered here)."""
    stack = [expression]
    while stack:
        node = stack.pop()
        if isinstance(node, NamedExpressionData):
            yield node
        elif hasattr(node, "args") and getattr(node, "is_expression_type", lambda: False)():
            stack.extend(reversed(node.args))


def _outside_expressions(expression: object, player: int, blocks: dict[int, int]) -> Iterator[NamedExpressionData]:
    """The outermost named Expressions in ``expression`` that are not declared on the player's own Block."""
    for named in _named(expression):
        if blocks.get(id(named.parent_block()), -1) == player:
            yield from _outside_expressions(named.expr, player, blocks)
        else:
            yield named
