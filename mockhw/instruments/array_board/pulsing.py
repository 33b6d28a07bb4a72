"""Pulse maps and outer-product updates of the array board (board protocol, §4.4 and §4.7)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...scpi.arguments import Block, Integer, Number
from ...scpi.errors import ScpiError
from ...scpi.tree import Command, number
from .actions import MapAction, OuterAction
from .core import BoardCore
from .parameters import RECTANGLE
from .slots import Rectangle, SlotPlan, parse_map

FloatArray = NDArray[np.float64]


class Pulsing:
    """What ``PULSe`` and ``UPDate`` do."""

    def __init__(self, board: BoardCore) -> None:
        self._board = board

    def commands(self) -> list[Command]:
        """Return the commands of pulses and updates."""
        spec = self._board.spec
        width = Number("width", "S", spec.width_min, spec.width_max)
        amplitude = Number("volts", "V", 0.0, spec.volts_max)
        gate = Number("gate", "V", 0.0, spec.gate_max)
        slots = Integer("slots", low=1, high=spec.update_slots_max)
        return [
            Command("PULSe:MAP", self.pulse_map, (*RECTANGLE, Block("map"))),
            Command("PULSe:LAST?", self.last),
            Command(
                "UPDate:OUTer",
                self.outer_update,
                (slots, width, amplitude, gate, amplitude, gate, Block("x"), Block("d")),
            ),
            Command("UPDate:SEED", self.seed, (Integer("seed", low=0, high=2**32 - 1),)),
        ]

    def pulse_map(self, row0: int, nrows: int, col0: int, ncols: int, payload: memoryview) -> None:
        """``PULSe:MAP``."""
        self._board.may_begin()
        pulses = parse_map(payload, Rectangle(row0, nrows, col0, ncols).check(self._board.spec))
        pulses.check(self._board.spec)
        self._board.begin(MapAction(SlotPlan(pulses, self._board.spec), self._board.chip, self._board.session.time))

    def last(self) -> str:
        """``PULSe:LAST?``."""
        last = self._board.last
        if last is None:
            return "NONE,0,0,0,0,0"
        seconds = f"{number(last.seconds)},{number(last.seconds_done)}"
        return f"{last.kind},{last.slots},{last.slots_done},{last.pulses_done},{seconds}"

    def outer_update(
        self,
        slots: int,
        width: float,
        vset: float,
        gset: float,
        vreset: float,
        greset: float,
        x_block: memoryview,
        d_block: memoryview,
    ) -> None:
        """``UPDate:OUTer``."""
        board, spec = self._board, self._board.spec
        board.needs("outer_update")
        board.may_begin()
        x = self._vector(x_block, "x", spec.rows)
        d = self._vector(d_block, "d", spec.cols)
        fires_x = board.bits.random((slots, x.size)) < np.abs(x)
        fires_d = board.bits.random((slots, d.size)) < np.abs(d)
        width = board.ticks(width) * spec.tick
        raise_ = (board.volts_code(vset) * spec.volts_lsb, board.gate_code(gset) * spec.gate_lsb)
        lower = (board.volts_code(vreset) * spec.volts_lsb, board.gate_code(greset) * spec.gate_lsb)
        now = board.session.time
        board.begin(OuterAction(board.chip, spec, now, (x, d), (fires_x, fires_d), raise_, lower, width))

    def seed(self, value: int) -> None:
        """``UPDate:SEED``."""
        self._board.needs("outer_update")
        self._board.bits = np.random.default_rng(value)

    @staticmethod
    def _vector(payload: memoryview, name: str, size: int) -> FloatArray:
        if len(payload) != 2 * size:
            raise ScpiError(-161, f"{name}: {len(payload)} bytes, {size} lines need {2 * size}")
        codes = np.frombuffer(payload, dtype="<i2")
        if codes.min() < -32767:
            raise ScpiError(-222, f"{name} -32768 below -32767 at line {int(codes.argmin())}")
        return codes / 32767.0
