"""In situ training as a whole, on ideal devices: it learns, the array is measured, and it goes on after a kill."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from support.training_bench import write_bench  # noqa: E402
from xbarlab.common.errors import RefusedError  # noqa: E402
from xbarlab.instruments.abilities import Multiplies  # noqa: E402
from xbarlab.instruments.errors import UnsupportedError  # noqa: E402
from xbarlab.mockhw.bench.bench import bench_for  # noqa: E402
from xbarlab.protocols.keeping.run import Run  # noqa: E402
from xbarlab.protocols.training.checkpoints import load_checkpoint, save_checkpoint  # noqa: E402
from xbarlab.protocols.training.layers.array_weights import ArrayWeights  # noqa: E402
from xbarlab.protocols.training.networks.lstm import array_classifier, twin_classifier  # noqa: E402
from xbarlab.protocols.training.rules.update_rules import TwoPulse  # noqa: E402
from xbarlab.protocols.training.steps import training_plan  # noqa: E402
from xbarlab.protocols.training.steps.train_convlstm_sequence import ConvLstmPlan, train_convlstm_sequence  # noqa: E402
from xbarlab.protocols.training.steps.train_lstm_airline import AirlinePlan, train_lstm_airline  # noqa: E402
from xbarlab.protocols.training.steps.train_lstm_sequences import SequencesPlan  # noqa: E402
from xbarlab.protocols.training.tasks import stored  # noqa: E402
from xbarlab.protocols.training.tasks.airline import baselines, differenced_series, passengers, rmse  # noqa: E402
from xbarlab.protocols.training.tasks.sequences import load_sequences  # noqa: E402
from xbarlab.protocols.training.trainer import ArrayTrainer, TrainingError  # noqa: E402
from xbarlab.runbooks.stations import open_bench  # noqa: E402

SIZE = (64, 60)
SMALL = {"hidden": 3, "epochs": 12, "start_spread": 0.1, "checkpoint_every": 5, "evaluations": 1}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Any]:
    with open_bench(write_bench(tmp_path, "gate_voltage_1t1r", size=SIZE)) as opened:
        yield opened


def loss(model: Any, x: Any, y: Any) -> Any:
    return torch.nn.functional.cross_entropy(model(x, torch.full((len(x),), x.shape[1])), y)


def make_trainer(array: Any, data: Any, *, hidden: int = 8) -> ArrayTrainer:
    plan = SequencesPlan(task=data.name, hidden=hidden)
    weights = ArrayWeights(array, plan.floor(array.spec))
    net = array_classifier(weights, data.train.x.shape[2])
    rule = TwoPulse(start_spread=0.1, gate_start=1.15)
    return ArrayTrainer(net, weights, rule, lambda p: torch.optim.RMSprop(p, lr=0.01), loss)


def accuracy(trainer: ArrayTrainer, x: Any, y: Any) -> float:
    with torch.no_grad():
        scores = trainer.model(x, torch.full((len(x),), x.shape[1]))
    return float((scores.argmax(1) == y).float().mean())


def test_accuracy_is_the_arrays_a_cut_line_takes_it_away(bench: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    data = load_sequences("spoken_digits")
    few = np.flatnonzero(data.train.label < 3)[:150]
    x, y = torch.from_numpy(data.train.x[few][:, ::4].copy()), torch.from_numpy(data.train.label[few])
    trainer = make_trainer(bench.array, data)
    trainer.start()
    for epoch in range(6):
        losses = list(trainer.epoch(x, y, 50, epoch))
    before = accuracy(trainer, x, y)
    assert before > 0.8
    assert losses[-1] < 0.8
    known = [layer.weight.detach().clone() for layer in trainer.layers]
    chip = bench_for(tmp_path / "ideal.bench.yaml").chip
    dense = trainer.weights.plan.of("dense")[0]
    cells = chip.model._g.reshape(SIZE)
    cells[dense.rows, :] = 0.0  # the lines of the dense layer no longer reach their cells
    chip._moved()
    after = accuracy(trainer, x, y)
    assert after < 0.5
    assert all(torch.equal(layer.weight, old) for layer, old in zip(trainer.layers, known, strict=True))


def test_the_airline_step_learns_and_reports(bench: Any, tmp_path: Path) -> None:
    run = Run(tmp_path / "run", quiet=True)
    result = train_lstm_airline(bench.array, AirlinePlan(**SMALL), run)
    metrics = result.metrics()
    assert result.record.losses[-1] < 0.5 * result.record.losses[0]
    assert metrics["weights"] == 5 * 12 + 4
    assert metrics["steps"] == 12
    # 143 products, one for all outputs, at most two maps, one read
    assert 145 <= metrics["transactions_per_step"] <= 147
    wanted = {
        "persistence_rmse": 48.0,
        "seasonal_naive_rmse": 41.9,
        "seasonal_ratio_rmse": 15.6,
        "linear_ar13_rmse": 14.0,
    }
    assert {key: round(metrics[key], 1) for key in wanted} == wanted
    assert len(result.frame) == 143
    section = result.section()
    assert len(section.figures) == 5
    assert "12" in repr(result)


def test_training_ends_early_when_the_loss_has_stopped_falling(bench: Any) -> None:
    plan = AirlinePlan(**{**SMALL, "epochs": 200, "rate": 1e-9, "patience": 2}, twin=False)
    result = train_lstm_airline(bench.array, plan, None)
    assert 15 <= len(result.record.losses) < 200
    assert result.record.metrics()["steps"] == len(result.record.losses)


def test_a_killed_run_goes_on_from_its_last_checkpoint(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, calls, products = AirlinePlan(**SMALL, twin=False), [0], bench.array.ability(Multiplies)
    vmm = products.vmm

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        if calls[0] == 144 * 8:
            raise KeyboardInterrupt
        return vmm(*args, **kwargs)

    monkeypatch.setattr(products, "vmm", interrupted)
    with pytest.raises(KeyboardInterrupt), Run(tmp_path / "run", quiet=True).step("train", bench.array) as run:
        train_lstm_airline(bench.array, plan, run)
    with Run(tmp_path / "run", quiet=True, resumed=True).step("train", bench.array) as run:
        result = train_lstm_airline(bench.array, plan, run)
    assert result.record.steps == 12
    assert len(result.record.losses) == 12
    assert result.record.measured_steps == 12  # what the five that were kept had cost is kept, too
    assert result.record.losses[5] < 0.8 * result.record.losses[0]
    entries = [json.loads(line) for line in (tmp_path / "run" / "journal.jsonl").read_text().splitlines()]
    assert [entry["unit"] for entry in entries if entry["event"] == "unit_done"] == [
        "start",
        "step 0",
        "step 5",
        "step 10",
        "finish",
        *(f"pass {number}" for number in range(plan.evaluations)),
    ]


def test_a_loss_that_is_not_finite_stops_with_the_array_idle(bench: Any) -> None:
    data = load_sequences("spoken_digits")
    trainer = make_trainer(bench.array, data)
    trainer.start()
    x, y = torch.from_numpy(data.train.x[:4, :3].copy()), torch.from_numpy(data.train.label[:4])
    pulses = bench.array.cost.pulses
    trainer.loss = lambda model, a, b: loss(model, a, b) * float("nan")
    with pytest.raises(TrainingError, match=r"loss is nan at step 0: .*layer is 'dense'"):
        trainer.step(x, y)
    trainer.loss = loss
    trainer.optimiser.param_groups[0]["lr"] = float("inf")
    with pytest.raises(TrainingError, match=r"change of layer 'lstm' is not finite at step 0"):
        trainer.step(x, y)
    with torch.no_grad():
        trainer.layers[0].weight[0, 0] = float("nan")
    with pytest.raises(TrainingError, match=r"step 0: layer 'lstm' has weights that are not on the array"):
        trainer.step(x, y)
    trainer.layers[0].refresh()
    with pytest.raises(TrainingError, match=r"step 0: layer 'lstm' was given inputs that are not finite"):
        trainer.step(x * float("nan"), y)
    assert bench.array.cost.pulses == pulses
    assert not bench.array.output()


def test_a_checkpoint_belongs_to_its_chip_and_model(bench: Any, tmp_path: Path) -> None:
    data = load_sequences("spoken_digits")
    x, y = torch.from_numpy(data.train.x[:8, :3].copy()), torch.from_numpy(data.train.label[:8])
    trainer = make_trainer(bench.array, data)
    trainer.start()
    trainer.step(x, y)
    save_checkpoint(tmp_path / "kept", trainer, chip="ideal")
    other = make_trainer(bench.array, data)
    load_checkpoint(tmp_path / "kept", other, chip="ideal")
    assert other.steps == 1
    assert np.array_equal(other.rule.arrays()["gate"], trainer.rule.arrays()["gate"])
    kept, same = trainer.arrays(), other.arrays()
    assert set(kept) == set(same)
    assert all(np.array_equal(kept[name], same[name]) for name in kept)
    with pytest.raises(RefusedError, match="kept is of another chip: it has 'ideal', this is 'mine'"):
        load_checkpoint(tmp_path / "kept", other, chip="mine")
    with pytest.raises(RefusedError, match="kept is of another model"):
        load_checkpoint(tmp_path / "kept", make_trainer(bench.array, data, hidden=7), chip="ideal")
    with pytest.raises(RefusedError, match="does not exist"):
        load_checkpoint(tmp_path / "missing", other, chip="ideal")


def test_plans_refuse_in_a_sentence(bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = bench.array.spec
    with pytest.raises(RefusedError, match=r"layer 'lstm' needs .*the plan"):
        AirlinePlan(hidden=15, copies=3).check(spec)
    with pytest.raises(RefusedError, match=r"gate_start 1 V is outside gate_low 1.6 V"):
        AirlinePlan(hidden=2, gate_low=1.6, gate_high=3.0).check(spec)
    with pytest.raises(RefusedError, match=r"unknown value of 'task' 'gait'.*japanese_vowels"):
        SequencesPlan(task="gait")  # pyright: ignore[reportArgumentType]
    with pytest.raises(RefusedError, match=r"unknown task 'gait'.*spoken_digits"):
        load_sequences("gait")
    monkeypatch.setattr(stored, "data_folder", lambda: tmp_path)
    with pytest.raises(RefusedError, match=r"japanese_vowels.npz is missing .*make_data FOLDER"):
        SequencesPlan().check(spec)
    monkeypatch.undo()
    monkeypatch.setattr(training_plan, "find_spec", lambda name: None)
    with pytest.raises(RefusedError, match=r"training needs torch and safetensors: pip install 'xbarlab\[train\]'"):
        AirlinePlan(hidden=2).check(spec)


@pytest.mark.parametrize(
    ("wanted", "lacks", "words"),
    [
        ({"rule": "outer_product"}, "outer_update", r"does not support outer_update: it would need .*manhattan and"),
        ({"backward": "array"}, "reverse", r"does not support reverse: .*backward by the host does without"),
    ],
)
def test_what_the_array_cannot_do_is_said(tmp_path: Path, wanted: dict[str, str], lacks: str, words: str) -> None:
    station = write_bench(tmp_path, "gate_voltage_1t1r", size=SIZE)
    file = tmp_path / "ideal.bench.yaml"
    file.write_text(file.read_text().replace("kind: array_board", f"kind: array_board\n  lacks: [{lacks}]"))
    with open_bench(station) as bench, pytest.raises(UnsupportedError, match=words):
        SequencesPlan(hidden=2, **wanted).check(bench.array.spec)  # pyright: ignore[reportArgumentType]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("profile", "wanted"),
    [
        ("soft_bounds_1t1r", {"rule": "manhattan", "pulse_step": 0.18e-6}),
        ("soft_bounds_1t1r", {"rule": "mixed_precision", "pulse_step": 0.18e-6}),
        ("soft_bounds_1t1r", {"rule": "row_parallel", "pulse_step": 0.18e-6}),
        pytest.param(
            "soft_bounds_1t1r",
            {"rule": "streaming_eigenupdate", "pulse_step": 0.18e-6},
            marks=pytest.mark.slow,  # takes a sample at a time through a decomposition
        ),
        pytest.param("soft_bounds_1t1r", {"rule": "outer_product", "pulse_step": 0.18e-6}, marks=pytest.mark.slow),
        pytest.param("soft_bounds_1t1r", {"rule": "tiki_taka", "pulse_step": 0.18e-6}, marks=pytest.mark.slow),
        ("gate_voltage_1t1r", {"rule": "two_pulse", "feedback": True, "start_spread": 0.1, "gate_start": 1.15}),
        ("gate_voltage_1t1r", {"rule": "two_pulse", "backward": "array", "start_spread": 0.1, "gate_start": 1.15}),
    ],
    ids=lambda value: "-".join(map(str, value.values()))[:30] if isinstance(value, dict) else value,
)
def test_every_rule_trains_by_its_name_in_the_step(tmp_path: Path, profile: str, wanted: dict[str, Any]) -> None:
    """Two epochs, then the loss of the first batches is compared with that of the last."""
    plan = ConvLstmPlan(
        epochs=1, train_examples=1000, test_examples=50, evaluations=1, twin=False, checkpoint_every=10, refresh=False,
        gate_low=0.7, gate_high=1.6, slope=98e-6, outer_rate=0.5, start_pulses=50, rate=0.02,
        **{"gate_start": 1.0, **wanted},
    )  # fmt: skip
    with open_bench(write_bench(tmp_path, profile, size=(128, 64))) as bench:
        result = train_convlstm_sequence(bench.array, plan, None)
    assert len(result.record.losses) == 20
    assert np.median(result.record.losses[-5:]) < np.median(result.record.losses[:5])
    assert result.record.metrics()["pulses_per_step"] > 0


def test_a_forecast_is_at_least_what_feedback_gives(bench: Any) -> None:
    """A dry run promises "at most": rounds and the last approach are in it."""
    feedback = {"feedback": True, "rounds": 3, "final_rounds": 20, "least": 0.0}
    plan = AirlinePlan(**{**SMALL, **feedback}, refresh=False, twin=False)
    forecast = plan.forecast(bench.array.spec)
    before = bench.array.cost.pulses
    train_lstm_airline(bench.array, plan, None)
    given = bench.array.cost.pulses - before
    assert forecast.pulses >= given
    blind = AirlinePlan(**SMALL, twin=False).forecast(bench.array.spec)
    assert forecast.pulses == 3 * blind.pulses + 40 * forecast.cells


def test_the_differenced_months_come_back() -> None:
    months = passengers()
    series = differenced_series(months, 3)
    assert rmse(series.passengers(series.y), months, series.month, ~series.train) == pytest.approx(0.0, abs=1e-9)
    nothing = rmse(series.passengers(0 * series.y), months, series.month, ~series.train)
    assert nothing == pytest.approx(baselines(months)["seasonal_ratio_rmse"])
    assert (~series.train).sum() == 48
    assert np.array_equal(series.x[1:, -1], series.y[:-1].clip(-1.5, 1.5))


@pytest.mark.parametrize(
    ("name", "train", "test", "features", "classes"),
    [
        ("japanese_vowels", 270, 370, 12, 9),
        ("spoken_digits", 2250, 750, 13, 10),
        ("person_identification", 781, 298, 12, 10),
    ],
)
def test_the_sequences_are_complete_and_within_bounds(
    name: str, train: int, test: int, features: int, classes: int
) -> None:
    data = load_sequences(name)
    assert (len(data.train.x), len(data.test.x), data.train.x.shape[2], data.classes) == (
        train,
        test,
        features,
        classes,
    )
    assert np.abs(data.train.x).max() <= 1.0
    assert data.train.inputs[1].min() >= 1
    assert data.source
    assert data.licence
    assert 1 / classes * 0.5 < data.majority_accuracy() < 0.3


def test_characters_are_told_after_each_one_of_a_window() -> None:
    data = load_sequences("characters")
    seen, following = data.train.x.argmax(2), data.train.label
    assert data.train.x.shape[1:] == (16, data.classes) == (16, 30)
    assert len(data.train) > 8 * len(data.test) * 0.9
    np.testing.assert_array_equal(seen[:, 1:], following[:, :-1])
    np.testing.assert_array_equal(seen[1:, 0], following[:-1, -1])
    assert data.names[seen[0, 0]] != " "
    table = np.zeros((30, 30))
    np.add.at(table, (seen, following), 1)
    right = (table.argmax(1)[data.test.x.argmax(2)] == data.test.label).mean()
    assert data.rivals["bigram_accuracy"](data.test) == pytest.approx(right, abs=2e-3)
    assert data.majority_accuracy() < 0.2 < right
    first = data.test.first(50)
    right = (table.argmax(1)[first.x.argmax(2)] == first.label).mean()
    assert data.rivals["bigram_accuracy"](first) == pytest.approx(right, abs=0.01)


def test_a_classifier_tells_after_several_steps_what_it_would_after_each_alone() -> None:
    net = twin_classifier(5, 4, 3, seed=0)
    x, each = torch.randn(6, 7, 5), torch.tensor([[2, 7, 4]]).repeat(6, 1)
    together = net(x, each)
    assert together.shape == (6, 3, 3)
    for at, length in enumerate((2, 7, 4)):
        torch.testing.assert_close(together[:, :, at], net(x, torch.full((6,), length)))


def test_mnist_is_all_there() -> None:
    mnist = stored.load_stored("mnist_8x8")
    assert mnist["train_x"].shape == (60000, 8, 8)
    assert mnist["test_x"].shape == (10000, 8, 8)
    assert np.bincount(mnist["test_y"]).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert str(mnist["licence"])
