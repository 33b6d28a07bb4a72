"""Loops of pulses on arrays that switch at a known voltage: what is given, where a cell turns back, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from support.fake_array import HIGH, LOW, RESET_VOLTS, SET_VOLTS, FakeArray, GatelessArray
from xbarlab.analysis.plots.plots import png_bytes
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import Cost
from xbarlab.instruments.errors import UnsupportedError
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.measure.pulsed_iv import PulsedIvPlan, pulsed_iv

# Steps of 0.1 V with the switching voltages in the middle of one.
PLAN = {"cells": "0:2,0:3", "smallest": 0.05, "points": 15, "positive": 1.45, "negative": -1.45, "cycles": 3}


def formed(kind: type[FakeArray] = FakeArray) -> FakeArray:
    array = kind()
    array.g[:] = LOW
    return array


class Noting(FakeArray):
    """Notes the amplitudes that reach cell (0, 0)."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[float] = []

    def _switch(self, block, volts) -> None:
        one = float(np.broadcast_to(volts, block.shape)[0, 0])
        if one and block.row0 == block.col0 == 0:
            self.given.append(one)
        super()._switch(block, volts)


@pytest.mark.parametrize("kind", [FakeArray, GatelessArray])
@pytest.mark.parametrize("measure", ["after", "during"])
def test_the_voltages_are_those_at_which_the_cells_switch(kind: type[FakeArray], measure: str, tmp_path: Path) -> None:
    plan = PulsedIvPlan(**PLAN, measure=measure, width=1e-3)
    result = pulsed_iv(formed(kind), plan, Run(tmp_path / "out", quiet=True))
    m = result.metrics()
    assert m["v_set_pulse_mean"] == pytest.approx(SET_VOLTS)
    assert m["v_reset_pulse_mean"] == pytest.approx(RESET_VOLTS)
    assert m["no_set_pulse_fraction"] == m["no_reset_pulse_fraction"] == m["forming_loops"] == 0.0
    assert m.keys() == plan.measures()
    frame = result.frame
    assert len(frame) == 6 * 3 * 4 * 15
    in_pulse = frame["current_A"].to_numpy()
    assert np.isfinite(in_pulse).all() if measure == "during" else np.isnan(in_pulse).all()
    if measure == "during":
        high = frame[(frame["leg"] == "+back") & np.isclose(frame["volts_V"], 0.55)]
        assert high["current_A"].to_numpy() == pytest.approx(0.55 * HIGH)
    section = result.section()
    assert len(section.figures) == (3 if measure == "during" else 2)
    assert "Loops without a SET: 0 of 18" in section.text
    for _, figure in section.figures:
        assert png_bytes(figure, 40)
    assert "V_SET 0.8 V" in repr(result)


@pytest.mark.parametrize("cutoff", [{"cutoff_above": 50e-6, "cutoff_below": 10e-6}, {"cutoff_current": 0.15 * HIGH}])
def test_a_cell_that_meets_the_cut_off_turns_back_from_there(cutoff: dict[str, float]) -> None:
    array = Noting()
    array.g[:] = LOW
    result = pulsed_iv(array, PulsedIvPlan(**{**PLAN, "cycles": 1}, **cutoff, prepare=False))
    up = [0.05 + 0.1 * k for k in range(9)]
    assert array.given[:18] == pytest.approx([*up, *reversed(up)])
    # A cut-off by current is met at once by a cell that is on: one pulse out, one back.
    down = up if "cutoff_below" in cutoff else up[:1]
    assert array.given[18:] == pytest.approx([-v for v in (*down, *reversed(down))])
    assert result.loops.halted == 12
    assert "legs that turned back early: 12" in result.section().text
    assert result.metrics()["v_set_pulse_mean"] == pytest.approx(0.8)
    assert len(result.frame) == 6 * (18 + 2 * len(down))


