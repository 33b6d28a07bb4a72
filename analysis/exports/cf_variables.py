"""Tables of steps as variables that follow the CF conventions: dimensions, coordinates, units, flags."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pandas import DataFrame

UNITS = {"S": "S", "V": "V", "A": "A", "s": "s", "ohm": "ohm", "Hz": "Hz", "J": "J", "K": "K"}
"""Unit at the end of a column's name → as UDUNITS has it."""
AXES = (
    "state", "direction", "volts_V", "written_V", "width_s", "repeat", "cycle", "pulse", "pulses", "read", "point",
    "sample", "vector", "method", "leg", "level",
)  # fmt: skip
"""Columns that may tell the lines of one cell apart, in the order in which they are tried."""
TIMES = ("seconds", "time")
SPARSE = 4.0
"""A grid that would be so many times larger than its table is not made."""
ABSENT = -1
CELL = ("row", "col")


@dataclass(frozen=True)
class Variable:
    """One variable: its dimensions, values and attributes; ``coordinate`` for what places others."""

    dims: tuple[str, ...]
    values: NDArray[Any]
    attrs: dict[str, Any] = field(default_factory=dict[str, Any])
    coordinate: bool = False


def split_unit(column: str) -> tuple[str, str]:
    """Return name and unit of a column: ``conductance_S`` → conductance, S; a number without one is of unit 1."""
    name, _, tail = column.rpartition("_")
    return (name, UNITS[tail]) if name and tail in UNITS else (column, "1")


def udunits(unit: str) -> str:
    """Return a unit of a quantity as UDUNITS has it; counts, fractions and ratios are of unit 1."""
    return {"Ω": "ohm", "thousand": "1000"}.get(unit, unit if unit in UNITS else "1")


def step_variables(prefix: str, about: str, frame: DataFrame, shape: tuple[int, int]) -> dict[str, Variable]:
    """Return the table of one step as variables named ``<prefix>_<column>``.

    A table of one line per cell becomes maps on the chip's ``row`` and ``col``. One of more lines becomes a grid of its
    cells (a dimension of its own, with ``_row`` and ``_col`` beside it) and of what tells the lines of a cell apart.

    Parameters
    ----------
    about : str
        What it is, for ``long_name``: "step hold (retention)".
    shape : (int, int)
        Rows and columns of the chip.
    """
    axes = _axes(frame)
    if not axes and set(CELL) <= set(frame.columns):
        # Lines of a cell that nothing tells apart stand in their order.
        frame = frame.assign(sample=frame.groupby(list(CELL)).cumcount())
        axes = [*CELL, "sample"]
    here = [name for name in CELL if name in axes]
    if here == list(CELL) and len(axes) == 2:
        return _maps(prefix, about, frame, shape)
    if not axes or _points(frame, axes) > SPARSE * len(frame):
        return _lines(prefix, about, frame)
    return _grid(prefix, about, frame, axes)


def _axes(frame: DataFrame) -> list[str]:
    """Return the fewest columns that tell all lines apart, cells first; none where no columns do."""
    axes = [name for name in CELL if name in frame.columns]
    ahead = [name for name in AXES if name in frame.columns]
    while ahead and (not axes or frame.duplicated(axes).any()):
        axes.append(ahead.pop(0))
    if not axes or frame.duplicated(axes).any():
        return []
    for name in [name for name in axes if name not in CELL]:
        fewer = [other for other in axes if other != name]
        if fewer and not frame.duplicated(fewer).any():
            axes = fewer
    return axes


def _points(frame: DataFrame, axes: list[str]) -> int:
    """Return how many points the grid of some axes has; cells are one axis."""
    here = [name for name in CELL if name in axes]
    sizes = [np.unique(np.asarray(frame[name])).size for name in axes if name not in CELL]
    return math.prod([len(frame[here].drop_duplicates()) if here else 1, *sizes])


def _maps(prefix: str, about: str, frame: DataFrame, shape: tuple[int, int]) -> dict[str, Variable]:
    index = np.asarray(frame["row"], dtype=np.int64), np.asarray(frame["col"], dtype=np.int64)
    return {
        f"{prefix}_{split_unit(column)[0]}": _variable(column, about, np.asarray(frame[column]), CELL, index, shape)
        for column in frame.columns
        if column not in CELL
    }


