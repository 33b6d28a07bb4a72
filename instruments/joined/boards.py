"""The boards of a joined array: where each is, what several have done of one action, and what all are told."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from ...common.errors import RefusedError, XbarlabError
from ..array_spec import ArraySpec
from ..block import Block
from ..capabilities import CrossbarArray, Delivered
from ..chip.requests import one_cell, require_cells
from ..errors import UnconfirmedError
from ..wire.interrupts import uninterrupted
from ..wire.locks import ActionLock
from .spec import joined_spec

Place = tuple[slice, slice]


class Boards:
    """Boards one after the other on the diagonal of one array; parameters are those of ``JoinedArrays``.

    Attributes
    ----------
    all : the boards, in their order.
    spec : of the joined array, as far as the boards alone tell.
    lock : one action at a time.
    """

    def __init__(self, boards: Sequence[CrossbarArray], name: str | None) -> None:
        if len(boards) < 2:
            raise RefusedError(f"{len(boards)} board cannot be joined: name at least two, or use the one as it is")
        if len({id(board) for board in boards}) < len(boards):
            raise RefusedError("an array cannot be joined to itself: each board takes part once")
        self.all = tuple(boards)
        self.spec: ArraySpec = joined_spec(
            [board.spec for board in boards], name or " + ".join(board.spec.name for board in boards)
        )
        self.lock = ActionLock(self.spec.name)
        self._exists = self.spec.cells_mask(self.spec.whole)

    def tell(self, what: Callable[[CrossbarArray], object]) -> None:
        """Tell every board, also when one raises; then that is raised."""
        failed: list[BaseException] = []
        with uninterrupted():
            for board in self.all:
                try:
                    what(board)
                except BaseException as error:  # the next board must be told whatever this one did
                    failed.append(error)
        if failed:
            for other in failed[1:]:
                failed[0].add_note(f"and {other}")
            raise failed[0]

    # -- where -------------------------------------------------------------------------------------------------------

    def split(self, block: Block) -> Iterator[tuple[CrossbarArray, Block, Place]]:
        """Yield every board a block meets, the block there in the board's lines, and where it is in the block."""
        for board, part in zip(self.all, self.spec.parts, strict=True):
            mine = block.common(part)
            if mine is not None:
                yield board, mine.moved(-part.row0, -part.col0), mine.moved(-block.row0, -block.col0).slices

    def home(self, row: int, col: int) -> tuple[int, Block]:
        """Return the number of a cell's board, and the cell in the board's own lines."""
        cell = one_cell(self.spec, row, col)
        self.require(cell)
        for number, part in enumerate(self.spec.parts):
            if part.common(cell) is not None:
                return number, cell.moved(-part.row0, -part.col0)
        raise AssertionError(cell)

    def require(self, block: Block) -> None:
        """Refuse cells outside the array, and a block without a cell."""
        require_cells(self.spec, block)
        if not any(block.common(part) for part in self.spec.parts):
            lone = block.size == 1
            raise RefusedError(
                self._nowhere(block.row0, block.col0) if lone else f"cells {block} are on no board: {self._told()}"
            )

    def require_each(self, block: Block, wanted: NDArray[np.bool_], sorry: str) -> None:
        """Refuse a block where a cell that is ``wanted`` does not exist; ``sorry`` begins the sentence."""
        lost = wanted & ~self._exists[block.slices]
        if lost.any():
            row, col = (int(n[0]) for n in np.nonzero(lost))
            raise RefusedError(f"{sorry}: {self._nowhere(block.row0 + row, block.col0 + col)}")

    def _nowhere(self, row: int, col: int) -> str:
        return f"cell ({row}, {col}) does not exist, its row is of one board, its column of another: {self._told()}"

    def _told(self) -> str:
        pairs = zip(self.all, self.spec.parts, strict=True)
        return f"{self.spec.name} has cells " + " and ".join(f"{part} ({board.spec.name})" for board, part in pairs)

    # -- what has been done ------------------------------------------------------------------------------------------

    @contextmanager
    def after(self, done: Done, at: Place, board: CrossbarArray) -> Generator[None]:
        """Say of a fault of ``board``, in the joined array's lines, what cells have had until then, or may have had."""
        try:
            self.lock.go_on()
            yield
        except XbarlabError as error:
            may = done.count.copy()
            if isinstance(error, UnconfirmedError):
                may[at] = error.count
            if not may.any():
                raise
            told = f"{error} (rows and columns as {board.spec.name} has them); " if may[at].any() else f"{error}; "
            raise UnconfirmedError(
                f"{told}in {self.spec.name}, cells {done.block} may have had up to {int(may.max())} pulses by now: "
                "read before going on, as a resumed run does",
                done.block,
                may,
            ) from error


class Done:
    """What boards have delivered so far of one block."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self._planes = [np.zeros(block.shape) for _ in range(3)]
        self.count = np.zeros(block.shape, dtype=np.int64)
        self._slots = self._pulses = 0
        self._seconds = 0.0

    def add(self, at: Place, share: Delivered) -> None:
        """Take in what one board delivered; ``at`` is its place in the block."""
        for plane, values in zip(self._planes, (share.volts, share.width, share.gate), strict=True):
            plane[at] = values
        self.count[at] = share.count
        self._slots += share.slots
        self._pulses += share.pulses
        self._seconds += share.seconds

    def delivered(self) -> Delivered:
        """Return it in one."""
        volts, width, gate = self._planes
        return Delivered(
            block=self.block,
            volts=volts,
            width=width,
            gate=gate,
            count=self.count,
            slots=self._slots,
            pulses=self._pulses,
            seconds=self._seconds,
        )
