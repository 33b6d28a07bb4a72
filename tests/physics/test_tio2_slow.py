"""What passive cells do by themselves: read noise in its three parts, retention, temperature; and long trains.

Nothing here is a measurement: every term is held to its law in the profile.
"""

from __future__ import annotations

import time

import numpy as np
import pytest

from xbarlab.mockhw.chip.profile import parse_profile
from xbarlab.mockhw.device_models.relaxation import EV_PER_K
from xbarlab.mockhw.passive_chip.chip import Bias, PassiveChip
from xbarlab.mockhw.sim_clock import SimClock

STILL = {"retention__drift": 0.0, "retention__weak_sd": 0.0, "retention__strong_sd": 0.0}
NO_TRAPS = {"fluctuation__one_trap_fraction": 0.0, "fluctuation__two_trap_fraction": 0.0}
N = 64


@pytest.fixture
def make(raw):
    """A column of ``n`` cells that do not see each other, formed at ``state``, with its clock."""

    def chip(state=0.5, *, n=N, seed=1, stuck=False, **changes):
        if not stuck:
            changes = {"stuck__on_fraction": 0.0, "stuck__off_fraction": 0.0} | changes
        profile = raw("tio2_passive", **changes)
        del profile["parameters"]["lines"]
        profile["geometry"]["rows"]["value"], profile["geometry"]["cols"]["value"] = n, 1
        profile["wiring"]["row_segment"]["value"] = profile["wiring"]["col_segment"]["value"] = 1e-3
        clock = SimClock()
        made = PassiveChip(parse_profile(profile), seed=seed, clock=clock)
        made.assume_formed(state)
        return made, clock

    return chip


def tied(chip, volts=0.2) -> Bias:
    lines = chip.rows + 1
    return Bias(
        np.arange(lines),
        np.zeros(lines),
        np.append(np.full(chip.rows, float(volts)), 0.0),
        np.zeros(lines),
        np.full(lines, np.inf),
        np.zeros(lines),
    )


def trace(chip, clock, points, period, aperture):
    """Relative deviation of the current of every cell, [points, cells]."""
    bias = tied(chip)
    quiet = chip.solve(bias).source_amps[:-1]
    out = np.empty((points, chip.rows))
    for k in range(points):
        clock.advance(period)
        out[k] = chip.measure(bias, aperture=aperture).source_amps[:-1] / quiet - 1.0
    return out


def slope(noise, period, low, high):
    """Exponent of the power spectral density between two frequencies [Hz], over all cells."""
    scaled = noise - noise.mean(0)
    power = (np.abs(np.fft.rfft(scaled / scaled.std(0), axis=0)) ** 2).mean(1)
    f = np.fft.rfftfreq(len(noise), period)
    band = (f > low) & (f < high)
    edges = np.geomspace(low, high, 12)
    bins = np.digitize(f[band], edges)
    x, y = np.log(f[band]), np.log(power[band])
    means = np.array([(x[bins == b].mean(), y[bins == b].mean()) for b in np.unique(bins)])
    return np.polyfit(means[:, 0], means[:, 1], 1)[0]


def test_the_spectrum_is_one_over_f_or_white_as_the_shares_say(make):
    period = 1e-3
    chip, clock = make(**STILL, **NO_TRAPS, fluctuation__flicker_share=1.0)
    assert slope(trace(chip, clock, 4096, period, period), period, 1.0, 200.0) == pytest.approx(-1.0, abs=0.15)
    chip, clock = make(**STILL, **NO_TRAPS, fluctuation__flicker_share=0.0)
    assert slope(trace(chip, clock, 4096, period, period), period, 1.0, 400.0) == pytest.approx(0.0, abs=0.05)


def test_white_noise_falls_with_the_meters_time_and_slow_noise_hardly(make):
    chip, clock = make(**STILL, **NO_TRAPS, fluctuation__flicker_share=0.0)
    short, long = (trace(chip, clock, 300, 1.0, aperture).std(0) for aperture in (0.2e-3, 20e-3))
    assert np.median(short / long) == pytest.approx(10.0, rel=0.1)
    chip, clock = make(**STILL, **NO_TRAPS, fluctuation__flicker_share=1.0)
    short, long = (trace(chip, clock, 300, 1e5, aperture).std(0) for aperture in (0.2e-3, 20e-3))
    assert 1.0 < np.median(short / long) < 1.5
    with pytest.raises(ValueError, match="averages over some time"):
        chip.measure(tied(chip), aperture=0.0)


