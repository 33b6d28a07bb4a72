"""The recurrent layer whose parts can be replaced: every cell against float torch on a chip without noise."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from support.exact_cells import SIEMENS, ExactChip, exact_chip  # noqa: E402
from xbarlab.common.errors import RefusedError  # noqa: E402
from xbarlab.protocols.training.layers import recurrent  # noqa: E402
from xbarlab.protocols.training.layers.array_layers import ArrayLinear, unrolled_lstm  # noqa: E402
from xbarlab.protocols.training.layers.array_weights import ArrayWeights  # noqa: E402
from xbarlab.protocols.training.layers.recurrent import ArrayRecurrent  # noqa: E402
from xbarlab.protocols.training.layers.recurrent_cells import (  # noqa: E402
    ExtraInput,
    GruCell,
    LstmCell,
    RecurrentCell,
    RnnCell,
    State,
)
from xbarlab.protocols.training.layers.weight_mapping import LayerRequest, plan_floor  # noqa: E402

FEATURES, HIDDEN, STEPS, BATCH = 3, 4, 6, 5
RESOLUTION = 5e-3  # of a converter, over some steps


@pytest.fixture(scope="module")
def chip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExactChip]:
    with exact_chip(tmp_path_factory.mktemp("bench")) as opened:
        yield opened


def saturating(x: Tensor) -> Tensor:
    """A tanh as an amplifier's rails make it."""
    return torch.clamp(x, -1.0, 1.0)


