"""Conductance of resting cells, read again and again: σ_I/I, its spectrum, and telegraph noise, as ``read_noise``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.errors import RefusedError
from ..estimates.estimates import Estimate, Floats, middle_estimate
from ..estimates.spectra import band_of
from ..estimates.telegraph import MIN_JUMPS, MIN_POINTS
from ..measurements.read_noise import NoiseTraces, noise_figure, noise_metrics, noise_table
from .finding import Finding
from .pictures.noise import traces as traces_figure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..measured_data.measured import Measured

SAMPLES_MIN = 64


def analyse_noise(measured: Measured) -> Finding:
    """Return σ_I/I with the floor taken off where it was measured, the 1/f exponent, levels and times of jumps."""
    rate = float(getattr(measured.protocol, "rate"))  # noqa: B009  # of the kind noise, which has one
    found, cells = _traces(measured, rate)
    count, seconds = len(cells), found.current.shape[1] / rate
    numbers: dict[str, Estimate | float] = {**noise_metrics(found), "noise_cells": float(count)}
    jumps = [one for one in found.telegraph if one.preferred]
    for level in ("low", "high"):
        times = [getattr(one, f"stay_{level}") for one in jumps]
        # Of one cell the interval is that of its jumps, of several that of the median over them.
        numbers[f"rtn_stay_{level}"] = (
            times[0] if len(times) == 1 else middle_estimate([one.value for one in times], positive=True)
        )
    white = sum(not np.isfinite(law.exponent.value) for law in found.laws)
    low, high = found.band
    said = (
        "The floor of the instrument, that of a trace without a voltage at the cells, is taken off in quadrature."
        if found.floor_known
        else "The instrument's floor is in σ: name a trace of it (--floor FILE, or a column floor) to take it off."
    )
    text = (
        f"{count} cell{'s' if count != 1 else ''}, {seconds:.4g} s at {rate:g} samples per second. σ is that of the "
        f"whole trace: slow noise and drift count. {said} The exponent is of S(f) = A·f^−β + W from {low:.3g} to "
        f"{high:.3g} Hz, of cells with one level; cells of which nothing above white noise is seen there: {white}. Two "
        f"levels are preferred to one where the BIC is lower by 10 and {MIN_JUMPS} jumps were seen; one level may have "
        "correlated noise (autoregression up to order 16). Intervals are over cells."
    )
    table = noise_table(found)
    table.insert(0, "cell", cells)
    if not found.floor_known:
        table = table.drop(columns="floor_rel")
    readings = {cell: g[np.isfinite(g)] for cell, g in zip(cells.tolist(), found.current, strict=True)}
    return Finding(
        id=measured.id,
        title="Read noise",
        text=text,
        remarks=_remarks(found, cells),
        numbers=numbers,
        frame=table,
        figures=[
            ("Spectra, spread against conductance, and the trace with the clearest jumps.", noise_figure(found)),
            ("The traces, about the mean of each.", traces_figure(readings, rate)),
        ],
        tables=[("Cell by cell.", table)],
    )


def _remarks(found: NoiseTraces, cells: NDArray[Any]) -> list[str]:
    remarks = [
        f"cell {cell}: constant, every sample has the same reading: no noise was resolved"
        for cell, g in zip(cells.tolist(), found.current, strict=True)
        if np.nanmin(g) == np.nanmax(g)
    ]
    short = found.current.shape[1]
    if short < MIN_POINTS:
        remarks.append(f"jumps were not looked for: {short} samples, and it takes {MIN_POINTS}")
    elif not any(one.preferred for one in found.telegraph):
        remarks.append("no telegraph noise found: no cell has two levels")
    return remarks


def _traces(measured: Measured, rate: float) -> tuple[NoiseTraces, NDArray[Any]]:
    """Return the traces of all cells as conductances, and the cells' numbers; shorter ones end in nan."""
    traces: dict[Any, Floats] = {}
    floors: list[Floats] = []
    table: Any = measured.table
    for cell, one in table.groupby("cell", sort=False):
        ordered = one.sort_values("index", kind="stable")
        g = ordered["conductance"].to_numpy(np.float64)
        if len(g) < SAMPLES_MIN:
            raise RefusedError(
                f"{measured.id}: cell {cell} has {len(g)} sample{'s' if len(g) != 1 else ''}: a spectrum needs at "
                f"least {SAMPLES_MIN}"
            )
        if not g.mean() > 0.0:
            raise RefusedError(
                f"{measured.id}: cell {cell} conducts {g.mean():.3g} S on average, and noise is relative to that: is "
                "it the right column, and the sign of the currents that of the read voltage?"
            )
        traces[cell] = g
        floor = ordered["floor"].to_numpy(np.float64) if "floor" in ordered else np.empty(0)
        floors.append(floor[np.isfinite(floor)])
    known = all(len(floor) > 1 for floor in floors)
    longest = max(map(len, traces.values()))
    return NoiseTraces(
        volts=1.0,
        rate=np.full(len(traces), rate),
        current=np.stack([_padded(g, longest) for g in traces.values()]),
        floor=np.stack([_padded(floor, max(map(len, floors))) for floor in floors])
        if known
        else np.empty((len(traces), 0)),
        band=band_of(rate, longest / rate),
    ), np.asarray(list(traces))


def _padded(values: Floats, length: int) -> Floats:
    return np.append(values, np.full(length - len(values), np.nan))
