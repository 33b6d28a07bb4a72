"""The blocks of outer-product updates (board protocol, §4.7 and §10.6)."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ....common.arrays import FloatArray
from ...scpi.errors import ScpiError
from .actions import OuterProduct
from .slots import Rectangle
from .spec import BoardSpec

_TILE_BYTES: Final = 12
_FULL_SCALE: Final = 32767


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
