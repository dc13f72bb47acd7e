#!/usr/bin/env python3
"""Solve a case folder: read the tables, find every alternative's equilibrium, certify it, write results, print a
comparison.

Exit codes: 0 everything answered (certified, a rule, several equilibria listed, or a proof that there is none); 1 an
answer is uncertified or off its expected numbers; 2 bad input; 3 a needed solver is missing; 4 a model was refused or
its constraints contradict each other. A sweep has the highest code of its rows.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

EXAMPLES = """examples:
  python solve.py data/fdr_structures/stockholm
  python solve.py data/fdr_structures/stockholm --set demand.load[peak]=180 --only efficient "2 aggregators"
  python solve.py --describe fdr_structures
  python solve.py data/fdr_structures/stockholm --sweep aggregators=1:20 --report "system cost"
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    from equilibrium.errors import EquilibriumError, in_one_line

    options = parser().parse_args(arguments)
    try:
        return act(options)
    except EquilibriumError as error:
        print(error, file=sys.stderr)
        return error.code
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"the results could not be written: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(str(stop) or "stopped; nothing was written", file=sys.stderr)
        return 130
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        print(f"{in_one_line(error)} (python -X dev solve.py ... shows all of it)", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(
        prog="solve.py",
        description="Solve, certify and compare equilibria of electricity flexibility markets.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.add_argument("case", nargs="?", help="a case folder, for example data/fdr_structures/stockholm")
    found.add_argument("--only", nargs="+", default=[], metavar="NAME", help="solve these alternatives only")
    found.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="CELL=VALUE", help="replace table cells for this run"
    )
    found.add_argument("--formulation", help="force a formulation (see docs/design.md)")
    found.add_argument(
        "--solver", help="force a solver of the formulation 'complementarity': qp, newton, milp or ipopt"
    )
    found.add_argument("--out", metavar="DIR", help="where to write (default results/<market>/<case>)")
    found.add_argument("--no-figures", action="store_true", help="write no pictures")
    found.add_argument("--study", metavar="NAME", help="run a study of the market or of the case (--list names them)")
    found.add_argument(
        "--sweep",
        nargs="+",
        action="extend",
        default=[],
        metavar="CELL=RANGE",
        help="solve every combination of values",
    )
    found.add_argument("--report", nargs="+", default=[], metavar="NAME", help="with a sweep: the quantities wanted")
    found.add_argument("--workers", type=int, metavar="N", help="with a sweep: processes of this machine")
    found.add_argument(
        "--scheduler", default="", metavar="ADDRESS", help="with a sweep: a Dask cluster, or 'local' for one of ours"
    )
    found.add_argument("--quiet", action="store_true", help="print only what went wrong")
    found.add_argument("--strict", action="store_true", help="an answer certified only locally counts as a failure")
    found.add_argument("--every", action="store_true", help="look long for further equilibria of each alternative")
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
        from equilibrium.design_files import designs

        case = read_case(options.case)
        studies = {**designs(case), **case.market.studies}
        print(f"{options.case}: fine ({case.market.name}, {len(case.alternatives)} alternatives)")
        if studies:
            print("--study " + ", ".join(studies))
        return 0
    if options.sweep or options.study:
        refuse_beside(options)
        design = None if options.sweep else named_design(options)
        if options.sweep or design is not None:
            return sweep(options, design)
        return study(options)
    refuse(options, "belongs to a sweep (--sweep CELL=RANGE, or --study NAME)", (*SWEEPING, "workers"))
    return run(options)


SWEEPING = ("report", "scheduler")
SINGLE = ("formulation", "solver", "strict", "every", "timing")
LONG = 100  # rows of a study's table that are printed at most; longer ones are for the file


def refuse_beside(options: argparse.Namespace) -> None:
    """Raise DataError for options that do not go together."""
    from equilibrium.errors import DataError, Fault

    refuse(options, "says nothing to a study; leave it out", SINGLE)
    if options.sweep and options.study:
        raise DataError([Fault("--study", "cannot stand beside --sweep", value=options.study)])
    if options.workers is not None and options.workers < 1:
        raise DataError([Fault("--workers", "at least one process is needed", value=str(options.workers))])


def refuse(options: argparse.Namespace, message: str, names: tuple[str, ...]) -> None:
    """Raise DataError for every one of these options that was given."""
    from equilibrium.errors import DataError, Fault

    given = [name for name in names if getattr(options, name) not in (None, False, "", [])]
    if given:
        raise DataError([Fault(f"--{name}", message) for name in given])


def named_design(options: argparse.Namespace) -> Any:
    """The design of that name in the case folder, None if the market's own studies have it."""
    from equilibrium.case import read_case
    from equilibrium.design_files import designs

    return designs(read_case(options.case)).get(options.study)


def sweep(options: argparse.Namespace, design: Any) -> int:
    """Solve the scenarios of a design, or of --sweep, and print the summary."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from equilibrium.sweep import run_sweep

    console = paper(options.quiet)
    if design is not None and design.crossing is not None:
        return crossing(options, design, console)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=options.quiet, transient=True) as bar:
        task = bar.add_task("", total=None, rate="")
        first: list[float] = []

        def show_progress(done: int, total: int) -> None:
            first.extend([] if first else [time.perf_counter(), done])
            seconds = time.perf_counter() - first[0]
            rate = f"{(done - first[1]) / seconds:.1f} scenarios/s" if done > first[1] else ""
            bar.update(task, completed=done, total=total, rate=rate)

        found = run_sweep(
            options.case,
            options.sweep,
            design,
            options.only,
            options.report,
            changes(options.set),
            options.out,
            options.workers or 1,
            options.scheduler,
            not options.no_figures,
            show_progress,
        )
    heading(console, found.case.title, found.design.meaning or found.case.market.title)
    print_table(console, found.summary, whole="summary.csv")
    console.print(f"{found.design.size} scenarios, {found.rows} rows: {found.folder}/rows.parquet")
    for line in found.notes:
        print(line, file=sys.stderr)
    return found.code


def crossing(options: argparse.Namespace, design: Any, console: Any) -> int:
    """Find a threshold and print it."""
    from equilibrium.crossing import run_crossing

    case, table, folder = run_crossing(options.case, design, changes(options.set), options.out)
    heading(console, case.title, design.meaning or case.market.title)
    print_table(console, table)
    console.print(f"Written to {folder}")
    return 0


def study(options: argparse.Namespace) -> int:
    """Run a study of the case's market and print its tables."""
    from equilibrium.study import run_study

    refuse(options, "says nothing to this study; leave it out", ("only", "workers", *SWEEPING))
    console = paper(options.quiet)
    began = time.perf_counter()
    with Progress(console) as progress:
        found = run_study(
            options.case, options.study, changes(options.set), options.out, not options.no_figures, progress
        )
    heading(console, found.case.title, found.study.meaning)
    for name, table in found.tables.items():
        if len(table) > LONG:
            console.print(f"{name.replace('_', ' ')}: {len(table)} rows, in {name}.csv\n")
        else:
            print_table(console, table, name.replace("_", " "), f"{name}.csv")
    console.print(f"Tables and figures: {found.folder} ({time.perf_counter() - began:.1f} s)")
    return found.code


def run(options: argparse.Namespace) -> int:
    """Solve the case and print what a person wants to see."""
    from equilibrium import report
    from equilibrium.run import run_case

    console = paper(options.quiet)
    began = time.perf_counter()
    with Progress(console) as progress:
        results = run_case(
            options.case,
            options.only,
            changes(options.set),
            options.formulation,
            options.solver,
            options.out,
            not options.no_figures,
            options.strict,
            progress,
            every=options.every,
        )
    show(console, results, time.perf_counter() - began, options)
    for line in report.off(results):
        print(f"off: {line}", file=sys.stderr)
    for failure in results.failures:
        print(f"{failure.alternative.name}: {failure.verdict}: {failure.message}", file=sys.stderr)
    return results.code


def paper(quiet: bool = False) -> Any:
    """Where output goes: the terminal as wide as it is, a file or pipe with room for whole tables."""
    from rich.console import Console

    wide = None if sys.stdout.isatty() else 220
    return Console(quiet=quiet, highlight=False, markup=False, width=wide)  # [kEUR] and [north] are text


def heading(console: Any, title: str, below: str) -> None:
    """What is being looked at."""
    console.print(title, style="bold")
    console.print(f"{below}\n")


class Progress:
    """A line that says what is being done, shown once a run takes more than two seconds."""

    def __init__(self, console: Any) -> None:
        self.console, self.began, self.status = console, time.perf_counter(), None

    def __enter__(self) -> Progress:
        return self

    def __call__(self, step: str) -> None:
        """Say what is being done now."""
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
    """``["demand.load[peak]=180"]`` as a dictionary, a name alone being that of a parameter. Raises DataError for one
    without an equals sign."""
    from equilibrium.errors import DataError, Fault

    wrong = [setting for setting in settings if "=" not in setting]
    if wrong:
        raise DataError([Fault("--set", "must read like demand.load[peak]=180", value=setting) for setting in wrong])
    parts = [setting.rpartition("=") for setting in settings]
    named = [(name.strip(), value.strip()) for name, _, value in parts]
    return {(name if "." in name or "[" in name else f"parameters.{name}"): value for name, value in named}


def show(console: Any, results: Any, seconds: float, options: argparse.Namespace) -> None:
    """One comparison with verdicts, what the certificates and the validation say, where the files are."""
    from equilibrium import report

    case = results.case
    heading(console, case.title, f"{case.market.title}; {len(results.solved) + len(results.failures)} alternatives")
    print_table(console, report.overview(results), whole="comparison.csv; every number is in values.csv")
    console.print(report.certificate_line(results))
    validation = report.validation_summary(results)
    if len(validation):
        inside, total = int(validation["within"].sum()), int(validation["numbers"].sum())
        worst = float(validation["largest relative difference"].max())
        console.print(
            f"Theory and expected numbers: {inside} of {total} within tolerance; largest difference {worst:.1e}."
        )
    if len(several := report.several(results)):
        print_table(console, several, "What is not unique (values elsewhere: equilibrium 1; all in equilibria.csv)")
    for one in results.solved:
        for warning in one.solution.certificate.warnings:
            console.print(f"{one.alternative.name}: {warning}", style="yellow")
    if report.WARNINGS in results.tables:
        for row in report.shared_warnings(results.tables[report.WARNINGS]).itertuples(index=False):
            console.print(f"{row.alternative}: {row.warning}", style="yellow")
    if options.timing:
        show_timing(console, results, seconds)
    console.print(f"Report, tables and figures: {results.folder}/report.md ({seconds:.1f} s)")


def show_timing(console: Any, results: Any, total: float) -> None:
    """Time by step, and the share spent outside solvers."""
    import pandas as pd

    solver = sum(one.solution.outcome.seconds for one in results.solved)
    table = pd.DataFrame([{"step": step, "seconds": seconds} for step, seconds in results.seconds.items()])
    print_table(console, table, "Time")
    console.print(
        f"In solvers {solver:.2f} s of {total:.2f} s: {100 * (1 - solver / total):.0f} % of the time is spent "
        "outside them."
    )


def print_table(console: Any, table: Any, title: str | None = None, whole: str = "") -> None:
    """A DataFrame as a table for reading; ``whole`` says where the columns are for which there is no room."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from equilibrium.layout import fit

    text, widths, gap = fit(table, console.width)
    padding = (0, gap - 1, 0, 0)
    shown = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=padding, show_edge=False)
    numbers = {str(name) for name, kind in table.dtypes.items() if kind.kind in "fi"}
    for name, width in zip(text.columns, widths, strict=True):
        shown.add_column(name, justify="right" if name in numbers else "left", width=width, overflow="fold")
    for row in text.itertuples(index=False):
        shown.add_row(*row)
    console.print(shown)
    left = [name.partition(" [")[0] for name in map(str, table.columns) if name not in text.columns]
    if left:
        console.print(f"No room for {', '.join(left)}" + (f"; in {whole}" if whole else "") + ".")
    console.print()


def show_list() -> int:
    """Markets with their structures, and the cases in ``data``."""
    from equilibrium.catalogue import find_market, known_markets

    root = Path(__file__).resolve().parent / "data"
    for name in known_markets():
        market = find_market(name)
        print(f"{name}: {market.title}")
        for structure, one in market.structures.items():
            print(f"    {structure:<22} {one.meaning}")
        width = max(map(len, market.studies), default=0)
        for study, asked in market.studies.items():
            print(f"    --study {study:<{width}} {asked.meaning}")
        cases = sorted(path.parent for path in (root / name).glob("*/case.toml"))
        print("    cases: " + ", ".join(f"data/{name}/{case.name}" for case in cases))
    return 0


def one_row_per_option(table: Any) -> Any:
    """The schema for reading: an option that several structures share stands once, with their names."""
    columns = [name for name in table.columns if name not in ("where", "key")]
    text = table.assign(default=[("required" if v is None else v) for v in table["default"].astype(object)]).astype(str)
    options = text["where"].str.startswith("options of ")
    shared = text[options].assign(where=text["where"].str.removeprefix("options of "))
    shared = shared.groupby(columns, sort=False)["where"].agg(", ".join).reset_index()
    shared["where"] = "option of " + shared["where"]
    import pandas as pd

    return pd.concat([text[~options], shared])[["where", *columns]]


def describe(name: str, as_json: bool) -> int:
    """What the tables of a market hold."""
    from equilibrium.catalogue import find_market
    from equilibrium.tables import describe as table_of
    from equilibrium.tables import describe_as_dict

    market = find_market(name)
    if as_json:
        print(json.dumps(describe_as_dict(market), indent=2))
    else:
        print_table(paper(), one_row_per_option(table_of(market)), market.title, "--describe ... --json")
        print("parameters.csv has the columns name, value, unit and source (where the number comes from).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
