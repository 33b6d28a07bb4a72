"""Units of work: what is on disk in which order, what a later session finds, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.fake_array import FakeArray
from xbarlab.protocols.keeping import checkpoint as checkpoints
from xbarlab.protocols.keeping import work as works
from xbarlab.protocols.keeping.array_state import Fields
from xbarlab.protocols.keeping.dataset import Axis, Variable
from xbarlab.protocols.keeping.joined import joined, step_parts
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.keeping.storage import StorageError

AXES = [Axis("unit", "Unit"), Axis("col", "Column", values=np.arange(3))]
VARIABLES = [Variable("g", "Conductance", "S")]
UNITS = [f"unit {number}" for number in range(6)]


class Killed(BaseException):
    """Ends a session as a kill does: nothing that runs on the way out may help."""


def carry_out(run: Run, *, stop: str = "", after_rows: bool = False) -> tuple[Fields, np.ndarray, list[str]]:
    """A step of six units that adds up; ``stop`` is killed before its rows or after them."""
    at = Fields(total=0, seen=np.zeros(3))
    did: list[str] = []
    with run.step("add", FakeArray()), run.work("add", AXES, VARIABLES, label="units", total=len(UNITS)) as work:
        work.hold("at", at)
        for number, unit in enumerate(UNITS):
            if not work.begin(unit):
                continue
            if unit == stop and not after_rows:
                raise Killed
            did.append(unit + ("?" if work.interrupted else ""))
            row = number + np.arange(3) / 10
            work.add({"unit": number}, g=row)
            if unit == stop:
                raise Killed
            at.total += number
            at.seen = at.seen + row
            work.done(row=row)
        return at, work.stack("row"), did


def killed(folder: Path, stop: str, **how: Any) -> None:
    with pytest.raises(Killed):
        carry_out(Run(folder, quiet=True), stop=stop, **how)


def resumed(folder: Path) -> Run:
    return Run(folder, quiet=True, resumed=True)


def journal(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]


def assert_whole(at: Fields, rows: np.ndarray) -> None:
    assert at.total == 15
    assert isinstance(at.total, int)
    np.testing.assert_array_equal(rows, np.arange(6)[:, None] + np.arange(3) / 10)
    np.testing.assert_allclose(at.seen, 15 + 6 * np.arange(3) / 10)


@pytest.mark.parametrize("after_rows", [False, True])
def test_a_later_session_goes_on_after_the_last_unit(tmp_path: Path, after_rows: bool) -> None:
    folder = tmp_path / "run"
    killed(folder, "unit 2", after_rows=after_rows)
    at, rows, did = carry_out(resumed(folder))
    assert did == ["unit 2?", "unit 3", "unit 4", "unit 5"]
    assert_whole(at, rows)
    table = joined(folder, "add")
    assert list(table["unit"]) == np.repeat(np.arange(6), 3).tolist()
    assert len(step_parts(folder)["add"]) == 2


def test_a_finished_step_gives_its_result_again_and_opens_no_dataset(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    carry_out(Run(folder, quiet=True))
    before = journal(folder)
    at, rows, did = carry_out(resumed(folder))
    assert did == []
    assert_whole(at, rows)
    assert [entry["event"] for entry in journal(folder)[len(before) :]] == ["run_resumed"]


@pytest.mark.slow
def test_killed_again_and_again(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    killed(folder, "unit 1", after_rows=True)
    for stop in ("unit 1", "unit 3", "unit 3", "unit 5"):
        with pytest.raises(Killed):
            carry_out(resumed(folder), stop=stop, after_rows=True)
    at, rows, did = carry_out(resumed(folder))
    assert did == ["unit 5?"]
    assert_whole(at, rows)
    table = joined(folder, "add")
    assert not table.duplicated(["unit", "col"]).any()
    assert len(table) == 18
    guids = [part.guid for part in step_parts(folder)["add"]]
    parents = [parent_of(folder, guid) for guid in guids]
    assert parents == [None, *guids[:-1]]


def parent_of(folder: Path, guid: str) -> str | None:
    from qcodes.dataset import connect, load_by_guid

    connection = connect(folder / "data.db")
    try:
        return load_by_guid(guid, connection).metadata.get("xbarlab_parent")
    finally:
        connection.close()


def test_on_disk_come_rows_then_pieces_then_the_snapshot_then_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def spy(owner: Any, name: str, label: str) -> None:
        whole: Callable[..., Any] = getattr(owner, name)

        def watched(*arguments: Any, **options: Any) -> Any:
            order.append(label)
            return whole(*arguments, **options)

        monkeypatch.setattr(owner, name, watched)

    spy(works.DatasetWriter, "flush", "rows")
    spy(checkpoints.Checkpoint, "add_pieces", "pieces")
    spy(checkpoints.Checkpoint, "save", "snapshot")
    run = Run(tmp_path / "run", quiet=True)
    run.at_unit = lambda: order.append("chip")
    note = run.note

    def watched_note(event: str, **fields: Any) -> None:
        order.append(event)
        note(event, **fields)

    run.note = watched_note  # type: ignore[method-assign]
    carry_out(run)
    first = order.index("rows")
    assert order[first : first + 5] == ["rows", "pieces", "chip", "snapshot", "unit_done"]


@pytest.mark.parametrize("moment", ["pieces", "snapshot", "line"])
def test_killed_between_two_of_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """Whatever was written last: a unit is done or it is not, and is never done by halves."""
    folder = tmp_path / "run"
    run = Run(folder, quiet=True)
    counted = 0

    def strike(*_: Any, **__: Any) -> None:
        nonlocal counted
        counted += 1
        if counted == 3:
            raise Killed

    if moment == "line":
        note = run.note

        def note_or_die(event: str, **fields: Any) -> None:
            if event == "unit_done":
                strike()
            note(event, **fields)

        run.note = note_or_die  # type: ignore[method-assign]
    elif moment == "pieces":
        run.at_unit = strike
    else:
        save = checkpoints.Checkpoint.save

        def save_or_die(self: Any, *arguments: Any) -> None:
            strike()
            save(self, *arguments)

        monkeypatch.setattr(checkpoints.Checkpoint, "save", save_or_die)
    with pytest.raises(Killed):
        carry_out(run)
    monkeypatch.undo()
    at, rows, did = carry_out(resumed(folder))
    assert_whole(at, rows)
    assert len(joined(folder, "add")) == 18
    # Behind the snapshot only the line was missing: the unit is not done again.
    assert did[0] == ("unit 3?" if moment == "line" else "unit 2?")
    units = [entry["unit"] for entry in journal(folder) if entry["event"] == "unit_done"]
    assert units == UNITS


@pytest.mark.slow
def test_a_torn_last_line_is_ignored_and_the_journal_stays_readable(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    killed(folder, "unit 3")
    path = folder / "journal.jsonl"
    whole = path.read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for cut in (last + 1, last + 20, len(whole) - 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        at, rows, _ = carry_out(resumed(folder))
        assert_whole(at, rows)
        assert_whole(*carry_out(resumed(folder))[:2])  # and once more, behind the torn line
        for path in (folder / "state").iterdir():
            path.unlink()
        break_down = Run(tmp_path / f"fresh{cut}", quiet=True)
        with pytest.raises(Killed):
            carry_out(break_down, stop="unit 3")
        folder = tmp_path / f"fresh{cut}"
        path = folder / "journal.jsonl"
        whole = path.read_bytes()
        last = whole.rstrip(b"\n").rfind(b"\n") + 1


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    killed(folder, "unit 3")
    path = folder / "journal.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:3], '{"event": "un\n', *lines[4:]]))
    with pytest.raises(StorageError, match=r"journal\.jsonl:4: this line cannot be read.*data\.db"):
        resumed(folder)


def test_zeros_that_a_power_cut_left_are_no_line(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    killed(folder, "unit 3")
    with (folder / "journal.jsonl").open("ab") as file:
        file.write(bytes(300))
    assert_whole(*carry_out(resumed(folder))[:2])
    assert_whole(*carry_out(resumed(folder))[:2])


@pytest.mark.parametrize("name", ["add.npz", "add.pieces"])
@pytest.mark.parametrize("harm", ["cut", "gone", "garbled"])
def test_a_damaged_state_is_refused_with_the_way_out(tmp_path: Path, name: str, harm: str) -> None:
    folder = tmp_path / "run"
    killed(folder, "unit 4")
    path = folder / "state" / name
    content = path.read_bytes()
    if harm == "gone":
        path.unlink()
    elif harm == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.write_bytes(content[:200] + bytes(100) + content[300:])
    with pytest.raises(StorageError, match=r"add\.(npz|pieces) is damaged.*data\.db.*--repeat add") as refused:
        carry_out(resumed(folder))
    assert "\n" not in str(refused.value)
    assert len(joined(folder, "add")) == 12
    run = resumed(folder)
    run.repeat("add")
    at, rows, did = carry_out(run)
    assert did == UNITS
    assert_whole(at, rows)
    assert len(joined(folder, "add")) == 18
    assert_whole(*carry_out(resumed(folder))[:2])


def test_a_snapshot_from_before_is_not_taken_for_the_present(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    killed(folder, "unit 2")
    old = (folder / "state" / "add.npz").read_bytes()
    with pytest.raises(Killed):
        carry_out(resumed(folder), stop="unit 5")
    (folder / "state" / "add.npz").write_bytes(old)
    with pytest.raises(StorageError, match="it belongs to unit 'unit 1', the journal ends with another"):
        carry_out(resumed(folder))


def test_pickles_are_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    killed(folder, "unit 4")
    np.savez(folder / "state" / "add.npz", **{"__unit__": np.array([{}], dtype=object)})
    with pytest.raises(StorageError, match="is damaged"):
        carry_out(resumed(folder))


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    at, rows, did = carry_out(Run.of(None))
    assert did == UNITS
    assert_whole(at, rows)
    assert list(tmp_path.iterdir()) == []


def test_a_clock_that_was_set_back_is_said_and_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from xbarlab.protocols.keeping import journal as journals

    folder = tmp_path / "run"
    killed(folder, "unit 3")
    now = journals.time.time()
    monkeypatch.setattr(journals.time, "time", lambda: now - 7200.0)
    at, rows, did = carry_out(resumed(folder))
    assert did[0] == "unit 3?"
    assert_whole(at, rows)
    said = [record.getMessage() for record in caplog.records if "set back" in record.getMessage()]
    assert len(said) == 1
    assert "7200 s" in said[0]
    entries = journal(folder)
    assert [entry["event"] for entry in entries].count("clock_set_back") == 1
    seconds = [entry["seconds"] for entry in entries]
    assert seconds == sorted(seconds)
    assert_whole(*carry_out(resumed(folder))[:2])


def test_costs_of_all_sessions_add_up(tmp_path: Path) -> None:
    from xbarlab.instruments.capabilities import Cost

    folder = tmp_path / "run"
    array = FakeArray()

    def session(run: Run, stop: str = "") -> None:
        with run.step("add", array), run.work("add", AXES, VARIABLES, label="u", total=6) as work:
            for unit in UNITS:
                if work.begin(unit):
                    if unit == stop:
                        raise Killed
                    array.cost += Cost(1, 2, 3, 0.5)
                    work.add({"unit": 0}, g=np.zeros(3))
                    work.done()

    with pytest.raises(Killed):
        session(Run(folder, quiet=True), "unit 4")
    session(resumed(folder))
    assert resumed(folder).history["add"].cost == Cost(6, 12, 18, 3.0)


def test_two_protocols_in_one_step_do_not_share_their_state(tmp_path: Path) -> None:
    run = Run(tmp_path / "run", quiet=True)
    for value in (1.0, 2.0):
        with run.work("map", AXES, VARIABLES, label="u", total=1) as work:
            assert work.begin("only")
            work.add({"unit": 0}, g=np.full(3, value))
            work.done(g=np.full(3, value))
    assert sorted(path.name for path in (tmp_path / "run" / "state").iterdir()) == ["step.pieces", "step_2.pieces"]


def test_an_unknown_step_is_refused_with_those_there_are(tmp_path: Path) -> None:
    carry_out(Run(tmp_path / "run", quiet=True))
    with pytest.raises(ValueError, match="choose from add"):
        joined(tmp_path / "run", "ad")


def test_a_snapshot_of_another_run_is_no_snapshot_of_this_one(tmp_path: Path) -> None:
    """Written anew with another run's arrays it would let a step go on from another chip's state without a word."""
    killed(tmp_path / "mine", "unit 3")
    killed(tmp_path / "theirs", "unit 3")
    shutil.copy(tmp_path / "theirs" / "state" / "add.npz", tmp_path / "mine" / "state" / "add.npz")
    with pytest.raises(StorageError, match=r"add\.npz is damaged \(it belongs to another run\).*--repeat add"):
        carry_out(resumed(tmp_path / "mine"))


@pytest.mark.parametrize("name", ["add.npz", "add.pieces"])
def test_what_was_kept_is_what_the_journal_was_written_with(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "run"
    killed(folder, "unit 3")
    path = folder / "state" / name
    if name == "add.npz":
        arrays = dict(np.load(path))
        changed = next(key for key in arrays if key != checkpoints.UNIT and arrays[key].size)
        arrays[changed] = arrays[changed] + 1
        np.savez(path, **arrays)
    else:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))
    with pytest.raises(StorageError, match=rf"{name} is damaged"):
        carry_out(resumed(folder))


def works_twice(run: Run, array: FakeArray, *, stop: bool = False) -> list[str]:
    """A step with two works of two units each, a transaction each; what it did."""
    did: list[str] = []
    with run.step("two", array):
        for name in ("first", "second"):
            with run.work(name, AXES, VARIABLES, label="units", total=2) as work:
                for unit in ("a", "b"):
                    if work.begin(unit):
                        if stop and (name, unit) == ("second", "b"):
                            raise Killed
                        array.read(array.spec.whole)
                        did.append(f"{name} {unit}")
                        work.done()
    return did


def test_a_step_that_works_twice_costs_what_it_cost_and_is_repeated_as_a_whole(tmp_path: Path) -> None:
    folder, array = tmp_path / "run", FakeArray()
    with pytest.raises(Killed):
        works_twice(Run(folder, quiet=True), array, stop=True)
    run = resumed(folder)
    assert sum(one.cost.transactions for one in run.history.values()) == array.cost.transactions == 3
    assert run.history["two"].cost.transactions == 3
    assert works_twice(run, array) == ["second b"]
    run = resumed(folder)
    assert sum(one.cost.transactions for one in run.history.values()) == array.cost.transactions == 4
    run.repeat("two")
    assert works_twice(run, array) == ["first a", "first b", "second a", "second b"]
    assert works_twice(resumed(folder), array) == []


def test_a_step_whose_name_looks_like_a_part_of_another_is_not_repeated_with_it(tmp_path: Path) -> None:
    run, array = Run(tmp_path / "run", quiet=True), FakeArray()
    for name in ("fast", "fast_2"):
        with run.step(name, array), run.work("w", AXES, VARIABLES, label="units", total=1) as work:
            assert work.begin("a")
            work.done()
    run = resumed(tmp_path / "run")
    run.repeat("fast")
    assert not run.is_done("fast")
    assert run.is_done("fast_2")
