"""Your own data, analysed like a run's, from Python: ``from xbarlab import analyse``; ``analyse.iv(frame)``.

Every function takes a table in memory (pandas), the path of a data file or several, a data description, or what
:func:`~..measured_data.measured.read_measured` returned, and gives a :class:`~.finding.Finding`, of a description with
several measurements of the kind a list of them. Keywords name columns (``volts="U (mV)"``, ``ohms="R:kohm"``,
``width="=200 ns"``) as the options of ``xbarlab analyse`` do; without any, columns that are called like quantities are
taken, those of our own results, too (``analyse.iv(dc_sweep(…).frame)``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...common.errors import RefusedError, unknown
from ..measured_data.kinds import a_kind
from ..measured_data.measured import Measured
from .finding import Finding
from .reading.columns import Reading, of_frame
from .reading.sources import read_sources
from .subjects import SUBJECTS

if TYPE_CHECKING:
    from pandas import DataFrame

    Data = DataFrame | Measured | str | Path | Sequence[str | Path]

_READING = ("separator", "decimal", "skip", "header", "missing", "dataset", "structure")
_NUMBERS = ("read_volts", "rate", "period", "compliance", "polarity", "swept", "stop_beyond", "formed_above", "first")


def iv(data: Data, **columns: Any) -> Finding | list[Finding]:
    """Analyse I–V loops: volts, current (amps), [cell, loop, time]; ``period``, ``read_volts``, ``compliance``."""
    return _analyse("iv", data, columns)


def pulses(data: Data, **columns: Any) -> Finding | list[Finding]:
    """Analyse pulses: volts, width, before, after of single ones, or volts, width, conductance of trains."""
    return _analyse("pulses", data, columns)


def retention(data: Data, **columns: Any) -> Finding | list[Finding]:
    """Analyse cells that were left alone: before, after, time, temperature; or conductance at time 0 and later."""
    return _analyse("retention", data, columns)


def endurance(data: Data, **columns: Any) -> Finding | list[Finding]:
    """Analyse SET/RESET cycling: conductance (ohms), [cell, cycle, state]; or hrs and lrs, one line per cycle."""
    return _analyse("endurance", data, columns)


def noise(data: Data, **columns: Any) -> Finding | list[Finding]:
    """Analyse sampled conductances: conductance (ohms, siemens), [cell]; ``rate``, or a time column."""
    return _analyse("noise", data, columns)


def levels(data: Data, **columns: Any) -> Finding | list[Finding]:
    """Analyse where programmed cells ended: low, high, after, pulses (or sets and resets)."""
    return _analyse("levels", data, columns)


def forming(data: Data, **columns: Any) -> Finding | list[Finding]:
    """Analyse forming: volts, after, [success]; ``formed_above``."""
    return _analyse("forming", data, columns)


def verify(data: Data, **columns: Any) -> Finding | list[Finding]:
    """Analyse programming: low, high, after, pulses (or sets and resets), [reads, success]."""
    return _analyse("verify", data, columns)


def map(data: Data, **columns: Any) -> Finding | list[Finding]:
    """Analyse a map: row, col, conductance (ohms)."""
    return _analyse("map", data, columns)


def find(subject: str, measured: Sequence[Measured]) -> list[Finding]:
    """Return what an analysis finds in each of several measurements; the ids of those that share one are told apart."""
    if subject not in SUBJECTS:
        raise RefusedError(unknown("analysis", subject, SUBJECTS))
    chosen = SUBJECTS[subject]
    for one in measured:
        if one.kind not in chosen.kinds:
            raise RefusedError(f"{one.id} is {a_kind([one.kind])}, and {subject} takes {a_kind(chosen.kinds)}")
    return [chosen.run(one) for one in measured]


def _analyse(subject: str, data: Any, given: dict[str, Any]) -> Finding | list[Finding]:
    description, folder, only = (given.pop(name, None) for name in ("description", "folder", "only"))
    said = {name: str(given.pop(name)) for name in _NUMBERS if name in given}
    reading = Reading(**{name: given.pop(name) for name in _READING if name in given}, numbers=said)
    kinds = SUBJECTS[subject].kinds
    if isinstance(data, Measured):
        found = [data]
    elif isinstance(data, str | Path) or (isinstance(data, Sequence) and not hasattr(data, "columns")):
        sources: Any = [data] if isinstance(data, str | Path) else list(data)
        found = read_sources(
            sources, SUBJECTS[subject], description=description, columns=given, reading=reading,
            folder=None if folder is None else Path(folder), only=[only] if isinstance(only, str) else only or (),
        )  # fmt: skip
    elif hasattr(data, "columns"):
        frame: Any = data
        found = [of_frame(frame, kinds, given, reading)]
    else:
        raise RefusedError(f"a {type(data).__name__} is no data: give a pandas table, paths, or a measurement")
    findings = find(subject, found)
    return findings[0] if len(findings) == 1 else findings
