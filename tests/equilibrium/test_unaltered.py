"""solve() changes nothing in a model but the values of its Vars, whether it succeeds or raises; a clone is solved the
same."""

from __future__ import annotations

import contextlib
import logging

import numpy as np
import pyomo.environ as pyo
import pytest
from games import cournot, network

from equilibrium import Branch, solve
from equilibrium.errors import EquilibriumError
from equilibrium.testing import values


def snapshot(model: pyo.ConcreteModel) -> dict[str, object]:
    """Everything but values: components in order, expressions as text, senses, activity, bounds, domains, fixed
    flags, Params."""
    found: dict[str, object] = {}
    for component in model.component_objects(descend_into=(pyo.Block,)):
        found[component.name] = (component.ctype.__name__, getattr(component, "active", None))
    for block in model.block_data_objects():
        found["block " + block.name] = block.active
    for v in model.component_data_objects(pyo.Var):
        found["var " + v.name] = (v.lb, v.ub, v.domain.name, v.fixed)
    for o in model.component_data_objects(pyo.Objective):
        found["objective " + o.name] = (str(o.expr), o.sense, o.active)
    for c in model.component_data_objects(pyo.Constraint):
        found["constraint " + c.name] = (str(c.expr), c.active)
    for p in model.component_data_objects(pyo.Param):
        found["param " + getattr(p, "name", str(p))] = pyo.value(p)
    return found


def nested() -> pyo.ConcreteModel:
    m = cournot(100, 1, [20, 30], capacity=[30, 50])
    m.firm[0].profit.expr -= 0.001 * m.firm[0].q ** 3
    m.firm[1].inner = pyo.Block()
    m.firm[1].inner.y = pyo.Var(bounds=(0.5, 3))
    m.firm[1].inner.off = pyo.Constraint(expr=m.firm[1].inner.y >= 2)
    m.firm[1].inner.off.deactivate()
    m.firm[1].inner.o = pyo.Objective(expr=pyo.exp(m.firm[1].inner.y) + m.firm[0].q * m.firm[1].inner.y)
    return m


def infeasible() -> pyo.ConcreteModel:
    m = nested()
    m.firm[0].bad = pyo.Constraint(expr=m.firm[0].q + 0 * m.firm[1].q >= 31)
    return m


def refused() -> pyo.ConcreteModel:
    m = nested()
    m.firm[0].n = pyo.Var(domain=pyo.Binary)
    return m


def undefined() -> pyo.ConcreteModel:
    m = nested()
    m.firm[0].profit.expr += pyo.log(m.firm[0].q - 40)
    return m


@pytest.mark.parametrize("build", [lambda: network(np.random.default_rng(1)), nested, infeasible, refused, undefined])
def test_nothing_but_values(build):
    m = build()
    before, level = snapshot(m), logging.getLogger("pyomo").level
    fixed = {v.name: v.value for v in m.component_data_objects(pyo.Var) if v.fixed}
    for formulation in (None, "complementarity", "best_response", "potential"):
        with contextlib.suppress(EquilibriumError):
            solve(m, formulation)
        assert snapshot(m) == before
        assert {v.name: v.value for v in m.component_data_objects(pyo.Var) if v.fixed} == fixed
        assert logging.getLogger("pyomo").level == level


@pytest.mark.parametrize("build", [lambda: network(np.random.default_rng(1)), nested])
def test_a_clone_is_solved_the_same(build):
    m = build()
    copy = m.clone()
    assert values(solve(m)) == pytest.approx(values(solve(copy)), rel=1e-12)
    assert values(solve(copy.clone())) == pytest.approx(values(solve(m)), rel=1e-9)


def bilinear() -> pyo.ConcreteModel:
    """min x y - y on [0, 2]^2: for given x the optimum in y is a corner; best is x = 0, y = 2."""
    m = pyo.ConcreteModel()
    m.a = pyo.Block()
    m.a.x, m.a.y = pyo.Var(bounds=(0, 2)), pyo.Var(bounds=(0, 2))
    m.a.o = pyo.Objective(expr=m.a.x * m.a.y - m.a.y)
    return m


def test_branches_leave_the_model_free():
    m = bilinear()
    before = snapshot(m)
    solution = solve(m, branches_of=lambda m: [Branch(f"y = {k}", [(m.a.y, k)]) for k in (0.0, 2.0)])
    assert (m.a.x.value, m.a.y.value) == pytest.approx((0, 2))
    assert solution.certificate.verdict == "certified"
    assert snapshot(m) == before


def test_branches_that_fail_leave_the_model_free():
    """The second branch holds y at a value outside its domain, the first one contradicts a constraint."""
    m = bilinear()
    m.a.c = pyo.Constraint(expr=m.a.x + m.a.y >= 3)
    before = snapshot(m)
    for held in (0.5, "nonsense"):
        with pytest.raises(Exception):  # noqa: B017
            solve(m, branches_of=lambda m, held=held: [Branch("bad", [(m.a.x, 0.0), (m.a.y, held)])])
        assert snapshot(m) == before
