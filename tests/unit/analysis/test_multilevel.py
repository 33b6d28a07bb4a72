"""The number of separable levels from generated reads whose errors are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xbarlab.analysis.plots.plots import png_bytes
from xbarlab.analysis.programming.multilevel import (
    LevelReads,
    bits,
    causes,
    confusion,
    count_rows,
    level_metrics,
    level_rows,
    what_limits,
)
from xbarlab.analysis.programming.multilevel_figures import level_cdfs, separability_figure

LEVELS = np.linspace(100e-6, 400e-6, 16)
SPACING = float(LEVELS[1] - LEVELS[0])


def reads_of(
    seed: int = 0,
    *,
    cells: int = 12,
    cycles: int = 20,
    levels: np.ndarray = LEVELS,
    programming: float = 0.0,
    settling: float = 0.0,
    noise: float = 0.0,
    d2d: float = 0.0,
    stuck: int = 0,
) -> LevelReads:
    rng = np.random.default_rng(seed)
    shape = (cells, cycles, levels.size)
    state = levels + programming * rng.standard_normal(shape) + d2d * rng.standard_normal((cells, 1, 1))
    later = state + settling * rng.standard_normal(shape)
    accepted = np.ones(shape, np.bool_)
    state[:stuck] = later[:stuck] = levels[0]
    accepted[:stuck] = False
    at_end, final, again = (g + noise * rng.standard_normal(shape) for g in (state, later, later))
    pulses = np.full(shape, 7)
    return LevelReads(levels=levels, at_end=at_end, final=final, again=again, accepted=accepted, pulses=pulses)


@pytest.mark.parametrize(
    ("sigma", "least", "most"),
    # Misreads are those beyond half the spacing 300 µS/(N − 1); of two in three levels on both sides.
    [(1e-6, 16, 16), (6e-6, 8, 10), (12e-6, 4, 6), (40e-6, 2, 3), (300e-6, 1, 1)],
)
def test_the_number_is_what_the_error_allows(sigma: float, least: int, most: int) -> None:
    found = reads_of(programming=sigma, cells=40).separable
    assert least <= found.value <= most
    assert found.low <= found.value <= found.high


def test_the_median_cell_decides_not_the_worst_and_not_the_pooled_reads() -> None:
    few, many = reads_of(programming=1e-6, stuck=5), reads_of(programming=1e-6, stuck=7)
    assert few.separable.value == 16
    assert level_metrics(few)["level_error_fraction"].value == pytest.approx(5 / 12 * 15 / 16)
    assert many.separable.value == 1
    assert "range of the cells: 7 of 12 cells do not reach" in what_limits(many)
    assert bits(few.separable).value == 4.0


def test_one_read_in_a_hundred_is_allowed_and_not_one_more() -> None:
    levels = np.array([1e-4, 2e-4, 3e-4, 4e-4, 5e-4])
    # Four of five are the first, second, fourth and fifth: the fourth, which is misread, is in none of three.
    for wrong, want in ((1, 5), (2, 3)):
        reads = reads_of(cells=6, levels=levels)
        reads.final[:, :wrong, 3] = 2.6e-4  # of 100 reads of a cell
        assert reads.separable.value == want


def test_a_missing_read_is_a_misread_and_is_in_no_column() -> None:
    reads = reads_of(cells=6)
    reads.final[:, 0, 5] = np.nan
    assert reads.misread(16)[:, 0, 5].all()
    assert confusion(reads).sum() == reads.final.size - 6
    assert confusion(reads)[5, 5] == 6 * 19


def test_chosen_levels_are_programmed_ones_spread_over_the_whole_range() -> None:
    reads = reads_of()
    for count in reads.counts:
        mine = reads.chosen(count)
        assert mine[0] == 0
        assert mine[-1] == 15
        assert (np.diff(mine) >= 1).all()
        assert np.ptp(np.diff(mine)) <= 1


def test_the_parts_of_the_error_are_those_that_went_in_and_add_up() -> None:
    want = {"programming": 3e-6, "settling": 2e-6, "noise": 1e-6}
    budgets = [reads_of(seed, **want).budget() for seed in range(5)]
    for name, sigma in want.items():
        assert np.mean([one[name].value for one in budgets]) == pytest.approx(sigma, rel=0.04)
    for one in budgets:
        assert one["total"].value ** 2 == pytest.approx(sum(one[name].value ** 2 for name in want))
    held = [one[name].low <= sigma <= one[name].high for one in budgets for name, sigma in want.items()]
    assert np.mean(held) > 0.75


def test_spreads_within_and_between_cells_are_told_apart() -> None:
    found = [level_metrics(reads_of(seed, cells=40, programming=2e-6, d2d=3e-6)) for seed in range(4)]
    assert np.mean([one["level_c2c_std"].value for one in found]) == pytest.approx(2e-6, rel=0.05)
    assert np.mean([one["level_d2d_std"].value for one in found]) == pytest.approx(3e-6, rel=0.15)


@pytest.mark.parametrize(
    ("kind", "cause"), [({"settling": 15e-6}, "settling and noise"), ({"programming": 15e-6}, "ended beyond")]
)
def test_what_limits_is_what_was_made_large(kind: dict[str, float], cause: str) -> None:
    reads = reads_of(**kind, cells=20)
    words = what_limits(reads)
    assert f"Mostly {cause}" in words or f"Mostly programming that {cause}" in words
    found = causes(reads, int(reads.separable.value) + 1)
    assert sum(found.values()) == reads.misread(int(reads.separable.value) + 1).sum()


def test_nothing_tried_limits_where_all_are_apart() -> None:
    assert what_limits(reads_of(programming=1e-6)).startswith("Nothing that was tried: all 16 levels")


def test_tables_and_figures_also_of_little() -> None:
    for reads in (reads_of(programming=4e-6, settling=2e-6, noise=1e-6, stuck=2), reads_of(cells=1), reads_of(cells=0)):
        assert len(level_rows(reads)) == 16
        assert len(count_rows(reads)) == 15
        for figure in (level_cdfs(reads), separability_figure(reads)):
            assert png_bytes(figure).startswith(b"\x89PNG")
        assert what_limits(reads)


def test_shapes_that_do_not_fit_are_named() -> None:
    good = vars(reads_of())
    shape = good["final"].shape
    for wrong, words in (({"final": np.zeros((3, 4))}, "cells, cycles, levels"), ({"again": np.zeros(3)}, "be equal")):
        parts: dict[str, Any] = {name: good[name] for name in LevelReads.__dataclass_fields__} | wrong
        with pytest.raises(ValueError, match=words):
            LevelReads(**parts)
    assert shape == (12, 20, 16)
