"""The runner on an array without physics: what is kept, in which order, and what happens when a step fails."""

from __future__ import annotations

import json
import math
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from support.fake_array import FakeArray, FakeBench
from xbarlab.analysis.report.report import Check
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.errors import InstrumentError
from xbarlab.runbooks.runner import runner
from xbarlab.runbooks.runner.record import RunRecord, dataset_ids, merge_metrics, missing_metrics
from xbarlab.runbooks.runner.runner import run_runbook

RUNBOOK = """---
title: A small first light
station: bench.station.yaml
steps:
  - {id: virgin, read_array: {cells: all}}
  - {id: yield, yield_map: {set_volts: 2.5}}
  - {id: after, read_array: {cells: "0:2,0:2"}}
expect:
  yield_fraction: {min: 0.5}
  after.g_read_median: {min: 50e-6}
---
Text for a person.
"""


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> FakeBench:
    fake = FakeBench()
    monkeypatch.setattr(runner, "open_bench", fake.opener())
    return fake


@pytest.fixture
def book(tmp_path: Path) -> Path:
    (tmp_path / "bench.station.yaml").write_text("# a fake\n", encoding="utf-8")
    path = tmp_path / "small.md"
    path.write_text(RUNBOOK, encoding="utf-8")
    return path


def journal(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_run_leaves_summary_report_figures_journal_and_data(bench: FakeBench, book: Path, tmp_path: Path) -> None:
    outcome = run_runbook(book, out=tmp_path / "out", seed=3, quiet=True)
    folder = tmp_path / "out"
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert "NaN" not in (folder / "summary.json").read_text(encoding="utf-8"), "strict JSON"
    told = {name: float("nan") if value is None else value for name, value in summary.items()}
    assert told == pytest.approx(outcome.summary, nan_ok=True, rel=0, abs=0)
    assert all(value is None or isinstance(value, int | float) for value in summary.values())
    assert summary["yield_fraction"] == 1.0
    assert summary["seed"] == 3
    assert summary["steps_done"] == summary["steps_planned"] == 3
    cost = bench.array.cost
    assert (summary["transactions"], summary["slots"], summary["pulses"]) == (
        cost.transactions,
        cost.slots,
        cost.pulses,
    )
    assert summary["chip_seconds"] == pytest.approx(cost.chip_seconds)
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert "FAKE, ARRAY, 0001, 1.0" in html
    assert "fake-chip" in html
    assert dataset_ids(folder / "data.db")[0][2] in html
    assert {path.name for path in (folder / "figures").glob("*.png")} >= {
        "virgin.png",
        "yield.png",
        "after.png",
        "cost.png",
    }
    assert [entry["event"] for entry in journal(folder)][-2:] == ["bench_left", "run_done"]
    assert not list(folder.glob("*.part"))
    assert bench.seeds == [3]
    assert (bench.opened, bench.closed) == (1, 1)


def test_the_same_name_from_two_steps_is_prefixed_on_both_and_absent_bare(
    bench: FakeBench, book: Path, tmp_path: Path
) -> None:
    summary = run_runbook(book, out=tmp_path / "out", quiet=True).summary
    assert {"virgin.g_read_median", "after.g_read_median"} <= summary.keys()
    assert "g_read_median" not in summary
    assert "virgin.yield_fraction" not in summary


def test_a_step_cannot_take_the_name_of_a_number_of_the_run() -> None:
    merged = merge_metrics([("a", {"slots": 1.0, "x": 2.0}), ("b", {"y": 3.0})])
    assert merged == {"a.slots": 1.0, "x": 2.0, "y": 3.0}


def test_expectations_are_judged_and_only_check_makes_them_the_exit_code(
    bench: FakeBench, book: Path, tmp_path: Path
) -> None:
    book.write_text(RUNBOOK.replace("{min: 0.5}", "{max: 0.5}"), encoding="utf-8")
    plain = run_runbook(book, out=tmp_path / "a", quiet=True)
    checked = run_runbook(book, out=tmp_path / "b", check=True, quiet=True)
    assert [check.passed for check in plain.checks] == [False, True]
    assert (plain.exit_code, checked.exit_code) == (0, 1)
    assert journal(tmp_path / "b")[-1]["missed"] == ["yield_fraction"]


def test_an_expectation_no_step_measures_is_refused_before_the_bench_is_opened(
    bench: FakeBench, book: Path, tmp_path: Path
) -> None:
    """D4: on a bench it would be found after hours; by the CLI it is exit code 2."""
    for wrong, said in (
        ("yeild_fraction", "did you mean 'yield_fraction'"),
        ("g_read_median", "virgin.g_read_median or"),
    ):
        book.write_text(RUNBOOK.replace("  yield_fraction:", f"  {wrong}:"), encoding="utf-8")
        with pytest.raises(RefusedError, match=said) as refused:
            run_runbook(book, out=tmp_path / "out", check=True, quiet=True)
        assert refused.value.exit_code == 2
    assert bench.opened == 0
    assert not (tmp_path / "out").exists()


def test_a_step_that_does_not_say_what_it_measures_is_judged_afterwards() -> None:
    summary = {"yield_fraction": 0.5, "virgin.g_read_median": 1e-6, "after.g_read_median": 1e-6}
    checks = [Check("yeild_fraction", float("nan"), 0.5), Check("g_read_median", float("nan"), 0.5)]
    notes = missing_metrics(checks, summary, ["virgin", "yield", "after"])
    assert "did you mean 'yield_fraction'" in notes[0]
    assert "virgin.g_read_median or after.g_read_median" in notes[1]


def test_a_failing_step_keeps_what_was_measured_before(
    monkeypatch: pytest.MonkeyPatch, book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = FakeBench(FakeArray(fail_at=4))
    monkeypatch.setattr(runner, "open_bench", fake.opener())
    with pytest.raises(InstrumentError, match="watchdog"):
        run_runbook(book, out=tmp_path / "out")
    folder = tmp_path / "out"
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert summary["steps_done"] == 1
    assert summary["steps_planned"] == 3
    assert summary["g_read_median"] == pytest.approx(1e-6)
    assert summary["transactions"] == fake.array.cost.transactions == 3
    events = [(entry["event"], entry.get("step")) for entry in journal(folder)]
    assert ("step_done", "virgin") in events
    assert ("step_failed", "yield") in events
    assert events[-1] == ("run_failed", None)
    assert "watchdog expired" in str(journal(folder)[-1]["error"])
    assert "ended early" in (folder / "report.html").read_text(encoding="utf-8")
    assert "1 of 3 steps" in capsys.readouterr().out
    assert fake.closed == 1


def test_what_a_run_did_not_reach_is_not_missed(
    monkeypatch: pytest.MonkeyPatch, book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expect = (
        "virgin.g_read_median: {max: 1.0e-9}\n  yield_fraction: {min: 0.9}\n  steps_done: {min: 3}\n"
        "  transactions: {min: 1000}\n  pulses: {max: 0.5}\n  seed: {max: 0}"
    )
    book.write_text(RUNBOOK.partition("expect:")[0] + f"expect:\n  {expect}\n---\n", encoding="utf-8")
    monkeypatch.setattr(runner, "open_bench", FakeBench(FakeArray(fail_at=4)).opener())
    with pytest.raises(InstrumentError):
        run_runbook(book, out=tmp_path / "out", quiet=True)
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    found = re.findall(r'<td class="key">([\w.]+)</td>.*?pill [a-z]+">. ([a-z ]+)<', html)
    assert dict(found) == {
        "virgin.g_read_median": "missed",
        "yield_fraction": "not reached",
        "steps_done": "not reached",
        "transactions": "not reached",
        "pulses": "missed",
        "seed": "met",
    }
    assert "The run ended early. Expectations: 1 met, 2 missed (virgin.g_read_median, pulses), 3 not reached." in html


def test_who_interrupts_again_while_a_run_is_ending_is_told_and_waited_for(
    monkeypatch: pytest.MonkeyPatch, book: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        fake = FakeBench(FakeArray(fail_at=4, error=KeyboardInterrupt()))
        monkeypatch.setattr(runner, "open_bench", fake.opener())
        write = RunRecord.write_report

        def impatient(self: RunRecord, *arguments: Any) -> Path:
            for _ in range(5):
                signal.raise_signal(signal.SIGINT)
            return write(self, *arguments)

        monkeypatch.setattr(RunRecord, "write_report", impatient)
        with pytest.raises(KeyboardInterrupt):
            run_runbook(book, out=tmp_path / "out")
        told = capfd.readouterr()
        assert (tmp_path / "out" / "report.html").is_file()
        assert f"To go on from there: xbarlab resume {tmp_path / 'out'}" in told.out
        assert told.err.count("already ending") == 1
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_keeps_the_same_and_is_called_an_interruption(
    monkeypatch: pytest.MonkeyPatch, book: Path, tmp_path: Path
) -> None:
    fake = FakeBench(FakeArray(fail_at=4, error=KeyboardInterrupt()))
    monkeypatch.setattr(runner, "open_bench", fake.opener())
    with pytest.raises(KeyboardInterrupt):
        run_runbook(book, out=tmp_path / "out", quiet=True)
    assert journal(tmp_path / "out")[-1]["event"] == "run_interrupted"
    assert json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))["steps_done"] == 1
    assert fake.array.idled == 1


def test_one_bad_plan_stops_everything_before_the_first_action(bench: FakeBench, book: Path, tmp_path: Path) -> None:
    text = RUNBOOK.replace('{cells: "0:2,0:2"}', '{cells: "0:9,0:2"}')
    book.write_text(text, encoding="utf-8")
    with pytest.raises(RefusedError, match=r"step 'after' \(read_array\).*rows 0:9 are outside.*0:8"):
        run_runbook(book, out=tmp_path / "out", quiet=True)
    assert bench.array.actions == []
    assert not (tmp_path / "out").exists()


def test_a_folder_with_data_is_refused_before_the_bench_is_opened(bench: FakeBench, book: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("x", encoding="utf-8")
    with pytest.raises(RefusedError, match=r"already holds data.*--out"):
        run_runbook(book, out=tmp_path / "out", quiet=True)
    assert bench.opened == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["precious.txt"]


def test_a_dry_run_forecasts_every_step_and_sends_no_action(
    bench: FakeBench, book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run_runbook(book, dry_run=True)
    assert bench.array.actions == []
    assert [(step, kind, forecast.cells) for step, kind, forecast in outcome.forecasts] == [
        ("virgin", "read_array", 48),
        ("yield", "yield_map", 48),
        ("after", "read_array", 4),
    ]
    assert outcome.directory is None
    assert not (tmp_path / "runs").exists()
    shown = capsys.readouterr().out
    assert "2.5 V" in shown
    assert "no action was sent" in shown


def test_a_dry_run_refuses_what_the_real_one_would(bench: FakeBench, book: Path) -> None:
    with pytest.raises(RefusedError, match="set_volts_max"):
        run_runbook(book, dry_run=True, overrides=["yield.set_volts=9"], quiet=True)


def test_the_default_folder_is_new_every_time(
    bench: FakeBench, book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner.time, "strftime", lambda _format: "20260102-030405")
    first, second = (runner.new_folder("small") for _ in range(2))
    assert first == second == Path("runs/small-20260102-030405")
    first.mkdir(parents=True)
    assert runner.new_folder("small") == Path("runs/small-20260102-030405-2")


def test_no_seed_leaves_the_chip_as_it_is(bench: FakeBench, book: Path, tmp_path: Path) -> None:
    summary = run_runbook(book, out=tmp_path / "out", quiet=True).summary
    assert bench.seeds == [None]
    assert summary["seed"] == 0


def test_the_results_table_shows_units_intervals_and_verdicts(
    bench: FakeBench, book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_runbook(book, out=tmp_path / "out")
    shown = capsys.readouterr().out
    line = next(line for line in shown.splitlines() if line.strip().startswith("yield_fraction"))
    assert "100.00 %" in line
    assert "…" in line
    assert "≥ 50 % ok" in line
    assert "switching cells over all cells" in line
    assert "2 of 2 expectations met" in shown
    assert str(tmp_path / "out" / "report.html") in shown
    assert "_ci95_" not in shown


def test_nan_metrics_stay_numbers_in_the_summary() -> None:
    assert math.isnan(json.loads(json.dumps(merge_metrics([("a", {"x": math.nan})])))["x"])
