"""What happens when the folder of a run cannot be written: one sentence, exit code 2, and nothing lost before it."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.fake_array import FakeArray, FakeBench
from xbarlab import cli
from xbarlab.protocols.keeping import dataset as datasets
from xbarlab.protocols.keeping import storage
from xbarlab.protocols.keeping.joined import joined
from xbarlab.runbooks.runner import runner

RUNBOOK = """---
title: A small first light
station: bench.station.yaml
steps:
  - {id: virgin, read_array: {cells: all}}
  - {id: yield, yield_map: {set_volts: 2.5}}
  - {id: after, read_array: {cells: "0:2,0:2"}}
---
Text for a person.
"""


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> FakeBench:
    fake = FakeBench()
    monkeypatch.setattr(runner, "open_bench", fake.opener())
    # Figures take most of the time of a run this small, and have tests of their own.
    monkeypatch.setattr(runner.RunRecord, "_sections", lambda _: [])
    monkeypatch.setattr(runner.RunRecord, "drawn", lambda *_: None)
    return fake


@pytest.fixture
def book(tmp_path: Path) -> Path:
    (tmp_path / "bench.station.yaml").write_text("# a fake\n", encoding="utf-8")
    path = tmp_path / "small.md"
    path.write_text(RUNBOOK, encoding="utf-8")
    return path


def run(*arguments: str | Path) -> int:
    return cli.main([str(argument) for argument in arguments])


def resume(folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Resume on the fake bench, whose station file no station reader would take."""
    from xbarlab.runbooks.runner import resume as resumes

    monkeypatch.setattr(resumes, "read_station", lambda _: None)
    monkeypatch.setattr(resumes, "take_up_chips", lambda *_: None)
    return run("resume", folder, "--quiet")


def full_after(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, calls: int) -> None:
    """Let a disk be full from the ``calls``-th call on."""
    whole: Callable[..., Any] = getattr(owner, name)
    done = 0

    def full(*arguments: Any, **options: Any) -> Any:
        nonlocal done
        done += 1
        if done >= calls:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole(*arguments, **options)

    monkeypatch.setattr(owner, name, full)


def journal(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()]


def one_sentence(capsys: pytest.CaptureFixture[str]) -> str:
    said = capsys.readouterr().err.strip()
    assert said.startswith("xbarlab: ")
    assert "\n" not in said
    return said


