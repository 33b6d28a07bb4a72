"""Bring cells into one of two states or into a band, as a start for a measurement: pulses until a read agrees."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ...instruments.array_spec import ArraySpec
from ...instruments.block import Block
from ...instruments.capabilities import CrossbarArray, FloatArray, PulseMap
from ..plan import Plan, check_pulse

AVERAGE = 4
FORM_FIRST = (
    "if they were never formed, form them first (step forming); if they were, give larger pulses or other bounds"
)
"""What to do about cells that do not switch."""


class SwitchPlan(Plan):
    """Pulses that switch a cell on and off, and the conductances that tell."""

    set_volts: float = Field(default=2.5, gt=0, description="SET amplitude [V]")
    set_gate: float = Field(default=1.6, ge=0, description="gate of the SET [V], where there are gates")
    reset_volts: float = Field(default=1.7, gt=0, description="RESET magnitude [V]")
    reset_gate: float = Field(default=5.0, ge=0, description="gate of the RESET [V], where there are gates")
    width: float = Field(default=500e-9, gt=0, description="pulse width [s]")
    attempts: int = Field(default=5, ge=1, le=50, description="pulses a cell may have to get there")
    attempt_step: float = Field(default=0.0, ge=0, description="what each further attempt adds to its pulse [V]")
    on_above: float = Field(default=50e-6, gt=0, description="a cell that reads above this is on [S]")
    off_below: float = Field(default=20e-6, gt=0, description="a cell that reads below this is off [S]")

    @model_validator(mode="after")
    def _apart(self) -> SwitchPlan:
        if self.off_below > self.on_above:
            raise ValueError(f"off_below {self.off_below:g} S is above on_above {self.on_above:g} S")
        return self

    def check(self, spec: ArraySpec, *, channel: str = "switching") -> None:
        """Refuse pulses beyond the limits."""
        climb = (self.attempts - 1) * self.attempt_step
        for volts, gate, name in (
            (self.set_volts + climb, self.set_gate, "set"),
            (-self.reset_volts - climb, self.reset_gate, "reset"),
        ):
            check_pulse(spec, volts=volts, width=self.width, gate=gate, channel=f"{channel}.{name}")

    @property
    def volts_max(self) -> float:
        """Largest magnitude [V], that of the last attempt."""
        return max(self.set_volts, self.reset_volts) + (self.attempts - 1) * self.attempt_step

    def seconds(self, spec: ArraySpec, block: Block) -> float:
        """Return the time [s] to bring a block into one state when every attempt is needed."""
        return self.attempts * spec.pulse_seconds(block, self.width) + (self.attempts + 1) * spec.read_seconds(
            block, AVERAGE
        )

    def reached(self, conductance: FloatArray, sign: int) -> NDArray[np.bool_]:
        """Return where a conductance [S] is that of the state ``sign`` (+1 on, -1 off) stands for."""
        return conductance > self.on_above if sign > 0 else conductance < self.off_below


def bring(
    array: CrossbarArray, block: Block, cells: NDArray[np.bool_], sign: int, plan: SwitchPlan, scheme: str | None
) -> NDArray[np.bool_]:
    """Switch the ``cells`` of a block on (sign +1) or off (-1), and return which of them read so in the end."""
    volts, gate = (plan.set_volts, plan.set_gate) if sign > 0 else (plan.reset_volts, plan.reset_gate)
    gate = array.spec.pulse_gate(gate)
    for attempt in range(plan.attempts):
        todo = cells & ~plan.reached(array.read(block, average=AVERAGE).conductance, sign)
        if not todo.any():
            return cells
        amplitude = sign * (volts + attempt * plan.attempt_step)
        array.pulse(
            PulseMap(
                block=block, volts=amplitude, width=plan.width, gate=gate, count=todo.astype(np.int64), scheme=scheme
            )
        )
    return cells & plan.reached(array.read(block, average=AVERAGE).conductance, sign)


class BandPlan(Plan):
    """A band of conductance, and the staircases of pulses that bring a cell into it from either side."""

    low: float = Field(ge=0, description="lower end of the band [S]; of 0, no cell is below it")
    high: float = Field(gt=0, description="upper end of the band [S]")
    set_volts: float = Field(default=0.8, gt=0, description="first SET of a cell below the band [V]")
    set_gate: float = Field(default=1.6, ge=0, description="gate of the SETs [V], where there are gates")
    reset_volts: float = Field(default=0.6, gt=0, description="magnitude of the first RESET of a cell above it [V]")
    reset_gate: float = Field(default=5.0, ge=0, description="gate of the RESETs [V], where there are gates")
    volts_step: float = Field(default=0.1, ge=0, description="what each further pulse of one direction adds [V]")
    steps: int = Field(default=12, ge=1, description="amplitudes of a staircase; the last one is repeated")
    width: float = Field(default=500e-9, gt=0, description="pulse width [s]")
    attempts: int = Field(default=20, ge=1, le=200, description="pulses a cell may have to get there")

    @model_validator(mode="after")
    def _rising(self) -> BandPlan:
        if not self.low < self.high:
            raise ValueError(f"the band's high {self.high:g} S must be above its low {self.low:g} S")
        return self

    def inside(self, conductance: FloatArray) -> NDArray[np.bool_]:
        """Return where a conductance [S] is in the band."""
        return ((conductance >= self.low) | (self.low == 0.0)) & (conductance <= self.high)

    @property
    def volts_max(self) -> float:
        """Largest magnitude [V] of both staircases."""
        return max(self.set_volts, self.reset_volts) + (self.steps - 1) * self.volts_step

    def check(self, spec: ArraySpec, *, channel: str = "band") -> None:
        """Refuse pulses beyond the limits."""
        climb = (self.steps - 1) * self.volts_step
        for volts, gate, name in (
            (self.set_volts + climb, self.set_gate, "set"),
            (-self.reset_volts - climb, self.reset_gate, "reset"),
        ):
            check_pulse(spec, volts=volts, width=self.width, gate=gate, channel=f"{channel}.{name}")

    def seconds(self, spec: ArraySpec, block: Block) -> float:
        """Return the time [s] to bring a block into the band when every attempt is needed."""
        return self.attempts * 2 * spec.pulse_seconds(block, self.width) + (self.attempts + 1) * spec.read_seconds(
            block, AVERAGE
        )


def bring_into(
    array: CrossbarArray,
    block: Block,
    cells: NDArray[np.bool_],
    plan: BandPlan,
    scheme: str | None,
    *,
    swing: int = 0,
) -> NDArray[np.bool_]:
    """Bring the ``cells`` of a block into a band, and return which of them read inside it in the end.

    A cell above the band is given RESETs and one below it SETs, each larger by a step than the one before it; one that
    went past the band begins the other staircase at its start. With ``swing`` (+1 SET, -1 RESET) every cell gets one
    pulse of the largest amplitude of that direction first, so that none is left as an earlier pulse made it.
    """
    if swing:
        first, gate = (plan.set_volts, plan.set_gate) if swing > 0 else (plan.reset_volts, plan.reset_gate)
        volts = swing * (first + (plan.steps - 1) * plan.volts_step)
        gate, count = array.spec.pulse_gate(gate), cells.astype(np.int64)
        array.pulse(PulseMap(block=block, volts=volts, width=plan.width, gate=gate, count=count, scheme=scheme))
    steps = np.zeros(block.shape, dtype=np.int64)
    way = np.zeros(block.shape, dtype=np.int64)
    for _ in range(plan.attempts):
        g = array.read(block, average=AVERAGE).conductance
        todo = cells & ~plan.inside(g)
        if not todo.any():
            return cells
        wanted = np.where(g < plan.low, 1, -1)
        steps = np.where(wanted == way, np.minimum(steps + 1, plan.steps - 1), 0)
        way = wanted
        for sign, first, gate in ((1, plan.set_volts, plan.set_gate), (-1, plan.reset_volts, plan.reset_gate)):
            mine = todo & (wanted == sign)
            for step in np.unique(steps[mine]).tolist():
                # One amplitude per map: not every array gives the cells of a slot amplitudes of their own.
                now = (mine & (steps == step)).astype(np.int64)
                volts = sign * (first + step * plan.volts_step)
                array.pulse(
                    PulseMap(
                        block=block, volts=volts, width=plan.width, gate=array.spec.pulse_gate(gate), count=now,
                        scheme=scheme,
                    )
                )  # fmt: skip
    return cells & plan.inside(array.read(block, average=AVERAGE).conductance)
