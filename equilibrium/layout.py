"""A table in the width of a terminal: which columns stand there, and how wide each is; no number is ever broken."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from .report import readable

FIRST = ("theory", "difference", "symbol")
"""Columns that begin with one of these words are left out first."""

WORDS, PIECES = re.compile(r"(?<= )"), re.compile(r"(?<=[ ;=_/])")
"""Where text may be broken, and where it may if there is no other way; numbers and verdicts only at blanks."""

LONG = 28
"""What is longer and cannot be broken there is broken anywhere, if it is text."""


def fit(table: pd.DataFrame, room: int) -> tuple[pd.DataFrame, list[int], int]:
    """(the columns of a table that fit into ``room`` characters, as text; their widths; characters between columns).

    As little as possible is given up, in this order: two characters between columns (then one), the columns that
    ``FIRST`` names, words of text in one piece, the columns at the right; the first and the verdict stay.
    """
    shown = readable(table)
    names = [str(name) for name in shown.columns]
    texts = [[name, *shown.iloc[:, j]] for j, name in enumerate(names)]
    whole = [kind.kind in "fi" or name == "verdict" for name, kind in zip(names, table.dtypes, strict=True)]
    breaks = {at: [WORDS if one else at for one in whole] for at in (WORDS, PIECES)}
    longest = {at: list(map(_longest, texts, breaks[at], whole)) for at in breaks}
    for left_out, at, gap in _steps(names):
        kept = [j for j in range(len(names)) if j not in left_out]
        need = [longest[at][j] for j in kept]
        spare = room - sum(need) - gap * (len(kept) - 1)
        if spare >= 0:
            break
    widths = _widths(need, [max(map(len, texts[j])) for j in kept], spare)
    lines = {
        names[j]: [_wrapped(text, width, breaks[at][j]) for text in texts[j][1:]]
        for j, width in zip(kept, widths, strict=True)
    }
    return pd.DataFrame(lines, dtype=object), widths, gap


Break = re.Pattern[str]


def _steps(names: Sequence[str]) -> list[tuple[list[int], Break, int]]:
    """(columns left out, where text is broken, characters between columns), the last the narrowest."""
    may = [j for j, name in enumerate(names) if j > 0 and name != "verdict"]
    first = [j for j in may if names[j].startswith(FIRST)]
    others = [j for j in reversed(may) if j not in first]
    steps: list[tuple[list[int], Break]] = [(first[:k], WORDS) for k in range(len(first) + 1)]
    steps += [([*first, *others[:k]], PIECES) for k in range(len(others) + 1)]
    return [(left_out, at, gap) for left_out, at in steps for gap in (2, 1)]


def _longest(texts: Sequence[str], at: Break, whole: bool) -> int:
    """What a column may not be narrower than; ``whole``: nothing may be broken elsewhere. Headers break at blanks."""
    pieces = [*WORDS.split(texts[0]), *(piece for text in texts[1:] for piece in at.split(text))]
    longest = max((len(piece.rstrip()) for piece in pieces), default=1)
    return longest if whole else min(longest, LONG)


def _wrapped(text: str, width: int, at: Break) -> str:
    """Text in lines of ``width``; what is longer in one piece is left to who prints it."""
    lines = [""]
    for piece in at.split(text):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)


def _widths(need: Sequence[int], want: Sequence[int], spare: int) -> list[int]:
    """What every column needs, and its share of the spare room, up to what it wants: half of it for the first, which
    names the rows, then equal shares, those that want little first."""
    widths, order = list(need), sorted(range(1, len(need)), key=lambda j: want[j] - need[j])
    for j, left in zip([0, *order][: len(need)], [2, *range(len(order), 0, -1)], strict=False):
        more = max(min(want[j] - need[j], spare // left), 0)
        widths[j] += more
        spare -= more
    return widths
