"""One pulse from places all over a range: what is measured, that the account keeps it, and which rules are refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from support.fake_array import FakeArray, GatelessArray
from xbarlab.analysis.plots.plots import png_bytes
from xbarlab.common import plugins
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import Cost
from xbarlab.instruments.chip.chip_facts import facts_of
from xbarlab.instruments.chip.wear_ledger import WearLedger
from xbarlab.instruments.chip.wear_store import WearStore
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.keeping.untouched import UntouchedArray
from xbarlab.protocols.measure.pulse_answer import PulseAnswerPlan, known_answer, pulse_answer

LOW, HIGH = 20e-6, 120e-6
SPAN = HIGH - LOW


class Graded(FakeArray):
    """Every pulse of 1.2 V moves a cell by a share of the range, any other by 3 µS; with an account of its chip."""

    def __init__(self, up: float = 0.02, down: float = 0.05, wear: WearLedger | None = None) -> None:
        super().__init__()
        self.up, self.down = up, down
        self.g[:] = 50e-6
        self.wear = wear if wear is not None else WearLedger("fake", (8, 6))

    def _switch(self, block, volts) -> None:
        g = self.g[block.slices]
        volts = np.broadcast_to(volts, g.shape)
        asked = np.isclose(np.abs(volts), 1.2)
        by = np.where(asked, np.where(volts > 0, self.up, -self.down) * SPAN, 3e-6 * np.sign(volts))
        g[:] = np.clip(g + np.where(volts == 0, 0.0, by), 1e-6, 300e-6)


class GradedGateless(GatelessArray):
    """The same without gates, and without an account."""

    _switch = Graded._switch
    up, down = 0.02, 0.05

    def __init__(self) -> None:
        super().__init__()
        self.g[:] = 50e-6


PLAN: dict[str, Any] = {
    "cells": "0:2,0:4", "set_volts": 1.2, "set_gate": 1.2, "reset_volts": 1.2, "reset_gate": 5.0, "width": 500e-9,
    "within": {"low": LOW, "high": HIGH, "set_volts": 0.5, "reset_volts": 0.5, "volts_step": 0.0, "attempts": 60},
}  # fmt: skip


def plan_of(**more: Any) -> PulseAnswerPlan:
    return PulseAnswerPlan(**{**PLAN, **more})


@pytest.mark.parametrize("kind", [Graded, GradedGateless])
def test_the_steps_are_those_of_the_cells(kind: type[FakeArray], tmp_path: Path) -> None:
    result = pulse_answer(kind(), plan_of(), Run(tmp_path / "out", quiet=True))
    m = result.metrics()
    assert m["answer_up_median"] == pytest.approx(0.02)
    assert m["answer_down_median"] == pytest.approx(0.05)
    assert m["answer_asymmetry"] == pytest.approx(3 / 7)
    assert m["answer_noise"] == m["answer_up_wrong_fraction"] == m["answer_missed_fraction"] == 0.0
    assert m["answer_cells"] == 8
    assert m.keys() == plan_of().measures()
    places = np.histogram(result.answer.first, bins=np.linspace(LOW, HIGH, 5))[0]
    assert places.tolist() == [2 * 2 * 8] * 4
    assert len(result.frame) == 2 * 2 * 4 * 8
    assert result.kept == (kind is Graded)
    assert ("gate" in result.section().text) == (kind is Graded)
    assert png_bytes(result.plot(), 40)
    assert "SET +2.00% of the range, RESET -5.00%" in repr(result)


def test_the_account_keeps_it_under_the_pulses_and_knows_the_chip_again(tmp_path: Path) -> None:
    def account(birth: str = "one") -> WearLedger:
        return WearLedger("chip", (8, 6), store=WearStore(tmp_path / "wear.sqlite"), birth=birth)

    with account() as wear:
        array = Graded(wear=wear)
        assert known_answer(array, plan_of().pulses(array.spec)) is None
        result = pulse_answer(array, plan_of())
        assert "will be measured again" in plan_of().known(array)
    with account() as wear:
        array = Graded(wear=wear)
        found = known_answer(array, plan_of().pulses(array.spec))
        assert found is not None
        assert repr(found[0]) == repr(result.summary)
        assert len(found[1].date) == len("2026-01-01 00:00:00")
        assert known_answer(array, plan_of(width=200e-9).pulses(array.spec)) is None
        assert array.cost == Cost()
    with account(birth="another") as wear:
        assert known_answer(Graded(wear=wear), plan_of().pulses(array.spec)) is None
    with WearLedger("other", (8, 6), store=WearStore(tmp_path / "wear.sqlite")) as wear:
        assert known_answer(Graded(wear=wear), plan_of().pulses(array.spec)) is None


def test_a_step_that_is_done_gives_its_answer_no_later_date(tmp_path: Path) -> None:
    array = Graded()
    run = Run(tmp_path / "out", quiet=True)
    with run.step("ask", array):
        first = pulse_answer(array, plan_of(), run)
    key = plan_of().pulses(array.spec).key
    array.wear.facts.keep_fact("pulse_answer", key, "newer")
    resumed = Run(tmp_path / "out", quiet=True, resumed=True)
    with resumed.step("ask", array):
        again = pulse_answer(cast("Any", UntouchedArray(array)), plan_of(), resumed)
    assert again.kept
    assert again.metrics() == first.metrics()
    found = array.wear.facts.fact("pulse_answer", key)
    assert found is not None
    assert found.content == "newer"


def test_two_joined_boards_keep_it_in_both_accounts() -> None:
    boards = Graded(), Graded()
    joined: Any = SimpleNamespace(boards=boards)
    facts = facts_of(joined)
    assert facts is not None
    facts.keep_fact("a", "b", "c")
    found = facts.fact("a", "b")
    assert found is not None
    assert found.content == "c"
    boards[1].wear.facts.keep_fact("a", "b", "another")
    assert facts.fact("a", "b") is None
    assert facts_of(cast("Any", SimpleNamespace(boards=(Graded(), GradedGateless())))) is None


def test_a_ledger_of_before_gets_its_table(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "wear.sqlite"
    WearStore(path).close()
    with sqlite3.connect(path) as old:
        old.execute("DROP TABLE facts")
    with WearLedger("chip", (8, 6), store=WearStore(path)) as wear:
        wear.facts.keep_fact("a", "b", "c")
    with WearLedger("chip", (8, 6), store=WearStore(path)) as wear:
        found = wear.facts.fact("a", "b")
        assert found is not None
        assert found.content == "c"


def test_a_new_answer_replaces_the_old_one() -> None:
    array = Graded()
    pulse_answer(array, plan_of())
    array.up = 0.04
    pulse_answer(array, plan_of())
    found = known_answer(array, plan_of().pulses(array.spec))
    assert found is not None
    assert found[0].up.value == pytest.approx(0.04)


def test_cells_that_are_not_in_the_range_are_left_out_and_told() -> None:
    array = Graded()

    class Stuck(Graded):
        def _switch(self, block, volts) -> None:
            super()._switch(block, volts)
            self.g[0, 0] = 300e-6

    array = Stuck()
    array.g[0, 0] = 300e-6
    result = pulse_answer(array, plan_of())
    assert result.metrics()["answer_missed_fraction"] == pytest.approx(1 / 8)
    assert result.metrics()["answer_cells"] == 7
    run = Run(None)
    run.chip.note_yield(array.spec, Block(0, 2, 0, 4), np.zeros((2, 4), bool), np.zeros((2, 4), bool))
    with pytest.raises(RefusedError, match="known to be bad"):
        pulse_answer(array, plan_of(), run)


def test_pulses_come_from_the_rule_unless_they_are_given() -> None:
    spec = Graded().spec
    pulses = PulseAnswerPlan(rule="manhattan", width=200e-9).pulses(spec)
    assert (pulses.set_volts, pulses.set_gate, pulses.reset_volts, pulses.reset_gate) == (1.2, 1.2, 1.2, 5.0)
    assert pulses.width == 200e-9
    assert PulseAnswerPlan(rule="two_pulse").pulses(spec).set_volts == 2.5
    assert PulseAnswerPlan(rule="manhattan").pulses(GradedGateless().spec).set_gate == 0.0


def test_a_rule_that_leaves_its_pulses_to_the_array_must_be_given_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "load", lambda group, name: object)
    with pytest.raises(RefusedError, match="rule 'manhattan' leaves its pulses to the array: give set_volts"):
        plan_of(set_volts=None).check(Graded().spec)


@pytest.mark.parametrize(("up", "down"), [(0.02, 0.05), (1.6, 1.3)])
def test_a_range_is_laid_around_the_cells_and_what_one_pulse_does(up: float, down: float) -> None:
    """Cells stand at 50 µS: small steps leave the range at its least width, large ones make it as wide as they are."""
    array = Graded(up, down)
    plan = plan_of(span=40e-6)
    result = pulse_answer(array, plan)
    assert array.cost.pulses <= plan.forecast(array.spec).pulses
    low, high = result.summary.low, result.summary.high
    seen = [50e-6, max(1e-6, 50e-6 - down * SPAN)]
    seen.append(seen[1] + up * SPAN)
    assert low <= max(0.0, min(seen))
    assert high >= max(seen)
    small = up < 0.1
    assert high - low == pytest.approx(40e-6 if small else 1.1 * (max(seen) - min(seen)), rel=0.02)
    if small:
        assert result.summary.missed == 0.0
    known, _ = known_answer(array, plan.pulses(array.spec)) or (None, None)
    assert known is not None
    assert (known.low, known.high) == (low, high)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"set_volts": 9.0}, "set_volts_max"),
        ({"reset_volts": 9.0}, "reset_volts_max"),
        ({"width": 10.0}, "width"),
        ({"cells": "9,0"}, "outside the array"),
        ({"average": 10**6}, "average"),
        ({"within": {**PLAN["within"], "set_volts": 9.0}}, "pulse_answer.within.set"),
    ],
)
def test_a_plan_beyond_the_array_is_refused_before_anything_acts(wrong: dict, words: str) -> None:
    array = Graded()
    with pytest.raises(RefusedError, match=words):
        pulse_answer(array, plan_of(**wrong))
    assert array.cost == Cost()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"rule": "manhatan"}, "manhattan"),
        ({"within": {"low": 2e-5, "high": 1e-5}}, "must be above its low"),
        ({"starts": 0}, "greater than or equal to 1"),
        ({"width": "200V"}, "is not in s"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(wrong: dict, words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        plan_of(**wrong)


def test_the_forecast_is_no_less_than_what_is_given() -> None:
    array = Graded()
    forecast = plan_of().forecast(array.spec)
    pulse_answer(array, plan_of())
    assert 0 < array.cost.pulses <= forecast.pulses
    assert forecast.volts_max == 1.2
