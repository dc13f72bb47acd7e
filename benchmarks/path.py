"""Time and accuracy of this project's solver beside PATH, on the same problems with the same bounds.

    python -m benchmarks.path --peers PYTHON     PYTHON: an environment with gamspy (its demo licence is enough)

PATH's time is what PATH itself reports for its run, without the modelling language around it; ours is from arrays to
answer. Both start where they start by default and use one thread. The demo licence that comes with gamspy allows 1,000
rows, no commercial use, and expires after some months; the licence agreement (GAMSPy's EULA, "Publication of
Benchmarks") lets measurements of PATH be published where the method is stated and none of its restricted solvers (COPT,
CPLEX, Gurobi, KNITRO, LINDO, Xpress) is involved.
"""

from __future__ import annotations

from . import games, side_by_side


def main() -> None:
    """Print one line a problem."""
    asked = side_by_side.arguments(__doc__)
    peer = side_by_side.start(asked.peers, "path_worker.py", "gamspy")
    if peer is None:
        return
    side_by_side.header("PATH")
    for firms in (100, 400, 1000):
        for spread in (1.0, 20.0):
            game = games.linear(firms, seed=0, spread=spread)
            label = f"linear, {firms} firms, spread {spread:g}"
            side_by_side.compare(label, game.problem, peer, vars(game), asked.repeat)
    for sigma in (0.5, 1.3):
        for seed in (0, 1):
            play = games.nonlinear(300, sigma, seed)
            label = f"nonlinear, 300 firms, sigma {sigma}, {seed}"
            side_by_side.compare(label, play.problem, peer, vars(play), asked.repeat)
    peer.close()


if __name__ == "__main__":
    main()
