"""The step ramp_adc, and where ramps find room."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.fake_array import FakeArray, fake_spec
from support.training_bench import write_bench
from xbarlab.analysis.networks.ramp_adc import activation, ramp_design
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.array_spec import RampSpec
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import CellRamp, Delivered, PulseMap
from xbarlab.instruments.errors import UnsupportedError
from xbarlab.protocols.converters.ramp_adc import RampAdcPlan, ramp_adc
from xbarlab.protocols.converters.ramp_plan import PlacedRamp, RampCellsPlan, room_for, target_map, truest
from xbarlab.protocols.keeping.run import Run
from xbarlab.runbooks.stations import open_bench

CELLS = RampCellsPlan(tolerance=4e-6)
SMALL: dict[str, Any] = {"bits": (3, 4), "programmings": 6, "copies_max": 3, "settle": 1.0, "program": CELLS}


def small(change: dict[str, Any] | None = None) -> RampAdcPlan:
    return RampAdcPlan(**{**SMALL, **(change or {})})


class RampArray(FakeArray):
    """A SET leads up to a conductance that rises with its gate, a RESET down to one that falls; its ramps are exact."""

    def __init__(self) -> None:
        super().__init__()
        can = RampSpec(ramps=8, steps=127, slope=10.0, volts=0.2, clock=1e-8)
        limits = fake_spec().limits
        self.spec = replace(
            self.spec, rows=32, cols=12, limits=limits, supports=frozenset({"ramp"}), ramp=can, vmm_ranges=(1e-2,)
        )
        self.g = np.full((32, 12), 5e-6)
        self.rng = np.random.default_rng(1)

    def pulse(self, pulses: PulseMap) -> Delivered:
        shape, at = pulses.block.shape, pulses.block.slices
        volts, gate, count = (np.broadcast_to(np.asarray(a), shape) for a in (pulses.volts, pulses.gate, pulses.count))
        chance = 2e-6 * self.rng.standard_normal(shape)
        up, down = 100e-6 * (gate - 0.5) + chance, 240e-6 - 100e-6 * gate + chance
        moved = np.where(volts > 0, np.maximum(self.g[at], up), np.minimum(self.g[at], np.maximum(down, 2e-6)))
        self.g[at] = np.where(count > 0, moved, self.g[at])
        self._act("pulse", pulses.block.nrows, int(count.sum()))
        return Delivered(pulses.block, volts, np.zeros(shape), gate, count, 1, int(count.sum()), 0.0)

    def thresholds(self, ramp: CellRamp, *, average: int = 1) -> Any:
        self._act("thresholds", ramp.cells.nrows * average)
        return ramp.start + ramp.slope * np.concatenate(([0.0], np.cumsum(self.g[ramp.cells.slices][:, 0])))


@pytest.fixture
def array() -> RampArray:
    return RampArray()


def test_room_is_found_in_healthy_runs_and_never_twice() -> None:
    free = np.ones((10, 3), dtype=bool)
    free[4, 0] = free[:, 1] = False
    sets = room_for(free, [6, 4], 5)
    assert sets == [[Block(0, 6, 2, 1), Block(0, 4, 0, 1)]] or sets[0][0].shape == (6, 1)
    taken = np.zeros_like(free, dtype=int)
    for spots, length in ((spot, n) for one in sets for spot, n in zip(one, [6, 4], strict=True)):
        assert spots.shape == (length, 1)
        taken[spots.slices] += 1
    assert taken.max() == 1
    assert not taken[~free].any()
    assert room_for(free, [7], 5) == [[Block(0, 7, 2, 1)]]
    assert room_for(free, [11], 5) == []


def test_targets_are_proportional_to_the_steps_of_the_thresholds() -> None:
    design = ramp_design(activation("tanh"), 3)
    one = PlacedRamp.at(design, Block(2, 6, 1, 1), high=150e-6, amps=10e-6)
    target = target_map((10, 3), [one], 8e-6, 150e-6)
    assert np.isfinite(target).sum() == 6
    cells = target[2:8, 1]
    assert cells / cells[0] == pytest.approx(np.diff(design.thresholds) / np.diff(design.thresholds)[0])
    moved = one.calibrated(design.thresholds + 0.3)
    assert moved.ramp.start == pytest.approx(one.ramp.start - 0.3 * 10e-6)


def test_ramps_are_programmed_measured_and_calibrated(array: Any) -> None:
    plan = small()
    result = ramp_adc(array, plan, Run(None, seed=1))
    found = result.metrics()
    assert set(found) == plan.measures()
    assert found["ramp_programmings"] == 6
    assert found["ramp_cells"] == 6 + 14
    assert found["ramp_inl_after_3bit"] < 0.5
    for n, design in enumerate(result.designs):
        assert result.before[n].shape == (6, 2**design.bits - 1)
        assert np.abs(result.after[n][:, design.steps // 2] - design.thresholds[design.steps // 2]).max() < 0.1
    assert len(result.frame) == 12
    assert result.section().figures
    assert np.isfinite(array.g).all()
    assert (array.g > 20e-6).sum() == 3 * (6 + 14), "no other cell was written"


def test_every_programming_begins_anew(array: Any) -> None:
    pulses = []
    for n in (3, 6):
        before = array.cost.pulses
        ramp_adc(array, small({"bits": (3,), "programmings": n}), Run(None, seed=1))
        pulses.append(array.cost.pulses - before)
    assert pulses[1] > 1.5 * pulses[0]


def test_a_forecast_is_an_upper_bound(array: Any) -> None:
    plan = small({"bits": (3,)})
    said, before = plan.forecast(array.spec), array.cost
    ramp_adc(array, plan, Run(None, seed=1))
    assert said.cells == 3 * 6
    assert said.pulses >= (array.cost - before).pulses


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"function": "points", "points": [(0, 0), (1, 1), (2, 0)]}, "not monotonic"),
        ({"bits": (3, 3)}, "choose from 3, 4, 5"),
        ({"bits": (2,)}, "choose from 3, 4, 5"),
        ({"bits": (0,)}, r"'bits' is refused: \[0\]: choose from 3, 4, 5"),
        ({"bits": 3}, r"'bits' = 3 is refused: give a list, as \[3\]"),
        ({"inputs": 3}, r"'inputs' = 3 is refused: give a list of 2, as \[…, …\]"),
        ({"function": "points", "points": 3}, r"give a list of lists of 2, as \[\[…, …\], …\]"),
        ({"function": "points", "points": [3]}, r"'points.0' = 3 is refused: give a list of 2, as \[…, …\]"),
        ({"function": "softsign", "inputs": (-50, 50), "bits": (5,)}, "fewer bits"),
        (
            {"amps": 0.1},
            r"need a ramp of .* V \(current over conductance\) up to .* µA; ramps of this array have .*smaller",
        ),
        ({"average": 10**6}, "average"),
        ({"program": CELLS.model_copy(update={"cells": "0:2,0:2"})}, "their function says both"),
    ],
)
def test_what_is_refused_before_anything_is_sent(array: Any, change: dict[str, Any], sentence: str) -> None:
    before = array.cost
    with pytest.raises(RefusedError, match=sentence):
        ramp_adc(array, small(change))
    assert array.cost == before


def test_where_ramps_are_not_it_says_what_it_would_take(tmp_path: Path) -> None:
    station = write_bench(tmp_path, "gate_voltage_1t1r", size=(32, 12))
    bench_file = next(tmp_path.glob("*.bench.yaml"))
    text = bench_file.read_text(encoding="utf-8")
    bench_file.write_text(text.replace("serial: MOCK-0009", "serial: MOCK-0009\n  lacks: [ramp]"), encoding="utf-8")
    with open_bench(station) as bench, pytest.raises(UnsupportedError, match="comparators on all columns"):
        ramp_adc(bench.array, small())
    with open_bench("mock_tio2") as bench, pytest.raises(UnsupportedError, match="comparators on all columns"):
        ramp_adc(bench.array, small())


def test_the_truest_of_several_ramps_is_the_one_whose_calibrated_codes_are_least_off() -> None:
    design = ramp_design(activation("sigmoid"), 4)
    placed = [PlacedRamp.at(design, Block(0, design.steps, col, 1), high=250e-6, amps=14e-6) for col in range(3)]
    bent = design.thresholds + np.linspace(-0.4, 0.4, len(design.thresholds))
    shifted = design.thresholds + 1.0  # far off, and a calibration takes all of it away
    late = design.thresholds + np.where(np.arange(len(design.thresholds)) > 9, 0.3, 0.0)
    found = truest(list(zip(placed, (bent, shifted, late), strict=True)))
    assert found.ramp.cells == placed[1].ramp.cells
    assert found.ramp.start == pytest.approx(placed[1].ramp.start - 1.0 * 14e-6)
    assert placed[1].error(shifted) == pytest.approx(0.0, abs=1e-9)
    assert placed[0].error(design.thresholds) == pytest.approx(0.0, abs=1e-9)
    assert placed[0].error(bent) > 0.1
