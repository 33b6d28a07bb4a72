"""One source-measure unit of a 4200A: what it forces and what it reads, in user mode and in a test."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from ...probe_circuit.meter import Range, Unit
from ...scpi.errors import ScpiError
from .specs import AMPS, OVERFLOW, VOLTS, range_for

if TYPE_CHECKING:
    from ...probe_circuit.circuit import ProbeCircuit
    from ...probe_circuit.terminal import Terminal

_OVERHEAD: Final = 2e-3  # assumed
_CODES: Final = {0: None, 1: VOLTS[0], 2: VOLTS[1], 3: VOLTS[1]}
AMPS_MAX: Final = 0.105


class Reading(NamedTuple):
    """One reading: status letter, volts [V], amperes [A], time [s]."""

    status: str
    volts: float
    amps: float
    time: float


class SmuChannel:
    """A 4200-SMU.

    Parameters
    ----------
    number : int
        Channel number in commands.
    circuit, terminal
        Its cables.
    seed : int
    line_hertz : float [Hz]
    told : callable
        Takes time and what is worth a line of the bench's log.
    """

    def __init__(
        self,
        number: int,
        circuit: ProbeCircuit,
        terminal: Terminal,
        *,
        seed: int,
        line_hertz: float,
        told: Callable[[float, str], None],
    ) -> None:
        self.number, self.circuit, self.terminal = number, circuit, terminal
        self.unit = Unit(seed, (*VOLTS, *AMPS), overflow=OVERFLOW)
        self.output = False
        self.level, self.limit = 0.0, 0.1
        self.lowest = AMPS[0]
        self.source_range: Range = VOLTS[0]
        self.disturbances: set[str] = set()
        self.offset = 0.0
        self._hertz, self._told = line_hertz, told

    def force(self, now: float, volts: float, limit: float, code: int = 0) -> None:
        """Source ``volts`` [V] with a current limit [A] from ``now`` [s] on.

        Raises
        ------
        ScpiError
            Beyond the range that is asked for, or the unit.
        """
        if code not in _CODES:
            raise ScpiError(-222, f"source range {code}")
        on = _CODES[code] or range_for(VOLTS, volts)
        if abs(volts) > on.top or not 0.0 < limit <= AMPS_MAX:
            raise ScpiError(-222, f"{volts:g} V with {limit:g} A on the {on.full_scale:g} V range")
        if not self.output:
            self._told(now, f"SMU{self.number} on")
        self.output, self.level, self.limit, self.source_range = True, volts, limit, on
        self.terminal.set(now, on=True, volts=self.unit.sourced(volts, on), limit=limit)

    def release(self, now: float) -> None:
        """Open the output at ``now`` [s]."""
        if self.output:
            self._told(now, f"SMU{self.number} off")
        self.output, self.level = False, 0.0
        self.terminal.set(now, on=False, volts=0.0, limit=math.inf)

    def reading_seconds(self, nplc: float) -> float:
        """Return what one reading takes [s]."""
        return nplc / self._hertz + _OVERHEAD

    def read(self, now: float, nplc: float) -> Reading:
        """Return what is at the terminal at ``now`` [s]."""
        seen = self.circuit.measure(self.terminal, now, aperture=nplc / self._hertz)
        if self.offset:
            seen = replace(seen, amps=seen.amps + self.offset)
        limited = seen.limited
        if "compliance" in self.disturbances:
            self.disturbances.discard("compliance")
            limited = True
        on = max(range_for(AMPS, seen.amps), self.lowest, key=lambda each: each.full_scale)
        amps = self.unit.reading(seen.amps, on, nplc)
        if "overflow" in self.disturbances:
            self.disturbances.discard("overflow")
            amps = OVERFLOW
        volts = self.unit.reading(seen.volts, self.source_range, nplc)
        status = "V" if amps == OVERFLOW else "C" if limited else "N"
        return Reading(status, volts, amps, now)


def told(letter: str, quantity: str, status: str, value: float) -> str:
    """Return a reading as user mode tells it: status, channel, quantity, number."""
    return f"{status}{letter}{quantity}{value:+.6E}"
