"""Is it better to integrate generation and aggregation than to keep them apart, by how much, and why?

Apart, aggregators decide loads and generators outputs; integrated, one firm decides all loads and its output. Two
things change: what loads are (allocation), and what is generated at given loads (production efficiency). With C(s, y)
the system cost at loads s and outputs y, and Y(s), Z(s) what separate and integrated firms generate at loads s,

    C(s, Y(s)) - C(i, Z(i)) = production + allocation,
    production = average over loads v = s, i of C(v, Y(v)) - C(v, Z(v)),
    allocation = average over replies V = Y, Z of C(s, V(s)) - C(i, V(i)),

so neither effect depends on which is changed first. All four costs are those of equilibria: at given loads the
generators' game is solved, with the owner of the flexible load among them or not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from math import nan
from typing import Any

import pandas as pd
import pyomo.environ as pyo

from equilibrium import solve
from equilibrium.errors import EquilibriumError, Refused

from . import generation, strategic, structures, undetermined

SEPARATE = ((1, "N"), (1, "L"), (2, "N"), (10, "N"))
"""What integration is held against: how many equal aggregators, and when they decide."""

TIMINGS = {"N": "at once", "L": "loads first"}


def given_loads(data: Any, load: Mapping[Any, float], owner: str, owner_buys: bool) -> pyo.ConcreteModel:
    """Generators compete over given loads (a rule); ``owner_buys``: the owner pays for them as well."""
    model = structures.setting(data)
    generation.plants(model, data)
    model.given = pyo.Param(model.period, initialize=dict(load), mutable=True)
    model.generator = pyo.Block(model.generators)
    for g in model.generators:
        generation.plant(model, model.generator[g], g)
    generation.supply_beside(
        model,
        lambda t: model.given[t],
        lambda g, t: model.generator[g].generation[t],
        sum(model.generator[g].generation_cost for g in model.generators),
    )
    firm = model.generator[owner]
    generation.sells_no_more_than_used(model, firm)
    own = {t: model.given[t] if owner_buys else 0.0 for t in model.period}
    firm.maximise_profit = pyo.Objective(
        expr=sum(model.price[t] * (firm.generation[t] - own[t]) for t in model.period) - firm.generation_cost,
        sense=pyo.maximize,
    )
    for block in model.generator.values():
        if block is not firm:
            generation.compete(model, block)
    return model


def run(data: Any, alternatives: Sequence[Any], progress: Callable[[str], None]) -> Mapping[str, pd.DataFrame]:
    """Tables ``integration`` (a row for each owner and way to be separate: costs, what integration saves, by which
    effect) and ``loads`` (flexible load by period, MWh)."""
    with_generators(data)
    rows, loads = [], []
    for owner, (aggregators, timing) in product(owners(data, alternatives), SEPARATE):
        progress(f"{owner} integrated, against {aggregators} aggregators, {TIMINGS[timing]}")
        named = {"owner": owner, "aggregators": aggregators, "timing": TIMINGS[timing]}
        try:
            row, load = compare(data, aggregators, timing, owner)
        except EquilibriumError as error:
            row, load = {"verdict": str(error)}, pd.DataFrame()
        rows.append(named | row)
        loads.append(load.assign(**named))
    columns = ["owner", "aggregators", "timing", "period", "separate [MWh]", "integrated [MWh]"]
    return {"integration": pd.DataFrame(rows), "loads": pd.concat(loads).reindex(columns=columns)}


def with_generators(data: Any) -> None:
    """Raise Refused unless the case has generators with market power."""
    if "generators" not in data.tables:
        raise Refused("this study needs the table generators.csv: who has market power in generation, at what cost")


def owners(data: Any, alternatives: Sequence[Any]) -> list[str]:
    """The generators that the alternatives name as owners of the aggregator; where they name none, all of them.

    Raises DataError for a name that no generator has.
    """
    named = [one.options["owner"] for one in alternatives if one.structure == "integrated" and one.options["owner"]]
    everybody = [str(g) for g in data.tables["generators"].index]
    return [strategic.owner_of(data, g) for g in dict.fromkeys(named)] or everybody


def compare(data: Any, aggregators: int, timing: str, owner: str = "") -> tuple[dict[str, Any], pd.DataFrame]:
    """(a row of costs and effects, loads by period); ``owner`` as in ``strategic.owner_of``.

    What integration does to loads, and so either effect, is NaN where the integrated firm's loads are not determined.
    Raises EquilibriumError where an equilibrium is not certified.
    """
    owner = strategic.owner_of(data, owner)
    apart, first = answer(strategic.strategic_cournot(data, aggregators, timing))
    whole, second = answer(strategic.integrated(data, owner))
    determined = not undetermined.ranges(whole)
    separate, integrated = (float(pyo.value(model.system_cost)) for model in (apart, whole))
    production, allocation, words = effects(data, owner, apart, whole) if determined else (nan, nan, [])
    row = {
        "separate [EUR]": separate,
        "integrated [EUR]": integrated,
        "saved [EUR]": separate - integrated,
        "by production [EUR]": production,
        "by allocation [EUR]": allocation,
        "better": better(separate - integrated, separate),
        "verdict": max((first, second, *words), key=("certified", "certified, local").index),
    }
    loads = [
        {
            "period": t,
            "separate [MWh]": float(pyo.value(apart.flexible_load[t])),
            "integrated [MWh]": float(pyo.value(whole.flexible_load[t])) if determined else nan,
        }
        for t in apart.period
    ]
    return row, pd.DataFrame(loads)


def effects(data: Any, owner: str, apart: Any, whole: Any) -> tuple[float, float, list[str]]:
    """(production, allocation, verdicts of the equilibria at given loads), see above."""
    costs, words = [], []
    for owner_buys in (False, True):
        for found in (apart, whole):
            load = {t: float(pyo.value(found.flexible_load[t])) for t in found.period}
            model, word = answer(given_loads(data, load, owner, owner_buys))
            costs.append(float(pyo.value(model.system_cost)))
            words.append(word)
    apart_apart, apart_whole, whole_apart, whole_whole = costs  # who generates, at whose loads
    production = (apart_apart - whole_apart + apart_whole - whole_whole) / 2
    allocation = (apart_apart - apart_whole + whole_apart - whole_whole) / 2
    return production, allocation, words


def better(saved: float, cost: float) -> str:
    """Which of the two costs less, in a word; equal within 1e-9 of the cost."""
    if abs(saved) <= 1e-9 * abs(cost):
        return "equal"
    return "integrated" if saved > 0 else "separate"


def answer(model: pyo.ConcreteModel) -> tuple[pyo.ConcreteModel, str]:
    """The solved model and its verdict. Raises Uncertified where there is none that holds, Refused where
    generators serve a period alone."""
    certificate = solve(model).certificate
    if certificate.verdict not in ("certified", "certified, local"):
        raise Uncertified(f"{certificate.verdict}: {certificate.scope}")
    generation.check_price_is_set(model)
    return model, certificate.verdict


class Uncertified(EquilibriumError):
    """One of the equilibria that are compared is not certified."""
