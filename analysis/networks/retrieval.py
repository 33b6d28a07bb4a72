"""How the error of a holographic memory falls with its copies: exponent with its interval, figure with the law."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..estimates.estimates import Floats
from ..plots.plots import FAINT, PALETTE, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RESAMPLED = 2000


def root_mean_square(errors: Floats) -> Floats:
    """Return the RMS over the last axis."""
    return np.sqrt(np.mean(errors**2, axis=-1))


def retrieval_exponent(copies: Sequence[int], errors: ArrayLike) -> dict[str, float]:
    """Return ``retrieval_error`` of one copy and ``retrieval_exponent``, with bootstrap intervals over the memories.

    Parameters
    ----------
    copies : [numbers], the first is 1
    errors : [numbers, memories]
        The same memories for every number of copies: they are drawn again together.
    """
    table = np.asarray(errors, dtype=np.float64)
    at = np.log(np.asarray(copies, dtype=np.float64))
    drawn = np.random.default_rng(0).integers(0, table.shape[1], (_RESAMPLED, table.shape[1]))
    again = root_mean_square(table[:, drawn])

    def exponent(values: Floats) -> Floats:
        return np.polyfit(at, np.log(values), 1)[0]

    found: dict[str, float] = {}
    for name, value, spread in (
        ("retrieval_error", root_mean_square(table)[0], again[0]),
        ("retrieval_exponent", exponent(root_mean_square(table)), exponent(again)),
    ):
        low, high = np.quantile(spread, [0.025, 0.975]).tolist()
        found |= {name: float(value), f"{name}_ci95_low": low, f"{name}_ci95_high": high}
    return found


@styled
def retrieval_figure(copies: Sequence[int], errors: ArrayLike) -> Figure:
    """Draw the error of reading against the number of copies, and the law 1/√copies.

    Parameters
    ----------
    copies : [numbers], the first is 1
    errors : [numbers, memories]
    """
    from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

    at, table = np.asarray(copies, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    middle = root_mean_square(table)
    low, high = np.quantile(table, [0.025, 0.975], axis=1)
    found = retrieval_exponent(copies, errors)
    figure, ax = new_figure(6.4, 4.2)
    said = (
        f"measured: exponent {found['retrieval_exponent']:.3f} "
        f"({found['retrieval_exponent_ci95_low']:.3f} … {found['retrieval_exponent_ci95_high']:.3f})"
    )
    ax.errorbar(
        at, middle, yerr=[middle - low, high - middle], color=PALETTE[0], marker="o", ms=4, lw=0, elinewidth=1.2,
        capsize=3, label=said,
    )  # fmt: skip
    ax.plot(at, middle[0] / np.sqrt(at), color=FAINT, ls="--", lw=1.4, label="law 1/√copies")
    ax.set_xscale("log")
    ax.set_yscale("log")
    for axis, ticks in ((ax.xaxis, at), (ax.yaxis, [0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0])):
        axis.set_major_locator(FixedLocator(list(ticks)))
        axis.set_major_formatter(ScalarFormatter())
        axis.set_minor_locator(NullLocator())
    ax.set(title="Memory alone", xlabel="Copies", ylabel="Error of a value read / values stored (RMS)")
    ax.legend(loc="lower left")
    return figure
