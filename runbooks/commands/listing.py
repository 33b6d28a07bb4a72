"""What there is, in one line each: shipped runbooks, stations and profiles, and what anybody offers under a name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from ...common import plugins
from ...common.errors import RefusedError, unknown
from ...protocols.registry import step_kind
from ..runner.front_matter import read_front_matter
from ..runner.schema import list_runbooks
from ..stations import list_stations


def listing(kind: str | None = None, *, verbose: bool = False) -> list[str]:
    """Return the lines to print for one kind, or for all of them under headings."""
    kinds: dict[str, Callable[[], list[str]]] = {
        "runbooks": _runbooks,
        "stations": _stations,
        "profiles": _profiles,
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
        return read_front_matter(path).data.get("title", "")
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


def _offers(group: str) -> list[str]:
    """Return who offers what, and what it is; nothing is imported, and a name taken twice is said, not chosen from."""
    rows: list[tuple[str, str, str]] = []
    for name, entries in plugins.offered(group).items():
        rows += [(name, entry.origin, "TAKEN TWICE" if len(entries) > 1 else entry.about()) for entry in entries]
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
        rows = [
            (f"{key}: {_type(field.annotation)} = {_default(field)}", field.description or "")
            for key, field in step_kind(name).plan.model_fields.items()
        ]
        lines += [
            *([""] if lines else []),
            f"{name} ({entries[0].origin}): {entries[0].about()}",
            *(f"    {line}" for line in _columns(rows)),
        ]
    return lines


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return " | ".join(map(str, get_args(annotation)))
    return annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)


def _default(field: FieldInfo) -> str:
    return "required" if field.is_required() else str(field.get_default(call_default_factory=True))


def first_comment(path: Path) -> str:
    """Return the first comment of a YAML file, which says what it is."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            return line.lstrip("# ").strip()
        if line.strip():
            break
    return ""


def _columns(rows: Iterable[tuple[str, str]]) -> list[str]:
    pairs = list(rows)
    width = max((len(name) for name, _ in pairs), default=0)
    return [f"{name:<{width}}  {text}".rstrip() for name, text in pairs]
