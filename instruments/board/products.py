"""Vector–matrix products of an array board, either way."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..chip.requests import checked_vectors, refuse_vectors, vmm_range
from ..wire.wire_text import block_header
from .codec import largest_code
from .mount import placed
from .session import BoardSession

_CODE = np.dtype("<i2")


class BoardProducts:
    """Multiplies vectors with the conductances, all lines at once."""

    def __init__(self, session: BoardSession, *, reverse: bool = False) -> None:
        self._session = session
        mount, can = session.mount, session.mount.can
        self._code = largest_code(mount.limits.vmm_volts_max, can.vmm_volts_lsb) if can.vmm_volts_lsb else 0
        self._frames: dict[tuple[int, float], tuple[bytes, float]] = {}
        self._codec: tuple[Callable[..., bool], Callable[..., None]] | None = None
        self._head = b"VMM:REV? %d," if reverse else b"VMM:FORW? %d,"
        lines = mount.lines
        self._reverse = reverse
        self._in_size, self._out_size = (can.cols, can.rows) if reverse else (can.rows, can.cols)
        self._in_lines = None if lines is None else lines.cols if reverse else lines.rows
        self._out_lines = None if lines is None else lines.rows if reverse else lines.cols

    def vmm(self, volts: ArrayLike, *, full_scale: float | None = None) -> NDArray[np.float32]:
        """Return the currents [batch, cols] [A] of row voltages [batch, rows] [V].

        One vector in gives one vector out. An overflow of the converter is NaN: choose a larger ``full_scale`` [A].
        """
        return self.currents(volts, full_scale, None)

    def currents(self, volts: ArrayLike, full_scale: float | None, levels: bytes | None) -> NDArray[np.float32]:
        """Return what :meth:`vmm` does; with ``levels``, those of ``ADC:SATurate:LEVels``, held between them."""
        session, mount = self._session, self._session.mount
        decode = (self._codec or self._load_codec())[1]
        given = checked_vectors(mount.spec, volts, reverse=self._reverse)
        codes = self.encoded(given)
        wanted = None if full_scale is None else vmm_range(mount.spec, full_scale)
        raw, range_amps = session.repeated(lambda: self._multiplied(codes, wanted, levels))
        if self._out_lines is not None:
            raw = raw[:, self._out_lines]
        current = np.empty(raw.shape, np.float32)
        decode(np.ascontiguousarray(raw), mount.polarity * range_amps / 32767.0, current)
        return current[0] if given.ndim == 1 else current

    def encoded(self, given: NDArray[np.floating]) -> NDArray[np.int16]:
        """Return the codes [batch, lines of the board] of checked voltages, or refuse those beyond the limits."""
        mount = self._session.mount
        encode = (self._codec or self._load_codec())[0]
        vectors = np.ascontiguousarray(given[np.newaxis] if given.ndim == 1 else given)
        codes = np.empty(vectors.shape, _CODE)
        largest = mount.limits.vmm_volts_max
        if not encode(vectors, largest, mount.polarity / mount.can.vmm_volts_lsb, self._code, codes):
            refuse_vectors(mount.spec, vectors)
        return codes if self._in_lines is None else placed(codes, self._in_lines, self._in_size)

    def _load_codec(self) -> tuple[Callable[..., bool], Callable[..., None]]:
        """Import the compiled codec on first use: a bench that only reads and pulses does without."""
        from .vmm_codec import decode, encode

        self._codec = encode, decode
        return self._codec

    def _multiplied(
        self, codes: NDArray[np.int16], wanted: float | None, levels: bytes | None
    ) -> tuple[NDArray[np.int16], float]:
        """Return the codes of all vectors, and the range they were converted in [A]."""
        session = self._session
        with session.acting():
            if wanted is not None:
                session.settings.set_full_scale(wanted)
            if levels is not None:
                session.settings.set_levels(levels)
            if not self._reverse:
                session.settings.set_converters("LIN" if levels is None else "SAT")
            amps = session.settings.full_scale()
            return self.converted(codes, session.mount.spec.vmm_slot_seconds), amps

    def converted(self, codes: NDArray[np.int16], slot: float) -> NDArray[np.int16]:
        """Return what the converters make of vectors that take ``slot`` [s] each, while the board is held."""
        most = self._session.mount.can.vmm_batch_max
        if len(codes) <= most:
            return self._chunk(codes, slot)
        return np.concatenate([self._chunk(codes[n : n + most], slot) for n in range(0, len(codes), most)])

    def _chunk(self, codes: NDArray[np.int16], slot: float) -> NDArray[np.int16]:
        session, batch = self._session, len(codes)
        frame = self._frames.get((batch, slot))
        if frame is None:
            head = self._head % batch + block_header(2 * batch * self._in_size)
            frame = self._frames[batch, slot] = head, batch * slot
        head, seconds = frame
        if 3.0 * seconds > session.watchdog.seconds:
            head = session.watchdog.announced(seconds).encode("ascii") + head
        reply = session.exchange.ask_block(head + codes.tobytes(), 2 * batch * self._out_size, expected=seconds)
        session.count(1, batch, 0, seconds)
        return np.frombuffer(reply, _CODE).reshape(batch, self._out_size)


class BoardReverseProducts:
    """Multiplies the other way: columns in, rows out."""

    def __init__(self, session: BoardSession) -> None:
        self._products = BoardProducts(session, reverse=True)

    def vmm_reversed(self, volts: ArrayLike, *, full_scale: float | None = None) -> NDArray[np.float32]:
        """Return the currents [batch, rows] [A] of column voltages [batch, cols] [V]."""
        return self._products.vmm(volts, full_scale=full_scale)
