"""An array of which a read says what a product sees of every cell: all rows connected, one driven at a time."""

from __future__ import annotations

import numpy as np

from ...instruments.abilities import Multiplies
from ...instruments.array_spec import ArraySpec
from ...instruments.block import Block
from ...instruments.capabilities import (
    Clock,
    Cost,
    CrossbarArray,
    Delivered,
    FloatArray,
    Kind,
    PulseMap,
    Reading,
)


class SeenByProducts:
    """A ``CrossbarArray`` whose reads are products: what read–verify meets its targets in.

    In a product all rows are connected, so a cell's current also leaves through the other cells of its column and
    drops along the lines; the converter has a gain of its own. All of that is in what this ``read`` returns. Each row
    is driven alone at plus and minus the read voltage, the others at 0 V, so that an offset of the converters cancels.
    Everything else is the array's.

    Attributes
    ----------
    vectors : how many were multiplied so far
    """

    def __init__(self, array: CrossbarArray) -> None:
        array.spec.require(Multiplies)
        self._array, self._vmm = array, array.ability(Multiplies).vmm
        self.vectors = 0

    @property
    def spec(self) -> ArraySpec:
        """The array's."""
        return self._array.spec

    @property
    def clock(self) -> Clock:
        """The bench's time."""
        return self._array.clock

    @property
    def cost(self) -> Cost:
        """The array's totals."""
        return self._array.cost

    def read(
        self,
        cells: Block,
        volts: float | None = None,
        *,
        average: int = 1,
        gate: float | None = None,
        scheme: str | None = None,
    ) -> Reading:
        """Return what products see of a block's cells at ``volts`` [V]; ``average`` times both polarities."""
        del gate, scheme
        level = self.spec.read_volts if volts is None else volts
        rows, cols = cells.slices
        driven = np.arange(rows.start, rows.stop)
        signs = np.tile((1.0, -1.0), average)
        vectors = np.zeros((len(signs), len(driven), self.spec.rows), np.float32)
        vectors[:, np.arange(len(driven)), driven] = (level * signs)[:, np.newaxis]
        current = self._multiplied(vectors.reshape(-1, self.spec.rows), cols).reshape(len(signs), len(driven), -1)
        seen = current / (level * signs)[:, np.newaxis, np.newaxis]
        conductance: FloatArray = seen.mean(0)
        # Both polarities of a conversion make one value: what differs between them is no noise.
        each = seen.reshape(average, 2, *cells.shape).mean(1)
        spread = each.std(0, ddof=1) if average > 1 else np.full(cells.shape, np.nan)
        return Reading(
            block=cells,
            volts=level,
            current=conductance * level,
            conductance=conductance,
            stderr=np.nan_to_num(spread / np.sqrt(average)),
            flags=np.zeros(cells.shape, np.uint8),
        )

    def _multiplied(self, vectors: np.ndarray[tuple[int, ...], np.dtype[np.float32]], cols: slice) -> FloatArray:
        """Return currents [n, columns] [A] in the smallest range that holds them; at the largest they saturate."""
        self.vectors += len(vectors)
        ranges = self.spec.vmm_ranges
        if not ranges:
            return self._vmm(vectors)[:, cols].astype(np.float64)
        current = self._vmm(vectors, full_scale=ranges[0])[:, cols].astype(np.float64)
        for full in ranges[1:]:
            beyond = np.isnan(current).any(1)
            if not beyond.any():
                break
            self.vectors += int(beyond.sum())
            again = self._vmm(vectors[beyond], full_scale=full)[:, cols]
            current[beyond] = np.where(np.isnan(current[beyond]), again, current[beyond])
        return np.nan_to_num(current, nan=ranges[-1])

    def pulse(self, pulses: PulseMap) -> Delivered:
        """Apply pulses."""
        return self._array.pulse(pulses)

    def idle(self) -> None:
        """Stop what runs, 0 V first, then disconnect."""
        self._array.idle()

    def ability(self, kind: type[Kind]) -> Kind:
        """Return a part of the array."""
        return self._array.ability(kind)
