"""What a runbook may say: validated as a whole, with file and line, before any instrument is opened."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ...common.errors import RefusedError, unknown
from ...common.plugin_files import PluginFile
from ...protocols.plan import ParameterError
from ...protocols.registry import step_kind, step_names
from ..stations import find_station
from .expectations import Expectation, Headline, read_expectations, read_headline
from .front_matter import FrontMatter, read_front_matter
from .parameters import Overrides, change, check_type
from .plugin_grant import Ask, Files, grant, nobody
from .presets import Change, Changes, chosen, read_presets, typed
from .step import Step, define_metrics

IF_ABLE = "if_able"
STEP_KEYS = ("id", IF_ABLE)
"""What an entry of ``steps`` has beside the name of what it does."""
KEYS = ("format", "title", "paper", "status", "station", "plugin", "steps", "presets", "headline", "expect")
FORMAT = 1
_RENAMED = {"first_cell_tio2": "first_cell"}


@dataclass(frozen=True, kw_only=True)
class Runbook:
    """A validated runbook.

    Attributes
    ----------
    path : the file.
    station : as written in the file; resolved from the file's folder.
    body : the Markdown an operator reads.
    paper : the publication whose system it runs, "" for none.
    status : how far it came on the mock, "" where it does not say.
    headline : which number it is to show, and beside which; None where it does not say.
    preset : name of the preset whose values hold, "" for none.
    plugins : the plug-in files that were run for it.
    """

    path: Path
    title: str
    station: str | None
    steps: tuple[Step, ...]
    expect: tuple[Expectation, ...]
    body: str
    paper: str = ""
    status: str = ""
    headline: Headline | None = None
    preset: str = ""
    plugins: tuple[PluginFile, ...] = ()

    @property
    def name(self) -> str:
        """Name without folder and suffix."""
        return self.path.stem

    def station_file(self, station: str | Path | None) -> Path:
        """Return the station file of a run: the one given, or else the runbook's own."""
        if station is not None:
            return find_station(station)
        if self.station is None:
            raise RefusedError(f"runbook {self.name} names no station: give one with --station FILE")
        return find_station(self.station, beside=self.path.parent)


def list_runbooks() -> dict[str, Path]:
    """Return the shipped runbooks, name to file."""
    return {path.stem: path for path in sorted(Path(__file__).parents[1].glob("*.md"))}


def find_runbook(name: str | Path) -> Path:
    """Return the file of a runbook given by path or by the name of a shipped one."""
    shipped = list_runbooks()
    text = str(name)
    if text in shipped:
        return shipped[text]
    if text in _RENAMED and not Path(name).is_file():
        raise RefusedError(f"the runbook {text} is called {_RENAMED[text]} now: xbarlab run {_RENAMED[text]}")
    path = Path(name)
    if path.is_file():
        return path
    if path.name != text or path.suffix:
        raise RefusedError(f"there is no runbook file {text}; shipped runbooks are {', '.join(shipped) or 'none'}")
    raise RefusedError(f"{unknown('runbook', text, shipped)}, or give the path of a file")


def load_runbook(
    name: str | Path,
    *,
    overrides: Overrides = (),
    preset: str = "",
    plugins: Files = (),
    ask: Ask = nobody,
    granted: tuple[PluginFile, ...] | None = None,
) -> Runbook:
    """Read and validate a runbook, all its presets too.

    Parameters
    ----------
    preset : name of the preset whose values hold in place of the runbook's own, "" for none
    overrides : ``{"id.key": value}`` or texts ``"id.key=value"``
        Replace parameters of steps; they pass the same validation.
    plugins : plug-in files to run, of which the runbook may name some
    ask : whom to ask before a file is run that only the runbook names; refused where nobody can be asked
    granted : plug-in files that have been run already, instead of both
    """
    path = find_runbook(name)
    front = read_front_matter(path)
    for key in front.data:
        if key not in KEYS:
            raise front.refuse(unknown("key", key, KEYS), key)
    _refuse_format(front)
    files = grant(front, path.parent, plugins, ask) if granted is None else granted
    presets = read_presets(front)
    picked = chosen(presets, preset, path.stem)
    for other in presets.values():
        if other.name != preset:
            read_expectations(front, other, _steps(front, other.changes))
    changes = typed(overrides)
    steps = _steps(front, {**picked.changes, **changes})
    define_metrics(steps)
    return Runbook(
        path=path,
        title=_text(front, "title", required=True) or "",
        station=_text(front, "station", required=False),
        steps=steps,
        expect=read_expectations(front, picked, steps),
        body=front.body,
        paper=_text(front, "paper", required=False) or "",
        status=_text(front, "status", required=False) or "",
        headline=read_headline(front, steps, partial(_steps, front, picked.changes) if changes else None),
        preset=preset,
        plugins=files,
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


def _steps(front: FrontMatter, changes: Changes) -> tuple[Step, ...]:
    listed = front.data.get("steps")
    if not isinstance(listed, list) or not listed:
        raise front.refuse("'steps' must be a list like '- {id: form, forming: {cells: all}}'", "steps")
    heads = [_head(front, index, entry) for index, entry in enumerate(listed)]
    ids = [step_id for step_id, _ in heads]
    for index, step_id in enumerate(ids):
        if step_id in ids[:index]:
            raise front.refuse(f"step id {step_id!r} is used twice: ids must be unique", "steps", index)
    for (step_id, _), one in changes.items():
        if step_id not in ids:
            raise RefusedError(f"{one.said}: {unknown('step id', step_id, ids)}")
    return tuple(
        _step(front, index, step_id, name, {key: value for (owner, key), value in changes.items() if owner == step_id})
        for index, (step_id, name) in enumerate(heads)
    )


def _head(front: FrontMatter, index: int, entry: Any) -> tuple[str, str]:
    """Return id and name of a step."""
    if not isinstance(entry, dict):
        raise front.refuse(f"step {entry!r} must be a map like '{{id: form, forming: {{cells: all}}}}'", "steps", index)
    names = [str(key) for key in entry if key not in STEP_KEYS]
    if not isinstance(entry.get(IF_ABLE, False), bool):
        raise front.refuse(f"'{IF_ABLE}' = {entry[IF_ABLE]!r} must be true or false", "steps", index, IF_ABLE)
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


def _step(front: FrontMatter, index: int, step_id: str, name: str, changes: Mapping[str, Change]) -> Step:
    given: Any = front.data["steps"][index][name]
    if given is None:
        given = {}
    if not isinstance(given, dict):
        raise front.refuse(f"parameters of {name!r} must be a map, not {given!r}", "steps", index, name)
    kind = step_kind(name)
    parameters: dict[str, Any] = dict(given)
    for key, one in changes.items():
        try:
            change(kind.plan, parameters, key.split("."), one.value)
        except RefusedError as error:
            raise RefusedError(f"{one.said}: {error}") from None
    try:
        for key, value in parameters.items():
            check_type(kind.plan, key, value)
        return Step(step_id, kind, kind.plan(**parameters), bool(front.data["steps"][index].get(IF_ABLE, False)))
    except RefusedError as error:
        whole = error.where.split(".")[0] if isinstance(error, ParameterError) else ""
        blamed = whole if whole in parameters else ""
        for key, one in changes.items():
            if key.split(".")[0] == blamed:
                raise RefusedError(f"{one.said}: {error}") from None
        path = ("steps", index, name, blamed) if blamed else ("steps", index, name)
        raise front.refuse(f"step {step_id!r} ({name}): {error}", *path) from None
