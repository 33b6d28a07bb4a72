"""The gain of columns is that of all vectors, not of those that happened to be drawn."""

from __future__ import annotations

import numpy as np

from xbarlab.analysis.estimates.estimates import Estimate, median_estimate
from xbarlab.analysis.measurements.vmm_accuracy import Products, column_fit

ROWS, COLS, VECTORS, OFFSET = 64, 64, 100, 2e-7
WEAKER = np.linspace(1.0, 0.7, ROWS)[:, None]
"""What wires leave of a row, by where it lies."""


def gains(seed: int, *, lines: bool) -> Estimate:
    rng = np.random.default_rng(seed)
    g = 1e-4 * np.exp(0.3 * rng.standard_normal((ROWS, COLS)))
    volts = rng.uniform(-0.2, 0.2, (VECTORS, ROWS))
    seen = WEAKER * g
    current = volts @ seen + OFFSET + 1e-7 * rng.standard_normal((VECTORS, COLS))
    single = seen + OFFSET / 0.2 + 2e-7 * rng.standard_normal(g.shape)  # a map has the offset and noise in it
    fit = column_fit(Products(volts, current), g, single if lines else None)
    assert not lines or abs(np.median(fit.offset) - OFFSET) < 3e-8
    return median_estimate(fit.gain)


def test_the_interval_of_the_gain_holds_where_rows_differ() -> None:
    true = float(WEAKER.mean())
    found = [gains(seed, lines=True) for seed in range(40)]
    assert sum(one.low <= true <= one.high for one in found) >= 34
    assert np.median([one.high - one.low for one in found]) < 0.01
    alone = [gains(seed, lines=False) for seed in range(40)]
    assert sum(one.low <= true <= one.high for one in alone) < 25, "all columns err alike: the vectors are the same"


def test_a_map_that_says_nothing_changes_nothing_on_average() -> None:
    rng = np.random.default_rng(0)
    g = rng.uniform(1e-5, 1e-4, (8, 4))
    volts = rng.uniform(-0.2, 0.2, (20_000, 8))
    products = Products(volts, 0.9 * volts @ g)
    np.testing.assert_allclose(column_fit(products, g, 1e-5 * np.ones_like(g)).gain, 0.9, rtol=5e-3)
    np.testing.assert_allclose(column_fit(products, g, 0.9 * g).gain, 0.9, rtol=1e-9)
