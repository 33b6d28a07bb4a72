"""Sweeps of an array board: one cell through a list of voltages, its current held."""

from __future__ import annotations

from numpy.typing import ArrayLike

from ..capabilities import IVTrace
from ..chip.requests import checked_sweep
from ..wire.unconfirmed import unconfirmed
from ..wire.wire_text import sent
from .codec import decode_sweep, to_float32
from .session import BoardSession


class BoardSweeps:
    """Drives one cell through a list of voltages."""

    def __init__(self, session: BoardSession) -> None:
        self._session = session

    def sweep(
        self,
        row: int,
        col: int,
        volts: ArrayLike,
        *,
        compliance: float,
        dwell: float,
        gate: ArrayLike | None = None,
        scheme: str | None = None,
        halt: float | None = None,
    ) -> IVTrace:
        """Drive one cell through ``volts`` [V], ``dwell`` [s] each, current held at or below ``compliance`` [A].

        ``gate`` [V] is one value or one per point, default ``spec.read_gate``. ``halt`` is refused: the board runs the
        whole sweep.
        """
        session, mount = self._session, self._session.mount
        if halt is not None:
            mount.spec.check_halt(halt, scheme, channel="sweep")
        limits, sign = mount.limits, mount.polarity
        asked = checked_sweep(mount.spec, row, col, volts, compliance=compliance, dwell=dwell, gate=gate, scheme=scheme)
        row, col, points, gates = asked.cell.row0, asked.cell.col0, asked.volts, asked.gate
        board_row, board_col = mount.cell(row, col)
        levels = to_float32(points, -limits.reset_volts_max, limits.set_volts_max)
        payload = (sign * levels).tobytes() + to_float32(gates, 0.0, limits.gate_max).tobytes()
        head = f"SWE:RUN {board_row},{board_col},{sent(asked.compliance)},{asked.dwell:.9g},".encode("ascii")
        session.wear.add_sweep(row, col, points, limits)
        with session.acting(), unconfirmed(asked.cell, 1, "sweep"):
            session.exchange.write_block(head, payload)
            session.started("SWEEP")
            session.finish(points.size * asked.dwell)
            fetched = session.repeated(lambda: session.exchange.ask_block(b"FETC:SWE?", 9 * points.size))
            applied, current, flags = decode_sweep(fetched)
        return IVTrace(
            row=row,
            col=col,
            volts=sign * applied,
            gate=gates.copy(),
            current=sign * current,
            flags=flags,
            compliance=asked.compliance,
            dwell=asked.dwell,
        )
