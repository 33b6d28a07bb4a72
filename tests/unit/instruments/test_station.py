"""Station files and the bench they become, without a board behind them."""

from __future__ import annotations

import socket
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qcodes.station import Station

from support import fake_board as fake
from xbarlab import open_bench
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.block import Block
from xbarlab.instruments.board.crossbar_board import CrossbarBoard
from xbarlab.instruments.capabilities import PulseMap
from xbarlab.instruments.clock import WallClock
from xbarlab.instruments.errors import ConnectionLostError
from xbarlab.instruments.station.bench_lock import BenchLock
from xbarlab.instruments.station.station import load_station
from xbarlab.instruments.station.station_file import read_station

STATIONS = Path(__file__).parents[3] / "runbooks" / "stations"
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


def test_a_station_wider_than_its_chip_names_both_files_before_anything_is_opened(
    lab: list[Any], write: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "c.chip.yaml").write_text(CHIP)
    path = write(f"instruments: {{board: {{{TYPE}}}}}\nxbarlab: {{chip: c.chip.yaml, limits: {{set_volts_max: 4}}}}\n")
    with pytest.raises(
        RefusedError,
        match=r"a\.station\.yaml: xbarlab\.limits: limit set_volts_max = 4 is wider than the 3 of \S+c\.chip\.",
    ):
        load_station(path)
    assert lab == []


def test_a_refused_value_names_the_file_that_narrowed_its_limit(
    lab: list[Any], write: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "c.chip.yaml").write_text(CHIP)
    path = write(f"instruments: {{board: {{{TYPE}}}}}\nxbarlab: {{chip: c.chip.yaml, limits: {{gate_max: 2}}}}\n")
    with load_station(path) as bench:
        for pulses, says in (
            (PulseMap(Block(0, 1, 0, 1), 3.5, 1e-6), r"limit is set by \S+c\.chip\.yaml: limits"),
            (PulseMap(Block(0, 1, 0, 1), 1.0, 1e-6, 2.5), r"limit is set by \S+a\.station\.yaml: xbarlab\.limits"),
            (PulseMap(Block(0, 1, 0, 1), -5.5, 1e-6), r"it is the driver's own limit"),
        ):
            with pytest.raises(RefusedError, match=says):
                bench.array.pulse(pulses)


def test_limits_of_the_board_itself_are_the_boards(lab: list[Any], write: Callable[[str], Path]) -> None:
    path = write(f"instruments: {{board: {{{TYPE}}}}}\nxbarlab: {{limits: {{count_max: 20}}}}\n")
    small = path.read_text().replace(TYPE, f"{TYPE}, init: {{capability: {{count_max: 10}}}}")
    path.write_text(small)
    with pytest.raises(RefusedError, match=r"a\.station\.yaml.*count_max = 20 is wider than the 10 of the board"):
        load_station(path).open()
    assert lab[0].session is None


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("parameters: {read_volt: {initial_value: 0.1}}", r"unknown parameter 'read_volt': .*mean 'read_volts'"),
        (
            "parameters: {read_volts: {initial_value: abc}}",
            r"board: parameters: read_volts.initial_value: 'abc' is no number: wanted is a voltage in V",
        ),
        ("parameters: {read_volts: {initial: 0.1}}", r"read_volts: unknown key 'initial'.*mean 'initial_value'"),
        ("parameters: {read_volts: 0.1}", r"parameters\.read_volts is 0\.1; it must be a mapping"),
        (
            "parameters: {board.x.read_volts: {initial_value: 0.1}}",
            r"instruments\.board: parameters: board\.x\.read_volts cannot be found",
        ),
    ],
)
def test_mistakes_in_parameters_are_bad_input(
    lab: list[Any], write: Callable[[str], Path], entry: str, says: str
) -> None:
    path = write(f"instruments: {{board: {{{TYPE}, {entry}}}}}\n")
    with pytest.raises(RefusedError, match=says):
        load_station(path).open()
    assert not lab or lab[0].session is None


def test_a_mistyped_argument_of_our_driver_names_the_right_one(write: Callable[[str], Path]) -> None:
    kind = "type: xbarlab.instruments.board.crossbar_board.CrossbarBoard"
    path = write(f"instruments: {{board: {{{kind}, address: 'GPIB::1', init: {{visalb: '@py'}}}}}}\n")
    with pytest.raises(RefusedError, match=r"unknown argument 'visalb': choose from address.*mean 'visalib'\?$"):
        load_station(path).open()


def test_an_unknown_visa_library_names_the_known_ones(write: Callable[[str], Path]) -> None:
    kind = "type: xbarlab.instruments.board.crossbar_board.CrossbarBoard"
    path = write(f"instruments: {{board: {{{kind}, address: 'GPIB::1', init: {{visalib: '@foo'}}}}}}\n")
    with pytest.raises(RefusedError, match=r"unknown VISA library '@foo': choose from .*@py, .*@xbarlab"):
        load_station(path).open()


def test_after_the_bench_the_cost_is_kept_and_the_array_refuses(lab: list[Any], write: Callable[[str], Path]) -> None:
    with load_station(write(f"instruments: {{board: {{{TYPE}}}}}\n")) as bench:
        array: Any = bench.array
        array.read(Block(0, 2, 0, 2))
    assert (array.cost.transactions, array.cost.slots) == (1, 4)
    sent = len(lab[0].sent)
    for use in (
        lambda: array.read(Block(0, 1, 0, 1)),
        lambda: array.spec,
        lambda: array.vmm(np.zeros(8)),
        array.diagnose,
    ):
        with pytest.raises(RefusedError, match="board is closed: use the array inside 'with"):
            use()
    array.idle()
    array.abort()
    array.close()
    assert len(lab[0].sent) == sent


@pytest.mark.parametrize("seed", [-1, 1.5, "7"])
def test_a_bad_seed_is_named_as_such(seed: Any) -> None:
    with pytest.raises(RefusedError, match=rf"seed {seed!r} is not a whole number of at least 0"):
        open_bench("mock_ta_hfo2", seed=seed)


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
    kind = "type: xbarlab.instruments.board.crossbar_board.CrossbarBoard"
    path = write(
        f"instruments: {{board: {{{kind}, address: 'TCPIP::127.0.0.1::{port}::SOCKET', init: {{visalib: '@py'}}}}}}"
    )
    with pytest.raises(
        ConnectionLostError, match=rf"127.0.0.1::{port}::SOCKET \(tried to connect: .*check that the instrument is on"
    ):
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
        "import sys, os; from pathlib import Path; from xbarlab.instruments.station.bench_lock import BenchLock\n"
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
    kind = "type: xbarlab.instruments.board.crossbar_board.CrossbarBoard"
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
