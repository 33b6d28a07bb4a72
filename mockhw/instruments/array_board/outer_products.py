"""Outer-product updates: their blocks (board protocol, §4.7 and §10.6), what fires, and the action."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ....common.arrays import FloatArray
from ...scpi.errors import ScpiError
from .actions import SlotAction
from .slots import Rectangle
from .spec import BoardSpec

if TYPE_CHECKING:
    from ...chip.virtual_chip import VirtualChip

IntArray = NDArray[np.int64]
Fires = NDArray[np.bool_]

_TILE_BYTES: Final = 12
_FULL_SCALE: Final = 32767
_TOGETHER: Final = 1 << 18
"""Random numbers of lines that are drawn at once."""


@dataclass(frozen=True, slots=True, eq=False)
class OuterProduct:
    """One outer product on a rectangle: its corner, and update vectors −1…1 of its rows and its columns."""

    row0: int
    col0: int
    x: FloatArray
    d: FloatArray


class OuterAction(SlotAction):
    """``UPDate:OUTer`` and ``UPDate:OUTer:TILes``: per product and turn four phases, one for each pair of signs.

    In each turn rows and columns fire at random, drawn when a product's first slot comes. Coincidences of one call
    and product are handed to the chip as one train per cell, which lets cells of a row share its wire though they
    need not have fired in the same turn.

    Parameters
    ----------
    products : sequence of OuterProduct
        One after the other.
    turns : int
        Of each product.
    bits : Generator
        Draws which lines fire.
    raise_, lower : tuple of float
        (volts [V], gate [V]) of the pulses that raise and lower the conductance.
    width : float [s]
    """

    def __init__(
        self,
        chip: VirtualChip,
        spec: BoardSpec,
        start: float,
        products: Sequence[OuterProduct],
        turns: int,
        bits: np.random.Generator,
        raise_: tuple[float, float],
        lower: tuple[float, float],
        width: float,
    ) -> None:
        super().__init__("OUTER", start)
        self._chip = chip
        self._cols = spec.cols
        self._products = products
        self._turns = turns
        self._bits = bits
        self._drawn = -1
        self._fires: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None = None
        self._raise, self._lower = raise_, lower
        self._width = width
        self._slot_seconds = width + spec.slot_overhead
        self.slots = 4 * turns * len(products)
        self.seconds = self.slots * self._slot_seconds

    def run_to(self, now: float) -> bool:
        """Fire the slots that are over by ``now`` [s]."""
        over = now >= self.ends_at
        self._fire(self.slots if over else int((now - self.start) / self._slot_seconds + 1e-6))
        return over

    def cut(self, now: float) -> float:
        """Finish the slot under way."""
        slots = min(self.slots, int(np.ceil((now - self.start) / self._slot_seconds - 1e-6)))
        self._fire(slots)
        return max(now, self.start + slots * self._slot_seconds)

    def _fire(self, upto: int) -> None:
        each = 4 * self._turns
        while self.slots_done < upto:
            product, done = divmod(self.slots_done, each)
            whole = upto // each - product
            if done == 0 and self._drawn != product and whole > 0:
                self.slots_done += each * self._fire_whole(product, product + whole)
                continue
            until = min(each, upto - product * each)
            self._fire_product(product, done, until)
            self.slots_done = product * each + until
        self.seconds_done = self.slots_done * self._slot_seconds

    def _fire_whole(self, first: int, last: int) -> int:
        """Fire products from ``first`` on, up to ``last`` or as many as are drawn together; return how many.

        Luck and cells are those of products fired one by one.
        """
        sizes: list[int] = []
        for product in self._products[first:last]:
            sizes.append(product.x.size + product.d.size)
            if self._turns * sum(sizes) > _TOGETHER:
                break
        count = len(sizes)
        luck = self._bits.random(self._turns * sum(sizes))
        parts: list[tuple[IntArray, IntArray, Fires, IntArray]] = []
        at = 0
        for product in self._products[first : first + count]:
            middle = at + self._turns * product.x.size
            end = middle + self._turns * product.d.size
            parts.append(_whole(luck[at:middle], luck[middle:end], product.x, product.d, self._turns))
            at = end
        starts = np.cumsum([0, *(len(one[0]) for one in parts)])
        row, col, lower, times = (np.concatenate(each) for each in zip(*parts, strict=True))
        if row.size:
            each = np.diff(starts)
            row0, col0 = (
                np.repeat([getattr(one, name) for one in self._products[first : first + count]], each)
                for name in ("row0", "col0")
            )
            self.pulses_done += int(times.sum())
            self._chip.pulse_in_turn(
                starts,
                2 * row + lower,
                (row + row0) * self._cols + col + col0,
                np.where(lower, -self._lower[0], self._raise[0]),
                np.full(row.size, self._width),
                np.where(lower, self._lower[1], self._raise[1]),
                times,
            )
        return count

    def _fires_of(self, number: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which rows and which columns of a product fire in which turn, [turns, lines]."""
        if self._fires is None or self._drawn != number:
            x, d = self._products[number].x, self._products[number].d
            fires_x = self._bits.random((self._turns, x.size)) < np.abs(x)
            fires_d = self._bits.random((self._turns, d.size)) < np.abs(d)
            self._drawn, self._fires = number, (fires_x, fires_d)
        return self._fires

    def _fire_product(self, number: int, done: int, upto: int) -> None:
        product = self._products[number]
        row, col, lower, times = coincidences(*self._fires_of(number), product.x, product.d, done, upto)
        if not row.size:
            return
        self.pulses_done += int(times.sum())
        self._chip.pulse(
            2 * row + lower,
            (row + product.row0) * self._cols + col + product.col0,
            np.where(lower, -self._lower[0], self._raise[0]),
            np.full(row.size, self._width),
            np.where(lower, self._lower[1], self._raise[1]),
            times,
        )