def test_traps_switch_between_two_levels(make):
    chip, clock = make(
        **STILL,
        fluctuation__one_trap_fraction=1.0,
        fluctuation__two_trap_fraction=0.0,
        fluctuation__flicker_share=0.0,
        fluctuation__trap_amplitude=30.0,
        fluctuation__trap_tau_min=1e-2,
        fluctuation__trap_tau_max=1e-1,
    )
    noise = trace(chip, clock, 600, 5e-3, 0.02)
    middle = (noise.max(0) + noise.min(0)) / 2.0
    inside = (np.abs(noise - middle) < 0.2 * np.ptp(noise, axis=0)).mean(0)
    assert np.median(inside) < 0.02
    same = (noise[1:] > middle) == (noise[:-1] > middle)
    assert 0.6 < same.mean() < 0.99


def test_states_drift_and_spread_with_the_logarithm_of_time(make):
    """Law: s·exp(−0.01·L), spread 0.003·√L, L = ln(1 + t/1 ms)/ln(1 + 10⁴ s/1 ms)."""
    chip, clock = make(np.ones((400, 1)), n=400)
    bias, begun = tied(chip), 0.0
    for seconds in (1e-2, 1.0, 100.0, 1e4):
        clock.advance(seconds - begun)
        begun = seconds
        chip.solve(bias)
        part = np.log1p(seconds / 1e-3) / np.log1p(1e7)
        moved = chip.truth()["state"].ravel() - 1.0
        spread = 0.003 * np.sqrt(part)
        assert moved.mean() == pytest.approx(np.expm1(-0.01 * part), abs=3.0 * spread / 20.0)
        assert moved.std() == pytest.approx(spread, rel=0.12)


def test_relaxing_does_not_depend_on_who_looks_and_begins_anew_after_a_write(make):
    from scipy.stats import ks_2samp

    ends = []
    for looks in ([1e4], np.geomspace(0.01, 1e4, 60)):
        chip, clock = make(1.0, n=400, seed=len(looks))
        for now in looks:
            clock.advance(now - clock.now)
            chip.solve(tied(chip))
        ends.append(chip.truth()["state"].ravel())
    assert ks_2samp(*ends).statistic < 0.11
    # An old state hardly changes within a second more; one just written does.
    moves = []
    for volts in (0.0, 2.0):
        chip.play(tied(chip, volts), tied(chip, volts).volts[None, :], np.array([200e-9]), 1)
        before = chip.truth()["state"].ravel()
        clock.advance(1.0)
        chip.solve(tied(chip))
        moves.append(np.abs(chip.truth()["state"].ravel() - before).max())
    assert moves[0] < 1e-3
    assert moves[1] > 4e-3


def test_a_trickle_of_small_moves_does_not_relax_over_and_over(make):
    """A thousand moves of 1e-3 within 10 s, each a look, relax like one state of their age; not a thousand times."""
    quiet = {"cycles__N": 1e12, "retention__weak_sd": 0.0, "retention__strong_sd": 0.0, "retention__drift": 0.05}
    ends = []
    for drift in (0.05, 0.0):
        chip, clock = make(0.3, n=8, **quiet | {"retention__drift": drift})
        for _ in range(1000):
            clock.advance(0.01)
            chip.play(tied(chip, 1.25), tied(chip, 1.25).volts[None, :], np.array([1e-6]), 1)
        ends.append(chip.truth()["state"].ravel())
    lost = (ends[1] - ends[0]) / ends[1]
    assert 0.0 < np.median(lost) < 0.06


@pytest.mark.parametrize("kelvin", [298.0, 338.0, 378.0])
def test_two_components_of_retention_are_activated(make, kelvin):
    hot = 1.0 / 298.0 - 1.0 / kelvin
    weak, strong = (sd * np.exp(ev / EV_PER_K * hot) for sd, ev in ((0.003, 0.06), (0.0001, 0.88)))
    chip, clock = make(
        0.5, n=400, temperature__ambient=kelvin, retention__drift=0.0, retention__strong_sd=0.0001,
        device_spread__smin=0.0, device_spread__smax=0.0,
    )  # fmt: skip
    clock.advance(1e4)
    chip.solve(tied(chip))
    assert chip.truth()["state"].std() == pytest.approx(np.hypot(weak, strong), rel=0.12)


