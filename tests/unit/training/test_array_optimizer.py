"""Loops of one's own: every step is on the array, and what is not is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.training_bench import write_bench

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from support.small_training import accuracy, cross_entropy, small_network, three_classes  # noqa: E402
from xbarlab.common.errors import RefusedError  # noqa: E402
from xbarlab.instruments.abilities import UpdatesByOuterProduct  # noqa: E402
from xbarlab.protocols.training.convert import Converted, convert  # noqa: E402
from xbarlab.protocols.training.optimizer import ArrayOptimizer, TrainingError  # noqa: E402
from xbarlab.protocols.training.rules.equal_pulses import MixedPrecision  # noqa: E402
from xbarlab.protocols.training.rules.outer_rules import OuterProduct  # noqa: E402
from xbarlab.protocols.training.rules.update_rules import TwoPulse  # noqa: E402
from xbarlab.protocols.training.trainer import ArrayTrainer  # noqa: E402
from xbarlab.runbooks.stations import open_bench  # noqa: E402

STEP = 0.002 * 90e-6  # of an ideal step device


@pytest.fixture
def array(tmp_path: Path) -> Iterator[Any]:
    with open_bench(write_bench(tmp_path, "gate_voltage_1t1r", size=(64, 40))) as bench:
        yield bench.array


@pytest.fixture
def converted(array: Any) -> Converted:
    return convert(small_network(), array, rule=TwoPulse(share=0.5, refresh=False))


@pytest.fixture
def steps(tmp_path: Path) -> Iterator[Any]:
    with open_bench(write_bench(tmp_path, "soft_bounds_1t1r", size=(64, 40))) as bench:
        for name, value in (("width", 200e-9), ("set_volts", 1.2), ("reset_volts", 1.2), ("set_gate", 1.2)):
            bench.array.parameters[f"update_{name}"](value)
        bench.array.parameters["update_reset_gate"](5.0)
        yield bench.array


def known_is_on_the_array(converted: Converted, x: Any) -> bool:
    """Tell whether what the host computes with its weights is what the array multiplies."""
    first, second = converted.model[0], converted.model[2]
    with torch.no_grad():
        hidden = torch.tanh(x @ first.weight[:-1] + first.weight[-1])
        return torch.allclose(converted.model(x), hidden @ second.weight[:-1] + second.weight[-1], atol=0.1)


def test_a_loop_of_ones_own_with_loader_scheduler_clipping_and_accumulation(converted: Converted) -> None:
    x, y = three_classes()
    model = converted.model
    inner = torch.optim.Adam(model.parameters(), lr=0.02)
    optimiser = ArrayOptimizer(inner, converted)
    scheduler = torch.optim.lr_scheduler.StepLR(optimiser, step_size=4, gamma=0.5)
    loader = DataLoader(TensorDataset(x, y), batch_size=15, shuffle=True, generator=torch.Generator().manual_seed(0))
    array = converted.weights.array
    before, first = array.cost.pulses, float(cross_entropy(model, x, y).detach())
    for _ in range(8):
        optimiser.zero_grad()
        for n, (inputs, wanted) in enumerate(loader):
            (cross_entropy(model, inputs, wanted) / 2).backward()
            if n % 2:  # two batches to a step
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimiser.step()
                optimiser.zero_grad()
        scheduler.step()
    assert optimiser.param_groups[0]["lr"] == inner.param_groups[0]["lr"] == 0.02 * 0.25
    assert optimiser.steps == 24
    assert array.cost.pulses > before
    assert float(cross_entropy(model, x, y).detach()) < 0.5 * first
    assert accuracy(model, x, y) > 0.9
    assert known_is_on_the_array(converted, x)
    assert optimiser.travelled.max() > 0


def test_accumulation_is_one_step_of_the_sum(converted: Converted) -> None:
    x, y = three_classes(30)
    optimiser = ArrayOptimizer(torch.optim.SGD(converted.model.parameters(), lr=0.1), converted)
    layer = converted.model[2]
    for part in (slice(0, 10), slice(10, 30)):
        (cross_entropy(converted.model, x[part], y[part]) * len(x[part])).backward()
    wanted = layer.weight.detach() - 0.1 * layer.weight.grad
    optimiser.step()
    within = 0.1 * float(layer.weight.grad.abs().max())
    assert layer.weight.detach().numpy() == pytest.approx(wanted.numpy(), abs=within)


def test_a_host_optimiser_alone_is_refused_in_the_next_forward(converted: Converted) -> None:
    x, y = three_classes()
    plain = torch.optim.SGD(converted.model.parameters(), lr=0.5)
    pulses = converted.weights.array.cost.pulses
    cross_entropy(converted.model, x, y).backward()
    plain.step()
    with pytest.raises(RefusedError, match=r"layer '0' has weights that are not on the array: .*write\(\).*read\(\)"):
        converted.model(x)
    optimiser = ArrayOptimizer(plain, converted)
    with pytest.raises(RefusedError, match="layer '0' has weights that are not on the array"):
        optimiser.step()
    assert converted.weights.array.cost.pulses == pulses
    converted.read()
    converted.model(x)


@pytest.mark.parametrize("way", ["data", "load_state_dict"])
def test_weights_put_in_by_hand_are_refused_until_they_are_written(converted: Converted, way: str) -> None:
    x, _ = three_classes()
    model = converted.model
    other = {name: value.clone() for name, value in model.state_dict().items()}
    other["2.weight"] = torch.linspace(-0.5, 0.5, 39).reshape(13, 3)
    if way == "data":
        model[2].weight.data = other["2.weight"].clone()
    else:
        model.load_state_dict(other)
    with pytest.raises(RefusedError, match="layer '2' has weights that are not on the array"):
        model(x)
    converted.write()
    assert model[2].weight.detach().numpy() == pytest.approx(other["2.weight"].numpy(), abs=0.02)
    assert model[0].weight.detach().numpy() == pytest.approx(other["0.weight"].numpy(), abs=0.02)
    assert known_is_on_the_array(converted, x)
    model.load_state_dict(model.state_dict())  # what is there already changes nothing
    model(x)


def test_an_optimiser_of_before_convert_or_of_several_evaluations_is_refused(array: Any) -> None:
    model = small_network()
    early = torch.optim.SGD(model.parameters(), lr=0.1)
    converted = convert(model, array)
    with pytest.raises(RefusedError, match=r"no weight that is on the array: make it of model\.parameters\(\) after"):
        ArrayOptimizer(early, converted)
    with pytest.raises(RefusedError, match=r"LBFGS evaluates the model several times in one step"):
        ArrayOptimizer(torch.optim.LBFGS(model.parameters()), converted)
    with pytest.raises(RefusedError, match="weights alone have no update rule"):
        ArrayOptimizer(torch.optim.SGD(model.parameters(), lr=0.1), converted.weights)


def test_a_closure_is_called_once_and_its_loss_returned(converted: Converted) -> None:
    x, y = three_classes()
    optimiser = ArrayOptimizer(torch.optim.SGD(converted.model.parameters(), lr=0.3), converted)
    calls: list[float] = []

    def closure() -> Any:
        optimiser.zero_grad()
        loss = cross_entropy(converted.model, x, y)
        loss.backward()
        calls.append(float(loss.detach()))
        return loss

    found = [float(optimiser.step(closure).detach()) for _ in range(5)]
    assert found == calls
    assert found[-1] < found[0]


@pytest.mark.parametrize("feedback", [False, True])
def test_a_step_ended_in_the_middle_is_refused_until_the_cells_are_read(
    array: Any, monkeypatch: pytest.MonkeyPatch, feedback: bool
) -> None:
    rule = TwoPulse(share=0.5, refresh=False, feedback=feedback, least=0.01)
    converted = convert(small_network(), array, rule=rule)
    x, y = three_classes()
    optimiser = ArrayOptimizer(torch.optim.SGD(converted.model.parameters(), lr=0.5), converted)
    pulse, given = array.pulse, [0]

    def interrupted(pulses: Any) -> Any:
        given[0] += 1
        if given[0] == 2:
            raise KeyboardInterrupt
        return pulse(pulses)

    monkeypatch.setattr(array, "pulse", interrupted)
    cross_entropy(converted.model, x, y).backward()
    wanted = converted.model[2].weight.detach() - 0.5 * converted.model[2].weight.grad
    with pytest.raises(KeyboardInterrupt):
        optimiser.step()
    assert given[0] == 2  # the RESETs were given, the SETs were not
    with pytest.raises(RefusedError, match=r"layer '0': writing was ended in the middle.*look_again\(\)"):
        converted.model(x)
    with pytest.raises(RefusedError, match="writing was ended in the middle"):
        optimiser.step()
    optimiser.look_again()
    assert known_is_on_the_array(converted, x)
    optimiser.zero_grad()
    (0.0 * cross_entropy(converted.model, x, y)).backward()
    optimiser.step()  # with nothing new to write, the rule gives what is missing
    assert converted.model[2].weight.detach().numpy() == pytest.approx(wanted.numpy(), abs=0.1)


def test_a_gradient_or_change_that_is_not_finite_gives_no_pulse(converted: Converted) -> None:
    x, y = three_classes()
    optimiser = ArrayOptimizer(torch.optim.SGD(converted.model.parameters(), lr=0.1), converted)
    pulses = converted.weights.array.cost.pulses
    cross_entropy(converted.model, x, y).backward()
    converted.model[2].weight.grad[0, 0] = float("nan")
    with pytest.raises(TrainingError, match="gradient of layer '2' is not finite at step 0: no pulse was given"):
        optimiser.step()
    converted.model[2].weight.grad[0, 0] = 1.0
    optimiser.param_groups[0]["lr"] = float("inf")
    with pytest.raises(TrainingError, match=r"change of layer '.' is not finite"):
        optimiser.step()
    assert converted.weights.array.cost.pulses == pulses
    converted.model(x)  # the weights are those last read again


def test_a_layer_frozen_in_the_middle_is_left_alone(converted: Converted) -> None:
    x, y = three_classes()
    optimiser = ArrayOptimizer(
        torch.optim.SGD(converted.model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1), converted
    )

    def step() -> None:
        optimiser.zero_grad()
        cross_entropy(converted.model, x, y).backward()
        optimiser.step()

    step()
    first = converted.model[0]
    first.weight.requires_grad_(requires_grad=False)
    kept = first.weight.detach().clone()
    others = converted.model[2].weight.detach().clone()
    for _ in range(3):
        step()
    assert first.weight.detach().numpy() == pytest.approx(kept.numpy(), abs=1e-3)  # the converters' resolution
    assert (converted.model[2].weight.detach() - others).abs().max() > 0.02


# -- rules ---------------------------------------------------------------------------------------------------------


def test_a_reused_rule_does_not_bring_back_the_weights_of_another_model(array: Any) -> None:
    x, y = three_classes()
    rule = TwoPulse(share=0.5, refresh=False, feedback=True, rounds=3)
    first = convert(small_network(0), array, rule=rule)
    optimiser = ArrayOptimizer(torch.optim.SGD(first.model.parameters(), lr=0.5), first)
    cross_entropy(first.model, x, y).backward()
    optimiser.step()
    assert rule.wanted
    second = convert(small_network(1), array, rule=rule)
    assert not rule.wanted
    begun = second.model[0].weight.detach().clone()
    again = ArrayOptimizer(torch.optim.SGD(second.model.parameters(), lr=1e-6), second)
    cross_entropy(second.model, x, y).backward()
    again.step()
    assert second.model[0].weight.detach().numpy() == pytest.approx(begun.numpy(), abs=0.02)
    with pytest.raises(RefusedError, match="TwoPulse is attached to the weights of another model"):
        rule.apply(first.weights, {}, {})


@pytest.mark.parametrize("way", ["start", "adopt", "program", "restore", "attach"])
@pytest.mark.parametrize("kind", ["two_pulse", "mixed_precision"])
def test_every_new_beginning_forgets_what_was_remembered(array: Any, way: str, kind: str) -> None:
    rule: Any = (
        TwoPulse(feedback=True, refresh=False) if kind == "two_pulse" else MixedPrecision(step=10e-6, set_volts=2.0)
    )
    fresh = rule.arrays()
    converted = convert(small_network(), array, rule=rule, program=None)
    weights = converted.weights
    TwoPulse().start(weights, np.random.default_rng(0))
    weights.read()
    change = {"0": np.full((5, 12), 0.01), "2": np.full((13, 3), 0.01)}
    rule.apply(weights, change, {})
    assert _remembers(rule)
    if way == "start":
        rule.start(weights, np.random.default_rng(0))
    elif way == "adopt":
        rule.adopt(weights)
    elif way == "program":
        rule.program(weights, {"0": np.zeros((5, 12)), "2": np.zeros((13, 3))})
    elif way == "restore":
        rule.restore(fresh)
    else:
        rule.attach(convert(small_network(), array, program=None).weights)
    assert not _remembers(rule)


def _remembers(rule: Any) -> bool:
    if isinstance(rule, TwoPulse):
        return bool(rule.wanted or rule.turn)
    return bool(rule.owed.any())


def test_outer_products_take_the_optimisers_learning_rate_clipped_and_added_up(steps: Any) -> None:
    torch.manual_seed(0)
    given: list[tuple[str, float]] = []

    class Noted(OuterProduct):
        def products(self, weights: Any, layer: str, x: Any, d: Any, rate: Any) -> Any:
            given.extend((layer, rate * np.outer(one, error)) for one, error in zip(x, d, strict=True))
            return super().products(weights, layer, x, d, rate)

    converted = convert(small_network(), steps, rule=Noted(step=STEP), program="read")
    model = converted.model
    x, y = three_classes(12)
    with pytest.raises(RefusedError, match=r"an optimiser can only give it a learning rate: take torch\.optim\.SGD"):
        ArrayOptimizer(torch.optim.Adam(model.parameters(), lr=0.1), converted)
    with pytest.raises(RefusedError, match=r"SGD without momentum"):
        ArrayOptimizer(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), converted)
    groups = [{"params": [model[0].weight], "lr": 0.3}, {"params": [model[2].weight]}]
    optimiser = ArrayOptimizer(torch.optim.SGD(groups, lr=0.05), converted)
    for part in (slice(0, 4), slice(4, 12)):  # added up over two batches, then clipped
        cross_entropy(model, x[part], y[part]).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    wanted = {"0": -0.3 * model[0].weight.grad.clone(), "2": -0.05 * model[2].weight.grad.clone()}
    optimiser.step()
    for layer, change in wanted.items():
        total = sum(one for name, one in given if name == layer)
        assert total == pytest.approx(change.numpy(), rel=1e-3, abs=1e-6)
    assert len(given) == 24
    optimiser.zero_grad()
    cross_entropy(model, x, y).backward()
    model[0].weight.grad += 0.1  # a penalty by hand is no outer product
    with pytest.raises(RefusedError, match="gradient of layer '0' is not what passed through it, times a number"):
        optimiser.step()
    assert steps.ability(UpdatesByOuterProduct) is not None


def test_samples_of_before_are_forgotten_with_the_gradients(steps: Any) -> None:
    converted = convert(small_network(), steps, rule=OuterProduct(step=STEP), program="read")
    optimiser = ArrayOptimizer(torch.optim.SGD(converted.model.parameters(), lr=0.05), converted)
    x, y = three_classes(6)
    cross_entropy(converted.model, x, y).backward()
    optimiser.zero_grad()
    assert not converted.model[0].samples
    cross_entropy(converted.model, x, y).backward()
    optimiser.step()
    assert optimiser.steps == 1


def test_an_epoch_as_a_statement_runs(converted: Converted) -> None:
    x, y = three_classes()
    trainer = ArrayTrainer(converted.model, converted, None, lambda p: torch.optim.RMSprop(p, lr=0.01), cross_entropy)
    trainer.epoch(x, y, batch=30, number=0)
    assert trainer.steps == 3


def test_training_takes_one_thread(converted: Converted, monkeypatch: pytest.MonkeyPatch) -> None:
    before, seen = torch.get_num_threads(), list[int]()
    torch.set_num_threads(2)
    try:

        def loss(model: Any, x: Any, y: Any) -> Any:
            seen.append(torch.get_num_threads())
            return cross_entropy(model, x, y)

        x, y = three_classes(30)
        trainer = ArrayTrainer(converted.model, converted, None, lambda p: torch.optim.SGD(p, lr=0.01), loss)
        trainer.epoch(x, y, batch=30, number=0)
        assert seen == [1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
