"""Which cells are which weight: layers as they are asked for, their tiles, and the floor plan of a chip or of several.

A weight w is the difference of two conductances, w = (G⁺ − G⁻)/scale. Where the two cells are is the layer's kind of
pair::

    interleaved   input i on rows 2i (+x) and 2i+1 (−x); the column adds them up
    stacked       inputs on rows 0…n−1 (+x) and again on n…2n−1 (−x)
    columns       output j on columns 2j (+) and 2j+1 (−), subtracted on the host
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ....common.errors import RefusedError, unknown
from ....instruments.block import Block

IntArray = NDArray[np.intp]
Pairs = Literal["interleaved", "stacked", "columns"]


@dataclass(frozen=True, slots=True)
class LayerRequest:
    """A layer that wants room: ``inputs`` (a bias is one of them) by ``outputs`` weights.

    Attributes
    ----------
    copies_down, copies_across : how often the layer is there, over other rows and over other columns.
    row, col : first good row and column; the planner finds room where they are None.
    rows_max : most rows of one piece; a layer that needs more is cut, and the pieces stand side by side.
    """

    name: str
    inputs: int
    outputs: int
    pairs: Pairs = "interleaved"
    copies_down: int = 1
    copies_across: int = 1
    row: int | None = None
    col: int | None = None
    rows_max: int | None = None

    def __post_init__(self) -> None:
        if self.pairs not in get_args(Pairs):
            raise RefusedError(unknown("kind of pair", self.pairs, get_args(Pairs)))
        if min(self.inputs, self.outputs, self.copies_down, self.copies_across) < 1:
            raise RefusedError(f"layer {self.name!r} needs at least one input, output and copy")

    @property
    def rows_per_input(self) -> int:
        """Rows of one input of one copy."""
        return 1 if self.pairs == "columns" else 2

    @property
    def cols_per_output(self) -> int:
        """Columns of one output of one copy."""
        return 2 if self.pairs == "columns" else 1


@dataclass(frozen=True)
class Tile:
    """One copy of one piece of a layer.

    ``inputs`` and ``outputs`` are its part of the layer; ``plus_rows``, ``minus_rows`` [inputs] and ``plus_cols``,
    ``minus_cols`` [outputs] the lines of the chip its cells are on; ``copy`` counts the copies, from 0.
    """

    layer: str
    inputs: slice
    outputs: slice
    plus_rows: IntArray
    minus_rows: IntArray
    plus_cols: IntArray
    minus_cols: IntArray
    copy: int = 0

    @property
    def plus(self) -> tuple[IntArray, IntArray]:
        """Index of the G⁺ cells, [inputs, outputs]."""
        return self.plus_rows[:, np.newaxis], self.plus_cols[np.newaxis]

    @property
    def minus(self) -> tuple[IntArray, IntArray]:
        """Index of the G⁻ cells, [inputs, outputs]."""
        return self.minus_rows[:, np.newaxis], self.minus_cols[np.newaxis]

    @property
    def rows(self) -> IntArray:
        """All rows, ascending."""
        return np.union1d(self.plus_rows, self.minus_rows)

    @property
    def cols(self) -> IntArray:
        """All columns, ascending."""
        return np.union1d(self.plus_cols, self.minus_cols)

    def __str__(self) -> str:
        return (
            f"{self.layer} (inputs {self.inputs.start}:{self.inputs.stop}, outputs {self.outputs.start}:"
            f"{self.outputs.stop}) on rows {span(self.rows)}, columns {span(self.cols)}"
        )


@dataclass(frozen=True)
class FloorPlan:
    """Where all layers are on an array of ``rows`` × ``cols`` cells.

    Attributes
    ----------
    parts : the boards the array is made of, as in ``ArraySpec.parts``; empty for one
    """

    rows: int
    cols: int
    requests: tuple[LayerRequest, ...]
    tiles: tuple[Tile, ...]
    parts: tuple[Block, ...] = ()

    @property
    def used(self) -> NDArray[np.bool_]:
        """True [rows, cols] where a cell is part of a weight."""
        mask = np.zeros((self.rows, self.cols), dtype=np.bool_)
        for tile in self.tiles:
            mask[tile.plus] = mask[tile.minus] = True
        return mask

    @property
    def block(self) -> Block:
        """The smallest rectangle that holds all weights."""
        rows, cols = np.nonzero(self.used)
        row, col = int(rows.min()), int(cols.min())
        return Block(row, int(rows.max()) - row + 1, col, int(cols.max()) - col + 1)

    def differences(self, layer: str, conductance: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return G⁺ − G⁻ [inputs, outputs] [S] of a layer, copies averaged, of conductances [rows, cols] [S]."""
        request = self.request(layer)
        total = np.zeros((request.inputs, request.outputs))
        for tile in self.of(layer):
            total[tile.inputs, tile.outputs] += conductance[tile.plus] - conductance[tile.minus]
        return total / (request.copies_down * request.copies_across)

    @property
    def weights(self) -> int:
        """Number of weights, each counted once however many copies it has."""
        return sum(request.inputs * request.outputs for request in self.requests)

    @property
    def cells(self) -> int:
        """Number of cells in use."""
        return int(self.used.sum())

    def request(self, layer: str) -> LayerRequest:
        """Return what ``layer`` asked for."""
        for request in self.requests:
            if request.name == layer:
                return request
        raise RefusedError(unknown("layer", layer, [request.name for request in self.requests]))

    def of(self, layer: str) -> list[Tile]:
        """Return the tiles of one layer."""
        return [tile for tile in self.tiles if tile.layer == layer]

    def board_of(self, tile: Tile) -> int:
        """Return on which of the ``parts`` a tile is; it never spans two."""
        row = int(tile.plus_rows[0])
        return next((n for n, part in enumerate(self.parts) if row < part.row0 + part.nrows), 0)

    def passes(self, layer: str) -> list[list[Tile]]:
        """Return a layer's tiles in groups that can be driven at once.

        Tiles go together when their currents meet as meant: on the same rows with the same inputs, or in the same
        columns for the same outputs. Otherwise one would be driven through cells of the other's rows. Tiles on
        different boards never meet.
        """
        groups: list[list[Tile]] = []
        for tile in self.of(layer):
            home = next((group for group in groups if all(self._together(tile, other) for other in group)), None)
            if home is None:
                groups.append([tile])
            else:
                home.append(tile)
        return groups

    def _together(self, one: Tile, other: Tile) -> bool:
        return self.board_of(one) != self.board_of(other) or _compatible(one, other)

    def layer_map(self) -> NDArray[np.int16]:
        """Return [rows, cols]: −1 where a cell is free, else ±(1 + index of the layer), negative for G⁻ less one.

        Coded as ``2·index`` for G⁺ and ``2·index + 1`` for G⁻.
        """
        names = [request.name for request in self.requests]
        drawn = np.full((self.rows, self.cols), -1, dtype=np.int16)
        for tile in self.tiles:
            drawn[tile.plus] = 2 * names.index(tile.layer)
            drawn[tile.minus] = 2 * names.index(tile.layer) + 1
        return drawn

    def __str__(self) -> str:
        if not self.parts:
            size, tiles = f"{self.rows} × {self.cols} cells", [str(tile) for tile in self.tiles]
        else:
            size = " + ".join(f"{part.nrows} × {part.ncols}" for part in self.parts) + " cells"
            tiles = [f"{tile} (board {self.board_of(tile) + 1})" for tile in self.tiles]
        return "; ".join([f"{self.cells} of {size} hold {self.weights} weights", *tiles])


def _compatible(one: Tile, other: Tile) -> bool:
    same_rows = np.array_equal(one.plus_rows, other.plus_rows) and np.array_equal(one.minus_rows, other.minus_rows)
    same_cols = np.array_equal(one.plus_cols, other.plus_cols) and np.array_equal(one.minus_cols, other.minus_cols)
    return (same_rows and one.inputs == other.inputs and not same_cols) or (
        same_cols and one.outputs == other.outputs and not np.intersect1d(one.rows, other.rows).size
    )


def span(lines: IntArray) -> str:
    """Return lines as text."""
    whole = lines[-1] - lines[0] + 1 == len(lines)
    return f"{lines[0]}:{lines[-1] + 1}" if whole else f"{lines[0]}…{lines[-1]} ({len(lines)} lines)"
