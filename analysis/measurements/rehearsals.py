"""Figures of a rehearsal: what is predicted, quantity by quantity, and how far what was measured is from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..estimates.estimates import Estimate
from ..estimates.predictions import Prediction
from ..plots.plots import FAINT, INK, PALETTE, note, si_prefix, styled
from ..quantities import COUNT, FRACTION, describe, format_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

COLUMNS, PANELS_MAX = 4, 24
FARTHEST = 6.0


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """One quantity of a rehearsal.

    Parameters
    ----------
    key : str
        As in the summary, or in words.
    values : ndarray [draws]
        nan where a draw has none.
    minimum, maximum : float, optional
        What is expected of it.
    chance : Estimate, optional
        That this is missed.
    unit : str, optional
        Where the key is no summary's.
    """

    key: str
    values: NDArray[np.float64]
    prediction: Prediction
    minimum: float | None = None
    maximum: float | None = None
    chance: Estimate | None = None
    unit: str | None = None

    @property
    def si_unit(self) -> str:
        """The unit of the values."""
        return describe(self.key).unit if self.unit is None else self.unit

    @property
    def varies(self) -> bool:
        """Whether draws differ."""
        found = self.values[np.isfinite(self.values)]
        return found.size > 0 and float(np.ptp(found)) > 0.0


@styled
def predictions_figure(quantities: Sequence[Predicted], *, title: str) -> Figure:
    """Draw every draw of every quantity, its median and its interval, and the limits that are expected.

    Those that are expected come first; where all draws agree and nothing is expected, a quantity is left out.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    expected = [q for q in quantities if q.minimum is not None or q.maximum is not None]
    keys = {q.key for q in expected}
    shown = [*expected, *(q for q in quantities if q.varies and q.key not in keys)][:PANELS_MAX]
    rows = max(1, math.ceil(len(shown) / COLUMNS))
    figure = Figure(figsize=(12.0, 0.9 + 1.55 * rows), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06))
    if not shown:
        note(figure.add_subplot(), "no quantity was measured in any draw")
    for k, quantity in enumerate(shown):
        _panel(figure.add_subplot(rows, COLUMNS, k + 1), quantity)
    left_out = len(quantities) - len(shown)
    more = f" (bands: {100.0 * shown[0].prediction.level:.0f} % intervals" if shown else " ("
    more += f"; {left_out} more in rehearsal.json)" if left_out else ")"
    figure.suptitle(f"{title}{more}", x=0.01, ha="left", fontweight="bold", fontsize=12)
    return figure


def _panel(ax: Axes, quantity: Predicted) -> None:
    unit = quantity.si_unit
    factor, prefix = (0.01, "") if unit == FRACTION else si_prefix(_largest(quantity)) if unit else (1.0, "")
    if unit == COUNT:
        factor, prefix = 1.0, ""
    sign = "%" if unit == FRACTION else "" if unit == COUNT else f"{prefix}{unit}"
    x = quantity.values[np.isfinite(quantity.values)] / factor
    # How high a dot lies says nothing: they are spread so that one sees how many there are.
    y = 0.1 + 0.6 * ((np.arange(x.size) * 0.6180339887) % 1.0)
    p = quantity.prediction
    ax.axvspan(p.low / factor, p.high / factor, color=PALETTE[5], alpha=0.25, linewidth=0)
    ax.plot(x, y, "o", markersize=3, color=PALETTE[0], alpha=0.6, linewidth=0)
    ax.axvline(p.median / factor, color=INK, linewidth=1.4)
    for limit in (quantity.minimum, quantity.maximum):
        if limit is not None:
            ax.axvline(limit / factor, color=PALETTE[1], linewidth=1.2, linestyle="--")
    if quantity.chance is not None and quantity.chance.n:
        text = f"missed in {percent_with_interval(quantity.chance)}"
        box = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1.0}
        ax.text(0.02, 0.98, text, transform=ax.transAxes, fontsize=8, va="top", color=PALETTE[1], bbox=box)
    ax.set_title(f"{quantity.key} [{sign}]" if sign else quantity.key, fontsize=9)
    ax.set_ylim(0.0, 1.0)
    ax.set_yticks([])
    ax.grid(visible=False, axis="y")
    ax.locator_params(axis="x", nbins=5)
    ax.tick_params(labelsize=8)


def percent_with_interval(chance: Estimate) -> str:
    """Return a chance in per cent: ``4 % (1 … 13 %)``."""
    value, low, high = (100.0 * share for share in (chance.value, chance.low, chance.high))
    return f"{value:.0f} % ({low:.0f} … {high:.0f} %)"


def _largest(quantity: Predicted) -> float:
    values = np.abs(quantity.values[np.isfinite(quantity.values)])
    return float(values.max()) if values.size else 1.0


@dataclass(frozen=True, kw_only=True)
class Compared(Predicted):
    """One quantity of a rehearsal beside what was ``measured`` (nan: it was not)."""

    measured: float


@styled
def comparison_figure(quantities: Sequence[Compared], *, title: str) -> Figure:
    """Draw how many predicted standard deviations every measured value is from the predicted median.

    Those that are farther than :data:`FARTHEST` stand at the edge as arrows; what was not measured is left out.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from scipy.special import ndtri

    shown = [q for q in quantities if math.isfinite(q.measured) and q.prediction.n > 0]
    figure = Figure(figsize=(9.6, 1.6 + 0.27 * len(shown)), layout=ConstrainedLayoutEngine(w_pad=0.09, h_pad=0.09))
    ax = figure.add_subplot()
    if not shown:
        note(ax, "nothing that was predicted was measured")
        return figure
    level = max(q.prediction.level for q in shown)
    reach = float(ndtri(0.5 + level / 2.0))
    ax.axvspan(
        -reach, reach, color=PALETTE[5], alpha=0.22, linewidth=0, label=f"{100.0 * level:.0f} % interval, if normal"
    )
    ax.axvline(0.0, color=FAINT, linewidth=1.0)
    for row, quantity in enumerate(shown):
        _row(ax, row, quantity)
    ax.set_yticks(range(len(shown)), [q.key for q in shown], fontsize=9)
    ax.set(xlim=(-FARTHEST - 0.4, FARTHEST + 0.4), ylim=(len(shown) - 0.4, -0.6))
    ax.set_xlabel("measured − predicted median, in predicted standard deviations")
    ax.grid(visible=False, axis="y")
    ax.legend(loc="upper left", bbox_to_anchor=(0.0, 1.0), fontsize=8)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return figure


def _row(ax: Axes, row: int, quantity: Compared) -> None:
    prediction = quantity.prediction
    draws = [prediction.differs_by(float(value)) for value in quantity.values if math.isfinite(value)]
    near = [value for value in draws if abs(value) <= FARTHEST]
    ax.plot(near, [row] * len(near), "|", color=FAINT, markersize=7, alpha=0.5)
    away = prediction.differs_by(quantity.measured)
    colour = PALETTE[0] if prediction.holds(quantity.measured) else PALETTE[1]
    marker = "o" if abs(away) <= FARTHEST else ">" if away > 0.0 else "<"
    ax.plot([min(max(away, -FARTHEST), FARTHEST)], [row], marker, color=colour, markersize=7)
    unit = quantity.si_unit
    text = f"{format_value(quantity.measured, unit)}  ({format_value(prediction.median, unit, like=quantity.measured)})"
    ax.annotate(
        text, (1.01, row), xycoords=("axes fraction", "data"), fontsize=8, va="center", color=colour,
        annotation_clip=False,
    )  # fmt: skip