@pytest.mark.parametrize(
    "calls", [1, 9, 20, *(pytest.param(calls, marks=pytest.mark.slow) for calls in (2, 5, 7, 12, 14, 17, 25))]
)
def test_a_full_disk_says_so_and_a_resume_goes_on(
    bench: FakeBench,
    book: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    calls: int,
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        full_after(patch, storage.os, "fsync", calls)
        code = run("run", book, "--out", out, "--quiet")
    said = one_sentence(capsys)
    assert code == 2
    assert "cannot be written: No space left on device" in said
    assert f"xbarlab resume {out}" in said
    assert bench.array.idled == bench.opened == bench.closed == 1
    assert not list(out.rglob("*.part"))
    if not (out / "run.json").is_file():
        return
    before = journal(out)
    assert resume(out, monkeypatch) == 0
    entries = journal(out)
    assert entries[: len(before)] == before
    assert entries[-1]["event"] == "run_done"
    units = [(entry["step"], entry["unit"]) for entry in entries if entry["event"] == "unit_done"]
    assert len(units) == len(set(units)) == 4
    assert len(joined(out, "virgin")) == 48


def test_a_full_database_says_so(
    bench: FakeBench, book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    whole = datasets.DatasetWriter.flush

    def full(self: Any) -> None:
        if any(variable.name == "before" for variable in self._variables):
            # As SQLite says it: a page count that is used up is its own full disk.
            pages = self._conn.execute("PRAGMA page_count").fetchone()[0]
            self._conn.execute(f"PRAGMA max_page_count = {pages}")
            for number in range(200):
                self.add({"cycle": 100 + number}, before=0.0, after_reset=0.0, after_set=0.0)
        whole(self)

    monkeypatch.setattr(datasets.DatasetWriter, "flush", full)
    code = run("run", book, "--out", out, "--quiet")
    said = one_sentence(capsys)
    assert code == 2
    assert "data.db cannot be written: database or disk is full" in said
    monkeypatch.undo()
    assert len(joined(out, "virgin")) == 48


@pytest.mark.slow
def test_a_database_that_another_program_holds_says_so(
    bench: FakeBench, book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    monkeypatch.setattr(datasets, "BUSY_SECONDS", 0.1)
    held: list[sqlite3.Connection] = []

    class Holding(FakeArray):
        def pulse(self, pulses: Any) -> Any:
            if not held:
                held.append(sqlite3.connect(out / "data.db", isolation_level=None))
                held[0].execute("BEGIN EXCLUSIVE")
            return super().pulse(pulses)

    bench.array = Holding()
    code = run("run", book, "--out", out, "--quiet")
    said = one_sentence(capsys)
    held[0].rollback()
    held[0].close()
    assert code == 2
    assert "data.db cannot be written: database is locked: another program holds it open for writing" in said
    assert len(joined(out, "virgin")) == 48
    bench.array.__class__ = FakeArray
    assert resume(out, monkeypatch) == 0
    assert journal(out)[-1]["event"] == "run_done"
    assert len(joined(out, "yield")) == 48


def test_an_output_folder_that_cannot_be_made_is_refused_before_the_bench_is_opened(
    bench: FakeBench, book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(self: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert run("run", book, "--out", tmp_path / "out", "--quiet") == 2
    assert f"Permission denied: {tmp_path / 'out'}" in one_sentence(capsys)
    assert bench.opened == 0


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused(
    bench: FakeBench, book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parent = tmp_path / "locked"
    parent.mkdir()
    parent.chmod(0o500)
    assert run("run", book, "--out", parent / "out", "--quiet") == 2
    assert "Permission denied" in one_sentence(capsys)
    assert bench.opened == 0


@pytest.mark.parametrize("victim", ["journal.jsonl", "data.db"])
def test_a_folder_that_became_read_only_says_so_on_resume(
    bench: FakeBench,
    book: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    victim: str,
) -> None:
    out = tmp_path / "out"
    bench.array = FakeArray(fail_at=4, error=KeyboardInterrupt())
    assert run("run", book, "--out", out, "--quiet") == 130
    capsys.readouterr()
    before = (out / "journal.jsonl").read_bytes()
    with monkeypatch.context() as patch:
        if victim == "data.db":
            # What SQLite says of a file that may only be read.
            connect = sqlite3.connect
            patch.setattr("qcodes.dataset.connect", lambda path: _read_only(connect, path))
        else:
            opened = Path.open

            def refuse(self: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
                if self.name == victim and "a" in mode:
                    raise PermissionError(errno.EACCES, "Permission denied", str(self))
                return opened(self, mode, *arguments, **options)

            patch.setattr(Path, "open", refuse)
        assert resume(out, monkeypatch) == 2
    said = one_sentence(capsys)
    assert f"{victim} cannot be written: " in said
    assert "Permission denied" in said or "readonly" in said
    assert (out / "journal.jsonl").read_bytes().startswith(before)
    assert len(joined(out, "virgin")) == 48


def _read_only(connect: Callable[..., sqlite3.Connection], path: Path) -> Any:
    connection = connect(f"file:{path}?mode=ro", uri=True)
    connection.execute("CREATE TABLE refused (x)")
    return connection


def test_a_report_that_cannot_be_written_leaves_the_summary_and_can_be_made_later(
    bench: FakeBench, book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        full_after(patch, runner.RunRecord, "_sections", 1)
        assert run("run", book, "--out", out, "--quiet") == 2
    assert "report.html cannot be written: No space left on device" in one_sentence(capsys)
    assert json.loads((out / "summary.json").read_text())["steps_done"] == 3
    acts = len(bench.array.actions)
    assert resume(out, monkeypatch) == 0
    assert len(bench.array.actions) == acts
    assert (out / "report.html").is_file()
