"""How far cells move that were not meant to be written: numbers and the figure of half-select trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..estimates.estimates import Estimate, Floats, median_estimate
from ..plots.plots import FAINT, PALETTE, new_figure, note, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

STATES = ("LRS", "HRS")
WORST = 99.0


@dataclass(frozen=True)
class HalfSelectTrains:
    """Relative change of every mate (a cell that shares a line with a written one).

    Parameters
    ----------
    pulses : ndarray [points]
        Pulses given to the written cell before each reading, rising.
    change : ndarray [2, 2, mates, points]
        ΔG/G from before the train, for mates in the LRS and HRS, under SET and RESET pulses; nan where a mate was not
        in that state.
    row, col : ndarray [mates]
        Where the mates are; one that shares lines with several written cells occurs several times.
    noise : float
        Relative standard error of one reading, median.
    """

    pulses: NDArray[np.int64]
    change: Floats
    row: NDArray[np.int64]
    col: NDArray[np.int64]
    noise: float = 0.0

    @property
    def worst_of_cells(self) -> Floats:
        """Largest |ΔG/G| at the end of the trains over states, polarities and written cells, one per mate cell."""
        last = np.abs(self.change[..., -1]).reshape(4, -1)
        cells = np.unique(np.stack([self.row, self.col]), axis=1)
        found: list[float] = []
        for row, col in cells.T:
            values = last[:, (self.row == row) & (self.col == col)]
            values = values[np.isfinite(values)]
            if values.size:
                found.append(float(values.max()))
        return np.asarray(found)


def half_select_metrics(trains: HalfSelectTrains) -> dict[str, Estimate]:
    """Return `half_select_change_median` with its interval, and `half_select_change_worst` (99th percentile)."""
    worst = trains.worst_of_cells
    high = float(np.percentile(worst, WORST)) if worst.size else float("nan")
    nothing = float("nan")
    return {
        "half_select_change_median": median_estimate(worst),
        "half_select_change_worst": Estimate(high, nothing, nothing, int(worst.size)),
    }


def half_select_table(trains: HalfSelectTrains, volts: tuple[float, float]) -> DataFrame:
    """Return a row per state and polarity: mates, median change and its worst 1 % at the end of the train."""
    from pandas import DataFrame

    rows: list[dict[str, object]] = []
    for s, state in enumerate(STATES):
        for p, amplitude in enumerate(volts):
            last = trains.change[s, p, :, -1]
            last = last[np.isfinite(last)]
            rows.append(
                {
                    "mates in the": state,
                    "written with [V]": amplitude,
                    "mates": int(last.size),
                    "median change [fraction]": float(np.median(last)) if last.size else np.nan,
                    "worst 1 % [fraction]": _extreme(last[:, None])[0] if last.size else np.nan,
                }
            )
    return DataFrame(rows)


@styled
def half_select_figure(
    trains: HalfSelectTrains, volts: tuple[float, float], *, scheme: str = "V/2", title: str = "Half-select disturb"
) -> Figure:
    """Draw the relative change of half-selected mates against the number of pulses, LRS and HRS side by side.

    Parameters
    ----------
    volts : (float, float) [V]
        Signed amplitudes on the written cells, SET and RESET.
    scheme : str
        Bias scheme of the writes; V/2 puts half the amplitude on the mates.
    """
    figure, axes = new_figure(9.6, 4.6, 2)
    seen = np.abs(trains.change[np.isfinite(trains.change)]) * 100.0
    top = max(float(seen.max(initial=0.0)), 400.0 * trains.noise, 1.5) * 1.5
    for s, ax in enumerate(axes):
        ax.set(title=f"mates in the {STATES[s]}", xlabel="Pulses on the written cell", xscale="log")
        ax.set_yscale("symlog", linthresh=1.0, linscale=0.6)
        ax.set_ylim(-top, top)
        ax.set_xlim(float(trains.pulses[0]), max(float(trains.pulses[-1]), 1.001 * float(trains.pulses[0])))
        percent_ticks(ax, top)
        if not np.isfinite(trains.change[s]).any():
            note(ax, f"no mate was in the {STATES[s]}")
            continue
        for p, amplitude in enumerate(volts):
            _train(ax, trains.pulses, trains.change[s, p] * 100.0, PALETTE[p], _polarity(amplitude, scheme))
        if trains.noise > 0.0:
            label = f"read noise, ±2σ ({200.0 * trains.noise:.2g} %)"
            ax.axhspan(-200.0 * trains.noise, 200.0 * trains.noise, color=FAINT, alpha=0.15, linewidth=0, label=label)
    axes[0].set_ylabel("Change of conductance (%)")
    handles, labels = axes[0].get_legend_handles_labels()
    if not handles:
        handles, labels = axes[1].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return figure


def _train(ax: Axes, pulses: NDArray[np.int64], change: Floats, colour: str, label: str) -> None:
    change = change[np.isfinite(change).all(axis=1)]
    if not change.size:
        return
    ax.plot(pulses, np.median(change, axis=0), color=colour, linewidth=2.0, marker="o", markersize=4, label=label)
    ax.plot(pulses, _extreme(change), color=colour, linewidth=1.2, linestyle="--", label="   worst 1 %")


def _extreme(change: Floats) -> Floats:
    """Return the signed change [points] of the mate at the 99th percentile of |ΔG/G|."""
    rank = int(np.ceil(WORST / 100.0 * change.shape[0])) - 1
    order = np.argsort(np.abs(change), axis=0)[rank]
    return np.take_along_axis(change, order[None, :], axis=0)[0]


def _polarity(amplitude: float, scheme: str) -> str:
    half = f", mates {amplitude / 2:+g} V" if scheme == "V/2" else ""
    return f"written {amplitude:+g} V{half}: median".replace("-", "−")


def percent_ticks(ax: Axes, top: float) -> None:
    """Put ticks at 0 and at decades up to ``top`` [%] of both signs on a symmetric logarithmic axis."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    sizes = [value for value in (1.0, 10.0, 100.0, 1000.0, 1e4, 1e5) if value <= top]
    ax.yaxis.set_major_locator(FixedLocator([*(-value for value in reversed(sizes)), 0.0, *sizes]))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(_signed))


def _signed(value: float, _position: int) -> str:
    return f"{value:+g}".replace("-", "−") if value else "0"
