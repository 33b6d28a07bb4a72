"""The boards of a joined array: what they are together, where each is, and the way to the safe state."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import numpy as np

from ...common.errors import RefusedError, XbarlabError
from ..abilities import Parts
from ..array_spec import ArraySpec
from ..block import Block
from ..capabilities import Clock, Cost, CrossbarArray, Delivered, Kind
from ..clock import WallClock
from ..errors import UnconfirmedError, UnsupportedError
from ..wire.interrupts import uninterrupted
from ..wire.safe_state import SafeStep
from .clock import JoinedClock
from .spec import joined_spec


class JoinedBoards:
    """Boards one after the other on the diagonal of one array; parameters are those of ``JoinedArrays``."""

    def __init__(self, arrays: Sequence[CrossbarArray], *, name: str | None = None) -> None:
        boards: list[CrossbarArray] = []
        for array in arrays:
            boards += array.boards if isinstance(array, JoinedBoards) else [array]
        if len(boards) < 2:
            raise RefusedError(f"{len(boards)} board cannot be joined: name at least two, or use the one as it is")
        if len({id(board) for board in boards}) < len(boards):
            raise RefusedError("an array cannot be joined to itself: each board takes part once")
        self.boards = tuple(boards)
        self._spec = joined_spec(
            [board.spec for board in boards], name or " + ".join(board.spec.name for board in boards)
        )
        self.name = self._spec.name
        self._parts = Parts.of(self.name, self, self._spec.supports)
        self._exists = replace(self._spec, bad_cells=()).healthy_mask(self._spec.whole)
        self._full_scale: float | None = None
        if self._spec.simulated:
            self._clock: Clock = JoinedClock([board.clock for board in boards])
        else:
            # A board that waits declares the silence on all of them.
            self.clock = WallClock(self)

    # -- about itself ------------------------------------------------------------------------------------------------

    @property
    def spec(self) -> ArraySpec:
        """What this array is and can do; ``spec.parts`` says where its boards are."""
        return self._spec

    def ability(self, kind: type[Kind]) -> Kind:
        """Return what all boards can do beyond reading and pulsing, or refuse saying what they would need."""
        return self._parts.ability(kind)

    @property
    def clock(self) -> Clock:
        """One time for all boards."""
        return self._clock

    @clock.setter
    def clock(self, clock: Clock) -> None:
        self._clock = clock
        for board in self.boards:
            board.clock = clock  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def cost(self) -> Cost:
        """Totals of all boards; ``chip_seconds`` add up, chip by chip."""
        return sum((board.cost for board in self.boards), Cost())

    @property
    def ending(self) -> tuple[SafeStep, ...]:
        """What the last :meth:`idle` came to, board by board."""
        return tuple(step for board in self.boards for step in getattr(board, "ending", ()))

    # -- to the safe state -------------------------------------------------------------------------------------------

    def idle(self) -> None:
        """Stop every board, 0 V first, then disconnect. All are told, also when one raises; then that is raised."""
        self._all(lambda board: board.idle())

    def close(self) -> None:
        """Idle every board, then close those that can be closed."""
        try:
            self.idle()
        finally:
            self._all(lambda board: getattr(board, "close", lambda: None)())

    def _all(self, tell: Callable[[CrossbarArray], object]) -> None:
        failed: list[BaseException] = []
        with uninterrupted():
            for board in self.boards:
                try:
                    tell(board)
                except BaseException as error:  # the next board must be told whatever this one did
                    failed.append(error)
        if failed:
            for other in failed[1:]:
                failed[0].add_note(f"and {other}")
            raise failed[0]

    def declare_silence(self, seconds: float) -> None:
        """Tell every board that has a watchdog that nothing will be sent for ``seconds`` [s]."""
        for board in self.boards:
            tell: Callable[[float], object] | None = getattr(board, "declare_silence", None)
            if tell is not None:
                tell(seconds)

    def diagnose(self) -> Any:
        """Let every board measure itself; return the worst of each: offset [A], reference [Ω] and open lines [Ω]."""
        for board in self.boards:
            if not hasattr(board, "diagnose"):
                raise UnsupportedError(f"{board.spec.name} cannot measure itself: check each board by itself")
        found = [cast("Any", board).diagnose() for board in self.boards]
        offset = max((one.offset for one in found), key=abs)
        known = [one for one in found if one.reference is not None and one.reference_nominal is not None]
        off = max(known, key=lambda one: abs(one.reference / one.reference_nominal - 1.0), default=found[0])
        return replace(off, offset=offset, open=min(one.open for one in found))

    # -- where -------------------------------------------------------------------------------------------------------

    def _split(self, block: Block) -> Iterator[tuple[CrossbarArray, Block, tuple[slice, slice]]]:
        """Yield every board a block meets, the block there in the board's lines, and where it is in the block."""
        for board, part in zip(self.boards, self._spec.parts, strict=True):
            mine = block.common(part)
            if mine is not None:
                yield board, mine.moved(-part.row0, -part.col0), mine.moved(-block.row0, -block.col0).slices

    def _home(self, row: int, col: int) -> tuple[CrossbarArray, Block]:
        """Return the board of a cell and where it lies."""
        cell = Block(row, 1, col, 1)
        self._require_block(cell)
        for board, part in zip(self.boards, self._spec.parts, strict=True):
            if part.common(cell) is not None:
                return board, part
        raise AssertionError(cell)

    def _require_block(self, block: Block) -> None:
        spec = self._spec
        if block.row0 + block.nrows > spec.rows or block.col0 + block.ncols > spec.cols:
            raise RefusedError(
                f"cells {block} are outside {self.name}, which has rows 0:{spec.rows} and columns 0:{spec.cols}"
            )
        if not any(block.common(part) for part in spec.parts):
            lone = block.size == 1
            raise RefusedError(
                self._nowhere(block.row0, block.col0) if lone else f"cells {block} are on no board: {self._told()}"
            )

    def _nowhere(self, row: int, col: int) -> str:
        return f"cell ({row}, {col}) does not exist, its row is of one board, its column of another: {self._told()}"

    def _told(self) -> str:
        pairs = zip(self.boards, self._spec.parts, strict=True)
        return f"{self.name} has cells " + " and ".join(f"{part} ({board.spec.name})" for board, part in pairs)

    @contextmanager
    def _after(self, done: Done, at: tuple[slice, slice], board: CrossbarArray) -> Generator[None]:
        """Say of a fault of ``board``, in this array's lines, what cells have had until then, or may have had."""
        try:
            yield
        except XbarlabError as error:
            may = done.count.copy()
            if isinstance(error, UnconfirmedError):
                may[at] = error.count
            if not may.any():
                raise
            told = f"{error} (rows and columns as {board.spec.name} has them); " if may[at].any() else f"{error}; "
            raise UnconfirmedError(
                f"{told}in {self.name}, cells {done.block} may have had up to {int(may.max())} pulses by now: read "
                "before going on, as a resumed run does",
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

    def add(self, at: tuple[slice, slice], share: Delivered) -> None:
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
        return Delivered(self.block, volts, width, gate, self.count, self._slots, self._pulses, self._seconds)
