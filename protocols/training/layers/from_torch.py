"""What of a torch model can stand on an array: its layers by exact type, their weights as matrices, what replaces them.

A subclass may compute something else in its ``forward``, so it is refused by name and never taken for its parent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ....common.errors import RefusedError
from .array_layers import ArrayConv2d, ArrayLayer, ArrayLinear
from .array_weights import ArrayWeights, Float32Array, InputScale
from .convolution import Convolution, TorchLikeConv
from .placement import ON_ARRAY, placement
from .recurrent import Recurrence, Sizes, TorchLikeCell, TorchLikeRecurrent
from .recurrent_cells import GruCell, LstmCell, RecurrentCell, RnnCell


@dataclass(frozen=True)
class Taken:
    """A layer of a model that goes onto an array.

    Attributes
    ----------
    name : in the model; "" when the model is the layer. A module under several names has its first
    module : as it was
    matrices : layer of the floor plan -> its weights [inputs, outputs], a bias as last input
    build : makes of the array what takes the module's place
    """

    name: str
    module: nn.Module
    matrices: dict[str, Float32Array]
    build: Callable[[ArrayWeights], nn.Module]


def take(model: nn.Module, *, scale: InputScale = "vector") -> list[Taken]:
    """Return all layers of ``model`` that can stand on an array, in its order; the model is left as it is.

    Parameters
    ----------
    scale : how inputs become voltages (``ArrayWeights.multiply``): scaled vector by vector none is cut

    Raises
    ------
    RefusedError
        For a model without any, and for a layer that would compute something else on an array.
    """
    found: list[Taken] = []
    same: set[tuple[int, ...]] = set()
    for name, module in model.named_modules():
        kind = type(module)
        if isinstance(module, ArrayLayer):
            raise RefusedError(f"layer {module.layer!r} is on an array already: convert a model once, all of it")
        place = placement(kind, parameters=True)
        if place.place == "refused":
            raise RefusedError(f"layer {name!r}, a {kind.__name__}, {place.why}")
        if place.place == "array":
            _refuse_changed(name, module)
            if _tied(module) in same:
                continue
            same.add(_tied(module))
            _refuse_shared(name, module, model)
            matrices, build = _KINDS[kind](name or kind.__name__.lower(), module, scale)
            found.append(Taken(name, module, matrices, _as_it_was(module, build)))
    if not found:
        *most, last = (kind.__name__ for kind in ON_ARRAY)
        raise RefusedError(f"this model has no layer to put on an array: no {', '.join(most)} or {last}")
    return found


def put_in_place(model: nn.Module, made: Mapping[nn.Module, nn.Module]) -> nn.Module:
    """Replace modules of ``model`` under all of their names; return the model, which is another if it was a layer.

    ``nn.Linear`` layers that have all of their parameters in common are one on the array.
    """
    if model in made:
        return made[model]
    one = {_tied(module): new for module, new in made.items()}
    for name, module in list(model.named_modules(remove_duplicate=False)):
        new = made.get(module) or (one.get(_tied(module)) if type(module) is nn.Linear else None)
        if new is not None:
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, new)
    return model


def _tied(module: nn.Module) -> tuple[int, ...]:
    """Return what is the same for modules that compute the same whatever is trained: linear ones share all parameters.

    Others may differ in more than their parameters.
    """
    return tuple(id(parameter) for parameter in module.parameters()) if type(module) is nn.Linear else (id(module),)


def _refuse_changed(name: str, module: nn.Module) -> None:
    """Refuse a layer that something was hung on: what replaces it would not have it."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    if any(getattr(module, kind) for kind in hooks):
        raise RefusedError(
            f"layer {name!r} has hooks, which pruning, weight_norm and spectral_norm hang on it: the array would not "
            "call them; remove them first"
        )
    if "forward" in vars(module):
        raise RefusedError(f"layer {name!r} has a forward of its own, which the array would not call: remove it first")


