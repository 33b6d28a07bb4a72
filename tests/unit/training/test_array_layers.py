"""Layers on an ideal array against plain torch: forward, gradients, what is refused, and what a cut line does."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from support.training_bench import write_bench  # noqa: E402
from xbarlab.common.errors import RefusedError  # noqa: E402
from xbarlab.instruments.errors import UnsupportedError  # noqa: E402
from xbarlab.protocols.training.convert import convert  # noqa: E402
from xbarlab.protocols.training.layers.array_layers import ArrayConv2d, ArrayLinear, refresh_layers  # noqa: E402
from xbarlab.protocols.training.layers.array_weights import ArrayWeights  # noqa: E402
from xbarlab.protocols.training.layers.lstm_cell import LstmPass  # noqa: E402
from xbarlab.protocols.training.layers.recurrent import ArrayRecurrent  # noqa: E402
from xbarlab.protocols.training.layers.weight_mapping import LayerRequest, plan_floor  # noqa: E402
from xbarlab.protocols.training.rules.update_rules import TwoPulse  # noqa: E402
from xbarlab.protocols.training.trainer import ArrayTrainer  # noqa: E402
from xbarlab.runbooks.stations import open_bench  # noqa: E402

RULE = {"start_spread": 0.2}
CLOSE = 0.03  # a 14-bit converter on 1 mA and 100 µS per weight: 0.006 a step, some steps of noise and offset


@pytest.fixture
def array(tmp_path: Path) -> Iterator[Any]:
    with open_bench(write_bench(tmp_path, "gate_voltage_1t1r", size=(64, 40))) as bench:
        yield bench.array


def on_array(array: Any, *requests: LayerRequest) -> ArrayWeights:
    weights = ArrayWeights(array, plan_floor(64, 40, requests))
    TwoPulse(**RULE).start(weights, np.random.default_rng(0))
    weights.read()
    return weights


@pytest.mark.parametrize(
    "request_",
    [
        LayerRequest("w", 6, 4, "interleaved"),
        LayerRequest("w", 6, 4, "stacked"),
        LayerRequest("w", 6, 4, "columns"),
        LayerRequest("w", 6, 4, copies_down=3),
        LayerRequest("w", 6, 4, copies_across=2, copies_down=2),
        LayerRequest("w", 50, 4),
        LayerRequest("w", 6, 30, "columns"),
    ],
    ids=["interleaved", "stacked", "columns", "down", "both", "in pieces of inputs", "in pieces of outputs"],
)
def test_every_mapping_multiplies_and_differentiates_like_torch(array: Any, request_: LayerRequest) -> None:
    weights = on_array(array, request_)
    layer = ArrayLinear(weights, "w", bias=True)
    layer.refresh()
    assert layer.weight.std() > 0.05
    x = torch.rand(5, 7, request_.inputs - 1, requires_grad=True)
    out = layer(x)
    twin = torch.nn.Linear(request_.inputs - 1, request_.outputs)
    with torch.no_grad():
        twin.weight.copy_(layer.weight[:-1].T)
        twin.bias.copy_(layer.weight[-1])
    same = x.detach().requires_grad_()
    wanted = twin(same)
    assert torch.allclose(out, wanted, atol=CLOSE * request_.inputs**0.5)
    (out * out.detach()).sum().backward()
    (wanted * out.detach()).sum().backward()
    assert torch.allclose(x.grad, same.grad, atol=1e-3)
    assert torch.allclose(layer.weight.grad[:-1].T, twin.weight.grad, atol=1e-3)
    assert torch.allclose(layer.weight.grad[-1], twin.bias.grad, atol=1e-3)
    layer.reverse, x.grad = True, None
    before = array.cost.transactions
    (layer(x) * out.detach()).sum().backward()
    agreement = np.corrcoef(x.grad.ravel(), same.grad.ravel())[0, 1]
    assert 0.99 < agreement < 1.0  # the array took the error back, through its converters
    assert x.grad.norm() == pytest.approx(float(same.grad.norm()), rel=0.05)
    assert array.cost.transactions - before == 2


def test_the_unrolled_lstm_is_torchs_when_the_product_is_exact() -> None:
    torch.manual_seed(0)
    twin = torch.nn.LSTM(4, 5, bias=False)
    weight = torch.cat([twin.weight_ih_l0[:, :3].T, twin.weight_hh_l0.T, twin.weight_ih_l0[:, 3:].T]).detach()
    x, h0, c0 = torch.rand(12, 4, 3, requires_grad=True), torch.rand(4, 5), torch.rand(4, 5)
    run = LstmPass(x.detach().numpy(), h0.numpy(), c0.numpy(), lambda inputs: inputs @ weight.numpy(), bias=True)
    own, own_c = h0[None].clone().requires_grad_(), c0[None].clone().requires_grad_()
    wanted, (_, last) = twin(torch.cat([x, torch.ones(12, 4, 1)], -1), (own, own_c))
    assert run.hidden == pytest.approx(wanted.detach().numpy(), abs=1e-6)
    hidden, cell = torch.rand(12, 4, 5), torch.rand(4, 5)
    ((wanted * hidden).sum() + (last[0] * cell).sum()).backward()
    back = run.backward(hidden.numpy(), cell.numpy(), weight.numpy())
    assert back.x == pytest.approx(x.grad.numpy(), abs=1e-5)
    assert back.h0 == pytest.approx(own.grad[0].numpy(), abs=1e-5)
    assert back.c0 == pytest.approx(own_c.grad[0].numpy(), abs=1e-5)
    assert back.weight[3:8] == pytest.approx(twin.weight_hh_l0.grad.T.numpy(), abs=1e-4)
    assert back.weight[[0, 1, 2, 8]] == pytest.approx(twin.weight_ih_l0.grad.T.numpy(), abs=1e-4)


def test_the_kernels_tanh_is_tanh_to_single_precision() -> None:
    from xbarlab.protocols.training.layers.lstm_kernel import forward_step

    z = np.concatenate([np.linspace(-30, 30, 4001), np.linspace(-0.01, 0.01, 201)]).astype(np.float32)
    product = np.zeros((len(z), 4), np.float32)
    product[:, 2] = z
    one = [np.zeros((len(z), n), np.float32) for n in (1, 4, 1, 1, 1)]
    forward_step(product, *one)
    assert np.abs(one[1][:, 2] - np.tanh(z.astype(np.float64))).max() < 5e-7


def test_lstm_like_torch(array: Any) -> None:
    weights = on_array(array, LayerRequest("lstm", 3 + 5 + 1, 20, "stacked"))
    lstm = ArrayRecurrent(weights, "lstm", features=3, bias=True)
    lstm.product.refresh()
    twin = torch.nn.LSTM(4, 5, bias=False)
    with torch.no_grad():
        twin.weight_ih_l0.copy_(lstm.product.weight[[0, 1, 2, 8]].T)
        twin.weight_hh_l0.copy_(lstm.product.weight[3:8].T)
    x = torch.rand(12, 4, 3) * 2 - 1
    own, same = x.clone().requires_grad_(), x.clone().requires_grad_()
    out, (h, c) = lstm(own)
    wanted, (h2, c2) = twin(torch.cat([same, torch.ones(12, 4, 1)], -1))
    assert torch.allclose(out, wanted, atol=CLOSE)
    assert torch.allclose(c, c2[0], atol=CLOSE)
    assert torch.equal(h, out[-1])
    assert h2.shape[1:] == h.shape
    mask = torch.rand_like(out)
    ((out * mask).sum() + c.sum()).backward()
    ((wanted * mask).sum() + c2.sum()).backward()
    for got, right in (
        (own.grad, same.grad),
        (lstm.product.weight.grad[3:8].T, twin.weight_hh_l0.grad),
        (lstm.product.weight.grad[[0, 1, 2, 8]].T, twin.weight_ih_l0.grad),
    ):
        assert (got - right).abs().max() < 3 * CLOSE * right.abs().max()
    lstm.product.reverse, own.grad = True, None
    again, (_, c) = lstm(own)
    before = array.cost.transactions
    ((again * mask).sum() + c.sum()).backward()
    assert array.cost.transactions - before == 12  # one product in reverse per step
    assert np.corrcoef(own.grad.ravel(), same.grad.ravel())[0, 1] > 0.98


def test_an_lstm_on_columns_with_gaps(array: Any) -> None:
    """A yield map leaves columns out: what is taken from the others must be as good as from neighbours."""
    good = [col for col in range(40) if col not in {3, 11}]
    weights = ArrayWeights(array, plan_floor(64, 40, [LayerRequest("lstm", 8, 20)], good_cols=good))
    TwoPulse(**RULE).start(weights, np.random.default_rng(0))
    weights.read(4)
    lstm = ArrayRecurrent(weights, "lstm", features=3, bias=False)
    lstm.product.refresh()
    twin = torch.nn.LSTM(3, 5, bias=False)
    with torch.no_grad():
        twin.weight_ih_l0.copy_(lstm.product.weight[:3].T)
        twin.weight_hh_l0.copy_(lstm.product.weight[3:].T)
        x = torch.rand(6, 4, 3) * 2 - 1
        assert torch.allclose(lstm(x)[0], twin(x)[0], atol=2 * CLOSE)


@pytest.mark.parametrize("padding", ["valid", "same", 1])
def test_conv_is_one_product_of_all_patches(array: Any, padding: Any) -> None:
    weights = on_array(array, LayerRequest("conv", 2 * 9 + 1, 4))
    twin = torch.nn.Conv2d(2, 4, 3, padding=padding)
    edge = 0 if padding == "valid" else 1
    conv = ArrayConv2d(weights, "conv", bias=True, kernel=(3, 3), padding=(edge,) * 4)
    conv.refresh()
    with torch.no_grad():
        twin.weight.copy_(conv.weight[:-1].T.reshape(4, 2, 3, 3))
        twin.bias.copy_(conv.weight[-1])
    x = torch.rand(3, 2, 8, 8)
    before = array.cost.transactions
    out = conv(x)
    assert array.cost.transactions == before + 1
    assert torch.allclose(out, twin(x), atol=2 * CLOSE)
    assert out.shape == twin(x).shape


def test_read_back_by_products_sees_what_wires_take(tmp_path: Path) -> None:
    """The weights that products show are those that products use; the cells' own conductances are not."""
    with open_bench(write_bench(tmp_path, "gate_voltage_1t1r", size=(64, 40), segment_ohms=3.0)) as bench:
        plan = plan_floor(64, 40, [LayerRequest("w", 20, 30, "stacked"), LayerRequest("v", 10, 30, copies_down=1)])
        x = (torch.rand(200, 20) * 2 - 1).numpy()
        errors: dict[str, float] = {}
        for way in ("cells", "products"):
            weights = ArrayWeights(bench.array, plan, read_back=way)  # pyright: ignore[reportArgumentType]
            TwoPulse(**RULE).start(weights, np.random.default_rng(0))
            weights.read(4)
            out = weights.multiply("w", x)
            errors[way] = float(np.std(out - x @ weights.weights("w")) / np.std(out))
    assert errors["products"] < 0.1
    assert errors["cells"] > 2.0 * errors["products"]


