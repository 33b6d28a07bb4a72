"""Measurements from tables whose columns are named one by one, without a description file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ....common.errors import RefusedError, unknown
from ....common.records import read_record
from ...measured_data.checks import check_table
from ...measured_data.derive import derive, refuse_time_back
from ...measured_data.description import Entry
from ...measured_data.files import read_frame
from ...measured_data.gather import gather_frame
from ...measured_data.kinds import COLUMNS, EITHER, Quantity, a_kind
from ...measured_data.measured import Measured
from .assumed import protocol_of
from .floors import with_floor
from .header_units import unit_in, unit_of_column

if TYPE_CHECKING:
    from pandas import DataFrame

ALSO = {"amps": "current", "ohms": "conductance", "siemens": "conductance"}
"""Other names of quantities, which also say a unit."""
_UNITS = {"amps": "A", "ohms": "ohm", "siemens": "S"}
PAIR = ("hrs", "lrs")
"""Two columns of a cycle, one for each state."""
_LIKE = {"loop": ("cycle",), "time": ("seconds",), "hrs": ("off",), "lrs": ("on",)}
"""Other names that a table of a result may have for a quantity."""
_MAY_BE_UNKNOWN = {
    "pulse_sweep": ("width",), "pulse_train": ("width",), "bake": ("temperature",), "write_verify": ("pulses",),
}  # fmt: skip
"""What a twin must know, and an analysis can do without."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How text files are read, and what is in no column.

    Attributes
    ----------
    separator, decimal, skip, header, missing, dataset
        As in a description file; ``dataset`` of a file that holds several.
    structure : "1T1R" or "passive"
    numbers : mapping of str to str
        Of the protocol, with units: ``read_volts``, ``rate``, ``period``, ``compliance``, ``polarity``, ``first``.
    plausible : mapping of str to (str, str)
        Between which values ``conductance`` and ``volts`` lie, of cells that are not like most.
    floor : Path or DataFrame, optional
        Of noise: the same samples with no voltage at the cells.
    """

    separator: str | None = None
    decimal: str = "."
    skip: int = 0
    header: bool = True
    missing: str = "refuse"
    dataset: str | None = None
    structure: Literal["1T1R", "passive"] = "passive"
    numbers: Mapping[str, str] | None = None
    plausible: Mapping[str, Sequence[str]] | None = None
    floor: Path | DataFrame | None = None

    def entry(self, kind: str, name: str, columns: Mapping[str, Any], protocol: Mapping[str, Any]) -> Entry:
        """Return what a description of such a file would say."""
        told = {
            "id": _identifier(name), "files": name, "separator": self.separator, "decimal": self.decimal,
            "skip": self.skip, "header": self.header, "missing": self.missing, "dataset": self.dataset,
            "columns": dict(columns), "plausible": {name: list(ends) for name, ends in (self.plausible or {}).items()},
            "protocol": {"kind": kind, **protocol},
        }  # fmt: skip
        return read_record(Entry, told, where=name)


def of_files(
    files: Sequence[Path], kinds: Sequence[str], columns: Mapping[str, str], reading: Reading
) -> list[Measured]:
    """Return the measurement in data files whose columns are named.

    Parameters
    ----------
    files : sequence of Path
        Several hold more cells of one measurement; where no column says which cell it is, a cell each.
    kinds : sequence of str
        It is of the first that has all these columns.
    columns : mapping of str to str
        Quantity of :mod:`...measured_data.kinds` -> ``COL`` or ``COL:unit``, or ``=VALUE`` for all lines. Without a
        unit it is that of the header (``U (mV)``), then SI. ``amps``, ``ohms`` and ``siemens`` are other names for
        ``current`` and ``conductance``; of a cycling ``hrs`` and ``lrs`` are two columns of a line.
        None named: those that are called like quantities.

    Raises
    ------
    RefusedError
        In one sentence what does not fit.
    """
    bare = reading.entry(kinds[0], files[0].name, {}, protocol_of(kinds[0], {}))
    frames = [(path, read_frame(path, bare)) for path in files]
    return [_measured(frames, kinds, columns, reading, files[0].name)]


def of_frame(
    frame: DataFrame, kinds: Sequence[str], columns: Mapping[str, str], reading: Reading, *, name: str = "table"
) -> Measured:
    """Return the measurement in a table; as :func:`of_files`."""
    if not len(frame):
        raise RefusedError(f"the {name} has no line")
    return _measured([(Path(name), frame)], kinds, columns, reading, name)


def _measured(
    frames: Sequence[tuple[Path, DataFrame]],
    kinds: Sequence[str],
    columns: Mapping[str, str],
    reading: Reading,
    name: str,
) -> Measured:
    from pandas import concat

    first = frames[0][1]
    asked = dict(columns) or _called_like_quantities(first, kinds)
    kind = _kind(asked, kinds, first, frames[0][0])
    numbers = dict(reading.numbers or {})
    halves = [dict(asked)]
    if kind == "cycling" and set(PAIR) & set(asked):
        halves = _halves(asked)
    parts: list[Any] = []
    dropped = 0
    entry: Entry | None = None
    for number, (path, frame) in enumerate(frames):
        for half in halves:
            found = {_quantity(key): _column(key, text, kind, frame, path) for key, text in half.items()}
            _refuse_twice(half, frame, path)
            found |= _cells_of(kind, found)
            entry = reading.entry(kind, name, found, protocol_of(kind, numbers))
            table, gone = gather_frame(frame, entry, path, number)
            parts.append(table)
            dropped += gone
    assert entry is not None
    table: Any = concat(parts, ignore_index=True)
    where = Path(name).name
    if not len(table):
        raise RefusedError(f"{where}: no line has a number in every column")
    if kind == "forming" and "success" not in table and "formed_above" not in numbers:
        raise RefusedError(
            f"{where}: which cells formed? name the column that says so (--column success=COL), or the conductance "
            "above "
            "which a cell is formed (--formed-above 20uS)"
        )
    if reading.floor is not None:
        table = with_floor(table, _floor_table(asked, kind, reading, where), kind, where)
    if kind == "bake" and "conductance" in table:
        refuse_time_back(table, kind, where)
        if (table["time"] > 0.0).all():
            table = _with_a_first(table)
    for missing in _MAY_BE_UNKNOWN.get(kind, ()):
        if missing not in table and not (missing == "pulses" and {"sets", "resets"} <= set(table.columns)):
            table[missing] = np.nan
    protocol = protocol_of(kind, numbers, table, where=where)
    entry = reading.entry(kind, name, entry.columns, protocol)
    table = derive(table, entry.protocol, where=where)
    check_table(table, entry, where=where, cells_min=1)
    return Measured(
        id=entry.id,
        protocol=entry.protocol,
        table=table,
        title=name,
        source="not described",
        licence="not stated",
        structure=reading.structure,
        files=tuple(path.name for path, _ in frames),
        dropped=dropped,
    )


def _floor_table(asked: Mapping[str, str], kind: str, reading: Reading, where: str) -> Any:
    """Return the table of the floor, read as the traces are; a column of cells may be missing in it."""
    if kind != "noise":
        raise RefusedError(f"{where}: a floor is that of noise: leave it out")
    if isinstance(reading.floor, Path):
        path, frame = reading.floor, read_frame(reading.floor, reading.entry(kind, where, {}, {"rate": 1.0}))
    else:
        path, frame = Path("floor"), reading.floor
    assert frame is not None
    there = {str(name) for name in frame.columns}
    mine = {
        key: text
        for key, text in asked.items()
        if _quantity(key) in ("conductance", "current") or (key in ("cell", "row", "col") and text in there)
    }
    found = {_quantity(key): _column(key, text, kind, frame, path) for key, text in mine.items()}
    table, _ = gather_frame(frame, reading.entry(kind, where, found, {"rate": 1.0}), path)
    return table


def _refuse_twice(asked: Mapping[str, str], frame: DataFrame, path: Path) -> None:
    """Refuse a column name that several columns have, and one column for two quantities."""
    names = [str(name) for name in frame.columns]
    taken: dict[str, str] = {}
    for key, text in asked.items():
        if text.startswith("="):
            continue
        column = str(_split(text, frame, path)[0])
        if names.count(column) > 1 or f"{column}.1" in names:
            places = ", ".join(str(k) for k, name in enumerate(names, 1) if name.removesuffix(".1") == column)
            raise RefusedError(f"{path}: column {column!r} stands several times: give its position, one of {places}")
        if column in taken:
            raise RefusedError(f"{path}: {taken[column]} and {key} are both column {column!r}: name one for each")
        taken[column] = key


def _with_a_first(table: Any) -> Any:
    """Return readings over time with the first of every cell once more at time 0: what the others are held against."""
    from pandas import concat

    first = table.loc[table.groupby("cell")["time"].idxmin()].assign(time=0.0)
    return concat([first, table], ignore_index=True)


def _quantity(key: str) -> str:
    return ALSO.get(key, key)


def _kind(asked: Mapping[str, str], kinds: Sequence[str], frame: DataFrame, path: Path) -> str:
    there = ", ".join(map(str, frame.columns))
    if not asked:
        raise RefusedError(
            f"{path}: where is {a_kind(kinds)} in it? its columns are {there}; name those that are "
            f"{' or '.join(_needs(kind) for kind in kinds)}, as in --volts COL or --column NAME=COL"
        )
    for kind in kinds:
        known = {*COLUMNS[kind], *(PAIR if kind == "cycling" else ())}
        if {_quantity(key) for key in asked} <= known:
            return kind
    known = {*COLUMNS[kinds[0]], *(PAIR if kinds[0] == "cycling" else ())}
    odd = next(key for key in asked if _quantity(key) not in known)
    raise RefusedError(f"{path}: {a_kind(kinds)} has no {unknown('column', odd, known).removeprefix('unknown ')}")


def _needs(kind: str) -> str:
    either = " or ".join(" and ".join(group) for group in EITHER.get(kind, ()))
    return ", ".join([*needed(kind), *([either] if either else [])])


def needed(kind: str) -> list[str]:
    """Return the quantities without which there is nothing to analyse."""
    free = _MAY_BE_UNKNOWN.get(kind, ())
    return [name for name, quantity in COLUMNS[kind].items() if quantity.needed and name not in free]


def _called_like_quantities(frame: DataFrame, kinds: Sequence[str]) -> dict[str, str]:
    """Return columns that have the name of a quantity, or that and its unit: ``volts``, ``volts_V``."""
    for kind in kinds:
        found: dict[str, str] = {}
        known = dict(COLUMNS[kind])
        if kind == "cycling":
            known |= dict.fromkeys(PAIR, known["conductance"])
        for name, quantity in known.items():
            for called in (name, *_LIKE.get(name, ())):
                for column in (called, f"{called}_{quantity.unit}", f"{called} [{quantity.unit}]"):
                    there = column in frame.columns and column not in found.values()
                    if there and (quantity.needed or frame[column].notna().to_numpy().any()):
                        found.setdefault(name, column)
        if kind == "cycling" and set(PAIR) <= set(found):
            return {name: column for name, column in found.items() if name not in ("conductance", "state")}
        groups = EITHER.get(kind, ((),))
        if set(needed(kind)) <= set(found) and any(set(group) <= set(found) for group in groups):
            return {name: column for name, column in found.items() if name not in PAIR}
    return {}


def _halves(asked: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the columns of the lines of either state, where both stand in one line."""
    for missing in set(PAIR) - set(asked):
        raise RefusedError(f"hrs and lrs belong together: name the column of {missing}, too")
    others = {key: text for key, text in asked.items() if key not in PAIR}
    return [{**others, "conductance": asked[state], "state": f"={state.upper()}"} for state in PAIR]


