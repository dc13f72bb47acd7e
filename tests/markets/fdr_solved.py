"""Structures of the FDR market solved through their Pyomo models, as the tests look at them."""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo
from fdr_reference import PERIODS, Setup, data_of

from equilibrium import solve
from equilibrium.case import Alternative
from equilibrium.results import Solved
from models.fdr_structures import accounts, market


class Outcome:
    """One certified (or not) structure: off-peak load, prices, cost, loads by aggregator, payoffs, accounts."""

    def __init__(self, m: Setup, structure: str, **options: Any) -> None:
        self.data, self.structure, self.options = data_of(m), structure, options
        stated = market.structures[structure]
        self.model = stated.build(self.data, **options)
        self.solution = solve(self.model, branches_of=stated.branches)
        self.certificate = self.solution.certificate

    @property
    def ok(self) -> bool:
        return self.certificate.ok

    @property
    def s(self) -> float:
        return float(pyo.value(self.model.flexible_load[PERIODS[0]]))

    @property
    def prices(self) -> tuple[float, float]:
        return tuple(float(pyo.value(self.model.price[t])) for t in PERIODS)

    @property
    def cost(self) -> float:
        return float(pyo.value(self.model.system_cost))

    @property
    def loads(self) -> dict[str, float]:
        return {str(name): float(pyo.value(load[PERIODS[0]])) for name, load in accounts.loads(self.model).items()}

    def payoff(self, player: str) -> float:
        found = next(p for p in self.solution.answer.game.players if p.name == player)
        return float(accounts.payoff(found))

    def accounts(self) -> Any:
        alternative = Alternative(self.structure, self.structure, self.options)
        return accounts.accounts(Solved(alternative, self.data, self.model, self.solution))


def off_peak(m: Setup, structure: str, **options: Any) -> float:
    """Off-peak load of a certified equilibrium."""
    found = Outcome(m, structure, **options)
    assert found.ok, f"{structure} of {m}: {found.certificate.scope}"
    return found.s
