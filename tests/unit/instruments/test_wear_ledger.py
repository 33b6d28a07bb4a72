"""The wear ledger: every pulse counted once, below every protocol, and kept through whatever ends a process."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support import fake_board as fake
from xbarlab.analysis.report.wear import wear_lines
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.block import Block
from xbarlab.instruments.board.crossbar_board import CrossbarBoard
from xbarlab.instruments.capabilities import PulseMap, VerifyRequest
from xbarlab.instruments.chip import wear_store
from xbarlab.instruments.chip.wear_ledger import WearLedger
from xbarlab.instruments.chip.wear_store import WearStore, wear_file
from xbarlab.instruments.errors import ConnectionLostError
from xbarlab.instruments.limits import Limits
from xbarlab.instruments.station.station import load_station

SHAPE = (4, 3)
CELL = Block(1, 1, 2, 1)
WIDE = Limits()


def ledger(path: Path, limits: Limits = WIDE, chip: str = "c1", shape: tuple[int, int] = SHAPE) -> WearLedger:
    return WearLedger(chip, shape, store=WearStore(path / "wear.sqlite"), limits=limits)


def budget(pulses: int) -> Limits:
    return Limits().narrowed({"pulses_total_max": pulses}, source="c.chip.yaml: limits")


# -- counting ----------------------------------------------------------------------------------------------------------


def test_pulses_are_counted_by_cell_and_polarity() -> None:
    book = WearLedger("c", SHAPE)
    block = Block(0, 2, 0, 2)
    book.add(block, [[2.5, -1.5], [0.0, 3.0]], [[3, 2], [5, 0]], WIDE)
    book.add(block, [[-1.0, 1.0], [1.0, 1.0]], 1, WIDE)
    maps = book.maps()
    assert maps["set_pulses"][:2, :2].tolist() == [[3, 1], [1, 1]]
    assert maps["reset_pulses"][:2, :2].tolist() == [[1, 2], [0, 0]]
    assert maps["set_stress"][:2, :2].tolist() == [[2.5, 1.0], [1.0, 1.0]], "what was not given is no stress"
    assert maps["reset_stress"][:2, :2].tolist() == [[1.0, 1.5], [0.0, 0.0]]
    assert maps["pulses"].sum() == 9
    assert not maps["pulses"][2:].any()


def test_a_cycle_is_there_and_back() -> None:
    book = WearLedger("c", SHAPE)
    for volts in (2.0, 2.0, -1.5, 2.0, -1.5, 0.0, 2.0):
        book.add(CELL, volts, 1, WIDE)
    assert book.maps()["cycles"][1, 2] == 2


def test_a_sweep_is_a_pulse_for_every_stay_at_a_polarity() -> None:
    book = WearLedger("c", SHAPE)
    loop = np.concatenate([np.linspace(0, 1.5, 9), np.linspace(1.5, -1.2, 9), np.linspace(-1.2, 0, 9)])
    book.add_sweep(1, 2, np.concatenate([loop, loop]), WIDE)
    book.add_sweep(1, 2, np.zeros(5), WIDE)
    maps = book.maps()
    told = {name: float(plane[1, 2]) for name, plane in maps.items()}
    assert told == {
        "pulses": 4, "set_pulses": 2, "reset_pulses": 2, "cycles": 1, "sweeps": 2, "set_stress": 1.5,
        "reset_stress": 1.2,
    }  # fmt: skip
    assert maps["sweeps"].sum() == 2


def test_a_loop_on_the_board_counts_as_all_it_may_give_until_it_says_less() -> None:
    book = WearLedger("c", SHAPE)
    with book.giving(CELL, np.array([[20.0]]), (1.5, 2.0), WIDE) as given:
        given.were(np.array([[6]]))
    assert book.maps()["pulses"][1, 2] == 6
    with pytest.raises(ConnectionLostError), book.giving(CELL, np.array([[20.0]]), (1.5, 2.0), WIDE):
        raise ConnectionLostError("cable")
    assert book.maps()["pulses"][1, 2] == 26
    assert (book.maps()["set_stress"][1, 2], book.maps()["reset_stress"][1, 2]) == (2.0, 1.5)


# -- the budget --------------------------------------------------------------------------------------------------------


def test_the_budget_warns_at_80_percent_once_and_refuses_beyond_100(caplog: pytest.LogCaptureFixture) -> None:
    book, limits = WearLedger("W12", SHAPE), budget(100)
    book.add(CELL, 2.0, 79, limits)
    assert book.notes == ()
    with caplog.at_level(logging.WARNING):
        book.add(CELL, 2.0, 1, limits)
        book.add(CELL, -2.0, 20, limits)
    (note,) = book.notes
    assert "cell (1, 2) of chip W12 will have had more than 80% of its 100 pulses" in note
    assert caplog.messages == [note]
    assert book.remaining(limits)[1, 2] == 0
    assert book.remaining(limits)[0, 0] == 100
    with pytest.raises(
        RefusedError,
        match=r"cell \(1, 2\) of chip W12 has had 100 of its 100 pulses .* 1 more.*set by c\.chip\.yaml: limits",
    ):
        book.add(CELL, 2.0, 1, limits)
    book.add(Block(0, 1, 0, 1), 2.0, 100, limits)
    with pytest.raises(RefusedError):
        book.require(Block(0, 2, 0, 1), [[1], [1]], limits)
    assert book.maps()["pulses"].sum() == 200, "what is refused is not counted"


def test_a_refusal_says_for_programs_that_it_is_the_budget() -> None:
    with pytest.raises(RefusedError) as refused:
        WearLedger("W12", SHAPE).add(Block(0, 1, 0, 1), 1.0, 11, budget(10))
    assert (refused.value.where, refused.value.value, refused.value.limit) == ("pulses_total_max", 11.0, 10.0)


@pytest.mark.parametrize("door", ["pulse", "sweep", "outer_update", "program_verify"])
def test_a_board_sends_nothing_to_a_cell_whose_budget_is_used_up(door: str) -> None:
    board: Any = CrossbarBoard("board", resource=fake.FakeBoard(), limits={"pulses_total_max": 10})
    whole = Block(0, 8, 0, 4)
    calls = {
        "pulse": lambda: board.pulse(PulseMap(whole, 2.0, 1e-6, 1.0, 6)),
        "sweep": lambda: board.sweep(7, 3, np.tile([0.0, 1.0, 0.0, -1.0], 3), compliance=1e-3, dwell=1e-3, gate=1.0),
        "outer_update": lambda: board.outer_update(np.ones(8), np.ones(4), pulses=6),
        "program_verify": lambda: board.program_verify(
            VerifyRequest(whole, np.full((8, 4), 1e-4), 1e-5, 6, 1e-6, 2.0, (0.5, 2.0, 0.1), (0.5, 2.0, 0.1), 2.0)
        ),
    }
    board.update_width(1e-6)
    board.update_set_volts(1.5)
    board.update_reset_volts(1.5)
    board.pulse(PulseMap(Block(7, 1, 3, 1), 2.0, 1e-6, 1.0, 6))
    sent = len(board.visa_handle.sent)
    with pytest.raises(RefusedError, match=r"cell \(7, 3\).* 6 of its 10 pulses .* 6 more"):
        calls[door]()
    assert board.visa_handle.sent[sent:] == []
    board.close()


def test_a_pulse_whose_confirmation_is_lost_has_been_given() -> None:
    resource = fake.FakeBoard()
    board: Any = CrossbarBoard("board", resource=resource)

    def lose(unit: str) -> None:
        if unit.startswith("PULS:MAP"):
            raise OSError("cable")

    resource.before = lose
    with pytest.raises(ConnectionLostError):
        board.pulse(PulseMap(Block(0, 1, 0, 1), 2.0, 1e-6, 1.0, 7))
    assert board.wear.maps()["pulses"][0, 0] == 7
    resource.before = lambda _unit: None
    board.close()


# -- what is kept ------------------------------------------------------------------------------------------------------


def test_counts_go_on_from_session_to_session(tmp_path: Path) -> None:
    with ledger(tmp_path) as book:
        book.add(CELL, 2.0, 3, WIDE)
        book.add_sweep(0, 0, np.zeros(3), WIDE)
    with ledger(tmp_path, budget(50)) as book:
        book.add(CELL, -1.0, 2, WIDE)
        told = book.maps()
    assert (told["pulses"][1, 2], told["set_stress"][1, 2], told["reset_stress"][1, 2]) == (5, 2.0, 1.0)
    assert told["sweeps"][0, 0] == 1
    store = WearStore(tmp_path / "wear.sqlite")
    (account,) = store.accounts()
    assert (account.chip, account.crashes, account.uncertain, account.budget) == ("c1", 0, 0.0, 50.0)
    assert account.first_use <= account.last_use
    assert account.first_use
    assert store.planes(account)["alternations"][1, 2] == 1
    store.close()


def test_two_books_on_one_chip_lose_nothing(tmp_path: Path) -> None:
    """Not that two should be open; but a lock in another folder must not make pulses vanish."""
    one, two = ledger(tmp_path), ledger(tmp_path)
    one.add(CELL, 2.0, 3, WIDE)
    two.add(CELL, 2.5, 4, WIDE)
    one.close()
    two.close()
    with ledger(tmp_path) as book:
        assert book.maps()["pulses"][1, 2] == 7
        assert book.maps()["set_stress"][1, 2] == 2.5


def test_a_killed_process_leaves_a_bound_behind(tmp_path: Path) -> None:
    code = f"""
        import os, signal, sys
        from pathlib import Path
        from xbarlab.instruments.block import Block
        from xbarlab.instruments.limits import Limits
        from xbarlab.instruments.chip.wear_ledger import WearLedger
        from xbarlab.instruments.chip.wear_store import WearStore
        limits = Limits().narrowed({{"pulses_total_max": 30000}}, source="test")
        book = WearLedger("c1", (4, 3), store=WearStore(Path({str(tmp_path)!r}) / "wear.sqlite"), limits=limits)
        book.add(Block(0, 1, 0, 1), 2.0, 5, limits)
        book.flush()
        book.add(Block(0, 1, 0, 1), 2.0, 40, limits)
        os._exit(9)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], timeout=120, check=False)
    limits = budget(30000)
    with ledger(tmp_path, limits) as book:
        summary = book.summary()
        assert book.maps()["pulses"][0, 0] == 5
        assert summary["crashes"] == 1
        bound = summary["uncertain"]
        assert isinstance(bound, float)
        assert 40 <= bound <= 0.011 * 30000
        assert book.remaining(limits)[0, 0] == 30000 - 5 - bound
    with ledger(tmp_path, limits) as book:
        assert book.summary()["crashes"] == 1, "closing in peace adds nothing"


