"""The floor of an instrument beside the traces it is taken off."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....common.errors import RefusedError


def with_floor(table: Any, floor: Any, kind: str, where: str) -> Any:
    """Return samples of noise with those of the instrument beside them, as ``floor`` or ``floor_current``.

    A floor without cells, or of one cell, is that of all traces; what is longer than a trace is left out.

    Parameters
    ----------
    table, floor : DataFrame
        Quantities in SI: ``conductance`` or ``current``, and ``cell``.
    """
    quantity = "current" if "current" in table else "conductance"
    if quantity not in floor:
        raise RefusedError(f"{where}: the floor has no {quantity}, which the traces have")
    name = "floor_current" if quantity == "current" else "floor"
    key = ["cell"] if "cell" in table else ["row", "col"]
    values = floor[quantity].to_numpy(np.float64)
    alone = not set(key) <= set(floor.columns) or len(floor[key].drop_duplicates()) == 1
    of_cell = {} if alone else {cell: part[quantity].to_numpy(np.float64) for cell, part in floor.groupby(key)}
    made = np.full(len(table), np.nan)
    for cell, part in table.groupby(key):
        mine = values if alone else of_cell.get(cell)
        if mine is None:
            named = ", ".join(map(str, cell if isinstance(cell, tuple) else (cell,)))
            raise RefusedError(
                f"{where}: the floor has no trace of cell {named}: give one for each cell, or one for all"
            )
        points = min(len(part), len(mine))
        made[table.index.get_indexer(part.index[:points])] = mine[:points]
    return table.assign(**{name: made})
