"""What kind of cell is this? Classification from three measured conductances, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..estimates.estimates import Estimate, fraction_estimate

SWITCHING = "switching"
OPEN = "open"
SHORT = "short"
STUCK_LRS = "stuck LRS"
STUCK_HRS = "stuck HRS"
UNFORMED = "unformed"
LINEAR = "linear"
UNMEASURED = "not measured"
NO_CELL = "no cell"
CATEGORIES = (SWITCHING, OPEN, SHORT, STUCK_LRS, STUCK_HRS, UNFORMED, LINEAR, UNMEASURED, NO_CELL)

Categories = NDArray[np.str_]


@dataclass(frozen=True)
class YieldThresholds:
    """Borders between the classes [S]. The defaults suit a 1T1R chip with LRS 50-250 µS and HRS below 20 µS (assumed).

    Parameters
    ----------
    open_max : float [S]
        A cell that never reads above this is open.
    unformed_max : float [S]
        A cell that never reads above this conducts, but has no filament.
    hrs_max, lrs_min : float [S]
        Upper edge of the high-resistance band, lower edge of the low-resistance band.
    lrs_max : float [S]
        Largest conductance the chip is worked at.
    short_min : float [S]
        A cell that stays above this, also after a RESET, is short; never taken above twice `lrs_max`.
    min_ratio : float
        A cell whose conductance after SET is less than this times the one after RESET does not switch.
    """

    open_max: float = 0.1e-6
    unformed_max: float = 1e-6
    hrs_max: float = 20e-6
    lrs_min: float = 50e-6
    lrs_max: float = 250e-6
    short_min: float = 1e-3
    min_ratio: float = 1.5

    def __post_init__(self) -> None:
        borders = (self.open_max, self.unformed_max, self.hrs_max, self.lrs_min, self.lrs_max)
        if not all(0.0 < a <= b for a, b in pairwise(borders)):
            raise ValueError(
                "yield thresholds must rise from open_max over unformed_max, hrs_max and lrs_min to lrs_max, "
                f"all above zero; they are {borders} S"
            )
        if not self.min_ratio > 1.0 or not self.short_min > self.lrs_min:
            raise ValueError(
                f"min_ratio {self.min_ratio} must be above 1, "
                f"short_min {self.short_min} S above lrs_min {self.lrs_min} S"
            )

    @property
    def short_border(self) -> float:
        """Conductance [S] above which a cell that does not switch is short."""
        return min(self.short_min, 2.0 * self.lrs_max)


def classify(
    g_before: ArrayLike,
    g_after_reset: ArrayLike,
    g_after_set: ArrayLike,
    *,
    formed: ArrayLike | None = None,
    exists: ArrayLike | None = None,
    thresholds: YieldThresholds | None = None,
) -> Categories:
    """Name every cell's class.

    The first rule that fits decides: *no cell* (lines of two boards do not cross) · *not measured* (a reading
    missing) · *open* (all three below `open_max`) · *unformed* (all three below `unformed_max`, or forming reported
    failure and the LRS band is never reached) · *switching* (after SET at least `min_ratio` times after RESET, and
    out of the HRS band) · *short* (both above the short border) · *stuck LRS*, *stuck HRS* (geometric mean of the two
    in that band) · *linear* (neither: it conducts in between and does not move).

    Parameters
    ----------
    g_before : array_like [S]
        Conductance after the forming attempt, before the RESET.
    g_after_reset, g_after_set : array_like [S]
        Conductance after the RESET, then after the SET that followed; same shape.
    formed : array_like of bool, optional
        What the forming step said; without it the conductances decide.
    exists : array_like of bool, optional
        Where there is a cell; everywhere by default.
    thresholds : YieldThresholds, optional

    Returns
    -------
    ndarray of str
        Members of `CATEGORIES`, in the shape of the input.
    """
    limits = thresholds or YieldThresholds()
    before, low, high = (np.asarray(g, dtype=np.float64) for g in (g_before, g_after_reset, g_after_set))
    if not before.shape == low.shape == high.shape:
        raise ValueError(f"conductance maps differ in shape: {before.shape}, {low.shape}, {high.shape}")
    largest = np.maximum(np.maximum(before, low), high)
    # A reading below the open border is noise around zero; its ratio to another one means nothing.
    floor = limits.open_max
    ratio = np.maximum(high, floor) / np.maximum(low, floor)
    level = np.sqrt(np.maximum(high, floor) * np.maximum(low, floor))
    switching = (ratio >= limits.min_ratio) & (high > limits.hrs_max)
    said_unformed = np.zeros(before.shape, dtype=bool) if formed is None else ~np.asarray(formed, dtype=bool)
    there = np.ones(before.shape, dtype=bool) if exists is None else np.asarray(exists, dtype=bool)
    rules: list[tuple[str, NDArray[np.bool_]]] = [
        (NO_CELL, ~there),
        (UNMEASURED, ~np.isfinite(before + low + high)),
        (OPEN, largest < limits.open_max),
        (UNFORMED, (said_unformed & (largest < limits.lrs_min)) | (largest < limits.unformed_max)),
        (SWITCHING, switching),
        (SHORT, np.minimum(low, high) > limits.short_border),
        (STUCK_LRS, level >= limits.lrs_min),
        (STUCK_HRS, level <= limits.hrs_max),
    ]
    names = np.select([rule for _, rule in rules], [name for name, _ in rules], default=LINEAR)
    return names.astype(np.str_)


def count_categories(categories: ArrayLike) -> dict[str, int]:
    """Return the number of cells in each class, all classes named, in the order of `CATEGORIES`."""
    names = np.asarray(categories)
    unknown = sorted(set(np.unique(names).tolist()) - set(CATEGORIES))
    if unknown:
        raise ValueError(f"unknown cell classes {unknown}; the classes are {', '.join(CATEGORIES)}")
    return {name: int((names == name).sum()) for name in CATEGORIES}


def healthy_mask(categories: ArrayLike) -> NDArray[np.bool_]:
    """Return True where the cell is healthy: the yield map calls it switching."""
    return np.asarray(categories) == SWITCHING


def yield_fraction(categories: ArrayLike) -> Estimate:
    """Return switching cells over all cells that there are, cells that could not be measured included."""
    there = np.asarray(categories) != NO_CELL
    return fraction_estimate(int(healthy_mask(categories).sum()), int(there.sum()))
