"""Steps that a runbook lets a bench leave out: by a sentence, kept by report and resume; limits stay limits."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from support.fake_array import FakeArray, FakeBench
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.errors import InstrumentError
from xbarlab.runbooks.runner import resume as resumes
from xbarlab.runbooks.runner import runner
from xbarlab.runbooks.runner.report_again import report_run
from xbarlab.runbooks.runner.runner import run_runbook
from xbarlab.runbooks.runner.schema import load_runbook

RUNBOOK = """---
title: A small first light
station: bench.station.yaml
steps:
  - {{id: virgin, read_array: {{cells: all}}}}
  - {{id: pulses, {able}pulse_response: {{cells: "0,0", width: 200e-9, pulses: 4, cycles: 1{more}}}}}
  - {{id: after, read_array: {{cells: "0:2,0:2"}}}}
expect:
  potentiation_ratio: {{min: 2}}
  after.g_read_median: {{min: 1e-9}}
---
Text for a person.
"""


def nothing(*_: object) -> None:
    """Take the place of what would look at a mock bench."""


def slow_array() -> FakeArray:
    """Return an array that gives no pulse shorter than a millisecond."""
    array = FakeArray()
    array.spec = replace(array.spec, width_least=1e-3, width_needs="a pulse generator")
    return array


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> FakeBench:
    fake = FakeBench(slow_array())
    monkeypatch.setattr(runner, "open_bench", fake.opener())
    return fake


@pytest.fixture
def book(tmp_path: Path) -> Callable[..., Path]:
    (tmp_path / "bench.station.yaml").write_text("# a fake\n", encoding="utf-8")

    def written(able: str = "if_able: true, ", more: str = "") -> Path:
        path = tmp_path / "small.md"
        path.write_text(RUNBOOK.format(able=able, more=more), encoding="utf-8")
        return path

    return written


def summary(folder: Path) -> dict[str, float]:
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def test_it_is_left_out_by_a_sentence_and_what_it_would_measure_is_not_expected(
    bench: FakeBench, book: Callable[..., Path], tmp_path: Path
) -> None:
    outcome = run_runbook(book(), out=tmp_path / "out", quiet=True, check=True)
    assert outcome.exit_code == 0
    assert [check.metric for check in outcome.checks] == ["after.g_read_median"]
    found = summary(tmp_path / "out")
    assert found["pulses.left_out"] == 1
    assert (found["steps_done"], found["steps_planned"]) == (3, 3)
    assert found["pulses"] == 0, "nothing was given"
    report = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "was left out on this bench" in report
    assert "would need a pulse generator" in report
    again = report_run(tmp_path / "out")
    assert "would need a pulse generator" in again.read_text(encoding="utf-8")


def test_without_the_word_the_runbook_is_refused_before_anything_acts(
    bench: FakeBench, book: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(RefusedError, match=r"step 'pulses' \(pulse_response\): .*would need a pulse generator"):
        run_runbook(book(""), out=tmp_path / "out", quiet=True)
    assert not (tmp_path / "out").exists()


def test_what_is_beyond_a_limit_is_refused_all_the_same(
    bench: FakeBench, book: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(RefusedError, match="is above the limit"):
        run_runbook(book(more=", set_volts: 99").with_suffix(".md"), out=tmp_path / "out", quiet=True)


def test_where_the_bench_can_it_is_done(
    book: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "open_bench", FakeBench().opener())
    run_runbook(book(), out=tmp_path / "out", quiet=True)
    found = summary(tmp_path / "out")
    assert "pulses.left_out" not in found
    assert found["pulses"] > 0


def test_a_dry_run_says_so(bench: FakeBench, book: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run_runbook(book(), dry_run=True)
    assert [forecast.pulses for _, _, forecast in outcome.forecasts] == [0, 0, 0]
    assert "step pulses: is left out: pulse_response.set: " in " ".join(capsys.readouterr().out.split())


def test_a_run_that_was_cut_leaves_it_out_again(
    bench: FakeBench, book: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for reads in ("read_station", "take_up_chips"):
        monkeypatch.setattr(resumes, reads, nothing)
    read, calls = bench.array.read, [0]

    def cut(*arguments: object, **options: object) -> object:
        calls[0] += 1
        if calls[0] == 2:
            raise InstrumentError("cut on purpose")
        return read(*arguments, **options)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(bench.array, "read", cut)
    with pytest.raises(InstrumentError):
        run_runbook(book(), out=tmp_path / "out", quiet=True)
    assert summary(tmp_path / "out")["steps_done"] == 2
    outcome = resumes.resume_run(tmp_path / "out", quiet=True)
    assert outcome.exit_code == 0
    found = summary(tmp_path / "out")
    assert found["pulses.left_out"] == 1
    assert found["steps_done"] == 3


@pytest.mark.parametrize("value", ["1", "'yes'", "null"])
def test_the_word_is_true_or_false(book: Callable[..., Path], value: str) -> None:
    with pytest.raises(RefusedError, match=r"'if_able' = .* must be true or false"):
        load_runbook(book(f"if_able: {value}, "))
