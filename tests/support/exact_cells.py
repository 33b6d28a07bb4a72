"""A noise-free bench whose cells are exactly what a test wants, and a torch layer beside its twin on it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from support.training_bench import write_bench
from xbarlab.mockhw.bench.bench import bench_for
from xbarlab.protocols.training.layers.array_layers import array_layers, refresh_layers
from xbarlab.protocols.training.layers.array_weights import ArrayWeights
from xbarlab.protocols.training.layers.from_torch import put_in_place, take
from xbarlab.protocols.training.layers.weight_mapping import LayerRequest, Pairs, plan_floor
from xbarlab.runbooks.stations import open_bench

MIDDLE, SIEMENS = 100e-6, 100e-6
NO_NOISE = {"noise": 0.0, "gain_spread": 0.0, "offset_spread": 0.0}


@dataclass
class ExactChip:
    """An open noise-free bench: ``array``, and a way to its cells."""

    array: Any
    bench_file: Path

    def set(self, weights: ArrayWeights, wanted: Mapping[str, Any]) -> None:
        """Make weights [inputs, outputs] of every layer exactly what is wanted, and read them."""
        chip: Any = bench_for(self.bench_file).chip
        cells = chip.model._g.reshape(weights.plan.rows, weights.plan.cols)
        cells[:] = 1e-6
        for name, matrix in wanted.items():
            for tile in weights.plan.of(name):
                half = 0.5 * SIEMENS * matrix[tile.inputs, tile.outputs]
                cells[tile.plus], cells[tile.minus] = MIDDLE + half, MIDDLE - half
        chip._moved()
        weights.read(4)

    def put(self, model: nn.Module, **more: Any) -> tuple[nn.Module, ArrayWeights]:
        """Put all layers of a model onto the array; return what stands in its place."""
        return put_on(self, model, **more)


@contextmanager
def exact_chip(
    folder: Path,
    *,
    size: tuple[int, int] = (128, 64),
    name: str = "board",
    board: Mapping[str, Any] | None = None,
    **converters: Any,
) -> Generator[ExactChip]:
    """Open a bench without noise of chip or converters."""
    station = write_bench(
        folder, "gate_voltage_1t1r", size=size, converters={**NO_NOISE, **converters}, instrument=name, board=board
    )
    with open_bench(station) as bench:
        yield ExactChip(bench.array, folder / "ideal.bench.yaml")


def put_on(chip: ExactChip, model: nn.Module, *, pairs: Pairs = "interleaved") -> tuple[nn.Module, ArrayWeights]:
    """Put all layers of a model onto the array with exact cells, and read them."""
    found = take(model)
    wanted = {name: matrix for layer in found for name, matrix in layer.matrices.items()}
    spec = chip.array.spec
    requests = [LayerRequest(name, matrix.shape[0], matrix.shape[1], pairs) for name, matrix in wanted.items()]
    weights = ArrayWeights(chip.array, plan_floor(spec.rows, spec.cols, requests, parts=spec.parts), siemens=SIEMENS)
    made = put_in_place(model, {layer.module: layer.build(weights) for layer in found})
    chip.set(weights, wanted)
    refresh_layers(array_layers(made))
    return made, weights


@dataclass(frozen=True)
class LayerCase:
    """A torch layer and what it is given."""

    name: str
    make: Callable[[], nn.Module]
    inputs: Callable[[], tuple[Any, ...]]


def _sequence(*shape: int) -> Callable[[], tuple[Any, ...]]:
    return lambda: (2.0 * torch.rand(*shape) - 1.0,)


def _with_state(x: tuple[int, ...], *states: tuple[int, ...]) -> Callable[[], tuple[Any, ...]]:
    def made() -> tuple[Any, ...]:
        held = tuple(torch.rand(*shape) - 0.5 for shape in states)
        return 2.0 * torch.rand(*x) - 1.0, held[0] if len(held) == 1 else held

    return made


def _packed(*lengths: int, features: int = 3) -> Callable[[], tuple[Any, ...]]:
    return lambda: (pack_sequence([2.0 * torch.rand(n, features) - 1.0 for n in lengths], enforce_sorted=False),)


CASES = [
    LayerCase("Linear", lambda: nn.Linear(6, 4), _sequence(5, 7, 6)),
    LayerCase("Linear, no bias", lambda: nn.Linear(6, 4, bias=False), _sequence(5, 6)),
    LayerCase("Linear, unbatched", lambda: nn.Linear(6, 4), _sequence(6)),
    LayerCase("Linear, large inputs", lambda: nn.Linear(6, 4), lambda: (20.0 * torch.randn(5, 6),)),
    LayerCase("Linear, 130 outputs", lambda: nn.Linear(10, 130), _sequence(5, 10)),
    LayerCase("Linear, 130 inputs", lambda: nn.Linear(130, 4), _sequence(5, 130)),
    LayerCase("Conv1d", lambda: nn.Conv1d(3, 4, 3, padding=1, stride=2), _sequence(2, 3, 9)),
    LayerCase("Conv1d, groups, dilated", lambda: nn.Conv1d(4, 6, 2, groups=2, dilation=2), _sequence(2, 4, 9)),
    LayerCase("Conv1d, circular", lambda: nn.Conv1d(2, 3, 3, padding=2, padding_mode="circular"), _sequence(2, 2, 7)),
    LayerCase("Conv2d", lambda: nn.Conv2d(2, 3, 3, padding=(1, 0), stride=(1, 2)), _sequence(2, 2, 6, 7)),
    LayerCase("Conv2d, same", lambda: nn.Conv2d(2, 3, (2, 4), padding="same", bias=False), _sequence(2, 2, 5, 6)),
    LayerCase("Conv2d, reflect", lambda: nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"), _sequence(2, 1, 5, 5)),
    LayerCase("Conv2d, depthwise", lambda: nn.Conv2d(3, 6, 2, groups=3), _sequence(2, 3, 5, 5)),
    LayerCase("Conv2d, unbatched", lambda: nn.Conv2d(2, 3, 2), _sequence(2, 5, 5)),
    LayerCase("RNN, tanh", lambda: nn.RNN(3, 4), _sequence(5, 2, 3)),
    LayerCase("RNN, relu", lambda: nn.RNN(3, 4, nonlinearity="relu", num_layers=2), _sequence(5, 2, 3)),
    LayerCase("RNN, both ways", lambda: nn.RNN(3, 4, bidirectional=True, bias=False), _sequence(5, 2, 3)),
    LayerCase("GRU", lambda: nn.GRU(3, 4), _with_state((5, 2, 3), (1, 2, 4))),
    LayerCase("GRU, no bias", lambda: nn.GRU(3, 4, bias=False), _sequence(5, 2, 3)),
    LayerCase(
        "GRU, 2 layers, both ways, batch first",
        lambda: nn.GRU(3, 4, 2, bidirectional=True, batch_first=True),
        _with_state((2, 5, 3), (4, 2, 4)),
    ),
    LayerCase("GRU, packed", lambda: nn.GRU(3, 4, bidirectional=True), _packed(3, 5, 2)),
    LayerCase("LSTM", lambda: nn.LSTM(3, 4), _with_state((5, 2, 3), (1, 2, 4), (1, 2, 4))),
    LayerCase("LSTM, no bias", lambda: nn.LSTM(3, 4, bias=False), _sequence(5, 2, 3)),
    LayerCase("LSTM, 2 layers", lambda: nn.LSTM(3, 4, 2), _with_state((5, 2, 3), (2, 2, 4), (2, 2, 4))),
    LayerCase("LSTM, both ways", lambda: nn.LSTM(3, 4, bidirectional=True), _sequence(5, 2, 3)),
    LayerCase(
        "LSTM, 2 layers, both ways, projected",
        lambda: nn.LSTM(3, 5, 2, bidirectional=True, proj_size=2),
        _with_state((5, 2, 3), (4, 2, 2), (4, 2, 5)),
    ),
    LayerCase("LSTM, batch first", lambda: nn.LSTM(3, 4, batch_first=True), _sequence(2, 5, 3)),
    LayerCase("LSTM, unbatched", lambda: nn.LSTM(3, 4), _with_state((5, 3), (1, 4), (1, 4))),
    LayerCase("LSTM, packed", lambda: nn.LSTM(3, 4), _packed(3, 5, 2)),
    LayerCase(
        "LSTM, packed, with a state",
        lambda: nn.LSTM(3, 4),
        lambda: (*_packed(3, 5, 2)(), (torch.rand(1, 3, 4) - 0.5, torch.rand(1, 3, 4) - 0.5)),
    ),
    LayerCase("LSTM, packed, both ways", lambda: nn.LSTM(3, 4, 2, bidirectional=True), _packed(3, 5, 2, 5)),
    LayerCase("LSTM, large inputs", lambda: nn.LSTM(3, 4), lambda: (6.0 * torch.randn(5, 2, 3),)),
    LayerCase("RNNCell", lambda: nn.RNNCell(3, 4, nonlinearity="relu"), _with_state((2, 3), (2, 4))),
    LayerCase("GRUCell", lambda: nn.GRUCell(3, 4), _with_state((2, 3), (2, 4))),
    LayerCase("LSTMCell", lambda: nn.LSTMCell(3, 4), _with_state((2, 3), (2, 4), (2, 4))),
    LayerCase("LSTMCell, unbatched", lambda: nn.LSTMCell(3, 4, bias=False), _sequence(3)),
]


@dataclass(frozen=True)
class Agreement:
    """How far a layer on the array is from its float twin, each as a share of the twin's largest value.

    ``out`` of everything it returns, ``back`` of the gradients of everything it was given, ``weight`` of those of its
    weights; ``transactions`` of one forward pass, ``vectors`` multiplied in it.
    """

    out: float
    back: float
    weight: float
    transactions: int
    vectors: int


def compare(chip: ExactChip, case: LayerCase, *, seed: int = 0) -> Agreement:
    """Return how a layer agrees with its float twin; the converters' ranges are chosen on the same inputs."""
    torch.manual_seed(seed)
    twin, given = case.make(), case.inputs()
    layer, weights = chip.put(copy.deepcopy(twin))
    with torch.no_grad(), weights.choosing_ranges():
        layer(*given)
    own, same = _leaves(given), _leaves(given)
    before, vectors = chip.array.cost.transactions, sum(weights.products.values())
    got = _flat(layer(*own[0]))
    cost, vectors = chip.array.cost.transactions - before, sum(weights.products.values()) - vectors
    wanted = _flat(twin(*same[0]))
    masks = [torch.rand_like(one) for one in wanted]
    for outs in (got, wanted):
        torch.stack([(one * mask).sum() for one, mask in zip(outs, masks, strict=True)]).sum().backward()
    gradients = {one.layer: one.weight.grad for one in array_layers(layer)}
    right = {name: torch.from_numpy(matrix) for name, matrix in _gradients(twin).items()}
    return Agreement(
        _far(got, wanted),
        _far([leaf.grad for leaf in own[1]], [leaf.grad for leaf in same[1]]),
        _far([gradients[name] for name in right], list(right.values())),
        cost,
        vectors,
    )


