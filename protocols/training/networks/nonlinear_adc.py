"""An LSTM classifier whose gates come activated out of the converters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ..layers.array_layers import ArrayLinear
from ..layers.converted import ArrayConverted
from ..layers.recurrent import ArrayRecurrent, TwinRecurrent
from ..layers.recurrent_cells import LstmCell
from .lstm import LstmClassifier

if TYPE_CHECKING:
    from ..layers.array_weights import ArrayWeights

FUNCTIONS = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "softsign": functional.softsign}


def as_it_is(product: Tensor) -> Tensor:
    """Return what the converters have activated already."""
    return product


def gate_or_candidate(hidden: int) -> NDArray[np.intp]:
    """Return for each output of an LSTM's product, gates i, f, g, o, 0 for a gate and 1 for the candidate g."""
    return np.repeat(np.array([0, 0, 1, 0], dtype=np.intp), hidden)


def converted_classifier(weights: ArrayWeights, features: int) -> LstmClassifier:
    """Return the classifier on layers ``lstm`` and ``dense``; the first is to be given a converter."""
    cell = LstmCell(gate=as_it_is, candidate=as_it_is)
    lstm = ArrayRecurrent(weights, "lstm", features=features, bias=False, cell=cell, made_of=ArrayConverted)
    return LstmClassifier(lstm, ArrayLinear(weights, "dense", bias=False))


def converted_layer(model: nn.Module) -> ArrayConverted:
    """Return the layer of a classifier that is converted."""
    (found,) = (one for one in model.modules() if isinstance(one, ArrayConverted))
    return found


def twin_of_converted(
    features: int, hidden: int, classes: int, *, gate: str, candidate: str, seed: int
) -> LstmClassifier:
    """Return its float twin, with the functions themselves, initialised at random."""
    torch.manual_seed(seed)
    cell = LstmCell(gate=FUNCTIONS[gate], candidate=FUNCTIONS[candidate])
    lstm = TwinRecurrent(features, hidden, bias=False, cell=cell)
    return LstmClassifier(lstm, nn.Linear(hidden, classes, bias=False))
