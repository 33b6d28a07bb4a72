"""What a fit came to: numbers, errors on what it never saw, and how it got there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ...mockhw.chip.profile import Profile
from ..panels import Panel, distance
from .posterior import Number, Posterior

LUCK = 1.36
"""Times √(1/n + 1/m): the Kolmogorov–Smirnov distance that 5 % of pairs of samples of one law exceed."""
MISSED_KS, MISSED_ERROR = 0.05, 0.05
"""A panel misses by what its distance exceeds luck and floor by more than this, or its middle is off by more."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A panel of the held-out table.

    Attributes
    ----------
    panel : Panel
        Of data the fit never saw (or, where nothing could be held out, of those it saw).
    group : str
        Id of the measurement.
    before : Panel, optional
        The same with the numbers the fit began with; None where it moved none of the cells.
    floor : float, optional
        Distance of the same panel between two chips.
    held : bool
        Whether the fit has not seen these data.
    """

    panel: Panel
    group: str
    before: Panel | None
    floor: float | None
    held: bool

    @property
    def luck(self) -> float:
        """Distance that luck alone explains."""
        return LUCK * math.sqrt(1.0 / max(len(self.panel.real), 1) + 1.0 / max(len(self.panel.mock), 1))

    @property
    def excess(self) -> float:
        """By how much it is further from the data than luck and other chips are, in units of a distance."""
        beyond = self.panel.distance - max(self.luck, self.floor or 0.0) if self.panel.ks else 0.0
        return max(beyond, 0.0)

    @property
    def missed(self) -> float:
        """How much it misses by, for an order; 0 where it does not."""
        off = abs(self.panel.error)
        middle = off if off > max(MISSED_ERROR, 2.0 * self.middle_luck) else 0.0
        return (self.excess if self.excess > MISSED_KS else 0.0) + min(middle, 1.0)

    @property
    def middle_luck(self) -> float:
        """Standard deviation of the error of the middle by luck alone, as far as single numbers say."""
        real, mock = self.panel.real, self.panel.mock
        parts = [float(np.var(one)) / max(len(one), 1) for one in (real, mock) if len(one)]
        scale = abs(float(np.mean(real))) if self.panel.mean and len(real) else 1.0
        return math.sqrt(sum(parts)) / max(scale, 1e-9)


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A measurement that would say more of numbers these data do not identify."""

    what: str
    numbers: dict[str, tuple[float, float]] = field(repr=False)
    """Name -> share of what the bounds alone give, now and with it."""


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """A finished fit."""

    base: Profile
    mode: str
    title: str
    half: str
    held_words: str
    posterior: Posterior
    rows: tuple[Row, ...]
    cost_before: float
    cost_after: float
    """Of the fitted half, mean over seeds that the search has not seen."""
    cost_sd: float
    ended: str
    trials: int
    seconds: float
    cells: dict[str, tuple[int, int]]
    """Measurement -> cells fitted on, cells held out."""
    left_out: dict[str, str]
    """Measurement -> why it was not replayed."""
    suggestions: tuple[Suggestion, ...] = ()
    seed: int = 0

    @property
    def numbers(self) -> Sequence[Number]:
        """The fitted numbers."""
        return self.posterior.numbers

    @property
    def checked(self) -> bool:
        """Whether a profile was held against data as it is, and none of its numbers fitted."""
        return self.mode == "check"

    @property
    def misses(self) -> list[Row]:
        """Panels that the model does not represent, the largest miss first."""
        return sorted((row for row in self.rows if row.missed > 0.0), key=lambda row: -row.missed)


def floors(fitted: Sequence[Panel], held: Sequence[Panel]) -> dict[str, float]:
    """Return how far the measured sides of the same panels of two chips are apart, by name."""
    of_fitted = {panel.name: panel for panel in fitted}
    return {
        panel.name: distance(panel.real, of_fitted[panel.name].real) for panel in held if panel.name in of_fitted
    }  # fmt: skip
