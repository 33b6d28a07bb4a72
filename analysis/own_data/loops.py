"""Loops out of a recorded trace: where one begins, averages of many, and offsets of the channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...common.errors import RefusedError

if TYPE_CHECKING:
    from ..estimates.estimates import Floats
    from ..measured_data.measured import Measured

BLOCKS = 10
"""Averages that are made of the periods of a trace: enough to see whether they agree."""
POINTS_MIN = 3
LOBE_MIN = 0.1
"""A half-loop below this share of the largest voltage is noise about zero."""


@dataclass(frozen=True, kw_only=True)
class Loops:
    """Loops of several cells.

    Attributes
    ----------
    volts, current : array [cells, loops, points] [V], [A]
        NaN where a cell has fewer loops; a loop with fewer points stays at its last one.
    cells : array [cells]
        Their numbers in the measurement.
    averaged : int
        Periods in each loop; 1 where nothing was averaged.
    offsets : array [cells, 2] [V], [A]
        What was taken off the applied voltage and off the current; 0 where nothing was.
    """

    volts: Floats
    current: Floats
    cells: NDArray[Any]
    averaged: int = 1
    offsets: Floats


def loops_of(measured: Measured) -> Loops:
    """Return the loops of an ``iv_sweep``, each 0 → one peak → 0 → the other peak → 0.

    A periodic trace (a ``period``, and time for several of them) is cut where the applied voltage rises through zero,
    and its periods are averaged in ``BLOCKS`` blocks. Another one is cut where the voltage comes back to the sign it
    began with, unless loops are told apart by a column.
    """
    table: Any = measured.table
    protocol = measured.protocol
    period = getattr(protocol, "period", None)
    drop = getattr(protocol, "current_in", "A") != "A"
    cells = np.asarray(table["cell"].unique())
    if period is not None and "time" in table:
        folded = [_folded(table[table["cell"] == cell], period, drop, f"{measured.id}: cell {cell}") for cell in cells]
        blocks = min(len(one[0]) for one in folded)
        size = max(1, blocks // BLOCKS)
        count = max(1, blocks // size)
        shape = (count, size, -1)
        v = np.stack([volts[: count * size].reshape(shape).mean(axis=1) for volts, _, _ in folded])
        i = np.stack([current[: count * size].reshape(shape).mean(axis=1) for _, current, _ in folded])
        offsets = np.array([one[2] for one in folded])
        return Loops(volts=v, current=i, cells=cells, averaged=size, offsets=offsets)
    found = [_split(table[table["cell"] == cell]) for cell in cells]
    for cell, one in zip(cells, found, strict=True):
        if not one:
            raise RefusedError(f"{measured.id}: cell {cell} has no loop: {POINTS_MIN} points in a row are the least")
    loops = max(len(one) for one in found)
    points = max(len(volts) for one in found for volts, _ in one)
    v, i = np.full((2, len(cells), loops, points), np.nan)
    for c, one in enumerate(found):
        for k, (volts, current) in enumerate(one):
            v[c, k, : len(volts)], i[c, k, : len(volts)] = volts, current
            v[c, k, len(volts) :], i[c, k, len(volts) :] = volts[-1], current[-1]
    return Loops(volts=v, current=i, cells=cells, offsets=np.zeros((len(cells), 2)))


def _split(one: Any) -> list[tuple[Floats, Floats]]:
    """Return the loops of a cell: by their numbers, or where the voltage comes back to its first sign."""
    volts, current = one["volts"].to_numpy(np.float64), one["current"].to_numpy(np.float64)
    number = one["loop"].to_numpy()
    numbered = len(np.unique(number)) > 1
    edges = np.flatnonzero(np.diff(number) != 0) + 1 if numbered else _returns(volts)
    return [
        (v, i) for v, i in zip(np.split(volts, edges), np.split(current, edges), strict=True) if len(v) >= POINTS_MIN
    ]


def _returns(volts: Floats) -> NDArray[np.intp]:
    """Return where loops begin after the first, in a trace that goes round and round."""
    small = LOBE_MIN * float(np.max(np.abs(volts), initial=0.0))
    sign = np.where(np.abs(volts) > small, np.sign(volts), 0.0)
    clear = np.flatnonzero(sign)
    if not clear.size:
        return np.empty(0, np.intp)
    turns = clear[np.append(True, np.diff(sign[clear]) != 0.0)]
    starts = [place for place in turns if sign[place] == sign[turns[0]]][1:]
    both = len(set(sign[turns])) == 2
    if not both:  # one polarity: a loop ends where it is back near zero
        low = np.flatnonzero(sign == 0.0)
        starts = [int(clear[k]) for k in np.flatnonzero(np.diff(clear) > 1) + 1 if low.size]
    edges: list[int] = []
    for place in starts:
        at = int(place)
        while at > 0 and np.sign(volts[at - 1]) == np.sign(volts[place]):
            at -= 1
        edges.append(at)
    return np.asarray(edges, np.intp)


def _folded(one: Any, period: float, drop: bool, where: str) -> tuple[Floats, Floats, tuple[float, float]]:
    """Return the whole periods of a trace [periods, points], and the offsets that were taken off."""
    time, volts, current = (one[name].to_numpy(np.float64) for name in ("time", "volts", "current"))
    applied = volts + current if drop else volts
    points = round(period / float(np.median(np.diff(time))))
    if points < 8:
        raise RefusedError(f"{where}: {points} points in a period of {period:.3g} s: too few for a loop")
    turn = np.exp(-2j * np.pi * (time - time[0]) / period)
    whole = time - time[0] < np.floor((time[-1] - time[0]) / period) * period
    if not whole.any():
        raise RefusedError(
            f"{where}: the trace of {time[-1] - time[0]:.3g} s is shorter than its period, {period:.3g} s"
        )
    # A wave a·sin(2π(t − t0)/T) has the Fourier coefficient a/2i·exp(−2πi·t0/T).
    share = (-np.angle((applied * turn)[whole].sum()) / (2.0 * np.pi) - 0.25) % 1.0
    start = time[0] + share * period
    count = int((time[-1] - start) / period + 1e-9)
    if count < 1:
        raise RefusedError(f"{where}: no whole period of {period:.3g} s in the trace")
    grid = start + period * (np.arange(count)[:, None] + np.arange(points) / points)
    u, i = np.interp(grid, time, applied), np.interp(grid, time, current)
    zero_volts = float(u.mean()) if drop else 0.0
    u = u - zero_volts
    zero_current = _at_zero(u.mean(axis=0), i.mean(axis=0))
    i = i - zero_current
    return (u - i if drop else u), i, (zero_volts, zero_current)


def _at_zero(volts: Floats, current: Floats) -> float:
    """Return the current where the voltage goes through zero, mean of both ways: what flows then is no current."""
    v, i = np.append(volts, volts[0]), np.append(current, current[0])
    crossings = np.flatnonzero(np.sign(v[:-1]) * np.sign(v[1:]) <= 0.0)
    found: dict[bool, list[float]] = {True: [], False: []}
    for k in crossings:
        step = v[k + 1] - v[k]
        if step != 0.0:
            found[bool(step > 0.0)].append(float(i[k] - v[k] / step * (i[k + 1] - i[k])))
    ways = [float(np.mean(values)) for values in found.values() if values]
    return float(np.mean(ways)) if ways else 0.0
