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
from xbarlab.protocols.training.layers.array_layers import array_layers  # noqa: E402
from xbarlab.protocols.training.layers.array_weights import ArrayWeights  # noqa: E402
from xbarlab.protocols.training.layers.recurrent import ArrayRecurrent, TwinRecurrent  # noqa: E402
from xbarlab.protocols.training.layers.recurrent_cells import LstmCell  # noqa: E402
from xbarlab.protocols.training.layers.stack import HOLD, POP, PUSH, StackedRecurrent  # noqa: E402
from xbarlab.protocols.training.layers.weight_mapping import LayerRequest, plan_floor  # noqa: E402
from xbarlab.protocols.training.steps.stack_parser_plan import StackParserPlan  # noqa: E402
from xbarlab.protocols.training.steps.train_stack_lstm import StackLstmPlan  # noqa: E402
from xbarlab.protocols.training.tasks.stack_tops import stack_tops  # noqa: E402

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
    """A StackLSTM on cells that hold random weights, its range pinned so that some vectors go beyond it."""
    spec = chip.array.spec
    plan = plan_floor(spec.rows, spec.cols, [LayerRequest("stack", FEATURES + HIDDEN + 1, 4 * HIDDEN)])
    weights = ArrayWeights(chip.array, plan, siemens=SIEMENS)
    net = StackedRecurrent(ArrayRecurrent(weights, "stack", features=FEATURES, bias=True), DEPTH)
    chip.set(weights, {"stack": np.random.default_rng(3).uniform(-1.9, 1.9, (FEATURES + HIDDEN + 1, 4 * HIDDEN))})
    weights.pin_ranges({"stack": min(spec.vmm_ranges)})
    return net


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A parser on cells that hold its twin's weights, on a chip of its own."""
    with exact_chip(tmp_path_factory.mktemp("parser"), name="other") as opened:
        plan = StackParserPlan()
        weights = ArrayWeights(opened.array, plan.floor(opened.array.spec), siemens=SIEMENS)
        net = plan.network(weights)
        opened.set(weights, matrices(net, plan.twin_network(5)))
        yield net


def matrices(net: Any, twin: Any) -> dict[str, Any]:
    """Return the weights of a twin, by the layers of the network on the array."""
    linear = [one for one in twin.modules() if isinstance(one, torch.nn.Linear)]
    return {
        layer.layer: torch.cat([one.weight.T, one.bias[None]]).detach().numpy()
        for layer, one in zip(array_layers(net), linear, strict=True)
    }


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
    assert isinstance(layer, ArrayRecurrent)
    weights = layer.product.array_weights
    again = [weights.ranges()["stack"].sent_again]
    with torch.no_grad():
        with Codes(weights) as together:
            out, stacks = on_array(x, ops)
        again.append(weights.ranges()["stack"].sent_again)
        with Codes(weights) as alone:
            wanted = plain_batch(layer.recurrence, HIDDEN, x, ops)
        again.append(weights.ranges()["stack"].sent_again)
    assert torch.equal(out, wanted)
    assert torch.equal(stacks.at, ops.sum(0))
    assert len(together.seen) == steps * batch + again[1] - again[0]
    assert len(alone.seen) == int((ops == PUSH).sum()) + again[2] - again[1]
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
    layer = on_array.recurrent
    assert isinstance(layer, ArrayRecurrent)
    assert layer.product.array_weights.ranges()["stack"].sent_again > 0


def sigmoid(x: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-x))


def test_the_twin_is_the_published_equations() -> None:
    """LSTM of the state on top, pushed, kept or taken off: with NumPy and a list, sequence by sequence."""
    net, rng = twin_stack(), np.random.default_rng(1)
    x, ops = rng.normal(size=(9, 3, FEATURES)).astype(np.float32), drawn_ops(rng, 9, 3)
    assert {PUSH, HOLD, POP} <= set(ops.ravel().tolist())
    product = net.recurrent.recurrence.product
    assert product.bias is not None
    w, b = (one.detach().numpy().astype(np.float64) for one in (product.weight, product.bias))
    out = net(torch.from_numpy(x), ops)[0].detach().numpy()
    for sequence in range(3):
        stack = [(np.zeros(HIDDEN), np.zeros(HIDDEN))]
        for t in range(9):
            if ops[t, sequence] == PUSH:
                h, c = stack[-1]
                i, f, g, o = np.split(w @ np.concatenate([x[t, sequence], h]) + b, 4)
                c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                stack.append((sigmoid(o) * np.tanh(c), c))
            elif ops[t, sequence] == POP:
                stack.pop()
            assert out[t, sequence] == pytest.approx(stack[-1][0], abs=1e-5)


