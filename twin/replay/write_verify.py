"""Programming into windows, done again on a model with every number of the algorithm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ...analysis.measured_data.measured import Measured
from ...analysis.measured_data.protocols import WriteVerify
from ...analysis.measured_data.write_algorithms import CoarseFine, FineLevel, Ispp
from ...common.errors import RefusedError
from ...mockhw.device_models.filament.parameters import FilamentParameters
from .cells import Cells, Floats, Indices

PULSES_MOST = 4000
"""No replay gives a cell more pulses: an end where the protocol states none."""


class _Tally:
    """Cells ``which`` on their way into one window."""

    def __init__(self, cells: Cells, which: Indices, low: float, high: float) -> None:
        self.cells, self.which, self.low, self.high = cells, which, low, high
        self.sets = np.zeros(cells.size, np.int64)
        self.resets = np.zeros(cells.size, np.int64)
        self.after = np.zeros(cells.size)
        self.success = np.zeros(cells.size, np.bool_)
        self.todo: Indices = which

    def set(self, cells: Indices, volts: float | Floats, gate: float | Floats, width: float) -> None:
        if len(cells):
            self.cells.pulse(cells, volts, gate, width)
            self.sets[cells] += 1

    def reset(self, cells: Indices, volts: float | Floats, gate: float | Floats, width: float) -> None:
        if len(cells):
            self.cells.pulse(cells, -volts, gate, width)
            self.resets[cells] += 1

    def verify(self) -> None:
        """Read what is left; take out what is in the window."""
        g = self.cells.read(self.todo)
        self.after[self.todo] = g
        inside = (g >= self.low) & (g <= self.high)
        self.success[self.todo[inside]] = True
        self.todo = self.todo[~inside]

    def give_up(self, where: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
        self.todo = self.todo[~where[self.todo]]

    def table(self, level: int) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "cell": self.which,
                "level": level,
                "sets": self.sets[self.which],
                "resets": self.resets[self.which],
                "after": self.after[self.which],
                "success": self.success[self.which],
            }
        )


def replay_write_verify(measured: Measured, parameters: FilamentParameters, size: int, seed: int) -> pd.DataFrame:
    """Program ``size`` cells into every window of the data.

    Raises
    ------
    RefusedError
        For an algorithm that is not replayed, or one with unknown voltages.
    """
    protocol = measured.protocol
    assert isinstance(protocol, WriteVerify)
    table: Any = measured.table
    windows = table.groupby("level")[["low", "high"]].first()
    made: list[pd.DataFrame] = []
    for level, (low, high) in zip(windows.index, windows.to_numpy(), strict=True):
        cells = Cells(parameters, size, seed + 1000 * int(level))
        start = protocol.start
        cells.start(200e-6, start.cycles or 0)
        for pulse, sign in ((start.cycle_reset, -1.0), (start.cycle_set, 1.0)):
            if pulse is not None:
                cells.pulse(cells.all, sign * float(pulse.volts or 0), float(pulse.gate or 0), float(pulse.width or 0))
        made.append(program(cells, cells.all, protocol.algorithm, float(low), float(high), int(level)))
    return pd.concat(made, ignore_index=True)


def program(cells: Cells, which: Indices, algorithm: Any, low: float, high: float, level: int) -> pd.DataFrame:
    """Program cells ``which`` into the window from ``low`` to ``high`` [S] by the algorithm of a protocol.

    Returns
    -------
    DataFrame
        Columns cell, level, sets, resets, after [S], success.

    Raises
    ------
    RefusedError
        For an algorithm that is not replayed, or one with unknown voltages.
    """
    tally = _Tally(cells, which, low, high)
    if isinstance(algorithm, Ispp):
        _ispp(tally, algorithm)
    elif isinstance(algorithm, CoarseFine):
        _coarse_fine(tally, algorithm, level)
    else:
        raise RefusedError(
            f"{algorithm.method} is not replayed; write-verify data are replayed for ispp and coarse_fine"
        )
    return tally.table(level)


def _known(value: float | str | None, name: str) -> float:
    if value is None or isinstance(value, str):
        raise RefusedError(f"{name} is unknown: a replay needs it; give it, or let the fit estimate it")
    return float(value)


def _ispp(tally: _Tally, a: Ispp) -> None:
    start, step = _known(a.gate.start, "gate.start"), _known(a.gate.step, "gate.step")
    below = _known(a.gate.below, "gate.below")
    volts, width = _known(a.set_volts, "set_volts"), _known(a.set_width, "set_width")
    r_volts, r_gate = _known(a.reset.volts, "reset.volts"), _known(a.reset.gate, "reset.gate")
    r_width = _known(a.reset.width, "reset.width")
    most = a.resets_most or PULSES_MOST
    by_reset_only = a.hrs_by_reset_only and tally.low <= 0.0
    gate = np.full(tally.cells.size, start)
    resetting = np.ones(tally.cells.size, np.bool_)
    for _ in range(PULSES_MOST):
        if not len(tally.todo):
            return
        down, up = tally.todo[resetting[tally.todo]], tally.todo[~resetting[tally.todo]]
        tally.reset(down, r_volts, r_gate, r_width)
        gate[down] = start
        tally.set(up, volts, gate[up], width)
        gate[up] += step
        tally.verify()
        if by_reset_only:
            resetting[:] = True
        else:
            resetting = (tally.after > tally.high) | (gate >= below - 1e-9)
        tally.give_up((tally.resets >= most) & resetting)


def _coarse_fine(tally: _Tally, a: CoarseFine, level: int) -> None:
    r_volts, r_gate = _known(a.reset.volts, "reset.volts"), _known(a.reset.gate, "reset.gate")
    r_width = _known(a.reset.width, "reset.width")
    tally.reset(tally.todo, r_volts, r_gate, r_width)
    told = a.levels[level] if level < len(a.levels) else None
    most = a.fine_most or PULSES_MOST
    if told is None:
        tally.verify()
        for _ in range(most):
            tally.reset(tally.todo, r_volts, r_gate, r_width)
            if len(tally.todo):
                tally.verify()
        return
    tally.set(tally.todo, _known(a.coarse.volts, "coarse.volts"), _known(told.gate, "gate"), float(a.coarse.width or 0))
    tally.verify()
    _fine(tally, a, told, most)


def _fine(tally: _Tally, a: CoarseFine, told: FineLevel, most: int) -> None:
    size = tally.cells.size
    ups = np.asarray(told.set_volts.values() if told.set_volts else [])
    downs = np.asarray(told.reset_volts.values() if told.reset_volts else [])
    gate0 = float(told.gate or 0.0)
    gate_step, gate_below = a.gate_step or 0.0, a.gate_below if a.gate_below is not None else gate0
    # After the amplitudes of a ladder of SETs come gates, at the largest amplitude.
    gates = np.arange(gate0 + gate_step, gate_below - 1e-9, gate_step) if gate_step > 0.0 else np.empty(0)
    set_width, reset_width = float(a.set_width or 0.0), float(a.reset_width or 0.0)
    reset_gate = float(a.reset_gate or 0.0)
    position, attempts = np.zeros(size, np.int64), np.ones(size, np.int64)
    upward = tally.after < tally.low
    for _ in range(PULSES_MOST):
        left = tally.todo
        if not len(left):
            return
        up, down = left[upward[left]], left[~upward[left]]
        if len(ups):
            at = position[up]
            past = at >= len(ups)
            volts = ups[np.minimum(at, len(ups) - 1)]
            gate = np.full(len(up), gate0)
            if len(gates):
                gate[past] = gates[np.minimum(at[past] - len(ups), len(gates) - 1)]
            tally.set(up, volts, gate, set_width)
        if len(downs):
            tally.reset(down, downs[np.minimum(position[down], len(downs) - 1)], reset_gate, reset_width)
        position[left] += 1
        tally.verify()
        left = tally.todo
        now_up = tally.after[left] < tally.low
        turned = now_up != upward[left]
        length = np.where(upward[left], len(ups) + len(gates), len(downs))
        used_up = position[left] >= length
        again = left[turned | used_up]
        attempts[again] += 1
        position[again] = 0
        upward[left] = now_up
        tally.give_up(attempts > most)
        stuck = upward & (len(ups) == 0) | ~upward & (len(downs) == 0)
        tally.give_up(stuck)
