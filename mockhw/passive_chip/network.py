"""The nonlinear network of a passive crossbar: lines, cells, sources, floating lines and sneak paths.

Every crosspoint is two nodes, one on its row and one on its column, joined by the cell. Rows reach their pad
at column 0, columns at the last row, with one wire segment on the edge side of every cell (the geometry of
:mod:`.crossbar_network`). Cells conduct I = A·sinh(b·x), x + Rs·I = V. Newton's method on the nodes; the factors of
its matrix (:mod:`.passive_factors`) serve on while they still bring the solution closer.

Since every element's current grows with its voltage, the solution minimises a convex function, and the slope of that
function along a step tells a step that is too long.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from ..device_models.graded.types import BUILD, Floats, Integers
from .drive import LEAST_OHMS, OWN, SHARED, STIFF, UNUSED
from .factors import LEAK, end_node, factorise, respond

_REUSE = 0.25  # factors are renewed when a step leaves more than this share of the slope
_TRUST = 1e-4  # steps [V] below this are taken without a look at the slope
_ROUNDING = 1e-15
_MOST = 200
# The name of the build in the type of every network keeps stale machine code out (see graded_types).
_WORK = np.dtype([("factors", "i8"), ("steps", "i8"), (BUILD, "i8")])


class Network(NamedTuple):
    """Cells and wires of one array, with the present solution; arrays are per cell or per node.

    Node 2·cell is a cell's row node, 2·cell + 1 its column node; cells are counted row-major.
    """

    rows: int
    cols: int
    row_ohm: float  # per segment
    col_ohm: float
    lead: Floats  # [lines] between pad and first segment [Ω]
    bridge: Floats  # [lines] to the next line of the same side, at the end near the pads [S]
    leak: Floats  # beside each cell [S]
    amp: Floats  # A [A]
    bend: Floats  # b [1/V]
    series: Floats  # Rs [Ω]
    volts: Floats  # of the nodes [V]
    inner: Floats  # x [V]
    amps: Floats  # I [A]
    slope: Floats  # dI/dV [S] of cell and series resistance
    band: Floats  # [nodes, 2·cols + 1] factors
    residual: Floats
    step: Floats
    fresh: Integers  # [1] whether ``band`` holds usable factors
    work: Any  # [1] record: ``factors`` and ``steps`` so far


def make_network(rows: int, cols: int, row_ohm: float, col_ohm: float) -> Network:
    """Return an array of open cells with ``row_ohm`` and ``col_ohm`` [Ω] per wire segment."""
    cells, nodes = rows * cols, 2 * rows * cols
    return Network(
        rows, cols, max(float(row_ohm), LEAST_OHMS), max(float(col_ohm), LEAST_OHMS),
        np.zeros(rows + cols), np.zeros(rows + cols), np.zeros(cells),
        np.zeros(cells), np.ones(cells), np.zeros(cells), np.zeros(nodes), np.zeros(cells), np.zeros(cells),
        np.zeros(cells), np.zeros((nodes, 2 * cols + 1)), np.zeros(nodes), np.zeros(nodes), np.zeros(1, np.int64),
        np.zeros(1, _WORK),
    )  # fmt: skip


@njit(cache=True, error_model="numpy")
def _conduct(net: Any) -> None:
    """Find inner voltage, current and slope of every cell at the present node voltages."""
    for k in range(net.amp.size):
        v = net.volts[2 * k] - net.volts[2 * k + 1]
        a, b, rs = net.amp[k], net.bend[k], net.series[k]
        z = rs * a
        x = net.inner[k] + (v - net.inner[k] - rs * net.amps[k]) * (1.0 - rs * net.slope[k])
        most = abs(v)
        if b * most > 6.0:
            # Beyond here a step of Newton's could overflow; the root lies below both of these.
            most = min(most, math.log(2.0 * most / z + 1.0) / b)
        x = min(max(x, -most), most)
        current = 0.0
        steep = 0.0
        for _ in range(60):
            up = math.exp(b * x)
            down = 1.0 / up
            current = 0.5 * a * (up - down)
            steep = 0.5 * a * b * (up + down)
            dx = (v - x - rs * current) / (1.0 + rs * steep)
            x = min(max(x + dx, -most), most)
            current += steep * dx
            if abs(dx) < 1e-6:
                break
        net.inner[k] = x
        net.amps[k] = current
        net.slope[k] = steep / (1.0 + rs * steep)


@njit(cache=True, error_model="numpy")
def bridge_amps(net: Any, line: int) -> float:
    """Return the current [A] from a line to the next one of its side."""
    rows, cols = net.rows, net.cols
    return net.bridge[line] * (net.volts[end_node(rows, cols, line)] - net.volts[end_node(rows, cols, line + 1)])


@njit(cache=True, error_model="numpy")
def _balance(net: Any, drive: Any) -> None:
    """Fill the residuals: the current that leaves each node too much, and each shared terminal."""
    _conduct(net)
    rows, cols, v, res = net.rows, net.cols, net.volts, net.residual
    gr, gc = 1.0 / net.row_ohm, 1.0 / net.col_ohm
    for k in range(net.amp.size):
        x = net.amps[k] + net.leak[k] * (v[2 * k] - v[2 * k + 1])
        res[2 * k] = x + LEAK * v[2 * k]
        res[2 * k + 1] = LEAK * v[2 * k + 1] - x
    for i in range(rows):
        for j in range(cols):
            n = 2 * (i * cols + j)
            if j + 1 < cols:
                x = (v[n] - v[n + 2]) * gr
                res[n] += x
                res[n + 2] -= x
            if i + 1 < rows:
                x = (v[n + 1] - v[n + 1 + 2 * cols]) * gc
                res[n + 1] += x
                res[n + 1 + 2 * cols] -= x
    drive.emitted[:] = 0.0
    for line in range(rows + cols):
        n = end_node(rows, cols, line)
        if net.bridge[line] > 0.0:
            x = bridge_amps(net, line)
            res[n] += x
            res[end_node(rows, cols, line + 1)] -= x
        s = drive.source[line]
        if s < 0:
            continue
        kind = drive.kind[s]
        force = drive.terminal[s] if kind == SHARED else drive.volts[s]
        x = (force - v[n]) / drive.tie[line]
        if kind == OWN:
            cap = drive.cap[s]
            drive.limited[s] = abs(x) > cap
            drive.slope[s] = 0.0 if abs(x) > cap else 1.0 / drive.tie[line]
            x = min(max(x, -cap), cap)
        drive.emitted[s] += x
        res[n] -= x
    for s in range(drive.kind.size):
        if drive.kind[s] in (STIFF, UNUSED):
            drive.limited[s] = 0
        if drive.kind[s] == SHARED:
            ohms, cap = max(drive.ohms[s], LEAST_OHMS), drive.cap[s]
            x = (drive.volts[s] - drive.terminal[s]) / ohms
            drive.limited[s] = abs(x) > cap
            drive.slope[s] = 0.0 if abs(x) > cap else 1.0 / ohms
            drive.excess[s] = drive.emitted[s] - min(max(x, -cap), cap)


@njit(cache=True, error_model="numpy")
def _slope_along(net: Any, drive: Any) -> float:
    total = 0.0
    for n in range(net.step.size):
        total += net.step[n] * net.residual[n]
    for s in range(drive.kind.size):
        if drive.kind[s] == SHARED:
            total += drive.shift[s] * drive.excess[s]
    return total


@njit(cache=True, error_model="numpy")
def _at_rounding(net: Any, drive: Any) -> bool:
    """Tell whether the residuals are no more than the rounding of the wires' currents.

    Between current sources that fight, nothing but the leak holds the potential and steps never become small.
    """
    floor = _ROUNDING * np.abs(net.volts).max() / min(net.row_ohm, net.col_ohm)
    worst = np.abs(net.residual).max()
    for s in range(drive.kind.size):
        if drive.kind[s] == SHARED:
            worst = max(worst, abs(drive.excess[s]))
    return worst <= floor


@njit(cache=True, error_model="numpy")
def _advance(net: Any, drive: Any, part: float) -> None:
    for n in range(net.step.size):
        net.volts[n] += part * net.step[n]
    for s in range(drive.kind.size):
        if drive.kind[s] == SHARED:
            drive.terminal[s] += part * drive.shift[s]


@njit(cache=True, error_model="numpy")
def _aim(net: Any, drive: Any) -> float:
    """Find the step that balances the linearised network; return the largest move of a node [V]."""
    net.work[0].steps += 1
    for n in range(net.step.size):
        net.step[n] = -net.residual[n]
    for s in range(drive.kind.size):
        drive.shift[s] = -drive.excess[s] if drive.kind[s] == SHARED else 0.0
    respond(net, drive, net.step, drive.shift)
    return float(np.abs(net.step).max())


@njit(cache=True, error_model="numpy")
def _reach(net: Any, drive: Any) -> float:
    """Return the longest step [V] that makes sense: no potential ends outside the range of sources and ground."""
    low = min(0.0, net.volts.min())
    high = max(0.0, net.volts.max())
    for s in range(drive.kind.size):
        if drive.kind[s] != UNUSED:
            low = min(low, drive.volts[s])
            high = max(high, drive.volts[s])
    return max(high - low, _TRUST)


@njit(cache=True, error_model="numpy")
def solve_network(net: Any, drive: Any, tolerance: float) -> bool:
    """Bring the network to balance, starting from its last solution; return whether it got there.

    Parameters
    ----------
    net : Network
    drive : Drive
        After :func:`~.passive_drive.tie_lines`; ``cap`` holds the limits in force.
    tolerance : float [V]
        Largest node voltage still to be corrected.
    """
    reach = _reach(net, drive)
    _balance(net, drive)
    done = False
    for _ in range(_MOST):
        if net.fresh[0] == 1:
            for s in range(drive.kind.size):
                if drive.known[s] != drive.limited[s]:
                    net.fresh[0] = 0
        young = net.fresh[0] == 0
        if young:
            factorise(net, drive, False)
        largest = _aim(net, drive)
        soft = largest > reach and drive.limited.any()
        if soft:
            factorise(net, drive, True)
            net.fresh[0] = 0
            largest = _aim(net, drive)
        before = _slope_along(net, drive)
        part = reach / largest if largest > reach else 1.0
        _advance(net, drive, part)
        _balance(net, drive)
        after = _slope_along(net, drive)
        if largest > _TRUST:
            for _ in range(50):
                if after <= 0.5 * abs(before):
                    break
                # The slope has turned: the least lies between here and the start.
                shorter = part * min(max(before / (before - after), 0.02), 0.7)
                _advance(net, drive, shorter - part)
                part = shorter
                _balance(net, drive)
                after = _slope_along(net, drive)
            if abs(after) > _REUSE * abs(before) or part < 1.0 or soft:
                net.fresh[0] = 0
                continue
        ratio = abs(after) / (abs(before) + 1e-300)
        # A small step of stale factors proves nothing unless it also brought most of the way.
        proven = (young or ratio < _REUSE) and largest * min(1.0, ratio) < tolerance
        if proven or largest < 1e-13 or _at_rounding(net, drive):
            done = True
            break
        if ratio > _REUSE:
            net.fresh[0] = 0
    return done
