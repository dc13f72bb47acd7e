"""The checked numbers of a case, as a market sees them, and every cell by its address.

An address is ``parameters.cost_linear``, ``demand.load[2]`` or ``offers.price[north,7]``: table, column, key. The same
address names a cell in an error, a number in a Pyomo model (``trace``) and a number to be changed (``change``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyomo.environ as pyo

from .errors import DataError, Fault, Refused
from .market import Column, Market
from .tables import allowed, columns_of, did_you_mean, value_of

TRACED = re.compile(r"(\S+\.\S+) \[.*\]")  # doc of a Param made by Data.param: the column, its unit


@dataclass(frozen=True, eq=False)
class Data:
    """What ``build(data, **options)`` sees: checked numbers, defaults filled in.

    ``parameters`` by name. ``tables`` by name, only those present, with typed columns, indexed by their key (several
    columns: a MultiIndex).
    """

    market: Market
    parameters: Mapping[str, float]
    tables: Mapping[str, pd.DataFrame]

    @property
    def units(self) -> dict[str, str]:
        """Unit of every parameter and table column: ``{"demand.load": "MWh", ...}``."""
        parameters = {f"parameters.{name}": column.unit for name, column in self.market.parameters.items()}
        return parameters | {
            f"{table.name}.{name}": column.unit
            for table in self.market.tables
            for name, column in columns_of(table).items()
        }

    def param(self, table: str, column: str) -> Any:
        """A new mutable Pyomo Param with the numbers of one column, or of one scalar if ``table`` is "parameters".

        The market assigns it to its model, ``model.demand = data.param("demand", "load")``. It is indexed by the
        table's key. Its ``doc`` says which cells it holds, ``demand.load [MWh]``, and by it ``trace`` finds them again.
        Raises KeyError for a table or column that is not there, ValueError (from Pyomo) for a column of text.
        """
        name = f"{table}.{column}"
        settings = {"mutable": True, "within": pyo.Reals, "doc": f"{name} [{self.units[name]}]"}
        if table == "parameters":
            return pyo.Param(initialize=self.parameters[column], **settings)
        values = self.tables[table][column]
        keys = values.index.tolist()
        return pyo.Param(keys, initialize=dict(zip(keys, values.tolist(), strict=True)), **settings)


def check_market(data: Data, where: str) -> None:
    """Raise DataError with what no single cell shows: the faults that the market's own ``check`` finds."""
    faults = data.market.check(data) if data.market.check else []
    if faults:
        raise DataError(faults, where)


def address(column: str, key: Any) -> str:
    """``demand.load[2]`` for key 2, ``offers.price[north,7]`` for key ("north", 7), no brackets for key None.

    A name that holds a comma stands in quotation marks, as Pyomo writes it.
    """
    if key is None:
        return column
    parts = [str(part) for part in (key if isinstance(key, tuple) else (key,))]
    inside = ",".join(f"'{part}'" if "," in part else part for part in parts)
    return f"{column}[{inside}]"


def trace(model: Any) -> dict[str, Any]:
    """Every cell that a Pyomo model uses: its address to the ParamData that holds it, to be changed in place.

    Raises Refused if a cell entered the model twice, because changing one of the two would change half a model.
    """
    found: dict[str, Any] = {}
    for param in model.component_objects(pyo.Param, descend_into=True):
        traced = TRACED.fullmatch(str(param.doc))
        if not (traced and param.mutable):
            continue
        for key, entry in param.items():
            cell = address(traced[1], key)
            if cell in found:
                raise Refused(f"{cell} enters the model twice, as {found[cell].name} and {entry.name}; assign it once")
            found[cell] = entry
    return found


def change(data: Data, changes: Mapping[str, Any]) -> Data:
    """A copy of ``data`` with some cells replaced: ``change(data, {"demand.load[2]": 3.5})``.

    Values are numbers, or text as it would stand in the file. Checked like the files: raises DataError with every
    address that is unknown, every value that is wrong, and whatever ``Market.check`` finds. Keys cannot be changed.
    """
    faults: list[Fault] = []
    parameters, tables = dict(data.parameters), dict(data.tables)
    touched = {cell.partition(".")[0] for cell in changes} & set(tables)
    keys = {table: {address("", key): key for key in tables[table].index.tolist()} for table in touched}
    tables |= {table: tables[table].copy() for table in touched}
    for cell, value in changes.items():
        table, _, rest = cell.partition(".")
        name, bracket, inside = rest.partition("[")
        column = _column(data, table, name)
        if column is None or (table in keys and bracket + inside not in keys[table]) or (table not in keys and bracket):
            faults.append(_unknown_cell(data, cell))
            continue
        try:
            number = value_of(str(value).strip(), column)
        except ValueError as error:
            faults.append(Fault(cell, str(error), value=str(value), allowed=allowed(column)))
            continue
        if table == "parameters":
            parameters[name] = number
        else:
            tables[table].at[keys[table][bracket + inside], name] = number
    if faults:
        raise DataError(faults, "the changes")
    changed = Data(data.market, parameters, tables)
    check_market(changed, "the changes")
    return changed


def _column(data: Data, table: str, name: str) -> Column | None:
    """Schema of a parameter or of a table's column that is present; None for anything else, keys included."""
    if table == "parameters":
        return data.market.parameters.get(name)
    if table not in data.tables or name not in data.tables[table]:
        return None
    return next(one for one in data.market.tables if one.name == table).columns[name]


def _unknown_cell(data: Data, cell: str) -> Fault:
    cells = [f"parameters.{name}" for name in data.market.parameters]
    for table, frame in data.tables.items():
        cells += [address(f"{table}.{name}", key) for name in frame for key in frame.index.tolist()]
    example = f"a name like {cells[0]} or {cells[-1]}" if cells else "this case holds no numbers"
    return Fault(cell, "there is no such number" + did_you_mean(cell, cells), allowed=example)
