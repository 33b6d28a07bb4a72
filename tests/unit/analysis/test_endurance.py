"""Weibull laws from lifetimes drawn from one and seen at a few looks, and what is said of windows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from xbarlab.analysis.estimates.lifetimes import weibull_life
from xbarlab.analysis.measurements.endurance import (
    EnduranceReads,
    endurance_figure,
    endurance_metrics,
    endurance_table,
    first_failure,
    lost_window,
)
from xbarlab.analysis.plots.plots import png_bytes

LOOKS = np.concatenate([[0], np.unique(np.round(np.geomspace(1, 1e4, 17)))])


def seen(life: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return between which looks lifetimes ended."""
    k = np.searchsorted(LOOKS, life)
    return LOOKS[k - 1], np.where(k < LOOKS.size, LOOKS[np.minimum(k, LOOKS.size - 1)], np.inf)


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "scale", "n"), [(1.5, 3e3, 32), (0.8, 2e4, 32), (2.5, 1e4, 64)])
def test_the_law_is_recovered_though_most_lifetimes_are_not_known(shape: float, scale: float, n: int) -> None:
    held, found = [], []
    for seed in range(40):
        life = weibull_life(*seen(scale * np.random.default_rng(seed).weibull(shape, n)))
        assert life.n == n
        held.append((life.shape.low <= shape <= life.shape.high, life.scale.low <= scale <= life.scale.high))
        found.append((life.shape.value / shape, life.scale.value / scale))
    assert (np.mean(held, axis=0) >= 0.85).all()
    assert np.median(found, axis=0) == pytest.approx([1.0, 1.0], abs=0.12)


def test_a_law_of_many_lifetimes_is_found_closely() -> None:
    found = [weibull_life(*seen(2e3 * np.random.default_rng(seed).weibull(1.5, 500))) for seed in range(5)]
    assert np.median([life.shape.value for life in found]) == pytest.approx(1.5, rel=0.05)
    assert np.median([life.scale.value for life in found]) == pytest.approx(2e3, rel=0.05)


def test_it_says_how_many_have_failed_by_an_age() -> None:
    life = weibull_life(*seen(2e3 * np.random.default_rng(3).weibull(1.5, 500)))
    assert life.failed_by(life.scale.value) == pytest.approx(1.0 - np.exp(-1.0))
    assert life.failed_by(0.0) == 0.0


@pytest.mark.parametrize("failed", [[], [10.0, 10.0, 10.0, 10.0], [10.0, 100.0]])
def test_too_few_failures_give_no_law(failed: list[float]) -> None:
    low = np.append(np.full(len(failed), 5.0), 1e4)
    life = weibull_life(low, np.append(failed, np.inf))
    assert np.isnan([life.shape.value, life.scale.low]).all()
    assert (life.failures, life.n) == (len(failed), len(failed) + 1)


def test_few_failures_give_an_interval_whose_upper_end_may_be_far() -> None:
    life = weibull_life([10, 100, 1000, *[1e4] * 29], [20, 200, 2000, *[np.inf] * 29])
    assert life.scale.low > 1e4
    assert life.scale.high > 30 * life.scale.low


def test_a_failure_before_the_last_look_without_one_is_refused() -> None:
    with pytest.raises(ValueError, match="must come after"):
        weibull_life([10.0], [5.0])
    with pytest.raises(ValueError, match="must be as many"):
        weibull_life([10.0], [])


def test_a_window_is_lost_below_two_and_not_where_off_cannot_be_read() -> None:
    assert lost_window(np.array([1e-5, 1e-5, 0.0, -1e-9]), np.array([1.9e-5, 2.1e-5, 1e-5, 1e-5])).tolist() == [
        True, False, False, False,
    ]  # fmt: skip


def reads_of(cells: int, failed: int) -> EnduranceReads:
    cycles = np.unique(np.round(np.geomspace(1, 1e4, 17))).astype(np.int64)
    on = np.full((cycles.size, cells), 1e-4)
    off = np.full((cycles.size, cells), 1e-5)
    good, bad = np.full(cells, 1e4), np.full(cells, np.nan)
    for k in range(failed):
        at = 4 + 2 * k
        off[at, k], on[at + 1 :, k], off[at + 1 :, k] = 9e-5, np.nan, np.nan
        good[k], bad[k] = cycles[at - 1], cycles[at]
    return EnduranceReads(cycles=cycles, off=off, on=on, good_at=good, failed_at=bad)


@pytest.mark.parametrize(("cells", "failed"), [(0, 0), (1, 0), (1, 1), (4, 4), (20, 1), (20, 5)])
def test_metrics_table_and_figure_take_any_number_of_cells(
    cells: int, failed: int, warned: Callable[[], list[str]]
) -> None:
    reads = reads_of(cells, failed)
    found = endurance_metrics(reads)
    if cells:
        assert found["endurance_failed_fraction"].value == failed / cells
        assert found["endurance_window_first"].value == pytest.approx(10.0)
    assert first_failure(reads) == pytest.approx(reads.cycles[4] if failed else np.nan, nan_ok=True)
    assert np.isfinite(found["endurance_weibull_scale"].value) == (failed >= 3)
    assert len(endurance_table(reads)) == cells
    assert png_bytes(endurance_figure(reads), 40)
    assert warned() == []
