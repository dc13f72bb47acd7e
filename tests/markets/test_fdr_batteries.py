"""Batteries and pay-as-bid: reference numbers, closed forms for linear supply, and what is the same as without them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from fdr_periods import periods

from equilibrium.case import Alternative, read_case
from equilibrium.data import Data
from equilibrium.errors import Refused
from equilibrium.run import solve_one
from models.fdr_structures import market

DATA = Path(__file__).parents[2] / "data" / "fdr_structures"
CURVED = {"cost_power": 1 / 3, "cost_exponent": 1.0}


def answer(data: Data, structure: str, **options: Any) -> Any:
    one = solve_one(market, data, Alternative(structure, structure, options))
    assert one.solution.certificate.verdict == "certified"
    books = market.accounts(one)
    payments = books[books["item"] != "cost"]["value"]
    assert abs(payments.sum()) <= 1e-9 * payments.abs().max()
    return one


def off_peak(data: Data, structure: str, **options: Any) -> float:
    return answer(data, structure, **options).value("flexible load", f"period={data.tables['demand'].index[0]}")


REFERENCE = {  # loads off-peak for A = 1 and A = 3, worked out without this package
    "textbook_s1": (0.15, 0.225),
    "textbook_s2": (0.375, 0.5625),
    "textbook_s3": (0.625, 0.9375),
    "textbook_s4": (0.05, 0.075),
    "textbook_s6": (0.375131855621, 0.562524634412),
    "stockholm": (10.25, 15.375),
    "stockholm_tight": (25.25, 37.875),
}


@pytest.mark.parametrize("case", REFERENCE)
def test_reference_numbers(case: str) -> None:
    data = read_case(DATA / case).data
    found = [off_peak(data, "battery_cournot", aggregators=A) for A in (1, 3)]
    assert found == pytest.approx(REFERENCE[case], rel=1e-7)


def test_a_battery_larger_than_demand_is_refused() -> None:
    """S5: 1.4 MWh could be given back off-peak, where 1.2 MWh are used."""
    with pytest.raises(Refused, match="give back 1.4 MWh in a period in which 1.2 MWh are used"):
        market.structures["battery_cournot"].build(read_case(DATA / "textbook_s5").data)


@pytest.mark.parametrize(("A", "want"), [(1, 0.15), (2, 0.2), (5, 0.25)])
def test_e14_the_mapped_service_has_other_loads_for_curved_supply(A: int, want: float) -> None:
    """sigma = 1, b = 1/3, x = (2, 2.6), batteries of 0.5: not the service with x - 0.5 and energy 1, whose loads are
    0.16470588, 0.20675676, 0.25174825 above a half. For linear supply they are the same."""
    mapped = {1: 0.16470588, 2: 0.20675676, 5: 0.25174825}[A]
    small = {"flexible_energy": 0.5}
    assert off_peak(periods([2.0, 2.6], **CURVED, **small), "battery_cournot", aggregators=A) == pytest.approx(want)
    service = off_peak(periods([1.5, 2.1], **CURVED), "cournot", aggregators=A)
    assert service - 0.5 == pytest.approx(mapped, abs=1e-8)
    straight = off_peak(periods([2.0, 2.6], **small), "battery_cournot", aggregators=A)
    assert straight == pytest.approx(off_peak(periods([1.5, 2.1]), "cournot", aggregators=A) - 0.5, abs=1e-9)


def test_efficient_batteries_level_prices_and_losses_leave_a_gap() -> None:
    """Two periods, linear supply: s = D/2 without losses; with losses the price ratio inside the limits is eta^2."""
    assert off_peak(periods([2.0, 2.6]), "battery_efficient") == pytest.approx(0.3, abs=1e-9)
    one = answer(periods([2.0, 2.6], battery_efficiency=0.95), "battery_efficient")
    low, high = (one.value("price", f"period={t}") for t in ("off-peak", "peak"))
    assert low / high == pytest.approx(0.95**2, rel=1e-9)
    assert one.value("flexible load", "period=off-peak") * 0.95**2 == pytest.approx(
        -one.value("flexible load", "period=peak"), rel=1e-9
    )


def test_owners_of_batteries_over_a_day_shift_a_fixed_part_of_what_levels() -> None:
    """Linear supply, no losses, no limit binding: load_t = r (mean - x_t), r = A/(A + 1)."""
    x = 4 + np.array([-0.4, -0.2, 0.0, 0.3, 0.4, -0.1])
    data = periods(x, flexible_energy=1.5)
    one = answer(data, "battery_cournot", aggregators=2)
    found = [pyo.value(one.model.flexible_load[t]) for t in one.model.period]
    assert found == pytest.approx(2 / 3 * (x.mean() - x), abs=1e-9)


def test_shares_of_batteries_matter_at_a_bound_only() -> None:
    """S3, S = 1, D = 2.5: each shifts what it can; a small owner is at its bound."""
    data = periods([2.0, 4.5], shares=(0.9, 0.1), dso_share=0.4)
    assert off_peak(data, "battery_shares") < off_peak(data, "battery_cournot", aggregators=2)
    near = periods([2.0, 2.2], shares=(0.6, 0.4))
    assert off_peak(near, "battery_shares") == pytest.approx(off_peak(near, "battery_cournot", aggregators=2), abs=1e-9)


@pytest.mark.parametrize("curve", [{}, CURVED], ids=["linear", "curved"])
@pytest.mark.parametrize("A", [1, 3])
def test_pro_rata_shifts_the_same_and_pays_less(A: int, curve: dict[str, float]) -> None:
    """C(q)/q = P/(2 + sigma) where a = 0: the same loads, bills divided by 2 + sigma."""
    data = periods([2.0, 2.6], **curve)
    uniform, shared = answer(data, "cournot", aggregators=A), answer(data, "pay_as_bid", aggregators=A)
    load = "flexible load", "period=off-peak"
    assert shared.value(*load) == pytest.approx(uniform.value(*load), abs=1e-9)
    ratio = 2 + curve.get("cost_exponent", 0.0)
    assert shared.value("bill") == pytest.approx(uniform.value("bill") / ratio, rel=1e-9)


def test_a_monopoly_that_pays_its_increment_is_efficient() -> None:
    """Its bill is the system cost less a constant."""
    for data in (periods([2.0, 2.6]), periods([2.0, 2.6], **CURVED)):
        one = answer(data, "pay_as_bid", aggregators=1, sharing="increment")
        assert one.value("flexible load", "period=off-peak") == pytest.approx(0.8, abs=1e-8)
        assert one.value("loss against efficient") == pytest.approx(0, abs=1e-9)
