"""The source's appendix: from which price on a modified schedule pays. Compared with clearings, never used in them."""

from __future__ import annotations


def threshold_price(shifted: float, kept: float, difference: float, probability: float) -> float:
    """Net payment per shifted kWh above which charging early pays, EUR/kWh.

    shifted, kept: what of the extra load is bought away on congested days and what is not, kWh; difference: by how much
    the hour is dearer, EUR/kWh; probability: of congestion. (1/q_s) ((1 - g)/g q + q_n) dpi with q = q_s + q_n.
    """
    moved = shifted + kept
    return ((1 - probability) / probability * moved + kept) * difference / shifted


def threshold_markup(shifted: float, kept: float, difference: float, probability: float) -> float:
    """The same as a mark-up: a bid is the mark-up less the wholesale difference, so this is larger by that. q dpi /
    (g q_s)."""
    return threshold_price(shifted, kept, difference, probability) + difference
