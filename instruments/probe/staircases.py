"""Staircases of pulses with a read behind each, where the pulser measures between its pulses, as a WGFMU does."""

from __future__ import annotations

import numpy as np

from ..array_spec import ArraySpec
from ..block import Block
from ..capabilities import FloatArray, Staircase
from ..chip.requests import checked_staircase
from ..drivers.roles import ReadingPulser
from ..wire.unconfirmed import unconfirmed
from .rig import Rig


class ProbeStaircases:
    """One cell, half of a pulse on its row and half on its column; read at its row with its column at 0 V.

    Parameters
    ----------
    rig : Rig
    spec : ArraySpec
    pulser : ReadingPulser
    polarity : +1 or -1
        Sign of a SET.
    edge : float [s]
        Edges of pulses.
    """

    def __init__(self, rig: Rig, spec: ArraySpec, pulser: ReadingPulser, *, polarity: int, edge: float) -> None:
        self._rig, self._spec, self._pulser, self._polarity, self._edge = rig, spec, pulser, polarity, edge

    def staircase(self, row: int, col: int, start: float, stop: float, points: int, *, width: float) -> Staircase:
        """Give pulses of ``width`` [s] from ``start`` to ``stop`` [V], ``points`` of them, a read behind each."""
        rig, spec, pulser = self._rig, self._spec, self._pulser
        cell, volts, width = checked_staircase(spec, row, col, start, stop, points, width)
        rig.wear.require(cell, np.array([[volts.size]]), rig.limits)
        read = rig.limits.one("read_volts", spec.read_volts, channel="read")
        halves = 0.5 * self._polarity * volts
        at_once = pulser.stairs_at_once(width, self._edge)
        given = np.zeros((1, 1), dtype=np.int64)
        levels: list[FloatArray] = []
        currents: list[FloatArray] = []
        seconds = 0.0
        given_width = width
        with rig.lock, unconfirmed(cell, given), rig.acting(pulser):
            rig.tie(rig.lines.pulser(cell.row0, cell.col0, grounded=True))
            for first in range(0, volts.size, at_once):
                part = slice(first, first + at_once)
                # Counted before it leaves: what is not confirmed has been given, for all that is known.
                for mine in (volts[part][volts[part] > 0.0], volts[part][volts[part] < 0.0]):
                    if mine.size:
                        worst = mine[np.argmax(np.abs(mine))]
                        rig.wear.add(Block(cell.row0, 1, cell.col0, 1), worst, mine.size, rig.limits)
                given += halves[part].size
                done = pulser.staircase(
                    halves[part], -halves[part], width=width, edge=self._edge, read=self._polarity * read
                )
                levels.append(self._polarity * (done.first - done.second))
                currents.append(-self._polarity * done.current)
                seconds += done.seconds
                given_width = done.width
        rig.count(slots=2 * volts.size, pulses=volts.size, seconds=seconds)
        current = np.concatenate(currents)
        return Staircase(
            row=cell.row0,
            col=cell.col0,
            volts=np.concatenate(levels),
            width=given_width,
            read_volts=read,
            current=current,
            conductance=current / read,
        )
