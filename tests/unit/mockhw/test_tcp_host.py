"""The bench on sockets: the same replies as in process, one client, a safe end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import pyvisa

from xbarlab.instruments.board.crossbar_board import CrossbarBoard
from xbarlab.instruments.errors import ConnectionLostError
from xbarlab.mockhw.bench.bench import MockBench, fresh_bench
from xbarlab.mockhw.front_ends.tcp_host import HostError, TcpHost, serve

ADDRESS = "TCPIP0::127.0.0.1::5025::SOCKET"


def make(folder: Path, rest: str = "") -> MockBench:
    path = folder / "tcp.bench.yaml"
    path.write_text(
        f'chip: {{profile: ta_hfo2_1t1r, seed: 4}}\ninstruments: [{{kind: array_board, address: "{ADDRESS}"}}]\n{rest}',
        encoding="utf-8",
    )
    return fresh_bench(path)


@pytest.fixture
def bench(tmp_path: Path) -> MockBench:
    return make(tmp_path)


@pytest.fixture
def place(bench: MockBench) -> Iterator[tuple[str, int]]:
    with serve(bench, port=0) as addresses:
        yield addresses[ADDRESS]


class Client:
    """A plain socket client."""

    def __init__(self, place: tuple[str, int]) -> None:
        self.socket = socket.create_connection(place, timeout=5.0)
        self.file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def ask(self, data: bytes) -> bytes:
        self.send(data)
        return self.file.readline()

    def close(self) -> None:
        self.file.close()
        self.socket.close()


def wait_for(condition) -> None:
    end = time.monotonic() + 5.0
    while not condition():
        assert time.monotonic() < end, "did not happen within 5 s"
        time.sleep(0.005)


def exchange(send_and_read) -> list[bytes]:
    """A conversation that acts, with replies of known length."""
    n = 64
    planes = [np.full(n, v, k).tobytes() for v, k in ((13107, "<i2"), (9830, "<i2"), (1, "<u2"), (100000, "<u4"))]
    pulses = b"PULS:MAP 0,1,0,64,#3640" + b"".join(planes) + b"\n"
    vectors = b"VMM:FORW? 2,#3512" + np.arange(256).astype("<i2").tobytes() + b"\n"
    replies = [send_and_read(b"OUTP ON;:SYST:ERR?\n", 13)]
    for _ in range(3):
        send_and_read(pulses, 0)
        replies.append(send_and_read(b"*OPC?;:SYST:ERR?\n", 15))
        replies.append(send_and_read(b"READ:MAP? 0,2,0,64\n", 6 + 9 * 128 + 1))
        replies.append(send_and_read(vectors, 5 + 256 + 1))
    replies.append(send_and_read(b"SIM:CLOC?\n", -1))
    return replies


def test_the_same_seed_gives_the_same_bytes_as_in_process(bench: MockBench, place: tuple[str, int]) -> None:
    client = Client(place)

    def over_tcp(data: bytes, size: int) -> bytes:
        client.send(data)
        return client.file.read(size) if size > 0 else client.file.readline() if size else b""

    outside = exchange(over_tcp)
    client.close()
    inner = fresh_bench(bench.path).instruments[ADDRESS]

    def in_process(data: bytes, size: int) -> bytes:
        inner.receive(data)
        return inner.wait_for_reply() or b""

    inside = exchange(in_process)
    assert outside == inside
    assert len(set(outside)) > 5


def test_messages_may_be_pipelined_and_cut_anywhere(place: tuple[str, int]) -> None:
    client = Client(place)
    message = b"OUTP ON\nREAD:MAP? 0,1,0,1\nDIAG:REF?\n*OPC?\nSYST:ERR?\n"
    client.send(message)
    assert client.file.read(3 + 9 + 1)[:3] == b"#19"
    assert client.file.readline().endswith(b",10000\n")
    assert client.file.readline() == b"1\n"
    assert client.file.readline() == b'0,"No error"\n'
    for at in range(len(b"*IDN?\n")):
        client.send(b"*IDN?\n"[at : at + 1])
        time.sleep(0.002)
    assert client.file.readline().startswith(b"xbarlab,")
    client.close()


def test_large_blocks_in_both_directions(place: tuple[str, int]) -> None:
    client = Client(place)
    batch = 20000
    codes = np.zeros((batch, 128), "<i2")
    client.ask(b"OUTP ON;:SYST:ERR?\n")
    client.send(b"VMM:FORW? 20000,#7%d" % codes.nbytes + codes.tobytes() + b"\n")
    assert client.file.read(9) == b"#72560000"
    assert len(client.file.read(2560000)) == 2560000
    assert client.file.readline() == b"\n"
    assert client.ask(b"SYST:ERR?\n") == b'0,"No error"\n'
    client.close()


def test_a_second_client_is_sent_away_and_the_first_goes_on(place: tuple[str, int]) -> None:
    first = Client(place)
    assert first.ask(b"*OPC?\n") == b"1\n"
    second = Client(place)
    assert second.file.read() == b""
    second.close()
    assert first.ask(b"*OPC?\n") == b"1\n"
    first.close()


def test_a_lost_client_leaves_the_board_off_and_free(bench: MockBench, place: tuple[str, int]) -> None:
    client = Client(place)
    assert client.ask(b"OUTP ON;OUTP?\n") == b"1\n"
    client.close()
    wait_for(lambda: bench.log.texts()[-3:] == ["client lost", "volts 0", "disconnected"])
    again = Client(place)
    assert again.ask(b"OUTP?\n") == b"0\n"
    again.close()


def test_the_watchdog_runs_by_itself(bench: MockBench, place: tuple[str, int]) -> None:
    client = Client(place)
    assert client.ask(b"SYST:WATC 0.05;:OUTP ON;OUTP?\n") == b"1\n"
    wait_for(lambda: bench.log.texts()[-3:] == ["watchdog", "volts 0", "disconnected"])
    assert client.ask(b"OUTP?;:SYST:ERR?\n").startswith(b"0;-365,")
    client.close()


def test_the_end_of_the_host_leaves_the_board_off(bench: MockBench) -> None:
    with serve(bench, port=0) as addresses:
        host, port = addresses[ADDRESS]
        assert host == "127.0.0.1", "loopback unless told otherwise"
        client = Client((host, port))
        client.ask(b"OUTP ON;OUTP?\n")
    assert bench.log.texts()[-3:] == ["client lost", "volts 0", "disconnected"]
    assert client.file.read() == b""
    client.close()
    with pytest.raises(OSError):
        socket.create_connection((host, port), timeout=1.0)


def test_what_a_host_sent_before_it_died_counts_although_the_end_comes_first(
    bench: MockBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message arrives, its sender dies and the host is told to stop, all before its loop looks again."""
    (board,) = bench.instruments.values()
    heard: list[bytes] = []
    receive = board.receive
    monkeypatch.setattr(board, "receive", lambda data: (heard.append(data), receive(data)))
    with serve(bench, port=0) as addresses:
        client = Client(addresses[ADDRESS])
        client.ask(b"*IDN?\n")
        host: list[TcpHost] = []
        done = threading.Event()
        look = TcpHost._look_at_the_time

        def dying(self: TcpHost) -> None:
            look(self)
            if not host:
                host.append(self)
                client.send(b"OUTP ON\n")
                client.close()
                self.stop()
                done.set()

        monkeypatch.setattr(TcpHost, "_look_at_the_time", dying)
        assert done.wait(5.0)
    assert heard[-1] == b"OUTP ON\n"
    assert bench.log.texts()[-3:] == ["client lost", "volts 0", "disconnected"]


