"""Answers to one pulse of cells whose steps are known, the numbers made of them, and who can learn with them."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from xbarlab.analysis.estimates.estimates import Estimate
from xbarlab.analysis.measurements.pulse_answer import (
    AnswerSummary,
    PulseAnswer,
    PulsePair,
    StepNeeds,
    answer_figure,
    answer_metrics,
    answer_table,
    judge,
    summarise,
    what_is_needed,
    what_it_gives,
)
from xbarlab.analysis.plots.plots import png_bytes

PAIR = PulsePair(1.2, 1.2, 1.2, 5.0, 500e-9)
LOW, HIGH = 20e-6, 120e-6
SPAN = HIGH - LOW
NEEDS = StepNeeds(least=5e-4, most=1 / 8, span=100e-6)


def answer_of(
    up: float, down: float, *, noise: float = 0.0, cells: int = 40, spread: float = 0.0, c2c: float = 0.0, seed: int = 1
) -> PulseAnswer:
    """Return reads of cells that move by ``up`` and ``−down`` of the range, each read with ``noise`` of it."""
    rng = np.random.default_rng(seed)
    shape = (2, 3, 4, cells)
    start = LOW + SPAN * (np.arange(4)[:, None] + 0.5) / 4 + np.zeros(shape)
    of_cell = 1.0 + spread * rng.standard_normal(cells)
    step = np.array([up, -down])[:, None, None, None] * of_cell + c2c * rng.standard_normal(shape)
    first, before, after = (SPAN * noise * rng.standard_normal(shape) for _ in range(3))
    return PulseAnswer(LOW, HIGH, start + first, start + before, start + SPAN * step + after)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_the_numbers_are_those_of_the_truth(seed: int, noise: float) -> None:
    summary = summarise(answer_of(0.02, 0.05, noise=noise, spread=0.1, seed=seed), PAIR)
    assert summary.up.value == pytest.approx(0.02, abs=0.002)
    assert summary.down.value == pytest.approx(0.05, abs=0.004)
    assert summary.asymmetry.value == pytest.approx(0.03 / 0.07, abs=0.06)
    assert summary.asymmetry.low <= summary.asymmetry.value <= summary.asymmetry.high
    assert summary.noise.value == pytest.approx(np.sqrt(2) * noise, rel=0.08)
    assert summary.steps.value == pytest.approx(20, rel=0.1)
    assert summary.cells == 40
    assert summary.samples == 2 * 3 * 4 * 40
    assert summary.missed == 0.0


def test_intervals_of_the_median_step_hold_the_truth_as_often_as_they_say() -> None:
    held = 0
    for seed in range(200):
        up = summarise(answer_of(0.003, 0.05, noise=0.02, cells=24, seed=seed), PAIR).up
        held += up.low <= 0.003 <= up.high
    assert 0.90 <= held / 200 <= 0.995


def test_steps_of_the_wrong_sign_are_counted_beyond_the_noise_only() -> None:
    still = summarise(answer_of(0.0, 0.0, noise=0.01), PAIR)
    assert still.up_wrong.value == pytest.approx(0.023, abs=0.02)  # a normal law beyond two sigma
    assert abs(still.up.value) < 0.003
    backwards = answer_of(0.1, 0.1, noise=0.001)
    after = backwards.after.copy()
    after[0, :, :, :10] = backwards.before[0, :, :, :10] - 0.1 * SPAN
    turned = summarise(PulseAnswer(LOW, HIGH, backwards.first, backwards.before, after), PAIR)
    assert turned.up_wrong.value == pytest.approx(0.25)
    assert turned.down_wrong.value == 0.0


def test_what_is_missing_is_left_out_and_told() -> None:
    answer = answer_of(0.02, 0.02)
    first = answer.first.copy()
    first[:, :, 1:, :20] = np.nan
    before, after = (np.where(np.isnan(first), np.nan, one) for one in (answer.before, answer.after))
    summary = summarise(PulseAnswer(LOW, HIGH, first, before, after), PAIR)
    assert summary.missed == pytest.approx(0.375)
    assert summary.up.value == pytest.approx(0.02)
    nothing = np.full_like(first, np.nan)
    empty = summarise(PulseAnswer(LOW, HIGH, nothing, nothing, nothing), PAIR)
    assert empty.cells == 0
    assert np.isnan(empty.up.value)
    assert "nothing is known of the SET step" in judge(empty, NEEDS).unsure[0]


@pytest.mark.parametrize(
    ("up", "down", "fails"),
    [
        (0.02, 0.03, []),
        (0.0, 0.8, ["the SET step is too small", "the RESET step is too large"]),
        (0.5, 0.03, ["the SET step is too large"]),
        (0.02, 0.0001, ["the RESET step is too small"]),
        (-0.05, 0.03, ["the SET step is too small"]),
    ],
)
def test_the_decision(up: float, down: float, fails: list[str]) -> None:
    summary = summarise(answer_of(up, down, noise=1e-5), PAIR)
    verdict = judge(summary, NEEDS)
    assert list(verdict.failing) == fails
    assert verdict.works == (not fails)


def test_nothing_measured_refuses_nobody_and_is_said_without_a_number() -> None:
    nothing = np.full((2, 1, 1, 4), np.nan)
    summary = summarise(PulseAnswer(20e-6, 120e-6, nothing, nothing, nothing), PAIR)
    verdict = judge(summary, NEEDS)
    assert verdict.works
    assert len(verdict.unsure) == 2
    assert all("nothing is known of the" in one for one in verdict.unsure)
    said = what_it_gives(summary)
    assert "nan" not in said
    assert said.count("was given to no cell, as none was in the range") == 2
    assert "0 cells" in said


def test_what_the_reads_cannot_tell_refuses_nobody() -> None:
    summary = summarise(answer_of(0.0004, 0.03, noise=0.02), PAIR)
    verdict = judge(summary, NEEDS)
    assert verdict.works
    assert "the SET step may be too small" in verdict.unsure


def test_steps_that_scatter_past_zero_are_a_doubt_and_no_refusal() -> None:
    """With enough pulses the mean step counts: a device of the literature scatters by four steps and learns."""
    answer = answer_of(0.02, 0.02, noise=1e-4)
    scatter = np.random.default_rng(0).normal(0.0, 0.06 * SPAN, answer.after.shape)
    scattered = PulseAnswer(LOW, HIGH, answer.first, answer.before, answer.after + scatter)
    verdict = judge(summarise(scattered, PAIR), NEEDS)
    assert verdict.works
    assert any("wrong sign" in doubt for doubt in verdict.unsure)


def test_without_an_interval_the_value_decides() -> None:
    summary = summarise(answer_of(0.5, 0.5, cells=3), PAIR)
    assert np.isnan(summary.up.low)
    assert judge(summary, NEEDS).failing == ("the SET step is too large", "the RESET step is too large")


def test_what_is_kept_comes_back_as_it_was() -> None:
    summary = summarise(answer_of(0.02, 0.05, noise=0.01, cells=4), PAIR)
    again = AnswerSummary.of_plain(json.loads(json.dumps(summary.plain())))
    assert repr(again) == repr(summary)
    assert isinstance(again.up, Estimate)
    assert answer_metrics(again).keys() == answer_metrics(summary).keys()


def test_a_pulse_has_one_key_and_another_pulse_another() -> None:
    assert PulsePair(1.2, 1.2, 1.2, 5.0, 5e-7).key == PAIR.key
    others = [PulsePair(1.3, 1.2, 1.2, 5.0, 5e-7), PulsePair(1.2, 1.2, 1.2, 5.0, 2e-7), PulsePair(1.2, 0, 1.2, 0, 5e-7)]
    assert len({PAIR.key, *(one.key for one in others)}) == 4


def test_the_words() -> None:
    summary = summarise(answer_of(0.0, 0.8, noise=1e-4), PAIR)
    said = what_it_gives(summary)
    assert "one SET of 1.2 V at gate 1.2 V moves the median cell by" in said
    assert "one RESET of 1.2 V at gate 5 V moves the median cell by −80 µS" in said
    assert "pulses of 500 ns, 40 cells" in said
    assert "0.014 µS (1 σ) without a pulse" in said
    assert "move a cell by 0.05 to 12.5 µS in a range of 20 to 120 µS" in what_is_needed(summary, NEEDS)
    assert "5 or more µS" in what_is_needed(summary, StepNeeds(0.05, np.inf, 100e-6))
    assert "gate" not in PulsePair(1.2, 0, 1.2, 0, 5e-7).said(0)


def test_figure_and_table_show_whatever_was_measured(warned: Callable[[], list[str]]) -> None:
    nothing = np.full((2, 1, 1, 2), np.nan)
    for answer in (
        answer_of(0.0, 0.9, noise=1e-3),
        answer_of(0.02, 0.03, cells=1),
        PulseAnswer(LOW, HIGH, *[nothing] * 3),
    ):
        assert png_bytes(answer_figure(answer, summarise(answer, PAIR)), 40)
        answer_table(answer)
    table = answer_table(answer_of(0.02, 0.03, noise=0.001))
    middles = table.groupby("pulse")["median ΔG [µS]"].median()
    assert middles["SET"] == pytest.approx(2.0, abs=0.05)
    assert middles["RESET"] == pytest.approx(-3.0, abs=0.05)
    assert table["steps"].sum() == 2 * 3 * 4 * 40
    assert warned() == []
