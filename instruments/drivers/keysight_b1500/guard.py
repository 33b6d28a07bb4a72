"""What may be sent to a B1500A as text: one command whose numbers can be read, or a question.

Sweeps and samplings are several settings that act together later: no guard judges them one by one, the driver makes
them of checked numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ....common.errors import RefusedError
from ...limits import Limits

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:E[+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"-?\d{1,5}", re.ASCII)
_FORCE = re.compile(r"DV ?(\d{1,4}) ?,(.*)", re.ASCII)
_SWITCH = re.compile(r"(CN|CL|DZ)((?: ?\d{1,4})(?: ?, ?\d{1,4})*)?", re.ASCII)
_QUESTIONS = re.compile(
    r"\*IDN\?|\*OPC\?|\*STB\?|\*LRN\? ?\d{1,3}|UNT\?( ?[01])?|ERRX?\?( ?[01])?|NUB\?|LOP\?|"
    r"T[IV] ?\d{1,4}( ?, ?-?\d{1,4})?|SIM:CLOC\?",
    re.ASCII,
)
_HARMLESS = re.compile(
    r"AV ?-?\d{1,4}( ?, ?[01])?|AAD ?\d{1,4} ?, ?[01]|AIT ?[01] ?, ?[0-2]( ?, ?\d{1,4})?|AZ ?[01]|"
    r"FL ?[01]( ?, ?\d{1,4}){0,10}|R[IV] ?\d{1,4} ?, ?-?\d{1,4}|CMM ?\d{1,4} ?, ?[0-3]|TSR( ?\d{1,4})?|"
    # Times of a sweep: none runs that has not set its own.
    r"WT ?\d{1,3}(\.\d{1,6})?( ?, ?\d{1,3}(\.\d{1,6})?){4}",
    re.ASCII,
)
_PROGRAM = (
    "its numbers cannot be judged one by one: use on(), level(), sweep() and record() of an SMU; as text go DV with "
    "all its numbers, CN, DZ, CL, questions and readings (*LRN?, TI, TV), averaging and ranges"
)


class Force(NamedTuple):
    """A ``DV``: channel, volts [V], current limit [A]."""

    channel: int
    volts: float
    amps: float


class FlexGuard:
    """Refuses text that exceeds the limits, or cannot be read.

    Parameters
    ----------
    limits : mapping of channel to callable
        What may be asked of it as text now.
    """

    def __init__(self, limits: Mapping[int, Callable[[], Limits]]) -> None:
        self._limits = limits

    def check(self, message: str) -> None:
        """Refuse a message that is neither a question, nor harmless, nor a level within the limits."""
        text = plain(message)
        if _HARMLESS.fullmatch(text) or _QUESTIONS.fullmatch(text):
            return
        if self.switch(message) is not None:
            return
        if not text.startswith("DV"):
            raise RefusedError(f"{text[:60]!r} is refused: {_PROGRAM}")
        self.force(message)

    def asks(self, message: str) -> bool:
        """Return whether a message is answered."""
        return bool(_QUESTIONS.fullmatch(plain(message)))

    def switch(self, message: str) -> tuple[str, tuple[int, ...]] | None:
        """Return the verb and the channels of ``CN``, ``DZ`` or ``CL``; of none is all of ours; else None."""
        match = _SWITCH.fullmatch(plain(message))
        if match is None:
            return None
        named = [int(one) for one in (match[2] or "").replace(" ", "").split(",") if one]
        if match[1] == "CN" and (not named or not set(named) <= set(self._limits)):
            raise RefusedError(f"{message[:60]!r} is refused: name channels of this bench: {self._known()}")
        return match[1], tuple(named) or tuple(self._limits)

    def force(self, message: str) -> Force:
        """Return what a ``DV`` sets.

        Raises
        ------
        RefusedError
            It cannot be read, lacks its current limit, or is outside the limits.
        """
        text = plain(message)
        match = _FORCE.fullmatch(text)
        if match is None or int(match[1]) not in self._limits:
            raise RefusedError(f"{text[:60]!r} is refused: the sources of this bench are channels {self._known()}")
        words = [word.strip() for word in match[2].split(",")]
        if not 3 <= len(words) <= 5 or not all(map(_NUMBER.fullmatch, words[1:3])) or not _all_whole(words):
            raise RefusedError(
                f"{text[:60]!r} is refused: write DV {match[1]},range,volts,amperes: without a current limit it would "
                "have that of before"
            )
        channel, volts, amps = int(match[1]), float(words[1]), float(words[2])
        limits, name = self._limits[channel](), f"DV {match[1]}"
        limits.check("source_volts", volts, channel=name, unit="V")
        limits.check("current", abs(amps), channel=name, unit="A")
        return Force(channel, volts, abs(amps))

    def _known(self) -> str:
        return ", ".join(map(str, self._limits))


def _all_whole(words: list[str]) -> bool:
    return all(_WHOLE.fullmatch(word) for word in (words[0], *words[3:]))


def plain(message: str) -> str:
    """Return a message in capitals; several of them, and what is no ASCII, are refused."""
    if not message.isascii() or not message.isprintable():
        raise RefusedError(f"{message[:60]!r} is refused: one message of plain ASCII at a time")
    text = message.strip().upper()
    if ";" in text:
        raise RefusedError(f"{text[:60]!r} is refused: one command at a time, so that each can be read")
    return text
