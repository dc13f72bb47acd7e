"""Rows of many scenarios at once: the market's own code run a single time, on numbers that are one per scenario.

The case's cells hold one number per scenario (``scenarios.Scenarios``) while the market checks its data, states the
model and reports its values; the equilibria in between are those of ``batches``. Wherever the code asks a question that
scenarios answer differently, those in the minority are left out here and solved one by one, from their own data, like
any single case. So nothing rests on a market knowing of scenarios.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from .case import Alternative, Case
from .data import Data, address
from .design import Design
from .held import Held, solve_held
from .own import Together
from .results import Solved
from .scenarios import NotVectorised, Scenarios, Tape, active


def values_together(
    case: Case, design: Design, alternative: Alternative, scenarios: Sequence[int]
) -> tuple[pd.DataFrame, Held | Together, np.ndarray] | str:
    """(the market's values with one number per scenario, the equilibria behind them, which scenarios they are right
    for), or why there are none: the market's code needs plain numbers, or its own method knows single cases only. The
    scenarios leave options alone."""
    structure = case.market.structures[alternative.structure]
    if structure.respond is not None and structure.respond_together is None:  # it may know of several equilibria
        return "the market answers by a method of its own"
    tape = Tape.of(len(scenarios))
    with active(tape):
        try:
            data = varied(case.data, design, scenarios, tape)
            if case.market.check and case.market.check(data):
                return "the market does not accept the data of most scenarios"
            held: Held | Together
            if structure.respond_together is not None:
                model, held = None, structure.respond_together(data, **alternative.options)
            else:
                model = structure.build(data, **alternative.options)
                held = solve_held(model, tape, structure.branches(model) if structure.branches else (), True)
                model = held.model
            values = case.market.values(Solved(alternative, data, model, held))  # type: ignore[arg-type]
        except NotVectorised as error:
            return str(error)
        except Exception as error:  # what does not run on many numbers runs on one: that route says what is wrong
            return f"the market's code does not run on many numbers ({type(error).__name__})"
    return values, held, ~tape.astray & held.ok


def varied(data: Data, design: Design, scenarios: Sequence[int], tape: Tape) -> Data:
    """The data with one number per scenario in the cells that vary."""
    parameters, tables = dict(data.parameters), dict(data.tables)
    for j, cell in enumerate(design.cells):
        values = design.values[scenarios, j]
        if cell.option or np.isnan(values).all():
            continue
        table, _, rest = cell.name.partition(".")
        if table == "parameters":
            parameters[rest] = _numbers(values, parameters[rest], tape)
            continue
        name = rest.partition("[")[0]
        tables[table] = tables[table].astype({name: object})
        key = next(key for key in tables[table].index.tolist() if address(f"{table}.{name}", key) == cell.name)
        tables[table].at[key, name] = _numbers(values, tables[table].at[key, name], tape)
    return Data(data.market, parameters, tables)


def _numbers(values: np.ndarray, otherwise: Any, tape: Tape) -> Any:
    """The values, with the case's own number where a scenario leaves it alone."""
    values = np.where(np.isnan(values), otherwise, values)
    return float(values[0]) if (values == values[0]).all() else Scenarios(values, tape)
