"""More than 10,000 requests, random and at the boundary, through every door: nothing outside the limits arrives.

What arrives is judged by ``tests/support/recording_bench.py``, which shares nothing with the drivers. A request either
is refused, and then nothing is sent, or every number of what is sent is inside.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from qcodes.parameters import Parameter
from qcodes.validators import Anything

from support import limits_asker as asker
from support import recording_bench as bench
from xbarlab.common.errors import RefusedError, XbarlabError
from xbarlab.instruments.abilities import Sweeps, UpdatesByOuterProduct
from xbarlab.instruments.block import Block
from xbarlab.instruments.board.crossbar_board import CrossbarBoard
from xbarlab.instruments.capabilities import OuterProducts, PulseDrive, PulseMap, VerifyRequest
from xbarlab.instruments.chip.chip_file import parse_chip
from xbarlab.instruments.drivers.keithley_2450 import Keithley2450Smu
from xbarlab.instruments.drivers.keysight_33622a import Keysight33622APulser
from xbarlab.instruments.drivers.keysight_b2201a import KeysightB2201AMatrix
from xbarlab.instruments.limits import Limits, NamedLimits
from xbarlab.instruments.probe.probed_array import ProbedArray

# A read at 5e-324 V is within the limits; its conductance is not within numbers.
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")

PER_BOARD, PER_STATION, PER_BATCHED = 2200, 2200, 2500
COUNTED: Counter[str] = Counter()
RAN: list[str] = []


message = asker.message

# -- the benches: wide and narrowed, of either polarity, with lines in another order -----------------------------------

NARROW = {
    "set_volts_max": 3.0011,
    "reset_volts_max": 2.1013,
    "read_volts_max": 0.15,
    "vmm_volts_max": 0.1234,
    "gate_max": 2.7,
    "current_max": 5e-5,
    "width_min": 1e-7,
    "width_max": 1e-3,
    "count_max": 1000,
    "energy_max": 2e-10,
    "sweep_energy_max": 5e-7,
    "slew_max": 2e8,
    "pulses_total_max": 1500,
}
EDGED = {"width": {"tick": 1e-8, "min": 5e-8, "max": 1e-2, "edge": 1e-8}}
BOARDS: dict[str, tuple[dict[str, Any], dict[str, float], dict[str, Any]]] = {
    "as it is": ({}, {}, {}),
    "narrowed by its station": ({}, NARROW, EDGED),
    "narrowed by its chip, turned round, lines crossed": (
        {"rows": 3, "cols": 2, "lines": {"rows": [6, 1, 4], "cols": [3, 0]}, "polarity": -1, "limits": NARROW},
        {},
        EDGED,
    ),
}
STATIONS: dict[str, tuple[dict[str, Any], dict[str, float]]] = {
    "as it is": ({}, {}),
    "narrowed by its station": ({}, NARROW),
    "narrowed by its chip, turned round": ({"polarity": -1, "limits": NARROW}, {}),
}


class Clock:
    """Nothing waits."""

    def now(self) -> float:
        return 0.0

    def wait(self, seconds: float) -> None:
        assert 0.0 <= seconds < 1e6


class Bench:
    """Requests, what came of them, and that a refused one sends nothing."""

    def __init__(self, *transports: Any) -> None:
        self._transports = transports
        self.outcomes: dict[str, Counter[str]] = {}

    def ask(self, door: str, request: Callable[[], object], *, lenient: bool = False) -> None:
        """Make a request; ``lenient`` where QCoDeS may refuse with words of its own."""
        before = [len(transport.sent) for transport in self._transports]
        refusals = (ValueError, TypeError, OverflowError) if lenient else RefusedError
        try:
            request()
        except refusals:
            sent = [m for t, n in zip(self._transports, before, strict=True) for m in t.sent[n:]]
            # Questions do nothing: which module of QCoDeS it is about, whether the output is on.
            sent = [m for m in sent if not all(unit.split()[0].endswith(b"?") for unit in m.split(b";"))]
            assert sent == [], f"{door}: it was refused, and yet something was sent"
            outcome = "refused"
        except XbarlabError:  # it answered with something odd; what it was sent has been judged
            outcome = "let through"
        else:
            outcome = "let through"
        self.outcomes.setdefault(door, Counter())[outcome] += 1
        COUNTED[outcome] += 1


def make_board(chip: dict[str, Any], limits: dict[str, float], changes: dict[str, Any]) -> SimpleNamespace:
    allowed = Limits().narrowed({**chip.get("limits", {}), **limits}, source="test")
    judge = bench.Judge(allowed, chip.get("polarity", 1))
    resource = bench.RecordingBoard(judge, **changes)
    mounted = parse_chip({"id": "c", "rows": 8, "cols": 4, "cell": "1T1R", **chip}, source="c.chip.yaml")
    judge.armed = True
    board: Any = CrossbarBoard("board", resource=resource, chip=mounted, limits=limits)
    return SimpleNamespace(board=board, judge=judge, resource=resource, allowed=allowed, bench=Bench(resource))


def make_station(chip: dict[str, Any], limits: dict[str, float]) -> SimpleNamespace:
    allowed = Limits().narrowed({**chip.get("limits", {}), **limits}, source="test")
    judge = bench.Judge(allowed, chip.get("polarity", 1))
    station = bench.Station(judge)
    row: Any = Keithley2450Smu("row_smu", resource=station.row)
    column: Any = Keithley2450Smu("column_smu", resource=station.column)
    pulser: Any = Keysight33622APulser("pulser", resource=station.pulser)
    matrix: Any = KeysightB2201AMatrix("matrix", resource=station.matrix)
    mounted = parse_chip({"id": "c", "rows": 3, "cols": 3, "cell": "passive", **chip}, source="c.chip.yaml")
    array = ProbedArray(
        "probe",
        row_smu=row,
        column_smu=column,
        pulser=pulser,
        matrix=matrix,
        chip=mounted,
        limits=NamedLimits(limits, "s.station.yaml"),
        edge=20e-9,
    )
    array.clock = Clock()
    judge.armed = True
    return SimpleNamespace(
        array=array,
        row=row,
        column=column,
        pulser=pulser,
        matrix=matrix,
        judge=judge,
        station=station,
        allowed=allowed,
        bench=Bench(station.row, station.column, station.pulser, station.matrix),
    )


@pytest.fixture(params=BOARDS.values(), ids=BOARDS.keys())
def on_board(request: pytest.FixtureRequest) -> Iterator[SimpleNamespace]:
    made = make_board(*request.param)
    RAN.append(request.node.name)
    yield made
    made.judge.armed = False
    made.board.close()


@pytest.fixture(params=STATIONS.values(), ids=STATIONS.keys())
def on_station(request: pytest.FixtureRequest) -> Iterator[SimpleNamespace]:
    made = make_station(*request.param)
    RAN.append(request.node.name)
    yield made
    made.judge.armed = False
    for driver in (made.row, made.column, made.pulser, made.matrix):
        driver.close()


# -- an array board ----------------------------------------------------------------------------------------------------


def board_requests(made: SimpleNamespace, ask: Any) -> list[tuple[str, Callable[[], object], bool]]:
    board, most = made.board, made.allowed
    rows, cols = board.spec.rows, board.spec.cols
    texts = [
        ("SOUR:READ:VOLT", -most.read_volts_max, most.read_volts_max, "V"),
        ("SOUR:READ:GATE", 0.0, most.gate_max, "V"),
        ("SOUR:VMM:GATE", 0.0, most.gate_max, "V"),
        ("READ:VOLT", -1.0, 1.0, "V"),
        ("UPD:OUT 1,1e-6,1,1,", 0.0, 1.0, "V"),
    ]
    fillers = [
        "*CLS",
        "OUTP ON",
        "*RST",
        "*RCL 1",
        "PULS:MAP 0,1,0,1,#210xxxxxxxxxx",
        '*DMC "x",#11x',
        "SENS:AVER 1",
        "SOUR:READ:GATE 1",
        "VMM:FORW? 1,#216xxxxxxxxxxxxxxxx",
        "READ:MAP? 0,1,0,1",
    ]

    def pulse() -> object:
        block = ask.block(rows, cols)
        shape = block.shape
        return board.pulse(
            PulseMap(
                block,
                ask.shaped(ask.volts, shape),
                ask.shaped(ask.width, shape),
                ask.shaped(ask.gate, shape),
                ask.shaped(ask.count, shape) if ask.chance(0.6) else 1,
                ask.pick(None, None, None, "ground", "V/2"),
            )
        )

    def sweep() -> object:
        return board.sweep(
            int(ask.rng.integers(rows)),
            int(ask.rng.integers(cols)),
            ask.points(),
            compliance=ask.value(1e-6, most.current_max),
            dwell=ask.value(1e-4, ask.pick(10.0, 1e-3)),
            gate=ask.pick(None, ask.gate()),
        )

    def update() -> object:
        for name, value in (
            ("update_width", ask.width()),
            ("update_set_volts", abs(ask.sane(ask.volts))),
            ("update_set_gate", ask.gate()),
            ("update_reset_volts", abs(ask.sane(ask.volts))),
        ):
            if ask.chance(0.3):
                parameter = board.parameters[name]
                parameter.vals = Anything()  # as a station file may widen it
                parameter(value)
        fraction = lambda: ask.value(-1.0, 1.0, odd=0.02)  # noqa: E731
        return board.outer_update(
            np.array([ask.sane(fraction) for _ in range(rows)]) if ask.chance(0.3) else ask.rng.uniform(-1, 1, rows),
            ask.shaped(fraction, (cols,)) if ask.chance(0.3) else ask.rng.uniform(-1, 1, cols),
            pulses=ask.pick(1, 10, ask.count(), 1000, 10**9),
        )

    def verify() -> object:
        block = ask.block(rows, cols)
        up, down = most.set_volts_max, most.reset_volts_max
        target = np.where(ask.rng.random(block.shape) < 0.3, np.nan, 1e-4)
        return board.program_verify(
            VerifyRequest(
                block,
                target if ask.chance(0.95) else ask.value(0, 1),
                ask.value(1e-6, 1e-5, odd=0.01),
                ask.pick(1, 20, ask.count()),
                ask.width(),
                ask.value(0.0, up, odd=0.01),
                (0.5, ask.value(0.5, most.gate_max, odd=0.01), 0.1),
                (0.5, ask.value(0.5, down, odd=0.01), 0.1),
                ask.value(0.0, most.gate_max, odd=0.01),
            )
        )

    def parameter() -> object:
        name = ask.pick("read_volts", "read_gate", "vmm_gate", "mine")
        if name == "mine":
            return Parameter("mine", instrument=board, bind_to_instrument=False, set_cmd="SOUR:READ:VOLT {}")(
                ask.value(-0.2, 0.2)
            )
        if ask.chance(0.5):
            board.parameters[name].vals = Anything()
        return board.parameters[name](ask.value(-most.read_volts_max, most.gate_max))

    read = most.read_volts_max
    vmm = lambda: ask.value(-most.vmm_volts_max, most.vmm_volts_max, odd=0.02)  # noqa: E731
    return [
        ("pulse", pulse, False),
        ("pulse", pulse, False),
        ("sweep", sweep, False),
        ("outer_update", update, True),
        ("program_verify", verify, False),
        (
            "read",
            lambda: board.read(ask.block(rows, cols), ask.value(-read, read), gate=ask.pick(None, ask.gate())),
            False,
        ),
        ("sample", lambda: board.sample(0, 0, ask.value(-read, read), rate=ask.value(1.0, 1e4), seconds=1e-3), False),
        ("vmm", lambda: board.vmm(ask.shaped(vmm, (ask.pick(1, 3, 500), rows))), False),
        ("vmm", lambda: board.vmm(ask.shaped(vmm, (2, cols)), reverse=True), False),
        ("parameter", parameter, True),
        ("write", lambda: board.write(message(ask, texts, fillers)), False),
        ("ask", lambda: board.ask(f"{message(ask, texts, fillers)};:SOUR:READ:VOLT?"), False),
        (
            "ask",
            lambda: board.ask(f"SAMP? 0,0,{ask.number_text(-read, read)},{ask.number_text(0, most.gate_max)},1e3,10"),
            False,
        ),
    ]


def test_a_board_is_sent_nothing_outside_its_limits(on_board: SimpleNamespace) -> None:
    ask = asker.Asker(1, on_board.allowed)
    requests = board_requests(on_board, ask)
    for _ in range(PER_BOARD):
        door, request, lenient = ask.pick(*requests)
        on_board.bench.ask(door, request, lenient=lenient)
    _assert_told(on_board)


TILES = {
    "protocol": "xbarlab-board/2",
    "supports": ["sample", "sweep", "vmm", "reverse", "outer_update", "onboard_verify", "outer_tiles"],
    "update": {"slots_max": 127, "tiles_max": 3, "products_max": 4},
}
BATCHED = {
    "one by one": ({}, NARROW, EDGED),
    "by tiles": ({}, {}, TILES),
    "by tiles, narrowed by its station": ({}, NARROW, {**EDGED, **TILES}),
    "by tiles, narrowed by its chip, turned round, lines crossed": (
        {"rows": 3, "cols": 2, "lines": {"rows": [6, 1, 4], "cols": [3, 0]}, "polarity": -1, "limits": NARROW},
        {},
        {**EDGED, **TILES},
    ),
}


@pytest.mark.parametrize("on_board", BATCHED.values(), indirect=True, ids=BATCHED.keys())
def test_batches_of_outer_products_send_nothing_outside_the_limits(on_board: SimpleNamespace) -> None:
    """10,000 requests in all: rectangles, fractions, turns and drives, one of which may be beyond or no number."""
    board, most, ask = on_board.board, on_board.allowed, asker.Asker(5, on_board.allowed)
    rows, cols = board.spec.rows, board.spec.cols
    fraction = lambda: ask.value(-1.0, 1.0, odd=0.02)  # noqa: E731

    def drive(high: float, usual: float) -> Any:
        return ask.value(0.0, high) if ask.chance(0.1) else usual

    def fractions(n: int, lines: int) -> Any:
        return ask.shaped(fraction, (n, lines)) if ask.chance(0.1) else ask.rng.uniform(-1, 1, (n, lines))

    def one() -> OuterProducts:
        block, n = ask.block(rows, cols), ask.pick(1, 2, 9)
        return OuterProducts(block, fractions(n, block.nrows), fractions(n, block.ncols))

    def request() -> object:
        given = PulseDrive(
            drive(most.set_volts_max, 0.5 * most.set_volts_max), drive(most.gate_max, 1.2),
            drive(most.reset_volts_max, 0.5 * most.reset_volts_max), drive(most.gate_max, 0.5 * most.gate_max),
            ask.width() if ask.chance(0.2) else 2e-7,
        )  # fmt: skip
        turns = ask.pick(1, 10, 31, 200, ask.count())
        products = [one() for _ in range(ask.pick(0, 1, 2, 5))]
        return board.ability(UpdatesByOuterProduct).outer_updates(products, pulses=turns, drive=given)

    for _ in range(PER_BATCHED):
        on_board.bench.ask("outer_updates", request)
    sent = b"".join(on_board.resource.sent)
    assert (b"UPD:OUT:TIL" in sent) == ("outer_tiles" in on_board.resource.capability["supports"])
    _assert_told(on_board)


# -- a probe station ---------------------------------------------------------------------------------------------------


def array_requests(made: SimpleNamespace, ask: Any) -> list[tuple[str, Callable[[], object], bool]]:
    array, most = made.array, made.allowed

    def pulse() -> object:
        block = ask.block(3, 3) if ask.chance(0.3) else Block(1, 1, 2, 1)
        counts = ask.pick(1, 1, 3, ask.count())
        volts = ask.shaped(ask.volts, block.shape)
        return array.pulse(
            PulseMap(block, volts, ask.shaped(ask.width, block.shape), ask.pick(0.0, 0.0, ask.gate()), counts)
        )

    def sweep() -> object:
        return array.ability(Sweeps).sweep(
            0,
            1,
            ask.points(),
            compliance=ask.value(1e-6, most.current_max),
            dwell=ask.value(0.01, ask.pick(10.0, 0.02)),
            scheme=ask.pick(None, "float", "V/2", "V/3"),
        )

    read = most.read_volts_max
    scheme = lambda: ask.pick(None, None, "float", "row_sense", "V/2")  # noqa: E731
    return [
        ("pulse", pulse, False),
        ("sweep", sweep, False),
        ("read", lambda: array.read(Block(0, 1, 1, 1), ask.value(-read, read), scheme=scheme()), False),
        ("read", lambda: array.read(ask.block(3, 3), ask.value(-read, read), gate=ask.pick(None, ask.gate())), False),
    ]


def test_a_probe_station_is_sent_nothing_outside_its_limits(on_station: SimpleNamespace) -> None:
    ask = asker.Asker(2, on_station.allowed)
    requests = array_requests(on_station, ask)
    for _ in range(PER_STATION // 4):
        door, request, lenient = ask.pick(*requests)
        on_station.bench.ask(door, request, lenient=lenient)
    _assert_told(on_station)
    assert on_station.station.pulser.fired > 10


def hand_requests(made: SimpleNamespace, ask: Any) -> list[tuple[str, Callable[[], object], bool]]:
    row, column, pulser, matrix, most = made.row, made.column, made.pulser, made.matrix, made.allowed
    top = max(most.set_volts_max, most.reset_volts_max)
    smu = lambda: ask.pick(row, column)  # noqa: E731
    volts = lambda: ask.value(-top, top)  # noqa: E731
    amps = lambda: ask.value(1e-9, most.current_max)  # noqa: E731
    smu_texts = [
        ("SOUR:VOLT", -top, top, "V"),
        ("SOUR1:VOLT:LEV:IMM:AMPL", -top, top, "V"),
        ("SOUR:VOLT:ILIM", 0.0, most.current_max, "A"),
        ("SOUR:LIST:VOLT", -top, top, "V"),
        ("SOUR:LIST:VOLT:APP", -top, top, "V"),
        ("SOUR:SWE:VOLT:LIN", -top, top, "V"),
        ("SOUR:CURR", 0.0, 1e-3, "A"),
        ("SOUR:PULS:VOLT", 0.0, 1.0, "V"),
    ]
    smu_fillers = ["OUTP ON", "OUTP OFF", "*RST", "*RCL 0", "SOUR:FUNC CURR", "SOUR:FUNC VOLT", "SCR:RUN 'x'", "*CLS"]
    pulser_texts = [
        ("SOUR1:VOLT", -top, top, "V"),
        ("SOUR2:VOLT:OFFS", -top, top, "V"),
        ("SOUR2:VOLT:HIGH", 0, top, "V"),
        ("VOLT:LOW", -top, 0, "V"),
        ("VOLT:LIM:HIGH", 0, top, "V"),
        ("SOUR1:BURS:NCYC", 0, most.count_max, ""),
        ("SOUR1:FUNC:PULS:WIDT", 0, most.width_max, "S"),
        ("SOUR1:FUNC:PULS:TRAN", 0, 1e-6, "S"),
        ("TRIG1:COUN", 1, 1e4, ""),
        ("OUTP1:LOAD", 1, 1e4, ""),
    ]
    pulser_fillers = [
        "OUTP1 ON",
        "OUTP2:STAT 1",
        "*TRG",
        "*RST",
        "VOLT:LIM:STAT OFF",
        "APPL:SIN 1e3,1,0",
        "SOUR1:BURS:STAT OFF",
        "SOUR1:FUNC SQU",
        "SOUR1:PWM:STAT ON",
        "SOUR2:AM:STAT ON",
        "TRIG1:COUN 50",
        "*CLS",
    ]

    def train() -> object:
        width, count = ask.width(), ask.pick(1, 3, ask.count())
        most_times = ask.value(1e-6, 1e-3, odd=0.01)
        return pulser.pulses(
            ask.value(-0.5 * top, 0.5 * top),
            ask.value(-0.5 * top, 0.5 * top),
            width=width,
            edge=ask.pick(2e-8, ask.value(3e-9, 1e-6)),
            period=most_times,
            count=count,
        )

    def sweep() -> object:
        return smu().sweep(ask.points(), compliance=amps(), dwell=ask.pick(0.0, ask.value(1e-3, ask.pick(10.0, 0.01))))

    def stock() -> object:
        unit, channel = smu(), ask.pick(pulser.ch1, pulser.ch2)
        return ask.pick(
            lambda: unit.source.voltage(volts()),
            lambda: unit.source.limit(amps()),
            lambda: unit._source_current.current(1e-6),
            lambda: unit.source_function(ask.pick("voltage", "current")),
            lambda: unit.output_enabled(ask.chance(0.5)),
            lambda: unit.sense.four_wire_measurement(True),
            lambda: (unit.source.sweep_setup(volts(), volts(), 5), unit.source.sweep_start()),
            lambda: channel.amplitude(volts()),
            lambda: channel.offset(volts()),
            lambda: channel.output(ask.pick("ON", "OFF")),
            lambda: channel.pulse_width(ask.width()),
            lambda: channel.burst_ncycles(ask.pick("INF", 1, 10**8, 5)),
            lambda: channel.trigger_count(1000),
            lambda: channel.function_type(ask.pick("SQU", "PULS", "DC")),
            lambda: Parameter("mine", instrument=unit, bind_to_instrument=False, set_cmd="SOUR:VOLT {}")(volts()),
        )()

    def relays() -> object:
        port = lambda: ask.pick(1, 2, 3, 9, 0, 49, 1.5, True)  # noqa: E731
        if ask.chance(0.5):
            return matrix.connect_only([(port(), port()) for _ in range(ask.pick(1, 2, 3))])
        return matrix.write(ask.pick("ROUT:CLOS (@00101,00201)", "CLOS (@00101)", "ROUT:CLOS (@00101:00205)", "*RST"))

    def text() -> object:
        if ask.chance(0.5):
            return smu().write(message(ask, smu_texts, smu_fillers))
        return pulser.write(message(ask, pulser_texts, pulser_fillers))

    def question() -> object:
        if ask.chance(0.5):
            return smu().ask(f"{message(ask, smu_texts, smu_fillers)};:SOUR:VOLT?")
        return pulser.ask(f"{message(ask, pulser_texts, pulser_fillers)};:SOUR1:VOLT?")

    return [
        ("on", lambda: smu().on(volts(), compliance=amps()), False),
        ("level", lambda: smu().level(volts(), compliance=ask.pick(None, amps())), False),
        ("step", lambda: smu().step(volts(), dwell=ask.pick(0.0, ask.value(1e-4, 1.0))), False),
        ("smu.sweep", sweep, False),
        ("pulses", train, False),
        ("connect_only", relays, False),
        ("stock parameters", stock, True),
        ("stock parameters", stock, True),
        ("write", text, False),
        ("ask", question, False),
    ]


def test_instruments_used_by_hand_are_sent_nothing_outside_their_limits(on_station: SimpleNamespace) -> None:
    on_station.station.by_hand = True
    ask = asker.Asker(3, on_station.allowed)
    requests = hand_requests(on_station, ask)
    for _ in range(PER_STATION):
        door, request, lenient = ask.pick(*requests)
        on_station.bench.ask(door, request, lenient=lenient)
    _assert_told(on_station)
    on_station.array.idle()


@pytest.mark.slow
@pytest.mark.parametrize("door", ["array", "by hand"])
def test_ten_thousand_requests_to_a_probe_station(on_station: SimpleNamespace, door: str) -> None:
    """10,200 in all: 1,700 at either door, as it is and narrowed either way."""
    on_station.station.by_hand = door == "by hand"
    ask = asker.Asker(16, on_station.allowed)
    requests = (array_requests if door == "array" else hand_requests)(on_station, ask)
    for _ in range(1700):
        way, request, lenient = ask.pick(*requests)
        on_station.bench.ask(way, request, lenient=lenient)
    _assert_told(on_station)
    on_station.array.idle()


# -- what hypothesis thinks of -----------------------------------------------------------------------------------------

EDGES = [float(value) for value in NARROW.values()]
NUMBERS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True, width=64),
    st.sampled_from([*EDGES, *(-edge for edge in EDGES), *(np.nextafter(edge, np.inf) for edge in EDGES), 0.0, -0.0]),
    st.floats(-5.0, 5.0),
    st.integers(-(10**30), 10**30),
)
PLANES = st.one_of(NUMBERS, st.lists(NUMBERS, min_size=4, max_size=4).map(lambda four: [four[:2], four[2:]]))
SPELLINGS = [
    "SOUR:VOLT",
    "sour1:voltage:lev",
    ":SOURce:VOLTage:ILIMit",
    "SOUR:LIST:VOLT",
    "SOUR:READ:VOLT",
    "VOLT",
    "ILIM",
    "SOUR:READ:GATE",
    "GATE",
    "SOUR:VMM:GATE",
    "SAMP",
    "*RST",
    "*RCL",
    "OUTP",
    "SOUR:FUNC",
    "SOUR2:VOLT:HIGH",
]
UNITS = st.tuples(
    st.sampled_from(SPELLINGS),
    st.sampled_from([" ", "  ", "\t", "", "? "]),
    st.one_of(
        NUMBERS.map(str),
        st.from_regex(r"[+-]?[0-9]{0,3}[.]?[0-9]{0,3}([eE][+-]?[0-9]{1,3})?[ ]?[mkuMn]?[VAS]?", fullmatch=True),
    ),
    st.sampled_from(["", "", ",1", ",", " V", ";", ";;", "#11x"]),
).map("".join)
MESSAGES = st.lists(UNITS, min_size=1, max_size=3).flatmap(
    lambda units: st.sampled_from([";", ";:", "; ", ",", "\n"]).map(lambda join: join.join(units))
)
THOROUGH = settings(
    max_examples=150,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("on_board", [BOARDS["narrowed by its station"]], indirect=True, ids=["narrowed"])
def test_pulse_maps_that_hypothesis_thinks_of(on_board: SimpleNamespace) -> None:
    board = on_board.board

    @THOROUGH
    @given(PLANES, PLANES, PLANES, PLANES)
    def pulse(volts: Any, width: Any, gate: Any, count: Any) -> None:
        on_board.bench.ask("pulse", lambda: board.pulse(PulseMap(Block(2, 2, 1, 2), volts, width, gate, count)))
        on_board.bench.ask("pulse", lambda: board.pulse(PulseMap(Block(2, 2, 1, 2), volts, 1e-6, 1.0, 1)))

    pulse()


@pytest.mark.parametrize("on_station", [STATIONS["narrowed by its station"]], indirect=True, ids=["narrowed"])
def test_levels_trains_and_pulses_that_hypothesis_thinks_of(on_station: SimpleNamespace) -> None:
    on_station.station.by_hand = True
    array, row, pulser, ask = on_station.array, on_station.row, on_station.pulser, on_station.bench.ask

    @THOROUGH
    @given(NUMBERS, NUMBERS, NUMBERS)
    def apply(one: Any, two: Any, three: Any) -> None:
        ask("on", lambda: row.on(one, compliance=two))
        ask("level", lambda: row.level(one))
        ask("pulses", lambda: pulser.pulses(one, two, width=1e-6, edge=2e-8, period=2e-6, count=three))
        ask("pulses", lambda: pulser.pulses(one, two, width=1e-7, edge=2e-8, period=2e-6, count=2))
        ask("pulse", lambda: array.pulse(PulseMap(Block(0, 1, 0, 1), one, two)))
        ask("read", lambda: array.read(Block(0, 1, 0, 1), three))

    apply()


@pytest.mark.parametrize("on_station", [STATIONS["narrowed by its station"]], indirect=True, ids=["narrowed"])
@pytest.mark.parametrize("on_board", [BOARDS["narrowed by its station"]], indirect=True, ids=["narrowed"])
def test_messages_that_hypothesis_thinks_of(on_board: SimpleNamespace, on_station: SimpleNamespace) -> None:
    on_station.station.by_hand = True

    @THOROUGH
    @given(MESSAGES)
    def write(text: str) -> None:
        on_board.bench.ask("write", lambda: on_board.board.write(text))
        on_station.bench.ask("write", lambda: on_station.column.write(text))
        on_station.bench.ask("write", lambda: on_station.pulser.write(text))

    write()


def _assert_told(made: SimpleNamespace) -> None:
    assert made.judge.judged > 500, "the judge had something to judge"
    for door, outcomes in made.bench.outcomes.items():
        if door == "program_verify" and "onboard_verify" not in made.board.spec.supports:
            continue
        total = outcomes.total()
        assert outcomes["let through"] >= 0.02 * total, f"{door} was hardly ever let through: {outcomes}"
        assert outcomes["refused"] >= 0.02 * total, f"{door} was hardly ever refused: {outcomes}"


def test_ten_thousand_requests_were_made() -> None:
    """Last in this file: prints the count (``pytest -s``)."""
    total = COUNTED.total()
    print(f"\nlimits everywhere: {total:,} requests, of which {COUNTED['refused']:,} were refused")
    if len(RAN) >= 13:  # not when some of this file were asked for
        assert total >= 10_000
