"""``xbarlab analyse``: read, analyse, write the report, and say the numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import __version__
from ...analysis.measured_data.kinds import COLUMNS, EITHER
from ...analysis.own_data.analyse import find, measurements
from ...analysis.own_data.page import summary_of, write_findings
from ...analysis.own_data.reading.columns import Reading, needed
from ...analysis.own_data.subjects import SUBJECTS
from ...common.errors import RefusedError
from .measured_run import measured_for

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
    measured = _read(asked)
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
        if kind in EITHER:
            lines.append(f"  needed  {' or '.join(' and '.join(group) for group in EITHER[kind])}")
    return [*lines, "", f"xbarlab analyse {name} {subject.example}"]


def _read(asked: Asked) -> list[Measured]:
    columns = {**asked.columns, **dict(_pair(text) for text in asked.others)}
    described = asked.description or asked.files[0].endswith((".yaml", ".yml"))
    if asked.numbers and not columns and described:
        raise RefusedError(f"{', '.join(asked.numbers)} stands in the description: leave it out here")
    return measurements(
        asked.files, asked.subject, measured_for, description=asked.description, folder=asked.folder, only=asked.only,
        columns=columns, reading=Reading(**asked.text, numbers=asked.numbers),
    )  # fmt: skip


def plausible_of(texts: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the ranges of ``NAME=LEAST,MOST``."""
    made: dict[str, tuple[str, str]] = {}
    for text in texts:
        name, _, ends = text.partition("=")
        least, comma, most = (part.strip() for part in ends.partition(","))
        if name.strip() not in ("conductance", "volts") or not comma or not least or not most:
            raise RefusedError(f"--plausible {text!r}: write conductance=LEAST,MOST or volts=LEAST,MOST, like 1nS,1mS")
        made[name.strip()] = least, most
    return made


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
