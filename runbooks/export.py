"""A run's datasets as files other programs read: netCDF, CSV or Parquet."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..instruments.errors import RefusedError, unknown
from .record import dataset_ids, safe_name

SUFFIXES = {"netcdf": ".nc", "csv": ".csv", "parquet": ".parquet"}


def export_run(directory: Path, form: str) -> list[Path]:
    """Write every dataset of ``directory/data.db`` to ``directory/export/`` and return the files.

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
    database = directory / "data.db"
    if not directory.is_dir():
        raise RefusedError(f"there is no folder {directory}: give the folder of a run, like runs/first_light_1t1r-…")
    runs = dataset_ids(database)
    if not runs:
        raise RefusedError(f"{directory} holds no data: there is no dataset in {database.name}")
    from qcodes.dataset import connect, load_by_id

    folder = directory / "export"
    folder.mkdir(exist_ok=True)
    connection = connect(database)
    try:
        return [
            _write(load_by_id(run_id, connection), folder / f"{run_id:03d}_{safe_name(name)}{SUFFIXES[form]}", form)
            for run_id, name, _ in runs
        ]
    finally:
        connection.close()


def _write(dataset: Any, target: Path, form: str) -> Path:
    if form == "netcdf":
        dataset.to_xarray_dataset().to_netcdf(target, engine="h5netcdf", invalid_netcdf=False)
        return target
    frame = dataset.to_pandas_dataframe().reset_index()
    units = {spec.name: spec.unit for spec in dataset.paramspecs.values() if spec.unit}
    frame = frame.rename(columns={name: f"{name}_{unit}" for name, unit in units.items()})
    if form == "csv":
        frame.to_csv(target, index=False)
    else:
        frame.to_parquet(target, index=False)
    return target
