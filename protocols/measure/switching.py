"""Bring cells into one of two states, as a start for what is to be measured: pulses until a read agrees."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ...instruments.array_spec import ArraySpec
from ...instruments.block import Block
from ...instruments.capabilities import CrossbarArray, FloatArray, PulseMap
from ..plan import Plan, check_pulse

AVERAGE = 4


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
