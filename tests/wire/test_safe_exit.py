"""Every way out of a bench ends at 0 V and then disconnected, in that order."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import fake_board as fake
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.block import Block
from xbarlab.instruments.board.crossbar_board import CrossbarBoard
from xbarlab.instruments.capabilities import PulseMap
from xbarlab.instruments.errors import ConnectionLostError, InstrumentError
from xbarlab.instruments.station.station import Bench, load_station
from xbarlab.instruments.station.terminations import SIGNALS, Terminations, catch_terminations
from xbarlab.instruments.wire import line as exchange
from xbarlab.instruments.wire.interrupts import uninterrupted

OFF = ["ABOR", "SOUR:ZERO", "OUTP OFF"]
LONG = PulseMap(Block(0, 8, 0, 4), 1.0, 1e-2, 1.0, 10)


def told(board: Any) -> list[str]:
    """What was sent, without the questions that follow an abort."""
    return [text for text in board.said if not text.startswith(("SYST:SYNC?", "SYST:ERR?", "PULS:LAST?", "OUTP?"))]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Callable[[], Bench], Any]]:
    resource = fake.FakeBoard()
    module = types.ModuleType("fake_lab")
    module.Board = lambda name, **kwargs: CrossbarBoard(name, resource=resource, **kwargs)
    monkeypatch.setitem(sys.modules, "fake_lab", module)
    path = tmp_path / "fake.station.yaml"
    path.write_text("instruments: {board: {type: fake_lab.Board}}\n")
    benches: list[Bench] = []

    def make() -> Bench:
        benches.append(load_station(path))
        return benches[-1]

    yield make, resource
    for bench in benches:
        bench.close()


def test_normal_end(bench: Any) -> None:
    make, board = bench
    with make() as open_bench:
        open_bench.array.read(Block(0, 1, 0, 1))
        assert told(board)[-1].startswith("READ:MAP?")
    assert told(board)[-3:] == OFF
    assert board.session is None


def test_an_exception_in_the_body(bench: Any) -> None:
    make, board = bench
    with pytest.raises(ZeroDivisionError), make() as open_bench:  # noqa: PT012
        open_bench.array.read(Block(0, 1, 0, 1))
        raise ZeroDivisionError
    assert told(board)[-3:] == OFF
    assert board.session is None


def test_ctrl_c_while_waiting_for_a_pulse_map(bench: Any) -> None:
    """The map runs on the board, the host waits on the clock: abort first, then 0 V, then disconnect."""
    make, board = bench

    def start_long(unit: str) -> None:
        if unit.startswith("PULS:LAST?"):
            board.last = "MAP,100,40,40,10.0,4.0"

    board.before = start_long
    with pytest.raises(KeyboardInterrupt), make() as open_bench:  # noqa: PT012
        array: Any = open_bench.array

        def interrupt(seconds: float) -> None:
            raise KeyboardInterrupt

        array.clock.wait = interrupt
        try:
            array.pulse(LONG)
        finally:
            cost = array.cost
    started = next(n for n, text in enumerate(board.said) if text.startswith("PULS:MAP"))
    after = [text for text in board.said[started + 1 :] if not text.startswith(("SYST:SYNC?", "SYST:ERR?", "OUTP?"))]
    assert after == ["PULS:LAST?", "ABOR", "PULS:LAST?", *OFF]
    assert (cost.transactions, cost.pulses) == (1, 40)  # what the chip has borne is known although the map was cut


@pytest.mark.parametrize("where", ["PULS:MAP", "*OPC?"])
def test_ctrl_c_inside_an_exchange_leaves_no_stale_reply(bench: Any, where: str) -> None:
    make, board = bench

    def interrupt(unit: str) -> None:
        if unit.startswith(where):
            board.before = lambda _unit: None
            raise KeyboardInterrupt

    with make() as open_bench:
        board.before = interrupt
        with pytest.raises(KeyboardInterrupt):
            open_bench.array.pulse(PulseMap(Block(0, 1, 0, 1), 1.0, 1e-6, 1.0))
        assert told(board)[-1] == "ABOR"
        board._out += b"1;MAP,1,0,0,6e-6,0;0,"  # the board's late words, cut off too
        open_bench.array.idle()
        assert told(board)[-3:] == OFF
        assert board.left_over == b""


def test_an_error_the_board_reports_in_the_middle_stops_it(bench: Any) -> None:
    make, board = bench

    def fail(unit: str) -> None:
        if unit.startswith("*OPC?"):
            board.errors.append('501,"over-temperature"')

    with pytest.raises(InstrumentError, match="501 over-temperature"), make() as open_bench:  # noqa: PT012
        board.before = fail
        open_bench.array.pulse(PulseMap(Block(0, 1, 0, 1), 1.0, 1e-6, 1.0))
    assert told(board)[-4:] == ["ABOR", *OFF]


def test_sigterm_takes_the_same_way(bench: Any) -> None:
    make, board = bench
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"), make() as open_bench:  # noqa: PT012
        open_bench.array.read(Block(0, 1, 0, 1))
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
    assert told(board)[-3:] == OFF
    assert signal.getsignal(signal.SIGTERM) is before


def in_thread(run: Callable[[], None]) -> list[BaseException]:
    caught: list[BaseException] = []

    def body() -> None:
        try:
            run()
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=body, name="worker")
    thread.start()
    thread.join()
    return caught


def test_outside_the_main_thread_a_bench_nobody_would_make_safe_is_refused(bench: Any) -> None:
    make, board = bench
    before = [signal.getsignal(number) for number in SIGNALS]
    (error,) = in_thread(lambda: make().open())
    assert isinstance(error, RefusedError)
    assert "thread 'worker'" in str(error)
    assert "catch_terminations()" in str(error)
    assert board.sent == []
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_outside_the_main_thread_a_bench_opens_where_terminations_are_caught(bench: Any) -> None:
    make, board = bench
    before = [signal.getsignal(number) for number in SIGNALS]
    seen: list[object] = []

    def run() -> None:
        with make() as open_bench:
            open_bench.array.read(Block(0, 1, 0, 1))
            seen.append(signal.getsignal(signal.SIGTERM))

    with catch_terminations():
        held = signal.getsignal(signal.SIGTERM)
        assert in_thread(run) == []
    assert seen == [held]
    assert told(board)[-3:] == OFF
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_catching_terminations_is_asked_for_in_the_main_thread() -> None:
    (error,) = in_thread(catch_terminations)
    assert isinstance(error, RefusedError)
    assert "main thread" in str(error)


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN, lambda *_: None])
def test_a_closed_bench_gives_every_handler_back(bench: Any, handler: Any) -> None:
    make, _ = bench
    kept = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        with make() as open_bench:
            open_bench.array.read(Block(0, 1, 0, 1))
        assert [signal.getsignal(number) for number in SIGNALS] == [handler] * len(SIGNALS)
    finally:
        for number, before in kept.items():
            signal.signal(number, before)


def test_benches_closed_in_the_order_they_were_opened_give_the_first_handler_back() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    own, first, second = Terminations(), object(), object()
    own.enter(first, lambda: None, name="a")
    own.enter(second, lambda: None, name="b")
    own.leave(first)
    assert [signal.getsignal(number) for number in SIGNALS] != before
    own.leave(second)
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_a_handler_somebody_set_meanwhile_stays() -> None:
    kept = {number: signal.getsignal(number) for number in SIGNALS}
    own, bench = Terminations(), object()

    def theirs(*_: object) -> None:
        """A web server's."""

    try:
        own.enter(bench, lambda: None, name="a")
        signal.signal(signal.SIGTERM, theirs)
        own.leave(bench)
        assert signal.getsignal(signal.SIGTERM) is theirs
    finally:
        for number, before in kept.items():
            signal.signal(number, before)


