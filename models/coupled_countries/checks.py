"""Faults that no single cell shows, in how plants and demand are given."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from equilibrium.errors import Fault

from .inputs import all_plants, by_law, keys


def faults_of_inputs(data: Any, countries: list[str], hours: list[int]) -> list[Fault]:
    """One form for each plant and each demand; availability and lost load of what is there."""
    return [*_plants(data), *_availability(data, hours), *_demand(data), *_lost_load(data, countries)]


def _plants(data: Any) -> Iterator[Fault]:
    if not all_plants(data):
        yield Fault("plants.csv", "there are no plants: neither plants.csv nor fleets.csv is in the folder")
    for n, t in sorted(set(keys(data, "plants")) & set(by_law(data))):
        message = "the law in fleets.csv names a plant of this country so already; choose another name"
        yield Fault("plants.csv", message, None, "plant", f"{n}, {t}")


def _availability(data: Any, hours: list[int]) -> Iterator[Fault]:
    file, known = "availability.csv", set(all_plants(data))
    for n, t, h in keys(data, "availability"):
        if (n, t) not in known:
            yield Fault(file, "the country has no plant of this name", None, "plant", f"{n}, {t}")
        elif not math.isfinite(_capacity(data, n, t)):
            yield Fault(file, "a share of a plant without a capacity; give it one", None, "share", f"{n}, {t}")
        if h not in hours:
            yield Fault(file, "an hour without demand", None, "hour", str(h))


def _capacity(data: Any, n: str, t: str) -> float:
    rows = (n, t) in set(keys(data, "plants"))
    return float(data.tables["plants"]["capacity"][n, t] if rows else data.tables["fleets"]["capacity"][n])


def _demand(data: Any) -> Iterator[Fault]:
    for n, h in sorted(set(keys(data, "elastic_demand")) & set(keys(data, "reference_demand"))):
        message = "elastic_demand.csv gives the same demand; keep one of the two rows"
        yield Fault("reference_demand.csv", message, None, "country", f"{n}, hour {h}")


def _lost_load(data: Any, countries: list[str]) -> Iterator[Fault]:
    inelastic = {n for n, _ in keys(data, "inelastic_demand")}
    for n in keys(data, "lost_load"):
        if n not in countries:
            yield Fault("lost_load.csv", "a country that has neither plants nor demand", None, "country", n)
        elif n not in inelastic:
            yield Fault("lost_load.csv", "a country without inelastic demand: nothing can be lost", None, "country", n)
