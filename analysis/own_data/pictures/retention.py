"""Figures of cells that were left alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...plots.plots import INK, colours_of, new_figure, note, si_prefix, styled
from .distributions import normal_cdfs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 20
IN_BIN_MIN = 10
FEW = 300
TRACES_MAX = 60


@styled
def shift_against_level(parts: Mapping[str, Any], *, title: str = "What moves, and how far") -> Figure:
    """Draw the change of conductance against the conductance before: median and middle 80 % in bins of equal counts.

    Parameters
    ----------
    parts : mapping of str to DataFrame
        Name -> lines with ``before`` and ``shift`` [S].
    """
    figure, ax = new_figure(7.6, 4.6)
    top = max(float(part["before"].max()) for part in parts.values())
    factor, prefix = si_prefix(top)
    colours = colours_of(len(parts))
    for k, (name, part) in enumerate(parts.items()):
        colour = colours[k]
        x, y = part["before"].to_numpy(np.float64) / factor, part["shift"].to_numpy(np.float64) / factor
        if len(x) < FEW:
            ax.plot(x, y, "o", color=colour, markersize=3.5, alpha=0.6, label=f"{name} ({len(x)} cells)")
            continue
        edges = np.unique(np.quantile(x, np.linspace(0.0, 1.0, BINS + 1)))
        place = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 2)
        used = [b for b in range(len(edges) - 1) if (place == b).sum() >= IN_BIN_MIN]
        at = [float(np.median(x[place == b])) for b in used]
        low, middle, high = (np.array([np.percentile(y[place == b], share) for b in used]) for share in (10, 50, 90))
        ax.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
        ax.plot(at, middle, color=colour, linewidth=1.8, marker="o", ms=4, label=f"{name} ({len(x):,} cells)")
    ax.axhline(0.0, color=INK, linewidth=0.9, linestyle=":")
    ax.set(title=title, xlabel=f"Conductance before ({prefix}S)", ylabel=f"Change ({prefix}S)")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


@styled
def shift_cdfs(parts: Mapping[str, Any], *, title: str = "Change of conductance") -> Figure:
    """Draw the distribution of the change on a normal probability axis."""
    figure, ax = new_figure(7.2, 4.6)
    every = np.concatenate([part["shift"].to_numpy(np.float64) for part in parts.values()])
    every = every[np.isfinite(every)]
    if not every.size:
        note(ax, "no cell was read twice")
        return figure
    factor, prefix = si_prefix(float(np.abs(every).max()) or 1.0)
    normal_cdfs(ax, {name: part["shift"].to_numpy() for name, part in parts.items()}, unit=factor)
    ax.axvline(0.0, color=INK, linewidth=0.9, linestyle=":")
    ax.set(title=title, xlabel=f"Conductance after − before ({prefix}S)")
    figure.legend(loc="outside lower center", ncols=2)
    return figure
