"""The loop of in situ training: multiply on the array, differentiate on the host, pulse, read back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...common.errors import RefusedError
from ...instruments.abilities import MultipliesReversed
from ...instruments.capabilities import FloatArray
from .layers.array_layers import ArrayLayer, array_layers, refresh_layers
from .layers.array_weights import REVERSE_OTHERWISE, ArrayWeights
from .rules.answers import require_answer
from .rules.update_rules import UpdateRule

Optimiser = Callable[[list[nn.Parameter]], torch.optim.Optimizer]
LossFunction = Callable[[nn.Module, Tensor, Tensor], Tensor]


class TrainingError(RefusedError):
    """Training cannot go on; the array is idle."""


class ArrayTrainer:
    """Trains a model whose layers are on one array.

    Parameters
    ----------
    model : with at least one layer of ``array_layers``; what else it has is trained on the host
    weights : the array
    rule : how changes become pulses
    optimiser : makes a ``torch.optim`` optimiser of parameters
    loss : ``(model, x, y) -> scalar``
    seed : of the start and of the order of the data
    read_average : conversions per cell of a read-back
    reverse : errors go back by products of the array in reverse, instead of by the conductances last read

    Attributes
    ----------
    steps : updates so far
    travelled : [rows, cols] [S]
        How far every cell of the block has been seen to move in all; pulses are counted by the array.
    """

    def __init__(
        self,
        model: nn.Module,
        weights: ArrayWeights,
        rule: UpdateRule,
        optimiser: Optimiser,
        loss: LossFunction,
        *,
        seed: int = 0,
        read_average: int = 1,
        reverse: bool = False,
    ) -> None:
        rule.check(weights.array.spec)
        if reverse:
            weights.array.spec.require(MultipliesReversed, otherwise=REVERSE_OTHERWISE)
        self.layers: list[ArrayLayer] = array_layers(model)
        if not self.layers:
            raise RefusedError("no layer of this model is on an array: convert it first")
        self.model, self.weights, self.rule, self.loss = model, weights, rule, loss
        self.optimiser = optimiser(list(model.parameters()))
        self.seed, self.read_average = seed, read_average
        self.steps = 0
        self.travelled: FloatArray = np.zeros(weights.block.shape)
        for layer in self.layers:
            layer.recording = rule.needs_samples
            layer.reverse = reverse

    def start(self) -> None:
        """Bring the cells to where training begins, and read them.

        Raises
        ------
        RefusedError
            Before any pulse, for a rule that needs steps which the account of this chip says it does not give.
        """
        require_answer(self.weights.array, self.rule)
        self.rule.start(self.weights, np.random.default_rng([self.seed, 0x57]))
        self.read()

    def read(self) -> None:
        """Read all weights back from the array."""
        before = self.weights.conductance[self.weights.block.slices].copy()
        self.weights.read(self.read_average)
        if before.any():
            self.travelled += np.abs(self.weights.conductance[self.weights.block.slices] - before)
        refresh_layers(self.layers)

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
            self.model.train()
            self.optimiser.zero_grad()
            loss = self.loss(self.model, x, y)
            value = float(loss.detach())
            if not np.isfinite(value):
                raise TrainingError(f"the loss is {value} at step {self.steps}: {self._culprit()}; no pulse was given")
            if value <= unless:
                return value
            loss.backward()  # pyright: ignore[reportUnknownMemberType]
            self._refuse_bad_gradients()
        except RefusedError as error:
            self.weights.array.idle()
            if isinstance(error, TrainingError):
                raise
            raise TrainingError(f"training stopped at step {self.steps}: {error}") from error
        before = {layer.layer: layer.weight.detach().clone() for layer in self.layers}
        self.optimiser.step()
        changes = {layer.layer: (layer.weight.detach() - before[layer.layer]).numpy() for layer in self.layers}
        for layer, change in changes.items():
            if not np.isfinite(change).all():
                self.weights.array.idle()
                raise TrainingError(
                    f"the change of layer {layer!r} is not finite at step {self.steps}: no pulse was given; lower the "
                    "learning rate"
                )
        samples = {layer.layer: layer.samples for layer in self.layers}
        self.rule.apply(self.weights, changes, samples)
        for layer in self.layers:
            layer.samples = []
        self.read()
        self.steps += 1
        return value

    def finish(self) -> None:
        """Let the rule leave the weights as it wants them after the last step, and read them."""
        self.rule.finish(self.weights)
        self.read()

    def epoch(self, x: Tensor, y: Tensor, batch: int, number: int) -> Iterable[float]:
        """Go once through the data in an order that depends on seed and epoch alone; yield the loss of every step."""
        order = np.random.default_rng([self.seed, 0x0D, number]).permutation(len(x))
        for start in range(0, len(order), batch):
            chosen = torch.from_numpy(order[start : start + batch])
            yield self.step(x[chosen], y[chosen])

    def _culprit(self) -> str:
        for layer in self.layers:
            if not torch.isfinite(layer.weight).all():
                return f"weights of layer {layer.layer!r} are not finite"
        return f"the last layer is {self.layers[-1].layer!r}; its weights are finite, so lower the learning rate"

    def _refuse_bad_gradients(self) -> None:
        for layer in self.layers:
            if layer.weight.grad is not None and not torch.isfinite(layer.weight.grad).all():
                raise TrainingError(
                    f"the gradient of layer {layer.layer!r} is not finite at step {self.steps}: no pulse was given; "
                    "lower the learning rate"
                )

    # -- kept with a run ---------------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what training goes on from: the rule's memory, the optimiser's, and what is trained on the host."""
        kept: dict[str, NDArray[Any]] = {"steps": np.asarray(self.steps), "travelled": self.travelled}
        kept |= {f"rule.{name}": value for name, value in self.rule.arrays().items()}
        state: dict[int, dict[str, Any]] = self.optimiser.state_dict()["state"]
        for index, values in state.items():
            for name, value in values.items():
                if value is not None:
                    kept[f"optimiser.{index}.{name}"] = np.asarray(value)
        own = {f"{name}.weight" for name, module in self.model.named_modules() if isinstance(module, ArrayLayer)}
        for name, value in self.model.state_dict().items():
            if name not in own:
                kept[f"model.{name}"] = value.numpy()
        return kept

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take up what ``arrays`` returned, and read the weights from the chip, which is where they are."""
        self.remember(arrays)
        self.look_again()

    def look_again(self) -> None:
        """Read the weights from the chip as they are now; what they were before is not compared with them."""
        self.weights.read(self.read_average)
        refresh_layers(self.layers)

    def remember(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take up what ``arrays`` returned; the array is not touched."""
        parts = {kind: _under(kind, arrays) for kind in ("rule", "optimiser", "model")}
        self.steps = int(arrays["steps"])
        self.travelled = np.array(arrays["travelled"], dtype=np.float64)
        self.rule.restore(parts["rule"])
        whole = self.optimiser.state_dict()
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in parts["optimiser"].items():
            index, name = key.split(".", 1)
            state.setdefault(int(index), {})[name] = torch.from_numpy(np.array(value))
        self.optimiser.load_state_dict({**whole, "state": state})
        held = {name: torch.from_numpy(np.array(value)) for name, value in parts["model"].items()}
        self.model.load_state_dict(held, strict=False)


def _under(kind: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(f"{kind}."): value for name, value in arrays.items() if name.startswith(f"{kind}.")}
