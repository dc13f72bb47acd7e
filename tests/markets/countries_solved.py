"""Coupled countries given in Python, as the tests need them."""

from __future__ import annotations

from typing import Any

import pandas as pd

from equilibrium.case import Alternative
from equilibrium.data import Data
from equilibrium.results import Solved
from equilibrium.run import solve_one
from models.coupled_countries import market

INF = float("inf")


def data_of(
    plants: dict[str, list[tuple[float, float, float]]],
    links: dict[tuple[str, str], float] | None = None,
    inelastic: dict[tuple[str, int], tuple[float, float]] | None = None,
    elastic: dict[tuple[str, int], tuple[float, float]] | None = None,
    response: dict[str, tuple[float, str]] | None = None,
    hours: dict[int, float] | None = None,
    toll: float = 0.0,
    firms: dict[tuple[str, str], str] | None = None,
    conjectures: dict[tuple[str, str], float] | None = None,
) -> Data:
    """plants: (intercept, slope, capacity) by country; links: limit; inelastic: (quantity, value); elastic:
    (intercept, slope); response: (intensity, placement); hours: weight; firms: owner by (country, plant), plants are
    called t1, t2, ...; conjectures: theta by (firm, market)."""
    own = [((n, f"t{k}"), row) for n, rows in plants.items() for k, row in enumerate(rows, 1)]
    tables = {"plants": _frame(dict(own), ("country", "plant"), ("intercept", "slope", "capacity"))}
    if firms:
        tables["plants"]["firm"] = [firms.get(key, "") for key in tables["plants"].index]
    if conjectures:
        rows = {key: (theta,) for key, theta in conjectures.items()}
        tables["conjectures"] = _frame(rows, ("firm", "country"), ("conjecture",))
    if links:
        rows = {link: (limit, toll) for link, limit in links.items()}
        tables["links"] = _frame(rows, ("from", "to"), ("capacity", "toll"))
    if inelastic:
        tables["inelastic_demand"] = _frame(inelastic, ("country", "hour"), ("quantity", "value"))
    if elastic:
        tables["elastic_demand"] = _frame(elastic, ("country", "hour"), ("intercept", "slope"))
    if response:
        tables["demand_response"] = _frame(response, ("country",), ("intensity", "placement"))
    if hours:
        tables["hours"] = _frame({h: (w,) for h, w in hours.items()}, ("hour",), ("weight",))
    return Data(market, {}, tables)


def _frame(rows: dict[Any, tuple[Any, ...]], key: tuple[str, ...], columns: tuple[str, ...]) -> pd.DataFrame:
    names = list(key)
    index = pd.MultiIndex.from_tuples(rows, names=names) if len(key) > 1 else pd.Index(list(rows), name=key[0])
    return pd.DataFrame(list(rows.values()), index=index, columns=list(columns))


def solved(data: Data, structure: str = "separable", demand: str = "after", **options: str) -> Solved:
    """One certified alternative."""
    one = solve_one(market, data, Alternative(structure, structure, {"demand": demand, **options}))
    assert one.solution.certificate.verdict == "certified", one.solution.certificate.scope
    return one
