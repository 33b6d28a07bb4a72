"""Read–verify run by the board itself, with the delayed re-verify of the host's own loop around it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...instruments.abilities import VerifiesOnBoard
from ...instruments.block import Block
from ...instruments.capabilities import CrossbarArray, VerifyRequest
from ..keeping.array_state import ArrayState
from .programming_plan import ProgrammingPlan
from .verify_loop import Recorder
from .verify_state import VerifyState


class BoardLoop(ArrayState):
    """Programming round by round: the board's own loop, a delay, and a look at what stayed in its window.

    The board runs a plain staircase: SETs turn the gate, RESETs the amplitude. It reads every cell before it pulses it,
    so a round that may have been cut is simply asked for again.
    """

    def __init__(
        self, array: CrossbarArray, block: Block, state: VerifyState, plan: ProgrammingPlan, record: Recorder
    ) -> None:
        self._array, self._block, self._state, self._plan, self._record = array, block, state, plan, record
        self.round = 0
        self.left: NDArray[np.int64] = np.empty(0, dtype=np.int64)

    @property
    def over(self) -> bool:
        """Whether every cell is accepted or given up."""
        done = len(self.left) > 0 and self.left[-1] == 0
        return done or self.round >= max(self._plan.reverify_rounds, 1)

    def go_on(self) -> None:
        """Let the board program what is active, and look again later."""
        array, block, state, plan = self._array, self._block, self._state, self._plan
        set_ramp, reset_ramp = plan.set.ramp("gate", array.spec), plan.reset.ramp("volts", array.spec)
        done = array.ability(VerifiesOnBoard).program_verify(
            VerifyRequest(
                block=block,
                target=np.where(state.active, state.target, np.nan),
                tolerance=plan.window,
                pulses_max=plan.pulses_max,
                width=plan.width,
                set_volts=set_ramp.held,
                set_gate=(set_ramp.start, set_ramp.stop, set_ramp.step),
                reset_volts=(reset_ramp.start, reset_ramp.stop, reset_ramp.step),
                reset_gate=reset_ramp.held,
            )
        )
        state.take_over(done.pulses, done.done)
        self.round += 1
        if plan.reverify_rounds > 0:
            array.clock.wait(plan.reverify_after)
            reading = array.read(block, average=plan.reverify_average)
            nothing = np.zeros(block.shape)
            self._record(reading.conductance, nothing, nothing)
            left = state.reopen(reading, plan.reverify().slack, last=self.round == plan.reverify_rounds)
            self.left = np.append(self.left, left)

    def forget_pulses(self) -> None:
        """Nothing is learnt from readings here."""
