"""Time and accuracy of this project's solver beside NashOpt, on linear-quadratic games of firms with capacities.

    python -m benchmarks.nashopt --peers PYTHON     PYTHON: an environment with nashopt (Apache 2.0)

"highs" is NashOpt's default, a mixed-integer programme; "lemke" and "dr_daqp" are its quicker routes for variational
equilibria of monotone games. Its time is what it reports for its solver, ours is from arrays to answer.
"""

from __future__ import annotations

import numpy as np

from . import games, side_by_side


def main() -> None:
    """Print one line a game and route of NashOpt."""
    asked = side_by_side.arguments(__doc__)
    peer = side_by_side.start(asked.peers, "nashopt_worker.py", "nashopt")
    if peer is None:
        return
    side_by_side.header("NashOpt")
    for firms in (50, 100):
        game = games.linear(firms, seed=0)
        # An upper bound on multipliers and slacks, as the mixed-integer programme asks for one.
        bound = float(np.abs(game.matrix @ game.upper).max() + np.abs(game.vector).max())
        for route in ("highs", "lemke", "dr_daqp"):
            arrays = {**vars(game), "bound": bound, "route": route}
            label = f"linear, {firms} firms, {route}"
            side_by_side.compare(label, game.problem, peer, arrays, asked.repeat)
    peer.close()


if __name__ == "__main__":
    main()
