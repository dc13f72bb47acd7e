"""What holds for any market: its cases certify, and names, order, units and the way a number was changed do not matter.

A new market is tested here as soon as it lies in ``models`` and has a case in ``data``; nothing is registered. How a
number scales is read off its unit. The first case of a market runs always, the others with the slow tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyomo.environ as pyo
import pytest
from scipy.optimize import linprog

from equilibrium import certify, solve
from equilibrium.case import Alternative, Case, change, read_case, trace
from equilibrium.catalogue import find_market, own_markets
from equilibrium.certificate import NONE
from equilibrium.data import Data, address
from equilibrium.errors import DataError, NoEquilibrium
from equilibrium.hierarchy import current
from equilibrium.market import Column
from equilibrium.mcp import DECISION
from equilibrium.monotone import null_space
from equilibrium.reactions import answer as response
from equilibrium.results import Failure, Solved
from equilibrium.run import run_case, solve_all, solve_one

DATA = Path(__file__).parents[2] / "data"
ORDERED = ("period", "hour", "time", "t", "season", "year")  # key columns in which the order of rows has a meaning
CASES = sorted(path.parent for name in own_markets() for path in (DATA / name).glob("*/case.toml"))
SLOW = [pytest.mark.slow]
LARGE = 60  # cells of tables; changing each of more takes minutes
FIRST = {folder.parent.name: folder for folder in reversed(CASES)}


def every_case() -> list[Any]:
    return [
        pytest.param(folder, id=f"{folder.parent.name}/{folder.name}", marks=[] if folder in FIRST.values() else SLOW)
        for folder in CASES
    ]


@pytest.fixture(params=every_case())
def case(request: pytest.FixtureRequest) -> Case:
    return read(request.param)


@cache
def read(folder: Path) -> Case:
    return read_case(folder)


@cache
def outcomes(folder: Path) -> tuple[list[Solved], list[Failure]]:
    """Every alternative of a case as it is on disk."""
    found, failures = solve_all(read(folder).market, read(folder).data, read(folder).alternatives)
    assert not unproved(failures)
    return found, failures


def solved(folder: Path) -> list[Solved]:
    """The alternatives that have an equilibrium."""
    return outcomes(folder)[0]


def unproved(failures: list[Failure]) -> list[Failure]:
    """Alternatives without an answer, but for those that are proved to have no equilibrium."""
    return [one for one in failures if one.verdict != NONE]


def values(found: list[Solved]) -> pd.DataFrame:
    frames = [one.values.assign(alternative=one.alternative.name) for one in found]
    return pd.concat(frames).set_index(["alternative", "quantity", "index"]).sort_index()


def same(first: pd.DataFrame, second: pd.DataFrame, tolerance: float = 1e-7) -> None:
    """Every number of both tables agrees, relative to the largest of its unit in its alternative."""
    assert list(first.index) == list(second.index)
    size = first["value"].abs().groupby([first.index.get_level_values(0), first["unit"]]).transform("max")
    off = (first["value"] - second["value"]).abs() / size.replace(0.0, 1.0)
    assert (off <= tolerance).all(), off[off > tolerance].to_string()


def test_every_market_has_a_case() -> None:
    assert set(FIRST) == set(own_markets())


@pytest.mark.parametrize("folder", every_case())
def test_case_certifies_and_gives_the_same_files_twice(folder: Path, tmp_path: Path) -> None:
    for name in ("once", "twice"):
        assert run_case(folder, out=tmp_path / name, figures=False).code == 0
    written = sorted(path.name for path in (tmp_path / "once").glob("*.csv"))
    assert {"values.csv", "certificate.csv", "validation.csv"} <= set(written)
    for name in ("values.csv", "accounts.csv"):
        if name in written:
            assert (tmp_path / "once" / name).read_bytes() == (tmp_path / "twice" / name).read_bytes()


def test_payments_cancel(case: Case) -> None:
    """What one party pays another receives; costs and benefits of real resources are no payments."""
    if case.market.accounts is None:
        pytest.skip("this market keeps no accounts")
    for one in solved(case.folder):
        books = case.market.accounts(one)
        payments = books[books["item"].str.contains("payment|fee")]["value"]
        assert len(payments) >= 2
        assert abs(payments.sum()) <= 1e-9 * payments.abs().max(), one.alternative.name


# ------------------------------------------------------------------------------------------------------ names and order


def test_order_of_rows_does_not_matter(case: Case) -> None:
    """Rows of every table whose key is no time, backwards."""
    loose = [t.name for t in case.market.tables if t.name in case.data.tables and not set(t.key) & set(ORDERED)]
    if not loose:
        pytest.skip("all tables are ordered in time")
    tables = {name: frame.iloc[::-1] if name in loose else frame for name, frame in case.data.tables.items()}
    backwards, failures = solve_all(case.market, Data(case.market, case.data.parameters, tables), case.alternatives)
    assert not unproved(failures)
    same(values(solved(case.folder)), values(backwards))


def test_names_do_not_matter(case: Case) -> None:
    """Names of a table that no other table mentions, replaced there and in options; the results have the new names and
    the same numbers."""
    tables, new, always = dict(case.data.tables), {}, False
    words: dict[str, str] = {}
    for table in case.market.tables:
        if table.name in tables and len(table.key) == 1 and table.key[0] not in table.columns:
            alone = [t for t in case.market.tables if t.name in tables and table.key[0] in t.key] == [table]
            if alone and table.key[0] not in ORDERED:
                frame, always = tables[table.name], always or not table.optional
                new |= {f"{table.key[0]}={old}": f"{table.key[0]}=new {k}" for k, old in enumerate(frame.index)}
                tables[table.name] = frame.rename(index={old: f"new {k}" for k, old in enumerate(frame.index)})
                words |= {old: f"new {k}" for k, old in enumerate(frame.index)}
    if not new:
        pytest.skip("no table with names of its own")
    alternatives = [in_other_words(case, alternative, words) for alternative in case.alternatives]
    renamed, failures = solve_all(case.market, Data(case.market, case.data.parameters, tables), alternatives)
    assert not unproved(failures)

    def rename(index: str) -> str:
        return ";".join(new.get(part, part) for part in index.split(";"))

    before = values(solved(case.folder)).reset_index()
    uses = {a.name for a in case.alternatives if always or case.market.structures[a.structure].needs}
    pairs = zip(before["index"], before["alternative"], strict=True)
    before["index"] = [rename(index) if alternative in uses else index for index, alternative in pairs]
    before = before.set_index(["alternative", "quantity", "index"])
    after = values(renamed)
    assert any("new 0" in index for _, _, index in after.index) == any("new 0" in index for _, _, index in before.index)
    players = before.index.get_level_values("quantity") == "payoff"  # players carry block names; compared as they come
    same(before[~players].sort_index(), after[after.index.get_level_values("quantity") != "payoff"].sort_index())


def in_other_words(case: Case, alternative: Alternative, words: Mapping[str, str]) -> Alternative:
    """The alternative with names of the case in its options replaced; choices are words of the market."""
    columns = case.market.structures[alternative.structure].options
    free = {name: value for name, value in alternative.options.items() if not columns[name].choices}
    return replace(alternative, options={**alternative.options, **{n: words.get(v, v) for n, v in free.items()}})


# ---------------------------------------------------------------------------------------------------------------- units


def power(unit: str, of: tuple[str, ...], symbols: Mapping[str, float]) -> float:
    """The power in which units like ``of`` stand in ``unit``: EUR/MWh^(2+sigma) has MWh in the power -(2 + sigma)."""
    total = 0.0
    for place, part in enumerate(re.split(r"/(?![^(]*\))", unit.replace(" ", "*"))):
        for factor in part.strip("()").split("*") if "^" not in part else [part]:
            base, _, exponent = factor.partition("^")
            terms = exponent.strip("()").split("+") if exponent else ["1"]
            if base in of:
                total += (-1 if place else 1) * sum(symbols[t] if t in symbols else float(t) for t in terms)
    return total


def rescaled(case: Case, factor: dict[tuple[str, ...], float]) -> tuple[Data, Any]:
    """The data with every number times its units' factors, and the function from a unit to its factor."""
    market = case.market
    symbols = {column.symbol: case.data.parameters[name] for name, column in market.parameters.items()}

    def times(unit: str) -> float:
        return float(np.prod([k ** power(unit, of, symbols) for of, k in factor.items()]))

    def number(column: Column) -> bool:
        return column.kind is float

    parameters = {
        name: value * times(market.parameters[name].unit) if number(market.parameters[name]) else value
        for name, value in case.data.parameters.items()
    }
    tables = {name: frame.copy() for name, frame in case.data.tables.items()}
    for table in market.tables:
        for name, column in table.columns.items():
            if table.name in tables and name in tables[table.name] and number(column):
                tables[table.name][name] *= times(column.unit)
    return Data(market, parameters, tables), times


