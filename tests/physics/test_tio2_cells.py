"""Single cells of tio2_passive against what their model was found to give in an independent simulation.

Nothing here is a measurement. Cells stand alone: every cell has its own row and source, and all share one column
of next to no resistance. 20 Ω of each source stand for the lines, as in the reference simulation.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from xbarlab.mockhw.chip.profile import parse_profile
from xbarlab.mockhw.passive_chip.chip import Bias, PassiveChip
from xbarlab.mockhw.sim_clock import SimClock

SEEDS = (1, 2, 3)


class Cells:
    """``n`` cells that do not see each other."""

    def __init__(self, raw: Callable[..., dict], n: int, seed: int, **changes: float) -> None:
        profile = raw("tio2_passive", stuck__on_fraction=0.0, stuck__off_fraction=0.0, **changes)
        del profile["parameters"]["lines"]
        profile["geometry"]["rows"]["value"] = n
        profile["geometry"]["cols"]["value"] = 1
        profile["wiring"]["row_segment"]["value"] = profile["wiring"]["col_segment"]["value"] = 1e-3
        self.n = n
        self.clock = SimClock()
        self.chip = PassiveChip(parse_profile(profile), seed=seed, clock=self.clock)

    def bias(self, volts, limit=np.inf, delay=0.0) -> Bias:
        def each(value, ground=0.0):
            return np.append(np.broadcast_to(np.asarray(value, float), (self.n,)), ground)

        lines = self.n + 1
        return Bias(np.arange(lines), np.zeros(lines), each(volts), each(20.0), each(limit, np.inf), each(delay))

    def hold(self, volts, seconds, limit=np.inf, delay=0.0) -> None:
        self.chip.hold(self.bias(volts, limit, delay), seconds)

    def pulse(self, volts, width=200e-9, count=1) -> None:
        bias = self.bias(volts)
        self.chip.play(bias, bias.volts[None, :], np.array([width]), count)

    def noisy(self, wait, aperture=None):
        """Currents [A] at 0.2 V, ``wait`` [s] after whatever was before."""
        self.clock.advance(wait)
        return self.chip.measure(self.bias(0.2), aperture=aperture).source_amps[:-1]

    def sweep(self, points, limit=np.inf):
        """I/V at the end of each step of 10 ms, [points, cells]."""
        out = []
        for volts in points:
            self.hold(volts, 10e-3, limit)
            out.append(self.chip.solve(self.bias(volts, limit)).source_amps[:-1] / volts)
        return np.array(out)

    def formed_at(self, state) -> Cells:
        self.chip.assume_formed(state)
        return self

    def truth(self, name):
        return self.chip.truth()[name][:, 0]

    @property
    def g(self):
        """Conductance [S] at 0.2 V of the switching layer alone, which is what the reference quotes."""
        return 1.0 / (1.0 / self.truth("conductance") - 180.0)


@pytest.fixture
def cells(raw):
    return lambda n=64, seed=1, **changes: Cells(raw, n, seed, **changes)


def there_and_back(top):
    up = np.sign(top) * np.arange(0.02, abs(top) + 1e-9, 0.02)
    return np.concatenate([up, up[::-1]])


def first(points, hit):
    return np.where(hit.any(0), points[np.argmax(hit, 0)], np.nan)


def test_dc_cycles(cells):
    array = cells(64, 1).formed_at(0.0)
    positive, negative = there_and_back(1.3), there_and_back(-1.36)
    found = {"set": [], "reset": [], "lrs": [], "hrs": []}
    array.sweep(negative)
    for _ in range(8):
        off = array.truth("conductance")
        up = array.sweep(positive, 0.65e-3)
        on = array.truth("conductance")
        found["set"].append(first(positive, up >= np.sqrt(off * on)))
        states = []
        for volts in negative:
            array.hold(volts, 10e-3)
            states.append(array.g)
        off = array.truth("conductance")
        found["reset"].append(first(negative, np.array(states) <= np.sqrt(states[0] * states[-1])))
        found["lrs"].append(1 / on)
        found["hrs"].append(1 / off)
    found = {name: values[1:] for name, values in found.items()}  # the first cycle comes from a declared state
    mean = {name: np.nanmean(values) for name, values in found.items()}
    per_cell = {name: np.nanmean(values, axis=0) for name, values in found.items()}
    within = {name: np.sqrt(np.nanmean(np.nanvar(values, axis=0, ddof=1))) for name, values in found.items()}
    assert mean["set"] == pytest.approx(1.02, abs=0.05)
    assert mean["reset"] == pytest.approx(-1.10, abs=0.06)
    assert np.median(found["lrs"]) == pytest.approx(1810, rel=0.12)
    assert np.median(found["hrs"]) == pytest.approx(16.8e3, rel=0.12)
    for name, between, cycle in (("set", 0.081, 0.012), ("reset", 0.056, 0.010), ("hrs", 0.39, 0.049)):
        assert per_cell[name].std(ddof=1) / abs(mean[name]) == pytest.approx(between, rel=0.4)
        assert within[name] / abs(mean[name]) == pytest.approx(cycle, rel=0.6)


def staircase(array, limit, stop=2.0, delay=0.0):
    steps = np.arange(1.0, stop + 1e-9, 0.02)
    formed = []
    for volts in np.concatenate([steps, steps[::-1]]):
        array.hold(volts, 10e-3, limit, delay)
        formed.append(array.truth("formed"))
    return first(np.concatenate([steps, steps[::-1]]), np.array(formed))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("limit", "siemens"), [(100e-6, 119e-6), (300e-6, 298e-6), (1e-3, 823e-6)])
def test_forming_ends_where_the_compliance_says(cells, limit, siemens, seed):
    array = cells(32, seed)
    volts = staircase(array, limit)
    assert np.nanmean(volts) == pytest.approx(1.87, abs=0.06)
    assert 0.05 < np.nanstd(volts) < 0.15
    assert np.median(array.g) == pytest.approx(siemens, rel=0.1)


def test_fifty_microamperes_leave_some_cells_unformed(cells):
    unformed = sum(np.isnan(staircase(cells(64, seed), 50e-6)).sum() for seed in SEEDS) / 3
    assert 3 <= unformed <= 13


def test_a_late_limit_overshoots_and_spares_an_ordinary_set(cells):
    def formed(delay):
        array = cells(16, 1)
        array.hold(2.4, 0.1, 100e-6, delay)
        return np.median(array.g)

    assert formed(0.0) == pytest.approx(119e-6, rel=0.12)
    assert formed(20e-9) == pytest.approx(846e-6, rel=0.25)

    def set_once(delay):
        array = cells(16, 1).formed_at(0.0)
        for volts in there_and_back(1.3):
            array.hold(volts, 10e-3, 0.65e-3, delay)
        return np.median(array.g)

    assert set_once(1e-6) == pytest.approx(set_once(0.0), rel=0.02)


def test_the_limit_catches_up_when_the_delay_is_over(cells):
    array = cells(4, 1).formed_at(1.0)
    array.hold(0.5, 1e-6, 1e-4, 20e-9)
    assert array.chip.solve(array.bias(0.5, 1e-4, 20e-9)).source_amps[:-1] == pytest.approx(1e-4, rel=1e-6)


def test_every_pulse_overshoots_again(cells):
    """A limit that acts from the second pulse on would protect a cell no bench protects."""
    once, many, held = (cells(16, 1).formed_at(0.0) for _ in range(3))
    for array, count in ((once, 1), (many, 40)):
        bias = array.bias(1.7, 0.2e-3, 20e-9)
        pause = np.vstack([bias.volts, np.zeros(bias.volts.size)])
        array.chip.play(bias, pause, np.array([100e-9, 1e-6]), count)
    held.hold(1.7, 40 * 100e-9, 0.2e-3, 20e-9)
    assert np.median(many.g) > 1.5 * np.median(once.g)
    assert np.median(held.g) == pytest.approx(np.median(once.g), rel=0.1)


@pytest.mark.parametrize(
    ("polarity", "width", "volts"),
    [
        *zip([1] * 5, [100e-9, 200e-9, 1e-6, 100e-6, 1e-3], [1.74, 1.70, 1.61, 1.35, 1.23], strict=True),
        *zip([-1] * 5, [100e-9, 200e-9, 1e-6, 100e-6, 1e-3], [1.84, 1.80, 1.70, 1.43, 1.30], strict=True),
    ],
)
def test_half_of_the_window_in_one_pulse(cells, polarity, width, volts):
    """0.1 of the window is about 35 mV."""
    states = []
    for seed in SEEDS:
        array = cells(64, seed).formed_at(0.0 if polarity > 0 else 1.0)
        array.pulse(polarity * volts, width)
        states.append(array.truth("state"))
    assert np.median(states) == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize("seed", SEEDS)
def test_potentiation_and_depression(cells, seed):
    array = cells(64, seed).formed_at(0.3)
    ends = []
    for _ in range(5):
        array.pulse(1.5, count=100)
        high = array.g
        array.pulse(-1.6, count=100)
        ends.append((high, array.g))
    high, low = np.swapaxes(ends[1:], 0, 1)
    assert np.median(high) == pytest.approx(324e-6, rel=0.2)
    assert np.median(low) == pytest.approx(119e-6, rel=0.25)
    assert 0.02 < np.median(high.std(0, ddof=1) / high.mean(0)) < 0.08
    assert high.mean(0).std(ddof=1) / high.mean() == pytest.approx(0.39, rel=0.35)


def test_single_pulses_and_a_train_move_alike(cells):
    one, many = cells(64, 1).formed_at(0.3), cells(64, 1).formed_at(0.3)
    one.pulse(1.5, count=30)
    for _ in range(30):
        many.pulse(1.5)
    assert np.median(one.g) == pytest.approx(np.median(many.g), rel=0.03)


@pytest.mark.parametrize(
    ("volts", "state", "median"), [(0.75, 0.0, 0.010), (-0.8, 1.0, -0.032), (0.9, 0.0, 0.17), (-1.0, 1.0, -0.35)]
)
def test_disturb_by_half_selects(cells, volts, state, median):
    """1e5 pulses of 200 ns at half of 1.5/−1.6 V and of 1.8/−2.0 V."""
    moves = []
    for seed in (1, 2):
        array = cells(64, seed).formed_at(state)
        before = array.g
        array.pulse(volts, count=100_000)
        moves.append(array.g / before - 1)
    assert np.median(moves) == pytest.approx(median, rel=0.4, abs=0.005)
    assert np.quantile(np.abs(moves), 0.99) > 2 * abs(median)  # a few cells pay for all


def test_a_third_and_reads_move_less_than_their_noise(cells):
    for volts, state in ((0.5, 0.0), (-0.53, 1.0)):
        array = cells(64, 1).formed_at(state)
        before = array.g
        array.pulse(volts, count=100_000)
        assert np.median(np.abs(array.g / before - 1)) < 2e-3
    array = cells(64, 1).formed_at(np.linspace(0, 1, 64)[:, None])
    before = array.g
    array.hold(0.2, 1.0)
    assert np.abs(array.g / before - 1).max() < 5e-3


def test_read_noise_follows_its_law(cells):
    quiet = {"retention__drift": 0.0, "retention__weak_sd": 0.0, "retention__strong_sd": 0.0}
    traps = {"fluctuation__one_trap_fraction": 0.0, "fluctuation__two_trap_fraction": 0.0}
    array = cells(64, 1, **quiet, **traps).formed_at(np.linspace(-0.2, 1.2, 64)[:, None])
    reads = np.array([array.noisy(1e5) for _ in range(400)])
    quiet = array.chip.solve(array.bias(0.2)).source_amps[:-1]
    ohms = 0.2 / quiet
    percent = 100 * reads.std(0, ddof=1) / quiet
    law = 1.672e-5 * ohms + 0.0665
    # A source of 20 Ω and 180 Ω in the cell take a little of the noise away.
    assert np.median(percent / law) == pytest.approx(1.0, abs=0.12)
    np.testing.assert_allclose(percent / law, 0.95, atol=0.25)


def test_overvoltage_and_overcurrent_break_cells_and_half_selects_do_not(cells):
    array = cells(64, 1).formed_at(0.0)
    array.pulse(4.5, 1e-6)
    kind = array.truth("kind")
    assert (kind != 0).mean() > 0.9
    assert {1, 3} == set(kind[kind != 0])
    assert np.median(array.truth("conductance")[kind == 3]) > 3e-3

    array = cells(64, 1).formed_at(1.0)
    array.hold(2.0, 1.0)  # a second at milliamperes, no limit
    assert array.truth("stuck").mean() > 0.9

    array = cells(64, 1).formed_at(0.5)
    for volts in (0.75, -0.8):
        array.hold(volts, 10.0)
        array.pulse(volts, count=1_000_000)
    assert not array.truth("stuck").any()
    assert array.truth("stress").max() < 1e-3


def test_forming_without_a_limit_costs_cells(cells):
    array = cells(64, 1)
    staircase(array, np.inf, stop=2.6)
    assert array.truth("stuck").mean() > 0.5
    careful = cells(64, 1)
    staircase(careful, 300e-6, stop=2.6)
    assert not careful.truth("stuck").any()


def test_the_window_closes_before_cells_wear_out(cells):
    array = cells(32, 1, wear__median_cycles=20.0, wear__ln_sd=0.1).formed_at(0.5)
    alike = cells(32, 1, wear__median_cycles=1e9).formed_at(0.5)

    def window(each):
        ends = []
        for volts in (-2.4, 2.4):
            each.pulse(volts, count=30)
            ends.append(each.truth("state"))
        return ends

    for _ in range(4):
        for each in (array, alike):
            low, high = window(each)
            if each is array:
                worn = array.truth("wear_cycles") / array.truth("endurance_cycles")
                seen = low, high
    healthy = ~array.truth("stuck")
    assert healthy.mean() > 0.9
    assert 0.1 < np.median(worn) < 0.9
    rise, fall = seen[0] - low, high - seen[1]
    assert np.median((rise / (0.3 * worn**0.5))[healthy]) == pytest.approx(1.0, abs=0.25)
    assert np.median((fall / (0.1 * worn**0.5))[healthy]) == pytest.approx(1.0, abs=0.6)
    for _ in range(250):
        array.pulse(2.1)
        array.pulse(-2.2)
    assert (array.truth("kind") == 2).mean() > 0.9
