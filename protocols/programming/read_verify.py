"""Program cells to target conductances by read–verify, and look again a minute later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from ...common.errors import RefusedError
from ...instruments.abilities import VerifiesOnBoard
from ...instruments.array_spec import ArraySpec
from ...instruments.block import Block
from ...instruments.capabilities import CrossbarArray, FloatArray
from ..keeping.array_state import Fields
from ..keeping.dataset import Axis, Variable
from ..keeping.run import Run
from ..measure.cell_table import cell_table
from ..measure.read_array import map_axes
from ..plan import Forecast, with_intervals
from .onboard_verify import BoardLoop
from .planner import PlanningStaircase
from .programming_plan import ProgrammingPlan
from .targets import Goal, check_target
from .verify_state import BoolArray, Verdict, VerifyState

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from ...analysis.report.report import Section


class ReadVerifyPlan(ProgrammingPlan):
    """Program to targets, then look again after ``reread_after`` seconds."""

    reread_after: float = Field(default=60.0, ge=0, description="time before the last re-read [s]")
    engine: Literal["host", "board", "auto"] = Field(
        default="host", description="who runs the loop: 'auto' takes the board's own staircase where it has one"
    )

    def measures(self) -> frozenset[str]:
        """Return what it gives; the delay of the last re-read is a part of a name."""
        fractions = "programmed_fraction", f"programmed_fraction_{self.reread_after:g}s", "success_fraction"
        return with_intervals(*fractions, "programming_sigma", "pulses_per_cell") | {"cells_attempted", "iterations"}

    def check(self, spec: ArraySpec) -> None:
        """Refuse, besides what programming would, a board engine where there is none."""
        super().check(spec)
        if self.engine == "board":
            spec.require(VerifiesOnBoard, otherwise="engine 'host' does the same from here")
            if spec.gate_axis is None:
                raise RefusedError(
                    "read_verify.engine 'board' turns the gate of a SET, and this array has no gates: use engine 'host'"
                )
            if self.levels.windows:
                raise RefusedError(
                    "read_verify.engine 'board' takes one tolerance for all cells, and levels.windows have their own: "
                    "use engine 'host'"
                )

    def by_board(self, spec: ArraySpec) -> bool:
        """Whether the board runs the loop; where it cannot, the host does."""
        one_tolerance = not self.levels.windows
        return self.engine != "host" and spec.can(VerifiesOnBoard) and spec.gate_axis is not None and one_tolerance

    def forecast(self, spec: ArraySpec) -> Forecast:
        """Return the cost when every cell uses up its pulses, the wait before the last re-read included."""
        one = super().forecast(spec)
        return Forecast(one.cells, one.volts_max, one.pulses, one.seconds + self.reread_after)


@dataclass(frozen=True, kw_only=True)
class ReadVerifyResult:
    """Targets, conductances [S], pulses and verdicts, all [rows, cols] of the block.

    ``readings``: between which conductances each cell stands for its level. ``pulses`` counts all, initialisation
    included; ``sets`` and ``resets`` those the host gave (a board's own loop tells only the sum).
    """

    block: Block
    spacing: float
    levels: FloatArray
    target: FloatArray
    readings: tuple[FloatArray, FloatArray]
    at_end: FloatArray
    later: FloatArray
    later_after: float
    sets: NDArray[np.int64]
    resets: NDArray[np.int64]
    pulses: NDArray[np.int64]
    verdict: NDArray[np.int8]
    healthy: BoolArray
    iterations: int
    reopened: list[int]
    baseline_pulses: FloatArray | None = None

    @property
    def attempted(self) -> BoolArray:
        """True where programming was tried."""
        return self.verdict != Verdict.NOT_ATTEMPTED

    @property
    def frame(self) -> DataFrame:
        """One line per cell: target, conductance at the end and later [S], pulses, verdict."""
        return cell_table(
            self.block,
            {
                "healthy": self.healthy,
                "target_S": self.target,
                "end_S": self.at_end,
                "later_S": self.later,
                "pulses": self.pulses,
                "sets": self.sets,
                "resets": self.resets,
                "verdict": [Verdict(v).words for v in self.verdict.ravel()],
            },
        )

    def plot(self) -> Figure:
        """Return target, achieved and error maps."""
        from ...analysis.measurements.array_maps import target_maps

        origin = (self.block.row0, self.block.col0)
        return target_maps(self.target, self.later, spacing=self.spacing, origin=origin, title="Programming")

    def metrics(self) -> dict[str, float]:
        """Return the programming figures of merit as docs/quantities.md defines them."""
        from ...analysis.estimates.estimates import flatten, fraction_estimate, mean_estimate
        from ...analysis.programming.levels import programmed_fraction, programming_sigma

        healthy = self.healthy & self.attempted
        late = f"{self.later_after:g}s"
        done = healthy & (self.verdict == Verdict.ACCEPTED)
        return {
            **flatten("programmed_fraction", programmed_fraction(*self.readings, self.at_end, healthy)),
            **flatten(f"programmed_fraction_{late}", programmed_fraction(*self.readings, self.later, healthy)),
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
        from ...analysis.programming.levels import (
            error_cdf,
            level_histogram,
            level_offsets,
            level_table,
            pulses_histogram,
        )
        from ...analysis.report.report import Section

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
                (
                    "Each level's cells; the numbers are how far their mean is from the target.",
                    level_histogram(self.target, self.later, self.levels, healthy, title=title),
                ),
            )
            tables.append(("Level by level.", level_table(self.target, self.later, self.levels, healthy)))
        mean, _ = level_offsets(self.target, self.later, self.levels if self.levels.size else [0.0], healthy)
        off = (
            f"On average they stand {abs(mean) * 1e6:.2f} µS {'below' if mean < 0.0 else 'above'} their target "
            f"{self.later_after:g} s later, {abs(mean) / self.spacing:.1%} of a level's spacing. "
            if np.isfinite(mean)
            else ""
        )
        text = (
            f"{int(self.attempted.sum())} cells programmed in {self.iterations} read–pulse iterations, all at once. "
            f"{off}"
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

    Units of work are the readings of the loop, each with the pulses that follow from it (of a board's own loop, its
    rounds), and the two looks at the end. Every unit begins with a reading; from one before which pulses may have been
    given that nobody remembers, nothing is learnt.

    Parameters
    ----------
    target : ndarray [S], optional
        A map of the block's shape instead of the plan's levels; nan leaves a cell alone.
    """
    plan.check(array.spec)
    keep = Run.of(run)
    block = Block.parse(plan.cells, array.spec)
    wanted = plan.targets(block, keep) if target is None else check_target(target, block, "the target map")
    set_ramp, reset_ramp = plan.ramps(array.spec)
    goal = plan.goal(wanted) if target is None else Goal.around(wanted, plan.window)
    state = VerifyState(goal, array.spec.healthy_mask(block), plan.acceptance())
    staircase = PlanningStaircase(set_ramp, reset_ramp, goal)
    variables = [
        Variable("conductance", "Conductance", "S"),
        Variable("volts", "Pulse amplitude", "V"),
        Variable("gate", "Gate voltage", "V"),
        Variable("target", "Target", "S"),
    ]
    axes = [Axis("cycle", "Iteration"), *map_axes(block)]
    meta = {
        "tolerance": str(plan.levels.windows) if plan.levels.windows else plan.window,
        "width": plan.width, "set_knob": set_ramp.knob, "reset_knob": reset_ramp.knob,
    }  # fmt: skip
    seen = Fields(readings=0, at_end=np.zeros(block.shape), later=np.zeros(block.shape))
    total = float(state.active.sum())
    with keep.work("read_verify", axes, variables, meta, label="cells programmed", total=total) as work:

        def record(conductance: FloatArray, volts: FloatArray, gate: FloatArray) -> None:
            work.add({"cycle": seen.readings}, conductance=conductance, volts=volts, gate=gate, target=wanted)
            seen.readings += 1

        loop = (
            BoardLoop(array, block, state, plan, record)
            if plan.by_board(array.spec)
            else plan.loop(array, block, state, staircase, record)
        )
        for name, thing in {"cells": state, "staircase": staircase, "loop": loop, "seen": seen}.items():
            work.hold(name, thing)
        while not loop.over and work.begin(f"reading {seen.readings}"):
            if work.interrupted:
                loop.forget_pulses()
            loop.go_on()
            left = int(state.active.sum())
            work.done(f"{left} cells left", total - left)
        state.close()
        if work.begin("end"):
            # Both looks are one unit: what matters of the second is how long it came after the first.
            seen.at_end = array.read(block, average=plan.reverify_average).conductance
            array.clock.wait(plan.reread_after)
            seen.later = array.read(block, average=plan.reverify_average).conductance
            nothing = np.zeros(block.shape)
            record(seen.at_end, nothing, nothing)
            record(seen.later, nothing, nothing)
            work.done("", total)
    levels = plan.levels.values if plan.target_file is None and target is None else np.empty(0)
    healthy = keep.chip.healthy_of(array)[block.slices]
    keep.chip.note_target(array.spec, block, wanted)
    return ReadVerifyResult(
        block=block,
        spacing=plan.spacing,
        levels=levels,
        target=wanted,
        readings=plan.readings(wanted),
        at_end=seen.at_end,
        later=seen.later,
        later_after=plan.reread_after,
        sets=state.sets,
        resets=state.resets,
        pulses=state.pulses,
        verdict=state.verdict,
        healthy=healthy,
        iterations=seen.readings - 2,
        reopened=loop.left.tolist(),
        baseline_pulses=keep.chip.baseline_pulses,
    )
