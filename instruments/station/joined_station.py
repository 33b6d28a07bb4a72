"""What a station file says of several boards that are one array: which they are, and the chip on each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from ...common.errors import RefusedError, unknown
from ..chip.chip_file import Chip, load_chip
from ..joined.spec import joined_parts


def joined_boards(
    names: list[object], chips: object, instruments: Mapping[str, Any], path: Path
) -> dict[str, Chip | None]:
    """Return which boards are joined to one array, in their order, and the chip on each."""
    where = f"{path}: xbarlab.array"
    boards = [str(name) for name in names]
    for name in boards:
        if name not in instruments:
            raise RefusedError(f"{where}: {unknown('instrument', name, instruments)}")
        if boards.count(name) > 1:
            raise RefusedError(f"{where} names {name} twice: each board takes part once")
    if len(boards) < 2:
        raise RefusedError(f"{where} lists {len(boards)} board: list at least two, or write array: <instrument>")
    if chips is None:
        return dict.fromkeys(boards)
    if not isinstance(chips, list) or len(cast("list[object]", chips)) != len(boards):
        raise RefusedError(
            f"{path}: xbarlab.chip is {chips!r}: list one chip file for each of {', '.join(boards)}, in that order"
        )
    found = [load_chip(path.parent / str(file)) for file in cast("list[object]", chips)]
    for n, chip in enumerate(found):
        if chip.id in {other.id for other in found[:n]}:
            raise RefusedError(
                f"{path}: xbarlab.chip: chip {chip.id} would be on two boards: each has an id of its own"
            )
    return dict(zip(boards, found, strict=True))


def all_chips(boards: Mapping[str, Chip | None]) -> Chip | None:
    """Return the chips of joined boards as one, None when there are none: what runs and reports are told."""
    chips = [chip for chip in boards.values() if chip is not None]
    if not chips:
        return None
    parts = joined_parts([(chip.rows, chip.cols) for chip in chips])
    bad = tuple(
        (part.row0 + row, part.col0 + col)
        for part, chip in zip(parts, chips, strict=True)
        for row, col in chip.all_bad_cells
    )
    rows, cols = sum(chip.rows for chip in chips), sum(chip.cols for chip in chips)
    name = " + ".join(chip.id for chip in chips)
    return Chip(id=name, rows=rows, cols=cols, cell=chips[0].cell, bad_cells=bad)
