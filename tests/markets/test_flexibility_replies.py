"""Best replies of a strategic aggregator over mark-ups and penalties: corners to 1e-6, exhaustive grids, what a
penalty stops, headroom that binds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from equilibrium.case import read_case
from equilibrium.data import change
from models.local_flexibility import outcome, reply, strategic

CASE = Path(__file__).parents[2] / "data/local_flexibility/strategic"
SLOW = pytest.mark.slow


def asker(scenario, offers="whole", data=None, **options):
    data = read_case(CASE).data if data is None else data
    return reply.Asker.of(data, dict(scenario=scenario, aggregator="A", offers=offers, markup_cap=1.0, **options))


@pytest.mark.parametrize(
    ("scenario", "corners"),
    [
        ("C1", [10.33 / 38]),
        ("C3", [0.4568]),
        pytest.param("C2", [0.227, 0.346133333333], marks=SLOW),
        pytest.param("C3a", [0.616], marks=SLOW),
        pytest.param("C3b", [0.227, 0.5984], marks=SLOW),
    ],
)
def test_markups_at_which_the_plan_changes(scenario, corners):
    found = reply.over_markups(asker(scenario), 0.0, 1.0)
    assert [piece.low for piece in found] == pytest.approx([0.0, *corners], abs=1e-6)
    assert found[0].reply.accepted == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("scenario", "corner"), [("C1", 0.271842), pytest.param("C3a", 0.616, marks=SLOW)])
def test_both_sides_of_a_corner(scenario, corner):
    """Honest below, another plan above: each side solved for itself, 2e-6 away."""
    here = asker(scenario)
    below, above = (here.under(markup=corner + side).reply() for side in (-2e-6, 2e-6))
    honest = strategic.cheapest(here.model())
    assert reply.moved(below.plan, honest) < 1e-6
    assert reply.moved(above.plan, honest) > 50
    assert above.profit > -above.bill


def grid(energy, hours, step, most):
    """All plans in steps, chunk by chunk (rows: plans, columns: hours)."""
    units, top = round(energy / step), round(most / step)
    if hours == 1:
        yield np.array([[energy]]) if units <= top else np.empty((0, 1))
        return
    for k in range(min(units, top) + 1):
        for rest in (
            grid(energy - k * step, hours - 1, step, most) if hours > 4 else [inner(units - k, hours - 1, step, top)]
        ):
            yield np.hstack([np.full((len(rest), 1), k * step), rest])


def inner(units, hours, step, top):
    axes = np.indices((units + 1,) * (hours - 1)).reshape(hours - 1, -1).T
    last = units - axes.sum(axis=1)
    keep = (last >= 0) & (last <= top) & (axes <= top).all(axis=1)
    return np.column_stack([axes, last])[keep] * step


@pytest.mark.parametrize(
    ("scenario", "fleet", "rival", "best"),
    [
        ("C2", 8, [6, 12, 20, 84, 40, 30], 24.72),
        pytest.param("C4free", 20, [1.5, 3, 5, 21, 10, 7.5], 138.3, marks=SLOW),
    ],
)
def test_no_plan_on_a_grid_of_four_kwh_is_better(scenario, fleet, rival, best):
    """Every plan in steps of 4 kWh. Against truthful rivals no more is taken than what they cannot relieve."""
    load, price = np.array([70, 50, 35, 25, 30, 40.0]), np.array([0.15, 0.1, 0.05, 0.01, 0.025, 0.032])
    offers = 2 * np.floor(np.array(rival) / 2)
    top, plan = -np.inf, None
    for plans in grid(12 * fleet, 6, 4, 11 * fleet):
        need = np.maximum(0, load + rival + plans - 120)
        profits = np.maximum(0, need - offers).sum(axis=1) - plans @ price
        if len(profits) and profits.max() > top:
            top, plan = profits.max(), plans[profits.argmax()]
    assert top == pytest.approx(best, abs=1e-9)
    again = outcome.clear_at(read_case(CASE).data, scenario, "whole", {"A": {("A", str(t)): plan[t] for t in range(6)}})
    assert again.profit("A") == pytest.approx(best, abs=1e-6)
    assert asker(scenario).under(markup=1).reply().profit == pytest.approx(best, abs=1e-6)


# ------------------------------------------------------------------------------------------------- penalty


def available(scenario, energy, **changes):
    data = read_case(CASE).data
    index = pd.MultiIndex.from_tuples([(scenario, "A", "0")], names=["scenario", "fleet", "period"])
    table = pd.DataFrame({"energy": [float(energy)], "source": [""]}, index=index)
    data = replace(data, tables={**data.tables, "availability": table})
    return asker(scenario, data=change(data, changes) if changes else data, delivery="penalised")


@pytest.mark.parametrize(
    ("there", "last"),
    [
        (3, 0.728723404255),
        pytest.param(11, 0.849487179487, marks=SLOW),
        pytest.param(22, 1.128214285714, marks=SLOW),
        pytest.param(33, 1.767647058824, marks=SLOW),
        (44, 4.751666666667),
    ],
)
def test_penalty_that_stops_fake_charging(there, last):
    found = reply.over_penalties(available("C1", there), 0.0, 10.0)
    assert found[0].profit(0.0) == pytest.approx(31.72, abs=1e-6)
    assert found[-1].low == pytest.approx(last, abs=1e-6)
    assert found[-1].profit(10.0) == pytest.approx(-2.95, abs=1e-6)


@pytest.mark.parametrize("there", [50, 55])
def test_no_penalty_stops_what_can_be_delivered(there):
    found = reply.over_penalties(available("C1", there), 0.0, 1000.0)
    assert found[-1].profit(10.0) == pytest.approx(24.72, abs=1e-6)
    assert found[-1].reply.missing == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
def test_penalty_with_uncertain_load():
    """55 of 88 kWh are there; congestion on one day of two."""
    changes = {"envelopes.energy[C3,A,0]": 88}
    found = reply.over_penalties(available("C3", 55, **changes), 0.0, 10.0)
    assert found[0].profit(0.0) == pytest.approx(31.72, abs=1e-6)
    assert found[-1].low == pytest.approx(2.924, abs=1e-6)
    assert found[-1].profit(10.0) == pytest.approx(3.84, abs=1e-6)
    assert found[-1].reply.plan["A", "0"] == pytest.approx(55, abs=1e-6)


# ------------------------------------------------------------------------------------------------- headroom

FILES = {
    "case.toml": 'market = "local_flexibility"\ntitle = "Headroom of a rival binds"\nsource = "by hand"\n'
    'licence = "CC0-1.0"\ncurrency = "EUR"\n',
    "alternatives.csv": "name,structure,options\nA,strategic,aggregator=A\n",
    "parameters.csv": "name,value,unit,source\nalternative_cost,10,EUR/kWh,by hand\n",
    "periods.csv": "period,duration [h],price [EUR/kWh]\n0,1,0.15\n1,1,0.01\n2,1,0.10\n",
    "feeders.csv": "scenario,feeder,rating [kW]\ns,f,120\n",
    "days.csv": "scenario,day,probability [1]\ns,d,1\n",
    "loads.csv": "day,feeder,period,load [kW]\nd,f,0,100\nd,f,1,20\nd,f,2,20\n",
    "aggregators.csv": "scenario,aggregator,markup [EUR/kWh]\ns,A,0\ns,B,0.05\n",
    "fleets.csv": "scenario,fleet,aggregator,feeder,vehicles [1],charger [kW],energy [kWh]\n"
    "s,A,A,f,2,11,10\ns,B,B,f,2,11,15.5\n",
    "baselines.csv": "scenario,fleet,period,energy [kWh],plugged_in [1]\ns,A,0,20,2\ns,B,0,20,2\ns,B,1,11,1\n",
    "envelopes.csv": "scenario,fleet,period,energy [kWh]\ns,A,0,20\ns,A,1,0\ns,A,2,0\n",
}


def test_a_rival_without_headroom_is_undercut_by_a_price_difference(tmp_path):
    """The best mark-up is the rival's 0.05 and 0.10 - 0.01 more: the rival can only charge again in the dear hour."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    here = reply.Asker.of(read_case(tmp_path).data, dict(scenario="s", aggregator="A", offers="whole", markup_cap=1.0))
    assert reply.headroom_may_bind(here.model())
    found = {m: here.under(markup=m).reply() for m in reply.candidates(here)}
    best = max(found, key=lambda m: found[m].profit)
    assert best == pytest.approx(0.14, abs=1e-9)
    assert found[best].profit + found[best].bill == pytest.approx(2.80, abs=1e-6)
    tried = [
        outcome.clear_at(here.data, "s", "whole", {"A": {("A", "0"): 20}}, {"A": m}).profit("A")
        for m in np.linspace(0, 1, 26)
    ]
    assert max(tried) <= found[best].profit + 1e-6


