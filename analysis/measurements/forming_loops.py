"""Which sweep loops formed a virgin cell: no statistic of switching voltages may hold them.

Forming happens once, at a higher voltage than any SET after it, and from a conductance the cell never returns to. Both
are told from the loops themselves and from a read of the cell before each. The first loop that SETs a cell, or after
which it starts far higher than before, forms it if

- its V_SET is ``CLEARLY`` times the median of the cell's later ones, or
- it is ``BARELY`` times that, and the cell began ``EMPTIER`` times below the lowest start of any later loop, or
- the cell began ``FAR`` times below that, and V_SET was not found, or is above every later one by ``HIGHER``.

A cell without a later SET is held against the later loops of all cells, ``CLEARLY`` and ``EMPTIER`` both. Where no cell
has one, the RESET of the same loop stands for them: ``ALONE`` times its voltage, and ``EMPTIER`` below what it left.

Whatever came before the loop that formed was a virgin cell too. Of cells that need no forming nothing is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..estimates.estimates import Floats

if TYPE_CHECKING:
    from pandas import DataFrame

# Between a spread of SETs of some per cent (15 % are three standard deviations of a restless cell) and forming voltages
# of one and a half to five times a SET. SET and RESET voltages differ by less than ALONE.
CLEARLY, BARELY, ALONE = 1.4, 1.15, 1.5
# An off state varies by a factor of two or three from loop to loop; a virgin cell lies one or two decades below.
EMPTIER, FAR, HIGHER = 5.0, 20.0, 1.05


def forming_loops(
    cell: NDArray[np.int64], v_set: Floats, v_reset: Floats, start: Floats, left: Floats, *, floor: float
) -> NDArray[np.bool_]:
    """Return which loops formed their cell, or came before the one that did.

    Parameters
    ----------
    cell : array of int [loops]
        Whose loop it is; loops of a cell in the order they were measured.
    v_set, v_reset : array [loops] [V]
        nan where a loop did not switch.
    start, left : array [loops] [S]
        Conductance before a loop, and after its RESET.
    floor : float [S]
        Conductances below this are taken as this.
    """
    start, left = np.maximum(start, floor), np.maximum(left, floor)
    loops = [np.flatnonzero(cell == which) for which in np.unique(cell)]
    firsts = [_first(mine, v_set, start) for mine in loops]
    later = [mine[mine > first] for mine, first in zip(loops, firsts, strict=True)]
    of_all = np.concatenate(later) if later else np.empty(0, dtype=np.intp)
    of_all = of_all[np.isfinite(v_set[of_all])]  # one that does not SET may start from a cell that is on
    forming = np.zeros(cell.size, dtype=np.bool_)
    for mine, first, after in zip(loops, firsts, later, strict=True):
        if first < cell.size and _forms(first, after, of_all, v_set, v_reset, start, left):
            forming[mine[mine <= first]] = True
    return forming


def _first(mine: NDArray[np.intp], v_set: Floats, start: Floats) -> int:
    """Return the first loop of a cell that SETs it, or after which it starts far higher; a number too high for none."""
    risen = np.append(start[mine[1:]] > FAR * start[mine[:-1]], False)
    found = mine[np.isfinite(v_set[mine]) | risen]
    return int(found[0]) if found.size else v_set.size


def _forms(
    first: int,
    after: NDArray[np.intp],
    of_all: NDArray[np.intp],
    v_set: Floats,
    v_reset: Floats,
    start: Floats,
    left: Floats,
) -> bool:
    volts, began = float(v_set[first]), float(start[first])
    sets = v_set[after][np.isfinite(v_set[after])]
    if sets.size:
        usual, lowest = float(np.median(sets)), _of(np.min, start[of_all])
        above = not volts <= HIGHER * float(sets.max())
        return (
            volts >= CLEARLY * usual
            or (volts >= BARELY * usual and began * EMPTIER < lowest)
            or (above and began * FAR < lowest)
        )
    if of_all.size:
        return volts >= CLEARLY * _of(np.median, v_set[of_all]) and began * EMPTIER < _of(np.median, start[of_all])
    return volts >= ALONE * abs(float(v_reset[first])) and began * EMPTIER < float(left[first])


def _of(what: Callable[[Floats], float], values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(what(known)) if known.size else np.nan


def without_forming(table: DataFrame) -> DataFrame:
    """Return a table of :func:`~.iv_curve.switching_voltages` without the loops that formed a cell."""
    return table.iloc[np.flatnonzero(~table["forming"].to_numpy(dtype=bool))]
