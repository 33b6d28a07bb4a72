"""Sweeps of a probe station: both units in step, or the row's alone among floating lines."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...common.errors import RefusedError
from ..block import Block
from ..capabilities import FloatArray, IVTrace
from ..errors import InstrumentError
from ..limits import numbers
from ..wire.unconfirmed import unconfirmed
from .bench import ProbeBench
from .mate_current import LEVELS, MateCurrent
from .spec import HALF

DELAY_MIN = 50e-6
"""The shortest delay a 2450 knows besides none [s]."""


class ProbeSweeps(ProbeBench):
    """One cell driven through a list of voltages."""

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
    ) -> IVTrace:
        """Drive one cell through ``volts`` [V], ``dwell`` [s] each.

        Scheme "V/2" (default) is stepped by the host, both SMUs in step; what the half-selected cells of the column
        carry is measured first and taken off. ``compliance`` [A] bounds the cell and what its mates carry at the same
        moment: in an array a limit clamps the array, not the cell. Scheme "float" leaves the other lines open and
        runs buffered in the row's SMU: right for a cell whose neighbours conduct little.
        """
        spec = self._spec
        scheme = spec.require_scheme(scheme, writing=True)
        self._require_block(Block(row, 1, col, 1))
        self._refuse_gate(gate)
        where = f"sweep of cell ({row}, {col})"
        points = np.atleast_1d(numbers(volts, "volts", channel=where))
        if points.ndim != 1:
            raise RefusedError(f"a sweep has its points in one row, not in shape {points.shape}")
        self._limits.check("pulse_volts", points, channel=f"{where} point ")
        spec.check_sweep(points.size, compliance, dwell, channel=where)
        self._limits.check_points(points, compliance, dwell, channel=f"{where} point ")
        sent = np.zeros((1, 1), np.int64)
        with unconfirmed(Block(row, 1, col, 1), sent, "sweep"), self._acting(self.row_smu, self.column_smu):
            self._integrate(self._sweep_nplc)
            self._tie(self._lines.smus(row, col, grounded=scheme == HALF), self.column_smu, self.row_smu)
            run = self._sweep_half if scheme == HALF else self._sweep_floating
            # A point lasts for ``dwell``, its reading included.
            wait = dwell - self.column_smu.point_seconds
            wait = wait if wait >= DELAY_MIN else 0.0
            self.wear.add_sweep(row, col, points, self._limits)
            sent[...] = 1
            applied, current, flags = run(self._polarity * points, float(compliance), wait)
        self._slots += points.size
        self._chip_seconds += points.size * dwell
        sign = self._polarity
        return IVTrace(
            row, col, sign * applied, np.zeros_like(points), sign * current, flags, float(compliance), float(dwell)
        )

    def _sweep_floating(
        self, volts: FloatArray, compliance: float, dwell: float
    ) -> tuple[FloatArray, FloatArray, NDArray[np.uint8]]:
        with self.row_smu.whole():
            return self.row_smu.sweep(volts, compliance=compliance, dwell=dwell)

    def _sweep_half(
        self, volts: FloatArray, compliance: float, dwell: float
    ) -> tuple[FloatArray, FloatArray, NDArray[np.uint8]]:
        row_smu, column_smu = self.row_smu, self.column_smu

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
            point = column_smu.step(level, compliance=self._limits.current_max)
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
        for k, value in enumerate(volts):
            half = 0.5 * float(value)
            row_smu.level(half)
            limit = min(compliance + abs(mates(-half)), self._limits.current_max)
            point = column_smu.step(-half, compliance=limit, dwell=dwell)
            applied[k] = half - point.volts
            current[k] = mates(point.volts) - point.current
            flags[k] = point.flags
        column_smu.level(0.0)
        row_smu.level(0.0)
        return applied, current, flags
