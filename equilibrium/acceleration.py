"""Anderson acceleration: where rounds x -> G(x) approach their fixed point at a steady rate, the next start is taken
from what the last rounds have in common.

    y = G(x_k) - sum_j gamma_j (G(x_(j+1)) - G(x_j)),
    gamma minimising |r_k - sum_j gamma_j (r_(j+1) - r_j)|,   r = G(x) - x

On a piece where G is affine with few distinct rates this hits the fixed point in about as many rounds as there are
rates (Walker and Ni 2011, Anderson acceleration for fixed-point iterations). It proposes starts only: what is accepted
as an answer is a round that moves nobody.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

DEPTH = 10
"""Most differences of rounds that are combined."""

STEADY = 0.9
"""A round must shrink the last one's change to this part of it, three times in a row, before it is trusted to go on."""


@dataclass
class Anderson:
    """The rounds that a proposal rests on: their starts, images and changes."""

    images: list[np.ndarray] = field(default_factory=list)
    changes: list[np.ndarray] = field(default_factory=list)

    def after(self, start: np.ndarray, image: np.ndarray) -> np.ndarray | None:
        """Where to start the next round once ``start`` became ``image``; None where nothing better than ``image`` is
        known: too few rounds, or rounds that do not shrink (the memory is then emptied)."""
        change = image - start
        if self.changes and not np.linalg.norm(change) <= STEADY * np.linalg.norm(self.changes[-1]):
            self.images, self.changes = [], []
        self.images = [*self.images[-DEPTH:], image.copy()]
        self.changes = [*self.changes[-DEPTH:], change]
        if len(self.changes) < 3:
            return None
        slopes = np.diff(np.array(self.changes), axis=0).T
        weights = np.linalg.lstsq(slopes, change, rcond=1e-10)[0]
        return image - np.diff(np.array(self.images), axis=0).T @ weights
