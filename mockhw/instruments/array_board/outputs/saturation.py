"""Output circuits that saturate: the simulated board's feature ``saturate`` (board protocol, §10.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ....scpi.arguments import Block
from ....scpi.errors import ScpiError
from ....scpi.tree import Command
from ..spec import block

if TYPE_CHECKING:
    from ..core import BoardCore

Float32Array = NDArray[np.float32]
_ENTROPY: Final = 0x73_61_74


class Circuits:
    """The output circuits of all columns, with levels as they were when an action began.

    Parameters
    ----------
    low, high : array, [cols], float32 [A]
    gain, offset : array, [cols]
        What each amplifier has of its own; the offset in halves of the span between its levels.
    sharpness : float
        Exponent p of the corner, v / (1 + |v|^p)^(1/p).
    """

    def __init__(
        self, low: Float32Array, high: Float32Array, gain: Float32Array, offset: Float32Array, sharpness: float
    ) -> None:
        self._low, self._high, self._sharpness = low, high, np.float32(sharpness)
        both = np.isfinite(low) & np.isfinite(high)
        self._cols = np.flatnonzero(both)
        self._one_side = np.flatnonzero(~both & (np.isfinite(low) | np.isfinite(high)))
        at = self._cols
        self._half = np.float32(0.5) * (high[at] - low[at])
        self._middle = np.float32(0.5) * (high[at] + low[at])
        self._gain, self._offset = np.float32(1.0) + gain[at], offset[at]

    def hold(self, mean: Float32Array, variance: Float32Array) -> tuple[Float32Array, Float32Array]:
        """Return mean [A] and variance [A²], [batch, cols], behind the circuits: noise passes with their slope."""
        mean, variance = mean.copy(), variance.copy()
        p, at = self._sharpness, self._cols
        if at.size:
            v = (mean[:, at] - self._middle) / self._half * self._gain + self._offset
            size = np.abs(v)
            large = np.maximum(size, np.float32(1.0))  # so that no power overflows
            root = ((np.float32(1.0) / large) ** p + (size / large) ** p) ** (np.float32(1.0) / p)
            held = v / (large * root)
            slope = self._gain * (np.float32(1.0) / (large * root)) ** (p + np.float32(1.0))
            mean[:, at] = np.clip(self._middle + self._half * held, self._low[at], self._high[at])
            variance[:, at] *= slope * slope
        if self._one_side.size:
            lone = self._one_side
            mean[:, lone] = np.clip(mean[:, lone], self._low[lone], self._high[lone])
        return mean, variance


class Saturation:
    """What ``ADC:SATurate`` does. Gains and offsets of the circuits are drawn once, with the board."""

    def __init__(self, board: BoardCore) -> None:
        self._board = board
        spec, errors = board.spec, board.spec.saturation
        rng = np.random.default_rng([board.seed, _ENTROPY])
        self._gain = (errors.gain_spread * rng.standard_normal(spec.cols)).astype(np.float32)
        self._offset = (errors.offset_spread * rng.standard_normal(spec.cols)).astype(np.float32)
        self.forget()

    def forget(self) -> None:
        """Set no bound on either side."""
        cols = self._board.spec.cols
        self._set(np.full(cols, -np.inf, dtype=np.float32), np.full(cols, np.inf, dtype=np.float32))

    def commands(self) -> list[Command]:
        """Return the commands; a board of revision 1 has none of them."""
        spec = self._board.spec
        if spec.revision < 2:
            return []
        missing = spec.missing("saturate")
        return [
            Command("ADC:SATurate:LEVels", self.set_levels, (Block("levels"),), missing=missing),
            Command("ADC:SATurate:LEVels?", self.levels, missing=missing),
        ]

    def circuits(self) -> Circuits | None:
        """Return the circuits forward products go through now; None while they are linear."""
        return self._circuits if self._board.adc_mode == "SAT" else None

    def set_levels(self, payload: memoryview) -> None:
        """``ADC:SATurate:LEVels``."""
        cols = self._board.spec.cols
        if len(payload) != 8 * cols:
            raise ScpiError(-161, f"{len(payload)} bytes, levels of {cols} columns need {8 * cols}")
        low, high = np.frombuffer(payload, dtype="<f4").reshape(2, cols).astype(np.float32)
        bad = np.flatnonzero(~(low < high))
        if bad.size:
            at = int(bad[0])
            raise ScpiError(-222, f"low {low[at]:.6g} not below high {high[at]:.6g} at column {at}")
        self._set(low, high)

    def levels(self) -> bytes:
        """``ADC:SATurate:LEVels?``."""
        return block(self._low.astype("<f4").tobytes() + self._high.astype("<f4").tobytes())

    def _set(self, low: Float32Array, high: Float32Array) -> None:
        self._low, self._high = low, high
        sharpness = self._board.spec.saturation.sharpness
        self._circuits = Circuits(low, high, self._gain, self._offset, sharpness)
