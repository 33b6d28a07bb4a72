"""Every way out, proved by what the simulated board did: 0 V first, then disconnected."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyvisa.constants import StatusCode
from pyvisa.errors import VisaIOError

from xbarlab import open_bench
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import PulseMap
from xbarlab.instruments.errors import ConnectionLostError
from xbarlab.instruments.station.station import Bench
from xbarlab.mockhw.bench.bench import MockBench, bench_for, forget_bench, fresh_bench
from xbarlab.mockhw.front_ends.tcp_host import serve
from xbarlab.protocols.measure.read_array import ReadArrayPlan, read_array
from xbarlab.runbooks import stations

SHIPPED = Path(stations.__file__).parent
ADDRESS = "TCPIP0::127.0.0.1::5025::SOCKET"
LONG = PulseMap(Block(0, 2, 0, 4), 0.5, 1e-3, 1.0, 1000)  # two seconds on the chip
OFF = ["volts 0", "disconnected"]


def assert_left_safely(texts: list[str], *before: str) -> None:
    """After ``before`` nothing but zeros, the array disconnected after the last of them, the client gone after that."""
    assert tuple(texts[: len(before)]) == before
    assert set(texts[len(before) : -3]) <= {"volts 0"}
    assert texts[-3:] == [*OFF, "client lost"]


def make_station(folder: Path, *, port: int | None = None, clock: str = "auto") -> Path:
    """A station of one's own, in process or at a port; only what the board does is of interest here."""
    for kind in ("bench", "chip"):
        text = (SHIPPED / f"mock_ta_hfo2.{kind}.yaml").read_text(encoding="utf-8")
        (folder / f"own.{kind}.yaml").write_text(text, encoding="utf-8")
    address = ADDRESS if port is None else ADDRESS.replace("5025", str(port))
    visalib = "own.bench.yaml@xbarlab" if port is None else '"@py"'
    path = folder / "own.station.yaml"
    path.write_text(
        "instruments:\n  board:\n    type: xbarlab.instruments.board.crossbar_board.CrossbarBoard\n"
        f"    address: {address}\n    init: {{visalib: {visalib}}}\n"
        f"xbarlab: {{array: board, chip: own.chip.yaml, clock: {clock}}}\n",
        encoding="utf-8",
    )
    return path


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    end = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < end, "did not happen within 60 s"
        assert process is None or process.poll() is None, process.communicate() if process else ""
        time.sleep(0.01)


@pytest.fixture
def in_process(tmp_path: Path) -> Iterator[tuple[Bench, MockBench]]:
    station = make_station(tmp_path)
    yield open_bench(station), bench_for(tmp_path / "own.bench.yaml")
    forget_bench(tmp_path / "own.bench.yaml")


def test_normal_end(in_process: tuple[Bench, MockBench]) -> None:
    bench, mock = in_process
    with bench:
        read_array(bench.array, ReadArrayPlan(cells="0:2,0:2"))
        assert mock.log.texts() == ["connected"]
    assert_left_safely(mock.log.texts(), "connected")


def test_ctrl_c_in_the_middle_of_a_pulse_map(in_process: tuple[Bench, MockBench]) -> None:
    bench, mock = in_process
    with pytest.raises(KeyboardInterrupt), bench:  # noqa: PT012
        array: Any = bench.array
        advance = array.advance_simulation

        def interrupt(seconds: float) -> None:
            advance(0.1 * seconds)  # a tenth of the map has fired when the operator has seen enough
            raise KeyboardInterrupt

        array.clock.wait = interrupt
        try:
            array.pulse(LONG)
        finally:
            cost = array.cost
    assert_left_safely(mock.log.texts(), "connected", "start MAP 2000 slots", "cut MAP")
    assert 0 < cost.pulses < 8000 // 5, "a part was done, and is known"
    zero, gone = list(mock.log.events)[-3:-1]
    assert gone.time >= zero.time + 10e-6, "§3: 10 µs between the two"


