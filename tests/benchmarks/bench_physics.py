"""Cost of the physics of a 128×64 array, one thread: ``pytest tests/benchmarks/bench_physics.py``.

Aims: 1.5 ms per pulse when every cell switches, 0.4 ms when all are half-selected, 0.5 ms for a noisy read.
"""

from __future__ import annotations

import numpy as np
import pytest

from xbarlab.mockhw.chip.profile import load_profile, make_model
from xbarlab.mockhw.device_models.base import DeviceModel

CELLS = np.arange(8192)
ONE = np.ones(8192)
COUNT = np.ones(8192, np.int64)
WIDTH = 500e-9 * ONE
WIRE = 20.0 * ONE


@pytest.fixture(scope="module", params=["ta_hfo2_1t1r", "hfo2_1t1r"])
def model(request: pytest.FixtureRequest) -> DeviceModel:
    model = make_model(load_profile(request.param), 8192, seed=1)
    model.assume_formed(100e-6)  # type: ignore[attr-defined]
    reset(model)
    set_(model)
    return model


def reset(model: DeviceModel) -> None:
    model.pulse(CELLS, -1.7 * ONE, WIDTH, 5.0 * ONE, COUNT, WIRE, 0.0)


def set_(model: DeviceModel) -> None:
    model.pulse(CELLS, 2.5 * ONE, WIDTH, 2.0 * ONE, COUNT, WIRE, 0.0)


def test_every_cell_sets(benchmark, model):
    benchmark.pedantic(set_, setup=lambda: ((reset(model), (model,))[1], {}), rounds=100)


def test_every_cell_resets(benchmark, model):
    benchmark.pedantic(reset, setup=lambda: ((set_(model), (model,))[1], {}), rounds=100)


def test_all_half_selected_by_the_gate(benchmark, model):
    benchmark(lambda: model.pulse(CELLS, 2.5 * ONE, WIDTH, 0.0 * ONE, COUNT, WIRE, 0.0))


def test_one_row_of_sixty_four(benchmark, model):
    volts = np.where(CELLS < 64, 2.5, 0.0)
    benchmark(lambda: model.pulse(CELLS, volts, WIDTH, 1.2 * ONE, COUNT, WIRE, 0.0))


@pytest.mark.parametrize("gap", [0.0, 1e-4, 1e-2], ids=["at_once", "every_100us", "every_10ms"])
def test_noisy_read(benchmark, model, gap):
    now = 1.0

    def read() -> None:
        nonlocal now
        now += gap
        g = model.conductance(CELLS, 0.2, 5.0, now)
        model.noise(CELLS, g, 1, now)

    benchmark(read)


def test_noise_sigma(benchmark, model):
    g = model.conductance(CELLS, 0.2, 5.0, 1.0)
    benchmark(lambda: model.noise_sigma(CELLS, g))


def test_sweep_of_150_points(benchmark, model):
    volts = np.linspace(0.01, 1.5, 150)
    benchmark(lambda: model.sweep(0, volts, 1e-3, 1.2, 1e-3, 0.0, 0.0))
