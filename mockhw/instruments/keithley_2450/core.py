"""The source and the converter of a simulated Keithley 2450: what it does to its terminal and what it reads there."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

from ...instrument import BenchLog, SimulatedInstrument
from ...probe_circuit.meter import Range, Unit
from ...scpi.errors import ScpiError
from ...sim_clock import SimClock
from .buffer import (
    DEFAULT_BUFFERS,
    DEFAULT_SIZE,
    FOUR_WIRE,
    FRONT_TERMINAL,
    LIMITED,
    OUTPUT_ON,
    PROTECTED,
    QUESTIONABLE,
    READ_BACK,
    START_GROUP,
    ReadingBuffer,
    Record,
)
from .settings import SenseSettings, Settings
from .specs import AMPS, OVERFLOW, UNITS, VOLTS, range_for

if TYPE_CHECKING:
    from ...probe_circuit.circuit import Measured, ProbeCircuit
    from ...probe_circuit.terminal import Terminal

_OVERHEAD: Final = 150e-6  # assumed: per reading, beside the conversions
_AUTOZERO_CONVERSIONS: Final = (
    2  # manual, page 2-108: "two more readings, one for the internal ground and one for the voltage reference"
)
_OFF_LIMIT: Final = 0.1  # manual, page 8-139: current limit of the normal output-off state, of full scale
_FLOATING_AMPS: Final = 1e-12  # what a current source at 0 A may drive


class SourceMeterCore(SimulatedInstrument):
    """Source, limit, converter and buffers; the commands are in :class:`.Keithley2450`."""

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
        self.buffers = {name: ReadingBuffer(name, DEFAULT_SIZE, continuous=True) for name in DEFAULT_BUFFERS}
        self.output = False
        self.limited = False
        """Whether the latest reading was made at the source limit."""
        self.settled_at = -math.inf
        """When the delay after the latest change of the source is over [s]."""
        self.limit_results: dict[tuple[str, int], str] = {}
        """How the last reading did in each limit test: ``NONE``, ``LOW`` or ``HIGH``."""
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
            self.settled_at = now + self.source_delay()
            self.log.add(now, self.address, "output on")
            self.drive(now)

    def turn_off(self, now: float) -> None:
        """Bring the source into its output-off state at ``now`` [s]."""
        if self.output:
            self.output = False
            self.limited = False
            self.log.add(now, self.address, "output off")
            self.drive(now)

    def set_output(self, on: bool) -> None:
        """``:OUTPut``: off also ends what runs."""
        if on:
            self.turn_on(self.now)
            return
        self.abort()
        self.turn_off(self.now)

    def set_level(self, function: str, level: float) -> None:
        """Program a level [V or A].

        Raises
        ------
        ScpiError
            -222 when it does not fit the range that is set.
        """
        source = self.settings.source[function]
        wanted = range_for(function, level)
        if not source.autorange and wanted.full_scale > source.on_range.full_scale:
            raise ScpiError(-222, f"level {level:.6g} above the {source.on_range.full_scale:g} range")
        if source.autorange:
            source.on_range = wanted
        changed = level != source.level
        source.level = level
        if function == self.settings.source_function:
            if changed and self.output:
                self.settled_at = self.now + self.source_delay()
            self.drive(self.now)

    def step_to(self, now: float, level: float, ranging: str) -> None:
        """Go to the next ``level`` [V or A] of a sweep at ``now`` [s]."""
        source = self.settings.active_source
        if ranging == "AUTO":
            source.on_range = range_for(self.settings.source_function, level)
        elif abs(level) > source.on_range.top:
            level = math.copysign(source.on_range.top, level)
        source.level = level
        self.drive(now)

    def source_delay(self) -> float:
        """Return how long the source is given before a reading [s]."""
        source = self.settings.active_source
        if not source.auto_delay:
            return source.delay
        amps = source.on_range if self.settings.source_function == "CURR" else self.settings.sense["CURR"].on_range
        return amps.slow_delay if source.high_capacitance else amps.delay

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
            limit = {"NORM": _OFF_LIMIT * amps.full_scale, "ZERO": amps.full_scale, "GUAR": _FLOATING_AMPS}
            mode = source.off_mode
            return (False, 0.0, math.inf) if mode == "HIMP" else (True, 0.0, limit[mode])
        if sourcing_amps:
            # A current source is a voltage source at its voltage limit that is held back by its current.
            amps = self.unit.sourced(source.level, source.on_range) if source.level else 0.0
            volts = math.copysign(self._protected(source.limit), amps) if amps else 0.0
            return True, volts, max(abs(amps), _FLOATING_AMPS)
        return True, self._protected(self.unit.sourced(source.level, source.on_range)), source.limit

    def _protected(self, volts: float) -> float:
        bound = self.settings.protection
        return volts if bound is None else max(-bound, min(bound, volts))

    def next_event(self) -> float | None:
        """Return when something happens next [s]; None while a trigger model waits for an event."""
        event = super().next_event()
        return event if event is not None and math.isfinite(event) else None

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
        sense = self.settings.active_sense
        signals = 2 if self.settings.sense_function == "RES" else 1
        if self.settings.sense_function == "RES" and sense.offset_compensated:
            signals *= 2  # once more with the source at zero, which this simulator's cells do not differ by
        conversions = signals + self.settings.active_source.readback + _AUTOZERO_CONVERSIONS * sense.autozero
        return conversions * self._cycles() / self.line_hertz + _OVERHEAD

    def see(self, now: float) -> Measured:
        """Return what is at the terminal at ``now`` [s], and remember whether the source is limited."""
        seen = self.circuit.measure(self.terminal, now, aperture=self._cycles() / self.line_hertz)
        self.limited = self._is_limited(seen)
        if self._disturbances and "compliance" in self._disturbances and self.output:
            self._disturbances.discard("compliance")
            self.limited = True
        return replace(seen, amps=seen.amps + self._offset) if self._offset else seen

    def tripped(self) -> bool:
        """Return whether the source is at its limit now."""
        return self._is_limited(self.circuit.measure(self.terminal, self.now))

    def change_range(self, seen: Measured) -> float:
        """Bring an automatic measure range to what is seen; return the time [s] that costs."""
        function = self.settings.sense_function
        sense = self.settings.sense[function]
        if not sense.autorange or function in ("RES", self.settings.source_function):
            return 0.0
        value = seen.amps if function == "CURR" else seen.volts
        top = (AMPS if function == "CURR" else VOLTS)[-1]
        wanted = range_for(function, value) if abs(value) <= top.top else top
        wanted = max(wanted, sense.lower, key=_size)
        if wanted is sense.on_range:
            return 0.0
        sense.on_range = wanted
        return (wanted.delay if function == "CURR" else 0.0) + self._cycles() / self.line_hertz + _OVERHEAD

    def store(self, now: float, seen: Measured, buffer: ReadingBuffer, *, first: bool) -> None:
        """Convert what is seen and put it into a buffer."""
        settings = self.settings
        source = settings.active_source
        sense = settings.active_sense
        reading = self._convert(seen, settings.sense_function)
        if "overflow" in self._disturbances:
            self._disturbances.discard("overflow")
            reading = OVERFLOW
        if sense.unit and reading != OVERFLOW:
            reading = self._worked_out(seen, sense.unit)
        if sense.relative_on and reading != OVERFLOW:
            reading -= sense.relative
        if sense.math_on and reading != OVERFLOW:
            reading = calculated(sense, reading)
        self._test_limits(settings.sense_function, reading)
        if source.readback:
            value = self._convert(seen, settings.source_function)
        else:
            value = source.level if self.output else 0.0
        record = Record(
            now,
            reading,
            value,
            (FRONT_TERMINAL if settings.terminals == "FRON" else 0)
            | (START_GROUP if first else 0)
            | (QUESTIONABLE if reading == OVERFLOW else 0),
            (READ_BACK if source.readback else 0)
            | (LIMITED if self.limited else 0)
            | (FOUR_WIRE if sense.four_wire else 0)
            | (OUTPUT_ON if self.output else 0)
            | (PROTECTED if self.protecting else 0),
            UNITS[sense.unit or settings.sense_function],
            UNITS[settings.source_function],
        )
        if not buffer.add(record):
            self.session.status.error(4915, "Attempting to store past capacity of reading buffer")

    def _worked_out(self, seen: Measured, unit: str) -> float:
        """Return a reading in ``OHM`` or ``WATT``."""
        nplc = self._cycles()
        amps = self.unit.reading(seen.amps, _holding("CURR", seen.amps), nplc)
        volts = self.unit.reading(seen.volts, _holding("VOLT", seen.volts), nplc)
        if unit == "WATT":
            return volts * amps
        return volts / amps if amps else OVERFLOW

    def _test_limits(self, function: str, reading: float) -> None:
        for number, limit in enumerate(self.settings.sense[function].limits, start=1):
            if limit.on:
                found = "HIGH" if reading > limit.upper else "LOW" if reading < limit.lower else "NONE"
                before = self.limit_results.get((function, number), "NONE")
                self.limit_results[function, number] = found if limit.clears or before == "NONE" else before

    @property
    def protecting(self) -> bool:
        """Whether overvoltage protection holds the source back."""
        bound = self.settings.protection
        source = self.settings.active_source
        asked = source.level if self.settings.source_function == "VOLT" else source.limit
        return bound is not None and self.output and abs(asked) > bound

    def _convert(self, seen: Measured, function: str) -> float:
        nplc = self._cycles()
        if function == "RES":
            amps = self.unit.reading(seen.amps, _holding("CURR", seen.amps), nplc)
            volts = self.unit.reading(seen.volts, _holding("VOLT", seen.volts), nplc)
            sense = self.settings.sense["RES"]
            top = (sense.upper if sense.autorange else sense.on_range).top
            return volts / amps if amps and abs(volts) <= top * abs(amps) else OVERFLOW
        # A quantity that is sourced is measured on the range it is sourced on.
        same = function == self.settings.source_function
        on = self.settings.source[function].on_range if same else self.settings.sense[function].on_range
        return self.unit.reading(seen.amps if function == "CURR" else seen.volts, on, nplc)

    def _cycles(self) -> float:
        """Return the line cycles one conversion takes; a repeating filter makes them more."""
        sense = self.settings.active_sense
        return sense.nplc * (sense.average_count if sense.average_on else 1)

    def _is_limited(self, seen: Measured) -> bool:
        if not self.output:
            return False
        if self.settings.source_function == "VOLT":
            return seen.limited
        return not seen.limited and self.settings.source["CURR"].level != 0.0


def calculated(sense: SenseSettings, reading: float) -> float:
    """Return what :CALCulate1 makes of a reading."""
    if sense.math_format == "MXB":
        return sense.math_slope * reading + sense.math_offset
    if sense.math_format == "PERC":
        return 100.0 * (reading - sense.math_percent) / sense.math_percent if sense.math_percent else OVERFLOW
    return 1.0 / reading if reading else OVERFLOW


def _size(each: Range) -> float:
    return each.full_scale


def _holding(function: str, value: float) -> Range:
    ranges = AMPS if function == "CURR" else VOLTS
    return next((each for each in ranges if abs(value) <= each.top), ranges[-1])
