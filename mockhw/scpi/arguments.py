"""Parameters of program messages: what a command accepts and how the text becomes a value (IEEE 488.2, chapter 7)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from .errors import ScpiError

_NUMBER: Final = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:\s*[eE]\s*([+-]?\d+))?\s*([A-Za-z%/]*)\Z")
_WHOLE: Final = re.compile(r"#(?:[hH]([0-9A-Fa-f]+)|[qQ]([0-7]+)|[bB]([01]+))\Z")
_BASED: Final = re.compile(r"#[hHqQbB]")
_NOT_A_NUMBER: Final = {"NAN", "INF", "NINF", "INFINITY", "+INF", "-INF", "+NAN", "-NAN", "-INFINITY", "+INFINITY"}
_PREFIXES: Final = {
    "": 1.0, "T": 1e12, "G": 1e9, "MA": 1e6, "K": 1e3, "M": 1e-3, "U": 1e-6, "N": 1e-9, "P": 1e-12, "F": 1e-15,
}  # fmt: skip


def based(token: str) -> float | None:
    """Return what a number in base 16, 8 or 2 stands for (IEEE 488.2, 7.7.4); None when it is none.

    Raises
    ------
    ScpiError
        -121 for a digit that its base has not, -222 for a number beyond all numbers.
    """
    match = _WHOLE.match(token)
    if match is None:
        if _BASED.match(token):
            raise ScpiError(-121, token)
        return None
    digits, base = next((text, base) for text, base in zip(match.groups(), (16, 8, 2), strict=True) if text)
    try:
        return float(int(digits, base))
    except OverflowError:
        raise ScpiError(-222, f"{token[:20]}… is too large a number") from None


Bound = float | Callable[[], float]
"""A limit, or where to ask for it."""


@dataclass(frozen=True, slots=True)
class BlockRef:
    """The place of one block of a message; the payload is filled in when the message runs."""

    index: int


@dataclass(frozen=True, slots=True)
class Quoted:
    """A string in quotes."""

    text: str


Token = str | BlockRef | Quoted


class Parameter(Protocol):
    """What a command table says about one argument."""

    @property
    def name(self) -> str:
        """What errors call it."""
        ...

    @property
    def optional(self) -> bool:
        """Whether it may be left out."""
        ...

    def convert(self, token: Token) -> Any:
        """Return the value of ``token``.

        Raises
        ------
        ScpiError
            If it is of another type, or out of range.
        """
        ...


@dataclass(frozen=True)
class Number:
    """A number: decimal with an optional unit, or ``#H``, ``#Q`` or ``#B`` and digits.

    Parameters
    ----------
    name : str
        What errors call it.
    unit : str
        SI unit in capitals (``V``, ``S``, ``A``, ``OHM``, ``HZ``, ``SIE``); empty when the number takes no suffix.
    low, high : float or callable
        Limits, both included; also what ``MIN`` and ``MAX`` mean.
    default : float, optional
        What ``DEF`` means; without it the word is refused.
    words : dict
        Further words it takes, and their values.
    """

    name: str
    unit: str = ""
    low: Bound = -math.inf
    high: Bound = math.inf
    default: Any = None
    words: dict[str, Any] | None = None
    optional: bool = False

    def limit(self, word: str) -> Any:
        """Return what ``MIN``, ``MAX`` or ``DEF`` stand for."""
        bound = {"MIN": self.low, "MAX": self.high, "DEF": self.default}[word]
        value = bound() if callable(bound) else bound
        if value is None or value in (math.inf, -math.inf):
            raise ScpiError(-141, f"{self.name} has no {word}")
        return value

    def convert(self, token: Token) -> Any:
        """Return the number in SI units."""
        if not isinstance(token, str):
            raise ScpiError(-168 if isinstance(token, BlockRef) else -104, f"{self.name} is a number")
        value = self._parse(token)
        if isinstance(value, float):
            low = self.low() if callable(self.low) else self.low
            high = self.high() if callable(self.high) else self.high
            if not low <= value <= high:
                word, bound = ("above", high) if value > high else ("below", low)
                raise ScpiError(-222, f"{self.name} {value:.9g} {word} {bound:.9g}")
        return value

    def _parse(self, token: str) -> Any:
        match = _NUMBER.match(token)
        if match is None:
            whole = based(token)
            return self._word(token) if whole is None else whole
        mantissa, exponent, suffix = match.groups()
        value = float(f"{mantissa}e{exponent}") if exponent else float(mantissa)
        if suffix:
            value *= self._scale(suffix)
        if not math.isfinite(value):
            raise ScpiError(-222, f"{self.name} {token} is not finite")
        return value

    def _scale(self, suffix: str) -> float:
        suffix = suffix.upper()
        if not self.unit:
            raise ScpiError(-138, f"{self.name} takes no unit, got {suffix}")
        if not suffix.endswith(self.unit):
            raise ScpiError(-131, f"{self.name} is in {self.unit}, got {suffix}")
        prefix = suffix[: -len(self.unit)]
        if prefix == "M" and self.unit in ("OHM", "HZ"):  # IEEE 488.2, 7.7.3: MOHM and MHZ are mega
            return 1e6
        if prefix not in _PREFIXES:
            raise ScpiError(-131, f"{self.name} is in {self.unit}, got {suffix}")
        return _PREFIXES[prefix]

    def _word(self, token: str) -> Any:
        word = token.upper()
        if self.words and word in self.words:
            return self.words[word]
        if word in _NOT_A_NUMBER:
            raise ScpiError(-222, f"{self.name} {token} is not finite")
        for short, long in (("MIN", "MINIMUM"), ("MAX", "MAXIMUM"), ("DEF", "DEFAULT")):
            if word in (short, long):
                return self.limit(short)
        if token[:1].isalpha():
            raise ScpiError(-141 if self.words else -104, f"{self.name} is a number, got {token}")
        raise ScpiError(-121 if token[:1] in "+-.0123456789" else -161 if token[:1] == "#" else -102, token)


@dataclass(frozen=True)
class Integer(Number):
    """A whole number; IEEE 488.2 rounds what has a fraction."""

    def convert(self, token: Token) -> Any:
        """Return the number, rounded."""
        value = super().convert(token)
        return round(value) if isinstance(value, (int, float)) else value


@dataclass(frozen=True)
class Boolean:
    """``ON``, ``OFF``, ``1`` or ``0``, the digit in any base."""

    name: str
    optional: bool = False

    def convert(self, token: Token) -> bool:
        """Return the truth value."""
        if not isinstance(token, str):
            raise ScpiError(-104, f"{self.name} is ON or OFF")
        word = token.upper()
        if word in ("ON", "1"):
            return True
        if word in ("OFF", "0"):
            return False
        whole = based(token)
        if whole in (0.0, 1.0):
            return whole == 1.0
        raise ScpiError(-224, f"{self.name} {token} is none of ON, OFF, 1, 0")


@dataclass(frozen=True)
class Choice:
    """One of a few words, each in short or long form (``LINear``); others get the error ``unknown``."""

    name: str
    words: tuple[str, ...]
    unknown: int = -224
    optional: bool = False

    def convert(self, token: Token) -> str:
        """Return the short form in capitals."""
        if not isinstance(token, str):
            raise ScpiError(-104, f"{self.name} is one of {', '.join(self.words)}")
        for word in self.words:
            short = "".join(c for c in word if not c.islower())
            if token.upper() in (short, word.upper()):
                return short
        raise ScpiError(self.unknown, f"{self.name} {token} is none of {', '.join(self.words)}")


@dataclass(frozen=True)
class Text:
    """A string in single or double quotes."""

    name: str
    optional: bool = False

    def convert(self, token: Token) -> str:
        """Return what stands between the quotes."""
        if isinstance(token, Quoted):
            return token.text
        raise ScpiError(-104, f"{self.name} is a string in quotes")


@dataclass(frozen=True)
class Block:
    """A definite-length binary block; its handler gets a memoryview of the payload."""

    name: str
    optional: bool = False

    def convert(self, token: Token) -> BlockRef:
        """Return the place of the payload."""
        if isinstance(token, BlockRef):
            return token
        broken = isinstance(token, str) and token.startswith("#")
        raise ScpiError(-161 if broken else -104, f"{self.name} is a definite-length block")
