"""Files of users as pydantic records: what does not fit is one sentence that names file, key and alternatives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, core_schema

from .errors import RefusedError, unknown
from .units import or_text, si_number

FORMAT = "format"


class Record(BaseModel):
    """A part of a file: only known keys, never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class InUnit:
    """Marks a number of a record that may be written with its unit: ``Annotated[float, InUnit("s")]``."""

    unit: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let pydantic read text with a unit before it looks at the number."""
        return core_schema.no_info_before_validator_function(partial(si_number, unit=self.unit), handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return a schema that takes such text."""
        return or_text(handler(schema), self.unit)


R = TypeVar("R", bound=BaseModel)


def read_record(kind: type[R], content: Mapping[str, Any], *, where: str, key: str = "key", top: str = "") -> R:
    """Return ``content`` as a record, or refuse it.

    Parameters
    ----------
    where : str
        The file, for the message.
    key, top : str
        What a key is called there, and one of the topmost level ("section") where that is something else.

    Raises
    ------
    RefusedError
        One sentence: where, which key, what is wrong, what would be right.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise RefusedError(f"{where}: {_sentence(kind, error, key, top or key)}", where=where) from error


def read_format(content: Mapping[str, Any], newest: int, *, where: str, kind: str) -> int:
    """Return the format a file is written in, 1 where it does not say; refuse one that is newer than we are."""
    number = content.get(FORMAT, 1)
    if type(number) is not int or number < 1:
        raise RefusedError(f"{where}: format is {number!r}: a whole number from 1 on", where=where, value=number)
    if number > newest:
        read = f"format {newest}" if newest == 1 else f"formats 1 to {newest}"
        remedy = "use the xbarlab it was written for, or a newer one"
        raise RefusedError(
            f"{where}: a {kind} of format {number}: this xbarlab reads {read}; {remedy}",
            where=where, value=number, limit=newest, remedy=remedy,
        )  # fmt: skip
    return number


def _sentence(kind: type[BaseModel], error: ValidationError, key: str, top: str) -> str:
    errors = error.errors(include_url=False)
    # A mistyped key is also one that is missing: what was written is the better answer.
    first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
    path = _without_tags(kind, tuple(part for part in first["loc"] if part != "[key]"))
    place = ".".join(str(part) for part in path)
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    given: Any = first["input"]
    if first["type"] == "extra_forbidden":
        inside = ".".join(str(part) for part in path[:-1])
        said = unknown(key if inside else top, path[-1], fields_at(kind, path[:-1]))
        return f"{inside}: {said}" if inside else said
    if first["type"] in {"model_type", "dict_type", "mapping_type"}:
        return f"{place} is {given!r}; it must be a mapping of keys to values"
    if first["type"] == "missing":
        return f"{place} is missing{more}"
    if first["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        context = first.get("ctx", {})
        tag = str(context.get("discriminator", "")).strip("'")
        choices = [choice.strip("'") for choice in str(context.get("expected_tags", "")).split(", ") if choice]
        if first["type"] == "union_tag_invalid":
            return f"{place}: {unknown(tag, context.get('tag'), choices)}"
        found = _tags(_record_at(kind, path[:-1]).model_fields[str(path[-1])].annotation, tag)
        return f"{place}.{tag} is missing: choose from {', '.join(sorted(found))}{more}"
    if first["type"] == "literal_error":
        field = _record_at(kind, path[:-1]).model_fields.get(str(path[-1]))
        choices = [str(choice) for choice in get_args(field.annotation)] if field is not None else []
        return f"{place}: {unknown(str(path[-1]), given, choices)}"
    said = first["msg"].removeprefix("Value error, ")
    shown = path and first["type"] != "value_error" and len(repr(given)) < 80
    return f"{place or kind.__name__.lower()}: {said}{f', not {given!r}' if shown else ''}{more}"


def fields_at(kind: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Return the keys a record may have at ``path`` inside of ``kind``."""
    return list(_record_at(kind, path).model_fields)


def _record_at(kind: type[BaseModel], path: tuple[int | str, ...]) -> type[BaseModel]:
    return [kind, *(record for record, _ in _steps(kind, path))][-1]


def _without_tags(kind: type[BaseModel], path: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Return a path without what pydantic puts in for the choice among several records."""
    return tuple(part for part, (_, is_tag) in zip(path, _steps(kind, path), strict=True) if not is_tag)


def _steps(kind: type[BaseModel], path: tuple[int | str, ...]) -> Iterator[tuple[type[BaseModel], bool]]:
    """Yield for every part of a path the record it leads to, and whether it only names one of several."""
    here, among = kind, [kind]
    for part in path:
        chosen = [record for record in among if len(among) > 1 and part in _said_by(record)]
        field = here.model_fields.get(str(part))
        if chosen:
            here, among = chosen[0], chosen
        elif field is not None:
            among = _records(field.annotation)
            here = among[0] if among else here
        yield here, bool(chosen)


def _said_by(record: type[BaseModel]) -> list[Any]:
    """Return the words that tell a record from others: the values of its literal fields."""
    return [
        word
        for field in record.model_fields.values()
        if get_origin(field.annotation) is Literal
        for word in get_args(field.annotation)
    ]


def _tags(annotation: Any, tag: str) -> list[str]:
    """Return what ``tag`` may say in the records of an annotation."""
    return [str(word) for record in _records(annotation) for word in get_args(record.model_fields[tag].annotation)]


def _records(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _records(part)]
