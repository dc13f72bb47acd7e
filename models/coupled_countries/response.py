"""Before and after demand response in one country: what is asked of certified equilibria, at any intensity.

Before: the country has its inelastic demand and no demand response. After: its elastic demand, with demand response of
some intensity; intensity 0 is the elastic baseline. Every other country is as the data say, and the same in both.

Criteria, each "after is at least before": the country's welfare, its market's welfare (separable cost only), total
welfare, its consumers' surplus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pyomo.environ as pyo

from equilibrium import solve
from equilibrium.data import Data
from equilibrium.errors import DataError, EquilibriumError, Fault
from equilibrium.threshold import FOUND, Threshold, threshold

from . import inputs, parts

COUNTRY, MARKET, TOTAL, CONSUMERS = "country welfare", "market welfare", "welfare", "consumer surplus"
FARTHEST = 1e4  # intensities up to this many times the slope of demand are tried before "unbounded"


class NotCertified(EquilibriumError):
    """A point that a study needs has no certified equilibrium."""


@dataclass(frozen=True)
class Level:
    """One certified equilibrium, seen from the country: criteria in EUR, and quantities and prices by hour."""

    criteria: Mapping[str, float]
    consumption: Mapping[int, float]
    price: Mapping[int, float]
    retail: Mapping[int, float]
    net_export: Mapping[int, float]


@dataclass(frozen=True)
class Variant:
    """A way to state the market that a case compares: a structure and its options, those for demand left out."""

    structure: str
    options: Mapping[str, Any]

    @property
    def name(self) -> str:
        """For tables: the structure, with options in brackets."""
        told = ", ".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.structure} ({told})" if told else self.structure


def variants(market: Any, alternatives: Sequence[Any]) -> list[Variant]:
    """The different ways to state the market among alternatives; options at their defaults are not named."""
    found: list[Variant] = []
    for one in alternatives:
        known = market.structures[one.structure].options
        if "demand" not in known:
            continue
        options = {k: v for k, v in one.options.items() if k != "demand" and v != known[k].default}
        variant = Variant(one.structure, options)
        if variant not in found:
            found.append(variant)
    return found


# ------------------------------------------------------------------------------------------------------------ the data


def responding(data: Data) -> list[str]:
    """Countries with demand response and with both kinds of demand in every hour in which demand is elastic.

    Raises DataError where there is none: a comparison needs a before and an after.
    """
    inelastic, elastic = set(inputs.keys(data, "inelastic_demand")), set(inputs.elastic_keys(data))
    own = [n for n in inputs.keys(data, "demand_response") if {k for k in elastic if k[0] == n} <= inelastic]
    if not own:
        message = "no country has demand response with an inelastic demand (before) in every hour of its elastic one"
        raise DataError([Fault("demand_response.csv", message)], "this study")
    return own


def neighbourhood(data: Data, country: str) -> Data:
    """The data of the countries that links connect with the country, directly or not; others do not matter to it."""
    near, reached = {country}, {country}
    while reached:
        links = inputs.keys(data, "links")
        reached = {m for pair in links if near & set(pair) for m in pair} - near
        near |= reached
    tables = {}
    for name, frame in data.tables.items():
        own = [c for c in ("country", "from", "to") if c in frame.index.names]
        keep = pd.Series(True, index=frame.index)
        for column in own:
            keep &= frame.index.get_level_values(column).isin(near)
        if keep.any():
            tables[name] = frame[keep.to_numpy()]
    return Data(data.market, data.parameters, tables)


def explicit(data: Data) -> Data:
    """The data with every elastic demand given by its intercept and slope."""
    points = data.tables.get("reference_demand")
    if points is None:
        return data
    slope = -points["price"] / (points["elasticity"] * points["quantity"])
    lines = pd.DataFrame({"intercept": points["price"] + slope * points["quantity"], "slope": slope})
    known = data.tables.get("elastic_demand")
    tables = {name: frame for name, frame in data.tables.items() if name != "reference_demand"}
    both = [lines] if known is None else [known[["intercept", "slope"]], lines]
    return Data(data.market, data.parameters, tables | {"elastic_demand": pd.concat(both)})


def without_response(data: Data, country: str) -> Data:
    """The data before: neither elastic demand nor demand response in the country."""
    tables = dict(data.tables)
    for name in ("elastic_demand", "reference_demand", "demand_response"):
        if name in tables:
            rest = tables[name][tables[name].index.get_level_values("country") != country]
            tables = tables | {name: rest} if len(rest) else {k: v for k, v in tables.items() if k != name}
    return Data(data.market, data.parameters, tables)


# -------------------------------------------------------------------------------------------------------- the question


@dataclass
class Response:
    """The question for one country and one way to state the market; equilibria are solved once and remembered."""

    data: Data
    variant: Variant
    country: str
    solved: int = 0
    known: dict[float, Level] = field(default_factory=dict)
    _before: Level | None = None
    _after: Any = None

    def before(self) -> Level:
        """The certified equilibrium before. Raises NotCertified, Infeasible, Refused."""
        if self._before is None:
            model = self._build(without_response(self.data, self.country))
            self._before = self._level(model, "before demand response")
        return self._before

    def after(self, intensity: float) -> Level:
        """The certified equilibrium with demand response. Raises NotCertified, Infeasible, Refused."""
        if intensity not in self.known:
            if self._after is None:
                self._after = self._build(self.data)
            self._after.intensity[self.country].set_value(intensity)
            self.known[intensity] = self._level(self._after, f"at intensity {intensity:.10g}")
        return self.known[intensity]

    def change(self, criterion: str, intensity: float) -> float:
        """After minus before, EUR."""
        return self.after(intensity).criteria[criterion] - self.before().criteria[criterion]

    def criteria(self) -> list[str]:
        """The criteria that this way to state the market has."""
        return [name for name in (COUNTRY, MARKET, TOTAL, CONSUMERS) if name in self.before().criteria]

    def threshold(self, criterion: str) -> Threshold:
        """The largest intensity up to which the criterion holds: a number, none or unbounded."""
        slope = self.slope()
        return threshold(lambda g: self.change(criterion, g), 0.0, slope / 2, FARTHEST * slope, xtol=1e-13 * slope)

    def slope(self) -> float:
        """Largest slope of the country's demand line over the hours, EUR/MWh/MW: the scale of intensities."""
        lines = explicit(self.data).tables["elastic_demand"]["slope"]
        return float(lines[lines.index.get_level_values("country") == self.country].max())

    def _build(self, data: Data) -> Any:
        structure = self.data.market.structures[self.variant.structure]
        return structure.build(data, demand="after", **self.variant.options)

    def _level(self, model: Any, where: str) -> Level:
        solution = solve(model)
        self.solved += 1
        if solution.certificate.verdict not in ("certified", "rule"):
            verdict = f"{solution.certificate.verdict}: {solution.certificate.scope}"
            raise NotCertified(f"{self.country}, {self.variant.name}, {where}: {verdict}")
        return seen_from(model, self.country)


def seen_from(model: Any, n: str) -> Level:
    """What a solved model says of country n."""
    criteria = {
        COUNTRY: parts.country_welfare(model, n),
        TOTAL: sum(parts.country_welfare(model, m) for m in model.country),
        CONSUMERS: parts.consumer_surplus(model, n),
    }
    if model.split:
        criteria[MARKET] = parts.market_welfare(model, n)
    consumption = {h: float(pyo.value(model.consumption[n, h])) for h in model.hour}
    made = {h: parts.output(model, n, h) + float(pyo.value(inputs.lost(model, n, h))) for h in model.hour}
    return Level(
        criteria,
        consumption,
        {h: float(pyo.value(model.price[n, h])) for h in model.hour},
        {h: float(pyo.value(parts.retail_price(model, n, h))) for h in model.hour},
        {h: made[h] - consumption[h] for h in model.hour},
    )


def found(one: Threshold) -> bool:
    """Whether the threshold is a number."""
    return one.answer == FOUND
