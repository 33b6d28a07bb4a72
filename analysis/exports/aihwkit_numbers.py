"""Numbers for aihwkit: a pulsed device as its pulses were measured, and a noise model of programmed conductances.

Of aihwkit's pulsed devices `PiecewiseStepDevice` takes a measured table as it is: the step of a pulse at evenly spaced
nodes of the range, up and down apart. `LinearStepDevice` and the soft-bounds devices suppose a straight line.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..estimates.drift import drift_exponent
from ..estimates.estimates import Floats
from ..measurements.pulse_response import Trains
from ..measurements.pulse_steps import step_cells, step_table
from ..report.run_tables import RunTables
from .measured_steps import Sources, column, programming_errors, rows, trains_of

if TYPE_CHECKING:
    from pandas import DataFrame

NODES = 16
FEW = 3  # bins of a direction, cells of a level
LEVELS_MOST = 32  # more targets are taken together
DEGREE = 2
MICRO = 1e6


@dataclass
class AihwkitNumbers:
    """What the preset is made of; None for what the run does not hold.

    Attributes
    ----------
    device : dict, optional
        Parameters of `PiecewiseStepDevice`; weights −1 … 1 stand for `conductance` [S].
    conductance : (float, float), optional
        Low and high end of the weights' range [S].
    noise : dict, optional
        Parameters of `StateIndependentNoiseModel`, conductances in µS, and `g_min`.
    notes, left_out : list of str
    """

    device: dict[str, Any] | None = None
    conductance: tuple[float, float] | None = None
    noise: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list[str])
    left_out: list[str] = field(default_factory=list[str])


def aihwkit_numbers(run: RunTables) -> AihwkitNumbers:
    """Return what a run says of its chip in aihwkit's terms."""
    found, sources = AihwkitNumbers(), Sources(run)
    pulses = sources.take("pulse_response", "the pulsed device (rpu_config)")
    if pulses is not None:
        step, frame = pulses
        try:
            _device(trains_of(frame), found)
        except ValueError as error:
            sources.left_out.append(f"the pulsed device (rpu_config) is left out: step {step.id!r}: {error}")
    program = sources.take("read_verify", "the noise model of inference (inference_config)")
    if program is not None:
        step, frame = program
        try:
            found.noise = _programming(frame, found)
        except ValueError as error:
            sources.left_out.append(f"the noise model of inference is left out: step {step.id!r}: {error}")
    if found.noise is not None:
        hold = sources.take("retention", "drift (drift_nu_mean and drift_nu_std are 0)")
        found.noise |= _drift(None if hold is None else hold[1], found)
        found.noise |= _read_noise(sources, found)
    found.left_out = sources.left_out
    return found


def _device(trains: Trains, found: AihwkitNumbers) -> None:
    table, cells = step_table(trains), step_cells(trains)
    low, high = (float(np.median(column(cells, name))) for name in ("g_min_S", "g_max_S"))
    if not high > low:
        raise ValueError("its pulses changed nothing")
    nodes = np.linspace(low, high, NODES)
    size: dict[int, Floats] = {}
    for direction, name in ((1, "up"), (-1, "down")):
        mine = rows(table, column(table, "direction") == direction)
        if len(mine) < FEW:
            raise ValueError(f"pulses {name} begin in {len(mine)} bins of conductance, fewer than {FEW}")
        steps = direction * np.interp(nodes, column(mine, "conductance_S"), column(mine, "step_mean_S"))
        if not steps.mean() > 0.0:
            raise ValueError(f"pulses {name} move the cells the other way on average")
        if (steps < 0.0).any():
            against = int((steps < 0.0).sum())
            found.notes.append(f"{against} of {NODES} nodes {name} have a mean step against their direction: set to 0")
        size[direction] = np.maximum(steps, 0.0)
    per_siemens = 2.0 / (high - low)
    mean = float(np.mean([size[1], size[-1]]))
    found.conductance = low, high
    found.device = {
        "piecewise_up": (size[1] / mean).tolist(),
        "piecewise_down": (size[-1] / mean).tolist(),
        "dw_min": mean * per_siemens,
        "dw_min_std": _relative(table, "step_sigma_S", found),
        "dw_min_dtod": _relative(table, "step_d2d_S", found),
        "up_down": 0.0,
        "up_down_dtod": 0.0,
        "w_min": -1.0,
        "w_max": 1.0,
        "w_min_dtod": _std(column(cells, "g_min_S")) * per_siemens,
        "w_max_dtod": _std(column(cells, "g_max_S")) * per_siemens,
    }
    found.notes += [
        f"bounds are where trains of {int(trains.pulses[-1])} pulses end, median over {len(cells)} cells; longer "
        "trains may go beyond them",
        "the asymmetry of up and down is in the two curves of nodes, so up_down is 0; how it differs from cell to cell "
        "(up_down_dtod) is left at 0",
    ]


