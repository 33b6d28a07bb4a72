"""Readings in time at one level, which a Keithley 2450 makes by itself, into its buffer, each with its time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..capabilities import FloatArray
from ..limits import refuse_bad_number
from ..wire.parts import Wire
from .list_sweep import wait_for_trigger
from .smu_readings import Readings

RECORD_RATE_MAX = 1000.0
"""Readings per second at the shortest integration (manual, section 4: some 3000 without display and remote traffic)."""
RECORD_POINTS_MAX = 100_000
"""What the default buffer holds."""

_ELEMENTS = "REL,READ,SOURSTAT"
_DATA_CHUNK = 500
_OVERHEAD = 0.4e-3  # beside the integration, per reading
_HEADROOM = 1.3  # of the range, for what telegraph noise adds


class BufferedRecord:
    """One record, on one range; a reading integrates as long as it may.

    Parameters
    ----------
    wire, readings : parts of the driver
    hertz : float [Hz]
        Of the mains.
    """

    def __init__(self, wire: Wire, readings: Readings, *, hertz: float) -> None:
        self._wire, self._readings, self._hertz = wire, readings, hertz

    def check(self, rate: float, points: int) -> None:
        """Refuse a rate or a number of readings that cannot be."""
        who = self._wire.line.name
        refuse_bad_number("rate", rate, 1e-3, RECORD_RATE_MAX, "Hz", channel=who)
        refuse_bad_number("points", points, 1, RECORD_POINTS_MAX, "readings", channel=who)

    def take(
        self, rate: float, points: int, *, largest: float, wait: Callable[[float], None]
    ) -> tuple[FloatArray, FloatArray]:
        """Make ``points`` readings at ``rate`` [1/s] and return times after the first [s] and currents [A], [points].

        Parameters
        ----------
        largest : float [A]
            What the range is for; it has room for a third more.
        wait : callable
            How to let seconds pass.
        """
        self._load(rate, points, largest)
        return self._run(rate, points, wait)

    def _load(self, rate: float, points: int, largest: float) -> None:
        spare = 1.0 / rate - _OVERHEAD
        cycles = min(max(spare * self._hertz, 0.01), 10.0)
        rest = max(spare - cycles / self._hertz, 0.0)
        span = min(max(_HEADROOM * abs(largest), 1e-7), 1.0) if np.isfinite(largest) else 1.0
        self._wire.exchange.act(
            f'TRAC:CLE "defbuffer1";:SOUR:VOLT:READ:BACK OFF;:SENS:CURR:NPLC {cycles:.6g};:SENS:CURR:RANG {span:.6g};'
            f':TRIG:LOAD:LOOP:SIMP {points},{rest:.6g},"defbuffer1"'
        )

    def _run(self, rate: float, points: int, wait: Callable[[float], None]) -> tuple[FloatArray, FloatArray]:
        self._wire.exchange.act("INIT")
        wait_for_trigger(self._wire, points, points / rate, wait)
        seconds, amps = np.empty(points), np.empty(points)
        for start in range(1, points + 1, _DATA_CHUNK):
            end = min(start + _DATA_CHUNK - 1, points)
            question = f'TRAC:DATA? {start},{end},"defbuffer1",{_ELEMENTS}'
            (reply,) = self._wire.exchange.ask(question, 1)
            part = reply.split(",")
            if len(part) != 3 * (end - start + 1):
                raise self._wire.faults.garbled(question, reply)
            for at, n in enumerate(range(0, len(part), 3), start=start - 1):
                point = self._readings.point(",".join(part[n : n + 3]))  # time stands where a sweep has its volts
                seconds[at], amps[at] = point.volts, point.current
        return seconds, amps
