"""The host under clients that mean it no good: the next one is answered, and memory stays where it was.

pytest tests/unit/test_tcp_host_hostile.py -s      prints what each attack cost
"""

from __future__ import annotations

import gc
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from xbarlab.mockhw.bench.bench import MockBench, fresh_bench
from xbarlab.mockhw.faults import Fault
from xbarlab.mockhw.front_ends.tcp_host import HostError, is_loopback, serve
from xbarlab.mockhw.scpi.wire_limits import HostLimits

STATIONS = Path(__file__).parents[3] / "runbooks" / "stations"
BOARD = "TCPIP0::127.0.0.1::5025::SOCKET"
MIB = 1 << 20
Place = tuple[str, int]

QUICK = HostLimits(message_seconds=0.3, message_rate=1e7, stalled_seconds=0.3, token_seconds=0.3, unsent=MIB)


@pytest.fixture
def board(tmp_path: Path) -> MockBench:
    path = tmp_path / "one.bench.yaml"
    path.write_text(
        f'chip: {{profile: ta_hfo2_1t1r}}\ninstruments: [{{kind: array_board, address: "{BOARD}"}}]\n', encoding="utf-8"
    )
    return fresh_bench(path)


@pytest.fixture
def station() -> MockBench:
    return fresh_bench(STATIONS / "mock_tio2.bench.yaml")


def connect(place: Place) -> socket.socket:
    return socket.create_connection(place, timeout=10.0)


def line(link: socket.socket, message: bytes) -> bytes:
    link.sendall(message)
    with link.makefile("rb") as file:
        return file.readline()


def closed(link: socket.socket) -> bool:
    """Whether the other end has gone (or goes soon); what it still says is thrown away."""
    with suppress(ConnectionError):
        while link.recv(65536):
            pass
    return True


def assert_answers(place: Place, *, within: float = 5.0, token: bytes = b"") -> None:
    """The next client gets its ``*IDN?``."""
    end = time.monotonic() + within
    while True:
        with connect(place) as link, suppress(ConnectionError):
            if line(link, token + b"*IDN?\n").count(b",") >= 3:
                return
        assert time.monotonic() < end, "nobody answers *IDN?"
        time.sleep(0.02)


