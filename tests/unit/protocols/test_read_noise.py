"""Read noise on an array whose noise is known, and on both mocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support.fake_array import FakeArray
from xbarlab import open_bench
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.abilities import Samples
from xbarlab.instruments.capabilities import Cost, Trace
from xbarlab.mockhw.passive_chip.chip import PassiveChip
from xbarlab.protocols.measure.read_noise import ReadNoisePlan, read_noise
from xbarlab.protocols.registry import step_kind
from xbarlab.runbooks.stations import find_bench, mock_bench


class Noisy(FakeArray):
    """Cells with white noise of a part of their current, seen through a converter of 1 nA."""

    def __init__(self, relative: float = 0.01) -> None:
        super().__init__()
        object.__setattr__(self.spec, "supports", frozenset({"sample"}))
        self.g[:] = 100e-6
        self.relative = relative

    def sample(self, row: int, col: int, volts: float, *, rate: float, seconds: float) -> Trace:
        self._act("sample", 1)
        points, rng = round(rate * seconds), np.random.default_rng([row, col, volts > 0])
        amps = volts * self.g[row, col] * (1.0 + self.relative * rng.normal(size=points))
        amps = np.round(amps / 1e-9 + rng.normal(size=points)) * 1e-9
        return Trace(row, col, volts, np.arange(1, points + 1) / rate, amps)


def test_the_noise_of_the_cells_is_found() -> None:
    array = Noisy()
    result = read_noise(array, ReadNoisePlan(cells="0:3,0:2", seconds=2.0))
    m = result.metrics()
    assert set(m) == result.plan.measures()
    assert m["read_noise_rel"] == pytest.approx(0.01, rel=0.05)
    assert m["rtn_cell_fraction"] == 0.0
    assert m["noise_cells"] == 6
    assert array.actions == ["sample"] * 12
    assert len(result.frame) == 6 * 2000
    assert "cells of which nothing above white noise is seen there: 6" in result.section().text
    assert "6 cells" in repr(result)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"cells": "9,0"}, "outside the array"),
        ({"volts": 2.0}, "read_volts_max"),
        ({"volts": 0.0}, "choose a read voltage"),
        ({"seconds": 0.1}, "at least 256"),
        ({"band": (10.0, 1.0)}, "must rise"),
        ({"band": (0.01, 100.0)}, "must rise"),
        ({"rate": 1e8}, "rate"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_before_anything_acts(wrong: dict[str, Any], words: str) -> None:
    array = Noisy()
    with pytest.raises(RefusedError, match=words):
        read_noise(array, ReadNoisePlan(**wrong))
    assert array.cost == Cost()


def test_an_array_that_does_not_sample_says_what_it_would_need() -> None:
    with pytest.raises(RefusedError, match="does not support sample: it would need"):
        read_noise(FakeArray(), ReadNoisePlan())


@pytest.mark.slow
def test_the_board_mock_has_the_slow_noise_of_its_profile() -> None:
    """1/f noise of slope −1.2 above 0.2 % of white noise: every cell has an exponent, of a trace of 2 s near 1."""
    found = []
    for seed in (1, 2, 3):
        with open_bench("mock_ta_hfo2", seed=seed) as bench:
            forming = step_kind("forming")
            forming.run(bench.array, forming.plan(cells="0:4,0:4"), None)
            table = read_noise(bench.array, ReadNoisePlan(cells="0:4,0:4", seconds=2.0)).table
        assert table["exponent"].notna().mean() > 0.5
        assert table["noise_rel"].median() > 0.002
        found.append(float(table["exponent"].median()))
    assert np.median(found) == pytest.approx(1.2, abs=0.4)


@pytest.mark.slow
def test_the_probe_station_samples_by_its_column_unit() -> None:
    with open_bench("mock_tio2", seed=1) as bench:
        chip = mock_bench(find_bench("mock_tio2")).chip
        assert isinstance(chip, PassiveChip)
        chip.assume_formed(np.full((8, 8), 0.5))
        assert bench.array.spec.can(Samples)
        before = bench.array.read(step_block(), average=8).conductance[0, 0]
        trace = bench.array.ability(Samples).sample(2, 3, 0.2, rate=500.0, seconds=1.0)
        nothing = bench.array.ability(Samples).sample(2, 3, 0.0, rate=500.0, seconds=1.0)
        after = bench.array.read(step_block(), average=8).conductance[0, 0]
    assert trace.current.mean() / 0.2 == pytest.approx(before, rel=0.02)
    assert after == pytest.approx(before, rel=0.02), "it is set up as before"
    assert (np.diff(trace.time) > 0).all()
    assert trace.time.size == 500
    assert nothing.current.std() < 0.1 * trace.current.std()


def step_block() -> Any:
    from xbarlab.instruments.block import Block

    return Block(2, 1, 3, 1)
