"""What a test of a market needs: assert that an answer is certified, that two agree, and that a changed answer is not.

``tamper`` asks the certificate about a model in which one decision was changed; nothing stays changed afterwards.
"""

from __future__ import annotations

import math

from pyomo.core.base.var import VarData

from .certificate import Certificate, certify
from .mcp import DECISION, OUTSIDE
from .solution import Solution
from .tolerances import AGREE


def describe(certificate: Certificate) -> str:
    """Every row of a certificate in words, for a failing test."""
    rows = [
        f"{c.name}: {'ok' if c.passed else 'FAILS'}, regret {c.regret:.3g} of {c.bill:.3g}, "
        f"distance {c.distance:.3g} of {c.size:.3g}, "
        f"residual {c.residual:.3g}, infeasibility {c.infeasibility:.3g} {c.note}"
        for c in certificate.checks
    ]
    return "\n  ".join([f"{certificate.verdict} ({certificate.scope})", *rows])


def assert_certified(solution: Solution) -> None:
    """The answer is an equilibrium, proved globally (or a rule holds, where nobody decides)."""
    assert solution.certificate.verdict in ("certified", "rule"), describe(solution.certificate)


def values(solution: Solution) -> dict[str, float]:
    """Decisions, prices and rule quantities by name."""
    mcp, z = solution.answer.mcp, solution.answer.z
    return {mcp.names[k]: float(z[k]) for k in range(mcp.size) if mcp.kind[k] in (DECISION, OUTSIDE)}


def assert_agree(first: Solution, second: Solution, tolerance: float = AGREE) -> None:
    """Two answers to one game are the same: decisions relative to the largest decision, prices to the largest price."""
    one, other = values(first), values(second)
    assert one.keys() == other.keys(), f"different Vars: {sorted(one.keys() ^ other.keys())}"
    kind = {name: first.answer.mcp.kind[k] for k, name in enumerate(first.answer.mcp.names)}
    size = {k: max((abs(v) for name, v in one.items() if kind[name] == k), default=0.0) for k in (DECISION, OUTSIDE)}
    wrong = [
        f"{name}: {one[name]!r} by {first.answer.formulation}, {other[name]!r} by {second.answer.formulation}"
        for name in one
        if not math.isclose(one[name], other[name], rel_tol=0.0, abs_tol=tolerance * max(size[kind[name]], 1e-300))
    ]
    assert not wrong, "; ".join(wrong[:5])


def tamper(solution: Solution, variable: VarData, delta: float, *others: tuple[VarData, float]) -> Certificate:
    """The certificate after ``variable`` is moved by ``delta`` (and each of ``others`` by its own); the values are
    restored."""
    changes = ((variable, delta), *others)
    before = [(moved, moved.value) for moved, _ in changes]
    try:
        for moved, by in changes:
            moved.set_value(moved.value + by, skip_validation=True)
        return certify(solution.answer)
    finally:
        for moved, value in before:
            moved.set_value(value, skip_validation=True)