def test_gradients_are_those_of_a_plain_stack_and_what_was_not_pushed_has_none() -> None:
    net, rng = twin_stack(2), np.random.default_rng(2)
    x = torch.from_numpy(rng.normal(size=(10, 4, FEATURES)).astype(np.float32))
    ops, mask = drawn_ops(rng, 10, 4), torch.from_numpy(rng.normal(size=(10, 4, HIDDEN)).astype(np.float32))
    found: list[list[Any]] = []
    for parallel in (True, False):
        given = x.clone().requires_grad_()
        net.zero_grad(set_to_none=True)
        out = net(given, ops)[0] if parallel else plain_batch(net.recurrent.recurrence, HIDDEN, given, ops)
        (out * mask).sum().backward()
        found.append([given.grad, *(one.grad for one in net.parameters())])
    for own, plain in zip(*found, strict=True):
        assert torch.allclose(own, plain, atol=1e-5)
    assert bool((found[0][0][ops != PUSH] == 0.0).all())
    assert bool((found[0][0][ops == PUSH] != 0.0).any())


def test_a_popped_state_is_garbage_until_a_push_takes_its_place() -> None:
    net = twin_stack(depth=2)
    one, other = torch.ones(1, FEATURES), -torch.ones(1, FEATURES)
    up, down = torch.tensor([PUSH]), torch.tensor([POP])
    first = net.step(one, up, net.empty(1))
    back = net.step(other, down, first)
    assert torch.equal(back.tops[0], torch.zeros(1, HIDDEN))
    assert torch.equal(back.held[0][1], first.tops[0])
    again = net.step(other, up, back)
    assert torch.equal(again.tops[0], net.step(other, up, net.empty(1)).tops[0])
    full = net.step(one, torch.tensor([HOLD]), net.step(one, up, again))
    assert full.at.tolist() == [2]
    with pytest.raises(RefusedError, match="sequence 0 has 2 states on a stack of depth 2, and was to do a push"):
        net.step(one, up, full)


@pytest.mark.parametrize("arm", ["stack", "lstm"])
def test_the_network_on_an_array_is_its_float_twin(chip: ExactChip, arm: Any) -> None:
    plan = StackLstmPlan(arm=arm)
    weights = ArrayWeights(chip.array, plan.floor(chip.array.spec), siemens=SIEMENS)
    net, twin = plan.network(weights), plan.twin_network(3)
    given = [torch.from_numpy(one[:8]) for one in plan.data().test.inputs]
    agree(chip, weights, net, twin, given)


def test_the_parser_on_an_array_is_its_float_twin(chip: ExactChip) -> None:
    plan = StackParserPlan()
    weights = ArrayWeights(chip.array, plan.floor(chip.array.spec), siemens=SIEMENS)
    net, twin = plan.network(weights), plan.twin_network(3)
    test = plan.data()[1].first(8)
    agree(chip, weights, net, twin, [torch.from_numpy(test.tags), torch.from_numpy(test.actions)])


@pytest.mark.slow
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 20))
@settings(max_examples=6, deadline=None)
def test_a_sentence_is_parsed_alike_alone_and_among_others(parser: Any, seed: int, size: int) -> None:
    """Every transition and every score, bit by bit, whatever else is in the batch."""
    rng = np.random.default_rng(seed)
    test = StackParserPlan().data()[1]
    tags = torch.from_numpy(test.tags[rng.choice(len(test), size, replace=False)])
    actions = parser.parse(tags, 18)
    with torch.no_grad():
        scores = parser(tags, actions)
        for n in range(size):
            assert torch.equal(parser.parse(tags[n : n + 1], 18), actions[n : n + 1])
            assert torch.equal(parser(tags[n : n + 1], actions[n : n + 1]), scores[n : n + 1])


