"""How figures look: colours that the colour-blind tell apart (Okabe and Ito), and what matplotlib is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

BLUE, ORANGE, GREEN, PURPLE, RED = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E00000"  # the last is an alarm
GREY, PALE = "#555555", "#DDDDDD"
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "legend.fontsize": 8.5,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "legend.frameon": False,
}
WIDTH = 7.2  # inches: about 1080 pixels at 150 dpi, the width of a README


def styled(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """``make`` drawing with ``STYLE``."""

    def drawn(what: Any) -> Any:
        import matplotlib

        with matplotlib.rc_context(STYLE):
            return make(what)

    return drawn
