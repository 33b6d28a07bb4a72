"""What every protocol is asked with: a frozen, validated plan that says its cost before anything is sent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import nan
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from ..common.errors import RefusedError, unknown
from ..instruments.array_spec import ArraySpec
from ..instruments.block import Block


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a plan would do at most: cells touched, largest |V|, pulses, bench time [s]; NaN where it does not say."""

    cells: float
    volts_max: float
    pulses: float
    seconds: float


class Plan(BaseModel):
    """Base of all plans: immutable, unknown keys refused with the alternatives named, only finite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise RefusedError(explain(error, type(self))) from None

    def check(self, spec: ArraySpec) -> None:
        """Refuse, before anything is sent, what this array or its limits do not allow; here: cells outside of it."""
        self._cells(spec)

    def forecast(self, spec: ArraySpec) -> Forecast:
        """Return what this plan would do at most on this array; here: how many cells, and no word on the rest."""
        block = self._cells(spec)
        return Forecast(cells=block.size if block is not None else nan, volts_max=nan, pulses=nan, seconds=nan)

    def _cells(self, spec: ArraySpec) -> Block | None:
        cells: object = getattr(self, "cells", None)
        return Block.parse(cells, spec) if isinstance(cells, str) else None


def explain(error: ValidationError, plan: type[BaseModel]) -> str:
    """Return one clear sentence for what is wrong with the parameters of ``plan``."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or "the plan"
    if first["type"] == "extra_forbidden":
        return unknown("parameter", key, plan.model_fields)
    if first["type"] == "missing":
        return f"parameter {key!r} is missing: it has no default"
    field = plan.model_fields.get(str(first["loc"][0])) if first["loc"] else None
    choices = get_args(field.annotation) if field is not None and first["type"] == "literal_error" else ()
    if choices:
        return unknown(f"value of {key!r}", first["input"], [str(choice) for choice in choices])
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return message
    if isinstance(first.get("ctx", {}).get("error"), RefusedError):  # a plan inside this one has said it
        inner = re.sub(r"^((?:unknown )?(?:parameter|value of) ')", rf"\g<1>{key}.", message, count=1)
        return inner if inner != message else f"parameter {key!r} is refused: {message}"
    about = f" ({field.description})" if field is not None and field.description else ""
    return f"parameter {key!r} = {first['input']!r} is refused: {message[0].lower()}{message[1:]}{about}"


def check_pulse(spec: ArraySpec, *, volts: float, width: float, gate: float, channel: str) -> None:
    """Refuse a pulse outside the limits, named for a plan's parameter rather than a wire."""
    spec.limits.check("pulse_volts", volts, channel=channel)
    spec.limits.check("width", width, channel=channel, unit="s")
    spec.check_gate(gate, channel=f"{channel} gate")
