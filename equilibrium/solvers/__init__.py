"""Solvers: each takes arrays, returns numbers and an Outcome, and claims nothing about equilibrium."""
