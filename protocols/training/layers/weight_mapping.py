"""Where weights go: layers in pieces, copies that are averaged, several on one chip or over several boards.

What a floor plan is made of is in ``floor_plan``; here it is drawn up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ....common.errors import RefusedError
from ....instruments.block import Block
from .floor_plan import FloorPlan, IntArray, LayerRequest, Pairs, Tile, span

__all__ = ["FloorPlan", "IntArray", "LayerRequest", "Pairs", "Tile", "good_lines", "in_copies", "plan_floor"]


def plan_floor(
    rows: int,
    cols: int,
    layers: Sequence[LayerRequest],
    *,
    good_rows: Sequence[int] | None = None,
    good_cols: Sequence[int] | None = None,
    parts: Sequence[Block] = (),
) -> FloorPlan:
    """Find room for all layers.

    Pieces and copies of a layer go to the board that holds fewest of that layer, so that they are driven at once.

    Parameters
    ----------
    rows, cols : size of the array
    good_rows, good_cols : lines that may be used, from a yield map; all by default
    parts : the boards the array is made of, ``array.spec.parts``: a piece is never on two; by default there is one

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
    boards = [_on_board(part, *lines) for part in parts or (Block(0, rows, 0, cols),)]
    boards = [board for board in boards if board.rows.size and board.cols.size]
    plan = FloorPlan(rows, cols, tuple(layers), (), tuple(parts))
    for layer in layers:
        plan = replace(plan, tiles=(*plan.tiles, *_place(layer, free, boards, plan)))
    return plan


def good_lines(
    healthy: NDArray[np.bool_],
    *,
    bad_share: float = 0.05,
    shorted: NDArray[np.bool_] | None = None,
    parts: Sequence[Block] = (),
) -> tuple[list[int], list[int]]:
    """Return the rows and columns of which at most ``bad_share`` of the cells are bad, from a yield map [rows, cols].

    Rows with a shorted cell go first: driven, a short takes its row's voltage down, while at an idle row it does no
    harm. Then the worst line goes, and its cells no longer count against the lines that cross it. Where the array is
    made of several boards (``parts``), each is looked at by itself.
    """
    if parts:
        all_rows: list[int] = []
        all_cols: list[int] = []
        for part in parts:
            shorts = None if shorted is None else shorted[part.slices]
            of_rows, of_cols = good_lines(healthy[part.slices], bad_share=bad_share, shorted=shorts)
            all_rows += [part.row0 + row for row in of_rows]
            all_cols += [part.col0 + col for col in of_cols]
        return all_rows, all_cols
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


