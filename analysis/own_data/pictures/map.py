"""Means of lines of an array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...plots.plots import PALETTE, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def line_figure(lines: Any, *, title: str = "Lines of the array") -> Figure:
    """Draw the geometric mean resistance of every row and column with its interval, rows beside columns.

    Parameters
    ----------
    lines : DataFrame
        Of :func:`.array_map.line_table`.
    """
    from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter

    figure, axes = new_figure(9.2, 4.2, 2)
    for ax, kind in zip(axes, ("row", "column"), strict=True):
        mine = lines[lines["kind"] == kind]
        for apart, colour in ((False, PALETTE[0]), (True, PALETTE[1])):
            part = mine[mine["apart"] == apart]
            if not len(part):
                continue
            middle = part["r_ohm"].to_numpy()
            low, high = (np.nan_to_num(part[f"r_{end}_ohm"].to_numpy(), nan=0.0) for end in ("low", "high"))
            reach = np.abs(np.where(np.array([low, high]) > 0.0, np.array([low, high]), middle) - middle)
            ax.errorbar(
                part["number"], middle, yerr=reach, fmt="o", color=colour, markersize=5, linewidth=1.4, capsize=3,
            )  # fmt: skip
        ax.set(title=f"{kind}s", xlabel=f"{kind.capitalize()}", yscale="log")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ends = lines[["r_low_ohm", "r_high_ohm"]].to_numpy()
    every = np.append(ends[np.isfinite(ends)], lines["r_ohm"].to_numpy())
    for ax in axes:
        ax.set_ylim(float(np.nanmin(every)) / 1.4, float(np.nanmax(every)) * 1.4)
        wide = np.nanmax(every) / np.nanmin(every) > 30.0
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
        ax.yaxis.set_major_formatter(EngFormatter("Ω"))
        ax.yaxis.set_minor_formatter(NullFormatter())
    axes[0].set_ylabel("Resistance, geometric mean")
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return figure
