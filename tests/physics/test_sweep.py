"""DC sweeps: the same kinetics as pulses, compliance with the device in the loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

UP = np.concatenate([np.arange(0.02, 1.501, 0.02), np.arange(1.48, 0.01, -0.02)])
PROFILES = ["ta_hfo2_1t1r", "hfo2_1t1r", "gate_voltage_1t1r", "soft_bounds_1t1r"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(PROFILES),
    compliance=st.floats(1e-7, 2e-3),
    gate=st.floats(0.0, 5.0),
    stop=st.floats(0.1, 2.5),
    sign=st.sampled_from([1.0, -1.0]),
    dwell=st.floats(1e-6, 0.1),
)
def test_no_point_exceeds_the_compliance(make_chip, name, compliance, gate, stop, sign, dwell):
    chip = make_chip(name, 8)
    if "hfo2" in name:
        chip.formed_at(100e-6)
    volts = sign * np.linspace(0.0, stop, 40)
    for cell in range(4):
        current = chip.model.sweep(cell, volts, dwell, gate, compliance, 100.0, 0.0)
        assert (np.abs(current) <= compliance).all()
        assert np.isfinite(current).all()
        assert current[0] == 0.0


def test_a_lower_compliance_leaves_a_lower_conductance(make_chip):
    levels = []
    for compliance in (30e-6, 100e-6, 300e-6):
        chip = make_chip(size=64).formed_at(8e-6)
        for cell in range(64):
            chip.model.sweep(cell, UP, 0.01, 5.0, compliance, 0.0, 0.0)
        levels.append(np.median(chip.read()))
    assert levels[0] < 0.6 * levels[1] < 0.36 * levels[2]


@pytest.mark.parametrize(
    ("name", "set_gate", "reset_gate", "reset_volts", "least"),
    [("ta_hfo2_1t1r", 1.4, 5.0, 1.5, 0.35), ("hfo2_1t1r", 1.6, 4.0, 2.3, 0.25)],
)
def test_the_loop_is_pinched_and_switches_at_sane_voltages(make_chip, name, set_gate, reset_gate, reset_volts, least):
    """``hfo2_1t1r`` is fitted on pulses of 100 and 200 ns; points of 10 ms SET it at 0.28 V, lower than cells do."""
    chip = make_chip(name, 32).formed_at(10e-6)
    down = -np.concatenate([np.arange(0.02, reset_volts, 0.02), np.arange(reset_volts, 0.01, -0.02)])
    v_set, v_reset, switched = [], [], []
    for cell in np.flatnonzero(chip.healthy):
        for cycle in range(3):
            rise = chip.model.sweep(int(cell), UP, 0.01, set_gate, 1e-3, 0.0, 0.0) / UP
            fall = chip.model.sweep(int(cell), down, 0.01, reset_gate, 1e-2, 0.0, 0.0) / down
            if cycle:
                switched.append(rise[-10] > 2 * rise[9] and fall[-10] < 0.5 * fall[9])
                v_set.append(UP[np.argmax(rise > np.sqrt(rise[9] * rise[-10]))])
                v_reset.append(down[np.argmax(fall < np.sqrt(fall[9] * fall[-10]))])
                # pinched: at the smallest voltage the current is small on both branches
                assert max(rise[0], rise[-1]) * 0.02 < 10e-6
    assert np.mean(switched) > 0.9
    assert least < np.mean(v_set) < 1.2
    assert -1.4 < np.mean(v_reset) < -0.35


def test_slower_switching_needs_less_voltage(make_chip):
    """The voltage–time dilemma in one model: V_SET falls by 20–200 mV per decade of time."""
    thresholds = []
    for width in (200e-9, 20e-6, 2e-3):
        chip = make_chip(size=200).formed_at(8e-6)
        for volts in np.arange(0.1, 2.0, 0.02):
            chip.pulse(volts, 1.4, width)
            if np.median(chip.read()) > 24e-6:
                thresholds.append(volts)
                break
    per_decade = -np.diff(thresholds) / 2.0
    assert ((per_decade > 0.02) & (per_decade < 0.2)).all()


def test_a_sweep_point_moves_a_cell_as_a_pulse_of_the_same_time(make_chip):
    quiet = dict.fromkeys(
        ("cycle_noise__sigS", "cycle_noise__sigL", "read_noise__flicker", "cycle_noise__ptail", "read_noise__relative"),
        0.0,
    )
    by_sweep, by_pulse = (make_chip(size=16, **quiet).formed_at(20e-6) for _ in range(2))
    for cell in range(16):
        by_sweep.model.sweep(cell, np.array([0.9]), 1e-4, 1.2, 1.0, 0.0, 0.0)
    by_pulse.pulse(0.9, 1.2, 1e-4)
    assert by_sweep.read() == pytest.approx(by_pulse.read(), rel=1e-6)


def test_small_signal_of_a_sweep_agrees_with_a_read(make_chip):
    still = {"read_noise__relative": 0.0, "read_noise__scale": 0.0, "read_noise__flicker": 0.0}
    chip = make_chip("hfo2_1t1r", 64, **still).formed_at(100e-6)
    current = [chip.model.sweep(cell, np.array([0.2]), 1e-6, 3.0, 1.0, 0.0, 0.0)[0] for cell in range(64)]
    ok = chip.healthy
    assert np.array(current)[ok] / 0.2 == pytest.approx(chip.read()[ok], rel=0.02)
