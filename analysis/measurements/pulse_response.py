"""What a set of cells does under trains of SET and RESET pulses: numbers per cell, their medians, and the figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..estimates.estimates import Estimate, Floats, fraction_estimate, median_estimate
from ..estimates.pulse_fit import PulseFit, fit_train, symmetry_point
from ..plots.plots import FAINT, INK, PALETTE, new_figure, note, si_prefix, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

UP, DOWN = PALETTE[0], PALETTE[1]
PHASES = ("potentiation", "depression")
BINS = 16
SURE = 4.0  # standard errors by which a train must move a cell
NO_ANSWER = "no change beyond the noise of a reading"
_NUMBERS = (
    "potentiation_ratio", "depression_ratio", "ltp_nonlinearity", "ltd_nonlinearity", "ltp_alpha", "ltd_alpha",
    "symmetry_point", "ltp_misfit", "ltd_misfit",
)  # fmt: skip
FEW_STEPS = 3 * BINS  # fewer are drawn one by one
SPAN = 30.0  # steps that differ by more are drawn on a logarithmic axis


@dataclass(frozen=True)
class Trains:
    """Readings of all trains.

    Parameters
    ----------
    pulses : ndarray [points]
        Pulses of the train given before each reading, 0 first.
    conductance : ndarray [cells, cycles, 2, points] [S]
        Potentiation, then depression; the last point of the one is the first of the other.
    """

    pulses: NDArray[np.int64]
    conductance: Floats

    def __post_init__(self) -> None:
        shape = self.conductance.shape
        if len(shape) != 4 or shape[2] != 2 or shape[3] != self.pulses.size:
            raise ValueError(
                f"conductance has shape {shape}; must be [cells, cycles, 2, points] with {self.pulses.size} points"
            )

    @property
    def means(self) -> Floats:
        """Each cell's trains averaged over its cycles [cells, 2, points] [S]."""
        return self.conductance.mean(axis=1)


