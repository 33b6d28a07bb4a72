"""From the columns of files to quantities in SI units, as a description says; nothing is derived yet."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...common.errors import RefusedError, unknown
from .files import matching, read_frame
from .kinds import COLUMNS, Quantity
from .measures import read_measure, to_si
from .protocols import IvSweep

if TYPE_CHECKING:
    from pandas import DataFrame

    from .description import Column, Columns, Entry, Wide

STATES = {"HRS", "LRS"}
_TRUE, _FALSE = {"1", "1.0", "true", "yes", "pass", "ok"}, {"0", "0.0", "false", "no", "fail"}


def gather(
    entry: Entry, folder: Path, *, where: str, among: Collection[str] | None = None
) -> list[tuple[Path, DataFrame, int]]:
    """Return a table per file of an entry: path, quantities in SI, and how many lines were dropped.

    Columns are those the description names; ``cell`` is as in the file. Where cells are counted per file or per line,
    the counts of different files differ. ``among`` has the names of the only files that are wanted.
    """
    all_files = matching(folder, entry.files, where=where)
    wanted = [n for n, path in enumerate(all_files) if among is None or path.name in among]
    files = [all_files[n] for n in wanted]
    others = [matching(folder, other.files, where=where) for other in entry.beside]
    others = [[one[n] for n in wanted] if len(one) == len(all_files) else one for one in others]
    for other, found in zip(entry.beside, others, strict=True):
        if len(found) != len(files):
            raise RefusedError(f"{where}: {len(found)} files fit {other.files!r}, {len(files)} fit {entry.files!r}")
    tables: list[tuple[Path, DataFrame, int]] = []
    for number, path in enumerate(files):
        frame = read_frame(path, entry)
        place = _Place(entry, path, number)
        table = _wide(frame, entry.wide, place) if entry.wide is not None else _long(frame, entry.columns, place)
        for other, found in zip(entry.beside, others, strict=True):
            second = read_frame(found[number], entry)
            if len(second) != len(frame):
                raise RefusedError(
                    f"{found[number]} has {len(second)} lines, {path.name} {len(frame)}: files whose lines belong "
                    "together have the same cells in the same order"
                )
            more = _long(second, other.columns, _Place(entry, found[number], number))
            table[list(more.columns)] = more.to_numpy()
        kept = _without_missing(table, place)
        tables.append((path, kept.reset_index(drop=True), len(table) - len(kept)))
    return tables


def gather_frame(frame: DataFrame, entry: Entry, name: Path, number: int = 0) -> tuple[DataFrame, int]:
    """Return the quantities of a table that is there already, one line per reading, and how many lines were dropped.

    Parameters
    ----------
    name : Path
        What the table is called in messages.
    number : int
        Of this table among several, which tells the cells of one from those of the others.
    """
    place = _Place(entry, name, number)
    table = _long(frame, entry.columns, place)
    kept = _without_missing(table, place)
    return kept.reset_index(drop=True), len(table) - len(kept)


class _Place:
    """Which file is being read, for messages, and what it is asked for."""

    def __init__(self, entry: Entry, path: Path, number: int) -> None:
        self.entry, self.path, self.number = entry, path, number
        self.kinds = COLUMNS[entry.protocol.kind]

    def column(self, name: str, column: Column) -> str:
        return f"{self.path}: {name}" + ("" if column.column is None else f" (column {column.column!r})")


def _long(frame: DataFrame, columns: Columns, place: _Place) -> DataFrame:
    from pandas import DataFrame

    return DataFrame(
        {name: _quantity(frame, name, column, place) for name, column in columns.items()}, index=frame.index
    )


def _quantity(frame: DataFrame, name: str, column: Column, place: _Place) -> Any:
    quantity = place.kinds[name]
    where = place.column(name, column)
    if column.per is not None:
        # Lines of several files are told apart by the file's number.
        lines = np.arange(len(frame)) if column.per == "line" else np.zeros(len(frame), np.int64)
        return lines + place.number * (10**7 if column.per == "line" else 1)
    if column.value is not None:
        return np.full(len(frame), _constant(column, quantity, where))
    found = _raw(frame, column.column, place)
    if quantity.holds == "cells":
        return _cells(found)
    if quantity.holds == "states":
        return _states(found, where)
    if quantity.holds == "flags":
        return _flags(found, where)
    values = _numbers(found)
    if len(found) and np.isnan(values).all() and not found.isna().all():
        if quantity.holds == "labels":
            return _labels(found)
        if name == "time":
            _refuse_dates(found, where)
        if place.entry.missing == "refuse":
            _refuse_words(found, quantity, where)
    if column.minus is not None:
        values = values - _numbers(_raw(frame, column.minus, place))
    return column.times * _si(values, name, column, quantity, place, where)


def _si(values: NDArray[Any], name: str, column: Column, quantity: Quantity, place: _Place, where: str) -> NDArray[Any]:
    protocol = place.entry.protocol
    if name == "current" and isinstance(protocol, IvSweep):
        across = protocol.series_resistor
        if across is not None or protocol.current_in != "A":
            return to_si(column.unit, "V", where=where)(values) / (1.0 if across is None else across)
    return to_si(column.unit, quantity.unit, where=where)(values)


def _constant(column: Column, quantity: Quantity, where: str) -> float | str:
    given = column.value
    if isinstance(given, str) and quantity.holds == "states":
        if given not in STATES:
            raise RefusedError(f"{where}: {unknown('state', given, STATES)}")
        return given
    try:
        text = f"{given} {column.unit}".strip() if column.unit else str(given)
        number = read_measure(text, quantity.unit) if quantity.unit else float(text)
    except ValueError as error:
        raise RefusedError(f"{where}: value: {error}") from error
    return column.times * number


def _raw(frame: DataFrame, column: int | str | None, place: _Place) -> Any:
    if isinstance(column, int):
        if column > frame.shape[1]:
            raise RefusedError(f"{place.path} has {frame.shape[1]} columns: there is no column {column}")
        return frame.iloc[:, column - 1]
    if not place.entry.header and place.path.suffix != ".parquet":
        raise RefusedError(
            f"{place.path} has no header, so there is no column {column!r}: give its position, 1 to {frame.shape[1]}"
        )
    if column not in frame.columns:
        raise RefusedError(f"{place.path}: {unknown('column', column, map(str, frame.columns))}")
    return frame[column]


def _numbers(found: Any) -> NDArray[np.float64]:
    from pandas import to_numeric

    return np.asarray(to_numeric(found, errors="coerce"), np.float64)


def _refuse_dates(found: Any, where: str) -> None:
    first = str(found.iloc[0]).strip()
    if re.fullmatch(r"[\dT:./\s+-]+(?:[Zz]|[ap]m)?", first, re.IGNORECASE) and re.search(r"\d\D\d", first):
        raise RefusedError(f"{where}: {first!r} is a date or a time of day: give seconds since the first reading")


def _refuse_words(found: Any, quantity: Quantity, where: str) -> None:
    first = str(found.dropna().iloc[0]).strip()
    wanted = f"numbers in {quantity.unit} or with a unit in the header" if quantity.unit else "numbers"
    raise RefusedError(f"{where}: {first!r}, and no number in any line: wanted are {wanted}: is it the right column?")


def _labels(found: Any) -> NDArray[np.float64]:
    """Return words as numbers, in the order of their letters; blank where there is none."""
    words = found.astype("string").str.strip()
    codes = words.astype("category").cat.codes.to_numpy(np.float64)
    return np.where(codes < 0.0, np.nan, codes)


def _cells(found: Any) -> Any:
    """Return names of cells: whole numbers, or text."""
    values = _numbers(found)
    if np.isfinite(values).all() and (values == np.round(values)).all() and (np.abs(values) < 2**53).all():
        return values.astype(np.int64)
    return found.astype("string").str.strip().astype(object)


def _states(found: Any, where: str) -> Any:
    text = found.astype("string").str.strip().str.upper().replace({"ON": "LRS", "OFF": "HRS"})
    for wrong in sorted({str(one) for one in text.dropna()} - STATES):
        raise RefusedError(f"{where}: {unknown('state', wrong, STATES)}")
    return text.astype(object)


def _flags(found: Any, where: str) -> NDArray[np.float64]:
    text = found.astype("string").str.strip().str.lower()
    made = np.where(text.isin(_TRUE), 1.0, np.where(text.isin(_FALSE), 0.0, np.nan))
    wrong = np.isnan(made) & np.asarray(text.notna())
    if wrong.any():
        raise RefusedError(f"{where}: {str(found.iloc[int(wrong.argmax())])!r} is neither 1 nor 0")
    return made


def _wide(frame: DataFrame, wide: Wide, place: _Place) -> DataFrame:
    """Return a line per number of files that have many in a line."""
    from pandas import DataFrame

    last = frame.shape[1] if wide.last is None else wide.last
    if not wide.first <= last <= frame.shape[1]:
        raise RefusedError(f"{place.path} has {frame.shape[1]} columns: wide names those from {wide.first} to {last}")
    part = frame.iloc[:, wide.first - 1 : last]
    try:
        numbers = part.to_numpy(np.float64)
    except (TypeError, ValueError):  # text among them
        numbers = np.column_stack([_numbers(part.iloc[:, at]) for at in range(part.shape[1])])
    g = to_si(wide.unit, "S", where=f"{place.path}: wide")(numbers)
    lines, count = g.shape
    line, at = (grid.ravel() for grid in np.indices(g.shape))
    table = DataFrame({"conductance": g.ravel()}, index=frame.index.to_numpy()[line])
    for name, column in place.entry.columns.items():
        table[name] = np.asarray(_quantity(frame, name, column, place))[line]
    if wide.over == "states":
        table["cycle"], table["state"] = at // 2, np.asarray(wide.states, object)[at % 2]
    elif wide.over == "samples":
        table["index"] = at
    elif wide.over == "matrix":
        table["row"], table["col"] = line, at
    else:
        rows = wide.rows
        if rows is None or count % rows:
            raise RefusedError(f"{place.path}: wide: {count} cells in a line: say rows, a divisor of it")
        if lines > 1 and "cell" not in table:
            raise RefusedError(f"{place.path} has {lines} lines of cells: an array each goes into a file of its own")
        table["row"], table["col"] = at // (count // rows), at % (count // rows)
    return table


def _without_missing(table: Any, place: _Place) -> Any:
    """Return the lines that have all they need; refuse the others, or drop them where the description says so."""
    bad = np.zeros(len(table), np.bool_)
    for name in table.columns:
        quantity = place.kinds.get(str(name))
        values = table[name]
        gone = np.asarray(values.isna())
        if quantity is not None and quantity.ends:
            continue
        if quantity is not None and quantity.holds == "numbers" and not quantity.open:
            gone = gone | ~np.isfinite(np.asarray(values, np.float64))
        if gone.any() and place.entry.missing == "refuse":
            at = table.index[int(gone.argmax())]
            raise RefusedError(
                f"{place.path}: {name} in line {at} is empty, infinite or no number, {int(gone.sum())} of {len(table)} "
                "in all: correct the file, or say missing: drop"
            )
        bad |= gone
    return table[~bad]
