"""The same cells read in several bias schemes, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..plots.plots import INK, PALETTE, new_figure, note, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def read_scheme_bars(conductance: Mapping[str, ArrayLike], *, title: str = "What the same cells read") -> Figure:
    """Draw the median conductance per bias scheme as logarithmic bars, single cells as dots, ratios to the first.

    Parameters
    ----------
    conductance : mapping of str to array_like [cells] [S]
        Scheme -> readings; the first is the one the others are compared with.
    """
    from matplotlib.ticker import EngFormatter, NullFormatter

    series = {name: np.asarray(values, dtype=np.float64).ravel() for name, values in conductance.items()}
    figure, ax = new_figure(2.2 + 1.6 * max(len(series), 2), 4.2)
    ax.set(title=title, ylabel="Conductance", yscale="log")
    ax.set_xticks(range(len(series)), [name.replace("_", " ") for name in series])
    ax.grid(visible=False, axis="x")
    seen = {name: values[np.isfinite(values) & (values > 0.0)] for name, values in series.items()}
    every = np.concatenate([*seen.values(), np.empty(0)])
    if not every.size:
        note(ax, "no cell conducts")
        return figure
    bottom, top = float(every.min()) / 3.0, float(every.max()) * 4.0
    ax.set_ylim(bottom, top)
    ax.set_xlim(-0.7, len(series) - 0.3)
    own = float(np.median(next(iter(seen.values())))) if next(iter(seen.values())).size else np.nan
    for k, values in enumerate(seen.values()):
        if not values.size:
            ax.annotate("nothing", (k, bottom * 1.3), ha="center", va="bottom", fontsize=9)
            continue
        middle = float(np.median(values))
        ax.bar(k, middle - bottom, bottom=bottom, width=0.6, color=PALETTE[0 if k == 0 else 1], alpha=0.75)
        if values.size > 1:
            spread = np.linspace(-0.22, 0.22, values.size)
            ax.plot(k + spread, values, "o", markersize=3, color=INK, alpha=0.6, linestyle="none")
        ratio = "the array's own" if k == 0 else _signed_percent(middle / own - 1.0)
        ax.annotate(
            f"{EngFormatter('S', places=1)(middle)}\n{ratio}",
            (k, float(values.max())), xytext=(0, 5), textcoords="offset points", ha="center", va="bottom", fontsize=9,
        )  # fmt: skip
    ax.yaxis.set_major_formatter(EngFormatter("S"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    return figure


def _signed_percent(share: float) -> str:
    percent = 100.0 * share
    return f"{percent:+,.{0 if abs(percent) >= 100.0 else 2}f} %".replace("-", "−")
