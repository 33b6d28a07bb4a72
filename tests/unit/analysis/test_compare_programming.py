"""Ways of programming side by side, on attempts made up by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from xbarlab.analysis.programming.compare_programming import (
    PARTS,
    Attempt,
    best_of_each,
    comparison_figure,
    comparison_metrics,
    comparison_words,
    error_figures,
    fewest_at_equal_success,
    fewest_with_success,
    pulse_energy,
    reasons_table,
    saved_pulses,
    scan_table,
    side_by_side,
    split_of_pulses,
    split_table,
    success_told_apart,
)

US = 1e-6


def test_pulses_are_split_by_what_they_were_for() -> None:
    # Cells: begins above and climbs; turns twice; reopened; never pulsed; gets all its pulses in one direction.
    volts = np.array(
        [
            [0, 0, 0, 0, 0],
            [-1, -1, 0, 0, 0],
            [+1, +1, +1, 0, -1],
            [0, -1, +1, 0, -2],
            [+1, +1, 0, 0, -2],
            [0, 0, 0, 0, 0],
            [0, 0, -1, 0, 0],
            [0, 0, +1, 0, 0],
        ]
    )  # fmt: skip
    rounds = [0, 0, 0, 0, 0, 0, 1, 1]
    split = dict(zip(PARTS, split_of_pulses(volts, rounds).tolist(), strict=True))
    assert split == {
        "initialisation": [1, 1, 0, 0, 0],
        "approach": [0, 2, 0, 0, 0],
        "last approach": [2, 1, 2, 0, 3],
        "re-opened": [0, 0, 2, 0, 0],
    }


def test_the_split_loses_no_pulse() -> None:
    rng = np.random.default_rng(0)
    volts = rng.integers(-1, 2, (40, 50)).astype(float)
    volts[0] = 0.0
    rounds = np.sort(rng.integers(0, 3, 40))
    np.testing.assert_array_equal(split_of_pulses(volts, rounds).sum(axis=0), (volts != 0).sum(axis=0))
    assert split_of_pulses(np.zeros((1, 3)), [0]).tolist() == [[0, 0, 0]] * 4


def test_energy_is_of_the_conductance_around_each_pulse() -> None:
    volts = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 0.0], [-1.0, 0.0]])
    g = np.array([[10, 10], [30, 50], [40, 10], [20, 10]]) * US
    energy = pulse_energy(volts, g, 1e-6)
    np.testing.assert_allclose(energy, [(4 * 20 * US + 30 * US) * 1e-6, 0.0])


def attempt(way: str, pulses: list[int], accepted: list[bool], *, bits: int = 2, setting: str = "a") -> Attempt:
    n = len(pulses)
    split = np.zeros((4, n), np.int64)
    split[2] = pulses
    target = np.full(n, 50 * US)
    ends = np.array(accepted)
    return Attempt(
        bits=bits, way=way, setting=setting, target=target, start=np.full(n, 100 * US),
        final=np.where(ends, target, 90 * US), low=target - 20 * US, high=target + 20 * US,
        closed=np.arange(n) > 0, split=split, sets=split[2] // 2, reversals=np.ones(n, np.int64),
        energy=split[2] * 1e-10, accepted=ends,
        reasons=tuple("accepted" if one else "too many reversals" for one in accepted),
    )  # fmt: skip


def test_the_fewest_pulses_count_only_among_the_equally_successful() -> None:
    assert fewest_at_equal_success([9.0, 5.0, 7.0], [0.90, 0.50, 0.89]) == 2
    assert fewest_at_equal_success([9.0, 5.0, 7.0], [np.nan] * 3) == 1
    ours = attempt("read_verify", [4] * 10, [True] * 9 + [False])
    weak = attempt("ispp", [3] * 10, [True] * 5 + [False] * 5, setting="weak")
    good = attempt("ispp", [6] * 10, [True] * 10, setting="good")
    slow = attempt("ispp", [9] * 10, [True] * 10, setting="slow")
    best = best_of_each([slow, weak, ours, good])
    assert [one.setting for one in best] == ["a", "good"]
    assert fewest_with_success([weak, good, slow], 0.4) is weak
    assert fewest_with_success([weak], 0.9) is None


def test_metrics_of_every_way_have_their_interval() -> None:
    best = [attempt("read_verify", [2, 4, 6], [True] * 3), attempt("gate_staircase", [5, 6, 7], [True] * 2 + [False])]
    found = comparison_metrics(best)
    assert found["pulses_per_cell_2bit"] == 4.0
    half = 4.302652729911275 * 2.0 / np.sqrt(3)  # Student's t, two degrees of freedom
    assert found["pulses_per_cell_2bit_ci95_low"] == pytest.approx(4.0 - half)
    assert found["gate_staircase_success_2bit"] == pytest.approx(2 / 3)
    assert found["energy_per_cell_2bit"] == pytest.approx(4e-10)
    assert len(found) == 18
    assert not any(name.startswith("ispp") for name in found)


def test_cells_are_compared_with_themselves() -> None:
    pulses = np.arange(40)
    ours = attempt("read_verify", pulses.tolist(), [True] * 40)
    other = attempt("ispp", (pulses + 1 + pulses % 2).tolist(), [True] * 40)
    saved = saved_pulses(ours, other)
    assert saved.value == pytest.approx(1.5)
    assert saved.high - saved.low < 0.4, "the spread of the cells drops out"


@pytest.mark.parametrize(("lost", "apart"), [(0, False), (5, False), (6, True)])
def test_success_is_told_apart_by_cells_that_only_one_way_reached(lost: int, apart: bool) -> None:
    ours = attempt("read_verify", [4] * 40, [True] * 40)
    other = attempt("ispp", [4] * 40, [False] * lost + [True] * (40 - lost))
    assert success_told_apart(ours, other) is apart  # two-sided binomial: 2·0.5⁵ = 6 %, 2·0.5⁶ = 3 %


def test_the_words_say_so_when_ours_is_behind() -> None:
    ours = attempt("read_verify", [8] * 39 + [9], [True] * 30 + [False] * 10)
    theirs = attempt("ispp", [5] * 39 + [6], [True] * 40)
    assert "ISPP takes fewer (−3.00 pulses, −3.00 to −3.00) at another success, 100.00 %" in comparison_words(
        [ours, theirs]
    )
    swapped = [replace(ours, way="ispp"), replace(theirs, way="read_verify")]
    words = comparison_words(swapped)
    assert "ISPP takes more (+3.00" in words
    assert "none of its staircases succeeds as often as read–verify" in words
    alike = comparison_words([theirs, replace(theirs, way="read_verify")])
    assert "not clearly more or fewer" in alike
    assert "no clearly other success" in alike


def test_tables_and_figures_of_all_ways() -> None:
    attempts = [
        attempt(way, [k + 1, k + 2, k + 3], [True, True, k > 0], bits=bits)
        for bits in (2, 3)
        for k, way in enumerate(("read_verify", "ispp", "gate_staircase"))
    ]
    best = best_of_each(attempts)
    assert side_by_side(best)["pulses per cell"].tolist() == [2.0, 3.0, 4.0] * 2
    assert split_table(best)["last approach"].tolist() == [2.0, 3.0, 4.0] * 2
    reasons = reasons_table(best).set_index("cells ended")
    assert reasons.loc["too many reversals", "2 bits, read–verify"] == 1
    assert reasons.loc["accepted"].sum() == 16
    assert scan_table(attempts, best)["chosen"].tolist() == ["best"] * 4
    figure = comparison_figure(best)
    assert [ax.get_title(loc="left") for ax in figure.axes[::2]] == ["2 bits", "3 bits"]
    curve = figure.axes[0].lines[0]
    assert np.asarray(curve.get_ydata())[-1] == pytest.approx(200 / 3)
    heights = sum(bar.get_height() for bar in figure.axes[1].patches if isinstance(bar, Rectangle))
    assert heights == pytest.approx(2.0 + 3.0 + 4.0)
    errors = error_figures(best, lambda bits: 40 * US)
    assert len(errors) == 2
    legend = errors[0][1].axes[0].get_legend()
    assert legend is not None
    assert "(n = 2)" in legend.get_texts()[0].get_text(), "the window of the third is open"


def test_a_figure_without_any_success_says_so() -> None:
    figure = comparison_figure([attempt("read_verify", [3, 3], [False, False])])
    assert "no cell reached its window" in [text.get_text() for text in figure.axes[0].texts]
