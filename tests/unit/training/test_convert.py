"""convert: what was handed in comes back on the array, nothing is cut without a word, and what it was it stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.training_bench import write_bench

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from support.small_training import accuracy, cross_entropy, small_network, three_classes  # noqa: E402
from xbarlab.common.errors import RefusedError  # noqa: E402
from xbarlab.protocols.training.convert import convert  # noqa: E402
from xbarlab.protocols.training.layers.array_layers import ArrayLinear, array_layers  # noqa: E402
from xbarlab.protocols.training.optimizer import ArrayOptimizer  # noqa: E402
from xbarlab.protocols.training.rules.equal_pulses import MixedPrecision  # noqa: E402
from xbarlab.protocols.training.rules.outer_rules import OuterProduct  # noqa: E402
from xbarlab.protocols.training.rules.update_rules import TwoPulse  # noqa: E402
from xbarlab.protocols.training.trainer import ArrayTrainer  # noqa: E402
from xbarlab.runbooks.stations import open_bench  # noqa: E402


@pytest.fixture
def array(tmp_path: Path) -> Iterator[Any]:
    with open_bench(write_bench(tmp_path, "gate_voltage_1t1r", size=(64, 80))) as bench:
        yield bench.array


@pytest.fixture
def steps(tmp_path: Path) -> Iterator[Any]:
    with open_bench(write_bench(tmp_path, "soft_bounds_1t1r", size=(64, 40))) as bench:
        yield bench.array


def test_a_bare_layer_comes_back_on_the_array_and_learns_there(array: Any) -> None:
    layer = nn.Linear(4, 3)
    converted = convert(layer, array)
    assert converted.model is not layer
    x, y = three_classes()
    before = array.cost.transactions
    converted.model(x)
    assert array.cost.transactions == before + 1
    optimiser = ArrayOptimizer(torch.optim.RMSprop(converted.model.parameters(), lr=0.02), converted)
    for _ in range(25):
        optimiser.zero_grad()
        cross_entropy(converted.model, x, y).backward()
        optimiser.step()
    assert accuracy(converted.model, x, y) > 0.9
    with torch.no_grad():
        product = x @ converted.model.weight[:-1] + converted.model.weight[-1]
        assert torch.allclose(converted.model(x), product, atol=0.05)  # what the host knows is what the array does


def test_the_report_says_what_is_where_and_what_stays(array: Any) -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3), nn.LSTM(3, 2))
    for value in model[3].parameters():
        value.requires_grad_(requires_grad=False)
    converted = convert(model, array)
    said = str(converted.report)
    assert "0: Linear, 5 × 6, a weight of 1 is 100 µS" in said
    assert "3: Linear, 7 × 3, a weight of 1 is 100 µS, frozen" in said
    assert "on the host: 1 (BatchNorm1d, 12 parameters), 2 (Tanh)" in said
    assert str(converted.report.floor) in said
    frame = converted.report.frame
    assert frame.on.tolist() == ["array"] * 3 + ["host"] * 2
    assert frame["where"][0] == "rows 0:10, columns 0:6"
    assert frame.clipped[:3].tolist() == [0, 0, 0]
    assert converted.report.clipped == 0


def test_large_weights_get_a_scale_or_are_reported_as_clipped(array: Any) -> None:
    def model() -> nn.Linear:
        torch.manual_seed(2)
        layer = nn.Linear(6, 5, bias=False)
        with torch.no_grad():
            layer.weight.copy_(torch.randn(5, 6) * torch.tensor([0.1, 0.3, 1.0, 3.0, 3.0])[:, None])
        return layer

    wanted = model().weight.detach().T
    blind = convert(model(), array, scale=None)
    beyond = int((wanted.abs() > 98e-6 * 0.9 / 100e-6).sum())
    assert beyond > 5
    assert blind.report.clipped == beyond
    assert f"{beyond} of 30 weights are CLIPPED at ±0.882" in str(blind.report)
    whole, columns = (convert(model(), array, scale=how) for how in ("layer", "column"))
    assert whole.report.clipped == columns.report.clipped == 0
    assert whole.report.layers[0].scale[1] == pytest.approx(0.75 * 88.2e-6 / float(wanted.abs().max()))
    low, high = columns.report.layers[0].scale
    assert low == pytest.approx(whole.report.layers[0].scale[1])
    assert high == pytest.approx(100e-6)
    columns.read()
    assert columns.model.weight.detach().numpy() == pytest.approx(wanted.numpy(), abs=0.2)
    assert columns.model.weight[:, 0].detach().numpy() == pytest.approx(wanted[:, 0].numpy(), abs=0.01)
    x = torch.rand(8, 6, requires_grad=True)
    out = columns.model(x)
    assert out.detach().numpy() == pytest.approx((x @ columns.model.weight).detach().numpy(), abs=0.1)
    columns.model.reverse = True
    (columns.model(x) * torch.ones(5)).sum().backward()
    back = columns.model.weight.detach().sum(1).expand(8, 6)
    assert np.corrcoef(x.grad.ravel(), back.ravel())[0, 1] > 0.98
    assert float(x.grad.norm() / back.norm()) == pytest.approx(1.0, abs=0.1)


def test_a_column_with_a_scale_of_its_own_moves_by_the_change(array: Any) -> None:
    layer = nn.Linear(4, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.5], [4.0]]).expand(2, 4) * torch.tensor([1.0, -1.0, 0.5, -0.5]))
    converted = convert(layer, array, rule=TwoPulse(share=0.5, refresh=False), scale="column")
    optimiser = ArrayOptimizer(torch.optim.SGD(converted.model.parameters(), lr=1.0), converted)
    before = converted.model.weight.detach().clone()
    converted.model.weight.grad = -torch.tensor([[0.1, 0.4]]).expand(4, 2).clone()
    optimiser.step()
    moved = (converted.model.weight.detach() - before).numpy()
    assert moved[:, 0] == pytest.approx(np.full(4, 0.1), abs=0.02)
    assert moved[:, 1] == pytest.approx(np.full(4, 0.4), abs=0.08)


def test_identity_ties_and_frozen_layers_are_kept(array: Any) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.third = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3)
            self.again = self.first
            self.second.weight, self.second.bias = self.first.weight, self.first.bias

        def forward(self, x: Any) -> Any:
            return self.third(self.again(self.second(self.first(x))))

    model = Tied()
    model.third.requires_grad_(requires_grad=False)
    converted = convert(model, array)
    assert converted.model is model
    assert isinstance(model.first, ArrayLinear)
    assert model.first is model.again is model.second
    assert [request.name for request in converted.weights.plan.requests] == ["first", "third"]
    assert converted.report.layers[0].names == ("first", "second", "again")
    cells = converted.weights.cells_of(["third"])
    optimiser = ArrayOptimizer(torch.optim.SGD(model.parameters(), lr=0.5), converted)
    given: list[Any] = []
    pulse = array.pulse

    def noted(pulses: Any) -> Any:
        given.append(np.broadcast_to(pulses.count, pulses.block.shape)[cells].sum())
        return pulse(pulses)

    model(torch.rand(5, 3)).pow(2).sum().backward()
    assert model.third.weight.grad is None
    array.pulse = noted
    optimiser.step()
    array.pulse = pulse
    assert given
    assert sum(given) == 0


def test_what_cannot_be_tied_is_refused_and_the_model_left_as_it_was(array: Any) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Embedding(3, 3), nn.Linear(3, 3, bias=False))
    model[1].weight, model[1].bias = model[0].weight, model[0].bias
    model[3].weight = model[2].weight
    before = list(model)
    with pytest.raises(RefusedError, match="'3' shares its weights with '2'"):
        convert(model, array)
    assert list(model) == before
    assert array.cost.pulses == 0


def test_a_frozen_batch_norm_stays_frozen(array: Any) -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3))
    model[1].eval()
    seen = model[1].running_mean.clone()
    converted = convert(model, array, range=torch.rand(7, 4))
    assert not model[1].training
    assert model.training
    x, y = three_classes()
    trainer = ArrayTrainer(model, converted, None, lambda p: torch.optim.SGD(p, lr=0.01), cross_entropy)
    trainer.step(x[:9], y[:9])
    assert not model[1].training
    assert torch.equal(model[1].running_mean, seen)


def test_more_than_64_outputs_on_one_board(tmp_path: Path) -> None:
    with open_bench(write_bench(tmp_path, "gate_voltage_1t1r", size=(32, 80))) as bench:
        layer = nn.Linear(10, 65)
        x = torch.rand(6, 10)
        wanted = layer(x).detach()
        assert torch.allclose(convert(layer, bench.array).model(x), wanted, atol=0.1)


def test_a_chip_that_is_not_formed_is_refused_after_a_few_pulses() -> None:
    with open_bench("mock_ta_hfo2", seed=1) as bench:
        model = nn.Sequential(nn.Linear(20, 10))
        layer = model[0]
        with pytest.raises(RefusedError, match=r"and . of 8 that were asked do not answer a SET: .*form"):
            convert(model, bench.array)
        assert model[0] is layer
        assert bench.array.cost.pulses == 8
        with pytest.raises(RefusedError, match="there are no weights on this chip"):
            convert(model, bench.array, program="read")
        assert model[0] is layer
        assert bench.array.cost.pulses == 8


def test_the_range_is_chosen_from_data_or_weights_and_not_too_wide(array: Any) -> None:
    torch.manual_seed(0)
    x = torch.rand(50, 8)
    by_weights = convert(nn.Linear(8, 6), array)
    assert by_weights.weights.ranges()["linear"].full_scale == 1e-4
    converted = convert(nn.Linear(8, 6), array, range=x)
    found = converted.weights.ranges()["linear"]
    assert (found.full_scale, found.pinned) == (1e-4, True)
    assert converted.report.layers[0].amps == 1e-4
    said = convert(nn.Linear(8, 6), array, range=1e-3)
    assert said.weights.ranges()["linear"].full_scale == 1e-3
    off = [_off(said, x), _off(convert(nn.Linear(8, 6), array, range=x), x)]
    assert off[1] < 0.5 * off[0]


def test_an_example_that_does_not_fit_leaves_the_model_as_it_was(array: Any) -> None:
    model = small_network()
    before = list(model)
    with pytest.raises(RefusedError, match=r"takes \[\.\.\., 4\] inputs, not \[3, 7\]"):
        convert(model, array, range=torch.rand(3, 7))
    assert list(model) == before


def _off(converted: Any, x: Any) -> float:
    with torch.no_grad():
        layer = converted.model
        return float((layer(x) - x @ layer.weight[:-1] - layer.weight[-1]).std())


def test_a_model_whose_cells_another_took_refuses(array: Any) -> None:
    first = convert(nn.Linear(4, 3), array)
    apart = convert(nn.Linear(4, 3), array, layers={"linear": {"col": 20}})
    second = convert(nn.Linear(4, 3), array)
    with pytest.raises(RefusedError, match="layer 'linear': convert has written another model over its cells"):
        first.model(torch.rand(2, 4))
    apart.model(torch.rand(2, 4))
    second.model(torch.rand(2, 4))


def test_convert_without_writing_touches_nothing_and_says_what_to_do(array: Any) -> None:
    converted = convert(small_network(), array, program=None)
    assert array.cost.transactions == 0
    with pytest.raises(RefusedError, match=r"layer '0': nothing was read from the array yet: start\(\)"):
        converted.model(torch.rand(2, 4))
    ArrayOptimizer(torch.optim.SGD(converted.model.parameters(), lr=0.1), converted).start()
    converted.model(torch.rand(2, 4))


def test_good_lines_are_kept_to(array: Any) -> None:
    healthy = np.ones((64, 80), np.bool_)
    healthy[:, 1] = healthy[3] = False
    converted = convert(nn.Linear(4, 3), array, good_lines=healthy)
    tile = converted.report.floor.tiles[0]
    assert 3 not in tile.rows
    assert tile.cols.tolist() == [0, 2, 3]
    converted = convert(nn.Linear(4, 3), array, good_lines=(range(20, 40), [5, 7, 9]))
    assert converted.report.floor.tiles[0].cols.tolist() == [5, 7, 9]
    with pytest.raises(RefusedError, match=r"good_lines is \(2, 2\), the array has 64 × 80"):
        convert(nn.Linear(4, 3), array, good_lines=np.ones((2, 2), np.bool_))


def test_rules_that_count_pulses_write_weights_too(steps: Any) -> None:
    torch.manual_seed(1)
    layer = nn.Linear(5, 4)
    wanted = torch.cat([layer.weight.T, layer.bias[None]]).detach().numpy()
    converted = convert(layer, steps, rule=MixedPrecision(step=0.002 * 90e-6))
    assert converted.model.weight.detach().numpy() == pytest.approx(wanted, abs=0.02)
    assert converted.report.layers[0].error < 0.05


def test_a_rule_that_cannot_write_leaves_it_to_two_pulses(array: Any) -> None:
    converted = convert(nn.Linear(5, 4), array, rule=OuterProduct())
    assert converted.report.layers[0].error < 0.1
    assert isinstance(converted.rule, OuterProduct)
    assert len(array_layers(converted.model)) == 1
