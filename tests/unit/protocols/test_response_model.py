import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xbarlab.protocols.programming.response_model import ResponseModel


def test_nothing_is_known_before_pulses() -> None:
    model = ResponseModel(0.5, 2.5, rising=True)
    assert np.isnan(model.knob_for(np.array([50e-6]))).all()
    assert np.isnan(model.highest)


@pytest.mark.parametrize("rising", [True, False])
def test_it_finds_the_knob_of_a_linear_response_in_noise(rising: bool) -> None:
    rng = np.random.default_rng(1)
    knob = rng.uniform(0.5, 2.5, 5000)
    slope = 98e-6 if rising else -98e-6
    g = 200e-6 * (not rising) + slope * (knob - 0.5) + rng.normal(0, 5e-6, knob.size)
    model = ResponseModel(0.5, 2.5, rising=rising)
    model.add(knob, g)
    wanted = np.linspace(30e-6, 150e-6, 13)
    truth = 0.5 + (wanted - 200e-6 * (not rising)) / slope
    np.testing.assert_allclose(model.knob_for(wanted), truth, atol=0.03)
    np.testing.assert_allclose(model.slope_at(np.array([1.5])), 98e-6, rtol=0.35)


def test_beyond_the_data_it_extends_along_the_overall_slope() -> None:
    model = ResponseModel(0.0, 4.0, rising=True)
    knob = np.repeat(np.linspace(1.0, 2.0, 20), 5)
    model.add(knob, 100e-6 * knob)
    np.testing.assert_allclose(model.knob_for(np.array([50e-6, 300e-6])), [0.5, 3.0], rtol=0.05)


@pytest.mark.slow
@given(st.lists(st.tuples(st.floats(0.5, 2.5), st.floats(0, 300e-6)), min_size=20, max_size=80))
def test_the_inverse_is_monotonic_whatever_the_data(points: list[tuple[float, float]]) -> None:
    model = ResponseModel(0.5, 2.5, rising=True)
    knob, g = np.array(points).T
    model.add(np.repeat(knob, 3), np.repeat(g, 3))
    answer = model.knob_for(np.linspace(-50e-6, 400e-6, 50))
    assert np.isnan(answer).all() or (np.diff(answer) >= -1e-9).all()
