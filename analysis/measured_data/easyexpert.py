"""CSV exports of Keysight EasyEXPERT, the program of the B1500A: lines ``DataValue`` under a line ``DataName``.

The form is known from a public description with an example (docs/own-data.md), not from a file of the program.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...common.errors import RefusedError

if TYPE_CHECKING:
    from pandas import DataFrame

_BEGINS = (b"SetupTitle,", b"\xef\xbb\xbfSetupTitle,")
_NAMES, _VALUES = "DataName", "DataValue"


def is_easyexpert(content: bytes) -> bool:
    """Whether a file begins as such an export does."""
    return content.lstrip().startswith(_BEGINS)


def read_easyexpert(content: bytes, path: Path) -> DataFrame:
    """Return the values of an export as a table; the index is the number of the line in the file.

    Raises
    ------
    RefusedError
        It holds no values, or those of several tests with different columns.
    """
    from pandas import DataFrame

    lines = content.decode("utf-8-sig", errors="replace").splitlines()
    names: list[str] = []
    rows: dict[int, list[str]] = {}
    for number, line in enumerate(lines, start=1):
        first, *rest = (part.strip() for part in line.split(","))
        if first == _NAMES:
            if names and rest != names:
                raise RefusedError(f"{path}: tests with different columns, in line {number}: export each by itself")
            names = rest
        elif first == _VALUES:
            if not names or len(rest) != len(names):
                raise RefusedError(f"{path}: line {number} has {len(rest)} values under {len(names)} names")
            rows[number] = rest
    if not rows:
        raise RefusedError(f"{path}: an EasyEXPERT export without a line {_VALUES}: export the results, too")
    return DataFrame.from_dict(rows, orient="index", columns=names)