def _gradients(twin: nn.Module) -> dict[str, Any]:
    """Return the gradients of a twin's weights as the matrices its weights become; two biases are one row there."""
    grads = copy.deepcopy(twin)
    with torch.no_grad():
        for (name, parameter), own in zip(grads.named_parameters(), twin.parameters(), strict=True):
            summed = name.startswith("bias_hh") and not isinstance(twin, nn.GRU | nn.GRUCell)
            assert own.grad is not None
            parameter.copy_(torch.zeros_like(own) if summed else own.grad)
    return take(grads)[0].matrices


def _far(got: list[Any], wanted: list[Any]) -> float:
    assert [one.shape for one in got] == [one.shape for one in wanted]
    return float(max((a - b).abs().max() for a, b in zip(got, wanted, strict=True)).detach()) / float(
        max(one.abs().max() for one in wanted).detach()
    )


def _leaves(given: Any) -> tuple[Any, list[Tensor]]:
    """Return a copy of nested inputs, and its tensors, which want gradients."""
    if isinstance(given, PackedSequence):
        leaf = given.data.clone().requires_grad_()
        return PackedSequence(leaf, *given[1:]), [leaf]
    if isinstance(given, Tensor):
        leaf = given.clone().requires_grad_()
        return leaf, [leaf]
    parts = [_leaves(one) for one in given]
    return tuple(one for one, _ in parts), [leaf for _, leaves in parts for leaf in leaves]


def _flat(out: Any) -> list[Tensor]:
    if isinstance(out, PackedSequence):
        return [out.data]
    return [out] if isinstance(out, Tensor) else [leaf for one in out for leaf in _flat(one)]


def resolution() -> float:
    """Return half a step of the mock's finest product converter, in weights times inputs of 1."""
    return 0.5 * 1e-4 / 2**13 / (SIEMENS * 0.2)


__all__ = ["CASES", "Agreement", "ExactChip", "LayerCase", "compare", "exact_chip", "put_on", "resolution"]
