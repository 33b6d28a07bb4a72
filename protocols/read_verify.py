"""Program cells to target conductances by read–verify, and look again a minute later."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, model_validator

from ..instruments.capabilities import ArraySpec, Block, CrossbarArray, FloatArray
from .dataset import Axis, Variable
from .plan import Forecast, Plan, check_pulse, parse_cells
from .read_array import map_axes, read_seconds
from .run import Run
from .staircases import Knob, LearningStaircase, Ramp
from .targets import Levels, check_target, load_target
from .verify_loop import Reverify, program
from .verify_state import Acceptance, BoolArray, Verdict, VerifyState

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from ..analysis.report import Section


class RampPlan(Plan):
    """One polarity: which voltage is turned, from where to where [V], and at what the other is held."""

    knob: Knob | None = Field(
        default=None, description="'gate' or 'volts'; by default what the array can give every cell in one slot"
    )
    volts: tuple[float, float] = Field(
        description="amplitude range [V, magnitudes]; the second is held when the gate is turned"
    )
    gate: tuple[float, float] = Field(description="gate range [V]; the second is held when the amplitude is turned")
    step: float = Field(default=0.05, gt=0, description="step of the knob [V]")

    def ramp(self, default: Knob) -> Ramp:
        """Return the ramp for an array whose natural knob is ``default``."""
        knob = self.knob or default
        span, held = (self.gate, self.volts[1]) if knob == "gate" else (self.volts, self.gate[1])
        return Ramp(knob, min(span), max(span), self.step, held)


class ProgrammingPlan(Plan):
    """What read–verify and its baseline share: cells, targets, windows, pulses."""

    cells: str = Field(default="all", description="rows,cols like '0:8,0:8', or 'all'")
    levels: Levels = Field(default=Levels(), description="levels drawn at random for every cell")
    target_file: str | None = Field(
        default=None, description="a .npy or .csv map of target conductances [S] instead of levels"
    )
    tolerance: float | None = Field(
        default=None, gt=0, description="half-width of the window [S]; a quarter of the level spacing by default"
    )
    set: RampPlan = Field(default_factory=lambda: RampPlan(volts=(1.0, 2.5), gate=(0.5, 2.6)), description="SET pulses")
    reset: RampPlan = Field(
        default_factory=lambda: RampPlan(volts=(0.6, 1.7), gate=(1.0, 5.0)), description="RESET pulses"
    )
    width: float = Field(default=500e-9, gt=0, description="pulse width [s]")
    hits: int = Field(default=2, ge=1, description="reads that must be inside …")
    reads: int = Field(default=3, ge=1, description="… out of this many, before a cell is accepted")
    pulses_max: int = Field(default=60, ge=1, description="pulses per cell")
    reversals_max: int = Field(default=12, ge=0, description="changes of polarity per cell")
    stalls_max: int = Field(default=5, ge=1, description="pulses in a row at full strength that do not move a cell")
    iterations_max: int = Field(default=200, ge=1, description="read–pulse iterations")
    average: int = Field(default=2, ge=1, description="conversions per cell in the loop's reads")
    reverify_rounds: int = Field(default=4, ge=0, description="delayed re-verifications")
    reverify_after: float = Field(default=5.0, ge=0, description="delay before each [s]")
    reverify_average: int = Field(default=16, ge=1, description="conversions per cell in a re-verify")

    @model_validator(mode="after")
    def _possible(self) -> ProgrammingPlan:
        if self.hits > self.reads:
            raise ValueError(f"hits {self.hits} of reads {self.reads} can never be reached")
        return self

    @property
    def window(self) -> float:
        """Half-width of the acceptance window [S]."""
        return self.tolerance if self.tolerance is not None else 0.25 * self.levels.spacing

    @property
    def spacing(self) -> float:
        """Level spacing [S]; with a map of one's own, four windows."""
        return self.levels.spacing if self.target_file is None else 4.0 * self.window

    def ramps(self, spec: ArraySpec) -> tuple[Ramp, Ramp]:
        """Return SET and RESET ramps. The gate is what limits a SET; a RESET turns what one slot can vary per cell."""
        return self.set.ramp("gate"), self.reset.ramp("volts" if spec.gate_axis == "row" else "gate")

    def acceptance(self) -> Acceptance:
        """Return the acceptance rule."""
        return Acceptance(self.window, self.hits, self.reads, self.pulses_max, self.reversals_max, self.stalls_max)

    def reverify(self) -> Reverify:
        """Return the delayed re-verify: a cell may stand a little outside its window, well inside half a level."""
        return Reverify(self.reverify_rounds, self.reverify_after, 1.25 * self.window, self.reverify_average)

    def targets(self, block: Block, run: Run) -> FloatArray:
        """Return the target map [S] of this plan for a block."""
        if self.target_file is not None:
            return load_target(Path(self.target_file), block)
        return self.levels.draw(block, run.rng("targets"))

    def check(self, spec: ArraySpec) -> None:
        """Refuse cells outside the array and pulses beyond the limits."""
        name = type(self).__name__.removesuffix("Plan").lower()
        block = parse_cells(self.cells, spec)
        spec.check_average(self.average, channel=f"{name}.average")
        spec.check_average(self.reverify_average, channel=f"{name}.reverify_average")
        if self.target_file is not None:
            load_target(Path(self.target_file), block)
        for polarity, ramp in zip((1, -1), self.ramps(spec), strict=True):
            channel = f"{name}.{'set' if polarity > 0 else 'reset'}"
            check_pulse(spec, volts=polarity * ramp.volts_max, width=self.width, gate=ramp.gate_max, channel=channel)

    def forecast(self, spec: ArraySpec) -> Forecast:
        """Return the cost when every cell uses up its pulses."""
        block = parse_cells(self.cells, spec)
        slots = 2 * block.nrows * (self.width + spec.slot_overhead)
        seconds = self.iterations_max * (slots + read_seconds(spec, block)) + self.reverify_rounds * self.reverify_after
        volts = max(ramp.volts_max for ramp in self.ramps(spec))
        return Forecast(block.size, volts, block.size * self.pulses_max, seconds)


