"""Which cells are which weight: differential pairs, copies that are averaged, layers in pieces, several on one chip.

A weight w is the difference of two conductances, w = (G⁺ − G⁻)/scale. Where the two cells are is the layer's kind of
pair::

    interleaved   input i on rows 2i (+x) and 2i+1 (−x); the column adds them up
    stacked       inputs on rows 0…n−1 (+x) and again on n…2n−1 (−x)
    columns       output j on columns 2j (+) and 2j+1 (−), subtracted on the host
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ...instruments.array_spec import Block
from ...instruments.errors import RefusedError, unknown

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
    ``minus_cols`` [outputs] the lines of the chip its cells are on.
    """

    layer: str
    inputs: slice
    outputs: slice
    plus_rows: IntArray
    minus_rows: IntArray
    plus_cols: IntArray
    minus_cols: IntArray

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
            f"{self.outputs.stop}) on rows {_span(self.rows)}, columns {_span(self.cols)}"
        )


@dataclass(frozen=True)
class FloorPlan:
    """Where all layers are on an array of ``rows`` × ``cols`` cells."""

    rows: int
    cols: int
    requests: tuple[LayerRequest, ...]
    tiles: tuple[Tile, ...]

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

    def passes(self, layer: str) -> list[list[Tile]]:
        """Return a layer's tiles in groups that can be driven at once.

        Tiles go together when their currents meet as meant: on the same rows with the same inputs, or in the same
        columns for the same outputs. Otherwise one would be driven through cells of the other's rows.
        """
        groups: list[list[Tile]] = []
        for tile in self.of(layer):
            home = next((group for group in groups if all(_compatible(tile, other) for other in group)), None)
            if home is None:
                groups.append([tile])
            else:
                home.append(tile)
        return groups

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
        lines = [f"{self.cells} of {self.rows} × {self.cols} cells hold {self.weights} weights"]
        return "; ".join([*lines, *map(str, self.tiles)])


def plan_floor(
    rows: int,
    cols: int,
    layers: Sequence[LayerRequest],
    *,
    good_rows: Sequence[int] | None = None,
    good_cols: Sequence[int] | None = None,
) -> FloorPlan:
    """Find room for all layers.

    Parameters
    ----------
    rows, cols : size of the array
    good_rows, good_cols : lines that may be used, from a yield map; all by default

    Raises
    ------
    RefusedError
        When a layer does not fit or meets another; the message shows the plan so far.
    """
    names = [layer.name for layer in layers]
    for name in names:
        if names.count(name) > 1:
            raise RefusedError(f"two layers are called {name!r}: give each its own name")
    free = np.ones((rows, cols), dtype=np.bool_)
    lines = _lines(good_rows, rows, "row"), _lines(good_cols, cols, "column")
    tiles: list[Tile] = []
    for layer in layers:
        tiles += _place(layer, free, lines, FloorPlan(rows, cols, tuple(layers), tuple(tiles)))
    return FloorPlan(rows, cols, tuple(layers), tuple(tiles))


def good_lines(
    healthy: NDArray[np.bool_], *, bad_share: float = 0.05, shorted: NDArray[np.bool_] | None = None
) -> tuple[list[int], list[int]]:
    """Return the rows and columns of which at most ``bad_share`` of the cells are bad, from a yield map [rows, cols].

    Rows with a shorted cell go first: driven, a short takes its row's voltage down, while at an idle row it does no
    harm. Then the worst line goes, and its cells no longer count against the lines that cross it.
    """
    rows, cols = list(range(healthy.shape[0])), list(range(healthy.shape[1]))
    if shorted is not None:
        rows = np.flatnonzero(~shorted.any(1)).tolist()
    while rows and cols:
        bad = ~healthy[np.ix_(rows, cols)]
        by_row, by_col = bad.mean(1), bad.mean(0)
        if max(by_row.max(), by_col.max()) <= bad_share:
            break
        if by_row.max() >= by_col.max():
            rows.pop(int(by_row.argmax()))
        else:
            cols.pop(int(by_col.argmax()))
    return rows, cols


def _lines(given: Sequence[int] | None, size: int, axis: str) -> IntArray:
    lines = np.arange(size) if given is None else np.unique(np.asarray(given, dtype=np.intp))
    if lines.size == 0 or lines[0] < 0 or lines[-1] >= size:
        raise RefusedError(f"good {axis}s {_span(lines) if lines.size else 'none'} are not among 0:{size}")
    return lines