# ------------------------------------------------------------------------------------------------- random streets


def street(folder, seed):
    """Three hours, two days, two feeders; A has a fleet at each, rivals ask something between 0 and 0.3."""
    rng = np.random.default_rng(seed)
    files = dict(FILES)
    files["days.csv"] = "scenario,day,probability [1]\ns,d,0.25\ns,e,0.75\n"
    files["periods.csv"] = "period,duration [h],price [EUR/kWh]\n" + "".join(
        f"{t},{length},{price:.3f}\n"
        for t, length, price in zip("012", (1, 0.5, 1), rng.uniform(-0.05, 0.3, 3), strict=True)
    )
    files["feeders.csv"] = "scenario,feeder,rating [kW]\ns,f,120\ns,g,90\n"
    loads = [(d, f, t, rng.integers(20, 110)) for d in "de" for f in "fg" for t in "012"]
    files["loads.csv"] = "day,feeder,period,load [kW]\n" + "".join(f"{d},{f},{t},{x}\n" for d, f, t, x in loads)
    asked = rng.choice([0.0, 0.1, 0.3], 2)
    files["aggregators.csv"] = "scenario,aggregator,markup [EUR/kWh]\ns,A,0.45\n" + "".join(
        f"s,{a},{m}\n" for a, m in zip("BC", asked, strict=True)
    )
    files["fleets.csv"] = "scenario,fleet,aggregator,feeder,vehicles [1],charger [kW],energy [kWh]\n"
    files["baselines.csv"] = "scenario,fleet,period,energy [kWh]\n"
    for fleet, a, f in (("A1", "A", "f"), ("A2", "A", "g"), ("B", "B", "f"), ("C", "C", "g")):
        files["fleets.csv"] += f"s,{fleet},{a},{f},4,11,10\n"
        first = int(rng.integers(5, 25))
        for t, s in zip("012", (first, 5, 35 - first), strict=True):
            files["baselines.csv"] += f"s,{fleet},{t},{s}\n"
    del files["envelopes.csv"]
    for name, text in files.items():
        (folder / name).write_text(text)
    return reply.Asker.of(read_case(folder).data, dict(scenario="s", aggregator="A", offers="continuous"))


