"""Train a classifier on the host before it is written onto a chip, with the chip's noise on its weights or without."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ..training.tasks.labelled import Examples
from .chip_noise import ChipNoise


def train_on_host(
    model: nn.Module, train: Examples, *, epochs: int, batch: int, rate: float, seed: int, noise: ChipNoise | None
) -> None:
    """Train by Adam, the rate falling to a twentieth along a straight line; the same batches for every ``noise``."""
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
