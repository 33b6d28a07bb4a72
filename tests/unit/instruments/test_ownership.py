"""Who owns a bench: one process, one object, one name per instrument; locks lead nowhere else."""

from __future__ import annotations

import atexit
import copy
import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xbarlab import open_bench
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.block import Block
from xbarlab.instruments.chip.wear_store import WearStore, wear_file
from xbarlab.instruments.station.bench_lock import BenchLock, lock_folder
from xbarlab.instruments.station.resource_names import canonical_resource
from xbarlab.instruments.station.station_file import read_station
from xbarlab.mockhw.bench.bench import forget_bench, fresh_bench
from xbarlab.mockhw.front_ends.tcp_host import serve
from xbarlab.runbooks import stations

SHIPPED = Path(stations.__file__).parent
posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XBARLAB_LOCKS", str(tmp_path / "locks"))
    monkeypatch.setenv("XBARLAB_WEAR", str(tmp_path / "wear"))


def station(folder: Path, address: str = "TCPIP0::127.0.0.1::5025::SOCKET", visalib: str = "") -> Path:
    for kind in ("bench", "chip"):
        text = (SHIPPED / f"mock_ta_hfo2.{kind}.yaml").read_text(encoding="utf-8")
        (folder / f"own.{kind}.yaml").write_text(text, encoding="utf-8")
    path = folder / "own.station.yaml"
    path.write_text(
        "instruments:\n  board:\n    type: xbarlab.instruments.board.crossbar_board.CrossbarBoard\n"
        f"    address: {address}\n    init: {{visalib: '{visalib or 'own.bench.yaml@xbarlab'}'}}\n"
        "xbarlab: {array: board, chip: own.chip.yaml}\n",
        encoding="utf-8",
    )
    return path


# -- one name ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spellings",
    [
        ("GPIB0::18::INSTR", "GPIB::18", "GPIB0::18", "gpib::18::instr", "GPIB0::018::INSTR", " GPIB::18 "),
        ("GPIB0::1::0::INSTR", "GPIB::1::96", "GPIB0::1::00"),
        (
            "USB0::0x05E6::0x2450::04419999::INSTR", "USB::0x05e6::0x2450::04419999",
            "USB0::1510::9296::04419999::INSTR",
            "USB0::0x5E6::9296::04419999::0::INSTR", "usb0::0X05E6::0x2450::04419999::instr",
        ),
        ("TCPIP0::smu.lab::inst0::INSTR", "TCPIP::SMU.lab", "TCPIP0::smu.lab.::INST0::INSTR", "tcpip::smu.LAB::instr"),
        ("TCPIP0::127.0.0.1::5025::SOCKET", "TCPIP::localhost::5025::SOCKET", "TCPIP::127.0.0.1::05025::socket"),
        ("ASRL3::INSTR", "ASRL3", "COM3", "com3", "asrl3::instr"),
    ],
    ids=lambda each: each[0],
)  # fmt: skip
def test_one_instrument_has_one_name_however_it_is_spelled(spellings: tuple[str, ...]) -> None:
    assert len({canonical_resource(each) for each in spellings}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("GPIB0::18::INSTR", "GPIB1::18::INSTR"),
        ("GPIB0::18::INSTR", "GPIB0::18::1::INSTR"),
        ("USB0::0x05E6::0x2450::04419999::INSTR", "USB0::0x05E6::0x2450::04419998::INSTR"),
        ("TCPIP0::a::5025::SOCKET", "TCPIP0::a::5026::SOCKET"),
        ("TCPIP0::a::inst0::INSTR", "TCPIP0::a::inst1::INSTR"),
        ("SMU_LEFT", "SMU_RIGHT"),
    ],
)
def test_two_instruments_have_two_names(one: str, other: str) -> None:
    assert canonical_resource(one) != canonical_resource(other)


def test_an_instrument_under_two_spellings_is_refused_in_one_station(tmp_path: Path) -> None:
    path = tmp_path / "a.station.yaml"
    kind = "type: xbarlab.instruments.drivers.keithley_2450.Keithley2450Smu"
    path.write_text(
        f"instruments: {{a: {{{kind}, address: 'GPIB0::18::INSTR'}}, b: {{{kind}, address: 'GPIB::18'}}}}\n"
        "xbarlab: {array: a}\n"
    )
    with pytest.raises(RefusedError, match="a and b have the same address GPIB::18, there spelled GPIB0::18::INSTR"):
        read_station(path)