def _refuse_shared(name: str, module: nn.Module, model: nn.Module) -> None:
    """Refuse parameters that another module uses, too, and such as are not float32 numbers of this machine's memory."""
    own = {id(parameter) for parameter in module.parameters()}
    for other_name, other in model.named_modules():
        alike = _tied(other) == _tied(module)
        if not alike and own & {id(parameter) for parameter in other.parameters(recurse=False)}:
            raise RefusedError(
                f"layer {name!r} shares its weights with {other_name!r}: on an array they would be cells of their own; "
                "use the same module in both places, or give each its own weights"
            )
    for parameter in module.parameters():
        if parameter.dtype != torch.float32 or parameter.device.type != "cpu":
            raise RefusedError(
                f"layer {name!r} holds {str(parameter.dtype).removeprefix('torch.')} on {parameter.device.type}: the "
                "array takes float32 on the cpu; model.float().cpu() makes it so"
            )
    if len({parameter.requires_grad for parameter in module.parameters()}) > 1:
        raise RefusedError(
            f"layer {name!r} has parameters that are frozen and others that are not: on an array they are one matrix; "
            "freeze all of the layer or none"
        )


def _as_it_was(module: nn.Module, build: Callable[[ArrayWeights], nn.Module]) -> Callable[[ArrayWeights], nn.Module]:
    """Return what builds the layer frozen, and in training or not, as the module is then."""

    def built(weights: ArrayWeights) -> nn.Module:
        made = build(weights)
        made.requires_grad_(all(parameter.requires_grad for parameter in module.parameters()))
        return made.train(module.training)

    return built


Found = tuple[dict[str, Float32Array], Callable[[ArrayWeights], nn.Module]]


def _linear(name: str, module: nn.Linear, scale: InputScale) -> Found:
    bias = _bias_of(module)
    parts = [module.weight.T] if bias is None else [module.weight.T, bias[None]]
    return {name: _matrix(parts)}, lambda weights: ArrayLinear(weights, name, bias=bias is not None, scale=scale)


def _conv(name: str, module: nn.Conv1d | nn.Conv2d, scale: InputScale) -> Found:
    bias, groups = _bias_of(module), module.groups
    names = [name] if groups == 1 else [f"{name}.g{n}" for n in range(groups)]
    filters = module.weight.reshape(len(module.weight), -1).chunk(groups)
    biases = [None] * groups if bias is None else bias.chunk(groups)
    matrices = {
        block: _matrix([part.T] if own is None else [part.T, own[None]])
        for block, part, own in zip(names, filters, biases, strict=True)
    }
    of = Convolution(
        name,
        module.in_channels,
        module.out_channels,
        module.kernel_size,
        module.stride,
        module.padding,
        module.dilation,
        groups,
        module.padding_mode,
    )
    kernel, stride, dilation = (_rows_cols(size) for size in (of.kernel_size, of.stride, of.dilation))

    def build(weights: ArrayWeights) -> nn.Module:
        blocks = [
            ArrayConv2d(
                weights, block, bias=bias is not None, kernel=kernel, stride=stride, dilation=dilation, scale=scale
            )
            for block in names
        ]
        return TorchLikeConv(of, blocks)

    return matrices, build


def _recurrent(name: str, module: nn.RNNBase, scale: InputScale) -> Found:
    ways = 2 if module.bidirectional else 1
    held = dict(module.named_parameters())
    several = module.num_layers * ways > 1
    matrices: dict[str, Float32Array] = {}
    makers: list[Callable[[ArrayWeights], Recurrence]] = []
    make_cell = _cell_maker(module.mode)
    for k in range(module.num_layers):
        for way in ("", "_reverse")[:ways]:
            own = {kind: held[f"{kind}_l{k}{way}"] for kind in _PARTS if f"{kind}_l{k}{way}" in held}
            part = f"{name}.l{k}{way}" if several else name
            given, make = _recurrence(part, make_cell, own, scale, reverse=bool(way))
            matrices |= given
            makers.append(make)
    sizes = Sizes(
        name=name,
        mode=module.mode,
        input_size=module.input_size,
        hidden_size=module.hidden_size,
        bias=bool(module.bias),
        states=make_cell().states,
        num_layers=module.num_layers,
        batch_first=module.batch_first,
        dropout=float(module.dropout),
        bidirectional=module.bidirectional,
        proj_size=module.proj_size,
        nonlinearity="relu" if module.mode == "RNN_RELU" else "tanh",
    )
    return matrices, lambda weights: TorchLikeRecurrent(sizes, [make(weights) for make in makers])


