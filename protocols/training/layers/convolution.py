"""``nn.Conv1d`` and ``nn.Conv2d`` on an array, called and answering like torch's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ....common.errors import RefusedError
from .array_layers import ArrayConv2d
from .refusals import RefusedAttributeError, is_torch_weight


@dataclass(frozen=True)
class Convolution:
    """What torch calls a convolution's numbers, under torch's names, one per axis."""

    name: str
    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Any
    dilation: tuple[int, ...]
    groups: int
    padding_mode: str
    transposed: bool = False

    @property
    def axes(self) -> int:
        """1 for sequences, 2 for images."""
        return len(self.kernel_size)

    @property
    def edges(self) -> list[int]:
        """Lines to add on each side, from the last axis to the first, as ``functional.pad`` takes them."""
        if self.padding == "same":
            spans = [d * (k - 1) for k, d in zip(self.kernel_size, self.dilation, strict=True)]
            return [n for span in reversed(spans) for n in (span // 2, span - span // 2)]
        if self.padding == "valid":
            return [0] * (2 * self.axes)
        return [int(n) for n in reversed(self.padding) for _ in range(2)]


class TorchLikeConv(nn.Module):
    """A convolution whose patches are multiplied by the array, each group of channels by cells of its own.

    ``blocks`` has one layer per group.
    """

    def __init__(self, of: Convolution, blocks: Sequence[ArrayConv2d]) -> None:
        super().__init__()
        self.of, self.blocks = of, nn.ModuleList(blocks)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name in Convolution.__dataclass_fields__:
                return getattr(self.of, name)
            if is_torch_weight(name):
                held = ", ".join(repr(block.layer) for block in self.blocks if isinstance(block, ArrayConv2d))
                raise RefusedAttributeError(
                    f"layer {self.of.name!r} has no {name}: its weights are [inputs, outputs] of {held} on the array; "
                    "array_layers(model) finds them, weights.weights(name) returns what was last read"
                ) from None
            raise

    @property
    def bias(self) -> Tensor | None:
        """The bias [out_channels] as last read; None without."""
        parts = [block.bias for block in self.blocks if isinstance(block, ArrayConv2d)]
        return None if parts[0] is None else torch.cat([part for part in parts if part is not None])

    def extra_repr(self) -> str:
        """Return what ``print(model)`` shows."""
        return f"{self.of.in_channels} → {self.of.out_channels}, kernel {self.of.kernel_size}"

    def forward(self, input: Tensor) -> Tensor:
        """Return what the torch layer does, for [batch, channels, *lines] or [channels, *lines]."""
        of, shape = self.of, "steps" if self.of.axes == 1 else "rows, cols"
        if not isinstance(input, Tensor) or input.ndim not in (of.axes + 1, of.axes + 2):  # pyright: ignore[reportUnnecessaryIsInstance]
            got = list(input.shape) if isinstance(input, Tensor) else type(input).__name__  # pyright: ignore[reportUnnecessaryIsInstance]
            raise RefusedError(f"layer {of.name!r} takes [batch, {of.in_channels}, {shape}] or one of them, not {got}")
        batched = input.ndim == of.axes + 2
        x = input if batched else input[None]
        if x.shape[1] != of.in_channels:
            raise RefusedError(
                f"layer {of.name!r} takes [batch, {of.in_channels}, {shape}], not {list(input.shape)}: it has "
                f"{of.in_channels} channels"
            )
        if any(of.edges):
            mode = "constant" if of.padding_mode == "zeros" else of.padding_mode
            x = functional.pad(x, of.edges, mode=mode)
        needed = [d * (k - 1) + 1 for k, d in zip(of.kernel_size, of.dilation, strict=True)]
        if any(have < need for have, need in zip(x.shape[2:], needed, strict=True)):
            raise RefusedError(
                f"layer {of.name!r} needs at least {needed} lines with its padding, not {list(x.shape[2:])}"
            )
        if of.axes == 1:
            x = x[:, :, None]
        parts = [block(part) for block, part in zip(self.blocks, x.chunk(of.groups, 1), strict=True)]
        out = parts[0] if of.groups == 1 else torch.cat(parts, 1)
        out = out[:, :, 0] if of.axes == 1 else out
        return out if batched else out[0]
