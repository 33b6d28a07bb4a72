"""Train a classifier on the host before it is written onto a chip, with the chip's noise on its weights or without."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ..training.tasks.labelled import Examples
from .chip_noise import ChipNoise, columns_of


def train_on_host(
    model: nn.Module, train: Examples, *, epochs: int, batch: int, rate: float, seed: int, noise: ChipNoise | None,
    bound: float | None = None,
) -> None:  # fmt: skip
    """Train by Adam, the rate falling to a twentieth along a straight line; the same batches for every ``noise``.

    ``bound`` is as of :func:`bound_weights`, after every update.
    """
    inputs, label = [torch.from_numpy(one) for one in train.inputs], torch.from_numpy(train.label)
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    steps = epochs * -(-len(train) // batch)
    falling = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1.0 - 0.95 * step / steps)
    order, drawn = np.random.default_rng([seed, 0x0D]), torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        whole = torch.from_numpy(order.permutation(len(train)))
        for index in whole.split(batch):
            optimiser.zero_grad()
            with noise.on(model, drawn) if noise is not None else nullcontext():
                scores = model(*(one[index] for one in inputs))
                functional.cross_entropy(scores, label[index]).backward()  # pyright: ignore[reportUnknownMemberType]
            optimiser.step()
            falling.step()
            if bound is not None:
                bound_weights(model, bound)


def bound_weights(model: nn.Module, bound: float) -> None:
    """Cut weights that go onto an array at so many root mean squares of their column.

    The largest weight of a column takes the whole range of the cells: a few large ones leave the others little of it
    above the cells' errors (Joshi et al. 2020 cut likewise while they train).
    """
    with torch.no_grad():
        for columns in columns_of(model):
            flat = [w.reshape(len(w), -1) for w in columns]
            inputs = sum(w.shape[1] for w in flat)
            most = bound * torch.sqrt(torch.stack([(w * w).sum(1) for w in flat]).sum(0) / inputs)
            for w in columns:
                limit = most.reshape(-1, *(1,) * (w.ndim - 1))
                w.copy_(torch.clamp(w, -limit, limit))