def answering(trains: Trains) -> NDArray[np.bool_]:
    """Return which cells [cells] answer their pulses: the others' numbers would be those of their read noise.

    A cell answers when the second half of a train lies above (SETs) and below (RESETs) the reading before the train by
    more than :data:`SURE` standard errors, in the mean over its cycles; the noise is that of steps within the second
    half about their mean. Trains of fewer than six readings cannot tell, and count.
    """
    g, points = trains.conductance, trains.pulses.size
    late = g[..., points // 2 :]
    if late.shape[-1] < 3:
        return np.ones(len(g), dtype=np.bool_)
    sigma = np.diff(late, axis=-1).std(axis=-1) / np.sqrt(2.0)
    error = np.sqrt((sigma**2).mean(axis=1) * (1.0 + 2.0 / late.shape[-1]) / g.shape[1])
    moved = (late.mean(axis=-1) - g[..., 0]).mean(axis=1) * np.array([1.0, -1.0])
    return np.asarray((moved > SURE * error).all(axis=1))


def train_table(trains: Trains) -> DataFrame:
    """Return one row per cell: ratios (median over its cycles), fits of its mean trains, symmetry point, failures.

    Columns: `potentiation_ratio`, `depression_ratio`, `ltp_nonlinearity`, `ltd_nonlinearity`, `ltp_alpha`, `ltd_alpha`,
    `symmetry_point`, `ltp_misfit`, `ltd_misfit` (RMS around the exponential form over the swing),
    `ltp_failures`, `ltd_failures` (texts, "" when both forms were fitted). Of a cell that does not answer
    (:func:`answering`) all is nan.
    """
    from pandas import DataFrame

    g = trains.conductance
    equal = np.diff(trains.pulses) == trains.pulses[1]  # a short last interval is no step like the others
    keep = np.append(True, equal)
    rows: list[dict[str, object]] = []
    for cell, mean, answers in zip(g, trains.means, answering(trains), strict=True):
        if not answers:
            rows.append({**dict.fromkeys(_NUMBERS, np.nan), "ltp_failures": NO_ANSWER, "ltd_failures": NO_ANSWER})
            continue
        row: dict[str, object] = {}
        for phase, name in enumerate(PHASES):
            before, after = cell[:, phase, 0], cell[:, phase, -1]
            good = before > 0.0
            row[f"{name}_ratio"] = float(np.median(after[good] / before[good])) if good.any() else np.nan
        for phase, key in enumerate(("ltp", "ltd")):
            fit = fit_train(trains.pulses, mean[phase])
            row[f"{key}_nonlinearity"], row[f"{key}_alpha"] = fit.nonlinearity, fit.alpha
            row[f"{key}_misfit"] = fit.misfit
            row[f"{key}_failures"] = "; ".join(fit.failures)
        row["symmetry_point"] = symmetry_point(cell[:, 0][:, keep], cell[:, 1][:, keep])
        rows.append(row)
    return DataFrame(rows)


def train_metrics(table: DataFrame) -> dict[str, Estimate]:
    """Return medians over cells of the columns of `train_table`, and the share of cells' trains not fully fitted."""
    keys = ("potentiation_ratio", "depression_ratio", "ltp_nonlinearity", "ltd_nonlinearity", "ltp_alpha", "ltd_alpha")
    metrics = {key: median_estimate(np.asarray(table[key], dtype=np.float64)) for key in (*keys, "symmetry_point")}
    metrics["pulse_fit_failed_fraction"] = fraction_estimate(failed_fits(table), 2 * len(table))
    return metrics


def failed_fits(table: DataFrame) -> int:
    """Return how many trains of a `train_table` were not fitted by both forms."""
    return sum(bool(reasons) for key in ("ltp", "ltd") for reasons in table[f"{key}_failures"])


@styled
def pulse_response_figure(
    trains: Trains,
    *,
    captions: tuple[str, str] = PHASES,
    table: DataFrame | None = None,
    title: str = "Pulse response",
) -> Figure:
    """Draw conductance against pulse number through potentiation and depression.

    The line is the median over cells of each cell's mean over cycles; the narrow band is ± the median within-cell
    standard deviation (c2c), the wide one holds the middle 68 % of the cells' means (d2d). Fits of that line are
    dashed, their numbers in the legend; where one failed the legend says why, and how many of the cells' own did.

    Parameters
    ----------
    captions : (str, str)
        Name the phases.
    table : pandas.DataFrame, optional
        Of `train_table`, for the fits of single cells.
    """
    figure, ax = new_figure(8.2, 5.0)
    ax.set(title=title, xlabel="Pulse number")
    means, last = trains.means, int(trains.pulses[-1])
    factor, prefix = si_prefix(float(np.nanmax(means, initial=0.0)) or 1.0)
    ax.set_ylabel(f"Conductance ({prefix}S)")
    if not np.isfinite(means).any():
        note(ax, "no cell was measured")
        return figure
    cells, cycles = trains.conductance.shape[:2]
    for phase, colour in enumerate((UP, DOWN)):
        x = trains.pulses + phase * last
        middle = np.median(means[:, phase], axis=0) / factor
        if cells > 1:
            low, high = np.percentile(means[:, phase], (16, 84), axis=0) / factor
            label = f"d2d: middle 68 % of {cells} cells" if phase == 0 else None
            ax.fill_between(x, low, high, color=FAINT, alpha=0.18, linewidth=0, label=label)
        if cycles > 1:
            sigma = np.median(trains.conductance[:, :, phase].std(axis=1, ddof=1), axis=0) / factor
            label = f"c2c: ± σ within a cell, {cycles} cycles" if phase == 0 else None
            ax.fill_between(x, middle - sigma, middle + sigma, color=colour, alpha=0.35, linewidth=0, label=label)
        line = ("median of the cells" if cells > 1 else "mean over the cycles") if phase == 0 else None
        ax.plot(x, middle, color=colour, linewidth=1.8, label=line)
        fit = fit_train(trains.pulses, middle)
        if np.isfinite(fit.nonlinearity):
            ax.plot(
                x,
                fit.curve(trains.pulses / last),
                color=INK,
                linewidth=1.1,
                linestyle="--",
                label=_fitted(fit, PHASES[phase]),
            )
        else:
            ax.plot([], [], " ", label=f"{PHASES[phase]} not fitted: {'; '.join(fit.failures)}")
    if table is not None and (failed := failed_fits(table)):
        ax.plot([], [], " ", label=f"of the cells' own {2 * len(table)} trains {failed} could not be fitted in full")
    ax.axvline(last, color=FAINT, linewidth=0.9, linestyle=":")
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.30 * (high - low))
    ax.set_xlim(0, 2 * last)
    for phase, text in enumerate(captions):
        ax.annotate(
            text, ((0.25, 0.75)[phase], 0.985), xycoords="axes fraction", ha="center", va="top", fontsize=10,
            color=(UP, DOWN)[phase], fontweight="bold",
        )  # fmt: skip
    figure.legend(loc="outside lower center", ncols=2)
    return figure


