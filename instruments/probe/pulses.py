"""Pulses of a probe station: half of the voltage on the row, half on the column."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from ..array_spec import ArraySpec
from ..block import Block
from ..capabilities import Delivered, PulseMap
from ..chip.requests import checked_pulses
from ..wire.unconfirmed import unconfirmed
from .rig import Rig
from .spec import HALF


class TrainSettings(TypedDict):
    """What a ``PulseSource`` takes."""

    first: float
    second: float
    width: float
    edge: float
    period: float
    count: int
    most: float


class ProbePulses:
    """Trains of the pulser's two channels, cell by cell.

    Parameters
    ----------
    rig : Rig
    spec : ArraySpec
    polarity : +1 or -1
        Sign of a SET.
    edge, gap : float [s]
        Edges of pulses; rest between pulses of a train.
    """

    def __init__(self, rig: Rig, spec: ArraySpec, *, polarity: int, edge: float, gap: float) -> None:
        self._rig, self._spec, self._polarity, self._edge, self._gap = rig, spec, polarity, edge, gap

    def pulse(self, pulses: PulseMap) -> Delivered:
        """Give every cell of a block its pulses, cell by cell: +V/2 on the row, −V/2 on the column.

        Raises
        ------
        RefusedError
            Before anything is sent, when a value of a cell with a count above 0 is outside the limits.
        """
        rig, block = self._rig, pulses.block
        asked = checked_pulses(self._spec, pulses)
        count = asked.count
        if count.any():
            rig.wear.require(block, count, rig.limits)
        trains = {
            (int(row), int(col)): self._train(
                float(asked.volts[row, col]), float(asked.width[row, col]), int(count[row, col])
            )
            for row, col in zip(*np.nonzero(count), strict=True)
        }
        for train in trains.values():
            rig.pulser.plan(**train)  # all of them, before a relay moves
        given_volts, given_width = np.zeros(block.shape), np.zeros(block.shape)
        seconds = 0.0
        done = 0
        sent = np.zeros_like(count)
        with rig.lock, unconfirmed(block, sent), rig.acting(rig.pulser):
            for at, wanted in trains.items():
                row, col = block.row0 + at[0], block.col0 + at[1]
                rig.tie(rig.lines.pulser(row, col, grounded=asked.scheme == HALF))
                times = int(count[at])
                # Counted before it leaves: a train whose confirmation is lost has been given, for all that is known.
                rig.wear.add(Block(row, 1, col, 1), asked.volts[at], times, rig.limits)
                sent[at] = times
                train = rig.pulser.pulses(**wanted)
                given_volts[at] = self._polarity * (train.first - train.second)
                given_width[at] = train.width
                done += times
                seconds += train.seconds
                rig.count(slots=times, pulses=times, seconds=train.seconds)
        return Delivered(
            block=block,
            volts=given_volts,
            width=given_width,
            gate=np.zeros(block.shape),
            count=count,
            slots=done,
            pulses=done,
            seconds=seconds,
        )

    def _train(self, volts: float, width: float, count: int) -> TrainSettings:
        """Return what the pulser is asked for: +V/2 on the row, −V/2 on the column."""
        limits, half = self._rig.limits, 0.5 * self._polarity * volts
        return {
            "first": half,
            "second": -half,
            "width": width,
            "edge": self._edge,
            "period": width + 2 * self._edge + self._gap,
            "count": count,
            "most": 0.5 * (limits.set_volts_max if volts > 0.0 else limits.reset_volts_max),
        }
