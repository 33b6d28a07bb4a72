"""Figures of networks that were written onto a chip: how well they recognise as the chip ages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ...common.text import duration
from ..plots.plots import FAINT, INK, PALETTE, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def accuracy_over_time(
    seconds: ArrayLike, curves: Mapping[str, ArrayLike], *, examples: int, lines: Mapping[str, float], title: str
) -> Figure:
    """Draw accuracy against the time since programming, on a logarithmic axis.

    Parameters
    ----------
    seconds : [looks] [s]
    curves : name -> accuracy [looks]
    examples : behind each accuracy: bars are one standard error of so many
    lines : what to compare with, name -> accuracy: the model in float, chance
    """
    figure, axes = new_figure(7.2, 4.6)
    at = np.asarray(seconds, dtype=np.float64)
    for number, (name, values) in enumerate(curves.items()):
        share = np.asarray(values, dtype=np.float64)
        error = np.sqrt(share * (1.0 - share) / max(1, examples))
        axes.errorbar(
            at * 1.12**number, 100.0 * share, yerr=100.0 * error, marker="os"[number % 2], ms=5, lw=1.5, capsize=2,
            color=PALETTE[number], label=name,
        )  # fmt: skip
    for number, (name, value) in enumerate(lines.items()):
        axes.axhline(100.0 * value, color=INK if number == 0 else FAINT, lw=1.2, ls="--" if number == 0 else ":")
        axes.annotate(
            f"{name} {value:.1%}", (1.0, 100.0 * value), xycoords=("axes fraction", "data"), xytext=(-4, 3),
            textcoords="offset points", ha="right", va="bottom", fontsize=8, color=INK,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xticks(at, [duration(float(one)) for one in at])
    axes.minorticks_off()
    axes.set_xlabel("time since programming")
    axes.set_ylabel("test examples recognised (%)")
    axes.set_title(title)
    axes.legend(loc="best")
    return figure