def test_large_inputs_are_cut_or_scaled_per_vector(array: Any) -> None:
    weights = on_array(array, LayerRequest("w", 4, 3))
    weights.read()
    truth = weights.weights("w")
    x = np.array([[10.0, 0, 0, 0], [0.01, 0.01, 0, 0]], np.float32)
    assert weights.multiply("w", x)[0] == pytest.approx(weights.largest_input * truth[0], abs=CLOSE)
    scaled = weights.multiply("w", x, "vector")
    assert scaled[0] == pytest.approx(10 * truth[0], abs=10 * CLOSE)
    assert scaled[1] == pytest.approx(0.01 * (truth[0] + truth[1]), abs=0.02 * CLOSE)


def test_an_overflow_is_sent_again_at_the_next_range(array: Any) -> None:
    weights = ArrayWeights(array, plan_floor(64, 40, [LayerRequest("w", 20, 3, "columns")]), largest_sum=0.1)
    TwoPulse(**RULE).start(weights, np.random.default_rng(0))
    weights.read()
    x = np.ones((2, 20), np.float32)
    before = array.cost.transactions
    out = weights.multiply("w", x)
    assert array.cost.transactions - before == 2  # 20 × 0.2 V × 220 µS is 0.9 mA in every column
    assert out[0] == pytest.approx(weights.weights("w").sum(0), abs=10 * CLOSE)


