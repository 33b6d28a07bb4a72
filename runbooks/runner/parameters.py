"""Parameters of steps as people write them: changes typed after ``--set``, and types that must not be bent."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ...common.errors import RefusedError, unknown
from ...common.units import si_number, unit_of
from ...protocols.plan import ParameterError
from .front_matter import scalar

_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf(?:inity)?)", re.IGNORECASE)

Overrides = Mapping[str, Any] | Sequence[str]


def parse_overrides(overrides: Overrides) -> dict[tuple[str, str], Any]:
    """Return ``{(step id, parameter): value}``; a parameter inside another one is written with a dot."""
    if isinstance(overrides, Mapping):
        pairs = [(str(key), value) for key, value in overrides.items()]
    else:
        pairs: list[tuple[str, Any]] = []
        for text in overrides:
            key, equals, value = text.partition("=")
            if not equals:
                raise RefusedError(f"--set {text}: write id.key=value, for example --set form.stop_volts=3.0")
            pairs.append((key.strip(), value.strip()))
    changes: dict[tuple[str, str], Any] = {}
    for key, value in pairs:
        step, dot, parameter = key.partition(".")
        if not dot or not step or not parameter:
            raise RefusedError(f"--set {key}={value}: write id.key=value, for example --set form.stop_volts=3.0")
        changes[step, parameter] = value
    return changes


def change(plan: type[BaseModel], parameters: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    """Set one parameter, ``["levels", "count"]`` for one inside another; the rest keeps its value or default."""
    key, *deeper = keys
    field = plan.model_fields.get(key)
    if not deeper:
        parameters[key] = _typed(field, value)
        return
    inner = _inner(field)
    if inner is None or field is None:
        known = sorted(name for name, found in plan.model_fields.items() if _inner(found) is not None)
        raise RefusedError(unknown("parameter with parts", key, known))
    base = parameters.get(key)
    if base is None and not field.is_required():
        default = field.get_default(call_default_factory=True)
        base = default.model_dump() if isinstance(default, BaseModel) else None
    parameters[key] = dict(base) if isinstance(base, Mapping) else {}
    change(inner, parameters[key], deeper, value)


def _inner(field: FieldInfo | None) -> type[BaseModel] | None:
    """Return the record a parameter holds, if it holds one."""
    kind = field.annotation if field is not None else None
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _typed(field: FieldInfo | None, value: Any) -> Any:
    """Return what a text typed with ``--set`` means: text stays text where the parameter takes nothing but text."""
    if not isinstance(value, str) or field is None:
        return value
    wanted = _leaves(field.annotation)
    return value if str in wanted and not wanted & {int, float, bool} else scalar(value)


def check_type(plan: type[BaseModel], key: str, value: Any, *, inside: str = "") -> None:
    """Refuse what pydantic would quietly convert: "3" or true where a number is meant.

    Parameters
    ----------
    inside : name of the parameter this one is a part of, with its dot
    """
    field = plan.model_fields.get(key)
    if field is None:
        return
    inner = _inner(field)
    if inner is not None and isinstance(value, dict):
        for part, leaf in value.items():
            check_type(inner, str(part), leaf, inside=f"{inside}{key}.")
        return
    name = f"{inside}{key}"
    wanted = _leaves(field.annotation)
    numeric = wanted & {int, float}
    about = f" ({field.description})" if field.description else ""
    unit = unit_of(field.description) if numeric else ""
    for leaf in value if isinstance(value, list) else [value]:
        flag = isinstance(leaf, bool) and bool not in wanted and bool(numeric)
        text = isinstance(leaf, str) and not wanted & {str, Any} and bool(numeric or bool in wanted)
        number = type(leaf) in {int, float} and bool in wanted and not numeric
        if isinstance(leaf, str) and text and numeric and _NOT_FINITE.fullmatch(leaf.strip()):
            raise ParameterError("parameter", name, f" = {leaf} is refused: only finite numbers are taken{about}")
        bare = numeric and not isinstance(value, list) and _is_list(field.annotation)
        if text and unit and not bare:
            _refuse_text(str(leaf), unit, name, about)
            continue
        if flag or text or number:
            kind = "a number is" if numeric else "true or false is"
            if bare:
                kind = "numbers in brackets, like [1, 2], are"
            shown = str(leaf).lower() if flag else repr(leaf)
            raise ParameterError("parameter", name, f" = {shown} is of the wrong type: {kind} wanted{about}")


def _refuse_text(text: str, unit: str, name: str, about: str) -> None:
    """Refuse text that is no number with a unit."""
    try:
        if isinstance(si_number(text, unit), str):
            remedy = f"write {text.strip()} without quotes, or with its unit"
            raise ParameterError("parameter", name, f" = {text!r} is of the wrong type: {remedy}{about}")
    except ParameterError:
        raise
    except RefusedError as error:
        raise ParameterError("parameter", name, f" is refused: {error}{about}") from error


def _is_list(annotation: Any) -> bool:
    """Whether nothing but several values will do."""
    parts = [part for part in get_args(annotation) if part is not NoneType]
    return get_origin(annotation) in {tuple, list} or (len(parts) == 1 and _is_list(parts[0]))


def _leaves(annotation: Any) -> set[Any]:
    """Return the scalar types an annotation admits."""
    if get_origin(annotation) is Literal:
        return {type(choice) for choice in get_args(annotation)}
    parts = get_args(annotation)
    if not parts:
        return set() if annotation in {None, NoneType} else {annotation}
    return set[Any]().union(*(_leaves(part) for part in parts))
