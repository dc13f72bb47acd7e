#!/usr/bin/env python3
"""Solve a case folder: read the tables, find every alternative's equilibrium, certify it, write results, print a comparison.

Exit codes: 0 everything certified; 1 an answer is uncertified or off its expected numbers; 2 bad input; 3 a needed solver is missing;
4 a model was refused or has no solution.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

EXAMPLES = """examples:
  python solve.py data/fdr_structures/stockholm
  python solve.py data/fdr_structures/stockholm --set demand.load[peak]=180 --only efficient "2 aggregators"
  python solve.py --describe fdr_structures
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    from equilibrium.errors import EquilibriumError

    options = parser().parse_args(arguments)
    try:
        return act(options)
    except EquilibriumError as error:
        print(error, file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(
        prog="solve.py", description="Solve, certify and compare equilibria of electricity flexibility markets.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    found.add_argument("case", nargs="?", help="a case folder, for example data/fdr_structures/stockholm")
    found.add_argument("--only", nargs="+", default=[], metavar="NAME", help="solve these alternatives only")
    found.add_argument("--set", nargs="+", action="extend", default=[], metavar="CELL=VALUE", help="replace table cells for this run")
    found.add_argument("--formulation", help="force a formulation (see docs/design.md)")
    found.add_argument("--solver", help="force a solver of the formulation 'complementarity': qp, newton or ipopt")
    found.add_argument("--out", metavar="DIR", help="where to write (default results/<market>/<case>)")
    found.add_argument("--no-figures", action="store_true", help="write no pictures")
    found.add_argument("--quiet", action="store_true", help="print only what went wrong")
    found.add_argument("--strict", action="store_true", help="an answer certified only locally counts as a failure")
    found.add_argument("--timing", action="store_true", help="print where the time went")
    found.add_argument("--check", action="store_true", help="check the case folder and stop")
    found.add_argument("--list", action="store_true", help="list markets, structures and cases")
    found.add_argument("--describe", metavar="MARKET", help="print the tables a market reads")
    found.add_argument("--json", action="store_true", help="with --describe: as JSON")
    found.add_argument("--doctor", action="store_true", help="say which solvers are here and what is missing")
    return found


def act(options: argparse.Namespace) -> int:
    """Do what the options ask for."""
    if options.doctor:
        from equilibrium import doctor

        print(doctor.render(doctor.report()))
        return 0
    if options.list:
        return show_list()
    if options.describe:
        return describe(options.describe, options.json)
    if not options.case:
        parser().print_help()
        return 2
    if options.check:
        from equilibrium.case import read_case

        case = read_case(options.case)
        print(f"{options.case}: fine ({case.market.name}, {len(case.alternatives)} alternatives)")
        return 0
    return run(options)


def run(options: argparse.Namespace) -> int:
    """Solve the case and print what a person wants to see."""
    from rich.console import Console

    from equilibrium.run import run_case

    console = Console(quiet=options.quiet, highlight=False, soft_wrap=not sys.stdout.isatty(), width=_width())
    began = time.perf_counter()
    with Progress(console) as progress:
        results = run_case(
            options.case, options.only, changes(options.set), options.formulation, options.solver, options.out,
            not options.no_figures, options.strict, progress,
        )  # fmt: skip
    show(console, results, time.perf_counter() - began, options)
    for failure in results.failures:
        print(f"{failure.alternative.name}: {failure.verdict}: {failure.message}", file=sys.stderr)
    return results.code


class Progress:
    """A line that says what is being done, shown once a run takes more than two seconds."""

    def __init__(self, console: Any) -> None:
        self.console, self.began, self.status = console, time.perf_counter(), None

    def __enter__(self) -> Progress:
        return self

    def __call__(self, step: str) -> None:
        elapsed = time.perf_counter() - self.began
        if elapsed > 2 and not self.console.quiet:
            if self.status is None:
                self.status = self.console.status("")
                self.status.start()
            self.status.update(f"{step} ({elapsed:.0f} s)")

    def __exit__(self, *_: object) -> None:
        if self.status is not None:
            self.status.stop()


def changes(settings: list[str]) -> dict[str, str]:
    """``["demand.load[peak]=180"]`` as a dictionary. Raises DataError for one without an equals sign."""
    from equilibrium.errors import DataError, Fault

    wrong = [setting for setting in settings if "=" not in setting]
    if wrong:
        raise DataError([Fault("--set", "must read like demand.load[peak]=180", value=setting) for setting in wrong])
    return {name.strip(): value.strip() for name, _, value in (setting.rpartition("=") for setting in settings)}


def show(console: Any, results: Any, seconds: float, options: argparse.Namespace) -> None:
    """Comparison, verdicts, where the files are."""
    from equilibrium import report

    case = results.case
    console.print(f"[bold]{case.title}[/bold]  ({case.market.title})")
    if "comparison" in results.tables:
        print_table(console, results.tables["comparison"], "What each structure gives")
    print_table(console, report.verdicts(results), "Certificate")
    validation = report.validation_summary(results)
    if len(validation):
        inside, total = int(validation["within"].sum()), int(validation["numbers"].sum())
        worst = report.text(float(validation["largest relative difference"].max()))
        console.print(f"Against theory and expected numbers: {inside} of {total} within tolerance, largest relative difference {worst}.")
    for one in results.solved:
        for warning in one.solution.certificate.warnings:
            console.print(f"[yellow]{one.alternative.name}: {warning}[/yellow]")
    if options.timing:
        show_timing(console, results, seconds)
    where = results.folder / "report.md"
    console.print(f"Prices each player moves or takes, accounts and figures: {where}  ({seconds:.1f} s)")


def show_timing(console: Any, results: Any, total: float) -> None:
    """Time by step, and the share spent outside solvers."""
    import pandas as pd

    solver = sum(one.solution.outcome.seconds for one in results.solved)
    table = pd.DataFrame([{"step": step, "seconds": seconds} for step, seconds in results.seconds.items()])
    print_table(console, table, "Time")
    console.print(f"In solvers {solver:.2f} s of {total:.2f} s: {100 * (1 - solver / total):.0f} % of the time is spent outside them.")


def _width() -> int | None:
    """The terminal's own width; a wide one where the output goes to a file or another program."""
    return None if sys.stdout.isatty() else 160


def print_table(console: Any, table: Any, title: str) -> None:
    """A DataFrame as a table for reading."""
    from rich.table import Table

    from equilibrium import report

    shown = Table(title=title, title_justify="left")
    for name, kind in table.dtypes.items():
        number = kind.kind in "fi"
        shown.add_column(str(name), justify="right" if number else "left", overflow="fold")  # folded, never cut short
    for row in table.itertuples(index=False):
        shown.add_row(*(report.text(value) for value in row))
    console.print(shown)


def show_list() -> int:
    """Markets with their structures, and the cases in ``data``."""
    from equilibrium.catalogue import find_market, known_markets

    root = Path(__file__).resolve().parent / "data"
    for name in known_markets():
        market = find_market(name)
        print(f"{name}: {market.title}")
        for structure, one in market.structures.items():
            print(f"    {structure:<22} {one.meaning}")
        cases = sorted(path.parent for path in (root / name).glob("*/case.toml"))
        print("    cases: " + ", ".join(f"data/{name}/{case.name}" for case in cases))
    return 0


def describe(name: str, as_json: bool) -> int:
    """What the tables of a market hold."""
    from rich.console import Console

    from equilibrium.catalogue import find_market
    from equilibrium.tables import describe as table_of
    from equilibrium.tables import describe_as_dict

    market = find_market(name)
    if as_json:
        print(json.dumps(describe_as_dict(market), indent=2))
    else:
        table = table_of(market)
        console = Console(highlight=False, soft_wrap=not sys.stdout.isatty(), width=_width())
        print_table(console, table.fillna("required"), market.title)
    return 0


if __name__ == "__main__":
    sys.exit(main())
