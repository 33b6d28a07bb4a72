"""Target maps: evenly spaced levels drawn at random, or a map of the user's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field, model_validator

from ...common.errors import RefusedError
from ...common.files import read_array, read_text
from ...common.numbers import numbers
from ...instruments.block import Block
from ...instruments.capabilities import FloatArray
from ..plan import Plan

_TEXT_MAX = 64 << 20


class Levels(Plan):
    """``count`` evenly spaced conductances from ``low`` to ``high`` [S]."""

    count: int = Field(default=8, ge=2, description="number of levels")
    low: float = Field(default=10e-6, gt=0, description="lowest level [S]")
    high: float = Field(default=185e-6, gt=0, description="highest level [S]")

    @model_validator(mode="after")
    def _ordered(self) -> Levels:
        if self.high <= self.low:
            raise ValueError(f"the highest level {self.high:g} S must be above the lowest {self.low:g} S")
        return self

    @property
    def values(self) -> FloatArray:
        """Conductances [S], rising."""
        return np.linspace(self.low, self.high, self.count)

    @property
    def spacing(self) -> float:
        """Distance between neighbouring levels [S]."""
        return (self.high - self.low) / (self.count - 1)

    def draw(self, block: Block, rng: np.random.Generator) -> FloatArray:
        """Return a random level for every cell of a block [S]."""
        return self.values[rng.integers(self.count, size=block.shape)]


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
