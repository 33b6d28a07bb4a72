"""A sweep in the system mode of a 4200A: a channel goes through a list, the others that are on stay where they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...capabilities import FloatArray
from ...errors import InstrumentError
from ...wire.parts import Wire
from ...wire.wire_text import sent
from .readings import KxciReadings

PIECE_SECONDS = 10.0
"""Longest test or burst that is left to the 4200A alone [s]; a single point may take longer."""
_LEVELS_MAX = 200  # of one message, ours
_BUSY_POLLS = 600
_DATA_READY = 1


class Held(NamedTuple):
    """A unit that stays at a level [V] with a limit [A] while another one is swept."""

    number: int
    volts: float
    compliance: float


class SystemSweep:
    """Goes through levels in pieces, each of which ends at 0 V.

    Parameters
    ----------
    wire : Wire
    number : int
        Channel that is swept.
    seconds : float [s]
        Time per point, the reading's own included.
    others : sequence of int
        Every other channel of the box.
    held : callable
        Which of them are on now.
    off : str
        What sets the swept one to 0 V and off, in user mode.
    """

    def __init__(
        self,
        wire: Wire,
        readings: KxciReadings,
        number: int,
        *,
        seconds: float,
        others: Sequence[int],
        held: Callable[[], Sequence[Held]],
        force: Callable[[Held], str],
        off: str,
    ) -> None:
        self._wire, self._readings, self._number = wire, readings, number
        self._seconds, self._others, self._held, self._force, self._off = seconds, others, held, force, off
        self.times: FloatArray = np.zeros(0)
        self._parts: list[FloatArray] = []
        self._found: list[tuple[FloatArray, FloatArray, NDArray[np.uint8]]] = []

    def load(self, levels: FloatArray, compliance: float, dwell: float, *, most: float) -> None:
        """Take the levels [V], none beyond ``most`` [V]; nothing is sent yet."""
        count = min(_LEVELS_MAX, max(1, int(PIECE_SECONDS / self._seconds)))
        self._parts = [levels[start : start + count] for start in range(0, levels.size, count)]
        self._compliance, self._dwell, self._most = sent(compliance), f"{dwell:.6g}", most

    def run(self, wait: Callable[[float], None]) -> None:
        """Run one piece after the other."""
        for levels in self._parts:
            self._run(levels, wait)

    def _run(self, levels: FloatArray, wait: Callable[[float], None]) -> None:
        exchange, number, held = self._wire.exchange, self._number, self._held()
        kept = {one.number for one in held}
        listed = ",".join(sent(level, most=self._most) for level in levels)
        exchange.act(
            "\n".join(
                (
                    "BC",
                    "DE",
                    f"CH{number},'V{number}','I{number}',1,1",
                    *(f"CH{one},'V{one}','I{one}',1,3" for one in self._others if one in kept),
                    *(f"CH{one}" for one in self._others if one not in kept),
                    "SS",
                    f"VL{number},1,{self._compliance},{listed},0",
                    *(f"VC{one.number},{one.volts:.9g},{sent(one.compliance)}" for one in held),
                    "HT 0",
                    f"DT {self._dwell}",
                    "SM",
                    "DM2",
                    f"LI 'V{number}','I{number}'",
                    "MD",
                )
            )
        )
        exchange.act("ME1")
        expected = (levels.size + 1) * self._seconds
        wait(expected)
        self._until_done(expected, wait)
        exchange.act("\n".join(("US", *(self._force(one) for one in held), self._off)))
        volts, _ = self._fetch(f"DO 'V{number}'", levels.size + 1)
        amps, flags = self._fetch(f"DO 'I{number}'", levels.size + 1)
        self._found.append((volts[:-1], amps[:-1], flags[:-1]))

    def _fetch(self, question: str, count: int) -> tuple[FloatArray, NDArray[np.uint8]]:
        return self._readings.several(self._wire.exchange.query(question), count, question)

    def _until_done(self, expected: float, wait: Callable[[float], None]) -> None:
        reply = ""
        for _ in range(_BUSY_POLLS):
            reply = self._wire.exchange.query("SP")
            if not reply.strip().isdigit():
                raise self._wire.faults.garbled("SP", reply)
            if int(reply) & _DATA_READY:
                return
            wait(max(0.02 * expected, 1e-3))
        line = self._wire.line
        raise InstrumentError(
            f"{line.name} at {line.place} has no data after {expected:.3g} s of a test and still says SP {reply}: look "
            "at its KXCI window, then run it again"
        )

    def fetch(self) -> tuple[FloatArray, FloatArray, NDArray[np.uint8]]:
        """Return what was measured; the swept unit is at 0 V and off."""
        volts, amps, flags = zip(*self._found, strict=True)
        return np.concatenate(volts), np.concatenate(amps), np.concatenate(flags)
