"""Stochastic outer-product updates of an array board."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ...common.errors import RefusedError
from ..capabilities import Cost, Delivered, OuterProducts, PulseDrive
from ..chip.requests import checked_drive, checked_outer, checked_products
from ..limits import refuse_bad_number
from ..wire.wire_text import block_header, sent
from .codec import Last
from .mount import placed
from .session import BoardSession

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from qcodes.parameters import ParameterBase

    from ..capabilities import FloatArray

NEEDS = ("update_width", "update_set_volts", "update_reset_volts")
MAY_HAVE = ("update_set_gate", "update_reset_gate")
# What a message holds at most: an interrupt waits until it has left.
_MESSAGE_BYTES = 1 << 20
_FULL_SCALE = 32767.0


class BoardUpdates:
    """Changes all cells at once, each by the product of what its row and its column are given.

    Parameters
    ----------
    parameters : mapping
        The driver's, of which ``update_width``, ``update_set_volts`` and so on give the drive where a call does not.
    """

    def __init__(self, session: BoardSession, parameters: Mapping[str, ParameterBase]) -> None:
        self._session = session
        self._parameters = parameters

    def outer_update(self, x: ArrayLike, d: ArrayLike, *, pulses: int, drive: PulseDrive | None = None) -> Delivered:
        """Pulse cells in proportion to xᵢ·dⱼ by stochastic coincidence.

        Parameters
        ----------
        x, d : [rows], [cols]
            −1 to 1; xᵢ·dⱼ > 0 SETs.
        pulses : int
            Turns; a turn costs four slots.
        drive : PulseDrive, optional
            The pulses; by default what the ``update_…`` parameters say.

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
        given = self._checked(drive)
        board_x, board_d = xs, mount.polarity * ds
        if mount.lines is not None:
            board_x = placed(board_x, mount.lines.rows, can.rows)
            board_d = placed(board_d, mount.lines.cols, can.cols)
        product = np.outer(xs, ds)
        up = product > 0
        volts = np.where(up, given.set_volts, -given.reset_volts) * (product != 0)
        # What the board will draw is not known; counted is what may be expected, before it leaves.
        session.wear.add(spec.whole, volts, np.abs(product) * left, mount.limits)
        x_block, d_block = _codes(board_x), _codes(board_d)
        totals = np.zeros(3)
        count = np.rint(np.abs(product) * left).astype(np.int64)
        with session.acting():
            while left > 0:
                slots = min(left, can.update_slots_max)
                head = f"UPD:OUT {slots},{self._sent(given)},".encode("ascii") + _block(x_block) + b","
                last = self._act(head, d_block, 4 * slots, given)
                totals += (last.slots_done, last.pulses_done, last.seconds_done)
                left -= slots
        return Delivered(
            block=spec.whole,
            volts=volts,
            width=np.full(product.shape, given.width),
            gate=np.where(up, given.set_gate, given.reset_gate) * (product != 0),
            count=count,
            slots=int(totals[0]),
            pulses=int(totals[1]),
            seconds=float(totals[2]),
        )

    def outer_updates(self, products: Sequence[OuterProducts], *, pulses: int, drive: PulseDrive | None = None) -> Cost:
        """Give many outer products, rectangle by rectangle, in as few messages as the board takes.

        A board that does not list ``outer_tiles`` gets them one by one, over all its lines.

        Returns
        -------
        Cost
            Of the whole; ``pulses`` is the number that were delivered.
        """
        session, mount = self._session, self._session.mount
        before = session.total
        asked, given = checked_products(mount.spec, products, pulses), self._checked(drive)
        expected = np.zeros(mount.spec.whole.shape)
        for one in asked:
            expected[one.block.slices] += int(pulses) * (np.abs(one.x).T @ np.abs(one.d))
        session.wear.require(mount.spec.whole, expected, mount.limits)
        if not mount.can.update_tiles_max:
            for one in asked:
                for x, d in zip(one.x, one.d, strict=True):
                    self.outer_update(*_on_all_lines(one, x, d, mount.spec.whole.shape), pulses=pulses, drive=given)
            return session.total - before
        slots_max = mount.can.update_slots_max
        turns = [slots_max] * (int(pulses) // slots_max) + [int(pulses) % slots_max] * (int(pulses) % slots_max > 0)
        for one in asked:
            self._wear(one, int(pulses), given)
        with session.acting():
            for message in self._messages(asked):
                blocks = self._tile_blocks(message)
                for slots in turns:
                    head = f"UPD:OUT:TIL {slots},{self._sent(given)},".encode("ascii")
                    head += b"".join(_block(part) + b"," for part in blocks[:-1])
                    self._act(head, blocks[-1], 4 * slots * sum(len(one.x) for one in message), given)
        return session.total - before

    def seed(self, seed: int) -> None:
        """Seed the board's bit generator, 0 to 2³² − 1."""
        refuse_bad_number("seed", seed, 0, 2**32 - 1, "", channel="UPD:SEED")
        self._session.exchange.act(f"UPD:SEED {int(seed)}")

    def _wear(self, one: OuterProducts, turns: int, drive: PulseDrive) -> None:
        """Count what a rectangle may expect: SETs and RESETs are half the sum of |x·d| plus, or less, that of x·d."""
        every, net = np.abs(one.x).T @ np.abs(one.d), one.x.T @ one.d
        up, down = (np.maximum(0.5 * turns * (every + sign * net), 0.0) for sign in (1.0, -1.0))
        mount = self._session.mount
        self._session.wear.add_mixed(one.block, up, down, (drive.reset_volts, drive.set_volts), mount.limits)

    def _messages(self, products: list[OuterProducts]) -> Iterator[list[OuterProducts]]:
        """Yield what goes into one message each: as many as the board takes, and no more than a message should hold."""
        can, message, room = self._session.mount.can, list[OuterProducts](), 0
        for one in products:
            each = max(1, min(can.update_products_max, _MESSAGE_BYTES // (2 * sum(one.block.shape))))
            for start in range(0, len(one.x), each):
                part = OuterProducts(one.block, one.x[start : start + each], one.d[start : start + each])
                if message and (room + len(part.x) > each or len(message) == can.update_tiles_max):
                    yield message
                    message, room = [], 0
                message.append(part)
                room += len(part.x)
        if message:
            yield message

    def _tile_blocks(self, message: list[OuterProducts]) -> tuple[bytes, bytes, bytes]:
        """Return the blocks of tiles, x and d (board protocol, §10.6)."""
        mount = self._session.mount
        places = np.zeros((4, len(message)), dtype="<u2")
        x, d = list[bytes](), list[bytes]()
        for at, one in enumerate(message):
            board, xs, ds = mount.rectangle(one.block), one.x, mount.polarity * one.d
            if mount.lines is not None:
                rows, cols = one.block.slices
                xs = placed(xs, mount.lines.rows[rows] - board.row0, board.nrows)
                ds = placed(ds, mount.lines.cols[cols] - board.col0, board.ncols)
            places[:, at] = board.row0, board.nrows, board.col0, board.ncols
            x.append(_codes(xs))
            d.append(_codes(ds))
        often = np.array([len(one.x) for one in message], dtype="<u4")
        return places.tobytes() + often.tobytes(), b"".join(x), b"".join(d)

    def _act(self, head: bytes, last_block: bytes, slots: int, drive: PulseDrive) -> Last:
        """Send an update, wait for it and return what the board says it did."""
        session = self._session
        session.exchange.write_block(head, last_block)
        session.started("OUTER")
        return session.finish(slots * (drive.width + session.mount.spec.slot_overhead))

    def _sent(self, drive: PulseDrive) -> str:
        """Return width and drive as the board takes them.

        It SETs where x·d > 0 with a positive voltage: on a chip the other way round the product is turned, and so are
        the two drives.
        """
        up, down = (drive.set_volts, drive.set_gate), (drive.reset_volts, drive.reset_gate)
        first, second = (up, down) if self._session.mount.polarity > 0 else (down, up)
        least = self._session.mount.limits.width_min
        return ",".join((sent(drive.width, least=least), *(sent(value) for value in (*first, *second))))

    def _checked(self, drive: PulseDrive | None) -> PulseDrive:
        """Return the drive, that of the parameters where none is given, held against the limits."""
        mount, name = self._session.mount, self._session.mount.spec.name
        given = drive
        if given is None:
            for needed in NEEDS:
                if self._parameters[needed].cache.get() is None:
                    raise RefusedError(f"outer_update needs {needed}: set {name}.{needed} for this chip first")
            width, up, down = (float(self._parameters[needed].cache.get()) for needed in NEEDS)
            set_gate, reset_gate = (float(self._parameters[gate].cache.get() or 0.0) for gate in MAY_HAVE)
            given = PulseDrive(up, set_gate, down, reset_gate, width)
        return checked_drive(mount.spec, given)


def _codes(values: FloatArray) -> bytes:
    return np.rint(_FULL_SCALE * values).astype("<i2").tobytes()


def _block(payload: bytes) -> bytes:
    return block_header(len(payload)) + payload


def _on_all_lines(
    one: OuterProducts, x: FloatArray, d: FloatArray, shape: tuple[int, int]
) -> tuple[FloatArray, FloatArray]:
    """Return one product [rows], [cols] over all lines, 0 outside its rectangle."""
    rows, cols = one.block.slices
    xs, ds = np.zeros(shape[0]), np.zeros(shape[1])
    xs[rows], ds[cols] = x, d
    return xs, ds
