"""Endurance on cells whose lifetimes are known: fakes that wear out, and the mock's own draws."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.fake_array import LOW, FakeArray, GatelessArray
from xbarlab import open_bench
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.capabilities import Cost
from xbarlab.mockhw.bench.bench import bench_for
from xbarlab.protocols.measure.endurance import EndurancePlan, endurance
from xbarlab.protocols.registry import step_kind
from xbarlab.runbooks import stations

SHIPPED = Path(stations.__file__).parent


class Wearing(FakeArray):
    """Cells that stay on after a number of SETs of their own; ``budget`` pulses, and the ledger refuses more."""

    def __init__(self, life: Any, *, budget: float = np.inf, **options: Any) -> None:
        super().__init__(**options)
        self.g[:] = LOW
        self.life = np.broadcast_to(np.asarray(life, dtype=float), self.g.shape)
        self.sets = np.zeros(self.g.shape)
        self.given = 0.0
        self.budget = budget

    def pulse(self, pulses: Any) -> Any:
        at, shape = pulses.block.slices, pulses.block.shape
        count = np.broadcast_to(np.asarray(pulses.count), shape)
        volts = np.broadcast_to(np.asarray(pulses.volts), shape)
        if self.given + count.max() > self.budget:
            raise RefusedError("its wear budget is used up", where="pulses_total_max")
        self.given += count.max()
        self.sets[at] += (volts > 0) * count
        delivered = super().pulse(pulses)
        self.g[self.sets >= self.life] = 1e-4
        return delivered


def run(array: FakeArray, **plan: Any) -> Any:
    return endurance(array, EndurancePlan(**{"cells": "0:2,0:4", "cycles": 300, **plan}))


def test_each_failure_lies_between_the_look_that_saw_it_and_the_one_before() -> None:
    life = np.full((8, 6), np.inf)
    life[:2, :4] = np.geomspace(4, 5000, 8).reshape(2, 4)
    result = run(Wearing(life), stop_failed=1.0)
    died = life[:2, :4].ravel() + 1  # the SET that ends it leaves the window of its own cycle
    reads = result.reads
    assert reads.failed.tolist() == (died <= 300).tolist()
    assert (reads.failed_at[reads.failed] >= np.floor(died[reads.failed])).all()
    assert (reads.good_at[reads.failed] <= died[reads.failed]).all()
    assert (reads.good_at[~reads.failed] >= 300).all()
    assert result.metrics()["endurance_first_failure"] == np.nanmin(reads.failed_at)
    assert (np.diff(reads.cycles) > 0).all()
    assert set(result.metrics()) == result.plan.measures()
    assert "all 300 cycles were done" in result.section().text


def test_nothing_fails_where_nothing_wears() -> None:
    array = Wearing(np.inf)
    m = run(array).metrics()
    assert np.isnan(m["endurance_first_failure"])
    assert m["endurance_cycles"] == 300
    assert m["endurance_failed_fraction_ci95_high"] < 0.4
    assert array.cost.pulses == 2 * 300 * 8


def test_cycling_ends_when_enough_have_failed_and_failed_cells_are_left_alone() -> None:
    life = np.full((8, 6), np.inf)
    life[0, :4] = 20
    array = Wearing(life)
    result = run(array, cycles=100_000)
    assert "4 of 8 cells had failed" in result.stopped
    assert result.metrics()["endurance_cycles"] < 100
    array = Wearing(life)
    run(array, stop_failed=0.6)
    assert array.sets[0, 0] < 60
    assert array.sets[1, 0] >= 300


def test_a_single_cycle_without_a_window_is_no_failure() -> None:
    class Hiccup(Wearing):
        reads = 0

        def read(self, *arguments: Any, **options: Any) -> Any:
            reading = super().read(*arguments, **options)
            self.reads += 1
            if self.reads == 7:  # off, of the fourth look
                reading.conductance[...] = 1e-4
            return reading

    result = run(Hiccup(np.inf))
    assert not result.reads.failed.any()
    assert (result.reads.window < 2).sum() == 8


def test_cells_that_never_switch_are_told_apart() -> None:
    life = np.full((8, 6), np.inf)
    life[0, 0] = 0
    result = run(Wearing(life))
    assert result.never == 1
    assert (0, 0) not in result.cells
    assert result.metrics()["endurance_failed_fraction"] == 0.0
    assert "did not switch and are in no figure: 1" in result.section().text
    result = run(Wearing(0))
    assert result.metrics()["endurance_cells"] == 0
    assert result.frame.empty


def test_the_wear_budget_ends_it_with_what_was_measured() -> None:
    array = Wearing(np.inf, budget=151)
    result = run(array)
    assert "wear ledger refused" in result.stopped
    assert result.metrics()["endurance_cycles"] == 75
    assert 40 < result.reads.good_at.max() <= 75
    assert array.given <= 151


def test_another_refusal_is_none_of_the_budget() -> None:
    class Refusing(Wearing):
        def pulse(self, pulses: Any) -> Any:
            raise RefusedError("something else")

    with pytest.raises(RefusedError, match="something else"):
        run(Refusing(np.inf))


def test_where_a_slot_serves_one_cell_a_cell_has_its_stretch_before_the_next() -> None:
    class Watched(GatelessArray):
        asked: list[str]

        def pulse(self, pulses: Any) -> Any:
            self.asked.append(str(pulses.block))
            return super().pulse(pulses)

    array = Watched()
    array.asked, array.g[:] = [], LOW
    result = endurance(array, EndurancePlan(cells="0:1,0:2", cycles=1000, per_decade=1))
    assert result.metrics()["endurance_cycles"] == 1000
    moves = sum(one != other for one, other in zip(array.asked, array.asked[1:], strict=False))
    assert moves < 20


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"cells": "9,0"}, "outside the array"),
        ({"set_volts": 9.0}, "set_volts_max"),
        ({"cycles": 10**12}, "choose 3 to 1e.08"),
        ({"cycles": 501}, "1,000 of its life"),
        ({"scheme": "V/3"}, "bias scheme"),
        ({"stop_failed": 0}, "greater than 0"),
        ({"cycles": 2}, "greater than or equal to 3"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_before_anything_acts(wrong: dict[str, Any], words: str) -> None:
    array = Wearing(np.inf)
    array.spec = replace(array.spec, limits=replace(array.spec.limits, pulses_total_max=1000))
    with pytest.raises(RefusedError, match=words):
        run(array, **wrong)
    assert array.cost == Cost()


def short_lived(folder: Path, cycles: float) -> Path:
    """Return a station whose simulated cells bear about so many cycles."""
    for kind in ("station", "chip", "bench"):
        text = (SHIPPED / f"mock_ta_hfo2.{kind}.yaml").read_text(encoding="utf-8")
        if kind == "bench":
            changed = f"parameters.wear.median_cycles: {{value: {cycles}, source: 'assumed: for a test'}}"
            text = (
                f"chip: {{profile: ta_hfo2_1t1r, seed: 0, state: null, changes: {{{changed}}}}}\n"
                + text.split("\n", 3)[3]
            )
        (folder / f"mock_ta_hfo2.{kind}.yaml").write_text(text, encoding="utf-8")
    return folder / "mock_ta_hfo2.station.yaml"


@pytest.mark.slow
def test_the_mocks_cells_fail_when_their_draw_says(tmp_path: Path) -> None:
    station = short_lived(tmp_path, 300)
    with open_bench(station, seed=2) as bench:
        forming = step_kind("forming")
        forming.run(bench.array, forming.plan(cells="0:8,0:8"), None)
        chip = bench_for(tmp_path / "mock_ta_hfo2.bench.yaml").chip
        before = chip.truth()
        result = endurance(bench.array, EndurancePlan(cells="0:8,0:8", cycles=1000, per_decade=8, stop_failed=0.9))
        after = chip.truth()
    rows, cols = np.asarray(result.cells).T
    worn, life = after["wear_cycles"][rows, cols], before["endurance_cycles"][rows, cols]
    left = life - before["wear_cycles"][rows, cols]
    failed = result.reads.failed
    assert 20 < failed.sum() < failed.size
    assert (worn[~failed] <= life[~failed]).all()
    # A survivor's wear over its cycles says what one cycle is worth; the rest follows from each cell's own draw.
    rate = np.median(worn[~failed] / result.cycled[~failed])
    due = left[failed] / rate
    assert np.mean((due > 0.5 * result.reads.good_at[failed]) & (due < 2.0 * result.reads.failed_at[failed])) > 0.9
    assert result.reads.life.failures == failed.sum()
