"""Every structure is written for any number of periods. With two of them it is the paper's: theory for two periods is
met to 1e-9. And two equal halves with twice the energy (batteries: of the same size) are the two-period market twice.

Halves: let z be the answer of two periods. Played in both halves it satisfies everybody's conditions in four (the
marginal expenditure is the same in both halves), and where these have one answer that is it. It does not hold

* where the DSO dispatches its rivals (``mixed_dso_dispatch``, ``strategic_mixed``): all of their energy is in one
  period of the four, not in one of each half. There every branch is worked out again below, for any number of periods;
* where batteries are at a limit: over four periods they need not be half full in the middle;
* in the readings H and E, which are stated for two periods.
"""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
import pandas as pd
import pyomo.environ as pyo
import pytest
from fdr_periods import periods
from scipy.optimize import brentq

from equilibrium import solve
from equilibrium.data import Data
from models.fdr_structures import market

CURVED = {"cost_power": 1 / 3, "cost_exponent": 1.0}
PSI, X, NUMBERS = (0.3, 0.8), (2.0, 2.6), {"dso_share": 0.7, "generator_output": 0.9}
AT_ONCE_OR_FIRST = ({"timing": "N"}, {"timing": "L"})
IN_EVERY_ORDER = (*AT_ONCE_OR_FIRST, {"timing": "H"})
NETTED = ({}, {"netted": "yes"})
OPTIONS: dict[str, tuple[dict[str, Any], ...]] = {
    "efficient": NETTED,
    "price_taking": NETTED,
    "passive": NETTED,
    "dso_aggregator": NETTED,
    "cournot": ({"aggregators": 3}, {"aggregators": 3, "netted": "yes"}),
    "shares": NETTED,
    "efficient_shares": NETTED,
    "mixed_own_dispatch": ({"aggregators": 3},),
    "mixed_dso_dispatch": NETTED,
    "generator_aggregator": ({},),
    "regulated": NETTED,
    "regulated_generator": ({},),
    "battery_efficient": ({},),
    "battery_cournot": ({"aggregators": 3},),
    "battery_shares": ({},),
    "pay_as_bid": ({"aggregators": 3}, {"aggregators": 3, "sharing": "increment"}),
    "battery_first_best": ({},),
    "strategic_battery_cournot": AT_ONCE_OR_FIRST,
    "strategic_battery_shares": AT_ONCE_OR_FIRST,
    "first_best": ({},),
    "first_best_shares": ({},),
    "second_best": ({},),
    "strategic_passive": ({},),
    "strategic_dso": IN_EVERY_ORDER,
    "strategic_cournot": IN_EVERY_ORDER,
    "strategic_shares": IN_EVERY_ORDER,
    "strategic_mixed": ({"timing": "N"}, {"timing": "L"}, {"timing": "E"}),
    "strategic_regulated": ({},),
    "integrated": ({},),
}
EVERY = [(structure, options) for structure, several in OPTIONS.items() for options in several]
DISPATCHED = ("mixed_dso_dispatch", "strategic_mixed")
HALVED = [(s, o) for s, o in EVERY if s not in DISPATCHED and o.get("timing") not in ("H", "E")]


def curves(named: list[tuple[str, dict[str, Any]]]) -> list[Any]:
    """Each with linear and with curved supply; leaders with curved supply take seconds."""
    slow = [pytest.mark.slow]
    return [
        pytest.param(s, o, curve, id="-".join([s, *map(str, o.values()), word]), marks=slow if late else [])
        for s, o in named
        for word, curve in (("linear", {}), ("curved", CURVED))
        for late in (bool(curve) and o.get("timing", "N") != "N",)
    ]


def stated(halves: int, fleet: bool = False, **numbers: float) -> Data:
    """One or two equal halves; ``fleet``: aggregators have windows and costs of shifting of their own."""
    energy = numbers.pop("flexible_energy", 1.0 * halves)
    data = periods(X * halves, [PSI], **(NUMBERS | numbers | {"flexible_energy": energy}))
    if fleet:
        data.tables["aggregators"]["shifting_cost"] = [0.5, 0.0, 0.2]
        low, high = data.tables["demand"].index[0::2], data.tables["demand"].index[1::2]
        rows = {("aggregator 1", t): (0.26, inf) for t in high} | {("aggregator 2", t): (0.0, 0.16) for t in low}
        index = pd.MultiIndex.from_tuples(rows, names=["aggregator", "period"])
        tables = dict(data.tables) | {
            "windows": pd.DataFrame(rows.values(), index=index, columns=["lowest", "largest"])
        }
        data = Data(data.market, data.parameters, tables)
    assert not market.check(data)
    return data


def answer(data: Data, structure: str, options: dict[str, Any]) -> Any:
    """The model at a certified equilibrium (or rule)."""
    one = market.structures[structure]
    model = one.build(data, **options)
    certificate = solve(model, branches_of=one.branches).certificate
    assert certificate.ok, certificate.scope
    return model


def told(model: Any) -> np.ndarray:
    """Loads and prices by period, and outputs of strategic generators."""
    rows = [[pyo.value(v[t]) for t in model.period] for v in (model.flexible_load, model.price)]
    if model.component("generators") is not None:
        rows += [[pyo.value(model.generation[g, t]) for t in model.period] for g in model.generators]
    return np.array(rows)


def test_every_structure_is_here() -> None:
    assert set(OPTIONS) == set(market.structures)


@pytest.mark.parametrize(("structure", "options", "curve"), curves(EVERY))
def test_two_periods_are_those_of_theory(structure: str, options: dict[str, Any], curve: dict[str, float]) -> None:
    """Loads, prices, outputs and cost; leaders with curved supply are found to 1e-7 (local search)."""
    data = stated(1, flexible_energy=0.5 if "battery" in structure else 1.0, **curve)
    model = answer(data, structure, options)
    theory = market.closed_form(data, structure, options).set_index(["quantity", "index"])["value"]
    assert len(theory) >= 3
    close = 1e-7 if curve and options.get("timing") in ("L", "H") else 1e-9
    rows = {"flexible load": model.flexible_load, "price": model.price}
    for name, held in rows.items():
        for t in model.period if (name, f"period={model.period.first()}") in theory else ():
            assert pyo.value(held[t]) == pytest.approx(theory[name, f"period={t}"], rel=close, abs=close)
    for g, t in model.generation if model.component("generators") is not None else ():
        expected = theory["generation", f"generator={g};period={t}"]
        assert pyo.value(model.generation[g, t]) == pytest.approx(expected, rel=close, abs=close)
    assert pyo.value(model.system_cost) == pytest.approx(theory["system cost", ""], rel=close)


@pytest.mark.parametrize(("structure", "options", "curve"), curves(HALVED))
def test_two_halves_are_the_two_periods_twice(structure: str, options: dict[str, Any], curve: dict[str, float]) -> None:
    close = 1e-7 if curve and options.get("timing") == "L" else 1e-9  # found by a local search
    size = {"flexible_energy": 0.9} if "battery" in structure else {}  # nobody at a limit
    two, four = (answer(stated(halves, **size, **curve), structure, options) for halves in (1, 2))
    once, twice = told(two), told(four)
    assert twice == pytest.approx(np.hstack([once, once]), rel=close, abs=close)
    assert pyo.value(four.system_cost) == pytest.approx(2 * pyo.value(two.system_cost), rel=close)


@pytest.mark.parametrize(
    ("structure", "options"), [(s, o) for s, o in HALVED if s.endswith("shares") and "battery" not in s]
)
def test_two_halves_with_limits_and_costs_of_their_own(structure: str, options: dict[str, Any]) -> None:
    two, four = (answer(stated(halves, fleet=True), structure, options) for halves in (1, 2))
    assert told(four) == pytest.approx(np.hstack([told(two)] * 2), rel=1e-9, abs=1e-9)
    if two.component("aggregator") is not None:
        for name, block in two.aggregator.items():
            once = [block.load[t].value for t in two.period]
            assert [four.aggregator[name].load[t].value for t in four.period] == pytest.approx(once * 2, abs=1e-9)


# ---------------------------------------------------------------------------------------- the DSO dispatches its rivals


def dispatched(x: np.ndarray, energy: float, share: float, phi: float, seen: float) -> tuple[float, np.ndarray]:
    """(bill, own loads) of the best branch, linear supply P = q or, beside a strategic generator, p = const + phi X.

    With rivals in t the own load fills p + seen d to one level: d_u = max(0, level - phi (x_u + r_u))/(phi + seen).
    """
    T, best = share * energy, (inf, np.zeros(len(x)))
    for t in range(len(x)):
        base = phi * (x + (1 - share) * energy * (np.arange(len(x)) == t))

        def own(level: float, base: np.ndarray = base) -> np.ndarray:
            return np.maximum(0.0, level - base) / (phi + seen)

        d = own(brentq(lambda level: own(level).sum() - T, base.min(), base.max() + (phi + seen) * T, xtol=1e-14))
        best = min(best, (float(((base + phi * d) * d).sum()), d), key=lambda pair: pair[0])
    return best


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_dispatch_over_any_number_of_periods(count: int, share: float) -> None:
    """Against all branches worked out again: without market power, and with the DSO leading."""
    rng = np.random.default_rng(count)
    x = np.sort(rng.uniform(2, 3, count))
    data = periods(x, [PSI], dso_share=share)
    for structure, options, phi in (("mixed_dso_dispatch", {}, 1.0), ("strategic_mixed", {"timing": "L"}, 1.8 / 2.8)):
        model = answer(data, structure, options)
        shift = float(sum(pyo.value(model.price[t]) - phi * pyo.value(x_t + load) for t, x_t, load in _use(model, x)))
        bill, d = dispatched(x, 1.0, share, phi, phi)
        assert [model.dso.load[t].value for t in model.period] == pytest.approx(d, abs=1e-9)
        assert pyo.value(model.dso.minimise_bill.expr) == pytest.approx(bill + shift / count * share, rel=1e-9)


def _use(model: Any, x: np.ndarray) -> list[tuple[Any, float, Any]]:
    return [(t, float(v), model.flexible_load[t]) for t, v in zip(model.period, x, strict=True)]
