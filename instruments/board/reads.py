"""Reads of an array board: a rectangle in one transaction, and one cell over time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...common.errors import RefusedError
from ..block import Block
from ..capabilities import Reading, Trace
from ..chip.requests import Look, checked_read, one_cell
from ..errors import UnsupportedError
from ..limits import refuse_bad_number
from ..wire.unconfirmed import unconfirmed
from ..wire.wire_text import sent
from .codec import decode_map
from .session import BoardSession
from .spec import LONG_COUNTS


class BoardReads:
    """Reads blocks of cells."""

    def __init__(self, session: BoardSession) -> None:
        self._session = session

    def read(
        self, cells: Block, volts: float | None, *, average: int, gate: float | None, scheme: str | None
    ) -> Reading:
        """Measure a block in one transaction; see :meth:`~.crossbar_board.CrossbarBoard.read`."""
        session, mount = self._session, self._session.mount
        spec = mount.spec
        asked = checked_read(spec, cells, volts, average=average, gate=gate, scheme=scheme)
        settings, board = self._settings(asked), mount.rectangle(cells)

        def look() -> tuple[int, float, memoryview]:
            with session.acting():
                session.settings.configure(settings)
                slots = board.nrows * (asked.average + int(session.settings.automatic_range()))
                seconds = slots * spec.read_slot_seconds
                message = b"READ:MAP? %d,%d,%d,%d" % (board.row0, board.nrows, board.col0, board.ncols)
                message = session.watchdog.announced(seconds).encode("ascii") + message
                return slots, seconds, session.exchange.ask_block(message, 9 * board.size, expected=seconds)

        slots, seconds, payload = session.repeated(look)
        session.count(1, slots, 0, seconds)
        return self._reading(cells, asked.volts, payload)

    def read_repeated(
        self,
        cells: Block,
        volts: float | None,
        *,
        reads: int,
        average: int = 1,
        gate: float | None = None,
        scheme: str | None = None,
    ) -> Reading:
        """Read a block many times in one command; see :meth:`~.crossbar_board.CrossbarBoard.read_repeated`."""
        session, mount = self._session, self._session.mount
        spec, most = mount.spec, mount.can.long_reads_max
        if most < 1:
            raise UnsupportedError(
                f"{spec.name} takes 1 read in one command: more need a board that lists {LONG_COUNTS} "
                "(board-protocol §10.5); read in a loop"
            )
        asked = checked_read(spec, cells, volts, average=average, gate=gate, scheme=scheme)
        refuse_bad_number("reads", reads, asked.average, most, "reads", channel=f"cells {cells}")
        if reads != int(reads):
            raise RefusedError(f"reads {reads!r} is not a whole number")
        settings, board = self._settings(asked), mount.rectangle(cells)
        with session.acting():
            session.settings.configure(settings)
            slots = board.nrows * (int(reads) + int(session.settings.automatic_range()))
            seconds = slots * spec.read_slot_seconds
            message = f"READ:REP? {board.row0},{board.nrows},{board.col0},{board.ncols},{int(reads)}"
            message = session.watchdog.announced(seconds) + message
            # So many reads are a stress: they are not given twice for want of an answer.
            with unconfirmed(cells, np.full(cells.shape, int(reads)), "reads"):
                payload = session.exchange.ask_block(
                    message.encode("ascii"), 9 * board.size, expected=session.patience(seconds)
                )
        session.count(1, slots, 0, seconds)
        return self._reading(cells, asked.volts, payload)

    def _settings(self, asked: Look) -> Mapping[str, float]:
        settings = {"SOUR:READ:VOLT": self._session.mount.polarity * asked.volts, "SENS:AVER": asked.average}
        if asked.gate is not None:
            settings["SOUR:READ:GATE"] = asked.gate
        return settings

    def _reading(self, cells: Block, amplitude: float, payload: memoryview) -> Reading:
        mount = self._session.mount
        current, error, flags = decode_map(payload, mount.rectangle(cells).shape)
        lines = mount.lines
        if lines is not None:
            current, error, flags = (lines.gather(plane, cells) for plane in (current, error, flags))
        if mount.polarity < 0:
            current = -current
        return Reading(
            block=cells,
            volts=amplitude,
            current=current,
            conductance=current / amplitude,
            stderr=error / abs(amplitude),
            flags=flags,
        )


class BoardSamples:
    """Looks at one cell over time."""

    def __init__(self, session: BoardSession) -> None:
        self._session = session

    def sample(self, row: int, col: int, volts: float, *, rate: float, seconds: float) -> Trace:
        """Measure one cell at ``rate`` [1/s] for ``seconds`` [s] at ``volts`` [V], gate at ``spec.read_gate``."""
        session, mount = self._session, self._session.mount
        spec, can = mount.spec, mount.can
        cell = one_cell(spec, row, col)
        row, col = cell.row0, cell.col0
        where = f"cell ({row}, {col})"
        volts = mount.limits.one("read_volts", volts, channel=where)
        refuse_bad_number("rate", rate, 1e-3, can.sample_rate_max, "Hz", channel=where)
        refuse_bad_number("seconds", seconds, 1.0 / rate, can.sample_points_max / rate, "s", channel=where)
        points = round(rate * seconds)
        board_row, board_col = mount.cell(row, col)
        command = (
            f"SAMP? {board_row},{board_col},{sent(mount.polarity * volts)},{sent(spec.read_gate)},{rate:.9g},{points}"
        )
        session.guard.check(command)

        def look() -> memoryview:
            with session.acting():
                message = (session.watchdog.announced(points / rate) + command).encode("ascii")
                return session.exchange.ask_block(message, 4 * points, expected=session.patience(points / rate))

        payload = session.repeated(look)
        session.count(1, points, 0, points / rate)
        current = mount.polarity * np.frombuffer(payload, "<f4").astype(np.float64)
        return Trace(row=row, col=col, volts=volts, time=np.arange(1, points + 1) / rate, current=current)
