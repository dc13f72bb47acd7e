"""What system cost can be where the DSO does not care in which of several periods its rivals buy, beside generators
with market power: against all splits of the rivals' energy on a grid, each tried as an equilibrium.

Linear supply P(q) = q, one generator: it delivers Y(X) = max(0, (X - psi1)/(2 + psi2)).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from fdr_periods import periods
from scipy.optimize import brentq

from equilibrium import solve
from equilibrium.case import Alternative
from equilibrium.results import Solved
from models.fdr_structures import market, open_dispatch

GRID, FEW, SEED = 200, 20, 11


@dataclass(frozen=True)
class Day:
    """One random market of a few periods."""

    x: np.ndarray
    S: float
    L: float
    psi1: float
    psi2: float

    def Y(self, X: np.ndarray) -> np.ndarray:
        return np.maximum(0.0, (X - self.psi1) / (2 + self.psi2))

    def cost(self, X: np.ndarray) -> float:
        y = self.Y(X)
        return float(((X - y) ** 2 / 2 + self.psi1 * y + self.psi2 * y**2 / 2).sum())

    def bill(self, X: np.ndarray, d: np.ndarray) -> float:
        return float(((X - self.Y(X)) * d).sum())

    def best_bill(self, y: np.ndarray) -> float:
        """The DSO's lowest bill where the generator delivers y: the best of rivals in each period, own load fills."""
        T, found = self.L * self.S, np.inf
        for t in range(len(self.x)):
            base = self.x - y + (1 - self.L) * self.S * (np.arange(len(y)) == t)

            def own(level: float, base: np.ndarray = base) -> np.ndarray:
                return np.maximum(0.0, level - base) / 2

            d = own(brentq(lambda level: own(level).sum() - T, base.min(), base.max() + 2 * T, xtol=1e-14))
            found = min(found, float(((base + d) * d).sum()))
        return found


def draw(number: int) -> Day:
    rng = np.random.default_rng((SEED, number))
    x = rng.uniform(1, 4, 3)
    return Day(x, rng.uniform(0.2, 2), rng.uniform(0.1, 0.9), rng.uniform(0, 1), rng.uniform(0, 1))


@cache
def examine(number: int, timing: str) -> str:
    """What the draw has shown: how many idle periods, and whether every split of two is an equilibrium."""
    day = draw(number)
    data = periods(day.x, [(day.psi1, day.psi2)], flexible_energy=day.S, dso_share=day.L)
    structure = market.structures["strategic_mixed"]
    model = structure.build(data, timing=timing)
    solution = solve(model, branches_of=structure.branches)
    if solution.certificate.verdict == "none":
        return "none"
    assert solution.certificate.verdict in ("certified", "certified, local", "several")
    ends = open_dispatch.spread(model)
    d = np.array([model.dso.load[t].value for t in model.period])
    idle = np.flatnonzero(d < 1e-8)
    if len(idle) < 2:
        assert ends is None
        return "one idle period"
    assert ends is not None
    told = market.values(Solved(Alternative("mixed", "strategic_mixed", {"timing": timing}), data, model, solution))
    numbers = told.set_index("quantity")["value"]
    assert (numbers["least system cost"], numbers["most system cost"]) == pytest.approx(ends, rel=1e-12)
    if len(idle) > 2:
        return "more than two idle periods"
    costs, every = [], True
    for part in np.linspace(0, 1, GRID + 1):
        X = day.x + d
        X[idle] += (1 - day.L) * day.S * np.array([part, 1 - part])
        stays = timing == "L" or day.best_bill(day.Y(X)) >= day.bill(X, d) * (1 - 1e-10)
        every = every and stays
        if stays:
            costs.append(day.cost(X))
    step = 2 * np.ptp(costs) / GRID + 1e-9 * max(costs)
    assert ends[0] <= min(costs) + 1e-9 * min(costs)
    assert ends[1] >= max(costs) - 1e-9 * max(costs)
    if len(costs) > 20:  # the ends are near equilibria on the grid
        assert ends[0] >= min(costs) - 8 * step
        assert ends[1] <= max(costs) + 8 * step
    return "every split" if every else "some splits"


@pytest.mark.parametrize("timing", ["N", "L"])
@pytest.mark.parametrize("number", range(FEW))
def test_range_of_cost_is_that_of_all_splits_that_are_equilibria(number: int, timing: str) -> None:
    examine(number, timing)


def test_draws_show_every_kind() -> None:
    at_once = Counter(examine(number, "N") for number in range(FEW))
    assert min(at_once["every split"], at_once["some splits"], at_once["none"]) >= 2, at_once
    first = Counter(examine(number, "L") for number in range(FEW))
    assert first["every split"] >= 6, first
    assert first["some splits"] == first["none"] == 0, first


def test_several_generators_with_capacities_and_curved_supply() -> None:
    """Four periods, two of them idle: the ends of the range are equilibria of the whole game, held against every other
    branch, and the cost found lies between them."""
    for curve in ({}, {"cost_power": 1 / 3, "cost_exponent": 1.0}):
        data = periods([2.0, 2.1, 3.4, 3.6], [(0.3, 0.8), (0.5, 0.3)], capacity=1.0, dso_share=0.3, **curve)
        structure = market.structures["strategic_mixed"]
        model = structure.build(data)
        assert solve(model, branches_of=structure.branches).certificate.ok
        ends = open_dispatch.spread(model)
        assert ends is not None
        assert ends[0] <= pyo.value(model.system_cost) <= ends[1]
        energy = pyo.value(model.dso.rivals.energy)
        costs = [_at(data, structure, split) for split in ({"h04": energy}, _level(model, energy))]
        assert costs == pytest.approx(ends[::-1], rel=1e-8)


def _level(model: Any, energy: float) -> dict[str, float]:
    """The energy over the last two periods, to one level of demand."""
    x = [pyo.value(model.residual_demand[t]) for t in ("h03", "h04")]
    return {"h03": (energy + x[1] - x[0]) / 2, "h04": (energy + x[0] - x[1]) / 2}


def _at(data: Any, structure: Any, split: dict[str, float]) -> float:
    """System cost where rivals are held at a split, everybody else at their best; the DSO does not gain by any branch
    with the generators where they are."""
    model = structure.build(data)
    model.dso.rivals.service.deactivate()
    for t in model.period:
        model.dso.rivals.load[t].fix(split.get(t, 0.0))
    assert solve(model).certificate.ok
    bill, cost = pyo.value(model.dso.minimise_bill.expr), pyo.value(model.system_cost)
    alone = structure.build(data)
    for g in model.generators:
        alone.generator[g].maximise_profit.deactivate()
        for row in list(alone.generator[g].component_data_objects(pyo.Constraint, active=True)):
            row.deactivate()
        for t in model.period:
            alone.generator[g].generation[t].fix(model.generator[g].generation[t].value)
    assert solve(alone, branches_of=structure.branches).certificate.ok
    assert pyo.value(alone.dso.minimise_bill.expr) >= bill * (1 - 1e-9)
    return float(cost)
