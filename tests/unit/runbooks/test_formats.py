"""What a run folder says of itself: numbered lines, the hash of the card, ids; what is refused when they disagree."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.fake_array import FakeArray, FakeBench
from xbarlab.common.errors import RefusedError, XbarlabError
from xbarlab.instruments.chip.wear_ledger import WearLedger
from xbarlab.instruments.chip.wear_store import WearStore
from xbarlab.protocols.keeping.journal import read_journal
from xbarlab.protocols.keeping.storage import StorageError
from xbarlab.runbooks.commands.export import export_run
from xbarlab.runbooks.runner import resume as resumes
from xbarlab.runbooks.runner import runner
from xbarlab.runbooks.runner.resume import resume_run
from xbarlab.runbooks.runner.runner import run_runbook
from xbarlab.runbooks.runner.schema import load_runbook

RUNBOOK = """---
format: 1
title: A small first light
station: bench.station.yaml
steps:
  - {id: virgin, read_array: {cells: all}}
  - {id: iv, dc_sweep: {cells: "0:1,0:2", cycles: 3, step: 0.1}}
  - {id: after, read_array: {cells: "0:2,0:2"}}
---
Text for a person.
"""


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> FakeBench:
    fake = FakeBench()
    monkeypatch.setattr(runner, "open_bench", fake.opener())
    monkeypatch.setattr(resumes, "read_station", lambda _: None)
    monkeypatch.setattr(resumes, "take_up_chips", lambda *_: None)
    monkeypatch.setattr(runner.RunRecord, "_sections", lambda _: [])
    monkeypatch.setattr(runner.RunRecord, "drawn", lambda *_: None)
    return fake


@pytest.fixture
def book(tmp_path: Path) -> Path:
    (tmp_path / "bench.station.yaml").write_text("# a fake\n", encoding="utf-8")
    path = tmp_path / "small.md"
    path.write_text(RUNBOOK, encoding="utf-8")
    return path


@pytest.fixture
def cut(bench: FakeBench, book: Path, tmp_path: Path) -> Path:
    """A run that was interrupted in its second step, after several units."""
    bench.array._fail_at, bench.array._error = len(bench.array.actions) + 12, KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        run_runbook(book, out=tmp_path / "out", seed=3, quiet=True)
    return tmp_path / "out"


def test_every_line_is_numbered_and_the_first_says_the_format(cut: Path) -> None:
    entries = read_journal(cut / "journal.jsonl")
    assert [entry["n"] for entry in entries] == list(range(1, len(entries) + 1))
    assert entries[0]["format"] == 2
    card = json.loads((cut / "run.json").read_text(encoding="utf-8"))
    assert card["format"] == 2
    assert card["run"] == entries[0]["run"]
    assert sum(entry["event"] == "unit_done" for entry in entries) >= 3


Damage = Callable[[list[bytes], int], list[bytes]]
DAMAGES: dict[str, Damage] = {
    "gone": lambda lines, at: [*lines[:at], *lines[at + 1 :]],
    "blank": lambda lines, at: [*lines[:at], b"\n", *lines[at + 1 :]],
    "zeros": lambda lines, at: [*lines[:at], b"\0" * (len(lines[at]) - 1) + b"\n", *lines[at + 1 :]],
    "zeros without an end": lambda lines, at: [*lines[:at], b"\0" * len(lines[at]), *lines[at + 1 :]],
    "cut": lambda lines, at: [*lines[:at], lines[at][:40] + b"\n", *lines[at + 1 :]],
    "a digit": lambda lines, at: [*lines[:at], lines[at].replace(b'"order": ', b'"order": 1'), *lines[at + 1 :]],
    "twice": lambda lines, at: [*lines[: at + 1], *lines[at:]],
    "swapped": lambda lines, at: [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]],
    "a list": lambda lines, at: [*lines[:at], b"[1, 2]\n", *lines[at + 1 :]],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_line_lost_or_damaged_in_the_middle_is_refused(bench: FakeBench, cut: Path, damage: str) -> None:
    path = cut / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    at = [k for k, line in enumerate(lines) if b'"unit_done"' in line][1]
    path.write_bytes(b"".join(DAMAGES[damage](lines, at)))
    before, acted = path.read_bytes(), len(bench.array.actions)
    with pytest.raises(StorageError, match=rf"journal\.jsonl:{at + 1}|journal\.jsonl:{at + 2}") as refused:
        resume_run(cut, quiet=True)
    assert "What is known: the lines before it say that virgin was done" in str(refused.value)
    assert path.read_bytes() == before
    assert len(bench.array.actions) == acted


@pytest.mark.parametrize("keep", [1, 40, -1])
def test_a_torn_last_line_is_still_accepted_and_named(bench: FakeBench, cut: Path, keep: int) -> None:
    path = cut / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    units = [k for k, line in enumerate(lines) if b'"unit_done"' in line]
    path.write_bytes(b"".join(lines[: units[-1]]) + lines[units[-1]][:keep])
    assert resume_run(cut, quiet=True).summary["steps_done"] == 3
    resumed = next(entry for entry in read_journal(path) if entry["event"] == "run_resumed")
    assert resumed["torn"] == (None if keep == -1 else units[-1] + 1)


def test_a_line_that_no_session_found_torn_is_no_torn_line(bench: FakeBench, cut: Path) -> None:
    """The last line before a session may have been torn, and then that session says so."""
    bench.array._fail_at, bench.array._error = len(bench.array.actions) + 1, KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        resume_run(cut, quiet=True)
    path = cut / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    at = next(k for k, line in enumerate(lines) if b'"run_resumed"' in line) - 1
    path.write_bytes(b"".join([*lines[:at], lines[at][:40] + b"\n", *lines[at + 1 :]]))
    with pytest.raises(StorageError, match=rf"journal\.jsonl:{at + 1}"):
        resume_run(cut, quiet=True)


def test_a_newer_format_is_refused_by_name(bench: FakeBench, cut: Path, book: Path) -> None:
    from xbarlab.protocols.keeping.journal_lines import encoded

    path, card = cut / "journal.jsonl", cut / "run.json"
    lines = path.read_bytes().splitlines(keepends=True)
    first = {key: value for key, value in json.loads(lines[0]).items() if key not in {"n", "sum"}}
    path.write_bytes(encoded(1, {**first, "format": 3}) + b"".join(lines[1:]))
    with pytest.raises(StorageError, match="of format 3, this xbarlab reads formats 1 to 2"):
        resume_run(cut, quiet=True)
    path.write_bytes(b"".join(lines))
    card.write_text(card.read_text(encoding="utf-8").replace('"format": 2', '"format": 7'), encoding="utf-8")
    with pytest.raises(RefusedError, match=r"run\.json is of format 7"):
        resume_run(cut, quiet=True)
    book.write_text(RUNBOOK.replace("format: 1", "format: 2"), encoding="utf-8")
    with pytest.raises(RefusedError, match=r"small\.md:2: 'format' = 2: this xbarlab reads runbooks of format 1"):
        load_runbook(book)


def edited(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    card = json.loads(path.read_text(encoding="utf-8"))
    change(card)
    path.write_text(json.dumps(card), encoding="utf-8")


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "seed": (lambda card: card.update(seed=4), "seed was 3 and is 4"),
    "a parameter": (lambda card: card["steps"][1]["plan"].update(cycles=2), r"iv\.cycles was 3 and is 2"),
    "a step less": (lambda card: card["steps"].pop(), "step 'after' is gone"),
    "check": (lambda card: card.update(check=True), "its digest is another one"),
    "chip": (lambda card: card.update(chip="another"), "its digest is another one"),
    "run": (lambda card: card.update(run="0" * 16), "they do not belong together"),
    "type of a step": (lambda card: card.update(steps="none"), "steps: Input should be a valid list"),
    "type of the seed": (lambda card: card.update(seed="three"), "seed: Input should be a valid integer"),
    "plan": (lambda card: card["steps"][0].update(plan=[1]), r"steps\.0\.plan: Input should be a valid dictionary"),
    "a key more": (lambda card: card.update(extra=1), "extra: Extra inputs are not permitted"),
    "versions": (lambda card: card.update(versions=None), "versions: Input should be a valid list"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_card_is_noticed(bench: FakeBench, cut: Path, change: str) -> None:
    acted = len(bench.array.actions)
    edited(cut / "run.json", CHANGES[change][0])
    with pytest.raises(RefusedError, match=CHANGES[change][1]):
        resume_run(cut, quiet=True)
    assert len(bench.array.actions) == acted


@pytest.mark.parametrize("content", ["[]", "null", "3", "{}", "{", "[" * 100_000, '{"format": "two"}'])
def test_odd_cards_are_a_sentence(bench: FakeBench, cut: Path, content: str) -> None:
    (cut / "run.json").write_text(content, encoding="utf-8")
    with pytest.raises(RefusedError, match=r"run\.json"):
        resume_run(cut, quiet=True)


@pytest.mark.parametrize("key", ["seconds", "step", "unit", "order", "dataset", "blocks", "state", "cost", "event"])
@pytest.mark.parametrize("value", [None, [], {}, "x", 1.5, True])
def test_odd_types_in_an_unnumbered_journal_are_a_sentence(tmp_path: Path, key: str, value: object) -> None:
    """Of today's lines the checksum speaks; the older ones have none."""
    good = {"event": "unit_done", "seconds": 1.0, "step": "s", "unit": "u", "order": 1, "dataset": "g", "blocks": 1,
            "state": False, "cost": {"transactions": 1, "slots": 1, "pulses": 1, "chip_seconds": 0.1}}  # fmt: skip
    if type(value) is type(good[key]) or (key == "seconds" and value == 1.5):
        return
    path = tmp_path / "journal.jsonl"
    path.write_text(f"{json.dumps({**good, key: value})}\n{json.dumps({**good, 'order': 2})}\n", encoding="utf-8")
    with pytest.raises(XbarlabError, match=r"journal\.jsonl:1"):
        read_journal(path)


