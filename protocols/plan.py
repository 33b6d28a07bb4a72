"""What every protocol is asked with: a frozen, validated plan that says its cost before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from math import isfinite, nan
from pathlib import Path
from typing import Annotated, Any, ClassVar, cast, get_args, get_origin

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema

from ..analysis.quantities import HIGH, LOW
from ..common import plugins
from ..common.errors import RefusedError, alternatives
from ..common.units import largest, or_text, si_number, unit_of
from ..instruments.array_spec import ArraySpec
from ..instruments.block import Block
from ..instruments.capabilities import CrossbarArray

_SHOWN = 200  # characters of a refused value


RuleName = Annotated[str, AfterValidator(partial(plugins.offered_name, plugins.UPDATE_RULES))]
"""The name of an update rule that somebody offers."""


def with_intervals(*names: str) -> frozenset[str]:
    """Return metrics that come with the two ends of their 95 % interval."""
    return frozenset(name + end for name in names for end in ("", LOW, HIGH))


def _is_odd(value: object) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_is_odd, value))  # pyright: ignore[reportUnknownArgumentType]
    return isinstance(value, bool | np.bool_ | np.ma.MaskedArray)


def _is_beyond(value: object, most: float) -> bool:
    if isinstance(value, dict):
        return any(_is_beyond(each, most) for each in cast("dict[Any, Any]", value).values())
    if isinstance(value, list | tuple):
        return any(_is_beyond(each, most) for each in cast("list[Any]", value))
    if isinstance(value, float) and not isfinite(value):
        return False  # has a sentence of its own
    return isinstance(value, int | float) and abs(value) > most


def _takes(annotation: Any, *kinds: Any) -> bool:
    return annotation in kinds or any(_takes(part, *kinds) for part in get_args(annotation))


def _whole_path(text: str) -> str:
    """Return the path of a file from the root; what is no file as it is, for whoever reads it to refuse."""
    try:
        place = Path(text).expanduser()
    except RuntimeError:  # ~ of nobody
        return text
    return str(place.resolve()) if place.is_file() else text


def _unit(field: FieldInfo) -> str:
    """Return the unit a parameter is in, "" for text and for numbers without one."""
    takes = _takes(field.annotation, float, int) and not _takes(field.annotation, str)
    return unit_of(field.description) if takes else ""


def _own(field: FieldInfo, bound: str) -> float | None:
    """Return a bound that a parameter names itself, "ge", "gt", "le" or "lt"; None for none."""
    return next((float(getattr(one, bound)) for one in field.metadata if hasattr(one, bound)), None)


def most_of(field: FieldInfo) -> float | None:
    """Return the largest magnitude of a number, or of each of several; None for no number, or where it names its own.

    Arrays may allow less: :meth:`Plan.check` asks them. This bound is for slips of the pen, for which no array has a
    limit: a wait of 10³⁰⁰ s, 10⁹ cycles.
    """
    own = _own(field, "le") or _own(field, "lt")  # less than 0 says nothing of the magnitude
    if not _takes(field.annotation, int, float) or own:
        return None
    return largest(_unit(field), whole=not _takes(field.annotation, float))


def _range(field: FieldInfo, most: float) -> str:
    unit = _unit(field)
    most_said = f"{most:g}{f' {unit}' if unit else ''}"
    low, above = _own(field, "ge"), _own(field, "gt")
    if low is not None:
        return f"choose {low:g} to {most_said}"
    if above is not None:
        return f"choose more than {above:g} and at most {most_said}"
    return f"choose a magnitude of at most {most_said}"


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a plan would do at most: cells touched, largest |V|, pulses, bench time [s]; NaN where it does not say."""

    cells: float
    volts_max: float
    pulses: float
    seconds: float


class ParameterError(RefusedError):
    """What is wrong with one parameter of a plan: ``<what> '<where>'<rest>``.

    Attributes
    ----------
    where : str
        The parameter, with dots where it is a part of another one.
    """

    def __init__(self, what: str, where: str, rest: str) -> None:
        super().__init__(f"{what} {where!r}{rest}")
        self.where, self._what, self._rest = where, what, rest

    def inside(self, key: str) -> ParameterError:
        """Return the same of a parameter that is a part of ``key``."""
        return ParameterError(self._what, f"{key}.{self.where}", self._rest)


