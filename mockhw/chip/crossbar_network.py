"""The wires of a crossbar: what the array conducts once lines, drivers and amplifiers resist.

Geometry, as a matrix is written on paper::

              col 0     col 1         col C-1
    row 0   D─r─●─────r───●── … ──r─────●        rows drive the top electrodes from the left end
                c         c             c
    row 1   D─r─●─────r───●── … ──r─────●
                :         :             :
    row R-1 D─r─●─────r───●── … ──r─────●        columns collect the bottom electrodes and
                c         c             c        leave at the bottom end
                S         S             S        virtual grounds

``D`` driver, ``S`` sense resistance, ``r`` and ``c`` one segment of row and column wire. There is a
segment on the edge side of every cell, so cell (i, j) has ``j + 1`` row and ``R - i`` column segments
on its way: **row R-1 is nearest to the sense ends, row 0 farthest**; column 0 is nearest to the drivers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit

from ..device_models.base import FloatArray, IntArray
from .row_ladder import SharedRows, ladder_admittance, solve_rows

_SMALL = 96  # nodes per line up to which the plain loop beats LAPACK

Shape = tuple[int, int]
CurrentLaw = Callable[[FloatArray, FloatArray], FloatArray]


@dataclass(frozen=True)
class Wires:
    """Resistances of the lines of one chip.

    Attributes
    ----------
    row_ohm, col_ohm : float [Ω]
        One segment of row and of column wire.
    driver_ohm, sense_ohm : float [Ω]
        Row driver and column sense amplifier (or column driver), one per line.
    """

    row_ohm: float = 0.0
    col_ohm: float = 0.0
    driver_ohm: float = 0.0
    sense_ohm: float = 0.0

    def __post_init__(self) -> None:
        for name in ("row_ohm", "col_ohm", "driver_ohm", "sense_ohm"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0.0):
                raise ValueError(f"{name} = {value} Ω is no wire: give a finite resistance of 0 Ω or more")

    def column_series(self, rows: int) -> FloatArray:
        """Return the resistance [Ω] from a cell of each row to the virtual ground of its column, [rows]."""
        return self.sense_ohm + self.col_ohm * np.arange(rows, 0, -1, dtype=np.float64)

    def row_series(self, cols: int) -> FloatArray:
        """Return the resistance [Ω] from a row's source to a cell of each column, [cols]."""
        return self.driver_ohm + self.row_ohm * np.arange(1, cols + 1, dtype=np.float64)


@dataclass(frozen=True)
class RowDrop:
    """What driven rows leave for each of their cells, entry by entry.

    Attributes
    ----------
    current : array, [k], float [A]
        Current of each cell before its state moves.
    open_volts : array, [k], float [V]
        Thevenin voltage: what the cell would see if it drew nothing while its neighbours draw theirs.
    series : array, [k], float [Ω]
        Thevenin resistance: driver and row wire as loaded by the neighbours, plus the cell's own column.
    """

    current: FloatArray
    open_volts: FloatArray
    series: FloatArray


@njit(cache=True, error_model="numpy")
def _invert(matrix: FloatArray) -> None:
    # Gauss-Jordan in place. Without pivots, since 1 + R·Y is positive definite; and not LAPACK, whose threads
    # cost ten times the arithmetic at this size as soon as another process wants the core.
    n = matrix.shape[0]
    pivot = np.empty(n)
    for k in range(n):
        inverse = 1.0 / matrix[k, k]
        for j in range(n):
            pivot[j] = matrix[k, j] * inverse
        pivot[k] = inverse
        for i in range(n):
            factor = matrix[i, k]
            if i != k and factor != 0.0:
                matrix[i, k] = 0.0
                for j in range(n):
                    matrix[i, j] -= factor * pivot[j]
        for j in range(n):
            matrix[k, j] = pivot[j]


