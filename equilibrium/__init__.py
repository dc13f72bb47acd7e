"""Machinery for stating, solving and certifying equilibria of electricity flexibility markets."""

from .branches import Branch
from .certificate import certify
from .players import conduct, find_game
from .solution import Solution, solve

__all__ = ["Branch", "Solution", "certify", "conduct", "find_game", "solve"]
