"""Slow noise of a sampled conductance in a few numbers."""

from __future__ import annotations

from typing import Any

import numpy as np


def noise_figures(conductance: Any, rate: float) -> dict[str, float]:
    """Return mean [S], relative standard deviation, and slope of the spectrum from 0.05 Hz to a quarter of the rate."""
    from scipy.signal import welch

    g = np.asarray(conductance, np.float64)
    g = g[np.isfinite(g)]
    mean = float(g.mean())
    f, power = welch(g / mean, rate, nperseg=min(len(g), 16384))
    use = (f > 0.05) & (f < rate / 4)
    slope = float(np.polyfit(np.log(f[use]), np.log(np.maximum(power[use], 1e-30)), 1)[0]) if use.sum() > 3 else 0.0
    return {"conductance": mean, "sd": float(g.std() / mean), "slope": slope}
