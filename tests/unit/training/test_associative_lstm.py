"""The Associative LSTM: equations against NumPy, the memory against the law, the task, the network on an array."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from support.exact_cells import SIEMENS, ExactChip, exact_chip  # noqa: E402
from xbarlab.analysis.estimates.estimates import mean_estimate  # noqa: E402
from xbarlab.analysis.networks.learning_speed import effect_said, per_doubling  # noqa: E402
from xbarlab.analysis.networks.retrieval import retrieval_exponent, retrieval_figure  # noqa: E402
from xbarlab.common.errors import RefusedError  # noqa: E402
from xbarlab.protocols.training.layers.array_weights import ArrayWeights  # noqa: E402
from xbarlab.protocols.training.networks.associative_lstm import (  # noqa: E402
    AssociativeCell,
    HolographicMemory,
    bound,
    complex_of,
    pairs_of,
    retrieval_errors,
    twin_copier,
)
from xbarlab.protocols.training.steps.classification import steps_to  # noqa: E402
from xbarlab.protocols.training.steps.train_associative_lstm import AssociativePlan  # noqa: E402
from xbarlab.protocols.training.tasks.episodic_copy import episodic_copy, features_of, steps_of  # noqa: E402

SIZE, BATCH = 8, 3


@pytest.fixture(scope="module")
def chip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExactChip]:
    with exact_chip(tmp_path_factory.mktemp("bench")) as opened:
        yield opened


def sigmoid(x: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-x))


def bounded(z: Any) -> Any:
    return z / np.maximum(1.0, np.abs(z))


@pytest.mark.parametrize("copies", [1, 2, 4, 8])
def test_the_cell_is_the_published_equations(copies: int) -> None:
    cell = AssociativeCell(2 * SIZE, copies)
    assert cell.outputs(2 * SIZE) == 3 * SIZE + 6 * SIZE
    orders = cell.memory.orders.numpy()
    rng = np.random.default_rng(3)
    state = cell.start(BATCH, 2 * SIZE)
    trace = np.zeros((BATCH, copies, SIZE), np.complex128)
    for _ in range(4):
        product = rng.normal(0.0, 1.5, (BATCH, 9 * SIZE)).astype(np.float32)
        state = cell((torch.from_numpy(product),), state)
        f, i, o = (sigmoid(product[:, n * SIZE : (n + 1) * SIZE].astype(np.float64)) for n in range(3))
        pairs = product[:, 3 * SIZE :].astype(np.float64).reshape(BATCH, 3, SIZE, 2)
        r_in, r_out, u = np.moveaxis(bounded(pairs[..., 0] + 1j * pairs[..., 1]), 1, 0)
        for s, order in enumerate(orders):
            trace[:, s] = f * trace[:, s] + r_in[:, order] * (i * u)
        read = sum(r_out[:, order] * trace[:, s] for s, order in enumerate(orders)) / copies
        h = o * bounded(read)
        wanted = np.stack([h.real, h.imag], -1).reshape(BATCH, 2 * SIZE)
        assert state[0].numpy() == pytest.approx(wanted, abs=2e-6)
        assert state[1].numpy() == pytest.approx(trace, abs=2e-6)


@given(st.integers(1, 12), st.integers(1, 16))
@settings(max_examples=40, deadline=None)
def test_copies_have_keys_in_different_orders(size: int, copies: int) -> None:
    orders = HolographicMemory(size, copies).orders.numpy()
    assert orders.shape == (copies, size)
    assert np.array_equal(np.sort(orders, 1), np.tile(np.arange(size), (copies, 1)))
    assert np.array_equal(orders[0], np.arange(size))
    first = orders[:size]
    for place in first.T:
        assert len(set(place)) == len(first)
    assert np.array_equal(orders, HolographicMemory(size, copies).orders.numpy())


def test_one_value_comes_back_and_what_is_beyond_one_is_bounded() -> None:
    torch.manual_seed(0)
    memory = HolographicMemory(SIZE, 4)
    key = torch.polar(torch.ones(BATCH, SIZE), torch.rand(BATCH, SIZE) * 6.0)
    value = torch.randn(BATCH, SIZE, dtype=torch.complex64)
    trace = memory.written(memory.empty(BATCH), key, value)
    assert torch.allclose(memory.read(trace, key.conj()), value, atol=1e-5)
    kept = memory.written(trace, key, torch.zeros_like(value), torch.full((BATCH, SIZE), 0.25))
    assert torch.allclose(memory.read(kept, key.conj()), 0.25 * value, atol=1e-5)
    z = torch.tensor([0.3 + 0.4j, 3.0 + 4.0j, 0.0 + 0.0j])
    assert torch.allclose(bound(z), torch.tensor([0.3 + 0.4j, 0.6 + 0.8j, 0.0 + 0.0j]))
    assert torch.equal(complex_of(pairs_of(z)), z)


@pytest.mark.parametrize("seed", range(20))
def test_the_error_of_the_memory_alone_falls_as_the_root_of_the_copies(seed: int) -> None:
    """On every one of 20 seeds: four times the interval's half width about −1/2, and √(stored − 1) for one copy."""
    errors = np.stack([retrieval_errors(SIZE, copies, 4, 200, seed=seed) for copies in (1, 2, 4, 8)])
    found = retrieval_exponent((1, 2, 4, 8), errors)
    half = 0.5 * (found["retrieval_exponent_ci95_high"] - found["retrieval_exponent_ci95_low"])
    assert 0.0 < half < 0.05
    assert abs(found["retrieval_exponent"] + 0.5) < 2 * half
    assert found["retrieval_error"] == pytest.approx(3**0.5, rel=0.15)


