"""A step that lasts, as it stands: for a person who looks while it goes on."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .colour_scale import ColourScale
from .plots import new_figure, note, si_prefix, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = NDArray[np.float64]
POINTS_MAX = 4000


@styled
def so_far(
    *,
    title: str,
    label: str,
    unit: str,
    medians: FloatArray,
    latest: FloatArray,
    x: tuple[str, FloatArray] | None = None,
    corner: tuple[int, int] = (0, 0),
) -> Figure:
    """Return what came so far, and what came last.

    Parameters
    ----------
    title : str
        The step, and how far it is.
    label, unit : str
        Of the quantity shown.
    medians : array [blocks]
        Median of every block of data, in the order they came.
    latest : array
        The last one: a map [rows, cols], a curve [points], or the map of what single values came to.
    x : (label, values [points]), optional
        What a curve is drawn against.
    corner : (row, column)
        Of the first cell of a map.
    """
    from matplotlib.ticker import MaxNLocator

    figure, (left, right) = new_figure(10.0, 4.2, 2)
    finite = np.abs(np.concatenate([medians.ravel(), latest.ravel()]))
    finite = finite[np.isfinite(finite)]
    factor, prefix = si_prefix(float(finite.max())) if finite.size and unit else (1.0, "")
    named = fill(f"{label} [{prefix}{unit}]" if unit else label, 34)
    every = max(1, -(-medians.size // POINTS_MAX))
    at = np.arange(0, medians.size, every)
    left.plot(at + 1, medians[at] / factor, ".", markersize=3)
    left.set(xlabel="block of data", ylabel=named, title=f"{title}, the median of each")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    _last(right, latest / factor, named, x, corner)
    return figure


def _last(ax: Axes, values: FloatArray, named: str, x: tuple[str, FloatArray] | None, corner: tuple[int, int]) -> None:
    from matplotlib.ticker import MaxNLocator

    if not np.isfinite(values).any():
        note(ax, "nothing yet")
    elif values.ndim == 2:
        (row, col), (rows, cols) = corner, values.shape
        extent = (col - 0.5, col + cols - 0.5, row + rows - 0.5, row - 0.5)
        colours, norm, beyond = None, None, "neither"
        if not (values < 0.0).any():  # one cell far above the others must not make these look alike
            scale = ColourScale.of(values)
            colours, norm, beyond = scale.colours(), scale.norm(), scale.extend
            values = np.where(values <= 0.0, scale.low, values) if scale.logarithmic else values
        image = ax.imshow(values, aspect="auto", interpolation="nearest", extent=extent, cmap=colours, norm=norm)
        ax.grid(visible=False)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True))
        ax.figure.colorbar(image, ax=ax, label=named, extend=beyond)
        ax.set(xlabel="column", ylabel="row", title="as it is now")
    else:
        name, where = x if x is not None else ("point", np.arange(values.size, dtype=np.float64))
        ax.plot(where, values.ravel())
        ax.set(xlabel=name, ylabel=named, title="the last one")
