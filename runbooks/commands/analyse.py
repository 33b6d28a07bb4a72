"""``xbarlab analyse``: read, analyse, write the report, and say the numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import __version__
from ...analysis.measured_data.kinds import COLUMNS
from ...analysis.own_data.analyse import find
from ...analysis.own_data.page import summary_of, write_findings
from ...analysis.own_data.reading.columns import Reading, needed
from ...analysis.own_data.reading.sources import read_sources
from ...analysis.own_data.subjects import SUBJECTS, Subject
from ...common.errors import RefusedError
from ...protocols.keeping.run import JOURNAL

if TYPE_CHECKING:
    from ...analysis.measured_data.measured import Measured


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What was asked for on the command line."""

    subject: str
    files: tuple[str, ...]
    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    others: tuple[str, ...] = ()
    numbers: Mapping[str, str] = field(default_factory=dict[str, str])
    description: str | None = None
    folder: Path | None = None
    only: tuple[str, ...] = ()
    text: Mapping[str, Any] = field(default_factory=dict[str, Any])


def analyse_files(asked: Asked, out: Path | None, *, as_json: bool = False) -> tuple[list[str], list[str]]:
    """Analyse files, write the report, and return what is printed, and notes for standard error.

    Raises
    ------
    RefusedError
        What does not fit, in one sentence.
    """
    subject = SUBJECTS[asked.subject]
    measured = _read(asked, subject)
    findings = find(asked.subject, measured)
    folder = out or _default_folder()
    page = write_findings(findings, measured, folder, subject=asked.subject, version=__version__)
    notes = [f"{one.id}: {one.dropped:,} lines without a number were left out" for one in measured if one.dropped]
    if as_json:
        numbers = {name: value if math.isfinite(value) else None for name, value in summary_of(findings).items()}
        return [json.dumps(numbers, indent=2, ensure_ascii=False)], notes
    lines: list[str] = []
    for finding in findings:
        lines += [f"{finding.id}: {finding.title}", *finding.lines()]
    return [*lines, f"report {page}"], notes


def explain(name: str) -> list[str]:
    """Return what an analysis needs, and an example."""
    subject = SUBJECTS[name]
    lines = [f"{name}: {subject.about}", ""]
    for kind in subject.kinds:
        columns = COLUMNS[kind]
        lines.append(f"columns of {kind}:")
        for group, wanted in (("needed", True), ("may be", False)):
            said = [
                f"{key} [{quantity.unit}]" if quantity.unit else key
                for key, quantity in columns.items()
                if (key in needed(kind)) is wanted
            ]
            lines.append(f"  {group:<8}{', '.join(said) or '–'}")
    return [*lines, "", f"xbarlab analyse {name} {subject.example}"]


def _read(asked: Asked, subject: Subject) -> list[Measured]:
    columns = {**asked.columns, **dict(_pair(text) for text in asked.others)}
    folders = [name for name in asked.files if Path(name).is_dir()]
    if folders:
        if len(folders) < len(asked.files) or columns:
            raise RefusedError("folders of runs stand alone: give them without other files and columns")
        return [one for name in folders for one in _of_run(Path(name), asked, subject)]
    reading = Reading(**asked.text, numbers=asked.numbers)
    if asked.numbers and not columns and (asked.description or asked.files[0].endswith((".yaml", ".yml"))):
        raise RefusedError(f"{', '.join(asked.numbers)} stands in the description: leave it out here")
    return read_sources(
        asked.files, subject, description=asked.description, folder=asked.folder, only=asked.only, columns=columns,
        reading=reading,
    )  # fmt: skip


def _of_run(folder: Path, asked: Asked, subject: Subject) -> list[Measured]:
    if not (folder / JOURNAL).is_file():
        raise RefusedError(f"{folder} is a folder without a run in it: give files, or the folder of a run")
    from .measured_run import measured_of_run

    every = measured_of_run(folder, only=asked.only or None)
    fitting = [one for one in every if one.kind in subject.kinds]
    if not fitting:
        there = ", ".join(f"{one.id} ({one.kind})" for one in every)
        raise RefusedError(f"{folder}: no step measured what {asked.subject} takes: there is {there}")
    return fitting


def _pair(text: str) -> tuple[str, str]:
    name, equals, column = text.partition("=")
    if not equals or not name.strip() or not column:
        raise RefusedError(f"--column {text!r}: write NAME=COL, like after='R (kohm)'")
    return name.strip(), column


def _default_folder() -> Path:
    """Return a folder that is not there yet, called after the time."""
    stem = f"analysis-{datetime.now():%Y%m%d-%H%M%S}"
    folder, number = Path("runs") / stem, 1
    while folder.exists():
        number += 1
        folder = Path("runs") / f"{stem}-{number}"
    return folder
