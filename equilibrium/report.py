"""Results as tidy tables, provenance, a short report and pictures; written whole or not at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pyomo.environ as pyo

from .case import Case
from .data import Data
from .errors import in_one_line
from .market import CURRENCY
from .results import Failure, Results, Solved
from .tables import did_you_mean

CERTIFICATE_SCHEMA = 2
WARNINGS = "warnings"  # a market's table of what must be known of an answer: alternative, warning
THEORY = 1e-7  # largest difference between an equilibrium and theory, relative to the quantity's largest value
ROUNDING = 1e-12  # what some thousand operations leave of a difference of equal numbers, relative to their size
SHOWN = (WARNINGS, "formulas", "critical", "ranking", "threshold")  # tables of a market that the report has in full
SEVERAL = (
    "Where equilibria are several, or form a set: the range of every Var on each connected set of them (lower = upper: "
    "one value). Values elsewhere belong to number 1."
)


# ---------------------------------------------------------------------------------------------------------- the tables


def collect(case: Case, data: Data, solved: Sequence[Solved], failures: Sequence[Failure]) -> dict[str, pd.DataFrame]:
    """Every table of the results folder by name."""
    tables = {
        "values": _stack(solved, lambda one: one.values, ["alternative", "quantity", "index", "value", "unit"]),
        "certificate": certificate_table(case, solved, failures),
        "validation": validation_table(case, data, solved),
        "multipliers": _stack(solved, _multipliers, ["alternative", "row", "multiplier"]),
        "candidates": _stack(solved, _candidates, ["alternative", "branch", "payoff", "variable", "value", "proof"]),
    }
    if several := [one for one in solved if _not_one(one)]:
        columns = ["alternative", "equilibrium", "variable", "lower", "upper"]
        tables["equilibria"] = _stack(several, lambda one: one.solution.equilibria, columns)
    if case.market.accounts is not None:
        tables["accounts"] = _stack(solved, case.market.accounts, ["alternative", "party", "item", "value", "unit"])
    if case.market.summary is not None and solved:
        tables |= case.market.summary(solved)
    if case.currency != CURRENCY:
        tables = {name: _in_currency(table, case.currency) for name, table in tables.items()}
    return {
        name: table for name, table in tables.items() if len(table) or name in ("values", "certificate", "validation")
    }


def _stack(solved: Sequence[Solved], make: Any, columns: list[str]) -> pd.DataFrame:
    frames = []
    for one in solved:
        frame = make(one)
        if len(frame):
            frame.insert(0, "alternative", one.alternative.name) if "alternative" not in frame else None
            frames.append(frame)
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def _not_one(one: Solved) -> bool:
    """Whether several equilibria are known, or one that is a set."""
    return bool(one.solution.several)


def _multipliers(one: Solved) -> pd.DataFrame:
    found = one.solution.multipliers
    return pd.DataFrame({"row": found.index, "multiplier": found.to_numpy()})


def _candidates(one: Solved) -> pd.DataFrame:
    rows = [
        {"branch": c.branch, "payoff": c.payoff, "variable": name, "value": value, "proof": c.proof}
        for c in one.solution.candidates
        for name, value in c.values.items()
    ]
    return pd.DataFrame(rows)


def _in_currency(table: pd.DataFrame, currency: str) -> pd.DataFrame:
    table = table.rename(columns=lambda name: name.replace(CURRENCY, currency))
    return table.assign(unit=table["unit"].str.replace(CURRENCY, currency)) if "unit" in table else table


def certificate_table(case: Case, solved: Sequence[Solved], failures: Sequence[Failure]) -> pd.DataFrame:
    """One row per alternative and player (and one for what stands outside); failures are rows too."""
    rows: list[dict[str, Any]] = []
    for one in solved:
        certificate, outcome = one.solution.certificate, one.solution.outcome
        common = {
            "schema": CERTIFICATE_SCHEMA,
            "alternative": one.alternative.name,
            "verdict": certificate.verdict,
            "scope": certificate.scope,
        }
        theorem = case.market.structures[one.alternative.structure].theorem
        tail = {
            "decisions": certificate.uniqueness.decisions,
            "prices": certificate.uniqueness.prices,
            "uniqueness_reason": certificate.uniqueness.reason,
            "equilibria": one.solution.count,
            "theory": theorem,
            "route": one.solution.route,
            "solver": f"{outcome.solver} {outcome.version}".strip(),
            "stopped": f"{outcome.termination.value}: {outcome.message}",
            "warnings": " | ".join(certificate.warnings),
        }
        for check in certificate.checks or (None,):
            rows.append(common | (_check_row(check, case.market.money) if check else {}) | tail)
    rows += [
        {"schema": CERTIFICATE_SCHEMA, "alternative": f.alternative.name, "verdict": f.verdict, "scope": f.message}
        for f in failures
    ]
    return pd.DataFrame(rows)


def _check_row(check: Any, money: str) -> dict[str, Any]:
    return {
        "name": check.name,
        "kind": check.kind,
        "regret": check.regret,
        "regret_unit": money,
        "bill": check.bill,
        "distance": check.distance,
        "size": check.size,
        "residual": check.residual,
        "infeasibility": check.infeasibility,
        "proof": check.proof,
        "note": check.note,
        "moves": "; ".join(check.moves),
        "takes": "; ".join(check.takes),
    }


def validation_table(case: Case, data: Data, solved: Sequence[Solved]) -> pd.DataFrame:
    """Each equilibrium number beside theory and beside ``expected.csv``, with the difference and whether it is within
    tolerance.

    Expected numbers are for the case as it is on disk: they are left out when cells were changed for the run.
    """
    rows: list[dict[str, Any]] = []
    expected = case.expected.groupby("alternative") if len(case.expected) and data is case.data else None
    for one in solved:
        known = {(q, i): v for q, i, v in one.values[["quantity", "index", "value"]].itertuples(index=False)}
        if case.market.closed_form is not None:
            tolerance_of = _tolerances(one.values)
            try:
                theory = case.market.closed_form(data, one.alternative.structure, one.alternative.options)
            except Exception as error:  # a formula without a value must not take the answers along
                rows.append(_compare(one, "theory", "", None, float("nan"), 0.0, in_one_line(error)))
                continue
            for quantity, index, value, rule in theory.itertuples(index=False):
                found = known.get((quantity, index))
                if found is not None:
                    rows.append(_compare(one, quantity, index, found, value, tolerance_of[quantity], rule))
        if expected is not None and one.alternative.name in expected.groups:
            for _, quantity, index, value, tolerance, source in _expected(expected.get_group(one.alternative.name)):
                rows.append(_compare(one, quantity, index, known.get((quantity, index)), value, tolerance, source))
    columns = [
        "alternative",
        "quantity",
        "index",
        "equilibrium",
        "reference",
        "difference",
        "tolerance",
        "within",
        "rule",
    ]
    return pd.DataFrame(rows, columns=columns)


def _tolerances(values: pd.DataFrame) -> dict[str, float]:
    """How far each reported quantity may be from theory: ``THEORY`` of its largest value, and what rounding leaves of
    numbers of its unit (a payment that ought to be zero is the difference of two bills)."""
    size = values["value"].astype(float).abs().replace(math.inf, math.nan)
    own, of_unit = (size.groupby(values[by]).transform("max") for by in ("quantity", "unit"))
    told = pd.concat([THEORY * own.where(own > 0, 1.0), ROUNDING * of_unit], axis=1).max(axis=1)
    return dict(zip(values["quantity"], told, strict=True))


def _expected(table: pd.DataFrame) -> Any:
    return table[["alternative", "quantity", "index", "value", "tolerance", "source"]].itertuples(index=False)


def _compare(
    one: Solved, quantity: str, index: str, found: float | None, value: float, tolerance: float, rule: str
) -> dict[str, Any]:
    difference = None if found is None else found - value
    within = difference is not None and abs(difference) <= tolerance
    return {
        "alternative": one.alternative.name,
        "quantity": quantity,
        "index": index,
        "equilibrium": found,
        "reference": value,
        "difference": difference,
        "tolerance": tolerance,
        "within": "yes" if within else "no",
        "rule": rule,
    }


# ---------------------------------------------------------------------------------------------------------- the folder


# ---------------------------------------------------------------------------------------------------------- the report


def report_text(results: Results, pictures: Sequence[str]) -> str:
    """The run in one readable page (Markdown)."""
    case = results.case
    lines = [f"# {case.title}", "", f"{case.market.title}. Data: {case.source} (licence: {case.licence}).", ""]
    if "comparison" in results.tables:
        lines += ["## Comparison", "", markdown(overview(results)), ""]
    lines += ["## Certificate", "", markdown(verdicts(results)), ""]
    if len(known := several(results)):
        lines += ["## Several equilibria", "", SEVERAL, "", markdown(known), ""]
    lines += ["## Who moves which price", "", markdown(behaviour(results)), ""]
    lines += ["## Against theory and expected numbers", "", markdown(validation_summary(results)), ""]
    for name in SHOWN:
        if name in results.tables:
            table = shared_warnings(results.tables[name]) if name == WARNINGS else results.tables[name]
            lines += [f"## {name.capitalize()}", "", markdown(table), ""]
    for name in pictures:
        lines += [f"![{name}](figures/{name}.png)", ""]
    return "\n".join(lines)


def several(results: Results) -> pd.DataFrame:
    """``equilibria`` for reading: what has more than one value, shortened, without alternatives in which only
    multipliers of rows have. No rows where nothing is left."""
    table = results.tables.get("equilibria", pd.DataFrame(columns=["alternative", "variable", "lower", "upper"]))
    plain = [one.alternative.name for one in results.solved if one.model is not None and not _vars_differ(one, table)]
    table = table[~table["alternative"].isin(plain)]
    return shortened(open_values(table)) if len(table) else table


def _vars_differ(one: Solved, table: pd.DataFrame) -> bool:
    """Whether some Var of the model has more than one value over the known equilibria."""
    names = {v.name for v in one.model.component_data_objects(pyo.Var, descend_into=True)}
    own = table[(table["alternative"] == one.alternative.name) & table["variable"].isin(names)]
    ends = own.groupby("variable").agg(lower=("lower", "min"), upper=("upper", "max"))
    return bool((ends["lower"] < ends["upper"]).any())


def shortened(table: pd.DataFrame, most: int = 6) -> pd.DataFrame:
    """``equilibria`` with the first few equilibria of an alternative and the first few Vars of each, those that
    differ before those that do not; what is left out is counted."""
    per_variable = table.groupby(["alternative", "variable"], sort=False)
    spread = per_variable["upper"].transform("max") - per_variable["lower"].transform("min")
    size = table[["lower", "upper"]].abs().groupby(table["alternative"]).transform("max").max(axis=1)
    ordered = table.assign(same=~(spread > 1e-9 * size)).sort_values("same", kind="stable").drop(columns="same")
    rows: list[pd.DataFrame] = []
    for alternative, parts in ordered.groupby("alternative", sort=False):
        numbers = sorted(parts["equilibrium"].unique())
        for number in numbers[:most]:
            part = parts[parts["equilibrium"] == number]
            rows += [part.head(most), *_more(alternative, number, len(part) - most, "")]
        rows += _more(alternative, numbers[-1], len(numbers) - most, " equilibria")
    return pd.concat(rows, ignore_index=True) if rows else table


def shared_warnings(table: pd.DataFrame) -> pd.DataFrame:
    """``warnings`` for reading: what is said of several alternatives stands once, with their names."""
    return table.groupby("warning", sort=False)["alternative"].agg(", ".join).reset_index()[["alternative", "warning"]]


def _more(alternative: Any, number: int, count: int, what: str) -> list[pd.DataFrame]:
    told = f"and {count} more{what} in equilibria.csv"
    row = {"alternative": alternative, "equilibrium": number, "variable": told, "lower": math.nan, "upper": math.nan}
    return [pd.DataFrame([row])] if count > 0 else []


def overview(results: Results) -> pd.DataFrame:
    """The market's comparison with each alternative's verdict beside it (the verdicts alone where a market compares
    nothing)."""
    verdict = verdicts(results)[["alternative", "verdict"]]
    verdict = verdict.assign(verdict=verdict["verdict"].str.partition(":")[0])
    if "comparison" not in results.tables:
        return verdict
    table = verdict.merge(results.tables["comparison"], on="alternative", how="left", sort=False)
    return table[[*(name for name in table.columns if name != "verdict"), "verdict"]]


def open_values(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of ``equilibria`` whose variable has more than one value, in one set or from one equilibrium to the
    other."""
    values = table.groupby(["alternative", "variable"], sort=False)
    least, most = values["lower"].transform("min"), values["upper"].transform("max")
    size = table.groupby("alternative", sort=False)["upper"].transform(
        lambda column: _largest(column[column < math.inf])
    )
    return table[most - least > 1e-9 * size.fillna(0.0)].reset_index(drop=True)


