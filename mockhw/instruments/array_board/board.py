"""The simulated array board: does to a virtual chip what ``docs/board-protocol.md`` says its commands do."""

from __future__ import annotations

from collections.abc import Sequence

from ...scpi.device import Hold
from ...scpi.simulation_commands import simulation_commands
from ...scpi.tree import Command
from .core import BoardCore
from .outputs.ramps import Ramps
from .outputs.saturation import Saturation
from .periphery import Diagnosis, periphery_commands
from .products import Products
from .pulsing import Pulsing
from .reading import Reading
from .sweeping import Sweeping
from .system import source_commands, system_commands
from .verifying import Verifying


class ArrayBoard(BoardCore):
    """A board that drives one chip; see :class:`.BoardCore` for its parameters."""

    def commands(self) -> Sequence[Command]:
        """Return the command table, in the order of the protocol page's §4."""
        self._reading, self._sweeping, self._verifying = Reading(self), Sweeping(self), Verifying(self)
        self._ramps, self._saturation = Ramps(self), Saturation(self)
        return [
            *system_commands(self),
            *source_commands(self),
            *self._reading.commands(),
            *Pulsing(self).commands(),
            *self._sweeping.commands(),
            *Products(self, self._saturation.circuits, self._ramps.ramping).commands(),
            *self._verifying.commands(),
            *Diagnosis(self).commands(),
            *self._ramps.commands(),
            *self._saturation.commands(),
            *periphery_commands(self),
            *simulation_commands(self.clock, self.advance, self.info),
        ]

    def reset(self) -> Hold | None:
        """Do ``*RST``: abort, OFF, defaults."""
        hold = super().reset()
        for part in (self._reading, self._sweeping, self._verifying, self._ramps, self._saturation):
            part.forget()
        return hold
