"""Reads do not write: what many reads do to cells of a model, as a limit that every fit keeps.

No measurement of a fit need say so, and kinetics that creep where a sweep ends would let a read SET a cell.
"""

from __future__ import annotations

import math

import numpy as np

from ...mockhw.device_models.filament.model import FilamentModel
from ...mockhw.device_models.filament.parameters import FilamentParameters
from ...mockhw.device_models.quantity import Quantity
from .waits import READ_VOLTS

READS, READ_WIDTH = 10_000, 1e-3
"""How many reads, and how long each [s]."""
CELLS, WORST = 2000, 0.999
"""Cells over all levels, and the quantile of them that counts."""
CHANGE_MOST = 0.05
"""Largest change of ln G that counts as none."""
AIM = 0.7
"""A fit aims at this share of the limit, for what other cells do."""
STEEPEST = 3.0


def reads_change(parameters: FilamentParameters, seed: int) -> float:
    """Return the change of ln G by :data:`READS` reads that all but one healthy cell in a thousand stay below.

    Cells between 3 and 200 µS, against the same cells left alone as long; without relaxation and noise.
    """
    still = {name: Quantity(0.0, "1", "left out") for name in ("mean", "sd", "strong_mean")}
    calm = parameters.model_copy(update={"relaxation": parameters.relaxation.model_copy(update=still)})
    levels = np.exp(np.random.default_rng(seed).uniform(math.log(3e-6), math.log(200e-6), CELLS))
    model = FilamentModel(calm, CELLS, seed)
    model.assume_formed(levels)
    cells, one = np.arange(CELLS), np.ones(CELLS)
    gate = float(parameters.transistor.read_gate)
    before = model.conductance(cells, READ_VOLTS, gate, 0.0)
    model.pulse(
        cells, READ_VOLTS * one, READ_WIDTH * one, gate * one, np.full(CELLS, READS), np.zeros(CELLS), 0.0
    )  # fmt: skip
    after = model.conductance(cells, READ_VOLTS, gate, 0.0)
    healthy = model.truth()["kind"] == 0
    return float(np.quantile(np.abs(np.log(after / before))[healthy], WORST))


def reads_cost(parameters: FilamentParameters, seed: int) -> float:
    """Return what reads that write add to the cost of a fit: nothing below :data:`AIM` of the limit."""
    beyond = math.log(max(reads_change(parameters, seed), 1e-9) / (AIM * CHANGE_MOST))
    return min(max(beyond, 0.0), STEEPEST)
