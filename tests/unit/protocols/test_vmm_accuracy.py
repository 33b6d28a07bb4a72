"""Products of arrays whose gain, offset, noise and lines are known are found; arrays that cannot multiply refuse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from support.fake_array import FakeArray, GatelessArray
from xbarlab.analysis.estimates.estimates import Estimate
from xbarlab.analysis.measurements.vmm_accuracy import Products, column_fit, effective_bits, vmm_figure, wire_share
from xbarlab.analysis.plots.plots import png_bytes
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import Cost, PulseMap
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.measure.vmm_accuracy import VmmPlan, vmm_accuracy

GAIN, OFFSET, NOISE = 0.9, 2e-7, 1e-7


class Multiplying(FakeArray):
    """Currents are GAIN·(Gᵀ·V) + OFFSET with NOISE [A]; ``beyond`` [A] is NaN."""

    beyond = 1.0

    def __init__(self, *, fail_at: int | None = None, error: BaseException | None = None, seed: int = 1) -> None:
        super().__init__(fail_at=fail_at, error=error)
        self.spec = replace(self.spec, supports=frozenset({"vmm"}), vmm_ranges=(1e-4, 1e-3))
        self.rng = np.random.default_rng(seed)
        self.g = self.rng.uniform(5e-6, 100e-6, self.g.shape)
        self.scales: list[float | None] = []

    def vmm(self, volts, *, full_scale=None):
        self._act("vmm", len(volts))
        self.scales.append(full_scale)
        current = GAIN * (volts @ self.g) + OFFSET
        current = current + NOISE * self.rng.standard_normal(current.shape)
        return np.where(np.abs(current) > self.beyond, np.nan, current).astype(np.float32)


def test_gain_offset_and_error_are_those_of_the_array(tmp_path: Path) -> None:
    held = {"vmm_column_gain": 0, "rmse": 0}
    for seed in range(10):
        array = Multiplying(seed=seed)
        run = Run(tmp_path / str(seed), quiet=True) if seed == 0 else None
        result = vmm_accuracy(array, VmmPlan(vectors=300), run)
        m = result.metrics()
        held["vmm_column_gain"] += m["vmm_column_gain_ci95_low"] <= GAIN <= m["vmm_column_gain_ci95_high"]
        # Mean square of (gain − 1)·Gᵀ·V, inputs uniform: V²/3 each.
        squares = ((GAIN - 1.0) ** 2 * 0.2**2 / 3.0 * (array.g**2).sum(axis=0)).mean() + OFFSET**2 + NOISE**2
        wanted = np.sqrt(squares) / 1e-4
        held["rmse"] += m["vmm_rmse_fs_ci95_low"] <= wanted <= m["vmm_rmse_fs_ci95_high"]
        assert m["vmm_column_offset_rms"] == pytest.approx(OFFSET, rel=0.1)
        assert m["vmm_effective_bits"] == pytest.approx(-np.log2(m["vmm_rmse_fs"] * np.sqrt(12)))
        assert 0.5 < m["vmm_wire_share"] <= 1.0
        assert set(array.scales) == {1e-4}
    assert min(held.values()) >= 7  # of 10; fewer come once in a thousand such tests
    assert m.keys() == VmmPlan().measures()
    assert list(result.active) == [1, 2, 4, 8]
    assert [np.count_nonzero(v) for v in result.active[2].volts] == [2] * 300
    section = result.section()
    assert [len(table) for _, table in section.tables] == [4, 6]
    assert len(result.frame) == 300 * 6
    assert "bits" in repr(result)


def test_a_map_of_targets_is_compared_with_too(tmp_path: Path) -> None:
    array = Multiplying()
    np.save(tmp_path / "target.npy", GAIN * array.g)
    m = vmm_accuracy(array, VmmPlan(target_file=str(tmp_path / "target.npy"))).metrics()
    assert m["vmm_rmse_fs_target"] == pytest.approx(np.hypot(OFFSET, NOISE) / 1e-4, rel=0.1)
    np.save(tmp_path / "wrong.npy", array.g[:2])
    with pytest.raises(RefusedError, match="wanted are finite conductances"):
        vmm_accuracy(array, VmmPlan(target_file=str(tmp_path / "wrong.npy")))


def test_targets_of_the_run_are_compared_with_until_something_else_is_written(tmp_path: Path) -> None:
    array = Multiplying()
    run = Run(tmp_path / "out", quiet=True)
    block = Block.parse("0:4,0:6", array.spec)
    plan = VmmPlan(programmed=True)

    def measure(step: str) -> float:
        with run.step(step, array):
            m = vmm_accuracy(array, plan, run).metrics()
            run.finish(m)
        assert m.keys() == plan.measures()
        return m["vmm_rmse_fs_target"]

    assert np.isnan(measure("before"))
    with run.step("program", array):
        run.chip.note_target(array.spec, block, GAIN * array.g[block.slices])
        array.pulse(PulseMap(block=block, volts=0.1, width=1e-6, gate=1.0, count=1))
        run.finish({})
    assert measure("after") == pytest.approx(measure("again"), rel=0.2)
    assert run.chip.target is not None
    assert np.isfinite(run.chip.target).sum() == block.size
    with run.step("other", array):
        array.pulse(PulseMap(block=block, volts=0.1, width=1e-6, gate=1.0, count=1))
        run.finish({})
    assert np.isnan(measure("late"))


def test_a_block_programmed_in_part_is_judged_by_its_own_cells_alone(tmp_path: Path) -> None:
    array = Multiplying()
    run = Run(tmp_path / "out", quiet=True)
    block = Block.parse("2:5,0:4", array.spec)
    target = GAIN * array.g[block.slices]
    target[1, 2] = np.nan  # stuck: nothing was programmed there
    array.g[:2] *= 0.5  # what lies in rows without targets is of no matter
    with run.step("program", array):
        run.chip.note_target(array.spec, block, target)
        run.finish({})
    with run.step("vmm", array):
        result = vmm_accuracy(array, VmmPlan(programmed=True), run)
        run.finish(result.metrics())
    against = result.against_target
    assert against is not None
    assert (against.rows.tolist(), against.columns.tolist()) == ([2, 3, 4], [0, 1, 3])
    assert (against.with_target, against.without) == (11, array.spec.rows * array.spec.cols - 11)
    assert result.metrics()["vmm_rmse_fs_target"] == pytest.approx(np.hypot(OFFSET, NOISE) / 1e-4, rel=0.1)
    text = result.section().text
    assert "11 cells have a target conductance" in text
    assert "drove the 3 rows with targets, on the 3 columns" in text


def test_where_no_column_is_whole_no_number_is_given() -> None:
    array = Multiplying()
    run = Run(None, quiet=True)
    run.chip.note_target(array.spec, Block.parse("0:2,0:2", array.spec), np.array([[1e-5, np.nan], [np.nan, 1e-5]]))
    result = vmm_accuracy(array, VmmPlan(programmed=True), run)
    assert np.isnan(result.metrics()["vmm_rmse_fs_target"])
    assert "No column has one for all of its cells in the 2 rows" in result.section().text


def test_products_beyond_the_range_are_counted_and_left_out() -> None:
    array = Multiplying()
    array.beyond = 2e-5
    m = vmm_accuracy(array, VmmPlan()).metrics()
    assert 0.0 < m["vmm_overflow_fraction"] < 0.6
    assert np.isfinite(m["vmm_column_gain"])
    array.beyond = 0.0
    m = vmm_accuracy(array, VmmPlan()).metrics()
    assert m["vmm_overflow_fraction"] == 1.0
    assert np.isnan(m["vmm_rmse_fs"])


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_the_share_of_the_wires_is_found(share: float) -> None:
    values: list[Estimate] = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        g = rng.uniform(1e-5, 1e-4, (16, 8))
        loss = 0.05 * g * rng.standard_normal(g.shape)
        volts = rng.uniform(-0.2, 0.2, (300, 16))
        wires = (0.2**2 / 3.0 * (loss**2).sum(axis=0)).mean()
        noise = np.sqrt(wires * (1.0 - share) / share) if share else np.sqrt(wires)
        lines = g + (loss if share else 0.0)
        error = 1e-8 * np.ones_like(g)
        current = volts @ lines + noise * rng.standard_normal((300, 8))
        values.append(wire_share(Products(volts, current), g, lines + error * rng.standard_normal(g.shape), error))
    assert np.mean([one.value for one in values]) == pytest.approx(share, abs=0.03)
    assert np.median([one.high - one.low for one in values]) < 0.1


def test_bits_are_those_of_an_ideal_converter() -> None:
    # The error of an ideal converter of b bits is 2^−b/√12 of its full scale.
    bits = effective_bits(Estimate(2.0**-6 / np.sqrt(12), 2.0**-7 / np.sqrt(12), 2.0**-5 / np.sqrt(12), 10))
    assert (bits.low, bits.value, bits.high) == pytest.approx((5.0, 6.0, 7.0))


@pytest.mark.parametrize("array", [FakeArray(), GatelessArray()])
def test_an_array_that_does_not_multiply_says_what_it_would_take(array: FakeArray) -> None:
    with pytest.raises(RefusedError, match="does not support vmm: it would need drivers on all rows"):
        vmm_accuracy(array, VmmPlan())
    assert array.cost == Cost()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"volts": 5.0}, "vmm_volts_max"),
        ({"active_rows": (1, 9)}, "more than the 8 rows"),
        ({"full_scale": 1.0}, "beyond the converters"),
        ({"average": 10**6}, "average"),
        ({"target_file": "no_such.npy"}, "no_such.npy"),
    ],
)
def test_a_plan_beyond_the_array_is_refused_before_anything_acts(wrong: dict, words: str) -> None:
    array = Multiplying()
    with pytest.raises(RefusedError, match=words):
        vmm_accuracy(array, VmmPlan(**wrong))
    assert array.cost == Cost()


def test_the_figure_draws_whatever_was_measured(warned: Callable[[], list[str]]) -> None:
    for current in (np.full((5, 3), np.nan), np.zeros((5, 3)), np.ones((5, 3))):
        products = Products(np.ones((5, 2)), current)
        fit = column_fit(products, np.ones((2, 3)))
        assert png_bytes(vmm_figure(products, np.ones((2, 3)), {1: Estimate(0.1, np.nan, np.nan, 1)}, fit), 40)
    assert warned() == []
