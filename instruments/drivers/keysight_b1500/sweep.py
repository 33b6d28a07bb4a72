"""Sweeps and samplings that a B1500A makes by itself, each with 0 V behind it in the same message.

FLEX does what has come in order: a ``DZ`` that left together with ``XE`` is done when the measurement is over, whether
the host lives or not. ``AB`` cannot overtake it; a device clear can, and is how a sweep is stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...capabilities import FloatArray
from ...wire.parts import Wire
from ...wire.wire_text import sent
from .readings import FlexReadings

PIECE_SECONDS = 10.0
"""Longest staircase that is left to the B1500A alone [s]; a single point may take longer."""
RECORD_SECONDS = 600.0
"""Longest sampling [s]: cut in two it would have a gap."""
STEPS_MAX = 1001
_SAME = 1e-6  # of the largest level: what counts as equal steps
_GRID = 1e-4
_STAIRCASE, _SAMPLING = 2, 10


class Stairs(NamedTuple):
    """Levels [V] in equal steps."""

    start: float
    stop: float
    points: int


def stairs(levels: FloatArray, most: int) -> Iterator[Stairs]:
    """Yield levels [points] V as staircases of ``most`` points or fewer: ``WV`` knows no lists."""
    same = _SAME * max(float(np.abs(levels).max()), 1e-3)
    begin = 0
    while begin < levels.size:
        end = min(begin + 2, levels.size)
        step = float(levels[end - 1] - levels[begin])
        while (
            end < levels.size and end - begin < most and abs(levels[begin] + step * (end - begin) - levels[end]) < same
        ):
            end += 1
        end = min(end, begin + most)
        yield Stairs(float(levels[begin]), float(levels[end - 1]), end - begin)
        begin = end


class Program:
    """Starts a measurement and fetches what it made."""

    def __init__(self, wire: Wire, readings: FlexReadings, number: int) -> None:
        self._wire, self.readings, self._number = wire, readings, number

    def run(self, setup: list[str], behind: str, seconds: float, wait: Callable[[float], None]) -> str:
        """Set up, run for about ``seconds`` [s] with the command ``behind`` in the same message; return the data."""
        exchange, line = self._wire.exchange, self._wire.line
        exchange.act(
            "\n".join((*setup, f"MM {_STAIRCASE if setup[-1].startswith('WV') else _SAMPLING},{self._number}"))
        )
        exchange.tell(f"XE\n{behind}")
        try:
            wait(seconds)
        except BaseException:
            line.out_of_step = True  # what makes it safe has to be preceded by a device clear
            raise
        # Data have no error query behind them: an empty command asks for what is owed.
        data = exchange.query("", expected=seconds)
        exchange.act("")
        return data


class StaircaseSweep:
    """Goes through levels in staircases, each of which ends at 0 V by itself.

    Parameters
    ----------
    program : Program
    number : int
        Channel.
    code : int
        Output range.
    seconds : float [s]
        Time per point, the reading's own included.
    """

    def __init__(self, wire: Wire, program: Program, number: int, code: int, *, seconds: float) -> None:
        self._wire, self._program, self._number, self._code, self._seconds = wire, program, number, code, seconds
        self.times: FloatArray = np.zeros(0)
        self._parts: list[Stairs] = []
        self._levels: FloatArray = np.zeros(0)
        self._found: list[tuple[FloatArray, NDArray[np.uint8]]] = []

    def load(self, levels: FloatArray, compliance: float, dwell: float, *, most: float) -> None:
        """Take the levels [V], none beyond ``most`` [V]; nothing is sent yet."""
        self._parts = list(stairs(levels, min(STEPS_MAX, max(1, int(PIECE_SECONDS / self._seconds)))))
        self._levels, self._most = levels, most
        self._compliance, self._dwell = sent(compliance), f"{round(dwell / _GRID) * _GRID:.4f}"

    def run(self, wait: Callable[[float], None]) -> None:
        """Run one after the other; the output is on, at 0 V, between them."""
        self._wire.exchange.act(f"CN {self._number}")
        for part in self._parts:
            start, stop = (sent(volts, most=self._most) for volts in (part.start, part.stop))
            setup = [
                f"WT 0,{self._dwell},0,0,0",
                "WM 1,1",
                f"WV {self._number},1,{self._code},{start},{stop},{part.points},{self._compliance}",
            ]
            data = self._program.run(setup, f"DZ {self._number}", part.points * self._seconds, wait)
            self._found.append(self._program.readings.currents(data, part.points, "XE"))

    def fetch(self) -> tuple[FloatArray, FloatArray, NDArray[np.uint8]]:
        """Switch off, then return levels, currents and flags; the source's own voltage is what was asked for."""
        self._wire.exchange.act(f"DZ {self._number}\nCL {self._number}")
        amps, flags = zip(*self._found, strict=True)
        return self._levels.copy(), np.concatenate(amps), np.concatenate(flags)
