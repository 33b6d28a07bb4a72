"""Over a socket wall time moves what runs, at most to its end; who knows how to wait gets the numbers of in process."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from xbarlab.mockhw.bench.bench import MockBench, fresh_bench
from xbarlab.mockhw.front_ends.tcp_host import serve
from xbarlab.mockhw.front_ends.wall_time import WallTime
from xbarlab.mockhw.instrument import SimulatedInstrument

BOARD = "TCPIP0::127.0.0.1::5025::SOCKET"
STATIONS = Path(__file__).parents[3] / "runbooks" / "stations"
SMU, PULSER, MATRIX = "keithley_2450", "keysight_33622a", "keysight_b2201a"


class Wire:
    """A client that sends, polls and sleeps, and nothing else."""

    def __init__(self, place: tuple[str, int]) -> None:
        self.socket = socket.create_connection(place, timeout=10.0)
        self.file = self.socket.makefile("rb")

    def send(self, text: str) -> None:
        self.socket.sendall(text.encode() + b"\n")

    def ask(self, text: str) -> str:
        self.send(text)
        return self.file.readline().decode().strip()

    def ask_block(self, text: str) -> bytes:
        self.send(text)
        digits = int(self.file.read(2)[1:])
        payload = self.file.read(int(self.file.read(digits)))
        self.file.readline()
        return payload

    def poll(self, question: str, until: Callable[[str], bool], patience: float = 10.0) -> list[str]:
        """Ask every 10 ms until the answer is right; return every answer."""
        answers: list[str] = []
        end = time.monotonic() + patience
        while True:
            answers.append(self.ask(question))
            if until(answers[-1]):
                return answers
            assert time.monotonic() < end, f"{question} still gives {answers[-1]}"
            time.sleep(0.01)

    def close(self) -> None:
        self.file.close()
        self.socket.close()


@pytest.fixture
def board(tmp_path: Path) -> MockBench:
    path = tmp_path / "b.bench.yaml"
    entry = f'{{kind: array_board, address: "{BOARD}"}}'
    path.write_text(f"chip: {{profile: ta_hfo2_1t1r, seed: 4}}\ninstruments: [{entry}]\n", encoding="utf-8")
    return fresh_bench(path)


@pytest.fixture
def wire(board: MockBench) -> Iterator[Wire]:
    with serve(board, port=0) as places:
        client = Wire(places[BOARD])
        yield client
        client.close()


@pytest.fixture
def station() -> MockBench:
    return fresh_bench(STATIONS / "mock_tio2.bench.yaml")


def of_kind(bench: MockBench, kind: str) -> str:
    return next(address for address, instrument in bench.instruments.items() if instrument.kind == kind)


@pytest.fixture
def probes(station: MockBench) -> Iterator[dict[str, Wire]]:
    with serve(station, port=0) as places:
        clients = {kind: Wire(places[of_kind(station, kind)]) for kind in (SMU, PULSER, MATRIX)}
        yield clients
        for client in clients.values():
            client.close()


def pulses(count: int, ticks: int = 1_000_000) -> str:
    """Return a map of one cell, each pulse 10 ms and a little long."""
    planes = struct.pack("<hhHI", 3000, 3000, count, ticks)
    return f"PULS:MAP 0,1,0,1,#2{len(planes)}" + planes.decode("latin-1")


def send_bytes(wire: Wire, text: str) -> None:
    wire.socket.sendall(text.encode("latin-1") + b"\n")


# --- the client that polls ------------------------------------------------------------------------


def test_a_loop_of_readings_goes_on_and_ends_while_it_is_polled(probes: dict[str, Wire]) -> None:
    smu = probes[SMU]
    smu.send('SENS:CURR:NPLC 1;AZER 0;:SOUR:VOLT:READ:BACK 0;:TRIG:LOAD "SimpleLoop",20;:OUTP ON;:INIT')
    begun = time.monotonic()
    states = smu.poll("TRIG:STAT?", lambda reply: not reply.startswith("RUNNING"))
    took = time.monotonic() - begun
    assert states[0].startswith("RUNNING")
    assert states[-1].startswith("IDLE")
    assert 0.3 < took < 3.0, "twenty readings of 20 ms"
    assert smu.ask("TRAC:ACT?") == "20"


def test_readings_come_one_after_the_other(probes: dict[str, Wire]) -> None:
    smu = probes[SMU]
    smu.send('SENS:CURR:NPLC 1;AZER 0;:SOUR:VOLT:READ:BACK 0;:TRIG:LOAD "SimpleLoop",20;:OUTP ON;:INIT')
    counts = [int(reply) for reply in smu.poll("TRAC:ACT?", lambda reply: reply == "20")]
    assert counts == sorted(counts)
    assert len(set(counts)) > 5


def test_who_sleeps_and_asks_once_finds_what_had_its_time(probes: dict[str, Wire]) -> None:
    smu = probes[SMU]
    smu.send('SENS:CURR:NPLC 1;AZER 0;:SOUR:VOLT:READ:BACK 0;:TRIG:LOAD "SimpleLoop",1000;:OUTP ON;:INIT')
    time.sleep(0.5)
    assert 10 <= int(smu.ask("TRAC:ACT?")) <= 60
    assert smu.ask("ABOR;:TRIG:STAT?").startswith("ABORTED")
    made = int(smu.ask("TRAC:ACT?"))
    time.sleep(0.2)
    assert int(smu.ask("TRAC:ACT?")) == made, "nothing runs any more, so time stands still"


def test_a_burst_of_half_a_second_ends_by_itself(probes: dict[str, Wire]) -> None:
    pulser = probes[PULSER]
    pulser.send("FUNC PULS;:FREQ 100;:VOLT 0.1;:TRIG:SOUR BUS;:BURS:INT:PER 1;:BURS:NCYC 50;:BURS:STAT 1;:OUTP 1")
    assert pulser.ask("SYST:ERR?").startswith("+0")
    pulser.send("*CLS;*TRG;*OPC")
    begun = time.monotonic()
    answers = pulser.poll("*ESR?", lambda reply: int(reply) & 1 == 1)
    assert 0.4 < time.monotonic() - begun < 3.0
    assert len(answers) > 5
    assert pulser.ask("SYST:ERR?").startswith("+0")


def test_relays_arrive_while_another_instrument_is_asked(probes: dict[str, Wire], station: MockBench) -> None:
    assert station.circuit is not None
    probes[MATRIX].send("*RST")
    assert probes[MATRIX].ask("*OPC?") == "1"
    probes[MATRIX].send(":CLOS (@00101)")
    end = time.monotonic() + 5.0
    while not station.circuit.relays.closed:
        assert time.monotonic() < end
        probes[SMU].ask("*STB?")
    assert station.circuit.relays.closed == {(1, 1)}


def test_the_board_is_done_when_the_wall_says_so(wire: Wire) -> None:
    assert wire.ask("OUTP ON;:SYST:ERR?") == '0,"No error"'
    send_bytes(wire, pulses(40) + ";*OPC")
    begun = time.monotonic()
    conditions = wire.poll("STAT:OPER:COND?", lambda reply: reply == "0")
    assert conditions[0] == "256"
    assert 0.3 < time.monotonic() - begun < 3.0
    assert int(wire.ask("*ESR?")) & 1
    assert wire.ask("PULS:LAST?").startswith("MAP,40,40,40,")
    clock = float(wire.ask("SIM:CLOC?"))
    assert clock == pytest.approx(40 * (1e-2 + 5e-6), rel=1e-9), "at most to the end of what ran"
    time.sleep(0.1)
    assert float(wire.ask("SIM:CLOC?")) == clock


def test_progress_is_seen_and_an_abort_finds_what_had_its_time(wire: Wire, board: MockBench) -> None:
    wire.ask("OUTP ON;:SYST:ERR?")
    send_bytes(wire, pulses(1000))
    done = [int(reply.split(",")[2]) for reply in wire.poll("PULS:LAST?", lambda r: int(r.split(",")[2]) >= 20)]
    assert done == sorted(done)
    assert len(set(done)) > 5
    clock = float(wire.ask("SIM:CLOC?"))
    assert clock >= done[-1] * 1e-2
    kind, planned, slots, given, _, seconds = wire.ask("ABOR;:PULS:LAST?").split(",")
    assert (kind, planned) == ("MAP", "1000")
    assert slots == given
    assert int(slots) >= done[-1]
    assert float(seconds) == pytest.approx(int(slots) * (1e-2 + 5e-6), rel=1e-6)
    chip = board.chip
    assert chip.now == pytest.approx(float(seconds), rel=1e-6), "the pulse under way was finished, no more"


def test_points_of_a_sweep_appear(wire: Wire) -> None:
    wire.ask("OUTP ON;:SYST:ERR?")
    points = np.concatenate((np.full(50, 0.1), np.full(50, 1.0))).astype("<f4").tobytes()
    send_bytes(wire, f"SWE:RUN 0,0,1e-3,1e-2,#3{len(points)}" + points.decode("latin-1"))
    seen = [len(wire.ask_block("FETC:SWE?")) // 9]
    while seen[-1] < 50:
        time.sleep(0.01)
        seen.append(len(wire.ask_block("FETC:SWE?")) // 9)
    assert len(set(seen)) > 5


def test_a_client_that_goes_leaves_what_had_its_time(board: MockBench) -> None:
    with serve(board, port=0) as places:
        client = Wire(places[BOARD])
        client.ask("OUTP ON;:SYST:ERR?")
        send_bytes(client, pulses(1000))
        time.sleep(0.3)
        client.close()
        client = Wire(places[BOARD])
        slots = int(client.ask("PULS:LAST?").split(",")[2])
        client.close()
    assert 20 <= slots <= 60


def test_the_rate_is_settable(board: MockBench) -> None:
    for rate, least, most in ((100.0, 0.0, 1.0), (0.0, 1.0, 1.0)):
        with serve(board, port=0, rate=rate) as places:
            client = Wire(places[BOARD])
            client.ask("OUTP ON;:SYST:ERR?")
            send_bytes(client, pulses(1000))
            begun = time.monotonic()
            while client.ask("STAT:OPER:COND?") != "0" and time.monotonic() - begun < 1.0:
                time.sleep(0.005)
            took = time.monotonic() - begun
            assert least <= took
            assert took < most + 0.2
            assert client.ask("STAT:OPER:COND?") == ("0" if rate else "256")
            client.close()
    for rate in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="choose 0 or more"):
            WallTime(board, rate)


# --- the client that skips ahead ------------------------------------------------------------------


def skipping(ask: Callable[[bytes], bytes], pause: Callable[[], None]) -> list[bytes]:
    """Act as drivers do that know the clock: wait by ``*OPC?`` or by the seconds that were promised."""
    n = 64
    planes = [np.full(n, v, k).tobytes() for v, k in ((13107, "<i2"), (9830, "<i2"), (3, "<u2"), (1000, "<u4"))]
    pulse = b"PULS:MAP 0,1,0,64,#3640" + b"".join(planes)
    points = np.concatenate((np.linspace(0.0, 2.0, 40), np.full(40, 2.0))).astype("<f4").tobytes()
    sweep = b"SWE:RUN 0,3,1e-3,1e-3,#3320" + points[:160] + points[160:]
    replies: list[bytes] = []
    for _ in range(3):
        replies.append(ask(b"OUTP ON;:" + pulse + b";:SYST:ERR?\n"))
        pause()
        replies.append(ask(b"*OPC?;:PULS:LAST?;:SYST:ERR?\n"))
        replies.append(ask(b"SIM:CLOC:ADV 0.5;:SIM:CLOC?\n"))
        replies.append(ask(b"READ:MAP? 0,1,0,4\n"))
        replies.append(ask(sweep + b";:SYST:ERR?\n"))
        pause()
        promised = ask(b"PULS:LAST?\n").split(b",")
        pause()
        replies.append(ask(b"SIM:CLOC:ADV " + promised[4] + b";:SYST:ERR?\n"))
        replies.append(ask(b"FETC:SWE?\n"))
        replies.append(ask(b"SIM:CLOC?\n"))
        replies.append(ask(b"SIM:CLOC:ADV 2;:SIM:CLOC?\n"))
    return replies


@pytest.mark.parametrize("seconds", [0.0, 0.005, 0.02, 0.03, 0.12])
def test_pauses_of_the_host_change_no_number(board: MockBench, seconds: float) -> None:
    inner: SimulatedInstrument = fresh_bench(board.path).instruments[BOARD]

    def in_process(data: bytes) -> bytes:
        inner.receive(data)
        return inner.wait_for_reply() or b""

    inside = skipping(in_process, lambda: None)
    with serve(board, port=0) as places, socket.create_connection(places[BOARD], timeout=10.0) as link:
        expected = iter(inside)

        def over_tcp(data: bytes) -> bytes:
            link.sendall(data)
            if data == b"PULS:LAST?\n":
                reply = b""
                while not reply.endswith(b"\n"):
                    reply += link.recv(1)
                return reply
            wanted = next(expected)
            reply = b""
            while len(reply) < len(wanted):
                reply += link.recv(len(wanted) - len(reply))
                if len(reply) < len(wanted) and not wanted.startswith(reply):
                    break  # another one, and shorter: the comparison below shows it
            return reply

        outside = skipping(over_tcp, lambda: time.sleep(seconds))
    assert outside == inside


def test_an_advance_counts_in_full_when_nobody_was_told_what_to_wait(wire: Wire) -> None:
    wire.ask("OUTP ON;:SYST:ERR?")
    send_bytes(wire, pulses(20))
    wire.poll("STAT:OPER:COND?", lambda reply: reply == "0")
    clock = float(wire.ask("SIM:CLOC?"))
    assert float(wire.ask("SIM:CLOC:ADV 0.1;:SIM:CLOC?")) == pytest.approx(clock + 0.1, rel=1e-12)


# --- who left without a word ----------------------------------------------------------------------


@pytest.mark.parametrize("last_words", [b"OUTP OFF\n", b"", b"OUTP ON\n", b"READ:MAP? 0,12", b"*IDN?\n"])
def test_the_next_client_is_let_in_after_one_that_closed_without_a_query(board: MockBench, last_words: bytes) -> None:
    with serve(board, port=0) as places:
        for _ in range(40):
            link = socket.create_connection(places[BOARD], timeout=5.0)
            link.sendall(last_words)
            link.close()
            client = Wire(places[BOARD])
            assert client.ask("*IDN?;:OUTP?").endswith(";0"), "who is lost leaves the board off"
            client.close()


def test_places_of_a_shared_instrument_are_free_as_soon_as_they_are_left(station: MockBench) -> None:
    with serve(station, port=0) as places:
        place = places[of_kind(station, SMU)]
        for _ in range(5):
            links = [socket.create_connection(place, timeout=5.0) for _ in range(8)]
            for link in links:
                link.sendall(b"*CLS\n")
                link.close()
            client = Wire(place)
            assert client.ask("*IDN?").startswith("KEITHLEY")
            client.close()


def test_what_never_ends_keeps_nobody_else_from_the_bench(station: MockBench) -> None:
    with serve(station, port=0) as places:
        endless, other = Wire(places[of_kind(station, SMU)]), Wire(places[of_kind(station, PULSER)])
        endless.send("TRIG:BLOC:NOP 1;:TRIG:BLOC:BRAN:ALW 2,1;:INIT;*OPC?")
        for _ in range(3):
            begun = time.monotonic()
            assert other.ask("*IDN?").startswith("Agilent")
            assert time.monotonic() - begun < 5.0
        assert endless.ask("ABOR;:TRIG:STAT?").startswith("ABORTED")
        endless.close()
        other.close()
