"""Target maps: evenly spaced levels drawn at random, or a map of the user's own."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import inf, nan
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field, model_validator

from ...common.arrays import BoolArray
from ...common.errors import RefusedError
from ...common.files import read_array, read_text
from ...common.numbers import numbers
from ...instruments.block import Block
from ...instruments.capabilities import FloatArray
from ..plan import Plan

_TEXT_MAX = 64 << 20


_ABOVE, _BELOW = 1.1, 0.5
"""Where an open window is aimed at: this factor from its only edge."""

Edge = Annotated[float, Field(ge=0)] | None


class Levels(Plan):
    """``count`` evenly spaced conductances from ``low`` to ``high`` [S], or ``windows`` of one's own."""

    count: int = Field(default=8, ge=2, description="number of levels")
    low: float = Field(default=10e-6, gt=0, description="lowest level [S]")
    high: float = Field(default=185e-6, gt=0, description="highest level [S]")
    windows: tuple[tuple[Edge, Edge], ...] = Field(
        default=(),
        description="[low, high] of every level [S], rising, instead of the three above; null leaves an end open",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Levels:
        if self.high <= self.low:
            raise ValueError(f"the highest level {self.high:g} S must be above the lowest {self.low:g} S")
        if len(self.windows) == 1:
            raise ValueError("one window is no level among others: give two or more, or a target map")
        ends = [end for low, high in self.edges for end in (low, high)]
        if any(later <= earlier for earlier, later in pairwise(ends)):
            raise ValueError(
                "windows must rise and not touch, each from its low to its high end, and only the first and the last "
                "may be open: [[null, 12.5e-6], [107e-6, 117e-6], [200e-6, null]]"
            )
        return self

    @property
    def edges(self) -> list[tuple[float, float]]:
        """Ends of the windows [S]; 0 and infinity where one is open."""
        return [(low if low is not None else 0.0, high if high is not None else inf) for low, high in self.windows]

    @property
    def values(self) -> FloatArray:
        """Conductances [S], rising; of windows their middles, of open ones a point inside."""
        if self.windows:
            return np.asarray([_aim(*window) for window in self.edges])
        return np.linspace(self.low, self.high, self.count)

    @property
    def spacing(self) -> float:
        """Distance between neighbouring levels [S]; of windows the least."""
        return float(np.diff(self.values).min()) if self.windows else (self.high - self.low) / (self.count - 1)

    def draw(self, block: Block, rng: np.random.Generator) -> FloatArray:
        """Return a random level for every cell of a block [S]."""
        values = self.values
        return values[rng.integers(len(values), size=block.shape)]

    def windows_of(self, target: FloatArray) -> Goal:
        """Return what a cell with one of :attr:`values` as its target has to end in (of ``windows`` only)."""
        edges = np.asarray([*self.edges, (nan, nan)])
        mine = edges[np.where(np.isfinite(target), np.searchsorted(self.values, target * (1.0 - 1e-9)), len(edges) - 1)]
        return Goal(target, mine[..., 0], mine[..., 1])

    def readings_of(self, target: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return between which conductances [S] a cell is read as its level: half-way to the neighbours."""
        if not self.windows:
            return target - self.spacing / 2.0, target + self.spacing / 2.0
        goal = self.windows_of(target)
        highs = np.asarray([0.0, *(high for _, high in self.edges)])
        lows = np.asarray([*(low for low, _ in self.edges), inf])
        between = 0.5 * (highs + lows)
        between[0] = 0.0
        level = np.searchsorted(lows[:-1], np.nan_to_num(goal.low), side="right") - 1
        none = np.where(np.isfinite(target), 0.0, nan)
        return between[level] + none, between[level + 1] + none


def _aim(low: float, high: float) -> float:
    if high == inf:
        return _ABOVE * low
    return _BELOW * high if low == 0.0 else 0.5 * (low + high)


@dataclass(frozen=True, eq=False)
class Goal:
    """What cells are programmed to: where each is aimed at, and between which conductances it is done, all [S].

    ``nan`` in ``target`` leaves a cell alone; ``low`` 0 or ``high`` infinite: that end is open.
    """

    target: FloatArray
    low: FloatArray
    high: FloatArray

    @classmethod
    def around(cls, target: FloatArray, tolerance: float) -> Goal:
        """Return windows of ``tolerance`` [S] to both sides of a target."""
        return cls(target, target - tolerance, target + tolerance)

    def inside(self, conductance: FloatArray, slack: float = 0.0) -> BoolArray:
        """Return which cells are in their window, made wider by ``slack`` times the half of it."""
        low = self.low - slack * (self.target - self.low)
        half = np.where(np.isinf(self.high), 0.0, self.high) - self.target
        high = self.high + slack * half
        return (conductance >= low) & (conductance <= high)


def load_target(path: Path, block: Block) -> FloatArray:
    """Read a target map [S] of the block's shape from ``.npy`` or ``.csv``; nan leaves a cell alone."""
    if not path.is_file():
        raise RefusedError(
            f"target map {path} does not exist: give a .npy or .csv file with {block.shape} conductances"
        )
    if path.suffix == ".npy":
        return check_target(read_array(path, "target map"), block, f"target map {path}")
    text = read_text(path, "target map", most=_TEXT_MAX)
    try:
        target = np.loadtxt(text.splitlines(), delimiter=",", ndmin=2)
    except ValueError as error:
        raise RefusedError(f"target map {path} cannot be read: {error}") from None
    return check_target(target, block, f"target map {path}")


def check_target(target: ArrayLike, block: Block, name: str) -> FloatArray:
    """Return a target map [S] as float64; refuse another shape, and what is no conductance. nan leaves a cell alone."""
    values = numbers(target, "a target", channel=name)
    if values.shape != block.shape:
        raise RefusedError(f"{name} has shape {values.shape}, the cells {block} need {block.shape}")
    if np.isinf(values).any() or (values < 0).any():
        raise RefusedError(f"{name} holds negative or infinite conductances: use siemens, nan to leave a cell alone")
    return values
