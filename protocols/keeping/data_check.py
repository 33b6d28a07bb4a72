"""Whether the database of a run still holds what the journal says was measured: asked before a run goes on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

from .journal import StepHistory
from .storage import StorageError


def refuse_lost_data(database: Path, histories: Iterable[StepHistory]) -> None:
    """Refuse to go on where ``data.db`` is gone, damaged or lacks blocks of completed units.

    Raises
    ------
    StorageError
        With what is missing.
    """
    wanted = {guid: blocks for history in histories for guid, blocks in history.datasets.items() if blocks}
    if not wanted:
        return
    if not database.is_file():
        raise _lost(database, f"it is gone, and held {len(wanted)} datasets")
    found = datasets_in(database)
    for guid, blocks in wanted.items():
        if guid not in found:
            raise _lost(database, f"dataset {guid} is not in it")
        if found[guid] < blocks:
            raise _lost(
                database, f"dataset {guid} has {found[guid]} rows, {blocks} blocks of completed units are noted"
            )


def datasets_in(database: Path) -> Mapping[str, int]:
    """Return rows by guid of every dataset in a database that is whole.

    Raises
    ------
    StorageError
        It is damaged, or no database.
    """
    try:
        with closing(sqlite3.connect(database)) as connection:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise _lost(database, "SQLite finds it damaged")
            tables = connection.execute("SELECT guid, result_table_name FROM runs").fetchall()
            return {
                str(guid): int(connection.execute(f'SELECT coalesce(max(id), 0) FROM "{table}"').fetchone()[0])
                for guid, table in tables
            }
    except sqlite3.Error as error:
        raise _lost(database, str(error)) from error


def setpoints_of(database: Path, guid: str) -> tuple[str, ...]:
    """Return the names of the setpoints of a dataset, slow ones first; none where a kill left no such dataset."""
    from qcodes.dataset import connect, load_by_guid

    with closing(connect(database)) as connection:
        try:
            dependencies = load_by_guid(guid, connection).description.interdeps.dependencies
        except NameError:  # what QCoDeS raises for a guid that is not there
            return ()
        return tuple(axis.name for axis in next(iter(dependencies.values()), ()))


def _lost(database: Path, why: str) -> StorageError:
    return StorageError(
        f"{database} does not hold what the journal beside it says was measured ({' '.join(why.split())}): put "
        "the file back from a copy, or begin a new run"
    )