def test_a_bench_of_another_thread_is_interrupted_then_closed_when_a_termination_arrives() -> None:
    own, arrived, opened, ended = Terminations(), [], threading.Event(), threading.Event()
    kept = signal.signal(signal.SIGTERM, lambda *_: arrived.append("theirs"))

    def work() -> None:
        bench = object()
        own.enter(bench, lambda: arrived.append("closed from here"), name="a")
        opened.set()
        try:
            for _ in range(6000):
                time.sleep(0.01)
        except KeyboardInterrupt:
            arrived.append("interrupted")
        finally:
            own.leave(bench)
            ended.set()

    try:
        with contextlib.ExitStack() as stack:
            own.hold()
            stack.callback(own.let_go)
            thread = threading.Thread(target=work)
            thread.start()
            assert opened.wait(10.0)
            os.kill(os.getpid(), signal.SIGTERM)
            assert ended.wait(10.0)
            thread.join()
    finally:
        signal.signal(signal.SIGTERM, kept)
    assert arrived == ["interrupted", "theirs"]


def test_a_dead_link_is_told_once(bench: Any, caplog: pytest.LogCaptureFixture) -> None:
    make, board = bench
    with pytest.raises(ConnectionLostError), make() as open_bench:  # noqa: PT012
        board.answer = lambda message: b""
        open_bench.array.read(Block(0, 1, 0, 1))
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == []


