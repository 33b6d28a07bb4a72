"""Reads of a probe station: one cell after the other, each at 0 V and at its voltage."""

from __future__ import annotations

import numpy as np

from ...common.errors import RefusedError
from ..block import Block
from ..capabilities import Reading
from ..wire.recovery import FAULTS_OF_THE_LINK
from .bench import ProbeBench
from .spec import FLOAT, ROW_SENSE, VIRTUAL_GROUND

# Accuracy of the 2450 on its middle ranges: 0.02 % of the reading and 1 nA of zero and noise.
_RELATIVE_NOISE, _ZERO_NOISE = 2e-4, 1e-9
_EMPIRICAL = 4
"""From so many conversions on, their spread says how sure their mean is."""


class ProbeReads(ProbeBench):
    """The row's unit drives, the column's holds 0 V and measures."""

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
        spec = self._spec
        scheme = spec.require_scheme(scheme, writing=False)
        self._require_block(cells)
        self._refuse_gate(gate)
        amplitude = self._limits.one("read_volts", spec.read_volts if volts is None else volts, channel="read")
        self._limits.one("source_volts", amplitude, channel="read")
        if amplitude == 0.0:
            raise RefusedError("read at 0 V gives no conductance: choose an amplitude other than 0 V")
        spec.check_average(average, channel="read")
        current, error, across = np.zeros(cells.shape), np.zeros(cells.shape), np.ones(cells.shape)
        flags = np.zeros(cells.shape, dtype=np.uint8)

        def look(line: int) -> None:
            with self._acting(self.row_smu, self.column_smu), self.row_smu.whole():
                self._integrate(self._nplc)
                for at in range(cells.ncols):
                    measured = self._read_cell(cells.row0 + line, cells.col0 + at, amplitude, average, scheme)
                    current[line, at], error[line, at], across[line, at], flags[line, at] = measured

        repeats = 1
        for line in range(cells.nrows):
            try:
                look(line)
            except FAULTS_OF_THE_LINK as fault:
                if not repeats:
                    raise
                repeats -= 1
                self._begin_again(fault)
                look(line)
        self._slots += cells.size * average
        self._chip_seconds += cells.size * average * spec.read_slot_seconds
        return Reading(cells, amplitude, current, current / across, error / np.abs(across), flags)

    def _read_cell(
        self, row: int, col: int, volts: float, average: int, scheme: str
    ) -> tuple[float, float, float, int]:
        """Return current [A], its standard error [A], the voltage at the cell [V] and flags."""
        if scheme == ROW_SENSE:
            self._tie(self._lines.row_sense(row, col), self.row_smu)
            sensor, sign = self.row_smu, self._polarity
        else:
            self._tie(self._lines.smus(row, col, grounded=scheme != FLOAT), self.column_smu, self.row_smu)
            sensor, sign = self.column_smu, -self._polarity
        # A column that is not quite at 0 V draws current through its other cells, whatever the row does: 0.5 mV cost
        # 14 % on a high-resistance cell among low-resistance ones. That current is there at 0 V on the row, too.
        zero = sensor.measure()
        self.row_smu.level(self._polarity * volts)
        points = [sensor.measure() for _ in range(average)]
        lost = 0.0
        if self._drops is not None and scheme == VIRTUAL_GROUND:
            driven = sign * (points[-1].current - zero.current)
            lost = self._drops.lost(row, col, self._polarity * self.row_smu.measure().current, driven)
        self.row_smu.level(0.0)
        amps = sign * (np.array([point.current for point in points]) - zero.current)
        mean = float(amps.mean())
        error = np.hypot(_RELATIVE_NOISE * mean, _ZERO_NOISE) / np.sqrt(average)
        if average >= _EMPIRICAL:
            error = max(error, float(amps.std(ddof=1)) / np.sqrt(average))
        flags = 0
        for point in points:
            flags |= point.flags
        return mean, float(error), volts - lost, flags
