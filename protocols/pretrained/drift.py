"""Drift compensation: one factor per layer, from a product that is taken when a model is programmed and again later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..training.layers.array_weights import ArrayWeights, Float32Array


class DriftReference:
    """What reference inputs gave when they were first multiplied, and by how much outputs are to be scaled now.

    The factor of a layer is Σ y₀² / Σ y₀·y over all outputs of all vectors: one over the slope of what comes out now
    against what came out first (a global scale, as of Joshi et al. 2020, by a fit through the origin).

    Parameters
    ----------
    weights : of a programmed model
    vectors : reference inputs of each layer, random signs, all lines driven
    average : times each is multiplied
    """

    def __init__(self, weights: ArrayWeights, *, vectors: int = 64, average: int = 8, seed: int = 0) -> None:
        self.weights, self.average = weights, average
        rng = np.random.default_rng([seed, 0xD71F])
        self._scale = {name: np.array(scale) for name, scale in weights.scale.items()}
        self._given = {
            one.name: rng.choice((-1.0, 1.0), (vectors, one.inputs)).astype(np.float32) for one in weights.plan.requests
        }
        self.first: dict[str, Float32Array] = {}

    def take(self) -> None:
        """Multiply the reference inputs: what comes out is what later products are compared with."""
        self.undo()
        self.first = {name: self._out(name) for name in self._given}

    def factors(self) -> dict[str, float]:
        """Multiply them again; return what the outputs of every layer are to be multiplied with."""
        self.undo()
        found: dict[str, float] = {}
        for name, before in self.first.items():
            slope = float((before * self._out(name)).sum() / (before * before).sum())
            found[name] = 1.0 / slope if slope > 0.0 else 1.0
        return found

    def compensate(self, factors: Mapping[str, float] | None = None) -> dict[str, float]:
        """Scale the outputs of every layer from now on; return the factors."""
        found = dict(self.factors() if factors is None else factors)
        self.weights.rescale({name: self._scale[name] / found.get(name, 1.0) for name in self._scale})
        return found

    def undo(self) -> None:
        """Take the outputs as they are."""
        self.weights.rescale(self._scale)

    def _out(self, layer: str) -> Float32Array:
        return np.mean([self.weights.multiply(layer, self._given[layer]) for _ in range(self.average)], axis=0)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what came out first."""
        return dict(self.first)

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take it up."""
        self.first = {name: np.array(value, np.float32) for name, value in arrays.items()}
