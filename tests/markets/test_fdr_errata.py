"""Claims and formulas of the paper that are wrong as printed, each failing on solved equilibria, and what holds
instead.

Numbers E1, E2, ... are those of the market's list of corrections. S1, S2, S4, S6 are the textbook cases.
"""

from __future__ import annotations

from dataclasses import replace

import fdr_reference as again
import numpy as np
import pytest
from fdr_reference import Setup, data_of
from fdr_solved import Outcome, off_peak
from scipy.optimize import brentq

from equilibrium.data import change
from equilibrium.errors import DataError
from models.fdr_structures import structures

S1 = Setup(0.0, 2.0, 2.6, 1.0, b=0.5, L=0.7, y=0.9)
S2 = Setup(0.0, 2.0, 3.5, 1.0, b=0.5, L=0.4, y=0.9)
S4 = Setup(1.0, 2.0, 2.2, 1.0, b=1 / 3, L=0.7, y=0.9)
S6 = Setup(0.3, 3.0, 4.5, 1.2, b=0.9, L=0.6, y=1.4)
CURVED = Setup(1.0, 2.0, 2.6, 1.0, b=1 / 3, L=0.7, y=0.9)


def test_e1_more_aggregators_do_not_always_shift_more() -> None:
    """Proposition 3(i) says ds/dA > 0 whenever s > 0. It needs s < S: at the corner the load stays."""
    loads = [off_peak(S2, "cournot", aggregators=A) for A in (1, 2, 3, 4)]
    assert loads == pytest.approx([0.875, 1, 1, 1], abs=1e-9)
    assert min(loads) > 0
    assert loads[3] == pytest.approx(loads[2], abs=1e-12)  # printed: strictly larger
    assert loads[0] < S2.S
    assert loads[0] < loads[1]  # corrected: strictly larger below the corner
    assert again.symmetric(S2, 1.5) == pytest.approx(0.95, abs=1e-12)


def test_e2_mixed_market_is_beaten_only_below_the_threshold() -> None:
    """The abstract: no market beats the mixed market. Only if the DSO's share is below L-hat."""
    m = Setup(0.0, 1.0, 1.5, 1.0, b=0.5)
    assert again.threshold(m) == 0.5
    passive = Outcome(m, "passive").cost
    high, low = (Outcome(replace(m, L=L), "mixed_dso_dispatch") for L in (0.75, 0.3))
    assert (high.s, high.cost, passive, low.cost) == pytest.approx((0.5625, 3.09765625, 3.125, 3.265), abs=1e-9)
    assert high.cost < passive < low.cost


def test_e4_above_the_threshold_mixed_may_beat_the_generator() -> None:
    """All on demand net of y: mixed lies between the generator/aggregator and the DSO."""
    generator, dso = off_peak(CURVED, "generator_aggregator"), off_peak(CURVED, "dso_aggregator", netted="yes")
    mixed = [Outcome(replace(CURVED, L=L), "mixed_dso_dispatch", netted="yes") for L in (0.90, 0.95)]
    assert generator == pytest.approx(0.6323529412, abs=1e-9)
    assert [one.s for one in mixed] == pytest.approx([0.6435294118, 0.6555555556], abs=1e-9)
    assert dso == pytest.approx(0.6674418605, abs=1e-9)
    cost = Outcome(CURVED, "generator_aggregator").cost
    assert all(one.ok and one.cost < cost for one in mixed)


def test_e5_own_dispatch_equals_independent_aggregators_only_away_from_bounds() -> None:
    m = Setup(0.0, 1.0, 2.2, 1.0, b=0.5, L=0.9, shares=(0.9, 0.1))
    equal = off_peak(m, "cournot", aggregators=2)
    assert (equal, off_peak(m, "shares"), off_peak(m, "mixed_own_dispatch", aggregators=2)) == pytest.approx(
        (0.9, 0.825, 0.825), abs=1e-9
    )
    inside = replace(m, x2=1.3, L=0.6, shares=(0.6, 0.4))  # nobody at its bound: shares do not matter
    assert off_peak(inside, "mixed_own_dispatch", aggregators=2) == pytest.approx(
        off_peak(inside, "cournot", aggregators=2), abs=1e-12
    )