def _grid(prefix: str, about: str, frame: DataFrame, axes: list[str]) -> dict[str, Variable]:
    made: dict[str, Variable] = {}
    dims: list[str] = []
    index: list[NDArray[np.int64]] = []
    sizes: list[int] = []
    here = [name for name in CELL if name in axes]
    if len(here) == 2:
        each = np.asarray(frame[here], dtype=np.int64)
        cells, places = np.unique(each, axis=0, return_inverse=True)
        dims, index, sizes = [f"{prefix}_cell"], [places.ravel().astype(np.int64)], [len(cells)]
        for place, name in enumerate(here):
            attrs = {"units": "1", "long_name": f"{'row' if name == 'row' else 'column'} of the cells of {about}"}
            made[f"{prefix}_{name}"] = Variable((dims[0],), cells[:, place], attrs, coordinate=True)
    for name in [axis for axis in axes if len(here) < 2 or axis not in CELL]:
        known, where = np.unique(np.asarray(frame[name]), return_inverse=True)
        base, unit = split_unit(name)
        dims, index, sizes = [*dims, f"{prefix}_{base}"], [*index, where.astype(np.int64)], [*sizes, known.size]
        attrs = {"long_name": f"{_words(base)} of {about}"} | ({} if known.dtype.kind in "OUS" else {"units": unit})
        made[dims[-1]] = Variable((dims[-1],), known, attrs, coordinate=True)
    at = tuple(index)
    for column in frame.columns:
        if column in axes or column in CELL:
            continue
        name = f"{prefix}_{split_unit(column)[0]}"
        made[name] = _variable(column, about, np.asarray(frame[column]), tuple(dims), at, tuple(sizes))
    beside = [name for name, one in made.items() if one.coordinate and name not in dims]
    if beside:
        for one in made.values():
            if not one.coordinate:
                one.attrs["coordinates"] = " ".join(beside)
    return made


def _lines(prefix: str, about: str, frame: DataFrame) -> dict[str, Variable]:
    """Return a table on its lines: nothing tells them apart but their order."""
    dims, index = (f"{prefix}_line",), (np.arange(len(frame), dtype=np.int64),)
    return {
        f"{prefix}_{split_unit(column)[0]}": _variable(
            column, about, np.asarray(frame[column]), dims, index, (len(frame),)
        )
        for column in frame.columns
    }


def _variable(
    column: str,
    about: str,
    values: NDArray[Any],
    dims: tuple[str, ...],
    index: tuple[NDArray[np.int64], ...],
    sizes: tuple[int, ...],
) -> Variable:
    base, unit = split_unit(column)
    attrs: dict[str, Any] = {"long_name": f"{_words(base)}, {about}"}
    kind = values.dtype.kind
    if kind in "bOUS":
        words, codes = _flags(values)
        made: NDArray[Any] = np.full(sizes, ABSENT, dtype=np.int16)
        made[index] = codes
        attrs |= {"flag_values": np.arange(len(words), dtype=np.int16), "flag_meanings": " ".join(words)}
        return Variable(dims, made, attrs | {"_FillValue": np.int16(ABSENT)})
    whole = kind in "iu" and values.size == math.prod(sizes)
    made = np.zeros(sizes, dtype=np.int64) if whole else np.full(sizes, np.nan)
    made[index] = values
    return Variable(dims, made, attrs | {"units": unit}, coordinate=base in TIMES and unit == "s")


def _flags(values: NDArray[Any]) -> tuple[list[str], NDArray[np.int16]]:
    """Return the words of a column of texts or truths, without blanks, and which of them each line has."""
    if values.dtype.kind == "b":
        return ["no", "yes"], values.astype(np.int16)
    known, codes = np.unique(values.astype(str), return_inverse=True)
    return [_word(one) for one in known.tolist()], codes.astype(np.int16)


def _word(text: str) -> str:
    kept = "".join(letter if letter.isalnum() or letter in "_-.+@" else "_" for letter in text).strip("_")
    return kept or "none"


def _words(name: str) -> str:
    return name.replace("_", " ")
