"""Bit errors of decided symbols: how many, how sure that is, and how they come in bursts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..estimates.estimates import Estimate, Floats, clustered_fraction_estimate, fraction_estimate

ENOUGH = 100
"""Errors from which on a rate is called measured; below, it is a bound."""

Symbols = NDArray[np.int64]


@dataclass(frozen=True)
class ErrorCount:
    """Bit errors, stream by stream.

    Attributes
    ----------
    errors, bits : [streams]
    """

    errors: Symbols
    bits: Symbols

    @property
    def total(self) -> int:
        """All bit errors."""
        return int(self.errors.sum())

    @property
    def measured(self) -> bool:
        """Whether there are errors enough for a rate; otherwise the upper end of the interval is a bound."""
        return self.total >= ENOUGH

    def rate(self) -> Estimate:
        """Return bit errors over bits.

        Streams are independent, errors within one are not, so the interval is widened by what the streams say. Without
        any error it is Wilson's for all bits.
        """
        if not self.total:
            return fraction_estimate(0, int(self.bits.sum()))
        return clustered_fraction_estimate(self.errors, self.bits)


def bits_per_symbol(levels: int) -> int:
    """Return the bits of a symbol with so many levels, a power of two."""
    return levels.bit_length() - 1


def bit_errors(decided: Symbols, sent: Symbols, levels: int) -> ErrorCount:
    """Count the bits that differ, symbols [streams, n] being Gray-coded: neighbouring levels differ in one bit."""
    differ = np.bitwise_count((decided ^ decided >> 1) ^ (sent ^ sent >> 1))
    bits = np.full(len(sent), sent.shape[1] * bits_per_symbol(levels))
    return ErrorCount(differ.sum(1).astype(np.int64), bits)


def bursts(wrong: NDArray[np.bool_], quiet: int) -> tuple[Symbols, Symbols]:
    """Return length and stream of every burst of errors [streams, n].

    A burst lasts from its first wrong symbol to its last; it is over when more than ``quiet`` right ones follow, so
    many that nothing wrong is fed back any more.
    """
    streams, at = np.nonzero(wrong)
    if not at.size:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    new = np.ones(at.size, dtype=np.bool_)
    new[1:] = (np.diff(streams) != 0) | (np.diff(at) > quiet + 1)
    first = np.flatnonzero(new)
    last = np.append(first[1:], at.size) - 1
    return (at[last] - at[first] + 1).astype(np.int64), streams[first].astype(np.int64)


def eye_opening(values: Floats, symbols: Symbols, levels: Floats, *, share: float = 0.01) -> float:
    """Return the height of the worst eye over the mean distance of neighbouring levels; below 0 it is closed.

    Not a number where the highest level does not lie above the lowest.

    Parameters
    ----------
    values, symbols : [n]
        What is decided upon, and what was sent.
    share : of the values of a level that may lie beyond the eye's edge
    """
    parts = [values[symbols == n] for n in range(len(levels))]
    edges = [float(np.quantile(up, share) - np.quantile(low, 1.0 - share)) for low, up in pairwise(parts)]
    distance = float(np.median(parts[-1]) - np.median(parts[0])) / (len(levels) - 1)
    return min(edges) / distance if distance > 0.0 else math.nan
