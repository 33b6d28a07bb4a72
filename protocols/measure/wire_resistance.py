"""Resistance of the lines: cells read together with their row and alone, or one by one by where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from ...analysis.measurements.wire_resistance import LineFit
from ...common.errors import RefusedError
from ...instruments.array_spec import ArraySpec
from ...instruments.block import Block
from ...instruments.capabilities import FLAG_OVERFLOW, CrossbarArray, FloatArray
from ..keeping.dataset import Axis, Variable
from ..keeping.run import Run
from ..plan import Forecast, Plan, with_intervals
from .cell_table import cell_table
from .neighbours import col_of
from .read_array import map_axes
from .switching import FORM_FIRST, SwitchPlan, bring

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from ...analysis.report.report import Section


class WirePlan(Plan):
    """Cells switched on, then read with their whole row and column by column (or one by one, where a read is that)."""

    cells: str = Field(default="all", description="rows,cols like '0:8,0:8', or 'all'; columns from the first one on")
    repeats: int = Field(default=2, ge=1, le=1000, description="reads of every kind")
    average: int = Field(default=16, ge=1, description="conversions per cell and read")
    switch_on: bool = Field(default=True, description="SET the cells first: what is stored in them is lost")
    prepare: SwitchPlan = Field(default=SwitchPlan(), description="how the cells are switched on")
    settle: float = Field(default=1.0, ge=0, description="time between that and the first read [s]")
    scheme: str | None = Field(default=None, description="bias scheme of the SETs; the array's own by default")

    def measures(self) -> frozenset[str]:
        """Return what it gives, the contact only where rows are read at once."""
        return with_intervals("wire_ohm_per_segment", "line_contact_ohm")

    def check(self, spec: ArraySpec) -> None:
        """Refuse cells outside the array, several boards as one, too few rows, and columns that leave the first out."""
        spec.require_lines(channel="wire_resistance")
        block = Block.parse(self.cells, spec)
        spec.check_average(self.average, channel="wire_resistance")
        if spec.parts:
            raise RefusedError(
                "wire_resistance: this array is several boards whose lines are not joined: measure each by itself"
            )
        if block.nrows < 3 or block.ncols < 3 or block.col0:
            raise RefusedError(
                f"wire_resistance.cells {block} must be at least 3 rows and 3 columns, from column 0 on, where rows "
                "are driven: choose more, like 'all'"
            )
        if self.switch_on:
            spec.require_scheme(self.scheme, writing=True)
            self.prepare.check(spec, channel="wire_resistance.prepare")

    def forecast(self, spec: ArraySpec) -> Forecast:
        """Return the cost when switching on takes all its attempts."""
        block = Block.parse(self.cells, spec)
        volts = max(spec.read_volts, self.prepare.volts_max if self.switch_on else 0.0)
        reads = 1 + (block.ncols + 1 if spec.slot_serves == "row" else 0)
        seconds = self.settle + self.repeats * reads * spec.read_seconds(block, self.average)
        if not self.switch_on:
            return Forecast(block.size, volts, 0, seconds)
        pulses = block.size * self.prepare.attempts
        return Forecast(block.size, volts, pulses, seconds + self.prepare.seconds(spec, block))


@dataclass(frozen=True, kw_only=True)
class WireResult:
    """Readings of every cell [rows, cols] [S] at the terminals, with its row and alone; nan beyond the range."""

    plan: WirePlan
    block: Block
    together: FloatArray
    alone: FloatArray | None

    @cached_property
    def fit(self) -> LineFit:
        """Resistances of the lines."""
        from ...analysis.measurements.wire_resistance import fit_by_load, fit_by_position

        return fit_by_position(self.together) if self.alone is None else fit_by_load(self.together, self.alone)

    @property
    def frame(self) -> DataFrame:
        """One line per cell: row, col, conductance at the terminals [S], and of the cell alone where it was read."""
        alone = {} if self.alone is None else {"alone_S": self.alone}
        return cell_table(self.block, {"conductance_S": self.together, **alone})

    def plot(self) -> Figure:
        """Return each cell's loss against what the fit expects."""
        from ...analysis.measurements.wire_resistance import wire_figure

        return wire_figure(self.fit)

    def metrics(self) -> dict[str, float]:
        """Return ohms per segment, and of the contact where it can be told."""
        from ...analysis.estimates.estimates import flatten

        found = flatten("wire_ohm_per_segment", self.fit.segment)
        return found if self.alone is None else {**found, **flatten("line_contact_ohm", self.fit.contact)}

    def section(self) -> Section:
        """Return figure, numbers and what the array's size makes possible as a part of the report."""
        from ...analysis.quantities import format_value
        from ...analysis.report.report import Section

        segment, contact = self.fit.segment, self.fit.contact
        if not np.isfinite(segment.value):
            text = f"Too few cells of {self.block} conduct to tell what the lines have: {FORM_FIRST}."
            return Section("Wire resistance", text, [("Loss of every cell in its lines.", self.plot())], [])
        low, high, width = (format_value(x, "Ω", 3) for x in (segment.low, segment.high, segment.high - segment.low))
        value = f"{format_value(segment.value, 'Ω', 3)} per segment ({low} … {high})"
        if self.alone is None:
            text = (
                f"{segment.n} cells were measured one at a time: {value}. This array measures single cells, so that a "
                "cell's own resistance cannot be taken out, and the spread of the cells decides: the interval is "
                f"{width} wide, and shrinks only with more cells and longer lines. What would tell more: an array that "
                "reads a row at once (the load of the row can then be changed without touching the cell), or a line "
                "with a pad at both ends."
            )
        else:
            text = (
                f"{segment.n} cells were read with their whole row and alone; their own resistance drops out of the "
                f"ratio. Rows: {value}; in front of the first segment (driver, contact, lead) "
                f"{format_value(contact.value, 'Ω', 3)} ({format_value(contact.low, 'Ω', 3)} … "
                f"{format_value(contact.high, 'Ω', 3)}). Columns carry one cell at a time in a read and add nothing to "
                "the ratio."
            )
        return Section("Wire resistance", text, [("Loss of every cell in its lines.", self.plot())], [])

    def __repr__(self) -> str:
        one = self.fit.segment
        return f"<WireResult {self.block}: {one.value:.3g} Ω per segment, 95 % {one.low:.3g} to {one.high:.3g} Ω>"


