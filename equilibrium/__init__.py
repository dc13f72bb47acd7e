"""Machinery for stating, solving and certifying equilibria of electricity flexibility markets."""
