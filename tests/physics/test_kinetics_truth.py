"""The kinetics that the step measures are those of the mock's physics, by Monte Carlo with all instruments left out."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from xbarlab import FormingPlan, form, open_bench
from xbarlab.analysis.estimates.boundary import Boundary, switching_boundary
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import PulseMap
from xbarlab.protocols.measure.switching import bring_into
from xbarlab.protocols.measure.switching_kinetics import KineticsPlan, KineticsResult, switching_kinetics

CELLS = 600
REST = 2e-4  # s between pulses, as the board has with the reads between them


def measured(seed: int) -> KineticsResult:
    with open_bench("mock_ta_hfo2", seed=seed) as bench:
        forming = FormingPlan(cells="0:4,0:12", start_volts=1.5, stop_volts=3.3, step_volts=0.05, gate=1.3, width=10e-6)
        form(bench.array, forming)
        return switching_kinetics(bench.array, KineticsPlan(cells="0:4,0:12", set_from=BAND_SET, reset_from=BAND_RESET))


BAND_SET: Any = {"low": 2e-6, "high": 15e-6}
BAND_RESET: Any = {"low": 70e-6, "high": 150e-6}


class Bare:
    """Cells of the model without instruments: reads have no noise, pulses arrive as they are asked for."""

    def __init__(self, chip: Any) -> None:
        self.chip, self.spec = chip, SimpleNamespace(pulse_gate=float)

    def read(self, block: Block, *, average: int = 1) -> Any:
        return SimpleNamespace(conductance=self.chip.read().reshape(block.shape))

    def pulse(self, pulses: PulseMap) -> None:
        cells = np.flatnonzero(np.asarray(pulses.count))
        if cells.size:
            self.chip.pulse(pulses.volts, pulses.gate, pulses.width, cells=cells)
        self.chip.now += REST


def truth(make_chip: Callable[..., Any], result: KineticsResult, side: int) -> Boundary:
    """Return the boundary of many cells of the model, brought into the band and read without noise."""
    grid, plan = result.grids[side], result.plan
    gate, band = (plan.set_gate, plan.set_from) if grid.sign > 0 else (plan.reset_gate, plan.reset_from)
    volts, width = (axis.ravel() for axis in np.meshgrid(grid.volts, grid.width, indexing="ij"))
    switched = np.empty((CELLS, volts.size))
    for point, (v, t) in enumerate(zip(volts, width, strict=True)):
        chip = make_chip("ta_hfo2_1t1r", CELLS, seed=100 + point)
        for step in range(37):
            chip.pulse(1.5 + 0.05 * step, 1.3, 10e-6, cells=np.flatnonzero(chip.read() < 2e-5))
        bare: Any = Bare(chip)
        ready = bring_into(bare, Block(0, 1, 0, CELLS), chip.healthy[None], band, None, swing=grid.sign)[0]
        before = chip.read()
        chip.pulse(grid.sign * v, gate, t)
        switched[:, point] = np.where(ready, grid.sign * np.log(chip.read() / before) >= np.log(plan.factor), np.nan)
    return switching_boundary(volts, width, switched, reference=1e-6)


@pytest.mark.slow
def test_volts_and_volts_per_decade_are_those_of_the_physics(make_chip: Callable[..., Any]) -> None:
    held: list[bool] = []
    volts: dict[str, list[float]] = {"set": [], "reset": []}
    for seed in range(1, 6):
        result = measured(seed)
        for side, name in enumerate(("set", "reset")):
            true, found = truth(make_chip, result, side), result.metrics()
            low, high = (found[f"{name}_volts_per_decade_ci95_{end}"] for end in ("low", "high"))
            held.append(low <= true.per_decade.value <= high)
            volts[name].append(found[f"{name}_volts_1us"] / true.volts.value - 1.0)
    assert sum(held) >= 7  # of 10; 95 % intervals hold in fewer once in a thousand such tests
    # Where in its band a cell starts is not the same through instruments: 7 mV of 930 mV, measured.
    assert all(abs(np.mean(errors)) < 0.02 for errors in volts.values())