@styled
def step_figure(
    trains: Trains, *, symmetry: ArrayLike | None = None, title: str = "Step against conductance"
) -> Figure:
    """Draw the mean step per pulse against normalised conductance for both directions, and where they are equal.

    Lines are medians over all cells in bins of conductance; few steps are drawn one by one. Every cell has a symmetry
    point of its own: ticks on the axis, and their median as a line, which need not be where the medians cross.

    Parameters
    ----------
    symmetry : array_like [cells], optional
        Symmetry point of every cell, nan where it has none.
    """
    figure, ax = new_figure(6.8, 4.4)
    ax.set(title=title, xlabel="Conductance, normalised to the range of each cell", xlim=(0, 1))
    means = trains.means
    low, high = means.min(axis=(1, 2)), means.max(axis=(1, 2))
    good = np.isfinite(low + high) & (high > low)
    every = int(trains.pulses[1]) if trains.pulses.size > 1 else 1
    keep = np.append(True, np.diff(trains.pulses) == every)
    g = trains.conductance[good][..., keep]
    if not g.size or g.shape[-1] < 3:
        note(ax, "no cell changed")
        return figure
    place = ((g[..., 1:] + g[..., :-1]) / 2.0 - low[good, None, None, None]) / (high - low)[good, None, None, None]
    steps = np.abs(np.diff(g, axis=-1).mean(axis=1)) / every  # [cells, 2, points - 1]
    where = place.mean(axis=1)
    factor, prefix = si_prefix(float(np.percentile(steps, 95)) or 1.0)
    up = _binned(ax, where[:, 0], steps[:, 0] / factor, UP, "up, potentiation")
    down = _binned(ax, where[:, 1], steps[:, 1] / factor, DOWN, "down, depression")
    ax.set_ylabel(f"|Step per pulse| ({prefix}S)")
    _step_axis(ax, np.concatenate([up[1], down[1]]))
    own = np.asarray([] if symmetry is None else symmetry, dtype=np.float64)
    known = own[np.isfinite(own)]
    if known.size:
        label = f"symmetry point {known[0]:.2f}"
        if own.size > 1:
            label = f"symmetry points of {known.size} of {own.size} cells: median {np.median(known):.2f}"
            ax.plot(known, np.full(known.size, 0.025), "|", color=INK, markersize=9, transform=ax.get_xaxis_transform())
        ax.axvline(float(np.median(known)), color=INK, linestyle="--", linewidth=1.3, label=label)
    elif own.size:
        ax.plot([], [], " ", label="no symmetry point: up- and down-steps are nowhere equal")
    crossings = _crossings(up, down)
    if own.size > 1 and len(crossings) == 1:
        (at, size), *_ = crossings
        ax.plot([at], [size], "x", color=INK, markersize=8, markeredgewidth=1.8, label=f"the medians cross at {at:.2f}")
    elif own.size > 1 and crossings:
        ax.plot([], [], " ", label=f"the medians cross {len(crossings)} times")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _binned(ax: Axes, where: Floats, steps: Floats, colour: str, label: str) -> tuple[Floats, Floats]:
    """Draw one direction; return place and size of what was drawn."""
    values = steps.ravel()
    if values.size < FEW_STEPS:
        order = np.argsort(where, axis=None)
        x, y = where.ravel()[order], values[order]
        ax.plot(x, y, color=colour, linewidth=0, marker="o", markersize=4, label=f"{label} (each step)")
        return x, y
    place = np.clip(np.floor(where * BINS), 0, BINS - 1).astype(int).ravel()
    used = [k for k in range(BINS) if (place == k).sum() >= 3]
    centres = np.array([(k + 0.5) / BINS for k in used])
    low, middle, high = (np.array([np.percentile(values[place == k], share) for k in used]) for share in (25, 50, 75))
    ax.fill_between(centres, low, high, color=colour, alpha=0.2, linewidth=0)
    ax.plot(centres, middle, color=colour, linewidth=1.9, marker="o", markersize=4, label=f"{label} (middle 50 %)")
    return centres, middle


def _step_axis(ax: Axes, drawn: Floats) -> None:
    """Choose a logarithmic axis where the steps span decades."""
    positive = drawn[drawn > 0.0]
    if positive.size and float(positive.max()) > SPAN * float(positive.min()):
        ax.set_yscale("log")
        ax.set_ylim(float(positive.min()) / 2.0, float(positive.max()) * 2.0)
    else:
        ax.set_ylim(0.0, 1.1 * ax.get_ylim()[1])


def _crossings(up: tuple[Floats, Floats], down: tuple[Floats, Floats]) -> list[tuple[float, float]]:
    """Return (place, size) wherever the drawn lines cross; between points they are straight in the logarithm."""
    lines = [(place[size > 0.0], np.log(size[size > 0.0])) for place, size in (up, down)]
    if not all(place.size for place, _ in lines):
        return []
    shared = np.unique(np.concatenate([place for place, _ in lines]))
    ends = max(place.min() for place, _ in lines), min(place.max() for place, _ in lines)
    shared = shared[(shared >= ends[0]) & (shared <= ends[1])]
    a, b = (np.interp(shared, place, size) for place, size in lines)
    found: list[tuple[float, float]] = []
    for k in np.flatnonzero((a - b)[:-1] * (a - b)[1:] < 0.0):
        share = (a - b)[k] / ((a - b)[k] - (a - b)[k + 1])
        size = float(np.exp(a[k] + share * (a[k + 1] - a[k])))
        found.append((float(shared[k] + share * (shared[k + 1] - shared[k])), size))
    return found


def _fitted(fit: PulseFit, phase: str) -> str:
    alpha = f"α = {fit.alpha + 0.0:.2f}" if np.isfinite(fit.alpha) else "α not fitted"
    return f"{phase}: N/A = {fit.nonlinearity:.2f}, {alpha}".replace("-", "−").replace("−0.00", "0.00")
