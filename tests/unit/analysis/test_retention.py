"""Drift exponents from generated drifts whose exponent, noise and wander are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from xbarlab.analysis.estimates.drift import drift_exponent, drift_exponents
from xbarlab.analysis.plots.plots import png_bytes
from xbarlab.analysis.programming.retention import (
    RetentionReads,
    drift_table,
    retention_figure,
    retention_metrics,
    retention_table,
)

NU = 0.01
TIMES = np.geomspace(1.0, 1e4, 13)
TEN_YEARS = 3.15576e8


def drifted(rng: np.random.Generator, cells: int, *, wander: float, noise: float, nu: float = NU) -> np.ndarray:
    """Return ln G [reads, cells]: a line in ln t, a random walk in ln t, noise of a reading."""
    x = np.log(TIMES)
    steps = rng.normal(0.0, wander, (x.size - 1, cells)) * np.sqrt(np.diff(x))[:, None]
    walk = np.concatenate([np.zeros((1, cells)), np.cumsum(steps, axis=0)])
    return -nu * x[:, None] + walk + rng.normal(0.0, noise, (x.size, cells))


@pytest.mark.parametrize(("wander", "noise"), [(0.0, 1e-3), (1e-3, 0.0), (1e-3, 1e-3)])
def test_the_interval_of_one_cell_holds_the_truth_whatever_part_of_the_deviation_wanders(
    wander: float, noise: float
) -> None:
    held, values, widths = [], [], []
    for seed in range(200):
        found = drift_exponent(TIMES, np.exp(drifted(np.random.default_rng(seed), 1, wander=wander, noise=noise)[:, 0]))
        held.append(found.low <= NU <= found.high)
        values.append(found.value)
        widths.append(found.high - found.low)
    assert np.mean(held) >= 0.86
    assert np.median(values) == pytest.approx(NU, abs=4.0 * np.std(values) / np.sqrt(200))
    assert np.median(widths) < 0.25 * NU, "an interval that holds everything says nothing"


@pytest.mark.parametrize("own_times", [False, True])
def test_many_cells_at_once_are_what_each_is_alone(own_times: bool) -> None:
    rng = np.random.default_rng(7)
    g = np.exp(drifted(rng, 9, wander=1e-3, noise=1e-3))
    g[3, 2] = np.nan
    g[:10, 5] = -1.0  # three points are left
    seconds = TIMES[:, None] * (rng.uniform(0.9, 1.1, 9) if own_times else np.ones(9))
    alone = [drift_exponent(t, cell) for t, cell in zip(seconds.T, g.T, strict=True)]
    found, quick = drift_exponents(seconds, g), drift_exponents(seconds, g, intervals=False)
    assert [one.n for one in found] == [13, 13, 12, 13, 13, 0, 13, 13, 13]
    for name in ("value", "low", "high"):
        np.testing.assert_allclose([getattr(one, name) for one in found], [getattr(one, name) for one in alone])
    np.testing.assert_allclose([one.value for one in quick], [one.value for one in alone])
    assert np.isnan([one.low for one in quick]).all()
    for one in (found[0], found[8]):
        assert one.low < one.value < one.high
    assert drift_exponents(np.empty((13, 0)), np.empty((13, 0))) == []
    with pytest.raises(ValueError, match="must be alike"):
        drift_exponents(TIMES[:, None], g)


def test_a_drift_without_noise_is_found_exactly() -> None:
    found = drift_exponent(TIMES, 1e-4 * TIMES**-0.03)
    assert (found.value, found.low, found.high) == pytest.approx((0.03, 0.03, 0.03), abs=1e-6)


@pytest.mark.parametrize(
    ("seconds", "conductance"),
    [(TIMES[:3], np.ones(3)), (np.ones(9), np.ones(9)), (TIMES, np.full(13, np.nan)), (-TIMES, np.ones(13))],
)
def test_too_little_to_tell_gives_no_exponent(seconds: np.ndarray, conductance: np.ndarray) -> None:
    found = drift_exponent(seconds, conductance)
    assert np.isnan([found.value, found.low, found.high]).all()
    with pytest.raises(ValueError, match="must be as many"):
        drift_exponent(seconds, np.ones(seconds.size + 1))


def reads_of(logs: np.ndarray, levels: np.ndarray, level: np.ndarray) -> RetentionReads:
    first = levels[np.maximum(level, 0)]
    return RetentionReads(
        seconds=np.broadcast_to(TIMES[:, None], logs.shape),
        conductance=first * np.exp(logs),
        level=level,
        levels=levels,
        low=0.9 * first,
        high=1.1 * first,
    )


def test_metrics_are_those_that_went_in_and_cells_without_a_level_are_left_out() -> None:
    levels = np.array([5e-5, 1e-4, 2e-4])
    level = np.repeat([0, 1, 2, -1], 12)
    errors, changes = [], []
    for seed in range(15):
        logs = drifted(np.random.default_rng(seed), 48, wander=1e-3, noise=5e-4)
        logs[:, level < 0] = -0.5 * np.log(TIMES)[:, None]
        found = retention_metrics(reads_of(logs, levels, level), TEN_YEARS)
        assert found["retention_drift_nu"].n == 36
        errors.append(found["retention_drift_nu"].value / NU - 1.0)
        changes.append(found["retention_extrapolated_change"].value)
        assert found["retained_fraction"].value == 1.0, "10 % is not left in 10⁴ s at ν = 0.01"
    assert abs(np.median(errors)) < 0.02
    assert np.median(changes) == pytest.approx(TEN_YEARS**-NU - 1.0, rel=0.03)


@pytest.mark.slow
def test_the_spread_of_the_change_is_that_of_the_wander_and_two_reads() -> None:
    level, levels = np.zeros(40, dtype=np.int64), np.array([1e-4])
    wander, noise = 2e-3, 1e-3
    kept = 1e4**-NU  # what wanders is a share of what is left
    want = 1e-4 * np.sqrt(kept**2 * (wander**2 * np.log(1e4) + noise**2) + noise**2)
    ratios = [
        retention_metrics(
            reads_of(drifted(np.random.default_rng(seed), 40, wander=wander, noise=noise), levels, level), 1e8
        )["retention_sigma"].value
        / want
        for seed in range(21)
    ]
    assert np.median(ratios) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("cells", [0, 1, 2, 7, 30])
def test_tables_and_figure_take_any_number_of_cells(cells: int, warned: Callable[[], list[str]]) -> None:
    level = np.concatenate([np.arange(cells) % 3, [-1]]).astype(np.int64)
    logs = drifted(np.random.default_rng(0), cells + 1, wander=1e-3, noise=1e-3)
    reads = reads_of(logs, np.array([5e-5, 1e-4, 2e-4]), level)
    assert len(drift_table(reads, 1e8)) == cells + 1
    assert retention_table(reads, 1e8)["cells"].sum() == cells if cells else retention_table(reads, 1e8).empty
    assert png_bytes(retention_figure(reads, 1e8), 40)
    assert warned() == []
