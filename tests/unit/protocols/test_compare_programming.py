"""Ways of programming side by side, on an array whose law is known, and on the mocks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from support.fake_array import FakeArray, fake_spec, gateless_spec
from xbarlab import open_bench
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.capabilities import Cost, Delivered, PulseMap
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.programming.compare_plan import ComparePlan, ScanPlan
from xbarlab.protocols.programming.compare_programming import compare_programming
from xbarlab.protocols.programming.programming_plan import RampPlan

US = 1e-6


class AmplitudeArray(FakeArray):
    """SET: G rises to what amplitude and gate together say; RESET: it falls to what the amplitude says."""

    def __init__(self, *, gates: bool = True) -> None:
        super().__init__()
        self.spec = fake_spec(rows=16) if gates else gateless_spec(rows=16)
        self.rng = np.random.default_rng(0)
        self.offset = self.rng.normal(0, 0.05, (16, 6))
        self.g = np.full((16, 6), 70 * US)
        self.given = np.zeros(self.g.shape, np.int64)

    def pulse(self, pulses: PulseMap) -> Delivered:
        shape, at = pulses.block.shape, pulses.block.slices
        volts, gate, count = (np.broadcast_to(np.asarray(a), shape) for a in (pulses.volts, pulses.gate, pulses.count))
        self._act("pulse", pulses.block.nrows, int(count.sum()))
        chance = 2 * US * self.rng.standard_normal(shape)
        limit = 100 * US * gate if self.spec.gate_axis else 1.0
        up = np.minimum(120 * US * (volts - 0.5 + self.offset[at]), limit) + chance
        strength = -volts - 0.6 + (0.2 * (gate - 5.0) if self.spec.gate_axis else 0.0)
        down = np.maximum(200 * US - 180 * US * (strength + self.offset[at]) + chance, 2 * US)
        g, fire = self.g[at], count > 0
        g[:] = np.where(fire & (volts > 0), np.maximum(g, up), np.where(fire & (volts < 0), np.minimum(g, down), g))
        self.given[at] += count
        return Delivered(pulses.block, volts, np.zeros(shape), gate, count, 1, int(count.sum()), 0.0)


def small(**changes: Any) -> ComparePlan:
    plan: dict[str, Any] = {
        "cells": "all",
        "ispp": ScanPlan(set_starts=(1.0,), set_steps=(0.1,), gates=(2.6,)),
        "gate_staircase": ScanPlan(set_starts=(0.5,), set_steps=(0.1,), reset_steps=(0.2,)),
    }
    return ComparePlan(**(plan | changes))


@pytest.fixture(scope="module")
def compared() -> Any:
    array = AmplitudeArray()
    return array, compare_programming(array, small(), Run(None, seed=3))


def test_all_ways_start_alike_and_every_pulse_is_counted_once(compared: Any) -> None:
    array, result = compared
    # read-verify, two staircases of the amplitude, one of the gate; twice
    assert [(one.bits, one.way) for one in result.attempts] == [
        (bits, way) for bits in (2, 3) for way in ("read_verify", "ispp", "ispp", "gate_staircase")
    ]
    starts = np.array([np.median(one.start) for one in result.attempts])
    np.testing.assert_allclose(starts, starts[0], atol=2 * US)
    np.testing.assert_array_equal(result.attempts[0].target, result.attempts[3].target)
    counted = sum(one.pulses for one in result.attempts)
    np.testing.assert_array_equal(array.given.ravel(), counted + 2 * len(result.attempts))


def test_metrics_and_report_name_every_way(compared: Any) -> None:
    _, result = compared
    metrics = result.metrics()
    assert set(metrics) == small().measures()
    assert metrics["success_2bit"] > 0.95
    assert metrics["pulses_per_cell_2bit_ci95_low"] < metrics["pulses_per_cell_2bit"]
    assert metrics["energy_per_cell_3bit"] > 0.0
    section = result.section()
    assert len(section.figures) == 3
    assert [len(table) for _, table in section.tables] == [6, 6, section.tables[2][1].shape[0], 6]
    assert "2 of ISPP, 1 of gate staircase" in section.text
    assert "at a gate of 2.6 V" in section.tables[3][1]["staircase"][0]
    assert len(result.frame) == 8 * 96
    assert "96 cells" in repr(result)


def test_chosen_among_the_scan_is_the_fewest_at_equal_success(compared: Any) -> None:
    _, result = compared
    scan = [one for one in result.attempts if one.way == "ispp" and one.bits == 3]
    most = max(one.success.value for one in scan)
    good = min(one.pulses.mean() for one in scan if one.success.value >= most - 0.02)
    assert result.metrics()["ispp_pulses_per_cell_3bit"] == pytest.approx(good)


def test_the_order_is_random_and_repeats_with_the_seed() -> None:
    def order(seed: int) -> list[str]:
        array, units = AmplitudeArray(), []
        run = Run(None, seed=seed)
        work = run.work

        def watched(*arguments: Any, **options: Any) -> Any:
            made = work(*arguments, **options)
            begin = made.begin
            made.begin = lambda unit: units.append(unit) or begin(unit)
            return made

        run.work = watched  # pyright: ignore[reportAttributeAccessIssue]
        compare_programming(array, small(bits=(2,)), run)
        return units

    assert order(1) == order(1)
    assert len({tuple(order(seed)) for seed in range(4)}) > 1


def test_without_gates_ispp_turns_the_amplitude_and_the_report_says_what_is_missing() -> None:
    array = AmplitudeArray(gates=False)
    result = compare_programming(
        array, ComparePlan(cells="all", bits=(2,), ispp=ScanPlan(set_starts=(1.0,)), start="off"), Run(None, seed=1)
    )
    assert {one.way for one in result.attempts} == {"read_verify", "ispp"}
    assert result.metrics().keys() < ComparePlan(bits=(2,)).measures()
    assert "no gate staircase: this array has no gates" in result.section().text
    assert max(np.median(one.start) for one in result.attempts) < 20 * US


def test_cells_that_are_known_to_be_bad_are_left_alone() -> None:
    array, run = AmplitudeArray(), Run(None, seed=1)
    array.spec = replace(array.spec, bad_cells=((0, 0),))
    run.chip.healthy = np.ones((16, 6), np.bool_)
    run.chip.healthy[0, 1] = False
    result = compare_programming(array, small(bits=(2,)), run)
    assert array.given[0, :2].tolist() == [0, 0]
    assert len(result.cells) == 94
    run.chip.healthy[:] = False
    with pytest.raises(RefusedError, match="known to be bad"):
        compare_programming(array, small(), run)


def test_windows_of_ones_own_may_be_open() -> None:
    windows = {2: ((None, 20 * US), (50 * US, 65 * US), (95 * US, 110 * US), (140 * US, None))}
    result = compare_programming(AmplitudeArray(), small(bits=(2,), windows=windows), Run(None, seed=2))
    ours = result.best[0]
    assert ours.success.value > 0.9
    assert set(np.round(ours.target[~ours.closed] * 1e6)) == {10.0, 154.0}
    assert result.section().figures


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"bits": [4]}, "bits"),
        ({"bits": [2, 2]}, "names one of them twice"),
        ({"ways": []}, "ways"),
        ({"ways": ["fppv"]}, "ways"),
        ({"levels": {"count": 4}}, "count follows from bits"),
        ({"target_file": "x.npy"}, "read_verify"),
        ({"gate_staircase": {"gates": [1.0]}}, "gates belong to ispp"),
        ({"windows": {2: [[1e-6, 2e-6], [3e-6, None]]}}, "need 4 windows, there are 2"),
        ({"bits": [2], "windows": {3: [[1e-6, 2e-6]]}}, "windows of 3 bits"),
        ({"hits": 4}, "can never be reached"),
        ({"ispp": {"set_starts": [9.0]}}, "set_starts"),
        ({"ispp": {"set_steps": [-0.1]}}, "set_steps"),
        ({"ispp": {"gates": [6.0]}}, "above the limit 5"),
        ({"cells": "0:99,0:1"}, "outside the array"),
        ({"average": 10**6}, "average"),
        ({"set": RampPlan(volts=(1.5, 1.5), gate=(0.5, 2.6))}, "no range to climb"),
        ({"reset": RampPlan(volts=(0.6, 9.0), gate=(1.0, 5.0))}, "limit"),
    ],
)
def test_a_plan_that_cannot_work_is_refused_in_one_sentence_and_nothing_is_sent(
    wrong: dict[str, Any], words: str
) -> None:
    array = AmplitudeArray()
    with pytest.raises(RefusedError, match=words):
        compare_programming(array, small(**wrong))
    assert array.cost == Cost()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"ispp": {"gates": [1.0]}}, "this array has no gates"), ({"ways": ["gate_staircase"]}, "choose ispp or")],
)
def test_what_needs_gates_is_refused_where_there_are_none(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        small(**({"ispp": {}, "cells": "0:2,0:2"} | wrong)).check(gateless_spec())


def test_a_forecast_is_never_below_what_is_done(compared: Any) -> None:
    array, result = compared
    forecast = small().forecast(array.spec)
    assert forecast.pulses >= array.given.sum()
    assert forecast.volts_max == 2.5
    assert forecast.cells == 96
    assert len(result.attempts) == 8


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_on_the_mock_board_all_ways_program_a_formed_chip(seed: int) -> None:
    from xbarlab.protocols.forming.forming import form
    from xbarlab.protocols.forming.plan import FormingPlan

    with open_bench("mock_ta_hfo2", seed=seed) as bench, Run(None, seed=seed) as run:
        cells = "0:8,0:8"
        form(bench.array, FormingPlan(cells=cells, gate=1.3, width=10e-6, stop_volts=3.3), run)
        result = compare_programming(bench.array, small(cells=cells), run)
    metrics = result.metrics()
    assert all(metrics[f"{way}success_2bit"] > 0.75 for way in ("", "ispp_", "gate_staircase_"))
    starts = np.array([np.median(one.start) for one in result.attempts])
    assert np.ptp(starts) < 0.15 * np.median(starts), "no way finds another chip than the others"
