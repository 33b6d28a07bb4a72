"""The closed list of torch's modules: which stand on the array, which stay on the host, which are refused, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from .array_layers import ArrayLayer

ON_ARRAY: tuple[type[nn.Module], ...] = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.RNN, nn.GRU, nn.LSTM, nn.RNNCell, nn.GRUCell, nn.LSTMCell
)  # fmt: skip

_INNER = (
    "multiplies by the weights of its inner layers without calling them, so that the array would not be asked: write "
    "attention with nn.Linear layers for query, key, value and output"
)
_BACKWARDS = "spreads inputs over outputs, which no product of this package does: use nn.Upsample and a convolution"
_LAZY = "has no weights before its first call: call the model once on an example, then convert"
REFUSED: dict[type[nn.Module], str] = {
    nn.MultiheadAttention: _INNER,
    nn.TransformerEncoderLayer: _INNER,
    nn.TransformerDecoderLayer: _INNER,
    nn.TransformerEncoder: _INNER,
    nn.TransformerDecoder: _INNER,
    nn.Transformer: _INNER,
    nn.Conv3d: "has three axes: the array takes convolutions over one or two; convert the part of the model without it",
    nn.ConvTranspose1d: _BACKWARDS,
    nn.ConvTranspose2d: _BACKWARDS,
    nn.ConvTranspose3d: _BACKWARDS,
    nn.Bilinear: "multiplies two inputs with each other, which no array does: use nn.Linear on both side by side",
    nn.LazyLinear: _LAZY,
    nn.LazyConv1d: _LAZY,
    nn.LazyConv2d: _LAZY,
    nn.LazyConv3d: _LAZY,
    nn.LazyConvTranspose1d: _LAZY,
    nn.LazyConvTranspose2d: _LAZY,
    nn.LazyConvTranspose3d: _LAZY,
    nn.LazyBatchNorm1d: _LAZY,
    nn.LazyBatchNorm2d: _LAZY,
    nn.LazyBatchNorm3d: _LAZY,
    nn.LazyInstanceNorm1d: _LAZY,
    nn.LazyInstanceNorm2d: _LAZY,
    nn.LazyInstanceNorm3d: _LAZY,
    nn.DataParallel: "makes copies of the model, and the array is there only once: convert the model inside it",
}
"""Type -> why, and what to do instead. Named with its subclasses."""
if hasattr(nn, "LinearCrossEntropyLoss"):  # since torch 2.13
    REFUSED[nn.LinearCrossEntropyLoss] = (
        "multiplies by a weight of its own in a loss: use nn.Linear and CrossEntropyLoss"
    )

_TABLE = "looks rows up in a table of the host: no product"
_SCALE = "scales and shifts each value: no product"
_HOST: dict[type[nn.Module], str] = {
    nn.Embedding: _TABLE,
    nn.EmbeddingBag: _TABLE,
    nn.BatchNorm1d: _SCALE,
    nn.BatchNorm2d: _SCALE,
    nn.BatchNorm3d: _SCALE,
    nn.SyncBatchNorm: _SCALE,
    nn.InstanceNorm1d: _SCALE,
    nn.InstanceNorm2d: _SCALE,
    nn.InstanceNorm3d: _SCALE,
    nn.LayerNorm: _SCALE,
    nn.GroupNorm: _SCALE,
    nn.RMSNorm: _SCALE,
    nn.PReLU: "an activation with a slope that is trained",
    nn.ParameterList: "holds parameters of the model's own",
    nn.ParameterDict: "holds parameters of the model's own",
}
_WITHOUT_WEIGHTS = "has no weights"
_OWN = "holds parameters of the model's own"
# Their modules hold weights in other forms than float32 matrices, or run a graph that was taken before.
_OTHER_FORMS = {
    "torch.ao.": "holds weights as integers or for training with them",
    "torch.nn.quantized": "holds weights as integers",
    "torch.nn.qat": "holds weights for training with integers",
    "torch.nn.intrinsic": "is several layers in one",
    "torch.jit": "is compiled, and would not call what replaces its layers",
    "torch._dynamo": "is compiled, and would not call what replaces its layers",
    "torch.distributed": "is spread over machines, and the array is there only once",
    "torch.nn.parallel": "makes copies of the model, and the array is there only once",
}

Place = Literal["array", "host", "refused"]


@dataclass(frozen=True)
class Placement:
    """Where a module goes, and why."""

    place: Place
    why: str


def placement(kind: type[nn.Module], *, parameters: bool) -> Placement:
    """Return where a module of this exact type goes; ``parameters``: whether it holds some itself."""
    if kind in ON_ARRAY:
        return Placement("array", "its products are the array's")
    for refused, why in REFUSED.items():
        if issubclass(kind, refused):
            return Placement("refused", why)
    for prefix, why in _OTHER_FORMS.items():
        if kind.__module__.startswith(prefix):
            return Placement("refused", f"{why}: convert the float model it was made from")
    parent = next((known for known in ON_ARRAY if issubclass(kind, known)), None)
    if parent is not None:
        return Placement(
            "refused",
            f"is a class made from {parent.__name__} that may compute something else: use nn.{parent.__name__} itself, "
            "with what it adds in a module around it",
        )
    why = next((why for known, why in _HOST.items() if issubclass(kind, known)), _OWN if parameters else "")
    return Placement("host", why or _WITHOUT_WEIGHTS)


def left_on_host(model: nn.Module) -> dict[str, str]:
    """Return the modules of ``model`` that hold parameters and stay on the host: name -> type, and why."""
    told: dict[str, str] = {}
    for name, module in model.named_modules():
        if isinstance(module, ArrayLayer) or type(module) in ON_ARRAY:
            continue
        if list(module.parameters(recurse=False)):
            told[name] = f"{type(module).__name__} {placement(type(module), parameters=True).why}"
    return told


def torch_modules() -> dict[str, Placement]:
    """Return every module of ``torch.nn`` by its name, and where it goes."""
    kinds = {name: getattr(nn, name) for name in dir(nn)}
    return {
        name: placement(kind, parameters=kind in _HOST)
        for name, kind in sorted(kinds.items())
        if isinstance(kind, type) and issubclass(kind, nn.Module) and name not in ("Module", "RNNBase", "RNNCellBase")
    }
