"""Classify every cell: read, one RESET, read, one SET, read. What switches is healthy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ...instruments.array_spec import ArraySpec
from ...instruments.block import Block
from ...instruments.capabilities import CrossbarArray, FloatArray, PulseMap
from ..keeping.array_state import Fields
from ..keeping.dataset import Axis, Variable
from ..keeping.run import Run
from ..plan import Forecast, Plan, check_pulse, with_intervals
from .cell_table import cell_table
from .read_array import map_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from ...analysis.measurements.yield_classes import YieldThresholds
    from ...analysis.report.report import Section


class Borders(Plan):
    """Conductances [S] that divide the classes; the defaults suit an LRS of 50-250 µS and an HRS below 20 µS."""

    open_below: float = Field(default=0.1e-6, gt=0, description="a cell that never reads above this is open [S]")
    unformed_below: float = Field(default=1e-6, gt=0, description="one that never reads above this is unformed [S]")
    hrs_max: float = Field(default=20e-6, gt=0, description="upper edge of the high-resistance band [S]")
    lrs_min: float = Field(default=50e-6, gt=0, description="lower edge of the low-resistance band [S]")
    lrs_max: float = Field(default=250e-6, gt=0, description="largest conductance the chip is worked at [S]")
    short_above: float = Field(
        default=1e-3, gt=0, description="a cell that stays above this is short; taken at twice lrs_max at most [S]"
    )
    min_ratio: float = Field(default=1.5, gt=1, description="least conductance after SET over that after RESET")

    @model_validator(mode="after")
    def _ordered(self) -> Borders:
        self.thresholds()
        return self

    def thresholds(self) -> YieldThresholds:
        """Return the borders as the classification takes them."""
        from ...analysis.measurements.yield_classes import YieldThresholds

        return YieldThresholds(
            open_max=self.open_below,
            unformed_max=self.unformed_below,
            hrs_max=self.hrs_max,
            lrs_min=self.lrs_min,
            lrs_max=self.lrs_max,
            short_min=self.short_above,
            min_ratio=self.min_ratio,
        )


class YieldMapPlan(Plan):
    """One strong RESET and one strong SET per cell; the defaults are published practice behind transistors."""

    cells: str = Field(default="all", description="rows,cols like '0:8,0:8', or 'all'")
    set_volts: float = Field(default=2.5, gt=0, description="SET amplitude [V]")
    set_gate: float = Field(
        default=1.6, ge=0, description="gate of the SET [V], where there are gates: limits the current"
    )
    reset_volts: float = Field(default=1.7, gt=0, description="RESET magnitude [V]")
    reset_gate: float = Field(default=5.0, ge=0, description="gate of the RESET [V], where there are gates")
    width: float = Field(default=500e-9, gt=0, description="pulse width [s]")
    average: int = Field(default=4, ge=1, description="conversions per cell and read")
    attempts: int = Field(
        default=2, ge=1, le=10, description="RESET/SET pairs a cell may have to show that it switches"
    )
    borders: Borders = Field(default=Borders(), description="conductances that divide the classes")
    scheme: str | None = Field(default=None, description="bias scheme of the pulses; the array's own by default")

    def measures(self) -> frozenset[str]:
        """Return what it gives."""
        return with_intervals("yield_fraction", "pulse_r_on_median", "pulse_r_off_median")

    def check(self, spec: ArraySpec) -> None:
        """Refuse cells outside the array and pulses beyond the limits."""
        Block.parse(self.cells, spec)
        spec.require_scheme(self.scheme, writing=True)
        spec.check_average(self.average, channel="yield_map")
        check_pulse(spec, volts=self.set_volts, width=self.width, gate=self.set_gate, channel="yield_map.set")
        check_pulse(spec, volts=-self.reset_volts, width=self.width, gate=self.reset_gate, channel="yield_map.reset")

    def forecast(self, spec: ArraySpec) -> Forecast:
        """Return the cost when every cell needs every attempt."""
        block = Block.parse(self.cells, spec)
        pulses = 2 * block.size * self.attempts
        seconds = spec.read_seconds(block, self.average) + self.attempts * (
            2 * spec.pulse_seconds(block, self.width) + 2 * spec.read_seconds(block, self.average)
        )
        return Forecast(block.size, max(self.set_volts, self.reset_volts), pulses, seconds)


@dataclass(frozen=True, kw_only=True)
class YieldMapResult:
    """Conductance before, after RESET and after SET [S], and the class of every cell, all [rows, cols] of the block."""

    block: Block
    before: FloatArray
    after_reset: FloatArray
    after_set: FloatArray
    categories: NDArray[np.str_]

    @property
    def healthy(self) -> NDArray[np.bool_]:
        """True where a cell switches."""
        from ...analysis.measurements.yield_classes import healthy_mask

        return healthy_mask(self.categories)

    @property
    def frame(self) -> DataFrame:
        """One line per cell: row, col, the three conductances [S], class."""
        return cell_table(
            self.block,
            {
                "before_S": self.before,
                "after_reset_S": self.after_reset,
                "after_set_S": self.after_set,
                "category": self.categories,
            },
        )

    def plot(self) -> Figure:
        """Return the map of classes."""
        from ...analysis.measurements.array_maps import category_map

        return category_map(
            self.categories, origin=(self.block.row0, self.block.col0), title="Yield map: what every cell is"
        )

    def metrics(self) -> dict[str, float]:
        """Return the yield and the state medians over switching cells."""
        from ...analysis.estimates.estimates import flatten, median_estimate
        from ...analysis.measurements.yield_classes import yield_fraction

        healthy = self.healthy
        return {
            **flatten("yield_fraction", yield_fraction(self.categories)),
            **flatten("pulse_r_on_median", median_estimate(self.after_set[healthy]).inverse()),
            **flatten("pulse_r_off_median", median_estimate(self.after_reset[healthy]).inverse()),
        }

    def section(self) -> Section:
        """Return map and counts as a part of the report."""
        from pandas import DataFrame

        from ...analysis.measurements.yield_classes import NO_CELL, count_categories
        from ...analysis.report.report import Section

        counts = {name: count for name, count in count_categories(self.categories).items() if count and name != NO_CELL}
        table = DataFrame({"class": list(counts), "cells": list(counts.values())})
        table["share"] = [f"{count / table['cells'].sum():.2%}" for count in counts.values()]
        text = (
            "Every cell was read, RESET, read, SET and read again. A cell is healthy when it switches; "
            "all later fractions of healthy cells refer to this map."
        )
        return Section("Yield map", text, [("Class of every cell.", self.plot())], [("Cells by class.", table)])

    def __repr__(self) -> str:
        from ...analysis.measurements.yield_classes import NO_CELL

        cells = int((self.categories != NO_CELL).sum())
        return f"<YieldMapResult {self.block}: {int(self.healthy.sum())} of {cells} cells switch>"


def yield_map(array: CrossbarArray, plan: YieldMapPlan, run: Run | None = None) -> YieldMapResult:
    """Classify every cell of a block and tell the run which are healthy.

    Cells that did not switch get further RESET/SET pairs up to ``plan.attempts``: one missed SET is chance. Units of
    work are the first read and the attempts; one that was cut is done again from its RESET.
    """
    from ...analysis.measurements.yield_classes import SHORT, SWITCHING, classify

    plan.check(array.spec)
    keep = Run.of(run)
    block = Block.parse(plan.cells, array.spec)
    variables = [
        Variable("before", "Conductance before", "S"),
        Variable("after_reset", "Conductance after RESET", "S"),
        Variable("after_set", "Conductance after SET", "S"),
    ]
    axes = [Axis("cycle", "Attempt"), *map_axes(block)]
    meta = {"set_volts": plan.set_volts, "reset_volts": plan.reset_volts, "width": plan.width}
    borders = plan.borders.thresholds()
    nothing = np.zeros(block.shape)
    at = Fields(
        before=nothing, after_reset=nothing, after_set=nothing,
        categories=np.full(block.shape, "", dtype="U16"), todo=array.spec.healthy_mask(block),
    )  # fmt: skip

    def switch(volts: float, gate: float) -> FloatArray:
        count, gate = at.todo.astype(np.int64), array.spec.pulse_gate(gate)
        array.pulse(PulseMap(block=block, volts=volts, width=plan.width, gate=gate, count=count, scheme=plan.scheme))
        return array.read(block, average=plan.average).conductance

    with keep.work("yield_map", axes, variables, meta, label="attempts", total=1 + plan.attempts) as work:
        work.hold("map", at)
        if work.begin("before"):
            at.before = at.after_reset = at.after_set = array.read(block, average=plan.average).conductance
            work.done()
        for attempt in range(plan.attempts):
            if not at.todo.any() and attempt > 0:
                break
            if not work.begin(f"attempt {attempt}"):
                continue
            low = switch(-plan.reset_volts, plan.reset_gate)
            high = switch(plan.set_volts, plan.set_gate)
            at.after_reset, at.after_set = np.where(at.todo, low, at.after_reset), np.where(at.todo, high, at.after_set)
            at.categories = classify(
                at.before, at.after_reset, at.after_set, exists=array.spec.cells_mask(block), thresholds=borders
            )
            work.add({"cycle": attempt}, before=at.before, after_reset=at.after_reset, after_set=at.after_set)
            at.todo = at.todo & (at.categories != SWITCHING)
            work.done(f"{int(at.todo.sum())} cells left")
    result = YieldMapResult(
        block=block, before=at.before, after_reset=at.after_reset, after_set=at.after_set, categories=at.categories
    )
    keep.chip.note_yield(array.spec, block, result.healthy & array.spec.healthy_mask(block), result.categories == SHORT)
    return result
