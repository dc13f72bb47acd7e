"""Solving a nonlinear model must not change how numbers are computed afterwards."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
import pytest

from equilibrium import solve
from equilibrium.doctor import have_nonlinear


def extended() -> bool:
    """Whether the processor still keeps more digits than a double where it can."""
    return bool(np.longdouble(1) + np.longdouble(2) ** -60 > 1)


@pytest.mark.skipif(not (extended() and have_nonlinear()), reason="no extended precision, or no nonlinear solver")
def test_a_nonlinear_model_leaves_the_processor_as_it_was() -> None:
    m = pyo.ConcreteModel()
    m.firm = pyo.Block(range(2))
    for block in m.firm.values():
        block.output = pyo.Var(bounds=(0, 10), initialize=1.0)
    total = sum(block.output for block in m.firm.values())
    for block in m.firm.values():
        block.profit = pyo.Objective(expr=(10 - total**1.5) * block.output, sense=pyo.maximize)
    assert solve(m).certificate.ok
    assert extended()


@pytest.mark.skipif(not have_nonlinear(), reason="no nonlinear solver")
@pytest.mark.parametrize("exponent", [0.5, 1.5])
@pytest.mark.parametrize("start", [0.0, None])
@pytest.mark.parametrize("leads", [False, True])
def test_slopes_without_a_value_at_zero(exponent: float, start: float | None, leads: bool) -> None:
    """Two sellers with cost y^e, whose second derivative has no value at y = 0 (ASL would end the process there).

    At the answer: 10 - 2 y - x = e y^(e - 1) for whoever takes x as given.
    """
    m = pyo.ConcreteModel()
    m.first, m.second = pyo.Block(), pyo.Block()
    for block in (m.first, m.second):
        block.output = pyo.Var(bounds=(0, 10), initialize=start)
    price = 10 - m.first.output - m.second.output
    for block in (m.first, m.second):
        block.profit = pyo.Objective(expr=price * block.output - block.output**exponent, sense=pyo.maximize)
    if leads:
        m.stage = pyo.Suffix(direction=pyo.Suffix.LOCAL)
        m.stage[m.first], m.stage[m.second] = 1, 2
    solution = solve(m)
    if exponent == 0.5 and not leads:  # a cost that is concave near zero: nothing to be proved
        return
    assert solution.certificate.ok, solution.certificate.scope
    x, y = m.first.output.value, m.second.output.value
    assert 10 - 2 * y - x == pytest.approx(exponent * y ** (exponent - 1), rel=1e-6)
