"""Seeded systems of interconnected countries, as one model or hour by hour, for benchmarks and tests."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyomo.environ as pyo

from equilibrium.data import Data
from models.coupled_countries import market, readings

READINGS = ("netted", "separable", "joint")


def system(countries: int = 30, lines: int = 60, plants: int = 10, hours: int = 24, seed: int = 0) -> Data:
    """Tables of a system whose hours differ in demand only. Every line can be used both ways, at a small toll.

    Demand follows the time of day and of year with noise, and is met with plants to spare in every country; the last
    plant of each is dear. Lines form a ring and chords between countries drawn at random. Units as in the market.
    """
    random = np.random.default_rng(seed)
    names = [f"C{k:02}" for k in range(countries)]
    size = random.uniform(5_000, 60_000, countries)
    rows = []
    for n, name in enumerate(names):
        share = random.dirichlet(np.full(plants, 2.0))
        for t in range(plants):
            cost = 5.0 + 100.0 * (t + random.uniform(0, 1)) / plants
            capacity = 1.5 * size[n] * (0.5 * share[t] + 0.5 / plants)
            rows.append((name, f"T{t}", cost, random.uniform(5, 40) / capacity, capacity))
    fleet = pd.DataFrame(rows, columns=["country", "plant", "intercept", "slope", "capacity"])
    pairs = {(k, (k + 1) % countries) for k in range(countries)}
    while len(pairs) < lines:
        a, b = random.choice(countries, 2, replace=False).tolist()
        if (b, a) not in pairs:
            pairs.add((a, b))
    ends = [(names[i], names[j]) for a, b in sorted(pairs) for i, j in ((a, b), (b, a))]
    links = pd.DataFrame(ends, columns=["from", "to"])
    links["capacity"] = np.round(random.uniform(500, 4_000, len(ends)))
    links["toll"] = np.round(random.uniform(0.05, 0.5, len(ends)), 3)
    clock = np.arange(hours)
    daily = 1 + 0.2 * np.sin(2 * np.pi * (clock - 8) / 24) + 0.12 * np.cos(2 * np.pi * clock / 8760)
    load = 0.75 * size[:, None] * daily * random.normal(1, 0.08, (countries, hours)).clip(0.7, 1.3)
    demand = pd.DataFrame({"country": np.repeat(names, hours), "hour": np.tile(clock + 1, countries)})
    demand["quantity"], demand["value"] = load.ravel(), 500.0
    tables = {
        "plants": fleet.set_index(["country", "plant"]),
        "links": links.set_index(["from", "to"]),
        "inelastic_demand": demand.set_index(["country", "hour"]),
    }
    return Data(market, {}, tables)


def state(data: Data, reading: str) -> pyo.ConcreteModel:
    """The model of all hours in one of READINGS."""
    return getattr(readings, reading)(data)


def hour_by_hour(data: Data, reading: str) -> tuple[pyo.ConcreteModel, dict[str, np.ndarray]]:
    """(model of the first hour, cells that make it any of the hours): what ``batches.solve_many`` takes."""
    demand = data.tables["inelastic_demand"]
    first = {**data.tables, "inelastic_demand": demand.xs(1, level="hour", drop_level=False)}
    model = state(Data(data.market, data.parameters, first), reading)
    quantity = demand["quantity"].unstack("hour")
    return model, {f"inelastic_demand.quantity[{n},1]": quantity.loc[n].to_numpy() for n in quantity.index}
