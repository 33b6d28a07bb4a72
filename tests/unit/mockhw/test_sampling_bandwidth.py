"""Bandwidth and noise floor of a sampled trace belong to the instrument, not to the cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from xbarlab.mockhw.bench.bench import forget_bench, fresh_bench
from xbarlab.mockhw.instruments.array_board.adc import filtered
from xbarlab.mockhw.instruments.array_board.reads import ReadUnit
from xbarlab.mockhw.instruments.array_board.spec import BoardSpec

STATIONS = Path(__file__).parents[3] / "runbooks" / "stations"
SPEC = BoardSpec(rows=4, cols=4, gate_axis="col")
RATE = SPEC.rate_max


class Cell:
    """A chip of which one cell is looked at: the same current, whatever is asked, or what it was given."""

    def __init__(self, current: np.ndarray) -> None:
        self.current = current

    def sample(self, row: int, col: int, volts: float, gate: float, rate: float, count: int) -> np.ndarray:
        return np.resize(self.current, count)


def sample(current: Any, count: int, rate: float = RATE) -> np.ndarray:
    unit = ReadUnit(cast("Any", Cell(np.asarray(current, float))), SPEC, 1)
    return unit.sample((0, 0), 0.2, 5.0, rate, count)


def test_a_step_is_followed_with_the_boards_time_constant():
    step = np.concatenate([np.zeros(10), np.ones(50)])
    seen = filtered(step, RATE, SPEC.sample_bandwidth)
    assert not seen[:10].any()
    samples = np.arange(1, 51)
    np.testing.assert_allclose(seen[10:], 1.0 - np.exp(-2.0 * np.pi * SPEC.sample_bandwidth / RATE * samples))
    assert filtered(np.zeros(0), RATE, 1e4).size == 0


@pytest.mark.parametrize(("rate", "correlation"), [(RATE, np.exp(-0.4 * np.pi)), (1e4, 0.0)])
def test_white_noise_of_a_cell_is_limited_by_the_boards_bandwidth(rate, correlation):
    white = 50e-6 * (1.0 + 0.01 * np.random.default_rng(1).standard_normal(40_000))
    trace = sample(white, white.size, rate)
    trace = trace - trace.mean()
    assert (trace[1:] * trace[:-1]).mean() / trace.var() == pytest.approx(correlation, abs=0.03)
    kept = (1.0 - correlation) / (1.0 + correlation)
    assert trace.var() == pytest.approx((50e-8) ** 2 * kept, rel=0.05)


@pytest.mark.parametrize(("amps", "full_scale"), [(0.5e-6, 1e-6), (50e-6, 1e-4), (0.5e-3, 1e-3)])
def test_a_silent_cell_shows_the_converters_floor(amps, full_scale):
    lsb = full_scale / 2 ** (SPEC.read_bits - 1)
    trace = sample([amps], 4000)
    assert trace.std() == pytest.approx(lsb * (1.0 + 1.0 / 12.0) ** 0.5, rel=0.05)
    assert np.unique(np.round(np.diff(np.unique(trace)) / lsb)).tolist() == [1.0]


def test_a_2450_averages_over_its_conversion(monkeypatch):
    """0.1 line cycles of 50 Hz are 2 ms: the chip is asked for its noise over that time, on any range."""
    path = STATIONS / "mock_tio2.bench.yaml"
    bench = fresh_bench(path)
    try:
        assert bench.circuit is not None
        asked: list[float | None] = []
        measure = bench.circuit.measure
        monkeypatch.setattr(
            bench.circuit,
            "measure",
            lambda terminal, now, *, aperture=None: asked.append(aperture) or measure(terminal, now, aperture=aperture),
        )
        smu = next(iter(bench.instruments.values()))
        for text in (b'SENS:FUNC "CURR"', b"SENS:CURR:NPLC 0.1", b"SYST:LFR?", b"OUTP ON", b"READ?"):
            smu.receive(text + b"\n")
            if text.endswith(b"?"):
                reply = smu.wait_for_reply()
                assert reply is not None
                if b"LFR" in text:
                    hertz = float(reply)
        assert asked
        assert [each for each in asked if each is not None] == pytest.approx(
            [0.1 / hertz] * sum(a is not None for a in asked)
        )
        assert any(each is not None for each in asked)
    finally:
        forget_bench(path)
