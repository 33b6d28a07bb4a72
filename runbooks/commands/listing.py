"""What there is, in one line each: shipped runbooks, stations and profiles, and what anybody offers under a name."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Callable, Iterable, Sequence
from itertools import dropwhile, takewhile
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel

from ...common import plugins
from ...common.errors import RefusedError, unknown
from ...common.text import first_sentence
from ...protocols.registry import step_kind
from ..runner.front_matter import read_front_matter
from ..runner.schema import list_runbooks
from ..stations import list_stations

# Where the text beside a parameter begins, and how wide lines get.
_COLUMN, _WIDTH_MIN, _WIDTH_MAX = 44, 80, 120


def listing(kind: str | None = None, *, verbose: bool = False) -> list[str]:
    """Return the lines to print for one kind, or for all of them under headings."""
    kinds: dict[str, Callable[[], list[str]]] = {
        "runbooks": _runbooks,
        "stations": _stations,
        "profiles": _profiles,
        "data": _data,
        "steps": lambda: _steps(verbose),
        "instruments": lambda: _offers(plugins.INSTRUMENTS),
        "rules": lambda: _offers(plugins.UPDATE_RULES),
        "models": lambda: _offers(plugins.DEVICE_MODELS),
        "analyses": lambda: _offers(plugins.ANALYSES),
    }
    if kind is not None and kind not in kinds:
        raise RefusedError(unknown("kind", kind, kinds))
    if kind is not None:
        return kinds[kind]()
    lines: list[str] = []
    for name, lines_of in kinds.items():
        lines += [*([""] if lines else []), f"{name}:", *(f"  {line}" for line in lines_of())]
    return lines


def _runbooks() -> list[str]:
    return _columns((name, str(_title(path))) for name, path in list_runbooks().items())


def _title(path: Path) -> Any:
    try:
        data = read_front_matter(path).data
        title = f"{data.get('title', '')} ({data['paper']})" if data.get("paper") else data.get("title", "")
        return f"{title}: {data['status']}" if data.get("status") else title
    except RefusedError as error:
        return f"(cannot be read: {error})"


def _stations() -> list[str]:
    return _columns((name, first_comment(path)) for name, path in list_stations().items())


def _profiles() -> list[str]:
    from ... import mockhw

    found: list[tuple[str, str]] = []
    for path in sorted((Path(mockhw.__file__).parent / "profiles").glob("*.yaml")):
        title = re.search(r'^title:\s*"?([^"\n]+)', path.read_text(encoding="utf-8"), re.MULTILINE)
        found.append((path.stem, title.group(1).strip() if title else first_comment(path)))
    return _columns(found)


def _data() -> list[str]:
    from ...analysis.measured_data.measured import list_descriptions

    return _columns((name, first_comment(path)) for name, path in list_descriptions().items())


def _offers(group: str) -> list[str]:
    """Return who offers what, and what it is; nothing is imported, and a name taken twice is said, not chosen from."""
    rows: list[tuple[str, str, str]] = []
    for name, entries in plugins.offered(group).items():
        rows += [
            (name, entry.origin, "TAKEN TWICE" if len(entries) > 1 else _plain(entry.about())) for entry in entries
        ]
    wide = max((len(origin) for _, origin, _ in rows), default=0)
    return _columns((name, f"{origin:<{wide}}  {text}") for name, origin, text in rows)


def refuse_taken_twice() -> None:
    """Refuse, once everything is listed, what two packages offer under one name."""
    for group in plugins.KINDS:
        for entries in plugins.offered(group).values():
            plugins.refuse_twice(entries)


def _steps(verbose: bool) -> list[str]:
    if not verbose:
        return _offers(plugins.STEPS)
    lines: list[str] = []
    for name, entries in plugins.offered(plugins.STEPS).items():
        if len(entries) > 1:
            continue  # refuse_taken_twice() says it
        lines += [
            *([""] if lines else []),
            *_wrapped(f"{name} ({entries[0].origin}): {_plain(entries[0].about())}", "", "    "),
            *_parameters(step_kind(name).plan, None),
        ]
    return lines


def _parameters(plan: type[BaseModel], given: Any, before: str = "") -> list[str]:
    """Return the parameters of a plan, those of a plan inside of it under the names that ``--set`` takes.

    Parameters
    ----------
    given : the plan a default is, whose values count then; None for the plan's own
    before : names of what it is inside of, ``"prepare."``
    """
    lines: list[str] = []
    for key, field in plan.model_fields.items():
        required = given is None and field.is_required()
        default = getattr(given, key) if given is not None else field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel) and not required:
            lines += _row(f"{before}{key}", field.description or "")
            lines += _parameters(type(default), default, f"{before}{key}.")
        else:
            value = "required" if required else _short(default)
            lines += _row(f"{before}{key}: {_type(field.annotation)} = {value}", field.description or "")
    return lines


def _row(left: str, right: str) -> list[str]:
    """Return a parameter and what it is, side by side; below each other where the former is long."""
    begin = f"    {left}"
    if not right:
        return [begin]
    if len(begin) + 2 <= _COLUMN:
        return _wrapped(right, begin.ljust(_COLUMN), " " * _COLUMN)
    return [*_wrapped(left, "    ", "        "), *_wrapped(right, " " * _COLUMN, " " * _COLUMN)]


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    width = max(_WIDTH_MIN, min(_WIDTH_MAX, shutil.get_terminal_size((_WIDTH_MAX, 24)).columns))
    lines = textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
    return lines or [first.rstrip()]


def _type(annotation: Any) -> str:
    """Write a type as a person would, without what checks it."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin in {Union, UnionType}:
        return " | ".join(map(_type, arguments))
    name = {Ellipsis: "…", type(None): "null"}.get(annotation) or getattr(annotation, "__name__", str(annotation))
    return f"{name}[{', '.join(map(_type, arguments))}]" if arguments else name


def _short(value: Any) -> str:
    """Write a default as a runbook would."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_short, cast('Sequence[Any]', value)))}]"
    return str(value)


def _plain(text: str) -> str:
    """Return a docstring's sentence without its marks of code."""
    return text.replace("``", "")


def first_comment(path: Path) -> str:
    """Return the first comment of a YAML file, which says what it is: to the end of its sentence."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = takewhile(lambda line: line.startswith("#"), dropwhile(lambda line: not line.strip(), lines))
    return first_sentence(line.lstrip("# ") for line in comment)


def _columns(rows: Iterable[tuple[str, str]]) -> list[str]:
    pairs = list(rows)
    width = max((len(name) for name, _ in pairs), default=0)
    return [f"{name:<{width}}  {text}".rstrip() for name, text in pairs]