def in_copies(layer: LayerRequest, copies: int, rows: int) -> LayerRequest:
    """Return ``layer`` with so many copies: below each other as far as ``rows`` go, the rest beside them."""
    if copies == 1 or layer.copies_down * layer.copies_across > 1:
        return layer
    down = max(n for n in range(1, copies + 1) if n == 1 or n * layer.inputs * layer.rows_per_input <= rows)
    while copies % down:
        down -= 1
    return replace(layer, copies_down=down, copies_across=copies // down)


def _lines(given: Sequence[int] | None, size: int, axis: str) -> IntArray:
    lines = np.arange(size) if given is None else np.unique(np.asarray(given, dtype=np.intp))
    if lines.size == 0 or lines[0] < 0 or lines[-1] >= size:
        raise RefusedError(f"good {axis}s {span(lines) if lines.size else 'none'} are not among 0:{size}")
    return lines


@dataclass(frozen=True)
class _Board:
    """The good lines of one board, ascending, and how many good ``rows`` and ``cols`` come ``before`` them."""

    rows: IntArray
    cols: IntArray
    before: tuple[int, int]

    @property
    def lines(self) -> tuple[IntArray, IntArray]:
        return self.rows, self.cols

    def largest(self, layer: LayerRequest) -> tuple[int, int]:
        """Return the most inputs and outputs one piece of ``layer`` can have here."""
        height = min(len(self.rows), layer.rows_max or len(self.rows))
        return height // (layer.rows_per_input * layer.copies_down), len(self.cols) // layer.cols_per_output


def _on_board(part: Block, rows: IntArray, cols: IntArray) -> _Board:
    (top, bottom), (left, right) = (
        np.searchsorted(lines, (at.start, at.stop)).tolist()
        for lines, at in zip((rows, cols), part.slices, strict=True)
    )
    return _Board(rows[top:bottom], cols[left:right], (top, left))


def _place(layer: LayerRequest, free: NDArray[np.bool_], boards: Sequence[_Board], so_far: FloorPlan) -> list[Tile]:
    """Find room for a layer: in equal pieces as large as a board takes, or over several boards in what pieces fit."""
    sizes = sorted({size for board in boards if min(size := board.largest(layer)) >= 1}, reverse=True)
    if not sizes:
        height = max((min(len(board.rows), layer.rows_max or len(board.rows)) for board in boards), default=0)
        width = max((len(board.cols) for board in boards), default=0)
        raise RefusedError(
            f"layer {layer.name!r} needs {layer.rows_per_input * layer.copies_down} rows for one input and there are "
            f"{height}, {layer.cols_per_output} columns for one output and there are "
            f"{width}: fewer copies, or a larger array; the plan: {so_far}"
        )
    ways = [(_cut, size) for size in sizes]
    if len(boards) > 1 and layer.row is None and layer.col is None:
        ways += [(_fill, (sizes[0][0], wide)) for wide in sorted({wide for _, wide in sizes}, reverse=True)]
    trouble: list[RefusedError] = []
    for find, size in ways:
        left = free.copy()
        try:
            tiles = find(layer, left, boards, size, so_far)
        except RefusedError as error:
            trouble.append(error)
        else:
            free[...] = left
            return tiles
    raise trouble[0]


def _cut(
    layer: LayerRequest, free: NDArray[np.bool_], boards: Sequence[_Board], largest: tuple[int, int], so_far: FloorPlan
) -> list[Tile]:
    """Place a layer in equal pieces of at most ``largest`` (inputs, outputs)."""
    tiles: list[Tile] = []
    held = [0] * len(boards)
    corner = layer.row, layer.col
    for across in range(layer.copies_across):
        for inputs in _pieces(layer.inputs, largest[0]):
            for outputs in _pieces(layer.outputs, largest[1]):
                size = _size(layer, inputs, outputs)
                spot = _spot(free, boards, held, size, corner)
                if spot is None:
                    raise RefusedError(_no_room(layer, free, boards, size, corner, so_far, across))
                n, (row, col) = spot
                if layer.col is not None:  # the next piece stands beside this one
                    row_before, col_before = boards[n].before
                    corner = (row_before + row, col_before + col + size[1])
                held[n] += 1
                tiles += _settle(layer, free, boards[n], inputs, outputs, (row, col), across)
    return tiles


def _fill(
    layer: LayerRequest, free: NDArray[np.bool_], boards: Sequence[_Board], largest: tuple[int, int], so_far: FloorPlan
) -> list[Tile]:
    """Place a layer in pieces of as many inputs as still fit somewhere: boards and what is left of them differ."""
    tiles: list[Tile] = []
    held = [0] * len(boards)
    for across in range(layer.copies_across):
        for outputs in _pieces(layer.outputs, largest[1]):
            start = 0
            while start < layer.inputs:
                for most in range(min(largest[0], layer.inputs - start), 0, -1):
                    inputs = slice(start, start + most)
                    spot = _spot(free, boards, held, _size(layer, inputs, outputs), (None, None))
                    if spot is not None:
                        break
                else:
                    size = _size(layer, slice(start, start + 1), outputs)
                    raise RefusedError(_no_room(layer, free, boards, size, (None, None), so_far, across))
                held[spot[0]] += 1
                tiles += _settle(layer, free, boards[spot[0]], inputs, outputs, spot[1], across)
                start = inputs.stop
    return tiles


def _size(layer: LayerRequest, inputs: slice, outputs: slice) -> tuple[int, int]:
    """Return the rows and columns a piece takes, its copies down among them."""
    tall = (inputs.stop - inputs.start) * layer.rows_per_input * layer.copies_down
    return tall, (outputs.stop - outputs.start) * layer.cols_per_output


def _spot(
    free: NDArray[np.bool_],
    boards: Sequence[_Board],
    held: Sequence[int],
    size: tuple[int, int],
    wanted: tuple[int | None, int | None],
) -> tuple[int, tuple[int, int]] | None:
    """Return board and corner for a piece, the board first that has fewest of this layer."""
    for n in sorted(range(len(boards)), key=held.__getitem__):
        at = _corner(free, boards[n], size, wanted)
        if at is not None:
            return n, at
    return None


def _settle(
    layer: LayerRequest,
    free: NDArray[np.bool_],
    board: _Board,
    inputs: slice,
    outputs: slice,
    at: tuple[int, int],
    across: int,
) -> list[Tile]:
    tiles: list[Tile] = []
    for copy in range(layer.copies_down):
        first = at[0] + copy * (inputs.stop - inputs.start) * layer.rows_per_input
        tile = _tile(layer, inputs, outputs, board.lines, (first, at[1]), across * layer.copies_down + copy)
        free[tile.plus] = free[tile.minus] = False
        tiles.append(tile)
    return tiles


def _corner(
    free: NDArray[np.bool_], board: _Board, size: tuple[int, int], wanted: tuple[int | None, int | None]
) -> tuple[int, int] | None:
    """Return row and column, among the board's good lines, of the first rectangle of ``size`` that is free."""
    room = free[np.ix_(*board.lines)]
    tall, broad = size
    rows, cols = (
        range(len(lines) - n + 1) if at is None else [at - before]
        for lines, n, at, before in zip(board.lines, size, wanted, board.before, strict=True)
    )
    for row in rows:
        for col in cols:
            cut = room[row : row + tall, col : col + broad]
            if row >= 0 and col >= 0 and cut.shape == size and cut.all():
                return row, col
    return None


def _no_room(
    layer: LayerRequest,
    free: NDArray[np.bool_],
    boards: Sequence[_Board],
    size: tuple[int, int],
    wanted: tuple[int | None, int | None],
    so_far: FloorPlan,
    across: int,
) -> str:
    tall, broad = size
    about = f"layer {layer.name!r}{f', copy {across + 1},' if across else ''} needs {tall} rows × {broad} columns"
    fixed = " at ".join(["", f"row {wanted[0]}, column {wanted[1]}"]) if wanted != (None, None) else ""
    inside = any(
        all(
            at is None or 0 <= at - before <= len(lines) - n
            for at, before, lines, n in zip(wanted, board.before, board.lines, size, strict=True)
        )
        for board in boards
    )
    beyond = "goes beyond the array" if len(boards) == 1 else "goes beyond any one board"
    rooms = [free[np.ix_(*board.lines)] for board in boards]
    shares = " + ".join(f"{int(room.sum())} of {room.size}" for room in rooms)
    return (
        f"{about}{fixed} and {'does not find them free' if inside else beyond}: {shares} usable cells are free; "
        f"move it, use fewer copies or a smaller layer; the plan: {so_far}"
    )


def _tile(
    layer: LayerRequest,
    inputs: slice,
    outputs: slice,
    lines: tuple[IntArray, IntArray],
    at: tuple[int, int],
    copy: int,
) -> Tile:
    (row, col) = at
    n, m = inputs.stop - inputs.start, outputs.stop - outputs.start
    rows = lines[0][row : row + n * layer.rows_per_input]
    cols = lines[1][col : col + m * layer.cols_per_output]
    if layer.pairs == "columns":
        return Tile(layer.name, inputs, outputs, rows, rows, cols[0::2], cols[1::2], copy)
    if layer.pairs == "stacked":
        return Tile(layer.name, inputs, outputs, rows[:n], rows[n:], cols, cols, copy)
    return Tile(layer.name, inputs, outputs, rows[0::2], rows[1::2], cols, cols, copy)


def _pieces(size: int, most: int) -> list[slice]:
    """Return ``size`` in equal parts of at most ``most``."""
    parts = -(-size // most)
    edges = np.linspace(0, size, parts + 1).astype(int).tolist()
    return [slice(a, b) for a, b in pairwise(edges)]
