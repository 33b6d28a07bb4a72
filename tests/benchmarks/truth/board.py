"""Quantities of the 128 × 64 board: noise, programming, products, lines, stuck cells, drift."""

from __future__ import annotations

from typing import Any

import numpy as np

from xbarlab.analysis.measurements.read_noise import relative_noise
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import PulseMap
from xbarlab.mockhw.chip.virtual_chip import VirtualChip
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.measure.read_noise import ReadNoisePlan, ReadNoiseResult, read_noise
from xbarlab.protocols.measure.vmm_accuracy import VmmPlan, vmm_accuracy
from xbarlab.protocols.measure.wire_resistance import WirePlan, wire_resistance
from xbarlab.protocols.measure.yield_map import YieldMapPlan, yield_map
from xbarlab.protocols.programming.read_verify import ReadVerifyPlan, ReadVerifyResult, read_verify
from xbarlab.protocols.programming.retention import RetentionPlan, retention

from .bare import BareArray, BareChip, Floats
from .chips import OTHERS, Drawn, drawn_chip
from .iv import FORM
from .numbers import Found, Number, found

BOARD = "mock_ta_hfo2"
WHOLE = Block(0, 128, 0, 64)
RESET: dict[str, Any] = {"volts": -1.7, "width": 500e-9, "gate": 5.0}
NOISE_CELLS, NOISE = Block(0, 40, 0, 16), {"cells": "0:40,0:16", "rate": 1000.0, "seconds": 1.0}
RTN = {"cells": "64:72,0:6", "rate": 1000.0, "seconds": 10.0, "floor_seconds": 0.3}
PROGRAMMED = "0:96,0:64"
LEAST_JUMPS = 30
LOW_STATE: list[dict[str, Any]] = [FORM, RESET, {"volts": 2.5, "width": 500e-9, "gate": 0.75}]
"""Some 30 µS, where cells of this profile drift most against what they wander."""


def quiet_run(drawn: Drawn, what: str) -> Run:
    """Return a run that keeps nothing, with a seed of its own."""
    return Run(None, seed=int(drawn.rng(what).integers(2**31)), quiet=True)


def others(drawn: Drawn, count: int) -> list[BareChip]:
    """Return bare chips of the same kind that are not the one measured."""
    return [BareChip(drawn.profile, OTHERS * (k + 1) + drawn.number) for k in range(count)]


def wire(number: int) -> Found:
    """Ohms per segment, drawn evenly from 0.5 to 5 Ω."""
    ohm = float(np.random.default_rng([number, 5]).uniform(0.5, 5.0))
    drawn = drawn_chip(BOARD, number, row_segment=ohm, col_segment=ohm)
    with drawn.opened() as (array, _):
        array.pulse(PulseMap(WHOLE, **FORM))
        result = wire_resistance(array, WirePlan(), quiet_run(drawn, "wire"))
    contact = float(drawn.profile.wiring.driver)
    return found(result.metrics(), {"wire_ohm_per_segment": ohm, "line_contact_ohm": contact})


def noise(number: int) -> Found:
    """σ_I/I of traces of a second."""
    drawn = drawn_chip(BOARD, number)
    plan = ReadNoisePlan(**NOISE)  # pyright: ignore[reportArgumentType]
    with drawn.opened() as (array, _):
        array.pulse(PulseMap(NOISE_CELLS, **FORM))
        array.clock.wait(1.0)
        spec = array.spec
        result = read_noise(array, plan, quiet_run(drawn, "noise"))
    points = round(plan.rate * plan.seconds)
    relative: list[float] = []
    for bare in others(drawn, 8):
        bare.pulse(PulseMap(NOISE_CELLS, **FORM))
        bare.wait(1.0)
        for row, col in np.ndindex(NOISE_CELLS.shape):
            current = bare.chip.sample(row, col, spec.read_volts, spec.read_gate, plan.rate, points)
            bare.wait(plan.seconds)
            relative.append(float(current.std() / current.mean()))
    one = relative_noise(result.traces)
    return Found([Number("read_noise_rel", float(np.median(relative)), one.value, one.low, one.high)])


def rtn(number: int) -> Found:
    """Mean times of telegraph noise of the cells that have exactly one trap, where enough jumps were seen."""
    drawn = drawn_chip(BOARD, number)
    plan = ReadNoisePlan(**RTN)  # pyright: ignore[reportArgumentType]
    with drawn.opened() as (array, mock):
        array.pulse(PulseMap(Block.parse(plan.cells, array.spec), **FORM))
        result: ReadNoiseResult = read_noise(array, plan, quiet_run(drawn, "rtn"))
        cells: Any = mock.chip.model.state()  # pyright: ignore[reportAttributeAccessIssue]
    numbers: list[Number] = []
    counts = {"rtn_cells": 0, "rtn_more_traps": 0, "rtn_no_trap": 0}
    for (row, col), one in zip(result.cells, result.traces.telegraph, strict=True):
        cell = {name: cells[name][row * WHOLE.ncols + col] for name in ("traps", "trap_tau", "trap_occupied")}
        if not one.preferred or one.jumps < LEAST_JUMPS:
            continue
        counts["rtn_cells"] += 1
        if cell["traps"] != 1:
            counts["rtn_more_traps" if cell["traps"] else "rtn_no_trap"] += 1
            continue
        tau, occupied = float(cell["trap_tau"][0]), float(cell["trap_occupied"][0])
        for key, true, stay in (
            ("rtn_stay_low", tau / occupied, one.stay_low), ("rtn_stay_high", tau / (1.0 - occupied), one.stay_high)
        ):  # fmt: skip
            numbers.append(Number(key, true, stay.value, stay.low, stay.high))
    return Found(numbers, counts)


