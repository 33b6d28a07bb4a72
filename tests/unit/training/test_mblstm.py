"""MbLSTM: activations by the array's output circuits, equations, gradients, updates row by row, the step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from support.exact_cells import SIEMENS, ExactChip, exact_chip  # noqa: E402
from support.training_bench import write_bench  # noqa: E402
from xbarlab.analysis.networks.circuits import fit_curves, rapp  # noqa: E402
from xbarlab.common.errors import RefusedError  # noqa: E402
from xbarlab.protocols.keeping.run import Run  # noqa: E402
from xbarlab.protocols.keeping.untouched import UntouchedArray  # noqa: E402
from xbarlab.protocols.training.layers.array_weights import ArrayWeights  # noqa: E402
from xbarlab.protocols.training.layers.held_columns import ArrayHeld  # noqa: E402
from xbarlab.protocols.training.layers.recurrent import ArrayRecurrent  # noqa: E402
from xbarlab.protocols.training.layers.recurrent_cells import GruCell  # noqa: E402
from xbarlab.protocols.training.layers.weight_mapping import LayerRequest, plan_floor  # noqa: E402
from xbarlab.protocols.training.networks.mblstm import (  # noqa: E402
    cell_of,
    clipped_sigmoid,
    clipped_tanh,
    give_weights,
    level_of,
    levels_of,
)
from xbarlab.protocols.training.rules.equal_pulses import RowParallel  # noqa: E402
from xbarlab.protocols.training.steps.train_mblstm import MbLstmPlan, train_mblstm  # noqa: E402
from xbarlab.protocols.training.tasks.sequences import load_sequences  # noqa: E402
from xbarlab.runbooks.stations import open_bench  # noqa: E402

SHARP = {"saturation": {"gain_spread": 0.0, "offset_spread": 0.0, "sharpness": 1000.0}}


@pytest.fixture(scope="module")
def chip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExactChip]:
    """A chip without noise behind circuits that are ideal."""
    with exact_chip(tmp_path_factory.mktemp("bench"), name="exact", board=SHARP) as opened:
        yield opened


def held_layer(chip: ExactChip, **request: Any) -> tuple[ArrayHeld, Any]:
    weights = ArrayWeights(chip.array, plan_floor(128, 64, [LayerRequest("held", 5, 6, **request)]), siemens=SIEMENS)
    level = np.array([0.5, 0.5, 1.0, 1.0, 2.0, 2.0], np.float32)
    layer = ArrayHeld(weights, "held", bias=True, levels=(-level, level))
    torch.manual_seed(2)
    matrix = (1.6 * torch.rand(5, 6) - 0.8).numpy()
    chip.set(weights, {"held": matrix})
    return layer, torch.from_numpy(level)


@pytest.mark.parametrize("copies", [1, 3])
def test_a_held_layer_is_a_clipped_product_forward_and_backward(chip: ExactChip, copies: int) -> None:
    layer, level = held_layer(chip, copies_down=copies)
    weight = layer.weight.detach().clone().requires_grad_()
    x = (2.4 * torch.rand(40, 4) - 1.2).requires_grad_()
    same = x.detach().clone().requires_grad_()
    out = layer(x)
    product = torch.cat([same, torch.ones(40, 1)], 1) @ weight
    wanted = product.clamp(-level, level)
    assert (out - wanted).abs().max() < 0.01
    clear = ((product.abs() - level).abs() > 0.05 * level).float().detach()  # not at the very corner
    at_level = (product.abs() > level).float().mean()
    assert 0.05 < at_level < 0.95
    mask = torch.rand_like(out) * clear
    (out * mask).sum().backward()
    (wanted * mask).sum().backward()
    assert (layer.weight.grad - weight.grad).abs().max() < 0.02 * weight.grad.abs().max()
    assert (x.grad - same.grad).abs().max() < 0.02 * same.grad.abs().max()


def test_outputs_that_are_sums_of_columns_are_refused(chip: ExactChip) -> None:
    for request in ({"pairs": "columns"}, {"copies_across": 2}, {"rows_max": 6}):
        with pytest.raises(RefusedError, match="sum of several columns cannot saturate as one"):
            held_layer(chip, **request)
    weights = ArrayWeights(chip.array, plan_floor(128, 64, [LayerRequest("held", 5, 6)]), siemens=SIEMENS)
    bad = np.zeros(6, np.float32)
    with pytest.raises(RefusedError, match="needs a low and a high level for each of 6 outputs"):
        ArrayHeld(weights, "held", bias=True, levels=(bad, bad))
    both = plan_floor(128, 64, [LayerRequest("g.input", 4, 9), LayerRequest("g.state", 4, 9)])
    with pytest.raises(RefusedError, match="adds two products, which no circuit holds as one"):
        ArrayRecurrent(ArrayWeights(chip.array, both), "g", features=3, bias=True, cell=GruCell(), levels=levels_of(3))


def test_the_activations_are_those_of_the_publication_s_approximation() -> None:
    x = torch.linspace(-5, 5, 1001)
    assert clipped_sigmoid(x).numpy() == pytest.approx(np.clip(x.numpy() / 4 + 0.5, 0, 1))
    assert clipped_tanh(x).numpy() == pytest.approx(np.clip(x.numpy(), -1, 1))
    held = x.clamp(-2, 2)
    assert torch.equal(clipped_sigmoid(held), clipped_sigmoid(x)), "what a circuit holds is clipped without effect"
    assert level_of(2).tolist() == [2, 2, 2, 2, 1, 1, 2, 2]
    assert cell_of(smooth=True).plain
    assert not cell_of(smooth=False).plain


@pytest.mark.parametrize("activation", ["circuit", "clipped", "smooth"])
def test_the_network_on_an_array_is_its_float_twin(chip: ExactChip, activation: Any) -> None:
    plan = MbLstmPlan(task="digits_by_rows", activation=activation)
    weights = ArrayWeights(chip.array, plan.floor(chip.array.spec), siemens=SIEMENS)
    net, twin = plan.network(weights), plan.twin_network(3)
    rng = np.random.default_rng(0)
    matrices = {one.name: rng.uniform(-0.9, 0.9, (one.inputs, one.outputs)) for one in plan.layers()}
    chip.set(weights, matrices)
    give_weights(twin, {name: weights.weights(name).astype(np.float64) for name in matrices})
    examples = plan.data().test.first(20)
    inputs = [torch.from_numpy(one) for one in examples.inputs]
    with torch.no_grad():
        scores, wanted = net(*inputs), twin(*inputs)
    assert 0.0 < (scores - wanted).abs().max() < 0.05
    if activation == "circuit":
        assert weights.ranges()["lstm"].sent_again == 0


def test_curves_are_found_again_and_say_how_far_they_are_from_the_ideal() -> None:
    rng = np.random.default_rng(1)
    level = np.repeat([2.0, 1.0], 8)
    gain, offset = 1.0 + 0.05 * rng.standard_normal(16), 0.05 * rng.standard_normal(16)
    x = np.linspace(-2.0, 2.0, 41)[:, None] * level
    held = level * rapp(x / level * gain + offset, 6.0) + 2e-3 * rng.standard_normal(x.shape)
    found = fit_curves(x, held, level)
    assert found.gain == pytest.approx(gain, abs=0.01)
    assert found.offset == pytest.approx(offset, abs=0.01)
    assert found.sharpness == pytest.approx(np.full(16, 6.0), rel=0.15)
    assert found.held(x) == pytest.approx(held, abs=0.02)
    sharp = fit_curves(x, np.clip(x, -level, level), level)
    assert sharp.error.max() == 0.0
    assert found.error.min() > 0.01
    small = fit_curves(0.05 * x, 0.05 * x, level)
    assert small.gain == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(("axis", "gate", "slots"), [("col", 1.2, 2), ("row", 1.2, 2), ("row", 5.0, 1)])
def test_an_update_costs_one_or_two_slots_per_row_whatever_its_columns(
    tmp_path: Path, axis: str, gate: float, slots: int
) -> None:
    station = write_bench(tmp_path, "soft_bounds_1t1r", size=(32, 24))
    profile = next(tmp_path.glob("*.profile.yaml"))
    text = profile.read_text(encoding="utf-8")
    assert "gate_axis: col" in text
    profile.write_text(text.replace("gate_axis: col", f"gate_axis: {axis}"), encoding="utf-8")
    with open_bench(station) as bench:
        array: Any = bench.array
        assert array.spec.gate_axis == axis
        for outputs in (6, 24):
            plan = plan_floor(32, 24, [LayerRequest("w", 10, outputs)])
            weights, rule = ArrayWeights(array, plan), RowParallel(set_gate=gate)
            before, g = array.cost, array.read(plan.block).conductance
            change = np.where(np.random.default_rng(0).random((10, outputs)) < 0.5, -1.0, 1.0)
            rule.apply(weights, {"w": change}, {})
            spent = array.cost - before
            assert spent.slots - 2 * plan.block.nrows == slots * 20, "the read takes two slots a row"
            moved = array.read(plan.block).conductance - g
            right = (np.sign(moved) == np.sign(weights.spread({"w": change}))).mean()
            assert right > 0.95


SMALL: dict[str, Any] = {
    "task": "iris", "hidden": 3, "train_examples": 40, "epochs": 2, "batch": 10, "checkpoint_every": 4, "draws": 3,
    "variation": [0.0, 0.2], "pulse_step": 0.18e-6, "measure_answer": False,
}  # fmt: skip


@pytest.fixture
def array(tmp_path: Path) -> Iterator[Any]:
    with open_bench(write_bench(tmp_path, "soft_bounds_1t1r", size=(24, 20))) as bench:
        yield bench.array


@pytest.mark.parametrize("activation", ["circuit", "clipped"])
def test_the_step_measures_what_its_plan_says_and_a_finished_one_is_not_measured_again(
    array: Any, tmp_path: Path, activation: Any
) -> None:
    plan = MbLstmPlan(**SMALL, activation=activation)
    folder = tmp_path / "run"
    with Run(folder, quiet=True).step("train", array) as run:
        first = train_mblstm(array, plan, run)
    found = first.metrics()
    assert set(found) == plan.measures()
    assert found["update_rows"] == 2 * (1 + 3 + 1)
    assert found["update_slots_per_row"] == 2.0, "columns carry the gates"
    still = next(iter(first.varied.values()))[0]
    assert np.ptp(still) == 0.0, "cells that are not off say the same in every draw"
    assert len(first.section().figures) == (8 if activation == "circuit" else 7)
    if activation == "circuit":
        assert 0.0 < found["activation_error"] < 0.1
        assert 0.0 < found["activation_gain_spread"] < 0.1
    with Run(folder, quiet=True, resumed=True).step("train", array) as run:
        again = train_mblstm(UntouchedArray(array), plan, run)  # pyright: ignore[reportArgumentType]
    assert again.metrics() == pytest.approx(found, nan_ok=True)


def test_the_computed_network_is_the_one_on_the_array(array: Any) -> None:
    """Conductances last read and circuits as measured say of the test set what the array says, up to a few flowers."""
    plan = MbLstmPlan(**{**SMALL, "epochs": 12, "variation": [0.1]})
    result = train_mblstm(array, plan)
    found = result.metrics()
    assert found["computed_accuracy"] == pytest.approx(found["test_accuracy"], abs=4 / 48)


@pytest.mark.slow
def test_it_learns_by_one_pulse_per_cell_and_step(tmp_path: Path) -> None:
    with open_bench(write_bench(tmp_path, "soft_bounds_1t1r", size=(40, 40))) as bench:
        plan = MbLstmPlan(
            task="iris", hidden=6, epochs=60, batch=17, pulse_step=0.18e-6, measure_answer=False, draws=2,
            variation=[0.1], start_pulses=60,
        )  # fmt: skip
        found = train_mblstm(bench.array, plan).metrics()
    assert found["test_accuracy"] > 0.8 > 2 * found["majority_accuracy"]


@pytest.mark.parametrize(
    ("task", "train", "test", "shape", "classes"),
    [("iris", 102, 48, (4, 1), 3), ("digits_by_rows", 1352, 445, (8, 8), 10)],
)
def test_data(task: str, train: int, test: int, shape: tuple[int, int], classes: int) -> None:
    data = load_sequences(task)
    assert (len(data.train), len(data.test), data.train.x.shape[1:], data.classes) == (train, test, shape, classes)
    assert np.abs(data.train.x).max() <= 1.0
    assert np.isfinite(data.test.x).all()
    assert "scikit-learn" in data.source
    assert "CC BY" in data.licence
    assert set(data.test.label) == set(range(classes))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"activation": "step"}, "unknown value of 'activation' 'step'.*circuit.*clipped.*smooth"),
        ({"task": "flowers"}, "unknown value of 'task' 'flowers'.*iris"),
        ({"variation": []}, "variation"),
        ({"variation": [-0.1]}, "variation.*-0.1 is refused"),
        ({"draws": 1}, "'draws' = 1 is refused"),
        ({"hidden": 0}, "'hidden' = 0 is refused"),
    ],
)
def test_bad_input_is_one_sentence(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(RefusedError, match=says) as caught:
        MbLstmPlan(**wrong)
    assert "\n" not in str(caught.value)


def test_an_older_board_is_refused_in_a_sentence_that_says_what_does_without(tmp_path: Path) -> None:
    station = write_bench(tmp_path, "soft_bounds_1t1r", size=(24, 20), board={"protocol": 1})
    with open_bench(station) as bench:
        array: Any = bench.array
        with pytest.raises(RefusedError, match=r"does not support saturate: .*activation 'clipped' lets the host"):
            train_mblstm(array, MbLstmPlan(**SMALL))
        assert array.cost.transactions == 0
        MbLstmPlan(**SMALL, activation="clipped").check(array.spec)
