"""Fits of trains that hardly bend: the solver starts at a straight line and must leave it."""

from __future__ import annotations

import numpy as np
import pytest

from xbarlab.analysis.estimates.pulse_fit import alpha_form, fit_train, saturating

SHARE = np.linspace(0.0, 1.0, 51)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("alpha", [-0.2, -0.1, 0.1, 0.2])
def test_a_slight_bend_is_not_called_an_exponential(alpha: float, seed: int) -> None:
    noise = 0.2e-6 * np.random.default_rng(seed).standard_normal(SHARE.size)
    assert fit_train(np.arange(51), alpha_form(SHARE, 99e-6, 23e-6, alpha) + noise).alpha == pytest.approx(
        alpha, abs=0.06
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("nonlinearity", [-0.15, -0.1, 0.1, 0.15])
def test_a_slight_nonlinearity_is_not_called_a_straight_line(nonlinearity: float, seed: int) -> None:
    noise = 0.1e-6 * np.random.default_rng(seed).standard_normal(SHARE.size)
    train = 20e-6 + 80e-6 * saturating(SHARE, nonlinearity)
    assert fit_train(np.arange(51), train + noise).nonlinearity == pytest.approx(nonlinearity, abs=0.03)