def test_a_second_spelling_has_the_same_owner(tmp_path: Path) -> None:
    first, second = (read_station(station(tmp_path, address, "@py")) for address in (
        "TCPIP0::127.0.0.1::5999::SOCKET", "TCPIP::localhost::5999::SOCKET"
    ))  # fmt: skip
    lock = BenchLock(first.resources, holder="first")
    lock.acquire()
    with pytest.raises(RefusedError, match=rf"127\.0\.0\.1::5999.* in use by process {os.getpid()} \(station first"):
        BenchLock(second.resources, holder="second").acquire()
    lock.release()


@posix
def test_a_bench_file_behind_a_link_and_a_state_file_of_two_benches_have_one_owner(tmp_path: Path) -> None:
    path = station(tmp_path)
    text = (tmp_path / "own.bench.yaml").read_text().replace("state: null", "state: chip.npz")
    (tmp_path / "own.bench.yaml").write_text(text)
    first = read_station(path)
    (tmp_path / "link.bench.yaml").symlink_to(tmp_path / "own.bench.yaml")
    path.write_text(path.read_text().replace("own.bench", "link.bench"))
    assert read_station(path).resources == first.resources
    (tmp_path / "copy.bench.yaml").write_text(text)
    path.write_text(path.read_text().replace("link.bench", "copy.bench"))
    copied = read_station(path)
    assert copied.resources != first.resources
    assert copied.states == first.states != ()


# -- locks -------------------------------------------------------------------------------------------------------------


@posix
def test_the_folder_of_locks_is_the_users_and_no_link_is_followed(tmp_path: Path) -> None:
    lock = BenchLock(("GPIB0::1::INSTR",), holder="me")
    lock.acquire()
    lock.release()
    assert (tmp_path / "locks").stat().st_mode & 0o777 == 0o700
    target = tmp_path / "target"
    target.mkdir(mode=0o700)
    elsewhere = BenchLock(("GPIB0::1::INSTR",), holder="me", folder=tmp_path / "led")
    (tmp_path / "led").symlink_to(target)
    with pytest.raises(RefusedError, match="led leads to another place"):
        elsewhere.acquire()
    assert target.stat().st_mode & 0o777 == 0o700
    assert list(target.iterdir()) == []


@posix
@pytest.mark.parametrize("suffix", [".lock", ".json"])
def test_a_planted_link_overwrites_nothing(tmp_path: Path, suffix: str) -> None:
    lock = BenchLock(("GPIB0::1::INSTR",), holder="me")
    lock.acquire()
    (stem,) = {path.stem for path in lock_folder().iterdir() if path.suffix == ".lock"}
    lock.release()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (lock_folder() / f"{stem}{suffix}").unlink(missing_ok=True)
    (lock_folder() / f"{stem}{suffix}").symlink_to(victim)
    if suffix == ".lock":
        with pytest.raises(RefusedError, match="leads to another place"):
            lock.acquire()
    else:
        lock.acquire()
        lock.release()
    assert victim.read_text() == "precious"


def test_without_a_setting_the_folder_is_where_the_system_keeps_a_users_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XBARLAB_LOCKS")
    from platformdirs import user_state_path

    assert lock_folder().is_relative_to(user_state_path("xbarlab", appauthor=False))


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RefusedError, match=r"folder of locks .* cannot be made .* XBARLAB_LOCKS"):
        BenchLock(("r",), holder="me", folder=tmp_path / "file" / "locks").acquire()


# -- copies ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_bench_its_lock_and_its_account_are_not_copied(tmp_path: Path, duplicate: Callable[[Any], Any]) -> None:
    with open_bench(station(tmp_path)) as bench:
        for thing in (bench, bench.wear, bench._lock):
            with pytest.raises(RefusedError, match="not copied"):
                duplicate(thing)
        bench.array.read(Block(0, 1, 0, 1))
    forget_bench(tmp_path / "own.bench.yaml")