def _single_cell(name: str, module: nn.RNNCell | nn.GRUCell | nn.LSTMCell, scale: InputScale) -> Found:
    mode = {nn.RNNCell: "RNN", nn.GRUCell: "GRU", nn.LSTMCell: "LSTM"}[type(module)]
    nonlinearity = module.nonlinearity if isinstance(module, nn.RNNCell) else "tanh"
    if mode == "RNN":
        mode = f"RNN_{nonlinearity.upper()}"
    make_cell = _cell_maker(mode)
    matrices, make = _recurrence(name, make_cell, dict(module.named_parameters()), scale)
    sizes = Sizes(
        name=name,
        mode=mode,
        input_size=module.input_size,
        hidden_size=module.hidden_size,
        bias=bool(module.bias),
        states=make_cell().states,
        nonlinearity=nonlinearity,
    )
    return matrices, lambda weights: TorchLikeCell(sizes, [make(weights)])


_PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")


def _cell_maker(mode: str) -> Callable[[], RecurrentCell]:
    makers: dict[str, Callable[[], RecurrentCell]] = {
        "RNN_TANH": RnnCell,
        "RNN_RELU": lambda: RnnCell(torch.relu),
        "GRU": GruCell,
        "LSTM": LstmCell,
    }
    return makers[mode]


def _recurrence(
    name: str, make_cell: Callable[[], RecurrentCell], held: Mapping[str, Tensor], scale: InputScale, *,
    reverse: bool = False,
) -> tuple[dict[str, Float32Array], Callable[[ArrayWeights], Recurrence]]:  # fmt: skip
    """Return matrices and maker of one layer in one direction, of its parameters by torch's names without suffix."""
    of_input, of_state = held["weight_ih"].T, held["weight_hh"].T
    bias, apart = "bias_ih" in held, make_cell().apart
    if apart:
        first, second = f"{name}.input", f"{name}.state"
        matrices = {
            first: _matrix([of_input, held["bias_ih"][None]] if bias else [of_input]),
            second: _matrix([of_state, held["bias_hh"][None]] if bias else [of_state]),
        }
    else:
        first, second = name, ""
        parts = [of_input, of_state]
        matrices = {first: _matrix([*parts, (held["bias_ih"] + held["bias_hh"])[None]] if bias else parts)}
    projection = f"{name}.projection" if "weight_hr" in held else ""
    if projection:
        matrices[projection] = _matrix([held["weight_hr"].T])

    def make(weights: ArrayWeights) -> Recurrence:
        return Recurrence(
            make_cell(),
            ArrayLinear(weights, first, bias=bias, scale=scale),
            of_state=ArrayLinear(weights, second, bias=bias, scale=scale) if second else None,
            projection=ArrayLinear(weights, projection, bias=False, scale=scale) if projection else None,
            reverse=reverse,
        )

    return matrices, make


_KINDS: Mapping[type[nn.Module], Callable[[str, Any, InputScale], Found]] = {
    nn.Linear: _linear,
    nn.Conv1d: _conv,
    nn.Conv2d: _conv,
    nn.RNN: _recurrent,
    nn.GRU: _recurrent,
    nn.LSTM: _recurrent,
    nn.RNNCell: _single_cell,
    nn.GRUCell: _single_cell,
    nn.LSTMCell: _single_cell,
}


def _rows_cols(size: tuple[int, ...]) -> tuple[int, int]:
    """Return sizes over rows and columns: a sequence is one row."""
    return (1, size[0]) if len(size) == 1 else (size[0], size[1])


def _bias_of(module: nn.Module) -> Tensor | None:
    return dict(module.named_parameters()).get("bias")


def _matrix(parts: list[Tensor]) -> Float32Array:
    """Return weights [inputs, outputs] of parts one below the other."""
    return np.ascontiguousarray(torch.cat(parts).detach().numpy(), dtype=np.float32)
