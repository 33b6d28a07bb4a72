"""Cuts a pulse map of a 1T1R chip into slots: the gates choose the cells, and those that are on share one voltage.

With a gate line for each column the row is pulsed, and cells of a slot share amplitude and width; with one for each
row the columns are pulsed the other way, each with its own amplitude, and those of a cluster share width and sign.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from .channels import CLUSTER, COUNT, Channels, cluster
from .slots import LSB, Slot

if TYPE_CHECKING:
    from ...chip.requests import Pulses
    from .gates import Gates


def gated_slots(pulses: Pulses, channels: Channels, gates: Gates) -> Iterator[Slot]:
    """Yield the slots of a pulse map that is on the board's steps, row by row."""
    for row in range(pulses.block.nrows):
        alike: dict[tuple[float, ...], list[int]] = {}
        for col in np.flatnonzero((pulses.count[row] > 0) & (pulses.volts[row] != 0.0)).tolist():
            key = float(pulses.gate[row, col]), float(pulses.count[row, col])
            if gates.axis == "col":
                key = *key, float(pulses.volts[row, col]), float(pulses.width[row, col])
            alike.setdefault(key, []).append(col)
        for cols in alike.values():
            for share in [cols] if gates.axis == "col" else _layers(pulses, channels, row, cols):
                yield _slot(pulses, channels, gates, row, share)


def _layers(pulses: Pulses, channels: Channels, row: int, cols: list[int]) -> Iterator[list[int]]:
    """Yield columns that may be pulsed at once: of each cluster those of one width and one sign."""
    known: dict[int, dict[tuple[float, bool], list[int]]] = {}
    for col in cols:
        kind = float(pulses.width[row, col]), bool(pulses.volts[row, col] > 0.0)
        mine = known.setdefault(cluster(channels.cols[pulses.block.col0 + col]), {})
        mine.setdefault(kind, []).append(col)
    turns = [list(kinds.values()) for kinds in known.values()]
    for turn in range(max(map(len, turns))):
        yield [col for kinds in turns if turn < len(kinds) for col in kinds[turn]]


def _slot(pulses: Pulses, channels: Channels, gates: Gates, row: int, cols: list[int]) -> Slot:
    mine, theirs = pulses.block.row0 + row, [pulses.block.col0 + col for col in cols]
    first = row, cols[0]
    if gates.axis == "col":
        driven = {channels.rows[mine]: first}
    else:
        driven = {channels.cols[theirs[at]]: (row, col) for at, col in enumerate(cols)}
    sign = 1 if gates.axis == "col" else -1
    nanos: list[int | None] = [None] * (COUNT // CLUSTER)
    for channel, cell in driven.items():
        nanos[cluster(channel)] = round(float(pulses.width[cell]) / 1e-9)
    levels = tuple((channel, sign * round(float(pulses.volts[cell]) / LSB) * LSB) for channel, cell in driven.items())
    return Slot(levels, tuple(nanos), int(pulses.count[first]), gates.of(mine, theirs), float(pulses.gate[first]))
