"""What was measured is not lost to what is printed or drawn: reports written later, standard output closed or full."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.fake_array import FakeArray, FakeBench
from xbarlab import cli
from xbarlab.protocols.keeping.journal import read_journal
from xbarlab.protocols.keeping.storage import StorageError
from xbarlab.runbooks.runner import record as records
from xbarlab.runbooks.runner import resume as resumes
from xbarlab.runbooks.runner import runner
from xbarlab.runbooks.runner.ending import answer
from xbarlab.runbooks.runner.report_again import report_run
from xbarlab.runbooks.runner.resume import resume_run
from xbarlab.runbooks.runner.runner import run_runbook

RUNBOOK = """---
title: Two reads
station: bench.station.yaml
steps:
  - {id: virgin, read_array: {cells: all}}
  - {id: after, read_array: {cells: "0:2,0:2"}}
expect:
  virgin.overflow_cells: {max: 0}
---
Text.
"""


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> FakeBench:
    fake = FakeBench()
    monkeypatch.setattr(runner, "open_bench", fake.opener())
    monkeypatch.setattr(resumes, "read_station", lambda _: None)
    monkeypatch.setattr(resumes, "take_up_chips", lambda *_: None)
    return fake


@pytest.fixture
def book(tmp_path: Path) -> Path:
    (tmp_path / "bench.station.yaml").write_text("# a fake\n", encoding="utf-8")
    path = tmp_path / "small.md"
    path.write_text(RUNBOOK, encoding="utf-8")
    return path


def test_a_report_can_be_written_anew_without_the_bench(bench: FakeBench, book: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = run_runbook(book, out=out, quiet=True).summary
    before = (out / "report.html").read_text(encoding="utf-8")
    journal = (out / "journal.jsonl").read_bytes()
    kept = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    (out / "report.html").unlink()
    (out / "summary.json").unlink()
    assert cli.main(["report", str(out)]) == 0
    after = (out / "report.html").read_text(encoding="utf-8")
    assert after.count("data:image/png") == before.count("data:image/png") >= 2
    assert "Two reads" in after
    assert "FAKE, ARRAY, 0001" in after
    told = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert {k: v for k, v in told.items() if k != "seconds"} == {k: v for k, v in kept.items() if k != "seconds"}
    assert set(told) == set(summary)
    assert (out / "journal.jsonl").read_bytes() == journal
    assert bench.opened == 1


def test_a_report_of_a_run_that_was_cut_says_so(bench: FakeBench, book: Path, tmp_path: Path) -> None:
    bench.array = FakeArray(fail_at=2)
    with pytest.raises(Exception, match="watchdog"):
        run_runbook(book, out=tmp_path / "out", quiet=True)
    text = report_run(tmp_path / "out").read_text(encoding="utf-8")
    assert "1 of 2 steps" in text
    assert "The run ended early" in text


def test_when_only_the_report_failed_the_chip_is_not_asked_for_again(
    bench: FakeBench, book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", str(out / "report.html"))

    with monkeypatch.context() as patch:
        patch.setattr(records.RunRecord, "provenance", full)
        with pytest.raises(
            StorageError, match=r"report\.html cannot be written.*Everything was measured.*xbarlab report"
        ):
            run_runbook(book, out=out, quiet=True)
    acted = len(bench.array.actions)
    outcome = resume_run(out, quiet=True)
    assert outcome.summary["steps_done"] == 2
    assert bench.opened == 1
    assert len(bench.array.actions) == acted
    assert (out / "report.html").is_file()
    assert read_journal(out / "journal.jsonl")[-1]["event"] == "run_done"


@pytest.mark.skipif(sys.platform == "win32", reason="closes by number")
@pytest.mark.parametrize(
    ("redirect", "code", "said"),
    [
        (">&-", 0, ""),
        (">&- 2>&-", 0, ""),
        ("> /dev/full", 2, "standard output cannot be written (No space left on device)"),
        ("2> /dev/full > /dev/null", 0, ""),
    ],
)
def test_standard_output_that_is_closed_or_full_is_no_defect(redirect: str, code: int, said: str) -> None:
    if "full" in redirect and not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    command = f'"{sys.executable}" -m xbarlab.cli list stations {redirect}'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_measured_run_is_not_spoiled_by_a_full_standard_output(
    bench: FakeBench, book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert cli.main(["run", str(book), "--out", str(tmp_path / "out")]) == 0
    assert read_journal(tmp_path / "out" / "journal.jsonl")[-1]["event"] == "run_done"
    assert "standard output cannot be written" in capfd.readouterr().err


def test_who_stops_reading_gets_no_traceback() -> None:
    command = f'"{sys.executable}" -m xbarlab.cli list steps --verbose | head -1'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1


def test_what_is_no_defect_is_not_called_one(capsys: pytest.CaptureFixture[str]) -> None:
    class LoweringError(Exception):
        __module__ = "numba.core.errors"

    assert answer(MemoryError("Unable to allocate 8 TiB")) == 2
    assert answer(LoweringError("LLVM IR parsing error\n<string>:1:1")) == 2
    assert answer(StorageError("chip \x1b[31mred\x1b[0m")) == 2
    said = capsys.readouterr().err
    assert "defect" not in said
    assert "\x1b" not in said
    assert r"\x1b[31mred" in said


def test_the_exit_codes_are_all_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for said in ("0 done", "1 an expectation", "2 bad input", "3 instrument fault", "130 interrupted", "70 a defect"):
        assert said in shown


def test_a_report_says_on_top_whose_chip_when_and_by_whom(
    bench: FakeBench, book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XBARLAB_OPERATOR", "Ada L.")
    out = tmp_path / "out"
    run_runbook(book, out=out, quiet=True)
    begun = records.readable_time(str(read_journal(out / "journal.jsonl")[0]["time"]))
    monkeypatch.setenv("XBARLAB_OPERATOR", "somebody who writes it again")
    monkeypatch.setattr(records.time, "strftime", lambda *_: "2031-01-01T00:00:00+0000")
    for text in ((out / "report.html").read_text(encoding="utf-8"), report_run(out).read_text(encoding="utf-8")):
        head = text[text.index("<header") : text.index("</header>")]
        for value in (runner.chip_id(bench), "Ada L.", begun):  # type: ignore[arg-type]
            assert f"<dd>{value}</dd>" in head
        assert "2031" not in head


def test_without_a_name_in_the_environment_the_operator_is_the_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XBARLAB_OPERATOR", raising=False)
    monkeypatch.setattr(records.getpass, "getuser", lambda: "ada")
    assert records.operator() == "ada"

    def nobody() -> str:
        raise OSError("no such user")

    monkeypatch.setattr(records.getpass, "getuser", nobody)
    assert records.operator() == "not said"
