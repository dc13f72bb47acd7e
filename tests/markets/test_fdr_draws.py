"""Random markets: every structure is certified, agrees with theory worked out again, and obeys the corrected
propositions.

Deviations of loads are measured against the energy S, of money against the cost or the bill. Claims that are weak
inequalities get that same slack, strict ones are asked for where theory puts the two numbers apart by more than it.
"""

from __future__ import annotations

from itertools import pairwise

import fdr_reference as again
import numpy as np
import pytest
from fdr_reference import Setup
from fdr_solved import Outcome

from equilibrium import certificate
from equilibrium.uniqueness import Uniqueness
from models.fdr_structures import closed_form, theory

TOLERANCE = 1e-7
SEED = 20230703
FEW = 200  # draws of the normal run; they have few aggregators more often, to be quick
MODES = ("below", "above", "small", "anywhere", "at")  # where the DSO's share lies, relative to L-hat


def draw(number: int) -> tuple[Setup, int, bool]:
    """(market, number of aggregators, whether all structures see demand net of the generator) of one random draw."""
    rng = np.random.default_rng((SEED, number))
    sigma = (0.0, float(rng.uniform(0, 1)), 1.0 if number % 15 == 2 else float(rng.uniform(0, 1)))[number % 3]
    x1 = rng.uniform(0.02, 20)
    x2 = x1 + rng.uniform(0.005, 10)
    S = rng.uniform(0.02, 10)
    a = 0.0 if rng.random() < 0.5 else rng.uniform(0.1, 50)
    b = 10 ** rng.uniform(-2, 1)
    y = rng.uniform(0, x1 / 2)
    A = int(rng.integers(2, 12)) if number >= FEW else min(11, 1 + int(rng.geometric(0.7)))
    weights = rng.random(A) ** rng.choice([1, 4])
    weights[0] *= rng.choice([1.0, 1e-3])
    shares = tuple(float(w) for w in weights / weights.sum())
    netted = bool(rng.integers(2))
    m = Setup(sigma, x1, x2, S, a, b, 0.5, y, shares)
    hat = again.threshold(m.net() if netted else m)
    mode = MODES[number % len(MODES)]
    if mode in ("above", "at") and hat > 0.999:
        mode = "below"
    L = {
        "below": hat * rng.uniform(0.05, 0.999),
        "above": hat + (1 - hat) * rng.uniform(0.001, 0.98),
        "small": rng.uniform(0.005, 0.4),
        "anywhere": rng.uniform(0.01, 0.99),
        "at": hat,
    }[mode]
    return Setup(sigma, x1, x2, S, a, b, float(L), y, shares), A, netted


