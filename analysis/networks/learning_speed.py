"""How fast networks learn: steps to a criterion against a factor, as an effect with its interval; learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..estimates.estimates import Estimate, mean_estimate
from ..plots.plots import FAINT, PALETTE, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def effect_said(effect: Estimate) -> str:
    """Return a mean over seeds with its interval as text, and that it is null where the interval holds 0."""
    null = " (null: the interval holds 0)" if effect.low <= 0.0 <= effect.high else ""
    return f"{effect.value:+.0f} ({effect.low:+.0f} … {effect.high:+.0f}; {effect.n} seeds){null}"


def per_doubling(levels: Sequence[float], steps: ArrayLike) -> Estimate:
    """Return by how many steps to criterion a doubling of the factor changes learning: the slope over log2, by seed.

    Parameters
    ----------
    levels : [levels] of the factor
    steps : [seeds, levels]
        A seed shares data order and start between levels, so that its slope is one observation.
    """
    table = np.asarray(steps, dtype=np.float64)
    return mean_estimate(np.polyfit(np.log2(np.asarray(levels, dtype=np.float64)), table.T, 1)[0])


@styled
def learning_curves(
    panels: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike]]],
    *,
    criterion: float,
    what: str = "Symbols said right (%)",
) -> Figure:
    """Draw accuracy against updates, a panel for who computes, a line for each network: medians, seeds behind them.

    Parameters
    ----------
    panels : title -> name -> (updates [points], accuracies [seeds, points])
    criterion : accuracy that counts as learned
    what : label of the accuracies
    """
    figure, found = new_figure(4.9 * len(panels), 4.4, len(panels))
    axes = np.atleast_1d(np.asarray(found, dtype=object)).tolist()
    for ax, (title, lines) in zip(axes, panels.items(), strict=True):
        for n, (name, (step, values)) in enumerate(lines.items()):
            at, table = np.asarray(step, dtype=np.float64), 100.0 * np.asarray(values, dtype=np.float64)
            for one in table:
                ax.plot(at, one, color=PALETTE[n], lw=0.6, alpha=0.25)
            ax.plot(at, np.median(table, axis=0), color=PALETTE[n], lw=1.8, label=f"{name} ({len(table)} seeds)")
        ax.axhline(100.0 * criterion, color=FAINT, ls=":", lw=1.2, label=f"criterion {criterion:.0%}")
        ax.set(title=title, xlabel="Update", ylabel=what, ylim=(0.0, 104.0), xlim=(0.0, None))
        ax.legend(loc="lower right", fontsize=8)
    return figure
