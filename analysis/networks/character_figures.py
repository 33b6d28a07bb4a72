"""Figures of what predicts characters: loss against what devices and converters are like, training beside test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..plots.plots import FAINT, INK, PALETTE, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNIT = "nats per character"


@styled
def loss_against(
    losses: Mapping[str, Mapping[float, ArrayLike]],
    *,
    title: str,
    label: str,
    ticks: Mapping[float, str] | None = None,
    lines: Mapping[str, float] | None = None,
) -> Figure:
    """Draw losses against a number: medians, with bars from the best to the worst seed.

    Parameters
    ----------
    losses : name -> number -> [seeds]
    label : what the number is, with its unit
    ticks : what stands below numbers, where that is not the number itself
    lines : name -> a loss to compare with
    """
    figure, ax = new_figure(6.6, 4.2)
    for n, (name, points) in enumerate(losses.items()):
        at = np.array(sorted(points), dtype=np.float64)
        values = [np.asarray(points[one], dtype=np.float64) for one in sorted(points)]
        middle = np.array([np.median(one) for one in values])
        ends = np.abs(np.array([[one.min() for one in values], [one.max() for one in values]]) - middle)
        ax.errorbar(at, middle, yerr=ends, color=PALETTE[n], marker="o", ms=4, lw=1.4, capsize=3, label=name)
    for n, (name, value) in enumerate((lines or {}).items()):
        ax.axhline(value, color=FAINT, ls=("--", ":", "-.")[n % 3], lw=1.2, label=f"{name}: {value:.2f}")
    if ticks:
        ax.set_xticks(list(ticks), list(ticks.values()))
        room = 0.05 * (max(ticks) - min(ticks))
        ax.set_xlim(min(ticks) - room, max(ticks) + room)
    ax.set(title=title, xlabel=label, ylabel=f"Test loss ({UNIT})")
    ax.legend(loc="upper left", bbox_to_anchor=(0.0, -0.17), borderaxespad=0.0, ncols=2)
    return figure


@styled
def training_and_test(arms: Sequence[tuple[str, ArrayLike, ArrayLike]], *, title: str) -> Figure:
    """Draw the loss on the training text and on the test text of several arms, a dot per seed, medians joined.

    Parameters
    ----------
    arms : (name, training loss [seeds], test loss [seeds])
    """
    figure, ax = new_figure(7.2, 1.6 + 0.55 * len(arms))
    for n, (_, training, test) in enumerate(arms):
        middles: list[float] = []
        for colour, what, given in ((PALETTE[0], "training text", training), (PALETTE[1], "test text", test)):
            values = np.asarray(given, dtype=np.float64)
            ax.plot(values, np.full(values.size, n), "o", color=colour, ms=5, alpha=0.7, label=None if n else what)
            middles.append(float(np.median(values)))
            ax.plot([middles[-1]] * 2, [n - 0.22, n + 0.22], color=colour, lw=2.0)
        ax.plot(middles, [n, n], color=INK, lw=0.8, zorder=0)
        ax.annotate(
            f"{middles[1] - middles[0]:+.2f}", (0.5 * sum(middles), n), xytext=(0, 5), textcoords="offset points",
            ha="center", fontsize=8.5, color=INK,
        )  # fmt: skip
    ax.set_yticks(range(len(arms)), [name for name, _, _ in arms])
    ax.set_ylim(len(arms) - 0.5, -0.5)
    ax.set(title=title, xlabel=f"Loss ({UNIT})")
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure
