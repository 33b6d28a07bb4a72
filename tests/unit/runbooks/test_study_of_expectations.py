"""The study that counts on how many chips a runbook's expectations hold: it counts, it resumes, it says no."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from xbarlab.common.errors import RefusedError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
RUNBOOK = """---
format: 1
title: a look
station: mock_ta_hfo2
steps:
  - {id: look, read_array: {cells: "0:2,0:2"}}
presets:
  strict:
    expect:
      seed: {max: 2}
expect:
  steps_done: {min: 1}
  look.g_read_median: {min: 0}
---
"""


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setitem(sys.modules, "study_runbook", None)
    monkeypatch.delitem(sys.modules, "study_runbook")
    import study_runbook  # pyright: ignore[reportMissingImports]

    return study_runbook


def test_it_counts_resumes_and_ends_with_1_when_too_many_miss(
    study: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    book, kept = tmp_path / "look.md", tmp_path / "kept.jsonl"
    book.write_text(RUNBOOK, encoding="utf-8")
    asked = [str(book), "--resume", str(kept), "--seeds"]
    assert study.main([*asked, "2"]) == 0
    assert "| steps_done | ≥ 1 | 2 of 2 |" in capsys.readouterr().out
    assert study.main([*asked, "3"]) == 0
    assert "1 of 3 chips ahead" in capsys.readouterr().err
    assert [json.loads(line)["seed"] for line in kept.read_text(encoding="utf-8").splitlines()] == [1, 2, 3]
    # Other limits take the same runs, and other plans do not.
    assert study.main([*asked, "3", "--preset", "strict"]) == 1
    told = capsys.readouterr()
    assert "0 of 3 chips ahead" in told.err
    assert "| seed | ≤ 2 | 2 of 3 |" in told.out
    assert "seed missed by seeds 3" in told.out
    assert study.main([*asked, "1", "--set", "look.average=2", "--minutes", "-1"]) == 1
    assert "1 chips were not begun" in capsys.readouterr().err


def test_a_run_that_ends_in_an_error_misses_everything(
    study: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RefusedError("no such chip")

    book = tmp_path / "look.md"
    book.write_text(RUNBOOK, encoding="utf-8")
    monkeypatch.setattr(study, "run_runbook", refuse)
    assert study.main([str(book), "--seeds", "1"]) == 1
    told = capsys.readouterr().out
    assert "| steps_done | ≥ 1 | 0 of 1 |" in told
    assert "seed 1 ended early: no such chip" in told


def test_only_some_steps_are_run_with_what_they_can_meet(study: ModuleType) -> None:
    from xbarlab.runbooks.runner.schema import load_runbook

    book = study.cut(load_runbook("characterise_tio2"), "", ["form", "levels"])
    assert [step.id for step in book.steps] == ["form", "levels"]
    wanted = {one.key for one in book.expect}
    assert "formed_fraction" in wanted
    assert "yield_fraction" not in wanted
    with pytest.raises(RefusedError, match="unknown step id 'level'"):
        study.cut(load_runbook("characterise_tio2"), "", ["level"])
