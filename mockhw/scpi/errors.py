"""SCPI errors and the queue an instrument keeps them in (SCPI-99 volume 2, chapter 21)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

TEXTS: Final[dict[int, str]] = {
    0: "No error",
    -100: "Command error",
    -101: "Invalid character",
    -102: "Syntax error",
    -104: "Data type error",
    -108: "Parameter not allowed",
    -109: "Missing parameter",
    -113: "Undefined header",
    -114: "Header suffix out of range",
    -121: "Invalid character in number",
    -131: "Invalid suffix",
    -138: "Suffix not allowed",
    -141: "Invalid character data",
    -151: "Invalid string data",
    -161: "Invalid block data",
    -168: "Block data not allowed",
    -170: "Expression error",
    -171: "Invalid expression",
    -200: "Execution error",
    -211: "Trigger ignored",
    -213: "Init ignored",
    -220: "Parameter error",
    -221: "Settings conflict",
    -222: "Data out of range",
    -223: "Too much data",
    -224: "Illegal parameter value",
    -230: "Data corrupt or stale",
    -240: "Hardware error",
    -241: "Hardware missing",
    -310: "System error",
    -350: "Queue overflow",
    -363: "Input buffer overrun",
    -365: "Time out error",
    -410: "Query INTERRUPTED",
    -420: "Query UNTERMINATED",
    -430: "Query DEADLOCKED",
}

QUEUE_LENGTH: Final = 20

# Event status register bits (IEEE 488.2, 11.5.1).
_COMMAND_ERROR, _EXECUTION_ERROR, _DEVICE_ERROR, _QUERY_ERROR = 32, 16, 8, 4


class ScpiError(Exception):
    """What a unit of a program message did wrong.

    Parameters
    ----------
    code : int
        SCPI error number.
    detail : str
        What comes after the standard text and a semicolon: value, limit and place.
    """

    def __init__(self, code: int, detail: str = "") -> None:
        super().__init__(entry(code, detail))
        self.code = code
        self.detail = detail


def entry(code: int, detail: str = "") -> str:
    """Return the reply text of one error, such as ``-222,"Data out of range;volts 6.1 above 5"``."""
    text = TEXTS.get(code, "Device-specific error")
    if detail:
        text = f"{text};{detail}"
    # SCPI: at most 255 characters; a quote inside a string is doubled.
    return f'{code},"{text[:240].replace(chr(34), chr(34) * 2)}"'


def event_bit(code: int) -> int:
    """Return the event status register bit an error of this number sets."""
    if -199 <= code <= -100:
        return _COMMAND_ERROR
    if -299 <= code <= -200:
        return _EXECUTION_ERROR
    if -499 <= code <= -400:
        return _QUERY_ERROR
    return _DEVICE_ERROR


class ErrorQueue:
    """First in, first out; when it overflows the last place says so and what came later is lost.

    Attributes
    ----------
    nothing : str
        What is said of an empty queue; makers differ in it.
    write : callable
        Makes the text of an entry from its number and detail; makers differ in that, too.
    places : int
        How many entries it holds.
    """

    def __init__(self) -> None:
        self.nothing = '0,"No error"'
        self.write: Callable[[int, str], str] = entry
        self.places = QUEUE_LENGTH
        self._entries: deque[str] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def push(self, code: int, detail: str = "") -> None:
        """Put one error in."""
        if len(self._entries) < self.places:
            self._entries.append(self.write(code, detail))
        else:
            self._entries[-1] = self.write(-350, "")

    def pop(self) -> str:
        """Take the oldest entry out; :attr:`nothing` when there is none."""
        return self._entries.popleft() if self._entries else self.nothing

    def pop_all(self) -> str:
        """Take every entry out, joined by commas."""
        if not self._entries:
            return self.pop()
        text = ",".join(self._entries)
        self._entries.clear()
        return text

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