# -- forked children ---------------------------------------------------------------------------------------------------


@posix
@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_a_forked_child_switches_nothing_off_and_can_send_nothing(tmp_path: Path) -> None:
    station(tmp_path)
    mock = fresh_bench(tmp_path / "own.bench.yaml")
    with serve(mock, port=0) as addresses:
        ((_, port),) = addresses.values()
        with open_bench(station(tmp_path, f"TCPIP0::127.0.0.1::{port}::SOCKET", "@py")) as bench:
            array: Any = bench.array
            array.read(Block(0, 1, 0, 1))
            said, given = os.pipe()
            child = os.fork()
            if child == 0:  # what happens here is told through the pipe: an assertion would end in pytest twice
                told: list[str] = []
                for act in (lambda: array.read(Block(0, 1, 0, 1)), array.idle, lambda: bench.array):
                    try:
                        act()
                        told.append("went on")
                    except RefusedError as error:
                        told.append(str(error))
                    except BaseException as error:
                        told.append(repr(error))
                bench.close()
                atexit._run_exitfuncs()
                os.write(given, json.dumps(told).encode())
                os._exit(0)
            os.close(given)
            os.waitpid(child, 0)
            with os.fdopen(said) as file:
                told = json.loads(file.read())
            # On a machine so busy that the child takes its 10 s, the watchdog acts by itself; what came before is told.
            texts = mock.log.texts()
            before = texts[: texts.index("watchdog")] if "watchdog" in texts else texts
            assert "disconnected" not in before
            assert "volts 0" not in before[1:]
            assert [f"process {os.getpid()}" in each for each in told[:2]] == [True, True], told
            assert "not open" in told[2]
            array.read(Block(0, 1, 0, 1))
            with pytest.raises(RefusedError, match="in use by"):  # the child gave no lock back
                BenchLock(bench.file.resources, holder="other").acquire()
    store = WearStore(wear_file())
    store.close()


# -- a bench in another thread -----------------------------------------------------------------------------------------

WORKER = """
import sys, threading, time
import xbarlab
from xbarlab.common.errors import XbarlabError
from xbarlab import Block, PulseMap, open_bench
mode = sys.argv[2]
if mode != "bare":
    xbarlab.catch_terminations()

def work():
    with open_bench(sys.argv[1]) as bench:
        bench.array.read(Block(0, 1, 0, 1))
        bench.station.components["board"].write("OUTP ON")
        print("open", flush=True)
        if mode == "busy":
            while True:
                bench.array.read(Block(0, 8, 0, 8))
        threading.Event().wait()

def run():
    try:
        work()
    except XbarlabError as error:
        print(error, flush=True)

thread = threading.Thread(target=run)
thread.start()
thread.join()
"""


@pytest.mark.parametrize("mode", ["busy", "idle", "bare"])
@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP"])
def test_a_bench_of_another_thread_is_made_safe_or_refused(tmp_path: Path, mode: str, number: str) -> None:
    signal = pytest.importorskip("signal")
    if not hasattr(signal, number):
        pytest.skip(f"no {number} here")
    if signal.getsignal(getattr(signal, number)) == signal.SIG_IGN:
        pytest.skip(f"whoever started the tests has {number} ignored, as nohup does")
    station(tmp_path)
    mock = fresh_bench(tmp_path / "own.bench.yaml")
    with serve(mock, port=0) as addresses:
        ((_, port),) = addresses.values()
        path = station(tmp_path, f"TCPIP0::127.0.0.1::{port}::SOCKET", "@py")
        with subprocess.Popen(
            [sys.executable, "-c", WORKER, str(path), mode], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            if mode == "bare":
                assert "catch_terminations()" in line
                assert process.wait(60) == 0
                assert mock.log.texts() == []
                return
            assert line == "open\n", process.communicate()
            time.sleep(0.2)
            process.send_signal(getattr(signal, number))
            process.wait(60)
        until = time.monotonic() + 10.0
        while "client lost" not in mock.log.texts() and time.monotonic() < until:
            time.sleep(0.02)
        texts = mock.log.texts()
        assert texts[-3:] == ["volts 0", "disconnected", "client lost"], texts