def programming(number: int) -> Found:
    """Standard deviation of where cells stand a minute after read–verify."""
    drawn = drawn_chip(BOARD, number)
    with drawn.opened() as (array, _):
        result = _programmed(array, drawn, "programming", PROGRAMMED)
        spec = array.spec
    errors: list[Floats] = []
    for k, bare in enumerate(others(drawn, 3)):
        one = _programmed(BareArray(spec, bare), drawn, f"programming {k}", "all")
        healthy = one.healthy & one.attempted
        errors.append((one.later - one.target)[healthy])
    return found(result.metrics(), {"programming_sigma": float(np.concatenate(errors).std(ddof=1))})


def _programmed(array: Any, drawn: Drawn, what: str, cells: str) -> ReadVerifyResult:
    array.pulse(PulseMap(Block.parse(cells, array.spec), **FORM))
    run = quiet_run(drawn, what)
    yield_map(array, YieldMapPlan(cells=cells), run)
    return read_verify(array, ReadVerifyPlan(cells=cells, reverify_rounds=1), run)


def vmm(number: int) -> Found:
    """Gain of the columns of this very chip: all of them are measured.

    By definition it is the slope against conductances as read: what fluctuates between the read and the product
    lowers it, by 0.3 to 1 % on these chips. So the true one is of reads and products without instruments, several
    times, and not of cells that do not fluctuate.
    """
    drawn = drawn_chip(BOARD, number)
    plan = VmmPlan(active_rows=(WHOLE.nrows,))
    gains: list[float] = []
    with drawn.opened() as (array, mock):
        _filled(array, drawn)
        result = vmm_accuracy(array, plan, quiet_run(drawn, "vmm"))
        spec, chip = array.spec, mock.chip
        assert isinstance(chip, VirtualChip)
        rows, cols = WHOLE.slices
        for k in range(8):
            volts = drawn.rng(f"vectors {k}").uniform(-plan.volts, plan.volts, (4000, WHOLE.nrows)).astype(np.float32)
            read = chip.read(rows, cols, spec.read_volts, spec.read_gate, plan.average) / spec.read_volts
            current = chip.vmm_moments(np.ascontiguousarray(volts), spec.read_gate, reverse=False)[0]
            x = volts.astype(np.float64) @ read
            gains.append(float(np.median((x * current).sum(axis=0) / (x**2).sum(axis=0))))
            array.clock.wait(5.0)
    return found(result.metrics(), {"vmm_column_gain": float(np.mean(gains))})


def _filled(array: Any, drawn: Drawn) -> None:
    """Form all cells, RESET them and SET each at a gate of its own."""
    array.pulse(PulseMap(WHOLE, **FORM))
    array.pulse(PulseMap(WHOLE, **RESET))
    gate = drawn.rng("fill").uniform(0.8, 1.8, WHOLE.shape)
    array.pulse(PulseMap(WHOLE, volts=2.5, width=500e-9, gate=gate))


def stuck(number: int) -> Found:
    """Cells that do not switch: what the yield map calls so, and what the mock knows."""
    drawn = drawn_chip(BOARD, number)
    with drawn.opened() as (array, mock):
        array.pulse(PulseMap(WHOLE, **FORM))
        result = yield_map(array, YieldMapPlan(), quiet_run(drawn, "stuck"))
        true = mock.chip.truth()["stuck"].astype(bool)
    said = ~result.healthy
    return Found([], {
        "stuck_true": int(true.sum()), "stuck_said": int(said.sum()), "stuck_both": int((true & said).sum()),
        "stuck_cells": int(true.size),
    })  # fmt: skip


def drift(number: int) -> Found:
    """Drift of all cells in a low state, to 10,000 s."""
    drawn = drawn_chip(BOARD, number)
    plan = RetentionPlan(cells="all", prepare="found", levels={"count": 2, "low": 5e-6, "high": 100e-6})  # pyright: ignore[reportArgumentType]
    with drawn.opened() as (array, _):
        for pulse in LOW_STATE:
            array.pulse(PulseMap(WHOLE, **pulse))
        result = retention(array, plan, quiet_run(drawn, "drift"))
        spec = array.spec
    slopes: list[Floats] = []
    x = np.log(plan.times)
    x = x - x.mean()
    for bare in others(drawn, 3):
        for pulse in LOW_STATE:
            bare.pulse(PulseMap(WHOLE, **pulse))
        reads: list[Floats] = []
        for seconds in np.diff(plan.times, prepend=0.0):
            bare.wait(float(seconds))
            reads.append(np.log(bare.quiet(WHOLE, spec.read_volts, spec.read_gate)).ravel())
        slopes.append(-(x @ np.array(reads)) / float(x @ x))
    return found(result.metrics(), {"retention_drift_nu": float(np.median(np.concatenate(slopes)))})
