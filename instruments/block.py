"""The rectangles an array's cells are addressed by."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..common.errors import RefusedError


class Shaped(Protocol):
    """What has rows and columns: an array's spec."""

    @property
    def rows(self) -> int:
        """Number of rows."""
        ...

    @property
    def cols(self) -> int:
        """Number of columns."""
        ...

    @property
    def separate(self) -> bool:
        """Whether its cells share no line."""
        ...


@dataclass(frozen=True, slots=True)
class Block:
    """A rectangle of cells, zero-based: the unit in which arrays are read and pulsed."""

    row0: int
    nrows: int
    col0: int
    ncols: int

    def __post_init__(self) -> None:
        row0, nrows, col0, ncols = self.row0, self.nrows, self.col0, self.ncols
        plain = type(row0) is int and type(nrows) is int and type(col0) is int and type(ncols) is int
        if plain and row0 >= 0 and nrows > 0 and col0 >= 0 and ncols > 0:
            return
        for name, value in (("row0", row0), ("nrows", nrows), ("col0", col0), ("ncols", ncols)):
            if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < name.startswith("n"):
                least = 1 if name.startswith("n") else 0
                raise RefusedError(f"cells: {name} is {value!r}; it must be a whole number of at least {least}")
            object.__setattr__(self, name, int(value))  # an int8 would wrap in row0 + nrows

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols) of the rectangle."""
        return self.nrows, self.ncols

    @property
    def size(self) -> int:
        """Number of cells."""
        return self.nrows * self.ncols

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of this rectangle in a whole-array map."""
        return slice(self.row0, self.row0 + self.nrows), slice(self.col0, self.col0 + self.ncols)

    def where(self, mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
        """Return (row, col) in the array of the cells that a mask of this rectangle's shape holds, row by row."""
        return [(row + self.row0, col + self.col0) for row, col in np.argwhere(mask).tolist()]

    def common(self, other: Block) -> Block | None:
        """Return the cells that both rectangles hold, None where they do not meet."""
        row, col = max(self.row0, other.row0), max(self.col0, other.col0)
        nrows = min(self.row0 + self.nrows, other.row0 + other.nrows) - row
        ncols = min(self.col0 + self.ncols, other.col0 + other.ncols) - col
        return Block(row, nrows, col, ncols) if nrows > 0 and ncols > 0 else None

    def moved(self, rows: int, cols: int) -> Block:
        """Return the rectangle moved by ``rows`` and ``cols``."""
        return Block(self.row0 + int(rows), self.nrows, self.col0 + int(cols), self.ncols)

    def __str__(self) -> str:
        return f"{self.row0}:{self.row0 + self.nrows},{self.col0}:{self.col0 + self.ncols}"

    @classmethod
    def parse(cls, text: str, spec: Shaped) -> Block:
        """Read ``"0:8,0:8"``, ``"3,5"``, ``":,0:4"`` or ``"all"``; refuse what lies outside the array."""
        wanted = text.strip()
        if wanted == "all":
            return cls(0, spec.rows, 0, spec.cols)
        match = re.fullmatch(r"\s*(\d*)(:?)(\d*)\s*,\s*(\d*)(:?)(\d*)\s*", wanted)
        if match is None:
            raise RefusedError(f"cells {text!r} are not understood: write 'rows,cols' like '0:8,0:8', '3,5' or 'all'")
        row0, row1 = _span(match.group(1), match.group(2), match.group(3), spec, "row", text)
        col0, col1 = _span(match.group(4), match.group(5), match.group(6), spec, "column", text)
        return cls(row0, row1 - row0, col0, col1 - col0)


def _span(first: str, colon: str, last: str, spec: Shaped, axis: str, text: str) -> tuple[int, int]:
    size = spec.rows if axis == "row" else spec.cols
    if not colon:
        if not first:
            raise RefusedError(f"cells {text!r} give no {axis}: write 'rows,cols' like '0:8,0:8', '3,5' or 'all'")
        start, stop = int(first), int(first) + 1
    else:
        start, stop = int(first or 0), int(last) if last else size
    if stop > size or start >= stop:
        devices = ": single devices, no crossbar; the runbook for those is first_cell"
        raise RefusedError(
            f"cells {text!r}: {axis}s {start}:{stop} are outside the array or empty; this array has {axis}s 0:{size}"
            f"{devices if spec.separate else ''}"
        )
    return start, stop
