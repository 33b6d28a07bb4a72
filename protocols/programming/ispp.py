"""The baseline: incremental-staircase programming, the best of a printed scan, from the same initial state."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...instruments.array_spec import ArraySpec
from ...instruments.block import Block
from ...instruments.capabilities import CrossbarArray, FloatArray, PulseMap
from ...instruments.limits import refuse_bad_number
from ..keeping.dataset import Axis, Shape, Variable
from ..keeping.run import Run
from ..measure.read_array import map_axes
from ..plan import Forecast, Plan, with_intervals
from .programming_plan import ProgrammingPlan
from .staircases import FixedStaircase, Ramp
from .verify_state import Verdict, VerifyState

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from ...analysis.report.report import Section

Values = Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)]


STARTS, STEPS = (0.0, 0.25, 0.5), (0.05, 0.1)
"""Of a scan by default: where SET staircases begin and how large steps are, as shares of the range that is turned."""


@dataclass(frozen=True, slots=True)
class Climb:
    """Start of the SET staircase and steps of both [V], one combination of a scan."""

    set_start: float
    set_step: float
    reset_step: float

    def staircase(self, set_ramp: Ramp, reset_ramp: Ramp, shape: tuple[int, int]) -> FixedStaircase:
        """Return the staircase over two ramps."""
        return FixedStaircase(
            replace(set_ramp, start=self.set_start, step=self.set_step),
            replace(reset_ramp, step=self.reset_step),
            shape,
        )


@dataclass(frozen=True, slots=True)
class Scan:
    """Starts of SET staircases and steps of both that are tried [V]."""

    set_starts: Values
    set_steps: Values
    reset_steps: Values

    def climbs(self) -> list[Climb]:
        """Return every combination."""
        return [Climb(*one) for one in product(self.set_starts, self.set_steps, self.reset_steps)]


class HasScan(Plan):
    """Starts and steps of a scan; by default what the ramps suggest."""

    set_starts: Values | None = Field(
        default=None,
        description="first value of the SET staircase [V]; by default the beginning, a quarter and the middle",
    )
    set_steps: Values | None = Field(
        default=None, description="step of the SET staircase [V]; by default 1/20 and 1/10 of its range"
    )
    reset_steps: Values | None = Field(
        default=None, description="step of the RESET staircase [V]; by default 1/20 and 1/10 of its range"
    )

    def scan(self, set_ramp: Ramp, reset_ramp: Ramp) -> Scan:
        """Return the scan over two ramps."""
        width, reset_width = (ramp.stop - ramp.start for ramp in (set_ramp, reset_ramp))
        return Scan(
            self.set_starts or tuple(set_ramp.start + share * width for share in STARTS),
            self.set_steps or tuple(share * width for share in STEPS),
            self.reset_steps or tuple(share * reset_width for share in STEPS),
        )


class IsppPlan(ProgrammingPlan, HasScan):
    """Every combination of starts and steps is tried; the fewest pulses at the best success wins."""

    cells: str = Field(default="0:8,0:64", description="rows,cols like '0:8,0:8', or 'all'")
    on_above: float = Field(
        default=20e-6, gt=0, description="a cell found above this is on, and is again at every start [S]"
    )

    def measures(self) -> frozenset[str]:
        """Return what it gives."""
        return with_intervals("ispp_pulses_per_cell") | {"ispp_programmed_fraction", "ispp_success_fraction"}

    def check(self, spec: ArraySpec) -> None:
        """Refuse, besides what read–verify would, starts outside the SET ramp."""
        super().check(spec)
        ramp, other = self.ramps(spec)
        for start in self.scan(ramp, other).set_starts:
            refuse_bad_number("set_starts", start, ramp.start, ramp.stop, "V", channel="ispp")

    def forecast(self, spec: ArraySpec) -> Forecast:
        """Return the cost of the whole scan."""
        one = super().forecast(spec)
        runs = len(self.scan(*self.ramps(spec)).climbs())
        return Forecast(one.cells, one.volts_max, runs * one.pulses, runs * one.seconds)


@dataclass(frozen=True, kw_only=True)
class IsppResult:
    """The scan: one line per staircase, and pulses per cell of the best."""

    block: Block
    frame: DataFrame
    best: int
    best_pulses: FloatArray

    def plot(self) -> Figure:
        """Return pulses per cell of the best staircase."""
        from ...analysis.programming.levels import pulses_histogram

        return pulses_histogram(np.empty(0), ispp=self.best_pulses, title="ISPP, best of the scan")

    def metrics(self) -> dict[str, float]:
        """Return ``ispp_pulses_per_cell`` and the fraction it programmed."""
        from ...analysis.estimates.estimates import flatten, mean_estimate

        best = self.frame.iloc[self.best]
        return {
            **flatten("ispp_pulses_per_cell", mean_estimate(self.best_pulses)),
            "ispp_programmed_fraction": float(best["programmed_fraction"]),
            "ispp_success_fraction": float(best["success_fraction"]),
        }

    def section(self) -> Section:
        """Return the scan as a part of the report."""
        from ...analysis.report.report import Section

        best = self.frame.iloc[self.best]
        text = (
            f"Fixed start, step and width, restarted at every change of polarity; {len(self.frame)} staircases on "
            f"cells {self.block}. Best at equal success: start {best['set_start_V']:g} V, "
            f"SET step {best['set_step_V']:g} V, "
            f"RESET step {best['reset_step_V']:g} V with {best['pulses_per_cell']:.2f} pulses per cell."
        )
        return Section("Baseline: ISPP", text, [("Pulses per cell.", self.plot())], [("The scan.", self.frame)])

    def __repr__(self) -> str:
        best = self.frame.iloc[self.best]
        return (
            f"<IsppResult {self.block}: best of {len(self.frame)} with {best['pulses_per_cell']:.2f} pulses per cell>"
        )


def ispp(array: CrossbarArray, plan: IsppPlan, run: Run | None = None) -> IsppResult:
    """Run the scan, every staircase from the same initial state, the one that the yield map leaves.

    Before each, every cell gets one full RESET, and one SET if the step found it on. These pulses are not counted: they
    stand for the state in which programming finds the chip. Initialisation that a staircase does itself is counted.
    Units of work are the first look and the staircases; one that may have been cut begins anew from that state.
    """
    from pandas import DataFrame

    from ...analysis.estimates.estimates import fraction_estimate
    from ...analysis.programming.compare_programming import fewest_at_equal_success
    from ...analysis.programming.levels import programmed_fraction

    plan.check(array.spec)
    keep = Run.of(run)
    block = Block.parse(plan.cells, array.spec)
    wanted = plan.targets(block, keep)
    healthy = keep.chip.healthy_of(array)[block.slices]
    set_ramp, reset_ramp = plan.ramps(array.spec)
    tried = plan.scan(set_ramp, reset_ramp)
    scan = tried.climbs()
    variables = [
        Variable("conductance", "Conductance", "S"),
        Variable("pulses", "Pulses"),
        Variable("target", "Target", "S"),
    ]
    meta = {"set_knob": set_ramp.knob, "reset_knob": reset_ramp.knob}
    axes = [
        Axis("set_start", "First value of the SET staircase", "V", count=len(tried.set_starts)),
        Axis("set_step", "Step of the SET staircase", "V", count=len(tried.set_steps)),
        Axis("reset_step", "Step of the RESET staircase", "V", count=len(tried.reset_steps)),
        *map_axes(block),
    ]
    earlier = Shape([Axis("combination", "Staircase"), *map_axes(block)], variables)
    with keep.work("ispp", axes, variables, meta, label="staircases", total=1 + len(scan), earlier=earlier) as work:
        if work.begin("before"):
            work.done(before=array.read(block, average=4).conductance)
        on = work.piece("before", "before") > plan.on_above
        for index, climb in enumerate(scan):
            if not work.begin(f"staircase {index}"):
                continue
            same_start(array, block, (set_ramp, reset_ramp), plan.width, on=on)
            state = VerifyState(plan.goal(wanted), array.spec.healthy_mask(block), plan.acceptance())
            loop = plan.loop(array, block, state, climb.staircase(set_ramp, reset_ramp, block.shape))
            while not loop.over:
                loop.go_on()
            state.close()
            final = array.read(block, average=plan.reverify_average).conductance
            work.add({**asdict(climb), "combination": index}, conductance=final, pulses=state.pulses, target=wanted)
            work.done(final=final, pulses=state.pulses, verdict=state.verdict)
        ends = zip(scan, *(work.pieces(name) for name in ("final", "pulses", "verdict")), strict=True)
        rows: list[dict[str, float]] = []
        pulses: list[FloatArray] = []
        for climb, final, given, verdict in ends:
            attempted = verdict != Verdict.NOT_ATTEMPTED
            judged = attempted & healthy
            done = verdict == Verdict.ACCEPTED
            pulses.append(given[attempted].astype(np.float64))
            rows.append(
                {
                    "set_start_V": climb.set_start,
                    "set_step_V": climb.set_step,
                    "reset_step_V": climb.reset_step,
                    "pulses_per_cell": float(given[attempted].mean()),
                    "programmed_fraction": programmed_fraction(*plan.readings(wanted), final, judged).value,
                    "success_fraction": fraction_estimate(int((done & judged).sum()), int(judged.sum())).value,
                }
            )
    frame = DataFrame(rows)
    best = fewest_at_equal_success(frame["pulses_per_cell"], frame["success_fraction"])
    keep.chip.baseline_pulses = pulses[best]
    return IsppResult(block=block, frame=frame, best=best, best_pulses=pulses[best])


def same_start(
    array: CrossbarArray,
    block: Block,
    ramps: tuple[Ramp, Ramp],
    width: float,
    *,
    on: NDArray[np.bool_],
    cells: NDArray[np.bool_] | None = None,
) -> None:
    """Bring ``cells`` (all) to one kind of state: a RESET at the top of its ramp, then one SET of those to be ``on``.

    ``ramps`` are SET's and RESET's; the SET is at the middle of its ramp.
    """
    set_ramp, reset_ramp = ramps
    every = np.ones(block.shape, np.bool_) if cells is None else cells
    volts, gate = reset_ramp.volts_and_gate(np.full(block.shape, reset_ramp.stop))
    array.pulse(PulseMap(block=block, volts=-volts, width=width, gate=gate, count=every.astype(np.int64)))
    middle = 0.5 * (set_ramp.start + set_ramp.stop)
    volts, gate = set_ramp.volts_and_gate(np.full(block.shape, middle))
    array.pulse(PulseMap(block=block, volts=volts, width=width, gate=gate, count=(every & on).astype(np.int64)))
