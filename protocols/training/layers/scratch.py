"""A scratch memory: cells that outer products write and pulses decay, multiplied like a layer and never trained.

No update rule writes it: rules write the layers that have gradients, and this has none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ....common.errors import RefusedError
from ....instruments.capabilities import PulseMap
from ..rules.outer_rules import OuterProduct
from .array_weights import ArrayWeights, Float32Array

_CLEARING = 8
"""Rounds of a clearing: each takes about a quarter of what is held."""


class ScratchMemory:
    """A layer's cells as a memory that is written by outer products and read by products, less what they rest at.

    Equal numbers of pulses up and down bring a cell of soft bounds towards where both move it alike: that is its
    decay, and where it rests is the memory's zero. No two cells rest at the same conductance, so that the zero is
    looked at by products after every :meth:`clear`, and taken off.

    Parameters
    ----------
    weights : the array it is on
    layer : name in its floor plan
    rule : gives the outer products and the pulses of the decay; it knows what one pulse moves a cell by

    Attributes
    ----------
    zero : [inputs, outputs] as products last saw it
    gain : share of what was to be added that was there when it was calibrated, 1 before
    """

    def __init__(self, weights: ArrayWeights, layer: str, rule: OuterProduct) -> None:
        self.weights, self.layer, self.rule = weights, layer, rule
        rule.check(weights.array.spec)
        request = weights.plan.request(layer)
        if request.pairs == "columns":
            raise RefusedError(f"scratch {layer!r} has pairs over columns: outer products need pairs over rows")
        self.inputs = request.inputs
        self.zero: Float32Array = np.zeros((request.inputs, request.outputs), np.float32)
        self._cells = weights.cells_of([layer])
        self.gain, self._kept_by_cycle = 1.0, np.nan

    def clear(self, cycles: int = 50) -> None:
        """Let the cells go to where they rest, by rounds of ``cycles`` pulses up and down, and look at the zero."""
        for _ in range(_CLEARING):
            self._cycle(cycles)
        self.look_at_zero()

    def look_at_zero(self) -> None:
        """Take what the memory holds now for its zero."""
        self.zero = self._products(np.eye(self.inputs, dtype=np.float32))

    def calibrate(self, cycles: int, *, seed: int) -> float:
        """Measure how much of an addition arrives, and what share a cycle of two pulses leaves; return the latter.

        A random pattern, rectified as activations are, is written, read, decayed by ``cycles`` and read again; the
        memory holds it afterwards. Later additions are scaled by what arrived.
        """
        rng = np.random.default_rng([seed, 0x5C])
        size = self.inputs, self.zero.shape[1]
        self.clear()
        self.gain = 1.0
        x, d = (np.maximum(0.0, rng.standard_normal((8, one))) for one in size)
        self.add(x, d, 0.5)
        before, wanted = self.held(), 0.5 * x.T @ d
        gain = float((before * wanted).sum() / (wanted * wanted).sum())
        self._cycle(cycles)
        after = self.held()
        left = float((before * after).sum() / max(float((before * before).sum()), 1e-30))
        if not (0.0 < left < 1.0 and gain > 0.0):
            raise RefusedError(
                f"scratch {self.layer!r} took up {gain:.3g} of what was added, and {cycles} pulses up and down left "
                f"{left:.3g} of it, so it does not hold and decay; it needs cells with soft bounds, and pulses that "
                "move them by less than a few hundredths"
            )
        self.gain, self._kept_by_cycle = gain, left ** (1.0 / cycles)
        return self._kept_by_cycle

    def decay(self, keep: float) -> None:
        """Leave a share ``keep`` of what is held, by as many cycles as come nearest.

        For small decays, of about as many cycles as were calibrated: many pulses up before those down leave cells off
        where they rest, and a decay to a half was seen to leave an eighth.

        Raises
        ------
        RefusedError
            Before any pulse, where it is not calibrated, or for a share that is not above 0 and up to 1.
        """
        if not 0.0 < keep <= 1.0:
            raise RefusedError(f"a decay that leaves {keep:g} is none: a share above 0, up to 1")
        if keep < 1.0 and not np.isfinite(self._kept_by_cycle):
            raise RefusedError(f"scratch {self.layer!r} is not calibrated: calibrate() measures what a pulse decays")
        if keep < 1.0:
            self._cycle(round(np.log(keep) / np.log(self._kept_by_cycle)))

    def add(self, x: NDArray[np.floating], d: NDArray[np.floating], rate: float) -> None:
        """Add ``rate``·x·dᵀ for every x [n, inputs] and d [n, outputs], on average, in one transaction."""
        self.rule.give(self.weights, self.rule.products(self.weights, self.layer, x, d, rate / self.gain))

    def read(self, x: Float32Array) -> Float32Array:
        """Return [n, outputs]: what is held, times ``x`` [n, inputs]; every vector is scaled, none is cut."""
        return (self._products(x) - x @ self.zero).astype(np.float32)

    def held(self) -> Float32Array:
        """Return [inputs, outputs], by products that drive one input at a time."""
        return self._products(np.eye(self.inputs, dtype=np.float32)) - self.zero

    def _products(self, x: Float32Array) -> Float32Array:
        return self.weights.multiply(self.layer, x, "vector")

    def _cycle(self, count: int) -> None:
        if count < 1:
            return
        weights = self.weights
        pair = self.rule.pulses(weights.array.spec)
        each = count * self._cells.astype(np.int64)
        for volts, gate in ((pair.set_volts, pair.set_gate), (-pair.reset_volts, pair.reset_gate)):
            pulses = PulseMap(weights.block, volts, pair.width, gate, each)
            weights.array.pulse(pulses)
