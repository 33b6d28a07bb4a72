"""Several boards as one ``CrossbarArray``: block-diagonal, because no wire leads from one board to another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..abilities import Multiplies, MultipliesReversed
from ..array_spec import ArraySpec
from ..block import Block
from ..capabilities import Clock, Cost, CrossbarArray, Delivered, Kind, PulseMap, Reading
from ..chip.requests import checked_pulses, checked_read
from ..clock import WallClock
from ..errors import UnsupportedError
from ..wire.safe_state import SafeStep
from .boards import Boards, Done
from .clock import JoinedClock
from .parts import joined_abilities


class JoinedArrays:
    """Boards one after the other on the diagonal of one array.

    Board k's rows come after those of board k − 1, its columns likewise (``spec.parts``). A row of one board and a
    column of another cross nowhere: there is no such cell. Reads of a block that spans boards have NaN there; pulsing
    one is refused. Every action is checked against the joint limits first, then split, and the boards act one after
    the other; those that have nothing to do are left alone.

    When a board fails after another has pulsed, the error is an ``UnconfirmedError`` that says in this array's rows
    and columns which cells may have had how many pulses.

    Parameters
    ----------
    arrays : at least two, open; joined arrays are taken apart into their boards
    name : of the whole; the boards' own names by default

    Raises
    ------
    RefusedError
        When they differ in what cannot be joined: see :func:`~.spec.joined_spec`.
    """

    def __init__(self, arrays: Sequence[CrossbarArray], *, name: str | None = None) -> None:
        boards: list[CrossbarArray] = []
        for array in arrays:
            boards += array.boards if isinstance(array, JoinedArrays) else [array]
        self._boards = Boards(boards, name)
        self._parts = joined_abilities(self._boards)
        self._spec = replace(self._boards.spec, supports=self._parts.names)
        self.name = self._spec.name
        if self._spec.simulated:
            self._clock: Clock = JoinedClock([board.clock for board in boards])
        else:
            # A board that waits declares the silence on all of them.
            self.clock = WallClock(self)

    # -- about itself ------------------------------------------------------------------------------------------------

    @property
    def boards(self) -> tuple[CrossbarArray, ...]:
        """The boards, in their order."""
        return self._boards.all

    @property
    def spec(self) -> ArraySpec:
        """What this array is and can do; ``spec.parts`` says where its boards are."""
        return self._spec

    def ability(self, kind: type[Kind]) -> Kind:
        """Return what all boards can do besides reading and pulsing, or refuse saying what they would need."""
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

    # -- reading and pulsing -----------------------------------------------------------------------------------------

    def read(
        self,
        cells: Block,
        volts: float | None = None,
        *,
        average: int = 1,
        gate: float | None = None,
        scheme: str | None = None,
    ) -> Reading:
        """Measure a block at ``volts`` [V], one transaction per board it meets; NaN where there is no cell."""
        boards = self._boards
        boards.require(cells)
        asked = checked_read(self._spec, cells, volts, average=average, gate=gate, scheme=scheme)
        current, conductance, stderr = (np.full(cells.shape, np.nan) for _ in range(3))
        flags = np.zeros(cells.shape, dtype=np.uint8)
        with boards.lock:
            for board, local, at in boards.split(cells):
                boards.lock.go_on()
                reading = board.read(local, asked.volts, average=asked.average, gate=gate, scheme=asked.scheme)
                current[at], conductance[at], stderr[at] = reading.current, reading.conductance, reading.stderr
                flags[at] = reading.flags
        return Reading(
            block=cells, volts=asked.volts, current=current, conductance=conductance, stderr=stderr, flags=flags
        )

    def pulse(self, pulses: PulseMap) -> Delivered:
        """Apply a pulse map, board after board; boards without a pulse in it are left alone.

        Raises
        ------
        RefusedError
            Before anything is written: a value outside the joint limits, or a pulse for a cell that does not exist.
        """
        boards, block = self._boards, pulses.block
        boards.require(block)
        asked = checked_pulses(self._spec, pulses)
        boards.require_each(block, asked.count > 0, "no pulse can be given")
        done = Done(block)
        with boards.lock:
            for board, local, at in boards.split(block):
                if asked.count[at].any():
                    with boards.after(done, at, board):
                        done.add(at, board.pulse(asked.part(local, at)))
        return done.delivered()

    def vmm(self, volts: ArrayLike, *, reverse: bool = False, full_scale: float | None = None) -> NDArray[np.float32]:
        """Multiply, the short way: :class:`~..abilities.Multiplies`, or with ``reverse`` the other direction."""
        if reverse:
            return self.ability(MultipliesReversed).vmm_reversed(volts, full_scale=full_scale)
        return self.ability(Multiplies).vmm(volts, full_scale=full_scale)

    # -- to the safe state -------------------------------------------------------------------------------------------

    def idle(self) -> None:
        """Stop every board, 0 V first, then disconnect. All are told, also when one raises; then that is raised."""
        with self._boards.lock.idling():
            self._boards.tell(lambda board: board.idle())

    def close(self) -> None:
        """Idle every board, then close those that can be closed."""
        try:
            self.idle()
        finally:
            self._boards.tell(lambda board: getattr(board, "close", lambda: None)())

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
        with self._boards.lock:
            found = [cast("Any", board).diagnose() for board in self.boards]
        offset = max((one.offset for one in found), key=abs)
        known = [one for one in found if one.reference is not None and one.reference_nominal is not None]
        off = max(known, key=lambda one: abs(one.reference / one.reference_nominal - 1.0), default=found[0])
        return replace(off, offset=offset, open=min(one.open for one in found))
