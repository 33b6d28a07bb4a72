"""What ways of programming are compared with: cells, bits, windows, scans of staircases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from ...analysis.programming.compare_programming import OURS, WAYS
from ...common.errors import RefusedError
from ...instruments.array_spec import ArraySpec
from ...instruments.block import Block
from ...instruments.limits import refuse_bad_number
from ..plan import Forecast, check_pulse, with_intervals
from .ispp import Climb, HasScan, Values
from .planner import PlanningStaircase
from .programming_plan import ProgrammingPlan
from .staircases import Ramp, Staircase
from .targets import Edge, Goal, Levels

Way = Literal["read_verify", "ispp", "gate_staircase"]
GATES = (0.5, 0.75, 1.0)
"""Where the gate of ISPP's SETs is held by default, as shares of its range."""

_KNOBS = {"volts": "amplitude", "gate": "gate"}


class ScanPlan(HasScan):
    """Every combination is tried; by default what the ranges of ``set`` and ``reset`` suggest."""

    gates: Values | None = Field(
        default=None,
        description="gate held while SETs turn the amplitude [V]; by default the middle, three quarters and the end",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One staircase: a way, its ramps, and of a fixed one where it starts and how it climbs."""

    way: Way
    set_ramp: Ramp
    reset_ramp: Ramp
    climb: Climb | None = None

    @property
    def setting(self) -> str:
        """The staircase in words."""
        if self.climb is None:
            return "planned from what pulses have done"
        climb, ramp = self.climb, self.set_ramp
        held = f" at a gate of {ramp.held:.3g} V" if ramp.knob == "volts" and ramp.held else ""
        set_knob, reset_knob = (_KNOBS[one.knob] for one in (ramp, self.reset_ramp))
        return (
            f"SET {set_knob} from {climb.set_start:.3g} V by {climb.set_step:.3g} V{held}, "
            f"RESET {reset_knob} from {self.reset_ramp.start:.3g} V by {climb.reset_step:.3g} V"
        )

    def staircase(self, goal: Goal, shape: tuple[int, int]) -> Staircase:
        """Return the staircase, which knows nothing yet."""
        if self.climb is None:
            return PlanningStaircase(self.set_ramp, self.reset_ramp, goal)
        return self.climb.staircase(self.set_ramp, self.reset_ramp, shape)


class ComparePlan(ProgrammingPlan):
    """The same cells to the same levels by every way, each from the same start, in random order."""

    cells: str = Field(default="0:16,0:16", description="rows,cols like '0:8,0:8', or 'all'")
    bits: tuple[Literal[2, 3], ...] = Field(
        default=(2, 3), min_length=1, description="bits per cell: 2 are four levels, 3 are eight"
    )
    levels: Levels = Field(
        default=Levels(), description="low and high of the evenly spaced levels; their count follows from bits"
    )
    windows: dict[int, tuple[tuple[Edge, Edge], ...]] = Field(
        default={}, description="by bits: [low, high] of every level [S] instead, rising; null leaves an end open"
    )
    ways: tuple[Way, ...] = Field(
        default=("read_verify", "ispp", "gate_staircase"), min_length=1, description="what is compared"
    )
    start: Literal["on", "off"] = Field(
        default="on", description="every way starts after one full RESET, and for 'on' one SET at mid-range"
    )
    ispp: ScanPlan = Field(default=ScanPlan(), description="staircases of the amplitude that are tried")
    gate_staircase: ScanPlan = Field(default=ScanPlan(), description="staircases of the SET's gate that are tried")

    @model_validator(mode="after")
    def _consistent(self) -> ComparePlan:
        for name in ("bits", "ways"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise ValueError(f"{name} names one of them twice: name each once")
        if self.target_file is not None:
            raise ValueError("ways are compared on levels: leave target_file out, or use the step read_verify")
        if self.levels.windows or self.levels.count != Levels().count:
            raise ValueError(
                "levels takes low and high only: their count follows from bits, and windows of your own go to "
                "windows, like {2: [[null, 12.5e-6], [107e-6, 117e-6], [166e-6, 173e-6], [200e-6, null]]}"
            )
        if self.gate_staircase.gates is not None:
            raise ValueError("gate_staircase turns the gate and holds none: gates belong to ispp")
        if self.windows and self.tolerance is not None:
            raise ValueError("windows say how wide each of them is: leave tolerance out")
        for bits, windows in self.windows.items():
            if bits not in self.bits:
                raise ValueError(f"windows of {bits} bits, but bits are {', '.join(map(str, self.bits))}")
            if len(windows) != 2**bits:
                raise ValueError(f"{bits} bits need {2**bits} windows, there are {len(windows)}")
            Levels(windows=windows)
        return self

    def at(self, bits: int) -> ProgrammingPlan:
        """Return the plan for a number of bits."""
        own = self.windows.get(bits)
        levels = Levels(windows=own) if own else Levels(count=2**bits, low=self.levels.low, high=self.levels.high)
        return self.model_copy(update={"levels": levels})

    def contenders(self, spec: ArraySpec) -> list[Contender]:
        """Return every staircase that is tried; of the gate none where there are no gates."""
        set_ramp, reset_ramp = self.ramps(spec)
        found: list[Contender] = []
        if OURS in self.ways:
            found.append(Contender(way="read_verify", set_ramp=set_ramp, reset_ramp=reset_ramp))
        pairs: list[tuple[Way, ScanPlan, Ramp, Ramp]] = []
        if "ispp" in self.ways:
            low, high = sorted(self.set.gate)
            gates = self.ispp.gates or tuple(low + share * (high - low) for share in GATES)
            by_amplitude = self.reset.model_copy(update={"knob": "volts"}).ramp("volts", spec)
            for gate in gates if spec.gate_axis is not None else (0.0,):
                held = self.set.model_copy(update={"knob": "volts", "gate": (low, gate)})
                pairs.append(("ispp", self.ispp, held.ramp("volts", spec), by_amplitude))
        if "gate_staircase" in self.ways and spec.gate_axis is not None:
            by_gate = self.set.model_copy(update={"knob": "gate"}).ramp("gate", spec)
            pairs.append(("gate_staircase", self.gate_staircase, by_gate, reset_ramp))
        for way, scan, one, other in pairs:
            found += [
                Contender(way=way, set_ramp=one, reset_ramp=other, climb=climb)
                for climb in scan.scan(one, other).climbs()
            ]
        return found

    def measures(self) -> frozenset[str]:
        """Return what it gives; of a staircase of the gate only where there are gates."""
        names = ("pulses_per_cell", "success", "energy_per_cell")
        return with_intervals(
            *(f"{WAYS[way][0]}{name}_{bits}bit" for way in self.ways for name in names for bits in self.bits)
        )

    def check(self, spec: ArraySpec) -> None:
        """Refuse, besides what programming would, staircases outside their range, and gates where there are none."""
        super().check(spec)
        if spec.gate_axis is None:
            if self.ispp.gates is not None:
                raise RefusedError(
                    "compare_programming.ispp.gates are of cells behind transistors, and this array has no gates: "
                    "leave them out"
                )
            if self.ways == ("gate_staircase",):
                raise RefusedError(
                    "compare_programming.ways: a gate staircase needs an array with gates: choose ispp or read_verify"
                )
        for one in self.contenders(spec):
            channel = f"compare_programming.{one.way}"
            for name, sign, ramp in (("set", 1, one.set_ramp), ("reset", -1, one.reset_ramp)):
                if one.climb is not None and ramp.stop <= ramp.start:
                    raise RefusedError(
                        f"{channel}: {ramp.knob} of {name} goes from {ramp.start:g} to {ramp.stop:g} V, which is no "
                        f"range to climb: widen it, or leave {one.way} out of ways"
                    )
                check_pulse(
                    spec, volts=sign * ramp.volts_max, width=self.width, gate=ramp.gate_max, channel=f"{channel}.{name}"
                )
            if one.climb is not None:
                start, stop = one.set_ramp.start, one.set_ramp.stop
                refuse_bad_number("set_starts", one.climb.set_start, start, stop, "V", channel=channel)

    def forecast(self, spec: ArraySpec) -> Forecast:
        """Return the cost when every cell uses up its pulses in every staircase, the start before each included."""
        block = Block.parse(self.cells, spec)
        one, runs = super().forecast(spec), self.contenders(spec)
        times = len(runs) * len(self.bits)
        volts = max(one.volts_max, *(ramp.volts_max for run in runs for ramp in (run.set_ramp, run.reset_ramp)))
        first = 1 + (self.start == "on")
        seconds = one.seconds + first * spec.pulse_seconds(block, self.width) + spec.read_seconds(block, 1)
        return Forecast(one.cells, volts, times * (one.pulses + first * block.size), times * seconds)