def test_a_dead_link_does_not_hide_why_we_leave(bench: Any) -> None:
    make, board = bench
    with pytest.raises(ConnectionLostError), make() as open_bench:  # noqa: PT012
        board.answer = lambda message: b""
        open_bench.array.read(Block(0, 1, 0, 1))
    assert told(board)[-3:] == OFF  # tried all the same
    assert board.session is None


def test_idle_is_safe_in_any_state_and_twice(bench: Any) -> None:
    make, board = bench
    with make() as open_bench:
        open_bench.array.idle()
        open_bench.array.idle()
        assert told(board)[-6:] == OFF + OFF
        array = open_bench.array
        board.close()
        array.idle()
    array.idle()


def test_after_idle_the_next_action_connects_again(bench: Any) -> None:
    make, board = bench
    with make() as open_bench:
        open_bench.array.read(Block(0, 1, 0, 1))
        open_bench.array.idle()
        open_bench.array.read(Block(0, 1, 0, 1))
        assert told(board)[-2:] == ["*ESR?;:OUTP ON;:SYST:ERR?", "READ:MAP? 0,1,0,1"]


def test_a_board_of_another_protocol_is_told_nothing_and_the_bench_is_free(bench: Any, tmp_path: Path) -> None:
    make, board = bench
    board.capability["protocol"] = "something else"
    with pytest.raises(Exception, match="something else"):
        make().open()
    assert board.said == ["*IDN?", "SYST:CAP?"]
    assert board.session is None


def test_a_signal_does_not_cut_a_long_message() -> None:
    done = False
    # A shell that runs the tests in the background hands SIGINT down ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), uninterrupted():  # noqa: PT012
            signal.raise_signal(signal.SIGINT)
            done = True
    finally:
        signal.signal(signal.SIGINT, before)
    assert done


def test_a_half_sent_block_is_cleared_before_the_abort(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the board would take the abort for payload."""
    resource = fake.FakeBoard()
    resource.resource_name = "GPIB0::7::INSTR"
    board: Any = CrossbarBoard("board", resource=resource)

    def cut(unit: str) -> None:
        if unit.startswith("PULS:MAP"):
            resource.before = lambda _unit: None
            assert resource.clears == cleared
            raise OSError("cable pulled in the middle")

    board.read(Block(0, 1, 0, 1))
    cleared = resource.clears
    monkeypatch.setattr(exchange, "_ONE_SEND", 16)
    resource.before = cut
    with pytest.raises(ConnectionLostError):
        board.pulse(PulseMap(Block(0, 8, 0, 4), 1.0, 1e-6, 1.0))
    assert resource.clears == cleared + 1
    assert told(resource)[-1] == "ABOR"
    board.close()


def test_a_half_sent_block_on_a_socket_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket has no device clear: whatever followed would be payload, so only closing it makes the board let go."""
    resource = fake.FakeBoard()
    board: Any = CrossbarBoard("board", resource=resource)

    def cut(unit: str) -> None:
        if unit.startswith("PULS:MAP"):
            raise OSError("the network went away")

    board.read(Block(0, 1, 0, 1))
    monkeypatch.setattr(exchange, "_ONE_SEND", 16)
    resource.before = cut
    with pytest.raises(ConnectionLostError, match=r"PULS:MAP .* cut off in the middle.*open the bench again"):
        board.pulse(PulseMap(Block(0, 8, 0, 4), 1.0, 1e-6, 1.0))
    assert resource.session is None
    assert told(resource)[-1].startswith("PULS:MAP")  # nothing was thrown after it
    board.close()
