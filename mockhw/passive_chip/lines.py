"""Draws the lines of a passive chip from a profile: their leads, and what is wrong with whole lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..device_models.graded.parameters import LineFaults

GOOD, OPEN, GRADED, LEAKY, SHORTED = 0, 1, 2, 3, 4
"""What a line is."""

_STREAM: Final = 0x6C_69_6E_65


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of one chip, rows first.

    Attributes
    ----------
    kind : array, [lines], int
        ``GOOD``, ``OPEN``, ``GRADED``, ``LEAKY`` or ``SHORTED``.
    lead : array, [lines], float [Ω]
        Between a line's pad and its first wire segment.
    leak : array, [rows, cols], float [S]
        Beside each cell.
    bridge : array, [lines], float [S]
        To the next line of the same side, at the end near the pads; the last row's and the last column's are 0.
    """

    kind: NDArray[np.int64]
    lead: NDArray[np.float64]
    leak: NDArray[np.float64]
    bridge: NDArray[np.float64] = field(repr=False)


def draw_lines(p: LineFaults | None, rows: int, cols: int, seed: int) -> Lines:
    """Draw the lines of a chip; the same seed gives the same, and they share no luck with the cells.

    Raises
    ------
    ValueError
        When the fractions of faults add up to more than 1.
    """
    count = rows + cols
    kind = np.full(count, GOOD, np.int64)
    lead, leak, bridge = np.zeros(count), np.zeros((rows, cols)), np.zeros(count)
    if p is None:
        return Lines(kind, lead, leak, bridge)
    rng = np.random.default_rng(np.random.SeedSequence([seed, rows, cols, _STREAM]))
    parts = [p.open_fraction, p.graded_fraction, p.leaky_fraction, p.shorted_fraction]
    if min(parts) < 0.0 or sum(parts) > 1.0:
        raise ValueError(f"fractions of open, graded, leaky and shorted lines are {parts}: they add up to 1 at most")
    kinds = np.array([OPEN, GRADED, LEAKY, SHORTED, GOOD])
    kind = kinds[np.searchsorted(np.cumsum(parts), rng.random(count), side="right")]
    place = np.concatenate([_places(rows), _places(cols)])
    lead = p.lead_ohms * np.abs(place) ** p.lead_power * np.exp(p.lead_ln_sd * rng.standard_normal(count))
    lead *= rng.random() < p.lead_fraction
    lead += np.where(kind == GRADED, p.graded_ohms * np.exp(p.graded_ln_sd * rng.standard_normal(count)), 0.0)
    lead += np.where(kind == OPEN, p.open_ohms, 0.0)
    leaks = p.leaky_conductance * np.exp(p.leaky_ln_sd * rng.standard_normal((count, max(rows, cols))))
    for line in np.flatnonzero(kind == LEAKY):
        if line < rows:
            leak[line] += leaks[line, :cols]
        else:
            leak[:, line - rows] += leaks[line, :rows]
    for line in np.flatnonzero(kind == SHORTED):
        first, size = (0, rows) if line < rows else (rows, cols)
        if size > 1:
            bridge[min(line, first + size - 2)] = 1.0 / p.short_ohms
    return Lines(kind, lead, leak, bridge)


def _places(size: int) -> NDArray[np.float64]:
    return np.linspace(-1.0, 1.0, size) if size > 1 else np.zeros(1)