def _place(
    layer: LayerRequest, free: NDArray[np.bool_], lines: tuple[IntArray, IntArray], so_far: FloorPlan
) -> list[Tile]:
    height, width = len(lines[0]), len(lines[1])
    most = min(height, layer.rows_max or height) // (layer.rows_per_input * layer.copies_down)
    wide = width // layer.cols_per_output
    if most < 1:
        raise RefusedError(
            f"layer {layer.name!r} needs {layer.rows_per_input * layer.copies_down} rows for one input and there are "
            f"{min(height, layer.rows_max or height)}: fewer copies, or more rows; the plan: {so_far}"
        )
    tiles: list[Tile] = []
    corner = layer.row, layer.col
    for across in range(layer.copies_across):
        for inputs in _pieces(layer.inputs, most):
            for outputs in _pieces(layer.outputs, wide):
                size_in, size_out = inputs.stop - inputs.start, outputs.stop - outputs.start
                tall = size_in * layer.rows_per_input * layer.copies_down
                broad = size_out * layer.cols_per_output
                row, col = _corner(layer, free, lines, (tall, broad), corner, so_far, across)
                corner = (row, col + broad) if layer.col is not None else corner
                for copy in range(layer.copies_down):
                    first = row + copy * size_in * layer.rows_per_input
                    tile = _tile(layer, inputs, outputs, lines, first, col)
                    free[tile.plus] = free[tile.minus] = False
                    tiles.append(tile)
    return tiles


def _corner(
    layer: LayerRequest,
    free: NDArray[np.bool_],
    lines: tuple[IntArray, IntArray],
    size: tuple[int, int],
    wanted: tuple[int | None, int | None],
    so_far: FloorPlan,
    across: int,
) -> tuple[int, int]:
    """Return row and column, among the good lines, of the first rectangle of ``size`` that is free."""
    room = free[np.ix_(*lines)]
    tall, broad = size
    about = f"layer {layer.name!r}{f', copy {across + 1},' if across else ''} needs {tall} rows × {broad} columns"
    rows = range(len(lines[0]) - tall + 1) if wanted[0] is None else [wanted[0]]
    cols = range(len(lines[1]) - broad + 1) if wanted[1] is None else [wanted[1]]
    for row in rows:
        for col in cols:
            cut = room[row : row + tall, col : col + broad]
            if row >= 0 and col >= 0 and cut.shape == size and cut.all():
                return row, col
    fixed = " at ".join(["", f"row {wanted[0]}, column {wanted[1]}"]) if wanted != (None, None) else ""
    inside = all(at is None or 0 <= at <= len(axis) - n for at, axis, n in zip(wanted, lines, size, strict=True))
    trouble = "does not find them free" if inside else "goes beyond the array"
    raise RefusedError(
        f"{about}{fixed} and {trouble}: {int(room.sum())} of {room.size} usable cells are free; move it, use fewer "
        f"copies or a smaller layer; the plan: {so_far}"
    )


def _tile(
    layer: LayerRequest, inputs: slice, outputs: slice, lines: tuple[IntArray, IntArray], row: int, col: int
) -> Tile:
    n, m = inputs.stop - inputs.start, outputs.stop - outputs.start
    rows = lines[0][row : row + n * layer.rows_per_input]
    cols = lines[1][col : col + m * layer.cols_per_output]
    if layer.pairs == "columns":
        return Tile(layer.name, inputs, outputs, rows, rows, cols[0::2], cols[1::2])
    if layer.pairs == "stacked":
        return Tile(layer.name, inputs, outputs, rows[:n], rows[n:], cols, cols)
    return Tile(layer.name, inputs, outputs, rows[0::2], rows[1::2], cols, cols)


def _pieces(size: int, most: int) -> list[slice]:
    """Return ``size`` in equal parts of at most ``most``."""
    parts = -(-size // most)
    edges = np.linspace(0, size, parts + 1).astype(int).tolist()
    return [slice(a, b) for a, b in pairwise(edges)]


def _compatible(one: Tile, other: Tile) -> bool:
    same_rows = np.array_equal(one.plus_rows, other.plus_rows) and np.array_equal(one.minus_rows, other.minus_rows)
    same_cols = np.array_equal(one.plus_cols, other.plus_cols) and np.array_equal(one.minus_cols, other.minus_cols)
    return (same_rows and one.inputs == other.inputs and not same_cols) or (
        same_cols and one.outputs == other.outputs and not np.intersect1d(one.rows, other.rows).size
    )


def _span(lines: IntArray) -> str:
    whole = lines[-1] - lines[0] + 1 == len(lines)
    return f"{lines[0]}:{lines[-1] + 1}" if whole else f"{lines[0]}…{lines[-1]} ({len(lines)} lines)"