@pytest.mark.parametrize(
    ("error", "said"),
    [("database or disk is full", "the disk was full"), ("disk I/O error", "the ledger could not be written")],
)
def test_books_that_could_not_be_closed_are_no_process_that_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str, said: str
) -> None:
    book = ledger(tmp_path)
    book.add(CELL, 2.0, 3, WIDE)

    def fails(*_: Any) -> None:
        raise sqlite3.OperationalError(error)

    with monkeypatch.context() as patch:
        patch.setattr(WearStore, "write", fails)
        book.close()
    store = WearStore(tmp_path / "wear.sqlite")
    (account,) = store.accounts()  # as ``xbarlab chip show`` looks at it
    assert (account.crashes, account.unwritten) == (0, 1)
    store.close()
    for _ in range(2):
        with ledger(tmp_path) as again:
            told = dict(wear_lines(again.summary()))["not certain"]
            assert told.endswith(f"more per cell: {said} when they were to be written down")
            assert again.summary()["crashes"] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["wear.sqlite"]


def test_a_database_that_is_locked_stops_pulses_before_they_go_uncounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wear_store, "_BUSY_SECONDS", 0.05)
    book = ledger(tmp_path)
    other = sqlite3.connect(tmp_path / "wear.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(
        RefusedError, match=r"no pulse is given that cannot be counted: .*wear\.sqlite cannot be written \(database is"
    ):
        book.add(CELL, 2.0, 1, WIDE)
    assert book.maps()["pulses"].sum() == 0
    other.execute("ROLLBACK")
    book.add(CELL, 2.0, 1, WIDE)
    other.execute("BEGIN IMMEDIATE")
    book.add(CELL, 2.0, 1, WIDE)  # within what is reserved
    book.flush()  # says so, and goes on
    assert any("cannot be written" in note for note in book.notes)
    other.execute("ROLLBACK")
    other.close()
    book.close()
    with ledger(tmp_path) as again:
        assert again.maps()["pulses"][1, 2] == 2