def test_an_exception_in_a_protocol(in_process: tuple[Bench, MockBench]) -> None:
    bench, mock = in_process
    with pytest.raises(ZeroDivisionError), bench:  # noqa: PT012
        array: Any = bench.array
        read = array.read

        def broken(*arguments: Any, **options: Any) -> Any:
            read(*arguments, **options)
            raise ZeroDivisionError

        array.read = broken
        read_array(array, ReadArrayPlan(cells="0:2,0:2"))
    assert_left_safely(mock.log.texts(), "connected")


@pytest.fixture
def over_tcp(tmp_path: Path) -> Iterator[tuple[Path, MockBench]]:
    make_station(tmp_path)
    mock = fresh_bench(tmp_path / "own.bench.yaml", seed=1)
    with serve(mock, port=0) as addresses:
        yield make_station(tmp_path, port=addresses[ADDRESS][1], clock="wall"), mock
    forget_bench(tmp_path / "own.bench.yaml")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for another process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_real_signal_in_the_middle_of_a_pulse_map_over_tcp(over_tcp: tuple[Path, MockBench], number: int) -> None:
    """The clock is the wall's, so that a minute of pulses leaves time to interrupt them."""
    station, mock = over_tcp
    arguments = ["pulse", "--station", str(station), "--cell", "1,1", "--volts", "0.5", "--gate", "1"]
    arguments += ["--width", "1ms", "--count", "60000"]
    # A shell that runs the tests in the background hands SIGINT down ignored.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from xbarlab import cli; sys.exit(cli.main(sys.argv[1:]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            wait_for(lambda: "start MAP 60000 slots" in mock.log.texts(), process)
            time.sleep(0.3)
            process.send_signal(number)
            _, said = process.communicate(timeout=30.0)
        finally:
            process.kill()
    assert process.returncode == 130, said
    assert said == "xbarlab: interrupted; an open bench was taken to 0 V first, then disconnected\n"
    wait_for(lambda: "client lost" in mock.log.texts())
    texts = mock.log.texts()
    assert_left_safely(texts[texts.index("start MAP 60000 slots") :], "start MAP 60000 slots", "cut MAP")


def test_half_a_block_over_tcp_ends_the_connection_and_with_it_the_bias(over_tcp: tuple[Path, MockBench]) -> None:
    """Whatever is sent after half a block is payload to the board: only the lost client gets through."""
    station, mock = over_tcp
    with open_bench(station) as bench:
        array: Any = bench.array
        array.read(Block(0, 1, 0, 1))
        port = array.wire.line.port
        whole = port.write

        def half(data: bytes) -> None:
            if b"PULS:MAP" not in data:
                whole(data)
                return
            whole(data[: len(data) // 2])
            port.half_sent = True
            raise VisaIOError(StatusCode.error_timeout)

        port.write = half
        with pytest.raises(ConnectionLostError, match=r"cut off in the middle of its block.*open the bench again"):
            array.pulse(PulseMap(Block(0, 128, 0, 64), 0.5, 1e-6, 1.0))
        wait_for(lambda: mock.log.texts()[-1] == "disconnected")
        assert mock.log.texts() == ["connected", "client lost", *OFF]
    with open_bench(station) as bench:
        bench.array.read(Block(0, 1, 0, 1))


def test_a_board_that_takes_no_more_bytes_is_known_to_hold_half_a_message() -> None:
    """A real socket whose other end stops reading in the middle of a block."""
    from xbarlab.instruments.wire.ports import SocketPort

    with socket.create_server(("127.0.0.1", 0)) as server:
        here = socket.create_connection(server.getsockname())
        there, _ = server.accept()

    class Handle:
        session, timeout = 1, 0.0

    with here, there:
        port = SocketPort(Handle(), here)  # pyright: ignore[reportArgumentType]
        port.set_timeout(0.05)
        with pytest.raises(VisaIOError):
            port.write(bytes(50_000_000))
        assert port.half_sent
        assert port.clear() is False