def certificate_line(results: Results) -> str:
    """The certificates of a run in one sentence."""
    counts: dict[str, int] = {}
    for verdict in verdicts(results)["verdict"]:
        word = verdict.split(":")[0]
        counts[word] = counts.get(word, 0) + 1
    table = verdicts(results)
    parts = [f"{number} {word}" for word, number in counts.items()]
    measures = [name for name in table.columns if name.startswith(("regret", "distance", "residual"))]
    said = {"distance": "distance [units of the decisions]", "residual": "residual [relative]"}
    worst = [f"{said.get(name, name)} {table[name].max():.1e}" for name in measures if table[name].notna().any()]
    return "Certificate: " + ", ".join(parts) + ("; largest " + ", ".join(worst) if worst else "") + "."


def verdicts(results: Results) -> pd.DataFrame:
    """One row an alternative: verdict, largest regret, distance and residual, uniqueness, route."""
    rows = []
    for one in results.solved:
        certificate = one.solution.certificate
        checks = certificate.checks
        rows.append(
            {
                "alternative": one.alternative.name,
                "verdict": certificate.verdict,
                f"regret [{results.case.market.money}]": _largest(check.regret for check in checks),
                "distance": _largest(check.distance for check in checks),
                "residual": _largest(check.residual for check in checks),
                "unique": certificate.uniqueness.decisions,
                "route": one.solution.route.split(":")[0],
            }
        )
    rows += [{"alternative": f.alternative.name, "verdict": f"{f.verdict}: {f.message}"} for f in results.failures]
    return pd.DataFrame(rows)


