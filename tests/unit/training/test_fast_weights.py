"""Fast weights: equations against NumPy, the task, the networks on an array beside their float twins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from support.exact_cells import SIEMENS, ExactChip, exact_chip  # noqa: E402
from xbarlab.common.errors import RefusedError  # noqa: E402
from xbarlab.protocols.training.layers.array_weights import ArrayWeights  # noqa: E402
from xbarlab.protocols.training.layers.fast_weights import FastWeights, normed_relu  # noqa: E402
from xbarlab.protocols.training.networks.fast_weights import twin_retriever  # noqa: E402
from xbarlab.protocols.training.steps.train_fast_weights import FastWeightsPlan  # noqa: E402
from xbarlab.protocols.training.tasks.associative_retrieval import (  # noqa: E402
    associative_retrieval,
    features_of,
    steps_of,
)

HIDDEN, BATCH, STEPS = 6, 3, 5
ARMS = ("lstm", "fast_rnn", "fast_lstm")


@pytest.fixture(scope="module")
def chip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExactChip]:
    with exact_chip(tmp_path_factory.mktemp("bench")) as opened:
        yield opened


def sigmoid(x: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-x))


def rectified(x: Any) -> Any:
    return np.maximum(0.0, (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5))


@pytest.mark.parametrize("part", [0, 2])
def test_the_memory_is_the_published_equations(part: int) -> None:
    """A after n steps is the sum of η λ^(n−s) r_s r_sᵀ, and A·r is in the one part of the gates that reads it."""
    extra, rng = FastWeights(0.9, 0.25, part), np.random.default_rng(4)
    own = extra.start(BATCH, HIDDEN)
    seen: list[Any] = []
    for n in range(STEPS):
        products = rng.normal(0.0, 1.5, (BATCH, 4 * HIDDEN)).astype(np.float32)
        gates, own = extra(torch.from_numpy(products), (), own)
        at = slice(part * HIDDEN, (part + 1) * HIDDEN)
        seen.append(rectified(products[:, at].astype(np.float64)))
        a = sum(0.25 * 0.9 ** (n - s) * np.einsum("bi,bj->bij", r, r) for s, r in enumerate(seen))
        wanted = products.astype(np.float64)
        wanted[:, at] += np.einsum("bij,bj->bi", a, seen[-1])
        assert gates.numpy() == pytest.approx(wanted, rel=1e-4, abs=1e-4)
        assert own[0].numpy() == pytest.approx(a, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("arm", ["fast_rnn", "fast_lstm"])
def test_a_network_is_its_equations_step_by_step(arm: Any) -> None:
    features, rng = 4, np.random.default_rng(2)
    net = twin_retriever(features, HIDDEN, 3, arm, 0.95, 0.5, input_gain=2.0, seed=1)
    x = rng.normal(size=(BATCH, STEPS, features)).astype(np.float32)
    product, dense = net.recurrent.recurrence.product, net.dense
    w, b = product.weight.detach().numpy().astype(np.float64), product.bias.detach().numpy()
    h, c, a = np.zeros((BATCH, HIDDEN)), np.zeros((BATCH, HIDDEN)), np.zeros((BATCH, HIDDEN, HIDDEN))
    for t in range(STEPS):
        z = np.concatenate([2.0 * x[:, t], h], 1) @ w.T + b
        given = z if arm == "fast_rnn" else z[:, 2 * HIDDEN : 3 * HIDDEN]
        r = rectified(given)
        a = 0.95 * a + 0.5 * np.einsum("bi,bj->bij", r, r)
        new = rectified(given + np.einsum("bij,bj->bi", a, r))
        if arm == "fast_rnn":
            h = new
        else:
            i, f, o = (sigmoid(z[:, n * HIDDEN : (n + 1) * HIDDEN]) for n in (0, 1, 3))
            c = f * c + i * new
            h = o * rectified(c)
    wanted = h @ dense.weight.detach().numpy().T + dense.bias.detach().numpy()
    assert net(torch.from_numpy(x)).detach().numpy() == pytest.approx(wanted, rel=1e-3, abs=1e-4)


@given(pairs=st.integers(1, 8), order=st.sampled_from(["pairs", "keys_first"]), values=st.integers(2, 10))
@settings(max_examples=25, deadline=None)
def test_a_sequence_has_one_answer_and_it_is_the_label(pairs: int, order: Any, values: int) -> None:
    data = associative_retrieval(pairs=pairs, letters=8, values=values, order=order, train=30, test=5)
    x = data.train.x
    assert x.shape == (30, steps_of(pairs), features_of(8, values))
    assert (x.sum(2) == 1.0).all()
    for shown, label in zip(x.argmax(2), data.train.label, strict=True):
        keys = shown[0 : 2 * pairs : 2] if order == "pairs" else shown[:pairs]
        found = shown[1 : 2 * pairs : 2] if order == "pairs" else shown[pairs : 2 * pairs]
        assert len(set(keys.tolist())) == pairs
        assert (shown[2 * pairs : -1] == 8 + values).all()
        (at,) = np.flatnonzero(keys == shown[-1])
        assert found[at] - 8 == label


@pytest.mark.parametrize("arm", ARMS)
def test_the_network_on_an_array_is_its_float_twin(chip: ExactChip, arm: Any) -> None:
    plan = FastWeightsPlan(arm=arm, pairs=2)
    weights = ArrayWeights(chip.array, plan.floor(chip.array.spec), siemens=SIEMENS)
    net, twin = plan.network(weights), plan.twin_network(3)
    chip.set(weights, {
        name: torch.cat([one.weight.T, one.bias[None]]).detach().numpy()
        for name, one in (("recurrent", twin.recurrent.recurrence.product), ("dense", twin.dense))
    })  # fmt: skip
    x = torch.from_numpy(plan.data().test.x[:10])
    with torch.no_grad(), weights.choosing_ranges():
        net(x)
    scores, wanted = net(x), twin(x)
    assert scores.shape == (10, plan.values)
    assert 0.0 < (scores - wanted).abs().max() < 0.03
    mask = torch.rand_like(scores)
    (scores * mask).sum().backward()
    (wanted * mask).sum().backward()
    own, same = net.recurrent.product.weight.grad, twin.recurrent.recurrence.product
    right = torch.cat([same.weight.grad.T, same.bias.grad[None]])
    assert (own - right).abs().max() < 0.1 * right.abs().max()


@pytest.mark.parametrize("arm", ARMS)
def test_inputs_driven_harder_begin_with_the_same_network(arm: Any) -> None:
    x = torch.from_numpy(FastWeightsPlan(pairs=2).data().test.x[:5])
    one, three = (FastWeightsPlan(arm=arm, pairs=2, input_gain=gain).twin_network(1)(x) for gain in (1.0, 3.0))
    assert torch.allclose(one, three, atol=1e-4)


def test_sizes_are_matched_and_the_memory_costs_no_weights(chip: ExactChip) -> None:
    sizes = {arm: FastWeightsPlan(arm=arm).floor(chip.array.spec).weights for arm in ARMS}
    assert sizes["lstm"] == sizes["fast_lstm"]
    assert sizes["fast_rnn"] == pytest.approx(sizes["lstm"], rel=0.03)


def test_activations_are_rectified_after_the_norm() -> None:
    x = torch.randn(BATCH, HIDDEN)
    assert normed_relu(x).numpy() == pytest.approx(rectified(x.numpy()), abs=1e-5)
    assert torch.allclose(normed_relu(3.0 * x + 2.0), normed_relu(x), atol=1e-3)


def test_bad_input_is_one_sentence(chip: ExactChip) -> None:
    before = chip.array.cost
    spec = chip.array.spec
    with pytest.raises(RefusedError, match="parameter 'pairs' = 0 is refused"):
        FastWeightsPlan(pairs=0)
    with pytest.raises(RefusedError, match="9 pairs with 8 letters is no task: every pair has a letter of its own"):
        FastWeightsPlan(pairs=9).check(spec)
    with pytest.raises(RefusedError, match=r"does not find them free.*smaller layer"):
        FastWeightsPlan(hidden=64).check(spec)
    with pytest.raises(RefusedError, match="1 values leaves nothing to ask for"):
        associative_retrieval(pairs=1, letters=2, values=1, order="pairs", train=5, test=5)
    with pytest.raises(RefusedError, match=r"of which 1\.5 stays are none"):
        FastWeights(1.5)
    with pytest.raises(RefusedError, match="learn by 0 hold nothing"):
        FastWeights(0.9, 0.0)
    assert chip.array.cost == before
