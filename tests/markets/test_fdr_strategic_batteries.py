"""Batteries beside generators with market power: closed forms for linear supply, conditions of one unknown for curved
supply, and what batteries change in the statement of the generators."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
import pytest
from fdr_answer import answer
from fdr_periods import periods

from equilibrium.case import Alternative
from equilibrium.results import Solved
from equilibrium.run import solve_one
from models.fdr_structures import market

CURVED = {"cost_power": 1 / 3, "cost_exponent": 1.0}
PSI = (0.3, 0.8)


def loads(one: Solved) -> np.ndarray:
    return np.array([pyo.value(one.model.flexible_load[t]) for t in one.model.period])


@pytest.mark.parametrize("generators", [1, 2, 4])
@pytest.mark.parametrize("A", [1, 3])
@pytest.mark.parametrize("timing", ["N", "L"])
def test_two_periods_with_linear_supply(timing: str, A: int, generators: int) -> None:
    """G equal generators leave the producers phi of one more unit of demand, phi = (beta + psi2)/(beta(1 + G) + psi2),
    so p2 - p1 = phi beta (D - 2 s). At once an owner's s_a = s/A has phi beta (D - 2 s) = 2 beta s/A, a leader's phi
    beta (D - 2 s) = 2 phi beta s/A: s = phi A D/(2(1 + phi A)) and A D/(2(A + 1)), as without market power."""
    phi = 1.8 / (1 + generators + 0.8)
    want = phi * A * 0.6 / (2 * (1 + phi * A)) if timing == "N" else A * 0.6 / (2 * (A + 1))
    data = periods([2.0, 2.6], [PSI] * generators)
    one = answer(data, "strategic_battery_cournot", aggregators=A, timing=timing)
    assert loads(one) == pytest.approx([want, -want], abs=1e-9)
    small = answer(periods([2.0, 2.6], [PSI] * generators, flexible_energy=0.05), one.alternative.structure)
    assert loads(small) == pytest.approx([0.05, -0.05], abs=1e-9)  # all that the batteries hold


def test_with_linear_supply_it_is_the_mapped_service() -> None:
    """As to quantities: the service with demands less S and energy 2 S."""
    batteries = answer(periods([2.0, 2.6], [PSI], flexible_energy=0.5), "strategic_battery_cournot", aggregators=3)
    service = answer(periods([1.5, 2.1], [PSI]), "strategic_cournot", aggregators=3)
    assert loads(batteries) + 0.5 == pytest.approx(loads(service), abs=1e-9)
    assert batteries.value("system cost") == pytest.approx(service.value("system cost"), rel=1e-12)
    assert abs(batteries.value("bill") - service.value("bill")) > 0.1


def test_a_day_with_linear_supply() -> None:
    """No losses, no limit binding: load_t = r (mean - x_t), r = phi A/(1 + phi A)."""
    x = 4 + np.array([-0.4, -0.2, 0.0, 0.3, 0.4, -0.1])
    data = periods(x, [PSI], flexible_energy=1.5)
    r = 2 * (1.8 / 2.8) / (1 + 2 * (1.8 / 2.8))
    assert loads(answer(data, "strategic_battery_cournot", aggregators=2)) == pytest.approx(
        r * (x.mean() - x), abs=1e-9
    )
    assert loads(answer(data, "battery_first_best")) == pytest.approx(x.mean() - x, abs=1e-9)


@pytest.mark.parametrize("structure", ["strategic_battery_cournot", "strategic_battery_shares", "battery_first_best"])
@pytest.mark.parametrize("curve", [{}, CURVED], ids=["linear", "curved"])
def test_conditions_of_one_unknown(structure: str, curve: dict[str, float]) -> None:
    """Inside and with small owners at their limits (shares 0.6, 0.3, 0.1 of 0.2 MWh)."""
    for energy in (1.0, 0.2):
        one = answer(periods([2.0, 2.6], [PSI], flexible_energy=energy, **curve), structure)
        assert one.value("loss against efficient") >= -1e-12
        assert (one.value("loss against efficient") > 1e-6) == structure.startswith("strategic")


def test_leaders_with_curved_supply() -> None:
    for A in (1, 2):
        one = answer(periods([2.0, 2.6], [PSI], **CURVED), "strategic_battery_cournot", aggregators=A, timing="L")
        assert one.solution.certificate.verdict == "certified, local"


def test_losses_leave_a_gap_between_prices() -> None:
    """The planner fills a battery until p_low / p_high = eta^2; owners with market power stop before."""
    data = periods([2.0, 2.6], [PSI], battery_efficiency=0.95)
    best, owners = (answer(data, name) for name in ("battery_first_best", "strategic_battery_cournot"))
    ratio = [one.value("price", "period=off-peak") / one.value("price", "period=peak") for one in (best, owners)]
    assert ratio[0] == pytest.approx(0.95**2, rel=1e-9)
    assert ratio[1] < 0.95**2 - 1e-3
    for one in (best, owners):
        low, high = loads(one)
        assert low * 0.95**2 == pytest.approx(-high, rel=1e-9)


def test_the_generators_limit_is_stated_where_discharge_may_make_it_bind() -> None:
    """a = 3, psi = (0.1, 0.05): at q <= 0 the generator would deliver up to 2.9/1.05 = 2.76 MWh. Demand is at least 3,
    so that never happens, but batteries may give back 1.0 of it."""
    data = periods([3.0, 3.6], [(0.1, 0.05)], cost_linear=3.0)
    plants = [
        market.structures[name].build(data).generator["generator 1"]
        for name in ("strategic_cournot", "strategic_battery_cournot")
    ]
    assert [plant.component("residual") is not None for plant in plants] == [False, True]
    answer(data, "strategic_battery_cournot")


def test_a_planner_with_linear_cost_of_generation_reports_a_range() -> None:
    """psi2 = 0: load and output move together. What is charged off-peak must be given back, and the battery may also be
    run the other way round: from -1 to 1."""
    one = solve_one(market, periods([2.0, 2.6], [(0.3, 0.0)]), Alternative("plan", "battery_first_best", {}))
    ends = [one.value(f"{end} flexible load", "period=off-peak") for end in ("least", "most")]
    assert ends == pytest.approx([-1.0, 1.0], abs=1e-8)
