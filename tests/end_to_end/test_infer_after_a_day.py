"""Inference as a chip ages, ended while it is written and between two looks, and resumed: nothing is done twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("torch")

from support.small_runs import SMALL
from xbarlab.protocols.keeping.journal import read_journal
from xbarlab.protocols.keeping.run import Run
from xbarlab.runbooks.runner.resume import resume_run
from xbarlab.runbooks.runner.runner import run_runbook


@pytest.mark.slow
def test_writing_training_and_looks_go_on_where_they_were_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, note, cuts = tmp_path / "out", Run.note, ["training", "round 0", "look 1"]

    def cut(self: Run, event: str, **fields: object) -> None:
        note(self, event, **fields)
        if event == "unit_done" and cuts and str(fields["unit"]).endswith(cuts[0]):
            cuts.pop(0)
            raise KeyboardInterrupt

    monkeypatch.setattr(Run, "note", cut)
    small = SMALL["infer_after_a_day"] | {"cnn.noise": 1.0}
    with pytest.raises(KeyboardInterrupt):
        run_runbook("infer_after_a_day", out=out, seed=4, preset="quick", overrides=small, quiet=True)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            resume_run(out, quiet=True)
    assert cuts == []
    summary = resume_run(out, quiet=True).summary
    units = Counter((e["step"], e["unit"]) for e in read_journal(out / "journal.jsonl") if e["event"] == "unit_done")
    assert set(units.values()) == {1}
    assert {unit for step, unit in units if step.startswith("cnn")} >= {"training", "round 1", "end", "look 3"}
    assert 0.0 < float(summary["cnn.weight_error"]) < 2.0
    assert float(summary["cnn.inference_accuracy_first"]) > 0.1
