"""Markets: each module or package here defines one ``market``, an ``equilibrium.market.Market``.

A market states players as Pyomo Blocks, prices and clearing outside them, and what to report. It writes no condition of
optimality and names no solver; markets do not import each other.
"""
