"""What the two channels are told: corners on the module's grid, levels on its steps, when it measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

import numpy as np

from ....common.errors import RefusedError
from ...capabilities import FloatArray

GRID = 1e-8
"""Times are multiples of this [s]."""
VOLTS_MAX = 10.0
VECTORS_MAX = 2048
"""Corners of a pattern; from memory."""
EDGE_MIN, EDGE_MAX = 1e-8, 1e-3
POINTS_MAX = 100_000
INTERVAL_MIN, INTERVAL_MAX = 1e-8, 1.34217728
AVERAGE_MAX = 0.020
RANGES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
SETTLING = (40e-6, 6.5e-6, 0.95e-6, 0.25e-6, 0.16e-6)
"""Shortest time from a step or a change of range to a reading, by range [s]: from memory of the data sheet, in size."""
PULSE_AMPS = RANGES[-1]
"""Range that pulses pass on [A]: a lower one would hold their current back."""
_FIRST_RANGE = 6001
_STEPS = ((3.0, 96e-6, 3001), (5.0, 160e-6, 3002))
_STEP_10, _AUTO = 160e-6, 3000


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """When both channels measure their currents.

    Attributes
    ----------
    begin : float [s]
        From the beginning of the waveform.
    points : int
    interval : float [s]
        From one to the next, 10 ns to 1.34 s.
    average : float [s]
        How long each takes, 10 ns to 20 ms, and no longer than the interval.
    amps : float [A]
        Range. Another one than that of the pulses is changed to as long before as it takes to settle, and back behind.
    """

    begin: float
    points: int = 1
    interval: float = GRID
    average: float = GRID
    amps: float

    @property
    def end(self) -> float:
        """When it is over [s]."""
        return self.begin + (self.points - 1) * self.interval + self.average


@dataclass(frozen=True, slots=True)
class Waveform:
    """Both channels' corners and looks, checked.

    ``levels`` [2, corners] V, ``steps`` [corners - 1] s, ``loops``, ``looks`` in order.
    """

    levels: FloatArray
    steps: FloatArray
    loops: int = 1
    looks: tuple[Look, ...] = ()

    @property
    def seconds(self) -> float:
        """How long it lasts in all [s]."""
        return float(self.steps.sum()) * self.loops


def on_grid(seconds: float) -> float:
    """Return a time as the module keeps it [s]."""
    return round(round(seconds / GRID) * GRID, 9)


def force_range(levels: FloatArray) -> tuple[int, float]:
    """Return the code of the output range that holds ``levels`` [V], and its step [V].

    Raises
    ------
    RefusedError
        Both polarities above 5 V: the module's 10 V ranges have one each.
    """
    most = float(np.abs(levels).max())
    for full, step, code in _STEPS:
        if most <= full:
            return code, step
    if most > VOLTS_MAX or levels.min() < 0.0 < levels.max():
        raise RefusedError(
            f"{levels.min():g} V to {levels.max():g} V in one waveform of a B1530A: it has ±3 V, ±5 V, 0 to 10 V and "
            "−10 V to 0; give the two polarities apart"
        )
    return 3004 if levels.max() > 0.0 else 3003, _STEP_10


def quantised(volts: float, most: float) -> float:
    """Return a level as the module keeps it [V], rounded towards 0 V where it would be beyond ``most`` [V]."""
    step = next((step for full, step, _ in _STEPS if abs(volts) <= full), _STEP_10)
    count = round(abs(volts) / step)
    if count * step > most * (1.0 + 1e-12):
        count = floor(most / step * (1.0 + 1e-12))
    return float(np.copysign(round(count * step, 9), volts)) if count else 0.0


def amps_range(amps: float) -> tuple[int, float, float]:
    """Return code, full scale [A] and settling time [s] of the range that holds ``amps`` [A]."""
    for at, full in enumerate(RANGES):
        if abs(amps) <= full * (1.0 + 1e-9):
            return _FIRST_RANGE + at, full, SETTLING[at]
    raise RefusedError(f"current range {amps:g} A is above the B1530A's {RANGES[-1]:g} A: choose a lower one")


def pulse_corners(first: float, second: float, width: float, edge: float, rest: float) -> Waveform:
    """Return a pulse from 0 V: ``width`` [s] at half height, then ``rest`` [s] at 0 V."""
    levels = np.array([[0.0, volts, volts, 0.0, 0.0] for volts in (first, second)])
    steps = np.array([edge, width - edge, edge, rest])
    kept = steps > 0.5 * GRID
    return Waveform(levels[:, np.concatenate(([True], kept))], steps[kept])


def joined(parts: Sequence[Waveform], looks: Sequence[Look] = ()) -> Waveform:
    """Return waveforms one behind the other; each begins where the one before it ends."""
    levels = np.concatenate([parts[0].levels[:, :1], *(part.levels[:, 1:] for part in parts)], axis=1)
    return Waveform(levels, np.concatenate([part.steps for part in parts]), 1, tuple(looks))
