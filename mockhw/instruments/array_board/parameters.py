"""Parameters that several commands of the array board have."""

from __future__ import annotations

from typing import Final

from ...scpi.arguments import Integer, Number, Parameter
from ...scpi.tree import Command, number, setting
from .spec import BoardSpec

RECTANGLE: Final[tuple[Parameter, ...]] = (
    Integer("row0", low=0),
    Integer("nrows", low=0),
    Integer("col0", low=0),
    Integer("ncols", low=0),
)


def cell(spec: BoardSpec) -> tuple[Parameter, Parameter]:
    """Return row and column of one cell."""
    return Integer("row", low=0, high=spec.rows - 1), Integer("column", low=0, high=spec.cols - 1)


def attribute(board: object, pattern: str, parameter: Number, name: str) -> tuple[Command, Command]:
    """Return command and query of a setting that is the attribute ``name`` of ``board``."""

    def put(value: float) -> None:
        setattr(board, name, value)

    return setting(pattern, parameter, lambda: number(getattr(board, name)), put)
