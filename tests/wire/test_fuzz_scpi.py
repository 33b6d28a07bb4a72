"""Nonsense in any amount: every simulated instrument stays an instrument, and keeps no more than it says it does.

The table of what was sent, how long it took and what it cost:

    pytest tests/wire/test_fuzz_scpi.py -s            (the default million bytes)
    pytest tests/wire/test_fuzz_scpi.py -s -m long    (a million commands and ten million bytes)
"""

from __future__ import annotations

import gc
import random
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from xbarlab.mockhw.bench.bench import MockBench, forget_bench, fresh_bench
from xbarlab.mockhw.instrument import SimulatedInstrument
from xbarlab.mockhw.scpi.framing import MessageFramer
from xbarlab.mockhw.scpi.tree import Program, spellings
from xbarlab.mockhw.scpi.wire_limits import WIRE_LIMITS, WireLimits

STATIONS = Path(__file__).parents[2] / "runbooks" / "stations"
BENCHES = ("mock_ta_hfo2", "mock_tio2")
MIB = 1 << 20

# What the parser, the status system and the framing answer for; actions are fuzzed with the array disconnected.
_QUIET = ("OUTP", "SIM", "SYST:WATC", "PROG", "SAMP")
_ARGUMENTS = (
    "0", "1", "-1", "ON", "OFF", "MIN", "MAX", "DEF", "NAN", "INF", "1e999", "-1e-999", "2.5e-7", "1V", "1MA", "3OHM",
    "#", "#0", "#10", "#15abcde", "#H1F", "#2xx", '"text"', "'it''s'", '"never closed', "(@101)",
    "(@1,2:3)", "(@", ")", "", " ", "\x00", "\xff", "9" * 50, "1" * 400 + ".5", "abc", "µ", "?", "*", "1,2,3",
)  # fmt: skip
# Rare, because what follows them is swallowed, or because they are long.
_RARE = ("#9999999999", "#3", "#3999", "#6100000", "9" * 5000, "#" * 300, "'\"" * 200)


def benches() -> Iterator[MockBench]:
    for name in BENCHES:
        path = STATIONS / f"{name}.bench.yaml"
        yield fresh_bench(path)
        forget_bench(path)


def instruments() -> list[SimulatedInstrument]:
    """One of each kind."""
    found = {i.kind: i for bench in benches() for i in bench.instruments.values()}
    return list(found.values())


def headers_of(instrument: SimulatedInstrument) -> list[str]:
    found = []
    for command in instrument.session.tree.commands:
        for spelling in spellings(command.pattern):
            if not spelling.startswith(_QUIET):
                found.append(spelling)
    return found


def words(rng: random.Random, headers: list[str]) -> bytes:
    """One message: commands that exist and some that almost do, with arguments that fit and most that do not."""
    units = []
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        header = rng.choice(headers).replace("#", str(rng.choice((1, 2, 3, 0, 17, 10**6))))
        if rng.random() < 0.2:
            at = rng.randrange(len(header))
            header = header[:at] + rng.choice(":;?*#\"'\t,. \x7fZ0") + header[at + rng.randrange(2) :]
        arguments = ",".join(rng.choice(_ARGUMENTS) for _ in range(rng.choice((0, 0, 1, 1, 2, 3, 6))))
        if rng.random() < 0.003:
            arguments += rng.choice(_RARE)
        units.append(f"{rng.choice(('', '', ':', ' '))}{header} {arguments}")
    return ";".join(units).encode("latin-1", "replace") + rng.choice((b"\n", b"\n", b"\r\n", b"\n\n", b""))


