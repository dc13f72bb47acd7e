"""Demand response by intensity against reference values (R9 joint and limited, R10 separable and open)."""

from __future__ import annotations

from pathlib import Path

import pytest

from equilibrium.case import read_case
from equilibrium.data import change
from equilibrium.run import solve_all

DATA = Path(__file__).parents[2] / "data" / "coupled_countries"
WHERE = "country=one;hour=1"
CRITERIA = {"SW_market": ("market welfare", "country=one"), "SW_country": ("country welfare", "country=one")}
CRITERIA |= {"W": ("welfare", ""), "CS": ("consumer surplus", "country=one")}

# gamma: Q_1, lam_1, retail price, net export, change of CS_1, of country welfare, of total welfare
SWEEP = {
    "demand_response": {
        0.5: (55.6410923277, 30.8972691808, 58.7178153446, 8.0, 771.4511554194, 2012.2991937581, 1976.2621170351),
        1.5: (41.9901864573, 23.0343473994, 86.0196270854, 8.0, -561.3042412802, 812.6575858685, 808.0721962709),
        4.0: (25.8106852497, 15.1358885017, 118.3786295006, 8.0, -1658.2885269404, -581.9624157956, -554.9539698026),
    },
    "demand_response_open": {
        1.0: (
            48.3442680105,
            24.9671959684,
            73.3114639790,
            21.6557319895,
            41.6500880577,
            1343.0268439751,
            1315.1133258418,
        ),
        2.5: (
            33.1358267976,
            20.8887794108,
            103.7283464048,
            28.6508653329,
            -1197.5351438554,
            92.0498624679,
            111.9273659930,
        ),
        4.0: (25.2631651617, 18.4210090299, 119.4736696766, 30.0, -1657.2906474291, -573.0869404730, -515.0169302567),
    },
}
THRESHOLDS = [  # case, criterion, gamma_max, Q_min
    ("demand_response", "SW_country", 2.6511594751, 32.7428311334),
    ("demand_response", "W", 2.6825390165, 32.5474432084),
    ("demand_response", "CS", 0.9739241321, 48.2128613546),
    ("demand_response_open", "SW_market", 2.6676584141, 32.0063641231),
    ("demand_response_open", "SW_country", 2.6667769266, 32.0121010470),
    ("demand_response_open", "W", 2.7130192635, 31.7138953625),
    ("demand_response_open", "CS", 1.0305768197, 47.9115660505),
]


def before_and_after(name: str, gamma: float):
    case = read_case(DATA / name)
    data = change(case.data, {"demand_response.intensity[one]": gamma})
    found, failures = solve_all(case.market, data, case.alternatives[:2])
    assert not failures
    assert {one.solution.certificate.verdict for one in found} == {"certified"}
    return found


@pytest.mark.parametrize(("name", "gamma"), [(name, gamma) for name, rows in SWEEP.items() for gamma in rows])
def test_sweep_of_intensity(name: str, gamma: float) -> None:
    before, after = before_and_after(name, gamma)
    *levels, consumers, country, total = SWEEP[name][gamma]
    found = [after.value(q, WHERE) for q in ("consumption", "price", "retail price", "net export")]
    assert found == pytest.approx(levels, rel=1e-8)
    for criterion, change_of in (("CS", consumers), ("SW_country", country), ("W", total)):
        where = CRITERIA[criterion]
        assert after.value(*where) - before.value(*where) == pytest.approx(change_of, rel=1e-8)


@pytest.mark.parametrize(("name", "criterion", "gamma", "least"), THRESHOLDS)
def test_threshold_leaves_the_criterion_where_it_was(name: str, criterion: str, gamma: float, least: float) -> None:
    """At gamma_max nothing is gained or lost, at Q_min; a little more intensity loses."""
    before, after = before_and_after(name, gamma)
    where = CRITERIA[criterion]
    assert after.value(*where) == pytest.approx(before.value(*where), rel=1e-9)
    assert after.value("consumption", WHERE) == pytest.approx(least, rel=1e-8)
    _, more = before_and_after(name, gamma * 1.001)
    assert more.value(*where) < before.value(*where) - 1e-3
