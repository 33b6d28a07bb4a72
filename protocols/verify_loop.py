"""The read–verify loop: every cell that needs a pulse gets its own, all in one map per iteration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..instruments.array_spec import Block
from ..instruments.capabilities import CrossbarArray, FloatArray, PulseMap
from .progress import ProgressBar
from .staircases import Staircase
from .verify_state import VerifyState


@dataclass(frozen=True, slots=True)
class Reverify:
    """Delayed re-verify: ``rounds`` times, ``seconds`` after the loop ended, against ``tolerance`` [S]."""

    rounds: int
    seconds: float
    tolerance: float
    average: int


Recorder = Callable[[FloatArray, FloatArray, FloatArray], None]


def no_record(conductance: FloatArray, volts: FloatArray, gate: FloatArray) -> None:
    """Keep nothing."""


def program(
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
    bar: ProgressBar | None = None,
) -> list[int]:
    """Program a block until every cell is accepted or given up.

    ``record(conductance, volts, gate)`` is called after every reading with the pulses that led to it.
    Return how many accepted cells each delayed re-verify found outside their window.
    """
    left: list[int] = []
    nothing = np.zeros(block.shape)
    applied = nothing, nothing
    state.take(array.read(block, average=average))
    record(state.g, *applied)
    above = state.active & (state.g > state.target + state.acceptance.tolerance)
    if above.any():
        # One full RESET puts every cell that is too high below its target; from there SETs are gentle.
        state.fire(above, np.full(block.shape, -1, dtype=np.int8), above)
        volts, gate = staircase.reset_ramp.volts_and_gate(staircase.full_reset(above))
        applied = np.where(above, -volts, 0.0), np.where(above, gate, 0.0)
        array.pulse(PulseMap(block, applied[0], width, applied[1], above.astype(np.int64)))
    for round_ in range(max(reverify.rounds, 1)):
        for _ in range(iterations_max):
            if not state.active.any():
                break
            reading = array.read(block, average=average)
            record(reading.conductance, *applied)
            state.take(reading)
            staircase.learn(state)
            need = state.judge()
            applied = nothing, nothing
            if need.any():
                sign = np.where(state.g < state.target, 1, -1).astype(np.int8)
                value = staircase.choose(state, need, sign)
                applied = pulses_for(staircase, value, need, sign)
                top = np.where(sign > 0, staircase.set_ramp.stop, staircase.reset_ramp.stop)
                state.fire(need, sign, value >= top - 1e-9)
                array.pulse(PulseMap(block, applied[0], width, applied[1], need.astype(np.int64)))
            if bar is not None:
                bar.update(float((~state.active).sum()), f"{int(state.active.sum())} cells left")
        if reverify.rounds == 0:
            break
        array.clock.wait(reverify.seconds)
        reading = array.read(block, average=reverify.average)
        record(reading.conductance, *applied)
        applied = nothing, nothing
        left.append(state.reopen(reading, reverify.tolerance, last=round_ + 1 == reverify.rounds))
        if left[-1] == 0:
            break
    state.close()
    return left


def pulses_for(
    staircase: Staircase, value: FloatArray, cells: NDArray[np.bool_], sign: NDArray[np.int8]
) -> tuple[FloatArray, FloatArray]:
    """Return signed amplitude and gate [V] that knob values mean for ``cells``, 0 elsewhere."""
    set_volts, set_gate = staircase.set_ramp.volts_and_gate(value)
    reset_volts, reset_gate = staircase.reset_ramp.volts_and_gate(value)
    volts = np.where(sign > 0, set_volts, -reset_volts)
    gate = np.where(sign > 0, set_gate, reset_gate)
    return np.where(cells, volts, 0.0), np.where(cells, gate, 0.0)
