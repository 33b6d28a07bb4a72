"""Resting cells of any bench as the reads of the step ``retention``: levels, and the windows in which they count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..estimates.drift import MIN_POINTS
from ..programming.retention import RetentionReads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..estimates.estimates import Floats

GROUPS, GROUP_CELLS = 4, 8
"""Cells without levels are put into so many groups by their first reading, of at least so many cells each."""


@dataclass(frozen=True, kw_only=True)
class Rest:
    """Cells of one temperature while they rest.

    Attributes
    ----------
    cells : array [cells]
        Their numbers in the data.
    reads : RetentionReads
    said : str
        What a level is, for people.
    levels_given : bool
        Whether the data say which level a cell stands for.
    left_out : int
        Cells that were read less often than most.
    """

    cells: NDArray[Any]
    reads: RetentionReads
    said: str
    levels_given: bool
    left_out: int


def rest_of(part: Any) -> Rest | None:
    """Return the reads of the cells of one temperature; None where most were read fewer than four times.

    Parameters
    ----------
    part : DataFrame
        Of a ``bake``: readings after time 0.
    """
    part = part[(part["time"] > 0.0) & np.isfinite(part["after"])].sort_values(["cell", "time"], kind="stable")
    if not len(part):
        return None
    counts = part.groupby("cell", sort=False).size()
    most = int(counts.mode().max())
    if most < MIN_POINTS:
        return None
    cells = counts.index[counts == most].to_numpy()
    part = part[part["cell"].isin(cells)]
    shape = (len(cells), most)
    g, seconds = (part[name].to_numpy(np.float64).reshape(shape).T for name in ("after", "time"))
    given = part["level"].to_numpy().reshape(shape)[:, 0] if part["level"].notna().all() else None
    level, levels = _levels(g[0], given)
    low, high = _windows(level, levels)
    if given is not None:
        said = "Levels are those of the data, their conductances the medians of the first readings."
    elif levels.size > 1:
        said = f"The data name no levels: cells are in {levels.size} groups of equal size by their first reading."
    else:
        said = "The data name no levels, and the cells are too few for groups: they are one."
    reads = RetentionReads(seconds=seconds, conductance=g, level=level, levels=levels, low=low, high=high)
    return Rest(
        cells=cells, reads=reads, said=said, levels_given=given is not None, left_out=int((counts != most).sum())
    )


def _levels(first: Floats, given: Any) -> tuple[NDArray[np.int64], Floats]:
    """Return which level each cell stands for, counted from the lowest, −1 for none; and their conductances, rising."""
    if given is None:
        groups = max(1, min(GROUPS, len(first) // GROUP_CELLS))
        edges = np.quantile(first, np.arange(1, groups) / groups)
        names = np.searchsorted(edges, first, side="right")
    else:
        names = np.asarray(given, np.int64)
    middles = {int(name): float(np.median(first[names == name])) for name in np.unique(names) if name >= 0}
    present = sorted(middles, key=lambda name: middles[name])
    level = np.full(len(first), -1, np.int64)
    for k, name in enumerate(present):
        level[names == name] = k
    return level, np.array([float(np.median(first[level == k])) for k in range(len(present))])


def _windows(level: NDArray[np.int64], levels: Floats) -> tuple[Floats, Floats]:
    """Return of every cell between which conductances it is read as its level: the midpoints to the neighbours."""
    edges = np.concatenate([[-np.inf], (levels[1:] + levels[:-1]) / 2.0, [np.inf]])
    known = level >= 0
    low, high = (np.where(known, edges[np.maximum(level, 0) + end], np.nan) for end in (0, 1))
    return low, high
