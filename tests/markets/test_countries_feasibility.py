"""Whether inelastic demand can be served: the minimum cut against every group of countries and against the solver."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from itertools import permutations

import numpy as np
import pytest
from countries_solved import data_of, solved

from equilibrium.errors import Infeasible
from models.coupled_countries import readings
from models.coupled_countries.feasibility import System, deliverable, largest_shortage, shortages

HOURS = 5  # of a graph of countries: each is a system of its own
VALUE = 1000.0  # of lost load, above every other cost: the least load is lost


@cache
def graph(seed: int) -> dict:
    """1 to 5 countries with 1 or 2 plants; each direction of each pair has a link with probability 0.5.

    Uniform laws: K in [10, 40], share of it there in [0.3, 1], Cap in [0, 20] (0 in one link of five), D in [2, 45].
    Every fifth graph: an hour in which nobody needs anything; every seventh: a country that needs nothing.
    """
    rng = np.random.default_rng(seed)
    names = "abcde"[: rng.integers(1, 6)]
    plants = {n: [(rng.uniform(5, 30), rng.uniform(0.5, 2), rng.uniform(10, 40))] * rng.integers(1, 3) for n in names}
    links = {
        pair: float(rng.uniform(0, 20) * (rng.random() > 0.2)) for pair in permutations(names, 2) if rng.random() < 0.5
    }
    hours = range(1, HOURS + 1)
    needed = {(n, h): rng.uniform(5, 45) * rng.uniform(0.4, 1) for n in names for h in hours}
    if seed % 5 == 0:
        needed |= {(n, 1): 0.0 for n in names}
    if seed % 7 == 0:
        needed |= {(names[0], h): 0.0 for h in hours}
    shares = {(n, f"t{k}", h): rng.uniform(0.3, 1) for n in names for k in range(1, len(plants[n]) + 1) for h in hours}
    return {
        "plants": plants,
        "links": links,
        "inelastic": {key: (need, 100.0) for key, need in needed.items()},
        "availability": shares,
    }


def of_hours(given: dict, hours: Collection[int]) -> dict:
    """The systems of some hours only."""
    return given | {
        table: {key: row for key, row in given[table].items() if key[-1] in hours}
        for table in ("inelastic", "availability")
    }


def system(seed: int, transit: bool) -> System:
    given = graph(seed)
    names = sorted(given["plants"])
    hours = range(1, HOURS + 1)
    shares = given["availability"]
    capacity = [
        [sum(K * shares[n, f"t{k}", h] for k, (_, _, K) in enumerate(given["plants"][n], 1)) for n in names]
        for h in hours
    ]
    limit = {(names.index(n), names.index(m)): cap for (n, m), cap in given["links"].items()}
    demand = [[given["inelastic"][n, h][0] for n in names] for h in hours]
    return System(names, np.array(capacity), np.array(demand), limit, transit)


def totals(seed: int, transit: bool) -> np.ndarray:
    return np.array([short.total if short else 0.0 for short in shortages(system(seed, transit))])


@pytest.mark.parametrize("transit", [False, True])
def test_minimum_cut_is_the_worst_of_all_groups(transit: bool) -> None:
    """1,000 systems: the programme's shortage is the largest excess over all 2^N groups, and the cut attains it."""
    some = none = 0
    for seed in range(200):
        given = system(seed, transit)
        for hour, short in enumerate(shortages(given)):
            worst = largest_shortage(given, hour)
            assert (short.total if short else 0.0) == pytest.approx(worst, abs=1e-8)
            if short:
                group = {given.countries.index(n) for n in short.cut}
                excess = sum(given.demand[hour][n] for n in group) - sum(deliverable(given, hour, group))
                assert excess == pytest.approx(worst, abs=1e-8)
            some, none = some + (short is not None), none + (short is None)
    assert some > 200 and none > 200 and some + none == 1000


