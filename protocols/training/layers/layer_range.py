"""What the converters of products were asked of a layer: its range, and what went beyond."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LayerRange:
    """The converters' range of one layer, and what went beyond.

    Attributes
    ----------
    full_scale : float [A]
        NaN on an array whose converters have no ranges.
    pinned : bool
        Chosen from data and kept. Otherwise it grows with the first vector that overflows.
    sent_again : vectors that overflowed and were sent again at a larger range
    halved : vectors beyond the largest range that were sent again with smaller inputs, each time it took
    saturated : vectors beyond the largest range: they were given its full scale
    cut : inputs beyond the drivers' limit, which were cut there
    """

    full_scale: float
    pinned: bool
    sent_again: int
    halved: int
    saturated: int
    cut: int
