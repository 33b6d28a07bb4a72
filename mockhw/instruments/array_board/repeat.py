"""Very many reads in one command (board protocol, §10.5): the cells live under the read bias of every slot."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from .actions import QueryAction
from .reads import ReadPoint
from .slots import Rectangle
from .spec import BoardSpec

if TYPE_CHECKING:
    from ...chip.virtual_chip import VirtualChip


class RepeatAction(QueryAction):
    """``READ:REPeat?``: row after row, every row for all its slots.

    The last slots of a row, those that are converted, act on the cells as little as those of ``READ:MAP?`` do; all
    slots before them are lived through as pulses of the read voltage.

    Parameters
    ----------
    where : Rectangle
    point : ReadPoint
    often : int
        Read slots of each row, without the one that chooses a range.
    convert : callable
        Makes the reply from what the cells are at the end.
    """

    __slots__ = ("_before", "_chip", "_each", "_point", "_row", "_slot_seconds", "_where")

    def __init__(
        self,
        chip: VirtualChip,
        spec: BoardSpec,
        start: float,
        where: Rectangle,
        point: ReadPoint,
        often: int,
        convert: Callable[[], bytes],
    ) -> None:
        self._each = often + (1 if point.full_scale is None else 0)
        slots = self._each * where.nrows
        super().__init__("READ", start, slots * spec.read_slot, slots, convert)
        self._chip = chip
        self._where = where
        self._point = point
        self._slot_seconds = spec.read_slot
        self._before = self._each - point.average
        self._row = 0

    def run_to(self, now: float) -> bool:
        """Bring the rows that are over under bias, and measure if the time has come."""
        over = now >= self.ends_at
        self._live(self.slots if over else int((now - self.ends_at + self.seconds) / self._slot_seconds + 1e-6))
        return super().run_to(now)

    def cut(self, now: float) -> float:
        """Finish the slot under way; measure nothing."""
        begun = self.ends_at - self.seconds
        slots = min(self.slots, int(np.ceil((now - begun) / self._slot_seconds - 1e-6)))
        self._live(slots)
        rest = slots - self._row * self._each
        if rest > 0:
            self._bias(self._row, min(rest, self._before))
        end = max(now, begun + slots * self._slot_seconds)
        super().cut(end)
        return end

    def _live(self, slots: int) -> None:
        while self._row < slots // self._each:
            self._bias(self._row, self._before)
            self._row += 1

    def _bias(self, row: int, often: int) -> None:
        point, where = self._point, self._where
        if often <= 0 or point.volts == 0.0:
            return
        cols = np.arange(where.col0, where.col0 + where.ncols, dtype=np.int64)
        same = np.ones(where.ncols)
        self._chip.pulse(
            np.zeros(where.ncols, dtype=np.int64),
            (where.row0 + row) * self._chip.cols + cols,
            point.volts * same,
            self._slot_seconds * same,
            point.gate * same,
            np.full(where.ncols, often, dtype=np.int64),
        )
