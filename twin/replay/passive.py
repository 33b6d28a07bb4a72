"""Measurements of passive cells, done again on cells of the graded model that stand apart.

Every cell has a row and a source of its own, and all share one column: what other cells and lines do to a measurement
is not replayed.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ...analysis.measured_data.measured import Measured
from ...analysis.measured_data.protocols import IvSweep, PulseTrain
from ...mockhw.chip.profile import Profile, load_profile
from ...mockhw.device_models.graded.parameters import GradedParameters
from ...mockhw.device_models.quantity import Quantity
from ...mockhw.passive_chip.bias import Bias
from ...mockhw.passive_chip.chip import PassiveChip
from ...mockhw.sim_clock import SimClock
from .cells import PERIOD, Floats

if TYPE_CHECKING:
    from numpy.typing import NDArray

SOURCE_OHMS = 20.0
"""Stands for lines and contacts [Ω]."""
READ_VOLTS = 0.2
LOOPS_MOST, POINTS_MOST = 2, 200
"""Of a sweep, so much is done again: the first loops, every so many points."""
DWELL = 10e-3
"""Time at a point of a sweep where nobody wrote it down [s]: assumed."""
VIRGIN_BELOW = 5e-6
"""Cells that conduct less were never formed [S]."""
NEAR_ZERO = 0.1
"""Below this voltage a current says nothing of the state [V]."""


@cache
def _shipped() -> Profile:
    return load_profile("tio2_passive")


class Apart:
    """``size`` passive cells that do not see each other."""

    def __init__(self, parameters: GradedParameters, size: int, seed: int) -> None:
        base, source = _shipped(), "cells that stand apart"
        geometry = base.geometry.model_copy(
            update={"rows": Quantity(size, "1", source), "cols": Quantity(1, "1", source)}
        )
        no_ohms = Quantity(1e-3, "ohm", source)
        wiring = base.wiring.model_copy(update={"row_segment": no_ohms, "col_segment": no_ohms})
        changed = {
            "geometry": geometry, "wiring": wiring, "parameters": parameters.model_copy(update={"lines": None}),
        }  # fmt: skip
        self.size, self.clock = size, SimClock()
        self.chip = PassiveChip(base.model_copy(update=changed), seed=seed, clock=self.clock)
        self._span = math.log(parameters.conduction.Gon / parameters.conduction.Goff)
        self._off = float(parameters.conduction.Goff)

    def _bias(self, volts: float, limit: float = math.inf) -> Bias:
        lines = self.size + 1
        each = np.append(np.full(self.size, volts), 0.0)
        limits = np.append(np.full(self.size, limit), math.inf)
        return Bias(np.arange(lines), np.zeros(lines), each, np.full(lines, SOURCE_OHMS), limits, np.zeros(lines))

    def start(self, conductance: Floats) -> None:
        """Declare the cells formed at ``conductance`` [S]."""
        state = np.log(conductance / self._off) / self._span
        for _ in range(4):  # series resistance and spread are in what is read
            self.chip.assume_formed(state[:, None])
            there = self.chip.truth()["conductance"][:, 0].astype(np.float64)
            state = state + np.log(conductance / there) / self._span
        self.chip.assume_formed(state[:, None])

    def pulse(self, volts: float, width: float, count: int = 1) -> None:
        """Give every cell ``count`` pulses of ``volts`` [V], ``width`` [s]."""
        bias = self._bias(volts)
        self.chip.play(bias, bias.volts[None, :], np.array([width]), count)
        self.clock.advance(count * width + PERIOD)

    def hold(self, volts: float, seconds: float, limit: float) -> Floats:
        """Hold every cell at ``volts`` [V] for ``seconds`` [s]; return the currents at the end [A]."""
        bias = self._bias(volts, limit)
        self.chip.hold(bias, seconds)
        self.clock.advance(seconds)
        return self.chip.measure(bias).source_amps[:-1]

    def read(self) -> Floats:
        """Return one reading of each cell [S], noise included."""
        return self.chip.measure(self._bias(READ_VOLTS)).source_amps[:-1] / READ_VOLTS


def _tiled(values: Floats, size: int) -> Floats:
    return np.tile(values, max(1, -(-size // len(values))))


def replay_train(measured: Measured, parameters: GradedParameters, size: int, seed: int) -> pd.DataFrame:
    """Give cells that start at the first readings the pulses that followed; columns cell, step, volts, conductance."""
    assert isinstance(measured.protocol, PulseTrain)
    table: Any = measured.table
    by_step = table.groupby("step")
    ladder = by_step[["volts", "width"]].median()
    counts: Any = by_step["count"].median() if "count" in table else dict.fromkeys(ladder.index, 1)
    first = table[table["step"] == ladder.index[0]].groupby("cell")["conductance"].median().to_numpy(np.float64)
    starts = _tiled(np.maximum(first, VIRGIN_BELOW), size)
    cells = Apart(parameters, len(starts), seed)
    cells.start(starts)
    made: list[pd.DataFrame] = []
    for step, (volts, width) in zip(ladder.index[1:], ladder.to_numpy()[1:], strict=True):
        cells.pulse(float(volts), float(width), max(int(counts[step]), 1))
        made.append(_lines(len(starts), step=step, volts=volts, conductance=cells.read()))
    return pd.concat(made, ignore_index=True)


def replay_loops(measured: Measured, parameters: GradedParameters, size: int, seed: int) -> pd.DataFrame:
    """Sweep cells that start where measured ones did; columns cell, loop, point, volts, current."""
    protocol = measured.protocol
    assert isinstance(protocol, IvSweep)
    wave = waveform(measured)
    table: Any = measured.table
    at_start = table[table["loop"] == table["loop"].min()]
    away = at_start[np.abs(at_start["volts"]) >= NEAR_ZERO].groupby("cell").first()
    starts = _tiled((away["current"] / away["volts"]).to_numpy(np.float64), size)
    cells = Apart(parameters, len(starts), seed)
    if float(np.median(starts)) > VIRGIN_BELOW:
        cells.start(np.maximum(starts, VIRGIN_BELOW))
    dwell = _dwell(measured)
    up, down = protocol.compliance, getattr(protocol, "negative_compliance", None)
    made: list[pd.DataFrame] = []
    for (loop, point), volts in zip(wave.index, wave.to_numpy(), strict=True):
        limit = up if volts > 0.0 else down
        current = cells.hold(float(volts), dwell, math.inf if limit is None else float(limit))
        made.append(_lines(len(starts), loop=loop, point=point, volts=volts, current=current))
    return pd.concat(made, ignore_index=True)


def waveform(measured: Measured) -> pd.Series:
    """Return the voltages of the loops that are done again, by loop and point."""
    table: Any = measured.table
    loops = sorted(set(table["loop"]))[:LOOPS_MOST]
    points = sorted(set(table["point"]))
    kept = points[:: max(1, -(-len(points) // POINTS_MOST))]
    part = table[table["loop"].isin(loops) & table["point"].isin(kept)]
    return part.groupby(["loop", "point"])["volts"].median()


def _dwell(measured: Measured) -> float:
    """Return the time at each point that is done again [s]: longer where points are left out."""
    protocol = measured.protocol
    assert isinstance(protocol, IvSweep)
    points = len(set(measured.table["point"]))
    left_out = max(1, -(-points // POINTS_MOST))
    if protocol.dwell is not None:
        return float(protocol.dwell) * left_out
    return (float(protocol.period) / points if protocol.period is not None else DWELL) * left_out


def replay_map(measured: Measured, parameters: GradedParameters, size: int, seed: int) -> pd.DataFrame:
    """Read cells that were never formed; columns cell, conductance."""
    del measured
    return _lines(size, conductance=Apart(parameters, size, seed).read())


def _lines(size: int, **columns: Any) -> pd.DataFrame:
    cells: NDArray[np.int64] = np.arange(size)
    return pd.DataFrame({"cell": cells, **columns})
