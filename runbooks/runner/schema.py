"""What a runbook may say: validated as a whole, with file and line, before any instrument is opened."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...common.errors import RefusedError, unknown
from ...protocols.plan import Plan
from ...protocols.registry import StepKind, step_kind, step_names
from .front_matter import FrontMatter, read_front_matter
from .parameters import Overrides, change, check_type, parse_overrides

KEYS = ("format", "title", "station", "steps", "presets", "expect")
FORMAT = 1
LIMIT_KEYS = ("min", "max")


@dataclass(frozen=True)
class Step:
    """One step: what the protocol ``kind`` is asked with."""

    id: str
    kind: StepKind
    plan: Plan


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """A summary key (``metric`` or ``id.metric``) and the limits it should keep, both included."""

    key: str
    minimum: float | None
    maximum: float | None


@dataclass(frozen=True, kw_only=True)
class Runbook:
    """A validated runbook.

    Attributes
    ----------
    path : the file.
    station : as written in the file; resolved from the file's folder.
    body : the Markdown an operator reads.
    preset : name of the preset whose values hold, "" for none.
    """

    path: Path
    title: str
    station: str | None
    steps: tuple[Step, ...]
    expect: tuple[Expectation, ...]
    body: str
    preset: str = ""

    @property
    def name(self) -> str:
        """Name without folder and suffix."""
        return self.path.stem


def list_runbooks() -> dict[str, Path]:
    """Return the shipped runbooks, name to file."""
    return {path.stem: path for path in sorted(Path(__file__).parents[1].glob("*.md"))}


def find_runbook(name: str | Path) -> Path:
    """Return the file of a runbook given by path or by the name of a shipped one."""
    shipped = list_runbooks()
    text = str(name)
    if text in shipped:
        return shipped[text]
    path = Path(name)
    if path.is_file():
        return path
    if path.name != text or path.suffix:
        raise RefusedError(f"there is no runbook file {text}; shipped runbooks are {', '.join(shipped) or 'none'}")
    raise RefusedError(f"{unknown('runbook', text, shipped)}, or give the path of a file")


def load_runbook(name: str | Path, *, overrides: Overrides = ()) -> Runbook:
    """Read and validate a runbook.

    Parameters
    ----------
    overrides : ``{"id.key": value}`` or texts ``"id.key=value"``
        Replace parameters of steps; they pass the same validation.
    """
    path = find_runbook(name)
    front = read_front_matter(path)
    for key in front.data:
        if key not in KEYS:
            raise front.refuse(unknown("key", key, KEYS), key)
    _refuse_format(front)
    changes = parse_overrides(overrides)
    steps = _steps(front, changes)
    return Runbook(
        path=path,
        title=_text(front, "title", required=True) or "",
        station=_text(front, "station", required=False),
        steps=steps,
        expect=_expectations(front, {step.id for step in steps}),
        body=front.body,
    )


def _refuse_format(front: FrontMatter) -> None:
    number = front.data.get("format", FORMAT)
    if type(number) is not int or not 1 <= number <= FORMAT:
        raise front.refuse(f"'format' = {number!r}: this xbarlab reads runbooks of format {FORMAT}", "format")


def _text(front: FrontMatter, key: str, *, required: bool) -> str | None:
    value = front.data.get(key)
    if value is None and not required:
        return None
    if value is None:
        raise RefusedError(f"{front.name}: {key!r} is missing: a runbook has {', '.join(KEYS)}")
    if not isinstance(value, str) or not value.strip():
        raise front.refuse(f"{key!r} = {value!r} must be text", key)
    return value


def _steps(front: FrontMatter, changes: Mapping[tuple[str, str], Any]) -> tuple[Step, ...]:
    listed = front.data.get("steps")
    if not isinstance(listed, list) or not listed:
        raise front.refuse("'steps' must be a list like '- {id: form, forming: {cells: all}}'", "steps")
    heads = [_head(front, index, entry) for index, entry in enumerate(listed)]
    ids = [step_id for step_id, _ in heads]
    for index, step_id in enumerate(ids):
        if step_id in ids[:index]:
            raise front.refuse(f"step id {step_id!r} is used twice: ids must be unique", "steps", index)
    for step_id, parameter in changes:
        if step_id not in ids:
            given = f"--set {step_id}.{parameter}={changes[step_id, parameter]}"
            raise RefusedError(f"{given}: {unknown('step id', step_id, ids)}")
    return tuple(
        _step(front, index, step_id, name, {key: value for (owner, key), value in changes.items() if owner == step_id})
        for index, (step_id, name) in enumerate(heads)
    )


def _head(front: FrontMatter, index: int, entry: Any) -> tuple[str, str]:
    """Return id and name of a step."""
    if not isinstance(entry, dict):
        raise front.refuse(f"step {entry!r} must be a map like '{{id: form, forming: {{cells: all}}}}'", "steps", index)
    names = [str(key) for key in entry if key != "id"]
    for name in names:
        if name not in step_names():
            raise front.refuse(unknown("step", name, step_names()), "steps", index, name)
    if len(names) != 1:
        found = f"this one has {' and '.join(names)}" if names else "this one has none"
        raise front.refuse(
            f"a step names exactly one thing to do beside its id; {found}: choose from {', '.join(step_names())}",
            "steps",
            index,
        )
    if "id" not in entry:
        raise front.refuse(f"step {names[0]!r} has no id: write '{{id: …, {names[0]}: …}}'", "steps", index)
    step_id = entry["id"]
    if not isinstance(step_id, str) or re.fullmatch(r"[A-Za-z]\w*", step_id, re.ASCII) is None:
        raise front.refuse(
            f"step id {step_id!r} must be a word of letters, digits and _ that begins with a letter",
            "steps",
            index,
            "id",
        )
    return step_id, names[0]


def _step(front: FrontMatter, index: int, step_id: str, name: str, changes: Mapping[str, Any]) -> Step:
    given: Any = front.data["steps"][index][name]
    if given is None:
        given = {}
    if not isinstance(given, dict):
        raise front.refuse(f"parameters of {name!r} must be a map, not {given!r}", "steps", index, name)
    kind = step_kind(name)
    parameters: dict[str, Any] = dict(given)
    for key, value in changes.items():
        try:
            change(kind.plan, parameters, key.split("."), value)
        except RefusedError as error:
            raise RefusedError(f"--set {step_id}.{key}={value}: {error}") from None
    try:
        for key, value in parameters.items():
            check_type(kind.plan, key, value)
        return Step(step_id, kind, kind.plan(**parameters))
    except RefusedError as error:
        blamed = _blamed(str(error), parameters)
        for key, value in changes.items():
            if key.split(".")[0] == blamed:
                raise RefusedError(f"--set {step_id}.{key}={value}: {error}") from None
        path = ("steps", index, name, blamed) if blamed else ("steps", index, name)
        raise front.refuse(f"step {step_id!r} ({name}): {error}", *path) from None


def _blamed(message: str, parameters: Mapping[str, Any]) -> str:
    """Return the parameter a message is about, for its line; "" when it is about several."""
    found = re.match(r"(?:unknown )?(?:parameter|value of) [\"']+([^\"'.]+)", message)
    return found.group(1) if found and found.group(1) in parameters else ""


def _expectations(front: FrontMatter, ids: set[str]) -> tuple[Expectation, ...]:
    given = front.data.get("expect")
    if given is None:
        return ()
    if not isinstance(given, dict):
        raise front.refuse("'expect' must be a map like 'yield_fraction: {min: 0.95}'", "expect")
    return tuple(_expectation(front, str(key), limits, ids) for key, limits in given.items())


def _expectation(front: FrontMatter, key: str, limits: Any, ids: set[str]) -> Expectation:
    owner, dot, _ = key.partition(".")
    if dot and owner not in ids:
        raise front.refuse(f"expectation {key!r}: {unknown('step id', owner, ids)}", "expect", key)
    if not isinstance(limits, dict) or not limits:
        raise front.refuse(f"expectation {key!r} must be a map with min or max, like '{{min: 0.95}}'", "expect", key)
    for name, value in limits.items():
        if name not in LIMIT_KEYS:
            raise front.refuse(f"expectation {key!r}: {unknown('limit', name, LIMIT_KEYS)}", "expect", key, str(name))
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise front.refuse(
                f"expectation {key!r}: {name} = {value!r} must be a finite number", "expect", key, str(name)
            )
    low, high = (float(limits[name]) if name in limits else None for name in LIMIT_KEYS)
    if low is not None and high is not None and low > high:
        raise front.refuse(f"expectation {key!r}: min {low:g} is above max {high:g}", "expect", key)
    return Expectation(key=key, minimum=low, maximum=high)
