"""Sweeps of single devices: lists of levels that the instrument goes through by itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ...array_spec import ArraySpec
from ...capabilities import IVTrace
from ...chip.requests import checked_sweep
from ...wire.unconfirmed import unconfirmed
from .rig import DeviceRig


class DeviceSweeps:
    """One device driven through a list of voltages.

    Parameters
    ----------
    rig : DeviceRig
    spec : ArraySpec
    nplc : float
        Mains cycles of a point.
    """

    def __init__(self, rig: DeviceRig, spec: ArraySpec, *, nplc: float) -> None:
        self._rig, self._spec, self._nplc = rig, spec, nplc

    def sweep(
        self,
        row: int,
        col: int,
        volts: ArrayLike,
        *,
        compliance: float,
        dwell: float,
        gate: ArrayLike | None = None,
        scheme: str | None = None,
        halt: float | None = None,
    ) -> IVTrace:
        """Drive one device through ``volts`` [V], ``dwell`` [s] each, its current held at ``compliance`` [A]."""
        rig = self._rig
        asked = checked_sweep(self._spec, row, col, volts, compliance=compliance, dwell=dwell, gate=gate, scheme=scheme)
        if halt is not None:
            self._spec.check_halt(halt, asked.scheme, channel="sweep")
        cell, points, smu = asked.cell, asked.volts, rig.smu
        sent = np.zeros((1, 1), np.int64)
        with rig.lock, unconfirmed(cell, sent, "sweep"), rig.acting(smu):
            rig.bring(cell.row0, cell.col0)
            smu.integrate(self._nplc)
            # A point lasts for ``dwell``, its reading included.
            wait = asked.dwell - smu.point_seconds
            rig.wear.add_sweep(cell.row0, cell.col0, points, rig.limits)
            sent[...] = 1
            seen = rig.play(
                rig.polarity * points, compliance=asked.compliance, dwell=wait if wait >= smu.facts.delay_min else 0.0
            )
        rig.count(slots=points.size, seconds=points.size * asked.dwell)
        return IVTrace(
            row=cell.row0,
            col=cell.col0,
            volts=rig.polarity * seen.volts,
            gate=np.zeros_like(points),
            current=rig.polarity * seen.current,
            flags=seen.flags,
            compliance=asked.compliance,
            dwell=asked.dwell,
        )