def _column(key: str, text: str, kind: str, frame: DataFrame, path: Path) -> dict[str, Any]:
    """Return what a description would say of a column that was named."""
    quantity = COLUMNS[kind][_quantity(key)]
    if text.startswith("="):
        return {"value": text[1:].strip()}
    column, unit = _split(text, frame, path)
    told: dict[str, Any] = {"column": column}
    if quantity.holds == "numbers":
        told["unit"] = unit or _unit(key, quantity, column, frame, path)
    elif unit:
        raise RefusedError(f"{path}: {key} has no unit: name its column without {unit!r}")
    return told


def _unit(key: str, quantity: Quantity, column: str | int, frame: DataFrame, path: Path) -> str:
    if key in _UNITS:
        return unit_of_column(column, quantity.unit, frame, f"{path}: {key}") or _UNITS[key]
    return unit_of_column(column, quantity.unit, frame, f"{path}: {key}") or quantity.unit


def _split(text: str, frame: DataFrame, path: Path) -> tuple[str | int, str]:
    """Return column and unit of ``COL`` or ``COL:unit``; a name that holds a colon is taken whole where it is one."""
    names = [str(name) for name in frame.columns]
    if text in names:
        return _position(text, frame, path), ""
    name, colon, unit = text.rpartition(":")
    if colon and (name in names or name.isdigit()):
        return _position(name, frame, path), unit.strip()
    bare = {unit_in(column)[0]: column for column in names}
    if text in bare:  # "U" of "U (mV)"
        return bare[text], ""
    if colon and name in bare:
        return bare[name], unit.strip()
    if text.isdigit():
        return _position(text, frame, path), ""
    raise RefusedError(f"{path}: {unknown('column', name if colon and _is_unit(unit) else text, names)}")


def _is_unit(text: str) -> bool:
    return bool(text) and unit_in(f"x ({text.strip()})")[1] != ""


def _position(name: str, frame: DataFrame, path: Path) -> str | int:
    if not name.isdigit() or name in list(frame.columns):
        return name
    if int(name) < 1:
        raise RefusedError(f"{path}: there is no column {name}: their positions count from 1 to {frame.shape[1]}")
    return int(name)


_BY_LINE = ("forming", "write_verify", "bake")


def _cells_of(kind: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return which cell it is where nobody said: each line of what is measured once per cell, else each file."""
    if "cell" in found or {"row", "col"} <= set(found) or kind == "map":
        return {}
    if kind == "bake" and "conductance" in found:
        return {"cell": {"per": "file"}}
    return {"cell": {"per": "line" if kind in _BY_LINE else "file"}}


def _identifier(name: str) -> str:
    bare = re.sub(r"\W", "_", Path(name).name.split(".")[0])
    return bare if bare[:1].isalpha() else f"data_{bare}"
