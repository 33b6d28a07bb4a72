"""The switching boundary finds what the outcomes were drawn from, and says so when there is nothing to find."""

from __future__ import annotations

import numpy as np
import pytest

from xbarlab.analysis.estimates.boundary import Boundary, switching_boundary

VOLTS, WIDTHS = (grid.ravel() for grid in np.meshgrid(np.arange(0.5, 1.45, 0.1), np.geomspace(1e-7, 1e-3, 5)))
V1US, PER_DECADE, CELL_SD, CYCLE_SD = 1.0, 0.12, 0.06, 0.05


def drawn(seed: int, cells: int = 24, *, cell_sd: float = CELL_SD, cycle_sd: float = CYCLE_SD) -> Boundary:
    rng = np.random.default_rng(seed)
    middle = V1US - PER_DECADE * np.log10(WIDTHS / 1e-6) + cell_sd * rng.standard_normal((cells, 1))
    switched = middle + cycle_sd * rng.standard_normal((cells, VOLTS.size)) < VOLTS
    return switching_boundary(VOLTS, WIDTHS, switched, reference=1e-6)


@pytest.mark.slow
def test_it_finds_what_was_drawn_and_its_intervals_hold() -> None:
    # 60 draws: a 95 % interval that holds in fewer than 52 of them has a chance of one in 200.
    found = [drawn(seed) for seed in range(60)]
    slopes, volts = (np.array([getattr(one, name).value for one in found]) for name in ("per_decade", "volts"))
    assert np.mean(slopes) == pytest.approx(PER_DECADE, abs=0.002)
    assert np.mean(volts) == pytest.approx(V1US, abs=0.01)
    assert slopes.std() < 0.006
    held = [one.per_decade.low <= PER_DECADE <= one.per_decade.high for one in found]
    assert sum(held) >= 52
    assert sum(one.volts.low <= V1US <= one.volts.high for one in found) >= 52
    assert np.median([one.per_decade.high - one.per_decade.low for one in found]) < 0.03
    assert np.mean([one.spread for one in found]) == pytest.approx(np.hypot(CELL_SD, CYCLE_SD), rel=0.1)


def test_a_grid_that_cuts_the_switching_off_biases_nothing() -> None:
    low = VOLTS < 0.95  # at 100 ns nothing switches any more, at 1 ms nearly everything
    found: list[float] = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        middle = V1US - PER_DECADE * np.log10(WIDTHS / 1e-6) + CELL_SD * rng.standard_normal((40, 1))
        switched = middle + CYCLE_SD * rng.standard_normal((40, VOLTS.size)) < VOLTS
        found.append(switching_boundary(VOLTS[low], WIDTHS[low], switched[:, low], reference=1e-6).per_decade.value)
    assert np.mean(found) == pytest.approx(PER_DECADE, abs=0.004)


def test_cells_that_answer_all_alike_still_have_an_interval_of_the_size_of_the_grid() -> None:
    found = drawn(0, cell_sd=0.0, cycle_sd=0.0)
    assert found.per_decade.low < PER_DECADE < found.per_decade.high
    assert found.volts.high - found.volts.low < 0.1


def test_missing_points_and_a_single_cell_are_taken() -> None:
    rng = np.random.default_rng(5)
    switched = (V1US - PER_DECADE * np.log10(WIDTHS / 1e-6) < VOLTS).astype(float)[None]
    one = switching_boundary(VOLTS, WIDTHS, switched, reference=1e-6)
    assert one.per_decade.n == 1
    assert one.per_decade.value == pytest.approx(PER_DECADE, abs=0.03)
    many = np.where(rng.random((12, VOLTS.size)) < 0.3, np.nan, np.repeat(switched, 12, axis=0))
    assert switching_boundary(VOLTS, WIDTHS, many, reference=1e-6).volts.value == pytest.approx(V1US, abs=0.05)


@pytest.mark.parametrize(
    ("switched", "words"),
    [
        (np.zeros((3, VOLTS.size)), "no point switched"),
        (np.ones((3, VOLTS.size)), "every point switched"),
        (np.full((3, VOLTS.size), np.nan), "no point was measured"),
        (np.broadcast_to(VOLTS < 0.9, (3, VOLTS.size)), "did not switch more cells"),
    ],
)
def test_where_there_is_no_boundary_none_is_made_up(switched: np.ndarray, words: str) -> None:
    found = switching_boundary(VOLTS, WIDTHS, switched, reference=1e-6)
    assert words in found.reason
    assert np.isnan(found.per_decade.value)


def test_one_width_gives_a_voltage_and_no_slope() -> None:
    at = np.isclose(WIDTHS, 1e-6)
    rng = np.random.default_rng(1)
    switched = VOLTS[at] > V1US + 0.07 * rng.standard_normal((40, at.sum()))
    found = switching_boundary(VOLTS[at], WIDTHS[at], switched, reference=1e-6)
    assert found.volts.value == pytest.approx(V1US, abs=0.03)
    assert np.isnan(found.per_decade.value)
    assert found.reason == ""
