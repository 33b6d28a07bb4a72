"""Pulse maps and outer-product updates of the array board (board protocol, §4.4 and §4.7)."""

from __future__ import annotations

import numpy as np

from ...scpi.arguments import Block, Integer, Number
from ...scpi.tree import Command
from .actions import MapAction
from .core import BoardCore
from .outer_products import OuterAction, OuterProduct, parse_tiles, parse_vector
from .parameters import RECTANGLE
from .slots import Rectangle, SlotPlan, parse_map


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
            Command("PULSe:LAST?", self._board.told_last),
            *self._revision_2(width, amplitude, gate),
            Command(
                "UPDate:OUTer",
                self.outer_update,
                (slots, width, amplitude, gate, amplitude, gate, Block("x"), Block("d")),
            ),
            Command("UPDate:SEED", self.seed, (Integer("seed", low=0, high=2**32 - 1),)),
        ]

    def _revision_2(self, width: Number, amplitude: Number, gate: Number) -> list[Command]:
        spec = self._board.spec
        if spec.revision < 2:
            return []
        turns = Integer("turns", low=1, high=spec.update_slots_max)
        blocks = (Block("tiles"), Block("x"), Block("d"))
        return [
            Command(
                "PULSe:MAP:LONG",
                lambda *arguments: self.pulse_map(*arguments, long=True),
                (*RECTANGLE, Block("map")),
                missing=spec.missing("long_counts"),
            ),
            Command(
                "UPDate:OUTer:TILes",
                self.tiles,
                (turns, width, amplitude, gate, amplitude, gate, *blocks),
                missing=spec.missing("outer_tiles"),
            ),
        ]

    def pulse_map(
        self, row0: int, nrows: int, col0: int, ncols: int, payload: memoryview, *, long: bool = False
    ) -> None:
        """``PULSe:MAP``, with ``long`` ``PULSe:MAP:LONG``."""
        self._board.may_begin()
        pulses = parse_map(payload, Rectangle(row0, nrows, col0, ncols).check(self._board.spec), long=long)
        pulses.check(self._board.spec)
        self._board.begin(MapAction(SlotPlan(pulses, self._board.spec), self._board.chip, self._board.session.time))

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
        x = parse_vector(x_block, "x", spec.rows)
        d = parse_vector(d_block, "d", spec.cols)
        self._update([OuterProduct(0, 0, x, d)], slots, width, (vset, gset), (vreset, greset))

    def tiles(
        self,
        turns: int,
        width: float,
        vset: float,
        gset: float,
        vreset: float,
        greset: float,
        tiles_block: memoryview,
        x_block: memoryview,
        d_block: memoryview,
    ) -> None:
        """``UPDate:OUTer:TILes``."""
        self._board.may_begin()
        products = parse_tiles(tiles_block, x_block, d_block, self._board.spec)
        self._update(products, turns, width, (vset, gset), (vreset, greset))

    def _update(
        self,
        products: list[OuterProduct],
        turns: int,
        seconds: float,
        raising: tuple[float, float],
        lowering: tuple[float, float],
    ) -> None:
        board, spec = self._board, self._board.spec
        width = board.ticks(seconds) * spec.tick
        raise_, lower = (
            (board.volts_code(volts) * spec.volts_lsb, board.gate_code(gate) * spec.gate_lsb)
            for volts, gate in (raising, lowering)
        )
        start = board.session.time
        board.begin(OuterAction(board.chip, spec, start, products, turns, board.bits, raise_, lower, width))

    def seed(self, value: int) -> None:
        """``UPDate:SEED``."""
        self._board.needs("outer_update")
        self._board.bits = np.random.default_rng(value)
