"""Pulses of a source-measure unit: levels of its list, each as long as the others, with 0 V between them."""

from __future__ import annotations

import numpy as np

from ...array_spec import ArraySpec
from ...block import Block
from ...capabilities import Delivered, FloatArray, PulseMap
from ...chip.requests import checked_pulses
from ...wire.unconfirmed import unconfirmed
from .rig import DeviceRig

NPLC = 0.01
"""Mains cycles of a reading within a pulse."""


class DevicePulses:
    """Trains of levels, device by device, their current held at what a device bears.

    Parameters
    ----------
    rig : DeviceRig
    spec : ArraySpec
    """

    def __init__(self, rig: DeviceRig, spec: ArraySpec) -> None:
        self._rig, self._spec = rig, spec

    def pulse(self, pulses: PulseMap) -> Delivered:
        """Give every device of a block its pulses; the rest between two is as long as a pulse.

        Raises
        ------
        RefusedError
            Before anything is sent, when a value of a device with a count above 0 is outside the limits.
        """
        rig, block = self._rig, pulses.block
        asked = checked_pulses(self._spec, pulses)
        count = asked.count
        most = rig.limits.current_max
        for row, col in np.argwhere(count).tolist():
            volts, lasts = float(asked.volts[row, col]), float(asked.width[row, col])
            where = f"pulse of cell ({block.row0 + row}, {block.col0 + col}) point "
            rig.limits.check_points(np.array([0.0, volts, 0.0]), most, lasts, channel=where)
        if count.any():
            rig.wear.require(block, count, rig.limits)
        width, given = np.zeros(block.shape), np.zeros(block.shape)
        sent, done, seconds = np.zeros_like(count), 0, 0.0
        with rig.lock, unconfirmed(block, sent):
            for row, col in np.argwhere(count).tolist():
                with rig.acting(rig.smu):
                    rig.bring(block.row0 + row, block.col0 + col)
                    rig.smu.integrate(NPLC)
                    volts, wanted = float(asked.volts[row, col]), float(asked.width[row, col])
                    cell = Block(block.row0 + row, 1, block.col0 + col, 1)
                    lasted = list[float]()
                    for some in rig.pieces(int(count[row, col]), 2, 2.0 * wanted):
                        # Counted before it leaves: a train whose confirmation is lost has been given, for all that is
                        # known.
                        rig.wear.add(cell, volts, some, rig.limits)
                        sent[row, col] += some
                        lasted += self._train(volts, wanted, some).tolist()
                        rig.count(slots=some, pulses=some, seconds=2.0 * some * wanted)
                        done, seconds = done + some, seconds + 2.0 * some * wanted
                    given[row, col], width[row, col] = volts, float(np.mean(lasted))
        return Delivered(
            block=block,
            volts=given,
            width=width,
            gate=np.zeros(block.shape),
            count=count,
            slots=done,
            pulses=done,
            seconds=seconds,
        )

    def _train(self, volts: float, width: float, count: int) -> FloatArray:
        """Give pulses; return how long each was, as the instrument's own times say [count] [s]."""
        rig, most = self._rig, self._rig.limits.current_max
        levels = np.zeros(2 * count + 1)
        levels[1::2] = rig.polarity * volts
        dwell = width - rig.smu.timed_seconds(NPLC)
        seen = rig.play(levels, compliance=most, largest=most, dwell=dwell if dwell >= rig.smu.facts.delay_min else 0.0)
        return np.diff(seen.time)[::2]