MONEY = ("EUR", "kEUR", "MEUR", "cent", "USD", "kUSD")  # cases in dollars report in the market's EUR until written
ENERGY = ("MWh", "kWh", "GWh", "MW", "kW", "GW")


@pytest.mark.parametrize(
    "factor", [{MONEY: 300.0}, {MONEY: 7.0, ENERGY: 7.0}, {ENERGY: 0.02}], ids=["money", "size", "energy"]
)
def test_units_do_not_matter(case: Case, factor: dict[tuple[str, ...], float]) -> None:
    """Other money, a market seven times as large (same prices), another unit of energy: everything scales by its own
    unit.
    """
    data, times = rescaled(case, factor)
    found, failures = solve_all(case.market, data, case.alternatives)
    assert not unproved(failures)
    assert all(one.solution.certificate.ok for one in found)
    before = values(solved(case.folder))
    before["value"] *= [times(unit) for unit in before["unit"]]
    same(before, values(found))


# -------------------------------------------------------------------------------------------------- the certificate


def steps(one: Solved) -> Iterator[tuple[str, list[tuple[Any, float]]]]:
    """For every player (and the rules) a small move that keeps its equalities and bounds: name and (Var, new value)."""
    answer = one.solution.answer
    mcp, z = answer.mcp, answer.z
    largest = max(abs(v.value or 0.0) for v in one.model.component_data_objects(pyo.Var))
    for index, player in enumerate(answer.game.players):
        own = np.flatnonzero((mcp.player == index) & (mcp.kind == DECISION))
        rows = np.flatnonzero((mcp.player == index) & (mcp.kind != DECISION) & np.isneginf(mcp.lower))
        basis = null_space(mcp.jacobian(z)[rows][:, own].toarray(), len(own))
        size = 1e-6 * (np.abs(z[own]).max() or largest)  # who does nothing moves by the size of the others
        for direction in (sign * column for column in basis.T for sign in (1.0, -1.0)):
            moved = z[own] + size * direction / np.abs(direction).max()
            if (moved >= mcp.lower[own] - 1e-15).all() and (moved <= mcp.upper[own] + 1e-15).all():
                yield player.name, [(mcp.components[k], float(v)) for k, v in zip(own, moved, strict=True)]
                break
        else:
            moved = z[own] + costly(mcp, z, own, rows, size)
            if (moved != z[own]).any():
                yield player.name, [(mcp.components[k], float(v)) for k, v in zip(own, moved, strict=True)]
    for variable in answer.game.variables[:1]:
        yield "outside", [(variable, float(variable.value) * (1 + 1e-6))]
    if answer.leading is not None and answer.leading.reaction is not None:
        yield from led_astray(answer.leading)