def test_switching_is_faster_when_hot(make):
    """Twice the activation in ln of the rate is twice the ln of the width that does the same."""
    kelvin, activation = 358.0, 0.30
    faster = np.exp(activation / EV_PER_K * (1.0 / 298.0 - 1.0 / kelvin))
    still = STILL | {"cycles__N": 1e12}
    for volts, state in ((1.6, 0.0), (-1.7, 1.0)):
        ends = []
        for ambient, width in ((298.0, 200e-9 * faster), (kelvin, 200e-9), (298.0, 200e-9)):
            chip, _ = make(state, **still, temperature__ambient=ambient)
            chip.play(tied(chip, volts), tied(chip, volts).volts[None, :], np.array([width]), 1)
            ends.append(chip.truth()["state"].ravel())
        np.testing.assert_allclose(ends[0], ends[1], atol=5e-3)
        assert np.abs(ends[2] - ends[1]).mean() > 0.1


def test_a_profile_without_the_new_sections_has_nothing_of_them(raw):
    profile = raw("tio2_passive")
    for section in ("fatigue", "fluctuation", "retention", "temperature", "lines"):
        del profile["parameters"][section]
    clock = SimClock()
    chip = PassiveChip(parse_profile(profile), seed=1, clock=clock)
    chip.assume_formed(0.5)
    before = chip.truth()["state"]
    clock.advance(1e6)
    bias = Bias(np.full(16, -1), np.zeros(16), np.zeros(1), np.zeros(1), np.full(1, np.inf), np.zeros(1))
    chip.measure(bias)
    np.testing.assert_array_equal(chip.truth()["state"], before)


def test_one_over_f_over_too_many_decades_is_refused(make):
    with pytest.raises(ValueError, match="8 decades apart"):
        make(fluctuation__flicker_longest=1e5)
    with pytest.raises(ValueError, match="the longest last"):
        make(fluctuation__flicker_longest=1e-7)


def crossbar(raw, state, **changes):
    """A whole chip, its noise of motion off, so that only the lumping of pulses differs between two lives."""
    profile = raw("tio2_passive", cycles__N=1e15, cycles__lam=0.0, cycles__bound=0.0, **changes)
    chip = PassiveChip(parse_profile(profile), seed=2, clock=SimClock())
    chip.assume_formed(state)
    return chip


def fire(chip, levels, count):
    """Row 3 against column 4, the others at half; segments of 200 ns each."""
    source = np.full(16, 2)
    source[[3, 12]] = 0, 1
    bias = Bias(source, np.full(16, 2.0), np.zeros(3), np.array([10.0, 0.05, 0.05]), np.full(3, np.inf), np.zeros(3))
    waves = np.array([[volts, 0.0, volts / 2.0] for volts in levels])
    chip.play(bias, waves, np.full(len(levels), 200e-9), count)


@pytest.mark.parametrize("count", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("levels", "state", "written"),
    [
        ((1.6, 0.0), 0.0, 0.0),
        ((-1.7, 0.0), 1.0, 0.0),
        ((0.85, 0.0), 0.0, 0.0),
        ((-0.9, 0.0), 1.0, 0.0),
        ((1.2, -1.2), 0.5, 2e-3),
    ],
    ids=["SET", "RESET", "half SET", "half RESET", "both signs"],
)
def test_a_train_in_one_call_is_the_loop_of_single_pulses(raw, levels, state, written, count):
    """Every cell within 1 % of its move, or 1e-5 of the window; the selected one within ``written`` more."""
    once, loop = crossbar(raw, state), crossbar(raw, state)
    before = loop.truth()["state"]
    fire(once, levels, count)
    for _ in range(count):
        fire(loop, levels, 1)
    moved = loop.truth()["state"] - before
    assert np.abs(moved).max() > 1e-4
    off = np.abs(once.truth()["state"] - before - moved)
    off[3, 4] -= written
    assert (off <= 0.01 * np.abs(moved) + 1e-5).all()


@pytest.mark.parametrize(("volts", "least"), [(1.6, 1e-2), (-1.7, 1e-2), (0.2, 0.0)], ids=["SET", "RESET", "read"])
def test_a_million_pulses_cost_one_call(raw, volts, least):
    """Counted in solutions of the network, not in seconds of this machine."""
    chip = crossbar(raw, 0.5)
    mates = np.s_[[0, 1, 2, 4, 5, 6, 7], 4]
    before, steps = chip.truth()["state"][mates], int(chip._net.work[0]["steps"])
    began = time.perf_counter()
    fire(chip, (volts, 0.0), 1_000_000)
    assert int(chip._net.work[0]["steps"]) - steps < 2000
    assert time.perf_counter() - began < 10.0
    moved = np.abs(chip.truth()["state"][mates] - before)
    assert moved.max() >= least
    assert moved.max() < 0.6
