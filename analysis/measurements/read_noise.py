"""Noise of cells that are read: spread over the floor of the instrument, spectra, 1/f exponents, telegraph noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..estimates.estimates import Estimate, Floats, fraction_estimate, middle_estimate
from ..estimates.spectra import PowerLaw, Spectrum, converter_step, power_law, spectrum
from ..estimates.telegraph import Telegraph, two_levels
from ..plots.plots import FAINT, PALETTE, new_figure, note, si_prefix, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

SHOWN = 2000  # samples of a trace in the figure


@dataclass(frozen=True, kw_only=True)
class NoiseTraces:
    """Sampled currents of cells.

    Parameters
    ----------
    volts : float [V]
        Of the read.
    rate : ndarray [cells] [1/s]
        At which each trace was sampled.
    current : ndarray [cells, points] [A]
        nan where a trace is shorter than others.
    floor : ndarray [cells, points] [A]
        The same cell at 0 V; without any point where nobody measured it.
    band : (float, float) [Hz]
        In which the exponent of the spectrum is found.
    """

    volts: float
    rate: Floats
    current: Floats
    floor: Floats
    band: tuple[float, float]

    @cached_property
    def mean(self) -> Floats:
        """Mean current of every cell [A]."""
        return np.nanmean(self.current, axis=1)

    @property
    def conductance(self) -> Floats:
        """Mean conductance of every cell [S]."""
        return self.mean / self.volts

    @property
    def floor_known(self) -> bool:
        """Whether the floor of the instrument was measured."""
        return self.floor.shape[1] > 0

    @cached_property
    def floor_sigma(self) -> Floats:
        """Standard deviation [A] that the instrument adds to each trace; 0 where nobody measured it."""
        if not self.floor_known:
            return np.zeros(len(self.current))
        return np.array([floor_of(cell, nothing) for cell, nothing in zip(self.current, self.floor, strict=True)])

    @cached_property
    def relative(self) -> Floats:
        """σ_I/I of every cell, the floor subtracted in quadrature; 0 where no more than the floor is seen."""
        whole = np.nanvar(self.current, axis=1)
        return np.sqrt(np.maximum(whole - self.floor_sigma**2, 0.0)) / np.abs(self.mean)

    @cached_property
    def spectra(self) -> list[Spectrum]:
        """Spectrum of I/⟨I⟩ of every cell [1/Hz]."""
        cells = zip(self.current, self.mean, self.rate, strict=True)
        return [spectrum(current / mean, rate) for current, mean, rate in cells]

    @cached_property
    def laws(self) -> list[PowerLaw]:
        """Power law and white part of every spectrum in the band."""
        return [power_law(one.inside(self.band)) for one in self.spectra]

    @cached_property
    def telegraph(self) -> list[Telegraph]:
        """The better of one level and two for every trace."""
        return [two_levels(current, rate) for current, rate in zip(self.current, self.rate, strict=True)]


def floor_of(cell: Floats, nothing: Floats) -> float:
    """Return the standard deviation [A] that the instrument adds to the trace of a ``cell``.

    It is that of a trace at 0 V, which the instrument may have taken on a lower range. Its floor goes with the range,
    as does the step of its converter, which is the least difference between two samples: so the floor is scaled by the
    ratio of the two steps. It is never below what rounding to that step adds.
    """
    step, least = converter_step(cell), converter_step(nothing)
    floor = float(np.nanstd(nothing))
    if math.isfinite(step) and math.isfinite(least) and step > least:
        floor *= step / least
    return max(floor, step / math.sqrt(12.0)) if math.isfinite(step) else floor


def relative_noise(traces: NoiseTraces) -> Estimate:
    """Return `read_noise_rel`: σ_I/I over the floor, median over cells."""
    return middle_estimate(traces.relative, positive=True)


def noise_metrics(traces: NoiseTraces) -> dict[str, Estimate]:
    """Return `read_noise_rel`, `read_noise_floor_rel`, `one_over_f_exponent`, and share and step of telegraph noise.

    Where the floor is not known, `noise_rel`, which has it in it, stands for the first two.
    """
    jumps = np.array([one.preferred for one in traces.telegraph], dtype=np.bool_)
    exponents = np.array([law.exponent.value for law in traces.laws], dtype=np.float64)
    seen = {"noise_rel": relative_noise(traces)}
    if traces.floor_known:
        floor = middle_estimate(traces.floor_sigma / np.abs(traces.mean), positive=True)
        seen = {"read_noise_rel": relative_noise(traces), "read_noise_floor_rel": floor}
    return {
        **seen,
        "one_over_f_exponent": middle_estimate(exponents[~jumps]),
        "rtn_cell_fraction": fraction_estimate(int(jumps.sum()), int(jumps.size)),
        "rtn_amplitude_rel": middle_estimate(
            [(one.high - one.low) / abs(mean) for one, mean in _jumping(traces)], positive=True
        ),
    }


def _jumping(traces: NoiseTraces) -> list[tuple[Telegraph, float]]:
    pairs = zip(traces.telegraph, traces.mean, strict=True)
    return [(one, float(mean)) for one, mean in pairs if one.preferred]


def noise_table(traces: NoiseTraces) -> DataFrame:
    """Return a row per cell: G [S], σ_I/I, its floor, exponent with interval, levels [S] and times [s] of its jumps."""
    from pandas import DataFrame

    laws, found = traces.laws, traces.telegraph
    volts = traces.volts

    def told(values: list[float]) -> list[float]:
        return [value if one.preferred else math.nan for one, value in zip(found, values, strict=True)]

    return DataFrame(
        {
            "conductance_S": traces.conductance,
            "noise_rel": traces.relative,
            "floor_rel": traces.floor_sigma / np.abs(traces.mean),
            "exponent": [law.exponent.value for law in laws],
            "exponent_ci95_low": [law.exponent.low for law in laws],
            "exponent_ci95_high": [law.exponent.high for law in laws],
            "rtn": [one.preferred for one in found],
            "rtn_criterion": [one.criterion for one in found],
            "rtn_jumps": [one.jumps for one in found],
            "rtn_low_S": told([one.low / volts for one in found]),
            "rtn_high_S": told([one.high / volts for one in found]),
            **{
                f"rtn_stay_{level}_s{end and '_ci95_' + end}": told(
                    [getattr(getattr(one, f"stay_{level}"), end or "value") for one in found]
                )
                for level in ("low", "high")
                for end in ("", "low", "high")
            },
        }
    )


@styled
def noise_figure(traces: NoiseTraces, *, title: str = "Read noise") -> Figure:
    """Draw spectra with their fits, σ_I/I against conductance, and the trace that jumps most clearly."""
    figure, axes = new_figure(12.6, 4.6, 3)
    power, spread, trace = axes
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    if not traces.mean.size:
        for ax in axes:
            note(ax, "no cell was sampled")
        return figure
    _spectra(power, traces)
    factor, prefix = si_prefix(float(np.abs(traces.conductance).max()))
    spread.set(
        title="spread", xlabel=f"Conductance ({prefix}S)", ylabel="σ_I / I (%)", yscale="log"
    )  # fmt: skip
    g = np.abs(traces.conductance) / factor
    jumps = np.array([one.preferred for one in traces.telegraph], dtype=np.bool_)
    seen = traces.relative > 0.0
    for mask, colour, name in ((~jumps, PALETTE[0], "one level"), (jumps, PALETTE[1], "two levels (RTN)")):
        if (mask & seen).any():
            spread.plot(g[mask & seen], 100.0 * traces.relative[mask & seen], "o", color=colour, label=name)
    if traces.floor_known:
        floor = 100.0 * traces.floor_sigma / np.abs(traces.mean)
        spread.plot(g, floor, "_", color=FAINT, label="instrument's floor, taken off")
    else:
        spread.plot([], [], "_", color=FAINT, label="instrument's floor is in it")
    spread.set_ylim(top=6.0 * spread.get_ylim()[1])
    spread.legend(loc="upper left")
    _trace(trace, traces)
    return figure


def _spectra(ax: Axes, traces: NoiseTraces) -> None:
    low, high = traces.band
    ax.set(title="spectra", xlabel="Frequency (Hz)", ylabel="Power of I/⟨I⟩ (1/Hz)", xscale="log", yscale="log")
    for one, found in zip(traces.spectra, traces.telegraph, strict=True):
        colour = PALETTE[1] if found.preferred else PALETTE[0]
        if (one.power > 0.0).any():
            ax.plot(one.frequency, np.where(one.power > 0.0, one.power, np.nan), color=colour, linewidth=0.8, alpha=0.5)
    f = np.geomspace(low, high, 50)
    quiet = [law for law, one in zip(traces.laws, traces.telegraph, strict=True) if not one.preferred]
    known = [law for law in quiet if math.isfinite(law.exponent.value)]
    if known:
        middle = sorted(known, key=lambda law: law.exponent.value)[len(known) // 2]
        label = f"A·f^−β + W of the middle cell, β = {middle.exponent.value:.2f}"
        ax.plot(f, middle.power(f), color="black", linewidth=1.4, linestyle="--", label=label)
    ax.axvspan(low, high, color=FAINT, alpha=0.08, linewidth=0, label="band of the fit")
    ax.plot([], [], color=PALETTE[0], label="one level")
    ax.plot([], [], color=PALETTE[1], label="two levels (RTN)")
    ax.legend(loc="lower left", fontsize=8)


def _trace(ax: Axes, traces: NoiseTraces) -> None:
    which = max(range(len(traces.telegraph)), key=lambda n: _clear(traces.telegraph[n]))
    found, rate = traces.telegraph[which], float(traces.rate[which])
    g = traces.current[which] / traces.volts
    factor, prefix = si_prefix(float(np.nanmax(np.abs(g))))
    start, end = _piece(found, g.size)
    time = np.arange(start, end) / rate
    ax.set(xlabel="Time (s)", ylabel=f"Conductance ({prefix}S)")
    ax.plot(time, g[start:end] / factor, color=PALETTE[0], linewidth=0.6)
    if found.preferred:
        ax.set_title("the clearest jumps")
        levels = np.where(found.path[start:end], found.high, found.low) / traces.volts / factor
        known = math.isfinite(found.stay_low.value)
        times = f"{found.stay_low.value:.2g} s low, {found.stay_high.value:.2g} s high" if known else "too fast to time"
        ax.plot(time[: levels.size], levels, color=PALETTE[1], linewidth=1.4, label=f"two levels, {times}")
        bottom, top = ax.get_ylim()
        ax.set_ylim(bottom, top + 0.2 * (top - bottom))
        ax.legend(loc="upper left")
    else:
        ax.set_title("a trace: no cell has two levels")


def _clear(found: Telegraph) -> tuple[bool, bool, float]:
    """Return how clearly the jumps of a trace can be seen: those first that are slower than the samples."""
    slow = found.preferred and 20 * found.jumps < found.path.size
    return found.preferred, slow, found.criterion if math.isfinite(found.criterion) else -math.inf


def _piece(found: Telegraph, points: int) -> tuple[int, int]:
    """Return a part of a trace in which jumps can be seen."""
    if not found.preferred or (points <= SHOWN and found.jumps < 50):
        return 0, points
    length = min(max(20 * points // max(found.jumps, 1), 60), points)
    jumps = np.flatnonzero(found.path[1:] != found.path[:-1])
    start = min(max(int(jumps[jumps.size // 2]) - length // 2, 0), points - length)
    return start, start + length
