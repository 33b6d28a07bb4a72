"""Retention on arrays whose cells drift by a law that is known, and on the mocks against the law of their profile."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support.fake_array import FakeArray, GatelessArray
from xbarlab import open_bench
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.capabilities import Cost
from xbarlab.mockhw.passive_chip.chip import PassiveChip
from xbarlab.protocols.keeping.bench_time import BenchTime
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.programming.retention import RetentionPlan, retention
from xbarlab.runbooks.stations import find_bench, mock_bench


class Drifting(FakeArray):
    """Cells that a SET puts at 100 µS and that then drift, G = 100 µS·t^−ν, each with its own ν."""

    def __init__(self) -> None:
        super().__init__()
        self.g[:] = 5e-6
        self.nu = np.linspace(0.005, 0.015, self.g.size).reshape(self.g.shape)
        self.written = np.zeros(self.g.shape)

    def pulse(self, pulses: Any) -> Any:
        at = pulses.block.slices
        hit = np.broadcast_to(np.asarray(pulses.count), pulses.block.shape) > 0
        self.written[at] = np.where(hit, self.clock.now(), self.written[at])
        return super().pulse(pulses)

    def read(self, cells: Any, volts: Any = None, **options: Any) -> Any:
        reading = super().read(cells, volts, **options)
        age = np.maximum(self.clock.now() - self.written[cells.slices], 1e-3)
        reading.conductance[...] *= age ** -self.nu[cells.slices]
        return reading


LEVELS = {"count": 2, "low": 5e-6, "high": 100e-6}


def test_every_cell_gets_its_own_exponent_from_its_own_last_pulse() -> None:
    array = Drifting()
    result = retention(array, RetentionPlan(cells="all", levels=LEVELS), Run(None, seed=1))
    on = result.reads.level == 1
    assert on.sum() > 10
    np.testing.assert_allclose(result.reads.nu[on], array.nu.ravel()[on], rtol=1e-3)
    assert result.reads.seconds[0] == pytest.approx(1.0)
    assert result.reads.seconds[-1] == pytest.approx(1e4)
    assert array.clock.now() == pytest.approx(1e4)


def test_cells_as_found_are_not_written_and_stand_for_the_nearest_level() -> None:
    array = Drifting()
    array.g[0] = 100e-6
    result = retention(array, RetentionPlan(cells="0:2,0:6", levels=LEVELS, prepare="found", temperature=300))
    assert array.cost.pulses == 0
    assert result.reads.level.tolist() == [1] * 6 + [0] * 6
    assert "300 K" in result.section().text
    assert set(result.metrics()) == result.plan.measures()
    assert len(result.frame) == 12 * 13
    assert "12 cells" in repr(result)


def test_where_a_slot_serves_one_cell_each_has_its_own_time() -> None:
    class Slow(GatelessArray):
        def read(self, *arguments: Any, **options: Any) -> Any:
            self.clock.wait(2.0)
            return super().read(*arguments, **options)

    array = Slow()
    result = retention(array, RetentionPlan(cells="0:1,0:4", levels=LEVELS, prepare="found"))
    assert result.reads.seconds[0].tolist() == pytest.approx([2.0, 4.0, 6.0, 8.0])
    assert (np.diff(result.reads.seconds, axis=0) > 0).all()


def test_time_goes_on_between_sessions_where_the_clock_does() -> None:
    class Clock:
        time = 1000.0

        def now(self) -> float:
            return self.time

        def wait(self, seconds: float) -> None:
            self.time += seconds

    clock = Clock()
    watch = BenchTime(clock)
    watch.wait_until(50.0)
    watch.mark()
    clock.wait(7.0)  # after the last unit that was kept
    kept = watch.arrays()
    clock.wait(100.0)
    later = BenchTime(clock)
    later.restore(kept)
    assert later.now() == pytest.approx(157.0)
    clock.time = 3.0  # a bench whose clock began anew: its chip did not age
    again = BenchTime(clock)
    again.restore(kept)
    assert again.now() == pytest.approx(50.0)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"last": 0.5}, "must be later than the first"),
        ({"last": 2.0}, "too few for an exponent"),
        ({"cells": "9,0"}, "outside the array"),
        ({"set": {"volts": (1.0, 9.0), "gate": (0.5, 2.6)}}, "set_volts_max"),
        ({"temperature": -3}, "greater than 0"),
        ({"prepare": "pulses"}, "choose from"),
        ({"read_average": 10**6}, "average"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_before_anything_acts(wrong: dict[str, Any], words: str) -> None:
    array = Drifting()
    with pytest.raises(RefusedError, match=words):
        retention(array, RetentionPlan(**wrong))
    assert array.cost == Cost()


@pytest.mark.slow
def test_the_exponent_of_the_passive_mock_is_that_of_its_law() -> None:
    errors = []
    for seed in (1, 2, 3):
        with open_bench("mock_tio2", seed=seed) as bench:
            chip = mock_bench(find_bench("mock_tio2")).chip
            assert isinstance(chip, PassiveChip)
            chip.assume_formed(np.ones((8, 8)))
            before = chip.truth()["conductance"].copy()
            plan = RetentionPlan(cells="all", prepare="found", levels={"count": 2, "low": 100e-6, "high": 500e-6})
            result = retention(bench.array, plan)
            # s relaxes by drift·ln(1 + t/t0)/ln(1 + T/t0); ln g is s·ln(Gon/Goff), seen through 180 Ω in series.
            ln_ratio, share = np.log(527.7 / 78.4), 1.0 / (1.0 + 180.0 * np.median(before))
            want = 0.01 * ln_ratio * share / np.log1p(1e4 / 1e-3)
            errors.append(result.metrics()["retention_drift_nu"] / want - 1.0)
    assert abs(np.median(errors)) < 0.2, errors
