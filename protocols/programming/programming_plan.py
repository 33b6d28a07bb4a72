"""What read–verify and its baseline are asked with: cells, targets, windows, ramps, budgets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from ...instruments.array_spec import ArraySpec
from ...instruments.block import Block
from ...instruments.capabilities import CrossbarArray, FloatArray
from ..keeping.run import Run
from ..plan import Forecast, Plan, check_pulse
from .staircases import Knob, Ramp, Staircase
from .targets import Goal, Levels, load_target
from .verify_loop import Recorder, Reverify, VerifyLoop, no_record
from .verify_state import Acceptance, VerifyState

SLACK = 0.25
"""By which share of its half a window is wider at a delayed re-verify."""

Gate = Annotated[float, Field(ge=0)]


class RampPlan(Plan):
    """One polarity: which voltage is turned, from where to where [V], and at what the other is held."""

    knob: Knob | None = Field(
        default=None,
        description="'gate' or 'volts'; by default what a slot can vary by cell; without gates always 'volts'",
    )
    volts: tuple[float, float] = Field(
        description="amplitude range [V, magnitudes]; the second is held when the gate is turned"
    )
    gate: tuple[Gate, Gate] = Field(description="gate range [V]; the second is held when the amplitude is turned")
    step: float = Field(default=0.05, gt=0, description="step of the knob [V]")

    def ramp(self, default: Knob, spec: ArraySpec) -> Ramp:
        """Return the ramp for an array whose natural knob is ``default``; without gates only the amplitude turns."""
        if spec.gate_axis is None:
            return Ramp("volts", min(self.volts), max(self.volts), self.step, spec.pulse_gate(self.gate[1]))
        knob = self.knob or default
        span, held = (self.gate, self.volts[1]) if knob == "gate" else (self.volts, self.gate[1])
        return Ramp(knob, min(span), max(span), self.step, held)


class ProgrammingPlan(Plan):
    """What read–verify and its baseline share: cells, targets, windows, pulses."""

    own_files: ClassVar[Mapping[str, tuple[str, ...]]] = {"target_file": ()}

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
        if self.tolerance is not None and self.levels.windows:
            raise ValueError("levels.windows say how wide each window is: leave tolerance out")
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
        return self.set.ramp("gate", spec), self.reset.ramp("volts" if spec.gate_axis == "row" else "gate", spec)

    def acceptance(self) -> Acceptance:
        """Return the acceptance rule."""
        return Acceptance(self.hits, self.reads, self.pulses_max, self.reversals_max, self.stalls_max)

    def reverify(self) -> Reverify:
        """Return the delayed re-verify: a cell may stand a little outside its window, well inside half a level."""
        return Reverify(self.reverify_rounds, self.reverify_after, SLACK, self.reverify_average)

    def loop(
        self,
        array: CrossbarArray,
        block: Block,
        state: VerifyState,
        staircase: Staircase,
        record: Recorder = no_record,
    ) -> VerifyLoop:
        """Return the loop that programs a block with this plan's pulses, reads and re-verifies."""
        return VerifyLoop(
            array, block, state, staircase,
            width=self.width, average=self.average, iterations_max=self.iterations_max,
            reverify=self.reverify(), record=record,
        )  # fmt: skip

    @property
    def of_levels(self) -> bool:
        """Whether cells go to levels, not to a map of one's own."""
        return self.target_file is None

    def goal(self, target: FloatArray) -> Goal:
        """Return the windows of a target map [S]."""
        if self.of_levels and self.levels.windows:
            return self.levels.windows_of(target)
        return Goal.around(target, self.window)

    def readings(self, target: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return between which conductances [S] each cell stands for its level, or half a level around a target."""
        if self.of_levels:
            return self.levels.readings_of(target)
        return target - self.spacing / 2.0, target + self.spacing / 2.0

    def targets(self, block: Block, run: Run) -> FloatArray:
        """Return the target map [S] of this plan for a block."""
        if self.target_file is not None:
            return load_target(Path(self.target_file), block)
        return self.levels.draw(block, run.rng("targets"))

    def check(self, spec: ArraySpec) -> None:
        """Refuse cells outside the array and pulses beyond the limits."""
        name = type(self).__name__.removesuffix("Plan").lower()
        block = Block.parse(self.cells, spec)
        spec.check_average(self.average, channel=f"{name}.average")
        spec.check_average(self.reverify_average, channel=f"{name}.reverify_average")
        if self.target_file is not None:
            load_target(Path(self.target_file), block)
        for polarity, ramp in zip((1, -1), self.ramps(spec), strict=True):
            channel = f"{name}.{'set' if polarity > 0 else 'reset'}"
            check_pulse(spec, volts=polarity * ramp.volts_max, width=self.width, gate=ramp.gate_max, channel=channel)

    def forecast(self, spec: ArraySpec) -> Forecast:
        """Return the cost when every cell uses up its pulses."""
        block = Block.parse(self.cells, spec)
        once = 2 * spec.pulse_seconds(block, self.width) + spec.read_seconds(block, self.average)
        again = self.reverify_after + spec.read_seconds(block, self.reverify_average)
        seconds = self.iterations_max * once + self.reverify_rounds * again
        volts = max(ramp.volts_max for ramp in self.ramps(spec))
        return Forecast(block.size, volts, block.size * self.pulses_max, seconds)
