"""The DSO that dispatches its rivals' load: a payoff with saddles and wrong corners, of which only the global optimum
is an answer.

Own load d in [0, T] and rivals' load r in [0, R], T = L S, R = S - T, payoff Omega(d, r) = -P(q1) d - P(q2)(T - d).
"""

from __future__ import annotations

from dataclasses import replace

import fdr_reference as again
import numpy as np
import pyomo.environ as pyo
import pytest
from fdr_reference import PERIODS, Setup, data_of
from fdr_solved import Outcome

from equilibrium import Solution, solve
from equilibrium.errors import Refused
from models.fdr_structures import structures

S4 = Setup(1.0, 2.0, 2.2, 1.0, b=1 / 3, L=0.7, y=0.9)
GLOBAL, LOCAL, SADDLE = (0.482882882883, 0.0), (0.323423423423, 0.3), (0.35, 0.25)


def draw(number: int) -> Setup:
    """Random market; the DSO's share by turns below L-hat, above it, and so small that its own load is at its bound."""
    rng = np.random.default_rng((77, number))
    sigma = (0.0, float(rng.uniform(0.05, 1)), 1.0)[number % 3]
    x1 = rng.uniform(0.05, 10)
    m = Setup(sigma, x1, x1 + rng.uniform(0.01, 3), rng.uniform(0.1, 5), 0.0, rng.uniform(0.1, 2))
    hat = again.threshold(m)
    shares = (hat * rng.uniform(0.7, 0.99), hat + (1 - hat) * rng.uniform(0.01, 0.9), rng.uniform(0.02, 0.3))
    return replace(m, L=float(shares[number // 3 % 3]))


def started(m: Setup, d: float, r: float, solver: str | None = "newton") -> tuple[pyo.ConcreteModel, Solution]:
    """The complementarity formulation forced on the DSO's problem, started at (d, r)."""
    model = structures.mixed_dso_dispatch(data_of(m))
    T = m.L * m.S
    for t, own, rivals in zip(PERIODS, (d, T - d), (r, m.S - T - r), strict=True):
        model.dso.load[t].set_value(own)
        model.dso.rivals.load[t].set_value(rivals)
    return model, solve(model, "complementarity", solver)


def place(model: pyo.ConcreteModel) -> tuple[float, float]:
    return tuple(float(block.load[PERIODS[0]].value) for block in (model.dso, model.dso.rivals))


# ------------------------------------------------------------------------------------------------------- the named trap


STATIONARY = {"global": (GLOBAL, -4.580), "local": (LOCAL, -4.726), "saddle": (SADDLE, -4.732)}


@pytest.mark.parametrize(("point", "payoff"), STATIONARY.values(), ids=STATIONARY)
def test_s4_has_three_stationary_points(point: tuple[float, float], payoff: float) -> None:
    """In each: g = 0 for the own load; for the rivals' load g_r = P2'(T - d) - P1'd <= 0 at r = 0, >= 0 at r = R, 0
    inside.
    """
    d, r = point
    T, R = S4.L * S4.S, (1 - S4.L) * S4.S
    assert again.omega(S4, d, r) == pytest.approx(payoff, abs=5e-4)
    assert S4.gain(d + r, d, T - d) == pytest.approx(0, abs=1e-10)
    rivals = S4.dP(S4.x2 + S4.S - d - r) * (T - d) - S4.dP(S4.x1 + d + r) * d
    sign = -1.0 if r == 0 else 1.0 if r == pytest.approx(R) else 0.0
    assert np.sign(rivals if abs(rivals) > 1e-12 else 0.0) == sign


def test_s4_saddle_has_exactly_the_efficient_total() -> None:
    """So a solver that stops there would report that the mixed market is efficient."""
    assert sum(SADDLE) == pytest.approx(Outcome(S4, "efficient").s, abs=1e-9)


def test_s4_structure_returns_the_global_optimum_and_lists_the_other_branch() -> None:
    found = Outcome(S4, "mixed_dso_dispatch")
    assert found.certificate.verdict == "certified"
    assert (found.loads["dso"], found.loads["rivals"]) == pytest.approx(GLOBAL, abs=1e-9)
    best, other = found.solution.candidates
    assert (-best.payoff, -other.payoff) == pytest.approx((-4.57974774775, -4.726), abs=5e-4)
    assert other.values["dso.load[off-peak]"] == pytest.approx(LOCAL[0], abs=1e-9)


@pytest.mark.parametrize("solver", ["newton", "ipopt"])
@pytest.mark.parametrize("start", [GLOBAL, LOCAL, SADDLE, (0.7, 0.0), (0.0, 0.3), (0.1, 0.1)])
def test_s4_conditions_of_optimality_alone_are_not_certified(start: tuple[float, float], solver: str) -> None:
    """Wherever they lead: the global optimum is called local for want of a proof, the others are found out."""
    if solver == "ipopt":
        pytest.importorskip("cyipopt")
    model, solution = started(S4, *start, solver=solver)
    assert solution.certificate.verdict != "certified"
    if place(model) != pytest.approx(GLOBAL, abs=1e-6):
        assert not solution.certificate.ok, f"ended at {place(model)}: {solution.certificate.scope}"


def test_conditions_of_optimality_are_refused_for_linear_supply() -> None:
    with pytest.raises(Refused, match="not concave"):
        started(replace(S4, sigma=0.0), *SADDLE)


# ------------------------------------------------------------------------------------------------------ other markets


@pytest.mark.parametrize("number", range(18))
def test_conditions_of_optimality_never_pass_off_a_worse_point(number: int) -> None:
    """From the wrong corner and from the middle: refused, not certified, or (where they happen on it) the global
    optimum.
    """
    m = draw(number)
    T, best = m.L * m.S, again.omega(m, *again.dispatched(m))
    for start in ((T / 2, m.S - T), (T / 2, (m.S - T) / 2)):
        try:
            model, solution = started(m, *start)
        except Refused:
            assert m.sigma == 0
            continue
        if solution.certificate.ok:
            worse = best - again.omega(m, *place(model))
            assert worse <= 1e-9 * abs(best), f"{place(model)} is worse by {worse}: {solution.certificate.scope}"


@pytest.mark.parametrize("number", range(50))
def test_no_point_of_a_grid_is_better(number: int) -> None:
    """Omega on 201 x 201 points, and again around the best of them: never above the certified answer, and next to
    it.
    """
    m = draw(number)
    found = Outcome(m, "mixed_dso_dispatch")
    assert found.ok
    d, r = found.loads["dso"], found.loads["rivals"]
    answer, T, R = again.omega(m, d, r), m.L * m.S, (1 - m.L) * m.S
    box, best = [(0.0, T), (0.0, R)], (0.0, 0.0)
    for _ in range(6):
        D, Q = np.meshgrid(*(np.linspace(*side, 201) for side in box), indexing="ij")
        payoff = again.omega(m, D, Q)
        assert payoff.max() <= answer + 1e-12 * abs(answer)
        k = np.unravel_index(payoff.argmax(), payoff.shape)
        best = (float(D[k]), float(Q[k]))
        box = [
            (max(0.0, at - (high - low) / 20), min(limit, at + (high - low) / 20))
            for at, limit, (low, high) in zip(best, (T, R), box, strict=True)
        ]
    assert best == pytest.approx((d, r), abs=1e-5 * m.S)
    assert answer == pytest.approx(float(payoff.max()), rel=1e-9)


def test_draws_cover_both_sides_of_the_threshold_and_the_bound() -> None:
    below = above = bound = 0
    for number in range(50):
        m = draw(number)
        d, _ = again.dispatched(m)
        below, above = below + (d < m.S / 2), above + (d > m.S / 2)
        bound += d == m.L * m.S
    assert min(below, above, bound) >= 10


SOME = {"S4": S4, "curved": draw(4), "quadratic": draw(5), "tiny": draw(7), "linear": draw(9)}


@pytest.mark.parametrize("m", SOME.values(), ids=SOME)
def test_global_solver_agrees(m: Setup) -> None:
    pytest.importorskip("pyscipopt")
    from pyomo.contrib.solver.common.factory import SolverFactory

    scip = SolverFactory("scip_direct")
    if not scip.available():
        pytest.skip("Pyomo does not find SCIP")
    model = pyo.ConcreteModel()
    T = m.L * m.S
    model.d, model.r = pyo.Var(bounds=(0, T)), pyo.Var(bounds=(0, m.S - T))
    power, k = 1 + m.sigma, m.b * (2 + m.sigma)
    q1, q2 = m.x1 + model.d + model.r, m.x2 + m.S - model.d - model.r
    model.bill = pyo.Objective(expr=k * q1**power * model.d + k * q2**power * (T - model.d))
    scip.solve(model, solver_options={"limits/gap": 1e-9})
    found = Outcome(m, "mixed_dso_dispatch")
    d, r = np.clip([model.d.value, model.r.value], 0.0, [T, m.S - T])  # SCIP lets bounds slip by its 1e-6
    theirs = again.omega(m, d, r)
    ours = again.omega(m, found.loads["dso"], found.loads["rivals"])
    assert theirs <= ours + 1e-9 * abs(ours)
    assert theirs == pytest.approx(ours, rel=1e-7)
