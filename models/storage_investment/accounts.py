"""What is reported of a solved structure: investment, operation, prices, outputs, welfare, and who pays whom."""

from __future__ import annotations

from functools import lru_cache, reduce
from typing import Any

import pandas as pd
import pyomo.environ as pyo

from equilibrium import solve
from equilibrium.errors import NotCertified
from equilibrium.scenarios import larger, smaller

from .setting import firm, no_storage

TINY = 1e-9  # consumption below minus this part of the largest is called negative


def blocks(model: Any) -> list[Any]:
    """The storage Blocks, owner by owner; none where there is no storage."""
    host = model if model.component("storage") is not None else model.component("planner")
    return [] if host is None or host.component("storage") is None else list(host.storage.values())


def owned(model: Any) -> list[tuple[Any, Any]]:
    """(owner, its storage Block), owner by owner."""
    return list(zip(model.owners, blocks(model), strict=True)) if blocks(model) else []


def operation(model: Any, block: Any) -> Any:
    """The Block that decides a storage's operation: its own, or the operator's."""
    return model.operator if model.component("operator") is not None else block


def size(model: Any, block: Any) -> Any:
    """Power built or installed, GW (the two-period size, in discharged GWh of one hour)."""
    for name in ("size", "power"):
        if block.component(name) is not None:
            return pyo.value(block.component(name))
    return pyo.value(model.installed_power)


def energy(model: Any, block: Any, used: Any) -> Any:
    """Energy built or installed, GWh of discharge; what is used where more would cost nothing."""
    if block.component("energy") is None:
        return pyo.value(model.installed_energy)
    return pyo.value(block.energy) if pyo.value(model.energy_cost) else used


def quantities(solved: Any) -> pd.DataFrame:
    """Columns quantity, index, value, unit: every reported number of one alternative."""
    model = solved.model
    rows: list[tuple[str, str, float, str]] = []
    for i, block in owned(model):
        rows += _storage(model, block, i)
    rows += _bounds(solved)
    for t in model.period:
        rows.append(("storage net output", f"period={t}", pyo.value(model.injection[t]), "GWh"))
        rows.append(("output", f"period={t}", pyo.value(model.generation[t]), "GWh"))
        rows.append(("consumption", f"period={t}", pyo.value(model.consumption[t]), "GWh"))
        rows.append(("price", f"period={t}", pyo.value(model.price[t]), "EUR/MWh"))
    for f in model.firms:
        rows += [("output", f"firm={f};period={t}", pyo.value(firm(model, f).output[t]), "GWh") for t in model.period]
        rows.append(("firm profit", f"firm={f}", _firm_profit(model, f), "kEUR"))
    if not negative(model):
        surplus = sum(pyo.value(model.benefit[t] - model.price[t] * model.consumption[t]) for t in model.period)
        rows.append(("consumer surplus", "", surplus, "kEUR"))
    welfare = pyo.value(model.welfare if model.component("welfare") is not None else model.surplus)
    rows.append(("welfare", "", welfare, "kEUR"))
    rows.append(("welfare change", "", welfare - baseline(_Key(solved.data)), "kEUR"))
    return pd.DataFrame(rows, columns=["quantity", "index", "value", "unit"])


def _storage(model: Any, block: Any, i: Any) -> list[tuple[str, str, float, str]]:
    """Size, use, profit before policy (trade minus investment) of owner i."""
    decided = operation(model, block)
    trade = sum(pyo.value(model.price[t] * decided.injection[t]) for t in model.period)
    rows = [("storage power", f"owner={i}", size(model, block), "GW")]
    if decided.component("discharged") is not None:
        rows.append(("discharged energy", f"owner={i}", pyo.value(decided.discharged), "GWh"))
    else:
        levels = [pyo.value(decided.level[t]) for t in model.period]
        used = reduce(larger, levels) - reduce(smaller, levels)
        rows.append(("storage energy", f"owner={i}", energy(model, block, used), "GWh"))
        rows.append(("energy used", f"owner={i}", used, "GWh"))
        twice = [smaller(pyo.value(decided.charge[t]), pyo.value(decided.discharge[t])) for t in model.period]
        both = reduce(larger, twice)
        rows.append(("simultaneous charge and discharge", f"owner={i}", both, "GWh"))
        for name in ("charge", "discharge"):
            schedule = decided.component(name)
            rows += [(name, f"owner={i};period={t}", pyo.value(schedule[t]), "GWh") for t in model.period]
    rows.append(("storage profit", f"owner={i}", trade - pyo.value(block.investment), "kEUR"))
    return rows


