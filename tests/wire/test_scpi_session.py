"""Transcripts for the SCPI session alone: what any IEEE 488.2 instrument must do, whatever it measures."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from xbarlab.mockhw.faults import Fault, FaultPlan
from xbarlab.mockhw.instrument import BenchLog, SimulatedInstrument, advance_to
from xbarlab.mockhw.scpi.arguments import Block, Boolean, Choice, Integer, Number, Text
from xbarlab.mockhw.scpi.device import Hold
from xbarlab.mockhw.scpi.errors import ScpiError
from xbarlab.mockhw.scpi.framing import MessageFramer
from xbarlab.mockhw.scpi.tree import Command, setting, spellings
from xbarlab.mockhw.sim_clock import SimClock


class Ramp:
    """An action of ten steps of 0.1 s."""

    kind = "RAMP"

    def __init__(self, start: float) -> None:
        self.start = start
        self.ends_at = start + 1.0
        self.next_event = self.ends_at
        self.steps = 0

    def run_to(self, now: float) -> bool:
        self.steps = min(10, int((now - self.start) / 0.1 + 1e-9))
        return now >= self.ends_at

    def cut(self, now: float) -> float:
        self.run_to(now)
        return now


class Box(SimulatedInstrument):
    """A voltage, a block memory, a ramp and a slow question."""

    kind = "box"

    def __init__(self) -> None:
        self.volts = 0.0
        self.data = b""
        self.calls: list[object] = []
        self.last = Ramp(0.0)
        super().__init__("GPIB0::1::INSTR", SimClock(), BenchLog())

    @property
    def identity(self) -> str:
        return "maker,box,1,0"

    def reset(self) -> Hold | None:
        self.abort()
        self.volts = 0.0
        return None

    def commands(self) -> Sequence[Command]:
        def store(payload: memoryview) -> None:
            self.data = bytes(payload)

        def put(value: float) -> None:
            self.volts = value

        def ramp() -> None:
            action = Ramp(self.session.time)
            self.start(action)
            self.last = action

        def fail() -> str:
            raise ScpiError(-230)

        return [
            *setting("SOURce:VOLTage[:LEVel]", Number("volts", "V", -5.0, 5.0, 1.0), lambda: f"{self.volts:g}", put),
            Command("MEMory:DATA", store, (Block("data"),)),
            Command("MEMory:DATA?", lambda: [b"#1", str(len(self.data)).encode(), self.data]),
            Command("MEMory:PAIR", lambda *two: self.calls.append([bytes(b) for b in two]), (Block("a"), Block("b"))),
            Command("OUTPut#[:STATe]", lambda n, on: self.calls.append((n, on)), (Boolean("state"),)),
            Command("DISPlay:TEXT", self.calls.append, (Text("text"),)),
            Command("TRIGger:SLOPe", self.calls.append, (Choice("slope", ("POSitive", "NEGative")),)),
            Command("TRIGger:COUNt", self.calls.append, (Integer("count", low=1, high=10, optional=True),)),
            Command("TIME", self.calls.append, (Number("time", "S", 0.0, 10.0),)),
            Command("RAMP", ramp),
            Command("ABORt", self.abort, aborts=lambda: True),
            Command("SLOW?", lambda: Hold(self.session.time + 2.0, lambda: "late")),
            Command("FAIL?", fail),
        ]  # fmt: skip

    def say(self, message: bytes, *, end: bool = False) -> bytes:
        """Send, then return everything that is ready at once."""
        self.receive(message, end=end)
        out = b""
        while (reply := self.session.take()) is not None:
            out += reply
        return out


@pytest.fixture
def box() -> Box:
    return Box()


TRANSCRIPTS = [
    (b"*IDN?\n", b"maker,box,1,0\n"),
    (b"*idn?\r\n", b"maker,box,1,0\n"),
    (b"SOUR:VOLT 0.5;VOLT?\n", b"0.5\n"),
    (b"source:voltage:level 250MV;LEVEL?\n", b"0.25\n"),
    (b":SOUR:VOLT 1e-1 V;:SOUR:VOLT?;:SYST:ERR?\n", b'0.1;0,"No error"\n'),
    (b"SOUR:VOLT MAX;*OPC?;VOLT?\n", b"1;5\n"),
    (b"SOUR:VOLT DEF;VOLT?;VOLT? MIN;VOLT? MAX\n", b"1;-5;5\n"),
    (b"SOURC:VOLT 1;:SYST:ERR?\n", b'-113,"Undefined header;SOURC:VOLT"\n'),
    (b"VOLT?;:SYST:ERR?\n", b'-113,"Undefined header;VOLT?"\n'),
    (b"SOUR:VOLT 6;VOLT?;:SYST:ERR?\n", b'0;-222,"Data out of range;volts 6 above 5"\n'),
    (b"SOUR:VOLT NAN;:SYST:ERR?\n", b'-222,"Data out of range;volts NAN is not finite"\n'),
    (b"SOUR:VOLT 1e999;:SYST:ERR?\n", b'-222,"Data out of range;volts 1e999 is not finite"\n'),
    (b"SOUR:VOLT 1OHM;:SYST:ERR?\n", b'-131,"Invalid suffix;volts is in V, got OHM"\n'),
    (b"SOUR:VOLT 1,2;:SYST:ERR?\n", b'-108,"Parameter not allowed;SOUR:VOLT takes 1 at most, got 2"\n'),
    (b"SOUR:VOLT;:SYST:ERR?\n", b'-109,"Missing parameter;SOUR:VOLT needs volts"\n'),
    (b"SOUR:VOLT much;:SYST:ERR?\n", b'-104,"Data type error;volts is a number, got much"\n'),
    (b"OUTP 2;:SYST:ERR?\n", b'-224,"Illegal parameter value;state 2 is none of ON, OFF, 1, 0"\n'),
    (b"TRIG:SLOP UP;:SYST:ERR?\n", b'-224,"Illegal parameter value;slope UP is none of POSitive, NEGative"\n'),
    (b"MEM:DATA 5;:SYST:ERR?\n", b'-104,"Data type error;data is a definite-length block"\n'),
    (b"MEM:DATA #0abc;:SYST:ERR?\n", b'-161,"Invalid block data;data is a definite-length block"\n'),
    (b"SOUR:VOLT #12ab;:SYST:ERR?\n", b'-168,"Block data not allowed;volts is a number"\n'),
    (b"SOUR!VOLT 1;:SYST:ERR?\n", b'-102,"Syntax error;SOUR!VOLT"\n'),
    (b"FOO;BAR?;*IDN?;:SYST:ERR:COUN?\n", b"maker,box,1,0;2\n"),
    (b"FAIL?;*IDN?;:SYST:ERR?\n", b'maker,box,1,0;-230,"Data corrupt or stale"\n'),
    (b"SYST:ERR:ALL?\n", b'0,"No error"\n'),
    (b"SYST:VERS?\n", b"1999.0\n"),
    (b"*TST?\n", b"0\n"),
    (b"\n \r\n;;*IDN?;\n", b"maker,box,1,0\n"),
]


@pytest.mark.parametrize(("sent", "answered"), TRANSCRIPTS, ids=[repr(s)[2:40] for s, _ in TRANSCRIPTS])
def test_transcript(box: Box, sent: bytes, answered: bytes) -> None:
    assert box.say(sent) == answered
    box.say(b"*CLS;*RST\n")
    assert box.say(sent) == answered, "a cached message answers as the first one did"


def test_spellings_are_short_or_long_and_nothing_between() -> None:
    assert set(spellings("SYSTem:ERRor[:NEXT]?")) == {
        f"{a}:{b}{c}?" for a in ("SYST", "SYSTEM") for b in ("ERR", "ERROR") for c in ("", ":NEXT")
    }


def test_arguments_of_every_kind(box: Box) -> None:
    box.say(b"OUTP3 ON;:OUTP OFF;:output2:state 1\n")
    box.say(b'DISP:TEXT "it\'s; #15 here";:DISP:TEXT \'say ""\'\n')
    box.say(b"TRIG:SLOP neg;SLOP POSITIVE;COUN 2.6\n")
    box.say(b"TIME 200ns;TIME 5 MS;TIME 1us\n")
    assert box.calls[:5] == [(3, True), (1, False), (2, True), "it's; #15 here", 'say ""']
    assert box.calls[5:8] == ["NEG", "POS", 3]
    assert box.calls[8:] == pytest.approx([200e-9, 5e-3, 1e-6])
    assert box.say(b"SYST:ERR?\n") == b'0,"No error"\n'


def test_a_block_may_hold_anything_and_arrive_in_any_portions(box: Box) -> None:
    payload = b'a\n;b"#19\x00\r\n'
    message = b"MEM:DATA #2%d" % len(payload) + payload + b";:MEM:DATA?;*IDN?\n"
    expected = b"#1%d" % len(payload) + payload + b";maker,box,1,0\n"
    assert box.say(message) == expected
    for cut in range(1, len(message)):
        assert box.say(message[:cut]) == b""
        assert box.say(message[cut:]) == expected
    assert b"".join(box.say(message[i : i + 1]) for i in range(len(message))) == expected


def test_two_blocks_and_a_block_after_other_units(box: Box) -> None:
    box.say(b"SOUR:VOLT 1;:MEM:PAIR #13\n\n\n,#14;;;;;DATA #12zz\n")
    assert box.calls == [[b"\n\n\n", b";;;;"]]
    assert box.data == b"zz"
    assert box.say(b"SYST:ERR?\n") == b'0,"No error"\n'


def test_the_block_of_an_unknown_command_is_skipped(box: Box) -> None:
    assert box.say(b"NOPE #14a\n;b;:MEM:DATA #12ok;:SYST:ERR?\n") == b'-113,"Undefined header;NOPE"\n'
    assert box.data == b"ok"


def test_same_text_other_payload_is_not_confused(box: Box) -> None:
    for word in (b"one", b"two", b"six"):
        box.say(b"MEM:DATA #13" + word + b"\n")
        assert box.data == word


def test_several_messages_in_one_portion_and_end_without_terminator(box: Box) -> None:
    assert box.say(b"*IDN?\n*OPC?\n") == b"maker,box,1,0\n1\n"
    assert box.say(b"*IDN?", end=True) == b"maker,box,1,0\n"
    assert box.say(b"*IDN?") == b""
    assert box.say(b"\n") == b"maker,box,1,0\n"


def test_four_megabytes_are_not_scanned_or_copied() -> None:
    payload = bytes(4 << 20)
    message = b"MEM:DATA #7%d" % len(payload) + payload + b"\n"
    framer = MessageFramer()
    begun = time.process_time()
    (found,) = framer.feed(message)
    taken = time.process_time() - begun
    assert found.text == b"MEM:DATA #\x00"
    assert found.blocks[0].obj is message, "the payload is a view into what arrived"
    assert taken < 5e-3
    portions = [message[i : i + 65536] for i in range(0, len(message), 65536)]
    assert [len(framer.feed(p)) for p in portions] == [0] * (len(portions) - 1) + [1]


def test_the_error_queue_holds_twenty_and_says_when_it_overflowed(box: Box) -> None:
    for _ in range(25):
        box.say(b"NOPE\n")
    assert box.say(b"SYST:ERR:COUN?\n") == b"20\n"
    errors = [box.say(b"SYST:ERR?\n") for _ in range(21)]
    assert errors[:19] == [b'-113,"Undefined header;NOPE"\n'] * 19
    assert errors[19:] == [b'-350,"Queue overflow"\n', b'0,"No error"\n']


def test_event_bits_and_status_byte(box: Box) -> None:
    assert box.say(b"*ESR?\n") == b"128\n", "power on"
    box.say(b"*ESE 48;*SRE 32\n")
    assert box.say(b"*STB?\n") == b"0\n"
    box.say(b"NOPE\n")  # command error
    box.say(b"SOUR:VOLT 9\n")  # execution error
    assert box.say(b"*STB?\n") == b"100\n", "errors 4, event summary 32, service request 64"
    assert box.say(b"*ESR?;*ESR?\n") == b"48;0\n"
    assert box.say(b"*STB?\n") == b"4\n"
    assert box.say(b"*CLS;*STB?;*ESE?;*SRE?\n") == b"0;48;32\n"
    assert box.say(b"*IDN?;*STB?\n") == b"maker,box,1,0;16\n", "message available"


def test_scpi_registers(box: Box) -> None:
    status = box.session.status
    status.operation.set(16)
    status.operation.clear(16)
    assert box.say(b"STAT:OPER:COND?;EVEN?;:STAT:OPER?\n") == b"0;16;0\n"
    box.say(b"STAT:QUES:ENAB 256\n")
    status.questionable.latch(256)
    assert box.say(b"*STB?;:STAT:QUES:ENAB?\n") == b"8;256\n"
    box.say(b"STAT:PRES\n")
    assert box.say(b"STAT:QUES:ENAB?;EVEN?\n") == b"0;256\n"


def test_opc_and_wai_wait_for_what_was_started(box: Box) -> None:
    assert box.say(b"*ESR?\n") == b"128\n"
    assert box.say(b"RAMP;*OPC\n") == b""
    assert box.say(b"*ESR?\n") == b"0\n"
    assert box.say(b"RAMP;:SYST:ERR?\n") == b'-213,"Init ignored;RAMP is still running"\n'
    assert box.say(b"*OPC?\n") == b""
    advance_to(box.clock, 0.5)
    assert box.session.take() is None
    assert box.last.steps == 5
    advance_to(box.clock, 1.0)
    assert box.session.take() == b"1\n"
    assert box.say(b"*ESR?\n") == b"17\n", "operation complete, and the execution error"
    assert box.say(b"RAMP;*WAI;SOUR:VOLT 2;VOLT?\n") == b""
    assert box.volts == 0.0
    assert box.wait_for_reply() == b"2\n"
    assert box.clock.now == pytest.approx(2.0)


def test_a_held_message_resumes_at_its_own_time_when_the_clock_jumps(box: Box) -> None:
    box.say(b"RAMP;*WAI;RAMP;*WAI;SLOW?\n")
    advance_to(box.clock, 100.0)
    assert box.session.take() == b"late\n"
    assert box.last.start == pytest.approx(1.0), "the second ramp began when the first had ended"


def test_abort_releases_what_holds_the_parser(box: Box) -> None:
    box.say(b"RAMP;*OPC?;*IDN?\n")
    advance_to(box.clock, 0.3)
    assert box.say(b"ABOR;:SYST:ERR?\n") == b'1;maker,box,1,0\n0,"No error"\n'
    assert box.last.steps == 3
    advance_to(box.clock, 5.0)
    assert box.last.steps == 3


def test_a_reply_nobody_read_is_interrupted(box: Box) -> None:
    box.say(b"SLOW?\n")
    assert box.say(b"SYST:ERR?\n") == b'-410,"Query INTERRUPTED"\n'
    advance_to(box.clock, 10.0)
    assert box.session.take() is None, "the late reply is gone"
    assert int(box.say(b"*ESR?\n")) & 4
    box.receive(b"*IDN?\n")  # ready, but left in the output queue
    assert box.say(b"*OPC?;:SYST:ERR?\n") == b'1;-410,"Query INTERRUPTED"\n'


def test_messages_behind_a_waiting_command_wait_in_turn(box: Box) -> None:
    box.say(b"RAMP;*WAI\n")
    box.say(b"SOUR:VOLT 3\n")
    assert box.say(b"SOUR:VOLT?\n") == b""
    assert box.wait_for_reply() == b"3\n"


def test_device_clear_empties_everything(box: Box) -> None:
    box.say(b"SLOW?\nMEM:DATA #210abc")
    box.session.clear()
    assert box.say(b"*IDN?;:SYST:ERR?\n") == b'maker,box,1,0;0,"No error"\n'


def test_scripted_faults(box: Box) -> None:
    box.session.faults = FaultPlan(
        [
            Fault("late_reply", "*IDN?", after=1, seconds=3.0),
            Fault("garbled_reply", "SOURce:VOLTage[:LEVel]?"),
            Fault("error", "RAMP", code=-240),
            Fault("full_error_queue", "ABORt"),
            Fault("no_reply", "FAIL?", times=2),
            Fault("drop_connection", "SLOW?"),
        ]
    )
    assert box.say(b"*IDN?\n") == b"maker,box,1,0\n"
    assert box.say(b"*IDN?\n") == b""
    assert box.wait_for_reply() == b"maker,box,1,0\n"
    assert box.clock.now == 3.0
    assert box.say(b"*IDN?\n") == b"maker,box,1,0\n"
    assert box.say(b"SOUR:VOLT?;VOLT?\n") not in (b"0;0\n", b"")
    assert box.say(b"RAMP;:SYST:ERR?\n") == b'-240,"Hardware error;scripted fault"\n'
    box.say(b"ABOR\n")
    assert box.say(b"SYST:ERR:COUN?\n") == b"20\n"
    assert box.say(b"*CLS;:FAIL?;:SYST:ERR:COUN?\n") == b""
    box.say(b"SLOW?\n")
    assert box.session.dropped


class Asked(Box):
    """A box that is asked with a number in front, in the way of array boards."""

    def commands(self) -> Sequence[Command]:
        return [
            Command("TAG?", str, (Integer("tag", low=1, high=2**32 - 1),)),
            Command("SYSTem:SYNC?", str, (Integer("n"),)),
            Command("SYSTem:LIST?", lambda: "below"),
            Command("LIST?", lambda: "root"),
            Command("TAKE?", lambda data: bytes(data).decode(), (Block("data"),)),
        ]


@pytest.mark.parametrize("lead", [b"TAG? %d;", b"TAG? %d;:", b"SYST:SYNC? %d;:", b"SYST:SYNC? %d;"])
@pytest.mark.parametrize("block", [False, True])
def test_a_message_with_another_question_each_time_means_what_it_meant_the_first_time(lead: bytes, block: bool) -> None:
    numbers = (7, 8, 123_456_789, 999_999_999, 4_294_967_295, 4_294_967_296, 0, 9)

    def ask(box: Asked, number: int) -> bytes | None:
        command = b"TAKE? #13%03d" % (number % 1000) if block else b"LIST?"
        box.receive(lead % number + command + b"\n")
        return box.session.take()

    seasoned = Asked()
    for number in numbers:
        assert ask(seasoned, number) == ask(Asked(), number), number
    below = lead == b"SYST:SYNC? %d;"
    assert ask(seasoned, 5) == {
        (False, False): b"5;root\n", (False, True): b"5;below\n", (True, False): b"5;005\n", (True, True): b"5\n"
    }[block, below]  # fmt: skip
