"""Figures that several analyses of foreign data share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ...plots.plots import PALETTE, colours_of, log_ticks, new_figure, note, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ...estimates.estimates import Floats

# Shares at which a probability axis has a tick (%).
_SHARES = (0.01, 0.1, 1.0, 5.0, 20.0, 50.0, 80.0, 95.0, 99.0, 99.9, 99.99)


@styled
def resistance_cdf(groups: Mapping[str, ArrayLike], *, title: str) -> Figure:
    """Draw the cumulative distribution of resistances [Ω] on lognormal paper: a straight line is a lognormal law.

    Parameters
    ----------
    groups : mapping of str to array_like [Ω]
        Name -> resistances, one per cell; what is not above 0 or not finite is left out.
    """
    from matplotlib.ticker import EngFormatter

    figure, ax = new_figure(6.8, 4.4)
    ax.set(title=title, xlabel="Resistance", xscale="log")
    shown = np.concatenate([np.asarray(values, np.float64).ravel() for values in groups.values()] or [np.empty(0)])
    shown = np.unique(shown[np.isfinite(shown) & (shown > 0.0)])
    if shown.size == 1:  # matplotlib finds no limits about a single value
        ax.set_xlim(shown[0] / 2.0, shown[0] * 2.0)
    if not normal_cdfs(ax, groups, positive=True):
        note(ax, "no resistance to draw")
        return figure
    ax.xaxis.set_major_formatter(EngFormatter("Ω"))
    _few_decades(ax)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def normal_cdfs(ax: Axes, groups: Mapping[str, ArrayLike], *, positive: bool = False, unit: float = 1.0) -> bool:
    """Draw cumulative distributions on a normal probability axis; return whether there was anything.

    A group of one value is drawn as a dot at 50 %. Values are divided by ``unit``.
    """
    from scipy.special import ndtri

    widest = 0
    colours = colours_of(len(groups))
    for k, (name, values) in enumerate(groups.items()):
        x = np.asarray(values, dtype=np.float64).ravel() / unit
        x = np.sort(x[np.isfinite(x) & (x > 0.0)] if positive else x[np.isfinite(x)])
        if not x.size:
            continue
        widest = max(widest, x.size)
        share = (np.arange(x.size) + 0.5) / x.size
        dots = {"marker": "o", "markersize": 3.5, "linewidth": 0.8}
        style: dict[str, Any] = dots if x.size < 60 else {"linewidth": 1.7}
        ax.plot(x, ndtri(share), color=colours[k], label=f"{name} (n = {x.size:,})", **style)
    if not widest:
        return False
    ends = 50.0 / widest, 100.0 - 50.0 / widest
    shares = [share for share in _SHARES if ends[0] * 0.8 <= share <= 100.0 - ends[0] * 0.8] or [50.0]
    ax.set_yticks(ndtri(np.asarray(shares) / 100.0), [f"{share:g}" for share in shares])
    ax.set_ylabel("Cumulative share (%)")
    return True


def _few_decades(ax: Axes) -> None:
    """Put ticks at 1, 2, 5 where fewer than two decades are shown."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    low, high = ax.get_xlim()
    if high / low < 100.0:
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.xaxis.set_major_formatter(EngFormatter("Ω"))
    ax.xaxis.set_minor_formatter(NullFormatter())


@styled
def states_over_cycles(on: Floats, off: Floats, cycle: Any, *, title: str = "SET/RESET cycling") -> Figure:
    """Draw resistance after SET and after RESET against the cycle: median over cells, and the middle 98 %.

    Parameters
    ----------
    on, off : array [cells, cycles] [Ω]
    cycle : array [cycles]
        Their numbers, from 1.
    """
    from matplotlib.ticker import EngFormatter

    figure, ax = new_figure(8.2, 4.4)
    ax.set(title=title, xlabel="Cycle", ylabel="Resistance", yscale="log")
    for values, colour, name in ((off, PALETTE[1], "after RESET"), (on, PALETTE[0], "after SET")):
        seen = np.isfinite(values).any(axis=0)
        low, middle, high = np.full((3, len(cycle)), np.nan)
        low[seen], middle[seen], high[seen] = np.nanpercentile(values[:, seen], (1, 50, 99), axis=0)
        if len(values) > 1:
            ax.fill_between(
                cycle, low, high, color=colour, alpha=0.2, linewidth=0, label=f"{name}: middle 98 % of cells"
            )
        label = f"{name}: median of {len(values)} cells" if len(values) > 1 else name
        ax.plot(
            cycle, middle, color=colour, linewidth=1.5, label=label, marker="o" if len(cycle) < 30 else None, ms=3.5
        )
    first, last = float(cycle[0]), float(cycle[-1])
    if len(cycle) > 2000 or last - first > 5.0 * len(cycle):
        ax.set_xscale("log")
    ax.set_xlim(first, max(last, first + 1.0))
    if ax.get_xscale() == "log":
        log_ticks(ax.xaxis)
    ax.yaxis.set_major_formatter(EngFormatter("Ω"))
    figure.legend(loc="outside lower center", ncols=2)
    return figure
