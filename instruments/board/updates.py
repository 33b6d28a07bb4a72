"""Stochastic outer-product updates of an array board."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ...common.errors import RefusedError
from ..capabilities import Delivered
from ..chip.requests import check_drive, checked_outer
from ..limits import refuse_bad_number
from ..wire.wire_text import block_header, sent
from .placing import placed
from .session import BoardSession

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qcodes.parameters import ParameterBase

NEEDS = ("update_width", "update_set_volts", "update_reset_volts")
MAY_HAVE = ("update_set_gate", "update_reset_gate")


class BoardUpdates:
    """Changes all cells at once, each by the product of what its row and its column are given.

    Parameters
    ----------
    parameters : mapping
        The driver's, of which ``update_width``, ``update_set_volts`` and so on give the drive.
    """

    def __init__(self, session: BoardSession, parameters: Mapping[str, ParameterBase]) -> None:
        self._session = session
        self._parameters = parameters

    def outer_update(self, x: ArrayLike, d: ArrayLike, *, pulses: int) -> Delivered:
        """Pulse cells in proportion to xᵢ·dⱼ by stochastic coincidence.

        Parameters
        ----------
        x, d : [rows], [cols]
            −1 to 1; xᵢ·dⱼ > 0 SETs.
        pulses : int
            Turns; a turn costs four slots.

        Returns
        -------
        Delivered
            ``count`` is the expected number of pulses per cell, rounded: the draws are made on the board. ``pulses``
            is the number that were delivered.
        """
        session, mount = self._session, self._session.mount
        spec, can = mount.spec, mount.can
        xs, ds, left = checked_outer(spec, x, d, pulses)
        refuse_bad_number("pulses", left, 1, can.short_count_max, "turns", channel="outer_update")
        width, set_volts, reset_volts, set_gate, reset_gate = self._drive()
        if mount.polarity < 0:
            # The board SETs where x·d > 0 with a positive voltage: turn the product and swap the two drives.
            drive = (reset_volts, reset_gate, set_volts, set_gate)
        else:
            drive = (set_volts, set_gate, reset_volts, reset_gate)
        board_x, board_d = xs, mount.polarity * ds
        if mount.lines is not None:
            board_x = placed(board_x, mount.lines.rows, can.rows)
            board_d = placed(board_d, mount.lines.cols, can.cols)
        product = np.outer(xs, ds)
        up = product > 0
        volts = np.where(up, set_volts, -reset_volts) * (product != 0)
        # What the board will draw is not known; counted is what may be expected, before it leaves.
        session.wear.add(spec.whole, volts, np.abs(product) * left, mount.limits)
        x_block, d_block = (np.rint(32767.0 * values).astype("<i2").tobytes() for values in (board_x, board_d))
        numbers = ",".join((sent(width, least=mount.limits.width_min), *(sent(value) for value in drive)))
        totals = np.zeros(3)
        count = np.rint(np.abs(product) * left).astype(np.int64)
        with session.acting():
            while left > 0:
                slots = min(left, can.update_slots_max)
                head = f"UPD:OUT {slots},{numbers},".encode("ascii") + block_header(len(x_block)) + x_block + b","
                session.exchange.write_block(head, d_block)
                session.started("OUTER")
                last = session.finish(4 * slots * (width + spec.slot_overhead))
                totals += (last.slots_done, last.pulses_done, last.seconds_done)
                left -= slots
        return Delivered(
            block=spec.whole,
            volts=volts,
            width=np.full(product.shape, width),
            gate=np.where(up, set_gate, reset_gate) * (product != 0),
            count=count,
            slots=int(totals[0]),
            pulses=int(totals[1]),
            seconds=float(totals[2]),
        )

    def seed(self, seed: int) -> None:
        """Seed the board's bit generator, 0 to 2³² − 1."""
        refuse_bad_number("seed", seed, 0, 2**32 - 1, "", channel="UPD:SEED")
        self._session.exchange.act(f"UPD:SEED {int(seed)}")

    def _drive(self) -> tuple[float, float, float, float, float]:
        """Return width [s], SET and RESET volts [V] and their gates [V] of the parameters, checked."""
        mount, name = self._session.mount, self._session.mount.spec.name
        limits = mount.limits
        for needed in NEEDS:
            if self._parameters[needed].cache.get() is None:
                raise RefusedError(f"outer_update needs {needed}: set {name}.{needed} for this chip first")
        width, up, down = (float(self._parameters[needed].cache.get()) for needed in NEEDS)
        set_gate, reset_gate = (float(self._parameters[gate].cache.get() or 0.0) for gate in MAY_HAVE)
        limits.check("width", width, channel="update_width", unit="s")
        if min(up, down) < 0.0:
            raise RefusedError("update_set_volts and update_reset_volts are magnitudes: give positive numbers")
        limits.check("pulse_volts", [up, -down], channel="update_set_volts, update_reset_volts ")
        limits.check("gate", [set_gate, reset_gate], channel="update_set_gate, update_reset_gate ")
        check_drive(mount.spec, [up, -down], width, channel="update_set_volts, update_reset_volts ")
        return width, up, down, set_gate, reset_gate
