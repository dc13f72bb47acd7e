"""Markets. Each module or package here defines one ``market`` (an ``equilibrium.market.Market``) and nothing else reads it.

A market states players as Pyomo Blocks, prices and clearing outside them, and what to report. It writes no condition of optimality and
names no solver; markets do not import each other.
"""
