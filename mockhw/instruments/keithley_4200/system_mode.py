"""The system mode of a 4200A: channels are defined, a sweep is set up and run, its data are fetched by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from ...probe_circuit.script import Run, Script
from ...scpi.errors import ScpiError
from .smu import Reading, SmuChannel

_VAR1, _CONSTANT = 1, 3
_VOLTS_SOURCE: Final = 1
LIST_MAX: Final = 4096  # from memory


@dataclass(slots=True)
class Defined:
    """A channel as ``CH`` defines it: names of its volts and amperes, what it does in the test."""

    volts_name: str
    amps_name: str
    function: int
    level: float = 0.0
    limit: float = 0.1


@dataclass(slots=True)
class Test:
    """What the pages DE, SS and SM hold."""

    channels: dict[int, Defined] = field(default_factory=dict[int, Defined])
    levels: list[float] = field(default_factory=list[float])
    hold: float = 0.0
    delay: float = 0.0
    data: dict[str, list[str]] = field(default_factory=dict[str, list[str]])


class SystemMode:
    """Defines and runs tests.

    Parameters
    ----------
    smus : dict of int to SmuChannel
    nplc : callable
        Integration time now.
    """

    def __init__(self, smus: dict[int, SmuChannel], nplc: Callable[[], float]) -> None:
        self._smus, self._nplc = smus, nplc
        self.test = Test()
        self.ready = False

    def reset(self) -> None:
        """Forget definitions and data."""
        self.test, self.ready = Test(), False

    def clear(self) -> None:
        """``BC``: empty the data buffer."""
        self.test.data, self.ready = {}, False

    # --- pages --------------------------------------------------------------------------------

    def define(self, channel: str, *rest: str) -> None:
        """``CH``: volts name, amperes name, source mode, source function; a channel alone is not used."""
        number = self._number(channel)
        if not rest:
            self.test.channels.pop(number, None)
            return
        volts, amps, mode, function = rest
        if int(mode) != _VOLTS_SOURCE or int(function) not in (_VAR1, _CONSTANT):
            raise ScpiError(-222, f"CH{number}: source mode {mode}, function {function} are not built")
        self.test.channels[number] = Defined(volts.strip("'\""), amps.strip("'\""), int(function))

    def linear(self, kind: str, start: str, stop: str, step: str, limit: str) -> None:
        """``VR``: a linear sweep of VAR1."""
        if int(kind) != 1:
            raise ScpiError(-222, f"VR{kind} is not built")
        first, last, by = float(start), float(stop), abs(float(step))
        if not by:
            raise ScpiError(-222, "VR: a step of 0 V")
        count = round(abs(last - first) / by) + 1
        self._sweep(list(np.linspace(first, first + np.copysign(by, last - first) * (count - 1), count)), float(limit))

    def listed(self, channel: str, master: str, limit: str, *levels: str) -> None:
        """``VL``: a list sweep."""
        number = self._number(channel)
        if int(master) != 1 or self._defined(number).function != _VAR1:
            raise ScpiError(-221, f"VL{number}: the channel is not VAR1")
        self._sweep([float(level) for level in levels], float(limit))

    def constant(self, channel: str, level: str, limit: str) -> None:
        """``VC``: a constant voltage."""
        defined = self._defined(self._number(channel))
        if defined.function != _CONSTANT:
            raise ScpiError(-221, f"VC{channel}: the channel is not constant")
        defined.level, defined.limit = float(level), float(limit)

    def wait(self, name: str, seconds: str) -> None:
        """``HT`` and ``DT``: time before the first point, and before each."""
        value = float(seconds)
        if not 0.0 <= value <= 655.3:
            raise ScpiError(-222, f"{seconds} s")
        setattr(self.test, name, value)

    def _sweep(self, levels: list[float], limit: float) -> None:
        if not 1 <= len(levels) <= LIST_MAX:
            raise ScpiError(-223, f"{len(levels)} levels")
        swept = [one for one in self.test.channels.values() if one.function == _VAR1]
        if len(swept) != 1:
            raise ScpiError(-221, "one channel is VAR1")
        self.test.levels, swept[0].limit = levels, limit

    # --- a test -------------------------------------------------------------------------------

    def begin(self, now: float) -> Run:
        """Return the test as what keeps the instrument busy.

        Raises
        ------
        ScpiError
            Nothing is defined to be swept.
        """
        test = self.test
        if not test.levels or sum(one.function == _VAR1 for one in test.channels.values()) != 1:
            raise ScpiError(-221, "no sweep is set up")
        self.clear()
        # Assumed: a unit that the test does not use is switched off when it begins.
        for number, smu in self._smus.items():
            if number not in test.channels:
                smu.release(now)
        return Run("test", self._script(test, now), now)

    def _script(self, test: Test, start: float) -> Script:
        now, nplc = start, self._nplc()
        swept = next(number for number, one in test.channels.items() if one.function == _VAR1)
        for number, one in test.channels.items():
            if one.function == _CONSTANT:
                self._smus[number].force(now, one.level, one.limit)
        now += test.hold
        yield now
        # What is left at the end is the last level, switched on: assumed, so that nobody relies on more.
        for level in test.levels:
            self._smus[swept].force(now, level, test.channels[swept].limit)
            now += test.delay + self._smus[swept].reading_seconds(nplc)
            yield now
            for number, reading in self._read(test, now, nplc):
                self._store(test.channels[number], reading)
        self.ready = True

    def _read(self, test: Test, now: float, nplc: float) -> Iterator[tuple[int, Reading]]:
        for number in test.channels:
            yield number, self._smus[number].read(now, nplc)

    def _store(self, defined: Defined, reading: Reading) -> None:
        data = self.test.data
        data.setdefault(defined.volts_name, []).append(f"{reading.status}{reading.volts:+.6E}")
        data.setdefault(defined.amps_name, []).append(f"{reading.status}{reading.amps:+.6E}")

    def data(self, name: str) -> str:
        """``DO``: every value of a name."""
        return ",".join(self.test.data.get(name.strip("'\""), []))

    def datum(self, name: str, index: str) -> str:
        """``RD``: one value, from 1; 0 beyond the last."""
        values = self.test.data.get(name.strip("'\""), [])
        at = int(index)
        return values[at - 1][1:] if 1 <= at <= len(values) else "0"

    def _number(self, channel: str) -> int:
        number = int(channel)
        if number not in self._smus:
            raise ScpiError(-241, f"SMU{number}")
        return number

    def _defined(self, number: int) -> Defined:
        if number not in self.test.channels:
            raise ScpiError(-221, f"channel {number} is not defined")
        return self.test.channels[number]
