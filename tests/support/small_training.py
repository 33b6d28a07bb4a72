"""A small task that a small network on an array learns in seconds, for tests of training."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def three_classes(n: int = 90, features: int = 4) -> tuple[Any, Any]:
    """Return inputs [n, features] in ±1 and classes [n] of three that a linear layer can tell."""
    torch.manual_seed(3)
    y = torch.arange(n) % 3
    return (torch.eye(3, features)[y] - 0.3 + 0.15 * torch.randn(n, features)).clamp(-1, 1), y


def small_network(seed: int = 0) -> nn.Sequential:
    """Return 4 → 12 → 3 with random weights."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 12), nn.Tanh(), nn.Linear(12, 3))


def cross_entropy(model: Any, x: Any, y: Any) -> Any:
    """Return the loss of a classifier."""
    return nn.functional.cross_entropy(model(x), y)


def accuracy(model: Any, x: Any, y: Any) -> float:
    """Return the share of examples that a model recognises."""
    with torch.no_grad():
        return float((model(x).argmax(1) == y).float().mean())
