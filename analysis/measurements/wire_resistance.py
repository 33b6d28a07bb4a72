"""Resistance of the lines from what cells lose on them.

*By load.* Where a row is read with all its columns at once, its cells draw their currents through one wire, and each
reads less than it does when its column is read alone. The cell's own resistance is the same in both readings and drops
out: ln(G_all/G_alone) = −(R_row·c + R_contact·k) to first order, with what the cell's currents make of one ohm as
regressors.

*By position.* Where only one cell is measured at a time, ln G falls by G·R per segment on the way to the cell. The
spread of the cells themselves is noise then, and decides what the array's size makes possible.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..estimates.estimates import UNKNOWN, Estimate, Floats, t_quantile
from ..plots.plots import FAINT, INK, PALETTE, new_figure, note, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ITERATIONS = 8


@dataclass(frozen=True)
class LineFit:
    """Resistances of a row line, by least squares with errors that allow rows to differ.

    Parameters
    ----------
    segment : Estimate [Ω]
        Between neighbouring crosspoints.
    contact : Estimate [Ω]
        In front of the first segment: driver, contact and lead; UNKNOWN where it cannot be told.
    expected, seen : ndarray
        What the fit says and what was measured of each cell's relative loss, for the figure.
    method : str
        "load" or "position".
    """

    segment: Estimate
    contact: Estimate
    expected: Floats
    seen: Floats
    method: str


def ladder_loss(conductance: Floats, segment: float, contact: float) -> Floats:
    """Return G_all/G_alone of cells that hang on row lines driven at column 0.

    Parameters
    ----------
    conductance : ndarray [rows, cols] [S]
        Each cell with what is in series with it beyond its row line.
    segment, contact : float [Ω]
        One segment (there is one in front of every cell) and what is in front of the first.

    Returns
    -------
    ndarray [rows, cols]
        Current of the cell when all of the row draw theirs, over that when it draws alone.
    """
    rows, cols = conductance.shape
    path = contact + segment * np.arange(1, cols + 1)
    shared = contact + segment * np.minimum.outer(np.arange(1, cols + 1), np.arange(1, cols + 1))
    found = np.empty((rows, cols))
    for row in range(rows):
        g = conductance[row]
        volts = np.linalg.solve(np.eye(cols) + shared * g[None, :], np.ones(cols))
        found[row] = volts * (1.0 + path * g)
    return found


def fit_by_load(together: Floats, alone: Floats) -> LineFit:
    """Fit segment and contact of the rows to cells read together with their row and alone.

    Gauss–Newton on the logarithm of the ratio; the currents of the ladder are solved exactly. Errors are those of a
    sandwich over rows, since what a whole row shares (its driver, a drift between the reads) is no independent item.

    Parameters
    ----------
    together, alone : ndarray [rows, cols] [S]
        Readings; a row with a cell that could not be read (nan) is left out, since its load is not known. The cells are
        taken as ohmic between the voltages they see in the two readings.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        y = np.log(together / alone)
    readable = np.all(np.isfinite(alone) & np.isfinite(together), axis=1, keepdims=True)
    known = np.isfinite(y) & (alone > 0.0) & readable
    load = np.maximum(np.nan_to_num(alone), 0.0)
    rows_used = np.flatnonzero(known.any(axis=1))
    if rows_used.size < 3:
        return LineFit(UNKNOWN, UNKNOWN, np.empty(0), np.empty(0), "load")
    theta, step = np.zeros(2), np.array([0.05, 0.5])
    # One weight for all cells that conduct: a weight by the reading itself would favour those that read too high.
    middle = float(np.nanmedian(load[known]))
    known &= load > 0.3 * middle
    weight = known.astype(np.float64)
    model, jacobian = np.zeros(y.shape), np.zeros((*y.shape, 2))
    path = np.arange(1, y.shape[1] + 1)
    for _ in range(ITERATIONS):
        own = load / np.maximum(1.0 - (theta[1] + theta[0] * path) * load, 0.2)  # off the drop of its own read alone
        model = np.log(ladder_loss(own, theta[0], theta[1]))
        for k in range(2):
            more = theta + step * (np.arange(2) == k)
            jacobian[..., k] = (np.log(ladder_loss(own, more[0], more[1])) - model) / step[k]
        rest = np.where(known, y - model, 0.0)
        normal = np.einsum("rck,rc,rcl->kl", jacobian, weight, jacobian)
        move = np.linalg.pinv(normal) @ np.einsum("rck,rc,rc->k", jacobian, weight, rest)
        theta = np.maximum(theta + move, 0.0)
        if float(np.abs(move).max()) < 1e-6:
            break
    rest = np.where(known, y - model, 0.0)
    bread = np.linalg.pinv(np.einsum("rck,rc,rcl->kl", jacobian, weight, jacobian))
    scores = np.einsum("rck,rc,rc->rk", jacobian, weight, rest)[rows_used]
    n = int(rows_used.size)
    covariance = bread @ (scores.T @ scores * n / max(n - 2, 1)) @ bread
    half = t_quantile(max(n - 2, 1)) * np.sqrt(np.maximum(np.diag(covariance), 0.0))
    segment, contact = (
        Estimate(float(value), max(float(value - reach), 0.0), float(value + reach), int(known.sum()))
        for value, reach in zip(theta, half, strict=True)
    )
    return LineFit(segment, contact, 1.0 - np.exp(model[known]), 1.0 - np.exp(y[known]), "load")


