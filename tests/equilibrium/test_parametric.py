"""Conditions derived for many values of the Params at once are those derived one by one."""

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.mpec import Complementarity, complements

from equilibrium.curved import Curved
from equilibrium.grouping import derive_all
from equilibrium.players import find_game
from equilibrium.solution import derive


def firms():
    """Params in payoffs, in a bound, in both sides of constraints, in a pair and in a clearing row."""
    m = pyo.ConcreteModel()
    m.top = pyo.Param([1, 2], initialize={1: 30, 2: 25}, mutable=True)
    m.slope = pyo.Param(initialize=4, mutable=True)
    m.room = pyo.Param(initialize=5, mutable=True)
    m.least = pyo.Param(initialize=0, mutable=True)
    m.supply = pyo.Param(initialize=3, mutable=True)
    m.firm = pyo.Block([1, 2])
    m.price, m.scarce = pyo.Var(), pyo.Var()
    for f in m.firm:
        m.firm[f].q = pyo.Var(bounds=(m.least, None))
    total = m.firm[1].q + m.firm[2].q
    for f in m.firm:
        q = m.firm[f].q
        m.firm[f].limit = pyo.Constraint(expr=m.slope * q <= m.room)
        m.firm[f].profit = pyo.Objective(
            expr=(m.top[f] - m.slope * total) * q - m.supply**2 * q**2 / 2 - m.scarce * q, sense=pyo.maximize
        )
    m.pair = Complementarity(expr=complements(m.supply - total >= 0, m.scarce >= 0))
    m.row = pyo.Constraint(expr=m.price == m.top[1] - m.slope * total)
    return m


def params(m, values):
    return list(zip([m.top[1], m.slope, m.room, m.supply, m.least], values, strict=True))


def compare(m, given):
    """Every scenario of every group against its own derivation; returns the groups and those left alone."""
    groups, alone = derive_all(m, given)
    for group in groups:
        for k, scenario in enumerate(group.which):
            for param, values in given:
                param.set_value(values[scenario])
            single, mine = derive(find_game(m)), group.at(k)
            assert single.names == mine.names
            assert np.allclose(single.matrix.toarray(), mine.matrix.toarray(), rtol=1e-14, atol=0)
            for name in ("vector", "lower", "upper"):
                assert np.allclose(getattr(single, name), getattr(mine, name), rtol=1e-14, atol=0), name
    return groups, alone


def test_the_arrays_are_those_of_every_scenario_alone():
    m, random, count = firms(), np.random.default_rng(0), 60
    values = [random.uniform(1, 9, count) for _ in range(4)]
    groups, alone = compare(m, params(m, [*values, np.zeros(count)]))
    assert [len(group.which) for group in groups] == [count] and not alone
    assert m.slope.value == values[1][-1]  # left as it was


def test_a_change_of_shape_makes_another_group():
    """A coefficient that changes sign, or vanishes, turns an upper limit into a lower one, or into none."""
    m = firms()
    slope = np.array([1, -1, 2, 0, 1.5, -3, 1])
    ones = np.ones(len(slope))
    groups, alone = compare(m, params(m, [5 * ones, slope, 2 * ones, 3 * ones, 0 * ones]))
    assert sorted(sorted(group.which.tolist()) for group in groups) == [[0, 2, 4, 6], [1, 5], [3]]
    assert not alone


def test_what_is_not_finite_is_left_alone():
    m = firms()
    ones = np.ones(5)
    broken = np.array([1.0, np.nan, 1, np.inf, 1])
    groups, alone = compare(m, params(m, [5 * ones, ones, broken, 3 * ones, 0 * ones]))
    assert sorted(alone) == [1, 3] and groups[0].which.tolist() == [0, 2, 4]


@pytest.mark.parametrize("curved", ["exp", "cube"])
def test_what_is_not_affine_is_derived_as_a_programme(curved):
    m = pyo.ConcreteModel()
    m.a = pyo.Param(initialize=1, mutable=True)
    m.x = pyo.Var(bounds=(0, 3))
    m.cost = pyo.Objective(expr=pyo.exp(m.a * m.x) - m.x if curved == "exp" else m.a * m.x**3 - m.x)
    groups, alone = derive_all(m, [(m.a, np.array([1.0, 2.0, np.nan]))])
    assert [type(group) for group in groups] == [Curved] and list(alone) == [2]
    z = np.array([[0.5, 0.7]])
    slope = [np.exp(0.5) - 1, 2 * np.exp(1.4) - 1] if curved == "exp" else [0.75 - 1, 6 * 0.49 - 1]
    assert groups[0].linearised(z).F(z)[0] == pytest.approx(slope, rel=1e-14)
