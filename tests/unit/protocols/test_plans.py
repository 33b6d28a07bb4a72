import numpy as np
import pytest

from xbarlab.common.errors import RefusedError
from xbarlab.instruments.array_spec import ArraySpec
from xbarlab.instruments.block import Block
from xbarlab.instruments.limits import Limits
from xbarlab.protocols.forming.forming import FormingPlan
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.measure.dc_sweep import DcSweepPlan
from xbarlab.protocols.measure.read_array import ReadArrayPlan
from xbarlab.protocols.programming.ispp import IsppPlan
from xbarlab.protocols.programming.read_verify import ReadVerifyPlan
from xbarlab.protocols.programming.targets import Levels
from xbarlab.protocols.registry import step_kind, step_names

SPEC = ArraySpec(
    name="test array",
    rows=8,
    cols=4,
    cell="1T1R",
    gate_axis="col",
    limits=Limits(set_volts_max=3.4, reset_volts_max=2.0),
    volts_lsb=1e-4,
    gate_lsb=1e-4,
    width_tick=1e-8,
    read_volts=0.2,
    read_gate=5.0,
    read_ranges=(1e-6, 1e-3),
    adc_bits=16,
    average_max=64,
    slot_overhead=5e-6,
    read_slot_seconds=1e-5,
    vmm_slot_seconds=1e-6,
)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: ReadArrayPlan(cell="all"),
            "unknown parameter 'cell': choose from average, cells, volts; did you mean 'cells'",
        ),
        (lambda: FormingPlan(stop_volts=float("nan")), "finite"),
        (lambda: FormingPlan(stop_volts=float("inf")), "finite"),
        (lambda: FormingPlan(width=-1e-6), "greater than 0"),
        (lambda: FormingPlan(start_volts=3.0, stop_volts=2.0), "below start_volts"),
        (lambda: DcSweepPlan(cycles="many"), "'many'"),
        (lambda: ReadVerifyPlan(hits=4, reads=3), "can never be reached"),
        (lambda: Levels(low=2e-4, high=1e-4), "must be above the lowest"),
        (lambda: step_kind("forming_up"), "did you mean 'forming'"),
    ],
)
def test_a_bad_plan_is_refused_in_one_sentence(make, words) -> None:
    with pytest.raises(RefusedError) as refused:
        make()
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (ReadArrayPlan(cells="0:9,0:4"), "outside the array"),
        (ReadArrayPlan(cells="nonsense"), "write 'rows,cols'"),
        (ReadArrayPlan(volts=0.7), "above the limit 0.5"),
        (FormingPlan(stop_volts=3.5), "above the limit 3.4"),
        (FormingPlan(gate=6.0), "above the limit 5"),
        (FormingPlan(width=1.0), "width"),
        (DcSweepPlan(), "does not support sweep: it would need"),
        (ReadVerifyPlan(target_file="no_such.npy"), "does not exist"),
    ],
)
def test_a_plan_beyond_this_array_is_refused(plan, words) -> None:
    with pytest.raises(RefusedError) as refused:
        plan.check(SPEC)
    assert words in str(refused.value)


@pytest.mark.parametrize("name", [name for name in step_names() if name != "dc_sweep" and "train_" not in name])
def test_every_step_forecasts_its_cost(name: str) -> None:
    cells = {"ispp": "0:4,0:4"}.get(name, "all")
    plan = step_kind(name).plan
    forecast = plan(**({"cells": cells} if "cells" in plan.model_fields else {})).forecast(SPEC)
    if name != "ramp_adc":  # as many as its programmings take, more than this array has
        assert forecast.cells == (16 if name == "ispp" else 32)
    assert 0 < forecast.volts_max <= 5
    assert forecast.seconds > 0


@pytest.mark.parametrize("name", ["half_select_disturb", "stress_disturb", "endurance", "pulse_response", "multilevel"])
def test_a_count_beyond_counting_is_refused(name: str) -> None:
    plan = step_kind(name).plan
    for key, field in plan.model_fields.items():
        if field.annotation is int:
            with pytest.raises(RefusedError, match=rf"{key}.*(choose |less than or equal to)"):
                plan(**{key: 10**22})


def test_a_train_that_no_one_reads_in_a_lifetime_is_refused_at_once() -> None:
    with pytest.raises(RefusedError, match=r"pulses.*less than or equal to 1000000"):
        step_kind("pulse_response").plan(pulses=10**9)


def test_the_gate_axis_decides_what_a_reset_turns() -> None:
    from dataclasses import replace

    plan = ReadVerifyPlan()
    assert [ramp.knob for ramp in plan.ramps(SPEC)] == ["gate", "gate"]
    assert [ramp.knob for ramp in plan.ramps(replace(SPEC, gate_axis="row"))] == ["gate", "volts"]


def test_targets_repeat_with_the_seed_and_use_every_level() -> None:
    block = Block(0, 8, 0, 4)
    first, again, other = (IsppPlan().targets(block, Run(None, seed=seed)) for seed in (3, 3, 4))
    assert (first == again).all()
    assert (first != other).any()
    assert set(np.round(Levels().draw(Block(0, 64, 0, 64), np.random.default_rng(0)).ravel() * 1e6, 6)) == set(
        np.round(Levels().values * 1e6, 6)
    )
