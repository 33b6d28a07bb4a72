"""Ramps that have the shape of a function's inverse: thresholds, conductances, errors of codes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import logit

from xbarlab.analysis.networks.ramp_adc import (
    Activation,
    accuracy_figure,
    activation,
    code_errors,
    middle,
    ramp_design,
    ramp_figure,
)
from xbarlab.common.errors import RefusedError

POINTS = [(-3.0, -1.0), (-1.5, -0.8), (-0.5, -0.15), (0.5, 0.15), (1.5, 0.8), (3.0, 1.0)]


@pytest.mark.parametrize("bits", [1, 3, 4, 5, 8])
def test_thresholds_of_the_sigmoid_are_logits_of_equal_parts(bits: int) -> None:
    wide = ramp_design(activation("sigmoid", (-30.0, 30.0)), bits)
    assert wide.thresholds == pytest.approx(logit(np.arange(1, 2**bits) / 2**bits), abs=1e-8)
    assert wide.levels == pytest.approx((np.arange(2**bits) + 0.5) / 2**bits)
    assert wide.slopes == pytest.approx(wide.levels * (1 - wide.levels), rel=2e-3)
    assert wide.steps == 2**bits - 2


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softsign", "points"])
@pytest.mark.parametrize("bits", [3, 4, 5])
def test_a_code_stands_for_the_output_within_half_an_lsb(name: str, bits: int) -> None:
    function = activation(name, None, POINTS if name == "points" else ())
    design = ramp_design(function, bits)
    x = np.linspace(function.low, function.high, 5001)
    off = design.levels[design.codes(x)] - function.of(x)
    assert np.abs(off).max() <= 0.5 * design.lsb * (1 + 1e-6)
    wanted = design.conductances(1e-6, 150e-6)
    assert wanted.max() == pytest.approx(150e-6)
    start = 14e-6 * design.thresholds[0]
    ramp = start + design.slope(150e-6, 14e-6) * np.concatenate(([0.0], np.cumsum(wanted)))
    assert ramp / 14e-6 == pytest.approx(design.thresholds)


def test_a_function_that_falls_has_codes_too() -> None:
    design = ramp_design(Activation("down", lambda x: -np.tanh(x), -3.0, 3.0), 4)
    assert (np.diff(design.thresholds) > 0).all()
    assert (np.diff(design.levels) < 0).all()
    errors = code_errors(design, design.thresholds[None] + 0.01)
    assert (errors.inl > 0).all()


def test_what_is_not_monotonic_is_refused_with_the_reason() -> None:
    with pytest.raises(RefusedError, match=r"'sine' is not monotonic: it rises at .* and falls at .*one interval"):
        Activation("sine", np.sin, -3.0, 3.0)
    with pytest.raises(RefusedError, match=r"points.*not monotonic"):
        activation("points", None, [(0, 0), (1, 1), (2, 0.5)])
    assert Activation("sine", np.sin, -1.5, 1.5).sign == 1.0


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: activation("relu"), "unknown function 'relu'"),
        (lambda: activation("tanh", (1.0, 1.0)), "must rise"),
        (lambda: activation("tanh", None, POINTS), "takes no points"),
        (lambda: activation("points", None, [(0, 0)]), "two or more"),
        (lambda: activation("points", (-9.0, 9.0), POINTS), "go beyond its points"),
        (lambda: Activation("flat", np.zeros_like, -1.0, 1.0), "constant"),
        (lambda: Activation("log", lambda x: np.where(x > 0, x, np.nan), -1.0, 1.0), "not a finite number at -1"),
        (lambda: ramp_design(activation("tanh"), 0), "choose 1 to 12"),
        (
            lambda: ramp_design(activation("softsign", (-100.0, 100.0)), 5).conductances(8e-6, 150e-6),
            "the lowest is 8 µS: fewer bits",
        ),
    ],
)
def test_what_else_is_refused(call: Callable[[], object], sentence: str) -> None:
    with pytest.raises(RefusedError, match=sentence):
        call()


def test_errors_are_in_lsb_of_the_output() -> None:
    design = ramp_design(activation("sigmoid"), 5)
    shifted = logit(np.clip(design.edges + 0.5 * design.lsb, 1e-9, 1 - 1e-9))
    errors = code_errors(design, np.stack([design.thresholds, shifted]))
    assert errors.largest_inl == pytest.approx([0.0, 0.5], abs=1e-6)
    assert errors.largest_dnl == pytest.approx([0.0, 0.0], abs=1e-6)
    one = design.thresholds.copy()
    one[10] = design.thresholds[9]
    errors = code_errors(design, one[None])
    assert errors.dnl[0, 9] == pytest.approx(-1.0)
    assert errors.dnl[0, 10] == pytest.approx(1.0)
    assert errors.largest_inl[0] == pytest.approx(1.0)
    assert design.thresholds[middle(design)] == pytest.approx(0.0, abs=1e-9)


def test_the_figures_are_drawn() -> None:
    design = ramp_design(activation("tanh"), 4)
    rows = design.thresholds + np.random.default_rng(0).normal(0, 0.05, (30, 15))
    figure = ramp_figure(design, rows + 0.2, rows)
    assert [ax.get_title(loc="left") for ax in figure.axes][1:] == ["INL, 30 ramps", "DNL, 30 ramps"]
    assert all(float(tick).is_integer() for ax in figure.axes[1:] for tick in ax.get_xticks()), "codes are whole"
    assert accuracy_figure([3, 4], {"ramp": [0.8, 0.9], "ideal": [0.85, 0.91]}, exact=0.92).axes
