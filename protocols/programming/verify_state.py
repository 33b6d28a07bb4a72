"""What is known of every cell while it is being programmed, and when it is accepted or given up."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from ...common.arrays import BoolArray
from ...instruments.capabilities import Reading
from ..keeping.array_state import ArrayState
from .targets import Goal


class Verdict(IntEnum):
    """Where a cell stands. Everything below ``ACTIVE`` is final until a delayed re-verify reopens it."""

    ACCEPTED = 0
    NOT_ATTEMPTED = 1
    PULSES_USED_UP = 2
    TOO_MANY_REVERSALS = 3
    NO_RESPONSE = 4
    DRIFTED = 5
    NOT_FINISHED = 6
    ACTIVE = 7

    @property
    def words(self) -> str:
        """The verdict as a person reads it."""
        return _WORDS[self]


_WORDS = {
    Verdict.ACCEPTED: "accepted",
    Verdict.NOT_ATTEMPTED: "not attempted",
    Verdict.PULSES_USED_UP: "pulses used up",
    Verdict.TOO_MANY_REVERSALS: "too many reversals",
    Verdict.NO_RESPONSE: "does not respond to pulses",
    Verdict.DRIFTED: "left its window at the delayed re-verify",
    Verdict.NOT_FINISHED: "not finished when the iterations ran out",
    Verdict.ACTIVE: "being programmed",
}


@dataclass(frozen=True, slots=True)
class Acceptance:
    """When a cell is done and when it is given up.

    Attributes
    ----------
    hits, reads : int
        k of n: after the first read inside, ``hits`` of ``reads`` must be inside.
    pulses_max, reversals_max, stalls_max : int
        Pulses per cell; changes of polarity; pulses in a row at full strength that move a cell by no more than its read
        noise.
    """

    hits: int = 2
    reads: int = 3
    pulses_max: int = 60
    reversals_max: int = 12
    stalls_max: int = 5


class VerifyState(ArrayState):
    """Arrays of one programming job, all [rows, cols] of the block.

    ``g`` last conductance [S], ``before`` the one before the last pulse, ``fired`` cells pulsed last,
    ``sign`` polarity of each cell's last pulse (+1 SET, −1 RESET, 0 none), ``stalls`` pulses in a row without effect,
    ``dead`` those of them at full strength.
    """

    constant = ("target",)

    def __init__(self, goal: Goal, attempt: BoolArray, acceptance: Acceptance) -> None:
        target = goal.target
        shape = target.shape
        self.goal, self.target, self.acceptance = goal, target, acceptance
        self.verdict = np.where(attempt & np.isfinite(target), Verdict.ACTIVE, Verdict.NOT_ATTEMPTED).astype(np.int8)
        self.g = np.full(shape, np.nan)
        self.sigma = np.zeros(shape)
        self.before = np.full(shape, np.nan)
        self.sign = np.zeros(shape, dtype=np.int8)
        self.fired: BoolArray = np.zeros(shape, dtype=np.bool_)
        self.sets = np.zeros(shape, dtype=np.int64)
        self.resets = np.zeros(shape, dtype=np.int64)
        self.by_board = np.zeros(shape, dtype=np.int64)
        self.reversals = np.zeros(shape, dtype=np.int64)
        self.stalls = np.zeros(shape, dtype=np.int64)
        self.dead = np.zeros(shape, dtype=np.int64)
        self._full: BoolArray = np.zeros(shape, dtype=np.bool_)
        self._votes = np.zeros(shape, dtype=np.int64)
        self._hits = np.zeros(shape, dtype=np.int64)

    @property
    def active(self) -> BoolArray:
        """Cells still being programmed."""
        return self.verdict == Verdict.ACTIVE

    @property
    def pulses(self) -> NDArray[np.int64]:
        """SET and RESET pulses per cell, initialisation included, and those a board gave by itself."""
        return self.sets + self.resets + self.by_board

    def take(self, reading: Reading) -> None:
        """Take a reading in, before it is judged."""
        self.g, self.sigma = reading.conductance, reading.stderr

    def judge(self) -> BoolArray:
        """Accept or give up cells by the last reading, and return those that need a pulse now."""
        rule = self.acceptance
        active = self.active
        moved = np.abs(self.g - self.before) > np.maximum(3.0 * self.sigma, 0.02 * np.abs(self.before))
        self.stalls = np.where(self.fired, np.where(moved, 0, self.stalls + 1), self.stalls)
        self.dead = np.where(self.fired, np.where(moved | ~self._full, 0, self.dead + 1), self.dead)
        inside = self.goal.inside(self.g)
        # A first read outside means a pulse at once; a first read inside opens a vote of k out of n.
        voting = active & ((self._votes > 0) | inside)
        self._votes = np.where(voting, self._votes + 1, 0)
        self._hits = np.where(voting, self._hits + inside, 0)
        accepted = voting & (self._hits >= rule.hits)
        lost = voting & (self._votes - self._hits > rule.reads - rule.hits)
        self.verdict[accepted] = Verdict.ACCEPTED
        self._votes[lost] = 0
        self._hits[lost] = 0
        need = active & ~accepted & (~voting | lost)
        for verdict, beyond in (
            (Verdict.NO_RESPONSE, self.dead >= rule.stalls_max),
            (Verdict.TOO_MANY_REVERSALS, self.reversals > rule.reversals_max),
            (Verdict.PULSES_USED_UP, self.pulses >= rule.pulses_max),
        ):
            given_up = need & beyond
            self.verdict[given_up] = verdict
            need = need & ~given_up
        self.fired = np.zeros_like(active)
        return need

    def fire(self, cells: BoolArray, sign: NDArray[np.int8], full: BoolArray) -> None:
        """Note that ``cells`` are being pulsed with polarity ``sign``, where ``full`` at the top of their ramp."""
        self.before = np.where(cells, self.g, self.before)
        turned = cells & (self.sign != 0) & (sign != self.sign)
        self.reversals += turned
        self.stalls = np.where(turned, 0, self.stalls)
        self.sign = np.where(cells, sign, self.sign).astype(np.int8)
        self._full = cells & full
        self.sets += cells & (sign > 0)
        self.resets += cells & (sign < 0)
        self.fired = cells
        self._votes[cells] = 0
        self._hits[cells] = 0

    def take_over(self, pulses: NDArray[np.int64], done: BoolArray) -> None:
        """Take in what the board's own read–verify did to the active cells."""
        active = self.active
        self.by_board += np.where(active, pulses, 0)
        self.verdict[active & done] = Verdict.ACCEPTED
        self.verdict[active & ~done] = Verdict.PULSES_USED_UP

    def reopen(self, reading: Reading, slack: float, *, last: bool) -> int:
        """Reopen accepted cells that a delayed re-verify finds outside their window; give them up if ``last``.

        The window is wider by ``slack`` times the half of it.

        Return how many left their window.
        """
        self.take(reading)
        left = (self.verdict == Verdict.ACCEPTED) & ~self.goal.inside(self.g, slack)
        self.verdict[left] = Verdict.DRIFTED if last else Verdict.ACTIVE
        self._votes[left] = 0
        self._hits[left] = 0
        return int(left.sum())

    def close(self) -> None:
        """Give up whatever is still active."""
        self.verdict[self.active] = Verdict.NOT_FINISHED
