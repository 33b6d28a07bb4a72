"""Loops that form a cell are told from the loops and from reads, and stand in no statistic of switching voltages."""

from __future__ import annotations

import numpy as np
import pytest

import xbarlab
from xbarlab.analysis.measurements.forming_loops import forming_loops
from xbarlab.analysis.measurements.iv_curve import iv_metrics, iv_summary, switching_voltages
from xbarlab.instruments.block import Block
from xbarlab.protocols.measure.dc_sweep import DcSweepPlan, DcSweepResult, dc_sweep

NAN = np.nan


def told(v_set: list[list[float]], start: list[list[float]], v_reset: float = -0.5, left: float = 5e-6) -> np.ndarray:
    volts = np.array(v_set, dtype=float)
    cell = np.repeat(np.arange(volts.shape[0]), volts.shape[1])
    size = cell.size
    found = forming_loops(
        cell, volts.ravel(), np.full(size, v_reset), np.array(start, float).ravel(), np.full(size, left), floor=1e-7
    )
    return found.reshape(volts.shape)


@pytest.mark.parametrize(
    ("v_set", "start", "forming"),
    [
        # Far above every SET that follows, whatever the cell read before: the currents of a passive array may hide it.
        ([[2.0, 0.5, 0.52]], [[NAN, NAN, NAN]], [[1, 0, 0]]),
        # Barely above, from a virgin cell.
        ([[1.2, 1.0, 1.02]], [[0.4e-6, 30e-6, 40e-6]], [[1, 0, 0]]),
        # The same from one that is off: a spread.
        ([[1.2, 1.0, 1.02]], [[20e-6, 30e-6, 40e-6]], [[0, 0, 0]]),
        # From a deep off state, but not above the later ones: off states have long tails.
        ([[0.52, 0.55, 0.5]], [[0.2e-6, 8e-6, 9e-6]], [[0, 0, 0]]),
        # It formed and no SET was found: the cell starts decades higher ever after.
        ([[NAN, 1.0, 1.02]], [[0.4e-6, 30e-6, 40e-6]], [[1, 0, 0]]),
        # It needed two loops to form: both are of a virgin cell.
        ([[NAN, 2.1, 0.5, 0.5]], [[0.1e-6, 0.1e-6, 8e-6, 5e-6]], [[1, 1, 0, 0]]),
        # One that formed and stuck is held against the others.
        ([[2.0, NAN, NAN], [0.5, 0.52, 0.5]], [[0.1e-6, 2e-4, 2e-4], [5e-6, 8e-6, 6e-6]], [[1, 0, 0], [0, 0, 0]]),
        # Cells that differ are no cells that formed.
        ([[0.9, NAN, NAN], [0.5, 0.52, 0.5]], [[5e-6, 2e-4, 2e-4], [5e-6, 8e-6, 6e-6]], [[0, 0, 0], [0, 0, 0]]),
        # One loop only: its own RESET is all there is.
        ([[2.0]], [[0.1e-6]], [[1]]),
        ([[0.6]], [[0.1e-6]], [[0]]),
        ([[2.0]], [[5e-6]], [[0]]),
        # Nothing switched.
        ([[NAN, NAN]], [[0.1e-6, 0.1e-6]], [[0, 0]]),
    ],
)
def test_forming_is_told_from_what_was_measured(
    v_set: list[list[float]], start: list[list[float]], forming: list[list[int]]
) -> None:
    assert told(v_set, start).astype(int).tolist() == forming


def test_a_spread_of_fifteen_per_cent_is_no_forming() -> None:
    rng = np.random.default_rng(0)
    v_set = 0.6 * (1.0 + 0.08 * rng.standard_normal((500, 1)) + 0.12 * rng.standard_normal((500, 5)))
    start = 6e-6 * np.exp(0.8 * rng.standard_normal((500, 5)))
    assert told(v_set.tolist(), start.tolist()).any(axis=1).mean() < 0.01


def result_of(station: str, *, seed: int, cells: str, form_first: bool = False, **plan: float) -> DcSweepResult:
    asked = DcSweepPlan(cells=cells, **plan)  # pyright: ignore[reportArgumentType]
    with xbarlab.open_bench(station, seed=seed) as bench:
        assert (bench.array.read(Block.parse(cells, bench.array.spec), average=16).conductance < 5e-6).all(), "virgin"
        if form_first:
            dc_sweep(bench.array, asked)
        return dc_sweep(bench.array, asked)


BENCHES = {
    "mock_ta_hfo2": {"cells": "0:2,0:3", "positive": 2.8, "set_gate": 1.6},
    "mock_tio2": {"cells": "0:1,0:2", "positive": 2.5, "negative": -2.0, "compliance": 300e-6,
                  "reset_compliance": 3e-3, "step": 0.1},
}  # fmt: skip


@pytest.mark.parametrize("station", BENCHES)
@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3, 4))])
def test_a_virgin_block_gives_the_statistics_of_a_formed_one(station: str, seed: int) -> None:
    virgin = result_of(station, seed=seed, cycles=3, **BENCHES[station])  # type: ignore[arg-type]
    assert virgin.forming.tolist() == [[True, False, False]] * len(virgin.cells)
    formed = result_of(station, seed=seed, cycles=3, form_first=True, **BENCHES[station])  # type: ignore[arg-type]
    assert not formed.forming.any()
    found, wanted = virgin.metrics(), formed.metrics()
    assert (found["forming_loops"], wanted["forming_loops"]) == (len(virgin.cells), 0.0)
    assert found["v_set_mean"] == pytest.approx(wanted["v_set_mean"], rel=0.05)
    assert found["v_set_c2c_std"] < 0.05
    assert found["no_set_fraction"] == 0.0
    assert f"{len(virgin.cells)} loops that form a cell are left out" in repr(virgin)
    assert f"before the one that did: {len(virgin.cells)};" in virgin.section().text
    assert "formed a virgin" not in formed.section().text


def test_whoever_takes_the_statistics_leaves_forming_out() -> None:
    volts = np.concatenate([np.arange(0, 26), np.arange(24, -1, -1), -np.arange(1, 11), -np.arange(9, -1, -1)]) / 10.0
    current = np.empty((1, 4, volts.size))
    for cycle, (off, v_set) in enumerate([(0.1e-6, 2.0), (5e-6, 0.6), (6e-6, 0.5), (4e-6, 0.7)]):
        peak = int(np.argmax(volts))
        on = (np.arange(volts.size) >= round(10 * v_set)) & ((np.arange(volts.size) <= peak + 25) | (volts > -0.5))
        on &= ~(np.arange(volts.size) > peak + 35)
        current[0, cycle] = volts * np.where(on, 100e-6, off)
    table = switching_voltages(volts, current)
    assert table["forming"].tolist() == [True, False, False, False]
    assert table["g_start"].to_numpy() == pytest.approx([0.1e-6, 5e-6, 6e-6, 4e-6], rel=0.2), (
        "without a read, the sweep's"
    )
    assert iv_metrics(table)["v_set_mean"].value == pytest.approx(0.6, abs=0.1)
    assert iv_summary(table)["forming_loops"] == 1.0
