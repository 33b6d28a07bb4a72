"""The colours of a map: one outlier must not make everything else look alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .plots import MAP_COLOURS, PALETTE

if TYPE_CHECKING:
    from matplotlib.colorbar import Colorbar
    from matplotlib.colors import Colormap, Normalize

    from .plots import Extend

FAR = 3.0  # quartile distances, of logarithms, beyond which a value is an outlier (Tukey's "far out")
FACTOR = 2.0  # and it is at least so many times the upper quartile, where nearly all values are alike
FEW, FEW_OF_SMALL = 0.02, 0.1  # a larger share, and more than 4 of a small map, are a second kind of cell
SPAN, LOWEST = 8.0, 0.2  # where the rest spans more than this and half of it lies in the lowest fifth: logarithmic
BEYOND_COLOUR, BEYOND_NAME = PALETTE[1], "orange"


@dataclass(frozen=True)
class ColourScale:
    """What the colours of a map span.

    Parameters
    ----------
    low, top : float
        Ends of the scale, in the quantity's unit.
    logarithmic : bool
    above : int
        Values beyond the top, which get a colour of their own.
    largest : float
        The largest of all values.
    below : int
        Values below the low end of a logarithmic scale, zero and negative ones included.
    """

    low: float
    top: float
    logarithmic: bool = False
    above: int = 0
    largest: float = 0.0
    below: int = 0

    @classmethod
    def of(cls, values: ArrayLike, *, logarithmic: bool | None = None, top: float | None = None) -> ColourScale:
        """Return the scale that shows most of the values, and names how many it does not.

        Parameters
        ----------
        values : array_like
            Positive quantities; nan is left out.
        logarithmic : bool, optional
            By default where half of the values would share the lowest fifth of a linear scale.
        top : float, optional
            Ends a linear scale there, so that maps can be compared.
        """
        known = np.asarray(values, dtype=np.float64).ravel()
        known = known[np.isfinite(known)]
        positive = known[known > 0.0]
        if not positive.size:
            return cls(0.0, top or 1.0)
        if top is not None:
            return cls(0.0, top, False, int((known > top).sum()), float(known.max()))
        shown = positive[positive <= _fence(positive)]
        cells = positive.size
        if cells - shown.size > max(FEW * cells, min(FEW_OF_SMALL * cells, 4.0), 1.0):
            shown = positive
        end, start = float(shown.max()), float(shown.min())
        if logarithmic is None:
            logarithmic = end > SPAN * start and float(np.median(shown)) < LOWEST * end
        if logarithmic and end <= start:
            start, end = start / 2.0, end * 2.0
        above = int((known > end).sum())
        below = int((known < start).sum()) if logarithmic else 0
        return cls(start if logarithmic else 0.0, end, logarithmic, above, float(known.max()), below)

    def norm(self, factor: float = 1.0) -> Normalize:
        """Return matplotlib's norm for values divided by ``factor``."""
        from matplotlib.colors import LogNorm, Normalize

        return (LogNorm if self.logarithmic else Normalize)(self.low / factor, self.top / factor)

    def colours(self) -> Colormap:
        """Return the map's colours; what is above the scale is told from its top."""
        from matplotlib import colormaps

        return colormaps[MAP_COLOURS].with_extremes(over=BEYOND_COLOUR if self.above else None)

    @property
    def extend(self) -> Extend:
        """At which ends the colour bar has an arrow."""
        ends = {(0, 0): "neither", (1, 0): "max", (0, 1): "min", (1, 1): "both"}
        return ends[int(self.above > 0), int(self.below > 0)]  # pyright: ignore[reportReturnType]

    def note(self, largest: str) -> str:
        """Return what the extra colour is, ``largest`` as written for people; "" where all is on the scale."""
        if not self.above:
            return ""
        what = "1 cell" if self.above == 1 else f"{self.above:,} cells"
        return f"{BEYOND_NAME}: {what} above the scale, up to {largest}"


def _fence(positive: NDArray[np.float64]) -> float:
    """Return the value above which one is far from all others."""
    low, high = np.percentile(positive, (25, 75))
    return float(high * max((high / low) ** FAR, FACTOR))


def plain_ticks(bar: Colorbar, scale: ColourScale) -> None:
    """Write the ticks of a logarithmic colour bar as plain numbers, 1, 2 and 5 of each decade."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

    axis = bar.ax.yaxis
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)) if scale.top > 10.0 * scale.low else MaxNLocator(5))
    axis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axis.set_minor_formatter(NullFormatter())
