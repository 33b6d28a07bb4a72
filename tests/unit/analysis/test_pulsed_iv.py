"""Switching voltages of pulses from loops whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from xbarlab.analysis.measurements.pulsed_iv import PulsedLoops, pulsed_metrics, pulsed_switching

LEGS = ("+out", "+back", "-out", "-back")
LOW, HIGH = 5e-6, 100e-6


def amplitudes(points: int = 31, peak: float = 1.6) -> np.ndarray:
    out = np.linspace(0.1, peak, points)
    return np.array([out, out[::-1], -out, -out[::-1]])


def loops_of(v_set: np.ndarray, v_reset: np.ndarray, volts: np.ndarray, halt: bool = False) -> PulsedLoops:
    """Return loops of cells that jump at known voltages; with ``halt`` a leg turns back at its first jump."""
    g = np.full((*v_set.shape, *volts.shape), np.nan)
    for cell, cycle in np.ndindex(v_set.shape):
        state, turn = LOW, {1: np.inf, -1: np.inf}
        for leg, name in enumerate(LEGS):
            for point, v in enumerate(volts[leg]):
                sign = int(np.sign(v))
                if abs(v) > turn[sign]:
                    continue
                before = state
                state = HIGH if v >= v_set[cell, cycle] else LOW if v <= v_reset[cell, cycle] else state
                g[cell, cycle, leg, point] = state
                if halt and name.endswith("out") and state != before:
                    turn[sign] = abs(v)
    return PulsedLoops(LEGS, volts, g, np.full(v_set.shape, LOW))


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("halt", [False, True])
def test_means_and_spreads_are_those_of_the_truth(seed: int, halt: bool) -> None:
    rng = np.random.default_rng(seed)
    d2d, c2c = 0.08, 0.06
    v_set = 0.9 + d2d * rng.standard_normal((30, 1)) + c2c * rng.standard_normal((30, 12))
    v_reset = -(0.8 + d2d * rng.standard_normal((30, 1)) + c2c * rng.standard_normal((30, 12)))
    loops = loops_of(v_set, v_reset, amplitudes(), halt)
    found = pulsed_metrics(pulsed_switching(loops), LEGS)
    step = 0.05
    for branch, truth in (("set", v_set), ("reset", v_reset)):
        assert found[f"v_{branch}_pulse_mean"].value == pytest.approx(truth.mean(), abs=step / 8)
        within = np.sqrt(truth.var(axis=1, ddof=1).mean() + step**2 / 12)
        assert found[f"v_{branch}_pulse_c2c_std"].value == pytest.approx(within, rel=0.08)
        assert found[f"v_{branch}_pulse_d2d_std"].low < d2d < found[f"v_{branch}_pulse_d2d_std"].high
        assert found[f"no_{branch}_pulse_fraction"].value == 0.0
    assert loops.halted == (2 * v_set.size if halt else 0)


def test_a_loop_that_never_switches_is_counted_and_has_no_voltage() -> None:
    v_set = np.full((4, 5), 0.9)
    v_set[0] = 9.0
    v_set[1, 2] = 9.0
    table = pulsed_switching(loops_of(v_set, np.full((4, 5), -0.8), amplitudes()))
    found = pulsed_metrics(table, LEGS)
    assert found["no_set_pulse_fraction"].value == pytest.approx(6 / 20)
    assert np.isnan(table["v_set"]).sum() == 6
    assert found["v_set_pulse_mean"].value == pytest.approx(0.9, abs=0.026)
    assert found["v_set_pulse_mean"].n == 3


def test_a_cell_that_moves_little_by_little_crosses_between_two_amplitudes() -> None:
    volts = amplitudes()
    g = np.empty((1, 1, 4, 31))
    g[0, 0, 0] = LOW * (HIGH / LOW) ** np.linspace(0, 1, 31)
    g[0, 0, 1], g[0, 0, 2], g[0, 0, 3] = HIGH, g[0, 0, 0][::-1], LOW
    table = pulsed_switching(PulsedLoops(LEGS, volts, g, np.full((1, 1), LOW)))
    assert table["v_set"][0] == pytest.approx(0.85)
    assert table["v_reset"][0] == pytest.approx(-0.85)


def test_one_point_beyond_is_no_switch_and_a_leg_that_is_not_there_has_no_key() -> None:
    g = np.full((1, 1, 4, 31), LOW)
    g[0, 0, 0, 10] = HIGH
    g[0, 0, 0, 20:] = HIGH
    g[0, 0, 1] = HIGH
    table = pulsed_switching(PulsedLoops(LEGS, amplitudes(), g, np.full((1, 1), LOW)))
    assert table["v_set"][0] == pytest.approx(0.5 * (amplitudes()[0, 19] + amplitudes()[0, 20]))
    only = PulsedLoops(("+out",), amplitudes()[:1], g[:, :, :1], np.full((1, 1), LOW))
    found = pulsed_metrics(pulsed_switching(only), only.legs)
    assert not any("reset" in key for key in found)
    assert pulsed_switching(only)["reset_status"][0] == "not swept"


def test_a_loop_that_forms_its_cell_is_in_no_statistic() -> None:
    v_set = np.full((3, 4), 0.8)
    v_set[:, 0] = 1.5
    loops = loops_of(v_set, np.full((3, 4), -0.8), amplitudes())
    start, g = loops.start.copy(), loops.conductance.copy()
    start[:, 0], g[:, 0, 0] = 0.2e-6, np.where(g[:, 0, 0] == LOW, 0.2e-6, g[:, 0, 0])
    table = pulsed_switching(PulsedLoops(LEGS, loops.volts, g, start))
    assert table["forming"].sum() == 3
    assert pulsed_metrics(table, LEGS)["v_set_pulse_mean"].value == pytest.approx(0.8, abs=0.026)


def test_voltages_at_the_first_pulse_are_told() -> None:
    loops = loops_of(np.full((2, 2), 0.05), np.full((2, 2), -0.8), amplitudes())
    assert loops.at_first_pulse(pulsed_switching(loops), "set") == 4
    assert loops.at_first_pulse(pulsed_switching(loops), "reset") == 0
