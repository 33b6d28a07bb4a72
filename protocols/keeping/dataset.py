"""One QCoDeS dataset per protocol step, in array paramtypes, so that it opens in pandas, xarray and plottr as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .storage import StorageError, writing

WRITE_PERIOD = 0.5
SETTING_UNITS = {
    **dict.fromkeys(("gate", "set_gate", "reset_gate", "set_volts", "reset_volts", "read_volts"), "V"),
    **dict.fromkeys(("width", "dwell"), "s"),
    **dict.fromkeys(("compliance", "reset_compliance"), "A"),
    "tolerance": "S",
    "temperature": "K",
}
"""Units of the settings that our steps note in their datasets' metadata."""
BUSY_SECONDS = 10.0  # how long another program may hold the database before we give up


@dataclass(frozen=True, slots=True)
class Axis:
    """A setpoint axis. ``values`` given: a fast axis every ``add`` covers; ``None``: slow, one value per ``add``.

    ``count`` says how many values a slow axis takes in the end, where that is known from the beginning: with all of
    them the dataset has a shape, without which plottr does not find the axes of a finished one.
    """

    name: str
    label: str
    unit: str = ""
    values: NDArray[Any] | None = None
    count: int | None = None

    @property
    def size(self) -> int | None:
        """Number of values, where it is known."""
        return self.count if self.values is None else len(self.values)


@dataclass(frozen=True, slots=True)
class Variable:
    """A measured quantity on all axes."""

    name: str
    label: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """Axes and variables of a step's dataset as an earlier version of it wrote them.

    A run that such a version began goes on with them: its data stay one table.
    """

    axes: Sequence[Axis]
    variables: Sequence[Variable]

    @property
    def setpoints(self) -> tuple[str, ...]:
        """Names of the axes, slow ones first."""
        return tuple(axis.name for axis in self.axes)


class _Remembered:
    """A QCoDeS station, or the default one, whose snapshot is what is remembered of it: nobody is asked.

    From 0.59 on a ``Measurement`` asks every instrument for what it has no valid value of, before the first row: over
    TCP half a second each, and on a simulated clock time that no run takes.
    """

    def __init__(self, station: Any) -> None:
        self._station = station

    def snapshot(self, update: object = False) -> dict[str, Any]:
        """Return the snapshot without asking any instrument, whatever ``update`` says."""
        from qcodes.station import Station

        station: Any = self._station if self._station is not None else Station.default
        return {} if station is None else station.snapshot(update=False)


def _make_whole(database: Path) -> None:
    """Make a new database beside its place and move it there when it is whole.

    QCoDeS makes one in many steps. Whoever is killed between two of them leaves a file that QCoDeS refuses for good.
    """
    from qcodes.dataset import connect

    if database.exists():
        return
    unfinished = database.with_name(f"{database.name}.new")
    for left in (unfinished, unfinished.with_name(f"{unfinished.name}-journal")):
        left.unlink(missing_ok=True)
    connect(unfinished).close()
    unfinished.replace(database)


