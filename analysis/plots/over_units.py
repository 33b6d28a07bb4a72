"""Quantities of many cells against what was varied: the median, and where most cells are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .plots import PALETTE, new_figure, si_prefix, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def over_units(
    values: Sequence[float],
    arrays: Mapping[str, NDArray[Any]],
    units: Mapping[str, str],
    *,
    axis: str,
    title: str = "",
) -> Figure:
    """Draw each quantity in a panel: its median over the cells, and the band from the 10th to the 90th percentile.

    Parameters
    ----------
    values : sequence of float
        What was varied.
    arrays : mapping of str to array, [values, rows, cols]
    units : mapping of str to str
        Unit of each quantity.
    """
    figure, panels = new_figure(5.0 * len(arrays) + 1.4, 4.2, len(arrays))
    each = panels if isinstance(panels, list) else [panels]
    for number, (panel, (name, array)) in enumerate(zip(each, arrays.items(), strict=True)):
        color = PALETTE[number % len(PALETTE)]
        cells = array.reshape(len(values), -1).astype(np.float64)
        known = np.isfinite(cells).any(axis=1)
        low, middle, high = np.full((3, len(values)), np.nan)
        low[known], middle[known], high[known] = np.nanpercentile(cells[known], (10, 50, 90), axis=1)
        largest = float(np.nanmax(np.abs(high), initial=0.0))
        factor, prefix = si_prefix(largest) if units[name] else (1.0, "")
        panel.fill_between(values, low / factor, high / factor, color=color, alpha=0.2, linewidth=0)
        panel.plot(values, middle / factor, color=color, marker="o", markersize=3)
        unit = f" [{prefix}{units[name]}]" if units[name] else ""
        panel.set(xlabel=axis, ylabel=f"{name.replace('_', ' ')}{unit}")
    figure.suptitle(title)
    return figure
