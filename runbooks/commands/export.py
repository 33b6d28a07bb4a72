"""A run as files other programs read: its datasets as netCDF, CSV or Parquet, or its chip (`export_chip`)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...common.errors import RefusedError, unknown
from ...common.progress import ProgressBar
from ...common.text import reason
from ...protocols.keeping.dataset import SETTING_UNITS
from ...protocols.keeping.joined import Part, database, joined_table, step_parts
from ...protocols.keeping.run import DATABASE, JOURNAL
from ...protocols.keeping.storage import StorageError, writing
from ..runner.plugin_grant import Ask, Files, nobody
from ..runner.record import dataset_ids, safe_name
from .export_chip import CHIP_FORMATS, export_chip

if TYPE_CHECKING:
    from pandas import DataFrame

SUFFIXES = {"netcdf": ".nc", "csv": ".csv", "parquet": ".parquet"}


def export_run(
    directory: Path, form: str, *, plugins: Files = (), ask: Ask = nobody, tell: Callable[[str], None] = lambda _: None
) -> list[Path]:
    """Write every dataset of ``directory/data.db`` to ``directory/export/`` and return the files.

    A format of `CHIP_FORMATS` makes one thing of the whole run instead: see `export_chip`.

    A step that was cut and resumed has several datasets; they become one file in which nothing stands twice, in place
    of what an earlier export made of its first part. A dataset without rows is told and left out, and so is one that
    cannot be read: those after it are written all the same.

    Parameters
    ----------
    form : "netcdf" (keeps axes, units and metadata), "csv" or "parquet" (flat tables, one line per point: units are in
        the names of columns, and seed, gates and other settings of the step in columns of their own); or "chip",
        "aihwkit", "crosssim"
    plugins, ask : of `export_chip`; datasets need no plug-in
    tell : called with a line about everything that is not written

    Raises
    ------
    StorageError
        A dataset could not be read or written; the others were.
    """
    if form not in SUFFIXES and form not in CHIP_FORMATS:
        raise RefusedError(unknown("export format", form, [*SUFFIXES, *CHIP_FORMATS]))
    if form == "parquet" and find_spec("pyarrow") is None:
        raise RefusedError(
            "Parquet needs the package pyarrow: choose csv or netcdf, or install it with "
            'python -m pip install "xbarlab[export]"'
        )
    if not directory.is_dir():
        raise RefusedError(f"there is no folder {directory}: give the folder of a run, like runs/first_light_1t1r-…")
    if form in CHIP_FORMATS:
        return export_chip(directory, form, plugins=plugins, ask=ask, tell=tell)
    if not (directory / DATABASE).is_file():
        raise RefusedError(f"{directory} holds no data: there is no {DATABASE}")
    folder = directory / "export"
    written: list[Path] = []
    failed: list[str] = []
    with ExitStack() as held:
        connection = held.enter_context(database(directory))
        runs = dataset_ids(directory / DATABASE)
        if not runs:
            raise RefusedError(f"{directory} holds no data: there is no dataset in {DATABASE}")
        chains = {parts[-1].guid: parts for parts in _chains(directory, tell)}
        earlier = {part.guid for parts in chains.values() for part in parts[:-1]}
        targets = {guid: folder / f"{run_id:03d}_{safe_name(name)}{SUFFIXES[form]}" for run_id, name, guid in runs}
        with writing(folder, then="export it again"):
            folder.mkdir(exist_ok=True)
        bar = held.enter_context(ProgressBar("exporting", len(runs), unit="datasets"))
        for number, (run_id, name, guid) in enumerate(runs):
            bar.update(number, name)
            try:
                made = None if guid in earlier else _export(connection, guid, chains.get(guid), targets[guid], form)
            except (StorageError, KeyboardInterrupt):
                raise
            except Exception as error:  # of QCoDeS, pandas, xarray or a file format: the datasets after it are whole
                failed.append(f"dataset {run_id} ({name}): {type(error).__name__}: {reason(error)}")
                continue
            if made is not None:
                written.append(made)
                continue
            targets[guid].unlink(missing_ok=True)
            if guid not in earlier:
                tell(f"dataset {run_id} ({name}) is empty: nothing of it is exported")
    if failed:
        raise StorageError(f"{len(failed)} of {len(runs)} datasets could not be exported: {'; '.join(failed)}")
    return written


def _chains(directory: Path, tell: Callable[[str], None]) -> list[list[Part]]:
    if not (directory / JOURNAL).is_file():
        return []
    try:
        return list(step_parts(directory).values())
    except StorageError as error:
        tell(f"every dataset is exported for itself, units that were begun and done again stand twice: {error}")
        return []


def _export(connection: Any, guid: str, parts: list[Part] | None, target: Path, form: str) -> Path | None:
    """Write one dataset, joined with those before it; return None where there is nothing in it."""
    from qcodes.dataset import load_by_guid

    dataset = load_by_guid(guid, connection)
    joins = parts is not None and len(parts) > 1
    table = joined_table(connection, parts) if joins and parts is not None else None
    if (dataset.number_of_results if table is None else len(table)) == 0:
        return None
    partial = target.with_name(f".part-{target.name}")
    with writing(target, then="export it again"):
        try:
            _write(dataset, table, partial, form)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    return target


def _write(dataset: Any, table: DataFrame | None, target: Path, form: str) -> Path:
    """Write a dataset, or in its place the ``table`` it was joined into."""
    if form == "netcdf":
        cube = dataset.to_xarray_dataset() if table is None else _cube(dataset, table)
        cube.to_netcdf(target, engine="h5netcdf", invalid_netcdf=False)
        return target
    frame = dataset.to_pandas_dataframe().reset_index() if table is None else table
    units = {spec.name: spec.unit for spec in dataset.paramspecs.values() if spec.unit}
    frame = frame.rename(columns={name: f"{name}_{unit}" for name, unit in units.items()})
    settings = _settings(dataset)
    frame = frame.assign(**{name: value for name, value in settings.items() if name not in frame.columns})
    if form == "csv":
        frame.to_csv(target, index=False)
    else:
        frame.to_parquet(target, index=False)
    return target


def _settings(dataset: Any) -> dict[str, float]:
    """Return seed and settings of the step as columns: gates, compliance, widths, … with their units."""
    noted: dict[str, Any] = dataset.metadata
    numbers = {name: value for name, value in noted.items() if isinstance(value, int | float)}
    return {
        f"{name}_{SETTING_UNITS[name]}" if name in SETTING_UNITS else name: value for name, value in numbers.items()
    }


def _cube(dataset: Any, table: DataFrame) -> Any:
    """Return a joined table on its setpoint axes, labelled as QCoDeS labels a dataset of its own."""
    specs = dataset.paramspecs
    setpoints = next(iter(dataset.description.interdeps.dependencies.values()))
    cube = table.set_index([axis.name for axis in setpoints]).to_xarray()
    for name in [*cube.data_vars, *cube.coords]:
        cube[name].attrs.update(label=specs[name].label, units=specs[name].unit)
    return cube.assign_attrs(
        {**dataset.metadata, "ds_name": dataset.name, "guid": dataset.guid, "xbarlab_joined": "of several datasets"}
    )
