"""A single device over time: a list of equal levels, on one range, with the instrument's own times."""

from __future__ import annotations

import numpy as np

from ...array_spec import ArraySpec
from ...capabilities import Trace
from ...chip.requests import one_cell
from .pulses import NPLC
from .rig import DeviceRig

_MOST_NPLC = 10.0
_HEADROOM = 1.3  # of the range, for what telegraph noise adds


class DeviceSamples:
    """Samples one device.

    Parameters
    ----------
    rig : DeviceRig
    spec : ArraySpec
    nplc : float
        Mains cycles of the reading that finds the range.
    """

    def __init__(self, rig: DeviceRig, spec: ArraySpec, *, nplc: float) -> None:
        self._rig, self._spec, self._nplc = rig, spec, nplc

    def sample(self, row: int, col: int, volts: float, *, rate: float, seconds: float) -> Trace:
        """Measure one device at about ``rate`` [1/s] for ``seconds`` [s] at ``volts`` [V], less what flows at 0 V.

        At 0 V it measures on the range that the device takes at the read voltage.
        """
        rig, spec, smu = self._rig, self._spec, self._rig.smu
        cell = one_cell(spec, row, col)
        where = f"cell ({cell.row0}, {cell.col0})"
        amplitude = rig.limits.one("read_volts", volts, channel=where)
        spec.check_sample(rate, seconds, channel=where)
        points = round(rate * seconds)
        rig.require_length(points / rate, channel=f"a trace of {where}")
        most = rig.limits.current_max
        with rig.lock, rig.acting(smu):
            rig.bring(cell.row0, cell.col0)
            smu.integrate(self._nplc)
            level = rig.polarity * (amplitude or spec.read_volts)
            seen = rig.play(np.array([0.0, level]), compliance=most)
            zero, drawn = seen.current.tolist()
            span = min(max(_HEADROOM * abs(drawn), spec.read_ranges[0]), most) if np.isfinite(drawn) else most
            # A reading integrates as long as it may.
            least, each = smu.timed_seconds(0.0), smu.timed_seconds(1.0) - smu.timed_seconds(0.0)
            nplc = min(max((1.0 / rate - least) / each, NPLC), _MOST_NPLC)
            smu.integrate(nplc)
            rest = 1.0 / rate - smu.timed_seconds(nplc)
            trace = rig.play(
                np.full(points + 1, rig.polarity * amplitude),
                compliance=most,
                largest=span,
                dwell=rest if rest >= smu.facts.delay_min else 0.0,
            )
        rig.count(slots=points, seconds=points / rate)
        return Trace(
            row=cell.row0,
            col=cell.col0,
            volts=amplitude,
            time=trace.time[1:],
            current=rig.polarity * (trace.current[1:] - zero),
        )
