"""How many equilibria are there? Where no theorem says "one", small affine problems are searched until nothing is left.

* A monotone problem has a convex set of equilibria: every Var has a range on it (``convex_set``).
* Otherwise every complementarity pattern is examined (``enumeration``): that finds all equilibria, or proves that there
  is none. Each is certified like any answer; where players are not convex, what is no best response is dropped.
* Nonlinear or large problems are started from many points, only on request: that finds, but proves nothing.

The set of equilibria of a monotone problem keeps the verdict 'certified', with its ranges beside it: it has no parts to
choose between. Otherwise equilibria that differ in decisions, or isolated ones that differ in prices, are 'several'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd

from .candidates import COMPARED, certified_at, contradiction, write
from .certificate import LOCAL, NONE, SEVERAL, UNCERTIFIED, Answer, Certificate, certify
from .convex_set import NoSuchSolution, convex_set
from .enumeration import SAME, Connected, branching, enumerate_all, sizes
from .errors import Infeasible
from .formulations import complementarity
from .mcp import DECISION, OUTSIDE, MixedComplementarity
from .solvers import newton
from .solvers.outcome import Outcome, Termination
from .uniqueness import NOT_PROVED, Uniqueness

PAIRS, NODES = 24, 1500
"""Without being asked, problems with so many columns to decide are searched, and so far: together less than a second.
Nodes and not seconds, so that a model has the same answer on every machine."""

LISTED = 50
"""So many equilibria are certified and listed without being asked for every one."""

PAIRS_ASKED, NODES_ASKED = 200, 50_000
"""On request."""

CONVEX = 300
"""Ranges over a convex set take two linear programmes a column: up to so many columns without being asked."""

STARTS, MIDDLES = 30, 8
"""Seeded points from which a nonlinear or large problem is started on request; then from the middle between any two of
so many answers found."""


@dataclass(frozen=True)
class Found:
    """An answer with what is known about the others: the sets of equilibria, the one of the answer first."""

    answer: Answer
    certificate: Certificate
    equilibria: tuple[Connected, ...] = ()


def small(mcp: MixedComplementarity, every: bool = False) -> bool:
    """Whether ``mcp`` is searched for all its solutions."""
    return mcp.is_affine and branching(mcp) <= (PAIRS_ASKED if every else PAIRS)


def settle(answer: Answer, certificate: Certificate, every: bool = False) -> Found:
    """What can be said about other equilibria than ``answer``; a small problem that was not solved is solved here.

    every: search longer, and start nonlinear or large problems from many points. The model's Vars hold the answer that
    is returned. Raises Infeasible where the players' constraints and the clearing rows contradict each other.
    """
    known, mcp = certificate.uniqueness, answer.mcp
    here = (_point(answer.z),) if certificate.ok else ()
    if answer.candidates or (certificate.ok and known.decisions == known.prices == "unique"):
        return Found(answer, certificate, here)
    if certificate.ok and mcp.is_affine and (every or mcp.size <= CONVEX):
        try:
            whole = convex_set(mcp, answer.z)
        except NoSuchSolution as error:
            certificate, whole = replace(certificate, verdict=UNCERTIFIED, scope=str(error)), None
        if whole is not None:
            return Found(answer, replace(certificate, uniqueness=_of_convex(mcp, whole)), (whole,))
    if small(mcp, every):
        return _enumerated(answer, certificate, every)
    if every and certificate.ok:
        return _started(answer, certificate)
    return Found(answer, certificate, here)


def decisions(mcp: MixedComplementarity, z: np.ndarray) -> str:
    """Whether the decisions of a solution of monotone conditions are 'unique', in the words of ``Uniqueness``."""
    try:
        whole = convex_set(mcp, z)
    except NoSuchSolution:
        whole = None
    return NOT_PROVED if whole is None else _of_convex(mcp, whole).decisions


def table(mcp: MixedComplementarity, equilibria: Sequence[Connected]) -> pd.DataFrame:
    """Rows (equilibrium, variable, lower, upper): one number from 1 for each connected set of equilibria, and the range
    of every column on it (lower = upper where it has one value, infinite where it has no end). Multipliers stand under
    the names of their rows."""
    rows = [
        (number, name, float(low), float(up))
        for number, found in enumerate(equilibria, 1)
        for name, low, up in zip(mcp.names, found.lower, found.upper, strict=True)
    ]
    return pd.DataFrame(rows, columns=["equilibrium", "variable", "lower", "upper"])


# ---- searches -------------------------------------------------------------------------------------------------------


def _enumerated(answer: Answer, certificate: Certificate, every: bool) -> Found:
    mcp = answer.mcp
    if certificate.verdict == LOCAL:
        certificate, _ = certified_at(answer, answer.z)
    search = enumerate_all(mcp, NODES_ASKED if every else NODES)
    listed = search.solutions[: None if every else LISTED]
    checked = [(found, *certified_at(answer, found.point)) for found in listed]
    good = [(found, one) for found, one, _ in checked if one.ok]
    complete = (
        search.complete
        and len(listed) == len(search.solutions)
        and all(one.ok or (deviates and found.isolated) for found, one, deviates in checked)
    )
    if certificate.ok and not search.none and not any(_holds(mcp, found, answer.z) for found, _ in good):
        complete = False  # a search that missed an answer is not to be trusted
        good.append((_point(answer.z), certificate))
    write(mcp, answer.z)
    if not good:
        return _none(answer, search.nodes, len(checked)) if complete else _long_way(answer, certificate)
    if not certificate.ok:
        outcome = Outcome(Termination.SOLVED, f"{search.nodes} partial patterns", answer.outcome.seconds, "HiGHS")
        reason = "small and affine: every complementarity pattern was examined"
        answer = replace(answer, z=good[0][0].point, outcome=outcome, formulation="enumeration", reason=reason)
        certificate = good[0][1]
    write(mcp, answer.z)
    sets = _merged(mcp, [found for found, _ in good])
    sets.sort(key=lambda found: not _holds(mcp, found, answer.z))
    if any(one.verdict == LOCAL or (not found.isolated and _at_a_point(one)) for found, one in good):
        return Found(answer, _unsettled(certificate, len(sets), "enumeration"), tuple(sets))
    finished = "exhaustive over" if complete else "not finished after"
    how = f"enumeration, {finished} {search.nodes} partial patterns"
    return Found(answer, _told(certificate, mcp, sets, how, complete), tuple(sets))


def _long_way(answer: Answer, certificate: Certificate) -> Found:
    """The search was not finished and found nothing: every solver in turn, where Newton alone was tried."""
    if certificate.ok:
        return Found(answer, certificate, (_point(answer.z),))
    z, outcome = complementarity.solve(answer.mcp)
    answer = replace(answer, z=z, outcome=outcome)
    write(answer.mcp, z)
    certificate = certify(answer)
    return Found(answer, certificate, (_point(z),) if certificate.ok else ())


def _started(answer: Answer, certificate: Certificate) -> Found:
    """Newton from seeded points: the distinct certified answers that turn up beside the one in hand."""
    mcp, known = answer.mcp, [(_point(answer.z), certificate)]
    for start in _starts(mcp, answer.z):
        _try(answer, start, known)
    for first, second in combinations([found.point for found, _ in known[:MIDDLES]], 2):
        _try(answer, 0.5 * (first + second), known)  # between two that attract there often is one that does not
    write(mcp, answer.z)
    sets, how = [found for found, _ in known], f"{STARTS} seeded starts and the middles between answers"
    if len(sets) == 1:
        word = replace(certificate.uniqueness, reason=f"{certificate.uniqueness.reason}; {how} found no other")
        return Found(answer, replace(certificate, uniqueness=word), tuple(sets))
    if any(one.verdict == LOCAL for _, one in known):
        return Found(answer, _unsettled(certificate, len(sets), how), tuple(sets))
    return Found(answer, _told(certificate, mcp, sets, how, False), tuple(sets))


def _try(answer: Answer, start: np.ndarray, known: list[tuple[Connected, Certificate]]) -> None:
    """Add the certified answer that Newton finds from ``start``, if it is another one."""
    try:
        with np.errstate(all="ignore"):
            z, outcome = newton.solve(answer.mcp, start)
    except (ArithmeticError, ValueError):  # a term without a value there
        return
    if outcome.ok and not any(_holds(answer.mcp, found, z) for found, _ in known):
        one, _ = certified_at(answer, z)
        if one.ok:
            known.append((_point(z), one))


def _starts(mcp: MixedComplementarity, z: np.ndarray) -> list[np.ndarray]:
    """Anywhere in the box where there is one, else around z at several distances."""
    random, spread = np.random.default_rng(0), mcp.scales(z)[0]
    boxed = np.isfinite(mcp.upper - mcp.lower)
    low, up = np.where(boxed, mcp.lower, 0.0), np.where(boxed, mcp.upper, 0.0)
    points = []
    for k in range(STARTS):
        around = z + 2.0 ** (k % 4) * spread * random.normal(size=mcp.size)
        points.append(np.clip(np.where(boxed, random.uniform(low, up), around), mcp.lower, mcp.upper))
    return points


# ---- words ----------------------------------------------------------------------------------------------------------


def _of_convex(mcp: MixedComplementarity, whole: Connected) -> Uniqueness:
    moves = whole.lower != whole.upper
    decided, priced = (
        "not unique" if moves[columns].any() else "unique" for columns in (_matters(mcp), mcp.kind != DECISION)
    )
    number = "a convex set of equilibria" if moves.any() else "one equilibrium"
    return Uniqueness(decided, priced, f"monotone conditions: {number}{_ranges(mcp, whole)}")


def _told(
    certificate: Certificate, mcp: MixedComplementarity, sets: Sequence[Connected], how: str, complete: bool
) -> Certificate:
    """The certificate with what a search found; 'several' where equilibria differ in what matters."""
    moves = np.any([found.lower != found.upper for found in sets], axis=0)
    if len(sets) == 1 and not moves[_matters(mcp)].any():
        if not complete:
            return replace(certificate, uniqueness=Uniqueness(NOT_PROVED, NOT_PROVED, how))
        only = "the only decisions" if moves.any() else "the only solution"
        prices = "not unique" if moves.any() else "unique"
        return replace(certificate, uniqueness=Uniqueness("unique", prices, f"{how}: {only}{_ranges(mcp, sets[0])}"))
    number = "a continuum of equilibria" if len(sets) == 1 else f"{len(sets)} equilibria"
    number = number if complete else f"at least {number}"
    differ = moves | np.any([found.point != sets[0].point for found in sets], axis=0)
    decided, priced = (
        "not unique" if differ[columns].any() else "unique" for columns in (_matters(mcp), mcp.kind != DECISION)
    )
    sizes = [f"number {k} is a set{_ranges(mcp, found)}" for k, found in enumerate(sets, 1) if not found.isolated]
    return replace(
        certificate,
        verdict=SEVERAL,
        scope=f"{number}; the values are those of number 1; each is certified: {certificate.scope}",
        uniqueness=Uniqueness(decided, priced, "; ".join([f"{how}: {number}", *sizes[:3]])),
    )


def _at_a_point(certificate: Certificate) -> bool:
    """Whether the certificate holds at its point only, not on the set of solutions around it."""
    return any(check.proof == COMPARED for check in certificate.checks)


def _unsettled(certificate: Certificate, count: int, how: str) -> Certificate:
    reason = f"{how}: {count} answers, not all of them certified globally everywhere"
    return replace(certificate, uniqueness=Uniqueness(NOT_PROVED, NOT_PROVED, reason))


def _none(answer: Answer, nodes: int, rejected: int) -> Found:
    """The proof that there is no equilibrium. Raises Infeasible where that is a matter of the constraints alone, or of
    one convex programme without an optimum."""
    if answer.game.players and contradiction(answer.mcp):
        raise Infeasible(
            "no decisions satisfy all constraints and clear the market; look for limits that contradict each other"
        )
    if answer.outcome.termination is Termination.UNBOUNDED:
        raise Infeasible(f"the problem is unbounded: {answer.outcome.advice}")
    what = "equilibrium" if answer.game.players else "solution"
    scope = f"proved: no {what}; exhaustive over {nodes} partial patterns"
    if rejected:
        scope += f", and at each of the {rejected} solutions of the joint conditions somebody would deviate"
    outcome = replace(answer.outcome, termination=Termination.INFEASIBLE, message=scope)
    nothing = replace(answer, z=np.full(answer.mcp.size, np.nan), outcome=outcome)
    return Found(nothing, Certificate(NONE, scope, (), Uniqueness(NOT_PROVED, NOT_PROVED, "there is none")))


def _ranges(mcp: MixedComplementarity, found: Connected, most: int = 4) -> str:
    """The first few ranges of a set in words: decisions and prices before multipliers."""
    moves = np.flatnonzero(found.lower != found.upper)
    moves = moves[np.argsort(~_visible(mcp)[moves], kind="stable")]
    words = [f"{mcp.names[k]} in [{found.lower[k]:.6g}, {found.upper[k]:.6g}]" for k in moves[:most]]
    if len(moves) > most:
        words.append(f"and {len(moves) - most} more")
    return "; " + ", ".join(words) if words else ""


# ---- sets -----------------------------------------------------------------------------------------------------------


def _point(z: np.ndarray) -> Connected:
    return Connected(z, z, z)


def _visible(mcp: MixedComplementarity) -> np.ndarray:
    """Decisions and what stands outside the players; the multipliers of rows are left out."""
    return (mcp.kind == DECISION) | (mcp.kind == OUTSIDE)


def _matters(mcp: MixedComplementarity) -> np.ndarray:
    """Decisions; all Vars where nobody decides anything."""
    decides = mcp.kind == DECISION
    return decides if decides.any() else _visible(mcp)


def _holds(mcp: MixedComplementarity, found: Connected, z: np.ndarray) -> bool:
    """Whether the decisions and prices of z are within the ranges of a set."""
    slack = 10 * SAME * sizes(mcp, z)[0]
    return bool(((z >= found.lower - slack) & (z <= found.upper + slack))[_visible(mcp)].all())


def _merged(mcp: MixedComplementarity, sets: Sequence[Connected]) -> list[Connected]:
    """Sets that differ in multipliers alone put together."""
    kept: list[Connected] = []
    for found in sets:
        slack = 10 * SAME * sizes(mcp, found.point)[0]
        for k, other in enumerate(kept):
            with np.errstate(invalid="ignore"):  # infinite ends
                near = [np.abs(a - b) <= slack for a, b in ((found.lower, other.lower), (found.upper, other.upper))]
            same = (near[0] | (found.lower == other.lower)) & (near[1] | (found.upper == other.upper))
            if same[_visible(mcp)].all():
                lower, upper = np.minimum(found.lower, other.lower), np.maximum(found.upper, other.upper)
                kept[k] = Connected(other.point, lower, upper, False)
                break
        else:
            kept.append(found)
    return kept
