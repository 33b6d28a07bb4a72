"""Line resistances are found in drawn ladders whose answer comes from a nodal solution of its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from xbarlab.analysis.measurements.wire_resistance import fit_by_load, fit_by_position, ladder_loss, wire_figure
from xbarlab.analysis.plots.plots import png_bytes


def nodal(g: np.ndarray, segment: float, contact: float) -> np.ndarray:
    """Return the conductances that cells on one row read with 1 V at its end, by Kirchhoff's law at every node."""
    cols = g.size
    matrix, source = np.diag(g.astype(float)), np.zeros(cols)
    first = 1.0 / (contact + segment)
    matrix[0, 0] += first
    source[0] = first
    for k in range(cols - 1):
        matrix[k : k + 2, k : k + 2] += np.array([[1.0, -1.0], [-1.0, 1.0]]) / segment
    return g * np.linalg.solve(matrix, source)


def drawn(seed: int, segment: float, contact: float, *, shape=(32, 24), noise: float = 0.005):
    rng = np.random.default_rng(seed)
    g = 1e-4 * np.exp(0.2 * rng.standard_normal(shape))
    together = np.array([nodal(row, segment, contact) for row in g])
    path = contact + segment * np.arange(1, shape[1] + 1)
    alone = g / (1.0 + path * g)
    return together * (1 + noise * rng.standard_normal(shape)), alone * (1 + noise * rng.standard_normal(shape))


def test_the_ladder_is_that_of_kirchhoff() -> None:
    g = np.random.default_rng(1).uniform(1e-6, 1e-3, (3, 9))
    path = 7.0 + 1.3 * np.arange(1, 10)
    wanted = np.array([nodal(row, 1.3, 7.0) for row in g]) / (g / (1.0 + path * g))
    np.testing.assert_allclose(ladder_loss(g, 1.3, 7.0), wanted, rtol=1e-9)


def test_segment_and_contact_are_found_and_their_intervals_hold() -> None:
    held = [0, 0]
    widths: list[float] = []
    for seed in range(40):
        segment = float(np.random.default_rng(seed).uniform(0.5, 5.0))
        fit = fit_by_load(*drawn(seed, segment, 10.0))
        held[0] += fit.segment.low <= segment <= fit.segment.high
        held[1] += fit.contact.low <= 10.0 <= fit.contact.high
        widths.append(fit.segment.high - fit.segment.low)
    assert min(held) >= 34  # of 40; fewer come once in 150 such tests
    assert np.median(widths) < 0.3


def test_cells_that_are_off_load_nothing_and_rows_that_cannot_be_read_are_left_out() -> None:
    together, alone = drawn(3, 1.0, 5.0)
    together[4, 5] = alone[4, 5] = np.nan
    together[:3], alone[:3] = 1e-6, 1e-6
    fit = fit_by_load(together, alone)
    assert fit.segment.value == pytest.approx(1.0, abs=0.1)
    assert fit.segment.n == 28 * 24  # of the conducting cells of rows that could be read


def test_position_tells_what_the_spread_of_the_cells_lets_through() -> None:
    held, widths = 0, list[float]()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        own = 1900.0 * np.exp(0.1 * rng.standard_normal((8, 8)))
        g = np.array([nodal(row, 1.0, 1e-6) for row in 1.0 / (own + np.arange(8, 0, -1)[:, None])])
        fit = fit_by_position(g)
        held += fit.segment.low <= 1.0 <= fit.segment.high
        widths.append(fit.segment.high - fit.segment.low)
    assert held >= 34
    assert 5.0 < np.median(widths) < 15.0  # 1.9 kΩ · 10 % over the spread of the segments, 64 cells


def test_without_cells_there_is_no_number(warned: Callable[[], list[str]]) -> None:
    nothing = np.full((8, 8), np.nan)
    for fit in (fit_by_load(nothing, nothing), fit_by_position(nothing)):
        assert np.isnan(fit.segment.value)
        assert png_bytes(wire_figure(fit), 40)
    for fit in (fit_by_load(*drawn(1, 1.0, 5.0)), fit_by_position(drawn(1, 1.0, 5.0)[0])):
        assert png_bytes(wire_figure(fit), 40)
    assert warned() == []
