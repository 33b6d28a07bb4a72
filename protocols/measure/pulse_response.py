"""Potentiation and depression: trains of equal SET, then equal RESET pulses, read as they go."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, model_validator

from ...analysis.measurements.pulse_response import Trains
from ...instruments.array_spec import ArraySpec
from ...instruments.block import Block
from ...instruments.capabilities import CrossbarArray, FloatArray, PulseMap
from ..keeping.dataset import Axis, Variable
from ..keeping.run import Run
from ..plan import Forecast, Plan, check_pulse, with_intervals
from .read_array import map_axes
from .switching import FORM_FIRST

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from ...analysis.report.report import Section


class PulseResponsePlan(Plan):
    """``cycles`` times ``pulses`` SETs and ``pulses`` RESETs of every cell, all of one amplitude and width."""

    cells: str = Field(default="0:2,0:2", description="rows,cols like '0:8,0:8', or 'all'")
    set_volts: float = Field(default=1.5, gt=0, description="amplitude of the potentiating pulses [V]")
    set_gate: float = Field(default=1.2, ge=0, description="gate of the potentiating pulses [V], where there are gates")
    reset_volts: float = Field(default=1.6, gt=0, description="magnitude of the depressing pulses [V]")
    reset_gate: float = Field(default=5.0, ge=0, description="gate of the depressing pulses [V], where there are gates")
    width: float = Field(default=200e-9, gt=0, description="pulse width [s]")
    pulses: int = Field(default=100, ge=4, le=1_000_000, description="pulses of each train")
    cycles: int = Field(default=5, ge=1, description="pairs of trains per cell")
    read_every: int = Field(default=1, ge=1, description="pulses between two reads")
    average: int = Field(default=4, ge=1, description="conversions per cell and read")
    prepare: bool = Field(
        default=True, description="one train of RESETs first, so that the first cycle starts where the others do"
    )
    scheme: str | None = Field(default=None, description="bias scheme of the pulses; the array's own by default")

    @model_validator(mode="after")
    def _read_often_enough(self) -> PulseResponsePlan:
        if 4 * self.read_every > self.pulses:
            raise ValueError(
                f"read_every {self.read_every} leaves fewer than 4 reads in a train of {self.pulses} pulses: "
                f"choose at most {self.pulses // 4}"
            )
        return self

    @property
    def counts(self) -> NDArray[np.int64]:
        """Pulses of a train given before each reading, 0 first."""
        return np.append(np.arange(0, self.pulses, self.read_every, dtype=np.int64), self.pulses)

    def measures(self) -> frozenset[str]:
        """Return what it gives."""
        ratios = "potentiation_ratio", "depression_ratio", "symmetry_point", "pulse_fit_failed_fraction"
        steps = (
            "g_min", "g_max", "step_c2c_rel", "step_asymmetry", "symmetry_point_fraction", "symmetry_point_c2c_std",
        )  # fmt: skip
        return with_intervals(*ratios, *steps, "ltp_nonlinearity", "ltd_nonlinearity", "ltp_alpha", "ltd_alpha")

    def check(self, spec: ArraySpec) -> None:
        """Refuse cells outside the array, pulses beyond the limits, and a scheme this array lacks."""
        Block.parse(self.cells, spec)
        spec.require_scheme(self.scheme, writing=True)
        spec.check_average(self.average, channel="pulse_response")
        spec.limits.check("count", self.pulses, channel="pulse_response.pulses", unit="pulses")
        for volts, gate, name in (
            (self.set_volts, self.set_gate, "set"),
            (-self.reset_volts, self.reset_gate, "reset"),
        ):
            check_pulse(spec, volts=volts, width=self.width, gate=gate, channel=f"pulse_response.{name}")

    def forecast(self, spec: ArraySpec) -> Forecast:
        """Return the cost of all trains."""
        block = Block.parse(self.cells, spec)
        reads = 2 * self.cycles * (len(self.counts) - 1) + 1
        writes = sum(spec.pulse_seconds(block, self.width, int(count)) for count in np.diff(self.counts))
        trains = 2 * self.cycles + self.prepare
        seconds = trains * writes + reads * spec.read_seconds(block, self.average)
        return Forecast(block.size, max(self.set_volts, self.reset_volts), block.size * trains * self.pulses, seconds)


@dataclass(frozen=True, kw_only=True)
class PulseResponseResult:
    """Trains of every cell; ``cells`` as (row, col)."""

    cells: list[tuple[int, int]]
    trains: Trains
    plan: PulseResponsePlan

    @cached_property
    def table(self) -> DataFrame:
        """One line per cell: row, col, ratios, fits, symmetry point, and why a fit failed."""
        from ...analysis.measurements.pulse_response import train_table

        table = train_table(self.trains)
        where = np.asarray(self.cells)
        table.insert(0, "row", where[:, 0])
        table.insert(1, "col", where[:, 1])
        return table

    @cached_property
    def steps(self) -> DataFrame:
        """What one pulse does, by conductance and direction: mean, spread within and between cells."""
        from ...analysis.measurements.pulse_steps import step_table

        return step_table(self.answering)

    @cached_property
    def answering(self) -> Trains:
        """The trains of the cells that answer their pulses."""
        from ...analysis.measurements.pulse_response import answering

        return Trains(self.trains.pulses, self.trains.conductance[answering(self.trains)])

    @property
    def frame(self) -> DataFrame:
        """One line per reading: row, col, cycle, pulse (through both trains), volts that led to it [V], G [S]."""
        from pandas import DataFrame

        g = self.trains.conductance
        cell, cycle, phase, point = np.indices(g.shape).reshape(4, -1)
        # The last reading of a potentiation is the first of the depression after it: once is enough.
        cell, cycle, phase, point = (grid[(phase == 0) | (point > 0)] for grid in (cell, cycle, phase, point))
        where = np.asarray(self.cells)
        pulse = self.trains.pulses[point] + phase * self.plan.pulses
        volts = np.where(phase == 0, self.plan.set_volts, -self.plan.reset_volts)
        return DataFrame(
            {
                "row": where[cell, 0],
                "col": where[cell, 1],
                "cycle": cycle,
                "pulse": pulse,
                "volts_V": np.where(point == 0, 0.0, volts),
                "conductance_S": g[cell, cycle, phase, point],
            }
        )

    def plot(self) -> Figure:
        """Return conductance against pulse number, with bands."""
        from ...analysis.measurements.pulse_response import pulse_response_figure

        ns = self.plan.width * 1e9
        return pulse_response_figure(
            self.trains,
            captions=(
                f"potentiation, +{self.plan.set_volts:g} V × {ns:g} ns",
                f"depression, −{self.plan.reset_volts:g} V × {ns:g} ns",
            ),
            table=self.table,
        )

    def metrics(self) -> dict[str, float]:
        """Return ratios, nonlinearities, symmetry point and steps as docs/quantities.md defines them."""
        from ...analysis.estimates.estimates import flatten_all
        from ...analysis.measurements.pulse_response import train_metrics
        from ...analysis.measurements.pulse_steps import step_metrics

        return flatten_all(train_metrics(self.table) | step_metrics(self.trains))

    def section(self) -> Section:
        """Return both figures, the numbers per cell and the failed fits as a part of the report."""
        from ...analysis.measurements.pulse_response import failed_fits, step_figure
        from ...analysis.measurements.pulse_steps import step_table_figure
        from ...analysis.report.report import Section

        text = (
            f"{len(self.cells)} cells, {self.plan.cycles} cycles of {self.plan.pulses} SET and {self.plan.pulses} "
            f"RESET pulses, read every {self.plan.read_every}. Fits are of each cell's mean over its cycles: "
            "G(n) = G0 + B(1 − exp(−n/A)) for N/A, and the α form. "
            f"Trains of which a form could not be fitted: {failed_fits(self.table)} of {2 * len(self.cells)}. "
            "RMS of the readings around the exponential form, median over cells: "
            f"{_share(self.table['ltp_misfit'])} of the swing in potentiation, {_share(self.table['ltd_misfit'])} in "
            "depression; where that is far above the read noise the trains are not of this form. "
            "Steps of one pulse are sorted by a conductance that shares no reading with them, and read noise (from the "
            "covariance of neighbouring steps) is taken off their spread."
        )
        silent = len(self.cells) - len(self.answering.conductance)
        if silent:
            text += f" Cells that do not answer the pulses, and are in no number: {silent}; {FORM_FIRST}."
        figures = [
            ("Median of the cells with the spread from cycle to cycle and from cell to cell.", self.plot()),
            (
                "Mean step per pulse against the middle of the step; ticks are the symmetry points of the cells.",
                step_figure(self.answering, symmetry=np.asarray(self.table["symmetry_point"], dtype=np.float64)),
            ),
            ("Change by one pulse against the conductance before it.", step_table_figure(self.steps)),
        ]
        tables = [("Cell by cell.", self.table), ("What one pulse does.", self.steps)]
        return Section("Potentiation and depression", text, figures, tables)

    def __repr__(self) -> str:
        m = self.metrics()
        return (
            f"<PulseResponseResult {len(self.cells)} cells × {self.plan.cycles} cycles of 2 × {self.plan.pulses} "
            f"pulses: ×{m['potentiation_ratio']:.3g} up, ×{m['depression_ratio']:.3g} down>"
        )


def _share(values: ArrayLike) -> str:
    x = np.asarray(values, dtype=np.float64)
    x = x[np.isfinite(x)]
    return f"{np.median(x):.1%}" if x.size else "–"


def pulse_response(array: CrossbarArray, plan: PulseResponsePlan, run: Run | None = None) -> PulseResponseResult:
    """Give every cell of a block its trains, all cells by the same pulse maps.

    A unit of work is one cycle, both trains. One that may have been cut is done again from where the first one starts,
    after the preparing train and a reading: no train in the data was interrupted.
    """
    plan.check(array.spec)
    keep = Run.of(run)
    block = Block.parse(plan.cells, array.spec)
    mask = array.spec.healthy_mask(block)
    counts = plan.counts
    set_gate, reset_gate = (array.spec.pulse_gate(gate) for gate in (plan.set_gate, plan.reset_gate))

    def fire(volts: float, gate: float, count: int) -> None:
        array.pulse(
            PulseMap(
                block=block,
                volts=volts,
                width=plan.width,
                gate=gate,
                count=np.where(mask, count, 0),
                scheme=plan.scheme,
            )
        )

    def read() -> FloatArray:
        return array.read(block, average=plan.average).conductance

    axes = [
        Axis("cycle", "Cycle", count=plan.cycles),
        Axis("pulse", "Pulse number", count=2 * len(plan.counts) - 1),
        *map_axes(block),
    ]
    variables = [Variable("conductance", "Conductance", "S"), Variable("volts", "Pulses that led to it", "V")]
    meta = {"width": plan.width, "set_volts": plan.set_volts, "reset_volts": plan.reset_volts}
    with keep.work("pulse_response", axes, variables, meta, label="cycles", total=plan.cycles) as work:
        g = np.full(block.shape, np.nan)
        for cycle in range(plan.cycles):
            if not work.begin(f"cycle {cycle}"):
                g = work.piece(f"cycle {cycle}", "readings")[-1, -1]
                continue
            if cycle == 0 or work.interrupted:
                if plan.prepare:
                    fire(-plan.reset_volts, reset_gate, plan.pulses)
                g = read()
            readings = np.full((2, len(counts), *block.shape), np.nan)
            work.add({"cycle": cycle, "pulse": 0}, conductance=g, volts=np.zeros(block.shape))
            for phase, (volts, gate) in enumerate(((plan.set_volts, set_gate), (-plan.reset_volts, reset_gate))):
                readings[phase, 0] = g
                for point, count in enumerate(np.diff(counts), start=1):
                    fire(volts, gate, int(count))
                    g = read()
                    readings[phase, point] = g
                    pulse = int(counts[point]) + phase * plan.pulses
                    work.add({"cycle": cycle, "pulse": pulse}, conductance=g, volts=np.where(mask, volts, 0.0))
            work.done(f"cycle {cycle + 1} of {plan.cycles}", readings=readings)
        trains = work.stack("readings")
    rows, cols = np.nonzero(mask)
    cells = block.where(mask)
    return PulseResponseResult(
        cells=cells, trains=Trains(counts, np.moveaxis(trains[..., rows, cols], -1, 0)), plan=plan
    )
