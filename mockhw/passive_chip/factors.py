"""The linearised network of a passive crossbar: its matrix of slopes, factors, and answers.

Row and column nodes are interleaved, so that the matrix is banded with half-bandwidth 2·cols. It is symmetric and
positive definite: no pivots are needed. Terminals shared by several lines border it and are eliminated last.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from ..device_models.graded.types import Floats
from .drive import OWN, SHARED

LEAK = 1e-13
"""Conductance [S] from every node to ground that fixes the potential of floating lines."""


@njit(cache=True, error_model="numpy")
def end_node(rows: int, cols: int, line: int) -> int:
    """Return the node of a line that is nearest to its pad."""
    if line < rows:
        return 2 * line * cols
    return 2 * ((rows - 1) * cols + line - rows) + 1


@njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _backsolve(band: Floats, x: Floats) -> None:
    n, width = band.shape[0], band.shape[1]
    for j in range(n):
        m = min(width, n - j)
        f = x[j]
        if f != 0.0:
            for d in range(1, m):
                x[j + d] -= band[j, d] * f
    for j in range(n - 1, -1, -1):
        m = min(width, n - j)
        total = 0.0
        for d in range(1, m):
            total += band[j, d] * x[j + d]
        x[j] = x[j] / band[j, 0] - total


@njit(cache=True, error_model="numpy")
def _source_slope(drive: Any, s: int, volts: float, soft: bool) -> float:
    """Return the slope [S] of a source's characteristic at ``volts`` [V], or of its chord where it limits."""
    if soft and drive.limited[s] == 1:
        return drive.cap[s] / max(abs(drive.volts[s] - volts), 1e-12)
    return drive.slope[s]


@njit(cache=True, error_model="numpy")
def factorise(net: Any, drive: Any, soft: bool) -> None:
    """Set up the matrix of slopes and factorise it, L·D·Lᵀ in place, with the responses to shared terminals.

    With ``soft``, sources in limit count with the chord from their open-circuit voltage. Where nothing but sources in
    limit holds a potential, their own slopes are none and a step would lead anywhere.
    """
    rows, cols, band = net.rows, net.cols, net.band
    gr, gc = 1.0 / net.row_ohm, 1.0 / net.col_ohm
    n = band.shape[0]
    width = band.shape[1]
    band[:, :] = 0.0
    for i in range(rows):
        for j in range(cols):
            k = i * cols + j
            p = 2 * k
            g = net.slope[k] + net.leak[k]
            band[p, 0] += g + LEAK
            band[p + 1, 0] += g + LEAK
            band[p, 1] -= g
            if j + 1 < cols:
                band[p, 0] += gr
                band[p + 2, 0] += gr
                band[p, 2] -= gr
            if i + 1 < rows:
                band[p + 1, 0] += gc
                band[p + 1 + 2 * cols, 0] += gc
                band[p + 1, 2 * cols] -= gc
    for line in range(rows + cols):
        p = end_node(rows, cols, line)
        g = net.bridge[line]
        if g > 0.0:
            # The next line's end is in reach of the band: 2·cols on for rows, 2 for columns.
            q = end_node(rows, cols, line + 1)
            band[p, 0] += g
            band[q, 0] += g
            band[p, q - p] -= g
        s = drive.source[line]
        if s >= 0:
            own = drive.kind[s] == OWN
            band[p, 0] += _source_slope(drive, s, net.volts[p], soft) if own else 1.0 / drive.tie[line]
    for j in range(n):
        band[j, 0] = max(band[j, 0], 0.01 * LEAK)
        inverse = 1.0 / band[j, 0]
        m = min(width, n - j)
        for d in range(1, m):
            f = band[j, d]
            if f == 0.0:
                continue
            f *= inverse
            for e in range(m - d):
                band[j + d, e] -= f * band[j, d + e]
        for d in range(1, m):
            band[j, d] *= inverse
    for s in range(drive.kind.size):
        drive.known[s] = drive.limited[s]
        if drive.kind[s] == SHARED:
            column = drive.columns[s]
            column[:] = 0.0
            for line in range(rows + cols):
                if drive.source[line] == s:
                    column[end_node(rows, cols, line)] = 1.0 / drive.tie[line]
            _backsolve(band, column)
    for s in range(drive.kind.size):
        if drive.kind[s] == SHARED:
            for t in range(drive.kind.size):
                drive.small[s, t] = 0.0
            drive.small[s, s] = _source_slope(drive, s, drive.terminal[s], soft) + LEAK
            for line in range(rows + cols):
                if drive.source[line] == s:
                    g = 1.0 / drive.tie[line]
                    drive.small[s, s] += g
                    for t in range(drive.kind.size):
                        if drive.kind[t] == SHARED:
                            drive.small[s, t] -= g * drive.columns[t, end_node(rows, cols, line)]
    net.fresh[0] = 1
    net.work[0].factors += 1


@njit(cache=True, error_model="numpy")
def respond(net: Any, drive: Any, x: Floats, y: Floats) -> None:
    """Solve the linearised network: currents in, voltages out, of the nodes ``x`` and the shared terminals ``y``."""
    _backsolve(net.band, x)
    count = drive.kind.size
    shared = 0
    for s in range(count):
        if drive.kind[s] == SHARED:
            shared += 1
            for line in range(net.rows + net.cols):
                if drive.source[line] == s:
                    y[s] += x[end_node(net.rows, net.cols, line)] / drive.tie[line]
    if shared == 0:
        return
    matrix = drive.small.copy()
    for s in range(count):
        if drive.kind[s] != SHARED:
            matrix[s, s] = 1.0
            y[s] = 0.0
    for s in range(count):
        inverse = 1.0 / matrix[s, s]
        for t in range(s + 1, count):
            f = matrix[t, s] * inverse
            if f != 0.0:
                for u in range(s, count):
                    matrix[t, u] -= f * matrix[s, u]
                y[t] -= f * y[s]
    for s in range(count - 1, -1, -1):
        for u in range(s + 1, count):
            y[s] -= matrix[s, u] * y[u]
        y[s] /= matrix[s, s]
    for s in range(count):
        if drive.kind[s] == SHARED:
            for n in range(x.size):
                x[n] += y[s] * drive.columns[s, n]


@njit(cache=True, error_model="numpy")
def thevenin_ohms(net: Any, drive: Any, cell: int, x: Floats, y: Floats) -> float:
    """Return the resistance [Ω] a cell sees, all others held at their present slopes; ``x``, ``y`` are scratch."""
    x[:] = 0.0
    y[:] = 0.0
    x[2 * cell] = 1.0
    x[2 * cell + 1] = -1.0
    respond(net, drive, x, y)
    loaded = x[2 * cell] - x[2 * cell + 1]
    return loaded / max(1.0 - net.slope[cell] * loaded, 1e-9)
