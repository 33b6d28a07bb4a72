"""Retention: program cells to levels, then read them at times spaced evenly in ln t while they rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ...analysis.programming.retention import RetentionReads
from ...common.text import duration
from ...instruments.array_spec import ArraySpec
from ...instruments.block import Block
from ...instruments.capabilities import CrossbarArray, FloatArray
from ..keeping.array_state import Fields
from ..keeping.bench_time import BenchTime
from ..keeping.dataset import Axis, Variable
from ..keeping.run import Run
from ..measure.read_array import map_axes
from ..plan import Forecast, with_intervals
from .planner import PlanningStaircase
from .programming_plan import ProgrammingPlan
from .targets import Levels
from .verify_state import Verdict, VerifyState

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from ...analysis.report.report import Section

TEN_YEARS = 3.15576e8
STEADY = 0.1  # K


class RetentionPlan(ProgrammingPlan):
    """Programming as in read–verify, then reads from ``first`` to ``last`` seconds after the last pulse."""

    cells: str = Field(default="0:4,0:4", description="rows,cols like '0:8,0:8', or 'all'")
    prepare: Literal["levels", "found"] = Field(
        default="levels", description="'levels' programs every cell to a level; 'found' writes nothing"
    )
    levels: Levels = Field(default=Levels(count=4), description="levels drawn at random for every cell")
    reverify_rounds: int = Field(default=0, ge=0, description="delayed re-verifications: they make ages unequal")
    first: float = Field(default=1.0, gt=0, description="time of the first read after the last pulse [s]")
    last: float = Field(default=1e4, gt=0, description="time of the last read [s]")
    per_decade: int = Field(default=3, ge=1, le=20, description="reads per decade of time")
    read_average: int = Field(default=16, ge=1, description="conversions per cell and read")
    extrapolate_to: float = Field(default=TEN_YEARS, gt=0, description="age at which the change is predicted [s]")
    temperature: float | None = Field(
        default=None,
        gt=0,
        description="temperature of the chuck; by default what the station's thermometer reads with every read [K]",
    )

    @model_validator(mode="after")
    def _in_order(self) -> RetentionPlan:
        if self.last <= self.first:
            raise ValueError(f"the last read at {self.last:g} s must be later than the first at {self.first:g} s")
        if len(self.times) < 4:
            raise ValueError(
                f"{len(self.times)} reads from {self.first:g} to {self.last:g} s are too few for an exponent: choose a "
                "later last read, or more per_decade"
            )
        return self

    @property
    def times(self) -> FloatArray:
        """Time of every read [s], spaced evenly on a logarithmic axis."""
        points = int(np.ceil(np.log10(self.last / self.first) * self.per_decade - 1e-9)) + 1
        return np.geomspace(self.first, self.last, points)

    def measures(self) -> frozenset[str]:
        """Return what it gives."""
        found = with_intervals(
            "retention_drift_nu", "retention_sigma", "retention_extrapolated_change", "retained_fraction"
        )
        return found | {"retention_cells"}

    def check(self, spec: ArraySpec) -> None:
        """Refuse cells outside the array, and pulses beyond the limits where any are given."""
        spec.check_average(self.read_average, channel="retention.read_average")
        if self.prepare == "levels":
            super().check(spec)
        else:
            Block.parse(self.cells, spec)

    def forecast(self, spec: ArraySpec) -> Forecast:
        """Return the cost when every cell uses up its pulses, all waits included."""
        block = Block.parse(self.cells, spec)
        reads = len(self.times) * spec.read_seconds(block, self.read_average)
        if self.prepare == "found":
            return Forecast(block.size, spec.read_volts, 0, self.last + reads)
        one = super().forecast(spec)
        return Forecast(one.cells, one.volts_max, one.pulses, one.seconds + self.last + reads)


@dataclass(frozen=True, kw_only=True)
class RetentionResult:
    """Reads of every cell while it rested; ``cells`` as (row, col)."""

    plan: RetentionPlan
    cells: list[tuple[int, int]]
    reads: RetentionReads
    verdict: NDArray[np.int8]
    temperature: FloatArray = field(default_factory=lambda: np.empty(0))
    """At every read [K], nan where nobody said."""

    @property
    def frame(self) -> DataFrame:
        """One line per reading: row, col, level, seconds since the last write [s], G [S], change since the first."""
        from pandas import DataFrame

        read, cell = np.indices(self.reads.conductance.shape).reshape(2, -1)
        where = np.asarray(self.cells)
        g = self.reads.conductance
        return DataFrame(
            {
                "row": where[cell, 0],
                "col": where[cell, 1],
                "level": self.reads.level[cell],
                "read": read,
                "seconds_s": self.reads.seconds[read, cell],
                "conductance_S": g[read, cell],
                "change_S": (g - g[0])[read, cell],
                "temperature_K": self.temperature[read] if self.temperature.size else np.full(read.shape, np.nan),
            }
        )

    @cached_property
    def table(self) -> DataFrame:
        """One line per cell: row, col, level, first and last G [S], ν with its interval, predicted change."""
        from ...analysis.programming.retention import drift_table

        table = drift_table(self.reads, self.plan.extrapolate_to)
        where = np.asarray(self.cells)
        table.insert(0, "row", where[:, 0])
        table.insert(1, "col", where[:, 1])
        return table

    def plot(self) -> Figure:
        """Return conductance, spread of the change and drift exponents."""
        from ...analysis.programming.retention import retention_figure

        return retention_figure(self.reads, self.plan.extrapolate_to, title=f"Retention{self._at}")

    def metrics(self) -> dict[str, float]:
        """Return drift, spread, extrapolation and how many cells kept their level."""
        from ...analysis.estimates.estimates import flatten_all
        from ...analysis.programming.retention import retention_metrics

        found = retention_metrics(self.reads, self.plan.extrapolate_to)
        return {**flatten_all(found), "retention_cells": float(self.reads.known.sum())}

    @property
    def _at(self) -> str:
        known = self.temperature[np.isfinite(self.temperature)]
        if not known.size:
            return ""
        low, high = float(known.min()), float(known.max())
        return f" at {low:.4g} K" if high - low < STEADY else f" at {low:.4g} to {high:.4g} K"

    def section(self) -> Section:
        """Return the figure, the levels and the cells as a part of the report."""
        from ...analysis.programming.retention import retention_table
        from ...analysis.report.report import Section

        plan, reads = self.plan, self.reads
        known = int(reads.known.sum())
        how = "programmed to levels by read–verify" if plan.prepare == "levels" else "taken as they were found"
        heat = (
            self._at.removeprefix(" at ")
            or "not recorded: say it in the plan (temperature), or name a thermometer in the station"
        )
        text = (
            f"{known} of {len(self.cells)} cells, {how}, read {reads.seconds.shape[0]} times from "
            f"{duration(float(reads.seconds[0].min()))} to {duration(float(reads.seconds[-1].max()))} after their last "
            f"pulse. Temperature: {heat}. ν is of G(t) = G(t0)·(t/t0)^−ν; its interval allows for a wander of the "
            f"state besides the noise of a reading. The extrapolation to {duration(plan.extrapolate_to)} supposes that "
            "the law goes on and the temperature stays."
        )
        if known < len(self.cells):
            text += f" Cells that did not reach their level and are in no figure: {len(self.cells) - known}."
        tables = [("Level by level.", retention_table(reads, plan.extrapolate_to)), ("Cell by cell.", self.table)]
        caption = "Conductance against time with its extrapolation, spread of the change, exponents of the cells."
        return Section("Retention", text, [(caption, self.plot())], tables)

    def __repr__(self) -> str:
        m = self.metrics()
        return (
            f"<RetentionResult {m['retention_cells']:.0f} cells to {self.reads.seconds[-1].max():.3g} s: "
            f"ν {m['retention_drift_nu']:.3g}, σ(ΔG) {m['retention_sigma'] * 1e6:.3g} µS>"
        )


def retention(array: CrossbarArray, plan: RetentionPlan, run: Run | None = None) -> RetentionResult:
    """Program the cells of a block to levels and read them while they rest.

    Units of work are the readings of read–verify, then the reads. Where a slot serves one cell the cells are read one
    by one and each has its own time. A read whose time has passed, as after an interruption, is done at once; what is
    kept is when it was done.
    """
    plan.check(array.spec)
    keep = Run.of(run)
    block = Block.parse(plan.cells, array.spec)
    good = keep.chip.healthy_of(array)[block.slices] & array.spec.healthy_mask(block)
    wanted = plan.targets(block, keep)
    goal = plan.goal(wanted)
    state = VerifyState(goal, good, plan.acceptance())
    staircase = PlanningStaircase(*plan.ramps(array.spec), goal)
    loop = plan.loop(array, block, state, staircase)
    parts = [block] if array.spec.slot_serves == "row" else _cell_by_cell(block)
    axes = [Axis("read", "Read", count=len(plan.times)), *map_axes(block)]
    variables = [
        Variable("conductance", "Conductance", "S"),
        Variable("seconds", "Time since the last write", "s"),
        Variable("target", "Target", "S"),
        Variable("temperature", "Temperature", "K"),
    ]
    meta: dict[str, float | str] = {"width": plan.width, "prepare": plan.prepare}
    if plan.temperature is not None:
        meta["temperature"] = plan.temperature
    watch = BenchTime(array.clock)
    at = Fields(written=np.zeros(block.shape), readings=0)
    with keep.work("retention", axes, variables, meta, label="reads", total=len(plan.times)) as work:
        for name, thing in {"cells": state, "staircase": staircase, "loop": loop, "watch": watch, "at": at}.items():
            work.hold(name, thing)
        while plan.prepare == "levels" and not loop.over and work.begin(f"programming {at.readings}"):
            if work.interrupted:
                loop.forget_pulses()
            before = state.pulses
            loop.go_on()
            at.written = np.where(state.pulses > before, watch.now(), at.written)
            at.readings += 1
            watch.mark()
            work.done(f"programming, {int(state.active.sum())} cells left", 0.0)
        state.close()
        rested_from = float(at.written.max())
        for number, time in enumerate(plan.times):
            if not work.begin(f"read {number}"):
                continue
            watch.wait_until(rested_from + float(time))
            g, seconds = np.full(block.shape, np.nan), np.full(block.shape, np.nan)
            for part in parts:
                inside = part.moved(-block.row0, -block.col0).slices
                begun = watch.now()
                g[inside] = array.read(part, average=plan.read_average).conductance
                seconds[inside] = 0.5 * (begun + watch.now())
            seconds -= at.written
            warm = np.array(keep.temperature() if plan.temperature is None else plan.temperature)
            work.add(
                {"read": number},
                conductance=g, seconds=seconds, target=wanted, temperature=np.full(block.shape, warm),
            )  # fmt: skip
            watch.mark()
            work.done(f"{duration(float(time))} after the last pulse", g=g, seconds=seconds, temperature=warm)
        g, seconds, temperature = (work.stack(name) for name in ("g", "seconds", "temperature"))
    return _result(plan, block, good, wanted, state.verdict, seconds, g, temperature)


def _cell_by_cell(block: Block) -> list[Block]:
    return [Block(block.row0 + r, 1, block.col0 + c, 1) for r, c in np.ndindex(block.shape)]


def _result(
    plan: RetentionPlan,
    block: Block,
    good: NDArray[np.bool_],
    wanted: FloatArray,
    verdict: NDArray[np.int8],
    seconds: FloatArray,
    g: FloatArray,
    temperature: FloatArray,
) -> RetentionResult:
    from ...analysis.programming.levels import nearest_level

    rows, cols = np.nonzero(good)
    levels = plan.levels.values
    counts = good
    if plan.prepare == "found":
        # What a cell stands for is the level nearest to how it read first.
        wanted = levels[np.maximum(nearest_level(g[0], levels), 0)]
    elif plan.of_levels:
        counts = good & (verdict == Verdict.ACCEPTED)
    else:
        levels, counts = np.unique(wanted[np.isfinite(wanted)]), good & (verdict == Verdict.ACCEPTED)
    low, high = plan.readings(wanted)
    level = np.where(counts, nearest_level(wanted, levels), -1)
    return RetentionResult(
        plan=plan,
        cells=block.where(good),
        reads=RetentionReads(
            seconds=seconds[:, rows, cols],
            conductance=g[:, rows, cols],
            level=level[rows, cols].astype(np.int64),
            levels=levels,
            low=low[rows, cols],
            high=high[rows, cols],
        ),
        verdict=verdict[rows, cols],
        temperature=temperature,
    )