def examine(number: int) -> tuple[dict[str, float], list[str]]:
    """(largest deviation from theory by structure, everything that is wrong) of one draw."""
    gross, A, netted = draw(number)
    m, net = (gross.net() if netted else gross), gross.net()
    word = "yes" if netted else "no"
    wrong: list[str] = []
    off: dict[str, float] = {}

    def hold(claim: str, *true: bool) -> None:
        if not all(true):
            wrong.append(claim)

    def solved(structure: str, want: float, on: Setup, **options: object) -> Outcome:
        found = Outcome(gross, structure, **options)
        hold(f"{structure} is certified ({found.certificate.scope})", found.certificate.ok)
        said = closed_form(found.data, structure, options)
        values = {(q, i): v for q, i, v, _ in said.itertuples(index=False)}
        p1, p2 = on.P(on.x1 + want), on.P(on.x2 + on.S - want)
        away = max(
            abs(found.s - want) / m.S,
            abs(found.prices[0] - p1) / abs(p2),
            abs(found.prices[1] - p2) / abs(p2),
            abs(found.cost - on.K(want)) / abs(on.K(want)),
        )
        off[structure] = max(off.get(structure, 0.0), away)
        hold(f"{structure} agrees with theory: off by {away:.1e}", away <= TOLERANCE)
        theirs = values["flexible load", "period=off-peak"]
        hold(f"theory.py on {structure}: {theirs} against {want}", abs(theirs - want) <= TOLERANCE * m.S)
        for name, load in found.loads.items():
            said = values["flexible load", f"aggregator={name};period=off-peak"]
            hold(f"{structure}: load of {name} is {load}, theory {said}", abs(load - said) <= TOLERANCE * m.S)
        books = found.accounts()
        payments = books[books["item"] != "cost"]["value"]
        hold(f"{structure}: payments cancel", abs(payments.sum()) <= 1e-9 * payments.abs().max())
        return found

    half, tiny = m.S / 2, 1e-9 * m.S
    best, dso, total = again.efficient(m), again.monopoly(m), again.symmetric(m, A)
    planner = solved("efficient", best, m, netted=word)
    market = solved("price_taking", best, m, netted=word)
    passive = solved("passive", half, m, netted=word)
    one = solved("dso_aggregator", dso, m, netted=word)
    several = solved("cournot", total, m, netted=word, aggregators=A)
    more = solved("cournot", again.symmetric(m, A + 1), m, netted=word, aggregators=A + 1)
    loads = again.unequal(m, gross.shares)
    apart = solved("shares", sum(loads), m, netted=word)
    own = again.unequal(m, [gross.L, *[(1 - gross.L) / (A - 1)] * (A - 1)])
    solved("mixed_own_dispatch", sum(own), m, netted=word, aggregators=A)
    d, r = again.dispatched(m)
    mixed = solved("mixed_dso_dispatch", d + r, m, netted=word)
    s_I = again.generator(net)
    integrated = solved("generator_aggregator", s_I, net)
    alone = again.monopoly(net)
    paid = solved("regulated", best, m, netted=word)
    solved("regulated_generator", again.efficient(net), net)

    named = zip(apart.loads.values(), loads, strict=True)
    hold("loads of unequal aggregators", *(abs(found - said) <= TOLERANCE * m.S for found, said in named))
    # Lemma 1 and Corollary 1: half the swing is levelled, or all of S is off-peak; prices are equal unless S is small.
    hold("Lemma 1", abs(planner.s - min(m.S, (m.S + m.D) / 2)) <= TOLERANCE * m.S)
    gap = planner.prices[1] - planner.prices[0]
    hold("Lemma 1, prices", gap > 0 if m.D > m.S * (1 + 1e-6) else abs(gap) <= 1e-7 * planner.prices[1] or m.D > m.S)
    hold("Corollary 1", abs(market.s - planner.s) <= TOLERANCE * m.S, planner.s > half)
    # Proposition 1; Proposition 2 and Corollary 2: the monopoly shifts too little, and the peak price stays above.
    hold("Proposition 1", passive.s == pytest.approx(half, rel=1e-12), passive.cost > planner.cost)
    hold("Proposition 2", half < one.s <= planner.s + tiny)
    hold("Corollary 2", one.prices[1] > one.prices[0])
    # Proposition 3, corrected (E1): more aggregators shift strictly more as long as some energy is left in the peak.
    hold("Proposition 3", one.s <= several.s + tiny, several.s <= more.s + tiny, more.s <= planner.s + tiny)
    if total < m.S * (1 - 1e-6):
        hold("Proposition 3, strict", several.s < more.s)
        step = 1e-4 * A
        slope = (again.symmetric(m, A + step) - again.symmetric(m, A - step)) / (2 * step)
        hold("Proposition 3, sign of ds/dA", slope > 0)
    # (E5) shares do not matter while nobody is at its bound, else the total is lower; own dispatch alike.
    caps = [load >= L * m.S * (1 - 1e-9) for load, L in zip(loads, gross.shares, strict=True)]
    same = abs(apart.s - again.symmetric(m, len(gross.shares))) <= TOLERANCE * m.S
    hold("unequal shares", same if not any(caps) else apart.s <= again.symmetric(m, len(gross.shares)) + tiny)
    # Proposition 4: rivals take nothing off-peak, own load above half of the own energy, L-hat separates.
    T, hat = gross.L * m.S, again.threshold(m)
    hold("Proposition 4", r == 0, abs(mixed.loads["rivals"]) <= tiny, mixed.loads["dso"] > T / 2)
    hold("L-hat is a share", 0.5 <= hat < 1)
    hold("theory.py on L-hat", abs(theory.threshold_share(theory.setting(mixed.data, netted)) - hat) <= 1e-12)
    if abs(gross.L - hat) <= 1e-12:
        hold("at L-hat the load is half", abs(mixed.s - half) <= TOLERANCE * m.S)
    elif abs(gross.L - hat) > 1e-5:
        hold("L-hat separates", (mixed.s < half) == (hat > gross.L))
    # Proposition 5 on net demand: the generator shifts less than the DSO, strictly if supply is curved and y > 0.
    hold("Proposition 5", half < integrated.s <= alone + tiny)
    bend = net.gain(alone, alone - m.y, m.S - alone - m.y)  # the generator's g where the DSO's is zero: (P1' - P2') y
    if bend < -1e-5 * net.dP(net.x2) * m.S:
        hold("Proposition 5, strict", integrated.s < alone - tiny)
    if m.sigma == 0:
        hold("Proposition 5, linear supply", abs(integrated.s - alone) <= TOLERANCE * m.S)
    # Proposition 6 on one residual demand: loads rise and costs fall along the ranking.
    chain = [*([mixed] if hat > gross.L else []), passive, *([integrated] if netted else []), one, several, planner]
    hold("Proposition 6, loads", *(u.s <= v.s + TOLERANCE * m.S for u, v in pairwise(chain)))
    hold("Proposition 6, costs", *(u.cost >= v.cost * (1 - 1e-12) for u, v in pairwise(chain)))
    # Proposition 7: the payment implements the efficient load, is zero there, and leaves (p2 - p1)(s - S/2) >= 0.
    money = abs(planner.cost)
    profit = paid.payoff("aggregator")
    left = (planner.prices[1] - planner.prices[0]) * (planner.s - half)
    hold("Proposition 7", abs(profit - left) <= TOLERANCE * money)
    hold("Proposition 7, profit", profit >= -1e-9 * money)
    at = theory.payment(theory.setting(paid.data, netted), half)
    hold("Proposition 7, R as an integral", abs(at - again.payment(m, half)) <= 1e-9 * money)
    books = paid.accounts()
    hold("Proposition 7, R = 0", (books[books["item"] == "regulatory payment"]["value"].abs() <= 1e-9 * money).all())
    return off, wrong


@pytest.fixture
def no_uniqueness(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what the certificate says on uniqueness, which nothing here asks for and takes half of the time."""
    told = Uniqueness("not proved", "not proved", "not examined")
    monkeypatch.setattr(certificate, "examine", lambda *_: told)


def chunk(first: int, size: int) -> None:
    found = {number: examine(number)[1] for number in range(first, first + size)}
    assert not any(found.values()), "\n".join(f"draw {n} {draw(n)}: {w}" for n, w in found.items() if w)


@pytest.mark.usefixtures("no_uniqueness")
@pytest.mark.parametrize("first", range(0, FEW, 10))
def test_random_markets_agree_with_theory(first: int) -> None:
    chunk(first, 10)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(FEW, FEW + 2000, 50))
def test_many_more_random_markets(first: int) -> None:
    chunk(first, 50)
