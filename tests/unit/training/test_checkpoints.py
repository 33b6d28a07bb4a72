"""Every damage of a checkpoint is one sentence, and nothing of it is taken up."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.training_bench import write_bench

torch = pytest.importorskip("torch")

from xbarlab.common.errors import RefusedError  # noqa: E402
from xbarlab.protocols.keeping.run import Run  # noqa: E402
from xbarlab.protocols.training.checkpoints import load_checkpoint, save_checkpoint  # noqa: E402
from xbarlab.protocols.training.layers.array_weights import ArrayWeights  # noqa: E402
from xbarlab.protocols.training.steps.train_lstm_sequences import SequencesPlan  # noqa: E402
from xbarlab.protocols.training.steps.training_plan import make_optimiser  # noqa: E402
from xbarlab.protocols.training.trainer import ArrayTrainer  # noqa: E402
from xbarlab.runbooks.stations import open_bench  # noqa: E402

PLAN = SequencesPlan(task="japanese_vowels", hidden=2)


@pytest.fixture
def array(tmp_path: Path) -> Iterator[Any]:
    with open_bench(write_bench(tmp_path, "gate_voltage_1t1r", size=(48, 24))) as bench:
        yield bench.array


def trainer_on(array: Any, optimiser: str = "rmsprop") -> ArrayTrainer:
    weights = ArrayWeights(array, PLAN.floor(array.spec), siemens=PLAN.siemens)
    loss = torch.nn.functional.cross_entropy
    made = ArrayTrainer(
        PLAN.network(weights), weights, PLAN.update_rule(), make_optimiser(optimiser, 0.01, 0.5),
        lambda model, x, y: loss(model(x, torch.full((len(x),), x.shape[1])), y), seed=1,
    )  # fmt: skip
    made.start()
    return made


def stepped(trainer: ArrayTrainer) -> None:
    data = PLAN.data().train
    trainer.step(torch.from_numpy(data.x[:8].copy()), torch.from_numpy(data.label[:8]))


def flip(path: Path, at: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(at * (len(content) - 1))] ^= 0x10
    path.write_bytes(bytes(content))


def edit(path: Path, **changes: Any) -> None:
    told = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**told, **changes}), encoding="utf-8")


DAMAGE: dict[str, Callable[[Path], None]] = {
    **{f"tensors, a bit at {at}": lambda p, at=at: flip(p / "kept.safetensors", at) for at in (0.0, 0.001, 0.5, 1.0)},
    **{f"json, a bit at {at}": lambda p, at=at: flip(p / "kept.json", at) for at in (0.0, 0.2, 0.5, 0.8)},
    "tensors of another save": lambda p: shutil.copy(p / "later.safetensors", p / "kept.safetensors") and None,
    "json of another save": lambda p: shutil.copy(p / "later.json", p / "kept.json") and None,
    "steps edited": lambda p: edit(p / "kept.json", steps=7),
    "optimiser edited": lambda p: edit(p / "kept.json", optimiser="SGD"),
    "chip edited": lambda p: edit(p / "kept.json", chip="mine"),
    "format edited": lambda p: edit(p / "kept.json", format=3),
    "no digest": lambda p: edit(p / "kept.json", digest=None),
    "tensors gone": lambda p: (p / "kept.safetensors").unlink(),
    "tensors empty": lambda p: (p / "kept.safetensors").write_bytes(b"") and None,
    "tensors cut": lambda p: (p / "kept.safetensors").write_bytes((p / "kept.safetensors").read_bytes()[:-9]) and None,
    "json a list": lambda p: (p / "kept.json").write_text("[1]") and None,
    "json null": lambda p: (p / "kept.json").write_text("null") and None,
    "json gone": lambda p: (p / "kept.json").unlink(),
}  # fmt: skip


@pytest.fixture
def saved(array: Any, tmp_path: Path) -> ArrayTrainer:
    trainer = trainer_on(array)
    stepped(trainer)
    save_checkpoint(tmp_path / "kept", trainer, chip="ideal")
    stepped(trainer)
    save_checkpoint(tmp_path / "later", trainer, chip="ideal")
    return trainer


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_a_sentence_and_changes_nothing(array: Any, saved: ArrayTrainer, tmp_path: Path, damage: str) -> None:
    before = {name: np.array(value) for name, value in saved.arrays().items()}
    spent = array.cost
    DAMAGE[damage](tmp_path)
    with pytest.raises(RefusedError, match="kept"):
        load_checkpoint(tmp_path / "kept", saved, chip="mine" if damage == "chip edited" else "ideal")
    assert array.cost == spent
    after = saved.arrays()
    assert set(after) == set(before)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_checkpoint_of_another_optimiser_or_run_is_refused(array: Any, saved: ArrayTrainer, tmp_path: Path) -> None:
    other = trainer_on(array, "sgd")
    with pytest.raises(RefusedError, match="kept is of another optimiser: it has 'RMSprop', this is 'SGD'"):
        load_checkpoint(tmp_path / "kept", other, chip="ideal")
    mine, theirs = Run(tmp_path / "a", quiet=True), Run(tmp_path / "b", quiet=True)
    save_checkpoint(tmp_path / "of_run", saved, chip="ideal", run=mine)
    load_checkpoint(tmp_path / "of_run", saved, chip="ideal", run=mine)
    load_checkpoint(tmp_path / "of_run", saved, chip="ideal")
    with pytest.raises(RefusedError, match="of_run is of another run"):
        load_checkpoint(tmp_path / "of_run", saved, chip="ideal", run=theirs)
    mine.step_id = "another_step"
    with pytest.raises(RefusedError, match="of_run is of another step"):
        load_checkpoint(tmp_path / "of_run", saved, chip="ideal", run=mine)


@pytest.mark.parametrize("earlier", [True, False])
@pytest.mark.parametrize("whole", range(4))
def test_a_save_that_ends_anywhere_leaves_a_whole_checkpoint(
    array: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: int, earlier: bool
) -> None:
    """``whole`` of the files a save replaces are replaced, then the supply is lost."""
    trainer, kept, number = trainer_on(array), tmp_path / "kept", 0
    stepped(trainer)
    if earlier:
        save_checkpoint(kept, trainer, chip="ideal")
    before = trainer.steps
    stepped(trainer)
    replace = Path.replace

    def lost(self: Path, target: Path) -> Path:
        nonlocal number
        if number == whole:
            raise KeyboardInterrupt
        number += 1
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lost)
        if whole < 3:
            with pytest.raises(KeyboardInterrupt):
                save_checkpoint(kept, trainer, chip="ideal")
        else:
            save_checkpoint(kept, trainer, chip="ideal")
    assert number == whole, "a save replaces three files"
    other = trainer_on(array)
    if whole < 2 and not earlier:
        with pytest.raises(RefusedError, match="kept"):
            load_checkpoint(kept, other, chip="ideal")
        return
    load_checkpoint(kept, other, chip="ideal")
    assert other.steps == (trainer.steps if whole >= 2 else before)
    save_checkpoint(kept, trainer, chip="ideal")
    load_checkpoint(kept, other, chip="ideal")
    assert other.steps == trainer.steps
    assert sorted(path.name for path in tmp_path.glob("kept*")) == ["kept.json", "kept.safetensors"]


def test_a_first_checkpoint_is_refused_by_name(saved: ArrayTrainer, tmp_path: Path) -> None:
    edit(tmp_path / "kept.json", format=1)
    with pytest.raises(RefusedError, match=r"of format 1, this xbarlab reads format 2: earlier ones had no digest"):
        load_checkpoint(tmp_path / "kept", saved, chip="ideal")
