"""What may differ between solutions is told alike for many scenarios and for one; undetermined multipliers are not
reported for many; numbers of many scenarios are chosen without anybody going astray."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest

from equilibrium import solve
from equilibrium.batches import solve_many
from equilibrium.feasibility import infeasibility
from equilibrium.held import solve_held
from equilibrium.scenarios import (
    NotVectorised,
    Scenarios,
    Tape,
    active,
    ever_larger,
    is_finite,
    one_by_one,
    where_larger,
)
from equilibrium.tolerances import FEASIBLE


def shipping(random: np.random.Generator) -> pyo.ConcreteModel:
    """Least cost of bringing goods from sources to sinks; costs are among few values, so that ways tie."""
    m = pyo.ConcreteModel()
    m.i, m.j = pyo.RangeSet(3), pyo.RangeSet(4)
    m.cost = pyo.Param(m.i, m.j, mutable=True, initialize=lambda *_: float(random.choice([1.0, 2.0, 3.0])))
    m.need = pyo.Param(m.j, mutable=True, initialize=lambda *_: float(random.choice([1.0, 2.0])))
    m.have = pyo.Param(m.i, mutable=True, initialize=lambda *_: float(random.choice([2.0, 3.0, 5.0])))
    m.firm = pyo.Block()
    m.firm.x = pyo.Var(m.i, m.j, within=pyo.NonNegativeReals)
    m.firm.lost = pyo.Var(m.j, within=pyo.NonNegativeReals)
    m.firm.meet = pyo.Constraint(m.j, rule=lambda b, j: sum(b.x[i, j] for i in m.i) + b.lost[j] == b.model().need[j])
    m.firm.most = pyo.Constraint(m.i, rule=lambda b, i: sum(b.x[i, j] for j in m.j) <= b.model().have[i])
    m.firm.bill = pyo.Objective(
        expr=sum(m.cost[i, j] * m.firm.x[i, j] for i in m.i for j in m.j) + 9 * sum(m.firm.lost.values())
    )
    return m


def test_several_optima_are_told_as_alone() -> None:
    random, count = np.random.default_rng(1), 120
    model = shipping(random)
    cells = {model.cost[k].name: random.choice([1.0, 2.0, 3.0], count) for k in model.cost}
    cells |= {model.need[k].name: random.choice([1.0, 2.0], count) for k in model.need}
    batch = solve_many(model, cells)
    together = np.flatnonzero(batch.table["route"] == "together")
    assert len(together) > 100
    words = set()
    for k in together.tolist()[::4]:
        for name, values in cells.items():
            model.find_component(name).set_value(float(values[k]))
        alone = solve(model).certificate.uniqueness.decisions
        assert batch.table.at[k, "unique"] == alone, k
        words.add(alone)
    assert words == {"unique", "not unique"}


def twice_limited(least: Any) -> pyo.ConcreteModel:
    """min x + y with two rows of one left side, so that at equal limits the price may be on either."""
    m = pyo.ConcreteModel()
    m.least = pyo.Param(mutable=True, initialize=least, within=pyo.Reals)
    m.firm = pyo.Block()
    m.firm.x, m.firm.y = pyo.Var(within=pyo.NonNegativeReals), pyo.Var(within=pyo.NonNegativeReals)
    m.firm.first = pyo.Constraint(expr=m.firm.x + m.firm.y >= 2)
    m.firm.second = pyo.Constraint(expr=m.firm.x + m.firm.y >= m.least)
    m.firm.bill = pyo.Objective(expr=m.firm.x + 3 * m.firm.y)
    return m


def test_multipliers_that_are_not_the_only_ones_are_not_numbers() -> None:
    tape, least = Tape.of(6), np.array([1.0, 2.0, 3.0, 1.5, 2.0, 2.5])
    with active(tape):
        held = solve_held(twice_limited(Scenarios(least, tape)), tape)
    first, second = (held.multipliers[f"firm.{name}.lower"].values for name in ("first", "second"))
    shared = least == 2.0
    assert not tape.astray.any() and np.isnan(first[shared]).all() and np.isnan(second[shared]).all()
    assert first[~shared] == pytest.approx(np.where(least < 2, 1.0, 0.0)[~shared])
    assert second[~shared] == pytest.approx(np.where(least > 2, 1.0, 0.0)[~shared])
    for variable, margin in held.margins.items():
        if variable is held.model.firm.y:
            assert margin.values == pytest.approx(np.full(6, 2.0))


def test_a_decision_that_nothing_touches() -> None:
    m = pyo.ConcreteModel()
    m.wish = pyo.Param(mutable=True, initialize=1.0)
    m.firm = pyo.Block()
    m.firm.x = pyo.Var(bounds=(0, 4))
    m.firm.loss = pyo.Objective(expr=(m.firm.x - m.wish) ** 2)
    wishes = np.linspace(-1, 6, 40)
    batch = solve_many(m, {"wish": wishes})
    assert (batch.table["route"] == "together").all()
    assert batch.value(m.firm.x) == pytest.approx(np.clip(wishes, 0, 4))


def test_a_box_without_width_holds_its_column_whatever_its_row_is() -> None:
    m = pyo.ConcreteModel()
    m.firm = pyo.Block()
    m.firm.cheap = pyo.Var(bounds=(0, 1e-14))  # what rounding left of a limit
    m.firm.x = pyo.Var([1, 2], bounds=(0, 5))
    m.firm.meet = pyo.Constraint(expr=m.firm.cheap + m.firm.x[1] + m.firm.x[2] == 3)
    m.firm.bill = pyo.Objective(expr=m.firm.cheap + 2 * m.firm.x[1] + 2 * m.firm.x[2])
    certificate = solve(m).certificate
    assert certificate.verdict == "certified" and certificate.uniqueness.decisions == "not unique"


def test_what_rounding_leaves_beyond_a_limit_of_zero() -> None:
    m = pyo.ConcreteModel()
    m.firm = pyo.Block()
    m.firm.x = pyo.Var([1, 2, 3], within=pyo.NonNegativeReals)
    m.firm.meet = pyo.Constraint(expr=sum(m.firm.x.values()) == 30)
    m.firm.none = pyo.Constraint(expr=m.firm.x[1] + m.firm.x[2] <= 0)
    m.firm.bill = pyo.Objective(expr=m.firm.x[1] + 2 * m.firm.x[2] + 3 * m.firm.x[3])
    (player,) = solve(m).answer.game.players
    m.firm.x[1].set_value(1e-29)
    assert infeasibility(player) <= FEASIBLE
    m.firm.x[1].set_value(1e-15)
    assert infeasibility(player) <= FEASIBLE
    m.firm.x[1].set_value(1e-12)
    assert infeasibility(player) == 1.0


def test_choices_for_which_nobody_goes_astray() -> None:
    tape = Tape.of(4)
    some, limit = (Scenarios(np.array(values), tape) for values in ([1.0, -2.0, 3.5, 0.0], [0.0, 0.0, 5.0, 0.0]))
    assert where_larger(some, limit, some, 7.0).values.tolist() == [1.0, 7.0, 7.0, 7.0]
    assert where_larger(2, 1, "yes", "no") == "yes" and where_larger(1, 1, "yes", "no") == "no"
    assert ever_larger(some, 3.0) and not ever_larger(4.0, limit + 4.0) and ever_larger(2, 1)
    assert math.floor(some).values.tolist() == [1.0, -2.0, 3.0, 0.0]
    assert not tape.astray.any()
    assert is_finite(Scenarios(np.array([1.0, np.inf, 2.0, 3.0]), tape)) and tape.astray.tolist() == [0, 1, 0, 0]
    assert not ever_larger(Scenarios(np.array([0.0, 9.0, 0.0, 0.0]), tape), 1.0), "astray"
    one_by_one("nothing is asked of plain numbers")
    with active(tape), pytest.raises(NotVectorised, match="one by one"):
        one_by_one("must go one by one")