def test_a_port_in_use_is_said_so(bench: MockBench, place: tuple[str, int]) -> None:
    with (
        pytest.raises(HostError, match=rf"cannot serve .* at 127.0.0.1:{place[1]}: .*another port"),
        serve(bench, port=place[1]),
    ):
        pass


def test_scripted_drop_closes_the_connection(tmp_path: Path) -> None:
    bench = make(tmp_path, "faults: [{kind: drop_connection, header: 'READ:MAP?'}]\n")
    with serve(bench, port=0) as addresses:
        client = Client(addresses[ADDRESS])
        client.ask(b"OUTP ON;OUTP?\n")
        assert client.ask(b"READ:MAP? 0,1,0,1\n") == b""
        client.close()
        again = Client(addresses[ADDRESS])
        assert again.ask(b"OUTP?\n") == b"0\n"
        again.close()


def test_pyvisa_py_talks_to_it(place: tuple[str, int]) -> None:
    manager = pyvisa.ResourceManager("@py")
    board = manager.open_resource(
        f"TCPIP0::{place[0]}::{place[1]}::SOCKET", read_termination="\n", write_termination="\n"
    )
    assert board.query("*IDN?").startswith("xbarlab,")  # pyright: ignore[reportAttributeAccessIssue]
    board.close()


def test_a_driver_that_finds_the_place_taken_says_so_at_once(
    place: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second connection is closed at once, which pyvisa-py's clear takes for bytes to read, for ever."""
    clear = CrossbarBoard.device_clear

    def late(self: CrossbarBoard) -> None:
        time.sleep(0.3)  # so that it is closed by then
        clear(self)

    monkeypatch.setattr(CrossbarBoard, "device_clear", late)
    address = f"TCPIP0::{place[0]}::{place[1]}::SOCKET"
    first = CrossbarBoard("first", address, visalib="@py")
    begun = time.monotonic()
    with pytest.raises(ConnectionLostError, match=rf"second does not answer at {address}.*no other program holds it"):
        CrossbarBoard("second", address, visalib="@py")
    assert time.monotonic() - begun < 3.0
    first.close()
