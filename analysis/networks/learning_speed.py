"""How fast networks learn: steps to a criterion against a factor, as an effect with its interval; learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ..plots.plots import FAINT, PALETTE, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Effect:
    """A mean over seeds with its 95 % interval by Student's t; ``seeds`` behind it."""

    mean: float
    low: float
    high: float
    seeds: int

    @property
    def is_null(self) -> bool:
        """Whether the interval holds 0."""
        return not (self.low > 0.0 or self.high < 0.0)

    def __str__(self) -> str:
        """Return mean and interval."""
        return f"{self.mean:+.0f} ({self.low:+.0f} … {self.high:+.0f}; {self.seeds} seeds)"


def mean_effect(values: ArrayLike) -> Effect:
    """Return the mean of one value per seed, [seeds], with its interval."""
    each = np.asarray(values, dtype=np.float64)
    if each.size < 2 or np.ptp(each) == 0.0:
        return Effect(float(each.mean()), float("nan"), float("nan"), each.size)
    interval = stats.ttest_1samp(each, 0.0).confidence_interval(0.95)
    return Effect(float(each.mean()), float(interval.low), float(interval.high), each.size)


def per_doubling(levels: Sequence[float], steps: ArrayLike) -> Effect:
    """Return by how many steps to criterion a doubling of the factor changes learning: the slope over log2, by seed.

    Parameters
    ----------
    levels : [levels] of the factor
    steps : [seeds, levels]
        A seed shares data order and start between levels, so that its slope is one observation.
    """
    table = np.asarray(steps, dtype=np.float64)
    return mean_effect(np.polyfit(np.log2(np.asarray(levels, dtype=np.float64)), table.T, 1)[0])


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
