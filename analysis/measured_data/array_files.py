"""Files that hold arrays with names, as plain tables: netCDF and other HDF5, and the database of QCoDeS."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.errors import RefusedError, unknown
from ...common.files import ARRAYS_MAX

if TYPE_CHECKING:
    from pandas import DataFrame

NETCDF, HDF5, DATABASE = (".nc", ".cdf"), (".h5", ".hdf5", ".hdf"), (".db",)
ARRAY_SUFFIXES = (*NETCDF, *HDF5, *DATABASE)
UNITS = "units"
"""Key of a table's ``attrs``: units that the file has beside its arrays, by column."""
_LISTED = 12


def read_array_file(path: Path, dataset: str | None) -> DataFrame:
    """Return arrays of a file as a table, a column each; axes of netCDF and QCoDeS become columns, too.

    Parameters
    ----------
    dataset : str, optional
        Run id of a QCoDeS database, group of an HDF5 file; needed where there are several.

    Raises
    ------
    RefusedError
        The file is none of its kind, too large, or holds several tables and none was named.
    """
    if not path.is_file():
        raise RefusedError(f"there is no file {path}")
    if path.stat().st_size > ARRAYS_MAX:
        raise RefusedError(f"{path}: more than {ARRAYS_MAX >> 20} MiB, the most that is read")
    suffix = path.suffix.lower()
    try:
        read = _netcdf if suffix in NETCDF else _hdf5 if suffix in HDF5 else _qcodes
        frame = read(path, dataset)
    except RefusedError:
        raise
    except Exception as error:  # of h5py, xarray, sqlite3 and QCoDeS, in dozens of kinds
        said = " ".join(str(error).split()) or type(error).__name__
        kind = {NETCDF: "netCDF", HDF5: "HDF5", DATABASE: "a QCoDeS database"}
        name = next(what for endings, what in kind.items() if suffix in endings)
        raise RefusedError(f"{path}: not readable as {name}: {said}") from error
    if not len(frame):
        raise RefusedError(f"{path} holds no line of numbers")
    frame.columns = [str(name) for name in frame.columns]
    frame.index = range(1, len(frame) + 1)
    return frame


def _netcdf(path: Path, dataset: str | None) -> DataFrame:
    import xarray

    with xarray.open_dataset(path, engine="h5netcdf", group=dataset, decode_times=False) as opened:
        cells = int(np.prod([size for size in opened.sizes.values()] or [0]))
        if cells * max(len(opened.variables), 1) * 8 > ARRAYS_MAX:
            raise RefusedError(f"{path}: a table of {cells:,} lines is too large: give a part of it")
        frame = opened.to_dataframe().reset_index()
        frame.attrs[UNITS] = {str(name): str(one.attrs.get("units", "")) for name, one in opened.variables.items()}
        return frame


def _hdf5(path: Path, dataset: str | None) -> DataFrame:
    import h5py
    from pandas import DataFrame

    with h5py.File(path, "r") as file:
        tables = _tables(file)
        if not tables:
            raise RefusedError(f"{path} holds no arrays of one length: give a CSV file")
        name = dataset.strip("/") if dataset is not None else next(iter(tables))
        if dataset is None and len(tables) > 1:
            there = ", ".join(one or "/" for one in list(tables)[:_LISTED])
            raise RefusedError(f"{path} holds several tables: say which, with dataset: {there}")
        if name not in tables:
            raise RefusedError(f"{path}: {unknown('dataset', dataset, tables)}")
        columns: dict[str, Any] = {}
        units: dict[str, str] = {}
        for key in tables[name]:
            values: Any = file[f"{name}/{key}" if name else key]
            units[key] = _text_of(values.attrs.get("units", values.attrs.get("unit", "")))
            values = values[()]
            if values.dtype.names:  # a compound table, as of pandas or PyTables
                columns.update({field: values[field] for field in values.dtype.names})
            else:
                columns[key] = values
        frame = DataFrame({key: _plain(values) for key, values in columns.items() if np.ndim(values) == 1})
        frame.attrs[UNITS] = units
        return frame


def _text_of(value: Any) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)


def _plain(values: Any) -> Any:
    return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values


def _tables(file: Any) -> dict[str, list[str]]:
    """Return groups of an HDF5 file whose one-dimensional arrays are of one length, with their names."""
    import h5py

    found: dict[str, list[str]] = {}
    groups: list[tuple[str, Any]] = [("", file)]
    while groups:
        name, group = groups.pop(0)
        arrays: dict[str, int] = {}
        for key, item in group.items():
            if isinstance(item, h5py.Group):
                groups.append((f"{name}/{key}".strip("/"), item))
            elif item.ndim == 1:
                arrays[str(key)] = int(item.shape[0])
        if arrays and len(set(arrays.values())) == 1:
            found[name] = list(arrays)
    return found


def _qcodes(path: Path, dataset: str | None) -> DataFrame:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as plain:
        runs = dict(plain.execute("SELECT run_id, name FROM runs ORDER BY run_id").fetchall())
    if not runs:
        raise RefusedError(f"{path} holds no dataset")
    there = {str(number): str(name) for number, name in runs.items()}
    if dataset is None and len(runs) > 1:
        shown = ", ".join(f"{number} ({name})" for number, name in list(there.items())[:_LISTED])
        raise RefusedError(f"{path} holds {len(runs)} datasets: say which, with dataset: {shown}")
    wanted = dataset if dataset is not None else next(iter(there))
    named = [number for number, name in there.items() if wanted in (number, name)]
    if len(named) != 1:
        raise RefusedError(f"{path}: {unknown('dataset', wanted, [*there, *there.values()])}")
    from qcodes.dataset import connect, load_by_id

    with closing(connect(path, read_only=True)) as connection:
        loaded: Any = load_by_id(int(named[0]), connection)
        frame: Any = loaded.to_pandas_dataframe().reset_index()
        frame.attrs[UNITS] = {one.name: str(one.unit or "") for one in loaded.get_parameters()}
    return frame
