"""Trains of equal pulses, up and then down, out of readings in the order they were made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..measurements.pulse_response import Trains

if TYPE_CHECKING:
    from ..estimates.estimates import Floats

EQUAL = 0.02
POINTS_MIN = 3


def trains_of(table: Any) -> tuple[Trains | None, str]:
    """Return the trains of all cells, or None and why there are none.

    A reading at 0 V before the first pulse is where the first train begins; without one every train begins with the
    reading after its first pulse.

    Parameters
    ----------
    table : DataFrame
        Of a ``pulse_train``.
    """
    cells: list[list[tuple[Floats, Floats]]] = []
    first_reads = True
    for _, one in table.groupby("cell", sort=False):
        volts = one["volts"].to_numpy(np.float64)
        g, count = one["conductance"].to_numpy(np.float64), one["count"].to_numpy(np.float64)
        if not (volts > 0.0).any() or not (volts < 0.0).any():
            return None, "the pulses are of one polarity"
        first_reads = first_reads and volts[0] == 0.0
        begin = 1 if volts[0] == 0.0 else 0
        # A reading at 0 V in between belongs to the train before it.
        sign = np.sign(volts)
        for k in range(1, len(sign)):
            sign[k] = sign[k] or sign[k - 1]
        edges = begin + np.flatnonzero(np.diff(sign[begin:]) != 0.0) + 1
        runs = [
            (volts[a:b], count[a:b], g[a:b], g[a - 1] if a else np.nan)
            for a, b in zip([begin, *edges], [*edges, len(volts)], strict=True)
        ]
        if runs[0][0][0] < 0.0:
            runs = runs[1:]
        runs = runs[: len(runs) // 2 * 2]
        if not runs:
            return None, "no train of positive pulses is followed by one of negative pulses"
        for size, *_ in runs:
            given = np.abs(size[size != 0.0])
            if np.ptp(given) > EQUAL * given.max():
                return None, "the amplitude changes from pulse to pulse"
        cells.append([(np.append(0.0, np.cumsum(n)), np.append(before, after)) for _, n, after, before in runs])
    counts = {len(runs) for runs in cells}
    cycles = min(counts) // 2
    shape = {tuple(pulses) for runs in cells for pulses, _ in runs[: 2 * cycles]}
    if len(shape) > 1:
        return None, "the trains differ in length"
    pulses = np.asarray(next(iter(shape)))
    g = np.array([[[runs[2 * k + way][1] for way in (0, 1)] for k in range(cycles)] for runs in cells])
    if not first_reads:
        pulses, g = pulses[1:] - pulses[1], g[..., 1:]
    if pulses.size < POINTS_MIN:
        return None, f"a train has {pulses.size} readings"
    return Trains(pulses=np.round(pulses).astype(np.int64), conductance=g), ""
