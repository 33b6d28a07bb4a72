"""A run's datasets as files other programs read: netCDF, CSV or Parquet."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...common.errors import RefusedError, unknown
from ...protocols.keeping.joined import Part, database, joined_table, step_parts
from ...protocols.keeping.run import DATABASE, JOURNAL
from ..runner.record import dataset_ids, safe_name

if TYPE_CHECKING:
    from pandas import DataFrame

SUFFIXES = {"netcdf": ".nc", "csv": ".csv", "parquet": ".parquet"}


def export_run(directory: Path, form: str) -> list[Path]:
    """Write every dataset of ``directory/data.db`` to ``directory/export/`` and return the files.

    A step that was cut and resumed has several datasets; they become one file in which nothing stands twice.

    Parameters
    ----------
    form : "netcdf" (keeps axes, units and metadata), "csv" or "parquet" (flat tables, one line per point)
    """
    if form not in SUFFIXES:
        raise RefusedError(unknown("export format", form, SUFFIXES))
    if form == "parquet" and find_spec("pyarrow") is None:
        raise RefusedError(
            "Parquet needs the package pyarrow: choose csv or netcdf, or install it with "
            'python -m pip install "xbarlab[export]"'
        )
    if not directory.is_dir():
        raise RefusedError(f"there is no folder {directory}: give the folder of a run, like runs/first_light_1t1r-…")
    runs = dataset_ids(directory / DATABASE)
    if not runs:
        raise RefusedError(f"{directory} holds no data: there is no dataset in {DATABASE}")
    from qcodes.dataset import load_by_id

    folder = directory / "export"
    folder.mkdir(exist_ok=True)
    chains = {parts[-1].guid: parts for parts in _chains(directory) if len(parts) > 1}
    earlier = {part.guid for parts in chains.values() for part in parts[:-1]}
    written: list[Path] = []
    with database(directory) as connection:
        for run_id, name, guid in runs:
            if guid in earlier:
                continue
            target = folder / f"{run_id:03d}_{safe_name(name)}{SUFFIXES[form]}"
            dataset = load_by_id(run_id, connection)
            table = joined_table(connection, chains[guid]) if guid in chains else None
            written.append(_write(dataset, table, target, form))
    return written


def _chains(directory: Path) -> list[list[Part]]:
    return list(step_parts(directory).values()) if (directory / JOURNAL).is_file() else []


def _write(dataset: Any, table: DataFrame | None, target: Path, form: str) -> Path:
    """Write a dataset, or in its place the ``table`` it was joined into."""
    if form == "netcdf":
        cube = dataset.to_xarray_dataset() if table is None else _cube(dataset, table)
        cube.to_netcdf(target, engine="h5netcdf", invalid_netcdf=False)
        return target
    frame = dataset.to_pandas_dataframe().reset_index() if table is None else table
    units = {spec.name: spec.unit for spec in dataset.paramspecs.values() if spec.unit}
    frame = frame.rename(columns={name: f"{name}_{unit}" for name, unit in units.items()})
    if form == "csv":
        frame.to_csv(target, index=False)
    else:
        frame.to_parquet(target, index=False)
    return target


def _cube(dataset: Any, table: DataFrame) -> Any:
    """Return a joined table on its setpoint axes, labelled as QCoDeS labels a dataset of its own."""
    specs = dataset.paramspecs
    setpoints = next(iter(dataset.description.interdeps.dependencies.values()))
    cube = table.set_index([axis.name for axis in setpoints]).to_xarray()
    for name in [*cube.data_vars, *cube.coords]:
        cube[name].attrs.update(label=specs[name].label, units=specs[name].unit)
    return cube.assign_attrs({"ds_name": dataset.name, "guid": dataset.guid, "xbarlab_joined": "of several datasets"})
