"""Conductance after pulses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...plots.plots import PALETTE, new_figure, si_prefix, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELLS_MAX = 40


@styled
def rise_with_amplitude(
    curves: Mapping[str, Any], *, swept: str, label: str, title: str = "Response to single pulses"
) -> Figure:
    """Draw the conductance after each pulse against what was swept: median and middle 80 % of the sweeps.

    A sweep that ended keeps its last reading: it ended because its cell had gone far enough.

    Parameters
    ----------
    curves : mapping of str to DataFrame
        Name -> lines of a ``pulse_sweep``.
    """
    figure, ax = new_figure(7.6, 4.6)
    top = max(float(part["after"].max()) for part in curves.values())
    factor, prefix = si_prefix(top)
    for k, (name, part) in enumerate(curves.items()):
        size = part.assign(size=part[swept].abs().round(6))
        grid = size.pivot_table(index="size", columns=["cell", "repeat"], values="after", aggfunc="last").sort_index()
        going_on = grid.notna().sum(axis=1)
        held = grid.ffill().to_numpy(np.float64) / factor
        at = grid.index.to_numpy(np.float64)
        low, middle, high = np.nanpercentile(held, (10, 50, 90), axis=1)
        colour = PALETTE[k % len(PALETTE)]
        sweeps = f"{held.shape[1]:,} sweep{'s' if held.shape[1] != 1 else ''}"
        ended = int(held.shape[1] - going_on.iloc[-1])
        if held.shape[1] > 1:
            ax.fill_between(at, low, high, color=colour, alpha=0.18, linewidth=0)
        said = f"{name}: {sweeps}" + (f", {ended:,} ended before the last amplitude" if ended else "")
        ax.plot(at, middle, color=colour, linewidth=1.8, marker="o", markersize=3, label=said)
    ax.set(title=title, xlabel=f"{label} (V)", ylabel=f"Conductance after the pulse ({prefix}S)")
    figure.legend(loc="outside lower center", ncols=1)
    return figure


@styled
def readings_over_pulses(table: Any, *, title: str = "Conductance after each pulse") -> Figure:
    """Draw the readings of some cells in their order."""
    figure, ax = new_figure(7.6, 4.4)
    factor, prefix = si_prefix(float(table["conductance"].max()) or 1.0)
    cells = table["cell"].unique()
    for k, cell in enumerate(cells[:: max(1, len(cells) // CELLS_MAX)]):
        one = table[table["cell"] == cell]
        ax.plot(one["step"], one["conductance"] / factor, color=PALETTE[k % len(PALETTE)], linewidth=0.9, alpha=0.7)
    ax.set(title=title, xlabel="Pulse", ylabel=f"Conductance ({prefix}S)")
    return figure
