"""Numbers with their unit as people write them, ``200ns``, ``1.2 V``, ``10 kohm``: the only reader there is of them.

Inside, everything is SI; a plain number is taken as one. Whoever reads a number of a known unit from text or a file
reads it here: plans, presets and ``--set``, expectations, options of commands by hand, files of stations, benches,
chips and profiles.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from .errors import RefusedError

FRACTION = "fraction"
"""The unit of shares, which may be written in per cent."""

_PREFIXES = {"f": -15, "p": -12, "n": -9, "u": -6, "µ": -6, "μ": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9}
_OHM = ("Ω", "Ω", "ohm", "Ohm", "ohms", "Ohms")  # the letter and the sign are two characters
_SPELLINGS = {"Ω": _OHM, "ohm": _OHM}
_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d{1,6}))?\s*")
_NOT_FINITE = re.compile(r"\s*[+-]?(?:nan|inf)", re.IGNORECASE)
_LONGEST = 60


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a unit is of, and how it may be written."""

    of: str
    examples: str


_KINDS = {
    "V": _Kind("a voltage", "1.2, 1.2V or 200mV"),
    "A": _Kind("a current", "50e-6, 50uA or 1.5 mA"),
    "S": _Kind("a conductance", "50e-6, 50uS or 0.2 mS"),
    "Ω": _Kind("a resistance", "10e3, 10kohm or 2.2 MΩ"),
    "s": _Kind("a time", "200e-9, 200ns or 1.5 ms"),
    "J": _Kind("an energy", "3e-6, 3uJ or 0.2 mJ"),
    "V/s": _Kind("a slew", "1e9, 1V/ns or 5 MV/s"),
    "S/V": _Kind("a conductance per volt", "60e-6 or 60uS/V"),
    "F": _Kind("a capacitance", "1e-15, 1fF or 20 pF"),
    "Hz": _Kind("a frequency", "1e6, 1MHz or 50 Hz"),
    "K": _Kind("a temperature", "300 or 300K"),
    "eV": _Kind("an energy", "1.1, 1.1eV or 25 meV"),
    "dB": _Kind("a ratio", "12 or 12 dB"),
    FRACTION: _Kind("a share", "0.95 or 95 %"),
}
_KINDS["ohm"] = _KINDS["Ω"]


def wanted(unit: str) -> str:
    """Return what a number in ``unit`` is and how it may be written: "a time in s, like 200e-9, 200ns or 1.5 ms"."""
    kind = _KINDS.get(unit)
    if unit == FRACTION and kind is not None:
        return f"{kind.of}, like {kind.examples}"
    return f"a number in {unit}" if kind is None else f"{kind.of} in {unit}, like {kind.examples}"


def unit_of(description: str | None) -> str:
    """Return the unit in brackets of a description, ``largest voltage [V]`` or ``[V, magnitudes]``; "" for none."""
    for said in re.findall(r"\[([^\[\]\s,]+)[^\[\]]*\]", description or ""):
        if said in _KINDS:
            return cast("str", said)
    return ""


def read_quantity(text: str, unit: str) -> float:
    """Return ``text`` in SI units: a number, or a number with a unit.

    Parameters
    ----------
    unit : str
        What the number is in: "V", "A", "S", "Ω", "s", "J", "V/s", …, or :data:`FRACTION`.

    Raises
    ------
    RefusedError
        It is no number, not finite, or in another unit. The sentence does not name the field: its reader does.
    """
    return _read(text, unit, plain=True)


def si_number(value: object, unit: str) -> Any:
    """Return ``value`` with every text that carries a unit as a number in SI units, lists item by item.

    Numbers are as they were. So is text without a unit, which whoever asked takes or refuses as text.

    Raises
    ------
    RefusedError
        As :func:`read_quantity`.
    """
    if isinstance(value, str):
        return value if _is_plain(value) else _read(value, unit, plain=False)
    if isinstance(value, list | tuple):
        kind: Any = cast("Any", type(value))
        return kind(si_number(item, unit) for item in cast("list[Any]", value))
    return value


def _is_plain(text: str) -> bool:
    return len(text) <= _LONGEST and _NUMBER.fullmatch(text) is not None


def _read(text: str, unit: str, *, plain: bool) -> float:
    found = _NUMBER.match(text) if len(text) <= _LONGEST else None
    shown = repr(text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…")
    if found is None:
        lacking = "is not a finite number" if _NOT_FINITE.match(text) else "is no number"
        raise RefusedError(f"{shown} {lacking}: wanted is {wanted(unit)}", value=text)
    given = text[found.end() :].strip()
    power = 0 if plain and not given else _scales(unit).get(given)
    if power is None:
        lacking = "is no share" if unit == FRACTION else f"is not in {unit}"
        raise RefusedError(f"{shown} {lacking}: wanted is {wanted(unit)}", value=text)
    # As one decimal number, so that 200ns is the very number 200e-9 is.
    value = float(f"{found.group(1)}e{int(found.group(2) or 0) + power}")
    if not math.isfinite(value):
        raise RefusedError(f"{shown} is not a finite number: wanted is {wanted(unit)}", value=text)
    return value


@lru_cache(maxsize=64)
def _scales(unit: str) -> Mapping[str, int]:
    """Return every way to write ``unit`` → the power of ten it stands for."""
    if unit == FRACTION:
        return {"%": -2}
    over, slash, under = unit.partition("/")
    name, _, exponent = under.partition("^")
    times = int(exponent or 1)
    after = {"": 0}
    if slash:
        after = {f"/{way}{'^' + exponent if exponent else ''}": -times * p for way, p in _ways(name).items()}
    return {before + rest: p + q for before, p in _ways(over).items() for rest, q in after.items()}


def _ways(name: str) -> dict[str, int]:
    if name == "1":
        return {"1": 0}
    spelled = _SPELLINGS.get(name, (name,))
    return {prefix + spelling: power for prefix, power in _PREFIXES.items() for spelling in spelled}


def or_text(schema: Mapping[str, Any], unit: str) -> dict[str, Any]:
    """Return a JSON Schema of numbers in ``unit`` as one that takes text with a unit too."""
    ways = "|".join(re.escape(way) for way in _scales(unit))
    text = {"type": "string", "maxLength": _LONGEST, "pattern": rf"^{_NUMBER.pattern}(?:{ways})\s*$"}
    return _or(schema, text)


def _or(schema: Mapping[str, Any], text: dict[str, Any]) -> dict[str, Any]:
    found = dict(schema)
    if found.get("type") in {"number", "integer"}:
        own = {key: found.pop(key) for key in ("title", "description", "default") if key in found}
        return {**own, "anyOf": [found, text]}
    for key in ("anyOf", "prefixItems"):
        if key in found:
            found[key] = [_or(each, text) for each in found[key]]
    if isinstance(found.get("items"), Mapping):
        found["items"] = _or(found["items"], text)
    return found
