"""Vector-matrix products of the array board (board protocol, §4.6)."""

from __future__ import annotations

import numpy as np

from ...scpi.arguments import Block, Integer, Number
from ...scpi.device import Hold
from ...scpi.errors import ScpiError
from ...scpi.tree import Command, number, setting
from .adc import OVERFLOW, codes_to_volts
from .core import CONVERTER_OVERFLOW, BoardCore
from .spec import block


class Products:
    """What ``VMM`` does."""

    def __init__(self, board: BoardCore) -> None:
        self._board = board

    def commands(self) -> list[Command]:
        """Return the commands of products."""
        board, spec = self._board, self._board.spec
        batch = Integer("batch", low=1, high=spec.batch_max)
        return [
            *setting(
                "SENSe:VMM:RANGe",
                Number("range", "A", 0.0, spec.vmm_ranges[-1], spec.vmm_ranges[-1]),
                lambda: number(board.vmm_range),
                board.set_vmm_range,
            ),
            Command("VMM:FORWard?", self.forward, (batch, Block("codes"))),
            Command("VMM:REVerse?", self.reverse, (batch, Block("codes"))),
        ]

    def forward(self, batch: int, payload: memoryview) -> Hold:
        """``VMM:FORWard?``."""
        return self._multiply(batch, payload, self._board.spec.rows, reverse=False)

    def reverse(self, batch: int, payload: memoryview) -> Hold:
        """``VMM:REVerse?``."""
        if "reverse" not in self._board.spec.supports:
            self._board.needs("reverse")
        return self._multiply(batch, payload, self._board.spec.cols, reverse=True)

    def _multiply(self, batch: int, payload: memoryview, inputs: int, *, reverse: bool) -> Hold:
        spec = self._board.spec
        if "vmm" not in spec.supports:
            self._board.needs("vmm")
        if not self._board.output or self._board.action is not None:
            self._board.may_begin()
        if len(payload) != 2 * batch * inputs:
            raise ScpiError(-161, f"{len(payload)} bytes, {batch} x {inputs} codes need {2 * batch * inputs}")
        volts, bad = codes_to_volts(payload, spec.volts_lsb, self._board.vmm_code_max)
        if bad >= 0:
            value = int(np.frombuffer(payload, dtype="<i2")[bad]) * spec.volts_lsb
            vector, line = divmod(bad, inputs)
            place = f"vector {vector} {'column' if reverse else 'row'} {line}"
            raise ScpiError(-222, f"volts {value:.6g} beyond {spec.vmm_volts_max:g} at {place}")
        gate, index = self._board.vmm_gate, self._board.vmm_index
        saturate = self._board.suffers("overflow")

        def work() -> bytes:
            mean, variance = self._board.chip.vmm_moments(volts.reshape(batch, inputs), gate, reverse=reverse)
            codes, over = self._board.reads.vmm.codes(mean, variance, index)
            if saturate:
                codes[:] = OVERFLOW
            if over or saturate:
                self._board.session.status.questionable.latch(CONVERTER_OVERFLOW)
            return block(codes.tobytes())

        return self._board.measure("VMM", batch * spec.vmm_slot, work)
