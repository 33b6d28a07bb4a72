"""One SMU of a B1500A: what it forces and what it reads."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from ...probe_circuit.meter import Range, Unit
from ...scpi.errors import ScpiError
from .session import COMPLIANCE, PARAMETER, SWITCHED_OFF
from .specs import AMPS, AMPS_CODES, LIMIT_AT_FIRST, LIMIT_MAX, OVERFLOW, VOLTS, VOLTS_CODES, amps_of, range_for

if TYPE_CHECKING:
    from ...probe_circuit.circuit import ProbeCircuit
    from ...probe_circuit.terminal import Terminal


class Reading(NamedTuple):
    """One reading: status letter, volts [V], amperes [A]."""

    status: str
    volts: float
    amps: float


class FlexSmu:
    """A B1517A.

    Parameters
    ----------
    slot : int
        Its channel number, too.
    circuit, terminal
        Its cables.
    seed : int
    told : callable
        Takes time and what is worth a line of the bench's log.
    """

    def __init__(
        self,
        slot: int,
        circuit: ProbeCircuit,
        terminal: Terminal,
        *,
        seed: int,
        told: Callable[[float, str], None],
    ) -> None:
        self.slot, self.circuit, self.terminal = slot, circuit, terminal
        self.unit = Unit(seed, (*VOLTS, *AMPS), overflow=OVERFLOW)
        self.disturbances: set[str] = set()
        self.offset = 0.0
        self._told = told
        self.output = False
        self.reset(0.0)

    @property
    def letter(self) -> str:
        """What readings call it."""
        return chr(ord("A") + self.slot - 1)

    def reset(self, now: float) -> None:
        """Be as after power-on."""
        self.switch(now, on=False)
        self.level, self.limit, self.source_range = 0.0, LIMIT_AT_FIRST, VOLTS[1]
        self.current_code, self.side = 0, 0

    def switch(self, now: float, *, on: bool) -> None:
        """``CN`` and ``CL``: the output switch; it closes at 0 V."""
        if on != self.output:
            self._told(now, f"SMU{self.slot} {'on' if on else 'off'}")
        if on == self.output:
            return
        self.output, self.level = on, 0.0
        limit = self.limit if on else math.inf
        self.terminal.set(now, on=on, volts=self.unit.sourced(0.0, self.source_range) if on else 0.0, limit=limit)

    def force(self, now: float, code: int, volts: float, limit: float | None = None) -> None:
        """Source ``volts`` [V] with a current limit [A] from ``now`` [s] on; without one with that of before.

        Raises
        ------
        ScpiError
            Beyond the range that is asked for, or the unit; or the output switch is open.
        """
        if not self.output:
            raise ScpiError(SWITCHED_OFF, f"CH{self.slot}")
        wanted = self.limit if limit is None else abs(limit)
        least = range_for(VOLTS, 0.1 * code)
        on = max(range_for(VOLTS, volts), least, key=lambda each: each.full_scale)
        if (code and code not in VOLTS_CODES) or not abs(volts) <= on.top:
            raise ScpiError(PARAMETER, f"{volts:g} V on range {code}")
        if not 0.0 < wanted <= LIMIT_MAX:
            raise ScpiError(COMPLIANCE, f"{wanted:g} A")
        self.level, self.limit, self.source_range = volts, wanted, on
        self.terminal.set(now, volts=self.unit.sourced(volts, on), limit=wanted)

    def read(self, now: float, cycles: float, hertz: float, code: int | None = None) -> Reading:
        """Return what is at the terminal at ``now`` [s], averaged over ``cycles`` of the mains."""
        code = self.current_code if code is None else code
        if code and abs(code) not in AMPS_CODES:
            raise ScpiError(PARAMETER, f"current range {code}")
        seen = self.circuit.measure(self.terminal, now, aperture=cycles / hertz)
        if self.offset:
            seen = replace(seen, amps=seen.amps + self.offset)
        limited = seen.limited
        if "compliance" in self.disturbances:
            self.disturbances.discard("compliance")
            limited = True
        amps = self.unit.reading(seen.amps, self._range(seen.amps, code), cycles)
        if "overflow" in self.disturbances:
            self.disturbances.discard("overflow")
            amps = OVERFLOW
        volts = self.unit.reading(seen.volts, self.source_range, cycles)
        return Reading("V" if amps == OVERFLOW else "C" if limited else "N", volts, amps)

    @staticmethod
    def _range(amps: float, code: int) -> Range:
        lowest = range_for(AMPS, amps_of(code)) if code else AMPS[0]
        return lowest if code < 0 else max(range_for(AMPS, amps), lowest, key=lambda each: each.full_scale)


def told(letter: str, quantity: str, status: str, value: float) -> str:
    """Return a value as ``FMT 1`` tells it: status, channel, quantity, number."""
    number = "+199.999E+99" if value == OVERFLOW else f"{value:+.5E}"
    return f"{status}{letter}{quantity}{number}"
