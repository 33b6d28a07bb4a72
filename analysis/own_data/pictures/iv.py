"""Loops on linear axes, where one sees how far they open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...plots.plots import FAINT, GRID, INK, PALETTE, new_figure, si_prefix, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ...estimates.estimates import Floats

FEW = 8


@styled
def linear_loops(volts: Floats, current: Floats, *, names: Sequence[str], across: bool) -> Figure:
    """Draw the mean loop of every cell, the way out solid and the way back dashed; of many cells all in one panel.

    Parameters
    ----------
    volts, current : array [cells, loops, points] [V], [A] or [V]
    across : bool
        The current is in volts across a series resistor.
    """
    cells = len(names)
    panels = cells if cells <= FEW else 1
    columns = min(panels, 4)
    rows = -(-panels // columns)
    figure, _ = new_figure(max(3.1 * columns + 0.6, 5.6), max(2.9 * rows + 0.5, 4.2))
    figure.clear()
    top = float(np.nanmax(np.abs(current), initial=0.0))
    factor, prefix = si_prefix(top)
    label = f"Across the series resistor ({prefix}V)" if across else f"Current ({prefix}A)"
    with np.errstate(invalid="ignore"):
        v, i = np.nanmean(volts, axis=1), np.nanmean(current, axis=1) / factor
    for k in range(panels):
        ax = figure.add_subplot(rows, columns, k + 1)
        which = [k] if panels == cells else range(cells)
        for cell in which:
            _loop(
                ax, v[cell], i[cell], PALETTE[cell % len(PALETTE)] if panels == cells else PALETTE[0], panels == cells
            )
        ax.axhline(0.0, color=GRID, linewidth=1.0, zorder=0)
        ax.axvline(0.0, color=GRID, linewidth=1.0, zorder=0)
        ax.set_title(names[k] if panels == cells else f"{cells} cells", fontsize=10)
        if k >= panels - columns:
            ax.set_xlabel("Cell voltage (V)")
        if k % columns == 0:
            ax.set_ylabel(label)
        ax.locator_params(axis="x", nbins=5)
    figure.axes[0].plot([], [], color=INK, linewidth=1.4, label="voltage away from 0")
    figure.axes[0].plot([], [], color=INK, linewidth=1.4, linestyle="--", label="back to 0")
    figure.legend(loc="outside lower center", ncols=2, labelcolor=FAINT)
    return figure


def _loop(ax: Axes, volts: Floats, current: Floats, colour: str, bold: bool) -> None:
    away = np.append(True, np.abs(volts[1:]) >= np.abs(volts[:-1]))
    width, alpha = (1.5, 1.0) if bold else (0.7, 0.4)
    for which, dashes in ((away, "-"), (~away, "--")):
        # A point of each way belongs to both, or gaps would open where the voltage turns.
        shown = which | np.append(which[1:], False)
        ax.plot(
            np.where(shown, volts, np.nan), np.where(shown, current, np.nan), dashes, color=colour, linewidth=width,
            alpha=alpha,
        )  # fmt: skip
