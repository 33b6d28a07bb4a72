"""Vector-matrix products of the array board (board protocol, §4.6)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...scpi.arguments import Block, Integer, Number
from ...scpi.device import Hold
from ...scpi.errors import ScpiError
from ...scpi.tree import Command, number, setting
from .adc import OVERFLOW, codes_to_volts
from .core import CONVERTER_OVERFLOW, BoardCore
from .outputs.ramps import Ramping
from .outputs.saturation import Circuits
from .requests import Product, Requests
from .spec import block


class Products:
    """What ``VMM`` does.

    Parameters
    ----------
    circuits : what forward products go through before they are converted; None for nothing
    ramping : what compares forward products with ramps; None for nothing
    """

    def __init__(
        self, board: BoardCore, circuits: Callable[[], Circuits | None], ramping: Callable[[], Ramping | None]
    ) -> None:
        self._board, self._circuits, self._ramping = board, circuits, ramping

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
            *self._revision_2(),
        ]

    def _revision_2(self) -> list[Command]:
        spec = self._board.spec
        if spec.revision < 2:
            return []
        number_of = Integer("n", low=1, high=spec.vmm_products_max)
        blocks = (Block("table"), Block("masks"), Block("codes"))
        return [Command("VMM:PRODucts?", self.several, (number_of, *blocks), missing=spec.missing("products"))]

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
        self._board.may_begin()
        if len(payload) != 2 * batch * inputs:
            raise ScpiError(-161, f"{len(payload)} bytes, {batch} x {inputs} codes need {2 * batch * inputs}")
        volts, bad = codes_to_volts(payload, spec.volts_lsb, self._board.vmm_code_max)
        if bad >= 0:
            value = int(np.frombuffer(payload, dtype="<i2")[bad]) * spec.volts_lsb
            vector, line = divmod(bad, inputs)
            place = f"vector {vector} {'column' if reverse else 'row'} {line}"
            raise ScpiError(-222, f"volts {value:.6g} beyond {spec.vmm_volts_max:g} at {place}")
        volts = self._board.drivers.given(volts)
        gate, index = self._board.vmm_gate, self._board.vmm_index
        ramping = None if reverse else self._ramping()
        saturate = self._board.suffers("overflow")
        circuits = None if reverse else self._circuits()

        def work() -> bytes:
            lines = None if ramping is None else ramping.open_columns
            mean, variance = self._board.chip.vmm_moments(
                volts.reshape(batch, inputs), gate, reverse=reverse, lines=lines
            )
            if circuits is not None:
                mean, variance = circuits.hold(mean, variance)
            codes, over = self._board.reads.vmm.codes(mean, variance, index)
            if saturate:
                codes[:] = OVERFLOW
            if ramping is not None:
                over = ramping.put(codes, mean, variance, gate)
            if over or saturate:
                self._board.session.status.questionable.latch(CONVERTER_OVERFLOW)
            return block(codes.tobytes())

        each = spec.vmm_slot + (0.0 if ramping is None else ramping.seconds)
        return self._board.measure("VMM", batch * each, batch, work)

    def several(self, often: int, table: memoryview, masks: memoryview, payload: memoryview) -> Hold:
        """``VMM:PRODucts?``."""
        board, spec = self._board, self._board.spec
        requests = Requests(often, table, masks, spec)
        board.may_begin()
        products = requests.products(payload, board.vmm_index, board.vmm_code_max)
        ramping = None if all(product.reverse for product in products) else self._ramping()
        gate, saturate = board.vmm_gate, board.suffers("overflow")
        circuits = self._circuits()

        def work() -> bytes:
            each = [
                self._one(product, gate, *((None, None) if product.reverse else (circuits, ramping)), saturate=saturate)
                for product in products
            ]
            return block(b"".join(each))

        vectors = sum(product.batch for product in products)
        forward = sum(product.batch for product in products if not product.reverse)
        seconds = vectors * spec.vmm_slot + (0.0 if ramping is None else forward * ramping.seconds)
        return board.measure("VMM", seconds, vectors, work)

    def _one(
        self, product: Product, gate: float, circuits: Circuits | None, ramping: Ramping | None, *, saturate: bool
    ) -> bytes:
        board = self._board
        reverse = product.reverse
        inputs, outputs = (product.cols, product.rows) if reverse else (product.rows, product.cols)
        volts = np.zeros((product.batch, inputs.size), dtype=np.float32)
        volts[:, inputs] = board.drivers.given(product.volts)
        lines = product.cols if board.spec.gate_axis == "col" else product.rows
        if ramping is not None and ramping.open_columns is not None:
            lines = lines & ramping.open_columns
        mean, variance = board.chip.vmm_moments(volts, gate, reverse=reverse, lines=lines)
        if circuits is not None:
            mean, variance = circuits.hold(mean, variance)
        every = board.reads.vmm.codes(mean, variance, product.index)[0]
        if saturate:
            every[:] = OVERFLOW
        if ramping is not None:
            ramping.put(every, mean, variance, gate)
        codes = every[:, outputs]
        if (codes == OVERFLOW).any():
            board.session.status.questionable.latch(CONVERTER_OVERFLOW)
        return codes.tobytes()
