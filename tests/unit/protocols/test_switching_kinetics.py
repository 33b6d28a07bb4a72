"""Single pulses of a grid on arrays that switch at a known voltage: what is given, left out and refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from support.fake_array import HIGH, LOW, RESET_VOLTS, SET_VOLTS, FakeArray, GatelessArray
from xbarlab.analysis.measurements.kinetics import KineticsGrid, voltage_time_map
from xbarlab.analysis.plots.plots import png_bytes
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import Cost
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.measure.switching import BandPlan, bring_into
from xbarlab.protocols.measure.switching_kinetics import KineticsPlan, switching_kinetics

OFF = {"low": 0.5 * LOW, "high": 2 * LOW}
ON = {"low": 0.5 * HIGH, "high": 2 * HIGH}
PLAN = {
    "cells": "0:2,0:4", "set_volts": (0.5, 0.7, 0.9, 1.1), "reset_volts": (0.5, 0.7, 0.9), "shortest": 1e-6,
    "longest": 1e-4, "set_from": OFF, "reset_from": ON,
}  # fmt: skip


def formed(kind: type[FakeArray] = FakeArray) -> FakeArray:
    array = kind()
    array.g[:] = LOW
    return array


@pytest.mark.parametrize("kind", [FakeArray, GatelessArray])
def test_the_boundary_is_where_the_cells_switch(kind: type[FakeArray], tmp_path: Path) -> None:
    result = switching_kinetics(formed(kind), KineticsPlan(**PLAN), Run(tmp_path / "out", quiet=True))
    m = result.metrics()
    for name, volts in (("set", SET_VOLTS), ("reset", -RESET_VOLTS)):
        assert m[f"{name}_volts_1us_ci95_low"] < volts < m[f"{name}_volts_1us_ci95_high"]
        assert m[f"{name}_volts_per_decade_ci95_low"] < 0.0 < m[f"{name}_volts_per_decade_ci95_high"]
    assert m["kinetics_out_of_band_fraction"] == 0.0
    assert m.keys() == KineticsPlan(**PLAN).measures()
    assert len(result.frame) == 8 * 3 * (4 + 3)
    changes = result.frame.groupby("volts_V")[["before_S", "after_S"]].median()
    assert changes.loc[0.9].tolist() == pytest.approx([LOW, HIGH])
    assert changes.loc[-0.7].tolist() == pytest.approx([HIGH, HIGH])
    section = result.section()
    assert len(section.tables[0][1]) == 3 * 7
    assert "0.800 V in 1 µs" in section.text
    assert "mV/decade" in repr(result)


def test_cells_that_do_not_reach_their_band_and_bad_ones_are_left_out() -> None:
    array = formed()
    array.g[0, 0] = 0.2e-6  # virgin: nothing of the plan forms it
    result = switching_kinetics(array, KineticsPlan(**PLAN, repeats=2))
    assert result.metrics()["kinetics_out_of_band_fraction"] == pytest.approx(1 / 8)
    run = Run(None)
    run.chip.note_yield(array.spec, Block(0, 2, 0, 4), np.arange(8).reshape(2, 4) > 0, np.zeros((2, 4), bool))
    assert len(switching_kinetics(array, KineticsPlan(**PLAN), run).cells) == 7
    run.chip.note_yield(array.spec, Block(0, 2, 0, 4), np.zeros((2, 4), bool), np.zeros((2, 4), bool))
    with pytest.raises(RefusedError, match="known to be bad"):
        switching_kinetics(array, KineticsPlan(**PLAN), run)


def test_where_nothing_switches_no_number_is_made_up() -> None:
    result = switching_kinetics(formed(), KineticsPlan(**{**PLAN, "set_volts": (0.3, 0.5), "reset_volts": ()}))
    assert np.isnan(result.metrics()["set_volts_per_decade"])
    assert "SET: no boundary, no point switched" in result.section().text
    assert not any(name.startswith("reset") for name in result.metrics())


def test_every_point_begins_with_a_full_switch_in_random_order() -> None:
    given: list[float] = []

    class Noting(FakeArray):
        def pulse(self, pulses):
            if np.any(pulses.count):
                given.append(float(np.max(pulses.volts)))
            return super().pulse(pulses)

    plan = KineticsPlan(**{**PLAN, "reset_volts": (), "longest": 1e-6})
    array = Noting()
    array.g[:] = LOW
    switching_kinetics(array, plan)
    assert given.count(plan.set_from.set_volts + 11 * plan.set_from.volts_step) == 4
    points = [volts for volts in given if volts in plan.set_volts]
    assert sorted(points) == [0.5, 0.7, 0.9, 1.1] != points


def test_a_staircase_reverses_at_its_start_when_it_went_past_the_band() -> None:
    class Graded(FakeArray):
        """Conductance follows the last pulse: 100 µS per volt, RESETs take as much away."""

        def _switch(self, block, volts) -> None:
            g = self.g[block.slices]
            g[:] = np.maximum(g + 1e-4 * np.where(np.abs(volts) > 0.15, volts, 0.0), 1e-6)

    array = Graded()
    array.g[:] = np.linspace(1e-6, 400e-6, 48).reshape(8, 6)
    band = BandPlan(low=100e-6, high=140e-6, set_volts=0.2, reset_volts=0.2, volts_step=0.1, steps=4, attempts=40)
    cells = np.ones((8, 6), bool)
    cells[0, 0] = False
    reached = bring_into(array, Block(0, 8, 0, 6), cells, band, None)
    assert reached.sum() == 47
    assert array.g[0, 0] == 1e-6
    assert band.inside(array.g[cells]).all()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"set_volts": (9.0,)}, "set_volts_max"),
        ({"reset_volts": (9.0,)}, "reset_volts_max"),
        ({"longest": 10.0}, "width"),
        ({"cells": "9,0"}, "outside the array"),
        ({"set_from": {**OFF, "set_volts": 9.0}}, "switching_kinetics.set_from.set"),
        ({"scheme": "V/3"}, "V/3"),
        ({"average": 10**6}, "average"),
    ],
)
def test_a_plan_beyond_the_array_is_refused_before_anything_acts(wrong: dict, words: str) -> None:
    array = formed(GatelessArray)
    with pytest.raises(RefusedError, match=words):
        switching_kinetics(array, KineticsPlan(**{**PLAN, **wrong}))
    assert array.cost == Cost()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"set_volts": (), "reset_volts": ()}, "both empty"),
        ({"shortest": 1e-3, "longest": 1e-6}, "below shortest"),
        ({"set_from": {"low": 2e-6, "high": 1e-6}}, "must be above its low"),
        ({"factor": 1.0}, "greater than 1"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(wrong: dict, words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        KineticsPlan(**wrong)


def test_the_forecast_is_no_less_than_what_is_given() -> None:
    plan, array = KineticsPlan(**PLAN), formed()
    forecast = plan.forecast(array.spec)
    switching_kinetics(array, plan)
    assert array.cost.pulses <= forecast.pulses
    assert forecast.volts_max == pytest.approx(1.9)


@pytest.mark.parametrize("after", [np.nan, 1e-5, 3e-5, 1e-7])
def test_the_map_draws_whatever_was_measured(after: float, warned: Callable[[], list[str]]) -> None:
    for sizes in ((1, 3, 3, 4), (2, 1, 1, 1)):
        before = np.full(sizes, 1e-5) if np.isfinite(after) else np.full(sizes, np.nan)
        volts, width = np.arange(1, sizes[1] + 1) / 2.0, np.geomspace(1e-7, 1e-5, sizes[2])
        grids = tuple(KineticsGrid(sign, volts, width, before, np.full(sizes, after)) for sign in (1, -1))
        assert png_bytes(voltage_time_map(grids, 2.0), 40)
    assert warned() == []
