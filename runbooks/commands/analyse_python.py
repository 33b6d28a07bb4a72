"""Your own data, analysed like a run's, from Python: ``from xbarlab import analyse``; ``analyse.iv(frame)``.

Every function takes a table in memory (pandas), the path of a data file or several, a data description, the folder of a
run, or what :func:`~xbarlab.analysis.measured_data.measured.read_measured` returned, and gives a
:class:`~xbarlab.analysis.own_data.finding.Finding`, of several measurements of the kind a list of them. Keywords name
columns (``volts="U (mV)"``, ``ohms="R:kohm"``, ``width="=200 ns"``) as the options of ``xbarlab analyse`` do, which
gives the same; without any, columns that are called like quantities are taken, those of our own results, too
(``analyse.iv(dc_sweep(…).frame)``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...analysis.own_data.analyse import analyse as _analyse
from .measured_run import measured_for

if TYPE_CHECKING:
    from pandas import DataFrame

    from ...analysis.measured_data.measured import Measured
    from ...analysis.own_data.finding import Finding

    Data = DataFrame | Measured | str | Path | Sequence[str | Path]


def iv(data: Data, **columns: Any) -> Finding | list[Finding]:
    """Analyse I–V loops: volts, current (amps), [cell, loop, time]; ``period``, ``read_volts``, ``compliance``."""
    return _analyse("iv", data, columns, measured_for)


def pulses(data: Data, **columns: Any) -> Finding | list[Finding]:
    """Analyse pulses: volts, width, before, after of single ones, or volts, width, conductance of trains."""
    return _analyse("pulses", data, columns, measured_for)


def retention(data: Data, **columns: Any) -> Finding | list[Finding]:
    """Analyse cells that were left alone: before, after, time, temperature; or conductance at time 0 and later."""
    return _analyse("retention", data, columns, measured_for)


def endurance(data: Data, **columns: Any) -> Finding | list[Finding]:
    """Analyse SET/RESET cycling: conductance (ohms), [cell, cycle, state]; or hrs and lrs, one line per cycle."""
    return _analyse("endurance", data, columns, measured_for)


def noise(data: Data, **columns: Any) -> Finding | list[Finding]:
    """Analyse sampled conductances: conductance (ohms, siemens), [cell]; ``rate``, or a time column."""
    return _analyse("noise", data, columns, measured_for)


def levels(data: Data, **columns: Any) -> Finding | list[Finding]:
    """Analyse where programmed cells ended: low, high, after, pulses (or sets and resets)."""
    return _analyse("levels", data, columns, measured_for)


def forming(data: Data, **columns: Any) -> Finding | list[Finding]:
    """Analyse forming: volts, after, [success]; ``formed_above``."""
    return _analyse("forming", data, columns, measured_for)


def verify(data: Data, **columns: Any) -> Finding | list[Finding]:
    """Analyse programming: low, high, after, pulses (or sets and resets), [reads, success]."""
    return _analyse("verify", data, columns, measured_for)


def map(data: Data, **columns: Any) -> Finding | list[Finding]:
    """Analyse a map: row, col, conductance (ohms)."""
    return _analyse("map", data, columns, measured_for)
