"""What ramps made of cells are asked with: conductances, windows, pulses; and where they find room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import AfterValidator, Field

from ...common.arrays import BoolArray
from ...common.errors import RefusedError
from ...instruments.abilities import ConvertsByRamp
from ...instruments.array_spec import ArraySpec
from ...instruments.block import Block
from ...instruments.capabilities import CellRamp, CrossbarArray, FloatArray, PulseMap
from ..programming.planner import PlanningStaircase
from ..programming.programming_plan import ProgrammingPlan
from ..programming.targets import Goal, Levels
from ..programming.verify_state import Verdict, VerifyState

if TYPE_CHECKING:
    from ...analysis.networks.ramp_adc import RampDesign

OTHERWISE = "products with linear converters and the function on the host do without"


BITS = (3, 4, 5)


def _checked(bits: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(bits)) < len(bits) or not set(bits) <= set(BITS):
        raise RefusedError(f"{list(bits)}: choose from {', '.join(map(str, BITS))}, each once")
    return bits


Bits = Annotated[tuple[int, ...], AfterValidator(_checked)]
"""Resolutions that a quantity is defined for, each once."""


class RampCellsPlan(ProgrammingPlan):
    """How the cells of ramps are programmed: the widest step has ``levels.high``, none may be below ``levels.low``."""

    levels: Levels = Field(
        default=Levels(count=2, low=13e-6, high=250e-6), description="lowest and highest conductance of a step"
    )
    tolerance: float | None = Field(default=4e-6, gt=0, description="half-width of the window [S]")
    average: int = Field(default=8, ge=1, description="conversions per cell in the loop's reads")

    def check(self, spec: ArraySpec) -> None:
        """Refuse an array without ramps, and what says where cells are: ramps find that themselves."""
        spec.require(ConvertsByRamp, otherwise=OTHERWISE)
        if self.cells != "all" or self.target_file is not None or self.levels.windows:
            raise RefusedError("cells, target_file and levels.windows are not for ramps: their function says both")
        super().check(spec)

    def check_ramps(self, spec: ArraySpec, designs: Sequence[RampDesign], amps: float) -> None:
        """Refuse ramps that these cells, or this array, cannot make when an input of 1 is ``amps`` [A]."""
        can = spec.ramp
        assert can is not None, "the array has the ability"
        for one in designs:
            one.conductances(self.levels.low, self.levels.high)
            if not 1 <= one.steps <= can.steps:
                raise RefusedError(
                    f"{one.bits} bits need a ramp of {one.steps} cells, this array takes 1 to {can.steps}: other bits"
                )
            slope, reach = one.slope(self.levels.high, amps), amps * float(np.abs(one.thresholds).max())
            most = spec.vmm_ranges[-1] if spec.vmm_ranges else np.inf
            if slope > can.slope or reach > most:
                raise RefusedError(
                    f"{one.bits} bits of {one.function.name!r} with {amps * 1e6:.3g} µA for an input of 1 need a ramp "
                    f"of {slope:.3g} V (current over conductance) up to {reach * 1e6:.3g} µA; ramps of this array have "
                    f"{can.slope:g} V and {most * 1e6:.3g} µA at most: a smaller current"
                )


@dataclass(frozen=True)
class PlacedRamp:
    """A design on cells of the array: an input of 1 is ``amps`` [A]; ``ramp`` as the converter is told."""

    design: RampDesign
    amps: float
    ramp: CellRamp

    @classmethod
    def at(cls, design: RampDesign, cells: Block, *, high: float, amps: float) -> PlacedRamp:
        """Return a ramp that starts where its first threshold should be."""
        start = amps * float(design.thresholds[0])
        return cls(design, amps, CellRamp(cells, start, design.slope(high, amps)))

    def inputs(self, array: CrossbarArray, average: int) -> FloatArray:
        """Return the thresholds as inputs, as the array measures them now."""
        return array.ability(ConvertsByRamp).thresholds(self.ramp, average=average) / self.amps

    def calibrated(self, inputs: FloatArray) -> PlacedRamp:
        """Return the ramp moved so that its middle threshold is where it should be: the one-point calibration."""
        return replace(self, ramp=replace(self.ramp, start=self.ramp.start + self.amps * self._off(inputs)))

    def error(self, inputs: FloatArray) -> float:
        """Return the largest |INL| [LSB] that the calibration would leave of thresholds measured as ``inputs``."""
        from ...analysis.networks.ramp_adc import code_errors

        return float(code_errors(self.design, (inputs + self._off(inputs))[None]).largest_inl[0])

    def _off(self, inputs: FloatArray) -> float:
        from ...analysis.networks.ramp_adc import middle

        at = middle(self.design)
        return float(self.design.thresholds[at] - inputs[at])


def truest(measured: Sequence[tuple[PlacedRamp, FloatArray]]) -> PlacedRamp:
    """Return, calibrated, the ramp with the least error of those whose thresholds were measured, as inputs."""
    best, inputs = min(measured, key=lambda one: one[0].error(one[1]))
    return best.calibrated(inputs)


def room_for(free: BoolArray, lengths: Sequence[int], most: int) -> list[list[Block]]:
    """Return where up to ``most`` sets of ramps go, a block of one column for each of ``lengths``.

    Parameters
    ----------
    free : [rows, cols], cells that may be used
    """
    left, sets = free.copy(), list[list[Block]]()
    order = sorted(range(len(lengths)), key=lambda n: -lengths[n])
    while len(sets) < most:
        found: dict[int, Block] = {}
        for n in order:
            spot = _run(left, lengths[n])
            if spot is None:
                return sets
            found[n] = spot
            left[spot.slices] = False
        sets.append([found[n] for n in range(len(lengths))])
    return sets


def _run(free: BoolArray, length: int) -> Block | None:
    """Return the first ``length`` free cells below each other, in the column that has a run of them."""
    for col in range(free.shape[1]):
        edges = np.flatnonzero(np.diff(np.concatenate(([0], free[:, col].astype(np.int8), [0]))))
        for first, end in list(pairwise(edges.tolist()))[::2]:
            if end - first >= length:
                return Block(first, length, col, 1)
    return None


def target_map(shape: tuple[int, int], ramps: Sequence[PlacedRamp], low: float, high: float) -> FloatArray:
    """Return what every cell of the array is programmed to [S]; nan leaves one alone."""
    target = np.full(shape, np.nan)
    for one in ramps:
        target[one.ramp.cells.slices] = one.design.conductances(low, high)[:, None]
    return target


@dataclass(frozen=True)
class Programmed:
    """What programming came to: share of cells ``accepted``, ``conductance`` [rows, cols], pulses of all cells."""

    accepted: float
    conductance: FloatArray
    pulses: int


def program_ramps(array: CrossbarArray, plan: RampCellsPlan, target: FloatArray, *, erase: bool) -> Programmed:
    """Program cells to a map [rows, cols] of targets [S] by read–verify, after a look at them.

    Parameters
    ----------
    erase : give each of them one full RESET first, so that they are programmed anew
    """
    spec = array.spec
    block = spec.whole
    set_ramp, reset_ramp = plan.ramps(spec)
    before = array.cost.pulses
    array.read(block, average=plan.average)
    wanted = np.isfinite(target)
    if erase:
        volts, count = np.where(wanted, -reset_ramp.volts_max, 0.0), wanted.astype(np.int64)
        array.pulse(PulseMap(block, volts, plan.width, reset_ramp.gate_max, count))
    goal = Goal.around(target, plan.window)
    state = VerifyState(goal, spec.healthy_mask(block), plan.acceptance())
    loop = plan.loop(array, block, state, PlanningStaircase(set_ramp, reset_ramp, goal))
    while not loop.over:
        loop.go_on()
    state.close()
    seen = array.read(block, average=plan.reverify_average).conductance
    accepted = (state.verdict == Verdict.ACCEPTED)[wanted].mean()
    return Programmed(float(accepted), seen, array.cost.pulses - before)
