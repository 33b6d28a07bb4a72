"""One table per step, however often the step was cut and resumed: every completed unit once, nothing twice."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.errors import RefusedError, unknown
from .data_check import datasets_in
from .journal import read_journal, step_histories
from .run import DATABASE, JOURNAL

if TYPE_CHECKING:
    from pandas import DataFrame
    from qcodes.dataset.data_set_protocol import DataSetProtocol


@dataclass(frozen=True, slots=True)
class Part:
    """What belongs of one dataset: its first ``blocks``, or all of it where ``blocks`` is None."""

    guid: str
    blocks: int | None


def step_parts(directory: Path) -> dict[str, list[Part]]:
    """Return the datasets of every step of a run, first to last.

    Of a dataset that was cut only what belongs to completed units counts: the unit in flight was done again later. The
    last one stands as it is.
    """
    parts: dict[str, list[Part]] = {}
    for step, history in step_histories(read_journal(directory / JOURNAL)).items():
        found = [Part(guid, blocks) for guid, blocks in history.datasets.items()]
        if found:
            parts[step] = [*found[:-1], Part(found[-1].guid, None)]
    return parts


def joined(directory: str | Path, step: str) -> DataFrame:
    """Return everything a step measured as one table: a column for every setpoint and quantity.

    Parameters
    ----------
    directory : folder of a run
    step : id of a step
    """
    folder = Path(directory)
    parts = step_parts(folder)
    if step not in parts:
        raise RefusedError(f"{folder} holds no data of it: {unknown('step id', step, parts)}")
    with database(folder) as connection:
        return joined_table(connection, parts[step])


@contextmanager
def database(directory: Path) -> Generator[Any]:
    """Open the database of a run for reading."""
    path = directory / DATABASE
    if not path.is_file():
        raise RefusedError(f"{directory} holds no data: there is no {path.name}")
    datasets_in(path)  # or QCoDeS makes a traceback of a damaged file
    from qcodes.dataset import connect

    with closing(connect(path)) as connection:
        yield connection


def joined_table(connection: Any, parts: list[Part]) -> DataFrame:
    """Return what belongs of several datasets as one table."""
    from pandas import concat
    from qcodes.dataset import load_by_guid

    tables = [_table(load_by_guid(part.guid, connection), part.blocks) for part in parts]
    return concat([table for table in tables if len(table)] or tables[-1:], ignore_index=True)


def _table(dataset: DataSetProtocol, blocks: int | None) -> DataFrame:
    from pandas import DataFrame

    columns: dict[str, Any] = {}
    if blocks != 0 and dataset.number_of_results:
        for group in dataset.get_parameter_data(end=blocks).values():
            columns.update({name: np.ravel(values) for name, values in group.items()})
    names = list(dataset.paramspecs)
    return DataFrame({name: columns.get(name, []) for name in names})