class ReadVerifyPlan(ProgrammingPlan):
    """Program to targets, then look again after ``reread_after`` seconds."""

    reread_after: float = Field(default=60.0, ge=0, description="time before the last re-read [s]")


@dataclass(frozen=True)
class ReadVerifyResult:
    """Targets, conductances [S], pulses and verdicts, all [rows, cols] of the block."""

    block: Block
    spacing: float
    levels: FloatArray
    target: FloatArray
    at_end: FloatArray
    later: FloatArray
    later_after: float
    sets: NDArray[np.int64]
    resets: NDArray[np.int64]
    verdict: NDArray[np.int8]
    healthy: BoolArray
    iterations: int
    reopened: list[int]
    baseline_pulses: FloatArray | None = None

    @property
    def pulses(self) -> NDArray[np.int64]:
        """SET and RESET pulses per cell, initialisation included."""
        return self.sets + self.resets

    @property
    def attempted(self) -> BoolArray:
        """True where programming was tried."""
        return self.verdict != Verdict.NOT_ATTEMPTED

    @property
    def frame(self) -> DataFrame:
        """One line per cell: target, conductance at the end and later [S], pulses, verdict."""
        from pandas import DataFrame

        rows, cols = np.indices(self.block.shape)
        return DataFrame(
            {
                "row": rows.ravel() + self.block.row0,
                "col": cols.ravel() + self.block.col0,
                "healthy": self.healthy.ravel(),
                "target_S": self.target.ravel(),
                "end_S": self.at_end.ravel(),
                "later_S": self.later.ravel(),
                "sets": self.sets.ravel(),
                "resets": self.resets.ravel(),
                "verdict": [Verdict(v).words for v in self.verdict.ravel()],
            }
        )

    def plot(self) -> Figure:
        """Return target, achieved and error maps."""
        from ..analysis.array_maps import target_maps

        origin = (self.block.row0, self.block.col0)
        return target_maps(self.target, self.later, spacing=self.spacing, origin=origin, title="Programming")

    def metrics(self) -> dict[str, float]:
        """Return the programming figures of merit as docs/quantities.md defines them."""
        from ..analysis.estimates import flatten, fraction_estimate, mean_estimate
        from ..analysis.levels import programmed_fraction, programming_sigma

        healthy = self.healthy & self.attempted
        late = f"{self.later_after:g}s"
        done = healthy & (self.verdict == Verdict.ACCEPTED)
        return {
            **flatten("programmed_fraction", programmed_fraction(self.target, self.at_end, self.spacing, healthy)),
            **flatten(
                f"programmed_fraction_{late}", programmed_fraction(self.target, self.later, self.spacing, healthy)
            ),
            **flatten("success_fraction", fraction_estimate(int(done.sum()), int(healthy.sum()))),
            **flatten("programming_sigma", programming_sigma(self.target, self.later, healthy)),
            **flatten("pulses_per_cell", mean_estimate(self.pulses[self.attempted])),
            "cells_attempted": float(self.attempted.sum()),
            "iterations": float(self.iterations),
        }

    def verdicts(self) -> DataFrame:
        """Return how many cells, healthy and not, ended in each verdict."""
        from pandas import DataFrame

        names = [v for v in Verdict if (self.verdict == v).any()]
        return DataFrame(
            {
                "verdict": [v.words for v in names],
                "healthy cells": [int((self.healthy & (self.verdict == v)).sum()) for v in names],
                "other cells": [int((~self.healthy & (self.verdict == v)).sum()) for v in names],
            }
        )

    def section(self) -> Section:
        """Return maps, histograms and failure reasons as a part of the report."""
        from ..analysis.levels import error_cdf, level_histogram, level_table, pulses_histogram
        from ..analysis.report import Section

        healthy = self.healthy & self.attempted
        errors = {
            "at the end": (self.at_end - self.target)[healthy],
            f"{self.later_after:g} s later": (self.later - self.target)[healthy],
        }
        figures = [
            (f"Target, achieved {self.later_after:g} s after programming, and their difference.", self.plot()),
            (
                "Distribution of the error of healthy cells; the line marks half a level.",
                error_cdf(errors, spacing=self.spacing),
            ),
            (
                "Pulses each cell needed; the baseline's where this run measured it.",
                pulses_histogram(self.pulses[self.attempted], ispp=self.baseline_pulses),
            ),
        ]
        tables = [("How cells ended.", self.verdicts())]
        if self.levels.size:
            title = f"Where the levels stand {self.later_after:g} s later"
            figures.insert(
                1,
                ("Each level's cells.", level_histogram(self.target, self.later, self.levels, healthy, title=title)),
            )
            tables.append(("Level by level.", level_table(self.target, self.later, self.levels, healthy)))
        text = (
            f"{int(self.attempted.sum())} cells programmed in {self.iterations} read–pulse iterations, all at once. "
            "Accepted cells that the delayed re-verify found outside their window, round by round: "
            f"{', '.join(map(str, self.reopened)) or 'none'}."
        )
        return Section("Programming by read–verify", text, figures, tables)

    def __repr__(self) -> str:
        m = self.metrics()
        late = f"programmed_fraction_{self.later_after:g}s"
        return (
            f"<ReadVerifyResult {self.block}: {m[late]:.2%} of healthy cells within half a level "
            f"after {self.later_after:g} s, {m['pulses_per_cell']:.2f} pulses per cell>"
        )


