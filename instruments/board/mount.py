"""A chip on a board: which lines it has, which way round it sits, and what may be applied to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..chip.line_map import LineMap
from ..limits import NamedLimits

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ..array_spec import ArraySpec
    from ..block import Block
    from ..chip.chip_file import Chip
    from ..limits import Limits
    from .spec import BoardCapability


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """What the actions of a board must know of it.

    Attributes
    ----------
    can : what the board says it can do.
    spec : what a protocol sees.
    limits : the driver's, narrowed by board, chip and station.
    polarity : −1 where SET needs a negative cell voltage.
    lines : which board line is which of the chip's; None where they coincide.
    """

    can: BoardCapability
    spec: ArraySpec
    limits: Limits
    polarity: int
    lines: LineMap | None

    def rectangle(self, block: Block) -> Block:
        """Return the board's rectangle that holds a block of the chip."""
        return block if self.lines is None else self.lines.rectangle(block)

    def cell(self, row: int, col: int) -> tuple[int, int]:
        """Return the board lines of one cell."""
        return (row, col) if self.lines is None else self.lines.cell(row, col)


def mounted(
    can: BoardCapability,
    chip: Chip | None,
    limits: Mapping[str, float],
    *,
    name: str,
    place: str,
    supports: frozenset[str],
) -> Mount:
    """Put a chip on a board, or refuse what does not fit.

    Parameters
    ----------
    limits : mapping
        Narrows those of driver, board and chip.
    supports : names of the parts the driver makes
    """
    allowed = can.limits()
    board = f"board {name} at {place}"
    lines: LineMap | None = None
    if chip is not None:
        chip.require_cell(can.cell, board=board, gate_axis=can.gate_axis)
        allowed = allowed.narrowed(chip.limits, source=chip.source)
        straight = chip.line_map(can.rows, can.cols, board=board)
        lines = None if straight.whole_board else straight
    source = limits.source if isinstance(limits, NamedLimits) else f"the limits given to {name}"
    allowed = allowed.narrowed(limits, source=source)
    spec = can.spec(
        name,
        allowed,
        shape=None if chip is None else (chip.rows, chip.cols),
        bad_cells=() if chip is None else chip.all_bad_cells,
        supports=supports,
    )
    return Mount(can=can, spec=spec, limits=allowed, polarity=1 if chip is None else chip.polarity, lines=lines)


def placed(values: NDArray[Any], lines: NDArray[np.intp], size: int, fill: ArrayLike = 0) -> NDArray[Any]:
    """Put ``values`` [..., chip lines] on their board lines, ``fill`` elsewhere."""
    board = np.full((*values.shape[:-1], size), fill, dtype=values.dtype)
    board[..., lines] = values
    return board
