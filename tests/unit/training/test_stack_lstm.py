"""Parallel StackLSTM: equations, equality with a plain reference in every code, task, networks, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from support.exact_cells import SIEMENS, ExactChip, exact_chip  # noqa: E402
from support.plain_stack import plain_batch  # noqa: E402
from xbarlab.common.errors import RefusedError  # noqa: E402
from xbarlab.protocols.training.layers.array_weights import ArrayWeights  # noqa: E402
from xbarlab.protocols.training.layers.recurrent import ArrayRecurrent, TwinRecurrent  # noqa: E402
from xbarlab.protocols.training.layers.recurrent_cells import LstmCell  # noqa: E402
from xbarlab.protocols.training.layers.stack import HOLD, POP, PUSH, StackedRecurrent  # noqa: E402
from xbarlab.protocols.training.layers.weight_mapping import LayerRequest, plan_floor  # noqa: E402

FEATURES, HIDDEN, DEPTH = 5, 6, 4


@pytest.fixture(scope="module")
def chip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExactChip]:
    with exact_chip(tmp_path_factory.mktemp("bench")) as opened:
        yield opened


def twin_stack(seed: int = 0, depth: int = DEPTH) -> StackedRecurrent:
    torch.manual_seed(seed)
    return StackedRecurrent(TwinRecurrent(FEATURES, HIDDEN, bias=True, cell=LstmCell()), depth)


@pytest.fixture(scope="module")
def on_array(chip: ExactChip) -> StackedRecurrent:
    """A StackLSTM on cells that hold random weights, the ranges pinned."""
    spec = chip.array.spec
    plan = plan_floor(spec.rows, spec.cols, [LayerRequest("stack", FEATURES + HIDDEN + 1, 4 * HIDDEN)])
    weights = ArrayWeights(chip.array, plan, siemens=SIEMENS)
    net = StackedRecurrent(ArrayRecurrent(weights, "stack", features=FEATURES, bias=True), DEPTH)
    chip.set(weights, {"stack": np.random.default_rng(3).uniform(-0.9, 0.9, (FEATURES + HIDDEN + 1, 4 * HIDDEN))})
    return net


def drawn_ops(rng: np.random.Generator, steps: int, batch: int, depth: int = DEPTH) -> Any:
    """Return operations [steps, batch] that every stack can do."""
    ops, at = np.zeros((steps, batch), dtype=np.int64), np.zeros(batch, dtype=np.int64)
    for t in range(steps):
        wanted = rng.integers(-1, 2, batch)
        ops[t] = np.where((at + wanted < 0) | (at + wanted > depth), HOLD, wanted)
        at += ops[t]
    return torch.from_numpy(ops)


class Codes:
    """Everything an array's converters gave, per vector that went in."""

    def __init__(self, weights: Any) -> None:
        self.weights, self.seen = weights, []
        self._whole = weights._vmm

    def __enter__(self) -> Codes:
        def listening(volts: Any, **more: Any) -> Any:
            current = self._whole(volts, **more)
            self.seen.extend((one.tobytes(), got.tobytes()) for one, got in zip(volts, current, strict=True))
            return current

        self.weights._vmm = listening
        return self

    def __exit__(self, *_: object) -> None:
        self.weights._vmm = self._whole


@given(seed=st.integers(0, 2**32 - 1), batch=st.integers(1, 40), steps=st.integers(1, 16))
@settings(max_examples=40, deadline=None)
def test_every_code_is_that_of_a_plain_stack(on_array: StackedRecurrent, seed: int, batch: int, steps: int) -> None:
    """Without noise: outputs, and what the converters gave for every vector that a plain stack multiplies."""
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.uniform(-1.2, 1.2, (steps, batch, FEATURES)).astype(np.float32))
    ops, layer = drawn_ops(rng, steps, batch), on_array.recurrent
    weights = layer.product.array_weights
    with torch.no_grad():
        with Codes(weights) as together:
            out, stacks = on_array(x, ops)
        with Codes(weights) as alone:
            wanted = plain_batch(layer.recurrence, HIDDEN, x, ops)
    assert torch.equal(out, wanted)
    assert torch.equal(stacks.at, ops.sum(0))
    assert len(together.seen) == steps * batch
    assert len(alone.seen) == int((ops == PUSH).sum())
    assert set(alone.seen) <= set(together.seen)


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 8, 64, 255, 256])
def test_a_result_does_not_depend_on_the_batch_it_came_in(on_array: StackedRecurrent, batch: int) -> None:
    rng = np.random.default_rng(5)
    x = torch.from_numpy(rng.uniform(-1.0, 1.0, (12, 256, FEATURES)).astype(np.float32))
    ops = drawn_ops(rng, 12, 256)
    with torch.no_grad():
        whole = on_array(x, ops)[0]
        parts = [on_array(x[:, n : n + batch], ops[:, n : n + batch])[0] for n in range(0, min(256, 4 * batch), batch)]
    assert torch.equal(torch.cat(parts, 1), whole[:, : sum(part.shape[1] for part in parts)])
