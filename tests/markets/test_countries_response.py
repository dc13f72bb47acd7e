"""Demand response by intensity against reference values: R8 isolated, R9 joint and limited, R10 separable and open.

``countries_sweeps.csv`` holds the reference values: levels after demand response, and changes from before it.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from equilibrium.case import read_case
from equilibrium.data import change
from equilibrium.run import solve_all

DATA = Path(__file__).parents[2] / "data" / "coupled_countries"
WHERE = "country=one;hour=1"
CRITERIA = {"SW_market": ("market welfare", "country=one"), "SW_country": ("country welfare", "country=one")}
CRITERIA |= {"W": ("welfare", ""), "CS": ("consumer surplus", "country=one")}

SWEEPS = pd.read_csv(Path(__file__).with_name("countries_sweeps.csv"), keep_default_na=False)
POINTS = list(SWEEPS.groupby(["case", "gamma"]).groups)
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


@pytest.mark.parametrize(("name", "gamma"), POINTS)
def test_sweep_of_intensity(name: str, gamma: float) -> None:
    before, after = before_and_after(name, gamma)
    rows = SWEEPS[(SWEEPS["case"] == name) & (SWEEPS["gamma"] == gamma)]
    assert len(rows) == 7
    for quantity, index, measure, value in rows[["quantity", "index", "measure", "value"]].itertuples(index=False):
        if quantity == "elasticity":  # dQ/dp p/Q = -p/(d Q) at the retail price; d = 2
            found = -after.value("retail price", index) / (2.0 * after.value("consumption", index))
        else:
            found = after.value(quantity, index) - (before.value(quantity, index) if measure == "change" else 0.0)
        assert found == pytest.approx(value, rel=1e-8), (quantity, measure)


@pytest.mark.parametrize(("name", "criterion", "gamma", "least"), THRESHOLDS)
def test_threshold_leaves_the_criterion_where_it_was(name: str, criterion: str, gamma: float, least: float) -> None:
    """At gamma_max nothing is gained or lost, at Q_min; a little more intensity loses."""
    before, after = before_and_after(name, gamma)
    where = CRITERIA[criterion]
    assert after.value(*where) == pytest.approx(before.value(*where), rel=1e-9)
    assert after.value("consumption", WHERE) == pytest.approx(least, rel=1e-8)
    _, more = before_and_after(name, gamma * 1.001)
    assert more.value(*where) < before.value(*where) - 1e-3
