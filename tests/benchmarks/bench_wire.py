"""What an exchange with the board costs, in process and over TCP.

    pytest tests/benchmarks/bench_wire.py --benchmark-only

Wanted (issue 2): set + get with its error query over TCP > 5,000/s; 8k-float blocks > 150 MB/s; VMM in process ≤ 40 µs
at batch 1 and ≤ 350 µs at batch 256; a 128 × 64 read is one transaction. Two yardsticks are measured in the same run,
because machines differ and other processes disturb: a ping over a bare socket between two processes, and the plain
product of the same size in float32. Judge by medians, on an idle machine.
"""

from __future__ import annotations

import itertools
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvisa

from xbarlab.instruments.block import Block
from xbarlab.instruments.station.station import load_station
from xbarlab.instruments.wire.binding import Unbound
from xbarlab.instruments.wire.wire_log import WireLog
from xbarlab.runbooks.stations import find_bench

STATIONS = Path(__file__).parents[2] / "runbooks" / "stations"
SERVER = (
    "from xbarlab.runbooks.commands.mock_serve import serve_bench;"
    "serve_bench('mock_ta_hfo2', host='127.0.0.1', port=0, seed=None)"
)
ECHO = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
link, _ = listener.accept()
link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
while data := link.recv(65536):
    link.sendall(data)
