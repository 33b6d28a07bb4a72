"""The line to a B1500A: FLEX commands go out line by line, and what asks is answered before the next that asks."""

from __future__ import annotations

import re
from typing import ClassVar

from ...wire.wire_text import GarbledError
from ..counted_line import CountedLine

ERRORS = "ERRX?"
FORMAT = "FMT 1,1"
"""Values with a header, the source's beside them. ``*RST`` and power-on have another, which tells that it was off."""
_POWER, _FORMAT_QUESTION = b"*ESR?", b"*LRN? 31"
_LF = b"\n"
# What is answered: a question, a reading, a measurement.
_ASKS = re.compile(rb"[*A-Z]+\?|T[IV] ?\d|XE$", re.IGNORECASE)
_ERROR = re.compile(rb'\+?(-?\d+),(".*")', re.DOTALL)


class FlexLine(CountedLine):
    """Sends lines and counts the answers that are owed to them.

    A measurement that runs by itself is told (``XE``), and its data are asked for later, by an empty command.
    """

    errors: ClassVar[str] = ERRORS
    and_errors: ClassVar[str] = f"\n{ERRORS}"

    # -- out and in --------------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send lines; each that asks is owed an answer."""
        super().send(data)
        asking = [line for line in data.split(_LF) if _ASKS.match(line)]
        self._sent_for(len(asking), asking[-1] if asking else b"")

    def begin(self, expected: float) -> None:
        """Give what takes long its time; data that are owed are no reply too many."""
        if self._owed and not self.out_of_step:
            self._bound(self.base_timeout + 1.2 * expected)
            self._stretched = True
            return
        super().begin(expected)

    def ask(self, command: bytes) -> bytes:
        """Send lines, those up to a second one that asks when the first is answered; return the answers."""
        found: list[bytes] = []
        if not command.strip():
            found.append(self.read_reply())
        for lines in _portions(command):
            power = lines == [_POWER]
            self.send(_LF.join([_FORMAT_QUESTION] if power else lines) + _LF)
            asked = self._asked
            if not asked:
                continue
            reply = self.read_reply()
            if power:
                reply = _powered(reply)
            elif asked == ERRORS.encode("ascii"):
                reply = _error(reply)
            found.append(reply)
        return b";".join(found)

    def ask_block(self, command: bytes, size: int | None) -> memoryview:
        """Send a simulator's own question and return the block it is answered with."""
        self.send(command + _LF)
        return self.read_block(size)


def _portions(command: bytes) -> list[list[bytes]]:
    """Return lines in portions that leave together, no two that ask in one."""
    portions: list[list[bytes]] = []
    asked = True
    for line in filter(None, command.split(_LF)):
        asks = bool(_ASKS.match(line))
        if not portions or (asks and asked):
            portions.append([])
            asked = False
        portions[-1].append(line)
        asked = asked or asks
    return portions


def _error(reply: bytes) -> bytes:
    """Return an error as SCPI has it."""
    found = _ERROR.fullmatch(reply)
    if found is None:
        raise GarbledError(repr(reply[:60]))
    return found[1] + b"," + found[2]


def _powered(reply: bytes) -> bytes:
    """Return an event register: whether our format is still set."""
    if b"FMT" not in reply:
        raise GarbledError(repr(reply[:60]))
    return b"0" if FORMAT.replace(" ", "").encode("ascii") in reply else b"128"
