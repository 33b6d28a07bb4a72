"""The B2201A driver's exact bytes, as the Agilent B2200 User's Guide has them, against a scripted cable."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support import fake_board as fake
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.drivers.keysight_b2201a import KeysightB2201AMatrix, channel_list
from xbarlab.instruments.errors import InstrumentError
from xbarlab.instruments.wire import binding

E = b";:SYST:ERR?\n"
OK = b'+0,"No Error"\n'
BACK = b";*OPC?;:ROUT:CLOS:CARD? 0" + E
OPENING = [
    (b"*IDN?\n", b"AGILENT,B2201A,0,A.01.00\n"),
    (b"ROUT:OPEN:CARD ALL\n", b""),
    (b"*CLS;*RST" + E, OK),
    (b"ROUT:FUNC ACON;:ROUT:CONN:RULE 0,FREE;:ROUT:CONN:SEQ 0,BBM" + E, OK),
    (BACK[1:], b'1;(@);+0,"No Error"\n'),
]
IDLE = [
    (b"ROUT:OPEN:CARD ALL\n", b""),
    (b"*ESE 7;*ESE?;*ESE 7;*ESE?;*ESE 7;*ESE?\n", b"7;7;7\n"),
    (b"SYST:ERR?\n", b'0,"No Error"\n'),
    (b"ROUT:CLOS:CARD? 0\n", b"(@)\n"),
]


def closed(channels: str) -> bytes:
    return f'1;(@{channels});0,"No Error"\n'.encode()


class WatchedClock:
    def __init__(self) -> None:
        self.waits: list[float] = []

    def now(self) -> float:
        return sum(self.waits)

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)


@pytest.fixture
def matrix(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(binding.random, "randint", lambda *_: 7)
    resource = fake.ScriptedResource(OPENING)
    matrix: Any = KeysightB2201AMatrix("matrix", resource=resource)
    resource.assert_done()
    matrix.clock = WatchedClock()
    yield matrix
    resource.script = list(IDLE)
    matrix.close()
    resource.assert_done()


def script(matrix: Any, *exchanges: tuple[bytes, bytes | BaseException]) -> Any:
    matrix.visa_handle.script = list(exchanges)
    return matrix.visa_handle


def test_opening_opens_every_path_before_anything_is_asked(matrix: Any) -> None:
    assert matrix.closed == frozenset()
    assert (matrix.identity.maker, matrix.identity.model) == ("AGILENT", "B2201A")
    assert matrix.transactions == 0


def test_the_other_mainframe_is_refused() -> None:
    resource = fake.ScriptedResource([(b"*IDN?\n", b"AGILENT,B2200A,0,A.01.00\n")])
    with pytest.raises(InstrumentError, match="is a B2200A of AGILENT, not a B2201A"):
        KeysightB2201AMatrix("matrix", resource=resource)
    resource.assert_done()


def test_a_path_is_closed_and_read_back(matrix: Any) -> None:
    resource = script(matrix, (b"ROUT:CLOS (@00101,00248)" + BACK, closed("00101,00248")))
    matrix.connect_only([(2, 48), (1, 1)])
    resource.assert_done()
    assert matrix.closed == {(1, 1), (2, 48)}
    assert matrix.clock.waits == [0.01]
    assert matrix.transactions == 1


def test_what_must_open_opens_before_anything_closes(matrix: Any) -> None:
    resource = script(
        matrix,
        (b"ROUT:CLOS (@00101,00202,00303)" + BACK, closed("00101,00202,00303")),
        (b"ROUT:OPEN (@00202,00303)" + BACK, closed("00101")),
        (b"ROUT:CLOS (@00302,01403)" + BACK, closed("00101,00302,01403")),
        (b"ROUT:OPEN:CARD 0" + BACK, closed("")),
        (b"ROUT:CLOS (@00105)" + BACK, closed("00105")),
    )
    matrix.connect_only([(1, 1), (2, 2), (3, 3)])
    matrix.connect_only([(1, 1), (3, 2), (14, 3)])
    matrix.connect_only([(1, 5)])
    matrix.connect_only([(1, 5)])  # nothing to do
    resource.assert_done()
    assert matrix.transactions == 5
    assert len(matrix.clock.waits) == 3


def test_one_input_on_many_outputs_and_everything_open_again(matrix: Any) -> None:
    paths = [(5, line) for line in range(1, 9)]
    channels = ",".join(f"005{line:02d}" for line in range(1, 9))
    resource = script(
        matrix,
        (b"ROUT:CLOS (@" + channels.encode() + b")" + BACK, closed(channels)),
        (b"ROUT:OPEN:CARD 0" + BACK, closed("")),
        (b"ROUT:OPEN:CARD 0" + BACK, closed("")),
    )
    matrix.connect_only(paths)
    matrix.connect_only([])
    matrix.open_all()
    resource.assert_done()
    assert matrix.closed == frozenset()


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ([(1, 1), (2, 1)], "inputs 1 and 2 on output 1 would short two sources"),
        ([(0, 1)], "no input 0: choose 1 to 14"),
        ([(15, 1)], "no input 15"),
        ([(1, 0)], "no output 0: choose 1 to 48"),
        ([(1, 49)], "no output 49"),
        ([(1, 1.5)], r"no output 1\.5"),
        ([(True, 1)], "no input True"),
    ],
)
def test_what_cannot_or_must_not_be_is_refused_before_a_byte(matrix: Any, paths: Any, words: str) -> None:
    before = len(matrix.visa_handle.sent)
    with pytest.raises(RefusedError, match=words):
        matrix.connect_only(paths)
    assert matrix.visa_handle.sent[before:] == []


def test_a_relay_that_does_not_close_is_an_error(matrix: Any) -> None:
    script(matrix, (b"ROUT:CLOS (@00101,00202)" + BACK, closed("00101,00303")))
    with pytest.raises(InstrumentError, match=r"\(@00202\) should be closed and is not, \(@00303\) is closed"):
        matrix.connect_only([(1, 1), (2, 2)])
    resource = script(matrix, (b"ROUT:CLOS:CARD? 0" + E, b'(@00101,00303);0,"No Error"\n'))
    assert matrix.closed == {(1, 1), (3, 3)}  # asked for again: what is not known is not assumed
    resource.assert_done()


def test_an_error_the_instrument_reports_is_raised_with_its_queue(matrix: Any) -> None:
    resource = script(
        matrix,
        (b"ROUT:CLOS (@00101)" + BACK, b'1;(@);-241,"Hardware missing"\n'),
        (b"SYST:ERR?\n", b'-222,"Data out of range"\n'),
        (b"SYST:ERR?\n", b"0, No Error\n"),
    )
    with pytest.raises(
        InstrumentError, match=r"matrix at TCPIP.* -241 Hardware missing; -222 Data out of range"
    ) as caught:
        matrix.connect_only([(1, 1)])
    assert [number for number, _ in caught.value.entries] == [-241, -222]
    resource.assert_done()
    script(matrix, (b"ROUT:CLOS:CARD? 0" + E, b'(@);0,"No Error"\n'))
    assert matrix.closed == frozenset()


def test_the_stock_driver_s_methods_are_checked_too(matrix: Any) -> None:
    resource = script(
        matrix,
        (b"*CLS" + E, OK),
        (b"ROUT:CLOS:CARD? 0" + E, b'(@);0,"No Error"\n'),
        (b":CLOS (@00101)" + E, OK),
        (b"*ESR?\n", b"0\n"),
        (b":CLOS:CARD? 0\n", b"(@00101)\n"),
        (b"*CLS" + E, OK),
        (b"ROUT:CLOS:CARD? 0" + E, b'(@00101);0,"No Error"\n'),
    )
    matrix.connect(1, 1)
    assert matrix.connections() == {(1, 1)}
    with pytest.raises(RefusedError, match="inputs 1 and 2 on output 1"):
        matrix.connect(2, 1)
    resource.assert_done()


def test_the_shipped_driver_s_warning_is_an_error_here(matrix: Any) -> None:
    resource = script(
        matrix,
        (b"*CLS" + E, OK),
        (b":OPEN:CARD 0" + E, OK),
        (b"*ESR?\n", b"16\n"),
        (b"SYST:ERR?\n", b'-200,"Execution error"\n'),
        (b"SYST:ERR?\n", OK),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InstrumentError, match=r"-200 Execution error \(after \*ESR\? 16\)"):
            matrix.disconnect_all()
    resource.assert_done()


@pytest.mark.parametrize(
    "text",
    ["ROUT:CLOS (@00101,00201)", ":CLOS (@01549)", "rout:close:list (@00000)", "CLOS (@00101:00112)", "CLOS (@101)",
     "*CLS;:ROUT:CLOS (@00101,00201)", "ROUT:OPEN (@00101);CLOS (@00102,00202)"],
)  # fmt: skip
def test_raw_channel_lists_are_read_and_refused(matrix: Any, text: str) -> None:
    before = len(matrix.visa_handle.sent)
    with pytest.raises(RefusedError):
        matrix.write(text)
    assert matrix.visa_handle.sent[before:] == []


MODES = [
    ("BIAS", "ROUT:BIAS 0,ON"), ("BIAS", ":rout:bias:port 0,10"), ("BIAS", "BIAS:CHAN:ENAB:CARD 0"),
    ("BIAS", "*CLS;:ROUTe:BIAS:CHANnel:ENABle:LIST (@00101)"), ("AGND", "ROUT:AGND 0,ON"),
    ("AGND", ":AGND:UNUSED 0,'1'"), ("COUPle", "ROUTE:COUP 0,ON"), ("COUPle", "COUPLE:PORT 0,'1,3'"),
    ("COUPle", "COUP:PORT:DET"), ("FUNC", "ROUT:FUNC NCON"), ("CONN", "ROUT:CONN:SEQ 0,MBBR"),
    ("CONN", "CONNection:RULE 0,SROUte"),
]  # fmt: skip
STOCK: list[tuple[str, Callable[[Any], object]]] = [
    ("BIAS", lambda m: m.bias_mode(True)),
    ("BIAS", lambda m: m.bias_enable_all_outputs()),
    ("AGND", lambda m: m.gnd_enable_output(1)),
    ("AGND", lambda m: m.gnd_mode(True)),
    ("COUPle", lambda m: m.couple_mode(True)),
    ("COUPle", lambda m: m.couple_port_autodetect()),
    ("CONN", lambda m: m.connection_sequence("mbb")),
]


@pytest.mark.parametrize(("words", "text"), MODES, ids=[text for _, text in MODES])
def test_modes_that_tie_lines_nobody_names_are_refused(matrix: Any, words: str, text: str) -> None:
    before = len(matrix.visa_handle.sent)
    for door in (matrix.write, lambda message: matrix.ask(f"*OPC?;{message}")):
        with pytest.raises(RefusedError, match=f"{words}.* is refused: .*use connect_only"):
            door(text)
    assert matrix.visa_handle.sent[before:] == []


@pytest.mark.parametrize(("words", "call"), STOCK)
def test_the_shipped_driver_s_modes_are_refused(matrix: Any, words: str, call: Callable[[Any], object]) -> None:
    resource = script(matrix, (b"*CLS" + E, OK))
    before = len(resource.sent)
    with pytest.raises(RefusedError, match=f"{words}.* is refused: .*use connect_only"):
        call(matrix)
    assert set(resource.sent[before:]) <= {b"*CLS" + E}  # which its methods say first


def test_modes_may_be_asked(matrix: Any) -> None:
    resource = script(matrix, (b"ROUT:BIAS? 0\n", b"0\n"), (b"ROUT:FUNC ACON" + E, OK))
    assert matrix.ask("ROUT:BIAS? 0") == "0"
    matrix.write("ROUT:FUNC ACON")
    resource.assert_done()


def test_a_channel_list_is_card_input_output() -> None:
    assert channel_list([(2, 3), (1, 12)]) == "(@00112,00203)"
