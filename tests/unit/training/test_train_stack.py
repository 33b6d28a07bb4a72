"""Steps of the StackLSTM: cut in the middle and resumed, rebuilt without the array, their results and reports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from support.training_bench import write_bench
from xbarlab.protocols.keeping.journal import read_journal
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.keeping.untouched import UntouchedArray
from xbarlab.runbooks.stations import open_bench

pytest.importorskip("torch")

from xbarlab.protocols.training.steps.stack_parser_plan import StackParserPlan
from xbarlab.protocols.training.steps.train_stack_lstm import StackLstmPlan, train_stack_lstm
from xbarlab.protocols.training.steps.train_stack_parser import StackParserResult, train_stack_parser

SMALL: dict[str, Any] = {
    "hidden": 3, "batch": 10, "epochs": 1, "checkpoint_every": 2, "evaluations": 1, "siemens": 60e-6,
}  # fmt: skip
TOPS = StackLstmPlan(symbols=2, depth=3, length=6, sequences=60, tested=30, **SMALL)
PARSER = StackParserPlan(words=6, sentences=60, tested=20, **SMALL)


@pytest.fixture
def array(tmp_path: Path) -> Iterator[Any]:
    with open_bench(write_bench(tmp_path, "gate_voltage_1t1r", size=(48, 24))) as bench:
        yield bench.array


@pytest.mark.parametrize(("train", "plan"), [(train_stack_lstm, TOPS), (train_stack_parser, PARSER)])
def test_a_cut_training_goes_on_where_it_was_and_is_then_rebuilt_without_the_array(
    array: Any, tmp_path: Path, train: Any, plan: Any
) -> None:
    folder, note = tmp_path / "run", Run.note

    def cut(self: Run, event: str, **fields: Any) -> None:
        note(self, event, **fields)
        if fields.get("unit") == "step 2" and event == "unit_done":
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "note", cut)
        with pytest.raises(KeyboardInterrupt), Run(folder, quiet=True).step("train", array) as run:
            train(array, plan, run)
    with Run(folder, quiet=True, resumed=True).step("train", array) as run:
        whole = train(array, plan, run)
    units = [e["unit"] for e in read_journal(folder / "journal.jsonl") if e["event"] == "unit_done"]
    more = ["training set", "pushes"] if train is train_stack_lstm else ["transitions"]
    assert units == ["start", "step 0", "step 2", "step 4", "finish", "pass 0", *more, "twin"]
    assert len(whole.record.losses) == whole.record.steps == 6
    with Run(folder, quiet=True, resumed=True).step("train", array) as run:
        again = train(cast("Any", UntouchedArray(array)), plan, run)
    assert again.metrics() == pytest.approx(whole.metrics(), nan_ok=True)
    assert set(plan.measures()) <= set(whole.metrics())
    np.testing.assert_array_equal(again.record.conductance, whole.record.conductance)


def test_a_parsers_result_counts_what_it_says(array: Any) -> None:
    result = train_stack_parser(array, PARSER)
    assert isinstance(result, StackParserResult)
    frame, figures, test = result.frame, result.metrics(), result.test
    assert len(frame) == figures["test_words"] == test.words.sum()
    assert figures["test_examples"] == len(test) == 20
    for who, key in (("on the array", "attachment_score"), ("float twin", "float_twin_attachment_score")):
        right = frame[who].to_numpy() == frame["head"].to_numpy()
        assert right.mean() == pytest.approx(figures[key])
    # 12 steps of the stack and 7 of the buffer for every sentence, whatever its length
    assert figures["reads_per_useful_push"] == pytest.approx(19 * 20 / (2 * test.words + 1).sum())
    section = result.section()
    assert "every product on the array" in section.text
    assert len(section.figures) == 5


def test_the_tops_say_what_always_computing_costs(array: Any) -> None:
    result = train_stack_lstm(array, TOPS)
    pushes = (TOPS.data().test.inputs[1] > 0).sum()
    assert result.metrics()["reads_per_useful_push"] == pytest.approx(30 * 6 / pushes)
    assert "vectors for each that is pushed" in result.section().text
    plain = train_stack_lstm(array, TOPS.model_copy(update={"arm": "lstm"}))
    assert "reads_per_useful_push" not in plain.metrics()
    assert "pushed" not in plain.section().text
