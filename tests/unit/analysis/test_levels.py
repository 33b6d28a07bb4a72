import math

import numpy as np
import pytest

from xbarlab.analysis.measurements import forming_stats
from xbarlab.analysis.programming import levels

US = 1e-6
LEVELS = np.linspace(20, 160, 8) * US
SPACING = 20 * US


def test_programmed_fraction_counts_missing_readings_and_skips_untargeted_cells() -> None:
    target = np.array([40, 40, 40, 40, np.nan, 40]) * US
    achieved = np.array([40, 49.9, 50.1, np.nan, 40, 400]) * US
    healthy = np.array([True, True, True, True, True, False])
    e = levels.programmed_fraction(target - SPACING / 2, target + SPACING / 2, achieved, healthy)
    assert (e.value, e.n) == (0.5, 4)
    with pytest.raises(ValueError, match="shape"):
        levels.programmed_fraction(target, target, achieved[:2])


def test_a_level_that_is_open_upwards_counts_among_the_programmed() -> None:
    low, high = np.array([0.0, 60e-6, 60e-6, np.nan]), np.array([60e-6, np.inf, np.inf, np.nan])
    e = levels.programmed_fraction(low, high, np.array([10e-6, 200e-6, 50e-6, 50e-6]))
    assert (e.value, e.n) == (pytest.approx(2 / 3), 3)


def test_programming_sigma_recovers_the_spread() -> None:
    inside = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        target = LEVELS[rng.integers(0, 8, (64, 32))]
        e = levels.programming_sigma(target, target + rng.normal(0, 3e-6, target.shape))
        inside += e.low <= 3e-6 <= e.high
    assert inside >= 17


def test_misread_fraction_matches_the_gaussian_tail() -> None:
    rng = np.random.default_rng(1)
    sigma = 6e-6
    target = LEVELS[rng.integers(0, 8, 80_000)]
    table = levels.level_table(target, target + rng.normal(0, sigma, target.shape), LEVELS)
    tail = 0.5 * math.erfc(SPACING / 2 / sigma / math.sqrt(2))
    want = np.array([1, *[2] * 6, 1]) * tail  # the outermost levels have one neighbour
    covered = (table["misread low [fraction]"] <= want) & (want <= table["misread high [fraction]"])
    assert covered.sum() >= 7
    assert table["cells"].sum() == 80_000
    np.testing.assert_allclose(table["sigma [S]"], sigma, rtol=0.03)


def test_a_level_that_was_never_read_back_is_misread() -> None:
    table = levels.level_table([20 * US, 40 * US], [np.nan, 41 * US], LEVELS[:2])
    assert table["misread [fraction]"].tolist() == [1.0, 0.0]


def test_nearest_level() -> None:
    assert levels.nearest_level(np.array([-5, 29, 31, 999, np.nan]) * US, LEVELS).tolist() == [0, 0, 1, 7, -1]


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="must be equal"):
        levels.programming_sigma([1.0], [1.0, 2.0])


def test_forming_metrics() -> None:
    v = np.array([3.0, 3.2, 3.1, np.nan, np.nan])
    formed = np.array([True, True, False, True, False])  # third: read formed, failed its cycle; fourth: formed already
    metrics = forming_stats.forming_metrics(v, formed)
    assert metrics["v_form_mean"].value == pytest.approx(3.1)
    assert metrics["v_form_mean"].n == 3
    assert metrics["formed_fraction"].value == pytest.approx(0.6)
    tried = np.array([True, True, True, False, True])
    assert forming_stats.forming_metrics(v, formed, tried)["formed_fraction"].value == pytest.approx(0.5)


def test_forming_voltage_recovered() -> None:
    inside = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        v = rng.normal(3.12, 0.24, 64)
        e = forming_stats.forming_metrics(v, np.ones(64, bool))["v_form_mean"]
        inside += e.low <= 3.12 <= e.high
    assert inside >= 33
