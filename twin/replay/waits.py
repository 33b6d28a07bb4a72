"""What cells do while nobody writes: bakes and slow noise, done again on a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ...analysis.estimates.spectra import noise_figures
from ...analysis.measured_data.measured import Measured
from ...analysis.measured_data.protocols import Noise
from ...mockhw.device_models.filament.model import FilamentModel
from ...mockhw.device_models.filament.parameters import FilamentParameters
from ...mockhw.device_models.quantity import Quantity

READ_VOLTS, READ_GATE = 0.2, 3.0
SAMPLES_MOST = 100_000


def replay_bake(measured: Measured, parameters: FilamentParameters, size: int, seed: int) -> pd.DataFrame:
    """Start cells where measured ones started, keep them warm as long, read them; at most ``size`` per temperature."""
    made: list[pd.DataFrame] = []
    table: Any = measured.table
    for number, (kelvin, group) in enumerate(table.groupby("temperature")):
        rows = group.sample(n=min(size, len(group)), random_state=seed)
        hot = parameters.temperature.model_copy(update={"ambient": Quantity(float(kelvin), "K", "of the bake")})
        model = FilamentModel(parameters.model_copy(update={"temperature": hot}), len(rows), seed + 1000 * number)
        cells = np.arange(len(rows))
        model.assume_formed(rows["before"].to_numpy())
        time = float(rows["time"].median())
        g = model.conductance(cells, READ_VOLTS, READ_GATE, time)
        made.append(
            pd.DataFrame(
                {
                    "cell": rows["cell"].to_numpy(),
                    "before": rows["before"].to_numpy(),
                    "after": np.maximum(g + model.noise(cells, g, 1, time), 1e-9),
                    "time": time,
                    "temperature": float(kelvin),
                }
            )
        )
    return pd.concat(made, ignore_index=True)


def replay_noise(measured: Measured, parameters: FilamentParameters, size: int, seed: int) -> pd.DataFrame:
    """Sample ``size`` cells near each measured one's conductance at the measured rate; a summary line per cell."""
    protocol = measured.protocol
    assert isinstance(protocol, Noise)
    rate = float(protocol.rate or 1.0)
    table: Any = measured.table
    made: list[dict[str, float]] = []
    for number, (_, trace) in enumerate(table.groupby("cell")):
        count = min(len(trace), SAMPLES_MOST)
        level = float(trace["conductance"].mean())
        model = FilamentModel(parameters, size, seed + 1000 * number)
        model.assume_formed(level)
        for cell in range(size):
            current = model.sample(cell, READ_VOLTS, READ_GATE, rate, count, 1.0)
            made.append({"cell": number, "draw": cell, **noise_figures(current / READ_VOLTS, rate)})
    return pd.DataFrame(made)
