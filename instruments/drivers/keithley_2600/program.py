"""A script of ours on its way: loaded, run, waited for, and what it measured fetched."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ....common.errors import RefusedError
from ...capabilities import FLAG_COMPLIANCE, FLAG_OVERFLOW, FloatArray
from ...errors import InstrumentError
from ...wire.parts import Wire
from ..list_sweep import PIECE_SECONDS, pieces
from ..smu_readings import Point
from .scripts import NAME, sweep_script

_OVERFLOW = 9.9e37
# Status of a reading (manual, bufferVar.statuses; from memory).
_OVER_TEMPERATURE, _COMPLIANCE = 2, 64
_CHUNK = 500


class TspReadings:
    """Reads what a 2600B prints of a measurement: amperes, volts, and whether it was at its limit."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def point(self, reply: str) -> Point:
        """Return one reading."""
        words = reply.replace(",", "\t").split("\t")
        try:
            current, volts = float(words[0]), float(words[1])
            limited = {"true": True, "false": False}[words[2].strip()]
        except (ValueError, IndexError, KeyError):
            raise self._wire.faults.garbled("measure.iv()", reply) from None
        return point(volts, current, FLAG_COMPLIANCE if limited else 0)


def point(volts: float, current: float, flags: int) -> Point:
    """Return a point; a reading beyond its range is NaN and flagged."""
    if abs(current) >= _OVERFLOW:
        return Point(volts, float("nan"), flags | FLAG_OVERFLOW)
    return Point(volts, current, flags)


class Program:
    """Runs scripts on one channel.

    Parameters
    ----------
    wire : Wire
    channel : str
        ``smua`` or ``smub``.
    """

    def __init__(self, wire: Wire, channel: str) -> None:
        self._wire, self._channel = wire, channel

    def run(self, script: str, count: int, seconds: float, wait: Callable[[float], None]) -> None:
        """Load a script and run it for about ``seconds`` [s]; it makes ``count`` readings."""
        exchange = self._wire.exchange
        exchange.act(script)
        exchange.tell(f"{NAME}()")
        wait(seconds)
        # What is asked meanwhile is answered when it is over: nothing lies between an abort and the script.
        question = f"print({self._channel}.nvbuffer1.n)"
        (made,) = exchange.ask(question, 1, expected=seconds)
        try:
            found = int(float(made))
        except ValueError:
            raise self._wire.faults.garbled(question, made) from None
        if found != count:
            raise InstrumentError(
                f"{self._wire.line.name} at {self._wire.line.place} made {found} of {count} readings in {seconds:.3g} "
                "s: somebody else stopped it, or it never began; look at its front panel"
            )

    def fetch(self, count: int, *columns: str) -> FloatArray:
        """Return columns of the buffers [count, columns]."""
        names = ",".join(f"{self._channel}.{column}" for column in columns)
        found: list[float] = []
        for start in range(1, count + 1, _CHUNK):
            end = min(start + _CHUNK - 1, count)
            question = f"printbuffer({start},{end},{names})"
            (reply,) = self._wire.exchange.ask(question, 1)
            try:
                part = [float(text) for text in reply.split(",")]
            except ValueError:
                part = []
            if len(part) != len(columns) * (end - start + 1):
                raise self._wire.faults.garbled(question, reply)
            found += part
        return np.array(found).reshape(count, len(columns))

    def readings(self, count: int) -> tuple[FloatArray, FloatArray, NDArray[np.uint8]]:
        """Return volts, amperes and flags [count] of what was measured last."""
        found = self.fetch(count, "nvbuffer2.readings", "nvbuffer1.readings", "nvbuffer1.statuses")
        status = found[:, 2].astype(np.int64)
        if (status & _OVER_TEMPERATURE).any():
            raise InstrumentError(
                f"{self._wire.line.name} at {self._wire.line.place} is too hot, its output limited: let it cool"
            )
        points = [
            point(volts, current, FLAG_COMPLIANCE if bits & _COMPLIANCE else 0)
            for volts, current, bits in zip(found[:, 0], found[:, 1], status, strict=True)
        ]
        return (
            np.array([one.volts for one in points]),
            np.array([one.current for one in points]),
            np.array([one.flags for one in points], np.uint8),
        )


class ScriptSweep:
    """A sweep through a list of levels as one script, which ends at 0 V.

    Parameters
    ----------
    seconds : float [s]
        Time per point, the reading's own included.
    span : float [A]
        One current range for all points; it then says when each was measured.
    """

    def __init__(self, wire: Wire, channel: str, *, seconds: float, span: float | None = None) -> None:
        self._program = Program(wire, channel)
        self._channel, self._seconds, self._span = channel, seconds, span
        self.times: FloatArray = np.zeros(0)
        self._script, self._count = "", 0

    def load(self, levels: FloatArray, compliance: float, dwell: float, *, most: float) -> None:
        """Make the script; the levels [V], none beyond ``most`` [V]."""
        fits = next(pieces(levels.size, self._seconds)).stop
        if fits < levels.size:
            raise RefusedError(
                f"a timed list of {levels.size} levels, {self._seconds:g} s each: its clock runs in one script, which "
                f"takes {PIECE_SECONDS:g} s at most: ask for {fits} levels or fewer"
            )
        self._count = levels.size
        self._script = sweep_script(
            self._channel, levels, compliance=compliance, dwell=dwell, most=most, span=self._span
        )

    def run(self, wait: Callable[[float], None]) -> None:
        """Run it; it is at 0 V and off by itself."""
        self._program.run(self._script, self._count, self._count * self._seconds, wait)

    def fetch(self) -> tuple[FloatArray, FloatArray, NDArray[np.uint8]]:
        """Return what was measured."""
        found = self._program.readings(self._count)
        if self._span is not None:
            at = self._program.fetch(self._count, "nvbuffer1.timestamps")[:, 0]
            self.times = at - at[0]
        return found
