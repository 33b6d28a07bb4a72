"""What keeps the array board busy: actions that take simulated time and can be cut short."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ...scpi.device import Hold, Reply
from .slots import SlotPlan
from .spec import BoardSpec

if TYPE_CHECKING:
    from ...chip.virtual_chip import VirtualChip

FloatArray = NDArray[np.float64]


class QueryAction(Hold):
    """A measurement whose reply is made when its time is over; cut short it measures nothing.

    It is at once what keeps the board busy and what the parser waits for.

    Parameters
    ----------
    kind : str
        What the board says it is doing.
    ends_at : float [s]
        Simulated time at which the reply is ready.
    work : callable
        Makes the reply.
    """

    __slots__ = ("ends_at", "kind", "result", "work")

    def __init__(self, kind: str, ends_at: float, work: Callable[[], Reply]) -> None:
        self.until = None
        self.finish = self._deliver
        self.kind = kind
        self.ends_at = ends_at
        self.work = work
        self.result: Reply | None = None

    @property
    def next_event(self) -> float:
        """When the reply is ready [s]."""
        return self.ends_at

    def run_to(self, now: float) -> bool:
        """Measure if the time has come."""
        if now < self.ends_at:
            return False
        self.result = self.work()
        return True

    def cut(self, now: float) -> float:
        """Measure nothing."""
        return now

    def _deliver(self) -> Reply | None:
        return self.result


class SlotAction:
    """Common part of the actions ``PULSe:LAST?`` reports on.

    Attributes
    ----------
    kind : str
    slots, slots_done, pulses_done : int
    seconds, seconds_done : float [s]
    ends_at : float [s]
    """

    def __init__(self, kind: str, start: float) -> None:
        self.kind = kind
        self.start = start
        self.slots = 0
        self.slots_done = 0
        self.pulses_done = 0
        self.seconds = 0.0
        self.seconds_done = 0.0

    @property
    def ends_at(self) -> float:
        """When it ends [s]."""
        return self.start + self.seconds

    @property
    def next_event(self) -> float:
        """When it does something that others can notice [s]."""
        return self.ends_at


class MapAction(SlotAction):
    """``PULSe:MAP``: a plan of slots, fired as time passes."""

    def __init__(self, plan: SlotPlan, chip: VirtualChip, start: float) -> None:
        super().__init__("MAP", start)
        self._plan = plan
        self._chip = chip
        self.slots = plan.slots
        self.seconds = plan.seconds

    def run_to(self, now: float) -> bool:
        """Fire the slots that are over by ``now`` [s]."""
        over = now >= self.ends_at
        self._fire(self.seconds if over else now - self.start)
        return over

    def cut(self, now: float) -> float:
        """Finish the pulse under way."""
        end = self._plan.end_of_shot_under_way(now - self.start)
        self._fire(end)
        return self.start + end

    def _fire(self, elapsed: float) -> None:
        plan = self._plan
        plan.fire(self._chip, elapsed)
        self.slots_done, self.pulses_done, self.seconds_done = plan.slots_done, plan.pulses_done, plan.seconds_done


class OuterAction(SlotAction):
    """``UPDate:OUTer``: four phases per turn, one for each pair of signs; rows and columns fire at random.

    Coincidences of one call are handed to the chip as one train per cell, which lets cells of a row share its
    wire though they need not have fired in the same turn.

    Parameters
    ----------
    x, d : array, float
        Update vectors, −1…1.
    fires_x, fires_d : array, [turns, lines], bool
        Which lines fire in which turn.
    raise_, lower : tuple of float
        (volts [V], gate [V]) of the pulses that raise and lower the conductance.
    width : float [s]
    """

    _PHASES: Final = ((1, 1), (1, -1), (-1, 1), (-1, -1))

    def __init__(
        self,
        chip: VirtualChip,
        spec: BoardSpec,
        start: float,
        vectors: tuple[FloatArray, FloatArray],
        fires: tuple[NDArray[np.bool_], NDArray[np.bool_]],
        raise_: tuple[float, float],
        lower: tuple[float, float],
        width: float,
    ) -> None:
        super().__init__("OUTER", start)
        self._chip = chip
        self._x, self._d = vectors
        self._fires_x, self._fires_d = fires
        self._raise, self._lower = raise_, lower
        self._width = width
        self._slot_seconds = width + spec.slot_overhead
        self.slots = 4 * len(self._fires_x)
        self.seconds = self.slots * self._slot_seconds

    def run_to(self, now: float) -> bool:
        """Fire the slots that are over by ``now`` [s]."""
        over = now >= self.ends_at
        self._fire(self.slots if over else int((now - self.start) / self._slot_seconds + 1e-6))
        return over

    def cut(self, now: float) -> float:
        """Finish the slot under way."""
        slots = min(self.slots, int(np.ceil((now - self.start) / self._slot_seconds - 1e-6)))
        self._fire(slots)
        return max(now, self.start + slots * self._slot_seconds)

    def _fire(self, upto: int) -> None:
        if upto <= self.slots_done:
            return
        count = np.zeros((self._x.size, self._d.size))
        for phase, (x_sign, d_sign) in enumerate(self._PHASES):
            turns = slice((self.slots_done - phase + 3) // 4, (upto - phase + 3) // 4)
            rows = self._fires_x[turns] & (np.sign(self._x) == x_sign)
            cols = self._fires_d[turns] & (np.sign(self._d) == d_sign)
            count += rows.T.astype(np.float64) @ cols.astype(np.float64)
        self.slots_done = upto
        self.seconds_done = upto * self._slot_seconds
        row, col = np.nonzero(count)
        if not row.size:
            return
        lower = self._x[row] * self._d[col] < 0.0
        slot = 2 * row + lower
        order = np.argsort(slot, kind="stable")
        row, col, lower, slot = row[order], col[order], lower[order], slot[order]
        times = count[row, col].astype(np.int64)
        self.pulses_done += int(times.sum())
        self._chip.pulse(
            slot.astype(np.int64),
            (row * self._d.size + col).astype(np.int64),
            np.where(lower, -self._lower[0], self._raise[0]),
            np.full(row.size, self._width),
            np.where(lower, self._lower[1], self._raise[1]),
            times,
        )


class SweepAction(SlotAction):
    """``SWEep:RUN``: one cell through a list of voltages; points appear as their dwell ends."""

    def __init__(
        self,
        chip: VirtualChip,
        start: float,
        cell: tuple[int, int],
        volts: FloatArray,
        gate: FloatArray,
        dwell: float,
        compliance: float,
    ) -> None:
        super().__init__("SWEEP", start)
        self._chip = chip
        self._row, self._col = cell
        self.volts = volts
        self._gate = gate
        self._dwell = dwell
        self._compliance = compliance
        self.current = np.zeros(volts.size)
        self.limited = np.zeros(volts.size, dtype=np.bool_)
        self.slots = volts.size
        self.seconds = volts.size * dwell

    def run_to(self, now: float) -> bool:
        """Drive the points whose dwell is over by ``now`` [s]."""
        over = now >= self.ends_at
        self._drive(self.slots if over else int((now - self.start) / self._dwell + 1e-6))
        return over

    def cut(self, now: float) -> float:
        """Finish the dwell under way."""
        points = min(self.slots, int(np.ceil((now - self.start) / self._dwell - 1e-6)))
        self._drive(points)
        return max(now, self.start + points * self._dwell)

    def _drive(self, upto: int) -> None:
        while self.slots_done < upto:
            first = self.slots_done
            same = np.flatnonzero(self._gate[first:upto] != self._gate[first])
            last = first + int(same[0]) if same.size else upto
            part = slice(first, last)
            self.current[part] = self._chip.sweep(
                self._row, self._col, self.volts[part], self._dwell, float(self._gate[first]), self._compliance
            )
            self.limited[part] = np.abs(self.current[part]) >= self._compliance * (1.0 - 1e-6)
            self.slots_done = last
        self.seconds_done = self.slots_done * self._dwell