class Columns(LstmCell):
    """Every column of the gates has a gain of its own."""

    def activated(self, product: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return super().activated(product * torch.linspace(0.5, 1.5, product.shape[1]))


class Coupled(RecurrentCell):
    """A cell whose state has another size than what goes out: c [batch, 2·hidden], f and 1 − f."""

    gates, states = 4, 2

    def start(self, batch: int, hidden: int) -> State:
        return torch.zeros(batch, hidden), torch.zeros(batch, 2 * hidden)

    def forward(self, products: tuple[Tensor, ...], state: State) -> State:
        f, u = products[0].chunk(2, 1)
        f = torch.sigmoid(f)
        c = f * state[1] + (1.0 - f) * torch.tanh(u)
        first, second = c.chunk(2, 1)
        return torch.tanh(first + second), c


class Trace(ExtraInput):
    """Adds a decaying trace of the state to the gates, which it carries itself."""

    def start(self, batch: int, hidden: int) -> State:
        return (torch.zeros(batch, hidden),)

    def forward(self, products: Tensor, state: State, own: State) -> tuple[Tensor, State]:
        trace = 0.9 * own[0] + state[0]
        return products + trace.repeat(1, products.shape[1] // trace.shape[1]), (trace,)


CASES: dict[str, tuple[RecurrentCell, ExtraInput | None]] = {
    "plain": (LstmCell(), None),
    "saturating periphery": (LstmCell(saturating, lambda x: torch.clamp(0.25 * x + 0.5, 0.0, 1.0)), None),
    "candidate of its own": (LstmCell(candidate=torch.sin), None),
    "columns of their own": (Columns(), None),
    "state of another size": (Coupled(), None),
    "extra input": (LstmCell(), Trace()),
    "rnn with extra input": (RnnCell(), Trace()),
    "products apart": (GruCell(), None),
    "products apart with extra input": (GruCell(), Trace()),
}


def layer_of(chip: ExactChip, cell: RecurrentCell, extra: ExtraInput | None) -> tuple[ArrayRecurrent, ArrayWeights]:
    outputs = cell.outputs(HIDDEN)
    shapes = {"rnn.input": FEATURES + 1, "rnn.state": HIDDEN + 1} if cell.apart else {"rnn": FEATURES + HIDDEN + 1}
    requests = [LayerRequest(name, inputs, outputs) for name, inputs in shapes.items()]
    weights = ArrayWeights(chip.array, plan_floor(128, 64, requests), siemens=SIEMENS)
    layer = ArrayRecurrent(weights, "rnn", features=FEATURES, bias=True, cell=cell, extra=extra)
    torch.manual_seed(1)
    chip.set(weights, {one.name: (torch.rand(one.inputs, one.outputs) - 0.5).numpy() for one in requests})
    return layer, weights


def by_hand(matrices: list[Tensor], cell: RecurrentCell, extra: ExtraInput | None, x: Tensor) -> tuple[Tensor, State]:
    """Return what goes out and the last state, by products of torch."""
    ones = torch.ones(BATCH, 1)
    state = cell.start(BATCH, HIDDEN)
    own = () if extra is None else extra.start(BATCH, HIDDEN)
    outs: list[Tensor] = []
    for step in x:
        if cell.apart:
            products = (torch.cat([step, ones], 1) @ matrices[0], torch.cat([state[0], ones], 1) @ matrices[1])
        else:
            products = (torch.cat([step, state[0], ones], 1) @ matrices[0],)
        if extra is not None:
            first, own = extra(products[0], state, own)
            products = (first, *products[1:])
        state = cell(products, state)
        outs.append(state[0])
    return torch.stack(outs), (*state, *own)


@pytest.mark.parametrize("name", CASES)
def test_every_cell_forward_and_backward_like_its_float_twin(chip: ExactChip, name: str) -> None:
    cell, extra = CASES[name]
    layer, weights = layer_of(chip, cell, extra)
    products = [m for m in (layer.product, layer.recurrence.of_state) if m is not None]
    twin = [one.weight.detach().clone().requires_grad_() for one in products]
    x = 2.0 * torch.rand(STEPS, BATCH, FEATURES) - 1.0
    own, same = x.clone().requires_grad_(), x.clone().requires_grad_()
    with torch.no_grad(), weights.choosing_ranges():
        layer(x)
    weights.products.clear()
    out, last = layer(own)
    wanted, wanted_last = by_hand(twin, cell, extra, same)
    assert sum(weights.products.values()) == STEPS * BATCH * len(products)
    assert 0.0 < (out - wanted).abs().max() < RESOLUTION
    assert len(last) == len(wanted_last)
    for got, right in zip(last, wanted_last, strict=True):
        assert torch.allclose(got, right, atol=2 * RESOLUTION)
    mask = torch.rand_like(out)
    ((out * mask).sum() + last[-1].sum()).backward()
    ((wanted * mask).sum() + wanted_last[-1].sum()).backward()
    for got, right in ((own.grad, same.grad), *((a.weight.grad, b.grad) for a, b in zip(products, twin, strict=True))):
        assert got is not None
        assert right is not None
        assert (got - right).abs().max() < 4 * RESOLUTION * right.abs().max()


def test_a_state_given_goes_on_where_it_was(chip: ExactChip) -> None:
    for name in ("extra input", "state of another size"):
        layer, weights = layer_of(chip, *CASES[name])
        x = 2.0 * torch.rand(STEPS, BATCH, FEATURES) - 1.0
        with torch.no_grad(), weights.choosing_ranges():
            layer(x)
        whole, _ = layer(x)
        first, state = layer(x[:2])
        second, _ = layer(x[2:], state)
        assert torch.allclose(torch.cat([first, second]), whole, atol=1e-6)


def test_only_torchs_lstm_is_compiled(chip: ExactChip, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def counted(layer: ArrayLinear, x: Tensor, h0: Tensor, c0: Tensor) -> tuple[Tensor, Tensor]:
        calls.append(len(x))
        return unrolled_lstm(layer, x, h0, c0)

    monkeypatch.setattr(recurrent, "unrolled_lstm", counted)
    for name, (cell, extra) in CASES.items():
        layer, _ = layer_of(chip, cell, extra)
        layer(torch.zeros(2, BATCH, FEATURES))
        assert bool(calls) == (name == "plain")
        calls.clear()


def test_a_compiled_lstm_looks_whether_its_weights_are_the_cells(chip: ExactChip) -> None:
    for name in ("plain", "extra input"):
        layer, _ = layer_of(chip, *CASES[name])
        with torch.no_grad():
            layer.product.weight.add_(0.1)
        with pytest.raises(RefusedError, match="layer 'rnn' has weights that are not on the array"):
            layer(torch.zeros(2, BATCH, FEATURES))


def test_sizes_that_do_not_belong_together_are_refused(chip: ExactChip) -> None:
    weights = ArrayWeights(chip.array, plan_floor(128, 64, [LayerRequest("rnn", 8, 15)]))
    before = chip.array.cost
    with pytest.raises(RefusedError, match="7 inputs and 15 outputs: LstmCell with 3 features and 4 units needs 16"):
        ArrayRecurrent(weights, "rnn", features=3, bias=True)
    with pytest.raises(RefusedError, match="with 9 features and -2 units"):
        ArrayRecurrent(weights, "rnn", features=9, bias=True)
    assert chip.array.cost == before
