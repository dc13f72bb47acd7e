"""Derivatives of a model's expressions by the ASL library, which must not change how anybody else computes.

When it reads a model the library narrows the processor's extended precision to that of doubles and leaves it so. Some
BLAS routines (the norm of a vector) use that precision, so that the last digits of everything solved afterwards would
depend on whether a nonlinear model had been solved before.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ROOM = 256
"""Bytes kept for the floating-point environment, of which platforms use 8 to 32."""


def compiled(model: Any) -> Any:
    """The active Objective and Constraints of ``model`` as a PyNumero problem. Raises what PyNumero raises."""
    from pyomo.contrib.pynumero.interfaces.pyomo_nlp import PyomoNLP

    with same_arithmetic():
        return PyomoNLP(model)


@contextmanager
def same_arithmetic() -> Iterator[None]:
    """Restore the floating-point environment at the end (where the C library lets it be read)."""
    try:
        library = ctypes.CDLL(None)  # what is loaded already
    except (OSError, TypeError):
        library = None
    if not hasattr(library, "fegetenv"):
        yield
        return
    assert library is not None
    kept = ctypes.create_string_buffer(ROOM)
    library.fegetenv(kept)
    try:
        yield
    finally:
        library.fesetenv(kept)


# The library ends the process where a derivative has no value (the slope of a square root at zero), unless the values
# at the same point were asked for before: it then says so, and PyNumero raises PyNumeroEvaluationError, an
# ArithmeticError.


def gradient(nlp: Any) -> Any:
    """Slopes of the Objective where ``nlp`` stands. Raises ArithmeticError."""
    nlp.evaluate_objective()
    return nlp.evaluate_grad_objective()


def jacobian(nlp: Any) -> Any:
    """Slopes of the Constraints. Raises ArithmeticError."""
    nlp.evaluate_constraints()
    return nlp.evaluate_jacobian()


def curvature(nlp: Any) -> Any:
    """Second derivatives of the Lagrange function. Raises ArithmeticError."""
    gradient(nlp)
    jacobian(nlp)
    return nlp.evaluate_hessian_lag()
