"""The loop of in situ training: a thin one on ``ArrayOptimizer``, for those who have none of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...common.errors import RefusedError
from ...instruments.abilities import MultipliesReversed
from ...instruments.capabilities import FloatArray
from .convert import Converted, writer_of
from .layers.array_layers import ArrayLayer, array_layers
from .layers.array_weights import REVERSE_OTHERWISE, ArrayWeights
from .optimizer import ArrayOptimizer, TrainingError
from .rules.answers import measure_answer, require_answer
from .rules.update_rules import UpdateRule
from .threads import one_thread

__all__ = ["ArrayTrainer", "TrainingError"]

Optimiser = Callable[[list[nn.Parameter]], torch.optim.Optimizer]
LossFunction = Callable[[nn.Module, Tensor, Tensor], Tensor]


class ArrayTrainer:
    """Trains a model whose layers are on one array.

    Whether its modules train or evaluate (``model.train()``, ``model.eval()``) is left as it is.

    Parameters
    ----------
    model : with at least one layer of ``array_layers``; what else it has is trained on the host
    weights : the array, or what ``convert`` returned
    rule : how changes become pulses; None for that of ``convert``
    optimiser : makes a ``torch.optim`` optimiser of parameters
    loss : ``(model, x, y) -> scalar``
    seed : of the start and of the order of the data
    read_average : conversions per cell of a read-back
    reverse : errors go back by products of the array in reverse, instead of by the conductances last read
    first : a network of torch's own layers, in the order of those on the array: its weights are written at the start

    Attributes
    ----------
    optimiser : ArrayOptimizer
        Makes the steps, counts them, and holds what a checkpoint keeps.
    """

    def __init__(
        self,
        model: nn.Module,
        weights: ArrayWeights | Converted,
        rule: UpdateRule | None,
        optimiser: Optimiser,
        loss: LossFunction,
        *,
        seed: int = 0,
        read_average: int = 1,
        reverse: bool = False,
        first: nn.Module | None = None,
    ) -> None:
        self.layers: list[ArrayLayer] = array_layers(model)
        if not self.layers:
            raise RefusedError("no layer of this model is on an array: convert it first")
        self.model, self.loss, self.seed = model, loss, seed
        inner = optimiser(list(model.parameters()))
        self.optimiser = ArrayOptimizer(inner, weights, rule, model=model, read_average=read_average)
        self.weights, self.rule = self.optimiser.weights, self.optimiser.rule
        if reverse:
            self.weights.array.spec.require(MultipliesReversed, otherwise=REVERSE_OTHERWISE)
        for layer in self.layers:
            layer.reverse = reverse
        self.first = None if first is None else _matrices(first, self.layers)
        if self.first is not None:
            self._writer = writer_of(self.rule, self.weights.array.spec)

    @property
    def steps(self) -> int:
        """Updates so far."""
        return self.optimiser.steps

    @property
    def travelled(self) -> FloatArray:
        """How far every cell of the block [rows, cols] has been seen to move in all [S]."""
        return self.optimiser.travelled

    def start(self, *, measure: bool = False) -> None:
        """Bring the cells to where training begins, and read them.

        Parameters
        ----------
        measure : as of ``convert``

        Raises
        ------
        RefusedError
            Before any pulse, for a rule that needs steps which the account of this chip says it does not give.
        """
        (measure_answer if measure else require_answer)(self.weights.array, self.rule, self.weights.used)
        self.optimiser.start(self.seed)
        if self.first is not None:
            self.optimiser.write(self._writer, self.first)

    def step(self, x: Tensor, y: Tensor, *, unless: float = -np.inf) -> float:
        """Make one update from one batch; return its loss before the update.

        Parameters
        ----------
        unless : a loss up to this is good enough: nothing is written

        Raises
        ------
        TrainingError
            When the loss or a gradient is not finite, naming the layer; the array is at 0 V and disconnected.
        """
        try:
            self.optimiser.zero_grad()
            loss = self.loss(self.model, x, y)
            value = float(loss.detach())
            if not np.isfinite(value):
                raise TrainingError(f"the loss is {value} at step {self.steps}: {self._culprit()}; no pulse was given")
            if value <= unless:
                return value
            loss.backward()  # pyright: ignore[reportUnknownMemberType]
        except RefusedError as error:
            self.weights.array.idle()
            if isinstance(error, TrainingError):
                raise
            raise TrainingError(f"training stopped at step {self.steps}: {error}") from error
        self.optimiser.step()
        return value

    def finish(self) -> None:
        """Let the rule leave the weights as it wants them after the last step, and read them."""
        self.optimiser.finish()

    def epoch(self, x: Tensor, y: Tensor, batch: int, number: int) -> list[float]:
        """Go once through the data in an order that depends on seed and epoch alone; return the loss of every step."""
        order = np.random.default_rng([self.seed, 0x0D, number]).permutation(len(x))
        parts = [torch.from_numpy(order[start : start + batch]) for start in range(0, len(order), batch)]
        with one_thread():
            return [self.step(x[chosen], y[chosen]) for chosen in parts]

    def _culprit(self) -> str:
        for layer in self.layers:
            if not torch.isfinite(layer.weight).all():
                return f"weights of layer {layer.layer!r} are not finite"
        return f"the last layer is {self.layers[-1].layer!r}; its weights are finite, so lower the learning rate"

    # -- kept with a run ---------------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what training goes on from: the rule's memory, the optimiser's, and what is trained on the host."""
        return self.optimiser.arrays()

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take up what ``arrays`` returned, and read the weights from the chip, which is where they are."""
        self.optimiser.restore(arrays)

    def remember(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take up what ``arrays`` returned; the array is not touched."""
        self.optimiser.remember(arrays)

    def look_again(self) -> None:
        """Read the weights from the chip as they are now; what they were before is not compared with them."""
        self.optimiser.look_again()


def _matrices(first: nn.Module, layers: Sequence[ArrayLayer]) -> dict[str, FloatArray]:
    """Return weights [inputs, outputs], a bias as the last input, of a network's ``nn.Linear`` for each layer."""
    linear = [one for one in first.modules() if isinstance(one, nn.Linear)]
    found = [
        torch.cat(
            [value.detach().reshape(-1, one.out_features) for value in (one.weight.T, *list(one.parameters())[1:])]
        )
        .double()
        .numpy()
        for one in linear
    ]
    if [one.shape for one in found] != [tuple(layer.weight.shape) for layer in layers]:
        raise RefusedError(
            f"a network with {len(found)} linear layers of {[one.shape for one in found]} is no start for "
            f"{', '.join(f'{layer.layer} {tuple(layer.weight.shape)}' for layer in layers)}: give one of nn.Linear, "
            "in the order of the layers on the array"
        )
    return {layer.layer: one for layer, one in zip(layers, found, strict=True)}
