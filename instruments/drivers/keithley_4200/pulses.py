"""What a pulse card is told for a train, a waveform and a pulsed sweep, and the numbers it can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ....common.errors import RefusedError
from ...capabilities import FloatArray

CHANNELS = (1, 2)
GRID = 1e-8
"""Times are multiples of this [s]."""
SEGMENT_MIN, SEGMENT_MAX = 20e-9, 1.0
EDGE_MIN, EDGE_MAX = 20e-9, 1e-3
VOLTS_MAX, VOLTS_MIN = 10.0, 1e-3
STEP = 250e-6  # of the 10 V range, from memory
BURST_MAX = 10_000
SEGMENTS_MAX = 100  # of one message, ours
BLOCK_MAX = 2048
POINTS_MAX = 65_536
LOAD = 1e6
"""What the card is told of the load [Ω]: an open end, so that its level is that without current."""
RANGES = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.2)
SETTLING = (134e-6, 20e-6, 8e-6, 1.1e-6, 370e-9, 160e-9, 130e-9)
"""Shortest time from a step to a reading, by range [s]: from memory of the data sheet's shortest pulses."""

Measure = Literal["spot", "waveform"]


@dataclass(frozen=True, slots=True)
class Train:
    """What was commanded after quantisation.

    ``first``, ``second`` [V] on channels 1 and 2, ``width``, ``edge``, ``period`` [s], ``count`` pulses, ``seconds`` in
    all [s].
    """

    first: float
    second: float
    width: float
    edge: float
    period: float
    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class PulseData:
    """What a channel measured.

    Attributes
    ----------
    volts, current, seconds : arrays [points] V, A, s
        Times count from the beginning of the test.
    status : array [points]
        The card's own status words, as they came.
    """

    volts: FloatArray
    current: FloatArray
    seconds: FloatArray
    status: NDArray[np.int64]


def on_grid(seconds: float) -> float:
    """Return a time as the card keeps it [s]."""
    return round(round(seconds / GRID) * GRID, 9)


def quantised(volts: float, most: float) -> float:
    """Return a level as the card keeps it [V], rounded towards 0 V where it would be beyond ``most`` [V]."""
    steps = round(abs(volts) / STEP)
    if steps * STEP > most * (1.0 + 1e-12):
        steps = floor(most / STEP * (1.0 + 1e-12))
    return float(np.copysign(round(steps * STEP, 6), volts)) if steps else 0.0


def settling(amps: float) -> tuple[float, float]:
    """Return the range that holds ``amps`` [A], and how long it takes to settle [s]."""
    found = next((pair for pair in zip(RANGES, SETTLING, strict=True) if abs(amps) <= pair[0]), None)
    if found is None:
        raise RefusedError(f"current range {amps:g} A is above the pulse card's {RANGES[-1]:g} A: choose a lower one")
    return found


def begun(arbitrary: bool) -> list[str]:
    """Return the commands that begin anew: RPMs to the pulse card, 10 V range, open load, nothing compensated."""
    commands = [f":PMU:INIT {int(arbitrary)}", *(f":PMU:RPM:CONFIGURE PMU1-{n}, 0" for n in CHANNELS)]
    for n in CHANNELS:
        commands += [f":PMU:SOURCE:RANGE {n}, 10", f":PMU:LOAD {n}, {LOAD:g}"]
    return commands


def train_commands(train: Train) -> list[str]:
    """Return the commands of a train of standard pulses from 0 V, nothing measured."""
    return [
        *begun(arbitrary=False),
        ":PMU:MEASURE:MODE 0",
        *(
            f":PMU:PULSE:TRAIN {n}, 0, {volts:.6g}"
            for n, volts in zip(CHANNELS, (train.first, train.second), strict=True)
        ),
        *_times(train.period, train.width, train.edge),
    ]


def _times(period: float, width: float, edge: float) -> list[str]:
    return [f":PMU:PULSE:TIMES {n}, {period:.9g}, {width:.9g}, {edge:.9g}, {edge:.9g}, 0" for n in CHANNELS]


def sweep_commands(
    channel: int, start: float, stop: float, step: float, *, period: float, width: float, edge: float, amps: float
) -> list[str]:
    """Return the commands of an amplitude sweep on one channel, the other at 0 V; both measured at the top."""
    other = 3 - channel
    commands = [*begun(arbitrary=False), ":PMU:MEASURE:MODE 1"]
    for n in CHANNELS:
        commands += [
            f":PMU:MEASURE:RANGE {n}, 2, {amps:g}",
            f":PMU:MEASURE:PIV {n}, 1, 0",
            f":PMU:TIMES:PIV {n}, 0.75, 0.9",
        ]
    return [
        *commands,
        f":PMU:SWEEP:PULSE:AMPLITUDE {channel}, {start:.6g}, {stop:.6g}, {step:.6g}, 0, 0",
        f":PMU:PULSE:TRAIN {other}, 0, 0",
        *_times(period, width, edge),
        ":PMU:PULSE:BURST:COUNT 1",
    ]


def waveform_commands(
    levels: FloatArray,
    seconds: FloatArray,
    *,
    loops: int,
    measure: Sequence[Measure | None],
    after: FloatArray,
    amps: float | None,
    rate: float,
) -> list[str]:
    """Return the commands of a segment arb on both channels.

    Parameters
    ----------
    levels : array [2, segments + 1] V
    seconds : array [segments] s
    measure : per segment
    after : array [segments] s
        When the measurement of a segment begins.
    amps : float [A]
        Range of both channels; None where nothing is measured.
    rate : float [1/s]
    """
    kinds = {None: "0", "spot": "1", "waveform": "2"}
    commands = begun(arbitrary=True)
    if amps is not None:
        commands += [*(f":PMU:MEASURE:RANGE {n}, 2, {amps:g}" for n in CHANNELS), f":PMU:SAMPLE:RATE {rate:g}"]
    ends = [on_grid(float(each)) if kind else 0.0 for each, kind in zip(seconds, measure, strict=True)]
    begins = [on_grid(float(each)) if kind else 0.0 for each, kind in zip(after, measure, strict=True)]
    for n, way in zip(CHANNELS, levels, strict=True):
        for name, values in (
            ("TIME", [f"{each:.9g}" for each in seconds]),
            ("STARTV", [f"{each:.6g}" for each in way[:-1]]),
            ("STOPV", [f"{each:.6g}" for each in way[1:]]),
            ("MEAS:TYPE", [kinds[kind] for kind in measure]),
            ("MEAS:START", [f"{each:.9g}" for each in begins]),
            ("MEAS:STOP", [f"{each:.9g}" for each in ends]),
        ):
            for start in range(0, len(values), SEGMENTS_MAX):
                add = ":ADD" if start else ""
                commands.append(f":PMU:SARB:SEQ:{name}{add} {n}, 1, " + ", ".join(values[start : start + SEGMENTS_MAX]))
        commands.append(f":PMU:SARB:WFM:SEQ:LIST {n}, 1, {loops}")
    return commands
