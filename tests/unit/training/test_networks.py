"""The published networks on an ideal array: their sizes, and that they compute and differentiate what torch does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from support.training_bench import write_bench  # noqa: E402
from xbarlab.protocols.training.layers.array_layers import array_layers, refresh_layers  # noqa: E402
from xbarlab.protocols.training.layers.array_weights import ArrayWeights  # noqa: E402
from xbarlab.protocols.training.networks.cnn import twin_cnn  # noqa: E402
from xbarlab.protocols.training.networks.convlstm import twin_convlstm  # noqa: E402
from xbarlab.protocols.training.steps.train_cnn_mnist import CnnPlan  # noqa: E402
from xbarlab.protocols.training.steps.train_convlstm_sequence import ConvLstmPlan  # noqa: E402
from xbarlab.protocols.training.tasks.digits import load_digit_sequences, load_digits  # noqa: E402
from xbarlab.runbooks.stations import open_bench  # noqa: E402


@pytest.fixture
def array(tmp_path: Path) -> Iterator[Any]:
    with open_bench(write_bench(tmp_path, "gate_voltage_1t1r", size=(128, 64))) as bench:
        yield bench.array


def on_array(array: Any, plan: Any) -> tuple[ArrayWeights, Any]:
    weights = ArrayWeights(array, plan.floor(array.spec))
    net = plan.network(weights)
    rule = plan.update_rule()
    rule.gate_start, rule.gate_low, rule.gate_high, rule.start_spread = 1.15, 0.7, 1.6, 0.2
    rule.start(weights, np.random.default_rng(0))
    weights.read(16)
    refresh_layers(array_layers(net))
    return weights, net


def size(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_cnn_has_1015_weights_and_is_torchs(array: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = CnnPlan()
    weights, net = on_array(array, plan)
    twin = twin_cnn(seed=0)
    assert weights.plan.weights == size(twin) == size(net) == 1015
    assert weights.plan.cells == 4 * 1015
    with torch.no_grad():
        twin.conv1.weight.copy_(net.conv1.weight.T.reshape(twin.conv1.weight.shape))
        twin.conv2.weight.copy_(net.conv2.weight.T.reshape(twin.conv2.weight.shape))
        twin.dense.weight.copy_(net.dense.weight.T)
    compare(net, twin, torch.from_numpy(load_digits().train.x[:20]), weights, monkeypatch)
    for layer, other in ((net.conv1, twin.conv1), (net.conv2, twin.conv2)):
        close(layer.weight.grad.T.reshape(other.weight.shape), other.weight.grad)


def test_the_convlstm_has_850_weights_and_is_torchs(array: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = ConvLstmPlan()
    weights, net = on_array(array, plan)
    twin = twin_convlstm(6, seed=0)
    assert weights.plan.weights == size(twin) == size(net) == 850
    gates, other = net.convlstm.gates, twin.convlstm.gates
    with torch.no_grad():
        other.of_input.weight.copy_(gates.weight[:9].T.reshape(other.of_input.weight.shape))
        other.of_state.weight.copy_(gates.weight[9:].T.reshape(other.of_state.weight.shape))
        twin.dense.weight.copy_(net.dense.weight.T)
    compare(net, twin, torch.from_numpy(load_digit_sequences().train.x[:20]), weights, monkeypatch)
    close(gates.weight.grad[:9].T.reshape(other.of_input.weight.shape), other.of_input.weight.grad)
    close(gates.weight.grad[9:].T.reshape(other.of_state.weight.shape), other.of_state.weight.grad)


def compare(net: Any, twin: Any, x: Any, weights: ArrayWeights, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the array nearly the twin's scores; with exact products in its place the twin's scores and gradients."""
    with torch.no_grad():
        scores, wanted = net(x), twin(x)
    assert np.corrcoef(scores.numpy().ravel(), wanted.numpy().ravel())[0, 1] > 0.99
    monkeypatch.setattr(weights, "multiply", lambda layer, inputs, scale="fixed": inputs @ weights.weights(layer))
    label = torch.arange(len(x)) % wanted.shape[1]
    for model in (net, twin):
        torch.nn.functional.cross_entropy(model(x), label).backward()
    close(net(x), twin(x))
    close(net.dense.weight.grad.T, twin.dense.weight.grad)


def close(one: Any, other: Any) -> None:
    assert torch.allclose(one.detach(), other.detach(), atol=1e-4 * float(other.detach().abs().max()))


def test_the_published_lines_hold_the_cnn() -> None:
    with open_bench("mock_gate_voltage_cnn") as bench:
        spec = bench.array.spec
        floor = CnnPlan(healthy_lines=True).floor(spec, spec.healthy_mask(spec.whole))
    rows, cols = np.nonzero(floor.used)
    assert rows.max() < 123
    assert cols.max() < 59


def test_all_of_mnist_is_there_and_sequences_use_every_image_once() -> None:
    digits, sequences = load_digits(), load_digit_sequences()
    assert (len(digits.train), len(digits.test), digits.classes) == (60_000, 10_000, 10)
    assert digits.train.x.shape[1:] == (1, 8, 8)
    assert (digits.train.x.min(), digits.train.x.max()) == (-1.0, 1.0)
    assert sequences.classes == 6
    assert sequences.train.x.shape[1:] == (3, 1, 8, 8)
    counts = np.bincount(sequences.train.label)
    assert counts.min() == counts.max() > 950
    frames = sequences.train.x.reshape(-1, 64)
    assert len(np.unique(frames, axis=0)) > 0.98 * len(frames)  # a few digits look the same at 8×8
    assert sequences.majority_accuracy() == pytest.approx(1 / 6, abs=0.01)
