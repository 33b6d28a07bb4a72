"""What the fast paths of wire and noise must not change."""

from __future__ import annotations

import socket

import numpy as np
import pytest

from xbarlab.common.errors import RefusedError
from xbarlab.instruments.board.rules import RULES
from xbarlab.instruments.limits import Limits
from xbarlab.instruments.wire.command_guard import CommandGuard
from xbarlab.instruments.wire.ports import Eagerness as DriverEagerness
from xbarlab.mockhw.chip.array_product import ArrayProduct
from xbarlab.mockhw.chip.normal_stream import NormalStream
from xbarlab.mockhw.front_ends.eagerness import Eagerness as HostEagerness
from xbarlab.mockhw.instruments.array_board.adc import OVERFLOW, Converters, codes_to_volts


def test_normals_walk_along_numpys_sfc64() -> None:
    stream = NormalStream([7, 1])
    reference = np.random.SFC64([7, 1])
    stream.draw(4 * 25)
    stream.draw(3)  # the rest of a draw is not kept
    reference.random_raw(26)
    np.testing.assert_array_equal(stream.state(), reference.state["state"]["state"])


def test_normals_have_the_tails_of_a_normal() -> None:
    numbers = NormalStream(3).draw(4_000_000).astype(float)
    assert numbers.std() == pytest.approx(1.0, abs=2e-3)
    assert (numbers**4).mean() / numbers.var() ** 2 == pytest.approx(3.0, abs=0.02)
    assert (np.abs(numbers) > 3.0).mean() == pytest.approx(2.6998e-3, rel=0.04)
    assert (np.abs(numbers) > 4.0).mean() == pytest.approx(6.334e-5, rel=0.25)


@pytest.mark.parametrize("sigma_lsb", [0.0, 2.0])
def test_one_draw_serves_chip_and_converter(sigma_lsb: float) -> None:
    bits, full_scale = 14, 1e-2
    bank = Converters((full_scale,), bits, 5, [1])
    lsb = full_scale / 2 ** (bits - 1)
    mean = np.full((20_000, 5), 100.25 * lsb, dtype=np.float32)
    variance = np.full_like(mean, (sigma_lsb * lsb) ** 2)
    codes, over = bank.codes(mean, variance, 0)
    assert not over
    measured = codes / 32767.0 * full_scale / lsb
    # converter noise of 1 LSB, quantisation of 1/√12 LSB
    assert measured.std(axis=0) == pytest.approx(np.sqrt(sigma_lsb**2 + 1.0 + 1.0 / 12.0), rel=0.03)
    assert measured.mean(axis=0) == pytest.approx(100.25, abs=1.5)


@pytest.mark.parametrize("bent", [False, True])
@pytest.mark.parametrize("shape", [(128, 64), (64, 128), (24, 24), (256, 256)])
def test_a_vector_has_the_same_product_alone_and_among_others(shape: tuple[int, int], bent: bool) -> None:
    rng = np.random.default_rng(0)
    weight = rng.uniform(0, 2e-4, shape).astype(np.float32)
    cubic = (0.1 * weight if bent else np.empty((0, 0))).astype(np.float32)
    product = ArrayProduct(5.0, weight, weight * weight, cubic)
    volts = rng.uniform(-0.3, 0.3, (300, shape[0])).astype(np.float32)
    mean, variance = product.moments(volts)
    for start, size in ((0, 1), (7, 1), (299, 1), (0, 2), (5, 33), (100, 150)):
        some_mean, some_variance = product.moments(volts[start : start + size])
        np.testing.assert_array_equal(some_mean, mean[start : start + size])
        np.testing.assert_array_equal(some_variance, variance[start : start + size])


def test_overflow_is_reported_and_marked() -> None:
    bank = Converters((1e-4,), 14, 3, [1])
    codes, over = bank.codes(np.array([[0.0, 2e-4, -2e-4]], np.float32), np.zeros((1, 3), np.float32), 0)
    assert over
    assert list(codes[0] == OVERFLOW) == [False, True, True]


@pytest.mark.parametrize("shift", [0, 1])
def test_codes_are_read_from_any_address(shift: int) -> None:
    codes = np.array([-32768, -1967, -1, 0, 1, 1966, 32767], dtype="<i2")
    block = memoryview(b"x" * shift + codes.tobytes())[shift:]
    volts, bad = codes_to_volts(block, 1.5e-4, 1966)
    np.testing.assert_allclose(volts, codes * 1.5e-4, rtol=1e-6)
    assert bad == 0
    assert codes_to_volts(block[2:], 1.5e-4, 1966)[1] == 0
    assert codes_to_volts(block[4:-2], 1.5e-4, 1966)[1] == -1


@pytest.mark.parametrize("header", ["SOUR:READ:VOLT", ":SOURce:READ:VOLTage", "sour:read:volt"])
def test_a_header_that_passed_once_is_still_judged(header: str) -> None:
    guard = CommandGuard(RULES, Limits)
    for volts in (0.1, 0.11, -0.12):
        guard.check(f"{header} {volts}")
    for bad in ("6.0", "-6", "1e9", "1e999", "nan", "-inf", "0.1 kV", "6;:OUTP ON", "#10"):
        with pytest.raises(RefusedError):
            guard.check(f"{header} {bad}")


def test_a_header_that_is_never_text_stays_refused() -> None:
    guard = CommandGuard(RULES, Limits)
    for _ in range(2):
        with pytest.raises(RefusedError):
            guard.check("PULS:MAP 1")


@pytest.mark.parametrize("kind", [DriverEagerness, HostEagerness])
def test_looking_in_vain_makes_less_eager(kind: type[DriverEagerness] | type[HostEagerness]) -> None:
    here, there = socket.socketpair()
    with here, there:
        eager = kind()
        assert not eager.finds(here)
        there.send(b"x")
        sleeps = 0
        while not eager.finds(here):
            sleeps += 1
            assert sleeps < 10
        assert sleeps == 4
