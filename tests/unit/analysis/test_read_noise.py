"""Spectra, telegraph noise and floors from generated traces whose exponent, levels and times are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from xbarlab.analysis.estimates.spectra import converter_step, power_law, spectrum
from xbarlab.analysis.estimates.telegraph import two_levels
from xbarlab.analysis.measurements.read_noise import NoiseTraces, noise_figure, noise_metrics, noise_table
from xbarlab.analysis.plots.plots import png_bytes

RATE, POINTS = 1000.0, 8000


def flicker(rng: np.random.Generator, exponent: float) -> np.ndarray:
    """Return noise of variance 1 whose spectrum is f^−exponent."""
    f = np.fft.rfftfreq(4 * POINTS)
    f[0] = f[1]
    x = np.fft.irfft((rng.normal(size=f.size) + 1j * rng.normal(size=f.size)) * f ** (-0.5 * exponent))[:POINTS]
    return x / x.std()


def telegraph(rng: np.random.Generator, low: float, high: float) -> np.ndarray:
    """Return samples, 0 and 1, of a chain that stays ``low`` and ``high`` seconds on average."""
    both = 1.0 / low + 1.0 / high
    keep, occupied = np.exp(-both / RATE), low**-1 / both
    state, out = rng.random() < occupied, np.empty(POINTS)
    for n, chance in enumerate(rng.random(POINTS)):
        out[n] = state = chance < occupied + (state - occupied) * keep
    return out


@pytest.mark.parametrize(("exponent", "white"), [(1.0, 0.0), (1.0, 0.5), (1.4, 0.5)])
def test_the_exponent_is_found_with_and_without_white_noise(exponent: float, white: float) -> None:
    held, values = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        seen = spectrum(flicker(rng, exponent) + white * rng.normal(size=POINTS), RATE).inside((0.5, 250.0))
        found = power_law(seen).exponent
        held.append(found.low <= exponent <= found.high)
        values.append(found.value)
    assert np.mean(held) >= 0.75
    assert np.median(values) == pytest.approx(exponent, abs=0.08)


def test_white_noise_has_no_exponent_and_its_own_power() -> None:
    for seed in range(5):
        law = power_law(spectrum(np.random.default_rng(seed).normal(0.0, 2.0, POINTS), RATE))
        assert np.isnan(law.exponent.value)
        assert law.white == pytest.approx(4.0 / (0.5 * RATE), rel=0.1)
        assert law.power([1.0, 10.0]) == pytest.approx(law.white)


@pytest.mark.parametrize(("low", "high"), [(0.05, 0.1), (0.02, 0.02)])
@pytest.mark.parametrize("pink", [False, True])
def test_levels_and_times_of_a_telegraph_are_found(low: float, high: float, pink: bool) -> None:
    steps, lows, highs = [], [], []
    for seed in range(7):
        rng = np.random.default_rng(seed)
        noise = flicker(rng, 1.0) if pink else rng.normal(size=POINTS)
        found = two_levels(10.0 + 4.0 * telegraph(rng, low, high) + noise, RATE)
        assert found.preferred
        steps.append(found.high - found.low)
        lows.append(found.stay_low.value / low)
        highs.append(found.stay_high.value / high)
    assert np.median(steps) == pytest.approx(4.0, rel=0.1)
    assert 0.5 < np.median(lows) < 2.0
    assert 0.5 < np.median(highs) < 2.0
    if not pink:
        assert np.median(lows) == pytest.approx(1.0, abs=0.25)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_noise_of_one_level_is_not_taken_for_two(exponent: float) -> None:
    assert not any(two_levels(flicker(np.random.default_rng(seed), exponent), RATE).preferred for seed in range(8))


@pytest.mark.parametrize("values", [[], np.ones(1000), np.full(1000, np.nan), np.arange(50.0)])
def test_what_says_nothing_has_one_level(values: np.ndarray) -> None:
    assert not two_levels(values, RATE).preferred


def test_the_step_of_a_converter_is_seen_through_single_precision() -> None:
    codes = np.random.default_rng(0).integers(9000, 9050, 4000)
    assert converter_step((codes * 3.05e-9).astype(np.float32)) == pytest.approx(3.05e-9, rel=1e-2)
    assert np.isnan(converter_step(np.ones(10)))
    for seed in range(20):
        assert np.isnan(converter_step(np.random.default_rng(seed).normal(size=1000))), "on no grid"


def traces(cells: int, *, relative: float, seed: int = 0, jumping: int = 0) -> NoiseTraces:
    """Return traces of 10 µA on a converter of step 1 nA, its own noise one step; the floor is of a range below."""
    rng = np.random.default_rng(seed)
    step, mean = 1e-9, 1e-5
    signal = mean * (1.0 + relative * rng.normal(size=(cells, POINTS)))
    for cell in range(jumping):
        signal[cell] += 20.0 * relative * mean * telegraph(rng, 0.05, 0.05)
    current = np.round(signal / step + rng.normal(size=signal.shape)) * step
    floor = np.round(rng.normal(size=(cells, 1000))) * 0.1 * step
    return NoiseTraces(volts=0.2, rate=np.full(cells, RATE), current=current, floor=floor, band=(1.0, 250.0))


@pytest.mark.slow
def test_the_floor_of_another_range_is_scaled_and_taken_off_in_quadrature() -> None:
    found = [noise_metrics(traces(7, relative=1e-4, seed=seed)) for seed in range(5)]
    assert np.median([one["read_noise_rel"].value for one in found]) == pytest.approx(1e-4, rel=0.1)
    floor = np.sqrt(1.0 + 1.0 / 12.0) * 1e-4
    assert np.median([one["read_noise_floor_rel"].value for one in found]) == pytest.approx(floor, rel=0.1)
    assert noise_metrics(traces(7, relative=0.0))["read_noise_rel"].value < 3e-5


def test_cells_that_jump_are_counted_and_are_in_no_exponent() -> None:
    found = noise_metrics(traces(6, relative=1e-3, jumping=2))
    assert found["rtn_cell_fraction"].value == pytest.approx(2 / 6)
    assert found["rtn_amplitude_rel"].value == pytest.approx(0.02, rel=0.05)
    assert np.isnan(found["one_over_f_exponent"].value), "the others are white"


@pytest.mark.parametrize(("cells", "jumping"), [(1, 0), (1, 1), (3, 1)])
def test_table_and_figure_take_any_number_of_cells(
    cells: int, jumping: int, warned: Callable[[], list[str]]
) -> None:  # fmt: skip
    one = traces(cells, relative=1e-3, jumping=jumping)
    assert noise_table(one)["rtn"].sum() == jumping
    assert png_bytes(noise_figure(one), 40)
    assert warned() == []
