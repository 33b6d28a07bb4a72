"""What may be sent to a 4200A as text: one command whose numbers can be read, or a question.

Tests, sweeps and pulses are programs of many settings: no guard judges them one by one, the driver makes them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ....common.errors import RefusedError
from ...limits import Limits

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:E[+-]?\d+)?", re.ASCII)
_FORCE = re.compile(r"DV ?(\d)(?: ?,(.*))?", re.ASCII)
_QUESTIONS = re.compile(
    r"\*IDN\?|\*OPT\?|SP|:ERROR:LAST:GET|T[IV] ?\d|DO '\w{1,7}'|RD '\w{1,7}' ?, ?\d{1,5}|:PMU:TEST:STATUS\?|"
    r":PMU:DATA:COUNT\? \d|:PMU:DATA:GET \d( ?, ?\d{1,6}){0,2}( ?, ?[VITS][HL]?){0,8}|SIM:CLOC\?",
    re.ASCII,
)
_HARMLESS = re.compile(
    r":ERROR:LAST:CLEAR|US|BC|IT ?[123]|IT ?4( ?, ?[\d.]{1,9}){3}|RG ?\d ?, ?[\d.E+-]{1,12}|"
    r":PMU:OUTPUT:STATE \d ?, ?0|:PMU:ABORT",
    re.ASCII,
)
_PROGRAM = (
    "the numbers of a test cannot be judged one by one: use sweep() of an SMU, pulses(), waveform() or pulse_iv() of "
    "the pulse card; as text go DV, questions (TI, TV, DO, SP, :PMU:DATA:GET …) and what switches off"
)


class KxciGuard:
    """Refuses text that exceeds the limits, or cannot be read.

    Parameters
    ----------
    limits : mapping of SMU number to callable
        What may be asked of it as text now.
    """

    def __init__(self, limits: Mapping[int, Callable[[], Limits]]) -> None:
        self._limits = limits

    def check(self, message: str) -> None:
        """Refuse a message that is neither a question, nor harmless, nor a level within the limits."""
        text = _plain(message)
        if _HARMLESS.fullmatch(text) or _QUESTIONS.fullmatch(text):
            return
        if not text.startswith("DV"):
            raise RefusedError(f"{text[:60]!r} is refused: {_PROGRAM}")
        self.force(message)

    def asks(self, message: str) -> bool:
        """Return whether a message is answered by more than its acknowledgement."""
        return bool(_QUESTIONS.fullmatch(_plain(message)))

    def force(self, message: str) -> tuple[int, float | None, float | None]:
        """Return channel, volts and amperes of a ``DV``; None where it switches off.

        Raises
        ------
        RefusedError
            It cannot be read, or is outside the limits.
        """
        text = _plain(message)
        match = _FORCE.fullmatch(text)
        if match is None or int(match[1]) not in self._limits:
            known = ", ".join(f"DV{number}" for number in self._limits)
            raise RefusedError(f"{text[:60]!r} is refused: the sources of this bench are {known}")
        number = int(match[1])
        if match[2] is None:
            return number, None, None
        words = [word.strip() for word in match[2].split(",")]
        if len(words) != 3 or not all(_NUMBER.fullmatch(word) for word in words):
            raise RefusedError(f"{text[:60]!r} is refused: write DV{number}, source range, volts, amperes, all of them")
        volts, amps = float(words[1]), float(words[2])
        limits, channel = self._limits[number](), f"DV{number}"
        limits.check("source_volts", volts, channel=channel, unit="V")
        limits.check("current", amps, channel=channel, unit="A")
        return number, volts, amps


def _plain(message: str) -> str:
    """Return a message in capitals; several of them, and what is no ASCII, are refused."""
    if not message.isascii() or not message.isprintable():
        raise RefusedError(f"{message[:60]!r} is refused: one message of plain ASCII at a time")
    text = message.strip().upper()
    if ";" in text:
        raise RefusedError(f"{text[:60]!r} is refused: one command at a time, so that each can be read")
    return text