@contextmanager
def measured(title: str, *, at_most: int) -> Iterator[None]:
    """Bound Python's memory while the body runs [bytes], and say what it was."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    begun = time.monotonic()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    print(f"\n{title:<44}{time.monotonic() - begun:8.2f} s{peak / MIB:9.2f} MiB at most")
    assert peak < at_most


@pytest.mark.slow
def test_a_block_of_a_gigabyte(board: MockBench) -> None:
    chunk = bytes(MIB)
    with serve(board, port=0) as places, measured("a block of 999,999,999 bytes, sent", at_most=16 * MIB):
        with connect(places[BOARD]) as link:
            link.sendall(b"PULS:MAP 0,1,0,1,#9999999999")
            for _ in range(999_999_999 // MIB):
                link.sendall(chunk)
            link.sendall(chunk[: 999_999_999 % MIB])
            assert line(link, b";:SYST:ERR?\n").startswith(b"-223,")
        assert_answers(places[BOARD])


def test_a_block_of_a_gigabyte_that_never_comes(board: MockBench) -> None:
    with serve(board, port=0, limits=QUICK) as places, connect(places[BOARD]) as link:
        link.sendall(b"PULS:MAP 0,1,0,1,#9999999999")
        assert closed(link)
        assert_answers(places[BOARD])


@pytest.mark.slow
def test_two_hundred_connections(station: MockBench) -> None:
    with serve(station, port=0) as places:
        place = next(iter(places.values()))
        with measured("200 connections to one instrument", at_most=16 * MIB):
            links = [connect(place) for _ in range(200)]
            answered = 0
            for link in links:
                with suppress(ConnectionError):
                    answered += line(link, b"*IDN?\n").count(b",") >= 3
        assert answered == HostLimits().clients
        for link in links:
            link.close()
        assert_answers(place)


def test_two_hundred_connections_to_an_instrument_that_takes_one(board: MockBench) -> None:
    with serve(board, port=0) as places, connect(places[BOARD]) as first:
        assert line(first, b"*OPC?\n") == b"1\n"
        for _ in range(200):
            with connect(places[BOARD]) as link:
                assert closed(link)
        assert line(first, b"*OPC?\n") == b"1\n"


def test_a_host_takes_only_so_many_clients(station: MockBench) -> None:
    with serve(station, port=0, limits=HostLimits(clients_in_all=3)) as places:
        links = [connect(place) for place in places.values() for _ in range(2)]
        answered = 0
        for link in links:
            with suppress(ConnectionError):
                answered += line(link, b"*IDN?\n").count(b",") >= 3
        for link in links:  # not before all have been asked: a place that is free again is given away
            link.close()
        assert answered == 3
        assert_answers(next(iter(places.values())))


def test_a_client_that_sends_a_byte_now_and_then(board: MockBench) -> None:
    with serve(board, port=0, limits=QUICK) as places, connect(places[BOARD]) as slow:
        begun = time.monotonic()
        with suppress(ConnectionError):
            while time.monotonic() - begun < 5.0:
                slow.sendall(b"*")
                time.sleep(0.05)
        assert time.monotonic() - begun < 2.0, "its time was up"
        assert_answers(places[BOARD])


def test_a_client_in_the_middle_of_a_message_does_not_mix_with_others(station: MockBench) -> None:
    with serve(station, port=0) as places:
        place = next(iter(places.values()))
        with connect(place) as slow, connect(place) as block, connect(place) as other:
            slow.sendall(b"*ID")
            block.sendall(b"*ESE #9999999999")
            for _ in range(3):
                assert line(other, b"*ESE?\n") == b"0\n"
            assert line(slow, b"N?\n").count(b",") == 3


def test_a_quiet_client_between_messages_may_be_quiet(board: MockBench) -> None:
    with serve(board, port=0, limits=QUICK) as places, connect(places[BOARD]) as link:
        assert line(link, b"*OPC?\n") == b"1\n"
        time.sleep(1.0)
        assert line(link, b"*OPC?\n") == b"1\n"


@pytest.mark.slow
def test_a_client_that_never_reads(board: MockBench) -> None:
    with serve(board, port=0, limits=QUICK) as places, connect(places[BOARD]) as link:
        line(link, b"OUTP ON;:READ:MAP? 0,128,0,64;:OUTP?\n")
        with measured("a client that never reads, 73 kB a query", at_most=32 * MIB):
            link.settimeout(0.5)
            with suppress(OSError):
                for _ in range(200):
                    link.sendall(b"FETC:MAP?\n" * 1000)
            assert_answers(places[BOARD])


@pytest.mark.slow
def test_who_shares_an_instrument_and_never_reads_is_dropped_at_once(station: MockBench) -> None:
    with serve(station, port=0, limits=HostLimits(unsent=MIB)) as places:
        place = next(iter(places.values()))
        with connect(place) as greedy, connect(place) as other:
            greedy.settimeout(0.5)
            with measured("many queries and no reader, shared", at_most=64 * MIB), suppress(OSError):
                for _ in range(100):
                    greedy.sendall(b"*IDN?;*IDN?;*IDN?;*IDN?;*IDN?;*IDN?;*IDN?;*IDN?\n" * 1000)
            begun = time.monotonic()
            assert line(other, b"*OPC?\n") == b"1\n"
            assert time.monotonic() - begun < 5.0


def test_a_reader_that_is_only_slow_gets_everything(board: MockBench) -> None:
    with serve(board, port=0, limits=HostLimits(unsent=100_000)) as places, connect(places[BOARD]) as link:
        line(link, b"OUTP ON;:READ:MAP? 0,128,0,64;:OUTP?\n")
    with serve(board, port=0, limits=HostLimits(unsent=100_000)) as places, connect(places[BOARD]) as link:
        size = 7 + 9 * 8192 + 1
        link.sendall(b"FETC:MAP?\n" * 200 + b"*OPC?\n")
        got = 0
        while got < 200 * size + 2:
            time.sleep(0.001)
            got += len(link.recv(300_000))
        assert got == 200 * size + 2


def test_a_mistake_in_a_simulator_costs_one_connection(board: MockBench) -> None:
    instrument = board.instruments[BOARD]
    command = instrument.session.tree.find("*TST?")
    assert command is not None

    def breaks(_: bytes) -> None:
        raise ZeroDivisionError

    with serve(board, port=0) as places, connect(places[BOARD]) as link:
        keep, instrument.session.reader.compile = instrument.session.reader.compile, breaks  # pyright: ignore
        link.sendall(b"*TST?\n")
        assert closed(link)
        instrument.session.reader.compile = keep  # pyright: ignore[reportAttributeAccessIssue]
        assert_answers(places[BOARD])
    assert any("ZeroDivisionError" in what for what in board.log.texts())


# --- the token ------------------------------------------------------------------------------------------------------


def test_what_is_loopback() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "127.9.9.9", "localhost", "::1")] == [True] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "192.168.1.5", "lab-pc", "", "::")] == [False] * 5


def test_no_host_beyond_this_computer_without_a_token(board: MockBench) -> None:
    with pytest.raises(HostError, match="give a token"), serve(board, "0.0.0.0", 0):
        pass
    with pytest.raises(HostError, match="printable"), serve(board, port=0, token="two\nlines"):
        pass


def test_nothing_acts_before_the_token(board: MockBench) -> None:
    with serve(board, "0.0.0.0", 0, token="open sesame", limits=QUICK) as places:
        place = ("127.0.0.1", places[BOARD][1])
        for wrong in (b"OUTP ON\n", b"XBAR:TOKEN open\nOUTP ON\n", b"xbar:token open sesame\nOUTP ON\n", b"O" * 300):
            with connect(place) as link:
                link.sendall(wrong)
                assert closed(link)
        with connect(place) as silent:
            assert closed(silent), "who says nothing is sent away"
        assert board.log.texts() == [], "the board has not noticed anybody"
        with connect(place) as link:
            for at in range(len(b"XBAR:TOKEN open sesame\r\n")):
                link.sendall(b"XBAR:TOKEN open sesame\r\n"[at : at + 1])
            assert line(link, b"OUTP ON;OUTP?\n") == b"1\n"
        assert_answers(place, token=b"XBAR:TOKEN open sesame\n")


def test_strangers_do_not_keep_others_out(board: MockBench) -> None:
    with serve(board, port=0, token="t", limits=HostLimits(strangers=4)) as places:
        crowd = [connect(places[BOARD]) for _ in range(50)]
        assert_answers(places[BOARD], token=b"XBAR:TOKEN t\n")
        for link in crowd:
            link.close()


# --- scripted faults on a socket --------------------------------------------------------------------------------------


def test_a_delayed_reply_is_late_by_the_clock_on_the_wall(board: MockBench) -> None:
    board.script_faults(BOARD, [Fault("late_reply", "*IDN?", seconds=0.3), Fault("delay", "*TST?", seconds=0.3)])
    with serve(board, port=0) as places, connect(places[BOARD]) as link:
        begun = time.monotonic()
        assert line(link, b"*IDN?\n").startswith(b"xbarlab")
        assert time.monotonic() - begun >= 0.3
        link.sendall(b"*TST?\n")
        time.sleep(0.05)
        assert line(link, b"SYST:ERR?\n").startswith(b"-410"), "a slow query is interrupted by the next message"


def test_a_late_reply_comes_before_the_next_one(board: MockBench) -> None:
    board.script_faults(BOARD, [Fault("late_reply", "*IDN?")])
    with serve(board, port=0) as places, connect(places[BOARD]) as link:
        link.sendall(b"*IDN?\n")
        link.settimeout(0.2)
        with pytest.raises(TimeoutError):
            link.recv(100)
        link.settimeout(5.0)
        with link.makefile("rb") as file:
            link.sendall(b"*OPC?\n")
            assert file.readline().startswith(b"xbarlab")
            assert file.readline() == b"1\n"


@pytest.mark.parametrize("where", ["before", "inside", "after"])
def test_a_connection_breaks_around_a_reply(board: MockBench, where: str) -> None:
    board.script_faults(BOARD, [Fault("drop_connection", "READ:MAP?", where=where)])  # pyright: ignore[reportArgumentType]
    with serve(board, port=0) as places, connect(places[BOARD]) as link:
        assert line(link, b"OUTP ON;OUTP?\n") == b"1\n"
        link.sendall(b"READ:MAP? 0,1,0,2\n")
        got = b""
        with suppress(ConnectionError):
            while part := link.recv(100):
                got += part
        whole = 4 + 18 + 1
        assert len(got) == {"before": 0, "inside": whole // 2, "after": whole}[where]
        assert_answers(places[BOARD])
    assert [event.what for event in board.log.faults()] == [f"fault drop_connection {where} at READ:MAP?"]


def test_no_thread_is_left(board: MockBench) -> None:
    before = threading.active_count()
    with serve(board, port=0) as places:
        assert_answers(places[BOARD])
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("host", "given", "wanted"), [("127.0.0.1", None, 0), ("0.0.0.0", None, 1), ("0.0.0.0", "t", 1)]
)
def test_mock_serve_beyond_this_computer_warns_and_wants_a_token(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], host: str, given: str | None, wanted: int
) -> None:
    from xbarlab.mockhw.front_ends import tcp_host
    from xbarlab.runbooks.commands.mock_serve import serve_bench

    tokens: list[str | None] = []
    monkeypatch.setattr(tcp_host, "serve_forever", lambda *_, token, **__: tokens.append(token))
    serve_bench("mock_ta_hfo2", host=host, port=0, seed=None, token=given)
    said = capsys.readouterr().err
    assert said.count("warning: whoever reaches 0.0.0.0") == wanted
    assert (tokens[0] is not None) == bool(wanted)
    if wanted and given is None:
        assert f"token of this run: {tokens[0]}" in said
    else:
        assert "token of this run" not in said