def read_verify(
    array: CrossbarArray, plan: ReadVerifyPlan, run: Run | None = None, *, target: ArrayLike | None = None
) -> ReadVerifyResult:
    """Program a block to a target map with a staircase that learns.

    Parameters
    ----------
    target : ndarray [S], optional
        A map of the block's shape instead of the plan's levels; nan leaves a cell alone.
    """
    plan.check(array.spec)
    keep = Run.of(run)
    block = parse_cells(plan.cells, array.spec)
    wanted = plan.targets(block, keep) if target is None else check_target(target, block, "the target map")
    set_ramp, reset_ramp = plan.ramps(array.spec)
    state = VerifyState(wanted, array.spec.healthy_mask(block), plan.acceptance())
    staircase = LearningStaircase(set_ramp, reset_ramp, block.shape)
    variables = [
        Variable("conductance", "Conductance", "S"),
        Variable("volts", "Pulse amplitude", "V"),
        Variable("gate", "Gate voltage", "V"),
        Variable("target", "Target", "S"),
    ]
    axes = [Axis("cycle", "Iteration"), *map_axes(block)]
    readings = 0
    with (
        keep.dataset("read_verify", axes, variables, {"tolerance": plan.window, "width": plan.width}) as data,
        keep.progress("cells programmed", float(state.active.sum())) as bar,
    ):

        def record(conductance: FloatArray, volts: FloatArray, gate: FloatArray) -> None:
            nonlocal readings
            data.add({"cycle": readings}, conductance=conductance, volts=volts, gate=gate, target=wanted)
            readings += 1

        reopened = program(
            array,
            block,
            state,
            staircase,
            width=plan.width,
            average=plan.average,
            iterations_max=plan.iterations_max,
            reverify=plan.reverify(),
            record=record,
            bar=bar,
        )
        at_end = array.read(block, average=plan.reverify_average).conductance
        array.clock.wait(plan.reread_after)
        later = array.read(block, average=plan.reverify_average).conductance
        nothing = np.zeros(block.shape)
        record(at_end, nothing, nothing)
        record(later, nothing, nothing)
    levels = plan.levels.values if plan.target_file is None and target is None else np.empty(0)
    healthy = keep.healthy_of(array)[block.slices]
    return ReadVerifyResult(
        block,
        plan.spacing,
        levels,
        wanted,
        at_end,
        later,
        plan.reread_after,
        state.sets,
        state.resets,
        state.verdict,
        healthy,
        readings - 2,
        reopened,
        keep.baseline_pulses,
    )
