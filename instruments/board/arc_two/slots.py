"""Cuts a pulse map into what the board gives at once: cells of one row, one amplitude, one width per cluster."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ....common.errors import RefusedError
from .channels import CLUSTER, COUNT, Channels, cluster

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ...chip.requests import Pulses
    from ...limits import Limits

LSB = 20.0 / 2**16
"""Step [V] of a channel's converter over ±10 V: 305 µV."""
TICK = 10e-9
"""Step of pulse widths [s]."""
GROUND, HALF, THIRD = "ground", "V/2", "V/3"


@dataclass(frozen=True, slots=True)
class Slot:
    """One pulse of several cells of a row, given ``count`` times.

    Attributes
    ----------
    levels : (channel, volts) of every line that is pulsed, from 0 V
    nanos : of each of the eight clusters, None where none of its channels is pulsed
    selectors : of the gates that are on
    gate : what they are at [V]
    """

    levels: tuple[tuple[int, float], ...]
    nanos: tuple[int | None, ...]
    count: int
    selectors: tuple[int, ...] = ()
    gate: float = 0.0

    @property
    def longest(self) -> int:
        """How long any line is pulsed [ns]."""
        return max(nanos for nanos in self.nanos if nanos is not None)


def as_given(pulses: Pulses, limits: Limits) -> Pulses:
    """Return pulses as the board can give them: on the nearest of its steps and widths that no limit forbids."""
    volts = np.rint(pulses.volts / LSB) * LSB
    beyond = (volts > limits.set_volts_max) | (volts < -limits.reset_volts_max)
    volts = np.where(beyond, np.trunc(pulses.volts / LSB) * LSB, volts)
    ticks = np.maximum(np.rint(pulses.width / TICK), 1.0)
    ticks = np.where(ticks * TICK > limits.width_max * (1.0 + 1e-9), np.floor(pulses.width / TICK), ticks)
    ticks = np.where(ticks * TICK < limits.width_min * (1.0 - 1e-9), np.ceil(pulses.width / TICK - 1e-6), ticks)
    return replace(pulses, volts=volts, width=ticks * TICK, gate=gate_level(pulses.gate, limits))


def on_steps(volts: ArrayLike, most: float) -> NDArray[np.float64]:
    """Return voltages [V] on the nearest step of a converter that is not beyond ``most`` in magnitude."""
    exact = np.asarray(volts, dtype=np.float64) / LSB
    steps = np.rint(exact)
    return np.where(np.abs(steps) * LSB > most, np.trunc(exact), steps) * LSB


def gate_level(volts: ArrayLike, limits: Limits) -> NDArray[np.float64]:
    """Return gate voltages [V] on the nearest step of their supply that is not above the limit."""
    return on_steps(volts, limits.gate_max)


def read_level(volts: float, limits: Limits) -> float:
    """Return the voltage [V] that a read of ``volts`` is done at."""
    level = float(on_steps(volts, limits.read_volts_max))
    if level == 0.0:
        raise RefusedError(f"a read at {volts:g} V is one at 0 V on steps of {LSB:.3g} V: choose at least {LSB:.3g} V")
    return level


def slots(pulses: Pulses, channels: Channels) -> Iterator[Slot]:
    """Yield the slots of a pulse map that is on the board's steps, row by row."""
    for row in range(pulses.block.nrows):
        groups: dict[tuple[float, int], list[int]] = {}
        for col in np.flatnonzero((pulses.count[row] > 0) & (pulses.volts[row] != 0.0)):
            groups.setdefault((float(pulses.volts[row, col]), int(pulses.count[row, col])), []).append(int(col))
        for (volts, count), cols in groups.items():
            widths = {col: round(float(pulses.width[row, col]) / 1e-9) for col in cols}
            for layer in _layers(pulses, widths, channels):
                yield _slot(pulses, channels, row, layer, volts, count)


def _layers(pulses: Pulses, widths: dict[int, int], channels: Channels) -> Iterator[dict[int, int]]:
    """Yield columns that may share a slot, with their widths [ns]: as few as clusters have widths."""
    of: dict[int, list[int]] = {}
    for col, nanos in widths.items():
        key = cluster(channels.cols[pulses.block.col0 + col]) if pulses.scheme == HALF else 0
        if nanos not in of.setdefault(key, []):
            of[key].append(nanos)
    for turn in range(max(map(len, of.values()), default=0)):
        chosen = {key: known[turn] for key, known in of.items() if turn < len(known)}
        yield {
            col: nanos
            for col, nanos in widths.items()
            if chosen.get(cluster(channels.cols[pulses.block.col0 + col]) if pulses.scheme == HALF else 0) == nanos
        }


def _slot(pulses: Pulses, channels: Channels, row: int, widths: dict[int, int], volts: float, count: int) -> Slot:
    steps = round(volts / LSB)
    mine = pulses.block.row0 + row
    chosen = {pulses.block.col0 + col: nanos for col, nanos in widths.items()}
    longest = max(chosen.values())
    levels: dict[int, tuple[int, int]] = {}
    if pulses.scheme == HALF:
        half = math.ceil(steps / 2) if steps > 0 else math.floor(steps / 2)
        levels[channels.rows[mine]] = half, longest
        levels |= {channels.cols[col]: (half - steps, nanos) for col, nanos in chosen.items()}
    else:
        third = round(steps / 3)
        levels |= {channel: (third, longest) for channel in channels.rows}
        levels[channels.rows[mine]] = steps, longest
        levels |= {channel: (2 * third, longest) for col, channel in enumerate(channels.cols) if col not in chosen}
    nanos: list[int | None] = [None] * (COUNT // CLUSTER)
    given = {channel: level for channel, level in levels.items() if level[0]}
    for channel, (_, held) in given.items():
        nanos[cluster(channel)] = held
    return Slot(tuple((channel, level * LSB) for channel, (level, _) in given.items()), tuple(nanos), count)
