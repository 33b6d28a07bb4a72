"""Pulse maps of an array board: checked, made into codes, sent as one block."""

from __future__ import annotations

import numpy as np

from ..block import Block
from ..capabilities import Delivered, PulseMap
from ..chip.requests import Pulses, checked_pulses
from ..wire.unconfirmed import unconfirmed
from .codec import Last, PulsePlanes, largest_code, to_codes
from .session import BoardSession


class BoardPulses:
    """Applies pulse maps."""

    def __init__(self, session: BoardSession) -> None:
        self._session = session
        can, allowed = session.mount.can, session.mount.limits
        self._low_code = -largest_code(allowed.reset_volts_max, can.volts_lsb)
        self._high_code = largest_code(allowed.set_volts_max, can.volts_lsb)
        self._gate_code = largest_code(allowed.gate_max, can.gate_lsb)
        self._tick_low = int(np.ceil(allowed.width_min / can.width_tick * (1 - 1e-12)))
        self._tick_high = int(allowed.width_max / can.width_tick * (1 + 1e-12))

    def pulse(self, pulses: PulseMap) -> Delivered:
        """Apply a pulse map and return when it has been delivered; nothing is written when a value is refused."""
        session, mount = self._session, self._session.mount
        block = pulses.block
        planes = self._quantise(checked_pulses(mount.spec, pulses))
        can, lines = mount.can, mount.lines
        bound = float((planes.count * (planes.ticks * can.width_tick + mount.spec.slot_overhead)).sum())
        if bound == 0.0:
            return self._delivered(block, planes, None)
        board, sent = mount.rectangle(block), planes
        if lines is not None:
            members = (planes.volts, planes.gate, planes.count, planes.ticks)
            sent = PulsePlanes(*(lines.spread(plane, block) for plane in members))
        long = int(planes.count.max()) > can.short_count_max
        command = b"PULS:MAP:LONG" if long else b"PULS:MAP"
        head = command + b" %d,%d,%d,%d," % (board.row0, board.nrows, board.col0, board.ncols)
        # Counted before it leaves: a pulse whose confirmation is lost has been given, for all that is known.
        session.wear.add(block, planes.volts * (mount.polarity * can.volts_lsb), planes.count, mount.limits)
        with session.acting(), unconfirmed(block, planes.count):
            session.exchange.write_block(head, sent.payload(long=long))
            session.started("MAP")
            last = session.finish(bound)
        return self._delivered(block, planes, last)

    def _quantise(self, checked: Pulses) -> PulsePlanes:
        mount = self._session.mount
        can = mount.can
        codes = to_codes(checked.volts, can.volts_lsb, self._low_code, self._high_code)
        ticks = np.clip(np.rint(checked.width * (1.0 / can.width_tick)), self._tick_low, self._tick_high)
        return PulsePlanes(
            volts=(mount.polarity * codes).astype(np.int16),
            gate=to_codes(checked.gate, can.gate_lsb, 0, self._gate_code),
            count=checked.count.astype(np.uint32),
            ticks=np.where(checked.count > 0, ticks, 0.0).astype(np.uint32),
        )

    def _delivered(self, block: Block, planes: PulsePlanes, last: Last | None) -> Delivered:
        mount = self._session.mount
        can = mount.can
        return Delivered(
            block=block,
            volts=planes.volts.astype(np.float64) * (mount.polarity * can.volts_lsb),
            width=planes.ticks.astype(np.float64) * can.width_tick,
            gate=planes.gate.astype(np.float64) * can.gate_lsb,
            count=planes.count.astype(np.int64),
            slots=0 if last is None else last.slots_done,
            pulses=0 if last is None else last.pulses_done,
            seconds=0.0 if last is None else last.seconds_done,
        )