class Plan(BaseModel):
    """Base of all plans: immutable, unknown keys refused with the alternatives named, only finite and sane numbers.

    A parameter whose description has its unit in brackets, ``Field(description="pulse width [s]")``, may be written
    with it: ``width="200ns"``. Plain numbers are in SI units. Its unit also says what no one means (:func:`most_of`);
    one that may be larger says so with ``le=``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    renews: ClassVar[bool] = False
    """Whether the step measures anew what later steps look up in the chip's account (:meth:`known`)."""

    own_files: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Parameters that name a file of the user's own, each with the names that are something shipped instead."""

    def __init__(self, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise explain(error, type(self)) from None

    def measures(self) -> frozenset[str] | None:
        """Return the names of the metrics this step can give; None where it does not say."""
        return None

    def files(self) -> tuple[Path, ...]:
        """Return the files of a user's own that it reads: a run goes on with them unchanged, from whatever folder."""
        told = [(str(getattr(self, name) or ""), shipped) for name, shipped in self.own_files.items()]
        return tuple(Path(value) for value, shipped in told if value and value not in shipped)

    @field_validator("*", mode="before")
    @classmethod
    def _plain(cls, value: object, info: ValidationInfo) -> object:
        # pydantic makes 1 of True, and NumPy drops a mask.
        field = cls.model_fields[info.field_name or ""]
        if _is_odd(value) and not _takes(field.annotation, bool):
            raise ValueError("give plain numbers, not true and false, and no masks")
        if isinstance(value, str) and value not in cls.own_files.get(info.field_name or "", (value,)):
            return _whole_path(value)
        unit = _unit(field)
        value = si_number(value, unit) if unit else value
        most = most_of(field)
        if most is not None and _is_beyond(value, most):
            raise ValueError(_range(field, most))
        return value

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the schema of the parameters: those with a unit may be text that carries it."""
        made = handler.resolve_ref_schema(handler(schema))
        listed: dict[str, Any] = made.get("properties", {})
        for name, field in cls.model_fields.items():
            unit, most = _unit(field), most_of(field)
            if most is not None and listed.get(name, {}).get("type") in {"number", "integer"}:
                listed[name] = {**listed[name], "maximum": int(most) if most == int(most) else most}
            if unit and name in listed:
                listed[name] = or_text(listed[name], unit)
        return made

    def check(self, spec: ArraySpec) -> None:
        """Refuse, before anything is sent, what this array or its limits do not allow; here: cells outside of it."""
        self._cells(spec)

    def forecast(self, spec: ArraySpec) -> Forecast:
        """Return what this plan would do at most on this array; here: how many cells, and no word on the rest."""
        block = self._cells(spec)
        return Forecast(cells=block.size if block is not None else nan, volts_max=nan, pulses=nan, seconds=nan)

    def known(self, array: CrossbarArray) -> str:
        """Say, for a dry run, what the account of the chip on ``array`` knows of this plan; here: nothing.

        Nothing acts. What is known to fail is refused.
        """
        return ""

    def _cells(self, spec: ArraySpec) -> Block | None:
        cells: object = getattr(self, "cells", None)
        return Block.parse(cells, spec) if isinstance(cells, str) else None


def explain(error: ValidationError, plan: type[BaseModel]) -> RefusedError:
    """Return what is wrong with the parameters of ``plan`` as one clear sentence, and which parameter it is."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or "the plan"
    if first["type"] == "extra_forbidden":
        return ParameterError("unknown parameter", key, alternatives(key, plan.model_fields))
    if first["type"] == "missing":
        return ParameterError("parameter", key, " is missing: it has no default")
    field = plan.model_fields.get(str(first["loc"][0])) if first["loc"] else None
    choices = get_args(field.annotation) if field is not None and first["type"] == "literal_error" else ()
    if choices:
        found = f" {str(first['input'])!r}{alternatives(first['input'], map(str, choices))}"
        return ParameterError("unknown value of", key, found)
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return RefusedError(message)
    inner = first.get("ctx", {}).get("error")
    if isinstance(inner, ParameterError):  # a plan inside this one has said it
        return inner.inside(key)
    about = f" ({field.description})" if field is not None and field.description else ""
    if isinstance(inner, RefusedError):
        unit = about if field is not None and _unit(field) else ""
        return ParameterError("parameter", key, f" is refused: {message}{unit}")
    given = repr(first["input"])
    if field is not None and first["type"] in {"tuple_type", "list_type"}:
        message = f"give a list{_list_like(field.annotation, first['loc'][1:], first['input'])}"
    said = f"{message[0].lower()}{message[1:]}{about}"
    shown = given if len(given) <= _SHOWN else f"{given[: _SHOWN - 1]}…"
    return ParameterError("parameter", key, f" = {shown} is refused: {said}")


def _list_like(annotation: Any, within: tuple[int | str, ...], given: object) -> str:
    """Return how a list for ``annotation`` is written, from what was given where it had only to be put in brackets."""
    items = _items(annotation)
    for part in within:
        at = int(part) if isinstance(part, int) and Ellipsis not in items else 0
        items = _items(items[at]) if at < len(items) else ()
    if not items:
        return ""
    if Ellipsis not in items and len(items) > 1:
        return f" of {len(items)}, as [{', '.join(['…'] * len(items))}]"
    inner = _items(next(iter(items)))
    if inner and Ellipsis not in inner:
        return f" of lists of {len(inner)}, as [[{', '.join(['…'] * len(inner))}], …]"
    return f", as [{given}]" if isinstance(given, int | float) else ""


def _items(annotation: Any) -> tuple[Any, ...]:
    """Return what the tuple or list in an annotation is made of, with an ellipsis where there may be many."""
    if get_origin(annotation) is list:
        return (*get_args(annotation), Ellipsis)
    if get_origin(annotation) is tuple:
        return get_args(annotation)
    return next((found for part in get_args(annotation) if (found := _items(part))), ())


def check_pulse(spec: ArraySpec, *, volts: float, width: float, gate: float, channel: str) -> None:
    """Refuse a pulse outside the limits, named for a plan's parameter rather than a wire."""
    if volts < 0.0:  # a plan says how large a RESET is, not where it points
        spec.limits.check("reset_volts", -volts, channel=channel)
    else:
        spec.limits.check("pulse_volts", volts, channel=channel)
    spec.check_width(width, channel=channel)
    spec.limits.check("width", width, channel=channel, unit="s")
    spec.check_gate(gate, channel=f"{channel} gate")
