"""Scenarios of a parameter study solved and certified, one row for each scenario and alternative.

A scenario that cannot be solved is a row with its reason. Rows hold nothing that differs from run to run (no times):
the same scenarios give the same rows, byte by byte, whoever solves them and in whatever order.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from .case import Alternative, Case
from .certificate import CYCLING, NONE, UNCERTIFIED
from .data import Data, address, change
from .design import Design, misfit
from .errors import ERROR, DataError, Fault, Infeasible, NoEquilibrium, Refused, SolverMissing, in_one_line
from .rows_together import values_together
from .run import solve_one
from .scenarios import Scenarios
from .tables import allowed
from .tolerances import AGREE
from .uniqueness import NOT_PROVED

TOLD = ("verdict", "decisions", "route", "reason", "alone")
"""Columns that say what an answer is worth, before the inputs and the reported quantities; ``alone``: why a scenario
was not solved together with others."""

TOGETHER = 4
"""So many scenarios at least are solved together."""

ANEW = 16
"""So many that are left are tried together among themselves: checking a group takes a few single solves."""

UNDETERMINED = "a number that is reported is not finite, or not shown to be the only one"

ANSWERED = ("certified", "certified, local", "rule", "several", NONE)
FAILED = (UNCERTIFIED, CYCLING, ERROR)


@dataclass(frozen=True)
class Rows:
    """table: one row for each scenario and alternative; units: of the reported quantities, by column; seconds: what
    each row took."""

    table: pa.Table
    units: dict[str, str]
    seconds: np.ndarray


def solve_rows(case: Case, design: Design, scenarios: range) -> Rows:
    """Every alternative in some scenarios of a design: together where that can be done, else one by one."""
    units: dict[str, str] = {}
    records: dict[tuple[int, int], dict[str, Any]] = {}
    seconds: dict[tuple[int, int], float] = {}
    for place, alternative in enumerate(chosen(case, design)):
        for group, named in _groups(design, alternative, scenarios):
            began = time.perf_counter()
            found, of, alone = _in_groups(case, design, named, alternative.name, group)
            units |= of
            each = (time.perf_counter() - began) / len(group)
            for k in group:
                began = time.perf_counter()
                if k not in found:
                    found[k], of = solve_row(case, design, k, alternative)
                    found[k]["alone"] = alone
                    units |= of
                records[k, place] = found[k]
                seconds[k, place] = each + time.perf_counter() - began
    order = sorted(records)
    return Rows(as_table(design, [records[at] for at in order]), units, np.array([seconds[at] for at in order]))


def _groups(design: Design, alternative: Alternative, scenarios: range) -> list[tuple[list[int], Alternative]]:
    """Scenarios with the same options, and the alternative with these."""
    found: dict[tuple[tuple[str, Any], ...], list[int]] = {}
    for k in scenarios:
        options = tuple(_options(design, k, alternative).items())
        found.setdefault(options, []).append(k)
    return [(ks, replace(alternative, options=dict(options))) for options, ks in found.items()]


def _in_groups(
    case: Case, design: Design, alternative: Alternative, name: str, scenarios: Sequence[int]
) -> tuple[dict[int, dict[str, Any]], dict[str, str], str]:
    """As ``rows_together``; scenarios that take another turn than most are together among themselves."""
    rows, units, alone = rows_together(case, design, alternative, name, scenarios)
    found, left = rows, [k for k in scenarios if k not in rows]
    while found and len(left) >= ANEW:
        found, of, alone = rows_together(case, design, alternative, name, left)
        rows, units = rows | found, units | of
        left = [k for k in left if k not in found]
    return rows, units, alone


def rows_together(
    case: Case, design: Design, alternative: Alternative, name: str, scenarios: Sequence[int]
) -> tuple[dict[int, dict[str, Any]], dict[str, str], str]:
    """(rows by scenario, units) of those scenarios that were solved and certified together, and why the others were
    not."""
    if len(scenarios) < TOGETHER:
        return {}, {}, f"fewer than {TOGETHER} scenarios"
    if misfits(case, design, scenarios[0], alternative):
        return {}, {}, "the options are out of range"
    found = values_together(case, design, alternative, scenarios)
    if isinstance(found, str):
        return {}, {}, found
    values, held, good = found
    certified = bool(good.any())
    columns, units = {}, {}
    verdicts = np.broadcast_to(np.asarray(held.verdict, dtype=object), len(scenarios))
    answered = verdicts != NONE
    told = (values[column].tolist() for column in ("quantity", "index", "value", "unit"))
    for quantity, index, value, unit in zip(*told, strict=True):
        column = column_name(quantity, index)
        if wanted(design, quantity, column):
            units[column] = unit
            numbers = value.values if isinstance(value, Scenarios) else np.full(len(scenarios), float(value))
            columns[column] = numbers.tolist()
            good &= np.isfinite(numbers) | ~answered
    if not good.any():
        return {}, {}, UNDETERMINED if certified else "it could not be certified together with others"
    rows: dict[int, dict[str, Any]] = {}
    numbers_of = list(zip(*columns.values(), strict=True)) or [()] * len(scenarios)
    reasons = held.reason
    for at in np.flatnonzero(good).tolist():
        k = scenarios[at]
        record: dict[str, Any] = {"scenario": design.label(k), "alternative": name}
        record |= dict.fromkeys(TOLD, "") | {"verdict": verdicts[at], "decisions": held.unique[at], "route": "together"}
        if not answered[at]:
            record |= {"decisions": "", "reason": reasons[at]}
        rows[k] = record | inputs(case, design, k, alternative)
        if answered[at]:
            rows[k] |= zip(columns, numbers_of[at], strict=True)
    if not _confirmed(case, design, alternative, name, rows, units):
        return {}, {}, "a scenario solved alone as well reported other numbers"
    return rows, units, "few others take the same turns, or it was not certified together with them"


def _confirmed(
    case: Case,
    design: Design,
    alternative: Alternative,
    name: str,
    rows: Mapping[int, Mapping[str, Any]],
    units: Mapping[str, str],
) -> bool:
    """Whether the first scenario and one at random (seeded), solved alone, report the same: a market whose code does
    not go with many numbers at once, a cache that does not tell them apart, is found here."""
    for k in {next(iter(rows)), int(np.random.default_rng(0).choice(list(rows)))}:
        row, of = solve_row(case, design, k, replace(alternative, name=name))
        if row["verdict"] != rows[k]["verdict"] or rows[k]["decisions"] not in (row["decisions"], NOT_PROVED):
            return False
        told = [column for column in row if column in of]
        if set(told) != {column for column in rows[k] if column in units}:
            return False
        for column in told:
            if not abs(row[column] - rows[k][column]) <= AGREE * max(1.0, abs(row[column])):
                return False
    return True


def chosen(case: Case, design: Design) -> list[Alternative]:
    """The alternatives of a design, all of the case if it names none. Those that differ only in an option that varies
    are one, called by its structure and its other options."""
    varied = {cell.option for cell in design.cells if cell.option}
    found: dict[tuple[Any, ...], Alternative] = {}
    for one in case.alternatives:
        if design.alternatives and one.name not in design.alternatives:
            continue
        rest = {name: value for name, value in one.options.items() if name not in varied}
        if len(rest) < len(one.options):
            columns = case.market.structures[one.structure].options
            told = [f"{name}={value}" for name, value in rest.items() if value != columns[name].default]
            one = replace(one, name=", ".join([one.structure, *told]))
        found.setdefault((one.structure, *rest.items(), one.name), one)
    return list(found.values())


def inputs(case: Case, design: Design, k: int, alternative: Alternative) -> dict[str, float]:
    """What every cell is in scenario k: its value there, or the case's own where the scenario leaves it alone."""
    found = {}
    for cell, value in zip(design.cells, design.values[k].tolist(), strict=True):
        if np.isnan(value):
            value = alternative.options.get(cell.option, np.nan) if cell.option else number(case.data, cell.name)
        found[cell.name] = float(value)
    return found