def wire_resistance(array: CrossbarArray, plan: WirePlan, run: Run | None = None) -> WireResult:
    """Read cells that are on, with their row and alone, and fit what the lines have of it.

    Units of work are switching on, and each repeat with all its reads: what drifts, drifts for both kinds alike.
    """
    plan.check(array.spec)
    keep = Run.of(run)
    spec, block = array.spec, Block.parse(plan.cells, array.spec)
    mask = spec.healthy_mask(block) & keep.chip.healthy_of(array)[block.slices]
    by_load = spec.slot_serves == "row"
    axes = [Axis("repeat", "Repeat", count=plan.repeats), *map_axes(block)]
    variables = [
        Variable("conductance", "Conductance at the terminals", "S"),
        Variable("alone", "The same, alone", "S"),
    ]

    def read(part: Block) -> FloatArray:
        reading = array.read(part, average=plan.average)
        # A reading's conductance may have its lines taken off already; beyond the range it is none.
        return np.where(reading.flags & FLAG_OVERFLOW, np.nan, reading.current / reading.volts)

    total = plan.repeats + 1
    with keep.work("wire_resistance", axes, variables, label="reads", total=total, drawn=False) as work:
        if work.begin("switch on"):
            on = bring(array, block, mask, +1, plan.prepare, plan.scheme) if plan.switch_on else np.zeros_like(mask)
            array.clock.wait(plan.settle)
            work.done("cells on", on=on)
        on = np.asarray(work.piece("switch on", "on"), dtype=np.bool_)
        for repeat in range(plan.repeats):
            if not work.begin(f"repeat {repeat}"):
                continue
            together, alone = read(block), np.full(block.shape, np.nan)
            if by_load:
                # To and fro: what relaxes while the columns are read is no function of the column.
                for col in range(block.ncols) if repeat % 2 == 0 else reversed(range(block.ncols)):
                    alone[:, [col]] = read(col_of(block, block.col0 + col))
                together = 0.5 * (together + read(block))  # before and after: what relaxes meanwhile drops out
            work.add({"repeat": repeat}, conductance=together, alone=alone)
            work.done(together=together, alone=alone)
        together, alone = (work.stack(name).mean(axis=0) for name in ("together", "alone"))
    # Currents of cells that are off are none that a wire could take from: a row of them says nothing.
    conducts = on | (together >= plan.prepare.on_above)
    if by_load:
        dark = conducts.sum(axis=1) < 0.5 * mask.sum(axis=1)
        together = np.where(dark[:, None], np.nan, together)
        return WireResult(plan=plan, block=block, together=together, alone=alone)
    return WireResult(plan=plan, block=block, together=np.where(conducts & mask, together, np.nan), alone=None)
