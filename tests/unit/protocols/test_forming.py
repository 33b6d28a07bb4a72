"""Forming on arrays without physics: all at once, and cell by cell where formed neighbours take the current."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from support.fake_array import LOW, FakeArray, GatelessArray
from xbarlab.analysis.measurements.forming_stats import forming_voltage
from xbarlab.analysis.plots.plots import png_bytes
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.capabilities import Cost
from xbarlab.protocols.forming.forming import FormingPlan, form
from xbarlab.protocols.keeping.run import Run

RAMP = FormingPlan(
    method="ramp", start_volts=1.0, stop_volts=2.6, step_volts=0.05, compliance=100e-6, formed_above=3e-6
)


@pytest.mark.parametrize("plan", [RAMP, RAMP.model_copy(update={"method": "pulses", "one_by_one": True})])
def test_cell_by_cell_every_cell_forms_at_its_own_voltage_and_is_left_off(plan: FormingPlan) -> None:
    array = GatelessArray(spread=0.1)
    result = form(array, plan)
    assert result.works.all()
    late = result.v_form - array.form_volts
    assert ((late >= -1e-9) & (late < plan.step_volts)).all()
    np.testing.assert_array_equal(array.g, LOW)
    metrics = result.metrics()
    assert metrics["formed_fraction"] == 1.0
    assert metrics["v_form_mean"] == pytest.approx(2.0, abs=0.06)
    assert metrics["disturbed_cells"] == 0
    assert metrics["v_form_mean_ci95_low"] < metrics["v_form_mean"] < metrics["v_form_mean_ci95_high"]


def test_without_the_reset_formed_neighbours_take_the_current_and_nothing_else_forms() -> None:
    result = form(GatelessArray(), RAMP.model_copy(update={"reset_after": False}))
    # The first cell clamps its row and its column; only cells that share neither can still form.
    assert 0 < result.works.sum() <= 6


def test_cells_formed_before_are_found_proved_and_switched_off_first() -> None:
    array = GatelessArray()
    array.g[3, 2], array.g[5, 5] = 100e-6, 2.5e-6  # one on, one off
    result = form(array, RAMP)
    assert result.works.all()
    assert result.outcome[3, 2] == result.outcome[5, 5] == "already formed"
    assert (result.outcome == "formed").sum() == 46
    np.testing.assert_array_equal(array.g, LOW)


def test_a_cell_that_never_forms_and_a_short_are_told_apart_and_known_bad_cells_left_alone() -> None:
    array = GatelessArray()
    array.spec = replace(array.spec, bad_cells=((0, 0),))
    array.form_volts[2, 2] = 9.0
    array.g[4, 4] = 5e-3
    result = form(array, RAMP.model_copy(update={"short_above": 1e-3, "reset_after": True}))
    assert result.outcome[0, 0] == "skipped"
    assert result.outcome[2, 2] == "unformed"
    assert result.outcome[4, 4] == "shorted"
    assert np.isnan(result.v_form[2, 2])


def test_a_neighbour_that_switches_by_accident_is_counted() -> None:
    array = GatelessArray()
    plain = array.pulse

    def leaky(pulses):
        delivered = plain(pulses)
        if (pulses.block.row0, pulses.block.col0) == (1, 1):
            array.g[1, 4] = 90e-6
        return delivered

    array.pulse = leaky
    result = form(array, RAMP.model_copy(update={"cells": "0:2,0:6"}))
    assert result.metrics()["disturbed_cells"] == 1
    assert result.frame.query("disturbed")[["row", "col"]].to_numpy().tolist() == [[1, 4]]


def test_the_report_shows_ramps_and_the_dataset_holds_them(tmp_path) -> None:
    run = Run(tmp_path / "out", quiet=True)
    array = GatelessArray(spread=0.1)
    result = form(array, RAMP.model_copy(update={"cells": "0:2,0:2"}), run)
    section = result.section()
    assert "cell by" not in section.title
    assert "limits the current to 100 µA" in section.text
    assert [png_bytes(figure, 40)[:4] for _, figure in section.figures] == [b"\x89PNG"] * 3
    from qcodes.dataset import connect, load_by_id

    frame = load_by_id(1, connect(run.database)).to_pandas_dataframe().reset_index()
    assert {"row", "col", "volts", "current", "conductance"} <= set(frame)
    assert frame.groupby(["row", "col"]).size().min() > 15


def test_a_ramp_on_an_array_with_gates_sends_them() -> None:
    array = FakeArray()
    result = form(array, FormingPlan(cells="0:2,0:2", method="ramp", start_volts=1.5, stop_volts=2.5))
    assert result.works.all()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"scheme": "V/3"}, "third source"),
        ({"compliance": 1.0}, "current_max"),
        ({"segment_points": 10**6}, "points in one sweep"),
        ({"stop_volts": 9.0}, "above the limit"),
        ({"cells": "0:9,0:4"}, "outside the array"),
    ],
)
def test_a_plan_this_array_cannot_follow_is_refused_before_anything_acts(wrong: dict, words: str) -> None:
    array = GatelessArray()
    with pytest.raises(RefusedError, match=words):
        form(array, FormingPlan(**{**RAMP.model_dump(), **wrong}))
    assert array.cost == Cost()


def test_borders_must_rise() -> None:
    with pytest.raises(RefusedError, match="must rise"):
        FormingPlan(virgin_below=30e-6)


def test_the_forecast_of_a_ramp_counts_selection_reads_and_dwell() -> None:
    spec = GatelessArray().spec
    alone = RAMP.model_copy(update={"cells": "0,0", "check_neighbours": False}).forecast(spec)
    assert alone.seconds > 33 * RAMP.dwell
    assert RAMP.forecast(spec).seconds > 48 * (alone.seconds - 0.5)
    assert RAMP.forecast(spec).volts_max == 2.7, "the last SET attempt is 2.5 V + 2 × 0.1 V"


def test_the_forming_voltage_is_that_of_the_jump_and_not_of_the_curvature() -> None:
    volts = np.arange(1.5, 2.6, 0.05)
    virgin = 0.45e-6 * 0.314 * np.sinh(3 * volts)
    current = np.where(volts < 2.38, virgin, 300e-6)
    assert (virgin / volts)[volts < 2.38].max() > 20e-6
    assert forming_voltage(volts, current, current >= 300e-6, 20e-6) == pytest.approx(2.4)
    # In one segment after another: the jump may lie between the two.
    assert forming_voltage(volts[16:20], current[16:20], current[16:20] >= 3e-4, 20e-6, first=2) == pytest.approx(2.4)
    # No jump at all: the first point that reads formed; nothing at all: the last point.
    assert forming_voltage(volts, 30e-6 * volts, np.zeros(volts.size, bool), 20e-6) == pytest.approx(1.5)
    assert forming_voltage(volts, 1e-6 * volts, np.zeros(volts.size, bool), 20e-6) == pytest.approx(volts[-1])


def test_the_staircase_ends_at_its_stop_and_not_a_rounding_error_above() -> None:
    # 1.5 V + 56 · 0.05 V is 4.300000000000001 V, beyond the limit of a chip that bears 4.3 V.
    assert FormingPlan(start_volts=1.5, stop_volts=4.3, step_volts=0.05).staircase.max() == 4.3
