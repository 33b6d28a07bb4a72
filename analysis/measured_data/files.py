"""Files of other benches as plain tables: separated text, packed or not, Parquet, netCDF, HDF5, QCoDeS databases."""

from __future__ import annotations

import gzip
import zlib
from difflib import get_close_matches
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.errors import RefusedError
from ...common.files import ARRAYS_MAX, read_bytes
from .array_files import ARRAY_SUFFIXES, read_array_file
from .easyexpert import is_easyexpert, read_easyexpert

if TYPE_CHECKING:
    from pandas import DataFrame

    from .description import Entry

DATA_FILE = "data file"
_SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t", ".dat": "\t"}
_LISTED = 20
_MANY = 1000


def matching(folder: Path, pattern: str, *, where: str) -> list[Path]:
    """Return the files in ``folder`` that fit ``pattern``, sorted by name; refuse none, listing what is there."""
    if not folder.is_dir():
        raise RefusedError(f"{where}: there is no folder {folder} with the data: give the folder they are in")
    try:
        found = sorted(path for path in folder.glob(pattern) if path.is_file())
    except (NotImplementedError, ValueError) as error:
        raise RefusedError(f"{where}: files {pattern!r}: give a path from the folder of the data") from error
    if not found:
        there = sorted(path.name for path in folder.iterdir() if path.is_file())
        more = f" and {len(there) - _LISTED} more" if len(there) > _LISTED else ""
        near = get_close_matches(pattern, there, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise RefusedError(
            f"{where}: no file {pattern!r} in {folder}: there is {', '.join(there[:_LISTED]) or 'no file'}{more}{hint}"
        )
    return found


def read_frame(path: Path, entry: Entry) -> DataFrame:
    """Return the lines of a file as a table; a column without a header is called by its position, from 1.

    The index is the line's number in the file, as far as the file is text.

    Raises
    ------
    RefusedError
        The file is damaged, too large, or no table.
    """
    from pandas.errors import EmptyDataError, ParserError

    packed = path.suffix.lower() == ".gz"
    suffix = (path.with_suffix("") if packed else path).suffix.lower()
    if suffix in ARRAY_SUFFIXES and not packed:
        return read_array_file(path, entry.dataset)
    content = read_bytes(path, DATA_FILE, most=ARRAYS_MAX)
    if packed:
        content = _unpacked(content, path)
    _refuse_no_table(content, path)
    if is_easyexpert(content):
        return read_easyexpert(content, path)
    try:
        frame = _parquet(content, path) if suffix == ".parquet" else _text(content, suffix, entry, path)
    except (ParserError, EmptyDataError, UnicodeDecodeError, ValueError) as error:
        if isinstance(error, RefusedError):
            raise
        said = " ".join(str(error).split()).removeprefix("Error tokenizing data. C error: ")
        raise RefusedError(f"{path}: not readable as a table: {said}: look at separator, skip and header") from error
    if not len(frame):
        raise RefusedError(f"{path} holds no line of numbers: look at skip and header")
    return frame


_BEGINNINGS = {
    b"PK\x03\x04": "a zip archive or an Excel sheet: save it as CSV",
    b"\xd0\xcf\x11\xe0": "an Excel sheet: save it as CSV",
    b"%PDF": "a PDF: export the numbers as CSV",
    b"\x89PNG": "a picture: export the numbers as CSV",
    b"\x89HDF": "an HDF5 file: name it so, with the ending .h5",
    b"SQLite format 3": "a SQLite database: name it so, with the ending .db, if QCoDeS wrote it",
    b"MATLAB": "a MATLAB file: save it with -v7.3 and the ending .h5, or as CSV",
    b"\x1f\x8b": "packed: name it so, with the ending .gz",
}


def _refuse_no_table(content: bytes, path: Path) -> None:
    if not content.strip():
        raise RefusedError(f"{path} is empty")
    for beginning, what in _BEGINNINGS.items():
        if content.startswith(beginning):
            raise RefusedError(f"{path} is {what}")


def _unpacked(content: bytes, path: Path) -> bytes:
    try:
        with gzip.open(BytesIO(content)) as file:
            found = file.read(ARRAYS_MAX + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise RefusedError(f"{path} cannot be unpacked: {error}") from error
    if len(found) > ARRAYS_MAX:
        raise RefusedError(f"{path}: it unpacks to more than {ARRAYS_MAX >> 20} MiB, the most that is read")
    return found


_CALLED = {",": "commas", ";": "semicolons", "\t": "tabs"}


def _utf8(content: bytes) -> bytes:
    """Return text as UTF-8: that of a spreadsheet may be UTF-16, which begins with a mark, or Windows-1252."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16").encode()
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace").encode()
    return content


def _refuse_another_separator(content: bytes, separator: str, entry: Entry, path: Path) -> None:
    """Refuse text whose first line has none of the separator its name stands for, and some of another."""
    first = next(iter(content.split(b"\n")[entry.skip : entry.skip + 1]), b"").decode("utf-8", errors="replace")
    if separator in first:
        return
    other = next((one for one in _CALLED if one in first), None)
    if other is None or (other == "," and entry.decimal == ","):
        return
    said = {"\t": "'\\t'"}.get(other, repr(other))
    decimal = ", and decimal ',' if numbers are like 0,5" if other == ";" else ""
    raise RefusedError(f"{path}: its columns stand between {_CALLED[other]}: say separator {said}{decimal}")


def _parquet(content: bytes, path: Path) -> DataFrame:
    import pandas as pd

    if find_spec("pyarrow") is None:
        raise RefusedError(
            f'{path}: Parquet needs the package pyarrow: python -m pip install "xbarlab[export]", or give a CSV file'
        )
    try:
        return pd.read_parquet(BytesIO(content))
    except Exception as error:  # of pyarrow, in a dozen kinds
        raise RefusedError(f"{path}: not readable as Parquet: {' '.join(str(error).split())}") from error


def _text(content: bytes, suffix: str, entry: Entry, path: Path) -> DataFrame:
    import pandas as pd

    default = ";" if entry.decimal == "," else _SEPARATORS.get(suffix)
    separator = entry.separator or default
    if separator is None:
        known = ", ".join([*_SEPARATORS, ".parquet", *ARRAY_SUFFIXES])
        raise RefusedError(f"{path}: say its separator: its name ends in none of {known}")
    content = _utf8(content)
    if entry.separator is None:
        _refuse_another_separator(content, separator, entry, path)
    read: Any = pd.read_csv
    frame: DataFrame = read(
        BytesIO(content),
        sep=separator,
        decimal=entry.decimal,
        skiprows=entry.skip,
        header=0 if entry.header else None,
        skipinitialspace=True,
        skip_blank_lines=False,
        index_col=False,
        encoding="utf-8-sig",
        engine="c" if len(separator) == 1 else "python",
        low_memory=False,
    )
    if frame.shape[1] > _MANY:  # a block of memory for each takes seconds
        frame = pd.DataFrame(frame.to_numpy(), columns=frame.columns)
    if entry.header:
        frame.columns = [str(name).strip() for name in frame.columns]
    else:
        frame.columns = range(1, frame.shape[1] + 1)
    frame.index = frame.index + entry.skip + (2 if entry.header else 1)
    empty = np.asarray(pd.isna(frame.to_numpy()))
    named = np.asarray([isinstance(name, str) and not name.startswith("Unnamed: ") for name in frame.columns])
    kept = np.flatnonzero(named | ~empty.all(axis=0))  # a separator may end every line
    last = kept[-1] if not empty.all() else -1
    return frame.iloc[~empty.all(axis=1), : last + 1]
