"""Conductance of resting cells, read again and again: how much it fluctuates, and how that depends on frequency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.errors import RefusedError
from ..estimates.estimates import Estimate, geometric_mean_estimate, mean_estimate
from ..estimates.slow_noise import noise_figures
from .finding import Finding
from .pictures.noise import spectra, traces

if TYPE_CHECKING:
    from ..measured_data.measured import Measured

SAMPLES_MIN = 64
SLOPE_SAMPLES = 256


def analyse_noise(measured: Measured) -> Finding:
    """Return σ/G and the slope of the spectrum; the floor of the instrument is in them."""
    table: Any = measured.table
    rate = float(getattr(measured.protocol, "rate"))  # noqa: B009  # of the kind noise, which has one
    readings: dict[Any, Any] = {}
    for cell, one in table.groupby("cell", sort=False):
        ordered = one.sort_values("index", kind="stable")["conductance"].to_numpy(np.float64)
        if len(ordered) < SAMPLES_MIN:
            raise RefusedError(
                f"{measured.id}: cell {cell} has {len(ordered)} samples: a spectrum needs at least {SAMPLES_MIN}"
            )
        readings[cell] = ordered
    rows = [{"cell": cell, "samples": len(g), **noise_figures(g, rate)} for cell, g in readings.items()]
    frame = _frame(rows, rate)
    remarks = [
        f"cell {cell}: constant, every sample has the same reading: no noise was resolved"
        for cell, g in readings.items()
        if np.ptp(g) == 0.0
    ]
    long = frame["samples"].min() >= SLOPE_SAMPLES
    slopes = -frame["slope"].to_numpy(np.float64) if long else np.empty(0)
    numbers: dict[str, Estimate | float] = {
        "noise_rel": geometric_mean_estimate(frame["sd"]),
        "psd_exponent": mean_estimate(slopes[np.isfinite(slopes)]),
    }
    cells, seconds = len(readings), len(next(iter(readings.values()))) / rate
    return Finding(
        id=measured.id,
        title="Read noise",
        text=(
            f"{cells} cell{'s' if cells != 1 else ''}, {seconds:.4g} s at {rate:g} samples per second. σ is that of "
            "the "
            "whole trace: slow noise and drift count, and so does the instrument's floor, which such data do not "
            "say. The "
            "slope is that of the spectrum's logarithm from 0.05 Hz, or the lowest frequency there is, to a quarter "
            "of the "
            "rate. Intervals are over cells."
        ),
        remarks=remarks,
        numbers=numbers,
        frame=frame,
        figures=[
            ("The traces, about the mean of each.", traces(readings, rate)),
            ("Spectra, relative to each mean.", spectra(readings, rate)),
        ],
        tables=[("Every cell.", _shown(frame))],
    )


def _frame(rows: list[dict[str, Any]], rate: float) -> Any:
    from pandas import DataFrame

    frame = DataFrame(rows)
    frame["seconds"] = frame["samples"] / rate
    return frame


def _shown(frame: Any) -> Any:
    return frame.assign(slope=-frame["slope"]).rename(
        columns={
            "conductance": "mean [S]",
            "sd": "sigma over mean [fraction]",
            "slope": "1/f exponent",
            "seconds": "time [s]",
        }
    )