def number(data: Data, cell: str) -> float:
    """The number that stands in a cell."""
    table, _, rest = cell.partition(".")
    if table == "parameters":
        return float(data.parameters[rest])
    column = data.tables[table][rest.partition("[")[0]]
    return next(float(v) for key, v in column.items() if address(f"{table}.{column.name}", key) == cell)


def posed(case: Case, design: Design, k: int, alternative: Alternative) -> tuple[Data, Alternative]:
    """The data and the alternative of scenario k. Raises DataError where the market does not accept the data, or the
    alternative's structure its options."""
    changes = {
        cell.name: format(value, ".17g")
        for cell, value in zip(design.cells, design.values[k].tolist(), strict=True)
        if not cell.option and not np.isnan(value)
    }
    if faults := misfits(case, design, k, alternative):
        raise DataError(faults)
    data = change(case.data, changes) if changes else case.data
    return data, replace(alternative, options=_options(design, k, alternative))


def misfits(case: Case, design: Design, k: int, alternative: Alternative) -> list[Fault]:
    """Options of scenario k that the alternative's structure does not take: those of one name may have another range
    elsewhere."""
    columns = case.market.structures[alternative.structure].options
    told = [(cell, value) for cell, value in zip(design.cells, design.values[k].tolist(), strict=True) if cell.option]
    return [
        Fault(cell.name, wrong, value=f"{value:g}", allowed=allowed(columns[cell.option]))
        for cell, value in told
        if cell.option in alternative.options and not np.isnan(value)
        if (wrong := misfit(value, columns[cell.option]))
    ]


