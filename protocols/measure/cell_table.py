"""One line per cell of a block: the table every map-like result gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ...instruments.block import Block

if TYPE_CHECKING:
    from pandas import DataFrame


def cell_table(block: Block, columns: Mapping[str, ArrayLike]) -> DataFrame:
    """Return a table of ``row`` and ``col`` on the chip, then ``columns``, each of the block's shape."""
    from pandas import DataFrame

    rows, cols = np.indices(block.shape)
    maps = {name: np.asarray(values).ravel() for name, values in columns.items()}
    return DataFrame({"row": rows.ravel() + block.row0, "col": cols.ravel() + block.col0, **maps})
