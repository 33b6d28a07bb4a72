"""Sweeps of single pulses, forming, cycling: done again on a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ...analysis.measured_data.measured import Measured
from ...analysis.measured_data.protocols import Cycling, Forming, PulseSweep
from ...analysis.measured_data.stop_rule import stop_beyond
from ...mockhw.device_models.filament.parameters import FilamentParameters
from .cells import Cells, Floats

PREPARATION = ((-2.8, 3.0, 200e-9), (2.0, 2.4, 200e-9))
"""Volts, gate [V] and width [s] before each sweep where the data do not say: assumed, a RESET and a SET."""
REPEATS_MOST = 5
"""Sweeps that one cell of the model repeats: more tell its cycles apart, and only more cells tell cells apart."""
FORMED_SPREAD = 0.3
"""Spread of ln G of cells before cycling where it is not known: assumed."""


def replay_sweep(measured: Measured, parameters: FilamentParameters, size: int, seed: int) -> pd.DataFrame:
    """Repeat measured sweeps from their own starts on cells of the model; ``size`` is a least number of cells.

    Of a cell that was swept often, :data:`REPEATS_MOST` sweeps are done again, evenly chosen.

    Returns
    -------
    DataFrame
        Columns cell, repeat, step, volts, gate, after, as measured.
    """
    protocol = measured.protocol
    assert isinstance(protocol, PulseSweep)
    table: Any = measured.table
    bound = stop_beyond(table, protocol)
    rising = protocol.polarity == "set"
    ladder = table.groupby("step")[["volts", "gate", "width"]].first()
    start = table[table["step"] == table["step"].min()].pivot_table(index="cell", columns="repeat", values="before")
    starts = start.to_numpy()
    # A sweep that is missing starts where the cell's other sweeps do.
    starts = np.where(np.isfinite(starts), starts, np.nanmedian(starts, axis=1, keepdims=True))
    swept = starts.shape[1]
    starts = starts[:, np.linspace(0, swept - 1, min(swept, REPEATS_MOST)).round().astype(np.int64)]
    starts = np.tile(starts, (max(1, -(-size // len(starts))), 1))
    cells = Cells(parameters, len(starts), seed)
    first = [(p.volts, p.gate, p.width) for p in protocol.preparation] if protocol.preparation else PREPARATION
    after = np.full((len(starts), starts.shape[1], len(ladder)), np.nan)
    for repeat in range(starts.shape[1]):
        cells.start(100e-6)
        for volts, gate, width in first:
            cells.pulse(cells.all, float(volts or 0.0), float(gate or 0.0), float(width or 0.0))
        cells.start(starts[:, repeat])
        alive = cells.all
        for step, (volts, gate, width) in enumerate(ladder.to_numpy()):
            if not len(alive):
                break
            if volts and not gate <= 0.0:
                cells.pulse(alive, volts, gate, width)
            g = cells.read(alive)
            after[alive, repeat, step] = g
            if bound is not None:
                alive = alive[g < bound] if rising else alive[g > bound]
    return _long(after, ladder)


def _long(after: Floats, ladder: pd.DataFrame) -> pd.DataFrame:
    cell, repeat, step = np.nonzero(np.isfinite(after))
    return pd.DataFrame(
        {
            "cell": cell,
            "repeat": repeat,
            "step": step,
            "volts": ladder["volts"].to_numpy()[step],
            "gate": ladder["gate"].to_numpy()[step],
            "after": after[cell, repeat, step],
        }
    )


def replay_forming(measured: Measured, parameters: FilamentParameters, size: int, seed: int) -> pd.DataFrame:
    """Form ``size`` virgin cells by the measured staircase; volts and after [S] of each that formed."""
    protocol = measured.protocol
    assert isinstance(protocol, Forming)
    table: Any = measured.table
    gate = float(protocol.gate if protocol.gate is not None else table["gate"].median())
    width = float(protocol.width or 1e-6)
    step = float(protocol.step_volts or 0.05)
    lowest = protocol.start_volts if protocol.start_volts is not None else float(table["volts"].min()) - 6 * step
    most = protocol.most_volts if protocol.most_volts is not None else float(table["volts"].max()) + 6 * step
    cells = Cells(parameters, size, seed)
    volts, after = np.full(size, np.nan), np.full(size, np.nan)
    left = cells.all
    # Rounded: equal voltages have to be equal numbers, or the distance of two staircases is a whole step of them.
    for v in np.arange(lowest, most + 0.5 * step, step).round(9):
        if not len(left):
            break
        cells.pulse(left, float(v), gate, width)
        done = left[cells.model.truth()["formed"][left].astype(bool)]
        if len(done):
            volts[done], after[done] = v, cells.read(done)
            left = left[np.isnan(volts[left])]
    formed = np.isfinite(volts)
    which = np.flatnonzero(formed)
    return pd.DataFrame({"cell": which, "volts": volts[which], "gate": gate, "after": after[which], "success": True})


def replay_cycling(measured: Measured, parameters: FilamentParameters, size: int, seed: int) -> pd.DataFrame:
    """Cycle cells as measured, for as many cycles; ``size`` is a least number of cells."""
    protocol = measured.protocol
    assert isinstance(protocol, Cycling)
    table: Any = measured.table
    count = int(table["cycle"].max()) + 1
    cells = Cells(parameters, size, seed)
    gain = float(parameters.forming.compliance_gain)
    rng = np.random.default_rng(seed)
    formed = 130e-6 if gain <= 0.0 else 129e-6
    cells.start(formed * np.exp(FORMED_SPREAD * rng.standard_normal(size)), protocol.start.cycles or 0)
    pulses = {
        "HRS": (-float(protocol.reset.volts or 0.0), protocol.reset),
        "LRS": (float(protocol.set.volts or 0.0), protocol.set),
    }
    order = ("HRS", "LRS") if protocol.first == "reset" else ("LRS", "HRS")
    g = np.empty((count, 2, size))
    for cycle in range(count):
        for which, state in enumerate(order):
            volts, pulse = pulses[state]
            cells.pulse(cells.all, volts, float(pulse.gate or 0.0), float(pulse.width or 0.0))
            g[cycle, which] = cells.read(cells.all)
    cycle, which, cell = np.indices(g.shape).reshape(3, -1)
    return pd.DataFrame(
        {"cell": cell, "cycle": cycle, "state": np.asarray(order, object)[which], "conductance": g.ravel()}
    )