def test_batches_not_a_transaction_per_pulse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = ledger(tmp_path)
    writes: list[float] = []
    write = WearStore.write

    def counted(self: WearStore, chip: str, changes: Any, at: Any, reserved: float) -> None:
        writes.append(reserved)
        write(self, chip, changes, at, reserved)

    monkeypatch.setattr(WearStore, "write", counted)
    for _ in range(1000):
        book.add(CELL, 2.0, 1, WIDE)
    book.close()
    assert len(writes) <= 4
    assert writes[-1] == 0.0


def test_one_id_is_one_chip(tmp_path: Path) -> None:
    ledger(tmp_path).close()
    with pytest.raises(RefusedError, match=r"chip c1 has 8 × 8 cells, but 4 × 3 in the wear ledger"):
        ledger(tmp_path, shape=(8, 8))


@pytest.mark.parametrize("content", [b"not a database at all" * 100, None])
def test_a_ledger_that_cannot_be_opened_is_one_sentence(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "wear.sqlite"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(RefusedError, match=r"the wear ledger .*wear\.sqlite cannot be opened .*XBARLAB_WEAR") as caught:
        WearStore(path)
    assert "\n" not in str(caught.value)


def test_where_the_ledger_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XBARLAB_WEAR", str(tmp_path))
    assert wear_file("elsewhere") == tmp_path / "wear.sqlite"
    monkeypatch.delenv("XBARLAB_WEAR")
    assert wear_file("lab/our.sqlite", beside=tmp_path) == tmp_path / "lab" / "our.sqlite"
    assert wear_file(str(tmp_path / "lab"), beside=Path("x")) == tmp_path / "lab" / "wear.sqlite"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert wear_file() == tmp_path / "xbarlab" / "wear.sqlite"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "AppData"))
    assert wear_file() == tmp_path / "AppData" / "xbarlab" / "wear.sqlite"


