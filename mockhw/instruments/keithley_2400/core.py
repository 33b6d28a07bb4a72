"""The source and the converter of a simulated Keithley 2400: what it does to its terminal and what it reads there."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from ...instrument import BenchLog, SimulatedInstrument
from ...probe_circuit.meter import Range, Unit
from ...scpi.errors import ScpiError
from ...sim_clock import SimClock
from .settings import Settings, Trace
from .specs import AMPS, OVERFLOW, VOLTS, range_for, scientific

if TYPE_CHECKING:
    from ...probe_circuit.circuit import Measured, ProbeCircuit
    from ...probe_circuit.terminal import Terminal

_OVERHEAD: Final = 0.8e-3  # assumed: a point takes about 1 ms at 0.01 PLC, autozero off
_AUTOZERO_CONVERSIONS: Final = 2  # assumed: of ground and of the reference
_OFF_LIMIT: Final = 0.005  # manual, page 18-57: of full scale of the present current range
_FLOATING_AMPS: Final = 1e-12  # what a current source at 0 A may drive

# Status word of a reading. Manual, pages 18-50 and 18-51: bits 0, 1, 22; the others are from memory.
_OFLO, _FILTER, _FRONT, _COMPLIANCE, _OVP = 1, 2, 4, 8, 16
_V_MEAS, _I_MEAS, _OHM_MEAS, _V_SOUR, _I_SOUR, _RANGE_COMPLIANCE, _REMOTE = (
    1 << 11, 1 << 12, 1 << 13, 1 << 14, 1 << 15, 1 << 16, 1 << 22,
)  # fmt: skip


class Reading(NamedTuple):
    """One reading [V, A, Ω, s] and its status word."""

    volts: float
    amps: float
    ohms: float
    time: float
    status: int

    def written(self, elements: tuple[str, ...], start: float = 0.0) -> str:
        """Return it as text; times count from ``start`` [s]."""
        values = {"VOLT": self.volts, "CURR": self.amps, "RES": self.ohms, "TIME": self.time - start}
        return ",".join(scientific(values[one] if one in values else float(self.status)) for one in elements)


class SourceMeterCore(SimulatedInstrument):
    """Source, limit, converter and buffer; the commands are in :class:`.Keithley2400`."""

    def __init__(
        self,
        address: str,
        clock: SimClock,
        log: BenchLog,
        *,
        circuit: ProbeCircuit,
        terminal: Terminal,
        seed: int,
        line_hertz: float,
    ) -> None:
        self.circuit = circuit
        self.terminal = terminal
        self.line_hertz = line_hertz
        self.unit = Unit(seed, (*VOLTS, *AMPS), overflow=OVERFLOW)
        self.settings = Settings()
        self.trace = Trace()
        self.records: list[Reading] = []
        self.latest: list[Reading] = []
        self.output = False
        self.limited = False
        """Whether the latest reading was made at the source limit."""
        self._disturbances: set[str] = set()
        self._offset = 0.0
        super().__init__(address, clock, log)
        self.drive(clock.now)

    @property
    def now(self) -> float:
        """Simulated time of the command under way [s]."""
        return self.session.time

    # --- source -------------------------------------------------------------------------------

    def turn_on(self, now: float) -> None:
        """Connect the source at ``now`` [s]."""
        if not self.output:
            self.output = True
            self.log.add(now, self.address, "output on")
            self.drive(now)

    def turn_off(self, now: float) -> None:
        """Bring the source into its output-off state at ``now`` [s]."""
        if self.output:
            self.output = self.limited = False
            self.log.add(now, self.address, "output off")
            self.drive(now)

    def set_output(self, on: bool) -> None:
        """``:OUTPut``."""
        (self.turn_on if on else self.turn_off)(self.now)

    def set_level(self, function: str, level: float) -> None:
        """Program a level [V or A].

        Raises
        ------
        ScpiError
            -221 in list or sweep mode, -222 when it does not fit the range that is set.
        """
        source = self.settings.source[function]
        if source.mode != "FIX":
            raise ScpiError(-221, f"the {function} source is in {source.mode} mode")
        wanted = range_for(function, level)
        if not source.autorange and wanted.full_scale > source.on_range.full_scale:
            raise ScpiError(-222, f"level {level:.6g} above the {source.on_range.full_scale:g} range")
        if source.autorange:
            source.on_range = wanted
        source.level = level
        self.drive(self.now)

    def step_to(self, now: float, level: float) -> None:
        """Go to the next ``level`` [V or A] of a list or sweep at ``now`` [s]."""
        source, ranging = self.settings.active_source, self.settings.sweep_ranging
        if ranging == "AUTO":
            source.on_range = range_for(self.settings.source_function, level)
        source.level = math.copysign(min(abs(level), source.on_range.top), level)
        self.drive(now)

    def source_delay(self) -> float:
        """Return how long the source is given before a reading [s]."""
        settings = self.settings
        if not settings.auto_delay:
            return settings.delay
        sourcing_amps = settings.source_function == "CURR"
        return (settings.active_source if sourcing_amps else settings.sense["CURR"]).on_range.delay

    def drive(self, now: float) -> None:
        """Make the terminal what the settings say, from ``now`` [s] on."""
        on, volts, limit = self._wanted()
        terminal = self.terminal
        if terminal.on != on or terminal.volts != volts or terminal.limit != limit:
            terminal.set(now, on=on, volts=volts, limit=limit)

    def _wanted(self) -> tuple[bool, float, float]:
        """Return whether the terminal is connected, its voltage [V] and its largest current [A]."""
        settings = self.settings
        source = settings.active_source
        sourcing_amps = settings.source_function == "CURR"
        if not self.output:
            amps = source.on_range if sourcing_amps else settings.sense["CURR"].on_range
            small = _OFF_LIMIT * amps.full_scale
            zero = max(small, abs(source.level)) if sourcing_amps else source.limit
            limit = {"NORM": small, "ZERO": zero, "GUAR": _FLOATING_AMPS}
            mode = settings.off_mode
            return (False, 0.0, math.inf) if mode == "HIMP" else (True, 0.0, limit[mode])
        if sourcing_amps:
            # A current source is a voltage source at its voltage limit that is held back by its current.
            amps_out = self.unit.sourced(source.level, source.on_range) if source.level else 0.0
            volts = math.copysign(self._protected(source.limit), amps_out) if amps_out else 0.0
            return True, volts, max(abs(amps_out), _FLOATING_AMPS)
        return True, self._protected(self.unit.sourced(source.level, source.on_range)), self.current_bound()

    def current_bound(self) -> float:
        """Return where a voltage source clamps [A]: at its limit, or below it at the end of a fixed range."""
        sense = self.settings.sense["CURR"]
        limit = self.settings.source["VOLT"].limit
        return limit if sense.autorange else min(limit, sense.on_range.top)

    def _protected(self, volts: float) -> float:
        bound = self.settings.protection
        return volts if bound is None else max(-bound, min(bound, volts))

    # --- scripted faults ----------------------------------------------------------------------

    def disturb_reading(self, kind: Literal["overflow", "compliance"]) -> bool:
        """Let the next reading overflow, or be made at the source limit."""
        self._disturbances.add(kind)
        return True

    def shift_offset(self, amps: float) -> bool:
        """Let the ammeter read ``amps`` [A] too much from now on."""
        self._offset += amps
        return True

    # --- readings -----------------------------------------------------------------------------

    def reading_seconds(self) -> float:
        """Return what one reading takes [s]: its conversions, one after the other."""
        signals = max(1, len([one for one in self.settings.functions if one != "RES"]))
        conversions = signals + _AUTOZERO_CONVERSIONS * self.settings.autozero
        return conversions * self._cycles() / self.line_hertz + _OVERHEAD

    def see(self, now: float) -> Measured:
        """Return what is at the terminal at ``now`` [s], and remember whether the source is limited."""
        seen = self.circuit.measure(self.terminal, now, aperture=self._cycles() / self.line_hertz)
        self.limited = self._is_limited(seen)
        if "compliance" in self._disturbances and self.output:
            self._disturbances.discard("compliance")
            self.limited = True
        return replace(seen, amps=seen.amps + self._offset) if self._offset else seen

    def tripped(self) -> bool:
        """Return whether the source is at its limit now."""
        return self._is_limited(self.circuit.measure(self.terminal, self.now))

    def change_range(self, seen: Measured) -> float:
        """Bring an automatic current range to what is seen; return the time [s] that costs."""
        settings = self.settings
        sense = settings.sense["CURR"]
        if not sense.autorange or settings.source_function == "CURR":
            return 0.0
        highest = range_for("CURR", settings.source["VOLT"].limit)
        wanted = min(range_for("CURR", min(abs(seen.amps), highest.top)), highest, key=_size)
        wanted = max(wanted, min(sense.lower, highest, key=_size), key=_size)
        if wanted is sense.on_range:
            return 0.0
        sense.on_range = wanted
        return wanted.delay + self._cycles() / self.line_hertz + _OVERHEAD

    def store(self, now: float, seen: Measured) -> None:
        """Convert what is seen; keep it for ``READ?`` and, where the buffer is open, in the buffer."""
        settings = self.settings
        volts = self._convert(seen.volts, "VOLT")
        amps = self._convert(seen.amps, "CURR")
        if "overflow" in self._disturbances:
            self._disturbances.discard("overflow")
            amps = OVERFLOW
        in_ohms = "RES" in settings.functions and amps and OVERFLOW not in (volts, amps)
        fixed = settings.source_function == "VOLT" and not settings.sense["CURR"].autorange
        at_range = fixed and settings.sense["CURR"].on_range.top < settings.source["VOLT"].limit
        status = (
            (_OFLO if amps == OVERFLOW else 0)
            | (_FILTER if settings.average_on else 0)
            | (_FRONT if settings.terminals == "FRON" else 0)
            | ((_RANGE_COMPLIANCE if at_range else _COMPLIANCE) if self.limited else 0)
            | (_OVP if self.protecting else 0)
            | (_V_MEAS if "VOLT" in settings.functions else 0)
            | (_I_MEAS if "CURR" in settings.functions else 0)
            | (_OHM_MEAS if "RES" in settings.functions else 0)
            | (_V_SOUR if settings.source_function == "VOLT" else _I_SOUR)
            | (_REMOTE if settings.four_wire else 0)
        )
        reading = Reading(
            self._told("VOLT", volts), self._told("CURR", amps), volts / amps if in_ohms else OVERFLOW, now, status
        )
        self.latest.append(reading)
        if self.trace.control == "NEXT":
            self.records.append(reading)
            if len(self.records) >= self.trace.points:
                self.trace.control = "NEV"

    def _told(self, function: str, measured: float) -> float:
        """Return what is measured, else what is programmed, else not a number."""
        if function in self.settings.functions:
            return measured
        return self.settings.active_source.level if function == self.settings.source_function else OVERFLOW

    @property
    def protecting(self) -> bool:
        """Whether overvoltage protection holds the source back."""
        bound, source = self.settings.protection, self.settings.active_source
        asked = source.level if self.settings.source_function == "VOLT" else source.limit
        return bound is not None and self.output and abs(asked) > bound

    def _convert(self, value: float, function: str) -> float:
        # A quantity that is sourced is measured on the range it is sourced on.
        same = function == self.settings.source_function
        on: Range = (self.settings.source if same else self.settings.sense)[function].on_range
        return self.unit.reading(value, on, self._cycles())

    def _cycles(self) -> float:
        """Return the line cycles one conversion takes; a repeating filter makes them more."""
        return self.settings.nplc * (self.settings.average_count if self.settings.average_on else 1)

    def _is_limited(self, seen: Measured) -> bool:
        if not self.output:
            return False
        if self.settings.source_function == "VOLT":
            return seen.limited
        return not seen.limited and self.settings.source["CURR"].level != 0.0


def _size(each: Range) -> float:
    return each.full_scale