def noise(rng: random.Random, size: int) -> bytes:
    """Bytes of every kind, with more of those that mean something than chance would give."""
    data = bytearray(rng.randbytes(size))
    for _ in range(size // 8):
        data[rng.randrange(size)] = rng.choice(b"\n\n;:,#?*\"'19 ")
    return bytes(data)


def drain(instrument: SimulatedInstrument) -> int:
    taken = 0
    while (reply := instrument.wait_for_reply()) is not None:
        taken += len(reply)
    return taken


def assert_answers(instrument: SimulatedInstrument) -> None:
    """The client goes; the next one finds an instrument as good as new."""
    instrument.connect()
    instrument.disconnect()
    instrument.receive(b"*IDN?\n")
    assert instrument.wait_for_reply() == instrument.identity.encode() + b"\n"
    assert not instrument.session.owes_reply
    assert len(instrument.session.status.errors) <= instrument.session.status.errors.places


class Counter:
    """Counts the commands a parser looks at."""

    def __init__(self, instrument: SimulatedInstrument) -> None:
        self.commands = 0
        reader = instrument.session.reader
        compile_ = reader.compile

        def counting(text: bytes) -> Program:
            program = compile_(text)
            self.commands += len(program.units)
            return program

        reader.compile = counting  # pyright: ignore[reportAttributeAccessIssue]
        self.stop = lambda: setattr(reader, "compile", compile_)


def fuzz(instrument: SimulatedInstrument, seed: int, *, commands: int, size: int) -> tuple[int, int]:
    """Have at least so many commands looked at and bytes sent; return how many of each it were."""
    rng = random.Random(seed)
    headers = headers_of(instrument)
    counter = Counter(instrument)
    sent_bytes = 0
    while counter.commands < commands or sent_bytes < size:
        if counter.commands < commands:
            data = b"".join(words(rng, headers) for _ in range(20))
        else:
            data = noise(rng, rng.choice((7, 300, 5000)))
        sent_bytes += len(data)
        while data:
            portion = rng.choice((1, 10, 100, 1000, len(data)))
            instrument.receive(data[:portion], end=rng.random() < 0.02)
            data = data[portion:]
            if rng.random() < 0.5:
                drain(instrument)
        if rng.random() < (0.5 if instrument.session.in_block else 0.1):
            assert_answers(instrument)
    assert_answers(instrument)
    counter.stop()
    return counter.commands, sent_bytes


def report(title: str, rows: list[tuple[str, int, int, float, float]]) -> None:
    print(f"\n{title}\n{'instrument':<16}{'commands':>10}{'bytes':>12}{'seconds':>10}{'kept, MB':>10}")
    for name, commands, size, seconds, kept in rows:
        print(f"{name:<16}{commands:>10}{size:>12}{seconds:>10.2f}{kept:>10.2f}")


def run_all(*, commands: int, size: int) -> list[tuple[str, int, int, float, float]]:
    rows = []
    for seed, instrument in enumerate(instruments()):
        fuzz(instrument, 1000 + seed, commands=500, size=0)  # warm: caches and compiled code are not growth
        gc.collect()
        begun = time.perf_counter()
        sent = fuzz(instrument, seed, commands=commands, size=size)
        seconds = time.perf_counter() - begun
        tracemalloc.start()
        fuzz(instrument, 2000 + seed, commands=2000, size=0)
        gc.collect()
        kept = tracemalloc.get_traced_memory()[0] / 1e6
        tracemalloc.stop()
        rows.append((instrument.kind, *sent, seconds, kept))
    return rows


@pytest.mark.slow
def test_a_million_bytes_of_nonsense() -> None:
    rows = run_all(commands=6_000, size=300_000)
    report("fuzz, default", rows)
    assert sum(size for _, _, size, _, _ in rows) >= 1_000_000
    assert all(kept < 20.0 for *_, kept in rows)


@pytest.mark.long
def test_a_million_commands_of_nonsense() -> None:
    rows = run_all(commands=250_000, size=12_000_000)
    report("fuzz, long", rows)
    assert sum(commands for _, commands, *_ in rows) >= 1_000_000
    assert all(kept < 20.0 for *_, kept in rows)


# --- what is too much, named by its error -------------------------------------------------------------------------


@pytest.fixture
def board() -> SimulatedInstrument:
    (bench,) = [bench for bench in benches() if "ta_hfo2" in bench.path.name]
    return next(iter(bench.instruments.values()))


def ask(instrument: SimulatedInstrument, message: bytes) -> bytes:
    instrument.receive(message)
    return instrument.wait_for_reply() or b""


class Peak:
    """Python's memory while the body runs [bytes]."""

    def __enter__(self) -> Peak:
        gc.collect()
        tracemalloc.start()
        self._before = tracemalloc.get_traced_memory()[0]
        return self

    def __exit__(self, *_: object) -> None:
        self.bytes = tracemalloc.get_traced_memory()[1] - self._before
        tracemalloc.stop()


def limit(instrument: SimulatedInstrument, **limits: int) -> None:
    """Give a fresh instrument tighter limits."""
    session = instrument.session
    session.limits = replace(WIRE_LIMITS, **limits)
    session.reader.__init__(session.tree, session.limits)


def test_a_block_of_a_gigabyte_is_counted_and_not_kept(board: SimulatedInstrument) -> None:
    chunk = bytes(MIB)
    with Peak() as peak:
        board.receive(b"PULS:MAP 0,1,0,1,#9999999999")
        for _ in range(999_999_999 // MIB):
            board.receive(chunk)
        assert board.session.in_block
        board.receive(chunk[: 999_999_999 % MIB])
        assert ask(board, b";:SYST:ERR?;*OPC?\n").startswith(b'-223,"Too much data;')
    assert peak.bytes < 4 * MIB
    assert ask(board, b"SYST:ERR?\n") == b'0,"No error"\n'
    assert_answers(board)


def test_a_block_as_long_as_allowed_is_taken(board: SimulatedInstrument) -> None:
    limit(board, block=640)
    assert ask(board, b"PULS:MAP 0,1,0,64,#3640" + bytes(640) + b";:SYST:ERR?\n").startswith(b"-221")
    assert ask(board, b"PULS:MAP 0,1,0,64,#3641" + bytes(641) + b";:SYST:ERR?\n").startswith(b"-223")
    pair = b"UPD:OUT 1,1e-6,1,1,1,1,#3320" + bytes(320) + b",#3321" + bytes(321)
    assert ask(board, pair + b";:SYST:ERR?\n").startswith(b"-223"), "the limit is for all blocks of a message"


def test_a_block_that_stops_for_good_is_left_by_the_next_client(board: SimulatedInstrument) -> None:
    board.receive(b"PULS:MAP 0,1,0,1,#9999999999" + bytes(1000))
    assert_answers(board)


def test_a_message_without_an_end_is_thrown_away(board: SimulatedInstrument) -> None:
    chunk = b"A" * MIB
    with Peak() as peak:
        for _ in range(64):
            board.receive(chunk)
        assert ask(board, b"\nSYST:ERR?\n").startswith(b'-363,"Input buffer overrun;')
    assert peak.bytes < 8 * MIB
    assert ask(board, b"SYST:ERR?\n") == b'0,"No error"\n'


def test_a_great_deal_of_one_thing_takes_time_in_proportion(board: SimulatedInstrument) -> None:
    for head in (b"", b"SOUR:READ:VOLT ", b"READ:MAP? "):
        for nonsense in (b";", b",", b"(", b"'", b'"', b"#", b"#10", b"9", b"A;", b" ", b"\x00", b":", b"'\"", b"'\n"):
            begun = time.process_time()
            board.receive(head + nonsense * ((MIB // 16 - 100) // len(nonsense)) + b"\n")
            drain(board)
            assert time.process_time() - begun < 2.0, (head, nonsense)
            assert_answers(board)


@pytest.mark.slow
@pytest.mark.parametrize("nonsense", [b",", b"A;", b"a\n", b"#10", b"'"])
def test_a_great_deal_of_one_thing_takes_memory_in_proportion(board: SimulatedInstrument, nonsense: bytes) -> None:
    with Peak() as peak:
        board.receive(b"READ:MAP? " + nonsense * ((MIB // 32 - 100) // len(nonsense)) + b"\n")
        drain(board)
    assert peak.bytes < 15 * MIB
    assert_answers(board)


def test_numbers_without_end() -> None:
    for instrument in instruments():
        for header in ["NOPE#:NADA#?", *(h for h in headers_of(instrument) if "#" in h)][:20]:
            instrument.receive(header.replace("#", "7" * 6000).encode() + b" 1\n")
        instrument.receive(b"*ESE " + b"7" * 6000 + b";*SRE 1e" + b"7" * 6000 + b"\n")
        assert_answers(instrument)


def test_a_long_text_in_single_bytes_costs_no_more_per_byte() -> None:
    def seconds(opening: bytes, size: int) -> float:
        framer = MessageFramer()
        framer.feed(opening)
        begun = time.process_time()
        for _ in range(size):
            framer.feed(b"x")
        return time.process_time() - begun

    for opening in (b"A", b'A "', b"#9999999999", b"A #8", b"A #500100"):
        assert seconds(opening, 200_000) < 20 * seconds(opening, 20_000) + 0.1


def test_replies_nobody_takes_stop_the_parser_and_taking_them_lets_it_go_on(board: SimulatedInstrument) -> None:
    limit(board, unread=1000)
    board.receive(b"*IDN?\n" * 10_000 + b"SYST:SYNC? 7\n")
    assert len(board.session.output) < 100
    replies = []
    while (reply := board.wait_for_reply()) is not None:
        replies.append(reply)
    assert len(replies) == 10_001
    assert replies[-1] == b"7\n"


def test_replies_to_one_message_have_a_bound(board: SimulatedInstrument) -> None:
    ask(board, b"OUTP ON;:READ:MAP? 0,128,0,64\n")
    with Peak() as peak:
        reply = ask(board, b";".join([b":FETC:MAP?"] * 1000) + b"\nSYST:ERR?\n")
    assert reply.startswith(b'-430,"Query DEADLOCKED;')
    assert peak.bytes < 3 * WIRE_LIMITS.reply
    assert ask(board, b";".join([b"*OPC?"] * 1025) + b"\nSYST:ERR?\n").startswith(b"-223")


def test_what_waits_behind_a_command_has_a_bound_and_an_abort_gets_through(board: SimulatedInstrument) -> None:
    limit(board, waiting=100_000)
    pulses = b"PULS:MAP 0,1,0,1,#210" + b"\x64\x00\x64\x00\x10\x27" + (10_000).to_bytes(4, "little")
    board.receive(b"OUTP ON;:" + pulses + b";*WAI\n")
    for _ in range(100):
        board.receive(b"SENS:AVER 2\n" * 100)
    assert ask(board, b"ABOR;:SYST:ERR?\n").startswith(b'-363,"Input buffer overrun;')
    assert_answers(board)


@pytest.mark.slow
def test_what_failed_or_is_long_is_not_remembered(board: SimulatedInstrument) -> None:
    def flood(first: int) -> None:
        for number in range(first, first + 60):
            board.receive(b"*OPC?;" * 80 + b"%d\n" % number)
            board.receive(b"A;" * 240 + b"%d\n" % number)
            drain(board)

    flood(0)
    gc.collect()
    tracemalloc.start()
    flood(60)
    gc.collect()
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept < MIB, "the last program, and none of the others"


def test_limits_are_what_the_documents_say() -> None:
    assert WireLimits() == WIRE_LIMITS
    assert (WIRE_LIMITS.text, WIRE_LIMITS.block, WIRE_LIMITS.units) == (MIB, 64 * MIB, 1024)
