"""Machinery for stating, solving and certifying equilibria of electricity flexibility markets.

``from equilibrium import solve`` and the other names below are imported when they are first asked for, so that
``equilibrium.doctor`` works where a library is missing and ``solve.py --help`` answers at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .behaviour import conduct
    from .branches import Branch
    from .certificate import certify
    from .players import find_game
    from .solution import Solution, solve

_HOME = {
    "Branch": "branches",
    "Solution": "solution",
    "certify": "certificate",
    "conduct": "behaviour",
    "find_game": "players",
    "solve": "solution",
}

__all__ = ["Branch", "Solution", "certify", "conduct", "find_game", "solve"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'equilibrium' has no attribute '{name}'")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