def test_what_the_layers_refuse(array: Any) -> None:
    weights = on_array(array, LayerRequest("w", 4, 3), LayerRequest("lstm", 5, 8))
    layer = ArrayLinear(weights, "w", bias=False)
    before = array.cost
    with pytest.raises(RefusedError, match=r"layer 'w' takes \[\.\.\., 4\] inputs, not \[2, 5\]"):
        layer(torch.zeros(2, 5))
    with pytest.raises(RefusedError, match=r"takes a torch tensor, not a ndarray: give it torch\.from_numpy"):
        layer(np.zeros((2, 4), np.float32))
    with pytest.raises(RefusedError, match="takes float32, not float64"):
        layer(torch.zeros(2, 4, dtype=torch.float64))
    with pytest.raises(RefusedError, match="layer 'w' was given inputs that are not finite"):
        layer(torch.full((2, 4), float("nan")))
    with pytest.raises(
        RefusedError, match="5 inputs and 8 outputs: LstmCell with 4 features and 1 units needs 4 outputs"
    ):
        ArrayRecurrent(weights, "lstm", features=4, bias=False)
    with pytest.raises(RefusedError, match="cannot be copied"):
        copy.deepcopy(layer)
    with pytest.raises(RefusedError, match=r"unknown layer 'v'.*lstm"):
        ArrayLinear(weights, "v", bias=False)
    with pytest.raises(RefusedError, match="floor plan is for 8 × 8"):
        ArrayWeights(array, plan_floor(8, 8, [LayerRequest("w", 2, 2)]))
    assert array.cost == before