def _largest(values: Any) -> float:
    known = [abs(value) for value in values if value == value]
    return max(known, default=float("nan"))


def behaviour(results: Results) -> pd.DataFrame:
    """Alternative, player, the prices it moves, what it takes as given."""
    rows = [
        {
            "alternative": one.alternative.name,
            "player": check.name,
            "moves": _short(check.moves),
            "takes": _short(check.takes),
        }
        for one in results.solved
        for check in one.solution.certificate.checks
        if check.kind == "player"
    ]
    return pd.DataFrame(rows, columns=["alternative", "player", "moves", "takes"])


def _short(names: Sequence[str], most: int = 4) -> str:
    return (
        ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
        if names
        else "nothing"
    )


def validation_summary(results: Results) -> pd.DataFrame:
    """Per alternative and rule: how many numbers were compared, how many are within tolerance, the largest
    difference."""
    table = results.tables["validation"]
    if table.empty:
        return pd.DataFrame(
            columns=["alternative", "compared with", "numbers", "within", "largest relative difference"]
        )
    size = (
        table["reference"].abs().groupby([table["alternative"], table["quantity"]]).transform("max").replace(0.0, 1.0)
    )
    table = table.assign(relative=table["difference"].abs() / size)
    rows = [
        {
            "alternative": name,
            "compared with": rule,
            "numbers": len(part),
            "within": int((part["within"] == "yes").sum()),
            "largest relative difference": part["relative"].max(),
        }
        for (name, rule), part in table.groupby(["alternative", "rule"], sort=False)
    ]
    return pd.DataFrame(rows)


