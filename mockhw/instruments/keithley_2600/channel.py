"""One channel of a 2600B: source, limit and converter, and what they do to its terminal."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ...probe_circuit.meter import Range, Unit
from ...tsp.names import RUNTIME, TspError, Wait
from .buffers import ReadingBuffer, Record
from .specs import OVERFLOW, Model

if TYPE_CHECKING:
    from ...probe_circuit.circuit import Measured, ProbeCircuit
    from ...probe_circuit.terminal import Terminal

VOLTS, AMPS = 1.0, 0.0
HIGH_Z, ZERO = 2.0, 1.0
_OVERHEAD: Final = 0.15e-3  # assumed, beside the conversions
_AUTOZERO_CONVERSIONS: Final = 2  # assumed: of ground and of the reference
_FLOATING_AMPS: Final = 1e-12
# Status of a reading (manual, bufferVar.statuses; from memory).
_AUTORANGE_MEASURE, _AUTORANGE_SOURCE, _FOUR_WIRE, _COMPLIANCE, _FILTERED = 4, 8, 16, 64, 128


@dataclass(slots=True)
class Settings:
    """What ``smua.reset()`` brings back."""

    func: float = VOLTS
    levelv: float = 0.0
    leveli: float = 0.0
    limitv: float = 20.0
    limiti: float = 0.1
    source_autorange: float = 1.0
    measure_autorange_i: float = 1.0
    measure_autorange_v: float = 1.0
    lowrangei: float = 1e-7
    nplc: float = 1.0
    autozero: float = 2.0
    count: float = 1.0
    interval: float = 0.0
    measure_delay: float = 0.0
    source_delay: float = 0.0
    filter_on: float = 0.0
    filter_count: float = 1.0
    sense: float = 0.0
    offmode: float = 0.0
    offlimiti: float = 1e-3
    highc: float = 0.0
    settling: float = 0.0


class Channel:
    """A source-measure unit of the box.

    Parameters
    ----------
    name : str
        ``smua`` or ``smub``.
    model : Model
    circuit, terminal
        Its cables.
    seed : int
    line_hertz : float [Hz]
    at : callable
        The time of what is executed [s].
    told : callable
        Takes what is worth a line of the bench's log.
    """

    def __init__(
        self,
        name: str,
        model: Model,
        circuit: ProbeCircuit,
        terminal: Terminal,
        *,
        seed: int,
        line_hertz: float,
        at: Callable[[], float],
        told: Callable[[str], None],
    ) -> None:
        self.name, self.model, self.circuit, self.terminal = name, model, circuit, terminal
        self.line_hertz = line_hertz
        self.unit = Unit(seed, (*model.volts, *model.amps), overflow=OVERFLOW)
        self.buffers = {"nvbuffer1": ReadingBuffer(), "nvbuffer2": ReadingBuffer()}
        self.disturbances: set[str] = set()
        self.offset = 0.0
        self.at, self._told = at, told
        self.output = self.limited = False
        self._set_defaults()
        self.drive()

    def _set_defaults(self) -> None:
        self.settings = Settings()
        self.source_range = {"v": self.model.volts[0], "i": self.model.amps[0]}
        self.measure_range = {"v": self.model.volts[0], "i": self.model.range_for("i", 1e-4)}

    def reset(self) -> None:
        """``smua.reset()``: defaults, output off; buffers are emptied."""
        self.turn(on=False)
        self._set_defaults()
        for buffer in self.buffers.values():
            buffer.clear()
        self.drive()

    # --- source -------------------------------------------------------------------------------

    def turn(self, *, on: bool) -> None:
        """``smua.source.output``."""
        if self.output != on:
            self.output = on
            self.limited = False
            self._told(f"{self.name} output {'on' if on else 'off'}")
            self.drive()

    def level(self, function: str, value: float) -> None:
        """Program a level [V or A].

        Raises
        ------
        TspError
            It does not fit the range that is set.
        """
        wanted = self.model.range_for(function, value)
        if not self.settings.source_autorange and wanted.full_scale > self.source_range[function].full_scale:
            raise TspError(RUNTIME, f"{self.name}.source.level{function}: outside of the range that is set")
        if self.settings.source_autorange:
            self.source_range[function] = wanted
        setattr(self.settings, f"level{function}", value)
        self.drive()

    def fix_source_range(self, function: str, value: float) -> None:
        """``smua.source.rangev``: choose a range and stay on it."""
        wanted = self.model.range_for(function, value)
        if abs(getattr(self.settings, f"level{function}")) > wanted.top:
            raise TspError(RUNTIME, f"{self.name}.source.range{function}: the level does not fit it")
        self.source_range[function] = wanted
        self.settings.source_autorange = 0.0
        self.drive()

    def drive(self) -> None:
        """Make the terminal what the settings say, from now on."""
        on, volts, limit = self._wanted()
        terminal = self.terminal
        if terminal.on != on or terminal.volts != volts or terminal.limit != limit:
            terminal.set(self.at(), on=on, volts=volts, limit=limit)

    def _wanted(self) -> tuple[bool, float, float]:
        """Return whether the terminal is connected, its voltage [V] and its largest current [A]."""
        settings = self.settings
        if not self.output:
            if settings.offmode == HIGH_Z:
                return False, 0.0, math.inf
            return True, 0.0, settings.limiti if settings.offmode == ZERO else settings.offlimiti
        if settings.func == AMPS:
            # A current source is a voltage source at its voltage limit that is held back by its current.
            amps = self.unit.sourced(settings.leveli, self.source_range["i"]) if settings.leveli else 0.0
            volts = math.copysign(settings.limitv, amps) if amps else 0.0
            return True, volts, max(abs(amps), _FLOATING_AMPS)
        return True, self.unit.sourced(settings.levelv, self.source_range["v"]), settings.limiti

    def compliance(self) -> bool:
        """``smua.source.compliance``: whether the source is at its limit now."""
        if "held" in self.disturbances:
            self.disturbances.discard("held")
            return True
        return self._is_limited(self.circuit.measure(self.terminal, self.at()))

    def _is_limited(self, seen: Measured) -> bool:
        if not self.output:
            return False
        if self.settings.func == VOLTS:
            return seen.limited
        return not seen.limited and self.settings.leveli != 0.0

    # --- readings -----------------------------------------------------------------------------

    @property
    def reading_seconds(self) -> float:
        """What one reading takes [s]; volts and amperes are converted at once."""
        conversions = 1 + _AUTOZERO_CONVERSIONS * (self.settings.autozero == 2.0)
        return conversions * self._cycles() / self.line_hertz + _OVERHEAD

    def _cycles(self) -> float:
        settings = self.settings
        return settings.nplc * (settings.filter_count if settings.filter_on else 1.0)

    def measure(self, kinds: str, buffers: tuple[ReadingBuffer, ...], *, first: bool = True) -> Wait:
        """Make ``measure.count`` readings of ``"i"``, ``"v"``, ``"r"``, ``"p"`` or several at once; tell the last."""
        for buffer in buffers if first else ():
            buffer.begin()
        return self._next(kinds, buffers, int(self.settings.count), self.at())

    def _next(self, kinds: str, buffers: tuple[ReadingBuffer, ...], left: int, due: float) -> Wait:
        done = max(self.at(), due) + self.settings.measure_delay + self.reading_seconds

        def finish() -> object:
            seen = self._see()
            extra = self._change_range(seen)
            if extra:
                return Wait(self.at() + extra, lambda: close(self._see()))
            return close(seen)

        def close(seen: Measured) -> object:
            values = self._convert(seen)
            for kind, buffer in zip(kinds, buffers, strict=False):
                buffer.add(Record(values[kind], self._level(), self.at(), self._status()))
            if left > 1:
                return self._next(kinds, buffers, left - 1, due + self.settings.interval)
            return tuple(values[kind] for kind in kinds)

        return Wait(done, finish)

    def _level(self) -> float:
        return self.settings.levelv if self.settings.func == VOLTS else self.settings.leveli

    def _status(self) -> int:
        settings = self.settings
        return (
            (_AUTORANGE_MEASURE if settings.measure_autorange_i else 0)
            | (_AUTORANGE_SOURCE if settings.source_autorange else 0)
            | (_FOUR_WIRE if settings.sense else 0)
            | (_COMPLIANCE if self.limited else 0)
            | (_FILTERED if settings.filter_on else 0)
        )

    def _see(self) -> Measured:
        seen = self.circuit.measure(self.terminal, self.at(), aperture=self._cycles() / self.line_hertz)
        self.limited = self._is_limited(seen)
        if "compliance" in self.disturbances and self.output:
            self.disturbances = {*self.disturbances, "held"} - {"compliance"}
            self.limited = True
        return replace(seen, amps=seen.amps + self.offset) if self.offset else seen

    def _change_range(self, seen: Measured) -> float:
        """Bring an automatic current range to what is seen; return the time [s] that costs."""
        settings = self.settings
        if not settings.measure_autorange_i or settings.func == AMPS:
            return 0.0
        highest = self.model.range_for("i", settings.limiti)
        wanted = min(self.model.range_for("i", min(abs(seen.amps), highest.top)), highest, key=_size)
        wanted = max(wanted, min(self.model.range_for("i", settings.lowrangei), highest, key=_size), key=_size)
        if wanted is self.measure_range["i"]:
            return 0.0
        self.measure_range["i"] = wanted
        return wanted.delay + self.reading_seconds

    def _convert(self, seen: Measured) -> dict[str, float]:
        sourced = self.settings.func == VOLTS
        if self.settings.measure_autorange_v and not sourced:
            self.measure_range["v"] = self.model.range_for("v", min(abs(seen.volts), self.model.volts[-1].top))
        volts = self._reading(seen.volts, self.source_range["v"] if sourced else self.measure_range["v"])
        amps = self._reading(seen.amps, self.measure_range["i"] if sourced else self.source_range["i"])
        if "overflow" in self.disturbances:
            self.disturbances.discard("overflow")
            amps = OVERFLOW
        known = OVERFLOW not in (volts, amps)
        return {
            "v": volts,
            "i": amps,
            "r": volts / amps if known and amps else OVERFLOW,
            "p": volts * amps if known else OVERFLOW,
        }

    def _reading(self, true: float, on: Range) -> float:
        return self.unit.reading(true, on, self._cycles())


def _size(each: Range) -> float:
    return each.full_scale
