"""A player that is not concave beside another who moves at the same time: its branches are games."""

from __future__ import annotations

import pyomo.environ as pyo
import pytest

from equilibrium import certify, solve
from equilibrium.branches import Branch
from equilibrium.errors import Refused


def pursuit(pull: float, push: float) -> pyo.ConcreteModel:
    """The chooser's payoff x^2 - 2 c x is convex in x in [0, 1]: it goes to an end, away from pull times the other; the
    other goes to ``push`` times x, or to one minus that."""
    m = pyo.ConcreteModel()
    m.chooser, m.other = pyo.Block(), pyo.Block()
    m.chooser.x, m.other.y = pyo.Var(bounds=(0, 1)), pyo.Var(bounds=(0, 1))
    aim = push * m.chooser.x if push > 0 else 1 + push * m.chooser.x
    m.chooser.gain = pyo.Objective(expr=m.chooser.x**2 - 2 * pull * m.other.y * m.chooser.x, sense=pyo.maximize)
    m.other.loss = pyo.Objective(expr=(m.other.y - aim) ** 2)
    return m


def ends(m: pyo.ConcreteModel) -> list[Branch]:
    return [Branch("low", [(m.chooser.x, 0.0)]), Branch("high", [(m.chooser.x, 1.0)])]


def test_none_is_proved_where_every_branch_is_left() -> None:
    """x = 1 draws y = 1 and then 1 - 2 < 0 = payoff at x = 0; x = 0 draws y = 0, and then x = 1 pays 1."""
    m = pursuit(1.0, 1.0)
    m.other.y.set_value(0.25)
    solution = solve(m, branches_of=ends)
    assert solution.certificate.verdict == "none"
    assert "from 'low' to 'high', gain 1" in solution.certificate.scope
    assert m.other.y.value == 0.25  # nothing changed


def test_the_one_equilibrium_is_found_and_certified() -> None:
    """y = 1 - x/10 with pull 1: at x = 1 the other branch pays 0 against 1 - 1.8; at x = 0, y = 1, x = 1 pays -1."""
    m = pursuit(1.0, -0.1)
    solution = solve(m, branches_of=ends)
    assert solution.certificate.verdict == "certified"
    assert (m.chooser.x.value, m.other.y.value) == pytest.approx((0.0, 1.0))
    assert solution.certificate.uniqueness.decisions == "unique"
    m.chooser.x.set_value(1e-6)
    assert certify(solution.answer).verdict == "uncertified"
    m.chooser.x.set_value(0.0)
    m.other.y.set_value(1 - 1e-6)
    assert certify(solution.answer).verdict == "uncertified"


def test_equilibria_on_both_branches_are_several() -> None:
    """y = 1 - x: at x = 0, y = 1 and x = 1 pays -1; at x = 1, y = 0 and x = 0 pays 0 < 1."""
    solution = solve(pursuit(1.0, -1.0), branches_of=ends)
    assert solution.certificate.verdict == "several"
    assert solution.certificate.uniqueness.decisions == "not unique"


def test_branches_of_two_players_are_refused() -> None:
    m = pursuit(1.0, 1.0)
    both = [Branch("both", [(m.chooser.x, 0.0), (m.other.y, 0.0)])]
    with pytest.raises(Refused, match="several players"):
        solve(m, branches_of=lambda _: both)
