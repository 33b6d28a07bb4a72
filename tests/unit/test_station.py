"""Station files and the bench they become, without a board behind them."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qcodes.station import Station

from xbarlab.instruments.bench_lock import BenchLock
from xbarlab.instruments.clock import WallClock
from xbarlab.instruments.crossbar_board import CrossbarBoard
from xbarlab.instruments.errors import ConnectionLostError, RefusedError
from xbarlab.instruments.station import load_station
from xbarlab.instruments.station_file import read_station


def _load_fake() -> Any:
    if "xbarlab_fake_board" not in sys.modules:
        path = Path(__file__).parents[1] / "fake_board.py"
        spec = importlib.util.spec_from_file_location("xbarlab_fake_board", path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules["xbarlab_fake_board"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules["xbarlab_fake_board"]


fake = _load_fake()
STATIONS = Path(__file__).parents[2] / "runbooks" / "stations"
TYPE = "type: fake_lab.Board"
CHIP = "id: c\nrows: 8\ncols: 4\ncell: 1T1R\nlimits: {set_volts_max: 3}\nbad_cells: [[1, 1]]\n"


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    boards: list[Any] = []

    def make(name: str, capability: dict[str, Any] | None = None, address: str = "", **kwargs: Any) -> Any:
        boards.append(fake.FakeBoard(**(capability or {})))
        return CrossbarBoard(name, resource=boards[-1], **kwargs)

    module = types.ModuleType("fake_lab")
    module.Board = make
    monkeypatch.setitem(sys.modules, "fake_lab", module)
    return boards


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "a.station.yaml"
        path.write_text(text)
        return path

    return write


def test_a_bench_has_what_protocols_need(lab: list[Any], write: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "c.chip.yaml").write_text(CHIP)
    path = write(f"instruments: {{board: {{{TYPE}}}}}\nxbarlab: {{chip: c.chip.yaml, limits: {{gate_max: 2.0}}}}\n")
    before = Station.default
    with load_station(path) as bench:
        spec = bench.array.spec
        assert (spec.limits.set_volts_max, spec.limits.gate_max, spec.bad_cells) == (3.0, 2.0, ((1, 1),))
        assert spec.read_gate == 2.0
        assert bench.identities["board"].serial == "0007"
        assert isinstance(bench.clock, WallClock)
        assert bench.chip is not None
        assert bench.chip.id == "c"
        assert Station.default is bench.station
        assert set(bench.station.components) == {"board"}
        assert lab[0].sent  # it did open
    assert Station.default is before
    assert lab[0].session is None
    with pytest.raises(RefusedError, match="not open"):
        _ = bench.array


def test_a_simulators_clock_is_reached_over_the_wire(lab: list[Any], write: Callable[[str], Path]) -> None:
    path = write(f"instruments: {{board: {{{TYPE}, init: {{capability: {{clock: simulated}}}}}}}}\n")
    with load_station(path) as bench:
        assert bench.identities["board"].simulation == {"profile": "fake", "seed": 1}
        bench.clock.wait(3600.0)
    assert "SIM:CLOC:ADV 3600.0;:SYST:ERR?" in lab[0].said


def test_a_simulated_clock_is_not_for_real_boards(lab: list[Any], write: Callable[[str], Path]) -> None:
    path = write(f"instruments: {{board: {{{TYPE}}}}}\nxbarlab: {{clock: simulated}}\n")
    with pytest.raises(RefusedError, match="real instrument"):
        load_station(path).open()
    assert lab[0].session is None


def test_overrides_are_merged_over_the_file(lab: list[Any], write: Callable[[str], Path]) -> None:
    path = write(f"instruments: {{board: {{{TYPE}}}}}\nxbarlab: {{limits: {{gate_max: 2.0}}}}\n")
    with load_station(path, overrides={"xbarlab": {"limits": {"set_volts_max": 1.0}}}) as bench:
        limits = bench.array.spec.limits
        assert (limits.gate_max, limits.set_volts_max) == (2.0, 1.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("instrument: {}\n", "unknown section 'instrument'.*instruments"),
        ("xbarlab: {}\n", "needs an instruments section"),
        ("instruments: 3\n", "must be a mapping"),
        (
            "instruments: {board: {adress: x, TYPE}}\n",
            "instruments.board.*unknown key 'adress'.*mean 'address'",
        ),
        ("instruments: {board: {address: x}}\n", "type is None: write module.Class"),
        ("instruments: {board: {type: fake_lab.Bord}}\n", "fake_lab.Bord cannot be imported"),
        ("instruments: {board: {type: no_such_lab.Board}}\n", "no_such_lab.Board cannot be imported"),
        ("instruments: {board: {TYPE}}\nxbarlab: {arrays: board}\n", "unknown key 'arrays'.*did you mean 'array'"),
        ("instruments: {board: {TYPE}}\nxbarlab: {array: smu}\n", "unknown instrument 'smu': choose from board"),
        ("instruments: {board: {TYPE}}\nxbarlab: {clock: sundial}\n", "unknown clock 'sundial'.*auto, simulated, wall"),
        ("instruments: {board: {TYPE}}\nxbarlab: {limits: {gate_max: 50}}\n", "gate_max = 50 is wider"),
        ("instruments: {board: {TYPE}}\nxbarlab: {limits: {gate: 1}}\n", "unknown limit 'gate'"),
        ("instruments: {board: {TYPE}}\nxbarlab: {limits: 3}\n", "must be a mapping"),
        ("instruments: {board: {TYPE}}\nxbarlab: {chip: x.chip.yaml}\n", "unknown chip file 'x.chip.yaml'"),
        ("instruments: {board: {TYPE, init: {visalib: b.bench.yaml@xbarlab}}}\n", "unknown bench file 'b.bench.yaml'"),
        (
            "instruments: {a: {TYPE, address: GPIB::1}, b: {TYPE, address: GPIB::1}}\nxbarlab: {array: a}\n",
            "a and b have the same address GPIB::1",
        ),
        ("instruments: {a: {TYPE}, b: {TYPE}}\n", "unknown instrument ''.*choose from a, b"),
    ],
)
def test_bad_stations_are_refused_before_anything_is_opened(
    lab: list[Any], write: Callable[[str], Path], text: str, words: str
) -> None:
    path = write(text.replace("TYPE", TYPE))
    with pytest.raises(RefusedError, match=words) as caught:
        load_station(path)
    assert str(path.parent) in str(caught.value)
    assert lab == []


def test_a_station_that_is_not_there_lists_what_is(tmp_path: Path) -> None:
    (tmp_path / "mine.station.yaml").write_text("")
    with pytest.raises(RefusedError, match=r"unknown station file 'mime.station.yaml': choose from mine.station.yaml"):
        load_station(tmp_path / "mime.station.yaml")


def test_a_chip_that_does_not_fit_the_board_is_refused_and_all_closed(
    lab: list[Any], write: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "c.chip.yaml").write_text(CHIP.replace("rows: 8", "rows: 9"))
    path = write(f"instruments: {{board: {{{TYPE}}}}}\nxbarlab: {{chip: c.chip.yaml}}\n")
    with pytest.raises(RefusedError, match=r"chip c is 9 × 4.*is 8 × 4"):
        load_station(path).open()
    assert lab[0].session is None


def test_unknown_init_arguments_are_one_sentence(lab: list[Any], write: Callable[[str], Path]) -> None:
    path = write(f"instruments: {{board: {{{TYPE}, init: {{colour: red}}}}}}\n")
    with pytest.raises(RefusedError, match=r"instruments.board.*colour"):
        load_station(path).open()


def test_an_initial_value_beyond_the_limits_is_refused_and_the_bench_closed(
    lab: list[Any], write: Callable[[str], Path]
) -> None:
    parameters = "parameters: {read_volts: {limits: [-9, 9], initial_value: 3.0}}"
    path = write(f"instruments: {{board: {{{TYPE}, {parameters}}}}}\n")
    with pytest.raises(RefusedError, match="read_volts 3 V"):
        load_station(path).open()
    assert not any(b"VOLT" in message for message in lab[0].sent)
    assert lab[0].session is None


def test_a_dead_address_is_named_with_the_remedy(write: Callable[[str], Path]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    kind = "type: xbarlab.instruments.crossbar_board.CrossbarBoard"
    path = write(
        f"instruments: {{board: {{{kind}, address: 'TCPIP::127.0.0.1::{port}::SOCKET', init: {{visalib: '@py'}}}}}}"
    )
    with pytest.raises(ConnectionLostError, match=rf"127.0.0.1::{port}::SOCKET.*check that the instrument is on"):
        load_station(path).open()
    with pytest.raises(ConnectionLostError):  # and the lock was given back
        load_station(path).open()


def test_a_bench_is_owned_by_one_at_a_time(lab: list[Any], write: Callable[[str], Path]) -> None:
    path = write(f"instruments: {{board: {{{TYPE}, address: 'GPIB0::owned-by-one::INSTR'}}}}\n")
    with (
        load_station(path),
        pytest.raises(RefusedError, match=r"owned-by-one.* in use by process \d+ \(station .*a.station"),
    ):
        load_station(path).open()
    with load_station(path):
        pass


def test_a_second_bench_of_the_same_name_leaves_the_first_alone(lab: list[Any], write: Callable[[str], Path]) -> None:
    path = write(f"instruments: {{board: {{{TYPE}}}}}\n")
    with load_station(path) as first:
        with pytest.raises(RefusedError, match="named board is open in this process already"):
            load_station(path).open()
        assert lab[0].session is not None
        first.array.idle()
    assert len(lab) == 1


def test_a_lock_outlives_no_process(tmp_path: Path) -> None:
    code = (
        "import sys, os; from pathlib import Path; from xbarlab.instruments.bench_lock import BenchLock\n"
        f"BenchLock(('r',), holder='h', folder=Path({str(tmp_path)!r})).acquire(); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    lock = BenchLock(("r",), holder="me", folder=tmp_path)
    lock.acquire()
    with pytest.raises(RefusedError, match="in use by process"):
        BenchLock(("q", "r"), holder="you", folder=tmp_path).acquire()
    lock.release()
    both = BenchLock(("q", "r"), holder="you", folder=tmp_path)
    both.acquire()
    both.release()


def test_paths_in_a_station_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "b.bench.yaml").write_text("chip: {state: null}\n")
    path = tmp_path / "s.station.yaml"
    kind = "type: xbarlab.instruments.crossbar_board.CrossbarBoard"
    text = f"instruments: {{board: {{{kind}, address: A, init: {{visalib: b.bench.yaml@xbarlab}}}}}}\n"
    path.write_text(text)
    station = read_station(path)
    assert station.instruments["board"]["init"]["visalib"] == f"{tmp_path / 'b.bench.yaml'}@xbarlab"
    assert station.resources == ()  # every process has its own such bench
    (tmp_path / "b.bench.yaml").write_text("chip: {state: chip.npz}\n")
    assert len(read_station(path).resources) == 1  # a chip that lives on in a file has one owner


@pytest.mark.parametrize("name", ["mock_ta_hfo2", "tcp_ta_hfo2", "board_example"])
def test_the_shipped_stations_are_good(name: str) -> None:
    station = read_station(STATIONS / f"{name}.station.yaml")
    assert station.array == "board"
