"""A cell of a probe station over time: the row's unit drives, a digitiser or the column's unit at 0 V records."""

from __future__ import annotations

import numpy as np

from ..array_spec import ArraySpec
from ..capabilities import Trace
from ..chip.requests import one_cell
from ..drivers.roles import Digitiser, RecordingMeter
from ..limits import refuse_bad_number
from .rig import Rig


class ProbeSamples:
    """Samples one cell, all other lines grounded."""

    def __init__(self, rig: Rig, spec: ArraySpec, digitiser: Digitiser, *, polarity: int) -> None:
        self._rig, self._spec, self._digitiser, self._polarity = rig, spec, digitiser, polarity

    def sample(self, row: int, col: int, volts: float, *, rate: float, seconds: float) -> Trace:
        """Measure one cell at ``rate`` [1/s] for ``seconds`` [s] at ``volts`` [V]; what flows at 0 V is taken off."""
        rig, digitiser = self._rig, self._digitiser
        cell = one_cell(self._spec, row, col)
        row, col = cell.row0, cell.col0
        where = f"cell ({row}, {col})"
        amplitude = rig.limits.one("read_volts", volts, channel=where)
        refuse_bad_number("rate", rate, 1e-3, digitiser.rate_max, "Hz", channel=where)
        refuse_bad_number("seconds", seconds, 1.0 / rate, digitiser.points_max / rate, "s", channel=where)
        points = round(rate * seconds)
        smu = rig.row_smu
        with rig.lock, rig.acting(smu, digitiser), smu.whole():
            rig.tie(rig.lines.digitiser(row, col), smu)
            zero = float(np.mean(digitiser.record(rate=rate, points=1)))
            smu.level(self._polarity * amplitude)
            current = np.asarray(digitiser.record(rate=rate, points=points), dtype=np.float64)
            smu.level(0.0)
        rig.count(slots=points, seconds=points / rate)
        return Trace(
            row=row,
            col=col,
            volts=amplitude,
            time=np.arange(1, points + 1) / rate,
            current=self._polarity * (current - zero),
        )


class ProbeMeterSamples:
    """Samples one cell by the buffered readings of the column's unit, all other lines grounded."""

    def __init__(self, rig: Rig, spec: ArraySpec, meter: RecordingMeter, *, polarity: int, nplc: float) -> None:
        self._rig, self._spec, self._meter, self._polarity, self._nplc = rig, spec, meter, polarity, nplc

    def sample(self, row: int, col: int, volts: float, *, rate: float, seconds: float) -> Trace:
        """Measure one cell at about ``rate`` [1/s] for ``seconds`` [s] at ``volts`` [V], less what flows at 0 V.

        ``time`` of the trace is when the unit says that it measured. At 0 V it measures on the range that the cell
        takes at the read voltage.
        """
        rig, meter = self._rig, self._meter
        cell = one_cell(self._spec, row, col)
        row, col = cell.row0, cell.col0
        where = f"cell ({row}, {col})"
        amplitude = rig.limits.one("read_volts", volts, channel=where)
        refuse_bad_number("rate", rate, 1e-3, meter.rate_max, "Hz", channel=where)
        refuse_bad_number("seconds", seconds, 1.0 / rate, meter.points_max / rate, "s", channel=where)
        points = round(rate * seconds)
        smu = rig.row_smu
        with rig.lock, rig.acting(smu, meter), smu.whole():
            rig.integrate(self._nplc)
            rig.tie(rig.lines.smus(row, col, grounded=True), meter, smu)
            zero = meter.measure().current
            # At 0 V on the range of the read: what the unit adds to a trace can be told.
            smu.level(self._polarity * (amplitude or self._spec.read_volts))
            seen = meter.measure().current
            smu.level(self._polarity * amplitude)
            time, current = meter.record(rate=rate, points=points, largest=abs(seen))
            smu.level(0.0)
        rig.count(slots=points, seconds=float(time[-1]) + 1.0 / rate)
        return Trace(
            row=row, col=col, volts=amplitude, time=time + 1.0 / rate, current=self._polarity * (zero - current)
        )
