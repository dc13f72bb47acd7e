"""Which prices each player moves and which it takes as given: computed from the expressions, never declared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyomo.common.collections import ComponentSet
from pyomo.core.base.expression import NamedExpressionData
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
    return [_conduct_of(game, i, player) for i, player in enumerate(game.players)]


def _conduct_of(game: Game, index: int, player: Player) -> Conduct:
    blocks = owners(game.model, [p.block for p in game.players])
    own = ComponentSet(player.decisions)
    moves: dict[str, None] = {}
    takes: dict[str, None] = {}
    if player.block is not game.model:
        for named in _outside_expressions(player.objective.expr, index, blocks):
            mine = any(v in own for v in identify_variables(named, include_fixed=False))
            (moves if mine else takes)[named.name] = None
    inside_named = ComponentSet(
        v for named in _outside_expressions(player.objective.expr, index, blocks) for v in identify_variables(named)
    )
    for variable in game.given(player):
        price = (
            game.owner.get(variable, -1) == -1 and not variable.fixed
        )  # named even inside an Expression that the player moves
        if variable not in inside_named or price:
            takes[variable.name] = None
    return Conduct(player.name, tuple(moves), tuple(takes), tuple(_tied(game, player, own)))


def _tied(game: Game, player: Player, own: ComponentSet) -> Iterator[str]:
    """Prices the player takes as given although an equality row ties them to its own decisions."""
    taken = ComponentSet(game.given(player))
    for row in game.equations:
        inside = list(identify_variables(row.body, include_fixed=False))
        mine = [v for v in inside if v in own]
        for price in (v for v in inside if v in taken and game.owner.get(v, -1) == -1):
            if mine:
                yield (
                    f"{player.name} takes {price.name} as given although the row {row.name} ties it to its own "
                    f"{mine[0].name}; "
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
