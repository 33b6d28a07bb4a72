"""What keeps the array board busy: actions that take simulated time and can be cut short."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from ....common.arrays import FloatArray
from ...scpi.device import Hold, Reply
from .slots import SlotPlan

if TYPE_CHECKING:
    from ...chip.virtual_chip import VirtualChip


class Progress(NamedTuple):
    """How far an action has come: slots, pulses, seconds [s]."""

    slots: int
    pulses: int
    seconds: float


class QueryAction(Hold):
    """A measurement whose reply is made when its time is over; cut short it measures nothing.

    It is at once what keeps the board busy and what the parser waits for.

    Parameters
    ----------
    kind : str
        What the board says it is doing.
    start : float [s]
        Simulated time at which it begins.
    seconds : float [s]
    slots : int
        What it costs.
    work : callable
        Makes the reply.
    """

    __slots__ = ("ends_at", "kind", "result", "seconds", "seconds_done", "slots", "work")
    pulses_done: ClassVar[int] = 0

    def __init__(self, kind: str, start: float, seconds: float, slots: int, work: Callable[[], Reply]) -> None:
        self.until = None
        self.finish = self._deliver
        self.kind = kind
        self.seconds = seconds
        self.slots = slots
        self.ends_at = start + seconds
        self.work = work
        self.seconds_done = 0.0
        self.result: Reply | None = None

    @property
    def slots_done(self) -> int:
        """Slots that are over."""
        return self._slots_in(self.seconds_done)

    def _slots_in(self, seconds: float) -> int:
        return self.slots if seconds >= self.seconds else int(seconds / self.seconds * self.slots + 1e-6)

    @property
    def next_event(self) -> float:
        """When the reply is ready [s]."""
        return self.ends_at

    def run_to(self, now: float) -> bool:
        """Measure if the time has come."""
        if now < self.ends_at:
            self.seconds_done = now - (self.ends_at - self.seconds)
            return False
        self.seconds_done = self.seconds
        self.result = self.work()
        return True

    def seen_at(self, now: float) -> Progress:
        """Return how far it is at ``now`` [s], which may be later than it has been let come."""
        seconds = min(self.seconds, max(0.0, now - (self.ends_at - self.seconds)))
        return Progress(self._slots_in(seconds), 0, seconds)

    def cut(self, now: float) -> float:
        """Measure nothing."""
        self.seconds_done = min(self.seconds, max(0.0, now - (self.ends_at - self.seconds)))
        return now

    def _deliver(self) -> Reply | None:
        return self.result


class SlotAction(ABC):
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

    @abstractmethod
    def run_to(self, now: float) -> bool:
        """Do everything that has finished by ``now`` [s] and return whether it is over."""

    def seen_at(self, now: float) -> Progress | None:
        """Return how far it is at ``now`` [s] without touching the chip; None if only doing it can tell."""
        del now
        return None

    @abstractmethod
    def cut(self, now: float) -> float:
        """Finish what cannot be stopped, leave the rest undone, return when that is over [s]."""


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

    def seen_at(self, now: float) -> Progress:
        """Return how far it is at ``now`` [s]."""
        return Progress(*self._plan.progress(now - self.start))

    def cut(self, now: float) -> float:
        """Finish the pulse under way."""
        end = self._plan.end_of_shot_under_way(now - self.start)
        self._fire(end)
        return self.start + end

    def _fire(self, elapsed: float) -> None:
        plan = self._plan
        plan.fire(self._chip, elapsed)
        self.slots_done, self.pulses_done, self.seconds_done = plan.slots_done, plan.pulses_done, plan.seconds_done


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

    def seen_at(self, now: float) -> Progress:
        """Return how far it is at ``now`` [s]."""
        points = min(self.slots, int((now - self.start) / self._dwell + 1e-6))
        return Progress(points, 0, points * self._dwell)

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
                self._row,
                self._col,
                self.volts[part],
                self._dwell,
                float(self._gate[first]),
                self._compliance,
                began=self.start + first * self._dwell,
            )
            self.limited[part] = np.abs(self.current[part]) >= self._compliance * (1.0 - 1e-6)
            self.slots_done = last
        self.seconds_done = self.slots_done * self._dwell
