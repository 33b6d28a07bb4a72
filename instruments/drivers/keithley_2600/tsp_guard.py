"""What may be sent to a 2600B as text: one setting, or questions, whose numbers can be read.

No guard can judge numbers that Lua computes: loops, calls and several statements in a line are refused. The scripts the
driver makes by itself go another way (``scripts.py``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ....common.errors import RefusedError
from ...limits import Limits

_SETTING = re.compile(r"(smu[ab])\.([a-z][a-z0-9_.]*)\s*=\s*(\S+)", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_CONSTANT = re.compile(r"smu[ab]\.([A-Z][A-Z_0-9]*)", re.ASCII)
_QUOTED = r"(\"[^\"\\]*\"|'[^'\\]*')"
_CALLS = re.compile(
    rf"errorqueue\.clear\(\)|smu[ab]\.nvbuffer[12]\.clear\(\)|timer\.reset\(\)|display\.clear\(\)|"
    rf"display\.settext\({_QUOTED}\)|beeper\.beep\([\d., ]+\)|"
    r"display\.screen\s*=\s*display\.[A-Z_]+|display\.smu[ab]\.(?:measure\.func|digits)\s*=\s*[\w.]+",
    re.ASCII,
)
_ASKED = re.compile(
    r"(?:(?:smu[ab]|localnode|status|errorqueue|format|display|timer)(?:\.[A-Za-z_]\w*)+(?:\[\d+\])?|"
    r"smu[ab]\.measure\.(?:i|v|r|p|iv)\(\)|errorqueue\.next\(\)|timer\.measure\.t\(\))",
    re.ASCII,
)
_COMMON_QUESTIONS = frozenset({"*IDN?", "*ESR?", "*STB?", "*OPC?", "*ESE?", "*SRE?"})
_COMMON = frozenset({"*CLS"})
_CONSTANTS = {
    "OUTPUT_OFF": 0.0, "OUTPUT_ON": 1.0, "OUTPUT_DCVOLTS": 1.0, "OUTPUT_DCAMPS": 0.0, "SENSE_LOCAL": 0.0,
    "SENSE_REMOTE": 1.0, "AUTORANGE_OFF": 0.0, "AUTORANGE_ON": 1.0, "AUTOZERO_OFF": 0.0, "AUTOZERO_ONCE": 1.0,
    "AUTOZERO_AUTO": 2.0, "DISABLE": 0.0, "ENABLE": 1.0, "FILTER_OFF": 0.0, "FILTER_ON": 1.0, "DELAY_OFF": 0.0,
}  # fmt: skip
# Besides what is judged: settings that put nothing on a terminal.
_FREE = frozenset(
    {
        "source.rangev", "source.autorangev", "source.rangei", "source.autorangei", "source.delay", "source.settling",
        "source.highc", "measure.rangei", "measure.autorangei", "measure.rangev", "measure.autorangev", "measure.nplc",
        "measure.autozero", "measure.count", "measure.interval", "measure.delay", "measure.lowrangei",
        "measure.filter.enable", "measure.filter.count", "measure.filter.type",
        *(
            f"nvbuffer{number}.{name}"
            for number in (1, 2)
            for name in ("appendmode", "collecttimestamps", "collectsourcevalues", "fillmode", "cachemode")
        ),
    }
)  # fmt: skip
_ONLY = {"source.output": (0.0, 1.0), "source.func": (1.0,), "sense": (0.0,)}
_WHY = {
    "source.func": "this bench sources volts and measures amperes: use on(volts, compliance=…)",
    "source.leveli": "this bench sources volts and measures amperes: use on(volts, compliance=…)",
    "source.limitv": "this bench sources volts and measures amperes: its limit is that of the current",
    "source.offmode": "use configure(off_state=…)",
    "sense": "the leads are two: a sense line that is open would drive the source to its end",
}
_SCRIPT = (
    "numbers that a script computes cannot be checked: use sweep(), pulse_train() or record(), or send one setting "
    "(smua.source.levelv = 0.1) or one question (smua.measure.i()) at a time"
)


class TspGuard:
    """Reads what is sent as text and refuses what exceeds the limits, or cannot be read.

    Parameters
    ----------
    limits : mapping of channel to callable
        What may be asked of ``smua`` and of ``smub`` as text now.
    """

    def __init__(self, limits: Mapping[str, Callable[[], Limits]]) -> None:
        self._limits = limits

    def check(self, message: str) -> None:
        """Refuse a line that is to be sent and is not one setting, or one harmless call."""
        text = _plain(message)
        if text in _COMMON or _CALLS.fullmatch(text):
            return
        if not _SETTING.fullmatch(text):
            raise RefusedError(f"{_shown(text)} is refused: {_SCRIPT}")
        channel, name, value = self.setting(text)
        if name == "source.levelv":
            self._limits[channel]().check("source_volts", value, channel=f"{channel}.{name}", unit="V")
        elif name == "source.limiti":
            self._limits[channel]().check("current", value, channel=f"{channel}.{name}", unit="A")
        elif name in _ONLY:
            if value not in _ONLY[name]:
                words = " or ".join(f"{one:g}" for one in _ONLY[name])
                raise RefusedError(
                    f"{_shown(text)} is refused: on this bench it is {words}; {_WHY.get(name, 'use on()')}"
                )
        elif name not in _FREE:
            why = _WHY.get(name, "it is not among the settings that are sent as text: use the driver's methods")
            raise RefusedError(f"{channel}.{name} is refused: {why}")

    def check_question(self, text: str) -> None:
        """Refuse what is to be asked for and is more than attributes and readings."""
        text = _plain(text)
        if text in _COMMON_QUESTIONS:
            return
        inner = text[6:-1] if text.startswith("print(") and text.endswith(")") else text
        if not inner or not all(_ASKED.fullmatch(part.strip()) for part in inner.split(",")):
            raise RefusedError(f"{_shown(text)} is refused as a question: {_SCRIPT}")

    @staticmethod
    def setting(message: str) -> tuple[str, str, float]:
        """Return channel, name and value of a setting.

        Raises
        ------
        RefusedError
            It has no plain number.
        """
        found = _SETTING.fullmatch(_plain(message))
        if found is None:
            raise RefusedError(f"{_shown(message)} is no setting")
        channel, name, text = found.groups()
        constant = _CONSTANT.fullmatch(text)
        if constant is not None and constant[1] in _CONSTANTS:
            return channel, name, _CONSTANTS[constant[1]]
        if text in {"true", "false"}:
            return channel, name, float(text == "true")
        if not _NUMBER.fullmatch(text):
            raise RefusedError(f"{channel}.{name} = {_shown(text)}: write a plain number so it can be checked")
        return channel, name, float(text)


def _plain(message: str) -> str:
    text = message.strip()
    if not text.isascii() or not text.isprintable():
        raise RefusedError(
            f"{_shown(text)} holds several lines, or characters that are not ASCII: send one line at a time"
        )
    return text


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
