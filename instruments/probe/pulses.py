"""Pulses of a probe station: half of the voltage on the row, half on the column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...common.errors import RefusedError
from ..block import Block
from ..capabilities import Delivered, FloatArray, PulseMap
from ..limits import numbers
from ..wire.unconfirmed import unconfirmed
from .bench import ProbeBench
from .spec import HALF

if TYPE_CHECKING:
    from ..drivers.keysight_33622a import TrainSettings


class ProbePulses(ProbeBench):
    """Trains of the pulser's two channels, cell by cell."""

    def pulse(self, pulses: PulseMap) -> Delivered:
        """Give every cell of a block its pulses, cell by cell: +V/2 on the row, −V/2 on the column.

        Raises
        ------
        RefusedError
            Before anything is sent, when a value of a cell with a count above 0 is outside the limits.
        """
        scheme = self._spec.require_scheme(pulses.scheme, writing=True)
        block = pulses.block
        self._require_block(block)
        volts, width, count = self._checked(pulses)
        if count.any():
            self.wear.require(block, count, self._limits)
        trains = {
            (int(row), int(col)): self._train(float(volts[row, col]), float(width[row, col]), int(count[row, col]))
            for row, col in zip(*np.nonzero(count), strict=True)
        }
        for train in trains.values():
            self.pulser.plan(**train)  # all of them, before a relay moves
        given_volts, given_width = np.zeros(block.shape), np.zeros(block.shape)
        seconds = 0.0
        done = 0
        sent = np.zeros_like(count)
        with unconfirmed(block, sent), self._acting(self.pulser):
            for at, wanted in trains.items():
                row, col = block.row0 + at[0], block.col0 + at[1]
                self._tie(self._lines.pulser(row, col, grounded=scheme == HALF))
                times = int(count[at])
                # Counted before it leaves: a train whose confirmation is lost has been given, for all that is known.
                self.wear.add(Block(row, 1, col, 1), volts[at], times, self._limits)
                sent[at] = times
                train = self.pulser.pulses(**wanted)
                given_volts[at] = self._polarity * (train.first - train.second)
                given_width[at] = train.width
                done += times
                seconds += train.seconds
                self._slots += times
                self._pulses += times
                self._chip_seconds += train.seconds
        return Delivered(block, given_volts, given_width, np.zeros(block.shape), count, done, done, seconds)

    def _train(self, volts: float, width: float, count: int) -> TrainSettings:
        """Return what the pulser is asked for: +V/2 on the row, −V/2 on the column."""
        limits, half = self._limits, 0.5 * self._polarity * volts
        return {
            "first": half,
            "second": -half,
            "width": width,
            "edge": self._edge,
            "period": width + 2 * self._edge + self._gap,
            "count": count,
            "most": 0.5 * (limits.set_volts_max if volts > 0.0 else limits.reset_volts_max),
        }

    def _checked(self, pulses: PulseMap) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
        shape, where = pulses.block.shape, f"pulse map {pulses.block}, cell "
        try:
            volts, width, gate, count = (
                np.broadcast_to(numbers(getattr(pulses, name), name, channel=where), shape)
                for name in ("volts", "width", "gate", "count")
            )
        except RefusedError:
            raise
        except ValueError as error:
            raise RefusedError(f"a pulse map for a block of {shape[0]} × {shape[1]} cells: {error}") from error
        limits = self._limits
        limits.check("count", count, channel=where, unit="pulses")
        counts = count.astype(np.int64)
        if (counts != count).any():
            raise RefusedError(f"count {float(count[counts != count].flat[0]):g} is not a whole number of pulses")
        active = counts > 0
        volts = np.where(active, volts, 0.0)
        width = np.where(active, width, limits.width_min)
        limits.check("pulse_volts", volts, channel=where)
        limits.check("width", width, channel=where, unit="s")
        limits.check_pulses(volts, width, channel=where, edge=self._edge)
        if np.where(active, gate, 0.0).any():
            raise RefusedError(f"{self.name} has no gates: leave gate at 0 V")
        return volts, width, counts