def costly(mcp: Any, z: np.ndarray, own: np.ndarray, rows: np.ndarray, size: float) -> np.ndarray:
    """At a vertex single directions may leave the bounds: the move within them that its reduced costs dislike most."""
    reduced = mcp.F(z)[own]
    box = zip(np.maximum(mcp.lower[own] - z[own], -size), np.minimum(mcp.upper[own] - z[own], size), strict=True)
    table = mcp.jacobian(z)[rows][:, own].toarray()
    found = linprog(-reduced, A_eq=table, b_eq=np.zeros(len(rows)), bounds=[(min(a, 0), max(b, 0)) for a, b in box])
    scale = np.abs(reduced).max(initial=0.0) * size
    return found.x if found.success and -found.fun > 1e-3 * scale > 0 else np.zeros(len(own))


def led_astray(leading: Any) -> Iterator[tuple[str, list[tuple[Any, float]]]]:
    """For every leader one decision moved by 1e-6 of its size, the followers at their answer to that."""
    variables, x = leading.hierarchy.x, current(leading.hierarchy.x)
    for player, own in zip(leading.hierarchy.leaders, leading.hierarchy.parts, strict=True):
        low, up = (np.array([b if b is not None else s * np.inf for b in bounds]) for s, bounds in sides(variables))
        for k, sign in product(own, (1.0, -1.0)):
            moved = x.copy()
            moved[k] += sign * 1e-6 * np.abs(x).max(initial=1e-3)
            z = response(leading.reaction.at(moved)) if low[k] <= moved[k] <= up[k] else None
            if z is not None:
                parts = zip(leading.reaction.components, z, strict=True)
                followers = [(one, float(v)) for one, v in parts if not isinstance(one, tuple)]
                yield player.name, [(variables[k], float(moved[k])), *followers]
                break


