"""Intervals of the next value hold it as often as they claim, and chance is counted as it is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from xbarlab.analysis.estimates.predictions import outside_by_chance, predict
from xbarlab.analysis.measurements.rehearsals import Compared, Predicted, comparison_figure, predictions_figure


@pytest.mark.parametrize("draws", [5, 19, 30])
def test_the_next_value_is_within_as_often_as_is_claimed(draws: int) -> None:
    x = np.random.default_rng(draws).lognormal(size=(4000, draws + 1))
    predictions = [predict(row[:-1]) for row in x]
    held = np.mean([one.holds(value) for one, value in zip(predictions, x[:, -1], strict=True)])
    assert predictions[0].level == pytest.approx(min(0.9, (draws - 1) / (draws + 1)))
    assert held == pytest.approx(predictions[0].level, abs=0.02)


def test_draws_without_a_value_are_left_out_and_none_is_no_prediction() -> None:
    one = predict([1.0, math.nan, 3.0, math.inf])
    assert (one.n, one.median, one.low, one.high) == (2, 2.0, 1.0, 3.0)
    nothing = predict([math.nan])
    assert (nothing.n, nothing.level) == (0, 0.0)
    assert not nothing.holds(1.0)


def test_differences_are_in_standard_deviations() -> None:
    one = predict(np.random.default_rng(0).normal(5.0, 2.0, 2000))
    assert one.sd == pytest.approx(2.0, rel=0.05)
    assert one.differs_by(9.0) == pytest.approx(2.0, abs=0.15)
    same = predict([4.0, 4.0, 4.0])
    assert (same.differs_by(4.0), same.differs_by(5.0), same.differs_by(3.0)) == (0.0, math.inf, -math.inf)
    assert same.holds(4.0)
    assert not same.holds(4.1)


def test_chance_puts_one_in_ten_outside_and_none_of_what_is_always_the_same() -> None:
    x = np.random.default_rng(1).normal(size=(60, 20))
    x[:, 19] = 1.0
    outside = outside_by_chance(x)
    assert outside[:, :19].mean() == pytest.approx(0.1, abs=0.03)
    assert not outside[:, 19].any()
    x[:, 0] = math.nan
    assert not outside_by_chance(x)[:, 0].any()


def test_figures_show_what_is_outside_and_stand_without_anything() -> None:
    values = np.linspace(1e-6, 2e-6, 30)
    measured = {"g_read_median": 1.5e-6, "programming_sigma": 3e-6, "v_set_mean": math.nan}
    quantities = [
        Compared(key=key, values=values, prediction=predict(values), measured=value) for key, value in measured.items()
    ]
    figure = comparison_figure(quantities, title="Beside")
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["g_read_median", "programming_sigma"]
    colours = {text.get_text().split()[0]: text.get_color() for text in axes.texts}
    assert colours["1.500"] != colours["3.000"]
    assert comparison_figure([], title="").axes[0].texts[0].get_text().startswith("nothing")
    constant = Predicted(key="overflow_cells", values=np.zeros(30), prediction=predict(np.zeros(30)))
    panels = predictions_figure([quantities[0], constant], title="Ahead").axes
    assert [panel.get_title(loc="left") for panel in panels] == ["g_read_median [µS]"]
