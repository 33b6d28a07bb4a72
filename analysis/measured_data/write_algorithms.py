"""Ways of programming a cell into a window, with every number that doing it again takes.

All of them repeat *read, then a pulse*; they differ in what the next pulse is. Amplitudes are magnitudes [V].
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from ...common.errors import RefusedError
from ...common.records import Record
from .measures import UNKNOWN, Gate, PositiveVolts, Seconds, Volts


def _known(value: object) -> object:
    return None if value == UNKNOWN else value


_Count = Annotated[int, Field(ge=0, strict=True)]
Whole = Annotated[_Count | None, BeforeValidator(_known, json_schema_input_type=_Count | Literal["unknown"] | None)]
"""A count, or unknown (None)."""


class Pulse(Record):
    """One pulse: amplitude, gate and width."""

    volts: Volts = Field(description="amplitude across cell and transistor, a magnitude [V]")
    gate: Gate = Field(default="none", description="gate voltage [V], 'none' on a passive chip")
    width: Seconds = Field(description="pulse width [s]")


Pulses = Annotated[
    tuple[Pulse, ...] | None,
    BeforeValidator(_known, json_schema_input_type=tuple[Pulse, ...] | Literal["unknown"] | None),
]
"""Pulses in order, or unknown (None)."""


class Staircase(Record):
    """A voltage that rises with every pulse: ``start``, ``start + step``, … as long as it is below ``below``."""

    start: Volts
    step: PositiveVolts
    below: Volts = Field(default=None, description="the last pulse is the last one below this [V]")

    def values(self) -> list[float]:
        """Return every voltage of it [V]; refuse a staircase that is not known."""
        if self.start is None or self.step is None or self.below is None:
            raise RefusedError(
                "a staircase with unknown start, step or end has no list of voltages: estimate them first"
            )
        count = max(math.ceil((self.below - self.start) / self.step - 1e-9), 0)
        return [round(self.start + index * self.step, 9) for index in range(count)]


class Ispp(Record):
    """SETs at a rising gate until the cell is in its window; a RESET when it is past it, and the gate starts anew.

    First one RESET. Then: read; done if in the window; above it one RESET, the gate back to its start; below it one SET
    at the gate, which then rises by a step; where the gate has reached its end, a RESET and from its start again.
    """

    method: Literal["ispp"]
    gate: Staircase = Field(description="gate of the SETs")
    set_volts: Volts = Field(description="amplitude of the SETs [V]")
    set_width: Seconds = Field(description="width of the SETs [s]")
    reset: Pulse
    resets_most: Whole = Field(default=None, description="RESETs after which a cell counts as failed")
    hrs_by_reset_only: bool = Field(default=True, description="a window open to low G is aimed at by RESETs alone")


class FineLevel(Record):
    """The fine steps to one level."""

    gate: Volts = Field(description="gate of the coarse SET and of the first fine SETs [V]")
    set_volts: Staircase | None = Field(default=None, description="amplitude of the fine SETs")
    reset_volts: Staircase | None = Field(default=None, description="amplitude of the fine RESETs")


class CoarseSet(Record):
    """The coarse SET, at the gate of the level."""

    volts: Volts = Field(description="amplitude [V]")
    width: Seconds = Field(description="pulse width [s]")


class CoarseFine(Record):
    """One RESET and one coarse SET, then fine ladders in whichever direction the window lies.

    A fine attempt is one ladder: SETs whose amplitude rises while the cell is below its window, or RESETs whose
    amplitude rises while it is above. It ends when the cell is in the window (done), past it (the next attempt goes the
    other way, from that ladder's start), or when the ladder is used up (the next attempt begins it again). Where the
    SET amplitude has reached its end, the gate rises by ``gate_step`` until ``gate_below``.
    """

    method: Literal["coarse_fine"]
    reset: Pulse = Field(description="the first RESET")
    coarse: CoarseSet
    levels: tuple[FineLevel | None, ...] = Field(
        description="fine steps of levels 0, 1, …; null where RESETs alone lead there"
    )
    set_width: Seconds
    reset_width: Seconds
    reset_gate: Volts
    gate_step: Volts = Field(default=None, description="by which the gate rises when the amplitude is at its end [V]")
    gate_below: Volts = Field(default=None, description="where the gate ends [V]")
    coarse_most: Whole = Field(default=None, description="coarse attempts after which a cell counts as failed")
    fine_most: Whole = Field(default=None, description="fine attempts after which a cell counts as failed")


class Ramp(Record):
    """One polarity of our own staircases: which voltage turns, from where to where, and at what the other is held."""

    knob: Literal["gate", "volts"]
    start: Volts
    stop: Volts
    step: Volts
    held: Gate


class ReadVerify(Record):
    """The read–verify of this package, or its fixed staircase (``predicts: false``)."""

    method: Literal["read_verify"]
    set: Ramp
    reset: Ramp
    width: Seconds
    predicts: bool = Field(default=True, description="the next pulse is chosen by a model of the cell's response")
    hits: int = Field(default=1, description="reads that must be inside …")
    reads: int = Field(default=1, description="… out of this many")
    pulses_most: Whole = None
    reversals_most: Whole = None
    stalls_most: Whole = None


Algorithm = Annotated[Ispp | CoarseFine | ReadVerify, Field(discriminator="method")]
