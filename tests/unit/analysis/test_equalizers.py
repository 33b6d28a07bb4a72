"""Equalizers that need no network, against theory: error rates of an ideal line, Wiener's filter, all sequences."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr

from xbarlab.analysis.networks.bit_errors import ErrorCount, bit_errors, bursts, eye_opening
from xbarlab.analysis.networks.equalizers import lms, most_likely, sliced, tuned_lms
from xbarlab.protocols.training.tasks.line_channel import LEVELS, LineChannel, receive

NRZ, PAM4 = np.array(LEVELS["nrz"]), np.array(LEVELS["pam4"])


@pytest.mark.parametrize(
    ("levels", "sigma", "wrong"), [(NRZ, 0.5, ndtr(-2.0)), (PAM4, 1.0 / 6.0, 2 * 3 / 4 * ndtr(-2.0))]
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_errors_of_an_ideal_line_are_those_of_gaussian_noise(
    levels: Any, sigma: float, wrong: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    symbols = rng.integers(len(levels), size=(50, 4000))
    samples = levels[symbols] + sigma * rng.standard_normal(symbols.shape)
    spread = 4.0 * np.sqrt(wrong / symbols.size)
    half = symbols[:25], samples[:25]
    filtered = lms(half[1], half[0], levels, forward=1, feedback=0, ahead=0, step=0.003).decide(samples, symbols)
    for decided in (sliced(samples, levels), most_likely(samples, levels), filtered):
        assert (decided != symbols).mean() == pytest.approx(wrong, abs=spread)
        found = bit_errors(decided, symbols, len(levels)).rate()
        # Neighbours differ in one bit; to err by two levels takes six sigmas.
        assert found.value == pytest.approx(wrong / np.log2(len(levels)), abs=spread)


@pytest.mark.parametrize("feedback", [0, 2])
def test_lms_comes_to_what_least_squares_finds(feedback: int) -> None:
    channel = LineChannel("nrz", 1.0, 0.0)
    found = receive(channel, 14.0, (20, 5000), np.random.default_rng(3))
    forward, ahead = 8, 5
    equalizer = lms(found.samples, found.symbols, NRZ, forward=forward, feedback=feedback, ahead=ahead, step=0.003)
    sent = NRZ[found.symbols]
    inner = slice(forward, -forward)
    n = found.symbols.shape[1]
    columns = [np.roll(found.samples, j - ahead, axis=1)[:, inner] for j in range(forward)]
    columns += [np.roll(sent, 1 + j, axis=1)[:, inner] for j in range(feedback)]
    design = np.stack([*columns, np.ones((20, n - 2 * forward))], -1).reshape(-1, forward + feedback + 1)
    best = np.linalg.lstsq(design, sent[:, inner].ravel(), rcond=None)[0]
    wanted = sent[:, inner].ravel()
    best *= np.mean(wanted**2) / np.mean(design @ best * wanted)
    np.testing.assert_allclose(equalizer.forward, best[:forward], atol=0.05)
    np.testing.assert_allclose(equalizer.feedback, best[forward:-1], atol=0.05)


@pytest.mark.parametrize(("modulation", "symbol_rate", "n"), [("nrz", 1.0, 7), ("nrz", 1.25, 5), ("pam4", 1.0, 3)])
def test_the_most_likely_sequence_is_the_best_of_all(modulation: Any, symbol_rate: float, n: int) -> None:
    channel = LineChannel(modulation, symbol_rate, 0.8)
    reach = len(channel.taps()) // 2
    rng = np.random.default_rng(4)
    found = receive(channel, 6.0, (12, n), rng)
    every = np.array(list(product(range(len(channel.levels)), repeat=n + 2 * reach)))
    clean = channel.clean(every)
    nearest = ((clean[None] - found.samples[:, None]) ** 2).sum(-1).argmin(1)
    np.testing.assert_array_equal(most_likely(found.samples, channel.states()), every[nearest][:, reach : reach + n])


@pytest.mark.parametrize("seed", range(3))
def test_on_a_line_with_echoes_the_order_is_mlse_dfe_ffe(seed: int) -> None:
    channel, rng = LineChannel("nrz", 1.0, 0.5), np.random.default_rng(seed)
    parts = [receive(channel, 12.0, (10, 2000), rng) for _ in range(3)]
    training, validation, test = ((one.samples, one.symbols) for one in parts)
    inner = slice(32, -32)

    def wrong(decided: Any) -> float:
        return float((decided != test[1])[:, inner].mean())

    rates = [wrong(most_likely(test[0], channel.states()))]
    for feedback in (2, 0):
        best = tuned_lms(training, validation, NRZ, forward=(8,), feedback=(feedback,), steps=(0.01,))
        rates.append(wrong(best.decide(*test)))
        if feedback:
            assert wrong(best.decide(*test, true_feedback=True)) < 0.7 * rates[-1], "errors that are fed back go on"
    assert 4 * rates[0] < rates[1]
    assert 3 * rates[1] < rates[2]


def test_neighbouring_levels_differ_in_one_bit() -> None:
    sent = np.array([[0, 1, 2, 3]])
    assert bit_errors(np.array([[1, 2, 3, 2]]), sent, 4).total == 4
    assert bit_errors(np.array([[0, 1, 2, 3]]), sent, 4).total == 0
    assert bit_errors(np.array([[2, 1, 2, 3]]), sent, 4).total == 2
    assert bit_errors(np.array([[1, 0]]), np.array([[0, 1]]), 2).total == 2


def test_too_few_errors_are_a_bound() -> None:
    none = ErrorCount(np.zeros(100, np.int64), np.full(100, 1000))
    assert not none.measured
    assert none.rate().value == 0.0
    assert 3e-5 < none.rate().high < 4e-5
    many = ErrorCount(np.arange(100), np.full(100, 1000))
    assert many.measured
    alone = ErrorCount(np.full(100, 50), np.full(100, 1000))
    assert many.rate().high - many.rate().low > 2 * (alone.rate().high - alone.rate().low), "streams differ"


def test_a_burst_ends_when_nothing_wrong_is_fed_back_any_more() -> None:
    wrong = np.zeros((2, 20), dtype=np.bool_)
    wrong[0, [2, 3, 6, 10]] = True
    wrong[0, 19] = wrong[1, 0] = True
    lengths, streams = bursts(wrong, 2)
    assert lengths.tolist() == [5, 1, 1, 1]
    assert streams.tolist() == [0, 0, 0, 1]
    assert bursts(np.zeros((2, 5), dtype=np.bool_), 2)[0].size == 0


def test_an_eye_is_as_open_as_what_lies_between_its_levels() -> None:
    rng = np.random.default_rng(0)
    symbols = rng.integers(2, size=40_000)
    values = NRZ[symbols] + rng.uniform(-0.5, 0.5, symbols.size)
    assert eye_opening(values, symbols, NRZ) == pytest.approx(0.51, abs=0.02)
    assert eye_opening(values + rng.standard_normal(symbols.size), symbols, NRZ) < 0.0
