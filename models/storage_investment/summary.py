"""Tables across the alternatives of a case: the comparison, formulas with the reason where they fail, warnings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from . import accounts, theory


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
    rows = []
    for one in solved:
        power = _power(one)
        # In two periods a schedule and the source's form are the same investment.
        target = owners.get(_family(one), owners.get(False) if len(one.model.period) == 2 else None)
        profit = one.values[one.values["quantity"] == "storage profit"]["value"].sum()
        rows.append(
            {
                "alternative": one.alternative.name,
                "power [GW]": power,
                "storage profit [kEUR]": profit,
                "welfare [kEUR]": one.value("welfare"),
                "change [kEUR]": one.value("welfare change"),
                "against the welfare owner": _word(one, power, target),
            }
        )
    return pd.DataFrame(rows)


def _family(one: Any) -> bool:
    return bool(one.alternative.structure.endswith("schedule"))


def _power(one: Any) -> float:
    return float(one.values[one.values["quantity"] == "storage power"]["value"].sum())


def _word(one: Any, power: float, target: float | None) -> str:
    builds = accounts.blocks(one.model) and one.model.component("installed_power") is None
    if target is None or not builds or not accounts.costly(one.model) or "planner" in one.alternative.structure:
        return ""
    if abs(power - target) <= 1e-7 * max(power, target):
        return "the same"
    return "over-invested" if power > target else "under-invested"


def formulas(solved: Sequence[Any]) -> pd.DataFrame:
    """One row an alternative that has a formula: its size as printed and as solved, "valid" or the reason why not."""
    rows = []
    for one in solved:
        if one.alternative.structure not in theory.RULES:
            continue
        s = theory.setting(one.data)
        if isinstance(s, str):
            rows.append({"alternative": one.alternative.name, "formula [GW]": None, "holds": s})
            continue
        owners = len(accounts.blocks(one.model))
        k = theory.formula(s, one.alternative.structure, owners)
        assert k is not None
        rows.append(
            {
                "alternative": one.alternative.name,
                "formula [GW]": k,
                "solved [GW]": one.value("storage power", "owner=1"),
                "holds": s.doubt(theory.RULES[one.alternative.structure], owners * k)
                + (" (negative: zero is built)" if k < 0 else ""),
            }
        )
    return pd.DataFrame(rows)


def critical(solved: Sequence[Any]) -> pd.DataFrame:
    """Critical numbers of firms and cost slope by formula, where they are defined."""
    s = theory.setting(solved[0].data)
    if isinstance(s, str):
        return pd.DataFrame()
    rows = [("K-hat [EUR/MWh/GWh]", s.k_hat(), "the planner builds above it")]
    if s.K == 0:
        rows += [
            ("N-bar [1]", s.n_bar(), "a merchant builds too little below, too much above"),
            ("N-tilde [1]", s.n_tilde(), "a merchant lowers welfare above it"),
            ("N-zero [1]", s.n_zero(), "a merchant builds nothing from here on"),
        ]
    return pd.DataFrame(rows, columns=["number", "formula", "meaning"])


def warnings(solved: Sequence[Any]) -> pd.DataFrame:
    """Columns alternative, warning: what must be known of an answer before it is used."""
    rows = [(one.alternative.name, text) for one in solved for text in accounts.warnings(one.model)]
    return pd.DataFrame(rows, columns=["alternative", "warning"])
