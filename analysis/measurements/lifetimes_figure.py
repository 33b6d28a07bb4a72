"""Lifetimes on Weibull axes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..estimates.estimates import fraction_estimate
from ..plots.plots import PALETTE, new_figure, note, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..estimates.estimates import Floats
    from ..estimates.lifetimes import WeibullLife


@styled
def lifetimes_figure(failed_at: Floats, last: float, life: WeibullLife, *, title: str = "Lifetimes") -> Figure:
    """Return the picture of ``draw_lifetimes``."""
    figure, ax = new_figure(6.4, 4.4)
    draw_lifetimes(ax, failed_at, last, life)
    ax.set_title(title)
    return figure


def draw_lifetimes(ax: Axes, failed_at: Floats, last: float, life: WeibullLife) -> None:
    """Draw failures and their law on Weibull axes.

    Parameters
    ----------
    failed_at : array [cells]
        Cycle at which a cell was found failed; nan where none was.
    last : float
        Last cycle read.
    """
    ax.set(title="lifetimes", xlabel="Cycles to failure", ylabel="ln(−ln(1 − F))", xscale="log")
    n, failed = failed_at.size, np.sort(failed_at[np.isfinite(failed_at)])
    if not failed.size:
        upper = fraction_estimate(0, n).high if n else math.nan
        note(ax, f"none of {n} cells failed:\nat most {upper:.1%} do by cycle {last:,.0f} (95 %)")
        return
    # Benard's median ranks; cells that did not fail are those that last longest.
    share = (np.arange(1, failed.size + 1) - 0.3) / (n + 0.4)
    ax.plot(failed, np.log(-np.log1p(-share)), "o", color=PALETTE[0], label=f"{failed.size} of {n} cells failed")
    if math.isfinite(life.scale.value):
        x = np.geomspace(0.3 * failed[0], 3.0 * max(float(failed[-1]), last), 60)
        fit = f"Weibull: shape {life.shape.value:.3g}, scale {life.scale.value:,.3g}"
        y = life.shape.value * (np.log(x) - math.log(life.scale.value))
        ax.plot(x, y, color=PALETTE[1], linewidth=1.6, label=fit)
        ax.set_ylim(min(-3.0, float(np.log(-np.log1p(-share[0]))) - 0.5), 1.5)
    else:
        # One point would stand on an axis without a scale.
        ax.set_xlim(0.1 * failed[0], 3.0 * max(float(failed[-1]), last))
        ax.set_ylim(-5.5, 1.5)
        note(ax, "a law of lifetimes takes three failures,\nseen at more than one look")
    ax.legend(loc="upper left")
