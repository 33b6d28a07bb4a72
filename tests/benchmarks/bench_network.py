"""Cost of wires and of the chip around its cells, 128 × 64; run by naming this file to pytest.

The cells here are free (fixed conductances), so that what is timed is the network; the physics has its own
benchmark. ``test_default_profile_*`` adds the shipped cells.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from xbarlab.mockhw.chip.crossbar_network import effective_conductance
from xbarlab.mockhw.chip.virtual_chip import VirtualChip
from xbarlab.mockhw.sim_clock import SimClock

ROWS, COLS = 128, 64
SIZE = ROWS * COLS
CELLS = np.arange(SIZE)


class FreeCells:
    """Answers at once: 2 to 300 µS, saturating at 150 µA in pulses."""

    size = SIZE

    def __init__(self) -> None:
        self.g = np.random.default_rng(0).uniform(2e-6, 3e-4, SIZE)
        self.one_percent = 0.01 * self.g

    def pulse(self, *_: Any) -> None:
        pass

    def pulse_current(self, cells: Any, volts: Any, gate: Any, series: Any) -> Any:
        current = volts * self.g[cells]
        return current / (1.0 + np.abs(current) / 1.5e-4)

    def conductance(self, cells: Any, volts: float, gate: float, now: float) -> Any:
        return self.g[cells]

    def noise(self, cells: Any, *_: Any) -> Any:
        return self.one_percent[cells]

    def noise_sigma(self, cells: Any, *_: Any) -> Any:
        return self.one_percent[cells]


def free_chip() -> VirtualChip:
    wiring = SimpleNamespace(row_segment=1.0, col_segment=1.0, driver=10.0, sense=10.0)
    profile: Any = SimpleNamespace(name="free", rows=ROWS, cols=COLS, cell="1T1R", gate_axis="col", wiring=wiring)
    model: Any = FreeCells()
    return VirtualChip(profile, seed=0, clock=SimClock(), model=model)


def default_chip() -> VirtualChip:
    from xbarlab.mockhw.chip.profile import load_profile

    return VirtualChip(load_profile("ta_hfo2_1t1r"), seed=0, clock=SimClock())


def whole_map(chip: VirtualChip, volts: float, gate: float) -> None:
    ones = np.ones(SIZE)
    chip.pulse(CELLS // COLS, CELLS, volts * ones, 5e-7 * ones, gate * ones, ones.astype(np.int64))


def test_effective_conductance(benchmark: Any) -> None:
    g = FreeCells().g.reshape(ROWS, COLS)
    benchmark(effective_conductance, g, row_ohm=1.0, col_ohm=1.0, driver_ohm=10.0, sense_ohm=10.0)


@pytest.mark.parametrize("batch", [1, 32, 256])
@pytest.mark.parametrize("reverse", [False, True])
def test_vmm(benchmark: Any, batch: int, reverse: bool) -> None:
    volts = np.random.default_rng(0).uniform(-0.2, 0.2, (batch, COLS if reverse else ROWS)).astype(np.float32)
    chip = free_chip()
    benchmark(chip.vmm, volts, 5.0, reverse=reverse)


def test_read(benchmark: Any) -> None:
    chip = free_chip()
    benchmark(chip.read, slice(None), slice(None), 0.2, 5.0, 1)


def test_pulse_whole_map(benchmark: Any) -> None:
    chip = free_chip()
    benchmark(whole_map, chip, 2.5, 1.2)


def test_default_profile_read(benchmark: Any) -> None:
    chip = default_chip()
    benchmark(chip.read, slice(None), slice(None), 0.2, 5.0, 1)


def test_default_profile_vmm(benchmark: Any) -> None:
    chip = default_chip()
    volts = np.full((256, ROWS), 0.2, np.float32)
    benchmark(chip.vmm, volts, 5.0, reverse=False)


@pytest.mark.parametrize("volts", [2.5, -1.7])
def test_default_profile_pulse(benchmark: Any, volts: float) -> None:
    chip = default_chip()
    benchmark.pedantic(whole_map, (chip, volts, 1.2), rounds=20, warmup_rounds=2)
