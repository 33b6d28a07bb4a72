"""Measurements of the usual kinds, made by the model: to ask what a further one would say, and to try fits on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ...analysis.measured_data.measured import Measured
from ...analysis.measured_data.protocols import Bake, Cycling, Forming, Noise, Protocol, PulseSweep, WriteVerify
from ...mockhw.device_models.filament.model import FilamentModel
from ...mockhw.device_models.filament.parameters import FilamentParameters
from ..objective import REPLAYS
from ..replay.waits import READ_GATE, READ_VOLTS

Make = Callable[[FilamentParameters, int, int], Measured]

_WIDTH = 200e-9
_CYCLE = {"reset": {"volts": 2.8, "gate": 3.5, "width": _WIDTH}, "set": {"volts": 3.3, "gate": 3.0, "width": _WIDTH}}
WINDOWS = ((0.0, 12.5e-6), (107e-6, 117e-6), (166e-6, 173e-6), (200e-6, 1.0))
"""Four levels as a measured chip had them [S]."""


def _measured(name: str, protocol: Protocol, table: pd.DataFrame) -> Measured:
    return Measured(
        id=name, protocol=protocol, table=table, title="a chip of the model", source="computed", licence="none",
        structure="1T1R",
    )  # fmt: skip


def sweep(
    name: str,
    parameters: FilamentParameters,
    cells: int,
    seed: int,
    *,
    volts: Any,
    gate: Any,
    start: float,
    stop: float | None,
    spread: float = 0.2,
    preparation: Sequence[Mapping[str, float]] | None = None,
) -> Measured:
    """Return a sweep of pulses from about ``start`` [S]: ``volts`` (positive SETs) or ``gate`` is a ladder [V]."""
    ladder = np.broadcast_arrays(np.atleast_1d(np.asarray(volts, float)), np.atleast_1d(np.asarray(gate, float)))
    steps = len(ladder[0])
    g0 = start * np.exp(spread * np.random.default_rng(seed).standard_normal(cells))
    frame = pd.DataFrame(
        {
            "cell": np.repeat(np.arange(cells), steps),
            "repeat": 0,
            "step": np.tile(np.arange(steps), cells),
            "volts": np.tile(ladder[0], cells),
            "gate": np.tile(ladder[1], cells),
            "width": _WIDTH,
            "before": np.repeat(g0, steps),
        }
    )
    never = 1.0 if ladder[0][0] > 0.0 else 1e-12  # no reading is beyond
    protocol = PulseSweep.model_validate(
        {
            "kind": "pulse_sweep",
            "polarity": "set" if ladder[0][0] > 0.0 else "reset",
            "swept": "volts" if np.ndim(volts) else "gate",
            "stop_beyond": stop if stop is not None else never,
            **({"preparation": preparation} if preparation else {}),
        }
    )
    plan = _measured(name, protocol, frame)
    made = REPLAYS["pulse_sweep"](plan, parameters, cells, seed)
    made = made.assign(width=_WIDTH, before=g0[made["cell"].to_numpy()])
    return dataclasses.replace(plan, table=made)


def forming(parameters: FilamentParameters, cells: int, seed: int) -> Measured:
    """Return the forming of virgin cells by a staircase of 50 mV at a gate of 2 V, 1 µs."""
    protocol = Forming.model_validate(
        {"kind": "forming", "width": 1e-6, "gate": 2.0, "start_volts": 1.5, "step_volts": 0.05, "most_volts": 5.0}
    )
    plan = _measured("forming", protocol, pd.DataFrame({"cell": np.arange(cells), "volts": 3.0}))
    return dataclasses.replace(plan, table=REPLAYS["forming"](plan, parameters, cells, seed).reset_index(drop=True))


def ispp(parameters: FilamentParameters, cells: int, seed: int, reset_volts: float | None = None) -> Measured:
    """Return the programming of cells to four levels by SETs at a rising gate; ``reset_volts`` goes unsaid if given."""
    pulse = {"volts": 2.8 if reset_volts is None else reset_volts, "gate": 4.0, "width": _WIDTH}
    algorithm: dict[str, Any] = {
        "method": "ispp",
        "gate": {"start": 1.9, "step": 0.1, "below": 3.65},
        "set_volts": 2.0,
        "set_width": _WIDTH,
        "reset": pulse,
        "resets_most": 60,
    }
    said = {"kind": "write_verify", "algorithm": algorithm}
    each = max(cells // len(WINDOWS), 1)
    windows = pd.DataFrame(
        {"level": range(len(WINDOWS)), "low": [w[0] for w in WINDOWS], "high": [w[1] for w in WINDOWS]}
    )
    known = _measured("ispp", WriteVerify.model_validate(said), windows)
    table = REPLAYS["write_verify"](known, parameters, each, seed)
    # Levels alternate from cell to cell, as on a measured chip.
    table["cell"] = table["cell"] * len(WINDOWS) + table["level"]
    table = table.merge(windows, on="level").sort_values("cell", ignore_index=True)
    if reset_volts is not None:
        algorithm["reset"] = {**pulse, "volts": "unknown"}
    return _measured("ispp", WriteVerify.model_validate(said), table)


def cycling(parameters: FilamentParameters, cells: int, seed: int, cycles: int = 30) -> Measured:
    """Return alternate RESET and SET pulses."""
    protocol = Cycling.model_validate({"kind": "cycling", **_CYCLE})
    plan = _measured("cycling", protocol, pd.DataFrame({"cell": [0], "cycle": [cycles - 1]}))
    return dataclasses.replace(plan, table=REPLAYS["cycling"](plan, parameters, cells, seed))


def bakes(parameters: FilamentParameters, cells: int, seed: int) -> Measured:
    """Return bakes of 2 h at 100, 140, 180 and 220 °C of cells between 5 and 250 µS."""
    rng = np.random.default_rng(seed)
    parts: list[pd.DataFrame] = []
    for number, kelvin in enumerate((373.15, 413.15, 453.15, 493.15)):
        before = np.exp(rng.uniform(np.log(5e-6), np.log(250e-6), cells))
        own = np.arange(cells) + number * cells
        parts.append(pd.DataFrame({"cell": own, "before": before, "time": 7200.0, "temperature": kelvin}))
    plan = _measured("bakes", Bake(kind="bake"), pd.concat(parts, ignore_index=True))
    return dataclasses.replace(plan, table=REPLAYS["bake"](plan, parameters, cells, seed))


def noise(parameters: FilamentParameters, cells: int, seed: int, samples: int = 8192, rate: float = 400.0) -> Measured:
    """Return conductances of cells read at a steady rate."""
    levels = np.exp(np.linspace(np.log(20e-6), np.log(220e-6), cells))
    model = FilamentModel(parameters, cells, seed)
    model.assume_formed(levels)
    traces = [model.sample(cell, READ_VOLTS, READ_GATE, rate, samples, 1.0) / READ_VOLTS for cell in range(cells)]
    table = pd.DataFrame(
        {
            "cell": np.repeat(np.arange(cells), samples),
            "index": np.tile(np.arange(samples), cells),
            "conductance": np.concatenate(traces),
        }
    )
    return _measured("noise", Noise.model_validate({"kind": "noise", "rate": rate}), table)


_HRS = [{"volts": -2.8, "gate": 3.5, "width": _WIDTH}]
_STRONG = [{"volts": -2.8, "gate": 3.5, "width": _WIDTH}, {"volts": 3.3, "gate": 3.0, "width": _WIDTH}]


def set_volts(p: FilamentParameters, n: int, seed: int) -> Measured:
    """Return SETs of rising amplitude at one gate, of ``n`` cells."""
    return sweep("set_volts", p, n, seed, volts=np.arange(0.6, 2.6, 0.2), gate=2.4, start=100e-6, stop=250e-6)


def reset_volts(p: FilamentParameters, n: int, seed: int) -> Measured:
    """Return RESETs of rising amplitude at one gate, of ``n`` cells."""
    return sweep("reset_volts", p, n, seed, volts=-np.arange(0.4, 2.6, 0.2), gate=3.5, start=130e-6, stop=10e-6)


def _set_from_hrs(p: FilamentParameters, n: int, seed: int) -> Measured:
    return sweep(
        "set_from_hrs", p, n, seed, volts=2.0, gate=np.arange(1.7, 2.7, 0.1), start=10e-6, stop=None, spread=0.5,
        preparation=_HRS,
    )  # fmt: skip


def _reset_from_lrs(p: FilamentParameters, n: int, seed: int) -> Measured:
    return sweep(
        "reset_from_lrs", p, n, seed, volts=-np.arange(0.8, 3.0, 0.2), gate=3.5, start=220e-6, stop=None,
        preparation=_STRONG,
    )  # fmt: skip


CANDIDATES: dict[str, Make] = {
    "a SET sweep of the amplitude, 0.6 to 2.4 V at a gate of 2.4 V, from 100 µS": set_volts,
    "a RESET sweep of the amplitude, 0.4 to 2.4 V at a gate of 3.5 V, from 130 µS": reset_volts,
    "SET from HRS over the gate, 1.7 to 2.6 V at 2 V": _set_from_hrs,
    "RESET from deep LRS, 0.8 to 2.8 V at a gate of 3.5 V": _reset_from_lrs,
    "forming of virgin cells by a staircase": forming,
    "30 cycles of RESET and SET": cycling,
    "programming to four levels by a rising gate": ispp,
    "bakes at four temperatures, 100 to 220 °C": bakes,
    "noise of 8 cells, read at 400 Hz for 20 s": lambda p, n, seed: noise(p, min(n, 8), seed),
}
"""What could be measured next, and how the model makes it."""