def _bounds(solved: Any) -> list[tuple[str, str, float, str]]:
    """What each owner that moves first maximises (profit with its subsidy, or welfare), and what no decision of it can
    exceed while the others keep theirs."""
    owner = {block.name: i for i, block in owned(solved.model)}
    rows = []
    for _, row in solved.solution.leaders.iterrows():
        index = f"owner={owner[row['leader']]}"
        rows.append(("payoff", index, row["payoff"], "kEUR"))
        rows.append(("proved bound on payoff", index, row["bound"], "kEUR"))
    return rows


def _firm_profit(model: Any, f: Any) -> Any:
    revenue = sum(pyo.value(model.price[t] * firm(model, f).output[t]) for t in model.period)
    return revenue - pyo.value(model.production_cost[f])


def negative(model: Any) -> list[Any]:
    """Periods in which consumption is negative: the inverse demand is then meaningful only for net demand."""
    consumption = {t: pyo.value(model.consumption[t]) for t in model.period}
    largest = reduce(larger, map(abs, consumption.values()))
    return [t for t, v in consumption.items() if v < -TINY * largest]


def costly(model: Any) -> bool:
    """Whether any size costs something."""
    return any(pyo.value(getattr(model, name)) for name in ("power_cost", "energy_cost", "quadratic_cost"))


def warnings(model: Any) -> list[str]:
    """What the reader must know of an answer, in words."""
    found = [
        f"consumption is negative in {t}: the answer is meaningful only if demand is net of output that must run; "
        "welfare is right up to a constant, consumer surplus is not reported"
        for t in negative(model)
    ]
    if blocks(model) and model.component("table_power") is None and not costly(model):
        found.append(
            "size costs nothing: any size that holds what is used is an answer, the one reported is one of them"
        )
    for i, block in owned(model):
        decided = operation(model, block)
        if decided.component("discharged") is None:
            largest = max(pyo.value(decided.charge[t]) + pyo.value(decided.discharge[t]) for t in model.period)
            for t in model.period:
                if min(pyo.value(decided.charge[t]), pyo.value(decided.discharge[t])) > 1e-6 * largest:
                    found.append(
                        f"owner {i} charges and discharges at once in {t}: no such schedule can be operated; "
                        "modes=exclusive excludes it"
                    )
    return found


def accounts(solved: Any) -> pd.DataFrame:
    """Columns party, item, value, unit. Payments (positive: received) between parties add up to zero; benefit and cost
    are real resources."""
    model = solved.model
    price = {t: pyo.value(model.price[t]) for t in model.period}
    rows: list[tuple[str, str, float, str]] = [
        ("consumers", "payment", -sum(price[t] * pyo.value(model.consumption[t]) for t in price), "kEUR"),
        ("consumers", "benefit", sum(pyo.value(model.benefit[t]) for t in price), "kEUR"),
        ("must-run output", "payment", sum(price[t] * pyo.value(model.must_run[t]) for t in price), "kEUR"),
    ]
    for f in model.firms:
        block = firm(model, f)
        sold = sum(price[t] * pyo.value(block.output[t]) for t in price)
        rows.append((f"firm {f}", "payment", sold, "kEUR"))
        rows.append((f"firm {f}", "cost", -pyo.value(model.production_cost[f]), "kEUR"))
        charge = pyo.value(block.charge) if block.component("charge") is not None else 0.0
        if charge:
            rows += [
                (f"firm {f}", "ramping payment", -charge, "kEUR"),
                ("regulator", "ramping payment", charge, "kEUR"),
            ]
    for i, block in owned(model):
        decided = operation(model, block)
        traded = sum(price[t] * pyo.value(decided.injection[t]) for t in price)
        rows.append((f"storage owner {i}", "payment", traded, "kEUR"))
        rows.append((f"storage owner {i}", "cost", -pyo.value(block.investment), "kEUR"))
        paid = pyo.value(block.subsidy) if block.component("subsidy") is not None else 0.0
        if paid:
            rows.append((f"storage owner {i}", "subsidy payment", paid, "kEUR"))
            rows.append(("regulator", "subsidy payment", -paid, "kEUR"))
    return pd.DataFrame(rows, columns=["party", "item", "value", "unit"])


class _Key(tuple):
    """Periods and firms of some data, hashable, with the data alongside: the market without storage is solved once."""

    def __new__(cls, data: Any) -> _Key:
        numbers = (
            tuple(data.tables[name].drop(columns="source", errors="ignore").itertuples())
            for name in ("periods", "firms")
        )
        item = super().__new__(cls, numbers)
        item.data = data  # type: ignore[attr-defined]
        return item


@lru_cache(maxsize=64)
def baseline(key: Any) -> Any:
    """Welfare without storage, solved and certified, kEUR. Raises NotCertified where it is not certified."""
    model = no_storage(key.data)
    solution = solve(model)
    if not solution.certificate.ok:
        raise NotCertified(f"the market without storage is not certified: {solution.certificate.scope}")
    return pyo.value(model.surplus)