def _options(design: Design, k: int, alternative: Alternative) -> dict[str, Any]:
    """The alternative's options in scenario k."""
    options = dict(alternative.options)
    for cell, value in zip(design.cells, design.values[k].tolist(), strict=True):
        if cell.option in options and not np.isnan(value):
            whole = isinstance(options[cell.option], int) and value.is_integer()
            options[cell.option] = int(value) if whole else value
    return options


def solve_row(case: Case, design: Design, k: int, alternative: Alternative) -> tuple[dict[str, Any], dict[str, str]]:
    """One scenario of one alternative as (row, units of what it reports)."""
    record: dict[str, Any] = {"scenario": design.label(k), "alternative": alternative.name}
    record |= dict.fromkeys(TOLD, "") | inputs(case, design, k, alternative)
    try:
        solved = solve_one(case.market, *posed(case, design, k, alternative))
    except NoEquilibrium as proof:
        return record | {"verdict": NONE, "reason": str(proof)}, {}
    except DataError as error:
        return record | {"verdict": "bad input", "reason": "; ".join(str(fault) for fault in error.faults)}, {}
    except SolverMissing as error:
        return record | {"verdict": "solver missing", "reason": str(error)}, {}
    except Infeasible as error:
        return record | {"verdict": "infeasible", "reason": str(error)}, {}
    except Refused as error:
        return record | {"verdict": "refused", "reason": str(error)}, {}
    except Exception as error:  # one scenario must not end a study of thousands; the row says what happened
        return record | {"verdict": ERROR, "reason": in_one_line(error)}, {}
    certificate = solved.solution.certificate
    record["verdict"] = certificate.verdict
    record["decisions"] = certificate.uniqueness.decisions
    answer = solved.solution.answer
    record["route"] = "the market's own" if answer is None else f"{answer.formulation}, {answer.outcome.solver}"
    record["reason"] = "" if certificate.ok else certificate.scope
    units: dict[str, str] = {}
    told = (solved.values[name].tolist() for name in ("quantity", "index", "value", "unit"))
    for quantity, index, value, unit in zip(*told, strict=True):
        name = column_name(quantity, index)
        if wanted(design, quantity, name):
            record[name], units[name] = float(value), unit
    return record, units


def wanted(design: Design, quantity: str, column: str) -> bool:
    """Whether a quantity is asked for, by its name or by that of its column."""
    return not design.report or quantity in design.report or column in design.report


def column_name(quantity: str, index: str) -> str:
    """``price[period=2]``; a quantity without an index stands alone."""
    return f"{quantity}[{index}]" if index else str(quantity)


def as_table(design: Design, records: Sequence[dict[str, Any]]) -> pa.Table:
    """Records as columns: who, what it is worth, the inputs, the quantities in the order in which they came."""
    cells = [cell.name for cell in design.cells]
    first = ["scenario", "alternative", *TOLD]
    kinds = list(dict.fromkeys(map(tuple, records)))
    names = list(dict.fromkeys([*first, *cells, *(name for kind in kinds for name in kind)]))
    if len(kinds) == 1:
        told = dict(zip(kinds[0], zip(*(record.values() for record in records), strict=True), strict=True))
    else:
        told = {name: tuple(record.get(name) for record in records) for name in names}
    nothing = (None,) * len(records)
    return pa.table(
        {name: pa.array(told.get(name, nothing), pa.string() if name in first else pa.float64()) for name in names}
    )
