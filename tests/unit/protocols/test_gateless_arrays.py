"""What was written for cells behind transistors runs on cells without: only what the spec says differs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from support.fake_array import FakeArray, FakeBench, GatelessArray, gateless_spec
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.capabilities import Cost, Delivered, PulseMap
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.measure.dc_sweep import DcSweepPlan, dc_sweep
from xbarlab.protocols.measure.yield_map import YieldMapPlan, yield_map
from xbarlab.protocols.programming.programming_plan import RampPlan
from xbarlab.protocols.programming.read_verify import ReadVerifyPlan, read_verify
from xbarlab.protocols.registry import step_kind, step_names
from xbarlab.runbooks.runner import runner
from xbarlab.runbooks.runner.runner import run_runbook

US = 1e-6


class GradedArray(GatelessArray):
    """SET: G rises to what the amplitude says; RESET: it falls to what it says. Levels of 80 to 500 µS."""

    def __init__(self, *, noise: float = 3 * US, seed: int = 0) -> None:
        super().__init__()
        self.rng, self.noise = np.random.default_rng(seed), noise
        self.offset = self.rng.normal(0, 0.03, self.g.shape)
        self.g[:] = 70 * US

    def pulse(self, pulses: PulseMap) -> Delivered:
        shape, at = pulses.block.shape, pulses.block.slices
        volts, gate, count = (np.broadcast_to(np.asarray(a), shape) for a in (pulses.volts, pulses.gate, pulses.count))
        assert not gate.any()
        chance = self.noise * self.rng.standard_normal(shape)
        up = 80 * US + 600 * US * (volts - 1.0 + self.offset[at]) + chance
        down = np.maximum(500 * US - 550 * US * (-volts - 1.0 + self.offset[at]) + chance, 60 * US)
        g, fire = self.g[at], count > 0
        g[:] = np.where(fire & (volts > 0), np.maximum(g, up), np.where(fire & (volts < 0), np.minimum(g, down), g))
        self.cost += Cost(1, pulses.block.size, int(count.sum()), 0.0)
        return Delivered(pulses.block, volts, np.zeros(shape), gate, count, 1, int(count.sum()), 0.0)


@pytest.mark.slow
def test_the_1t1r_runbook_runs_with_another_station_and_fewer_cells(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bench.station.yaml").write_text("# a fake\n", encoding="utf-8")
    bench = FakeBench(GatelessArray())
    monkeypatch.setattr(runner, "open_bench", bench.opener())
    overrides = {"form.method": "ramp", "form.formed_above": 3 * US, "form.virgin_below": 1 * US, "iv.cells": "0:2,0:2"}
    overrides |= {f"{step}.cells": "0:4,0:4" for step in ("form", "yield", "baseline", "program")}
    overrides |= {"baseline.set_starts": [1.0], "baseline.set_steps": [0.2], "baseline.iterations_max": 5}
    outcome = run_runbook(
        "first_light_1t1r",
        station=tmp_path / "bench.station.yaml",
        out=tmp_path / "out",
        overrides=overrides | {"program.iterations_max": 20},
        quiet=True,
    )
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert outcome.exit_code == 0
    assert summary["formed_fraction"] == summary["yield_fraction"] == 1.0
    assert summary["steps_done"] == 6
    assert summary["v_set_mean"] == pytest.approx(0.8, abs=0.03)
    assert set(filter(None, bench.array.schemes)) == {"virtual_ground", "V/2"}


def test_read_verify_turns_the_amplitude_and_reaches_levels_of_another_material() -> None:
    plan = ReadVerifyPlan(
        cells="all",
        levels={"count": 8, "low": 100 * US, "high": 400 * US},
        set=RampPlan(volts=(1.0, 1.8), gate=(0.0, 0.0), step=0.02),
        reset=RampPlan(volts=(1.0, 1.9), gate=(0.0, 0.0), step=0.02),
    )
    array = GradedArray()
    assert [ramp.knob for ramp in plan.ramps(array.spec)] == ["volts", "volts"]
    result = read_verify(array, plan, Run(None, seed=1))
    assert result.metrics()["programmed_fraction_60s"] > 0.98
    assert result.metrics()["pulses_per_cell"] < 12
    np.testing.assert_array_equal(result.pulses.sum(), array.cost.pulses)


def test_a_ramp_that_asks_for_the_gate_turns_the_amplitude_where_there_is_none() -> None:
    ramp = RampPlan(knob="gate", volts=(0.8, 2.0), gate=(0.5, 2.6)).ramp("gate", gateless_spec())
    assert (ramp.knob, ramp.start, ramp.stop, ramp.gate_max) == ("volts", 0.8, 2.0, 0.0)


def test_the_board_engine_is_refused_where_a_set_has_no_gate_to_turn() -> None:
    spec = replace(gateless_spec(), supports=frozenset({"sweep", "onboard_verify"}))
    with pytest.raises(RefusedError, match="use engine 'host'"):
        ReadVerifyPlan(engine="board").check(spec)
    assert not ReadVerifyPlan(engine="auto").by_board(spec)


def test_yield_classes_of_another_material_need_its_borders() -> None:
    array = GradedArray()
    array.spec = replace(array.spec, bad_cells=())
    stuck = np.full(array.g.shape, 70 * US)
    array.pulse = lambda pulses: None  # every cell is stuck high-ohmic
    array.g = stuck
    plain = yield_map(array, YieldMapPlan(cells="0:2,0:2"))
    fitting = yield_map(
        array,
        YieldMapPlan(
            cells="0:2,0:2",
            borders={"hrs_max": 150 * US, "lrs_min": 200 * US, "lrs_max": 800 * US, "short_above": 2e-3},
        ),
    )
    assert set(plain.categories.ravel()) == {"stuck LRS"}
    assert set(fitting.categories.ravel()) == {"stuck HRS"}
    with pytest.raises(RefusedError, match="must rise"):
        YieldMapPlan(borders={"hrs_max": 150 * US})
    with pytest.raises(RefusedError, match=r"unknown parameter 'borders\.hrs'"):
        YieldMapPlan(borders={"hrs": 150 * US})


@pytest.mark.parametrize("scheme", ["V/3", "ground"])
def test_a_scheme_this_array_lacks_is_refused_before_anything_acts(scheme: str) -> None:
    array = GatelessArray()
    for act, plan in ((dc_sweep, DcSweepPlan(scheme=scheme)), (yield_map, YieldMapPlan(scheme=scheme))):
        with pytest.raises(RefusedError, match="bias scheme"):
            act(array, plan)
    assert array.cost == Cost()


def test_the_scheme_of_a_plan_is_the_one_that_is_used() -> None:
    array = GatelessArray()
    array.g[:] = 5 * US
    dc_sweep(array, DcSweepPlan(cells="0,0", cycles=1, scheme="float"))
    assert set(array.schemes) == {"float", "virtual_ground"}, "swept as asked, and read before the loop as always"
    assert array.schemes.count("virtual_ground") == 1


@pytest.mark.parametrize("name", [name for name in step_names() if not name.startswith("train_")])
def test_forecasts_follow_what_a_slot_serves(name: str) -> None:
    rows = FakeArray().spec
    cells = replace(rows, slot_serves="cell", select_seconds=0.02, read_slot_seconds=0.02)
    plan = step_kind(name).plan()
    if "cells" in type(plan).model_fields:
        plan = plan.model_copy(update={"cells": "all"})
    assert plan.forecast(cells).seconds > plan.forecast(rows).seconds
