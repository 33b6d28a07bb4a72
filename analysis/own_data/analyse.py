"""One analysis after the other: what is found in measurements, and in what somebody gave as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...common.errors import RefusedError, unknown
from ..measured_data.kinds import a_kind
from ..measured_data.measured import Measured
from .finding import Finding
from .reading.columns import Reading, of_frame
from .reading.sources import read_sources
from .subjects import SUBJECTS

OfRun = Callable[[Path, str, Sequence[str]], list[Measured]]
"""What gives the measurements of the folder of a run that an analysis takes: folder, analysis, ids that are wanted."""
_READING = ("separator", "decimal", "skip", "header", "missing", "dataset", "structure", "plausible", "floor")
_NUMBERS = (
    "read_volts", "rate", "period", "compliance", "polarity", "swept", "stop_beyond", "formed_above", "first",
    "extrapolate_to", "settle", "bandwidth",
)  # fmt: skip


def find(subject: str, measured: Sequence[Measured]) -> list[Finding]:
    """Return what an analysis finds in each of several measurements; the ids of those that share one are told apart."""
    if subject not in SUBJECTS:
        raise RefusedError(unknown("analysis", subject, SUBJECTS))
    chosen = SUBJECTS[subject]
    for one in measured:
        if one.kind not in chosen.kinds:
            raise RefusedError(f"{one.id} is {a_kind([one.kind])}, and {subject} takes {a_kind(chosen.kinds)}")
    return [chosen.run(one) for one in measured]


def measurements(
    sources: Sequence[str | Path],
    subject: str,
    of_run: OfRun,
    *,
    description: str | Path | None,
    folder: Path | None,
    only: Sequence[str],
    columns: Mapping[str, str],
    reading: Reading,
) -> list[Measured]:
    """Return the measurements that an analysis takes: of files, descriptions, or folders of runs."""
    if subject not in SUBJECTS:
        raise RefusedError(unknown("analysis", subject, SUBJECTS))
    folders = [Path(name) for name in sources if Path(name).is_dir()]
    if folders:
        if len(folders) < len(sources) or columns:
            raise RefusedError("folders of runs stand alone: give them without other files and columns")
        return [one for run in folders for one in of_run(run, subject, only)]
    return read_sources(
        sources, SUBJECTS[subject], description=description, folder=folder, only=only, columns=columns, reading=reading
    )


def analyse(subject: str, data: Any, given: dict[str, Any], of_run: OfRun) -> Finding | list[Finding]:
    """Return what an analysis finds in a table, paths, descriptions, folders of runs, or a measurement.

    Parameters
    ----------
    given : dict
        Columns by quantity, and how to read them: what else :class:`.reading.columns.Reading` takes.
    of_run : callable
        See :data:`OfRun`; folders of runs are told by a room above.
    """
    description, folder, only = (given.pop(name, None) for name in ("description", "folder", "only"))
    said = {name: str(given.pop(name)) for name in _NUMBERS if name in given}
    floor = given.get("floor")
    if isinstance(floor, str) and Path(floor).is_file():
        given["floor"] = Path(floor)
    told = [name for name in _READING if name in given and not (name == "floor" and isinstance(given[name], str))]
    reading = Reading(**{name: given.pop(name) for name in told}, numbers=said)
    kinds = SUBJECTS[subject].kinds
    if isinstance(data, Measured):
        found = [data]
    elif isinstance(data, str | Path) or (isinstance(data, Sequence) and not hasattr(data, "columns")):
        sources: Any = [data] if isinstance(data, str | Path) else list(data)
        wanted = [only] if isinstance(only, str) else only or ()
        found = measurements(
            sources, subject, of_run, description=description, columns=given, reading=reading,
            folder=None if folder is None else Path(folder), only=wanted,
        )  # fmt: skip
    elif hasattr(data, "columns"):
        frame: Any = data
        found = [of_frame(frame, kinds, given, reading)]
    else:
        raise RefusedError(f"a {type(data).__name__} is no data: give a pandas table, paths, or a measurement")
    findings = find(subject, found)
    return findings[0] if len(findings) == 1 else findings
