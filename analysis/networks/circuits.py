"""Output circuits that saturate: the curve of every column from measured pairs, and what the spread of cells does.

The curve is Rapp's model of an amplifier that reaches its rails (Rapp 1991): v/(1 + |v|^p)^(1/p), v = gain·x + offset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import least_squares

from ..estimates.estimates import Floats
from ..plots.plots import FAINT, PALETTE, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROUND, _SHARP = 1.0, 100.0
_REACHED = 0.5
"""A column whose input never got this far, in levels, has told nothing of its corner."""


def rapp(v: Floats, sharpness: ArrayLike) -> Floats:
    """Return v/(1 + |v|^p)^(1/p), p being ``sharpness``: v where it is small, ±1 where it is large."""
    p, size = np.asarray(sharpness, dtype=np.float64), np.abs(v)
    large = np.maximum(size, 1.0)  # so that no power overflows
    return v / (large * (large**-p + (size / large) ** p) ** (1.0 / p))


@dataclass(frozen=True)
class SaturationCurves:
    """What every column's circuit makes of x: level · rapp(gain·x/level + offset); all [columns].

    Attributes
    ----------
    level : in weights times inputs
    gain, offset, sharpness : of the fit
    residual : RMS distance of what was measured from the fit, over the level
    error : RMS distance of what was measured from the ideal clip, over the level
    """

    level: Floats
    gain: Floats
    offset: Floats
    sharpness: Floats
    residual: Floats
    error: Floats

    def held(self, x: ArrayLike) -> Floats:
        """Return [n, columns] of ``x`` [n, columns]."""
        v = np.asarray(x, dtype=np.float64) / self.level * self.gain + self.offset
        return self.level * rapp(v, self.sharpness)


def fit_curves(x: ArrayLike, held: ArrayLike, level: ArrayLike) -> SaturationCurves:
    """Fit the curve of every column.

    Parameters
    ----------
    x : [n, columns]
        What came out without the circuits.
    held : [n, columns]
        What came out with them, of the same inputs.
    level : [columns]
    """
    given, seen = np.asarray(x, dtype=np.float64), np.asarray(held, dtype=np.float64)
    top = np.asarray(level, dtype=np.float64)
    found = np.empty((given.shape[1], 4))
    for column, (u, y) in enumerate(zip((given / top).T, (seen / top).T, strict=True)):
        corner = np.abs(u).max() > _REACHED

        def off(p: Floats, u: Floats = u, y: Floats = y, corner: bool = bool(corner)) -> Floats:
            return rapp(p[0] * u + p[1], np.exp(p[2]) if corner else _SHARP) - y

        fit = least_squares(
            off,
            (1.0, 0.0, np.log(5.0)),
            bounds=((0.2, -1.0, np.log(_ROUND)), (5.0, 1.0, np.log(_SHARP))),
            x_scale=(0.1, 0.1, 1.0),
        )
        gain, offset, log_sharpness = fit.x.tolist()
        rest = float(np.sqrt(np.mean(off(fit.x) ** 2)))
        found[column] = gain, offset, np.exp(log_sharpness) if corner else _SHARP, rest
    ideal = np.clip(given, -top, top)
    error = np.sqrt(np.mean(((seen - ideal) / top) ** 2, axis=0))
    return SaturationCurves(top, found[:, 0], found[:, 1], found[:, 2], found[:, 3], error)


@styled
def curves_figure(x: ArrayLike, held: ArrayLike, curves: SaturationCurves) -> Figure:
    """Draw what the circuits were measured to give beside the ideal clip, gates and candidates apart, and the spread.

    Parameters
    ----------
    x, held : as of :func:`fit_curves`
    """
    given, seen = np.asarray(x, dtype=np.float64), np.asarray(held, dtype=np.float64)
    figure, (left, middle, right) = new_figure(13.2, 4.4, 3)
    kinds = sorted(set(curves.level.tolist()), reverse=True)
    for ax, level, name in zip((left, middle), kinds, ("Sigmoid of the gates", "Tanh of the candidate"), strict=False):
        at = np.flatnonzero(curves.level == level)
        line = np.linspace(-2.0 * level, 2.0 * level, 200)
        sigmoid = level == kinds[0] and len(kinds) > 1

        def shown(y: Floats, level: float = level, sigmoid: bool = sigmoid) -> Floats:
            return 0.5 * y / level + 0.5 if sigmoid else y

        ax.plot(
            given[:, at].ravel(), shown(seen[:, at].ravel()), ls="", marker=".", ms=2.5, color=PALETTE[0], alpha=0.35,
            label=f"circuits of {at.size} columns", rasterized=True,
        )  # fmt: skip
        ax.plot(line, shown(np.clip(line, -level, level)), color=PALETTE[1], lw=1.6, label="ideal clip")
        smooth = 1.0 / (1.0 + np.exp(-line)) if sigmoid else np.tanh(line)
        ax.plot(line, smooth, color=FAINT, lw=1.2, ls="--", label="sigmoid" if sigmoid else "tanh")
        ax.set(title=name, xlabel="Weights times inputs", ylabel="Activation", xlim=(line[0], line[-1]))
        ax.legend(loc="upper left", fontsize=8)
    right.plot(100.0 * (curves.gain - 1.0), 100.0 * curves.offset, ls="", marker="o", ms=4.5, color=PALETTE[0])
    right.axhline(0.0, color=FAINT, lw=0.8)
    right.axvline(0.0, color=FAINT, lw=0.8)
    right.set(title="Spread over the columns", xlabel="Gain less 1 (%)", ylabel="Offset (% of the level)")
    return figure


@styled
def variation_figure(
    variation: ArrayLike, accuracy: Mapping[str, ArrayLike], *, measured: float, chance: float
) -> Figure:
    """Draw accuracy against how far cells are off: medians with the range of the draws.

    Parameters
    ----------
    variation : [points], standard deviation over the conductance
    accuracy : name -> [points, draws]
    measured : accuracy on the array, of the cells as they are
    """
    at = 100.0 * np.asarray(variation, dtype=np.float64)
    figure, ax = new_figure(7.4, 4.4)
    for n, (name, values) in enumerate(accuracy.items()):
        table = 100.0 * np.asarray(values, dtype=np.float64)
        middle = np.median(table, axis=1)
        ends = np.stack([middle - table.min(1), table.max(1) - middle])
        ax.errorbar(
            at + 0.25 * n, middle, yerr=ends, color=PALETTE[n], marker="o", ms=4.5, lw=1.3, elinewidth=1.1, capsize=3,
            label=f"{name}: median and range of {table.shape[1]} draws",
        )  # fmt: skip
    ax.axhline(100.0 * measured, color=PALETTE[2], ls="--", lw=1.2, label="on the array, cells as they are")
    ax.axhline(100.0 * chance, color=FAINT, ls=":", lw=1.2, label="chance, the commonest class")
    ax.set(title="Cells that are off", xlabel="Variation of every conductance (%, 1 σ)", ylabel="Test accuracy (%)")
    ax.set_ylim(0.0, 104.0)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncol=2, fontsize=8)
    return figure


@styled
def slots_figure(rows: ArrayLike, cols: ArrayLike, slots: ArrayLike) -> Figure:
    """Draw pulse slots of an update against its rows, a line for every number of columns.

    Parameters
    ----------
    rows, cols, slots : [updates]
    """
    high, wide, count = (np.asarray(one, dtype=np.float64) for one in (rows, cols, slots))
    figure, ax = new_figure(6.4, 4.4)
    for n, columns in enumerate(np.unique(wide)):
        at = wide == columns
        ax.plot(
            high[at], count[at], ls="", marker="os^D"[n % 4], ms=11 - 2.2 * n, mfc="none", mew=1.5, color=PALETTE[n],
            label=f"{columns:.0f} columns, counted by the array",
        )  # fmt: skip
    line = np.array([0.0, high.max()])
    per = float(np.max(count / high))
    ax.plot(line, per * line, color=FAINT, lw=1.2, label=f"slots per row: {per:g}")
    ax.plot(line, wide.max() * line, color=FAINT, lw=1.2, ls=":", label=f"cell by cell, {wide.max():.0f} columns")
    ax.set(title="Update, row by row", xlabel="Rows", ylabel="Pulse slots", xlim=(0.0, None))
    ax.set_ylim(0.0, 2.0 * float(count.max()))
    ax.legend(loc="upper left", bbox_to_anchor=(0.06, 1.0), fontsize=8)
    return figure
