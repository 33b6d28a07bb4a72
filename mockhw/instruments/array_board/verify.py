"""On-board read-verify of the array board (board protocol, §4.8): rounds of reading and pulsing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ....common.arrays import FloatArray
from .actions import SlotAction
from .slots import PulseCodes, SlotPlan
from .spec import BoardSpec

if TYPE_CHECKING:
    from ...chip.virtual_chip import VirtualChip


class VerifyAction(SlotAction):
    """``PROGram:VERify``: read, then pulse those that are off target, round after round.

    Parameters
    ----------
    measure : callable
        Returns the conductance [S] of the whole rectangle, [nrows, ncols].
    read_slots : callable
        What reading the given number of rows costs.
    pulses : callable
        Turns (place inside the rectangle, is SET, stage) of the cells to pulse into codes.
    corner : tuple of int
        Row and column of the rectangle's first cell.
    targets : array, [nrows, ncols], float [S]
        NaN: leave alone.
    tolerance : float [S]
    pulses_max : int
    """

    DONE, USED_UP, LEFT_ALONE, NOT_FINISHED = 0, 1, 2, 3

    def __init__(
        self,
        chip: VirtualChip,
        spec: BoardSpec,
        start: float,
        measure: Callable[[], FloatArray],
        read_slots: Callable[[int], int],
        pulses: Callable[[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]], PulseCodes],
        corner: tuple[int, int],
        targets: FloatArray,
        tolerance: float,
        pulses_max: int,
        width: float,
    ) -> None:
        super().__init__("VERIFY", start)
        self._corner = corner
        self._chip, self._spec = chip, spec
        self._measure, self._read_slots, self._pulses = measure, read_slots, pulses
        self._targets, self._tolerance, self._pulses_max = targets, tolerance, pulses_max
        self.conductance = np.full(targets.shape, np.nan)
        self.pulses = np.zeros(targets.shape, dtype=np.int64)
        self.status = np.where(np.isnan(targets), self.LEFT_ALONE, self.NOT_FINISHED)
        self._polarity = np.zeros(targets.shape, dtype=np.int64)
        self._stage = np.zeros(targets.shape, dtype=np.int64)
        self._plan: SlotPlan | None = None
        self._phase_start = start
        self._phase_seconds = 0.0
        # How many pulses cells will need is not known beforehand: planned is what the worst case costs.
        active = int((self.status == self.NOT_FINISHED).sum())
        rounds, reading = pulses_max, self._reading()
        self.slots = (rounds + 1) * reading + rounds * active
        self.seconds = (rounds + 1) * reading * spec.read_slot + rounds * active * (width + spec.slot_overhead)
        self._begin_reading(start)

    @property
    def ends_at(self) -> float:
        """When it ended, or the end of what is under way [s]."""
        return self._phase_start + self._phase_seconds

    @property
    def next_event(self) -> float:
        """When the reading or the pulses under way are over [s]."""
        return self.ends_at

    def run_to(self, now: float) -> bool:
        """Do the rounds, and the part of a round, that are over by ``now`` [s]."""
        while (end := self.ends_at) <= now:
            if self._plan is None:
                if not self._judge(end):
                    self.seconds_done = end - self.start
                    return True
            else:
                self._fire(self._plan, self._plan.seconds)
                self._count_pulses(self._plan)
                self._begin_reading(end)
        if self._plan is not None:
            self._fire(self._plan, now - self._phase_start)
        self.seconds_done = now - self.start
        return False

    def cut(self, now: float) -> float:
        """Finish the pulse under way."""
        if self._plan is not None:
            end = self._plan.end_of_shot_under_way(now - self._phase_start)
            self._fire(self._plan, end)
            self._count_pulses(self._plan)
            now = max(now, self._phase_start + end)
        self.seconds_done = now - self.start
        return now

    def _reading(self) -> int:
        return self._read_slots(int((self.status == self.NOT_FINISHED).any(axis=1).sum()))

    def _begin_reading(self, at: float) -> None:
        self._plan = None
        self._phase_start = at
        self._phase_seconds = self._reading() * self._spec.read_slot

    def _judge(self, at: float) -> bool:
        """Read, and plan the pulses of this round; return False when there is nothing left to do."""
        active = self.status == self.NOT_FINISHED
        if not active.any():
            return False
        self.slots_done += self._reading()
        measured = self._measure()
        self.conductance[active] = measured[active]
        error = self.conductance - self._targets
        self.status[active & (np.abs(error) <= self._tolerance)] = self.DONE
        self.status[(self.status == self.NOT_FINISHED) & (self.pulses >= self._pulses_max)] = self.USED_UP
        active = self.status == self.NOT_FINISHED
        if not active.any():
            return False
        polarity = np.where(error < 0.0, 1, -1)
        self._stage = np.where(polarity == self._polarity, self._stage + 1, 0)
        self._polarity = polarity
        cells = np.flatnonzero(active)
        codes = self._pulses(cells, polarity.ravel()[cells] > 0, self._stage.ravel()[cells])
        self._plan = SlotPlan(codes, self._spec)
        self._phase_start, self._phase_seconds = at, self._plan.seconds
        return True

    def _count_pulses(self, plan: SlotPlan) -> None:
        row, col = np.divmod(plan.cells_fired(), self._spec.cols)
        self.pulses[row - self._corner[0], col - self._corner[1]] += 1

    def _fire(self, plan: SlotPlan, elapsed: float) -> None:
        slots, pulses = plan.slots_done, plan.pulses_done
        plan.fire(self._chip, elapsed)
        self.slots_done += plan.slots_done - slots
        self.pulses_done += plan.pulses_done - pulses