def agree(chip: ExactChip, weights: ArrayWeights, net: Any, twin: Any, given: Any) -> None:
    """Compare scores and gradients of a network on exact cells with its twin's."""
    linear = [one for one in twin.modules() if isinstance(one, torch.nn.Linear)]
    chip.set(weights, matrices(net, twin))
    with torch.no_grad(), weights.choosing_ranges():
        net(*given)
    scores, right = net(*given), twin(*given)
    assert 0.0 < (scores - right).abs().max() < 0.02
    mask = torch.rand_like(scores)
    (scores * mask).sum().backward()
    (right * mask).sum().backward()
    for layer, one in zip(array_layers(net), linear, strict=True):
        grad = torch.cat([one.weight.grad.T, one.bias.grad[None]])
        assert (layer.weight.grad - grad).abs().max() < 0.05 * grad.abs().max()


def test_the_label_is_what_a_list_has_on_top() -> None:
    data = stack_tops(symbols=3, depth=2, steps=30, train=40, test=5)
    x, ops = data.train.inputs
    assert x.shape == (40, 30, 6)
    assert np.array_equal(x[..., 3:].argmax(2) - 1, ops)
    for shown, own, label in zip(x[..., :3].argmax(2), ops, data.train.label, strict=True):
        stack: list[int] = []
        for symbol, op, top in zip(shown, own, label, strict=True):
            if op == PUSH:
                stack.append(int(symbol))
            elif op == POP:
                stack.pop()
            assert len(stack) <= 2
            assert top == (stack[-1] if stack else 3)
    shares = np.bincount(ops.ravel() + 1) / ops.size
    assert shares[2] < 0.31
    assert shares[0] < shares[2]  # pops of an empty stack are holds, and what was pushed may stay


def test_reads_per_useful_push_are_counted_on_the_array(chip: ExactChip) -> None:
    plan = StackLstmPlan(tested=30)
    weights = ArrayWeights(chip.array, plan.floor(chip.array.spec), siemens=SIEMENS)
    net, test = plan.network(weights), plan.data().test
    weights.read()
    found = plan.more_measures(net, test, 0)["pushes"]()
    assert found == {"reads": 30 * plan.length, "pushes": int((test.inputs[1] == PUSH).sum())}
    assert "reads_per_useful_push" not in StackLstmPlan(arm="lstm").measures()


def test_bad_input_is_one_sentence(chip: ExactChip) -> None:
    before, net = chip.array.cost, twin_stack()
    with pytest.raises(RefusedError, match="parameter 'depth' = 0 is refused"):
        StackLstmPlan(depth=0)
    with pytest.raises(RefusedError, match="a stack of depth 0 holds nothing: 1 or more"):
        twin_stack(depth=0)
    with pytest.raises(RefusedError, match="was to do a pop of an empty one: take a deeper stack, or hold there"):
        net.step(torch.zeros(2, FEATURES), torch.tensor([PUSH, POP]), net.empty(2))
    with pytest.raises(RefusedError, match="2 is no operation of a stack"):
        net.moved(net.empty(2), torch.tensor([0, 2]))
    with pytest.raises(RefusedError, match=r"a stack takes one operation per input: \[3, 2\]"):
        net(torch.zeros(3, 2, FEATURES), torch.zeros(2, 3, dtype=torch.int64))
    with pytest.raises(RefusedError, match=r"does not find them free.*smaller layer"):
        StackLstmPlan(hidden=40).check(chip.array.spec)
    with pytest.raises(RefusedError, match=r"does not find them free.*smaller layer"):
        StackParserPlan(hidden=40).check(chip.array.spec)
    with pytest.raises(RefusedError, match="there are not 400 kinds of sentences of up to 3 words"):
        StackParserPlan(words=3).check(chip.array.spec)
    assert chip.array.cost == before