def agrees(seed: int, structure: str, hours: Collection[int]) -> bool:
    """Whether some of the hours have a shortage: then the solver loses exactly that, and nothing is solved without."""
    expected = totals(seed, structure == "netted")[[h - 1 for h in hours]]
    given = of_hours(graph(seed), hours)
    one = solved(data_of(**given, lost_load=dict.fromkeys(given["plants"], VALUE)), structure)
    lost = one.values[one.values["quantity"] == "lost load"]
    hour = lost["index"].str.extract(r"hour=(\d+)")[0].astype(int)
    assert lost["value"].groupby(hour.to_numpy()).sum().to_numpy() == pytest.approx(expected, abs=1e-7)
    fine = [h for h, short in zip(hours, expected, strict=True) if short == 0]
    if fine:
        solved(data_of(**of_hours(given, fine)), structure)
    for h in set(hours) - set(fine):
        with pytest.raises(Infeasible, match=f"hour {h}: .* cannot be served"):
            getattr(readings, structure)(data_of(**given))
    return len(fine) < len(hours)


@pytest.mark.parametrize("structure", ["separable", "joint", "netted"])
def test_rule_agrees_with_the_solver(structure: str) -> None:
    """At certified equilibria with a value of lost load, exactly the shortage is lost, hour by hour: demand can be
    served where the rule says so, and nowhere else. Hours without a shortage are solved without that value, too; the
    others are refused.
    """
    found = [agrees(seed, structure, range(1, HOURS + 1)) for seed in range(16)]
    assert any(found) and not all(found)


def test_rule_agrees_where_trade_is_open() -> None:
    """Sales and multipliers are open in many directions at once: five countries, plants of equal cost, load lost."""
    assert agrees(124, "joint", range(1, HOURS + 1))


@pytest.mark.slow
def test_rule_agrees_with_the_solver_on_a_thousand_systems() -> None:
    found = [agrees(seed, "separable", range(1, HOURS + 1)) for seed in range(200)]
    assert 100 < sum(found) < 200


@pytest.mark.parametrize("structure", ["separable", "joint", "netted"])
def test_nothing_to_serve_is_no_shortage(structure: str) -> None:
    one = solved(
        data_of({"a": [(10.0, 1.0, 0.0)]}, inelastic={("a", 1): (0.0, 100.0), ("b", 1): (0.0, 100.0)}), structure
    )
    assert one.value("welfare") == pytest.approx(0.0, abs=1e-9)


def test_transit_serves_what_direct_sales_cannot() -> None:
    """b serves c through a only where link operators pass imports on."""
    given = {
        "plants": {"a": [(10.0, 1.0, 1.0)], "b": [(10.0, 1.0, 50.0)]},
        "links": {("b", "a"): 20.0, ("a", "c"): 20.0},
        "inelastic": {("a", 1): (0.0, 100.0), ("b", 1): (10.0, 100.0), ("c", 1): (15.0, 100.0)},
    }
    assert solved(data_of(**given), "netted").value("net flow", "from=a;hour=1;to=c") == pytest.approx(15.0)
    with pytest.raises(Infeasible) as caught:
        readings.joint(data_of(**given))
    assert "14 MW cannot be served (14 MW in c)" in str(caught.value)
    assert "c needs 15 MW, but own plants give at most 0 MW and links bring at most 1 MW" in str(caught.value)


def test_cut_names_the_countries_that_are_short_together() -> None:
    """a and b share what comes from c; d, alone, has a shortage of its own, in the second hour."""
    given = {
        "plants": {n: [(10.0, 1.0, 20.0)] for n in "abcd"},
        "links": {("c", "a"): 8.0, ("c", "b"): 8.0},
        "inelastic": {
            (n, h): (Q, 100.0) for h in (1, 2) for n, Q in {"a": 26.0, "b": 27.0, "c": 10.0, "d": 15.0 * h}.items()
        },
    }
    with pytest.raises(Infeasible) as caught:
        readings.joint(data_of(**given))
    text = str(caught.value)
    assert "hour 1: 3 MW cannot be served" in text and "hour 2: 13 MW cannot be served" in text
    assert "a and b and c need together 63 MW, but own plants give at most 60 MW and links bring at most 0 MW" in text
    assert "d needs 30 MW, but own plants give at most 20 MW" in text


def test_of_many_hours_a_few_are_explained() -> None:
    demand = {("a", h): (5.0 + h, 100.0) for h in range(1, 21)}
    with pytest.raises(Infeasible, match="in 5 more hours") as caught:
        readings.joint(data_of({"a": [(10.0, 1.0, 15.0)]}, inelastic=demand))
    assert str(caught.value).count("cannot be served") == 5
