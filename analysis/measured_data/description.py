"""A description file: where the numbers of a measurement are in files of any bench, and what was measured.

``format: xbarlab-data/1``. The schema for an editor: ``xbarlab schema data``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from ...common.errors import RefusedError
from ...common.records import Record, read_record
from ...common.yaml_files import read_yaml
from .kinds import COLUMNS
from .measures import KnownSiemens, KnownVolts
from .protocols import Protocol

FORMAT = "xbarlab-data/1"
SUFFIX = ".data.yaml"
KIND = "data description"

Position = Annotated[int, Field(ge=1, strict=True)]


class Column(Record):
    """Where one quantity comes from: a column of the file, one number for all, or what the file is."""

    column: Position | str | None = Field(default=None, description="name in the header, or position from 1")
    minus: Position | str | None = Field(default=None, description="a column to subtract, in the same unit")
    value: float | str | None = Field(default=None, description="one number for every line, like '2 V' or '80 °C'")
    per: Literal["file", "line"] | None = Field(default=None, description="a number that counts files, or lines")
    unit: str = Field(default="", description="unit of the column: ns, uA, kohm, µS, °C …; none for counts")
    times: float = Field(default=1.0, description="a factor on top of the unit; -1 turns the sign round")

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        if [self.column, self.value, self.per].count(None) != 2:
            raise ValueError("say one of column, value and per")
        if self.minus is not None and self.column is None:
            raise ValueError("minus belongs to a column")
        return self


def _short(value: object) -> object:
    """Read ``cell: address`` and ``cell: 1`` as a column."""
    return {"column": value} if isinstance(value, str) or (isinstance(value, int) and value is not True) else value


ColumnOf = Annotated[Column, BeforeValidator(_short, json_schema_input_type=Column | int | str)]
Columns = dict[str, ColumnOf]


class Wide(Record):
    """Files with many numbers of the same quantity in one line."""

    over: Literal["states", "samples", "cells", "matrix"] = Field(
        description="what follows in a line: alternate states of a cell, its samples in time, or the cells of an array "
        "row by row; matrix: every line is one row of the array"
    )
    first: Position = Field(default=1, description="position of the first of them, from 1")
    last: Position | None = Field(default=None, description="position of the last; to the end of the line by default")
    unit: str = Field(description="their unit: ohm, kohm, uS …")
    states: tuple[Literal["HRS", "LRS"], Literal["HRS", "LRS"]] = Field(
        default=("HRS", "LRS"), description="the state of the first of them, and of the second; then they alternate"
    )
    rows: Position | None = Field(default=None, description="rows of the array, where the cells stand in one line")


class Beside(Record):
    """Another file whose lines belong to the same cells, in the same order."""

    files: str = Field(min_length=1, description="path or pattern, as many files as the first has")
    columns: Columns


class Plausible(Record):
    """Where the bulk of the numbers lies, for cells that are not like most: refused is what lies elsewhere."""

    conductance: tuple[KnownSiemens, KnownSiemens] | None = None
    volts: tuple[KnownVolts, KnownVolts] | None = None


class Entry(Record):
    """One measurement: its files, its columns, and the protocol that was run."""

    id: str = Field(pattern=r"^[A-Za-z]\w*$", description="a short name")
    files: str = Field(min_length=1, description="path or pattern (*.csv), from the folder of the data")
    layout: Literal["long", "wide"] = Field(default="long", description="one line per reading, or many in one line")
    separator: str | None = Field(
        default=None, min_length=1, max_length=4, description="',' for .csv and a tab for .tsv and .txt by default"
    )
    decimal: Literal[".", ","] = Field(default=".", description="the decimal mark")
    skip: Annotated[int, Field(ge=0)] = Field(default=0, description="lines to skip at the top")
    header: bool = Field(default=True, description="the first line after them names the columns")
    dataset: str | None = Field(
        default=None, description="which table of a file that holds several: run id of a QCoDeS database, HDF5 group"
    )
    missing: Literal["refuse", "drop"] = Field(default="refuse", description="what to do with lines without a number")
    columns: Columns = Field(default_factory=dict, description="quantity -> where it is")
    wide: Wide | None = None
    beside: tuple[Beside, ...] = ()
    each_file: Literal["more cells", "another chip"] = Field(
        default="more cells", description="what several files that fit are; another chip: a measurement each"
    )
    chip: str = Field(default="", description="which chip, where there are several")
    date: str = Field(default="", description="when, where a fit holds out dates")
    plausible: Plausible = Plausible()
    protocol: Protocol

    @model_validator(mode="after")
    def _columns_fit(self) -> Self:
        if (self.layout == "wide") != (self.wide is not None):
            raise ValueError("layout: wide and the section wide belong together")
        kind = self.protocol.kind
        for name in [*self.columns, *(name for other in self.beside for name in other.columns)]:
            if name not in COLUMNS[kind]:
                known = ", ".join(COLUMNS[kind])
                raise ValueError(f"columns: a {kind} has no {name!r}: choose from {known}")
        return self


class DataDescription(Record):
    """What a description file holds."""

    format: Literal["xbarlab-data/1"]
    title: str = Field(min_length=1)
    source: str = Field(min_length=1, description="where the data are from: a paper, a repository, a bench")
    licence: str = Field(min_length=1, description="under which terms; 'not stated' is an answer")
    structure: Literal["1T1R", "passive"]
    folder: str | None = Field(default=None, description="folder of the data, from the folder of this file")
    data: tuple[Entry, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ids_differ(self) -> Self:
        ids = [entry.id for entry in self.data]
        for one in ids:
            if ids.count(one) > 1:
                raise ValueError(f"data: two measurements are called {one!r}")
        return self


def read_description(path: Path) -> DataDescription:
    """Return what a description file says.

    Raises
    ------
    RefusedError
        No such file, no YAML, or one sentence on what does not fit.
    """
    content = read_yaml(path, KIND)
    given = content.get("format")
    if given != FORMAT:
        said = "does not say its format" if given is None else f"has format {given!r}"
        raise RefusedError(f"{path}: {said}: begin it with format: {FORMAT}", where=str(path), value=given)
    _refuse_no_protocol(content.get("data"), path)
    return read_record(DataDescription, content, where=str(path))


def _refuse_no_protocol(data: object, path: Path) -> None:
    for number, entry in enumerate(data if isinstance(data, list) else []):
        if isinstance(entry, dict) and not entry.get("protocol"):
            name = entry.get("id", number)
            raise RefusedError(
                f"{path}: data {name!r} names no protocol, and nothing can be replayed without one: say what was done "
                f"to the cells, protocol: {{kind: …}} with one of {', '.join(COLUMNS)}"
            )
