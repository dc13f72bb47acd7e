"""Answers of one structure of the FDR market, checked on the way."""

from __future__ import annotations

from typing import Any

import pytest

from equilibrium.case import Alternative
from equilibrium.data import Data
from equilibrium.results import Solved
from equilibrium.run import solve_one
from models.fdr_structures import market


def answer(data: Data, structure: str, **options: Any) -> Solved:
    """A certified equilibrium that agrees with theory where there is any, and whose payments cancel."""
    assert not market.check(data)
    one = solve_one(market, data, Alternative(structure, structure, options))
    assert one.solution.certificate.ok
    theory = market.closed_form(data, structure, options)
    both = theory.merge(one.values, on=["quantity", "index"], suffixes=(" theory", ""))
    assert len(both) == len(theory)
    assert both["value"].to_numpy() == pytest.approx(both["value theory"].to_numpy(), abs=1e-8)
    books = market.accounts(one)
    real = books["item"] == "cost"
    assert abs(books[~real]["value"].sum()) <= 1e-12
    assert books[real]["value"].sum() == pytest.approx(-one.value("system cost"), rel=1e-12)
    return one
