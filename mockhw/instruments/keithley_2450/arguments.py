"""Parameters that only a Keithley 2450 has: function names, buffer names, buffer elements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ...scpi.arguments import Choice, Number, Quoted, Token
from ...scpi.errors import ScpiError
from .buffer import BY_WORD, no_such_element

_FUNCTIONS: Final = {
    "CURR": "CURR", "CURRENT": "CURR", "CURR:DC": "CURR", "CURRENT:DC": "CURR", "VOLT": "VOLT", "VOLTAGE": "VOLT",
    "VOLT:DC": "VOLT", "VOLTAGE:DC": "VOLT", "RES": "RES", "RESISTANCE": "RES",
}  # fmt: skip


@dataclass(frozen=True)
class MeasureFunction:
    """A measure function in quotes: ``"CURR"``, ``"VOLTage:DC"``, ``"RES"``."""

    name: str = "function"
    optional: bool = False

    def convert(self, token: Token) -> str:
        """Return ``CURR``, ``VOLT`` or ``RES``."""
        if not isinstance(token, Quoted):
            raise ScpiError(-104, f"{self.name} is a name in quotes")
        found = _FUNCTIONS.get(token.text.strip().upper())
        if found is None:
            raise ScpiError(-224, f"{self.name} {token.text} is none of CURR, VOLT, RES")
        return found


@dataclass(frozen=True)
class Element:
    """A buffer element, in short or long form."""

    name: str = "element"
    optional: bool = True

    def convert(self, token: Token) -> str:
        """Return the element as the manual writes it."""
        found = BY_WORD.get(token.upper()) if isinstance(token, str) else None
        if found is None:
            raise no_such_element()
        return found


@dataclass(frozen=True)
class Style(Choice):
    """A choice that may be left empty after its comma, as QCoDeS sends it."""

    def convert(self, token: Token) -> Any:
        """Return the short form, of the first word when nothing is there."""
        return super().convert(self.words[0] if token == "" else token)


@dataclass(frozen=True)
class Loose:
    """A string in quotes or a number: what a template is loaded with depends on the template."""

    name: str = "value"
    optional: bool = True

    def convert(self, token: Token) -> str | float:
        """Return text or number."""
        return token.text if isinstance(token, Quoted) else float(Number(self.name, "S").convert(token))