def effective_conductance(
    conductance: FloatArray, *, row_ohm: float, col_ohm: float, driver_ohm: float, sense_ohm: float
) -> FloatArray:
    """Return the matrix that maps row voltages to column currents through resistive lines.

    All rows are driven at once and all columns end in virtual grounds: ``I_cols = V_rows @ G_eff``.
    By reciprocity the reverse (columns driven at their sense ends, rows sensed at their driver ends) is
    ``I_rows = V_cols @ G_eff.T``.

    The array is eliminated line by line. Seen from the row below, everything above is an admittance ``Y``
    between the columns; a column segment turns it into ``Y M`` with ``M = (1 + col_ohm Y)⁻¹``, and each
    row adds its own ladder. Exact, and finite for zero resistances and for open cells.

    Parameters
    ----------
    conductance : array, [rows, cols], float [S]
    row_ohm, col_ohm, driver_ohm, sense_ohm : float [Ω]

    Returns
    -------
    array, [rows, cols], float [S]
    """
    conductance = np.ascontiguousarray(conductance, dtype=np.float64)
    rows, cols = conductance.shape
    if cols > rows:
        # The cost is lines × (nodes per line)³, so eliminate along the longer side. Turning the array by
        # half a turn and transposing it exchanges drive and sense ends.
        turned = effective_conductance(
            conductance.T[::-1, ::-1], row_ohm=col_ohm, col_ohm=row_ohm, driver_ohm=sense_ohm, sense_ohm=driver_ohm
        )
        return np.ascontiguousarray(turned.T[::-1, ::-1])
    ladder = np.empty((cols, cols))
    above = np.zeros((cols, cols))
    injected = np.empty((rows, cols))
    transfer = np.empty((rows, cols, cols))
    for r in range(rows):
        ladder_admittance(conductance[r], row_ohm=row_ohm, driver_ohm=driver_ohm, out=ladder)
        np.sum(ladder, axis=1, out=injected[r])
        above += ladder
        segment = col_ohm if r < rows - 1 else col_ohm + sense_ohm
        if segment > 0.0:
            np.multiply(above, segment, out=transfer[r])
            transfer[r].ravel()[:: cols + 1] += 1.0
            if cols <= _SMALL:
                _invert(transfer[r])
            else:
                transfer[r] = np.linalg.inv(transfer[r])
            above = transfer[r] @ above
    result = np.empty((rows, cols))
    to_ground = np.eye(cols)
    for r in range(rows - 1, -1, -1):
        if col_ohm > 0.0 or (r == rows - 1 and sense_ohm > 0.0):
            to_ground = to_ground @ transfer[r]
        np.matmul(to_ground, injected[r], out=result[r])
    return result


def read_rows(
    conductance: FloatArray, volts: float, *, row: IntArray, col: IntArray, shape: Shape, wires: Wires
) -> FloatArray:
    """Return the column currents [A] when rows are read one after the other, [n, m].

    One row is at ``volts`` at a time; the transistors of all other rows are off, so each column carries
    one cell. Cells are linear. Columns that are not read are disconnected.

    Parameters
    ----------
    conductance : array, [n, m], float [S]
        Cells at the crossings of the rows ``row`` [n] and the columns ``col`` [m] of a chip of ``shape``.
    volts : float [V]
    """
    rows, cols = shape
    branch = np.zeros((cols, row.size))
    branch[col] = (conductance / (1.0 + conductance * wires.column_series(rows)[row, None])).T
    drop, _ = solve_rows(branch, np.full_like(branch, volts), row_ohm=wires.row_ohm, driver_ohm=wires.driver_ohm)
    return np.ascontiguousarray(((volts - drop) * branch)[col].T)


def row_drop(
    law: CurrentLaw,
    volts: FloatArray,
    *,
    line: IntArray,
    row: IntArray,
    col: IntArray,
    shape: Shape,
    wires: Wires,
    tolerance: float = 2e-3,
    iterations: int = 5,
) -> RowDrop:
    """Share row wires between nonlinear cells that are pulsed together; all lines at once.

    Cells are replaced by their chord conductances I/V, the ladder is solved exactly, the currents are taken
    again at the new voltages, and so on: exact at once for linear cells, and for transistor-limited ones the
    error shrinks each time by the fraction of the voltage that is lost. Cells that are not listed draw nothing.

    Parameters
    ----------
    law : callable
        ``law(volts [V], series [Ω]) -> current [A]`` of the k cells in their present state.
    volts : array, [k], float [V]
        Row minus column source of each cell.
    line : array, [k], int
        Which firing each cell belongs to; cells of one firing share a row wire.
    row, col : array, [k], int
    shape : (rows, cols)
    wires : Wires
    tolerance : float [V]
        Stop when the voltages are expected to move by less.
    iterations : int
        Stop after so many evaluations of ``law``.
    """
    rows, cols = shape
    column = wires.column_series(rows)[row]
    if wires.row_ohm == 0.0 and wires.driver_ohm == 0.0:
        return RowDrop(law(volts, column), volts, column)
    shared = SharedRows(volts, line=line, col=col, cols=cols, row_ohm=wires.row_ohm, driver_ohm=wires.driver_ohm)
    supply = max(float(volts.max()), -float(volts.min()), tolerance)
    before = 0.0
    for _ in range(iterations):
        moved, lost = shared.relax(law(shared.node, column))
        # the next move by the convergence seen so far; at first by what theory promises
        if moved * (moved / before if before else lost / supply) < tolerance:
            break
        before = moved
    return RowDrop(shared.current, shared.node + shared.current * shared.loaded, shared.loaded + column)