@pytest.mark.parametrize(
    ("m", "s_I", "netted", "gross"),
    [(S4, 0.543333333333, 0.55641025641, 0.554385964912), (S6, 0.959262491205, 0.986341352707, 0.982707670321)],
    ids=["S4", "S6"],
)
def test_e8_the_dso_to_compare_with_sees_net_demand(m: Setup, s_I: float, netted: float, gross: float) -> None:
    assert off_peak(m, "generator_aggregator") == pytest.approx(s_I, abs=1e-9)
    assert off_peak(m, "dso_aggregator", netted="yes") == pytest.approx(netted, abs=1e-9)
    assert off_peak(m, "dso_aggregator") == pytest.approx(gross, abs=1e-9)
    assert s_I < netted
    # costs on different demand say nothing: the same load costs another amount
    assert Outcome(m, "generator_aggregator").cost < Outcome(m, "efficient").cost


def test_e8_against_gross_demand_the_claim_is_false_for_other_convex_supply(monkeypatch: pytest.MonkeyPatch) -> None:
    """P(q) = q + 0.688 ln(1 + exp((q - 3.4)/0.16)): s_I > s_DSO on x, although s_I < s_DSO on x - y."""
    from pyomo.environ import exp, log

    monkeypatch.setattr(structures, "inverse_supply", lambda model, q: q + 0.688 * log(1 + exp((q - 3.4) / 0.16)))
    monkeypatch.setattr(structures, "cost", lambda model, q: 0 * q)  # no closed form, and nobody here decides by it
    m = Setup(1.0, 1.6, 4.2, 2.9, y=0.64)
    generator = off_peak(m, "generator_aggregator")
    literal, read = off_peak(m, "dso_aggregator"), off_peak(m, "dso_aggregator", netted="yes")
    assert (generator, literal, read) == pytest.approx((2.29849950, 2.14217509, 2.36369877), abs=2e-8)
    assert literal < generator < read


NEAR_THE_BOUND = {0.9: 0.19545455, 1.0: 0.17894737, 1.2: 0.12307692, 1.25: 0.10, 1.3: 0.07, 1.4: 0.0}


@pytest.mark.parametrize("y", NEAR_THE_BOUND)
def test_e9_the_generator_shifts_more_than_half_only_if_it_is_small(y: float) -> None:
    """Proposition 5 needs y < x1/2 (here 1.0); the load falls through S/2 = 0.1 at y = 1.25, and to zero at 1.4."""
    m = Setup(1.0, 2.0, 2.6, 0.2, b=1 / 3, y=y)
    s = off_peak(m, "generator_aggregator")
    assert s == pytest.approx(NEAR_THE_BOUND[y], abs=6e-9)
    assert (s > 0.1 + 1e-9) == (y < 1.25)


def test_e9_generator_output_is_checked_against_demand() -> None:
    """The data check asks only that output leaves demand for others (y < x1); the narrower bound belongs to the
    theorem.
    """
    data = data_of(Setup(1.0, 2.0, 2.6, 0.2, b=1 / 3, y=0.9))
    assert change(data, {"parameters.generator_output": 1.4}).parameters["generator_output"] == 1.4
    with pytest.raises(DataError, match="generator_output must leave demand"):
        change(data, {"parameters.generator_output": 2.0})


def test_e21_output_in_the_peak_is_x2_plus_the_rest() -> None:
    """Printed: q2 = x1 + S - s. Then the condition of Proposition 3 is solved by S/2."""

    def condition(x: float, s: float, A: int = 2) -> float:
        q1, q2 = S1.x1 + s, x + S1.S - s
        return S1.P(q2) - S1.P(q1) - (S1.dP(q1) * s - S1.dP(q2) * (S1.S - s)) / A

    solved = off_peak(S1, "cournot", aggregators=2)
    assert solved == pytest.approx(0.7, abs=1e-9)
    assert brentq(lambda s: condition(S1.x1, s), 0, 1) == pytest.approx(0.5)
    assert brentq(lambda s: condition(S1.x2, s), 0, 1) == pytest.approx(solved, abs=1e-12)


