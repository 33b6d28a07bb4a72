"""Read–verify and its baseline on an array whose law is known exactly: the gate sets conductance, with chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from support.fake_array import FakeArray
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.capabilities import Cost, Delivered, PulseMap
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.measure.yield_map import YieldMapPlan, yield_map
from xbarlab.protocols.programming.ispp import IsppPlan, ispp
from xbarlab.protocols.programming.read_verify import ReadVerifyPlan, read_verify
from xbarlab.protocols.programming.verify_state import Verdict

SLOPE, ZERO = 100e-6, 0.5


class AnalogArray(FakeArray):
    """SET: G = max(G, 100 µS/V·(gate − 0.5 V)); RESET: G = min(G, 240 µS − 100 µS/V·(knob above its own zero))."""

    def __init__(self, *, noise: float = 3e-6, seed: int = 0, gate_axis: str = "col", rows: int = 8) -> None:
        super().__init__()
        self.spec = replace(self.spec, rows=rows, gate_axis=gate_axis)
        self.rng = np.random.default_rng(seed)
        self.noise = noise
        self.offset = self.rng.normal(0, 0.05, (rows, self.spec.cols))
        self.g = np.full((rows, self.spec.cols), 100e-6)
        self.dead = np.zeros(self.g.shape, dtype=bool)
        self.given = np.zeros(self.g.shape, dtype=np.int64)

    def pulse(self, pulses: PulseMap) -> Delivered:
        shape, at = pulses.block.shape, pulses.block.slices
        volts, gate, count = (np.broadcast_to(np.asarray(a), shape) for a in (pulses.volts, pulses.gate, pulses.count))
        fire = (count > 0) & ~self.dead[at]
        chance = self.noise * self.rng.standard_normal(shape)
        up = SLOPE * (gate - ZERO - self.offset[at]) + chance
        strength = gate if self.spec.gate_axis == "col" else 1.0 + 4.0 * (-volts - 0.6) / 1.1
        down = np.maximum(240e-6 - 80e-6 * (strength - 1.0 + self.offset[at]) + 3 * chance, 2e-6)
        g = self.g[at]
        g[:] = np.where(fire & (volts > 0), np.maximum(g, up), np.where(fire & (volts < 0), np.minimum(g, down), g))
        self.given[at] += count
        self.cost += Cost(1, pulses.block.nrows, int(count.sum()), 0.0)
        return Delivered(pulses.block, volts, np.zeros(shape), gate, count, 1, int(count.sum()), 0.0)


@pytest.mark.parametrize("gate_axis", ["col", "row"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_all_cells_reach_their_targets_and_pulses_are_counted_truly(gate_axis: str, seed: int) -> None:
    array = AnalogArray(gate_axis=gate_axis, seed=seed, rows=64)
    result = read_verify(array, ReadVerifyPlan(cells="all"), Run(None, seed=seed))
    assert (np.abs(result.later - result.target) <= 1.25 * ReadVerifyPlan().window).mean() > 0.99
    np.testing.assert_array_equal(result.pulses, array.given)
    assert array.cost.pulses == result.pulses.sum()
    assert result.metrics()["pulses_per_cell"] < 6


def test_it_needs_clearly_fewer_pulses_than_the_best_fixed_staircase() -> None:
    ours = read_verify(AnalogArray(rows=64), ReadVerifyPlan(cells="all"), Run(None)).metrics()
    theirs = ispp(AnalogArray(rows=64), IsppPlan(cells="all"), Run(None)).metrics()
    assert ours["success_fraction"] >= theirs["ispp_success_fraction"] - 0.01
    assert ours["pulses_per_cell"] < 0.75 * theirs["ispp_pulses_per_cell"]


def test_a_dead_cell_gets_a_reason_and_few_pulses() -> None:
    array = AnalogArray()
    array.dead[2, 3] = True
    array.g[2, 3] = 1e-9
    result = read_verify(array, ReadVerifyPlan(cells="all"))
    assert result.verdict[2, 3] == Verdict.NO_RESPONSE
    assert result.pulses[2, 3] <= 20
    assert "does not respond" in result.verdicts()["verdict"].to_string()


def test_one_cell_away_from_the_corner_is_programmed_and_its_neighbours_left_alone() -> None:
    array = AnalogArray()
    before = array.g.copy()
    result = read_verify(array, ReadVerifyPlan(cells="5,4"), target=np.array([[60e-6]]))
    assert abs(result.later[0, 0] - 60e-6) < 10e-6
    before[5, 4] = array.g[5, 4]
    np.testing.assert_array_equal(array.g, before)


def test_nan_targets_and_known_bad_cells_are_left_alone() -> None:
    array = AnalogArray()
    array.spec = replace(array.spec, bad_cells=((0, 0),))
    target = np.full((8, 6), 70e-6)
    target[1, 1] = np.nan
    result = read_verify(array, ReadVerifyPlan(cells="all"), target=target)
    assert array.given[0, 0] == array.given[1, 1] == 0
    assert (result.verdict == Verdict.NOT_ATTEMPTED).sum() == 2
    assert result.metrics()["cells_attempted"] == 46


def test_a_target_map_of_the_wrong_shape_is_refused_before_anything_acts() -> None:
    array = AnalogArray()
    with pytest.raises(RefusedError, match="shape"):
        read_verify(array, ReadVerifyPlan(cells="all"), target=np.zeros((2, 2)))
    assert array.cost == Cost()


def test_no_healthy_cell_at_all_still_gives_a_result() -> None:
    array = AnalogArray()
    array.dead[:] = True
    run = Run(None)
    run.chip.healthy = np.zeros(array.g.shape, dtype=bool)
    result = read_verify(array, ReadVerifyPlan(cells="all"), run)
    assert np.isnan(result.metrics()["programmed_fraction"])
    assert repr(result)


@pytest.mark.parametrize("bad", [-1e-4, np.inf, "a"])
def test_a_target_that_is_no_conductance_is_refused_before_anything_acts(bad: object) -> None:
    array = AnalogArray()
    target = np.full((8, 6), 70e-6, dtype=object)
    target[3, 3] = bad
    with pytest.raises(RefusedError, match="target map"):
        read_verify(array, ReadVerifyPlan(cells="all"), target=target)
    assert array.cost == Cost()


def test_ispp_on_a_dead_block_ends_in_a_result_and_not_in_a_traceback() -> None:
    array = AnalogArray()
    array.dead[:] = True
    run = Run(None)
    run.chip.healthy = np.zeros(array.g.shape, dtype=bool)
    result = ispp(array, IsppPlan(cells="all", set_steps=(0.2,), reset_steps=(0.1,)), run)
    assert np.isnan(result.metrics()["ispp_programmed_fraction"])


@pytest.mark.parametrize(
    "wrong",
    [{"set_steps": []}, {"set_steps": [-1.0]}, {"reset_steps": [0.0]}, {"average": 10**6}, {"set_starts": [9.0]}],
)
def test_an_ispp_plan_that_cannot_work_is_refused(wrong: dict[str, object]) -> None:
    array = AnalogArray()
    with pytest.raises(RefusedError):
        ispp(array, IsppPlan(cells="all", **wrong))
    assert array.cost == Cost()


def test_yield_maps_of_two_blocks_add_up() -> None:
    array, run = AnalogArray(), Run(None)
    array.dead[0, 0] = array.dead[7, 5] = True
    for cells in ("0:4,0:6", "4:8,0:6"):
        yield_map(array, YieldMapPlan(cells=cells), run)
    assert run.chip.healthy is not None
    assert not run.chip.healthy[0, 0]
    assert not run.chip.healthy[7, 5]
    assert run.chip.healthy.sum() == 46


def test_the_table_has_a_line_per_cell_with_the_chips_own_numbers() -> None:
    frame = read_verify(AnalogArray(), ReadVerifyPlan(cells="2:5,1:3")).frame
    assert frame[["row", "col"]].to_numpy().tolist() == [[r, c] for r in (2, 3, 4) for c in (1, 2)]
    assert set(frame["verdict"]) == {"accepted"}


def test_without_a_board_engine_auto_falls_back_to_the_host_and_board_is_refused() -> None:
    array = AnalogArray()
    assert read_verify(array, ReadVerifyPlan(cells="all", engine="auto")).metrics()["success_fraction"] > 0.9
    with pytest.raises(RefusedError, match="firmware that runs read-verify"):
        read_verify(AnalogArray(), ReadVerifyPlan(cells="all", engine="board"))