def coincidences(
    fires_x: Fires, fires_d: Fires, x: FloatArray, d: FloatArray, done: int, upto: int
) -> tuple[IntArray, IntArray, Fires, IntArray]:
    """Count the coincidences of one product in its slots ``done`` to ``upto``, four slots to a turn.

    The slots of a turn are those with the signs of (x, d) = (+, +), (+, −), (−, +), (−, −).

    Parameters
    ----------
    fires_x, fires_d : array, [turns, rows], [turns, cols], bool
        Which lines fire in which turn.
    x, d : array, [rows], [cols]
        Of which the signs count.

    Returns
    -------
    row, col, lower, times : array, [k]
        Cells that are pulsed, row by row, in a row those that are raised first; whether they are lowered; how often.
    """
    first = np.array([(done - phase + 3) // 4 for phase in range(4)], dtype=np.int64)
    last = np.array([(upto - phase + 3) // 4 for phase in range(4)], dtype=np.int64)
    count = np.zeros((x.size, d.size), dtype=np.int64)
    row, col, times = (np.empty(count.size, dtype=np.int64) for _ in range(3))
    lower = np.empty(count.size, dtype=np.bool_)
    k = _count(fires_x, fires_d, x, d, first, last, count, row, col, lower, times)
    return row[:k], col[:k], lower[:k], times[:k]


@njit(cache=True)
def _count(
    fires_x: Fires,
    fires_d: Fires,
    x: FloatArray,
    d: FloatArray,
    first: IntArray,
    last: IntArray,
    count: IntArray,
    row: IntArray,
    col: IntArray,
    lower: Fires,
    times: IntArray,
) -> int:
    turns, cols = fires_d.shape
    firing = np.empty(cols, dtype=np.int64)
    for t in range(turns):
        n = 0
        for j in range(cols):
            if fires_d[t, j]:
                firing[n] = j
                n += 1
        if n == 0:
            continue
        for i in range(x.size):
            if fires_x[t, i]:
                for m in range(n):
                    j = firing[m]
                    phase = 2 * (x[i] < 0.0) + (d[j] < 0.0)
                    if first[phase] <= t < last[phase]:
                        count[i, j] += 1
    k = 0
    for i in range(x.size):
        for lowers in (False, True):
            for j in range(cols):
                if count[i, j] > 0 and ((x[i] < 0.0) != (d[j] < 0.0)) == lowers:
                    row[k] = i
                    col[k] = j
                    lower[k] = lowers
                    times[k] = count[i, j]
                    k += 1
    return k


@njit(cache=True)
def _whole(
    luck_x: FloatArray, luck_d: FloatArray, x: FloatArray, d: FloatArray, turns: int
) -> tuple[IntArray, IntArray, Fires, IntArray]:
    # what coincidences gives for all slots of a product, of the random numbers [turns · lines] of its lines
    count = np.zeros((x.size, d.size), dtype=np.int64)
    firing = np.empty(d.size, dtype=np.int64)
    for t in range(turns):
        n = 0
        for j in range(d.size):
            if luck_d[t * d.size + j] < abs(d[j]):
                firing[n] = j
                n += 1
        if n == 0:
            continue
        for i in range(x.size):
            if luck_x[t * x.size + i] < abs(x[i]):
                for m in range(n):
                    count[i, firing[m]] += 1
    size = 0
    for i in range(x.size):
        for j in range(d.size):
            size += count[i, j] > 0
    row, col, times = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64)
    lower = np.empty(size, dtype=np.bool_)
    k = 0
    for i in range(x.size):
        for lowers in (False, True):
            for j in range(d.size):
                if count[i, j] > 0 and ((x[i] < 0.0) != (d[j] < 0.0)) == lowers:
                    row[k] = i
                    col[k] = j
                    lower[k] = lowers
                    times[k] = count[i, j]
                    k += 1
    return row, col, lower, times


def parse_vector(payload: memoryview, name: str, size: int) -> FloatArray:
    """Return an update vector, −1…1.

    Raises
    ------
    ScpiError
        -161 when its length does not fit, -222 for a code of -32768.
    """
    if len(payload) != 2 * size:
        raise ScpiError(-161, f"{name}: {len(payload)} bytes, {size} lines need {2 * size}")
    codes = np.frombuffer(payload, dtype="<i2")
    if codes.min() < -_FULL_SCALE:
        raise ScpiError(-222, f"{name} -32768 below -32767 at line {int(codes.argmin())}")
    return codes / float(_FULL_SCALE)


def parse_tiles(
    tiles_block: memoryview, x_block: memoryview, d_block: memoryview, spec: BoardSpec
) -> list[OuterProduct]:
    """Return the products of ``UPDate:OUTer:TILes``, in the order in which they fire.

    Raises
    ------
    ScpiError
        -161 when a length does not fit, -222 for a tile, a number of products or a code out of range.
    """
    tiles, rest = divmod(len(tiles_block), _TILE_BYTES)
    if rest or not tiles:
        raise ScpiError(-161, f"tiles: {len(tiles_block)} bytes, a tile has {_TILE_BYTES}")
    if tiles > spec.tiles_max:
        raise ScpiError(-222, f"tiles {tiles} above {spec.tiles_max}")
    places = np.frombuffer(tiles_block, dtype="<u2", count=4 * tiles).reshape(4, tiles).astype(np.int64)
    often = np.frombuffer(tiles_block, dtype="<u4", offset=8 * tiles).astype(np.int64)
    rectangles: list[Rectangle] = []
    for at, numbers in enumerate(places.T.tolist()):
        try:
            rectangles.append(Rectangle(numbers[0], numbers[1], numbers[2], numbers[3]).check(spec))
        except ScpiError as error:
            raise ScpiError(error.code, f"{error.detail} in tile {at}") from None
    x = _vectors(x_block, "x", often, places[1])
    d = _vectors(d_block, "d", often, places[3])
    if not often.all():
        raise ScpiError(-222, f"products 0 below 1 in tile {int(np.argmin(often))}")
    if int(often.sum()) > spec.tile_products_max:
        raise ScpiError(-222, f"products {int(often.sum())} above {spec.tile_products_max}")
    products: list[OuterProduct] = []
    for where, rows, cols in zip(rectangles, x, d, strict=True):
        products += [OuterProduct(where.row0, where.col0, *pair) for pair in zip(rows, cols, strict=True)]
    return products


def _vectors(payload: memoryview, name: str, often: NDArray[np.int64], lines: NDArray[np.int64]) -> list[FloatArray]:
    """Return the vectors of every tile, [products, lines]."""
    sizes = often * lines
    needed = 2 * int(sizes.sum())
    if len(payload) != needed:
        raise ScpiError(-161, f"{name}: {len(payload)} bytes, the tiles need {needed}")
    codes = np.frombuffer(payload, dtype="<i2")
    bounds = np.concatenate(([0], np.cumsum(sizes))).tolist()
    if codes.size and int(codes.min()) < -_FULL_SCALE:
        at = int(codes.argmin())
        tile = int(np.searchsorted(bounds, at, side="right")) - 1
        product, line = divmod(at - bounds[tile], int(lines[tile]))
        raise ScpiError(-222, f"{name} -32768 below -32767 at tile {tile} product {product} line {line}")
    values = codes / float(_FULL_SCALE)
    return [values[first:last].reshape(-1, int(n)) for (first, last), n in zip(pairwise(bounds), lines, strict=True)]
