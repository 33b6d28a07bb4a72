"""Spread of a quantity from cycle to cycle and from cell to cell, drawn apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..estimates.estimates import Estimate, Floats, random_effects
from ..plots.plots import FAINT, PALETTE, new_figure, note, styled
from ..quantities import format_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def variability_cdfs(
    quantities: Mapping[str, ArrayLike], *, unit: str = "V", title: str = "Spread within and between cells"
) -> Figure:
    """Draw the cumulative distributions of quantities measured over cycles of several cells, a panel each.

    Three curves: every cycle of every cell; the cell means (d2d); and every cycle shifted by the difference of its
    cell's mean to the mean of all (c2c). The standard deviations written beside them are those of the one-way
    random-effects model, with their 95 % intervals: the cell means also carry a share of the c2c spread.

    Parameters
    ----------
    quantities : mapping of str to array_like [cells, cycles]
        Name -> values in `unit`; nan where a cycle has none.
    """
    panels = max(len(quantities), 1)
    figure, drawn = new_figure(5.0 * panels + 0.4, 4.8, panels)
    axes = drawn if isinstance(drawn, list) else [drawn]
    for ax, (name, values) in zip(axes, quantities.items(), strict=False):
        _panel(ax, np.atleast_2d(np.asarray(values, dtype=np.float64)), name, unit)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return figure


def _panel(ax: Axes, values: Floats, name: str, unit: str) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.set(xlabel=f"{name} ({unit})", ylabel="Cumulative share (%)", ylim=(0, 145))
    ax.set_yticks(range(0, 101, 20))
    known = np.isfinite(values)
    if not known.any():
        note(ax, f"no cycle gave a {name}")
        return
    values = values[known.any(axis=1)]
    means = np.nanmean(values, axis=1)
    shifted = values - means[:, None] + means.mean()
    effects = random_effects(values)
    cycles = int(np.isfinite(values).sum())
    _curve(ax, values, FAINT, 1.2, f"every cycle (n = {cycles:,})")
    if cycles > values.shape[0]:
        label = f"c2c, about each cell's mean: σ {_spread(effects.c2c_std, unit)}"
        _curve(ax, shifted, PALETTE[0], 1.9, label)
    if values.shape[0] > 1:
        label = f"d2d, means of {values.shape[0]} cells: σ {_spread(effects.d2d_std, unit)}"
        _curve(ax, means, PALETTE[1], 1.9, label)
    ax.plot([float(means.mean())] * 2, [0.0, 100.0], color=FAINT, linewidth=0.9, linestyle=":")
    ax.xaxis.set_major_locator(MaxNLocator(nbins=6))
    ax.legend(loc="upper left", title=f"mean {_spread(effects.mean, unit)}", alignment="left", fontsize=8.5)


def _curve(ax: Axes, values: Floats, colour: str, width: float, label: str) -> None:
    x = np.sort(values[np.isfinite(values)].ravel())
    share = 100.0 * np.arange(x.size + 1) / x.size
    ax.step(np.append(x[0], x), share, where="post", color=colour, linewidth=width, label=label)


def _spread(estimate: Estimate, unit: str) -> str:
    """Write a value with its 95 % interval, both with the same prefix."""
    text = format_value(estimate.value, unit, 3)
    if not np.isfinite([estimate.low, estimate.high]).all():
        return text
    low, high = (
        format_value(end, unit, 3, like=estimate.value).partition(" ")[0] for end in (estimate.low, estimate.high)
    )
    return f"{text} [{low} … {high}]"
