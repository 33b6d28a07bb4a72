"""A simulated Keysight (Agilent) B2201A switch mainframe with B2211A modules, 14 inputs by 12 outputs each.

After the B2200A/B2201A User's Guide. Deviations: ``*IDN?`` has a serial number where the manual has 0, by which
drivers tell a simulation; the grounding of unused *inputs* is stored without effect. Texts of the module's own error
numbers (100 and above) were not at hand: conflicts of modes are -221. Relay times are assumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ...scpi.simulation_commands import simulation_commands
from ...scpi.tree import Command
from .commands import matrix_commands
from .matrix import Matrix


class KeysightB2201A(Matrix):
    """A B2201A; see :class:`.Matrix` for its parameters."""

    kind: ClassVar[str] = "keysight_b2201a"

    @property
    def identity(self) -> str:
        """The reply to ``*IDN?``."""
        return f"AGILENT,B2201A,{self.serial},A.01.00"

    def commands(self) -> Sequence[Command]:
        """Return the command table."""
        return [*matrix_commands(self), *simulation_commands(self.clock, self.advance, self.info)]