@pytest.mark.parametrize("how", ["gone", "empty", "cut", "noise", "another"])
def test_data_that_are_lost_are_noticed_before_anything_acts(bench: FakeBench, cut: Path, how: str) -> None:
    data, acted = cut / "data.db", len(bench.array.actions)
    content = data.read_bytes()
    if how == "gone":
        data.unlink()
    elif how == "another":
        with sqlite3.connect(data) as connection:
            connection.execute("DELETE FROM runs WHERE run_id = 1")
    else:
        data.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "noise": b"x" * 5000}[how])
    with pytest.raises(StorageError, match=r"data\.db does not hold what the journal"):
        resume_run(cut, quiet=True)
    assert len(bench.array.actions) == acted


def test_a_copy_resumed_beside_its_original_is_noticed(bench: FakeBench, cut: Path, tmp_path: Path) -> None:
    store = WearStore(tmp_path / "wear.sqlite")
    bench.wear = WearLedger("fake-chip", (bench.array.spec.rows, bench.array.spec.cols), store=store)
    copy = tmp_path / "copy"
    shutil.copytree(cut, copy)
    bench.array._fail_at = len(bench.array.actions) + 1
    with pytest.raises(KeyboardInterrupt):
        resume_run(copy, quiet=True)
    acted = len(bench.array.actions)
    with pytest.raises(RefusedError, match=rf"gone on with in {copy}.*is a copy from before"):
        resume_run(cut, quiet=True)
    assert len(bench.array.actions) == acted
    moved = copy.rename(tmp_path / "moved")
    assert resume_run(moved, quiet=True).summary["steps_done"] == 3, "a folder may be moved"
    assert isinstance(bench.array, FakeArray)


