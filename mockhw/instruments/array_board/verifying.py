"""On-board read-verify commands of the array board (board protocol, §4.8)."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ....common.arrays import FloatArray
from ...scpi.arguments import Block, Integer, Number
from ...scpi.errors import ScpiError
from ...scpi.tree import Command
from .core import BoardCore
from .parameters import RECTANGLE
from .slots import PulseCodes, Rectangle
from .spec import block
from .verify import VerifyAction


class Verifying:
    """What ``PROGram:VERify`` does."""

    def __init__(self, board: BoardCore) -> None:
        self._board = board
        self._program: VerifyAction | None = None

    def forget(self) -> None:
        """Forget the last programming."""
        self._program = None

    def commands(self) -> list[Command]:
        """Return the commands of on-board read-verify."""
        spec = self._board.spec
        width = Number("width", "S", spec.width_min, spec.width_max)
        amplitude = Number("volts", "V", 0.0, spec.volts_max)
        gate = Number("gate", "V", 0.0, spec.gate_max)
        step = Number("step", "V", 0.0, spec.volts_max)

        def program(*arguments: Any) -> None:
            where = Rectangle(*arguments[:4]).check(spec)
            tolerance, pulses_max, seconds, vset, *rest = arguments[4:]
            gates, resets = tuple(rest[:3]), tuple(rest[3:6])
            self.program(where, tolerance, pulses_max, seconds, vset, gates, resets, rest[6], rest[7])  # pyright: ignore[reportArgumentType]

        return [
            Command(
                "PROGram:VERify",
                program,
                (
                    *RECTANGLE,
                    Number("tolerance", "SIE", 0.0),
                    Integer("pulses_max", low=1, high=spec.count_max),
                    width,
                    amplitude,
                    *(gate, gate, step),
                    *(amplitude, amplitude, step),
                    gate,
                    Block("targets"),
                ),
            ),
            Command("FETCh:PROGram?", self.fetch_program),
        ]

    def program(
        self,
        where: Rectangle,
        tolerance: float,
        pulses_max: int,
        width: float,
        vset: float,
        gates: tuple[float, float, float],
        resets: tuple[float, float, float],
        greset: float,
        payload: memoryview,
    ) -> None:
        """``PROGram:VERify``; ``gates`` and ``resets`` are start, stop and step of the staircases [V]."""
        self._board.needs("onboard_verify")
        self._board.may_begin()
        if len(payload) != 4 * where.size:
            raise ScpiError(-161, f"{len(payload)} bytes, {where.nrows} x {where.ncols} cells need {4 * where.size}")
        targets = np.frombuffer(payload, dtype="<f4").astype(np.float64).reshape(where.nrows, where.ncols)
        if np.isinf(targets).any() or (targets < 0.0).any():
            raise ScpiError(-222, "a target conductance is negative or infinite")
        point = self._board.read_point
        if point.volts == 0.0:
            raise ScpiError(-221, "read voltage is 0 V")
        spec, ticks = self._board.spec, self._board.ticks(width)

        def measure() -> FloatArray:
            return self._board.reads.read_map(where, point).current / point.volts

        def pulses(cells: NDArray[np.int64], sets: NDArray[np.bool_], stage: NDArray[np.int64]) -> PulseCodes:
            row, col = np.divmod(cells, where.ncols)
            volts = np.where(sets, vset, -_staircase(resets, stage)) / spec.volts_lsb
            gate = np.where(sets, _staircase(gates, stage), greset) / spec.gate_lsb
            return PulseCodes(
                row + where.row0,
                col + where.col0,
                np.clip(np.rint(volts), -32767, 32767).astype(np.int64),
                np.clip(np.rint(gate), 0, 32767).astype(np.int64),
                np.full(cells.size, ticks),
                np.ones(cells.size, dtype=np.int64),
            )

        action = VerifyAction(
            self._board.chip,
            spec,
            self._board.session.time,
            measure,
            point.slots,
            pulses,
            (where.row0, where.col0),
            targets,
            tolerance,
            pulses_max,
            ticks * spec.tick,
        )
        self._program = action
        self._board.begin(action)

    def fetch_program(self) -> bytes:
        """``FETCh:PROGram?``."""
        self._board.catch_up()
        action = self._program
        if action is None:
            raise ScpiError(-230, "nothing has been programmed")
        return block(
            action.conductance.astype("<f4").tobytes()
            + action.pulses.astype("<u2").tobytes()
            + action.status.astype(np.uint8).tobytes()
        )


def _staircase(steps: tuple[float, float, float], stage: NDArray[np.int64]) -> FloatArray:
    start, stop, step = steps
    ramp = start + math.copysign(abs(step), stop - start) * stage
    return cast("FloatArray", np.minimum(ramp, stop) if stop >= start else np.maximum(ramp, stop))
