"""Random markets with market power in generation: closed forms for linear supply, whether the mixed market has an
equilibrium, and whether integration is cheaper, each held against certified answers of the machinery."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import pyomo.environ as pyo
import pytest
from fdr_periods import periods
from fdr_power import Power, draw

from equilibrium import Solution, solve
from models.fdr_structures import market

CLOSE = 1e-8
FEW = 100
EDGE = 1e-7
"""Draws nearer to an edge than this part of the money at stake are not asked on which side they lie."""


def solved(p: Power, structure: str, **options: Any) -> tuple[Any, Solution]:
    m = p.m
    data = periods(
        [m.x1, m.x2],
        [(p.psi1, p.psi2)],
        flexible_energy=m.S,
        cost_power=m.b,
        cost_exponent=m.sigma,
        dso_share=m.L,
    )
    stated = market.structures[structure]
    model = stated.build(data, **options)
    return model, solve(model, branches_of=stated.branches)


def load(model: Any) -> float:
    return float(pyo.value(model.flexible_load[model.period.first()]))


def generated(model: Any) -> tuple[float, float]:
    first, second = (float(pyo.value(model.generation[g, t])) for g in model.generators for t in model.period)
    return first, second


def shift(p: Power, timing: str, A: int) -> float:
    """sigma = 0, generator active in both periods: how far the load off-peak is above S/2, at most S/2."""
    m, beta = p.m, 2 * p.m.b
    phi = (beta + p.psi2) / (2 * beta + p.psi2)
    e = {
        "N": phi * A * m.D / (2 * (1 + phi * A)),
        "L": A * m.D / (2 * (A + 1)),
        "H": (phi * m.D - (1 - phi) * m.S / (2 * A)) / (2 * phi + (1 + phi) / A),
    }[timing]
    return min(max(e, -m.S / 2), m.S / 2)


def examine(number: int) -> tuple[Counter[str], list[str]]:
    """(what the draw has shown, everything that is wrong)."""
    p, wrong, seen = draw(number), [], Counter[str]()
    m, linear = p.m, p.m.sigma == 0

    def hold(claim: str, true: bool) -> None:
        if not true:
            wrong.append(claim)

    def close(claim: str, found: float, want: float, size: float) -> None:
        hold(f"{claim}: {found!r} against {want!r}", abs(found - want) <= CLOSE * size)

    def answer(structure: str, **options: Any) -> Any:
        model, solution = solved(p, structure, **options)
        hold(f"{structure} {options} is certified: {solution.certificate.scope}", solution.certificate.ok)
        return model

    A = 2 + number % 3
    for structure, a, options in (("strategic_dso", 1, {}), ("strategic_cournot", A, {"aggregators": A})):
        model = answer(structure, **options)
        s = p.nash(a)
        close(f"{structure} at once", load(model), s, m.S)
        close(f"{structure} cost", pyo.value(model.system_cost), p.cost(s, p.outputs(s)), p.cost(s, p.outputs(s)))
        if a == 1:
            separate = model
    active = min(p.outputs(0.0) + p.outputs(m.S)) > 0
    whole = answer("integrated")
    if linear and active:
        seen["closed forms"] += 1
        for timing in ("N", "L", "H"):
            model = separate if timing == "N" else answer("strategic_dso", timing=timing)
            close(f"closed form {timing}", load(model), m.S / 2 + shift(p, timing, 1), m.S)
            if timing == "L":
                leading = model
        integration(p, whole, leading, seen, hold, close)
    elif not linear:
        seen["curved"] += 1
    mixed(p, seen, hold, close)
    return seen, wrong


def integration(p: Power, whole: Any, leading: Any, seen: Counter[str], hold: Any, close: Any) -> None:
    """The integrated firm: e = D/4 and its outputs; cheaper than separate firms (aggregator leading) if and only if
    phi (s1^2 + s2^2) < 2 (s1 Y1 + s2 Y2)."""
    m, beta = p.m, 2 * p.m.b
    s = m.S / 2 + min(m.D / 4, m.S / 2)
    y = tuple(
        (beta * (X + own) - p.psi1) / (2 * beta + p.psi2) for X, own in ((m.x1 + s, s), (m.x2 + m.S - s, m.S - s))
    )
    inside = m.D < 2 * m.S and min(y) > 0 and y[0] < m.x1 + s and y[1] < m.x2 + m.S - s
    if not inside:
        return
    want = p.cost(s, (y[0], y[1]))
    close("integrated, cost", pyo.value(whole.system_cost), want, want)
    if p.psi2 > 1e-3 * beta:  # else the load is hardly determined, or not at all
        close("integrated, load", load(whole), s, m.S)
    phi = (beta + p.psi2) / (2 * beta + p.psi2)
    own = (s, m.S - s)
    Y = generated(leading)
    margin = 2 * (own[0] * Y[0] + own[1] * Y[1]) - phi * (own[0] ** 2 + own[1] ** 2)
    saved = float(pyo.value(leading.system_cost) - pyo.value(whole.system_cost))
    if abs(margin) <= EDGE * m.S**2 or abs(saved) <= EDGE * want:
        return
    seen["integration helps" if margin > 0 else "integration harms"] += 1
    hold(f"integration: margin {margin}, saved {saved}", (margin > 0) == (saved > 0))


def mixed(p: Power, seen: Counter[str], hold: Any, close: Any) -> None:
    """Equilibria of the mixed market: those corners that the DSO does not leave; none where it leaves both."""
    m, leaving = p.m, p.leaving()
    if min(abs(v) for v in leaving) <= EDGE:
        return
    stays = [v < 0 for v in leaving]
    d, y = p.corner(0.0)
    if m.sigma == 0 and min(y) > 0 and min(p.corner((1 - m.L) * m.S)[1]) > 0:
        share = m.b * 2 / (4 * m.b + p.psi2)  # Y'
        hold("condition of existence", stays[0] == (m.D * (1 - share) >= share * (m.S - 2 * d)))
        hold("rivals off-peak are never an equilibrium", not stays[1])
    model, solution = solved(p, "strategic_mixed")
    verdict = solution.certificate.verdict
    seen[f"mixed: {sum(stays)} equilibria"] += 1
    if not any(stays):
        hold(f"mixed: none expected, found {verdict}: {solution.certificate.scope}", verdict == "none")
        return
    if all(stays):
        hold(f"mixed: two expected, found {verdict}", verdict == "several")
        return
    hold(f"mixed: certified expected, found {verdict}: {solution.certificate.scope}", verdict == "certified")
    if verdict == "none":
        return
    r = 0.0 if stays[0] else (1 - m.L) * m.S
    close("mixed, load", load(model), r + p.corner(r)[0], m.S)


@cache
def chunk(first: int, size: int) -> Counter[str]:
    total: Counter[str] = Counter()
    faults = []
    for number in range(first, first + size):
        seen, wrong = examine(number)
        total += seen
        faults += [f"draw {number} {draw(number)}: {one}" for one in wrong]
    assert not faults, "\n".join(faults)
    return total


@pytest.mark.parametrize("first", range(0, FEW, 20))
def test_random_markets_with_a_strategic_generator(first: int) -> None:
    chunk(first, 20)


def test_random_markets_show_every_kind() -> None:
    """Each claim is tried on enough draws, on both sides of its condition."""
    total: Counter[str] = sum((chunk(first, 20) for first in range(0, FEW, 20)), Counter())
    for kind in ("closed forms", "integration helps", "mixed: 0 equilibria", "mixed: 1 equilibria", "curved"):
        assert total[kind] >= 10, total
    assert total["integration harms"] >= 1, total


@pytest.mark.slow
@pytest.mark.parametrize("first", range(FEW, 1000, 50))
def test_many_more_random_markets_with_a_strategic_generator(first: int) -> None:
    chunk(first, 50)


def test_no_equilibrium_with_curved_supply_rests_on_the_theorem_and_says_so() -> None:
    """The first curved draw that leaves both corners; a generator cheaper than the first MWh of the others
    is beyond the theorem, and nothing is claimed."""
    number = next(n for n in range(200) if draw(n).m.sigma > 0 and min(draw(n).leaving()) > 1e-3)
    p = draw(number)
    _, solution = solved(p, "strategic_mixed")
    assert solution.certificate.verdict == "none"
    assert "theory: with rivals' loads given" in solution.certificate.scope
    stated = market.structures["strategic_mixed"]
    m = p.m
    data = periods(
        [m.x1, m.x2],
        [(p.psi1, p.psi2)],
        flexible_energy=m.S,
        cost_linear=p.psi1 * 1.001,
        cost_power=m.b,
        cost_exponent=m.sigma,
        dso_share=m.L,
    )
    beyond = solve(stated.build(data), branches_of=stated.branches)
    assert beyond.certificate.verdict != "none"