def cut_again(bench: FakeBench, folder: Path, at: int) -> None:
    bench.array._fail_at, bench.array._error = len(bench.array.actions) + at, KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        resume_run(folder, quiet=True)


@pytest.mark.parametrize("form", ["csv", "netcdf"])
def test_an_export_replaces_what_an_earlier_one_made(bench: FakeBench, cut: Path, form: str) -> None:
    first = export_run(cut, form)
    assert [path.stem[4:] for path in first] == ["virgin_read_array", "iv_dc_sweep"]
    mine = cut / "export" / f"my_own{first[0].suffix}"
    mine.write_text("notes", encoding="utf-8")
    resume_run(cut, quiet=True)
    again = export_run(cut, form)
    assert [path.stem[4:] for path in again] == ["virgin_read_array", "iv_dc_sweep", "after_read_array"]
    assert sorted((cut / "export").iterdir()) == sorted([*again, mine]), "no half of a step is left beside the whole"
    assert export_run(cut, form) == again


@pytest.mark.parametrize("form", ["csv", "netcdf"])
def test_an_empty_dataset_does_not_end_an_export(bench: FakeBench, cut: Path, form: str) -> None:
    """As a disk that was full when a dataset was born leaves it: those after it are exported all the same."""
    resume_run(cut, quiet=True)
    with sqlite3.connect(cut / "data.db") as connection:
        (table,) = connection.execute("SELECT result_table_name FROM runs WHERE run_id = 1").fetchone()
        connection.execute(f'DELETE FROM "{table}"')
    told: list[str] = []
    written = export_run(cut, form, tell=told.append)
    assert [path.stem[4:] for path in written] == ["iv_dc_sweep", "after_read_array"]
    assert told == ["dataset 1 (virgin_read_array) is empty: nothing of it is exported"]


def test_a_dataset_that_cannot_be_read_is_said_and_the_others_are_exported(
    bench: FakeBench, cut: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resume_run(cut, quiet=True)
    with sqlite3.connect(cut / "data.db") as connection:
        connection.execute("UPDATE runs SET run_description = 'damaged' WHERE run_id = 1")
    with pytest.raises(StorageError, match=r"1 of 4 datasets could not be exported: dataset 1 \(virgin_read_array\)"):
        export_run(cut, "csv")
    assert [path.stem[4:] for path in sorted((cut / "export").iterdir())] == ["iv_dc_sweep", "after_read_array"]


def test_a_damaged_journal_leaves_the_datasets_to_be_exported(bench: FakeBench, cut: Path) -> None:
    path = cut / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], b"\n", *lines[4:]]))
    told: list[str] = []
    assert len(export_run(cut, "csv", tell=told.append)) == 2
    assert "every dataset is exported for itself" in told[0]
