"""Trains on the cells themselves, on arrays whose disturb is known: what is given, and what is found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from support.fake_array import LOW, FakeArray, GatelessArray
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.capabilities import Cost
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.measure.stress_disturb import StressPlan, stress_disturb

SWITCH = {"on_above": 90e-6, "off_below": 6e-6, "set_volts": 1.5, "reset_volts": 1.5}
PLAN = {"cells": "0:2,0:4", "volts": (0.3, 0.4, 0.5, 0.6, 0.7), "prepare": SWITCH, "average": 1}


class Creeping(FakeArray):
    """Cells creep under what does not switch them: G grows by a part that is e times larger every 40 mV.

    At ``middle`` [V] a train of 10⁵ moves a cell by 1 %.
    """

    middle = 0.6

    def __init__(self) -> None:
        super().__init__()
        self.maps: list[tuple[float, float, float, int]] = []
        self.at = self.middle + 0.02 * np.random.default_rng(1).standard_normal(self.g.shape)
        self.g[:] = LOW

    def pulse(self, pulses):
        volts = float(np.max(np.broadcast_to(pulses.volts, pulses.block.shape)))
        count = np.broadcast_to(pulses.count, pulses.block.shape)
        self.maps.append((volts, float(np.max(pulses.gate)), float(np.max(pulses.width)), int(count.max())))
        at = self.at[pulses.block.slices]
        kept = self.g[pulses.block.slices] * (1.0 + 1e-7 * np.exp((volts - at) / 0.04) * count * (abs(volts) < 0.8))
        given = super().pulse(pulses)
        if 0.0 < volts < 0.8:
            self.g[pulses.block.slices] = kept
        return given


def test_the_safe_voltage_is_that_of_the_cells(tmp_path: Path) -> None:
    array = Creeping()
    result = stress_disturb(array, StressPlan(**PLAN), Run(tmp_path / "out", quiet=True))
    m = result.metrics()
    assert m.keys() == StressPlan(**PLAN).measures()
    truth = 0.6 - 2.326 * 0.02
    assert m["half_select_safe_volts_ci95_low"] < truth < m["half_select_safe_volts_ci95_high"]
    assert result.safe.which.endswith("SET pulses")
    assert len(result.frame) == 4 * 5 * 6 * 8
    section = result.section()
    assert "99 % of the cells bear" in section.text
    assert "transistors off" in section.text
    assert "extrapolated" not in section.text
    assert len(section.tables[0][1]) == 4 * 5
    assert "safe up to 0.5" in repr(result)


def test_a_safe_voltage_below_all_amplitudes_is_called_extrapolated() -> None:
    array = Creeping()
    array.at = 0.6 + 0.08 * np.random.default_rng(1).standard_normal(array.g.shape)
    result = stress_disturb(array, StressPlan(**{**PLAN, "volts": (0.55, 0.6, 0.65, 0.7)}))
    assert result.safe.volts.value < 0.55
    assert "extrapolated: 0.55 V, the smallest amplitude tried" in result.section().text


def test_each_step_of_a_train_is_one_command_with_the_transistors_off() -> None:
    array = Creeping()
    array.spec = replace(array.spec, limits=replace(array.spec.limits, count_max=10**9))
    plan = StressPlan(**{**PLAN, "volts": (0.1, 0.2), "pulses": 10**6})
    stress_disturb(array, plan)
    stress = [one for one in array.maps if abs(one[0]) <= 0.2]
    assert len(stress) == 4 * 2 * 7
    assert {one[1] for one in stress} == {0.0}
    assert {one[2] for one in stress} == {200e-9}
    assert sorted({one[3] for one in stress}) == [1, 9, 90, 900, 9_000, 90_000, 900_000]


def test_a_read_is_pulsed_with_the_gate_and_the_slot_of_reads() -> None:
    array = Creeping()
    plan = StressPlan(**{**PLAN, "kind": "read", "volts": (0.1, 0.2), "pulses": 100})
    result = stress_disturb(array, plan)
    stress = [one for one in array.maps if abs(one[0]) <= 0.2]
    assert {one[1:3] for one in stress} == {(array.spec.read_gate, array.spec.read_slot_seconds)}
    assert set(result.metrics()) == plan.measures()
    assert "read_safe_volts" in result.metrics()
    assert "lower bound of what is safe" in result.section().text


def test_counts_beyond_one_map_are_sent_in_several() -> None:
    array = Creeping()
    array.spec = replace(array.spec, limits=array.spec.limits.narrowed({"count_max": 40}, source="test"))
    stress_disturb(array, StressPlan(**{**PLAN, "volts": (0.1, 0.2), "pulses": 100}))
    counts = [one[3] for one in array.maps if abs(one[0]) <= 0.2]
    assert counts.count(40) == 2 * 8
    assert sum(counts) == 100 * 8


def test_it_runs_where_there_are_no_gates() -> None:
    array = GatelessArray()
    array.g[:] = LOW
    result = stress_disturb(array, StressPlan(**{**PLAN, "volts": (0.1, 0.2), "pulses": 10}))
    assert result.safe.bound
    assert result.scheme == "V/2"


def test_cells_that_are_not_in_the_state_and_bad_ones_are_left_out() -> None:
    array = Creeping()
    array.g[0, 0] = 0.5e-6  # virgin: not switched on by 1.5 V
    array.spec = replace(array.spec, bad_cells=((1, 1),))
    result = stress_disturb(array, StressPlan(**{**PLAN, "volts": (0.1, 0.2), "pulses": 10}))
    assert (1, 1) not in result.cells
    virgin = result.cells.index((0, 0))
    assert np.isnan(result.grid.change[0, ..., virgin]).all()
    with pytest.raises(RefusedError, match="known to be bad"):
        stress_disturb(array, StressPlan(**{**PLAN, "cells": "1,1"}))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"volts": (0.1, 9.0)}, "set_volts_max"),
        ({"cells": "9,0"}, "outside the array"),
        ({"width": 10.0}, "width"),
        ({"prepare": {"set_volts": 9.0}}, "stress_disturb.prepare.set"),
        ({"scheme": "V/3"}, "third source"),
        ({"average": 10**6}, "average"),
    ],
)
def test_a_plan_beyond_the_array_is_refused_before_anything_acts(wrong: dict, words: str) -> None:
    array = GatelessArray()
    with pytest.raises(RefusedError, match=words):
        stress_disturb(array, StressPlan(**{**PLAN, **wrong}))
    assert array.cost == Cost()


@pytest.mark.parametrize(
    ("wrong", "words"), [({"volts": (0.2, 0.2)}, "two different"), ({"kind": "write"}, "half_select")]
)
def test_a_plan_that_makes_no_sense_is_refused(wrong: dict, words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        StressPlan(**{**PLAN, **wrong})


def test_the_forecast_is_no_less_than_what_is_given() -> None:
    plan, array = StressPlan(**PLAN), Creeping()
    forecast = plan.forecast(array.spec)
    stress_disturb(array, plan)
    assert array.cost.pulses <= forecast.pulses
