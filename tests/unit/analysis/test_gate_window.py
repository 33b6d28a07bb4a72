"""The window of gates for the two-pulse rule, on cells whose line, scatter and bend are known."""

from __future__ import annotations

import numpy as np
import pytest

from xbarlab.analysis.programming.gate_window import GateWindow, gate_window

GATES = np.round(np.arange(0.6, 4.01, 0.2), 2)
SLOPE, OFFSET = 80e-6, -20e-6


def window_of(scatter: np.ndarray, *, bend: float = 0.0, read: float = 0.5e-6, seed: int = 1) -> GateWindow:
    """Return the window of 400 cells whose line bends down by ``bend`` [S/V²] above 2.4 V."""
    rng = np.random.default_rng(seed)
    line = OFFSET + SLOPE * GATES - bend * np.maximum(GATES - 2.4, 0.0) ** 2
    first = line[:, None, None] + scatter[:, None, None] * rng.standard_normal((len(GATES), 6, 400))
    return gate_window(GATES, first, first + np.sqrt(2.0) * read * rng.standard_normal(first.shape))


@pytest.mark.parametrize("seed", range(3))
def test_finds_slope_scatter_and_read_of_a_straight_line_and_takes_all_of_it(seed: int) -> None:
    found = window_of(np.full(len(GATES), 5e-6), seed=seed)
    assert (found.low, found.high) == (0.6, 4.0)
    assert found.slope == pytest.approx(SLOPE, rel=0.01)
    assert found.noise == pytest.approx(5e-6, rel=0.02)
    assert np.sqrt(np.mean(found.read**2)) == pytest.approx(0.5e-6, rel=0.02)
    assert found.span == pytest.approx(SLOPE * 3.4, rel=0.01)
    assert found.siemens(0.88) == pytest.approx(found.span / 0.88)


def test_leaves_out_where_the_line_bends_by_more_than_a_set_scatters() -> None:
    found = window_of(np.full(len(GATES), 2e-6), bend=30e-6)
    assert 2.6 <= found.high <= 3.2
    assert "gates 0.6 to" in str(found)
    bent = found.within(2.6, 4.0)
    assert (bent.low, bent.high) == (2.6, 4.0)
    assert bent.slope < 0.6 * found.slope


def test_leaves_out_gates_whose_scatter_costs_more_than_their_span_brings() -> None:
    scatter = np.where(GATES < 1.1, 40e-6, 4e-6)
    assert window_of(scatter).low == pytest.approx(1.2)


def test_refuses_too_few_gates_and_a_line_that_falls() -> None:
    with pytest.raises(ValueError, match="three gates"):
        gate_window([1.0, 2.0], np.ones((2, 2, 4)), np.ones((2, 2, 4)))
    falling = -1e-5 * GATES[:, None, None] + 1e-6 * np.random.default_rng(0).standard_normal((len(GATES), 3, 50))
    with pytest.raises(ValueError, match="no straight line"):
        gate_window(GATES, falling, falling)
