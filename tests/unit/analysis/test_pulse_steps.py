"""The step table from generated trains whose step, spreads and read noise are known."""

from __future__ import annotations

import numpy as np
import pytest

from xbarlab.analysis.measurements.pulse_response import Trains
from xbarlab.analysis.measurements.pulse_steps import (
    COLUMNS,
    Steps,
    step_cells,
    step_metrics,
    step_table,
    step_table_figure,
)
from xbarlab.analysis.plots.plots import png_bytes

LOW, HIGH, UP, DOWN = 20e-6, 200e-6, 0.05, 0.08
SIGMA = 1e-6


def trains_of(
    seed: int,
    *,
    cells: int = 16,
    cycles: int = 16,
    pulses: int = 40,
    every: int = 1,
    noise: float = 0.0,
    d2d: float = 0.0,
    sigma: float = SIGMA,
) -> Trains:
    """Return trains of cells that go by a share of what is left to a bound, by luck more or less at every pulse."""
    rng = np.random.default_rng(seed)
    own = np.exp(d2d * rng.standard_normal(cells) - d2d**2 / 2.0)
    g = np.full(cells, LOW + 0.1 * (HIGH - LOW))
    out = np.zeros((cells, cycles, 2, pulses // every + 1))
    read = g + noise * rng.standard_normal(cells)
    for cycle, phase in np.ndindex(cycles, 2):
        out[:, cycle, phase, 0] = read
        share, bound = ((UP, HIGH), (DOWN, LOW))[phase]
        for pulse in range(1, pulses + 1):
            g = g + share * own * (bound - g) + sigma * rng.standard_normal(cells)
            if pulse % every == 0:
                read = g + noise * rng.standard_normal(cells)
                out[:, cycle, phase, pulse // every] = read
    return Trains(np.arange(0, pulses + 1, every), out)


def truth(table) -> np.ndarray:
    g = table["conductance_S"]
    return np.where(table["direction"] > 0, UP * (HIGH - g), DOWN * (LOW - g))


@pytest.mark.parametrize(("every", "noise"), [(1, 0.0), (1, 2e-6), (1, 4e-6), (4, 2e-6)])
def test_the_mean_step_does_not_regress_to_the_mean(every: int, noise: float) -> None:
    tables = [step_table(trains_of(seed, every=every, noise=noise), bins=8) for seed in range(6)]
    ratios = np.concatenate([(t["step_mean_S"] / truth(t))[t["samples"] > 60] for t in tables])
    assert ratios.size > 40
    assert np.median(ratios) == pytest.approx(1.0, abs=0.03)
    inner = np.concatenate([(t["step_mean_S"] - truth(t))[t["samples"] > 60] for t in tables])
    assert np.abs(inner).max() < 1.2e-6


def test_sorting_by_the_reading_itself_would_regress() -> None:
    steps = Steps(trains_of(1, noise=4e-6))
    own, change = steps.readings[:, :, 0, :-1], steps.change[:, :, 0]
    near = slice(25, None)  # where little happens, what is left is noise
    naive = np.cov(own[..., near].ravel(), change[..., near].ravel())
    ours = np.cov(steps.place[:, :, 0, near].ravel(), change[..., near].ravel())
    assert naive[0, 1] / naive[0, 0] < -0.2
    assert ours[0, 1] / ours[0, 0] == pytest.approx(-UP, abs=0.04)


@pytest.mark.parametrize("noise", [0.0, 1e-6, 2e-6])
@pytest.mark.parametrize("every", [1, 4])
def test_read_noise_is_taken_off_the_spread(noise: float, every: int) -> None:
    found, reads = [], []
    for seed in range(8):
        trains = trains_of(seed, noise=noise, every=every)
        table = step_table(trains, bins=8)
        weight = table["samples"]
        found.append(float((table["step_sigma_S"] ** 2 * weight).sum() / weight.sum()))
        reads.append(float(Steps(trains).read_variance(np.array([100e-6]))[0]))
    # Over several pulses luck dies away a little towards the bound.
    assert np.sqrt(np.mean(found)) == pytest.approx(SIGMA, rel=0.12)
    assert np.mean(reads) == pytest.approx(noise**2, rel=0.1, abs=0.15 * SIGMA**2)


def test_cells_that_differ_are_told_from_luck() -> None:
    tables = [step_table(trains_of(seed, cells=32, d2d=0.2), bins=8) for seed in range(4)]
    middle = [t[(t["samples"] > 200) & (np.abs(truth(t)) > 3e-6)] for t in tables]
    rel = np.concatenate([(t["step_d2d_S"] / t["step_mean_S"].abs()).to_numpy() for t in middle])
    assert np.median(rel) == pytest.approx(0.2, abs=0.04)
    alike = step_table(trains_of(5, cells=32), bins=8)
    assert alike["step_d2d_S"].median() < 0.15 * SIGMA


def test_asymmetry_and_bounds_are_those_of_the_law() -> None:
    metrics = step_metrics(trains_of(2, cells=32, noise=1e-6))
    cells = step_cells(trains_of(2, cells=32, noise=1e-6))
    low, high = cells["g_min_S"].median(), cells["g_max_S"].median()
    assert metrics["g_min"].value == low
    assert metrics["g_max"].value == high
    middle = (low + high) / 2.0
    up, down = UP * (HIGH - middle), DOWN * (middle - LOW)
    assert metrics["step_asymmetry"].value == pytest.approx(2.0 * (up - down) / (up + down), abs=0.08)
    assert metrics["step_c2c_rel"].value == pytest.approx(2.0 * SIGMA / (up + down), rel=0.2)
    assert metrics["symmetry_point_fraction"].value == 1.0
    assert metrics["symmetry_point_c2c_std"].value < 0.1
    for one in metrics.values():
        assert one.low <= one.value <= one.high


def test_the_table_has_its_columns_and_one_cycle_has_no_spread_from_cycle_to_cycle() -> None:
    table = step_table(trains_of(3, cycles=1))
    assert tuple(table.columns) == COLUMNS
    assert set(table["direction"]) == {1, -1}
    assert (table["step_mean_S"] * table["direction"]).median() > 0.0
    assert table["step_sigma_S"].isna().all()
    assert table["samples"].sum() <= 16 * 2 * 40
    assert np.isnan(step_metrics(trains_of(3, cycles=1))["step_c2c_rel"].value)
    one_cell = step_table(trains_of(3, cells=1))
    assert one_cell["step_d2d_S"].isna().all()
    assert np.isfinite(one_cell["step_sigma_S"]).all()


def test_nothing_measured_gives_an_empty_table_and_a_picture() -> None:
    trains = Trains(np.arange(9), np.full((2, 3, 2, 9), np.nan))
    assert step_table(trains).empty
    assert tuple(step_table(trains).columns) == COLUMNS
    for table in (step_table(trains), step_table(trains_of(1))):
        assert png_bytes(step_table_figure(table)).startswith(b"\x89PNG")