def test_e22_the_proof_of_too_little_shifting_has_its_signs_turned() -> None:
    """A.4(ii) assumes s > s_fb and finds a positive expression; below s_fb the multiplier is 0 and both sides are
    negative.
    """
    found = Outcome(S1, "cournot", aggregators=2)
    best = off_peak(S1, "efficient")
    assert found.s < best
    p1, p2 = found.prices
    slope = S1.dP(1.0)
    assert p1 - p2 == pytest.approx(-0.2, abs=1e-9)
    assert -(slope * found.s - slope * (S1.S - found.s)) / 2 == pytest.approx(-0.2, abs=1e-9)


@pytest.mark.parametrize(
    ("m", "all_fixed", "rivals_fixed", "printed"),
    [(S1, 0.25, 0.5, 1.0), (CURVED, 0.253089471, 0.515570934, 0.92959)],
    ids=["linear", "quadratic"],
)
def test_e23_own_load_and_own_volume(m: Setup, all_fixed: float, rivals_fixed: float, printed: float) -> None:
    """d(own load)/d(own volume T = L S): P2'/[2P1' + P1''d + 2P2' + P2''(T - d)] with all energy S fixed, 2P2' +
    P2''(T - d) over the same with the rivals' energy fixed. Printed: the latter over P1' + P1''d + P2' + P2''(T -
    d)."""
    T, R, h = m.L * m.S, (1 - m.L) * m.S, 1e-4

    def load(own: float, total: float) -> float:
        return off_peak(replace(m, S=total, L=own / total), "mixed_dso_dispatch")

    fixed = (load(T + h, m.S) - load(T - h, m.S)) / (2 * h)
    grows = (load(T + h, T + h + R) - load(T - h, T - h + R)) / (2 * h)
    assert (fixed, grows) == pytest.approx((all_fixed, rivals_fixed), abs=2e-6)

    d = load(T, m.S)
    q1, q2 = m.x1 + d, m.x2 + m.S - d
    bend1, bend2 = (m.b * (2 + m.sigma) * (1 + m.sigma) * m.sigma * q ** (m.sigma - 1) for q in (q1, q2))
    below = 2 * m.dP(q1) + bend1 * d + 2 * m.dP(q2) + bend2 * (T - d)
    assert m.dP(q2) / below == pytest.approx(all_fixed, abs=1e-9)
    assert (2 * m.dP(q2) + bend2 * (T - d)) / below == pytest.approx(rivals_fixed, abs=1e-9)
    wrong = m.dP(q1 + R) + bend1 * d + m.dP(q2) + bend2 * (T - d)  # printed with P1' at x1 + d + R besides
    as_printed = (2 * m.dP(q2) + bend2 * (T - d)) / wrong
    assert as_printed == pytest.approx(printed, abs=5e-6)
    assert abs(as_printed - grows) > 0.4 and abs(as_printed - fixed) > 0.4


def test_e27_the_regulatory_payment_has_either_sign() -> None:
    """R(s*) = 0 and nothing else: for linear supply R = 2b[s*(S - s*) - s(S - s)], negative between S - s* and s*."""
    best = off_peak(S1, "efficient")
    assert again.payment(S1, S1.S / 2) == pytest.approx(-0.09, abs=1e-12)
    for s in np.linspace(0, 1, 21):
        closed = 2 * S1.b * (best * (S1.S - best) - s * (S1.S - s))
        assert again.payment(S1, s) == pytest.approx(closed, abs=1e-12)
        assert (closed < -1e-12) == (S1.S - best + 1e-9 < s < best - 1e-9)
    paid = Outcome(S1, "regulated")
    assert (paid.s, paid.payoff("aggregator")) == pytest.approx((0.8, 0.0), abs=1e-9)
