"""What is shipped, in one line each: runbooks, stations, profiles, and the steps a runbook may name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from ...common.errors import RefusedError, unknown
from ...protocols.registry import step_about, step_kind, step_names
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


def _steps(verbose: bool) -> list[str]:
    if not verbose:
        return _columns((name, step_about(name)) for name in step_names())
    lines: list[str] = []
    for name in step_names():
        rows = [
            (f"{key}: {_type(field.annotation)} = {_default(field)}", field.description or "")
            for key, field in step_kind(name).plan.model_fields.items()
        ]
        lines += [*([""] if lines else []), f"{name}: {step_about(name)}", *(f"    {line}" for line in _columns(rows))]
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
