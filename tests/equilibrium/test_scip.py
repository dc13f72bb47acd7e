"""SCIP as a second opinion on players that are not concave. Runs where the optional extra is installed."""

import pyomo.environ as pyo
import pytest

from equilibrium import Branch, solve
from equilibrium.certificate import Certificate, second_opinion
from equilibrium.players import find_game
from equilibrium.solvers import scip

pytestmark = pytest.mark.skipif(not scip.available(), reason="pyscipopt is not installed")


def saddle() -> pyo.ConcreteModel:
    """min x y on 0 <= x, y <= 3 with x - y == 1, so y (y + 1) on 0 <= y <= 2: the optimum is y = 0, x = 1, cost 0."""
    model = pyo.ConcreteModel()
    model.shift = pyo.Param(initialize=1.0, mutable=True)
    model.player = pyo.Block()
    model.player.x = pyo.Var(bounds=(0, 3))
    model.player.y = pyo.Var(bounds=(0, 3))
    model.player.together = pyo.Constraint(expr=model.player.x - model.player.y == model.shift)
    model.player.cost = pyo.Objective(expr=model.player.x * model.player.y)
    return model


def at(model: pyo.ConcreteModel, *values: float) -> list[Branch]:
    return [Branch(f"y = {value}", [(model.player.y, value)]) for value in values]


def asked(*values: float) -> Certificate:
    solution = solve(saddle(), branches_of=lambda m: at(m, *values))
    return second_opinion(solution.answer, solution.certificate)


def test_the_right_branch_is_confirmed():
    certificate = asked(1.0, 0.0)
    assert certificate.verdict == "certified"
    assert certificate.checks[0].note == "confirmed by SCIP within its tolerance"


def test_a_branch_that_is_missing_is_found_out():
    """With y = 1 alone the cost is 2; the branches given do not contain the optimum, whatever they claim."""
    certificate = asked(1.0)
    assert certificate.verdict == "uncertified"
    assert certificate.checks[0].note == "SCIP found a better answer"
    assert certificate.checks[0].regret == pytest.approx(2.0, abs=1e-4)


def test_rows_with_mutable_params_and_equalities_reach_scip():
    """Both were dropped on the way once: the unrestricted minimum is 0 at many points, the right one at (1, 0)."""
    model = saddle()
    model.player.x.set_value(2.0)
    model.player.y.set_value(1.0)
    model.player.cost.set_value(-model.player.x * model.player.y)
    (player,) = find_game(model).players
    found, bound = scip.minimum(player, [(0, 3), (0, 3)])
    assert found == pytest.approx(-6.0, abs=1e-4)  # x = 3, y = 2
    assert bound == pytest.approx(-6.0, abs=1e-4)
