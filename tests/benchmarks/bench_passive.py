"""Cost of a passive 8×8 chip, one thread: ``pytest tests/benchmarks/bench_passive.py``.

Aims: 0.1 ms per solution, 0.5 ms per sweep point, 0.25 ms per 200 ns pulse, 0.1 ms when it only half-selects.
"""

from __future__ import annotations

import numpy as np
import pytest

from xbarlab.mockhw.chip.profile import load_profile
from xbarlab.mockhw.passive_chip.chip import Bias, PassiveChip
from xbarlab.mockhw.sim_clock import SimClock

WIDTH = np.array([200e-9, 1e-6])


def tied(volts: float, others: float | None = 0.0, limit: float = np.inf, delay: float = 0.0) -> Bias:
    """Row 3 against column 4; all other lines at ``others`` [V], floating if None."""
    source = np.full(16, -1 if others is None else 2)
    source[[3, 12]] = [0, 1]
    return Bias(
        source,
        np.full(16, 2.0),
        np.array([volts, 0.0, others or 0.0]),
        np.array([10.0, 0.05, 0.05]),
        np.array([limit, np.inf, np.inf]),
        np.array([delay, 0.0, 0.0]),
    )


@pytest.fixture
def chip() -> PassiveChip:
    chip = PassiveChip(load_profile("tio2_passive"), seed=1, clock=SimClock())
    chip.assume_formed(0.3)
    return chip


@pytest.mark.parametrize("others", [0.1, None], ids=["others driven", "others floating"])
def test_solve(benchmark, chip, others):
    benchmark(chip.solve, tied(0.2, others))


def test_measure(benchmark, chip):
    benchmark(chip.measure, tied(0.2, 0.0))


def test_hold_at_read_voltage(benchmark, chip):
    benchmark(chip.hold, tied(0.2, 0.0), 1e-3)


def test_sweep_points(benchmark, chip):
    """One round: 130 points to +1.3 V and back, 0.65 mA; −1.3 V and back: 260 points."""
    up = np.linspace(0.02, 1.3, 65)
    points = np.concatenate([up, up[::-1], -up, -up[::-1]])

    def sweep() -> None:
        for volts in points:
            bias = tied(float(volts), None, limit=0.65e-3 if volts > 0 else np.inf)
            chip.hold(bias, 10e-3)
            chip.measure(bias)

    benchmark.pedantic(sweep, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("scheme", ["half", "floating"])
def test_pulses_up_and_down(benchmark, chip, scheme):
    """One round: 50 SET and 50 RESET pulses of 200 ns, each with a pause of 1 µs."""

    def train() -> None:
        for volts in [1.5] * 50 + [-1.6] * 50:
            others = volts / 2 if scheme == "half" else None
            chip.play(tied(volts, others), np.array([[volts, 0.0, others or 0.0], [0.0, 0.0, 0.0]]), WIDTH, 1)

    benchmark.pedantic(train, rounds=10, warmup_rounds=1)


def test_pulse_that_only_half_selects(benchmark, chip):
    benchmark(chip.play, tied(0.8), np.array([[0.8, 0.0, 0.0], [0.0, 0.0, 0.0]]), WIDTH, 1)


def test_a_train_of_1e5_half_selects(benchmark, chip):
    benchmark(chip.play, tied(0.8), np.array([[0.8, 0.0, 0.0], [0.0, 0.0, 0.0]]), WIDTH, 100_000)


def test_forming_staircase(benchmark):
    def fresh():
        return (PassiveChip(load_profile("tio2_passive"), seed=1, clock=SimClock()),), {}

    def form(chip: PassiveChip) -> None:
        for volts in np.arange(1.0, 2.4, 0.02):
            chip.hold(tied(float(volts), None, limit=100e-6, delay=20e-9), 10e-3)

    benchmark.pedantic(form, setup=fresh, rounds=5, warmup_rounds=1)
