"""Layers whose converters are the activation: what comes out of a product is activated already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ....instruments.abilities import ConvertsByRamp
from ....instruments.capabilities import CellRamp, CrossbarArray
from .array_layers import ArrayLinear
from .array_weights import ArrayWeights, Float32Array

if TYPE_CHECKING:
    from ....analysis.networks.ramp_adc import RampDesign


class Converter(Protocol):
    """Makes outputs of a product."""

    def __call__(self, layer: ArrayConverted, inputs: Float32Array) -> tuple[Float32Array, Float32Array]:
        """Return outputs of ``inputs`` [n, inputs] and their slopes over the product, [n, outputs] each."""
        ...


class ArrayConverted(ArrayLinear):
    """``nn.Linear`` on an array, converted by what ``converter`` is now; errors go back by the slope of each code."""

    def __init__(self, weights: ArrayWeights, layer: str, **more: Any) -> None:
        super().__init__(weights, layer, **more)
        self.converter: Converter | None = None

    def multiplied(self, inputs: Float32Array) -> tuple[Float32Array, Float32Array | None]:
        """Return what comes out of ``inputs`` [n, inputs], and its slope over the product; linear without converter."""
        return super().multiplied(inputs) if self.converter is None else self.converter(self, inputs)


class _Codes:
    """What codes stand for: ``designs``, and which of them each output has, [outputs]."""

    def __init__(self, designs: Sequence[RampDesign], which: NDArray[np.intp]) -> None:
        self.designs, self.which = list(designs), which

    def told(self, codes: NDArray[np.integer]) -> tuple[Float32Array, Float32Array]:
        """Return outputs and slopes of codes [n, outputs]."""
        out, slope = np.empty(codes.shape, np.float32), np.empty(codes.shape, np.float32)
        for n, one in enumerate(self.designs):
            mine = self.which == n
            out[:, mine], slope[:, mine] = one.levels[codes[:, mine]], one.slopes[codes[:, mine]]
        return out, slope


class IdealCodes(_Codes):
    """Linear converters of the board, and behind them an ideal one of the designs' bits on the host."""

    def __call__(self, layer: ArrayConverted, inputs: Float32Array) -> tuple[Float32Array, Float32Array]:
        """Return outputs and slopes of ``inputs`` [n, inputs]."""
        product = layer.array_weights.multiply(layer.layer, inputs, layer.scale)
        codes = np.empty(product.shape, np.intp)
        for n, one in enumerate(self.designs):
            mine = self.which == n
            codes[:, mine] = one.codes(product[:, mine])
        return self.told(codes)


class Exact(_Codes):
    """Linear converters of the board, and behind them the functions themselves on the host."""

    def __call__(self, layer: ArrayConverted, inputs: Float32Array) -> tuple[Float32Array, Float32Array]:
        """Return outputs and slopes of ``inputs`` [n, inputs]."""
        product = layer.array_weights.multiply(layer.layer, inputs, layer.scale)
        out, slope = np.empty_like(product), np.empty_like(product)
        for n, one in enumerate(self.designs):
            mine, of, near = self.which == n, one.function.of, 1e-3
            x = product[:, mine].astype(np.float64)
            out[:, mine], slope[:, mine] = of(x), (of(x + near) - of(x - near)) / (2.0 * near)
        return out, slope


class RampCodes(_Codes):
    """The board compares each column's current with a ramp of cells and gives the code.

    Parameters
    ----------
    ramps : of each design
    """

    def __init__(
        self,
        array: CrossbarArray,
        designs: Sequence[RampDesign],
        which: NDArray[np.intp],
        ramps: Sequence[CellRamp],
    ) -> None:
        super().__init__(designs, which)
        self._convert, self._ramps = array.ability(ConvertsByRamp).convert, list(ramps)
        self.conversions = 0

    def __call__(self, layer: ArrayConverted, inputs: Float32Array) -> tuple[Float32Array, Float32Array]:
        """Return outputs and slopes of ``inputs`` [n, inputs]."""
        weights = layer.array_weights
        volts, columns, _ = weights.as_driven(layer.layer, inputs)
        asked = np.full(weights.plan.cols, -1)
        asked[columns] = self.which
        self.conversions += len(inputs) * len(columns)
        return self.told(self._convert(volts, self._ramps, asked)[:, columns])
