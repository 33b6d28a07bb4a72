"""Which conductances make which weights: where the cells of a pair are to stand, and which cell mends a weight."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ...common.arrays import BoolArray
from ...instruments.capabilities import FloatArray
from ..training.layers.array_weights import ArrayWeights

_DEAR = 10.0
"""What a weight still lacks counts so many times as much as the conductance at which its cell ends."""


def targets_of(
    weights: ArrayWeights, wanted: Mapping[str, NDArray[np.floating]], low: float, high: float
) -> FloatArray:
    """Return where cells [rows, cols] [S] are to stand for ``wanted`` weights; nan where a cell is none of theirs.

    One cell of a pair rests at ``low``, the other is above it by the weight, and not above ``high``.
    """
    target = np.full(weights.conductance.shape, np.nan)
    for layer, matrix in wanted.items():
        above = np.clip(matrix * weights.scale[layer], low - high, high - low)
        for tile in weights.plan.of(layer):
            part = above[tile.inputs, tile.outputs]
            target[tile.plus] = low + np.maximum(part, 0.0)
            target[tile.minus] = low + np.maximum(-part, 0.0)
    return target


def weights_of(weights: ArrayWeights, layer: str, conductance: FloatArray) -> FloatArray:
    """Return a layer's weights [inputs, outputs] of conductances [rows, cols] [S], copies averaged."""
    side = conductance.flat[cells_of(weights, layer)]
    return (side[0::2] - side[1::2]).mean(0) / weights.scale[layer]


def mended(
    weights: ArrayWeights, wanted: Mapping[str, NDArray[np.floating]], seen: FloatArray, leave: BoolArray,
    *, low: float, high: float, least: float,
) -> FloatArray:  # fmt: skip
    """Return new targets [rows, cols] [S] of one cell of every weight that is off; nan for all other cells.

    All that the copies of a weight lack together is asked of the one cell that can give most of it, and of those the
    one that conducts least then: it fluctuates and relaxes least.

    Parameters
    ----------
    seen : what products see of the cells [S]
    leave : cells that are not to be moved
    least : error, per copy, up to which a weight is left alone: of n copies, least/√n of their mean [S]
    """
    target = np.full(seen.shape, np.nan)
    for layer, matrix in wanted.items():
        cells = cells_of(weights, layer)
        error = (weights_of(weights, layer, seen) - matrix) * weights.scale[layer] * (len(cells) // 2)
        off = np.abs(error) > least * np.sqrt(len(cells) // 2)
        sign = np.where(np.arange(len(cells)) % 2, 1.0, -1.0)[:, np.newaxis, np.newaxis]
        asked = seen.flat[cells] + sign * error
        ends = np.clip(asked, low, high)
        lacks = np.abs(asked - ends)
        cost = _DEAR * lacks + ends
        cost = np.where(leave.flat[cells] | (lacks > 0.9 * np.abs(error)), np.inf, cost)
        chosen = cost.argmin(0)[np.newaxis]
        found = off & np.isfinite(np.take_along_axis(cost, chosen, 0)[0])
        target.flat[np.take_along_axis(cells, chosen, 0)[0][found]] = np.take_along_axis(ends, chosen, 0)[0][found]
    return target


def cells_of(weights: ArrayWeights, layer: str) -> NDArray[np.intp]:
    """Return the flat indices of a layer's cells [2 × copies, inputs, outputs]: G⁺ and G⁻ of each copy in turn."""
    request = weights.plan.request(layer)
    number = np.arange(weights.conductance.size).reshape(weights.conductance.shape)
    cells = np.zeros((2 * request.copies_down * request.copies_across, request.inputs, request.outputs), np.intp)
    for tile in weights.plan.of(layer):
        for at, side in enumerate((tile.plus, tile.minus)):
            cells[2 * tile.copy + at, tile.inputs, tile.outputs] = number[side]
    return cells
