"""Virgin cells, breakdown and wear: mistakes cost what they cost at the bench."""

from __future__ import annotations

import numpy as np
import pytest


def staircase(chip, gate, width=1e-6, stop=4.3):
    """Form by a 50 mV staircase; return the voltage at which each cell formed."""
    formed_at = np.full(chip.size, np.nan)
    for volts in np.arange(1.5, stop, 0.05):
        todo = np.flatnonzero(np.isnan(formed_at))
        if not len(todo):
            break
        chip.pulse(volts, gate, width, 1, todo)
        new = todo[chip.model.truth()["formed"][todo]]
        formed_at[new] = volts
    return formed_at


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", ["ta_hfo2_1t1r", "hfo2_1t1r"])
def test_forming_voltages_are_recovered(make_chip, name, seed):
    chip = make_chip(name, 2048, seed)
    forming = chip.profile.parameters.forming
    volts = staircase(chip, forming.gate)[chip.healthy]
    assert np.isfinite(volts).all()
    assert volts.mean() == pytest.approx(forming.mean, abs=0.04)
    assert volts.std() == pytest.approx(forming.sd, rel=0.1)


def test_measured_conductance_after_forming(make_chip):
    """Measured at word line 2 V: median 129 µS, 5–95 % 50–175 µS."""
    chip = make_chip("hfo2_1t1r", 4096, 1)
    staircase(chip, 2.0)
    low, median, high = np.percentile(chip.read()[chip.healthy], [5, 50, 95]) * 1e6
    assert median == pytest.approx(129, rel=0.1)
    assert 35 < low < 85
    assert 160 < high < 205


def test_virgin_cells_stay_virgin_below_forming_and_without_a_gate(make_chip):
    chip = make_chip(size=512)
    g = chip.read()
    assert np.median(g[chip.healthy]) < 1e-6
    chip.pulse(1.6, 1.3, 1e-6, 100)
    chip.pulse(-1.7, 5.0, 1e-6, 100)
    chip.pulse(3.0, 0.0, 1e-6, 100)
    assert not chip.model.truth()["formed"][chip.healthy].any()
    assert np.array_equal(chip.read(), g)


def test_slower_pulses_form_at_lower_volts(make_chip):
    fast, slow = (np.nanmean(staircase(make_chip(size=512), 1.3, width)) for width in (1e-6, 1e-3))
    assert fast - slow == pytest.approx(3 * 0.06 * np.log(10), rel=0.1)


def test_the_gate_limits_what_forming_leaves(make_chip):
    levels = []
    for gate in (1.0, 1.5, 2.0):
        chip = make_chip(size=512)
        staircase(chip, gate)
        levels.append(np.median(chip.read()[chip.healthy]))
    assert levels[0] < 0.8 * levels[1] < 0.64 * levels[2]


def test_forming_without_compliance_destroys(make_chip):
    """Full gate for a DC-like time: the transistor no longer protects."""
    kept = make_chip(size=512)
    kept.pulse(3.3, 1.3, 1e-3)
    lost = make_chip(size=512)
    lost.pulse(3.3, 5.0, 1e-2)
    assert kept.healthy.mean() > 0.98
    assert lost.healthy.mean() < 0.5


@pytest.mark.parametrize(("name", "volts", "gate"), [("ta_hfo2_1t1r", 3.4, 5.0), ("hfo2_1t1r", 5.5, 9.0)])
def test_over_voltage_breaks_cells_for_good(make_chip, name, volts, gate):
    chip = make_chip(name, 512).formed_at(20e-6)
    alive = chip.healthy
    chip.pulse(-volts, gate, 1e-6, 10)
    broken = alive & ~chip.healthy
    assert broken.sum() > 0.5 * alive.sum()
    g = chip.read()
    kind = chip.model.truth()["kind"]
    assert set(np.unique(kind[broken])) == {1, 3}
    assert (g[broken & (kind == 1)] < 1e-8).all()
    assert (g[broken & (kind == 3)] > 150e-6).all()
    chip.pulse(-1.7, 5.0)
    chip.pulse(2.5, 1.2)
    assert np.array_equal(chip.read()[broken], g[broken])


@pytest.mark.parametrize("name", ["ta_hfo2_1t1r", "hfo2_1t1r"])
def test_limits_of_the_profile_are_safe_for_ten_thousand_pulses(make_chip, name):
    chip = make_chip(name, 512).formed_at(100e-6)
    alive = chip.healthy.sum()
    reset, gate = (1.7, 5.0) if name.startswith("ta") else (2.8, 3.5)
    for _ in range(50):
        chip.pulse(-reset, gate, 500e-9, 100)
        chip.pulse(2.5, 1.6, 500e-9, 100)
    assert chip.healthy.sum() >= alive - 3


def test_cells_wear_out_after_their_endurance(make_chip):
    chip = make_chip(size=512, wear__median_cycles=60.0, wear__ln_sd=0.3).formed_at(100e-6)
    start = chip.healthy
    died = np.full(512, np.nan)
    for cycle in range(200):
        chip.pulse(-1.7, 5.0)
        chip.pulse(2.5, 2.0)
        died[np.isnan(died) & start & ~chip.healthy] = cycle
    assert np.isfinite(died[start]).all()
    # one cycle here is a little more or less than the profile's excursion of 6 e-folds
    assert np.median(died[start]) == pytest.approx(60.0, rel=0.35)
    assert np.log(died[start]).std() == pytest.approx(0.3, rel=0.3)
    assert (chip.model.truth()["wear_cycles"][start] >= chip.model.truth()["endurance_cycles"][start]).all()


def test_stuck_cells_never_move(make_chip):
    chip = make_chip(size=2048, stuck__open_fraction=0.1, stuck__on_fraction=0.1, stuck__short_fraction=0.1)
    stuck = ~chip.healthy
    assert stuck.mean() == pytest.approx(0.3, abs=0.03)
    g = chip.read()
    chip.pulse(3.0, 1.3, 1e-5, 5)
    chip.pulse(-1.7, 5.0)
    assert np.array_equal(chip.read()[stuck], g[stuck])
    assert (chip.model.truth()["pulses"] == 6).all()
