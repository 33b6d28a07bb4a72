"""The read–verify loop: every cell that needs a pulse gets its own, all in one map per iteration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...instruments.block import Block
from ...instruments.capabilities import CrossbarArray, FloatArray, PulseMap
from ..keeping.array_state import ArrayState
from .staircases import Staircase
from .verify_state import VerifyState


@dataclass(frozen=True, slots=True)
class Reverify:
    """Delayed re-verify: ``rounds`` times, ``seconds`` after the loop ended, in windows wider by ``slack``."""

    rounds: int
    seconds: float
    slack: float
    average: int


Recorder = Callable[[FloatArray, FloatArray, FloatArray], None]


def no_record(conductance: FloatArray, volts: FloatArray, gate: FloatArray) -> None:
    """Keep nothing."""


class VerifyLoop(ArrayState):
    """A programming job that goes reading by reading, and can go on from any of them.

    ``record(conductance, volts, gate)`` is called after every reading with the pulses that led to it.
    """

    constant = ("width", "average", "iterations_max")

    def __init__(
        self,
        array: CrossbarArray,
        block: Block,
        state: VerifyState,
        staircase: Staircase,
        *,
        width: float,
        average: int,
        iterations_max: int,
        reverify: Reverify,
        record: Recorder = no_record,
    ) -> None:
        self._array, self._block, self._state, self._staircase = array, block, state, staircase
        self.width, self.average, self.iterations_max = width, average, iterations_max
        self._reverify, self._record = reverify, record
        self.started = False
        self.round = 0
        self.iteration = 0
        self.left: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._volts: FloatArray = np.zeros(block.shape)
        self._gate: FloatArray = np.zeros(block.shape)

    @property
    def over(self) -> bool:
        """Whether every cell is accepted or given up."""
        if not self.started or self._iterating:
            return False
        return self.round >= self._reverify.rounds or (len(self.left) > 0 and self.left[-1] == 0)

    @property
    def _iterating(self) -> bool:
        return self.iteration < self.iterations_max and bool(self._state.active.any())

    def go_on(self) -> None:
        """Take the next reading, and give the pulses that follow from it."""
        if not self.started:
            self._start()
            self.started = True
        elif self._iterating:
            self._iterate()
            self.iteration += 1
        else:
            self._look_again()
            self.round += 1
            self.iteration = 0

    def forget_pulses(self) -> None:
        """Learn nothing from the next reading: pulses nobody knows of may have come before it."""
        self._state.fired = np.zeros_like(self._state.fired)

    def _start(self) -> None:
        state, staircase, block = self._state, self._staircase, self._block
        state.take(self._array.read(block, average=self.average))
        self._record(state.g, self._volts, self._gate)
        above = state.active & (state.g > state.goal.high)
        if above.any():
            value = staircase.begin(state, above)
            full = above & (value >= staircase.reset_ramp.stop - 1e-9)
            state.fire(above, np.full(block.shape, -1, dtype=np.int8), full)
            volts, gate = staircase.reset_ramp.volts_and_gate(value)
            self._pulse(np.where(above, -volts, 0.0), np.where(above, gate, 0.0), above)

    def _iterate(self) -> None:
        state, staircase = self._state, self._staircase
        self._record(self._read_active(), self._volts, self._gate)
        staircase.learn(state)
        need = state.judge()
        self._rest()
        if need.any():
            sign, value = staircase.choose(state, need)
            top = np.where(sign > 0, staircase.set_ramp.stop, staircase.reset_ramp.stop)
            state.fire(need, sign, value >= top - 1e-9)
            self._pulse(*pulses_for(staircase, value, need, sign), need)

    def _read_active(self) -> FloatArray:
        """Take in a reading of the cells that are being programmed; return it [S], nan where none was read.

        Where a slot serves a whole row the others are read as well: that costs nothing.
        """
        state, block = self._state, self._block
        if self._array.spec.slot_serves == "row":
            reading = self._array.read(block, average=self.average)
            state.take(reading)
            return reading.conductance
        read, sigma = np.full(block.shape, np.nan), np.full(block.shape, np.nan)
        for row, col in np.argwhere(state.active):
            one = self._array.read(Block(block.row0 + int(row), 1, block.col0 + int(col), 1), average=self.average)
            read[row, col], sigma[row, col] = one.conductance[0, 0], one.stderr[0, 0]
        state.g, state.sigma = np.where(state.active, read, state.g), np.where(state.active, sigma, state.sigma)
        return read

    def _look_again(self) -> None:
        """Wait, read, and reopen the cells that left their window."""
        again = self._reverify
        self._array.clock.wait(again.seconds)
        reading = self._array.read(self._block, average=again.average)
        self._record(reading.conductance, self._volts, self._gate)
        self._rest()
        left = self._state.reopen(reading, again.slack, last=self.round + 1 == again.rounds)
        self.left = np.append(self.left, left)

    def _pulse(self, volts: FloatArray, gate: FloatArray, cells: NDArray[np.bool_]) -> None:
        self._volts, self._gate = volts, gate
        self._array.pulse(
            PulseMap(block=self._block, volts=volts, width=self.width, gate=gate, count=cells.astype(np.int64))
        )

    def _rest(self) -> None:
        self._volts, self._gate = np.zeros(self._block.shape), np.zeros(self._block.shape)


def pulses_for(
    staircase: Staircase, value: FloatArray, cells: NDArray[np.bool_], sign: NDArray[np.int8]
) -> tuple[FloatArray, FloatArray]:
    """Return signed amplitude and gate [V] that knob values mean for ``cells``, 0 elsewhere."""
    set_volts, set_gate = staircase.set_ramp.volts_and_gate(value)
    reset_volts, reset_gate = staircase.reset_ramp.volts_and_gate(value)
    volts = np.where(sign > 0, set_volts, -reset_volts)
    gate = np.where(sign > 0, set_gate, reset_gate)
    return np.where(cells, volts, 0.0), np.where(cells, gate, 0.0)
