"""A simulated Keysight 33622A, two channels, as its drivers and the 33500/33600 Operating and Service Guide know it.

Covered: output, levels and their limits, load, polarity, pulses, bursts by bus, internal and timer trigger, phase
synchronisation, ``APPLy``. Stored but without effect: external trigger and gate (nothing is connected), sync output,
ranges, frequency lists and sweeps, the filter of arbitrary waveforms (all are played as held steps). Arbitrary
waveforms live in volatile memory only. Not covered: modulation, sequences, files, channel coupling and tracking,
interfaces.

Assumed, because no page that says it was at hand: edges of at most 0.625 pulse widths (33250A), 1 µs between bursts
(33500), square waves that rest at their low level, voltage limits that refuse to be enabled when the present levels
are outside them and that keep their numbers when the load changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ...scpi.simulation_commands import simulation_commands
from ...scpi.tree import Command
from .commands import generator_commands
from .generator import Generator
from .memory import memory_commands
from .numbers import numeric_commands


class Keysight33622A(Generator):
    """A 33622A; see :class:`.Generator` for its parameters."""

    kind: ClassVar[str] = "keysight_33622a"

    @property
    def identity(self) -> str:
        """The reply to ``*IDN?``."""
        return f"Agilent Technologies,33622A,{self.serial},A.02.03-3.15-03-64-02"

    def commands(self) -> Sequence[Command]:
        """Return the command table."""
        simulation = simulation_commands(self.clock, self.advance, self.info)
        return [*numeric_commands(self), *generator_commands(self), *memory_commands(self), *simulation]