def _relative(table: DataFrame, name: str, found: AihwkitNumbers) -> float:
    """Return a spread over the mean step, both pooled over bins and directions by their number of steps."""
    spread = column(table, name)
    known = np.isfinite(spread)
    if not known.any():
        found.notes.append(f"{name} could not be measured (one cycle, or one cell): taken as 0")
        return 0.0
    above, below = (np.sum((column(table, "samples") * of**2)[known]) for of in (spread, column(table, "step_mean_S")))
    return float(np.sqrt(above / below))


def _std(values: Floats) -> float:
    return float(values.std(ddof=1)) if values.size > 1 else 0.0


def _programming(frame: DataFrame, found: AihwkitNumbers) -> dict[str, Any]:
    target, error = programming_errors(frame)
    where = target
    if np.unique(target).size > LEVELS_MOST:
        edges = np.quantile(target, np.linspace(0.0, 1.0, 9))
        where = np.clip(np.searchsorted(edges, target, side="right"), 1, 8).astype(np.float64)
    groups = [mine for mine in (where == one for one in np.unique(where)) if mine.sum() >= FEW]
    if not groups:
        raise ValueError(f"no level has {FEW} healthy cells")
    g_max, g_min = float(target.max()), float(target.min())
    x = np.array([target[mine].mean() for mine in groups]) / g_max
    sigma = np.array([np.sqrt(np.mean(error[mine] ** 2)) for mine in groups]) * MICRO
    count = np.array([mine.sum() for mine in groups])
    coefficients = _positive_polynomial(x, sigma, count, g_min / g_max)
    found.notes.append(
        f"programming noise is the RMS of G − target on the late re-read, {len(groups)} levels, {int(count.sum())} "
        "healthy cells; how far a level's mean is off its target is in it"
    )
    return {"g_max": g_max * MICRO, "g_min": g_min * MICRO, "prog_coeff": coefficients}


def _positive_polynomial(x: Floats, sigma: Floats, count: Floats, lowest: float) -> list[float]:
    """Return c0, c1, c2 of σ(x), least squares by the error of each σ; of a lower degree where σ would be negative."""
    weights = np.sqrt(2.0 * np.maximum(count, 1)) / np.maximum(sigma, 1e-12)
    shown = np.linspace(min(lowest, 1.0), 1.0, 51)
    for degree in range(min(DEGREE, x.size - 1), 0, -1):
        fit = np.polynomial.Polynomial.fit(x, sigma, degree, w=weights).convert()
        if (fit(shown) > 0.0).all():
            return [*fit.coef.tolist(), *[0.0] * (DEGREE + 1 - fit.coef.size)]
    return [float(np.sqrt(np.average(sigma**2, weights=count))), *[0.0] * DEGREE]


def _drift(frame: DataFrame | None, found: AihwkitNumbers) -> dict[str, Any]:
    none = {"drift_nu_mean": 0.0, "drift_nu_std": 0.0, "t_0": 1.0}
    if frame is None:
        return none
    known = rows(frame, column(frame, "level") >= 0)
    cells = [
        drift_exponent(column(cell, "seconds_s"), column(cell, "conductance_S"))
        for _, cell in known.groupby(["row", "col"])
    ]
    nu = np.array([one.value for one in cells if math.isfinite(one.value)])
    if nu.size < FEW:
        found.notes.append(f"drift is taken as 0: {nu.size} cells have an exponent, fewer than {FEW}")
        return none
    found.notes.append(
        f"drift_nu_std is the standard deviation of the ν of {nu.size} cells as estimated: wander and the noise of "
        "reading are in it; aihwkit's own model takes |ν|, the preset's class keeps the sign"
    )
    read = column(known, "read")
    first = column(known, "seconds_s")[read == read.min()]
    return {
        "drift_nu_mean": float(nu.mean()),
        "drift_nu_std": float(nu.std(ddof=1)),
        "t_0": float(np.median(first)),
    }


def _read_noise(sources: Sources, found: AihwkitNumbers) -> dict[str, Any]:
    none = {"read_noise_scale": 0.0, "t_read": 250e-9}
    noise = sources.take("read_noise", "read noise (read_noise_scale is 0)")
    if noise is None or found.noise is None:
        return none
    step, _ = noise
    relative = float(step.metrics.get("read_noise_rel", math.nan))
    if not math.isfinite(relative):
        sources.left_out.append(f"read noise is left out: step {step.id!r} found none above the floor")
        return none
    seconds, t_read = float(step.plan["seconds"]), 1.0 / float(step.plan["rate"])
    accumulated = math.sqrt(math.log((seconds + t_read) / (2.0 * t_read)))
    found.notes.append(
        f"read noise: σ_I/I of {relative:.3g} over {seconds:g} s, sampled every {t_read:g} s; t_read is that interval, "
        "and at the trace's length aihwkit's accumulated 1/f noise is what was measured"
    )
    return {"read_noise_scale": relative * float(found.noise["g_max"]) / accumulated, "t_read": t_read}
