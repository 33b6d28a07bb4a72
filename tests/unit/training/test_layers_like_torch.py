"""Every layer of torch that stands on an array, against torch itself on a bench without noise; and what is refused."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn.utils import prune  # noqa: E402

from support.exact_cells import CASES, ExactChip, LayerCase, compare, exact_chip  # noqa: E402
from xbarlab.common.errors import RefusedError  # noqa: E402
from xbarlab.mockhw.bench.file import BenchFileError, load_bench_file  # noqa: E402
from xbarlab.protocols.training.layers.array_layers import array_layers  # noqa: E402
from xbarlab.protocols.training.layers.array_weights import ArrayWeights  # noqa: E402
from xbarlab.protocols.training.layers.from_torch import take  # noqa: E402
from xbarlab.protocols.training.layers.placement import ON_ARRAY, REFUSED, left_on_host, torch_modules  # noqa: E402
from xbarlab.protocols.training.layers.recurrent_cells import LstmCell, RecurrentCell, State  # noqa: E402
from xbarlab.protocols.training.layers.weight_mapping import LayerRequest, plan_floor  # noqa: E402

SIZE = (128, 64)
# Half a step of a driver is 0.4 ‰ of the largest input, half a step of a converter 0.3 ‰ of an output of 1. A recurrent
# layer adds up those of its steps.
RESOLUTION = 3e-3


@pytest.fixture(scope="module")
def chip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExactChip]:
    with exact_chip(tmp_path_factory.mktemp("bench"), size=SIZE) as opened:
        yield opened


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_layer_agrees_with_its_float_twin(chip: ExactChip, case: LayerCase) -> None:
    found = compare(chip, case)
    assert 0 < found.out < RESOLUTION
    assert found.back < RESOLUTION
    assert found.weight < 2 * RESOLUTION
    assert found.transactions >= 1
    assert found.vectors >= found.transactions


@pytest.mark.parametrize("case", [CASES[0], CASES[17]], ids=lambda case: case.name)
def test_the_error_is_the_converters(chip: ExactChip, tmp_path: Path, case: LayerCase) -> None:
    """With 6 bits instead of 14 it is some 256 times as large, but for the drivers' part: no product is the host's."""
    fine = compare(chip, case).out
    with exact_chip(tmp_path, size=SIZE, name="coarse", bits=6) as coarse:
        assert 50 * fine < compare(coarse, case).out < 500 * fine


@pytest.mark.parametrize("pairs", ["stacked", "columns"])
def test_more_outputs_than_a_board_has_columns(chip: ExactChip, pairs: Any) -> None:
    torch.manual_seed(0)
    twin = nn.Linear(10, 65)
    layer, weights = chip.put(copy.deepcopy(twin), pairs=pairs)
    x = torch.rand(7, 10)
    with torch.no_grad(), weights.choosing_ranges():
        out = layer(x)
    assert out.shape == (7, 65)
    # Columns carry the whole conductances, which takes the range of 1 mA: 0.6 % a step, and two of them.
    assert torch.allclose(out, twin(x), atol=0.02 if pairs == "columns" else 3e-3)
    for one in array_layers(layer):
        one.reverse = True
    own = x.clone().requires_grad_()
    mask = torch.rand(7, 65)
    (layer(own) * mask).sum().backward()
    assert torch.allclose(own.grad, mask @ twin.weight, atol=0.05)


def test_training_and_evaluation_multiply_alike(chip: ExactChip) -> None:
    """Counted by the chip: an encoder of torch in evaluation would not have called its inner layers."""

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv, self.out, self.up, self.down = (
                nn.Linear(8, 24), nn.Linear(8, 8), nn.Linear(8, 12), nn.Linear(12, 8)
            )  # fmt: skip

        def forward(self, x: Any) -> Any:
            q, k, v = self.qkv(x).chunk(3, -1)
            x = x + self.out(nn.functional.scaled_dot_product_attention(q, k, v))
            return x + self.down(torch.relu(self.up(x)))

    torch.manual_seed(0)
    model, weights = chip.put(Encoder())
    x = torch.rand(2, 5, 8)
    counts: list[dict[str, int]] = []
    for mode in (True, False):
        model.train(mode)
        weights.products.clear()
        before = chip.array.cost.transactions
        with torch.set_grad_enabled(mode):
            model(x)
        assert chip.array.cost.transactions - before == 4
        counts.append(dict(weights.products))
    assert counts[0] == counts[1] == dict.fromkeys(["qkv", "out", "up", "down"], 10)
    for refused in (nn.TransformerEncoderLayer(8, 2, 12, batch_first=True), nn.MultiheadAttention(8, 2)):
        with pytest.raises(RefusedError, match=r"without calling them.*nn\.Linear layers for query"):
            take(nn.Sequential(nn.Linear(8, 8), refused))


# -- what a torch user touches -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_torchs_names_are_there_or_refused_in_a_sentence(chip: ExactChip, case: LayerCase) -> None:
    twin = case.make()
    layer, _ = chip.put(copy.deepcopy(twin))
    told = [vars(kind).get("__annotations__", {}) for kind in type(twin).__mro__[:2]]
    for name in sorted({*vars(twin), *told[0], *told[1]}):
        if name.startswith("_") or name in ("training", "weight", "bias") or not hasattr(twin, name):
            continue
        if name == "output_padding" or callable(getattr(twin, name)):  # of transposed convolutions
            continue
        if isinstance(getattr(twin, name), torch.Tensor):
            with pytest.raises(RefusedError, match=r"has no weight_ih.*on the array; array_layers\(model\) finds"):
                _ = layer.weight_ih
            assert not hasattr(layer, name)
        else:
            assert getattr(layer, name) == getattr(twin, name), name
    if hasattr(twin, "flatten_parameters"):
        layer.flatten_parameters()
        assert layer.bias == twin.bias
    elif isinstance(twin, nn.RNNCellBase):
        assert layer.bias == twin.bias
    elif twin.bias is None:
        assert layer.bias is None
    else:
        assert torch.allclose(layer.bias, twin.bias, atol=1e-3)
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = layer.no_such_thing


def test_a_model_keeps_its_names_and_what_they_are(chip: ExactChip) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Linear(4, 4)
            self.two = self.one
            self.frozen = nn.Linear(4, 2).requires_grad_(requires_grad=False)
            self.norm = nn.BatchNorm1d(4).eval()

        def forward(self, x: Any) -> Any:
            return self.frozen(self.norm(self.two(torch.tanh(self.one(x)))))

    torch.manual_seed(0)
    twin = Twice()
    model, weights = chip.put(copy.deepcopy(twin))
    assert model.one is model.two
    assert [request.name for request in weights.plan.requests] == ["one", "frozen"]
    assert not model.frozen.weight.requires_grad
    assert model.one.weight.requires_grad
    assert not model.norm.training
    assert left_on_host(model) == {"norm": "BatchNorm1d scales and shifts each value: no product"}
    x = torch.rand(3, 4)
    out = model(x)
    assert torch.allclose(out, twin(x), atol=0.02)
    out.sum().backward()
    assert model.frozen.weight.grad is None
    assert model.one.weight.grad is not None
    assert chip.put(nn.Linear(2, 2))[1].plan.requests[0].name == "linear"
    assert {r.name for r in chip.put(nn.GRU(2, 2, 2))[1].plan.requests} == {
        "gru.l0.input", "gru.l0.state", "gru.l1.input", "gru.l1.state"
    }  # fmt: skip
    assert [r.name for r in chip.put(nn.LSTM(2, 2, bidirectional=True))[1].plan.requests] == [
        "lstm.l0",
        "lstm.l0_reverse",
    ]


def test_tied_linear_layers_are_one_on_the_array(chip: ExactChip) -> None:
    torch.manual_seed(0)
    twin = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    twin[2].weight, twin[2].bias = twin[0].weight, twin[0].bias
    model, weights = chip.put(copy.deepcopy(twin))
    assert model[0] is model[2]
    assert [request.name for request in weights.plan.requests] == ["0"]
    x = torch.rand(3, 4)
    assert torch.allclose(model(x), twin(x), atol=0.02)
    for one in (model, twin):
        one(x).sum().backward()
    assert torch.allclose(model[0].weight.grad[:-1].T, twin[0].weight.grad, atol=0.03)


@pytest.mark.parametrize("make", [lambda: nn.Linear(3, 4), lambda: nn.LSTM(3, 4)], ids=["Linear", "LSTM"])
def test_gradients_of_gradients_are_refused(chip: ExactChip, make: Any) -> None:
    """Torch would take the host's part of them for all of them."""
    layer, _ = chip.put(make())
    x = torch.rand(5, 2, 3, requires_grad=True)
    out = layer(x)
    out = out[0] if isinstance(out, tuple) else out
    (gradient,) = torch.autograd.grad((out**2).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        (gradient**2).sum().backward()


def test_a_model_is_converted_once(chip: ExactChip) -> None:
    model, _ = chip.put(nn.Sequential(nn.GRU(3, 4)))
    with pytest.raises(RefusedError, match=r"layer '0\.input' is on an array already: convert a model once"):
        take(nn.Sequential(model, nn.Linear(4, 2)))


def test_dropout_between_layers_is_torchs(chip: ExactChip) -> None:
    torch.manual_seed(0)
    twin = nn.LSTM(3, 4, 2, dropout=1.0)  # of everything, so that it is no matter of chance
    layer, weights = chip.put(copy.deepcopy(twin))
    x = torch.rand(5, 2, 3)
    with torch.no_grad(), weights.choosing_ranges():
        layer(x)
    for mode in (True, False):
        assert torch.allclose(layer.train(mode)(x)[0], twin.train(mode)(x)[0], atol=5e-3)
    assert not torch.allclose(layer.train()(x)[0], layer.eval()(x)[0], atol=0.02)


def test_activation_and_cell_can_be_replaced(chip: ExactChip) -> None:
    class Peephole(RecurrentCell):
        """An LSTM cell whose output gate looks at the new cell state."""

        gates, states = 4, 2

        def forward(self, products: tuple[Any, ...], state: State) -> State:
            i, f, g, o = products[0].chunk(4, 1)
            c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
            return torch.sigmoid(o + c) * torch.tanh(c), c

    torch.manual_seed(0)
    twin = nn.RNN(3, 4)
    layer, _ = chip.put(copy.deepcopy(twin))
    layer.layers[0].cell.activation = torch.sin
    x, h = torch.rand(5, 2, 3), torch.zeros(2, 4)
    for step in x:
        h = torch.sin(step @ twin.weight_ih_l0.T + h @ twin.weight_hh_l0.T + twin.bias_ih_l0 + twin.bias_hh_l0)
    assert torch.allclose(layer(x)[0][-1], h, atol=0.01)

    lstm = nn.LSTM(3, 4)
    layer, _ = chip.put(copy.deepcopy(lstm))
    compiled = layer(x)[0]
    layer.layers[0].cell = LstmCell(gate=lambda z: 1.0 / (1.0 + torch.exp(-z)))
    assert torch.allclose(layer(x)[0], compiled, atol=5e-3)  # torch's cell again, step by step
    layer.layers[0].cell = Peephole()
    state: State = (torch.zeros(2, 4), torch.zeros(2, 4))
    for step in x:
        product = step @ lstm.weight_ih_l0.T + state[0] @ lstm.weight_hh_l0.T + lstm.bias_ih_l0 + lstm.bias_hh_l0
        state = Peephole()((product,), state)
    assert torch.allclose(layer(x)[0][-1], state[0], atol=0.01)
    assert not torch.allclose(layer(x)[0], compiled, atol=0.01)


def test_errors_go_back_through_the_array_in_reverse(chip: ExactChip) -> None:
    torch.manual_seed(0)
    twin = nn.GRU(3, 4, bidirectional=True)
    layer, _ = chip.put(copy.deepcopy(twin))
    for one in array_layers(layer):
        one.reverse = True
    x = torch.rand(5, 2, 3)
    own, same = x.clone().requires_grad_(), x.clone().requires_grad_()
    mask = torch.rand(5, 2, 8)
    (layer(own)[0] * mask).sum().backward()
    (twin(same)[0] * mask).sum().backward()
    assert (own.grad - same.grad).abs().max() < 0.05 * same.grad.abs().max()


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_every_module_of_torch_has_its_place() -> None:
    """The list is closed: a module of torch with weights stands on the array, or is named with a reason."""
    placed = torch_modules()
    assert {name for name, where in placed.items() if where.place == "array"} == {kind.__name__ for kind in ON_ARRAY}
    assert {name for name, where in placed.items() if where.place == "refused"} == {k.__name__ for k in REFUSED}
    for where in placed.values():
        assert where.why
    examples = {
        "Embedding": nn.Embedding(3, 2), "EmbeddingBag": nn.EmbeddingBag(3, 2), "PReLU": nn.PReLU(),
        "BatchNorm1d": nn.BatchNorm1d(2), "BatchNorm2d": nn.BatchNorm2d(2), "BatchNorm3d": nn.BatchNorm3d(2),
        "SyncBatchNorm": nn.SyncBatchNorm(2), "LayerNorm": nn.LayerNorm(2), "GroupNorm": nn.GroupNorm(1, 2),
        "RMSNorm": nn.RMSNorm(2), "InstanceNorm1d": nn.InstanceNorm1d(2, affine=True),
        "InstanceNorm2d": nn.InstanceNorm2d(2, affine=True), "InstanceNorm3d": nn.InstanceNorm3d(2, affine=True),
        "ParameterList": nn.ParameterList([nn.Parameter(torch.zeros(1))]),
        "ParameterDict": nn.ParameterDict({"a": nn.Parameter(torch.zeros(1))}),
    }  # fmt: skip
    told = {name for name, where in placed.items() if where.place == "host" and where.why != "has no weights"}
    assert told == set(examples)
    for name, module in examples.items():
        assert left_on_host(nn.Sequential(module))["0"].startswith(name)
    for kind in vars(nn).values():  # what "has no weights" has none, as far as it can be made without being told sizes
        if isinstance(kind, type) and issubclass(kind, nn.Module) and placed.get(kind.__name__, None) is not None:
            if placed[kind.__name__].why != "has no weights":
                continue
            try:
                made = kind()
            except TypeError:
                continue
            assert not list(made.parameters()), kind


class Scaled(nn.Linear):
    def forward(self, input: Any) -> Any:
        return 2.0 * super().forward(input)


def tied() -> nn.Module:
    model = nn.ModuleDict({"table": nn.Embedding(5, 4), "out": nn.Linear(4, 5, bias=False)})
    model["out"].weight = model["table"].weight
    return model


def half_tied() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    return model


def half_frozen() -> nn.Module:
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(requires_grad=False)
    return layer


def patched() -> nn.Module:
    layer = nn.Linear(2, 2)
    layer.forward = lambda x: x
    return layer


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Sequential(Scaled(2, 2)), "'0', a Scaled, is a class made from Linear that may compute something"),
        (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)), "ParametrizedLinear.*class made from Linear"),
        (lambda: nn.utils.spectral_norm(nn.Linear(2, 2)), "has hooks, which pruning"),
        (lambda: prune.random_unstructured(nn.Linear(2, 2), "weight", 0.5), "has hooks, which pruning"),
        (patched, "has a forward of its own"),
        (tied, "'out' shares its weights with 'table'"),
        (half_tied, "'0' shares its weights with '1'"),
        (half_frozen, "frozen and others that are not"),
        (lambda: nn.Linear(2, 2).double(), r"holds float64 on cpu.*model\.float\(\)"),
        (lambda: nn.Linear(2, 2, device="meta"), r"holds float32 on meta"),
        (lambda: nn.LazyLinear(2), "no weights before its first call"),
        (lambda: torch.jit.script(nn.Linear(2, 2)), "is compiled"),
        (lambda: torch.compile(nn.Linear(2, 2)), "is compiled"),
        (lambda: torch.ao.nn.quantized.dynamic.Linear(2, 2), "holds weights as integers"),
        (lambda: nn.Sequential(nn.Linear(2, 2), nn.Bilinear(2, 2, 2)), "multiplies two inputs with each other"),
        (lambda: nn.Sequential(nn.ReLU()), "no layer to put on an array"),
    ],
    ids=lambda value: "" if callable(value) else value[:20],
)
@pytest.mark.filterwarnings("ignore")
def test_what_would_be_another_number_is_refused(make: Any, words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        take(make())


def test_wrong_inputs_are_refused_and_nothing_is_sent(chip: ExactChip) -> None:
    torch.manual_seed(0)
    model = nn.ModuleDict({"lstm": nn.LSTM(3, 4), "gru": nn.GRUCell(3, 4), "conv": nn.Conv1d(2, 3, 4)})
    model, _ = chip.put(model)
    before = chip.array.cost
    for call, words in (
        (lambda: model["lstm"](torch.rand(5, 2, 4)), r"'lstm' takes \[steps, batch, 3\].*not \[5, 2, 4\]"),
        (lambda: model["lstm"](torch.rand(0, 2, 3)), "a sequence of no steps"),
        (lambda: model["lstm"](torch.rand(5, 2, 3).double()), "takes float32, not float64"),
        (lambda: model["lstm"](torch.rand(5, 2, 3), torch.zeros(1, 2, 4)), r"takes a state of \[\(1, 2, 4\), \(1, 2"),
        (lambda: model["gru"](torch.rand(2, 3), torch.zeros(2, 5)), r"takes a state of \[\(2, 4\)\], not \[\(2, 5\)\]"),
        (lambda: model["gru"](np.zeros((2, 3), np.float32)), "takes a torch tensor"),
        (lambda: model["gru"](torch.rand(2, 4)), r"takes \[batch, 3\] or \[3\], not \[2, 4\]"),
        (lambda: model["conv"](torch.rand(2, 3, 9)), "it has 2 channels"),
        (lambda: model["conv"](torch.rand(2, 2, 3)), r"needs at least \[4\] lines with its padding, not \[3\]"),
        (lambda: model["conv"](torch.rand(2)), r"takes \[batch, 2, steps\]"),
    ):
        with pytest.raises(RefusedError, match=words):
            call()
    assert chip.array.cost == before
    empty = torch.zeros(0, 2, 9)
    assert model["conv"](empty).shape == (0, 3, 6)  # as torch: nothing to multiply
    assert model["lstm"](torch.zeros(5, 0, 3))[0].shape == (5, 0, 4)
    assert chip.array.cost == before


# -- converters --------------------------------------------------------------------------------------------------------


def test_ranges_are_chosen_from_data_once_and_what_is_beyond_is_told(chip: ExactChip) -> None:
    torch.manual_seed(0)
    twin = nn.Linear(8, 4)
    layer, weights = chip.put(copy.deepcopy(twin))
    x = torch.rand(50, 8) - 0.5
    wanted = twin(x)

    def error() -> float:
        with torch.no_grad():
            return float((layer(x) - wanted).abs().max())

    before = error()
    assert weights.ranges()["linear"].full_scale == 1e-3  # for outputs of 20, of which nothing is known yet
    inputs = np.concatenate([x.numpy(), np.ones((50, 1), np.float32)], axis=1)
    assert weights.choose_ranges({"linear": inputs}, "vector")["linear"].full_scale == 1e-4
    assert error() < 0.3 * before
    # With this bias of 3 outputs do not fit any more.
    big = {"linear": np.concatenate([twin.weight.detach().numpy().T, np.full((1, 4), 1.9, np.float32)])}
    big["linear"][:8] = 1.9
    chip.set(weights, big)
    ones = torch.ones(3, 8)
    with torch.no_grad():
        assert layer(ones).numpy() == pytest.approx(9 * 1.9, rel=2e-3)
    told = weights.ranges()["linear"]
    assert (told.full_scale, told.pinned, told.sent_again, told.saturated, told.cut) == (1e-4, True, 3, 0, 0)
    weights.pin_ranges({"linear": 1e-3})
    with torch.no_grad():
        layer(ones)
    assert weights.ranges()["linear"].sent_again == 3
    with pytest.raises(RefusedError, match=r"a range of 0\.5 A: the converters have 0\.0001, 0\.001, 0\.01"):
        weights.pin_ranges({"linear": 0.5})
    weights.multiply("linear", np.full((1, 9), 5.0, np.float32))
    assert weights.ranges()["linear"].cut == 9


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_result_does_not_depend_on_the_batch_it_came_in(chip: ExactChip, data: st.DataObject) -> None:
    """Without noise to the last bit, for every kind of pair, copies, pieces, ranges that overflow, and in reverse."""
    request = data.draw(
        st.sampled_from(
            [
                LayerRequest("w", 20, 8),
                LayerRequest("w", 20, 8, "columns"),
                LayerRequest("w", 20, 8, "stacked", copies_down=2, copies_across=3),
                LayerRequest("w", 20, 8, "columns", copies_across=3),
                LayerRequest("w", 90, 8),
                LayerRequest("w", 20, 50, "columns", copies_down=2),
            ]
        )
    )
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    weights = ArrayWeights(chip.array, plan_floor(*SIZE, [request]))
    chip.set(weights, {"w": rng.uniform(-1, 1, (request.inputs, request.outputs)).astype(np.float32)})
    x = rng.uniform(-1, 1, (40, request.inputs)).astype(np.float32)
    x[::7] *= rng.uniform(0, 30)
    scale = data.draw(st.sampled_from(["fixed", "vector"]))
    weights.choose_ranges({"w": x[1:7]}, scale)
    error = rng.normal(size=(40, request.outputs)).astype(np.float32)
    with weights.choosing_ranges():
        weights.multiply_back("w", error)
    for multiply, vectors in (
        (lambda v: weights.multiply("w", v, scale), x),
        (lambda v: weights.multiply_back("w", v), error),
    ):
        whole = multiply(vectors)
        chosen = np.sort(rng.choice(40, data.draw(st.integers(1, 39)), replace=False))
        assert np.array_equal(multiply(vectors[chosen]), whole[chosen])
        assert np.array_equal(multiply(vectors[chosen[:1]]), whole[chosen[:1]])


def test_converters_are_settings_of_the_bench_file(tmp_path: Path) -> None:
    with exact_chip(tmp_path, size=(16, 12), name="other", ranges=[5e-5, 2e-3], bits=10) as opened:
        assert opened.array.spec.vmm_ranges == (5e-5, 2e-3)
    bench = tmp_path / "ideal.bench.yaml"
    whole = bench.read_text()
    assert "bits: 10" in whole
    for old, new, words in (
        ("bits: 10", "bits: 20", r"instruments\.0\.converters\.bits: .* less than or equal to 16, got 20"),
        ("bits: 10", "bit: 10", "unknown key 'instruments.0.converters.bit', did you mean 'bits'; known here: bits, "),
        ("5e-05", "0.005", "ranges are full scales in ampere, each larger than the one before"),
    ):
        assert old in whole
        bench.write_text(whole.replace(old, new))
        with pytest.raises(BenchFileError, match=words):
            load_bench_file(bench)
