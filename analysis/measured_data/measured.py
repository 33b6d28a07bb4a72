"""Measurements of any bench in one form: ``read_measured(description)`` gives a typed protocol and a table for each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...common.errors import RefusedError, unknown
from .checks import check_table
from .derive import derive
from .description import KIND, SUFFIX, DataDescription, Entry, read_description
from .gather import gather
from .kinds import a_kind

if TYPE_CHECKING:
    from pandas import DataFrame

    from .protocols import Protocol


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One measurement.

    Attributes
    ----------
    id : str
        Its name in the description, or the id of its step in a run.
    protocol : record
        What was done to the cells; :mod:`.protocols`.
    table : DataFrame
        One line per reading in SI units; :mod:`.kinds` has the columns of every kind.
    title, source, licence : str
        Of the data as a whole.
    structure : "1T1R" or "passive"
    chip, date : str
        As far as the data say; a fit may hold some of them out.
    files : tuple of str
        Names of the files it was read from.
    dropped : int
        Lines that had no number and were left out, as the description says.
    """

    id: str
    protocol: Protocol
    table: DataFrame = field(repr=False)
    title: str
    source: str
    licence: str
    structure: str
    chip: str = ""
    date: str = ""
    files: tuple[str, ...] = ()
    dropped: int = 0

    @property
    def kind(self) -> str:
        """Which kind of measurement it is: ``pulse_sweep``, ``forming``, …"""
        return self.protocol.kind

    @property
    def cells(self) -> int:
        """How many cells were measured."""
        return len(set(self.table["cell"]))


def list_descriptions() -> dict[str, Path]:
    """Return the shipped descriptions, name to file."""
    folder = Path(__file__).parent / "shipped"
    return {path.name.removesuffix(SUFFIX): path for path in sorted(folder.glob(f"*{SUFFIX}"))}


def find_description(name: str | Path) -> Path:
    """Return the file of a description given by path or by the name of a shipped one."""
    shipped, text = list_descriptions(), str(name)
    if text in shipped:
        return shipped[text]
    path = Path(name)
    if path.is_file():
        return path
    if path.name == text and not path.suffix:
        raise RefusedError(f"{unknown(KIND, text, shipped)}, or give the path of one")
    raise RefusedError(f"there is no {KIND} {path}; shipped ones are {', '.join(shipped) or 'none'}")


def read_measured(
    description: str | Path,
    data_folder: str | Path | None = None,
    *,
    only: Sequence[str] | None = None,
    kinds: Sequence[str] | None = None,
    among: Collection[str] | None = None,
    cells_min: int | None = None,
) -> list[Measured]:
    """Return the measurements that a description describes.

    Parameters
    ----------
    description : str or Path
        Path of a description file, or the name of a shipped one.
    data_folder : str or Path, optional
        Where the data are. By default the ``folder`` of the description, or the folder the description lies in; with a
        shipped description it has to be said.
    only : sequence of str, optional
        Ids of those that are wanted; all by default.
    kinds : sequence of str, optional
        Kinds of those that are wanted; all by default.
    among : collection of str, optional
        Names of the only files that are looked at; measurements that none of them belongs to are left out.
    cells_min : int, optional
        Cells every measurement needs; by default :data:`.checks.CELLS_MIN` where distributions are measured.

    Raises
    ------
    RefusedError
        Anything that does not fit: one sentence with the file, what is there, and what would be right.
    """
    path = find_description(description)
    told = read_description(path)
    folder = _folder(path, told, data_folder)
    ids = [entry.id for entry in told.data]
    for name in only or ():
        if name not in ids:
            raise RefusedError(f"{path.name}: {unknown('measurement', name, ids)}")
    wanted = [entry for entry in told.data if only is None or entry.id in only]
    fitting = [entry for entry in wanted if kinds is None or entry.protocol.kind in kinds]
    if not fitting:
        there = ", ".join(f"{entry.id} ({entry.protocol.kind})" for entry in wanted)
        raise RefusedError(f"{path.name}: none of its measurements is {a_kind(kinds or ())}: there is {there}")
    if among is not None:
        patterns = ", ".join(entry.files for entry in fitting)
        fitting = [entry for entry in fitting if _belongs(entry, among)]
        if not fitting:
            raise RefusedError(f"{path.name}: {', '.join(sorted(among))} is none of its files {patterns}")
    return [
        measured
        for entry in fitting
        for measured in _read(entry, told, folder, f"{path.name}: {entry.id}", cells_min, _own(entry, among))
    ]


def _belongs(entry: Entry, among: Collection[str]) -> bool:
    """Whether any of these files is one of a measurement, or lies beside one."""
    patterns = (entry.files, *(other.files for other in entry.beside))
    return any(fnmatch(name, pattern) for name in among for pattern in patterns)


def _own(entry: Entry, among: Collection[str] | None) -> Collection[str] | None:
    """Return the files of a measurement among these; None, which is all of its files, where there is none."""
    return {name for name in among or () if fnmatch(name, entry.files)} or None


def _folder(path: Path, told: DataDescription, data_folder: str | Path | None) -> Path:
    if data_folder is not None:
        return Path(data_folder)
    if path in list_descriptions().values():
        name = path.name.removesuffix(SUFFIX)
        raise RefusedError(
            f"the data of {name!r} are not shipped: say in which folder they are; they are from {told.source}"
        )
    return path.parent if told.folder is None else path.parent / told.folder


def _read(
    entry: Entry,
    told: DataDescription,
    folder: Path,
    where: str,
    cells_min: int | None,
    among: Collection[str] | None,
) -> list[Measured]:
    from pandas import concat

    found = gather(entry, folder, where=where, among=among)
    apart = entry.each_file == "another chip" and len(found) > 1
    groups: list[list[tuple[Path, Any, int]]] = [[one] for one in found] if apart else [found]
    made: list[Measured] = []
    for group in groups:
        table = derive(concat([table for _, table, _ in group], ignore_index=True), entry.protocol, where=where)
        check_table(table, entry, where=where, cells_min=cells_min)
        stem = group[0][0].name.split(".")[0]
        made.append(
            Measured(
                id=f"{entry.id}.{stem}" if apart else entry.id,
                protocol=entry.protocol,
                table=table,
                title=told.title,
                source=told.source,
                licence=told.licence,
                structure=told.structure,
                chip=stem if apart else entry.chip,
                date=entry.date,
                files=tuple(path.name for path, _, _ in group),
                dropped=sum(dropped for _, _, dropped in group),
            )
        )
    return made
