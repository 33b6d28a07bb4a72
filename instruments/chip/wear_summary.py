"""What is shown of a chip's account: maps over its cells, and a few numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .wear_store import Account


def stays(volts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the signs of the stays at one polarity that ``volts`` [points] [V] goes through, in their order."""
    signs = np.sign(volts)
    signs = signs[signs != 0.0]
    return signs[np.flatnonzero(np.diff(signs, prepend=0.0))] if signs.size else signs


def wear_maps(planes: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Return what is shown of the ``planes`` that are kept."""
    return {
        "pulses": planes["set_pulses"] + planes["reset_pulses"],
        "set_pulses": planes["set_pulses"].copy(),
        "reset_pulses": planes["reset_pulses"].copy(),
        "cycles": np.floor(0.5 * planes["alternations"]),
        "sweeps": planes["sweeps"].copy(),
        "set_stress": planes["set_stress"].copy(),
        "reset_stress": planes["reset_stress"].copy(),
    }


def wear_summary(account: Account, planes: dict[str, NDArray[np.float64]]) -> dict[str, float | str]:
    """Return an account in a few numbers."""
    maps = wear_maps(planes)
    return {
        "chip": account.chip,
        "rows": account.rows,
        "cols": account.cols,
        "first_use": account.first_use,
        "last_use": account.last_use,
        "cells_used": float(((maps["pulses"] > 0.0) | (maps["sweeps"] > 0.0)).sum()),
        **{f"{name}_total": float(maps[name].sum()) for name in ("set_pulses", "reset_pulses", "sweeps")},
        **{
            f"{name}_max": float(maps[name].max())
            for name in ("pulses", "cycles", "sweeps", "set_stress", "reset_stress")
        },
        "unattributed": account.unattributed,
        "unattributed_stress_max": account.unattributed_stress,
        "uncertain": account.uncertain,
        "crashes": float(account.crashes),
        "unwritten": float(account.unwritten),
        "why_unwritten": account.why_unwritten,
    }