"""
ROWS, COLS, BATCHES = 128, 64, [1, 32, 256]


@pytest.fixture
def in_process() -> Iterator[Any]:
    with load_station(STATIONS / "mock_ta_hfo2.station.yaml") as bench:
        yield bench.array


@pytest.fixture
def resource() -> Iterator[Any]:
    """The same board without our driver: a plain PyVISA resource, array connected."""
    manager = pyvisa.ResourceManager(f"{find_bench('mock_ta_hfo2')}@xbarlab")
    with manager.open_resource(manager.list_resources("?*")[0]) as opened:
        opened.write_raw(b"*RST;:OUTP ON\n")
        yield opened
        opened.write_raw(b"OUTP OFF\n")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"served at (\S+)", process.stdout.readline())
        assert found is not None
        yield found.group(1)
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def over_tcp(server: str) -> Iterator[Any]:
    overrides = {"instruments": {"board": {"address": server}}}
    with load_station(STATIONS / "tcp_ta_hfo2.station.yaml", overrides=overrides) as bench:
        yield bench.array


# --- over TCP --------------------------------------------------------------------------------------------------------


def test_yardstick_ping_over_a_bare_socket(benchmark: Any) -> None:
    process = subprocess.Popen([sys.executable, "-c", ECHO], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with socket.create_connection(("127.0.0.1", int(process.stdout.readline()))) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def ping() -> bytes:
            link.sendall(b"SOUR:READ:VOLT 0.1;:SYST:ERR?\n")
            return link.recv(65536)

        benchmark(ping)
    process.wait()


def test_set_and_get_with_error_query_over_tcp(over_tcp: Any, benchmark: Any) -> None:
    """Two round trips through QCoDeS parameters: the set with its error query, and the get."""
    values = itertools.cycle(np.linspace(0.01, 0.3, 997))  # more than any cache of messages holds

    def set_and_get() -> float:
        over_tcp.read_volts(float(next(values)))
        return over_tcp.read_volts()

    benchmark(set_and_get)
    benchmark.extra_info["per_second"] = 1.0 / benchmark.stats["median"]


@pytest.mark.parametrize(("rows", "kilobytes"), [(57, 32.8), (ROWS, 73.7)])  # 8k floats, and a whole map
def test_block_read_over_tcp(over_tcp: Any, benchmark: Any, rows: int, kilobytes: float) -> None:
    """The last map again: 9 bytes a cell."""
    over_tcp.read(Block(0, rows, 0, COLS))
    size = 9 * rows * COLS
    payload = benchmark(lambda: over_tcp.wire.exchange.ask_block(b"FETC:MAP?", size))
    assert len(payload) == size == pytest.approx(1e3 * kilobytes, rel=2e-3)
    benchmark.extra_info["megabytes_per_second"] = size / benchmark.stats["median"] / 1e6


def test_read_of_the_whole_array_over_tcp(over_tcp: Any, benchmark: Any) -> None:
    benchmark(lambda: over_tcp.read(over_tcp.spec.whole))


# --- in process ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", BATCHES)
def test_yardstick_plain_product(benchmark: Any, batch: int) -> None:
    """One ``torch.matmul`` (one ``numpy.matmul`` where torch is not installed); the chip needs three, and noise."""
    rng = np.random.default_rng(0)
    left, right = rng.random((batch, ROWS), dtype=np.float32), rng.random((ROWS, COLS), dtype=np.float32)
    try:
        import torch
    except ImportError:
        benchmark(np.matmul, left, right)
    else:
        benchmark(torch.matmul, torch.from_numpy(left), torch.from_numpy(right))


@pytest.mark.parametrize("batch", BATCHES)
def test_vmm_through_pyvisa(resource: Any, benchmark: Any, batch: int) -> None:
    """Codes in, codes out, converters and noise included: one ``write_raw``, one ``read_bytes``."""
    codes = np.random.default_rng(0).integers(-1300, 1300, (batch, ROWS)).astype("<i2").tobytes()
    message = b"VMM:FORW? %d,#%d%d" % (batch, len(str(len(codes))), len(codes)) + codes + b"\n"
    reply = 2 * batch * COLS
    size = 2 + len(str(reply)) + reply + 1

    def multiply() -> bytes:
        resource.write_raw(message)
        return resource.read_bytes(size, chunk_size=size)

    multiply()  # takes the array's matrices, which serve until the next pulse
    assert benchmark(multiply)[-1:] == b"\n"


@pytest.mark.parametrize("batch", BATCHES)
def test_vmm_through_the_driver(in_process: Any, benchmark: Any, batch: int) -> None:
    """Volts in, amperes out."""
    volts = np.random.default_rng(1).uniform(-0.2, 0.2, (batch, ROWS)).astype(np.float32)
    in_process.vmm(volts)  # takes the array's matrices, which serve until the next pulse
    result = benchmark(lambda: in_process.vmm(volts))
    assert result.shape == (batch, COLS)


def test_read_of_the_whole_array_in_process(in_process: Any, benchmark: Any) -> None:
    in_process.read(in_process.spec.whole)
    before = in_process.cost.transactions
    rounds = [0]

    def read() -> None:
        in_process.read(in_process.spec.whole)
        rounds[0] += 1

    benchmark(read)
    assert in_process.cost.transactions - before == rounds[0]  # one transaction a read


def test_set_and_get_in_process(in_process: Any, benchmark: Callable[..., Any]) -> None:
    def set_and_get() -> float:
        in_process.read_volts(0.1)
        return in_process.read_volts()

    benchmark(set_and_get)


# --- what proof and log cost -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bound", [True, False])
def test_a_question_with_and_without_the_proof_whose_reply_it_is_over_tcp(
    over_tcp: Any, benchmark: Any, bound: bool
) -> None:
    """``OUTP?``; the difference is what the question in front costs, on both sides."""
    exchange, line = over_tcp.wire.exchange, over_tcp.wire.line
    own = line.binding
    line.binding = own if bound else Unbound(own)
    benchmark(lambda: exchange.query("OUTP?"))
    line.binding = own


def test_a_look_for_unread_bytes_in_process(in_process: Any, benchmark: Any) -> None:
    """What stands before every message in process, where nothing is bound."""
    benchmark(in_process.wire.line.port.surplus)


@pytest.mark.parametrize(("kind", "message"), [
    ("text", b"SOUR:READ:VOLT 0.1;:SYST:ERR?\n"),
    ("block of 256 bytes", b"VMM:FORW? 1,#3256" + bytes(256) + b"\n"),
    ("block of 64 kB", b"VMM:FORW? 256,#565536" + bytes(65536) + b"\n"),
])  # fmt: skip
def test_a_line_of_the_wire_log(benchmark: Any, tmp_path: Path, kind: str, message: bytes) -> None:
    log = WireLog(tmp_path / "wire.log")
    benchmark(lambda: log.write("board", ">", message))
    benchmark.extra_info["microseconds_per_message"] = 1e6 * benchmark.stats["median"]
    assert kind
