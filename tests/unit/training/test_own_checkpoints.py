"""Checkpoints of loops of one's own: what goes on, what is read, and what is written only when it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.training_bench import write_bench

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from support.small_training import accuracy, cross_entropy, three_classes  # noqa: E402
from xbarlab.common.errors import RefusedError  # noqa: E402
from xbarlab.protocols.training.checkpoints import load_checkpoint, save_checkpoint  # noqa: E402
from xbarlab.protocols.training.convert import Converted, convert  # noqa: E402
from xbarlab.protocols.training.optimizer import ArrayOptimizer  # noqa: E402
from xbarlab.protocols.training.rules.update_rules import TwoPulse  # noqa: E402
from xbarlab.runbooks.stations import open_bench  # noqa: E402

X, Y = three_classes()


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 12), nn.LayerNorm(12), nn.Tanh(), nn.Linear(12, 3))


def on(array: Any, seed: int, program: Any, **more: Any) -> tuple[Converted, ArrayOptimizer]:
    rule = TwoPulse(share=0.5, refresh=False, feedback=True, rounds=2)
    converted = convert(network(seed), array, rule=rule, program=program, **more)
    return converted, ArrayOptimizer(torch.optim.Adam(converted.model.parameters(), lr=0.02), converted)


def train(converted: Converted, optimiser: ArrayOptimizer, steps: int) -> None:
    for _ in range(steps):
        optimiser.zero_grad()
        cross_entropy(converted.model, X, Y).backward()
        optimiser.step()


def trained(array: Any, path: Path) -> tuple[float, Any]:
    """Train, keep, and return the accuracy and the weights of the last layer."""
    converted, optimiser = on(array, 0, "write")
    train(converted, optimiser, 15)
    optimiser.param_groups[0]["lr"] = 0.005
    save_checkpoint(path, optimiser, chip="ideal")
    return accuracy(converted.model, X, Y), converted.model[3].weight.detach().clone()


def test_a_model_goes_on_with_its_chip_which_is_read_and_not_changed(tmp_path: Path) -> None:
    with open_bench(write_bench(tmp_path, "gate_voltage_1t1r", size=(64, 40))) as bench:
        array = bench.array
        reached, weights = trained(array, tmp_path / "kept")
        pulses = array.cost.pulses
        converted, optimiser = on(array, 1, "read")  # other random weights: none of them gets to the chip
        load_checkpoint(tmp_path / "kept", optimiser, chip="ideal")
        assert array.cost.pulses == pulses
        assert reached > 0.9
        assert accuracy(converted.model, X, Y) == pytest.approx(reached, abs=0.03)
        assert converted.model[3].weight.detach().numpy() == pytest.approx(weights.numpy(), abs=0.01)
        assert optimiser.param_groups[0]["lr"] == 0.005
        assert optimiser.param_groups[0]["betas"] == (0.9, 0.999)
        assert optimiser.steps == 15
        assert optimiser.rule.arrays().keys() >= {"wanted/0", "wanted/3"}
        assert not torch.equal(converted.model[1].weight, torch.ones(12))  # what is trained on the host came along
        loss = float(cross_entropy(converted.model, X, Y).detach())
        train(converted, optimiser, 10)
        assert float(cross_entropy(converted.model, X, Y).detach()) < loss


def test_scales_are_those_of_the_checkpoint(tmp_path: Path) -> None:
    """A model made anew has other random weights, and would choose other scales for them."""
    with open_bench(write_bench(tmp_path, "gate_voltage_1t1r", size=(64, 40))) as bench:
        first, optimiser = on(bench.array, 0, "write", scale="column", siemens=400e-6)
        save_checkpoint(tmp_path / "kept", optimiser, chip="ideal")
        second, again = on(bench.array, 1, "read", scale="column", siemens=400e-6)
        assert (second.weights.scale["3"] != first.weights.scale["3"]).any()
        load_checkpoint(tmp_path / "kept", again, chip="ideal")
        assert (second.weights.scale["3"] == first.weights.scale["3"]).all()
        kept, now = first.model[3].weight.detach().numpy(), second.model[3].weight.detach().numpy()
        assert now == pytest.approx(kept, abs=0.01)


def test_a_checkpoint_is_written_to_another_chip_when_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with open_bench(write_bench(tmp_path / "one", "gate_voltage_1t1r", size=(64, 40))) as bench:
        reached, weights = trained(bench.array, tmp_path / "kept")
    with open_bench(write_bench(tmp_path / "two", "gate_voltage_1t1r", size=(70, 44), chip_id="other")) as bench:
        converted, optimiser = on(bench.array, 1, "write", layers={"0": {"row": 20}})
        with pytest.raises(RefusedError, match="kept is of another chip: it has 'ideal', this is 'other'"):
            load_checkpoint(tmp_path / "kept", optimiser, chip="other")
        load_checkpoint(tmp_path / "kept", optimiser, chip="other", write=True)
        assert converted.model[3].weight.detach().numpy() == pytest.approx(weights.numpy(), abs=0.03)
        assert accuracy(converted.model, X, Y) == pytest.approx(reached, abs=0.03)
        assert (optimiser.param_groups[0]["lr"], optimiser.steps) == (0.005, 15)
        train(converted, optimiser, 5)
        assert accuracy(converted.model, X, Y) > 0.9
        model = nn.Sequential(nn.Linear(4, 11), nn.LayerNorm(11), nn.Tanh(), nn.Linear(11, 3))
        smaller = convert(model, bench.array)
        small = ArrayOptimizer(torch.optim.Adam(model.parameters(), lr=0.02), smaller, TwoPulse())
        pulses = bench.array.cost.pulses
        with pytest.raises(RefusedError, match=r"kept is of another model on the host|does not fit this model"):
            load_checkpoint(tmp_path / "kept", small, chip="other", write=True)
        assert bench.array.cost.pulses == pulses


def test_half_a_step_is_not_kept(tmp_path: Path) -> None:
    with open_bench(write_bench(tmp_path, "gate_voltage_1t1r", size=(64, 40))) as bench:
        _, optimiser = on(bench.array, 0, None)
        with pytest.raises(RefusedError, match="this training cannot be kept: nothing was read from the array yet"):
            save_checkpoint(tmp_path / "kept", optimiser, chip="ideal")
        alone = ArrayOptimizer(optimiser.inner, optimiser.weights, TwoPulse())
        alone.start()
        with pytest.raises(RefusedError, match="give ArrayOptimizer the model as well"):
            save_checkpoint(tmp_path / "kept", alone, chip="ideal")
