"""Tables across the alternatives of a case: the comparison, formulas with the reason where they fail, warnings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from . import accounts, study, theory


def tables(solved: Sequence[Any]) -> dict[str, pd.DataFrame]:
    """``comparison`` (shown at the end of a run), ``formulas``, ``critical`` numbers of firms, ``warnings``."""
    return {
        "comparison": comparison(solved),
        "formulas": formulas(solved),
        "critical": critical(solved),
        "warnings": warnings(solved),
    }


def comparison(solved: Sequence[Any]) -> pd.DataFrame:
    """One row an alternative: power built by all owners, profit, welfare and its change, over- or under-invested."""
    owners = {_family(one): _power(one) for one in solved if one.alternative.structure.startswith("welfare")}
    days = any(len(one.model.period) > 2 for one in solved)  # in the source's two periods one size is both
    rows = []
    for one in solved:
        power = _power(one)
        # In two periods a schedule and the source's form are the same investment.
        target = owners.get(_family(one), owners.get(False) if len(one.model.period) == 2 else None)
        rows.append(
            {
                "alternative": one.alternative.name,
                "power [GW]": power,
                **({"energy [GWh]": _total(one, "storage energy")} if days else {}),
                "storage profit [kEUR]": _total(one, "storage profit"),
                "welfare [kEUR]": one.value("welfare"),
                "change [kEUR]": one.value("welfare change"),
                "against the welfare owner": _word(one, power, target),
            }
        )
    return pd.DataFrame(rows)


def _family(one: Any) -> bool:
    return bool(one.alternative.structure.endswith("schedule"))


def _power(one: Any) -> float:
    return _total(one, "storage power")


def _total(one: Any, quantity: str) -> float:
    """Over all owners."""
    return float(one.values[one.values["quantity"] == quantity]["value"].sum())


def _word(one: Any, power: float, target: float | None) -> str:
    builds = accounts.blocks(one.model) and one.model.component("table_power") is None
    if target is None or not builds or not accounts.costly(one.model) or "planner" in one.alternative.structure:
        return ""
    if abs(power - target) <= 1e-7 * max(power, target):
        return "the same"
    return "over-invested" if power > target else "under-invested"


def formulas(solved: Sequence[Any]) -> pd.DataFrame:
    """One row an alternative that has a formula: the number that it gives, as printed and as solved, and whether it
    holds or which assumption fails."""
    rows = []
    for one in solved:
        structure = one.alternative.structure
        s = theory.setting(one.data)
        if isinstance(s, str):
            if structure in theory.COVERED:
                rows.append({"alternative": one.alternative.name, "formula holds": s})
            continue
        found = theory.formula(one.data, s, structure, one.alternative.options)
        if found is None:
            continue
        rows.append(
            {
                "alternative": one.alternative.name,
                "number": found.quantity,
                "formula": found.value,
                "solved": one.value(found.quantity, "owner=1"),
                "formula holds": theory.holds(s, structure, found),
            }
        )
    return pd.DataFrame(rows)


def critical(solved: Sequence[Any]) -> pd.DataFrame:
    """Critical numbers of firms and cost slope, from equilibria beside their formulas, where these are defined."""
    s = theory.setting(solved[0].data)
    return pd.DataFrame() if isinstance(s, str) else study.nearby(solved[0].data, s)


def warnings(solved: Sequence[Any]) -> pd.DataFrame:
    """Columns alternative, warning: what must be known of an answer before it is used, and which assumption of the
    source's closed form fails, where one does."""
    rows = [(one.alternative.name, text) for one in solved for text in accounts.warnings(one.model)]
    for row in formulas(solved).to_dict("records"):
        verdict, _, reason = row["formula holds"].partition(": ")
        if verdict == "not valid":
            rows.append((row["alternative"], f"the source's closed form does not hold: {reason}"))
    return pd.DataFrame(rows, columns=["alternative", "warning"])
