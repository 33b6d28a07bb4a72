"""A torch optimiser whose steps are written to the array: own loops, schedulers and clipping work as in torch."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...common.errors import RefusedError
from ...instruments.capabilities import FloatArray
from .convert import HALF_WRITTEN, Converted
from .layers.array_layers import ArrayLayer, layers_of
from .layers.array_weights import ArrayWeights
from .rules.answers import require_answer
from .rules.update_rules import UpdateRule

_PROPORTIONAL = 1e-3
"""How far, of its size, a gradient may be from a multiple of what passed through a layer, by rounding [fraction]."""

MEASURED = "measured_step"
"""What is kept of a rule's step where the chip was measured for it [S]."""


class TrainingError(RefusedError):
    """Training cannot go on; the array is idle."""


class ArrayOptimizer(torch.optim.Optimizer):
    """A torch optimiser of which every step is written to the array and read back.

    Its groups, state and hooks are those of ``optimiser``: schedulers take either. Layers without a gradient, or that
    the optimiser does not have, are frozen, and their cells are given no pulse.

    Parameters
    ----------
    optimiser : of the model's parameters as they are after ``convert``
    weights : what ``convert`` returned, or the weights of a network that was built on an array
    rule : how changes become pulses; that of ``convert`` by default
    model : whose parameters on the host belong to a checkpoint; that of ``convert`` by default
    read_average : conversions per cell of a read-back

    Attributes
    ----------
    steps : updates so far
    travelled : [rows, cols] [S]
        How far every cell of the block has been seen to move in all; pulses are counted by the array.

    Raises
    ------
    RefusedError
        For an optimiser that has no weight of the array, that evaluates the model several times in a step (LBFGS), or
        that is not plain SGD where the rule writes outer products.
    """

    def __init__(
        self,
        optimiser: torch.optim.Optimizer,
        weights: ArrayWeights | Converted,
        rule: UpdateRule | None = None,
        *,
        model: nn.Module | None = None,
        read_average: int = 1,
    ) -> None:
        # Without torch's own: groups, state and hooks are those of ``optimiser``.
        if isinstance(weights, Converted):
            model = weights.model if model is None else model
            rule = weights.rule if rule is None else rule
            weights = weights.weights
        if rule is None:
            raise RefusedError("weights alone have no update rule: say which, as in ArrayOptimizer(…, weights, rule)")
        self.inner, self.weights, self.rule, self.model, self.read_average = (
            optimiser,
            weights,
            rule,
            model,
            read_average,
        )
        self.steps = 0
        self.travelled: FloatArray = np.zeros(weights.block.shape)
        rule.check(weights.array.spec)
        closure = inspect.signature(type(optimiser).step).parameters.get("closure")
        if isinstance(optimiser, torch.optim.LBFGS) or (closure is not None and closure.default is closure.empty):
            raise RefusedError(
                f"{type(optimiser).__name__} evaluates the model several times in one step, with weights that are not "
                "on the array: take SGD, RMSprop, Adam or another that steps once"
            )
        if not any(self._has(layer) for layer in self.layers):
            raise RefusedError(
                "this optimiser has no weight that is on the array: make it of model.parameters() after convert, which "
                "puts new parameters in the place of the old"
            )
        if rule.needs_samples:
            self._refuse_other_than_sgd()
        rule.attach(weights)
        for layer in self.layers:
            layer.recording = rule.needs_samples
            layer.samples = []

    def __getattr__(self, name: str) -> Any:
        """Return what torch keeps in an optimiser: groups, state, defaults and hooks are those of the one within."""
        if name == "inner":
            raise AttributeError(name)
        return getattr(self.inner, name)

    @property
    def layers(self) -> list[ArrayLayer]:
        """The layers on these weights."""
        return layers_of(self.weights)

    # -- what torch calls --------------------------------------------------------------------------------------------

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget gradients, and what passed through the layers."""
        self.inner.zero_grad(set_to_none)
        for layer in self.layers:
            layer.samples = []

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Let the optimiser change the weights, write the changes by the rule, and read all weights back.

        A ``closure`` is called once, before the change, and what it returns is returned. Ended in the middle of the
        writing, by Ctrl-C or a fault, cells hold a part of the step: the next forward is refused until
        :meth:`look_again` has read what they hold. The optimiser and the rule have then taken the step; a rule with
        feedback writes what is missing in the next.

        Raises
        ------
        TrainingError
            When a gradient or a change is not finite, naming the layer; no pulse was given, and the array is idle.
        RefusedError
            When weights were changed by anything else since they were read; before the first step, for a rule that
            needs steps which the account of this chip says it does not give.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if not self.steps:
            require_answer(self.weights.array, self.rule)
        for layer in self.layers:
            layer.check_known()
        self._refuse_bad(self._gradients(), "gradient")
        samples = self._samples() if self.rule.needs_samples else {}
        self.inner.step()
        changes = {
            layer.layer: (layer.weight.detach() - layer.known).numpy()
            for layer in self.layers
            if layer.weight.requires_grad and layer.weight.grad is not None and self._has(layer)
        }
        try:
            self._refuse_bad(changes, "change")
        except TrainingError:
            for layer in self.layers:
                layer.refresh()
            raise
        self.weights.unsure = HALF_WRITTEN
        self.rule.apply(self.weights, changes, samples)
        self.read()
        for layer in self.layers:
            layer.samples = []
        self.steps += 1
        return loss

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, as torch does."""
        self.inner.add_param_group(param_group)

    def state_dict(self) -> dict[str, Any]:
        """Return torch's part of the state; a checkpoint has all of it."""
        return self.inner.state_dict()

    def load_state_dict(self, state_dict: Any) -> None:
        """Take up groups and state of the optimiser; weights and cells are not touched."""
        self.inner.load_state_dict(state_dict)

    def __repr__(self) -> str:
        """Return the optimiser and how it writes."""
        return f"<ArrayOptimizer {type(self.rule).__name__}: {self.inner!r}>"

    # -- reading and ending ------------------------------------------------------------------------------------------

    def start(self, seed: int = 0) -> None:
        """Bring the cells to where the rule begins a training from nothing, and read them."""
        self.rule.start(self.weights, np.random.default_rng([seed, 0x57]))
        self.read()

    def read(self) -> None:
        """Read all weights back from the array."""
        before = self.weights.conductance[self.weights.block.slices].copy()
        self.look_again()
        if before.any():
            self.travelled += np.abs(self.weights.conductance[self.weights.block.slices] - before)

    def look_again(self) -> None:
        """Read the weights from the chip as they are now; what they were before is not compared with them."""
        self.weights.read(self.read_average)
        self.weights.unsure = ""

    def write(self, writer: Any, wanted: Mapping[str, NDArray[Any]]) -> None:
        """Let ``writer`` write given weights [inputs, outputs], read all back, and let the rule begin on them."""
        self.weights.unsure = HALF_WRITTEN
        writer.program(self.weights, wanted)
        self.look_again()
        self.rule.adopt(self.weights)

    def finish(self) -> None:
        """Let the rule leave the weights as it wants them after the last step, and read them."""
        self.rule.finish(self.weights)
        self.read()

    # -- what cannot be written --------------------------------------------------------------------------------------

    def _has(self, layer: ArrayLayer) -> bool:
        return any(layer.weight is one for group in self.inner.param_groups for one in group["params"])

    def _gradients(self) -> dict[str, NDArray[Any]]:
        return {one.layer: one.weight.grad.numpy() for one in self.layers if one.weight.grad is not None}

    def _refuse_bad(self, values: Mapping[str, NDArray[Any]], what: str) -> None:
        for layer, value in values.items():
            if not np.isfinite(value).all():
                self.weights.array.idle()
                raise TrainingError(
                    f"the {what} of layer {layer!r} is not finite at step {self.steps}: no pulse was given; lower the "
                    "learning rate"
                )

    def _refuse_other_than_sgd(self) -> None:
        plain = type(self.inner) is torch.optim.SGD and not any(
            group[name] for group in self.inner.param_groups for name in ("momentum", "weight_decay", "maximize")
        )
        if not plain:
            raise RefusedError(
                f"rule {type(self.rule).__name__} writes what passes through the layers, sample by sample, so an "
                f"optimiser can only give it a learning rate: take torch.optim.SGD without momentum and weight decay, "
                f"not {type(self.inner).__name__}; or a rule that takes changes, as mixed_precision"
            )

    def _samples(self) -> dict[str, list[tuple[NDArray[np.float32], NDArray[np.float32]]]]:
        """Return what passed through the layers since gradients were zeroed, times learning rate and clipping."""
        own = float(cast("Any", getattr(self.rule, "rate", 1.0)))
        found: dict[str, list[tuple[NDArray[np.float32], NDArray[np.float32]]]] = {}
        for layer in self.layers:
            grad = layer.weight.grad
            if grad is None or not self._has(layer):
                continue
            passed = sum((x.T @ error for x, error in layer.samples), np.zeros(tuple(grad.shape), np.float32))
            size, given = float((passed * passed).sum()), grad.numpy()
            factor = float((passed * given).sum()) / size if size else 0.0
            if np.linalg.norm(given - factor * passed) > _PROPORTIONAL * max(np.linalg.norm(given), 1e-30):
                raise RefusedError(
                    f"the gradient of layer {layer.layer!r} is not what passed through it, times a number: this rule "
                    "writes outer products, which can be scaled (clip_grad_norm_) and added up over batches, and "
                    "nothing else; zero_grad() of the ArrayOptimizer begins anew"
                )
            scale = np.float32(factor * self._rate_of(layer) / own)
            found[layer.layer] = [(x, error * scale) for x, error in layer.samples]
        return found

    def _rate_of(self, layer: ArrayLayer) -> float:
        groups = self.inner.param_groups
        return float(next(g["lr"] for g in groups if any(layer.weight is one for one in g["params"])))

    # -- kept with a run ---------------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what training goes on from: memory of rule and optimiser, groups, scales, what is on the host."""
        kept: dict[str, NDArray[Any]] = {"steps": np.asarray(self.steps), "travelled": self.travelled}
        kept |= {f"rule.{name}": value for name, value in self.rule.arrays().items()}
        # What the chip was measured to do is no memory of cells, which rules forget, and training goes on with it.
        measured = getattr(self.rule, "measured", None)
        if isinstance(measured, float):
            kept[MEASURED] = np.asarray(measured)
        kept |= {f"scale.{name}": value for name, value in self.weights.scale.items()}
        whole = self.inner.state_dict()
        for index, values in cast("dict[int, dict[str, Any]]", whole["state"]).items():
            for name, value in values.items():
                if value is not None:
                    kept[f"optimiser.{index}.{name}"] = np.asarray(value)
        groups = json.dumps(whole["param_groups"], default=_number).encode()
        kept["groups"] = np.frombuffer(groups, np.uint8).copy()
        for name, value in self._host().items():
            kept[f"model.{name}"] = value.numpy()
        return kept

    def _host(self) -> dict[str, Tensor]:
        if self.model is None:
            raise RefusedError("what is trained on the host cannot be kept: give ArrayOptimizer the model as well")
        own = {
            f"{n}.weight".lstrip(".")
            for n, m in self.model.named_modules(remove_duplicate=False)
            if isinstance(m, ArrayLayer)
        }
        return {name: value for name, value in self.model.state_dict().items() if name not in own}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take up what ``arrays`` returned, and read the weights from the chip, which is where they are."""
        self.remember(arrays)
        self.look_again()

    def check_groups(self, arrays: Mapping[str, NDArray[Any]]) -> list[dict[str, Any]]:
        """Return the groups kept in ``arrays``; refuse groups of other parameters."""
        mine = self.inner.state_dict()["param_groups"]
        if "groups" not in arrays:  # run folders of earlier versions have none
            return mine
        kept = json.loads(np.asarray(arrays["groups"]).tobytes())
        if [len(group["params"]) for group in kept] != [len(group["params"]) for group in mine]:
            raise RefusedError("the optimiser of this state has other groups of parameters: make the same ones")
        return [
            {k: tuple(cast("list[Any]", v)) if isinstance(v, list) and k != "params" else v for k, v in group.items()}
            for group in kept
        ]

    def remember(self, arrays: Mapping[str, NDArray[Any]], *, rule: bool = True) -> None:
        """Take up what ``arrays`` returned, with or without the rule's memory; the array is not touched."""
        groups = self.check_groups(arrays)
        self.steps = int(arrays["steps"])
        self.travelled = np.array(arrays["travelled"], dtype=np.float64)
        if rule:
            self.rule.attach(self.weights)
            self.rule.restore(_under("rule", arrays))
            if MEASURED in arrays and hasattr(self.rule, "measured"):
                cast("Any", self.rule).measured = float(arrays[MEASURED])
        scale = _under("scale", arrays)
        if scale and any(not np.array_equal(value, self.weights.scale[name]) for name, value in scale.items()):
            self.weights.rescale(scale)
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in _under("optimiser", arrays).items():
            index, name = key.split(".", 1)
            state.setdefault(int(index), {})[name] = torch.from_numpy(np.array(value))
        self.inner.load_state_dict({"state": state, "param_groups": groups})
        held = {name: torch.from_numpy(np.array(value)) for name, value in _under("model", arrays).items()}
        if self.model is not None:
            self.model.load_state_dict(held, strict=False)


def _number(value: Any) -> float:
    """Return what JSON takes of a number of torch's."""
    return float(value)


def _under(kind: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(f"{kind}."): value for name, value in arrays.items() if name.startswith(f"{kind}.")}
