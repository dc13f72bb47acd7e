"""From a day of observed loads and prices to the tables of a case.

    python -m models.storage_investment.calibrate LOADS.csv --elasticity 0.5 --like CASE --out FOLDER

Each hour gets the linear inverse demand p = A - Z q that passes through its observed load and price with the given
elasticity there: with e = -(dq/dp)(p/q), Z = p / (e q) and A = p (1 + 1/e). Firms, storage and alternatives are those
of the case ``--like``. The file has the columns period, load and price, and must_run where some output runs anyway.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from equilibrium.case import Case, read_case
from equilibrium.errors import DataError, Fault
from equilibrium.market import CURRENCY, Column, Table
from equilibrium.tables import check_records, read_sheet, to_frame

KEPT = ("firms", "storage", "installed", "levels", "owners", "policy", "alternatives")


def demand(load: pd.Series, price: pd.Series, elasticity: float) -> pd.DataFrame:
    """Columns intercept A [EUR/MWh] and slope Z [EUR/MWh/GWh] of p = A - Z q, one row an hour.

    load [GW, equal to GWh of one hour] and price [EUR/MWh], both above zero; elasticity: -(dq/dp)(p/q) at that point,
    above zero. Raises ValueError otherwise: at a price of zero an elasticity says nothing of the slope.
    """
    if not (elasticity > 0 and (load > 0).all() and (price > 0).all()):
        raise ValueError("loads, prices and the elasticity must be above zero")
    return pd.DataFrame({"intercept": price * (1 + 1 / elasticity), "slope": price / (elasticity * load)})


def observed_table(currency: str) -> Table:
    """What a file of observations holds."""
    return Table(
        "observed",
        "loads and prices that were observed, hour after hour",
        ("period",),
        {
            "load": Column("GW", "consumption", "q", minimum=0, open_minimum=True),
            "price": Column(f"{currency}/MWh", "price", "p", minimum=0, open_minimum=True),
            "must_run": Column("GWh", "output that runs whatever the price", "R", minimum=0, default=0.0),
        },
        minimum_rows=2,
    )


def read_observed(file: Path, currency: str) -> pd.DataFrame:
    """Columns load, price, must_run by period. Raises DataError with every fault of the file."""
    faults: list[Fault] = []
    if not file.is_file():
        raise DataError([Fault(str(file), "there is no such file")])
    table = observed_table(currency)
    sheet = read_sheet(file.read_bytes(), file.name, faults)
    records = check_records(sheet, table, faults) if sheet is not None else []
    if faults:
        raise DataError(faults, str(file))
    return to_frame(table, records)


def write_case(file: Path, elasticity: float, like: Path, out: Path) -> Case:
    """Write the case ``out`` and read it back: demand from ``file``, everything else from the case ``like``.

    Raises DataError where the observations, the case or the tables that follow from both are wrong, or ``out`` exists.
    """
    old = read_case(like)
    if out.exists():
        raise DataError([Fault(str(out), "exists already; give another folder with --out")])
    if not 0 < elasticity < float("inf"):
        raise DataError([Fault("--elasticity", "must be a number above zero", value=str(elasticity))])
    observed = read_observed(file, old.currency)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as room:
        folder = Path(room) / out.name
        folder.mkdir()
        _write_periods(folder / "periods.csv", observed, elasticity, old.currency)
        for name in KEPT:
            if (like / f"{name}.csv").exists():
                shutil.copy(like / f"{name}.csv", folder)
        settings = {
            "market": old.market.name,
            "title": f"Demand through {file.name} with elasticity {elasticity:g}; firms and storage of {old.name}",
            "source": f"calibrated from {file.name}; {old.source}",
            "licence": old.licence,
            "currency": old.currency,
        }
        lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in settings.items()]
        (folder / "case.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
        read_case(folder)
        shutil.move(folder, out)
    return read_case(out)


def _write_periods(file: Path, observed: pd.DataFrame, elasticity: float, currency: str) -> None:
    found = demand(observed["load"], observed["price"], elasticity)
    head = ["intercept [EUR/MWh]", "slope [EUR/MWh/GWh]", "must_run [GWh]", "source"]
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["period", *(name.replace(CURRENCY, currency) for name in head)])
        for t in observed.index:
            load, price, must_run = observed.loc[t, ["load", "price", "must_run"]]
            source = f"load {load:g} GW at {price:g} {currency}/MWh, elasticity {elasticity:g}"
            numbers = [float(v) for v in (found.at[t, "intercept"], found.at[t, "slope"], must_run)]
            writer.writerow([t, *map(repr, numbers), source])


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Exit code 2 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m models.storage_investment.calibrate",
        description="Write a case whose demand passes through observed loads and prices.",
    )
    parser.add_argument("loads", type=Path, help="CSV file with the columns period, load, price (and must_run)")
    parser.add_argument("--elasticity", type=float, required=True, help="-(dq/dp)(p/q) at the observed points, above 0")
    parser.add_argument("--like", type=Path, required=True, help="the case that gives firms, storage and alternatives")
    parser.add_argument("--out", type=Path, required=True, help="the folder of the new case")
    options = parser.parse_args(arguments)
    try:
        case = write_case(options.loads, options.elasticity, options.like, options.out)
    except DataError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{options.out}: {len(case.data.tables['periods'])} periods; run it with python solve.py {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