# -- whose account -----------------------------------------------------------------------------------------------------

STATION = """
instruments:
  board:
    type: xbarlab.instruments.board.crossbar_board.CrossbarBoard
    address: TCPIP0::127.0.0.1::5025::SOCKET
    init: {visalib: b.bench.yaml@xbarlab}
xbarlab: {chip: c.chip.yaml, wear: ledger}
"""
CHIP = "id: W12-C3\nrows: 128\ncols: 64\ncell: 1T1R\n"
MOCK = (
    "chip: {{profile: ta_hfo2_1t1r{state}}}\n"
    'instruments: [{{kind: array_board, address: "TCPIP0::127.0.0.1::5025::SOCKET"}}]\n'
)


@pytest.mark.parametrize("state", ["", ", state: chip.npz"])
def test_a_mock_never_fills_a_real_chip_s_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    monkeypatch.delenv("XBARLAB_WEAR")
    (tmp_path / "s.station.yaml").write_text(STATION)
    (tmp_path / "c.chip.yaml").write_text(CHIP)
    (tmp_path / "b.bench.yaml").write_text(MOCK.format(state=state))
    for _ in range(2):
        with load_station(tmp_path / "s.station.yaml") as bench:
            bench.array.pulse(PulseMap(Block(0, 1, 0, 1), 1.0, 1e-6, 1.0, 5))
            most = bench.wear.maps()["pulses"].max()
    path = tmp_path / "ledger" / "wear.sqlite"
    if not state:
        assert most == 5, "a fresh chip each time"
        assert not path.exists()
        return
    assert most == 10, "a chip that lives on"
    store = WearStore(path)
    (account,) = store.accounts()
    assert account.chip.startswith("W12-C3 (simulated, ")
    assert "b.bench.yaml" in account.chip
    store.close()


def test_wear_in_a_station_is_a_path(tmp_path: Path) -> None:
    (tmp_path / "s.station.yaml").write_text(STATION.replace("ledger", "[1]"))
    (tmp_path / "c.chip.yaml").write_text(CHIP)
    (tmp_path / "b.bench.yaml").write_text(MOCK.format(state=""))
    with pytest.raises(RefusedError, match=r"xbarlab\.wear is \[1\]: name a folder"):
        load_station(tmp_path / "s.station.yaml")