def fit_by_position(conductance: Floats) -> LineFit:
    """Fit one resistance for the segments of rows and columns to cells that were measured one at a time.

    ln G = a − Ḡ·R·x, x the segments that carry the cell's current, each counted by how many currents it carries: a row
    line, driven at column 0, those of all cells beyond it, a column, sensed at the last row, the cell's own. Ordinary
    least squares on the cells of low resistance (above half of the median).

    Parameters
    ----------
    conductance : ndarray [rows, cols] [S]
        Current over the voltage at the terminals; nan where a cell is left out.
    """
    g = np.where(conductance > 0.0, conductance, np.nan)
    middle = float(np.nanmedian(g)) if np.isfinite(g).any() else math.nan
    rows, cols = g.shape
    beyond = np.cumsum(cols - np.arange(cols))
    x = beyond[None, :] + (rows - np.arange(rows))[:, None]
    known = np.isfinite(g) & (g > 0.5 * middle)
    n = int(known.sum())
    if n < 4 or np.unique(x[known]).size < 2:
        return LineFit(UNKNOWN, UNKNOWN, np.empty(0), np.empty(0), "position")
    at, y = x[known].astype(np.float64), np.log(g[known])
    dx = at - at.mean()
    slope = float(dx @ y / (dx @ dx))
    rest = y - y.mean() - slope * dx
    error = math.sqrt(float(rest @ rest) / (n - 2) / float(dx @ dx))
    value, half = -slope / middle, t_quantile(n - 2) * error / middle
    return LineFit(Estimate(value, value - half, value + half, n), UNKNOWN, at, 1.0 - np.exp(y - y.mean()), "position")


@styled
def wire_figure(fit: LineFit, *, title: str = "What the lines cost") -> Figure:
    """Draw each cell's loss against what the fit expects (by load) or against the segments on its way (by position)."""
    figure, ax = new_figure(6.4, 4.6)
    ax.set_title(title)
    if not fit.seen.size:
        note(ax, "no cell to measure with")
        return figure
    seen = 100.0 * fit.seen
    if fit.method == "load":
        x = 100.0 * fit.expected
        ends = np.array([float(x.min()), float(x.max())])
        ax.plot(x, seen, "o", markersize=2, alpha=0.3, color=PALETTE[0], linestyle="none", label="cells")
        ax.plot(ends, ends, color=INK, linewidth=1.2, label=f"fit: {fit.segment.value:.3g} Ω per segment")
        ax.set(xlabel="Loss that the fit expects (%)", ylabel="Read with the row against alone: loss (%)")
    else:
        x = fit.expected
        ax.plot(x, seen, "o", markersize=4, color=PALETTE[0], linestyle="none", label="cells")
        line = np.polyfit(x, seen, 1)
        ends = np.array([float(x.min()), float(x.max())])
        ax.plot(
            ends, np.polyval(line, ends), color=INK, linewidth=1.2, label=f"fit: {fit.segment.value:.3g} Ω per segment"
        )
        ax.set(xlabel="Segments on the way, each by the currents it carries", ylabel="Conductance below the mean (%)")
    ax.axhline(0.0, color=FAINT, linewidth=0.8)
    ax.legend(loc="upper left")
    return figure
