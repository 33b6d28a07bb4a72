"""Numbers of a description with their unit, known or ``unknown``; and what factor leads from a column's unit to SI."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from ...common.errors import RefusedError
from ...common.units import or_text, read_quantity, wanted

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNKNOWN = "unknown"
ZERO_CELSIUS = 273.15
_CELSIUS = re.compile(r"\s*([+-]?\d+(?:\.\d*)?)\s*(?:°\s*C|deg\s*C|C)\s*")
_CELSIUS_UNITS = ("°C", "degC", "deg C", "C")
_PLAIN_UNITS = ("", "1", "count", "counts")
_COLUMN_UNITS = {
    "V": "V, mV",
    "A": "A, mA, uA, nA",
    "S": "S, mS, uS, nS, ohm, kohm, Mohm",
    "s": "s, ms, us, ns, min, h, d",
    "K": "K, °C",
}

LONG_TIMES = {"min": 60.0, "h": 3600.0, "d": 86_400.0}
"""Units of time [s] that a column may be in beside those of SI: what bakes are logged in."""


def read_measure(text: str, unit: str) -> float:
    """Return ``text``, a number with a unit or a plain one in SI, in SI units; a temperature may be in °C."""
    found = _CELSIUS.fullmatch(text) if unit == "K" else None
    return float(found.group(1)) + ZERO_CELSIUS if found else read_quantity(text, unit)


@dataclass(frozen=True, slots=True)
class _Measure:
    """Annotation of a number in ``unit``; with ``maybe`` it may be the word unknown, which is None; or a ``word``."""

    unit: str
    maybe: bool
    word: str = ""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read text before pydantic looks at the number."""
        return core_schema.no_info_before_validator_function(self._read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Take text with a unit, and unknown where it may be."""
        made = or_text({"type": "number"}, self.unit)
        if self.unit == "K":
            made["anyOf"].append({"type": "string", "pattern": f"^{_CELSIUS.pattern}$"})
        if self.maybe:
            made["anyOf"] += [{"const": UNKNOWN}, {"type": "null"}]
        if self.word:
            made["anyOf"].append({"const": self.word})
        return made

    def _read(self, value: object) -> object:
        if isinstance(value, str):
            if self.word and value.strip() == self.word:
                return self.word
            if value.strip() == UNKNOWN:
                if not self.maybe:
                    raise ValueError(f"it cannot be unknown: wanted is {wanted(self.unit)}")
                return None
            return read_measure(value, self.unit)
        if isinstance(value, bool) or not (value is None or isinstance(value, int | float)):
            raise ValueError(f"{value!r} is no number: wanted is {wanted(self.unit)}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{value!r} is not finite: wanted is {wanted(self.unit)}, or unknown")
        return value


Volts = Annotated[float | None, _Measure("V", maybe=True)]
PositiveVolts = Annotated[Annotated[float, Field(gt=0)] | None, _Measure("V", maybe=True)]
NO_GATE: Literal["none"] = "none"
Gate = Annotated[float | Literal["none"] | None, _Measure("V", maybe=True, word=NO_GATE)]
"""A gate voltage [V], unknown, or 'none' where there are no gates."""
Amperes = Annotated[float | None, _Measure("A", maybe=True)]
Siemens = Annotated[float | None, _Measure("S", maybe=True)]
Ohms = Annotated[float | None, _Measure("Ω", maybe=True)]
Seconds = Annotated[float | None, _Measure("s", maybe=True)]
Kelvins = Annotated[float | None, _Measure("K", maybe=True)]
Hertz = Annotated[float, _Measure("Hz", maybe=False)]
KnownSiemens = Annotated[float, _Measure("S", maybe=False)]
KnownVolts = Annotated[float, _Measure("V", maybe=False)]


def to_si(column_unit: str, unit: str, *, where: str) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return what turns numbers of a column into SI.

    Parameters
    ----------
    column_unit : str
        As the description writes it. A conductance may be given as a resistance, a temperature in °C.
    unit : str
        What the quantity is in here: "V", "A", "S", "s", "K", "" for counts.
    where : str
        File and column, for the message.

    Raises
    ------
    RefusedError
        ``column_unit`` is none of ``unit``.
    """
    if not unit:
        if column_unit.strip() in _PLAIN_UNITS:
            return _as_they_are
        raise RefusedError(f"{where}: unit {column_unit!r} of what has none: leave the unit out")
    if not column_unit.strip():
        raise RefusedError(f"{where}: its unit is missing: say unit: {_COLUMN_UNITS[unit].split(',')[0]}, or whichever "
                           f"of {_COLUMN_UNITS[unit]} it is in")  # fmt: skip
    if unit == "K" and column_unit.strip() in _CELSIUS_UNITS:
        return _from_celsius
    if unit == "s" and column_unit.strip() in LONG_TIMES:
        return partial(_scaled, LONG_TIMES[column_unit.strip()])
    with_ohm = ("S", "Ω") if unit == "S" else (unit,)
    for kind in with_ohm:
        try:
            factor = read_quantity(f"1 {column_unit.strip()}", kind)
        except RefusedError:
            continue
        return partial(_inverted if kind == "Ω" else _scaled, factor)
    raise RefusedError(f"{where}: unknown unit {column_unit!r}: choose from {_COLUMN_UNITS[unit]}")


def _as_they_are(values: NDArray[Any]) -> NDArray[Any]:
    return values


def _from_celsius(values: NDArray[Any]) -> NDArray[Any]:
    return values + ZERO_CELSIUS


def _scaled(factor: float, values: NDArray[Any]) -> NDArray[Any]:
    # So that 700 of a column in mV are the very number 0.7.
    return values / round(1.0 / factor) if factor < 1.0 else values * factor


def _inverted(factor: float, values: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    with np.errstate(divide="ignore"):
        return 1.0 / _scaled(factor, values)