def sides(variables: Any) -> Iterator[tuple[float, list[Any]]]:
    yield -1.0, [v.lb for v in variables]
    yield 1.0, [v.ub for v in variables]


def test_certificate_fails_when_one_decision_is_off(case: Case) -> None:
    """Each player in turn moved by 1e-6 of its quantities, feasibly: the certificate must see it."""
    tampered = 0
    for one in solved(case.folder):
        assert certify(one.solution.answer).ok
        for name, move in steps(one):
            before = [variable.value for variable, _ in move]
            for variable, value in move:
                variable.set_value(value, skip_validation=True)
            verdict = certify(one.solution.answer).verdict
            for (variable, _), value in zip(move, before, strict=True):
                variable.set_value(value, skip_validation=True)
            assert verdict == "uncertified", (one.alternative.name, name)
            tampered += 1
        assert certify(one.solution.answer).ok
    assert tampered >= len(solved(case.folder))  # a proof that there is no equilibrium has no decisions to move


# ------------------------------------------------------------------------------------------------- changing one number


def other(data: Data, cell: str, now: float) -> float | None:
    """Another value of a cell that the market accepts, with the rest as it is; None where it has to be as it is."""
    for value in (now * 1.02, now * 0.98, now + 0.05):
        try:
            change(data, {cell: value})
        except DataError:
            continue
        if value != now:
            return value
    return None


def test_changing_a_number_in_the_model_is_changing_it_in_the_data(case: Case) -> None:
    """Every cell of the case, in every structure that uses it: Param set in place against a model built from changed
    data.
    """
    market, data = case.market, case.data
    if sum(frame.size for frame in data.tables.values()) > LARGE:
        pytest.skip("a long horizon: the same columns are changed in the market's smaller cases")
    if any(one.model is None for one in solved(case.folder)):
        pytest.skip("too large to be stated: the same columns are changed in the market's smaller cases")
    used: set[str] = set()
    seen: set[tuple[str, str]] = set()
    for alternative in case.alternatives:
        if (alternative.structure, str(alternative.options.get("netted"))) in seen:
            continue
        seen.add((alternative.structure, str(alternative.options.get("netted"))))
        model = market.structures[alternative.structure].build(data, **alternative.options)
        for cell, param in trace(model).items():
            used.add(cell)
            now = float(pyo.value(param))
            value = other(data, cell, now)
            if value is None:  # shares that must sum to one: change them in place only as far as data can
                continue
            param.set_value(value)
            in_place_as_fresh(case, alternative, model, change(data, {cell: value}))
            param.set_value(now)
    unused = stated(case) - used
    assert not unused, f"not used by any alternative: {sorted(unused)}"


