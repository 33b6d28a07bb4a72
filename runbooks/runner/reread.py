"""Is it still the chip a run was begun on, where no instrument can tell? A formed cell does not become virgin again."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...common.errors import RefusedError
from ...instruments.block import Block
from ...instruments.capabilities import CrossbarArray
from ...protocols.keeping.joined import joined, step_parts

CELLS_MAX = 16
"""So many cells are read, spread over those that are known to be formed."""
FORMED_FACTOR = 10.0
"""A cell that reads so much more than at first, and has never read less since, has been formed."""
VIRGIN_FACTOR = 3.0
"""It is a contradiction when it reads less than so much more than at first: a RESET does not lead back there."""

Cell = tuple[int, int]


def first_of_formed(folder: Path) -> dict[Cell, float]:
    """Return what cells read at first [S], of those that this run has seen formed."""
    first: dict[Cell, float] = {}
    lowest: dict[Cell, float] = {}
    for step in step_parts(folder):
        table = joined(folder, step)
        if not {"row", "col", "conductance"} <= set(table.columns):
            continue
        for row, col, value in zip(table["row"], table["col"], table["conductance"], strict=True):
            cell, g = (int(row), int(col)), float(value)
            if not np.isfinite(g) or g <= 0.0:
                continue
            if cell in lowest:
                lowest[cell] = min(lowest[cell], g)
            elif g > FORMED_FACTOR * first.setdefault(cell, g):
                lowest[cell] = g
    return {cell: first[cell] for cell, g in lowest.items() if g > FORMED_FACTOR * first[cell]}


def refuse_virgin_chip(folder: Path, array: CrossbarArray) -> None:
    """Read cells this run has formed; refuse when more than half of them read as if they had never been.

    Asked where no instrument tells which chip it has. Nothing is written, and a chip of which this run has formed
    nothing yet, or another one with the same cells formed, is not told apart.

    Raises
    ------
    RefusedError
        It is another chip.
    """
    first = first_of_formed(folder)
    cells = sorted(first)
    if not cells:
        return
    chosen = [cells[k] for k in np.unique(np.linspace(0, len(cells) - 1, CELLS_MAX).round().astype(int))]
    gone: list[tuple[Cell, float]] = []
    for row, col in chosen:
        now = float(array.read(Block(row, 1, col, 1), average=4).conductance[0, 0])
        if now < VIRGIN_FACTOR * first[row, col]:
            gone.append(((row, col), now))
    array.idle()
    if len(gone) > len(chosen) / 2:
        (row, col), now = gone[0]
        raise RefusedError(
            f"this is not the chip the run was begun on: {len(gone)} of {len(chosen)} cells it has formed read as if "
            f"never formed, cell ({row}, {col}) {now * 1e6:.3g} µS, and {first[row, col] * 1e6:.3g} µS before it was; "
            "put the first chip back, or begin a new run"
        )
