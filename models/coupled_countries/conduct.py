"""Who owns which plants, and how a firm believes that it moves prices.

A firm f with conjecture theta in market m maximises its profit at the price

    lam_m - theta (d_m + gamma_m) (sales of everybody in m - Q_m),

where lam_m, the consumption Q_m and all other sales are given. The wholesale price that makes consumers take one more
MWh falls by d_m + gamma_m (gamma placed on demand), so the firm expects a share theta of that fall for every MWh beyond
what is consumed. At an equilibrium sales equal consumption and the price is lam_m; the slope that the firm sees adds
theta (d_m + gamma_m) S_fm to its marginal cost, S_fm its own sales there (the term theta d_m S_fm of the conjectural
variation, corrected for the demand response that consumers pay).

theta = 0 is price taking. At theta = 1 the price above is the inverse demand at the sum of all sales wherever somebody
consumes, so the firm's problem with its rivals' sales given is Cournot's, and a regret of zero is a Nash equilibrium's.
Between, it is an equilibrium in conjectures: nobody gains by any deviation if the price moves as the firm believes.

Added over firms the terms are the derivatives of theta (d + gamma) S^2/2, so the equilibrium is that of one convex
programme, and S_fm is unique where theta > 0. Link prices are taken as given by everybody.

Not defined, and refused by name: a conjecture towards inelastic demand (no slope), and with netted trade (no sales by
destination).

Source: the extension that the paper names in its conclusion; theta as in the conjectural-variation models of strategic
generators.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyomo.environ as pyo

from equilibrium.errors import Fault, Refused

TAKING = "price_taking"


def holdings(model: pyo.ConcreteModel, data: Any) -> dict[str, dict[str, list[str]]]:
    """Plants by firm and country. A plant without a named owner belongs to the firm called like its country."""
    named = dict(data.tables["plants"].get("firm", {})) if "plants" in data.tables else {}
    held: dict[str, dict[str, list[str]]] = {}
    for n in model.country:
        for t in model.plants[n]:
            held.setdefault(named.get((n, t)) or n, {}).setdefault(n, []).append(t)
    return {f: held[f] for f in sorted(held)}


def conjectures(data: Any, conduct: str) -> list[tuple[str, str]]:
    """(firm, market) with a conjecture; none where everybody takes prices."""
    return list(data.tables["conjectures"].index) if "conjectures" in data.tables and conduct != TAKING else []


def check(data: Any) -> list[Fault]:
    """Rows of conjectures.csv for a firm without plants, or for a market in which the firm cannot sell."""
    if "conjectures" not in data.tables:
        return []
    named = data.tables["plants"].get("firm", {})
    links = set(data.tables["links"].index) if "links" in data.tables else set()
    reached: dict[str, set[str]] = {}
    for n, t in data.tables["plants"].index:
        reached.setdefault(named.get((n, t)) or n, set()).update({n} | {m for k, m in links if k == n})
    faults = []
    for f, m in data.tables["conjectures"].index:
        if f not in reached:
            faults.append(
                Fault("conjectures.csv", "no plant of this firm", None, "firm", f, ", ".join(sorted(reached)))
            )
        elif m not in reached[f]:
            faults.append(Fault("conjectures.csv", f"{f} does not sell there", None, "country", m))
    return faults


def perceived_prices(model: pyo.ConcreteModel, data: Any, conduct: str, supplied: Callable[[str, int], Any]) -> None:
    """``perceived_price[f, m, h]`` for every firm with a conjecture towards market m, in EUR/MWh. Raises Refused where
    demand there is inelastic in some hour."""
    rows = conjectures(data, conduct)
    for f, m in rows:
        rigid = [h for h in model.hour if h not in model.elastic[m]]
        if rigid:
            raise Refused(
                f"firm {f} has a conjecture towards {m}, where demand is inelastic in hour {rigid[0]}: there is no "
                f"slope by which it could move the price; leave the row out of conjectures.csv, or choose conduct "
                f"'{TAKING}'"
            )
    if rows:
        model.conjecture = data.param("conjectures", "conjecture")

    def price(model: Any, f: str, m: str, h: int) -> Any:
        slope = model.fall[m, h] + model.gamma["demand", m]
        return model.price[m, h] - model.conjecture[f, m] * slope * (supplied(m, h) - model.consumption[m, h])

    model.perceived_price = pyo.Expression(rows, model.hour, rule=price)


def refuse_netted(data: Any, conduct: str) -> None:
    """Raise Refused for conjectures where plants sell at home and others trade."""
    if conjectures(data, conduct):
        raise Refused(
            "conjectures are about sales by destination, which netted trade does not have; choose the structure "
            f"'joint' or 'separable', or conduct '{TAKING}'"
        )


def strategic(model: Any) -> list[tuple[str, str]]:
    """(firm, market) with a conjecture above zero in this model."""
    if not model.by_destination:
        return []
    found = {(f, m) for f, m, _ in model.perceived_price}
    return sorted((f, m) for f, m in found if pyo.value(model.conjecture[f, m]) > 0)
