"""The safe voltage of drawn cells is found through reading noise larger than the disturbance itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from xbarlab.analysis.measurements.disturb_limits import (
    StressGrid,
    per_decade,
    safe_volts,
    stress_figure,
    stress_table,
    worst_slope,
)
from xbarlab.analysis.plots.plots import png_bytes

PULSES = np.array([1, 10, 100, 1_000, 10_000, 100_000])
MIDDLE, FOLD = 0.8, 0.05  # V: where the median moves by 1 %, and what a factor of e takes


def drawn(
    seed: int, *, cells: int = 48, sd: float = 0.05, noise: float = 0.005, step: float = 0.05, stuck: int = 0
) -> StressGrid:
    rng = np.random.default_rng(seed)
    volts = np.arange(0.4, 1.21, step)
    at = MIDDLE + sd * rng.standard_normal(cells)
    at[:stuck] = 9.0
    change = np.zeros((2, 2, volts.size, PULSES.size, cells))
    end = np.minimum(0.01 * np.exp((volts[:, None] - at) / FOLD), 3.0)
    change[1, 0] = end[:, None] * (PULSES[None, :, None] / 1e5) ** 0.5
    change += noise * rng.standard_normal(change.shape)
    return StressGrid(PULSES, volts, change, noise * rng.standard_normal((2, PULSES.size, cells)))


@pytest.mark.parametrize(
    "how",
    [{}, {"noise": 0.0005}, {"noise": 0.01, "sd": 0.03}, {"cells": 14}, {"step": 0.1}, {"cells": 100, "stuck": 1}],
    ids=str,
)
def test_the_safe_voltage_is_found_and_its_interval_holds(how: dict[str, Any]) -> None:
    # 20 draws: a 95 % interval that holds in fewer than 16 of them has a chance of one in 400.
    truth = MIDDLE - 2.326 * how.get("sd", 0.05)
    found = [safe_volts(drawn(seed, **how)) for seed in range(20)]
    assert {one.which for one in found} == {"HRS cells, SET pulses"}
    assert np.mean([one.volts.value for one in found]) == pytest.approx(truth, abs=0.02)
    assert sum(one.volts.low <= truth <= one.volts.high for one in found) >= 16
    assert np.median([one.volts.high - one.volts.low for one in found]) < 0.15


def test_noise_that_hides_the_disturbance_errs_on_the_safe_side() -> None:
    # A median of 100 cells that scatter by 3 % is not sure of 1 %.
    truth = MIDDLE - 2.326 * 0.05
    values = [safe_volts(drawn(seed, cells=100, noise=0.03)).volts.value for seed in range(8)]
    assert truth - 0.08 < np.mean(values) < truth + 0.01


def test_where_nothing_moves_the_largest_amplitude_is_a_bound_without_interval() -> None:
    for noise in (0.0, 0.01, 0.2):
        grid = drawn(1, noise=noise)
        rng = np.random.default_rng(2)
        still = StressGrid(PULSES, grid.volts, noise * rng.standard_normal(grid.change.shape), grid.idle)
        safe = safe_volts(still)
        assert safe.bound
        assert safe.volts.value == grid.volts[-1]
        assert np.isnan(safe.volts.low)


def test_no_number_where_its_interval_reaches_0_v() -> None:
    safe = safe_volts(drawn(3, sd=0.6))
    assert np.isnan(safe.volts.value)
    assert "0 V is in the interval" in safe.reason
    assert "at most 0." in safe.reason


def test_what_moves_at_the_smallest_amplitude_gives_no_number() -> None:
    grid = drawn(1)
    high = StressGrid(PULSES, grid.volts + 0.6, grid.change + np.where(np.arange(4).reshape(2, 2) == 2, 0.5, 0.0)[
        :, :, None, None, None], grid.idle)  # fmt: skip
    safe = safe_volts(high)
    assert np.isnan(safe.volts.value)
    assert "already at 1 V" in safe.reason
    nothing = StressGrid(PULSES, grid.volts, np.full(grid.change.shape, np.nan), grid.idle)
    assert safe_volts(nothing).reason == "no cell was in either state"


def test_change_per_decade_is_the_slope_over_the_logarithm_of_the_pulses() -> None:
    change = 0.02 * np.log10(PULSES)[:, None] * np.array([1.0, -2.0, 0.0]) + 0.3
    change[1, 1] = np.nan
    np.testing.assert_allclose(per_decade(PULSES, change), [0.02, -0.04, 0.0], atol=1e-12)
    assert np.isnan(per_decade(PULSES, np.full((6, 1), np.nan))).all()
    grid = drawn(3, noise=0.0)
    worst = worst_slope(grid, grid.volts.size - 1)
    assert worst.value > 0.1
    assert worst.low <= worst.value <= worst.high


def test_table_and_figure_take_whatever_was_measured(warned: Callable[[], list[str]]) -> None:
    for grid in (drawn(1), drawn(1, cells=1), StressGrid(PULSES, np.array([0.1, 0.2]), *_nothing())):
        assert len(stress_table(grid)) == 4 * grid.volts.size
        assert png_bytes(stress_figure(grid, safe_volts(grid), title="t"), 40)
    assert warned() == []


def _nothing() -> tuple[np.ndarray, np.ndarray]:
    return np.full((2, 2, 2, 6, 3), np.nan), np.full((2, 6, 3), np.nan)
