"""Players that are not concave, solved through branches; and players without a best response."""

import pyomo.environ as pyo
import pytest

from equilibrium import Branch, solve
from equilibrium.errors import Infeasible


def product(least: float) -> pyo.ConcreteModel:
    """min x y on [0, 2]^2 with x + y >= least."""
    model = pyo.ConcreteModel()
    model.player = pyo.Block()
    model.player.x = pyo.Var(bounds=(0, 2))
    model.player.y = pyo.Var(bounds=(0, 2))
    model.player.enough = pyo.Constraint(expr=model.player.x + model.player.y >= least)
    model.player.cost = pyo.Objective(expr=model.player.x * model.player.y)
    return model


def ends(model: pyo.ConcreteModel) -> list[Branch]:
    """For given x the cost is linear in y: some optimum has y at an end."""
    return [Branch(f"y = {end}", [(model.player.y, end)]) for end in (0, 2)]


def test_an_impossible_branch_is_named_and_left_out():
    """With x + y >= 3 nothing has y = 0; with y = 2 the least x is 1, cost 2."""
    solution = solve(product(3.0), branches_of=ends)
    assert solution.certificate.verdict == "certified"
    assert [c.branch for c in solution.candidates] == ["y = 2"]
    assert solution.candidates[0].payoff == pytest.approx(2)
    assert "impossible: y = 0" in solution.route


def test_no_possible_branch_is_infeasible():
    with pytest.raises(Infeasible, match="no branch has an answer"):
        solve(product(5.0), branches_of=ends)


def test_equal_branches_are_not_called_unique():
    """With x + y >= 0 both y = 0 and x = 0 cost nothing."""
    solution = solve(product(0.0), branches_of=ends)
    assert solution.certificate.uniqueness.decisions == "not unique"


@pytest.mark.parametrize("formulation", [None, "potential", "complementarity", "best_response"])
def test_a_gain_without_limit_is_named(formulation):
    model = pyo.ConcreteModel()
    model.player = pyo.Block()
    model.player.x = pyo.Var(within=pyo.NonNegativeReals)
    model.player.gain = pyo.Objective(expr=model.player.x, sense=pyo.maximize)
    said = "gain without limit" if formulation == "complementarity" else "unbounded"
    with pytest.raises(Infeasible, match=said):
        solve(model, formulation)
