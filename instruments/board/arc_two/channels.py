"""Which of the 64 channels is which line of the chip, and what channels share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....common.errors import RefusedError

if TYPE_CHECKING:
    from ...chip.chip_file import Chip

COUNT = 64
CLUSTER = 8
"""Channels that share one pulse timing and one pulse polarity: 0–7, 8–15, …"""
ROWS: tuple[int, ...] = (*range(16), *range(32, 48))
COLS: tuple[int, ...] = (*range(16, 32), *range(48, 64))
"""The sides of the board: a read of a slice drives one channel of a side and measures the whole other side."""


def cluster(channel: int) -> int:
    """Return the cluster of a channel."""
    return channel // CLUSTER


class Channels:
    """Channels of a chip's rows and columns, in the chip's order.

    Parameters
    ----------
    chip : Chip, optional
        ``lines`` of its file are channels; left out, rows are 0–15 and 32–47, columns 16–31 and 48–63, in this order.

    Raises
    ------
    RefusedError
        The chip is larger than the board, or rows and columns share a side: a cluster of eight has one width and one
        polarity, and a slice is read from the other side.
    """

    def __init__(self, name: str, chip: Chip | None) -> None:
        rows = ROWS if chip is None else chip.lines.rows or ROWS[: chip.rows]
        cols = COLS if chip is None else chip.lines.cols or COLS[: chip.cols]
        if chip is not None and (len(rows) != chip.rows or len(cols) != chip.cols):
            raise RefusedError(
                f"chip {chip.id} is {chip.rows} × {chip.cols}; {name} has 32 rows and 32 columns: choose a smaller chip"
            )
        who = name if chip is None else f"chip {chip.id} on {name}"
        beyond = [line for line in (*rows, *cols) if line >= COUNT]
        if beyond:
            raise RefusedError(f"{who}: there is no channel {beyond[0]}: lines are channels 0 to {COUNT - 1}")
        sides = {"rows": {line in ROWS for line in rows}, "cols": {line in ROWS for line in cols}}
        if len(sides["rows"]) > 1 or len(sides["cols"]) > 1 or sides["rows"] == sides["cols"]:
            raise RefusedError(
                f"{who}: rows are on channels {_text(rows)} and columns on {_text(cols)}: put all rows on one side of "
                "the board and all columns on the other (0–15 and 32–47, 16–31 and 48–63); clusters of eight share one "
                "width and one polarity of pulses, and a slice is read from the other side"
            )
        self.rows, self.cols = tuple(rows), tuple(cols)

    @property
    def all(self) -> tuple[int, ...]:
        """Every channel in use, rows first."""
        return (*self.rows, *self.cols)

    def column_order(self, *, reverse: bool = False) -> tuple[int, ...]:
        """Return where in a slice (the other side's channels, ascending) each column is, or each row."""
        lines = self.rows if reverse else self.cols
        side = ROWS if lines[0] in ROWS else COLS
        return tuple(side.index(line) for line in lines)


def _text(lines: tuple[int, ...]) -> str:
    return ", ".join(map(str, lines))