@pytest.mark.parametrize("seed", [1, *(pytest.param(k, marks=SLOW) for k in range(2, 8))])
def test_random_streets(tmp_path, seed):
    """The leader's profit is what the plain clearing of its plan gives, and no plan on a grid gives more."""
    here = street(tmp_path, seed)
    best = here.reply()
    again = outcome.clear_at(here.data, "s", "continuous", {"A": best.plan})
    assert best.verdict == "certified"
    assert again.profit("A") <= best.profit + 1e-6
    nudged = outcome.clear_at(here.data, "s", "continuous", {"A": best.plan}, {"A": 0.45 - 1e-9})
    assert nudged.profit("A") == pytest.approx(best.profit, abs=1e-6)  # ties are its own once it asks a little less
    plans = [(x, y, 40 - x - y) for x in (0, 10, 20, 30, 40) for y in (0, 10, 20) if x + y <= 40]
    rng = np.random.default_rng(seed)
    for _ in range(25):
        one, other = (plans[rng.integers(len(plans))] for _ in range(2))
        plan = {("A1", t): x for t, x in zip("012", one, strict=True)} | {
            ("A2", t): x for t, x in zip("012", other, strict=True)
        }
        assert outcome.clear_at(here.data, "s", "continuous", {"A": plan}).profit("A") <= best.profit + 1e-6
