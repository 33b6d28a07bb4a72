"""The step of one pulse against conductance: mean, cycle-to-cycle and device-to-device spread, as a simulator wants it.

Two things bend such a table if they are not minded. A reading that is too low by its noise makes the step after it too
large, so that steps sorted by the reading they begin with regress to the mean: here a step is sorted by the reading
*before* that one, plus what the pulse between them does on average in the other cycles. And the noise of two readings
is in the spread of every step: its variance is minus the covariance of neighbouring steps, which share a reading, and
is taken off. Covariance that a state dependence or a slow fluctuation gives is in the next but one step as well, which
shares no reading, and is taken off that.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..estimates.estimates import (
    UNKNOWN,
    Estimate,
    Floats,
    fraction_estimate,
    mean_estimate,
    median_estimate,
    random_effects,
)
from ..estimates.pulse_fit import symmetry_point
from ..plots.plots import FAINT, new_figure, note, si_prefix, styled
from .pulse_response import DOWN, UP, Trains, answering

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

BINS = 16
FEW = 3  # steps of a bin or of a cell; with fewer there is no number
ENDS = 0.5  # per cent of the steps to each side that the first and the last bin take in
MIDDLE = 0.25, 0.75  # of the range of a cell
COLUMNS = (
    "conductance_S", "low_S", "high_S", "direction", "step_mean_S", "step_sigma_S", "step_d2d_S", "samples",
)  # fmt: skip


@dataclass(frozen=True)
class Steps:
    """Every step of the trains of some cells.

    Parameters
    ----------
    trains : Trains
        A last interval of fewer pulses than the others is no step.
    """

    trains: Trains

    @cached_property
    def every(self) -> int:
        """Pulses of a step."""
        return int(self.trains.pulses[1])

    @cached_property
    def readings(self) -> Floats:
        """Readings, equally many pulses apart [cells, cycles, 2, points] [S]."""
        keep = np.append(True, np.diff(self.trains.pulses) == self.every)
        return self.trains.conductance[..., keep]

    @cached_property
    def change(self) -> Floats:
        """Change of G by each step, as read [cells, cycles, 2, points − 1] [S]."""
        return np.diff(self.readings, axis=-1)

    @cached_property
    def place(self) -> Floats:
        """Where each step begins, free of the noise of its own readings [cells, cycles, 2, points − 1] [S].

        In a step of several pulses this is where the middle one does. A reading that has none before it (the first of
        all, or of a cycle that does not go on from the last), and any of a single cycle, is taken as it is.
        """
        g = self.trains.conductance
        own = self.readings[..., :-1]
        before = np.full(own.shape, np.nan)
        before[..., 1:] = self.readings[..., :-2]
        before[:, :, 1, 0] = g[:, :, 0, -2]
        goes_on = g[:, 1:, 0, 0] == g[:, :-1, 1, -1]
        before[:, 1:, 0, 0] = np.where(goes_on, g[:, :-1, 1, -2], np.nan)
        begin = before + _of_others(own - before)
        begin = np.where(np.isfinite(begin), begin, own)
        way = _of_others(self.change)
        return begin + (self.every - 1) / (2.0 * self.every) * np.where(np.isfinite(way), way, self.change)

    @cached_property
    def noise(self) -> tuple[float, float]:
        """Variance of a reading as (a, b) of a + b·G² [S², 1]; (nan, nan) with one cycle or fewer than three steps."""
        from scipy.optimize import nnls

        change, g = self.change, self.readings
        cycles = change.shape[1]
        if cycles < 2 or change.shape[-1] < 3:
            return float("nan"), float("nan")
        rest = change - change.mean(axis=1, keepdims=True)
        product = (rest[..., :-2] * rest[..., 2:] - rest[..., :-2] * rest[..., 1:-1]) * cycles / (cycles - 1)
        size = (rest**2).mean(axis=(1, 3), keepdims=True) + np.zeros(product.shape)
        shared = g[..., 1:-2]
        known = np.isfinite(product) & np.isfinite(shared) & (size > 0.0)
        if not known.any():
            return float("nan"), float("nan")
        # Products of a cell and direction scatter in proportion to the variance of its steps.
        weight, unit = 1.0 / size[known], float(np.median(np.abs(shared[known]))) or 1.0
        design = np.stack([weight, weight * (shared[known] / unit) ** 2], axis=1)
        (constant, square), _ = nnls(design, weight * product[known])
        return float(constant), float(square) / unit**2

    def read_variance(self, conductance: Floats) -> Floats:
        """Return the variance [S²] of a reading at some conductances [S]."""
        constant, square = self.noise
        return constant + square * conductance**2


def _of_others(values: Floats) -> Floats:
    """Return for every cycle the mean over the other cycles (second axis); nan where there is none."""
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    total, count = filled.sum(axis=1, keepdims=True) - filled, known.sum(axis=1, keepdims=True) - known
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def step_table(trains: Trains, *, bins: int = BINS) -> DataFrame:
    """Return how a pulse changes a cell, by conductance and direction.

    Parameters
    ----------
    trains : Trains
    bins : int
        Of equal width, over the conductances at which pulses began.

    Returns
    -------
    pandas.DataFrame
        One row per bin and direction in which at least three steps begin, rising conductance, ups first:

        - `conductance_S`: middle of the bin, `low_S` and `high_S` its edges [S]; a pulse begins there
        - `direction`: +1 potentiation, −1 depression
        - `step_mean_S`: change of G by one pulse, mean over cells of the cells' means [S]; below 0 for depression
        - `step_sigma_S`: standard deviation of that change within a cell, pulse to pulse and cycle to cycle, noise of
          reading taken off; 0 where nothing is left, nan with one cycle [S]
        - `step_d2d_S`: standard deviation of the cells' mean change (random-effects model); nan with one cell [S]
        - `samples`: steps behind the row

        Between reads of several pulses mean and variance are shared evenly among these.
    """
    from pandas import DataFrame

    if not len(trains.conductance):
        return DataFrame(columns=list(COLUMNS))

    steps = Steps(trains)
    place, change = steps.place, steps.change
    rows: list[dict[str, float]] = []
    known = np.isfinite(place) & np.isfinite(change)
    if not known.any():
        return DataFrame(rows, columns=list(COLUMNS))
    low, high = np.percentile(place[known], (ENDS, 100.0 - ENDS))
    edges = np.linspace(low, high, bins + 1)
    where = np.clip(np.searchsorted(edges, place, side="right") - 1, 0, bins - 1)
    middles = (edges[1:] + edges[:-1]) / 2.0
    for phase, direction in enumerate((1, -1)):
        mine = [known[:, :, phase] & (where[:, :, phase] == k) for k in range(bins)]
        used = [k for k in range(bins) if mine[k].sum() >= FEW]
        if not used:
            continue
        means = {k: _by_cell(change[:, :, phase], mine[k]) for k in used}
        value = {k: mean_estimate(np.nanmean(means[k], axis=1)).value for k in used}
        curve = np.interp(place[:, :, phase], middles[used], list(value.values()))
        for k in used:
            rest = random_effects(_by_cell(change[:, :, phase] - curve, mine[k]))
            variance = rest.c2c_std.value**2 - 2.0 * float(steps.read_variance(middles[k : k + 1])[0])
            rows.append(
                {
                    "conductance_S": float(middles[k]),
                    "low_S": float(edges[k]),
                    "high_S": float(edges[k + 1]),
                    "direction": direction,
                    "step_mean_S": value[k] / steps.every,
                    "step_sigma_S": float(np.sqrt(np.maximum(variance, 0.0) / steps.every)),
                    "step_d2d_S": rest.d2d_std.value / steps.every,
                    "samples": int(mine[k].sum()),
                }
            )
    return DataFrame(rows, columns=list(COLUMNS))


def _by_cell(values: Floats, mine: NDArray[np.bool_]) -> Floats:
    """Return values [cells, cycles, points] as [cells with any, values], nan where a cell has fewer."""
    some = mine.any(axis=(1, 2))
    return np.where(mine, values, np.nan)[some].reshape(int(some.sum()), -1)


def step_cells(trains: Trains) -> DataFrame:
    """Return one row per cell: bounds, and steps that begin in the middle half of its range.

    Columns: `g_min_S`, `g_max_S` (of its mean trains), `step_up_S`, `step_down_S` (means of one pulse, both positive),
    `step_sigma_S` (within the cell about a straight line in G, noise of reading taken off, RMS of both directions),
    `step_c2c_rel`, `step_asymmetry`; nan where fewer than three steps of a direction begin there.
    """
    from pandas import DataFrame

    steps = Steps(trains)
    means = trains.means
    rows: list[dict[str, float]] = []
    for cell in range(means.shape[0]):
        low, high = float(means[cell].min()), float(means[cell].max())
        ends = [low + share * (high - low) for share in MIDDLE]
        size, variance = np.full(2, np.nan), np.full(2, np.nan)
        for phase, sign in enumerate((1.0, -1.0)):
            place, change = steps.place[cell, :, phase], steps.change[cell, :, phase]
            inside = (place >= ends[0]) & (place <= ends[1]) & np.isfinite(change)
            if inside.sum() < FEW:
                continue
            g, step = place[inside], sign * change[inside]
            size[phase] = step.mean() / steps.every
            noise = 2.0 * float(np.mean(steps.read_variance(g)))
            variance[phase] = np.maximum(_about_line(g, step) - noise, 0.0) / steps.every
        mean = float(size.mean())
        sigma = float(np.sqrt(variance.mean()))
        rows.append(
            {
                "g_min_S": low,
                "g_max_S": high,
                "step_up_S": float(size[0]),
                "step_down_S": float(size[1]),
                "step_sigma_S": sigma,
                "step_c2c_rel": sigma / mean if mean > 0.0 else np.nan,
                "step_asymmetry": float(size[0] - size[1]) / mean if mean > 0.0 else np.nan,
            }
        )
    return DataFrame(rows)


def _about_line(x: Floats, y: Floats) -> float:
    """Return the variance of `y` about its straight line in `x`."""
    if x.size < 4 or not np.ptp(x) > 0.0:
        return float(np.var(y, ddof=1))
    line = np.polynomial.Polynomial.fit(x, y, 1)
    return float(((y - line(x)) ** 2).sum()) / (x.size - 2)


def cycle_symmetry(trains: Trains) -> Floats:
    """Return the symmetry point of every single cycle, normalised to the range of that cycle [cells, cycles]."""
    g = Steps(trains).readings
    return np.array([[symmetry_point(cycle[0], cycle[1]) for cycle in cell] for cell in g]).reshape(g.shape[:2])


def step_metrics(trains: Trains) -> dict[str, Estimate]:
    """Return medians over cells of `step_cells`, and how sure and how steady symmetry points are."""
    trains = Trains(trains.pulses, trains.conductance[answering(trains)])
    names = ("g_min", "g_max", "step_c2c_rel", "step_asymmetry", "symmetry_point_fraction", "symmetry_point_c2c_std")
    if not len(trains.conductance):
        return dict.fromkeys(names, UNKNOWN)
    cells = step_cells(trains)
    columns = {
        "g_min": "g_min_S",
        "g_max": "g_max_S",
        "step_c2c_rel": "step_c2c_rel",
        "step_asymmetry": "step_asymmetry",
    }
    metrics = {key: median_estimate(cells[column].to_numpy(dtype=np.float64)) for key, column in columns.items()}
    g = Steps(trains).readings
    own = np.array([symmetry_point(cell[:, 0], cell[:, 1]) for cell in g])
    metrics["symmetry_point_fraction"] = fraction_estimate(int(np.isfinite(own).sum()), own.size)
    metrics["symmetry_point_c2c_std"] = random_effects(cycle_symmetry(trains)).c2c_std
    return metrics


@styled
def step_table_figure(table: DataFrame, *, title: str = "Step of one pulse") -> Figure:
    """Draw a `step_table`: the mean step with ± its spread within a cell (band) and between cells (bars)."""
    figure, ax = new_figure(6.8, 4.4)
    ax.set(title=title)
    if table.empty:
        note(ax, "too few steps")
        return figure
    values = table[list(COLUMNS)].to_numpy(dtype=np.float64)
    columns = dict(zip(COLUMNS, values.T, strict=True))
    g_factor, g_prefix = si_prefix(float(columns["high_S"].max()))
    factor, prefix = si_prefix(float(np.abs(columns["step_mean_S"]).max()))
    for direction, colour, name in ((1, UP, "up, potentiation"), (-1, DOWN, "down, depression")):
        mine = columns["direction"] == direction
        g, mean, sigma, d2d = (
            columns[key][mine] for key in ("conductance_S", "step_mean_S", "step_sigma_S", "step_d2d_S")
        )
        g, mean, sigma, d2d = g / g_factor, mean / factor, sigma / factor, d2d / factor
        if np.isfinite(sigma).any():
            label = "± σ within a cell, pulse to pulse" if direction > 0 else None
            ax.fill_between(g, mean - sigma, mean + sigma, color=colour, alpha=0.22, linewidth=0, label=label)
        bars = d2d if np.isfinite(d2d).any() else None
        ax.errorbar(g, mean, yerr=bars, color=colour, marker="o", markersize=4, linewidth=1.8, capsize=2, label=name)
    if np.isfinite(columns["step_d2d_S"]).any():
        ax.plot([], [], " ", label="bars: ± σ between cells")
    ax.axhline(0.0, color=FAINT, linewidth=0.9)
    ax.set(xlabel=f"Conductance before the pulse ({g_prefix}S)", ylabel=f"Change by one pulse ({prefix}S)")
    figure.legend(loc="outside lower center", ncols=2)
    return figure
