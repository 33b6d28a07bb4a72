"""Measured and simulated tables as pairs of distributions, and how far apart they are."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..analysis.estimates.spectra import noise_figures
from ..analysis.measured_data.measured import Measured
from ..analysis.measured_data.protocols import Noise, PulseSweep
from .replay.passive import waveform

Floats = NDArray[np.float64]

LEAST_G = 1e-9
"""Conductances below are as one [S]: nothing tells them apart."""
LEFT_MIN = 0.7
"""A step of a sweep is compared while this share of the sweeps is still running."""
AGED = 100
"""The last cycles that say what ageing has done."""
FAILED = 0.003
"""Failures below this share are as one: a cell of 8,192 more or less says nothing."""
COUNTED = 0.995
"""Share of the cells up to which a search compares how many pulses they took; those beyond count as many."""
HRS_BEYOND = 80e3
"""A RESET beyond this resistance [Ω] is a deep one."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One distribution, measured and simulated.

    Attributes
    ----------
    name : str
        "ispp level 1 pulses", …
    real, mock : array
        Numbers of each; of conductances their logarithm.
    weight : float
        In the sum that a fit makes small.
    ks : bool
        Whether the shape counts, not the middle alone.
    mean : bool
        The middle is the mean (of pulses: their cost), not the median; compared as a ratio.
    spread : bool
        Whether the spread counts by itself.
    floor : float
        Means below are as one.
    """

    name: str
    real: Floats = field(repr=False)
    mock: Floats = field(repr=False)
    unit: str = "1"
    weight: float = 1.0
    ks: bool = True
    mean: bool = False
    spread: bool = False
    floor: float = 1e-6

    @property
    def error(self) -> float:
        """Of the middle: ln of the ratio of means, or the difference of medians."""
        if not len(self.mock):
            return 2.0
        if self.mean:
            return math.log((float(self.mock.mean()) + self.floor) / (float(self.real.mean()) + self.floor))
        return float(np.median(self.mock) - np.median(self.real))

    def _error_of_most(self) -> float:
        """Return the error of the middle as a search sees it: one cell in a thousand that never ends says nothing."""
        if not self.mean or not len(self.mock):
            return self.error
        if self.real.max() <= 1.0:
            return self.error
        top = float(np.quantile(self.real, COUNTED))
        real, mock = (float(np.minimum(one, top).mean()) for one in (self.real, self.mock))
        return math.log((mock + self.floor) / (real + self.floor))

    @property
    def distance(self) -> float:
        """Kolmogorov–Smirnov distance, 0…1."""
        return distance(self.real, self.mock)

    @property
    def spreads(self) -> float:
        """Ratio of the robust spreads, mock over real."""
        return robust(self.mock) / max(robust(self.real), 1e-6) if len(self.mock) > 3 else 1e-3

    def cost(self) -> float:
        """What this panel adds to the sum that a fit makes small."""
        total = min(abs(self._error_of_most()), 3.0)
        if self.ks:
            total += 1.5 * self.distance
        if self.spread:
            total += 0.3 * min(abs(math.log(max(self.spreads, 1e-3))), 3.0)
        return self.weight * total


def distance(a: Floats, b: Floats) -> float:
    """Return the two-sample Kolmogorov–Smirnov distance; 1 where one of them is empty."""
    if not len(a) or not len(b):
        return 1.0
    a, b = np.sort(a), np.sort(b)
    both = np.concatenate([a, b])
    gap = np.searchsorted(a, both, "right") / len(a) - np.searchsorted(b, both, "right") / len(b)
    return float(np.abs(gap).max())


def robust(values: Floats) -> float:
    """Return the standard deviation that a normal law with this interquartile range would have."""
    low, high = np.percentile(values, [25, 75])
    return float(high - low) / 1.349


def robust_rows(grid: Floats) -> Floats:
    """Return :func:`robust` of every row of a grid."""
    low, high = np.percentile(grid, [25, 75], axis=1)
    return np.asarray((high - low) / 1.349, np.float64)


def panels_of(measured: Measured, mock: pd.DataFrame) -> list[Panel]:
    """Return every comparison of a measurement with its replay."""
    made = {
        "pulse_sweep": _sweep,
        "forming": _forming,
        "cycling": _cycling,
        "write_verify": _write_verify,
        "bake": _bake,
        "noise": _noise,
        "pulse_train": _train,
        "iv_sweep": _loops,
        "map": _map,
    }[measured.kind]
    return list(made(measured, mock))


def _log(values: Any) -> Floats:
    return np.log(np.maximum(np.asarray(values, np.float64), LEAST_G))


def _sweep(measured: Measured, mock: pd.DataFrame) -> Iterator[Panel]:
    protocol = measured.protocol
    assert isinstance(protocol, PulseSweep)
    table: Any = measured.table
    sweeps = table.groupby(["cell", "repeat"]).ngroups
    by_step: Any = table.groupby("step")
    sizes = by_step.size() / sweeps
    middle = by_step["after"].median()
    # Where nothing has moved yet there is nothing to compare.
    moving = np.abs(np.log(middle / middle.iloc[0])) > 0.02
    steps = [step for step in sizes.index if sizes[step] >= LEFT_MIN and moving[step]] or [sizes.index[-1]]
    mock_by = dict(tuple(mock.groupby("step")))
    for step in steps:
        real = by_step.get_group(step)
        at = float(abs(real[protocol.swept].iloc[0]))
        simulated = mock_by.get(step)
        yield Panel(
            name=f"{measured.id} {at:.2f} V",
            real=_log(real["after"]),
            mock=_log(simulated["after"]) if simulated is not None else np.empty(0),
            unit="ln G",
            weight=2.0 / len(steps),
            spread=True,
        )


def _forming(measured: Measured, mock: pd.DataFrame) -> Iterator[Panel]:
    real: Any = measured.table[measured.table["success"]]
    yield Panel(
        name=f"{measured.id} voltage",
        real=real["volts"].to_numpy(np.float64),
        mock=mock["volts"].to_numpy(np.float64),
        unit="V",
    )
    yield Panel(name=f"{measured.id} G after", real=_log(real["after"]), mock=_log(mock["after"]), unit="ln G")


def _cycling(measured: Measured, mock: pd.DataFrame) -> Iterator[Panel]:
    deep: dict[str, list[Floats]] = {"first": [], "last": []}
    for state in ("HRS", "LRS"):
        grids = [_grid(frame, state) for frame in (measured.table, mock)]
        yield Panel(
            name=f"{measured.id} {state}", real=grids[0].ravel(), mock=grids[1].ravel(), unit="ln G", weight=1.5
        )
        within = [robust_rows(grid) for grid in grids]
        yield Panel(
            name=f"{measured.id} {state} within a cell",
            real=np.log(np.maximum(within[0], 1e-3)),
            mock=np.log(np.maximum(within[1], 1e-3)),
            unit="ln sd",
            weight=0.3,
            ks=False,
        )
        between = [np.median(grid, axis=1) for grid in grids]
        yield Panel(
            name=f"{measured.id} {state} of a cell", real=between[0], mock=between[1], unit="ln G", weight=0.3
        )  # fmt: skip
        if state == "HRS":
            for grid in grids:
                beyond = np.exp(-grid) > HRS_BEYOND
                deep["first"].append(beyond[:, :5].ravel().astype(np.float64))
                deep["last"].append(beyond[:, -AGED:].ravel().astype(np.float64))
    for when, (real, simulated) in deep.items():
        yield Panel(
            name=f"{measured.id} share of deep RESETs, {when} cycles", real=real, mock=simulated, mean=True, weight=0.3,
            ks=False,
        )  # fmt: skip


def _grid(table: pd.DataFrame, state: str) -> Floats:
    """Return ln G of one state, cells by cycles; NaN where a cycle is missing."""
    one: Any = table[table["state"] == state]
    cells, cell = np.unique(one["cell"].to_numpy(), return_inverse=True)
    cycles, cycle = np.unique(one["cycle"].to_numpy(), return_inverse=True)
    grid = np.full((len(cells), len(cycles)), np.nan)
    grid[cell, cycle] = _log(one["conductance"])
    return grid


def _write_verify(measured: Measured, mock: pd.DataFrame) -> Iterator[Panel]:
    for level, real in measured.table.groupby("level"):
        simulated: Any = mock[mock["level"] == level]
        middle = float(real["low"].iloc[0]) > 0.0 and math.isfinite(float(real["high"].iloc[0]))
        weight = 1.0 if middle else 0.6
        pulses = [(frame["sets"] + frame["resets"]).to_numpy(np.float64) for frame in (real, simulated)]
        yield Panel(
            name=f"{measured.id} level {level} pulses", real=pulses[0], mock=pulses[1], mean=True, weight=1.3 * weight
        )
        yield Panel(
            name=f"{measured.id} level {level} G",
            real=_log(real["after"]),
            mock=_log(simulated["after"]),
            unit="ln G",
            weight=0.4 * weight,
        )
        lost = [1.0 - frame["success"].to_numpy(np.float64) for frame in (real, simulated)]
        yield Panel(
            name=f"{measured.id} level {level} failures", real=lost[0], mock=lost[1], mean=True, weight=0.3 * weight,
            ks=False, floor=FAILED,
        )  # fmt: skip


BAKE_EDGES = (0.0, 15e-6, 30e-6, 60e-6, 110e-6, 170e-6, 1.0)
"""Conductances before a bake [S] between which its effect is compared by itself."""
NOISE_LEAST = 130e-6
"""Noise of cells that conduct better [S] is compared by itself."""


def _bake(measured: Measured, mock: pd.DataFrame) -> Iterator[Panel]:
    table: Any = measured.table
    for kelvin, real in table.groupby("temperature"):
        simulated: Any = mock[np.abs(mock["temperature"] - float(kelvin)) < 0.5]
        name = f"{measured.id} {float(kelvin) - 273.15:.0f} °C"
        moves = [_log(frame["after"]) - _log(frame["before"]) for frame in (real, simulated)]
        yield Panel(name=name, real=moves[0], mock=moves[1], unit="change of ln G", weight=1.0, spread=True)
        for low, high in itertools.pairwise(BAKE_EDGES):
            inside = [((frame["before"] >= low) & (frame["before"] < high)).to_numpy() for frame in (real, simulated)]
            if min(part.sum() for part in inside) >= 50:
                yield Panel(
                    name=f"{name}, {low * 1e6:.0f} µS {'and more' if high >= 1.0 else f'to {high * 1e6:.0f} µS'}",
                    real=moves[0][inside[0]],
                    mock=moves[1][inside[1]],
                    unit="change of ln G",
                    weight=0.15,
                    spread=True,
                )


def _noise(measured: Measured, mock: pd.DataFrame) -> Iterator[Panel]:
    protocol = measured.protocol
    assert isinstance(protocol, Noise)
    real = [
        noise_figures(trace["conductance"].to_numpy(), float(protocol.rate or 1.0))
        for _, trace in measured.table.groupby("cell")
    ]
    for what, unit in (("sd", "ln sd/G"), ("exponent", "1/f exponent")):
        pick = np.log if what == "sd" else np.asarray
        for high in (False, True):
            mine = np.asarray([one[what] for one in real if (one["conductance"] >= NOISE_LEAST) == high])
            its = mock.loc[(mock["conductance"] >= NOISE_LEAST) == high, what].to_numpy(np.float64)
            if len(mine) and len(its):
                yield Panel(
                    name=f"{measured.id} {what}, {'above' if high else 'below'} {NOISE_LEAST * 1e6:.0f} µS",
                    real=np.asarray(pick(mine), np.float64), mock=np.asarray(pick(its), np.float64), unit=unit,
                    weight=0.2, ks=False,
                )  # fmt: skip


STEPS_MOST = 12
"""Pulses of a train, and points of a loop, that are compared."""
LOOP_VOLTS = 0.1
"""Currents at smaller voltages are not compared [V]."""


def _some(every: list[Any]) -> list[Any]:
    """Return at most :data:`STEPS_MOST` of them, evenly spread, the last one among them."""
    if len(every) <= STEPS_MOST:
        return every
    return [every[round(at)] for at in np.linspace(0, len(every) - 1, STEPS_MOST)]


def _train(measured: Measured, mock: pd.DataFrame) -> Iterator[Panel]:
    real: dict[Any, Any] = dict(tuple(measured.table.groupby("step")))
    simulated: dict[Any, Any] = dict(tuple(mock.groupby("step")))
    steps = _some(sorted(set(real))[1:])  # cells begin at the first reading
    for step in steps:
        yield Panel(
            name=f"{measured.id} pulse {step}",
            real=_log(real[step]["conductance"]),
            mock=_log(simulated[step]["conductance"]) if step in simulated else np.empty(0),
            unit="ln G",
            weight=2.0 / len(steps),
            spread=True,
        )


def _loops(measured: Measured, mock: pd.DataFrame) -> Iterator[Panel]:
    wave: Any = waveform(measured)
    points = wave[np.abs(wave) >= LOOP_VOLTS].groupby("point").median()
    chosen = _some(sorted(points.index))
    loops = set(wave.index.get_level_values("loop"))
    table: Any = measured.table
    table = table[table["loop"].isin(loops)]
    for point in chosen:
        both = [frame.loc[frame["point"] == point, "current"].to_numpy(np.float64) for frame in (table, mock)]
        yield Panel(
            name=f"{measured.id} point {point} at {points[point]:.2f} V",
            real=_log(np.abs(both[0])),
            mock=_log(np.abs(both[1])),
            unit="ln I",
            weight=2.0 / len(chosen),
            spread=True,
        )


def _map(measured: Measured, mock: pd.DataFrame) -> Iterator[Panel]:
    both = [_log(frame["conductance"]) for frame in (measured.table, mock)]
    yield Panel(name=f"{measured.id} virgin G", real=both[0], mock=both[1], unit="ln G", spread=True)
