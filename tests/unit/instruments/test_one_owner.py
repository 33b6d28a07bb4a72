"""One process owns a bench and one the chip on it, until it lets go or dies."""

from __future__ import annotations

import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import fake_board as fake
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.board.crossbar_board import CrossbarBoard
from xbarlab.instruments.chip.wear_store import WearStore, wear_file
from xbarlab.instruments.station.bench_lock import BenchLock
from xbarlab.instruments.station.station import load_station

CHIP = "id: W12-C3\nrows: 8\ncols: 4\ncell: 1T1R\n"
HOLD = """
import sys, time
from pathlib import Path
from xbarlab.instruments.station.bench_lock import BenchLock
lock = BenchLock((sys.argv[1],), holder="night.station.yaml", folder=Path(sys.argv[2]))
lock.acquire()
print("held", flush=True)
time.sleep(120)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Locks of this test's own, a ledger too, and boards that say they are real."""

    def make(name: str, address: str = "", clock: str = "real", **kwargs: Any) -> Any:
        simulated = {"clock": clock} if clock != "real" else {}
        return CrossbarBoard(name, resource=fake.FakeBoard(**simulated), **kwargs)

    module = types.ModuleType("fake_lab")
    module.Board = make
    monkeypatch.setitem(sys.modules, "fake_lab", module)
    monkeypatch.setenv("XBARLAB_LOCKS", str(tmp_path / "xbarlab-locks"))
    monkeypatch.setenv("XBARLAB_WEAR", str(tmp_path))
    return tmp_path


def station(folder: Path, name: str, chip: str = CHIP, init: str = "{}") -> Path:
    (folder / f"{name}.chip.yaml").write_text(chip)
    path = folder / f"{name}.station.yaml"
    board = f"{{type: fake_lab.Board, address: 'GPIB0::{name}::INSTR', init: {init}}}"
    path.write_text(f"instruments: {{{name}: {board}}}\nxbarlab: {{chip: {name}.chip.yaml}}\n")
    return path


@pytest.fixture
def holder(folder: Path) -> Iterator[Any]:
    started: list[subprocess.Popen[str]] = []

    def start(resource: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, resource, str(folder / "xbarlab-locks")], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("resource", ["GPIB0::day::INSTR", "chip W12-C3"])
def test_the_holder_is_named_and_a_killed_one_holds_nothing(folder: Path, holder: Any, resource: str) -> None:
    process = holder(resource)
    path = station(folder, "day")
    said = rf"{re.escape(resource)} is in use by process {process.pid} \(station night\.station\.yaml, since 20\d\d-"
    for _ in range(2):  # and nothing of our own is left behind
        with pytest.raises(RefusedError, match=said):
            load_station(path).open()
    process.kill()
    process.wait()
    with load_station(path) as bench:
        assert bench.chip is not None


def test_a_chip_on_two_benches_has_one_owner(folder: Path) -> None:
    first, second = station(folder, "day"), station(folder, "night")
    with load_station(first):
        with pytest.raises(
            RefusedError, match=r"^chip W12-C3 is in use by process \d+ \(station .*day\.station\.yaml, since"
        ):
            load_station(second).open()
        other = station(folder, "other", CHIP.replace("W12-C3", "W12-C4"))
        with load_station(other):
            pass
    with load_station(second):
        pass


def test_simulated_chips_of_one_file_are_many(folder: Path) -> None:
    first = station(folder, "day", init="{clock: simulated}")
    second = station(folder, "night", init="{clock: simulated}")
    with load_station(first), load_station(second):
        pass


def test_a_chip_that_is_refused_leaves_its_bench_free(folder: Path) -> None:
    path = station(folder, "day")
    lock = BenchLock(("chip W12-C3",), holder="me")
    lock.acquire()
    with pytest.raises(RefusedError, match="chip W12-C3"):
        load_station(path).open()
    bench = BenchLock(("GPIB0::day::INSTR",), holder="you")
    bench.acquire()
    bench.release()
    lock.release()


def test_the_chips_of_joined_boards_have_one_owner_and_an_account_each(folder: Path) -> None:
    single = station(folder, "night")
    (folder / "left.chip.yaml").write_text(CHIP.replace("W12-C3", "W12-C4"))
    path = folder / "two.station.yaml"
    boards = ", ".join(
        f"{name}: {{type: fake_lab.Board, address: 'GPIB0::{name}::INSTR'}}" for name in ("left", "right")
    )
    chips = "[left.chip.yaml, night.chip.yaml]"
    path.write_text(f"instruments: {{{boards}}}\nxbarlab: {{array: [left, right], chip: {chips}}}\n")
    with load_station(path) as bench:
        array: Any = bench.array
        # On real boards there is one clock, and who waits by it tells every board.
        assert {id(board.clock) for board in array.boards} == {id(bench.clock)}
        array.declare_silence(100.0)
        for board in array.boards:
            assert any(b"SUSP 106" in message for message in board.visa_handle.sent)
        with pytest.raises(RefusedError, match=r"^chip W12-C3 is in use .*two\.station\.yaml"):
            load_station(single).open()
        assert bench.chip is not None
        assert bench.chip.id == "W12-C4 + W12-C3"
    with load_station(single):
        pass
    store = WearStore(wear_file())
    assert {account.chip for account in store.accounts()} == {"W12-C3", "W12-C4"}
    store.close()
