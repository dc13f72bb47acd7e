"""Bad input of the storage market is refused with the place and the reason; what is only doubtful is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from equilibrium.case import read_case
from equilibrium.data import Data, change
from equilibrium.errors import DataError, Refused
from equilibrium.run import run_case
from models.storage_investment import market, schedule, summary, two_period

CASES = Path(__file__).parents[2] / "data" / "storage_investment"


def edited(tmp_path, case, file, old, new):
    """A copy of a case with one text in one file replaced."""
    folder = shutil.copytree(CASES / case, tmp_path / "case")
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1) if new is not None else text[: text.index(old)])
    return folder


ON_PEAK = "periods.csv, row 3, column 'intercept': the second period must be the peak, A_2 > F A_1"
WRONG = [
    (
        "textbook_s1",
        "periods.csv",
        "on-peak,110",
        "on-peak,72",
        [ON_PEAK, "pay for its losses (found: '72')", "above 72"],
    ),
    ("textbook_s1", "periods.csv", "on-peak,110", "on-peak,40", [ON_PEAK, "cost up to 72", "swap the two rows"]),
    ("textbook_s1", "periods.csv", "110,1.2,0", "110,1.2,40", ["at most 62", "above 120"]),
    ("textbook_s1", "storage.csv", "storage,1.2", "storage,0.9", ["'charge_ratio': below the range", "at least 1"]),
    (
        "textbook_s1",
        "storage.csv",
        "1.2,0.5",
        "1.2,-0.5",
        ["'quadratic_cost': below the range", "at least 0, in kEUR/GW^2"],
    ),
    ("textbook_s1", "firms.csv", "firm 1", None, ["firms.csv: too few rows below the header: 0, at least 1 needed"]),
    ("textbook_s1", "firms.csv", "firm 2", "firm 1", ["firm 1 stands in row 2 and again in row 3"]),
    ("textbook_s1", "firms.csv", "firm 1,20", "firm 1,-20", ["'cost': below the range", "in EUR/MWh"]),
    ("reference_day", "firms.csv", "14,0.9,11", "14,0.9,-11", ["'capacity': below the range", "at least 0, in GW"]),
    ("reference_day", "firms.csv", "14,0.9,11", "14,-0.9,11", ["'cost_slope': below the range"]),
    ("reference_day", "installed.csv", "battery,2", "battery,-2", ["'power': below the range"]),
    ("reference_day", "storage.csv", "14,4,1,6,36", "14,4,0,6,36", ["'charge_limit': equal to 0; it must be above"]),
    ("reference_day", "storage.csv", "14,4,1,6,36", "14,4,1,nan,36", ["'power_limit': not a finite number"]),
    ("reference_day", "storage.csv", "14,4,1,6,36", "14,4,1,-6,36", ["'power_limit': below the range"]),
    (
        "reference_day",
        "periods.csv",
        "\n1,",
        None,
        ["periods.csv: too few rows below the header: 1, at least 2 needed"],
    ),
    ("textbook_s1", "periods.csv", "off-peak,60,1,0", "off-peak,60,0,0", ["'slope': equal to 0; it must be above"]),
    ("textbook_s1", "periods.csv", "off-peak,60,1,0", "off-peak,60,1,-3", ["'must_run': below the range", "in GWh"]),
    ("textbook_s1", "periods.csv", "off-peak,60", "off-peak,sixty", ["text where a number is wanted (found: 'sixty')"]),
    ("textbook_s1", "alternatives.csv", "owners=2", "owners=0", ["option 'owners': below the range", "at least 1"]),
    ("textbook_s1", "alternatives.csv", "merchant,merchant,", "merchant,merchan,", ["unknown structure", "merchant"]),
    ("two_owners", "alternatives.csv", "owners=2", "modes=both", ["option 'modes'", "exclusive, free"]),
    ("solar_day", "alternatives.csv", "merchant_schedule,", "mixed_schedule,", ["needs owners.csv"]),
]


@pytest.mark.parametrize(("case", "file", "old", "new", "words"), WRONG)
def test_bad_input_is_refused_with_the_reason(tmp_path, case, file, old, new, words):
    with pytest.raises(DataError) as caught:
        read_case(edited(tmp_path, case, file, old, new))
    assert len(caught.value.faults) == 1
    for word in words:
        assert word in str(caught.value)


def test_every_fault_is_told_at_once(tmp_path):
    folder = edited(tmp_path, "textbook_s1", "storage.csv", "1.2,0.5", "0.9,-0.5")
    (folder / "firms.csv").write_text("firm,cost,capacity\nfirm 1,-1,-1\n")
    with pytest.raises(DataError) as caught:
        read_case(folder)
    assert sorted(fault.column for fault in caught.value.faults) == [
        "capacity",
        "charge_ratio",
        "cost",
        "quadratic_cost",
    ]


def test_a_changed_cell_is_checked_like_a_file():
    with pytest.raises(DataError, match="A_2 > F A_1"):
        change(read_case(CASES / "textbook_s1").data, {"periods.intercept[on-peak]": 70})


def with_levels(case, start, end, rows=1):
    data = read_case(CASES / case).data
    levels = pd.DataFrame({"start": [start] * rows, "end": [end] * rows}, index=pd.RangeIndex(rows, name="storage"))
    return Data(market, {}, {**data.tables, "levels": levels})


def test_levels_must_fit():
    (fault,) = market.check(with_levels("reference_day", 40.0, 0.0))
    assert fault.column == "start"
    assert "more than an owner can store" in str(fault)
    assert "has one row" in str(market.check(with_levels("reference_day", 1.0, 1.0, rows=2))[0])


def test_structures_refuse_what_they_would_leave_out():
    with pytest.raises(Refused, match="two periods"):
        two_period.merchant(read_case(CASES / "reference_day").data)
    with pytest.raises(Refused, match="begins and ends empty"):
        two_period.merchant(with_levels("textbook_s1", 1.0, 0.0))
    data = read_case(CASES / "reference_day").data
    data.tables["storage"]["power_limit"] = float("inf")
    with pytest.raises(Refused, match="largest power"):
        schedule.merchant_schedule(data)


def test_a_size_that_costs_nothing_is_told():
    free = {"storage.quadratic_cost[storage]": 0}
    solved = run_case(CASES / "textbook_s1", only=["merchant", "welfare owner"], changes=free, write=False).solved
    told = summary.warnings(solved).groupby("alternative")["warning"].agg(" ".join)
    assert told.str.contains("size costs nothing").all()
    assert told.str.contains("closed form does not hold: the formulas are for a quadratic cost of size alone").all()
    assert (summary.comparison(solved)["against the welfare owner"] == "").all()
