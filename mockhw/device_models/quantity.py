"""A number that remembers its unit and where it came from."""

from __future__ import annotations

import math
from typing import Annotated, Any, cast

from pydantic import AfterValidator, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from ...common.units import si_number

_KEYS = ("value", "unit", "source")


class Quantity(float):
    """A float with ``unit`` and ``source``; computes like any float.

    In a profile it is written ``{value: 5.0, unit: V, source: "..."}``; the source may be the
    word "assumed", with a reason. A bare number is refused. The value may be text with a prefix, ``200 mV``.
    """

    unit: str
    source: str

    def __new__(cls, value: float, unit: str, source: str) -> Quantity:
        """Make a float that carries ``unit`` and ``source``."""
        self = super().__new__(cls, value)
        self.unit = unit
        self.source = source
        return self

    def __reduce__(self) -> tuple[type[Quantity], tuple[float, str, str]]:
        return Quantity, (float(self), self.unit, self.source)

    def __repr__(self) -> str:
        return f"{float(self):g} {self.unit}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let pydantic build a quantity from its three-key mapping."""
        return core_schema.no_info_plain_validator_function(cls._parse)

    @classmethod
    def _parse(cls, raw: object) -> Quantity:
        if isinstance(raw, Quantity):
            return raw
        if not isinstance(raw, dict):
            raise ValueError(f"{raw!r} needs a source: write {{value: {raw}, unit: ..., source: ...}}")
        mapping = cast("dict[str, object]", raw)
        strange = sorted(set(mapping) - set(_KEYS))
        missing = sorted(set(_KEYS) - set(mapping))
        if strange or missing:
            raise ValueError(f"a quantity has the keys {', '.join(_KEYS)}; unknown {strange}, missing {missing}")
        value = si_number(mapping["value"], str(mapping["unit"]))
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"value {value!r} is not a finite number")
        origin = mapping["source"]
        if not isinstance(origin, str) or not origin.strip():
            raise ValueError("source is empty: name where the number comes from, or write 'assumed' and why")
        return cls(float(value), str(mapping["unit"]), origin)


def _unit_check(unit: str) -> AfterValidator:
    def check(quantity: Quantity) -> Quantity:
        if quantity.unit != unit:
            raise ValueError(f"unit {quantity.unit!r} is not accepted here: give the value in {unit!r}")
        return quantity

    return AfterValidator(check)


Volt = Annotated[Quantity, _unit_check("V")]
Ampere = Annotated[Quantity, _unit_check("A")]
Ohm = Annotated[Quantity, _unit_check("ohm")]
Siemens = Annotated[Quantity, _unit_check("S")]
Farad = Annotated[Quantity, _unit_check("F")]
Second = Annotated[Quantity, _unit_check("s")]
Kelvin = Annotated[Quantity, _unit_check("K")]
ElectronVolt = Annotated[Quantity, _unit_check("eV")]
PerVolt = Annotated[Quantity, _unit_check("1/V")]
PerVoltSquared = Annotated[Quantity, _unit_check("1/V^2")]
Transconductance = Annotated[Quantity, _unit_check("A/V^2")]
SiemensPerVolt = Annotated[Quantity, _unit_check("S/V")]
Plain = Annotated[Quantity, _unit_check("1")]
