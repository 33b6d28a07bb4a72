"""Compiled life of a passive array under bias: all cells move together, each under its own voltage.

Steps are taken in state, not in time: a step ends when the first cell has moved by ``STRIDE``, and between steps
every cell follows the closed form of a rate that slows exponentially with the distance moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit

from ..device_models.graded.kernel import age, fastest, freshen, hazard, move, relax, turn
from ..device_models.graded.kinetics import amplitude, bend, braking, distance_moved, forward, time_to_move
from ..device_models.graded.types import HEALTHY, Cell, Floats, Law
from .drive import UNUSED
from .factors import end_node, thevenin_ohms
from .network import bridge_amps, solve_network

STRIDE = 0.02  # |Δs| per step
_TINY = 1e-3  # moves of a step below this change no current worth a new solution
_STILL = 1e-9  # |Δs| of a whole call that counts as nothing
_MOVE_VOLTS = 1e-6  # accuracy of node voltages while cells move
_LEAST_SELECTED = 0.3  # below this many volts nothing counts as a pulse


@njit(cache=True, error_model="numpy")
def show(law: Law, cell: Cell, net: Any, k: int) -> None:
    """Tell the network what a cell has become."""
    b = bend(cell)
    net.bend[k] = b
    net.amp[k] = amplitude(law, cell.g, b)
    net.series[k] = cell.rs


@njit(cache=True, error_model="numpy")
def show_all(laws: Sequence[Law], cells: Sequence[Cell], net: Any) -> None:
    """Tell the network what all cells are."""
    for k in range(len(cells)):
        show(laws[0], cells[k], net, k)
    net.fresh[0] = 0


@njit(cache=True, error_model="numpy")
def relax_all(laws: Sequence[Law], cells: Sequence[Cell], net: Any, now: float) -> None:
    """Let all cells relax up to ``now`` [s] and tell the network what they are."""
    for k in range(len(cells)):
        if relax(laws[0], cells[k], now):
            show(laws[0], cells[k], net, k)


@njit(cache=True, error_model="numpy")
def _span(drive: Any) -> float:
    """Return the largest voltage [V] any cell can see: no potential leaves the range of the sources and ground."""
    low = 0.0
    high = 0.0
    for s in range(drive.kind.size):
        if drive.kind[s] != UNUSED:
            low = min(low, drive.volts[s])
            high = max(high, drive.volts[s])
    return high - low


@njit(cache=True, error_model="numpy")
def _caps(drive: Any) -> None:
    """Put in force the limits of all sources that are not late."""
    for s in range(drive.kind.size):
        waiting = drive.delay[s] > 0.0 and drive.engaged[s] == 0
        drive.cap[s] = np.inf if waiting else drive.limit[s]


@njit(cache=True, error_model="numpy")
def _watch_limits(drive: Any, longest: float, together: int) -> float:
    """Start and stop the delays of exceeded limits; return how long [s] nothing changes by itself.

    Of ``together`` repetitions taken at once every one would have had its own delay.
    """
    for s in range(drive.kind.size):
        if drive.delay[s] <= 0.0 or drive.kind[s] == UNUSED:
            continue
        if drive.engaged[s] == 1:
            if drive.limited[s] == 0:
                drive.engaged[s] = 0
                drive.late[s] = 0.0
        elif abs(drive.emitted[s]) > drive.limit[s]:
            if drive.late[s] <= 0.0:
                drive.late[s] = drive.delay[s] * together
            longest = min(longest, drive.late[s])
        else:
            drive.late[s] = 0.0
    return longest


@njit(cache=True, error_model="numpy")
def _pass_delays(drive: Any, seconds: float) -> None:
    for s in range(drive.kind.size):
        if drive.late[s] > 0.0:
            drive.late[s] -= seconds
            if drive.late[s] <= 1e-15:
                drive.late[s] = 0.0
                drive.engaged[s] = 1


@njit(cache=True, error_model="numpy")
def _live(
    law: Law,
    cells: Sequence[Cell],
    net: Any,
    drive: Any,
    seconds: float,
    together: int,
    pulsed: bool,
    rates: Floats,
    brakes: Floats,
) -> None:
    """Let ``seconds`` [s] pass under the voltages in ``drive``, the sum of ``together`` repetitions.

    If ``pulsed``, they are booked on the cells that see most of the largest voltage.
    """
    nodes = np.empty(net.volts.size)
    terminals = np.empty(drive.kind.size)
    left = seconds
    while left > 0.0:
        _caps(drive)
        solve_network(net, drive, _MOVE_VOLTS)
        h = _watch_limits(drive, left, together)
        if pulsed:
            _book(cells, net, together)
            pulsed = False
        for k in range(len(cells)):
            cell = cells[k]
            rates[k] = 0.0
            brakes[k] = 0.0
            if cell.kind != HEALTHY:
                continue
            vc = net.inner[k]
            rate = forward(law, cell, vc)
            if rate != 0.0 and turn(law, cell, 1 if rate > 0.0 else -1, min(abs(rate) * h, STRIDE)):
                rate = forward(law, cell, vc)
            rates[k] = rate
        for k in range(len(cells)):
            if abs(rates[k]) * h > _TINY:
                cell = cells[k]
                ohms = thevenin_ohms(net, drive, k, nodes, terminals) + cell.rs
                slope = net.slope[k] / max(1.0 - cell.rs * net.slope[k], 1e-9)
                brakes[k] = braking(law, cell, net.inner[k], net.amps[k], slope, ohms)
                h = min(h, time_to_move(rates[k], brakes[k], STRIDE))
        for k in range(len(cells)):
            cell = cells[k]
            if cell.kind != HEALTHY:
                continue
            stress = hazard(law, net.inner[k], net.amps[k]) * h
            if rates[k] != 0.0:
                move(law, cell, 1 if rates[k] > 0.0 else -1, distance_moved(rates[k], brakes[k], h))
            if stress > 0.0:
                age(law, cell, stress)
            if rates[k] != 0.0 or stress > 0.0:
                show(law, cell, net, k)
        _pass_delays(drive, h)
        left -= h
        if left <= 1e-15 * seconds:
            break


@njit(cache=True, error_model="numpy")
def _book(cells: Sequence[Cell], net: Any, count: int) -> None:
    """Count pulses on the cells that see more than three quarters of the largest voltage."""
    least = max(0.75 * np.abs(net.inner).max(), _LEAST_SELECTED)
    for k in range(len(cells)):
        if abs(net.inner[k]) > least:
            cells[k].pulses += count


@njit(cache=True, error_model="numpy")
def live_through(
    laws: Sequence[Law],
    cells: Sequence[Cell],
    net: Any,
    drive: Any,
    volts: Floats,
    seconds: Floats,
    repeats: int,
    pulsed: bool,
    now: float,
    end: float,
) -> None:
    """Play ``repeats`` times the segments ``volts`` [segments, sources] of ``seconds`` [segments] each.

    Cells relax up to ``now`` [s] before; whoever moves relaxes anew from ``end`` [s] on.

    Repetitions in which hardly anything moves are taken together, their motion added, their noise in variance.
    """
    law = laws[0]
    relax_all(laws, cells, net, now)
    before = np.empty(len(cells))
    for k in range(len(cells)):
        before[k] = cells[k].s
    rates = np.empty(len(cells))
    brakes = np.empty(len(cells))
    active = np.empty(seconds.size, np.int64)
    dead = np.empty(seconds.size, np.int64)
    last = np.nan
    speed = 0.0
    for j in range(seconds.size):
        drive.volts[:] = volts[j]
        span = _span(drive)
        if span != last:
            last = span
            speed = fastest(law, cells, span) if span > 0.0 else 0.0
        dead[j] = span == 0.0
        active[j] = speed * seconds[j] * repeats > _STILL
    left = repeats
    lump = 1
    while left > 0:
        n = min(lump, left)
        for k in range(len(cells)):
            cells[k].path = 0.0
        for j in range(seconds.size):
            if active[j] == 0:
                if dead[j] == 1:
                    # Nothing flows: the next limit to be exceeded comes late again.
                    drive.engaged[:] = 0
                    drive.late[:] = 0.0
                continue
            drive.volts[:] = volts[j]
            _live(law, cells, net, drive, seconds[j] * n, n, pulsed, rates, brakes)
        left -= n
        most = 0.0
        for k in range(len(cells)):
            most = max(most, cells[k].path)
        lump = left
        if most * left > 0.5 * STRIDE * n:
            lump = max(1, int(min(0.5 * STRIDE * n / most, 100.0 * n)))
    for k in range(len(cells)):
        freshen(law, cells[k], abs(cells[k].s - before[k]), end)


@njit(cache=True, error_model="numpy")
def report(
    laws: Sequence[Law],
    cells: Sequence[Cell],
    net: Any,
    drive: Any,
    now: float,
    factors: Floats,
    tolerance: float,
    pads: Floats,
    amps: Floats,
    terminals: Floats,
    delivered: Floats,
    volts: Floats,
) -> None:
    """Solve for the state at ``now`` [s], every cell's conductance times ``factors``, and fill what a bench can see.

    Currents of lines are the sums of their cells': they add up to nothing, and none is a small difference of large
    potentials.
    """
    relax_all(laws, cells, net, now)
    quiet = net.amp.copy()
    for k in range(factors.size):
        net.amp[k] *= factors[k]
    solve_network(net, drive, tolerance)
    net.amp[:] = quiet
    amps[:] = 0.0
    delivered[:] = 0.0
    for i in range(net.rows):
        for j in range(net.cols):
            k = i * net.cols + j
            amps[i] += net.amps[k]
            amps[net.rows + j] -= net.amps[k]
            volts[i, j] = net.volts[2 * k] - net.volts[2 * k + 1]
            x = net.leak[k] * volts[i, j]
            amps[i] += x
            amps[net.rows + j] -= x
    for line in range(amps.size):
        if net.bridge[line] > 0.0:
            x = bridge_amps(net, line)
            amps[line] += x
            amps[line + 1] -= x
    for line in range(amps.size):
        ohms = net.lead[line] + (net.row_ohm if line < net.rows else net.col_ohm)
        pads[line] = net.volts[end_node(net.rows, net.cols, line)] + ohms * amps[line]
        if drive.source[line] >= 0:
            delivered[drive.source[line]] += amps[line]
    for s in range(delivered.size):
        terminals[s] = drive.volts[s] - drive.ohms[s] * delivered[s]
    for line in range(amps.size):
        s = drive.source[line]
        if s < 0:
            continue
        if drive.limited[s] == 1:
            terminals[s] = pads[line] + drive.line_ohms[line] * amps[line]
        else:
            # From outside: behind an open lead the rounding of a current is volts.
            pads[line] = terminals[s] - drive.line_ohms[line] * amps[line]
