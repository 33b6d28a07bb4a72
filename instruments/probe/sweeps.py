"""Sweeps of a probe station: both units in step, or the row's alone among floating lines."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..array_spec import ArraySpec
from ..capabilities import FloatArray, IVTrace
from ..chip.requests import checked_sweep
from ..errors import InstrumentError
from ..wire.unconfirmed import unconfirmed
from .mate_current import LEVELS, MateCurrent
from .rig import Rig
from .spec import HALF

Swept = tuple[FloatArray, FloatArray, NDArray[np.uint8], float]
"""Volts across the cell [V], its current [A], flags, each [points]; what they took together [s]."""


class ProbeSweeps:
    """One cell driven through a list of voltages.

    Parameters
    ----------
    rig : Rig
    spec : ArraySpec
    polarity : +1 or -1
        Sign of a SET.
    nplc : float
        Mains cycles of a point.
    """

    def __init__(self, rig: Rig, spec: ArraySpec, *, polarity: int, nplc: float) -> None:
        self._rig, self._spec, self._polarity, self._nplc = rig, spec, polarity, nplc

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
        """Drive one cell through ``volts`` [V], ``dwell`` [s] each; a trace stepped by the host says what they took.

        Scheme "V/2" (default) is stepped by the host, both SMUs in step; what the half-selected cells of the column
        carry is measured first and taken off. ``compliance`` [A] bounds the cell and what its mates carry at the same
        moment: in an array a limit clamps the array, not the cell. Scheme "float" leaves the other lines open and
        runs buffered in the row's SMU: right for a cell whose neighbours conduct little; it cannot ``halt``.
        """
        rig = self._rig
        asked = checked_sweep(self._spec, row, col, volts, compliance=compliance, dwell=dwell, gate=gate, scheme=scheme)
        if halt is not None:
            self._spec.check_halt(halt, asked.scheme, channel="sweep")
        cell, points, smu = asked.cell, asked.volts, rig.column_smu
        sent = np.zeros((1, 1), np.int64)
        with rig.lock, unconfirmed(cell, sent, "sweep"), rig.acting(rig.row_smu, smu):
            rig.integrate(self._nplc)
            paths = rig.lines.smus(cell.row0, cell.col0, grounded=asked.scheme == HALF)
            rig.tie(paths, smu, rig.row_smu)
            # A point lasts for ``dwell``, its reading included.
            wait = asked.dwell - smu.point_seconds
            wait = wait if wait >= smu.facts.delay_min else 0.0
            rig.wear.add_sweep(cell.row0, cell.col0, points, rig.limits)
            sent[...] = 1
            levels, wait = self._polarity * points, max(wait, 0.0)
            if asked.scheme == HALF:
                applied, current, flags, seconds = self._sweep_half(levels, asked.compliance, wait, halt)
            else:
                applied, current, flags, seconds = self._sweep_floating(levels, asked.compliance, wait)
        rig.count(slots=points.size, seconds=seconds)
        sign = self._polarity
        return IVTrace(
            row=cell.row0,
            col=cell.col0,
            volts=sign * applied,
            gate=np.zeros_like(points),
            current=sign * current,
            flags=flags,
            compliance=asked.compliance,
            dwell=seconds / points.size,
        )

    def _sweep_floating(self, volts: FloatArray, compliance: float, dwell: float) -> Swept:
        with self._rig.row_smu.whole():
            swept = self._rig.row_smu.sweep(volts, compliance=compliance, dwell=dwell)
            # The unit keeps the time by itself: what it took on the clock of the host is messages, too.
            return *swept, volts.size * (dwell + self._rig.column_smu.point_seconds)

    def _sweep_half(self, volts: FloatArray, compliance: float, dwell: float, halt: float | None) -> Swept:
        rig = self._rig
        row_smu, column_smu, most = rig.row_smu, rig.column_smu, rig.limits.current_max
        stride = 0.5 * float(np.abs(volts).max()) / (LEVELS - 1)
        held = 0.0

        def move(level: float) -> None:
            # Between two messages the cell sees what its lines differ by: small steps.
            nonlocal held
            while abs(level - held) > 1.001 * stride:
                held += float(np.copysign(stride, level - held))
                row_smu.level(held)
                column_smu.level(held)
            held = level

        def hold(level: float) -> tuple[float, float]:
            move(level)
            row_smu.level(level)
            point = column_smu.step(level, compliance=most)
            if not np.isfinite(point.current):
                point = column_smu.measure()
            if not np.isfinite(point.current):
                raise InstrumentError(
                    f"{column_smu.name} at {column_smu.place} overflows (READ?) at {level:.3g} V on the half-selected "
                    "cells of the column: choose a larger current_range, or look for a short on it"
                )
            return point.volts, point.current

        mates = MateCurrent(hold, -0.5 * volts)
        move(0.0)
        column_smu.level(0.0)
        applied, current = np.zeros_like(volts), np.zeros_like(volts)
        flags = np.zeros(volts.size, dtype=np.uint8)
        row_smu.level(0.0)
        way = volts.copy()
        halted = halt is None
        begun = rig.clock.now()
        for k in range(way.size):
            rig.lock.go_on()
            half = 0.5 * float(way[k])
            row_smu.level(half)
            limit = min(compliance + abs(mates(-half)), most)
            point = column_smu.step(-half, compliance=limit, dwell=dwell)
            applied[k] = half - point.volts
            current[k] = mates(point.volts) - point.current
            flags[k] = point.flags
            if not halted and abs(current[k]) >= (halt or np.inf):
                halted = True
                back = way[:k][::-1][: way.size - k - 1]
                way[k + 1 :] = 0.0
                way[k + 1 : k + 1 + back.size] = back
        seconds = rig.clock.now() - begun
        column_smu.level(0.0)
        row_smu.level(0.0)
        return applied, current, flags, seconds
