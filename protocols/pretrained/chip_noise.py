"""Training on the host with the noise that a chip was measured to write with: weights that bear to be programmed."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor, nn

from ...instruments.capabilities import CrossbarArray
from ..keeping.dataset import Variable
from ..keeping.run import Run
from ..measure.read_array import map_axes
from ..training.convert import Lines
from ..training.layers.array_weights import ArrayWeights
from ..training.layers.placement import placement
from ..training.layers.weight_mapping import LayerRequest, plan_floor
from .pair_targets import weights_of
from .program_plan import ProgramPlan
from .seen_by_products import SeenByProducts
from .verified_rule import Verified


@dataclass(frozen=True)
class ChipNoise:
    """How far weights are off that were written on a chip: σ² = rest² + (share·|d|)², d the wanted difference [S].

    Attributes
    ----------
    rest : error of a weight of 0 [S]
    share : of a large one, over its size
    span : largest difference of a pair that is written [S]
    weights, pulses : behind the two numbers, and what measuring them took
    """

    rest: float
    share: float
    span: float
    weights: int = 0
    pulses: int = 0

    @contextmanager
    def on(self, model: nn.Module, generator: torch.Generator | None = None) -> Generator[None]:
        """Give the weights of layers that go onto an array an error of this size, within.

        Forward and backward see one draw; on leaving, the weights are what they were: an optimiser steps outside.

            with noise.on(model):
                loss(model(x), y).backward()
            optimiser.step()
        """
        before: list[tuple[Tensor, Tensor]] = []
        try:
            with torch.no_grad():
                for columns in columns_of(model):
                    largest = (
                        torch.stack([w.abs().reshape(len(w), -1).amax(1) for w in columns]).amax(0).clamp_min(1e-12)
                    )
                    for w in columns:
                        one = (largest / self.span).reshape(-1, *(1,) * (w.ndim - 1))  # a siemens, in weights
                        before.append((w, w.clone()))
                        sigma = torch.sqrt((self.rest * one) ** 2 + (self.share * w) ** 2)
                        w.add_(sigma * torch.randn(w.shape, generator=generator))
            yield
        finally:
            with torch.no_grad():
                for w, was in before:
                    w.copy_(was)

    def times(self, factor: float) -> ChipNoise:
        """Return noise ``factor`` times as large."""
        return ChipNoise(self.rest * factor, self.share * factor, self.span, self.weights, self.pulses)

    def over_copies(self, copies: int) -> ChipNoise:
        """Return the noise of the mean of so many copies."""
        return self.times(1.0 / float(np.sqrt(copies)))


def measure_noise(
    array: CrossbarArray, plan: ProgramPlan | None = None, run: Run | None = None,
    *, lines: Lines | None = None, inputs: int = 24, outputs: int = 16, age: float = 3600.0, seed: int = 0,
) -> ChipNoise:  # fmt: skip
    """Write random weights onto some cells, let them age, and return how far products see them off.

    Parameters
    ----------
    lines : (rows, columns) that may be used
    inputs, outputs : of the random layer; it stands in the first corner that is free
    age : wait between the last correction and the look [s]: what is trained for
    """
    plan = plan or ProgramPlan()
    rows, cols = lines or (None, None)
    spec = array.spec
    floor = plan_floor(
        spec.rows, spec.cols, [LayerRequest("probe", inputs, outputs)], good_rows=rows, good_cols=cols, parts=spec.parts
    )
    rule, span = Verified(plan, run), plan.levels.high - plan.levels.low
    rule.check(spec)
    weights = ArrayWeights(array, floor, siemens=span)
    wanted = np.random.default_rng([seed, 0x0015]).uniform(-1.0, 1.0, (inputs, outputs)).astype(np.float32)
    rule.program(weights, {"probe": wanted})
    variables = [Variable("seen", "Conductance as products see it", "S")]
    with Run.of(run).work("noise", map_axes(weights.block), variables, label="looks", total=1) as work:
        if work.begin("look"):
            array.clock.wait(age)
            look = SeenByProducts(array).read(weights.block, average=plan.look_average).conductance
            work.add(seen=look)
            work.done(seen=look)
        seen = np.zeros(weights.conductance.shape)
        seen[weights.block.slices] = work.piece("look", "seen")
    off = ((weights_of(weights, "probe", seen) - wanted) * span).ravel()
    size = np.abs(wanted.ravel() * span)
    # Cells that never got there are no noise: they would be counted with their square.
    inside = np.abs(off) < 5.0 * 1.4826 * np.median(np.abs(off))
    (rest, share), _ = nnls(np.stack([np.full(inside.sum(), span**2), size[inside] ** 2], 1), off[inside] ** 2)
    return ChipNoise(
        rest=span * float(np.sqrt(rest)), share=float(np.sqrt(share)), span=span, weights=int(inside.sum()),
        pulses=int(rule.rounds["pulses"].sum()),
    )  # fmt: skip


def columns_of(model: nn.Module) -> Iterable[list[Tensor]]:
    """Yield the parameters that make one matrix on an array: their first axis are its columns."""
    for module in model.modules():
        if placement(type(module), parameters=True).place != "array":
            continue
        groups: dict[str, list[Tensor]] = {}
        for name, value in module.named_parameters(recurse=False):
            # Of recurrent layers: weight_ih_l0, weight_hh_l0, bias_ih_l0 …; a projection is a matrix of its own.
            key = name.split("_l", 1)[1] if "_l" in name else ""
            groups.setdefault(f"{key} {len(value)}", []).append(value.data)
        yield from groups.values()
