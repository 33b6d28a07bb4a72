"""What an array board does on all lines at once: vector–matrix products and stochastic outer-product updates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from qcodes.parameters import ManualParameter
from qcodes.validators import Numbers

from ...common.errors import RefusedError
from ..abilities import Multiplies, MultipliesReversed, UpdatesByOuterProduct
from ..capabilities import Delivered
from ..chip.requests import check_drive, checked_outer, checked_vectors, refuse_vectors
from ..chip.wear_ledger import WearLedger
from ..limits import refuse_bad_number
from ..wire.wire_text import block_header
from .codec import largest_code
from .link import BoardLink

FloatArray = NDArray[np.float64]
_CODE = np.dtype("<i2")

_UPDATE_NEEDS = ("update_width", "update_set_volts", "update_reset_volts")


class BoardParallel(BoardLink):
    """The actions in which every line of the array takes part."""

    wear: WearLedger
    """What the chip's cells have borne; a bench hands over the account of its chip."""

    def _prepare(self) -> None:
        super()._prepare()
        can = self.capability
        self.wear = WearLedger(self.name, (self._spec.rows, self._spec.cols))
        self._vmm_code = largest_code(self._limits.vmm_volts_max, can.vmm_volts_lsb) if can.vmm_volts_lsb else 0
        self._vmm_frames: dict[tuple[int, bool], tuple[bytes, int, float]] = {}
        if "outer_update" in self._spec.supports:
            self._add_update_parameters()

    _vmm_codec: tuple[Callable[..., bool], Callable[..., None]] | None = None

    def _load_codec(self) -> tuple[Callable[..., bool], Callable[..., None]]:
        """Import the compiled codec on first use: a bench that only reads and pulses does without."""
        from .vmm_codec import decode, encode

        self._vmm_codec = encode, decode
        return self._vmm_codec

    # -- multiplying -------------------------------------------------------------------------------------------------

    def vmm(self, volts: ArrayLike, *, reverse: bool = False, full_scale: float | None = None) -> NDArray[np.float32]:
        """Return the currents [batch, cols] [A] of row voltages [batch, rows] [V]; reverse: columns in, rows out.

        One vector in gives one vector out. An overflow of the converter is NaN: choose a larger ``full_scale`` [A].
        """
        spec, can = self._spec, self.capability
        spec.require(Multiplies)
        if reverse:
            spec.require(MultipliesReversed)
        encode, decode = self._vmm_codec or self._load_codec()
        given = checked_vectors(spec, volts, reverse=reverse)
        vectors = np.ascontiguousarray(given[np.newaxis] if given.ndim == 1 else given)
        codes = np.empty(vectors.shape, _CODE)
        largest = self._limits.vmm_volts_max
        if not encode(vectors, largest, self._polarity / can.vmm_volts_lsb, self._vmm_code, codes):
            refuse_vectors(spec, vectors)
        if full_scale is not None:
            self._choose_full_scale(full_scale)
        if self._lines is not None:
            inputs = (self._lines.cols, can.cols) if reverse else (self._lines.rows, can.rows)
            codes = _placed(codes, *inputs)
        if len(codes) <= can.vmm_batch_max:
            raw = self._vmm_chunk(codes, reverse)
        else:
            starts = range(0, len(codes), can.vmm_batch_max)
            raw = np.concatenate([self._vmm_chunk(codes[n : n + can.vmm_batch_max], reverse) for n in starts])
        if self._lines is not None:
            raw = raw[:, self._lines.rows if reverse else self._lines.cols]
        current = np.empty(raw.shape, np.float32)
        decode(np.ascontiguousarray(raw), self._polarity * self._full_scale() / 32767.0, current)
        return current[0] if given.ndim == 1 else current

    def vmm_reversed(self, volts: ArrayLike, *, full_scale: float | None = None) -> NDArray[np.float32]:
        """Return the currents [batch, rows] [A] of column voltages [batch, cols] [V]."""
        return self.vmm(volts, reverse=True, full_scale=full_scale)

    def _vmm_chunk(self, codes: NDArray[np.int16], reverse: bool) -> NDArray[np.int16]:
        batch = len(codes)
        frame = self._vmm_frames.get((batch, reverse))
        if frame is None:
            inputs, outputs = codes.shape[1], self.capability.rows if reverse else self.capability.cols
            head = (b"VMM:REV? %d," if reverse else b"VMM:FORW? %d,") % batch + block_header(2 * batch * inputs)
            frame = self._vmm_frames[batch, reverse] = head, outputs, batch * self._spec.vmm_slot_seconds
        head, outputs, seconds = frame
        with self._acting():
            if self._vmm_full_scale is None:
                self._full_scale()
            if 3.0 * seconds > self._watchdog:
                head = self._announced(seconds).encode("ascii") + head
            reply = self.ask_block(head + codes.tobytes(), 2 * batch * outputs, expected=seconds)
        self._count(1, batch, 0, seconds)
        return np.frombuffer(reply, _CODE).reshape(batch, outputs)

    # -- updating ----------------------------------------------------------------------------------------------------

    def outer_update(self, x: ArrayLike, d: ArrayLike, *, pulses: int) -> Delivered:
        """Pulse cells in proportion to xᵢ·dⱼ by stochastic coincidence.

        The drive is taken from the parameters ``update_width``, ``update_set_volts`` and so on.

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
        spec, can = self._spec, self.capability
        spec.require(UpdatesByOuterProduct, otherwise="pulse() per cell does without")
        xs, ds, turns = checked_outer(spec, x, d, pulses)
        width, set_volts, reset_volts, set_gate, reset_gate = self._update_drive()
        if self._polarity < 0:
            # The board SETs where x·d > 0 with a positive voltage: turn the product and swap the two drives.
            drive = (reset_volts, reset_gate, set_volts, set_gate)
        else:
            drive = (set_volts, set_gate, reset_volts, reset_gate)
        board_x, board_d = xs, self._polarity * ds
        if self._lines is not None:
            board_x = _placed(board_x, self._lines.rows, can.rows)
            board_d = _placed(board_d, self._lines.cols, can.cols)
        product = np.outer(xs, ds)
        up = product > 0
        volts = np.where(up, set_volts, -reset_volts) * (product != 0)
        # What the board will draw is not known; counted is what may be expected, before it leaves.
        self.wear.add(spec.whole, volts, np.abs(product) * turns, self._limits)
        x_block, d_block = (np.rint(32767.0 * values).astype("<i2").tobytes() for values in (board_x, board_d))
        totals = np.zeros(3)
        left = turns
        with self._acting():
            while left > 0:
                slots = min(left, can.update_slots_max)
                numbers = ",".join(f"{value:.9g}" for value in (width, *drive))
                head = f"UPD:OUT {slots},{numbers},".encode("ascii") + block_header(len(x_block)) + x_block + b","
                self.write_block_command(head, d_block)
                self._started("OUTER")
                last = self._finish(4 * slots * (width + spec.slot_overhead))
                totals += (last.slots_done, last.pulses_done, last.seconds_done)
                left -= slots
        return Delivered(
            block=spec.whole,
            volts=volts,
            width=np.full(product.shape, width),
            gate=np.where(up, set_gate, reset_gate) * (product != 0),
            count=np.rint(np.abs(product) * turns).astype(np.int64),
            slots=int(totals[0]),
            pulses=int(totals[1]),
            seconds=float(totals[2]),
        )

    def _update_drive(self) -> tuple[float, float, float, float, float]:
        for name in _UPDATE_NEEDS:
            if self.parameters[name].cache.get() is None:
                raise RefusedError(f"outer_update needs {name}: set {self.name}.{name} for this chip first")
        width, up, down = (float(self.parameters[name].cache.get()) for name in _UPDATE_NEEDS)
        gates = (float(self.parameters[name].cache.get() or 0.0) for name in ("update_set_gate", "update_reset_gate"))
        set_gate, reset_gate = gates
        self._limits.check("width", width, channel="update_width", unit="s")
        if min(up, down) < 0.0:
            raise RefusedError("update_set_volts and update_reset_volts are magnitudes: give positive numbers")
        self._limits.check("pulse_volts", [up, -down], channel="update_set_volts, update_reset_volts ")
        self._limits.check("gate", [set_gate, reset_gate], channel="update_set_gate, update_reset_gate ")
        check_drive(self._spec, [up, -down], width, channel="update_set_volts, update_reset_volts ")
        return width, up, down, set_gate, reset_gate

    def seed_updates(self, seed: int) -> None:
        """Seed the board's bit generator, 0 to 2³² − 1."""
        self._spec.require(UpdatesByOuterProduct)
        refuse_bad_number("seed", seed, 0, 2**32 - 1, "", channel="UPD:SEED")
        self._act(f"UPD:SEED {int(seed)}")

    # -- QCoDeS parameters of the outer-product update -----------------------------------------------------------------

    def _add_update_parameters(self) -> None:
        limits = self._limits
        self.update_width: ManualParameter = self.add_parameter(
            "update_width", ManualParameter, unit="s", vals=Numbers(limits.width_min, limits.width_max)
        )
        """Control the pulse width of outer_update [s]; depends on the chip, so it has no default."""
        self.update_set_volts: ManualParameter = self.add_parameter(
            "update_set_volts", ManualParameter, unit="V", vals=Numbers(0.0, limits.set_volts_max)
        )
        """Control the SET amplitude of outer_update [V]; depends on the chip, so it has no default."""
        self.update_reset_volts: ManualParameter = self.add_parameter(
            "update_reset_volts", ManualParameter, unit="V", vals=Numbers(0.0, limits.reset_volts_max)
        )
        """Control the RESET amplitude of outer_update as a magnitude [V]; depends on the chip: no default."""
        self.update_set_gate: ManualParameter = self.add_parameter(
            "update_set_gate", ManualParameter, unit="V", vals=Numbers(0.0, limits.gate_max)
        )
        """Control the gate voltage of SETs in outer_update [V]; 0 V when it was not set."""
        self.update_reset_gate: ManualParameter = self.add_parameter(
            "update_reset_gate", ManualParameter, unit="V", vals=Numbers(0.0, limits.gate_max)
        )
        """Control the gate voltage of RESETs in outer_update [V]; 0 V when it was not set."""


def _placed(values: NDArray[Any], lines: NDArray[np.intp], size: int) -> NDArray[Any]:
    """Put ``values`` [..., chip lines] on their board lines, zero elsewhere."""
    board = np.zeros((*values.shape[:-1], size), dtype=values.dtype)
    board[..., lines] = values
    return board
