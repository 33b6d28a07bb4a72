"""One row wire with its cells: a resistive ladder, solved exactly and in impedances.

Drawn for one row (column 0 next to the driver)::

    source ─ driver ─ row_ohm ─┬─ row_ohm ─┬─ row_ohm ─┬ …
                               G0          G1          G2
                               │           │           │      (each with its own emf)

Every recursion carries impedances and admittances that stay finite, so zero wire resistance,
a zero-ohm driver and stuck-open cells (G = 0) need no special case.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..device_models.base import FloatArray, IntArray


@njit(cache=True, error_model="numpy")
def _solve(branch: FloatArray, emf: FloatArray, row_ohm: float, driver_ohm: float, out: FloatArray) -> None:
    # all arrays [cols, lines], so that the inner loop runs over independent lines and vectorises;
    # the ladder is swept away from the driver as a Thevenin source, and back
    cols, lines = branch.shape
    drop = out[0]
    thevenin = out[1]
    left = out[2]
    joined = out[3]
    z = np.full(lines, driver_ohm + row_ohm)
    e = np.zeros(lines)
    for c in range(cols):
        for i in range(lines):
            load = z[i] * branch[c, i]
            scale = 1.0 / (1.0 + load)
            left[c, i] = z[i]
            e[i] = (e[i] + load * emf[c, i]) * scale
            drop[c, i] = e[i]
            joined[c, i] = z[i] * scale
            z[i] = joined[c, i] + row_ohm
    right = np.zeros(lines)
    for i in range(lines):
        thevenin[cols - 1, i] = left[cols - 1, i]
    for c in range(cols - 2, -1, -1):
        for i in range(lines):
            ahead = branch[c + 1, i] + right[i]
            right[i] = ahead / (1.0 + row_ohm * ahead)
            # an impedance of zero means that nothing is lost up to there
            share = joined[c, i] / max(left[c + 1, i], 1e-300)
            drop[c, i] += (drop[c + 1, i] - drop[c, i]) * share
            thevenin[c, i] = left[c, i] / (1.0 + left[c, i] * right[i])


@njit(cache=True, error_model="numpy")
def _relax(
    current: FloatArray,
    volts: FloatArray,
    at: IntArray,
    emf: FloatArray,
    branch: FloatArray,
    row_ohm: float,
    driver_ohm: float,
    work: FloatArray,
    state: FloatArray,
) -> tuple[float, float]:
    # state: node voltage, current, wire resistance of each entry
    node = state[0]
    flat = branch.reshape(-1)
    for k in range(at.size):
        state[1, k] = max(current[k] / node[k], 0.0) if node[k] != 0.0 else 0.0
        flat[at[k]] = state[1, k]
    _solve(branch, emf, row_ohm, driver_ohm, work)
    drop = work[0].reshape(-1)
    thevenin = work[1].reshape(-1)
    moved = 0.0
    lost = 0.0
    for k in range(at.size):
        loss = drop[at[k]]
        moved = max(moved, abs(volts[k] - loss - node[k]))
        lost = max(lost, abs(loss))
        node[k] = volts[k] - loss
        state[1, k] *= node[k]
        state[2, k] = thevenin[at[k]]
    return moved, lost


@njit(cache=True, error_model="numpy")
def _admittance(conductance: FloatArray, row_ohm: float, driver_ohm: float, out: FloatArray) -> None:
    cols = conductance.shape[0]
    left = np.empty(cols)
    step = np.empty(cols)
    right = 0.0
    z = driver_ohm + row_ohm
    for c in range(cols):
        left[c] = z
        z = z / (1.0 + z * conductance[c]) + row_ohm
    for c in range(cols - 1, -1, -1):
        # step[c]: what is left of the voltage of node c-1 at node c, looking away from the driver
        ahead = conductance[c] + right
        step[c] = 1.0 / (1.0 + row_ohm * ahead)
        outside = left[c] / (1.0 + left[c] * right)
        out[c, c] = conductance[c] / (1.0 + conductance[c] * outside)
        node = -out[c, c] * outside
        for k in range(c + 1, cols):
            node *= step[k]
            out[k, c] = out[c, k] = conductance[k] * node
        right = ahead * step[c]


@njit(cache=True, error_model="numpy")
def _passes(slot: IntArray, cells: IntArray, latest: IntArray, out: IntArray) -> int:
    # slot is sorted; a slot waits for every earlier slot that holds one of its cells
    passes = 0
    start = 0
    while start < slot.size:
        stop = start
        mine = 0
        while stop < slot.size and slot[stop] == slot[start]:
            mine = max(mine, int(latest[cells[stop]]))
            stop += 1
        for i in range(start, stop):
            out[i] = mine
            if latest[cells[i]] > mine:  # the same cell twice within this slot
                return -1 - i
            latest[cells[i]] = mine + 1
        passes = max(passes, mine + 1)
        start = stop
    return passes


def solve_rows(
    conductance: FloatArray, emf: FloatArray, *, row_ohm: float, driver_ohm: float
) -> tuple[FloatArray, FloatArray]:
    """Return the voltage lost in the row wire at each cell, and the wire resistance each cell sees.

    Parameters
    ----------
    conductance : array, [cols, n], float [S]
        Linear (or chord) conductance of each cell with everything in series with it up to its own
        column's far end; 0 where nothing is connected. Each of the n lines is solved on its own.
    emf : array, [cols, n], float [V]
        Row source minus column source of each cell.
    row_ohm, driver_ohm : float [Ω]
        One row segment (there is one in front of every cell, the first included); the driver.

    Returns
    -------
    drop : array, [cols, n], float [V]
        Voltage lost between source and row node: the cell's branch sees ``emf - drop``.
    thevenin : array, [cols, n], float [Ω]
        Resistance of driver and wire seen from the cell with all other cells in place.
    """
    out = np.empty((4, *conductance.shape))
    _solve(conductance, emf, row_ohm, driver_ohm, out)
    return out[0], out[1]


class SharedRows:
    """Rows that share their wires between nonlinear cells, relaxed step by step.

    Parameters
    ----------
    volts : array, [k], float [V]
        Row minus column source of each entry.
    line, col : array, [k], int
        Which row wire each entry hangs on, from 0, and where.
    cols : int
    row_ohm, driver_ohm : float [Ω]

    Attributes
    ----------
    node, current, loaded : array, [k], float
        Voltage left for each entry's branch [V], the current it draws [A], and the wire resistance it sees [Ω].
    """

    def __init__(
        self, volts: FloatArray, *, line: IntArray, col: IntArray, cols: int, row_ohm: float, driver_ohm: float
    ) -> None:
        lines = int(line.max()) + 1
        self._volts = volts
        self._at = col * lines + line
        self._emf = np.zeros((cols, lines))
        self._emf.ravel()[self._at] = volts
        self._branch = np.zeros((cols, lines))
        self._work = np.empty((4, cols, lines))
        self._ohms = (row_ohm, driver_ohm)
        state = np.empty((3, volts.size))
        state[0] = volts
        self._state = state
        self.node, self.current, self.loaded = state

    def relax(self, current: FloatArray) -> tuple[float, float]:
        """Take the currents [A] drawn at :attr:`node`; return the largest move and the largest loss [V]."""
        return _relax(current, self._volts, self._at, self._emf, self._branch, *self._ohms, self._work, self._state)


def ladder_admittance(conductance: FloatArray, *, row_ohm: float, driver_ohm: float, out: FloatArray) -> FloatArray:
    """Fill ``out`` with the admittance matrix of one row seen from its columns and return it.

    With the row source at ``V`` and the bottom electrodes at ``w`` the cells pass the currents
    ``out @ (V - w)``. ``out`` is symmetric with non-positive off-diagonals.
    """
    _admittance(conductance, row_ohm, driver_ohm, out)
    return out


def order_passes(slot: IntArray, cells: IntArray, size: int) -> tuple[IntArray, int]:
    """Split slots into passes in which no cell repeats, keeping each cell's slots in order.

    Parameters
    ----------
    slot : array, [k], int
        Slot of each entry, ascending.
    cells : array, [k], int
        Flat cell of each entry.
    size : int
        Number of cells of the chip.

    Returns
    -------
    number : array, [k], int
        Pass of each entry; entries of one slot share it.
    passes : int
        How many passes there are.

    Raises
    ------
    ValueError
        When one slot holds the same cell twice.
    """
    number = np.empty(slot.size, dtype=np.int64)
    passes = _passes(slot, cells, np.zeros(size, dtype=np.int64), number)
    if passes < 0:
        where = -1 - passes
        raise ValueError(f"cell {cells[where]} appears twice in slot {slot[where]}; use count, or a slot of its own")
    return number, passes
