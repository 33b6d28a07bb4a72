"""The blocks of several products in one message (board protocol, §10.7)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ....common.arrays import BoolArray
from ...scpi.errors import ScpiError
from .adc import codes_to_volts
from .spec import BoardSpec

_TABLE_BYTES: Final = 6
_SAME_RANGE: Final = 255


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """One product: its direction, its range, which lines take part, and its vectors [batch, inputs] [V]."""

    reverse: bool
    index: int
    rows: BoolArray
    cols: BoolArray
    volts: NDArray[np.float32]

    @property
    def batch(self) -> int:
        """Number of vectors."""
        return len(self.volts)


class Requests:
    """What ``<table>`` and ``<masks>`` ask for.

    Raises
    ------
    ScpiError
        -241 for a reverse product on a board that has none.
    """

    def __init__(self, often: int, table: memoryview, masks: memoryview, spec: BoardSpec) -> None:
        self._often = often
        self._table = table
        self._masks = masks
        self._spec = spec
        fits = len(table) == _TABLE_BYTES * often
        self._reverse = np.frombuffer(table, dtype=np.uint8, count=often if fits else 0)
        if "reverse" not in spec.supports and (self._reverse == 1).any():
            raise ScpiError(-241, f"{spec.missing('reverse')}; product {int(np.argmax(self._reverse == 1))}")

    def products(self, payload: memoryview, same_range: int, code_max: int) -> list[Product]:
        """Return the products with their vectors.

        Parameters
        ----------
        payload : memoryview
            ``<codes>``.
        same_range : int
            Index of the range of ``SENSe:VMM:RANGe``.
        code_max : int
            Largest input code.

        Raises
        ------
        ScpiError
            -161 when a length does not fit, -222 for a value out of range.
        """
        spec, often = self._spec, self._often
        if len(self._table) != _TABLE_BYTES * often:
            raise ScpiError(-161, f"table: {len(self._table)} bytes, {often} products need {_TABLE_BYTES * often}")
        index = np.frombuffer(self._table, dtype=np.uint8, count=often, offset=often).astype(np.int64)
        batch = np.frombuffer(self._table, dtype="<u4", offset=2 * often).astype(np.int64)
        row_bytes, col_bytes = -(-spec.rows // 8), -(-spec.cols // 8)
        needed = often * (row_bytes + col_bytes)
        if len(self._masks) != needed:
            raise ScpiError(-161, f"masks: {len(self._masks)} bytes, {often} products need {needed}")
        bits = np.frombuffer(self._masks, dtype=np.uint8).reshape(often, row_bytes + col_bytes)
        rows = np.unpackbits(bits[:, :row_bytes], axis=1, bitorder="little").astype(np.bool_)
        cols = np.unpackbits(bits[:, row_bytes:], axis=1, bitorder="little").astype(np.bool_)
        _refuse("direction", self._reverse, self._reverse > 1, "above 1")
        inputs = np.where(self._reverse == 1, cols[:, : spec.cols].sum(axis=1), rows[:, : spec.rows].sum(axis=1))
        bounds = np.concatenate(([0], np.cumsum(batch * inputs))).tolist()
        if len(payload) != 2 * bounds[-1]:
            raise ScpiError(-161, f"codes: {len(payload)} bytes, the products need {2 * bounds[-1]}")
        highest = len(spec.vmm_ranges) - 1
        _refuse("range", index, (index > highest) & (index != _SAME_RANGE), f"above {highest}")
        _refuse("batch", batch, batch < 1, "below 1")
        if int(batch.sum()) > spec.batch_max:
            raise ScpiError(-222, f"vectors {int(batch.sum())} above {spec.batch_max}")
        for name, mask, size in (("row", rows, spec.rows), ("column", cols, spec.cols)):
            chosen = mask[:, :size].sum(axis=1)
            _refuse(f"lines of the {name} mask", chosen, chosen == 0, "below 1")
            unused = mask[:, size:].sum(axis=1)
            _refuse(f"unused bits of the {name} mask", unused, unused > 0, "above 0")
        volts, bad = codes_to_volts(payload, spec.volts_lsb, code_max)
        if bad >= 0:
            product = int(np.searchsorted(bounds, bad, side="right")) - 1
            vector, line = divmod(bad - bounds[product], int(inputs[product]))
            mask = cols[product, : spec.cols] if self._reverse[product] else rows[product, : spec.rows]
            value = int(np.frombuffer(payload, dtype="<i2")[bad]) * spec.volts_lsb
            line = f"{'column' if self._reverse[product] else 'row'} {int(np.flatnonzero(mask)[line])}"
            place = f"product {product} vector {vector} {line}"
            raise ScpiError(-222, f"volts {value:.6g} beyond {spec.vmm_volts_max:g} at {place}")
        return [
            Product(
                bool(self._reverse[at]),
                same_range if index[at] == _SAME_RANGE else int(index[at]),
                rows[at, : spec.rows],
                cols[at, : spec.cols],
                volts[first:last].reshape(int(batch[at]), -1),
            )
            for at, (first, last) in enumerate(pairwise(bounds))
        ]


def _refuse(name: str, values: NDArray[np.integer], bad: BoolArray, why: str) -> None:
    if bad.any():
        at = int(np.argmax(bad))
        raise ScpiError(-222, f"{name} {int(values[at])} {why} in product {at}")
