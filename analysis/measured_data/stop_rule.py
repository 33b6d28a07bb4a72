"""Beyond which conductance a sweep was stopped, where nobody wrote it down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pandas import DataFrame

    from .protocols import PulseSweep

STOPPED_MIN = 5
"""Fewer sweeps that ended early say nothing of a rule."""


def stop_beyond(table: DataFrame, protocol: PulseSweep) -> float | None:
    """Return the conductance [S] beyond which sweeps ended: as the protocol says, or estimated from the data.

    Sweeps that ended before the end of the ladder ended with a reading beyond the rule, and all readings before were
    not beyond it. The estimate lies between the least extreme of the former and the most extreme of the latter; where
    they overlap, where the fewest readings are on the wrong side. None where fewer than :data:`STOPPED_MIN` sweeps
    ended early.

    Parameters
    ----------
    table : DataFrame
        Of a ``pulse_sweep``.
    """
    if protocol.stop_beyond is not None:
        return protocol.stop_beyond
    lines: Any = table
    sweeps = lines.groupby(["cell", "repeat"], sort=False)
    is_last = lines["step"] == sweeps["step"].transform("max")
    size = lines[protocol.swept].abs()
    ended = lines["after"][is_last & (size < size.max())].to_numpy()
    if len(ended) < STOPPED_MIN:
        return None
    rising = protocol.polarity == "set"
    went_on = lines["after"][~is_last].to_numpy()
    x, y = (np.log(np.maximum(part, 1e-12)) * (1.0 if rising else -1.0) for part in (ended, went_on))
    edges = np.sort(x)
    # Wrong side: ended although not beyond, went on although beyond.
    wrong = np.arange(len(edges)) + (len(y) - np.searchsorted(np.sort(y), edges))
    best = float(edges[int(wrong.argmin())])
    below = y[y < best]
    middle = 0.5 * (best + float(below.max())) if len(below) else best
    return float(np.exp(middle if rising else -middle))
