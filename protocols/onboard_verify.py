"""Read–verify run by the board itself, with the delayed re-verify of the host's own loop around it."""

from __future__ import annotations

import numpy as np

from ..instruments.array_spec import Block
from ..instruments.capabilities import CrossbarArray, VerifyRequest
from .programming_plan import ProgrammingPlan
from .verify_loop import Recorder
from .verify_state import VerifyState


def program_on_board(
    array: CrossbarArray, block: Block, state: VerifyState, plan: ProgrammingPlan, record: Recorder
) -> list[int]:
    """Let the board program ``block``; cells that left their window by the delayed re-verify are handed to it again.

    The board runs a plain staircase: SETs turn the gate, RESETs the amplitude. Return how many cells each re-verify
    found outside their window, as :func:`verify_loop.program` does.
    """
    set_ramp, reset_ramp = plan.set.ramp("gate", array.spec), plan.reset.ramp("volts", array.spec)
    nothing = np.zeros(block.shape)
    left: list[int] = []
    rounds = max(plan.reverify_rounds, 1)
    for round_ in range(rounds):
        done = array.program_verify(
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
        if plan.reverify_rounds == 0:
            break
        array.clock.wait(plan.reverify_after)
        reading = array.read(block, average=plan.reverify_average)
        record(reading.conductance, nothing, nothing)
        left.append(state.reopen(reading, plan.reverify().tolerance, last=round_ + 1 == rounds))
        if left[-1] == 0:
            break
    state.close()
    return left
