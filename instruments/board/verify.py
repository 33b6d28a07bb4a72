"""The board's own read-verify staircase."""

from __future__ import annotations

import numpy as np

from ..capabilities import Verified, VerifyRequest
from ..chip.requests import checked_verify
from ..limits import refuse_bad_number
from ..wire.unconfirmed import unconfirmed
from ..wire.wire_text import sent
from .codec import decode_program
from .session import BoardSession


class BoardVerifies:
    """Runs a read-verify staircase on the board."""

    def __init__(self, session: BoardSession) -> None:
        self._session = session

    def program_verify(self, request: VerifyRequest) -> Verified:
        """Run the board's own read-verify staircase."""
        session, mount = self._session, self._session.mount
        spec, limits, lines = mount.spec, mount.limits, mount.lines
        asked = checked_verify(spec, request)
        refuse_bad_number("pulses_max", asked.pulses_max, 1, mount.can.short_count_max, "pulses", channel="read-verify")
        block, target, most = asked.block, asked.target, asked.pulses_max
        board = mount.rectangle(block)
        wanted = target if lines is None else lines.spread(target, block, fill=np.nan)
        volts = (asked.set_volts, *asked.set_gate, *asked.reset_volts, asked.reset_gate)
        numbers = [f"{asked.tolerance:.9g}", str(most), sent(asked.width, least=limits.width_min), *map(sent, volts)]
        head = f"PROG:VER {board.row0},{board.nrows},{board.col0},{board.ncols},{','.join(numbers)},"
        slot = asked.width + spec.slot_overhead + 2 * spec.read_slot_seconds
        active = np.isfinite(target)
        at_most = active * most
        largest = max(asked.reset_volts[:2]), asked.set_volts
        with (
            session.wear.giving(block, at_most.astype(np.float64), largest, limits) as given,
            session.acting(),
            unconfirmed(block, at_most),
        ):
            session.exchange.write_block(head.encode("ascii"), wanted.astype("<f4").tobytes())
            session.started("VERIFY")
            session.finish(int(active.sum()) * most * slot, exact=False)
            reply = session.repeated(lambda: session.exchange.ask_block(b"FETC:PROG?", 7 * board.size))
            conductance, pulses, status = decode_program(reply, board.shape)
            if lines is not None:
                conductance, pulses, status = (lines.gather(p, block) for p in (conductance, pulses, status))
            given.were(pulses)
        return Verified(block=block, conductance=conductance, pulses=pulses, done=status == 0)
