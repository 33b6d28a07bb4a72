"""Where writing by gate voltage works best on a chip: the window of gates whose span is largest for its scatter."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from ..estimates.estimates import Floats


@dataclass(frozen=True, kw_only=True)
class GateWindow:
    """What one SET after a RESET leaves, gate by gate, and the window that follows.

    Attributes
    ----------
    gate : [gates] [V]
    median, scatter, read : [gates] [S]
        Conductance; standard deviation of a cell from SET to SET; standard deviation of its read, both rms over cells.
    low, high : float [V]
        The window.
    slope : float [S/V]
        Of the straight line through the medians of the window.
    noise : float [S]
        Scatter in the window, rms.
    """

    gate: Floats
    median: Floats
    scatter: Floats
    read: Floats
    low: float
    high: float
    slope: float
    noise: float

    @property
    def span(self) -> float:
        """Largest difference of two cells in the window [S]."""
        return self.slope * (self.high - self.low)

    def siemens(self, largest: float) -> float:
        """Return the conductance of a weight of 1 where the window shall hold weights up to ± ``largest`` [S]."""
        return self.span / largest

    def within(self, low: float, high: float) -> GateWindow:
        """Return the same cells with another window, as far as gates were tried in it."""
        part = (self.gate >= low) & (self.gate <= high)
        slope, _, noise = _line(self.gate[part], self.median[part], self.scatter[part])
        return replace(self, low=low, high=high, slope=slope, noise=noise)

    @property
    def told(self) -> str:
        """What the window comes to."""
        return (
            f"gates {self.low:.1f} to {self.high:.1f} V: slope {1e6 * self.slope:.1f} µS/V, span "
            f"{1e6 * self.span:.0f} µS, {self.span / self.noise:.0f} times the scatter of a SET"
        )

    def __str__(self) -> str:
        """Return the table, and what follows."""
        lines = ["| gate [V] | median [µS] | from SET to SET [µS] | from read to read [µS] |", "|---|---|---|---|"]
        for gate, *values in zip(self.gate, self.median, self.scatter, self.read, strict=True):
            lines.append(f"| {gate:.1f} | " + " | ".join(f"{1e6 * value:.1f}" for value in values) + " |")
        return "\n".join([*lines, "", self.told])


def _line(gate: Floats, median: Floats, scatter: Floats) -> tuple[float, float, float]:
    """Return slope [S/V], rms distance from the straight line and rms scatter [S] of some gates."""
    slope, offset = np.polyfit(gate, median, 1).tolist()
    bent = float(np.sqrt(np.mean((median - slope * gate - offset) ** 2)))
    return slope, bent, float(np.sqrt(np.mean(scatter**2)))


def gate_window(gate: ArrayLike, first: ArrayLike, second: ArrayLike) -> GateWindow:
    """Find the window.

    Of all windows in which the medians stay closer to a straight line than a single SET does (rms of both), it is the
    one whose span is largest in units of that scatter.

    Parameters
    ----------
    gate : [gates] [V], ascending
    first, second : [gates, sets, cells] [S]
        Two reads after a SET at that gate, a RESET before every SET.

    Raises
    ------
    ValueError
        With fewer than three gates or two SETs, or when no window is straight.
    """
    at, one, two = (np.asarray(values, dtype=np.float64) for values in (gate, first, second))
    if len(at) < 3 or one.shape[1] < 2:
        raise ValueError("a window needs SETs at three gates or more, two at each or more")
    median = np.median(one, axis=(1, 2))
    scatter = np.sqrt(one.var(axis=1, ddof=1).mean(axis=1))
    read = np.sqrt(0.5 * ((two - one) ** 2).mean(axis=(1, 2)))
    best: tuple[float, float, float, float, float] | None = None
    for low in range(len(at) - 2):
        for high in range(low + 2, len(at)):
            part = slice(low, high + 1)
            slope, bent, noise = _line(at[part], median[part], scatter[part])
            worth = slope * (at[high] - at[low]) / noise
            if bent <= noise and slope > 0.0 and (best is None or worth > best[0]):
                best = worth, at[low], at[high], slope, noise
    if best is None:
        raise ValueError("the medians rise along no straight line: choose other gates")
    _, low_gate, high_gate, slope, noise = best
    return GateWindow(
        gate=at, median=median, scatter=scatter, read=read,
        low=float(low_gate), high=float(high_gate), slope=slope, noise=noise,
    )  # fmt: skip
