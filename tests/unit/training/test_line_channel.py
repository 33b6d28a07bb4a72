"""The line of the equalizers: its equations, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xbarlab.common.errors import RefusedError
from xbarlab.protocols.training.tasks.equalization import MARGIN, EqualizerTask
from xbarlab.protocols.training.tasks.line_channel import ECHOES, LineChannel, check_snr, receive


def test_at_rate_1_the_samples_are_those_of_the_published_channel() -> None:
    channel = LineChannel("pam4", 1.0, 0.0)
    np.testing.assert_allclose(channel.taps(), ECHOES, atol=1e-12)
    symbols = np.random.default_rng(0).integers(4, size=50)
    np.testing.assert_allclose(channel.clean(symbols), np.convolve(channel.levels[symbols], ECHOES, "valid"))


@pytest.mark.parametrize("symbol_rate", [0.5, 0.75, 1.0, 1.25, 1.6, 2.0])
def test_taps_are_square_pulses_met_by_a_receiver_that_integrates_over_a_symbol(symbol_rate: float) -> None:
    channel = LineChannel("nrz", symbol_rate, 0.0)
    steps = 400
    at = (np.arange(-6 * steps, 6 * steps) + 0.5) / steps
    for phase in (0.0, -0.5, 0.3):
        taps = channel.taps(phase)
        reach = len(taps) // 2
        for n, tap in zip(range(-reach, reach + 1), taps, strict=True):
            wave: Any = sum(echo * (np.abs(at - (k - 1) * symbol_rate + n) < 0.5) for k, echo in enumerate(ECHOES))
            assert tap == pytest.approx(wave[np.abs(at - phase) < 0.5].mean(), abs=4e-3)
        assert taps.sum() == pytest.approx(sum(ECHOES)), "no echo is cut off"


def test_half_a_symbol_late_is_half_a_symbol_early_of_the_next() -> None:
    channel = LineChannel("nrz", 1.25, 0.5)
    symbols = np.random.default_rng(1).integers(2, size=60)
    late, early = channel.clean(symbols, 0.5), channel.clean(symbols, -0.5)
    np.testing.assert_allclose(late[:-1], early[1:])


def test_the_receiver_saturates() -> None:
    channel = LineChannel("nrz", 1.0, 0.5)
    small = np.array([1e-4, -1e-4])
    np.testing.assert_allclose(channel.compress(small), small, rtol=1e-6)
    assert channel.states().max() == pytest.approx(np.tanh(0.5 * sum(ECHOES)) / 0.5)
    assert LineChannel("nrz", 1.0, 0.0).states().max() == pytest.approx(sum(ECHOES))


@pytest.mark.parametrize("modulation", ["nrz", "pam4"])
def test_noise_is_as_strong_as_the_ratio_says(modulation: Any) -> None:
    channel = LineChannel(modulation, 1.25, 0.5)
    rng = np.random.default_rng(2)
    loud = receive(channel, 10.0, (20, 20_000), rng).samples
    quiet = receive(channel, 50.0, (20, 20_000), rng).samples
    signal = np.mean(quiet**2) / (1 + 1e-5)
    assert np.mean(loud**2) / signal == pytest.approx(1.1, abs=0.01)
    assert signal == pytest.approx(np.mean(channel.states() ** 2), rel=0.01)


def test_a_window_holds_the_samples_around_its_symbol() -> None:
    task = EqualizerTask(LineChannel("nrz", 1.0, 0.0), window=5, ahead=2, decisions=3)
    found = task.streams(50.0, (4, 30), np.random.default_rng(3))
    assert found.windows.shape == (4, 30, 5)
    for k in (0, 17, 29):
        around = found.samples[:, MARGIN + k - 2 : MARGIN + k + 3] / task.unit(50.0)
        np.testing.assert_allclose(found.windows[:, k], around, rtol=1e-5)
    # At rate 1 a sample is the sum of its own symbol and its neighbours.
    sent = task.channel.levels[found.sent]
    np.testing.assert_allclose(
        found.windows[:, 0, 2] * task.unit(50.0),
        sent[:, MARGIN - 1 : MARGIN + 2] @ np.array(ECHOES),
        atol=0.03,
    )
    np.testing.assert_array_equal(found.fed[:, 3:], found.symbols)
    np.testing.assert_array_equal(found.known, found.sent[:, MARGIN - 3 : MARGIN])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: LineChannel("pam8"), "unknown modulation 'pam8'.*nrz.*pam4"),  # pyright: ignore[reportArgumentType]
        (lambda: LineChannel("nrz", 3.0), "symbol rate of 3 is outside 0.5 to 2"),
        (lambda: LineChannel("nrz", 1.0, -1.0), "drive of -1 is outside 0"),
        (lambda: check_snr(80.0), "SNR of 80 dB is outside -10 to 50 dB"),
        (lambda: check_snr(float("nan")), "SNR of nan dB is outside"),
        (lambda: EqualizerTask(LineChannel(), window=0, ahead=0), "window of 0 samples is outside 1 to"),
        (lambda: EqualizerTask(LineChannel(), window=4, ahead=4), "give ahead 0 to 3"),
        (lambda: EqualizerTask(LineChannel(), decisions=-1), "-1 past decisions are outside"),
    ],
)
def test_what_no_line_has_is_refused_in_a_sentence(make: Any, says: str) -> None:
    with pytest.raises(RefusedError, match=says):
        make()
