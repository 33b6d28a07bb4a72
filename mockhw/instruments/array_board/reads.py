"""Measurements of the simulated array board: what the chip gives, seen through the converters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ....common.arrays import FloatArray
from .adc import Converters, filtered
from .slots import Rectangle
from .spec import BoardSpec, block

if TYPE_CHECKING:
    from ...chip.virtual_chip import VirtualChip


OVERFLOW, COMPLIANCE, BELOW_FLOOR = 1, 2, 4
# Assumed: the sweep unit carries up to 5 mA and so needs one range more than the array converters have.
_SWEEP_RANGE: Final = 1e-2
_REFERENCE_VOLTS: Final = 0.1
# Assumed: leakage between lines of a disconnected array; no source.
_OPEN_OHM: Final = 2e9


@dataclass(frozen=True, slots=True)
class ReadPoint:
    """How a rectangle is read.

    Attributes
    ----------
    volts, gate : float [V]
    full_scale : float, optional [A]
        Fixed range; None: automatic.
    average : int
        Conversions per cell.
    """

    volts: float
    gate: float
    full_scale: float | None
    average: int

    def slots(self, rows: int) -> int:
        """Return the slots that reading ``rows`` rows costs."""
        return rows * (self.average + (1 if self.full_scale is None else 0))


@dataclass(frozen=True, slots=True)
class MapReading:
    """Means [A], their standard errors [A] and flags of a rectangle."""

    current: FloatArray
    error: FloatArray
    flags: NDArray[np.uint8]

    def block(self) -> bytes:
        """Return the reply to ``READ:MAP?``."""
        return block(
            self.current.astype("<f4").tobytes() + self.error.astype("<f4").tobytes() + self.flags.tobytes(),
        )

    @property
    def overflow(self) -> bool:
        """Whether any cell lay beyond its range."""
        return bool((self.flags & OVERFLOW).any())


class ReadUnit:
    """The measuring half of the board.

    Parameters
    ----------
    chip : VirtualChip
    spec : BoardSpec
    seed : int
        Entropy of the converters.
    """

    def __init__(self, chip: VirtualChip, spec: BoardSpec, seed: int) -> None:
        self._chip = chip
        self._spec = spec
        self.seed = seed
        lines = max(spec.rows, spec.cols)
        errors = spec.converters
        self._columns = Converters(spec.read_ranges, spec.read_bits, spec.cols, [seed, 0x61_64_63, 1], errors)
        self._cell = Converters((*spec.read_ranges, _SWEEP_RANGE), spec.read_bits, 1, [seed, 0x61_64_63, 2], errors)
        self.vmm = Converters(spec.vmm_ranges, spec.vmm_bits, lines, [seed, 0x61_64_63, 3], errors)

    def shift_offset(self, amps: float) -> None:
        """Let every converter read ``amps`` [A] too much from now on (a scripted fault)."""
        for bank in (self._columns, self._cell, self.vmm):
            bank.shift_offset(amps)

    def read_map(
        self, where: Rectangle, point: ReadPoint, *, saturate: bool = False, limited: bool = False, rerange: bool = True
    ) -> MapReading:
        """Measure a rectangle.

        ``saturate`` drives every converter into overflow, ``limited`` every line into its current limit: scripted.
        With ``rerange`` an automatic range that overflows is left for the next larger one, else it stays.
        """
        shape = (where.nrows, where.ncols)
        bank = self._columns
        if point.full_scale is None:
            # The ranging conversion is done on the largest range.
            widest = np.full(shape, bank.ranges.size - 1, dtype=np.int64)
            coarse, _ = bank.convert(self._read(where, point), widest, where.col0)
            chosen = bank.choose(coarse)
        else:
            chosen = np.full(shape, bank.index_for(point.full_scale), dtype=np.int64)
        total, squares = np.zeros(shape), np.zeros(shape)
        over = np.full(shape, saturate)
        for _ in range(point.average):
            current = self._read(where, point)
            once, beyond = bank.convert(current, chosen, where.col0)
            while rerange and point.full_scale is None and (beyond & (chosen < bank.ranges.size - 1)).any():
                # Automatic range: what overflows is converted again on the next range, within the slot (§4.3).
                chosen = np.where(beyond, np.minimum(chosen + 1, bank.ranges.size - 1), chosen)
                again, still = bank.convert(current, chosen, where.col0)
                once, beyond = np.where(beyond, again, once), beyond & still
            total += once
            over |= beyond
            if point.average > 1:
                squares += once * once
        mean = total / point.average
        error = bank.specified_error(chosen)
        if point.average > 1:
            variance = np.maximum(squares - point.average * mean**2, 0.0) / (point.average - 1)
            error = np.maximum(error, np.sqrt(variance)) / point.average**0.5
        if over.any():
            limit = bank.ranges[chosen]
            mean = np.where(over, np.copysign(limit, mean), mean)
        flags = np.where(over, OVERFLOW, 0) | np.where(np.abs(mean) < 3.0 * error, BELOW_FLOOR, 0)
        if limited:
            flags |= COMPLIANCE
        return MapReading(mean, error, flags.astype(np.uint8))

    def sample(self, cell: tuple[int, int], volts: float, gate: float, rate: float, count: int) -> FloatArray:
        """Measure ``count`` currents [A] of one cell, the range chosen once before the first.

        What the cell does faster than the bandwidth of the board is filtered; the converter adds its own floor.
        """
        row, col = cell
        bank = self._columns
        first = self._chip.sample(row, col, volts, gate, rate, 1).reshape(1, 1)
        widest = np.full((1, 1), bank.ranges.size - 1, dtype=np.int64)
        chosen = bank.choose(bank.convert(first, widest, col)[0])
        current = self._chip.sample(row, col, volts, gate, rate, count)
        series = filtered(current, rate, self._spec.sample_bandwidth).reshape(-1, 1)
        return bank.convert(series, np.broadcast_to(chosen, series.shape), col)[0].ravel()

    def swept(self, current: FloatArray) -> FloatArray:
        """Convert the currents [A] of a sweep, each on the range that suits it."""
        column = current.reshape(-1, 1)
        return self._cell.convert(column, self._cell.choose(column))[0].ravel()

    def offset(self, point: ReadPoint) -> float:
        """Return the mean over columns of the current [A] read with every driver at 0 V."""
        nothing = np.zeros((1, self._spec.cols))
        chosen = np.zeros(nothing.shape, dtype=np.int64)
        if point.full_scale is not None:
            chosen += self._columns.index_for(point.full_scale)
        return float(self._columns.convert(nothing, chosen)[0].mean())

    def reference(self) -> float:
        """Return the measured value [Ω] of the board's reference resistor."""
        current = np.array([[_REFERENCE_VOLTS / self._spec.reference_ohm]])
        return _REFERENCE_VOLTS / float(self._cell.convert(current, self._cell.choose(current))[0][0, 0])

    def open_ohm(self) -> float:
        """Return the smallest resistance [Ω] between lines of the disconnected array."""
        return _OPEN_OHM

    def _read(self, where: Rectangle, point: ReadPoint) -> FloatArray:
        return self._chip.read(where.rows, where.cols, point.volts, point.gate, 1)
