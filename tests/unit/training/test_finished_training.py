"""A training step that is done is never measured again: its evaluations are units of work like any other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from support.training_bench import write_bench
from xbarlab.common.errors import RefusedError
from xbarlab.protocols.keeping.journal import read_journal
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.keeping.untouched import TouchedError, UntouchedArray
from xbarlab.runbooks.stations import open_bench

pytest.importorskip("torch")

from xbarlab.protocols.training.steps.train_lstm_airline import AirlinePlan, train_lstm_airline
from xbarlab.protocols.training.steps.train_lstm_sequences import SequencesPlan, train_lstm_sequences

AIRLINE = AirlinePlan(hidden=2, epochs=6, settle=0, checkpoint_every=3, evaluations=2, least=0.0)
VOWELS = SequencesPlan(
    task="japanese_vowels", hidden=2, epochs=1, train_examples=100, test_examples=60, checkpoint_every=2, evaluations=2
)


@pytest.fixture
def array(tmp_path: Path) -> Iterator[Any]:
    with open_bench(write_bench(tmp_path, "gate_voltage_1t1r", size=(48, 24))) as bench:
        yield bench.array


@pytest.mark.parametrize(("train", "plan"), [(train_lstm_airline, AIRLINE), (train_lstm_sequences, VOWELS)])
def test_the_result_of_a_finished_step_is_built_without_touching_the_array(
    array: Any, tmp_path: Path, train: Any, plan: Any
) -> None:
    folder = tmp_path / "run"
    with Run(folder, quiet=True).step("train", array) as run:
        first = train(array, plan, run)
    spent = array.cost
    with Run(folder, quiet=True, resumed=True).step("train", array) as run:
        again = train(cast("Any", UntouchedArray(array)), plan, run)
    assert again.metrics() == first.metrics()
    assert first.metrics()["pulses_per_step"] > 0
    np.testing.assert_array_equal(again.record.conductance, first.record.conductance)
    assert array.cost == spent
    with pytest.raises(TouchedError):
        train(cast("Any", UntouchedArray(array)), plan, None)


def test_evaluations_are_units_and_a_cut_between_them_repeats_none(array: Any, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    note = Run.note

    def cut(self: Run, event: str, **fields: Any) -> None:
        note(self, event, **fields)
        if fields.get("unit") == "pass 0":
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "note", cut)
        with pytest.raises(KeyboardInterrupt), Run(folder, quiet=True).step("train", array) as run:
            train_lstm_airline(array, AIRLINE, run)
    with Run(folder, quiet=True, resumed=True).step("train", array) as run:
        result = train_lstm_airline(array, AIRLINE, run)
    entries = read_journal(folder / "journal.jsonl")
    units = [entry["unit"] for entry in entries if entry["event"] == "unit_done"]
    assert units == ["start", "step 0", "step 3", "finish", "pass 0", "pass 1", "twin"]
    assert result.record.steps == 6


@pytest.mark.parametrize(("train", "plan"), [(train_lstm_airline, AIRLINE), (train_lstm_sequences, VOWELS)])
def test_cells_that_nobody_formed_are_not_trained(train: Any, plan: Any) -> None:
    with open_bench("mock_hfo2", seed=1) as bench:
        before = bench.array.cost
        with pytest.raises(RefusedError, match=r"cells do not conduct.*the chip is not formed there.*step forming"):
            train(bench.array, plan, None)
        assert (bench.array.cost - before).pulses <= 8