def test_an_array_without_products_says_what_is_missing(tmp_path: Path) -> None:
    station = write_bench(tmp_path, "gate_voltage_1t1r")
    bench_file = tmp_path / "ideal.bench.yaml"
    bench_file.write_text(bench_file.read_text().replace("kind: array_board", "kind: array_board\n  lacks: [vmm]"))
    with open_bench(station) as bench, pytest.raises(UnsupportedError, match="drivers on all rows and converters"):
        ArrayWeights(bench.array, plan_floor(16, 12, [LayerRequest("w", 2, 2)]))


class Mixed(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 2, 2)
        self.lstm = torch.nn.LSTM(6, 4, batch_first=True)
        self.out = torch.nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        seen = torch.relu(self.conv(x))  # [batch, 2, 3, 3]
        hidden, (last, _) = self.lstm(seen.transpose(1, 2).reshape(len(x), 3, 6))
        assert torch.equal(last[0], hidden[:, -1])
        return self.out(hidden[:, -1])


def test_convert_takes_a_model_of_the_users_own_and_writes_its_weights(array: Any) -> None:
    torch.manual_seed(0)
    model = Mixed()
    x = torch.rand(4, 1, 4, 4)
    wanted = model(x)
    weights = convert(model, array).weights
    assert [request.name for request in weights.plan.requests] == ["conv", "lstm", "out"]
    got = model(x)
    assert torch.allclose(got, wanted, atol=0.1)
    assert not torch.equal(got, model(x))  # the array has noise; a host's weights would not
    got.sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    refresh_layers([m for m in model.modules() if isinstance(m, ArrayLinear)])


def test_a_converted_model_learns_on_the_array(array: Any) -> None:
    torch.manual_seed(0)
    model, rule = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3)), TwoPulse()
    y = torch.arange(90) % 3
    x = (torch.eye(3, 4)[y] - 0.3 + 0.15 * torch.randn(90, 4)).clamp(-1, 1)
    weights = convert(model, array, rule=rule).weights

    def loss(model: Any, x: Any, y: Any) -> Any:
        return torch.nn.functional.cross_entropy(model(x), y)

    trainer = ArrayTrainer(model, weights, rule, lambda p: torch.optim.RMSprop(p, lr=0.01), loss)
    first, *_, last = (sum(trainer.epoch(x, y, batch=16, number=epoch)) for epoch in range(10))
    assert last < 0.5 * first
    assert (model(x).argmax(1) == y).float().mean() > 0.9


def test_convert_refuses_what_it_does_not_know(array: Any) -> None:
    with pytest.raises(RefusedError, match=r"layer 'up', a ConvTranspose2d, spreads inputs over outputs.*nn\.Upsample"):
        convert(torch.nn.ModuleDict({"up": torch.nn.ConvTranspose2d(2, 2, 2)}), array)
    with pytest.raises(RefusedError, match=r"no layer to put on an array: no Linear, Conv1d, .* or LSTMCell"):
        convert(torch.nn.ReLU(), array)
    with pytest.raises(RefusedError, match=r"'0' needs 64 rows.*the plan"):
        convert(torch.nn.Sequential(torch.nn.Linear(63, 200)), array)
