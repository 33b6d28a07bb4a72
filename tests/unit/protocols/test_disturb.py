"""Half-select trains and read schemes on arrays whose disturb and sneak paths are known exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from support.fake_array import HIGH, LOW, SNEAK, FakeArray, GatelessArray
from xbarlab.analysis.measurements.disturb import HalfSelectTrains, half_select_figure, half_select_metrics
from xbarlab.analysis.measurements.read_schemes import read_scheme_bars
from xbarlab.analysis.measurements.variability import variability_cdfs
from xbarlab.analysis.plots.plots import png_bytes
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.capabilities import Cost
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.measure.dc_sweep import DcSweepPlan, dc_sweep
from xbarlab.protocols.measure.disturb import HalfSelectPlan, half_select_disturb
from xbarlab.protocols.measure.read_array import ReadArrayPlan, read_array
from xbarlab.protocols.measure.read_schemes import ReadSchemesPlan, read_schemes

SWITCH = {"on_above": 90e-6, "off_below": 6e-6, "set_volts": 1.5, "reset_volts": 1.5}


def formed(disturb: float = 0.0) -> GatelessArray:
    array = GatelessArray(disturb=disturb)
    array.g[:] = LOW
    return array


def half_select(array: FakeArray, run: Run | None = None, **plan):
    return half_select_disturb(array, HalfSelectPlan(**{"pulses": 100, "prepare": SWITCH, **plan}), run)


def test_the_change_of_every_mate_is_found_with_its_sign() -> None:
    # A train of n pulses in k maps multiplies each mate by ∏(1 ± d·Δn).
    array = formed(disturb=1e-4)
    result = half_select(array, cells="3,2")
    counts = HalfSelectPlan(pulses=100).counts
    assert counts.tolist() == [1, 3, 10, 32, 100]
    assert result.trains.change.shape == (2, 2, 12, 5)
    for polarity, sign in enumerate((1, -1)):
        want = np.cumprod(1 + sign * 1e-4 * np.diff(counts, prepend=0)) - 1
        for state in range(2):
            np.testing.assert_allclose(result.trains.change[state, polarity], np.tile(want, (12, 1)), rtol=1e-6)
    m = result.metrics()
    assert m["half_select_change_median"] == pytest.approx(0.01, rel=0.02)
    assert m["half_select_change_worst"] == pytest.approx(0.01, rel=0.02)
    assert m["disturbed_cells"] == 0
    assert {(3, c) for c in (0, 1, 3, 4, 5)} | {(r, 2) for r in (0, 1, 2, 4, 5, 6, 7)} == set(
        zip(result.trains.row.tolist(), result.trains.col.tolist(), strict=True)
    )


def test_strong_disturb_is_counted_in_cells() -> None:
    result = half_select(formed(disturb=0.01), cells="0,0")
    assert result.metrics()["disturbed_cells"] == 12
    assert result.metrics()["half_select_change_worst"] > 0.5


def test_counts_beyond_one_map_are_sent_in_several() -> None:
    array = formed()
    array.spec = replace(array.spec, limits=array.spec.limits.narrowed({"count_max": 30}, source="test"))
    before = array.cost.pulses
    half_select(array, cells="0,0", pulses=100)
    assert array.cost.pulses - before >= 400


def test_mates_that_do_not_reach_a_state_and_bad_cells_are_left_out() -> None:
    array = formed()
    array.spec = replace(array.spec, bad_cells=((0, 3),))
    array.g[0, 1] = 0.5e-6  # virgin: a SET of 1.5 V does not form it
    result = half_select(array, cells="0,0")
    at = {(r, c): k for k, (r, c) in enumerate(zip(result.trains.row, result.trains.col, strict=True))}
    assert np.isnan(result.trains.change[:, :, at[0, 3]]).all()
    assert np.isnan(result.trains.change[0, :, at[0, 1]]).all()
    assert np.isnan(result.trains.change[1, :, at[0, 1]]).all(), "virgin: it reads as one that is off"
    with pytest.raises(RefusedError, match="calls all cells"):
        half_select(array, cells="0,3")


def test_it_runs_where_gates_keep_the_mates_off(tmp_path) -> None:
    array = FakeArray()
    array.g[:] = LOW
    result = half_select(array, Run(tmp_path / "out", quiet=True), cells="1:3,1")
    assert result.metrics()["half_select_change_worst"] == 0.0
    assert result.scheme == "ground"
    section = result.section()
    assert "bias scheme ground" in section.text
    assert len(section.tables[0][1]) == 4
    assert len(result.frame) == 2 * 2 * 24 * 5
    assert "median 0.00%" in repr(result)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"scheme": "V/3"}, "third source"),
        ({"set_volts": 9.0}, "set_volts_max"),
        ({"cells": "9,0"}, "outside the array"),
        ({"prepare": {"set_volts": 9.0}}, "half_select_disturb.prepare.set"),
    ],
)
def test_a_plan_beyond_the_array_is_refused_before_anything_acts(wrong: dict, words: str) -> None:
    array = formed()
    with pytest.raises(RefusedError, match=words):
        half_select(array, **wrong)
    assert array.cost == Cost()


def test_a_switching_plan_whose_borders_overlap_is_refused() -> None:
    with pytest.raises(RefusedError, match="is above on_above"):
        HalfSelectPlan(prepare={"on_above": 1e-6})


def test_worst_of_cells_takes_each_cell_once() -> None:
    change = np.zeros((2, 2, 3, 1))
    change[1, 0, :, 0] = (0.1, -0.4, 0.2)
    trains = HalfSelectTrains(np.array([10]), change, np.array([0, 1, 0]), np.array([1, 0, 1]))
    np.testing.assert_allclose(np.sort(trains.worst_of_cells), [0.2, 0.4])
    assert half_select_metrics(trains)["half_select_change_median"].value == pytest.approx(0.3)


@pytest.mark.parametrize("change", [np.nan, 0.0, 3.0, -0.9])
def test_the_disturb_figure_draws_whatever_was_measured(change: float, warned: Callable[[], list[str]]) -> None:
    trains = HalfSelectTrains(np.array([1, 10]), np.full((2, 2, 4, 2), change), np.arange(4), np.arange(4), noise=0.01)
    assert png_bytes(half_select_figure(trains, (1.5, -1.6)), 40)
    assert warned() == []


def test_one_off_cell_among_on_ones_reads_what_each_scheme_lets_through() -> None:
    array = formed()
    result = read_schemes(array, ReadSchemesPlan(cells="3,3", among="all", prepare=SWITCH))
    mean = (47 * HIGH + LOW) / 48
    m = result.metrics()
    assert m["read_error_float"] == pytest.approx(SNEAK["float"] * mean / LOW)
    assert m["read_error_row_sense"] == pytest.approx(SNEAK["row_sense"] * mean / LOW)
    assert "read_error_virtual_ground" not in m
    assert array.schemes.count("float") == array.schemes.count("row_sense") == 1
    np.testing.assert_array_equal(array.g, LOW)  # left off
    assert "1 of 1 of them were brought below 6 µS among 47 of 47" in result.section().text
    assert "+" in repr(result)


def test_without_a_block_around_nothing_is_written(tmp_path) -> None:
    array = formed()
    result = read_schemes(array, ReadSchemesPlan(cells="0:2,0:2"), Run(tmp_path / "out", quiet=True))
    assert array.cost.pulses == 0
    assert set(result.frame) == {"row", "col", "virtual_ground_S", "float_S", "row_sense_S"}
    assert png_bytes(result.plot(), 40)


def test_an_array_with_one_scheme_says_that_there_is_nothing_to_compare() -> None:
    result = read_schemes(FakeArray(), ReadSchemesPlan())
    assert result.metrics() == {}
    assert "nothing to compare" in result.section().text


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"among": "0:2,0:2", "cells": "5,5"}, "must hold the cells"),
        ({"among": "3,3", "cells": "3,3"}, "at least one more"),
        ({"volts": 2.0}, "read_volts_max"),
        ({"among": "all", "scheme": "V/3"}, "third source"),
        ({"average": 10**5}, "average"),
    ],
)
def test_reads_that_make_no_sense_are_refused_before_anything_acts(wrong: dict, words: str) -> None:
    array = formed()
    with pytest.raises(RefusedError, match=words):
        read_schemes(array, ReadSchemesPlan(**wrong))
    assert array.cost == Cost()


def test_scheme_bars_draw_cells_that_do_not_conduct(warned: Callable[[], list[str]]) -> None:
    for values in ({"a": [0.0], "b": [1e-4]}, {"a": [-1.0]}, {"a": [1e-4, 2e-4], "b": [np.nan, 1e-3]}):
        assert png_bytes(read_scheme_bars(values), 40)
    assert warned() == []


def test_dc_sweeps_show_the_spread_within_and_between_cells(warned: Callable[[], list[str]]) -> None:
    array = formed()
    result = dc_sweep(array, DcSweepPlan(cells="0:2,0:2", cycles=3))
    section = result.section()
    assert len(section.figures) == 2
    assert "without a SET: 0, without a RESET: 0" in section.text
    legend = result.plot_spread().axes[0].get_legend()
    assert legend is not None
    words = [text.get_text() for text in legend.get_texts()]
    assert [w.split(":")[0] for w in words] == [
        "every cycle (n = 12)",
        "c2c, about each cell's mean",
        "d2d, means of 4 cells",
    ]
    for values in (np.full((3, 2), np.nan), [[0.8]], [[0.8, np.nan], [np.nan, np.nan]], np.ones((3, 3))):
        assert png_bytes(variability_cdfs({"V_SET": values}), 40)
    assert warned() == []


def test_a_slow_read_goes_row_by_row_and_gives_the_same_map() -> None:
    fast, slow = FakeArray(), formed()
    fast.g[:] = slow.g[:] = 1e-6 * np.arange(1, 49).reshape(8, 6)
    whole = read_array(fast, ReadArrayPlan()).reading
    parts = read_array(slow, ReadArrayPlan()).reading
    np.testing.assert_array_equal(whole.conductance, parts.conductance)
    assert parts.block == whole.block
    assert (fast.cost.transactions, slow.cost.transactions) == (1, 8)
