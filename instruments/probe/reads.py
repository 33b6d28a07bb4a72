"""Reads of a probe station: one cell after the other, each at 0 V and at its voltage."""

from __future__ import annotations

import numpy as np

from ..array_spec import ArraySpec
from ..block import Block
from ..capabilities import Reading
from ..chip.requests import Look, checked_read
from ..wire.recovery import FAULTS_OF_THE_LINK
from .line_drops import LineDrops
from .rig import Rig
from .spec import FLOAT, ROW_SENSE, VIRTUAL_GROUND

_EMPIRICAL = 4
"""From so many conversions on, their spread says how sure their mean is."""


class ProbeReads:
    """The row's unit drives, the column's holds 0 V and measures.

    Parameters
    ----------
    rig : Rig
    spec : ArraySpec
    polarity : +1 or -1
        Sign of a SET.
    nplc : float
        Mains cycles of a reading.
    drops : LineDrops, optional
        What row and column lose on the way to a cell.
    """

    def __init__(self, rig: Rig, spec: ArraySpec, *, polarity: int, nplc: float, drops: LineDrops | None) -> None:
        self._rig, self._spec, self._polarity, self._nplc, self._drops = rig, spec, polarity, nplc, drops
        self._facts = rig.column_smu.facts

    def read(
        self,
        cells: Block,
        volts: float | None = None,
        *,
        average: int = 1,
        gate: float | None = None,
        scheme: str | None = None,
    ) -> Reading:
        """Measure a block cell by cell, each at 0 V and at ``volts``.

        Where the chip file knows the resistance of a line's segment, what row and column lose is taken off the
        voltage, so that ``conductance`` is the cell's own.

        Parameters
        ----------
        volts : float [V]
            Default ``spec.read_volts``.
        average : int
            Readings per cell.
        scheme : str
            "virtual_ground" (default), or to see what it is good for: "float" (other lines open), "row_sense" (other
            lines grounded, current taken at the row).
        """
        rig, spec = self._rig, self._spec
        asked = checked_read(spec, cells, volts, average=average, gate=gate, scheme=scheme)
        rig.limits.one("source_volts", asked.volts, channel="read")
        current, error, across = np.zeros(cells.shape), np.zeros(cells.shape), np.ones(cells.shape)
        flags = np.zeros(cells.shape, dtype=np.uint8)

        def look(line: int) -> None:
            with rig.acting(rig.row_smu, rig.column_smu), rig.row_smu.whole():
                rig.integrate(self._nplc)
                for at in range(cells.ncols):
                    measured = self._read_cell(cells.row0 + line, cells.col0 + at, asked)
                    current[line, at], error[line, at], across[line, at], flags[line, at] = measured

        repeats = 1
        with rig.lock:
            for line in range(cells.nrows):
                try:
                    look(line)
                except FAULTS_OF_THE_LINK as fault:
                    if not repeats:
                        raise
                    repeats -= 1
                    rig.begin_again(fault)
                    look(line)
        rig.count(slots=cells.size * asked.average, seconds=cells.size * asked.average * spec.read_slot_seconds)
        return Reading(
            block=cells,
            volts=asked.volts,
            current=current,
            conductance=current / across,
            stderr=error / np.abs(across),
            flags=flags,
        )

    def _read_cell(self, row: int, col: int, asked: Look) -> tuple[float, float, float, int]:
        """Return current [A], its standard error [A], the voltage at the cell [V] and flags."""
        rig, volts, average, scheme = self._rig, asked.volts, asked.average, asked.scheme
        if scheme == ROW_SENSE:
            rig.tie(rig.lines.row_sense(row, col), rig.row_smu)
            sensor, sign = rig.row_smu, self._polarity
        else:
            rig.tie(rig.lines.smus(row, col, grounded=scheme != FLOAT), rig.column_smu, rig.row_smu)
            sensor, sign = rig.column_smu, -self._polarity
        # A column that is not quite at 0 V draws current through its other cells, whatever the row does: 0.5 mV cost
        # 14 % on a high-resistance cell among low-resistance ones. That current is there at 0 V on the row, too.
        zero = sensor.measure()
        rig.row_smu.level(self._polarity * volts)
        points = [sensor.measure() for _ in range(average)]
        lost = 0.0
        if self._drops is not None and scheme == VIRTUAL_GROUND:
            driven = sign * (points[-1].current - zero.current)
            lost = self._drops.lost(row, col, self._polarity * rig.row_smu.measure().current, driven)
        rig.row_smu.level(0.0)
        amps = sign * (np.array([point.current for point in points]) - zero.current)
        mean = float(amps.mean())
        error = np.hypot(self._facts.relative_noise * mean, self._facts.zero_noise) / np.sqrt(average)
        if average >= _EMPIRICAL:
            error = max(error, float(amps.std(ddof=1)) / np.sqrt(average))
        flags = 0
        for point in points:
            flags |= point.flags
        return mean, float(error), volts - lost, flags
