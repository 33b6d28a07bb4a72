"""Where measurements come from: descriptions with their data, files whose columns are named, tables in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ....common.errors import RefusedError
from ...measured_data.description import SUFFIX
from ...measured_data.measured import Measured, list_descriptions, read_measured
from .columns import Reading, of_files

if TYPE_CHECKING:
    from ..subjects import Subject


def read_sources(
    sources: Sequence[str | Path],
    subject: Subject,
    *,
    description: str | Path | None = None,
    folder: Path | None = None,
    only: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
    reading: Reading | None = None,
) -> list[Measured]:
    """Return the measurements of a subject.

    Parameters
    ----------
    sources : sequence of str or Path
        Description files or names of shipped ones, with their data in ``folder``; or data files, which ``description``
        describes, or whose ``columns`` are named.
    only : sequence of str
        Ids of the measurements that are wanted.
    columns : mapping of str to str, optional
        Quantity -> column; see :func:`.columns.of_files`.
    reading : Reading, optional
        How text files are read, and numbers that are in no column.

    Raises
    ------
    RefusedError
        What does not fit, in one sentence.
    """
    if not sources:
        raise RefusedError("no file to analyse: give data files, or a data description")
    named = [source for source in sources if _is_description(source)]
    files = [Path(source) for source in sources if source not in named]
    if named and files:
        raise RefusedError(
            f"{named[0]} is a description and {files[0]} is data: give the description of data files with --description"
        )
    wanted = only or None
    if named:
        if columns:
            raise RefusedError(f"{named[0]} says where the columns are: leave {', '.join(columns)} out")
        return [
            measured
            for source in named
            for measured in read_measured(source, folder, only=wanted, kinds=subject.kinds, cells_min=1)
        ]
    if description is not None:
        if columns:
            raise RefusedError(f"{description} says where the columns are: leave {', '.join(columns)} out")
        return _described(files, description, subject, wanted)
    return of_files(files, subject.kinds, columns or {}, reading or Reading())


def _is_description(source: str | Path) -> bool:
    return str(source) in list_descriptions() or str(source).endswith((SUFFIX, ".yaml", ".yml"))


def _described(
    files: Sequence[Path], description: str | Path, subject: Subject, only: Sequence[str] | None
) -> list[Measured]:
    """Return the measurements of a description that lie in these files, folder by folder."""
    folders: dict[Path, set[str]] = {}
    for path in files:
        if not path.is_file():
            raise RefusedError(f"there is no file {path}")
        folders.setdefault(path.parent, set()).add(path.name)
    return [
        measured
        for folder, names in folders.items()
        for measured in read_measured(description, folder, only=only, kinds=subject.kinds, among=names, cells_min=1)
    ]
