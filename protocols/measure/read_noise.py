"""Read noise: cells sampled in time at their read voltage and at 0 V."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field, model_validator

from ...analysis.estimates.spectra import PERIODS_LEAST, band_of
from ...analysis.measurements.read_noise import NoiseTraces
from ...common.errors import RefusedError
from ...instruments.abilities import Samples
from ...instruments.array_spec import ArraySpec
from ...instruments.block import Block
from ...instruments.capabilities import CrossbarArray, Trace
from ..keeping.dataset import Axis, Variable
from ..keeping.run import Run
from ..plan import Forecast, Plan, with_intervals

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from ...analysis.report.report import Section


class ReadNoisePlan(Plan):
    """A trace of every cell, and before it one at 0 V: what the instrument adds by itself."""

    cells: str = Field(default="0:4,0:4", description="rows,cols like '0:8,0:8', or 'all'")
    volts: float | None = Field(default=None, description="read voltage [V]; the chip's own by default")
    rate: float = Field(default=1000.0, gt=0, description="samples per second [Hz]")
    seconds: float = Field(default=10.0, gt=0, description="length of a trace [s]")
    floor_seconds: float = Field(default=1.0, gt=0, description="length of the trace at 0 V [s]")
    band: tuple[float, float] | None = Field(
        default=None, description="band of the 1/f exponent [Hz]; from 8/seconds to rate/4 by default"
    )

    @model_validator(mode="after")
    def _long_enough(self) -> ReadNoisePlan:
        for name, seconds in (("seconds", self.seconds), ("floor_seconds", self.floor_seconds)):
            if self.rate * seconds < 256:
                raise ValueError(
                    f"{name} {seconds:g} s at {self.rate:g} Hz are {self.rate * seconds:.0f} samples: choose a longer "
                    "trace, or a higher rate, for at least 256"
                )
        low, high = self.wanted_band
        if not 1.0 / self.seconds <= low < high <= 0.5 * self.rate:
            raise ValueError(
                f"the band {low:g} to {high:g} Hz must rise and lie between 1/seconds = {1.0 / self.seconds:g} Hz and "
                f"half the rate, {0.5 * self.rate:g} Hz"
            )
        return self

    @property
    def wanted_band(self) -> tuple[float, float]:
        """Band of the exponent [Hz]."""
        return self.band if self.band is not None else band_of(self.rate, self.seconds)

    def measures(self) -> frozenset[str]:
        """Return what it gives."""
        found = with_intervals(
            "read_noise_rel", "read_noise_floor_rel", "one_over_f_exponent", "rtn_cell_fraction", "rtn_amplitude_rel"
        )
        return found | {"noise_cells"}

    def check(self, spec: ArraySpec) -> None:
        """Refuse an array that does not sample, cells outside of it, and traces it cannot take."""
        spec.require(Samples)
        Block.parse(self.cells, spec)
        if self.volts is not None:
            spec.limits.check("read_volts", self.volts, channel="read_noise.volts")
            if self.volts == 0.0:
                raise RefusedError("read_noise.volts is 0 V, at which there is no current: choose a read voltage")
        for seconds in (self.seconds, self.floor_seconds):
            spec.check_sample(self.rate, seconds, channel="read_noise")

    def forecast(self, spec: ArraySpec) -> Forecast:
        """Return the cost of all traces."""
        block = Block.parse(self.cells, spec)
        volts = abs(spec.read_volts if self.volts is None else self.volts)
        seconds = self.seconds + self.floor_seconds + 2 * spec.select_seconds
        return Forecast(block.size, volts, 0, block.size * seconds)


@dataclass(frozen=True, kw_only=True)
class ReadNoiseResult:
    """Traces of every cell; ``cells`` as (row, col), ``time`` [cells, points] [s]."""

    plan: ReadNoisePlan
    cells: list[tuple[int, int]]
    time: np.ndarray
    traces: NoiseTraces

    @property
    def frame(self) -> DataFrame:
        """One line per sample: row, col, time [s], current [A], and that at 0 V [A], nan once that trace has ended."""
        from pandas import DataFrame

        cell = np.repeat(np.arange(len(self.cells)), self.time.shape[1])
        where = np.asarray(self.cells)
        floor = np.full(self.time.shape, np.nan)
        points = min(self.time.shape[1], self.traces.floor.shape[1])
        floor[:, :points] = self.traces.floor[:, :points]
        return DataFrame(
            {
                "row": where[cell, 0],
                "col": where[cell, 1],
                "time_s": self.time.ravel(),
                "current_A": self.traces.current.ravel(),
                "floor_current_A": floor.ravel(),
            }
        )

    @cached_property
    def table(self) -> DataFrame:
        """One line per cell: row, col, G [S], σ_I/I, floor, exponent, levels and times of telegraph noise."""
        from ...analysis.measurements.read_noise import noise_table

        table = noise_table(self.traces)
        where = np.asarray(self.cells)
        table.insert(0, "row", where[:, 0])
        table.insert(1, "col", where[:, 1])
        return table

    def plot(self) -> Figure:
        """Return spectra, σ_I/I against conductance, and a trace."""
        from ...analysis.measurements.read_noise import noise_figure

        return noise_figure(self.traces)

    def metrics(self) -> dict[str, float]:
        """Return noise, exponent and telegraph noise as docs/quantities.md defines them."""
        from ...analysis.estimates.estimates import flatten_all
        from ...analysis.measurements.read_noise import noise_metrics

        return {**flatten_all(noise_metrics(self.traces)), "noise_cells": float(len(self.cells))}

    def section(self) -> Section:
        """Return the figure and the cells as a part of the report."""
        from ...analysis.report.report import Section

        traces, plan = self.traces, self.plan
        low, high = traces.band
        white = sum(not np.isfinite(law.exponent.value) for law in traces.laws)
        text = (
            f"{len(self.cells)} cells sampled at {traces.volts:g} V, {float(np.median(traces.rate)):,.4g} times a "
            f"second for {plan.seconds:g} s. The instrument's floor is that of a trace of each cell at 0 V, scaled to "
            "the range of its trace by the step of the converter, and taken off in quadrature. The exponent is of "
            f"S(f) = A·f^−β + W from {low:g} to {high:g} Hz, of cells with one level; cells of which nothing above "
            f"white noise is seen there: {white}. Two levels are preferred to one where the BIC is lower by 10 and "
            "four jumps were seen; one level may have correlated noise (autoregression up to order 16)."
        )
        caption = "Spectra, spread against conductance, and the trace with the clearest jumps."
        return Section("Read noise", text, [(caption, self.plot())], [("Cell by cell.", self.table)])

    def __repr__(self) -> str:
        m = self.metrics()
        return (
            f"<ReadNoiseResult {len(self.cells)} cells: σ_I/I {m['read_noise_rel']:.3%}, β "
            f"{m['one_over_f_exponent']:.3g}, RTN in {m['rtn_cell_fraction']:.0%}>"
        )


def read_noise(array: CrossbarArray, plan: ReadNoisePlan, run: Run | None = None) -> ReadNoiseResult:
    """Sample every cell of a block at 0 V and at its read voltage.

    A unit of work is one cell, both traces; nothing depends on what was before.
    """
    plan.check(array.spec)
    keep = Run.of(run)
    block = Block.parse(plan.cells, array.spec)
    good = array.spec.healthy_mask(block)
    cells = [(row + block.row0, col + block.col0) for row, col in np.argwhere(good).tolist()]
    if not cells:
        raise RefusedError(f"read_noise: the chip file calls all cells of {block} bad: choose others")
    volts = array.spec.read_volts if plan.volts is None else plan.volts
    points = round(plan.rate * plan.seconds)
    axes = [
        Axis("row", "Row"),
        Axis("col", "Column"),
        Axis("sample", "Sample", values=np.arange(points, dtype=np.int32)),
    ]
    variables = [Variable("current", "Current", "A"), Variable("time", "Time", "s")]
    part = array.ability(Samples)

    def sample(cell: tuple[int, int], at: float, seconds: float) -> Trace:
        return part.sample(*cell, at, rate=plan.rate, seconds=seconds)

    with keep.work("read_noise", axes, variables, {"read_volts": volts}, label="cells", total=len(cells)) as work:
        for cell in cells:
            if not work.begin(f"cell {cell[0]},{cell[1]}"):
                continue
            floor = sample(cell, 0.0, plan.floor_seconds)
            trace = sample(cell, volts, plan.seconds)
            work.add({"row": cell[0], "col": cell[1]}, current=trace.current, time=trace.time)
            work.done(f"cell {cell}", time=trace.time, current=trace.current, floor=floor.current)
        time, current, floors = (work.stack(name) for name in ("time", "current", "floor"))
    rate = (time.shape[1] - 1) / (time[:, -1] - time[:, 0])
    # A unit that samples faster than asked has a longer reach upwards and a shorter one downwards.
    low, high = plan.wanted_band
    if plan.band is None:
        low = max(low, PERIODS_LEAST * float(rate.max()) / time.shape[1])
    return ReadNoiseResult(
        plan=plan,
        cells=cells,
        time=time,
        traces=NoiseTraces(volts=volts, rate=rate, current=current, floor=floors, band=(low, high)),
    )
