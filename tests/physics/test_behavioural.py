"""The gate-voltage model and the step devices do what their sources say."""

from __future__ import annotations

import numpy as np
import pytest


def test_gate_voltage_model_is_the_published_simulator(make_chip):
    chip = make_chip("gate_voltage_1t1r", 4000)
    chip.pulse(2.5, 1.0)
    g = chip.read()
    assert g.mean() == pytest.approx(98e-6 * 1.0 + 120e-6, abs=0.3e-6)
    assert g.std() == pytest.approx(4e-6, rel=0.05)
    chip.pulse(2.5, 0.8)  # a weaker SET keeps the larger conductance
    assert chip.read().mean() > 217e-6
    chip.pulse(-1.7, 5.0)
    assert chip.read().mean() == pytest.approx(4e-6 / np.sqrt(2 * np.pi), rel=0.1)  # noise around zero, clipped
    chip.pulse(0.2, 5.0)
    chip.pulse(2.5, 0.0)
    assert chip.read().mean() < 2e-6


def test_its_noise_strikes_the_whole_array_in_every_map(make_chip):
    chip = make_chip("gate_voltage_1t1r", 4000)
    chip.pulse(2.5, 1.0)
    before = chip.read()
    some = np.arange(10)
    chip.model.pulse(
        some, np.full(10, 2.5), np.full(10, 5e-7), np.full(10, 1.0), np.ones(10, np.int64), np.zeros(10), 0.0
    )
    moved = chip.read()[10:] - before[10:]
    assert moved.std() == pytest.approx(4e-6, rel=0.05)
    assert np.all(moved != 0.0)


@pytest.mark.parametrize("law", ["constant", "soft_bounds", "exponential"])
def test_step_devices_step_up_and_down_within_their_bounds(make_chip, raw, law):
    from xbarlab.mockhw.chip.profile import make_model, parse_profile

    content = raw("soft_bounds_1t1r", dw_min_c2c=0.0, dw_min_d2d=0.0, w_max_d2d=0.0, w_min_d2d=0.0, up_down_d2d=0.0)
    content["parameters"]["law"] = law
    model = make_model(parse_profile(content), 8, 1)
    index, one = np.arange(8), np.ones(8)

    def step(volts, count):
        model.pulse(index, volts * one, 1e-6 * one, 2.0 * one, np.full(8, count), 0.0 * one, 0.0)
        return float(model.conductance(index, 0.2, 5.0, 0.0)[0])

    start = step(0.1, 1)
    first = step(1.5, 1) - start
    half = 90e-6  # half of the conductance range is one unit of weight
    expected = {"constant": 1.0, "soft_bounds": 1.0, "exponential": np.exp(-1.0)}[law]
    assert first == pytest.approx(0.002 * half * expected, rel=1e-6)
    high = step(1.5, 20_000)
    assert high <= 190e-6 + 1e-12
    assert high > 180e-6
    last = step(1.5, 1) - high
    assert last < 0.2 * first
    assert step(-1.5, 40_000) == pytest.approx(10e-6, abs=8e-6)


def test_step_trains_equal_single_steps_on_average(make_chip):
    train, single = (make_chip("soft_bounds_1t1r", 2000, 4) for _ in range(2))
    train.pulse(1.5, 2.0, 1e-6, 200)
    for _ in range(200):
        single.pulse(1.5, 2.0, 1e-6)
    a, b = train.read(), single.read()
    assert a.mean() == pytest.approx(b.mean(), rel=0.01)
    assert a.std() == pytest.approx(b.std(), rel=0.15)


@pytest.mark.parametrize("name", ["gate_voltage_1t1r", "soft_bounds_1t1r"])
def test_saved_behavioural_chips_go_on_the_same(make_chip, name):
    first, second = make_chip(name, 50, 2), make_chip(name, 50, 2)
    first.pulse(2.5, 1.0)
    second.model.restore(first.model.state())
    for chip in (first, second):
        chip.pulse(2.5, 1.4)
    assert np.array_equal(first.read(), second.read())
    with pytest.raises(ValueError, match="missing"):
        second.model.restore({})
