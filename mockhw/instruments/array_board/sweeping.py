"""Sweeps of one cell by the array board (board protocol, §4.5)."""

from __future__ import annotations

import numpy as np

from ...scpi.arguments import Block, Number
from ...scpi.errors import ScpiError
from ...scpi.tree import Command
from .actions import SweepAction
from .core import BoardCore
from .parameters import cell
from .reads import COMPLIANCE
from .spec import block


class Sweeping:
    """What ``SWEep:RUN`` does."""

    def __init__(self, board: BoardCore) -> None:
        self._board = board
        self._sweep: SweepAction | None = None

    def forget(self) -> None:
        """Forget the last sweep."""
        self._sweep = None

    def commands(self) -> list[Command]:
        """Return the commands of sweeps."""
        spec = self._board.spec
        return [
            Command(
                "SWEep:RUN",
                self.sweep,
                (
                    *cell(spec),
                    Number("compliance", "A", spec.compliance_min, spec.compliance_max),
                    Number("dwell", "S", spec.dwell_min, spec.dwell_max),
                    Block("points"),
                ),
            ),
            Command("FETCh:SWEep?", self.fetch_sweep),
        ]

    def sweep(self, row: int, col: int, compliance: float, dwell: float, payload: memoryview) -> None:
        """``SWEep:RUN``."""
        board, spec = self._board, self._board.spec
        board.needs("sweep")
        board.may_begin()
        points, rest = divmod(len(payload), 8)
        if rest or not points:
            raise ScpiError(-161, f"{len(payload)} bytes, a sweep has 8 a point")
        if points > spec.points_max:
            raise ScpiError(-222, f"points {points} above {spec.points_max}")
        planes = np.frombuffer(payload, dtype="<f4").astype(np.float64).reshape(2, points)
        limits = (
            ("volts", -spec.volts_max, spec.volts_max),
            ("gate", 0.0, spec.gate_max),
        )
        for plane, (name, low, high) in zip(planes, limits, strict=True):
            good = (plane >= low) & (plane <= high)
            if not good.all():
                at = int(np.argmin(good))
                word, bound = ("below", low) if plane[at] < low else ("above", high)
                raise ScpiError(-222, f"{name} {plane[at]:.6g} {word} {bound:g} at point {at} row {row} column {col}")
        if board.suffers("compliance"):  # a scripted fault: the limiter holds as low as it can
            compliance = spec.compliance_min
        volts = np.clip(np.rint(planes[0] / spec.volts_lsb), -32767, 32767) * spec.volts_lsb
        gate = np.clip(np.rint(planes[1] / spec.gate_lsb), 0, 32767) * spec.gate_lsb
        action = SweepAction(board.chip, board.session.time, (row, col), volts, gate, dwell, compliance)
        self._sweep = action
        board.begin(action)

    def fetch_sweep(self) -> bytes:
        """``FETCh:SWEep?``."""
        self._board.catch_up()
        action = self._sweep
        if action is None:
            raise ScpiError(-230, "nothing has been swept")
        done = slice(0, action.slots_done)
        flags = np.where(action.limited[done], COMPLIANCE, 0).astype(np.uint8)
        current = self._board.reads.swept(action.current[done]) if action.slots_done else action.current[done]
        volts = action.volts[done].astype("<f4").tobytes()
        return block(volts + current.astype("<f4").tobytes() + flags.tobytes())