class DatasetWriter:
    """Context manager that writes full rectangular blocks: slow axes first, then the fast axes.

    Parameters
    ----------
    database : path of the QCoDeS database; ``None`` keeps nothing (a protocol called with ``run=None``).
    tag : shown by inspectr and plottr; metadata must be int, float or str.
    whole : whether all of a step is to be in it, and not what another dataset lacks.
    """

    def __init__(
        self,
        database: Path | None,
        *,
        experiment: str,
        sample: str,
        name: str,
        axes: Sequence[Axis],
        variables: Sequence[Variable],
        metadata: Mapping[str, int | float | str],
        station: Any = None,
        whole: bool = True,
    ) -> None:
        self.run_id: int | None = None
        self.guid = ""
        self._axes, self._variables = tuple(axes), tuple(variables)
        self.setpoints = tuple(axis.name for axis in axes)
        self._fast = [axis for axis in axes if axis.values is not None]
        self._shape = tuple(len(axis.values) for axis in self._fast if axis.values is not None)
        self._grids: dict[str, NDArray[Any]] = {}
        self._runner: Any = None
        self._saver: Any = None
        if self._fast:
            grids = np.meshgrid(*[np.asarray(axis.values) for axis in self._fast], indexing="ij")
            self._grids = {axis.name: grid.ravel() for axis, grid in zip(self._fast, grids, strict=True)}
        if database is None:
            return
        from qcodes.dataset import Measurement, connect, load_or_create_experiment

        self._database = database
        with writing(database):
            _make_whole(database)
            self._conn = connect(database)
            self._conn.execute(f"PRAGMA busy_timeout = {round(1000 * BUSY_SECONDS)}")
            # As safe as the default, which makes and deletes a file with every commit, and three times as fast.
            self._conn.execute("PRAGMA journal_mode = TRUNCATE")
            exp = load_or_create_experiment(experiment, sample_name=sample, conn=self._conn)
        asks_nobody: Any = _Remembered(station)
        measurement = Measurement(exp=exp, name=name, station=asks_nobody)
        measurement.write_period = WRITE_PERIOD
        for axis in self._axes:
            measurement.register_custom_parameter(axis.name, label=axis.label, unit=axis.unit, paramtype="array")
        setpoints = tuple(axis.name for axis in self._axes)
        for variable in self._variables:
            measurement.register_custom_parameter(
                variable.name, label=variable.label, unit=variable.unit, setpoints=setpoints, paramtype="array"
            )
        sizes = [size for axis in self._axes if (size := axis.size) is not None]
        if whole and len(sizes) == len(self._axes):
            measurement.set_shapes({variable.name: tuple(sizes) for variable in self._variables})
        # The cache copies all rows so far at every append; whoever wants the data reads them back from the file.
        self._runner = measurement.run(write_in_background=False, in_memory_cache=False)
        self._metadata = dict(metadata)

    def __enter__(self) -> DatasetWriter:
        if self._runner is not None:
            with writing(self._database):
                with redirect_stdout(StringIO()):  # QCoDeS announces every run on stdout, which belongs to our results
                    self._saver = self._runner.__enter__()
                self.run_id, self.guid = int(self._saver.run_id), str(self._saver.dataset.guid)
                for tag, value in self._metadata.items():
                    self._saver.dataset.add_metadata(tag, value)
        return self

    def add(self, slow: Mapping[str, float] | None = None, **data: ArrayLike) -> None:
        """Write one block: a value for every slow axis, an array of the fast axes' shape for every variable.

        What the dataset has no place for is passed over.
        """
        if self._saver is None:
            return
        size = int(np.prod(self._shape, dtype=np.int64))
        rows: list[tuple[str, NDArray[Any]]] = []
        for axis in self._axes:
            if axis.values is not None:
                rows.append((axis.name, self._grids[axis.name]))
            else:
                rows.append((axis.name, np.full(size, (slow or {})[axis.name])))
        for variable in self._variables:
            rows.append((variable.name, np.broadcast_to(np.asarray(data[variable.name]), self._shape).ravel()))
        with writing(self._database):
            self._saver.add_result(*rows)

    def flush(self) -> None:
        """Write what was added to the database: it is on disk when this returns.

        QCoDeS only logs it when it could not write, and keeps the rows; asked for them directly it says why.
        """
        if self._saver is None:
            return
        dataset: Any = self._saver.dataset
        with writing(self._database):
            self._saver.flush_data_to_database()
            if dataset._results:
                dataset.add_results(dataset._results)
                dataset._results = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is None:
            return
        failure = error if isinstance(error, StorageError) else self._last_flush()
        try:
            if failure is None:
                with writing(self._database):
                    self._runner.__exit__(kind, error, trace)
            else:
                # The disk or whoever holds the database has had its time; QCoDeS tries to write once more.
                self._conn.execute("PRAGMA busy_timeout = 0")
                with suppress(Exception):
                    self._runner.__exit__(kind, error, trace)
        finally:
            self._conn.close()
        if failure is not None and error is None:
            raise failure

    def _last_flush(self) -> StorageError | None:
        try:
            self.flush()
        except StorageError as failure:
            return failure
        return None