@pytest.mark.parametrize("legs", [("-out", "-back", "+out", "+back"), ("+out", "-out"), ("-back", "+back"), ("-out",)])
def test_legs_are_given_in_the_order_of_the_plan(legs: tuple[str, ...]) -> None:
    array = Noting()
    array.g[:] = HIGH
    plan = PulsedIvPlan(**{**PLAN, "cycles": 1, "smallest": 0.15}, legs=legs, prepare=False, spacing="log")
    result = pulsed_iv(array, plan)
    out = np.geomspace(0.15, 1.45, 15)
    parts = {"+out": out, "+back": out[::-1], "-out": -out, "-back": -out[::-1]}
    assert array.given == pytest.approx(np.concatenate([parts[leg] for leg in legs]).tolist())
    m = result.metrics()
    assert m.keys() == plan.measures()
    assert ("v_set_pulse_mean" in m) == ("+out" in legs)
    if "-out" in legs:
        assert m["v_reset_pulse_mean"] == pytest.approx(-0.8, rel=0.1)
    assert result.section().figures
    assert "out" not in "".join(legs) or "V_" in repr(result)


def test_no_switching_is_counted_and_gives_no_number() -> None:
    result = pulsed_iv(formed(), PulsedIvPlan(**{**PLAN, "positive": 0.65, "negative": -0.65}))
    m = result.metrics()
    assert m["no_set_pulse_fraction"] == 1.0
    assert np.isnan(m["v_set_pulse_mean"])
    assert "Loops without a SET: 18 of 18" in result.section().text


def test_a_virgin_cell_forms_in_the_loop_that_is_in_no_figure() -> None:
    plan = {**PLAN, "positive": 2.35, "points": 24}
    array = FakeArray()
    assert pulsed_iv(array, PulsedIvPlan(**plan)).metrics()["forming_loops"] == 0.0
    array = FakeArray()
    result = pulsed_iv(array, PulsedIvPlan(**plan, prepare=False))
    assert result.metrics()["forming_loops"] == 6.0
    assert result.metrics()["v_set_pulse_mean"] == pytest.approx(0.8)
    assert "Loops that formed a virgin cell, or came before: 6" in result.section().text


def test_bad_cells_are_left_alone() -> None:
    run, array = Run(None), formed()
    run.chip.note_yield(array.spec, Block(0, 2, 0, 3), np.arange(6).reshape(2, 3) > 0, np.zeros((2, 3), bool))
    assert (0, 0) not in pulsed_iv(array, PulsedIvPlan(**PLAN), run).cells
    assert array.g[0, 0] == LOW
    run.chip.note_yield(array.spec, Block(0, 2, 0, 3), np.zeros((2, 3), bool), np.zeros((2, 3), bool))
    with pytest.raises(RefusedError, match="known to be bad"):
        pulsed_iv(array, PulsedIvPlan(**PLAN), run)


@pytest.mark.parametrize("measure", ["after", "during"])
def test_the_forecast_is_no_less_than_what_is_given(measure: str) -> None:
    plan, array = PulsedIvPlan(**PLAN, measure=measure, width=1e-3), formed()
    forecast = plan.forecast(array.spec)
    pulsed_iv(array, plan)
    assert forecast.pulses == 6 * 4 * 4 * 15
    if measure == "after":
        assert array.cost.pulses == forecast.pulses
    assert forecast.volts_max == 1.45


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"positive": 9.0}, "set_volts_max"),
        ({"negative": -9.0}, "reset_volts_max"),
        ({"width": 100.0}, "width"),
        ({"cells": "9,0"}, "outside the array"),
        ({"scheme": "V/3"}, "V/3"),
        ({"average": 10**6}, "average"),
        ({"measure": "during", "width": 100.0}, "dwell"),
        ({"measure": "during", "compliance": 100.0}, "compliance"),
    ],
)
def test_a_plan_beyond_the_array_is_refused_before_anything_acts(wrong: dict, words: str) -> None:
    array = formed(GatelessArray)
    with pytest.raises(RefusedError, match=words):
        pulsed_iv(array, PulsedIvPlan(**{**PLAN, **wrong}))
    assert array.cost == Cost()


def test_a_current_nobody_can_measure_is_refused_with_what_does_without() -> None:
    array = formed()
    object.__setattr__(array.spec, "supports", frozenset())
    with pytest.raises(UnsupportedError, match="measure: after reads at the read voltage"):
        pulsed_iv(array, PulsedIvPlan(**PLAN, measure="during"))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"smallest": 1.6}, "must be below the smaller of both peaks"),
        ({"legs": ("+out", "+out")}, "given twice"),
        ({"legs": ()}, "at least 1"),
        ({"legs": ("up",)}, r"\+out"),
        ({"cutoff_current": 0.0}, "greater than 0"),
        ({"points": 1}, "greater than or equal to 2"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(wrong: dict, words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        PulsedIvPlan(**wrong)
