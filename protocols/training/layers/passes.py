"""What is driven at once for a layer, and how currents become its outputs: sums of lines in a fixed order.

A matrix product of the host adds in an order that depends on how many vectors it is given. Here every vector is added
up alike, so that without noise a result does not depend on the batch it came in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .floor_plan import FloorPlan, IntArray, LayerRequest, Tile

Float32Array = NDArray[np.float32]
Lines = IntArray | slice


@dataclass(frozen=True)
class Sums:
    """Every output as a sum of lines, term by term: ``lines`` [outputs] and their ``gains``, [outputs] or one."""

    terms: tuple[tuple[Lines, Float32Array | np.float32], ...]

    def of(self, current: Float32Array) -> Float32Array:
        """Return [batch, outputs] of currents [batch, lines]."""
        (lines, gains), *more = self.terms
        total = current[:, lines] * gains
        for lines, gains in more:
            total += current[:, lines] * gains
        return total


@dataclass(frozen=True)
class Pass:
    """One drive of the rows: ``encode`` [inputs, rows] [V], ``sums`` of the columns into outputs [1/A].

    ``back`` [outputs, columns] of ±1 and ``back_sums`` of the rows into inputs are those of the drive in reverse.
    """

    encode: Float32Array
    sums: Sums
    back: Float32Array
    back_sums: Sums


def pass_of(
    plan: FloorPlan, request: LayerRequest, tiles: Iterable[Tile], volts: float, gain: NDArray[np.float64]
) -> Pass:
    """Return how the ``tiles`` are driven together.

    Parameters
    ----------
    volts : row voltage of an input of 1 [V]
    gain : [outputs], output per current [1/A]
    """
    encode = np.zeros((request.inputs, plan.rows), np.float32)
    back = np.zeros((request.outputs, plan.cols), np.float32)
    columns: list[list[tuple[int, float]]] = [[] for _ in range(request.outputs)]
    rows: list[list[tuple[int, float]]] = [[] for _ in range(request.inputs)]
    by_columns = request.pairs == "columns"
    for tile in tiles:
        inputs, outputs = range(tile.inputs.start, tile.inputs.stop), range(tile.outputs.start, tile.outputs.stop)
        for n, i in enumerate(inputs):
            plus, minus = int(tile.plus_rows[n]), int(tile.minus_rows[n])
            encode[i, plus] = volts
            _add(rows[i], plus, 1.0)
            if not by_columns:
                encode[i, minus] = -volts
                _add(rows[i], minus, -1.0)
        for n, j in enumerate(outputs):
            plus, minus = int(tile.plus_cols[n]), int(tile.minus_cols[n])
            back[j, plus] = 1.0
            _add(columns[j], plus, float(gain[j]))
            if by_columns:
                back[j, minus] = -1.0
                _add(columns[j], minus, -float(gain[j]))
    return Pass(encode, _sums(columns), back, _sums(rows))


def _add(terms: list[tuple[int, float]], line: int, gain: float) -> None:
    """Note a line once: copies and pieces that share it put their currents together before it is measured."""
    if (line, gain) not in terms:
        terms.append((line, gain))


def _sums(wanted: Sequence[Sequence[tuple[int, float]]]) -> Sums:
    """Return the sums as arrays; where an output has fewer terms than others, or none, it is given zeros."""
    terms: list[tuple[Lines, Float32Array | np.float32]] = []
    for k in range(max(len(one) for one in wanted)):
        at = [one[k] if k < len(one) else (one[0][0] if one else 0, 0.0) for one in wanted]
        lines = np.array([line for line, _ in at], dtype=np.intp)
        gains = np.array([gain for _, gain in at], dtype=np.float32)
        beside = bool(np.all(np.diff(lines) == 1))
        alike = bool(np.all(gains == gains[0]))
        terms.append(
            (slice(int(lines[0]), int(lines[-1]) + 1) if beside else lines, np.float32(gains[0]) if alike else gains)
        )
    return Sums(tuple(terms))
