"""The chip as instruments see it, with cells simple enough to check by hand."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from xbarlab.mockhw.chip.array_product import multiply
from xbarlab.mockhw.chip.crossbar_network import effective_conductance, read_rows
from xbarlab.mockhw.chip.normal_stream import NormalStream
from xbarlab.mockhw.chip.virtual_chip import VirtualChip
from xbarlab.mockhw.device_models.base import FloatArray, IntArray
from xbarlab.mockhw.instruments.array_board.actions import SweepAction
from xbarlab.mockhw.sim_clock import SimClock

ROWS, COLS = 6, 5
OHMS = {"row_segment": 2.0, "col_segment": 1.0, "driver": 50.0, "sense": 20.0}


class FakeCells:
    """Cells of fixed conductance, limited in pulses to ``gate`` × 100 µA, that write down what they are told.

    Each pulse adds 1 µS per volt and count. Noise is 1 % of the conductance. Retention: none unless ``drift``
    [S/s] is set.
    """

    def __init__(self, conductance: FloatArray, seed: int = 0, *, bend: float = 0.0) -> None:
        self.g = np.array(conductance, dtype=float).ravel()
        self.size = self.g.size
        self.bend = bend
        self.drift = 0.0
        self.calls: list[dict[str, Any]] = []
        self.rng = np.random.default_rng(seed)

    def pulse(
        self,
        cells: IntArray,
        volts: FloatArray,
        width: FloatArray,
        gate: FloatArray,
        count: IntArray,
        series: FloatArray,
        now: float,
    ) -> None:
        assert np.unique(cells).size == cells.size, "a cell repeats within one call"
        assert cells.size == volts.size == width.size == gate.size == count.size == series.size
        self.calls.append({"cells": cells.copy(), "volts": volts.copy(), "series": series.copy(), "now": now})
        self.g[cells] = np.maximum(self.g[cells] + 1e-6 * volts * count, 0.0)

    def pulse_current(self, cells: IntArray, volts: FloatArray, gate: FloatArray, series: FloatArray) -> FloatArray:
        ohmic = volts * self.g[cells] / (1.0 + series * self.g[cells])
        return ohmic / (1.0 + np.abs(ohmic) / (gate * 1e-4))

    def conductance(self, cells: IntArray, volts: float, gate: float, now: float) -> FloatArray:
        return self.g[cells] * (1.0 + self.bend * volts**2) + self.drift * now

    def noise(self, cells: IntArray, conductance: FloatArray, average: int, now: float) -> FloatArray:
        return 0.01 * conductance * self.rng.standard_normal(cells.size) / np.sqrt(average)

    def noise_sigma(self, cells: IntArray, conductance: FloatArray) -> FloatArray:
        return 0.01 * conductance

    def sample(self, cell: int, volts: float, gate: float, rate: float, count: int, now: float) -> FloatArray:
        return np.full(count, volts * self.g[cell])

    def sweep(
        self, cell: int, volts: FloatArray, dwell: float, gate: float, compliance: float, series: float, now: float
    ) -> FloatArray:
        self.calls.append({"cells": np.array([cell]), "series": np.array([series]), "now": now})
        self.g[cell] *= 2.0
        return np.clip(volts / (series + 1.0 / self.g[cell]), -compliance, compliance)

    def truth(self) -> dict[str, Any]:
        return {"stuck": np.zeros(self.size, bool), "conductance": self.g.copy()}

    def state(self) -> dict[str, Any]:
        return {"g": self.g.copy()}

    def restore(self, state: dict[str, Any]) -> None:
        self.g = state["g"].copy()


class NoiselessCells(FakeCells):
    """The same without noise."""

    def noise(self, cells: IntArray, conductance: FloatArray, average: int, now: float) -> FloatArray:
        return np.zeros(cells.size)

    def noise_sigma(self, cells: IntArray, conductance: FloatArray) -> FloatArray:
        return np.zeros(cells.size)


def fake_profile(rows: int, cols: int, **ohms: float) -> Any:
    """Return what VirtualChip needs of a profile; ``ohms`` are row_segment, col_segment, driver, sense [Ω]."""
    wiring = {"row_segment": 0.0, "col_segment": 0.0, "driver": 0.0, "sense": 0.0} | ohms
    return SimpleNamespace(
        name="fake", rows=rows, cols=cols, cell="1T1R", gate_axis="col", wiring=SimpleNamespace(**wiring)
    )


def make_chip(
    *, quiet: bool = False, seed: int = 0, bend: float = 0.0, clock: SimClock | None = None, **ohms: float
) -> tuple[VirtualChip, FakeCells]:
    cells = (NoiselessCells if quiet else FakeCells)(
        np.random.default_rng(3).uniform(5e-5, 3e-4, (ROWS, COLS)), seed, bend=bend
    )
    profile = fake_profile(ROWS, COLS, **ohms)
    return VirtualChip(profile, seed=seed, clock=clock or SimClock(), model=cells), cells


def fire(chip: VirtualChip, slot: list[int], cells: list[int], volts: float = 1.0, gate: float = 1.5) -> None:
    k = len(cells)
    chip.pulse(
        np.array(slot, dtype=np.int64),
        np.array(cells, dtype=np.int64),
        np.full(k, volts),
        np.full(k, 1e-7),
        np.full(k, gate),
        np.ones(k, dtype=np.int64),
    )


ALL = slice(None)


def test_entries_of_one_slot_share_their_row() -> None:
    chip, cells = make_chip(**OHMS)
    fire(chip, [0], [4])
    fire(chip, [0, 0], [9, 5])
    alone, together = cells.calls
    assert alone["volts"][0] == pytest.approx(1.0)
    assert together["volts"][0] < 1.0 - 1e-3
    # far from the driver the wire is longer
    assert together["series"][0] > together["series"][1]


def test_far_columns_get_less_voltage_and_slots_do_not_mix() -> None:
    chip, cells = make_chip(**OHMS)
    cells.g[:] = 2e-4
    fire(chip, [1] * 5 + [2] * 5, list(range(10)))
    volts = cells.calls[0]["volts"].reshape(2, COLS)
    assert np.all(np.diff(volts, axis=1) < 0.0)
    # rows 0 and 1 differ by one column segment only, so their losses differ a little, not twofold
    np.testing.assert_allclose(1.0 - volts[0], 1.0 - volts[1], rtol=0.01)


def test_without_wires_cells_get_what_was_commanded() -> None:
    chip, cells = make_chip()
    fire(chip, [0] * 5, list(range(5)), volts=-1.3)
    assert np.all(cells.calls[0]["volts"] == -1.3)
    assert not cells.calls[0]["series"].any()


def test_a_cell_in_several_slots_is_pulsed_in_slot_order() -> None:
    chip, cells = make_chip(**OHMS)
    fire(chip, [7, 2, 2, 7, 9], [1, 0, 1, 2, 12])  # unsorted on purpose
    first, second = cells.calls
    assert sorted(first["cells"].tolist()) == [0, 1, 12]
    assert sorted(second["cells"].tolist()) == [1, 2]


def test_a_later_slot_sees_the_state_the_earlier_one_left() -> None:
    chip, cells = make_chip(quiet=True, **OHMS)
    cells.g[:] = 1e-4
    fire(chip, [0, 0, 1, 1], [0, 1, 0, 1])
    first, second = cells.calls
    assert np.all(second["volts"] < first["volts"])  # 1 µS more each, so more is lost in the row


def test_slots_over_rows_duplicates_and_strange_cells_are_refused_before_anything_moves() -> None:
    chip, cells = make_chip()
    with pytest.raises(ValueError, match="spans rows 0 and 1"):
        fire(chip, [0, 0], [4, 5])
    with pytest.raises(ValueError, match="twice in slot 0"):
        fire(chip, [0, 0], [4, 4])
    with pytest.raises(ValueError, match="outside a chip of 6 × 5"):
        fire(chip, [0], [30])
    fire(chip, [], [])
    assert cells.calls == []


def test_read_holds_wires_and_noise() -> None:
    chip, cells = make_chip(**OHMS)
    expected = read_rows(
        cells.g.reshape(ROWS, COLS), 0.2, row=np.arange(ROWS), col=np.arange(COLS), shape=(ROWS, COLS), wires=chip.wires
    )
    reads = np.array([chip.read(ALL, ALL, 0.2, 5.0, 1) for _ in range(400)])
    np.testing.assert_allclose(reads.mean(axis=0), expected, rtol=4 * 0.01 / 20)
    assert np.all(reads.std(axis=0) / expected < 0.012)
    assert np.all(reads.std(axis=0) / expected > 0.007)
    averaged = np.array([chip.read(ALL, ALL, 0.2, 5.0, 16) for _ in range(400)])
    np.testing.assert_allclose(averaged.std(axis=0) / reads.std(axis=0), 0.25, rtol=0.25)


def test_read_of_a_block_has_its_shape_and_place() -> None:
    chip, cells = make_chip(quiet=True)
    block = chip.read(slice(2, 5), slice(1, 3), -0.2, 5.0, 1)
    np.testing.assert_allclose(block, -0.2 * cells.g.reshape(ROWS, COLS)[2:5, 1:3])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("batch", [1, 7])
def test_vmm_is_the_array_with_all_lines_driven(reverse: bool, batch: int) -> None:
    chip, cells = make_chip(quiet=True, **OHMS)
    matrix = effective_conductance(
        cells.g.reshape(ROWS, COLS), row_ohm=2.0, col_ohm=1.0, driver_ohm=50.0, sense_ohm=20.0
    )
    matrix = matrix.T if reverse else matrix
    volts = np.random.default_rng(0).uniform(-0.2, 0.2, (batch, matrix.shape[0])).astype(np.float32)
    out = chip.vmm(volts, 5.0, reverse=reverse)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, volts @ matrix, rtol=1e-4, atol=1e-10)


def test_vmm_of_bent_cells_follows_the_cube() -> None:
    chip, cells = make_chip(quiet=True, bend=3.0)
    g = cells.g.reshape(ROWS, COLS)
    for volts in (np.full((1, ROWS), 0.25, np.float32), np.full((2, ROWS), -0.05, np.float32)):
        exact = (volts * (1.0 + 3.0 * volts**2)) @ g
        np.testing.assert_allclose(chip.vmm(volts, 5.0, reverse=False), exact, rtol=1e-5)


@pytest.mark.parametrize("batch", [1, 2])
def test_vmm_noise_has_the_spread_of_its_cells(batch: int) -> None:
    chip, cells = make_chip(seed=5)
    volts = np.random.default_rng(0).uniform(-0.2, 0.2, (batch, ROWS)).astype(np.float32)
    outs = np.array([chip.vmm(volts, 5.0, reverse=False) for _ in range(4000)])
    expected = np.sqrt(volts.astype(float) ** 2 @ (0.01 * cells.g.reshape(ROWS, COLS)) ** 2)
    np.testing.assert_allclose(outs.std(axis=0), expected, rtol=0.06)
    np.testing.assert_allclose(outs.mean(axis=0), volts @ cells.g.reshape(ROWS, COLS), atol=5 * expected.max() / 63)


def test_vmm_noise_behind_wires_matches_cells_that_are_redrawn() -> None:
    chip, cells = make_chip(seed=5, **OHMS)
    volts = np.full((1, ROWS), 0.2, np.float32)
    rng = np.random.default_rng(1)
    ohms = {"row_ohm": 2.0, "col_ohm": 1.0, "driver_ohm": 50.0, "sense_ohm": 20.0}
    g = cells.g.reshape(ROWS, COLS)
    redrawn = [
        volts @ effective_conductance(g * (1 + 0.01 * rng.standard_normal(g.shape)), **ohms) for _ in range(3000)
    ]
    outs = np.array([chip.vmm(volts, 5.0, reverse=False) for _ in range(3000)])
    # the share-squared rule is an approximation: good to a tenth at these (heavy) wires
    np.testing.assert_allclose(outs.std(axis=0), np.std(redrawn, axis=0), rtol=0.1)


def test_vmm_follows_pulses_sweeps_gates_and_time() -> None:
    clock = SimClock()
    chip, cells = make_chip(quiet=True, clock=clock)
    volts = np.full((1, ROWS), 0.2, np.float32)

    def current() -> float:
        return float(chip.vmm(volts, 5.0, reverse=False)[0, 0])

    before = current()
    fire(chip, [0], [0], volts=20.0)
    after = current()
    assert after - before == pytest.approx(0.2 * 20e-6, rel=1e-4)
    chip.sweep(1, 0, np.array([1.0]), 1e-3, 2.0, 1.0)
    swept = current()
    assert swept > after
    assert float(chip.vmm(np.full((1, COLS), 0.2, np.float32), 5.0, reverse=True)[0, 0]) > 0.0
    cells.drift = 1e-6
    clock.advance(1e-3)
    assert current() == swept  # within the tolerance the matrices serve on
    clock.advance(10.0)
    assert current() == pytest.approx(swept + 0.2 * ROWS * 10e-6, rel=1e-3)
    settled = current()
    clock.advance(0.3)  # less than 5 % of the time since the sweep
    assert current() == settled
    clock.advance(0.3)
    assert current() > settled


def test_sample_and_sweep_pass_through_the_wires_of_their_cell() -> None:
    chip, cells = make_chip(quiet=True, **OHMS)
    ohms = 50.0 + 4 * 2.0 + 4 * 1.0 + 20.0  # cell (2, 3): four segments of row, four of column
    g = cells.g[2 * COLS + 3]
    np.testing.assert_allclose(chip.sample(2, 3, 0.2, 5.0, 1e6, 10), 0.2 / (1.0 / g + ohms))
    assert not chip.sample(2, 3, 0.0, 5.0, 1e6, 10).any()
    chip.sweep(2, 3, np.array([0.5]), 1e-3, 2.0, 1e-3)
    assert cells.calls[-1]["series"][0] == pytest.approx(ohms)
    with pytest.raises(ValueError, match=r"cell \(6, 0\)"):
        chip.sample(6, 0, 0.2, 5.0, 1e6, 10)


def life(chip: VirtualChip) -> list[Any]:
    volts = np.full((3, ROWS), 0.2, np.float32)
    fire(chip, [0, 0, 1], [0, 1, 1])
    return [
        chip.read(ALL, ALL, 0.2, 5.0, 1),
        chip.vmm(volts, 5.0, reverse=False),
        chip.vmm(volts[:1], 5.0, reverse=False),
    ]


def test_one_seed_one_life() -> None:
    same = [life(make_chip(seed=4, **OHMS)[0]) for _ in range(2)]
    other = life(make_chip(seed=5, **OHMS)[0])
    for a, b, c in zip(*same, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


def test_a_saved_chip_lives_on(tmp_path: Path) -> None:
    clock = SimClock()
    chip, _ = make_chip(quiet=True, clock=clock, **OHMS)
    life(chip)
    clock.advance(100.0)
    chip.save(tmp_path / "chip.npz")
    assert [p.name for p in tmp_path.iterdir()] == ["chip.npz"]  # no temporary file stays

    later = SimClock()
    later.advance(7.0)
    again, _ = make_chip(quiet=True, seed=99, clock=later, **OHMS)
    again.load(tmp_path / "chip.npz")
    assert again.now == pytest.approx(chip.now)
    assert again.seed == 0
    for a, b in zip(life(chip), life(again), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_save_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chip, _ = make_chip()
    chip.save(tmp_path / "chip.npz")
    before = (tmp_path / "chip.npz").read_bytes()

    def full(*_: Any, **__: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="disk full"):
        chip.save(tmp_path / "chip.npz")
    assert (tmp_path / "chip.npz").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_another_chips_file_is_refused(tmp_path: Path) -> None:
    chip, _ = make_chip()
    chip.save(tmp_path / "chip.npz")
    profile = fake_profile(ROWS, COLS + 1)
    wider = VirtualChip(profile, seed=0, clock=SimClock(), model=FakeCells(np.ones(ROWS * (COLS + 1))))
    with pytest.raises(ValueError, match="cols 5, this one has 6"):
        wider.load(tmp_path / "chip.npz")
    np.savez(tmp_path / "else.npz", a=np.ones(3))
    with pytest.raises(ValueError, match="holds no chip"):
        wider.load(tmp_path / "else.npz")


def test_a_sweep_steps_its_cell_along_its_time_and_not_at_its_end() -> None:
    clock = SimClock()
    chip, cells = make_chip(clock=clock)
    clock.advance(10.0)
    sweep = SweepAction(chip, clock.now, (0, 0), np.linspace(0.1, 0.8, 8), np.full(8, 2.0), 1e-2, 1e-3)
    clock.advance(35e-3)  # somebody looks while it runs
    assert not sweep.run_to(clock.now)
    clock.advance(1.0)  # and long after its end
    assert sweep.run_to(clock.now)
    np.testing.assert_allclose([call["now"] for call in cells.calls], [10.0, 10.03])


def test_truth_has_the_shape_of_the_chip() -> None:
    chip, cells = make_chip()
    np.testing.assert_array_equal(chip.truth()["conductance"], cells.g.reshape(ROWS, COLS))


def test_a_passive_chip_is_refused_until_it_has_a_network() -> None:
    profile = fake_profile(ROWS, COLS)
    profile.cell = "passive"
    with pytest.raises(ValueError, match="'passive' cells live in a PassiveChip"):
        VirtualChip(profile, seed=0, clock=SimClock(), model=FakeCells(np.ones(ROWS * COLS)))


@pytest.mark.parametrize("batch", [1, 32, 33, 96, 100])
@pytest.mark.parametrize("shape", [(128, 64), (64, 128), (300, 200)])
def test_products_cut_into_slabs_are_products(batch: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(batch, shape[0])), rng.normal(size=shape)
    product = multiply(left.astype(np.float32), right.astype(np.float32))
    np.testing.assert_allclose(product, left @ right, atol=1e-3)


@pytest.mark.parametrize("size", [1, 2, 3, 64, 1001])
def test_the_fast_normals_are_normal(size: int) -> None:
    stream = NormalStream([1, size])
    calls = 200_000 // size + 1
    numbers = np.zeros((calls, size), dtype=np.float32)
    for line in numbers:
        stream.add(line, np.full(size, 4.0, np.float32))
    numbers /= 2.0
    assert stats.kstest(numbers.ravel(), "norm").pvalue > 1e-3
    assert numbers.std() == pytest.approx(1.0, abs=0.01)
    for lag in (1, 2, 3):
        for power in (1, 2):
            x = numbers.ravel().astype(float) ** power
            assert abs(np.corrcoef(x[:-lag], x[lag:])[0, 1]) < 4.5 / np.sqrt(x.size)