def off(results: Results, most: int = 5) -> list[str]:
    """The numbers off theory or off ``expected.csv``, one line each: those that are not reported first, then the worst,
    by their difference in tolerances. Of many only the first few, and how many more there are."""
    table = results.tables["validation"]
    table = table[table["within"] == "no"]
    reported = sorted(set(results.tables["values"]["quantity"]))
    times = (table["difference"].astype(float).abs() / table["tolerance"].astype(float)).fillna(math.inf)
    table = table.assign(times=times).sort_values("times", ascending=False, kind="stable")
    lines = [_off(row, reported) for row in table.head(most).itertuples(index=False)]
    if len(table) > most:
        lines.append(f"and {len(table) - most} more in validation.csv")
    return lines


def _off(row: Any, reported: Sequence[str]) -> str:
    name = f"{row.alternative}: {row.quantity}" + (f" [{row.index}]" if row.index else "")
    if row.difference is None or row.difference != row.difference:
        near = did_you_mean(row.quantity, reported) if row.quantity not in reported else ""
        return f"{name} is not reported{near}; expected {row.reference:.10g} ({row.rule})"
    told = f"is {row.equilibrium:.10g}, expected {row.reference:.10g} ({row.rule})"
    return f"{name} {told}: off by {abs(row.difference):.2g}, tolerance {row.tolerance:.2g}"


def markdown(table: pd.DataFrame) -> str:
    """A small Markdown table with readable numbers."""
    if table.empty:
        return "(nothing)"
    shown = readable(table)
    head = "| " + " | ".join(map(str, shown.columns)) + " |"
    rule = "|" + "|".join("---:" if kind.kind in "fi" else "---" for kind in table.dtypes) + "|"
    rows = ["| " + " | ".join(row) + " |" for row in shown.itertuples(index=False)]
    return "\n".join([head, rule, *rows])


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """The table as text: each column of numbers with the same decimals, six digits for its largest, tiny ones in
    powers of ten."""
    return pd.DataFrame({name: _column_text(table[name]) for name in table.columns}, columns=table.columns)


def _column_text(column: pd.Series) -> list[str]:
    if column.dtype.kind != "f":
        return ["-" if value is None or value != value else str(value) for value in column]
    finite = column[column.abs() < math.inf]
    largest = float(finite.abs().max()) if len(finite) else 0.0
    if largest == 0 or largest >= 1e9 or largest < 1e-3:
        return ["-" if value != value else "0" if value == 0 else f"{value:.1e}" for value in column]
    digits = max(6 - math.floor(math.log10(largest)), 0)
    needed = [len(f"{value:.{digits}f}".rstrip("0").partition(".")[2]) for value in finite]
    decimals = max(needed, default=0)
    texts = ["-" if value != value else f"{value:.{decimals}f}" for value in column]
    return [text.lstrip("-") if text.startswith("-0") and float(text) == 0 else text for text in texts]
