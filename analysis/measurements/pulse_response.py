"""What a set of cells does under trains of SET and RESET pulses: numbers per cell, their medians, and the figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..estimates.estimates import Estimate, Floats, fraction_estimate, median_estimate
from ..estimates.pulse_fit import PulseFit, fit_train, symmetry_point
from ..plots.plots import FAINT, INK, PALETTE, new_figure, note, si_prefix, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

UP, DOWN = PALETTE[0], PALETTE[1]
PHASES = ("potentiation", "depression")


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


def train_table(trains: Trains) -> DataFrame:
    """Return one row per cell: ratios (median over its cycles), fits of its mean trains, symmetry point, failures.

    Columns: `potentiation_ratio`, `depression_ratio`, `ltp_nonlinearity`, `ltd_nonlinearity`, `ltp_alpha`, `ltd_alpha`,
    `symmetry_point`, `ltp_misfit`, `ltd_misfit` (RMS around the exponential form over the swing),
    `ltp_failures`, `ltd_failures` (texts, "" when both forms were fitted).
    """
    from pandas import DataFrame

    g = trains.conductance
    equal = np.diff(trains.pulses) == trains.pulses[1]  # a short last interval is no step like the others
    keep = np.append(True, equal)
    rows: list[dict[str, object]] = []
    for cell, mean in zip(g, trains.means, strict=True):
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
    failed = sum(bool(reasons) for key in ("ltp", "ltd") for reasons in table[f"{key}_failures"])
    metrics["pulse_fit_failed_fraction"] = fraction_estimate(failed, 2 * len(table))
    return metrics


@styled
def pulse_response_figure(
    trains: Trains, *, captions: tuple[str, str] = PHASES, title: str = "Pulse response"
) -> Figure:
    """Draw conductance against pulse number through potentiation and depression.

    The line is the median over cells of each cell's mean over cycles; the narrow band is ± the median within-cell
    standard deviation (c2c), the wide one holds the middle 68 % of the cells' means (d2d). `captions` name the phases.
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
        ax.plot(x, middle, color=colour, linewidth=1.8, label="median of the cells" if phase == 0 else None)
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
def step_figure(trains: Trains, *, symmetry: float = np.nan, title: str = "Step against conductance") -> Figure:
    """Draw the mean step per pulse against normalised conductance for both directions, and where they are equal."""
    figure, ax = new_figure(6.8, 4.2)
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
    _binned(ax, where[:, 0], steps[:, 0] / factor, UP, "up, potentiation")
    _binned(ax, where[:, 1], steps[:, 1] / factor, DOWN, "down, depression")
    ax.set_ylabel(f"|Step per pulse| ({prefix}S)")
    ax.set_ylim(0.0, 1.3 * ax.get_ylim()[1])  # room for the legend
    if np.isfinite(symmetry):
        ax.axvline(symmetry, color=INK, linestyle="--", linewidth=1.3, label=f"symmetry point {symmetry:.2f}")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="upper right")
    else:
        note(ax, "too few steps to average")
    return figure


def _binned(ax: Axes, where: Floats, steps: Floats, colour: str, label: str) -> None:
    bins = 16
    place = np.clip(np.floor(where * bins), 0, bins - 1).astype(int).ravel()
    values = steps.ravel()
    used = [k for k in range(bins) if (place == k).sum() >= 3]
    if not used:
        return
    centres = [(k + 0.5) / bins for k in used]
    low, middle, high = ([float(np.percentile(values[place == k], share)) for k in used] for share in (25, 50, 75))
    ax.fill_between(centres, low, high, color=colour, alpha=0.2, linewidth=0)
    ax.plot(centres, middle, color=colour, linewidth=1.9, marker="o", markersize=4, label=f"{label} (middle 50 %)")


def _fitted(fit: PulseFit, phase: str) -> str:
    alpha = f"α = {fit.alpha + 0.0:.2f}" if np.isfinite(fit.alpha) else "α not fitted"
    return f"{phase}: N/A = {fit.nonlinearity:.2f}, {alpha}".replace("-", "−").replace("−0.00", "0.00")