def stated(case: Case) -> set[str]:
    """Cells with numbers that are not their column's default: what a case may leave out, its structures need not use.
    A bare count gives the shape."""
    market, data = case.market, case.data
    cells = {f"parameters.{n}" for n, value in data.parameters.items() if value != market.parameters[n].default}
    for table in market.tables:
        for name, column in table.columns.items():
            number = column.kind is float or (column.kind is int and column.unit != "")
            if table.name in data.tables and number and name not in table.key:
                held = data.tables[table.name][name]
                cells |= {address(f"{table.name}.{name}", key) for key in held[held != column.default].index.tolist()}
    return cells


def test_changing_several_numbers_at_once(case: Case) -> None:
    """Cells that only fit together (shares) are changed together, in place and in the data: two rows swap their
    values.
    """
    for table, frame in case.data.tables.items():
        if len(frame) < 2:
            continue
        for name in (n for n in frame if frame[n].dtype == float):
            one, two = frame.index.tolist()[:2]
            cells = address(f"{table}.{name}", one), address(f"{table}.{name}", two)
            swap = {cells[0]: frame.at[two, name], cells[1]: frame.at[one, name]}
            try:
                changed = change(case.data, swap)
            except DataError:
                continue
            for alternative in case.alternatives:
                swapped(case, alternative, changed, swap)


def swapped(case: Case, alternative: Alternative, changed: Data, swap: Mapping[str, float]) -> None:
    structure = case.market.structures[alternative.structure]
    model = structure.build(case.data, **alternative.options)
    cells = trace(model)
    if not set(swap) <= set(cells):
        return
    for cell, value in swap.items():
        cells[cell].set_value(value)
    in_place_as_fresh(case, alternative, model, changed)


def in_place_as_fresh(case: Case, alternative: Alternative, model: Any, changed: Data) -> None:
    """A model whose Params were set in place answers like one built from the changed data: certified and with the same
    numbers, or with the same proof that there is no equilibrium. Beside such a proof there may be data for which none
    is found and that is not proved; then both say so."""
    solution = solve(model, branches_of=case.market.structures[alternative.structure].branches)
    certificate = solution.certificate
    if not certificate.ok:
        without = [one.alternative for one in outcomes(case.folder)[1]]
        assert certificate.verdict == NONE or alternative in without, (alternative.name, certificate.scope)
        words, gains = proof(certificate.scope)
        assert said(case, alternative, changed) == (certificate.verdict, words, pytest.approx(gains, rel=1e-7))
        return
    in_place = case.market.values(Solved(alternative, changed, model, solution))
    fresh = solve_one(case.market, changed, alternative).values
    index = ["alternative", "quantity", "index"]
    same(*(frame.assign(alternative=alternative.name).set_index(index) for frame in (in_place, fresh)), 1e-9)


def said(case: Case, alternative: Alternative, data: Data) -> tuple[str, str, list[float]]:
    """Verdict of an alternative, and its scope taken apart by ``proof``."""
    try:
        certificate = solve_one(case.market, data, alternative).solution.certificate
    except NoEquilibrium as error:
        return NONE, *proof(str(error))
    return certificate.verdict, *proof(certificate.scope)


def proof(text: str) -> tuple[str, list[float]]:
    """A proof that there is no equilibrium: its words, and the gains it names."""
    number = r"gain ([\d.]+(?:e[+-]\d+)?)"
    return re.sub(number, "gain", text), [float(gain) for gain in re.findall(number, text)]


def test_known_markets_are_found() -> None:
    for name in own_markets():
        assert find_market(name).name == name