def test_copies_beyond_the_size_do_not_follow_the_law() -> None:
    """They meet the same keys again: the law needs copies whose crosstalk is uncorrelated, and the exponent says so."""
    errors = np.stack([retrieval_errors(4, copies, 4, 400, seed=0) for copies in (1, 4, 32, 128)])
    assert retrieval_exponent((1, 4, 32, 128), errors)["retrieval_exponent_ci95_low"] > -0.45


def test_a_sequence_shows_its_items_a_delimiter_and_nothing_else() -> None:
    data = episodic_copy(symbols=4, items=3, delay=2, train=50, test=20)
    x, label = data.train.x, data.train.label
    assert x.shape == (50, steps_of(3, 2), features_of(4))
    assert label.shape == (50, 3)
    assert (x.sum(2) == 1.0).all()
    assert np.array_equal(x[:, :3].argmax(2), label)
    assert (x[:, 5].argmax(1) == 5).all()
    assert (x[:, [3, 4, 6, 7, 8]].argmax(2) == 4).all()
    assert 0.1 < data.majority_accuracy() < 0.5
    for name, most in (("memory_copies", 1000), ("sequences", 1_000_000), ("stored", 1000), ("draws", 10_000)):
        with pytest.raises(RefusedError, match=rf"'{name}' = 100000000 is refused: .*{most}"):
            AssociativePlan(**{name: 10**8})
    with pytest.raises(RefusedError, match="0 items of 4 symbols over 2 steps is nothing to learn"):
        episodic_copy(symbols=4, items=0, delay=2, train=5, test=5)


@pytest.mark.parametrize("options", [{"memory_copies": 1}, {"memory_copies": 8}, {"arm": "lstm"}])
def test_the_network_on_an_array_is_its_float_twin(chip: ExactChip, options: dict[str, Any]) -> None:
    plan = AssociativePlan(**options)
    weights = ArrayWeights(chip.array, plan.floor(chip.array.spec), siemens=SIEMENS)
    net, twin = plan.network(weights), plan.twin_network(3)
    matrices = {
        name: torch.cat([one.weight.T, one.bias[None]]).detach().numpy()
        for name, one in (("recurrent", twin.recurrent.recurrence.product), ("dense", twin.dense))
    }
    chip.set(weights, matrices)
    x = torch.from_numpy(plan.data().test.x[:10])
    with torch.no_grad(), weights.choosing_ranges():
        net(x)
    scores, wanted = net(x), twin(x)
    assert scores.shape == (10, plan.symbols, plan.items)
    assert 0.0 < (scores - wanted).abs().max() < 0.02
    mask = torch.rand_like(scores)
    (scores * mask).sum().backward()
    (wanted * mask).sum().backward()
    own, same = net.recurrent.product.weight.grad, twin.recurrent.recurrence.product
    right = torch.cat([same.weight.grad.T, same.bias.grad[None]])
    assert (own - right).abs().max() < 0.05 * right.abs().max()


def test_sizes_are_matched_and_copies_cost_no_weights(chip: ExactChip) -> None:
    spec = chip.array.spec
    several = {n: AssociativePlan(memory_copies=n).floor(spec).weights for n in (1, 2, 4, 8)}
    assert len(set(several.values())) == 1
    lstm = AssociativePlan(arm="lstm").floor(spec).weights
    assert lstm == pytest.approx(several[1], rel=0.03)
    twin = twin_copier(6, 16, 4, 4, 4, seed=0)
    assert sum(one.numel() for one in twin.parameters()) == several[4]


def test_bad_input_is_one_sentence(chip: ExactChip) -> None:
    before = chip.array.cost
    with pytest.raises(RefusedError, match="parameter 'memory_copies' = 0 is refused"):
        AssociativePlan(memory_copies=0)
    with pytest.raises(RefusedError, match="a memory of 0 copies holds nothing: 1 or more"):
        HolographicMemory(4, 0)
    with pytest.raises(RefusedError, match="7 hidden units are no pairs of real and imaginary parts"):
        AssociativeCell(7, 1)
    with pytest.raises(RefusedError, match=r"does not find them free.*smaller layer"):
        AssociativePlan(hidden=64).check(chip.array.spec)
    assert chip.array.cost == before


def test_steps_to_criterion_and_effects_are_what_they_say() -> None:
    step = np.array([20.0, 40.0, 60.0])
    assert steps_to(0.9, step, np.array([0.5, 0.95, 0.8])) == 40.0
    assert np.isnan(steps_to(0.9, step, np.array([0.5, 0.6, 0.8])))
    rng = np.random.default_rng(0)
    base = rng.normal(300.0, 50.0, (6, 1))
    falling = per_doubling((1, 2, 4, 8), base - 30.0 * np.arange(4) + rng.normal(0.0, 5.0, (6, 4)))
    assert falling.low < -30.0 < falling.high
    assert "null" not in effect_said(falling)
    assert "null" in effect_said(mean_estimate(rng.normal(0.0, 1.0, 8)))
    assert "null" not in effect_said(mean_estimate([280.0]))


def test_the_figure_has_the_law_beside_the_points() -> None:
    errors = np.stack([retrieval_errors(SIZE, copies, 4, 50, seed=0) for copies in (1, 2, 4, 8)])
    figure = retrieval_figure((1, 2, 4, 8), errors)
    (ax,) = figure.axes
    law = next(line for line in ax.get_lines() if line.get_label() == "law 1/√copies")
    y = np.asarray(law.get_ydata())
    assert y[0] / y[2] == pytest.approx(2.0)
