"""One source-measure unit on single devices: who is asked when, what a contact is, what is refused, what is counted."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from support.fake_device import CHIP, Bench
from xbarlab import (
    DcSweepPlan,
    EndurancePlan,
    HalfSelectPlan,
    PulseResponsePlan,
    ReadSchemesPlan,
    VmmPlan,
    WirePlan,
)
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.abilities import Multiplies, Samples, Sweeps
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import CrossbarArray, PulseMap
from xbarlab.instruments.chip.chip_file import parse_chip
from xbarlab.instruments.errors import InstrumentError, UnsupportedError
from xbarlab.instruments.limits import LimitError
from xbarlab.protocols.plan import Plan

FIRST, SECOND, THIRD = (Block(row, 1, 0, 1) for row in range(3))
ONE = {"id": "single", "rows": 1, "cols": 1, "cell": "passive", "limits": CHIP["limits"]}


def asked(bench: Bench) -> list[str]:
    return [request.device for request in bench.asked]


def test_it_is_an_array() -> None:
    array = Bench().array()
    assert isinstance(array, CrossbarArray)
    assert array.spec.separate
    assert array.spec.supports == {"sweep", "sample"}


# -- who is asked ------------------------------------------------------------------------------------------------------


def test_each_device_is_asked_for_once_at_0_v_disconnected_and_its_contact_is_looked_at() -> None:
    bench = Bench()
    array = bench.array()
    reading = array.read(array.spec.whole)
    np.testing.assert_allclose(reading.conductance.ravel(), [100e-6, 200e-6, 300e-6])
    assert asked(bench) == ["A1", "A2", "A3"]
    first = [words[0] for words in bench.said][:6]
    assert first == ["disconnect", "asked", "connect", "list", "list", "disconnect"]
    look = bench.said[3]
    assert look[2] == pytest.approx(0.1), "a contact is looked at at a low voltage"
    array.read(THIRD)
    array.pulse(PulseMap(THIRD, volts=1.0, width=5e-3))
    assert asked(bench) == ["A1", "A2", "A3"], "the device that is there is not asked for"
    array.ability(Sweeps).sweep(0, 0, [0.0, 0.5], compliance=1e-3, dwell=0.02)
    assert asked(bench)[-1] == "A1"
    assert array.connected == "A1"


def test_a_single_device_is_there_and_nobody_is_asked() -> None:
    bench = Bench()
    array = bench.array(chip=ONE)
    array.read(FIRST)
    assert bench.asked == []
    assert [words[0] for words in bench.said] == ["list", "list"], "its contact is looked at before the first action"
    array.read(FIRST)
    assert len(bench.said) == 3, "and no second time"


@pytest.mark.parametrize(
    ("comes", "said"), [(1e-9, "is open: 1e-09 S at 0.1 V"), (0.0, "is open"), (0.5, "is a short: more than the range")]
)
def test_a_bad_contact_is_told_in_a_sentence_and_asked_for_again(comes: float, said: str) -> None:
    bench = Bench()
    array = bench.array()
    bench.comes = [comes, comes, 100e-6]
    array.read(FIRST)
    assert asked(bench) == ["A1"] * 3
    assert bench.asked[0].trouble == ""
    for again in bench.asked[1:]:
        assert said in again.trouble
        assert "device A1" in again.trouble
        assert "\n" not in str(again)


def test_a_contact_that_stays_bad_ends_the_action() -> None:
    bench = Bench()
    array = bench.array()
    bench.comes = [0.0] * 99
    with pytest.raises(InstrumentError, match=r"the contact of device A1 is open: .*asked for 5 times.*xbarlab resume"):
        array.read(FIRST)
    assert bench.said[-1] == ("idle",)
    assert max(words[2] for words in bench.said if words[0] == "list") <= 0.1, "nothing but the look at its contact"


def test_open_below_0_takes_devices_that_insulate_and_a_virgin_one_is_no_open_contact() -> None:
    bench = Bench(A1=0.0, A2=0.4e-6)
    bench.array(open_below=0.0).read(FIRST)
    bench.array().read(SECOND)
    assert asked(bench) == ["A1", "A2"]


def test_a_contact_is_looked_at_within_what_a_read_may_have() -> None:
    bench = Bench()
    array = bench.array(chip={**CHIP, "limits": {"read_volts_max": 0.05}})
    array.read(FIRST)
    assert max(bench.smu.levels) == pytest.approx(0.05)


def test_the_hand_that_fails_leaves_nothing_connected_and_is_asked_anew() -> None:
    bench = Bench()
    array = bench.array()

    def away(request: object) -> None:
        raise InstrumentError("the prober is out of order")

    array.hand = away
    with pytest.raises(InstrumentError, match="out of order"):
        array.read(FIRST)
    assert array.connected == ""
    array.hand = bench.connect
    array.read(FIRST)
    assert array.connected == "A1"


# -- programs ----------------------------------------------------------------------------------------------------------


def test_a_pulse_train_is_cut_into_lists_that_end_at_0_v_within_longest() -> None:
    bench = Bench()
    array = bench.array(longest=2.0)
    given = array.pulse(PulseMap(FIRST, volts=-1.2, width=5e-3, count=1000))
    lists = [words[1] for words in bench.said if words[0] == "list"][1:]
    assert len(lists) == 5, "200 pulses of 5 ms, and as long a rest after each, are 2 s"
    assert bench.smu.longest <= 2.0 * 1.05
    assert given.pulses == 1000
    assert given.width[0, 0] == pytest.approx(5e-3)
    assert bench.smu.levels.count(-1.2) == 1000
    assert array.wear.maps()["reset_pulses"].ravel().tolist() == [1000, 0, 0]


def test_reads_of_many_conversions_are_cut_too() -> None:
    bench = Bench()
    array = bench.array(longest=3.0)
    reading = array.read(FIRST, average=200)
    assert bench.smu.longest <= 3.0 * 1.1
    assert reading.conductance[0, 0] == pytest.approx(100e-6)


def test_a_trace_has_the_instruments_own_times() -> None:
    array = Bench().array()
    trace = array.ability(Samples).sample(1, 0, 0.2, rate=50.0, seconds=4.0)
    assert trace.time.size == 200
    assert np.diff(trace.time) == pytest.approx(0.02)
    assert trace.current == pytest.approx(0.2 * 200e-6)


def test_polarity_turns_every_level() -> None:
    bench = Bench()
    array = bench.array(chip={**CHIP, "polarity": -1})
    array.pulse(PulseMap(FIRST, volts=1.0, width=5e-3))
    trace = array.ability(Sweeps).sweep(0, 0, [0.0, 0.5, 1.0], compliance=1e-3, dwell=0.1)
    assert max(bench.smu.levels) == 0.0
    np.testing.assert_allclose(trace.volts, [0.0, 0.5, 1.0])
    np.testing.assert_allclose(trace.current, trace.volts * 100e-6)
    assert array.read(FIRST).conductance[0, 0] == pytest.approx(100e-6)


def test_what_is_interrupted_ends_safe() -> None:
    bench = Bench()
    array = bench.array()
    array.read(FIRST)
    bench.fail = "list"
    with pytest.raises(InstrumentError):
        array.pulse(PulseMap(FIRST, volts=1.0, width=5e-3))
    assert bench.said[-1] == ("idle",)


# -- what is refused ---------------------------------------------------------------------------------------------------


REFUSED: list[tuple[Callable[[Any], object], str]] = [
    (lambda a: a.pulse(PulseMap(FIRST, volts=1.0, width=200e-9)), r"no pulses of 2e-07 s.*shortest pulse is 0.0014 s"),
    (lambda a: a.pulse(PulseMap(FIRST, volts=1.0, width=0.99e-3)), "would need a pulse generator"),
    (lambda a: a.pulse(PulseMap(FIRST, volts=1.0, width=5e-3, scheme="V/2")), "it needs a matrix"),
    (lambda a: a.pulse(PulseMap(FIRST, volts=1.0, width=5e-3, gate=1.0)), "has no gates"),
    (lambda a: a.read(FIRST, gate=1.0), "has no gates"),
    (lambda a: a.read(FIRST, scheme="float"), "it needs a matrix"),
    (lambda a: a.read(Block(0, 4, 0, 1)), "outside"),
    (lambda a: a.vmm(np.zeros(3)), "would need drivers on all rows"),
    (lambda a: a.ability(Multiplies), "would need drivers on all rows"),
    (lambda a: a.ability(Sweeps).sweep(0, 0, [1.0], compliance=1e-3, dwell=0.1, halt=1e-4), "cannot turn a sweep"),
    (lambda a: a.ability(Sweeps).sweep(0, 0, np.ones(400), compliance=1e-3, dwell=1.0), "at most 60 s"),
    (lambda a: a.ability(Samples).sample(0, 0, 0.2, rate=1.0, seconds=100.0), "left alone for at most 60 s"),
    (lambda a: a.ability(Samples).sample(0, 0, 0.2, rate=1e4, seconds=1.0), "rate"),
    (lambda a: a.ability(Samples).sample(0, 0, 0.9, rate=10, seconds=1.0), "read_volts"),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "said"), REFUSED)
def test_what_is_not_there_is_refused_in_one_sentence_and_nobody_is_bothered(
    request_: Callable[[Any], object], said: str
) -> None:
    bench = Bench()
    array = bench.array()
    with pytest.raises(RefusedError, match=said) as refused:
        request_(array)
    assert "\n" not in str(refused.value)
    assert bench.said == []


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (HalfSelectPlan(cells="0,0", width="5ms"), "would need a crossbar"),
        (ReadSchemesPlan(cells="0,0"), "would need a crossbar"),
        (WirePlan(cells="all"), "would need a crossbar"),
        (VmmPlan(), "would need drivers on all rows"),
        (PulseResponsePlan(cells="0,0", set_volts=1.0, reset_volts=1.0), "would need a pulse generator"),
        (EndurancePlan(cells="0,0", set_volts=1.0, reset_volts=1.0), "would need a pulse generator"),
        (DcSweepPlan(cells="0,0", halt=1e-4), "would need a source that the host steps"),
        (DcSweepPlan(cells="0,0", scheme="V/2"), "it needs a matrix"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value[:20],
)
def test_a_step_that_needs_more_says_in_one_sentence_what(plan: Plan, said: str) -> None:
    with pytest.raises(UnsupportedError, match=said) as refused:
        plan.check(Bench().array().spec)
    assert "\n" not in str(refused.value)


def test_a_width_it_cannot_give_is_unsupported_and_a_voltage_beyond_is_a_limit() -> None:
    array = Bench().array()
    with pytest.raises(UnsupportedError):
        array.pulse(PulseMap(FIRST, volts=1.0, width=1e-6))
    with pytest.raises(LimitError, match=r"set by t\.chip\.yaml"):
        array.pulse(PulseMap(FIRST, volts=3.1, width=5e-3))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"contact_volts": 2.0}, "contact_volts"),
        ({"open_below": 1.0, "short_above": 1e-3}, "is not below"),
        ({"longest": 0.0}, "longest"),
        ({"chip": {**CHIP, "cell": "1T1R"}}, "1T1R cells"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        Bench().array(**settings)


@pytest.mark.parametrize(
    ("devices", "said"), [(["A"], "names 1 of 3"), (["A", "A", "B"], "differ"), (["A", " ", "B"], "none of them empty")]
)
def test_devices_of_a_chip_file(devices: list[str], said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        parse_chip({**CHIP, "devices": devices}, source="c")


def test_names_where_the_file_has_none() -> None:
    assert parse_chip(ONE, source="c").device_names == {(0, 0): "single"}
    bare = {key: value for key, value in CHIP.items() if key != "devices"}
    assert parse_chip(bare, source="c").device_names[2, 0] == "(2, 0)"


# -- limits ------------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")  # of a read at 5e-324 V
def test_of_10_000_requests_none_outside_the_limits_reaches_the_unit() -> None:
    draw = random.Random(20261130)
    bench = Bench()
    array = bench.array()
    sweeps, samples = array.ability(Sweeps), array.ability(Samples)
    sent = refused = 0
    nasty = [np.nan, np.inf, -np.inf, 3.0, -2.0, 3.0 + 1e-9, -2.0 - 1e-9, 0.0, 1e300, 5e-324]

    def volts(most: float = 3.0) -> float:
        return draw.choice([*(draw.uniform(-0.7 * most, 1.05 * most) for _ in range(3)), draw.choice(nasty)])

    def width() -> float:
        return draw.choice(
            [*(draw.uniform(1e-3, 1.1e-2) for _ in range(3)), 10 ** draw.uniform(-9, 0), draw.choice(nasty)]
        )

    def amps() -> float:
        return draw.choice([10 ** draw.uniform(-6, -2), 2e-3, draw.choice(nasty)])

    def row() -> int:
        return draw.choice([0, 1, 2, 2, 3])

    def cell() -> Block:
        return Block(row(), 1, 0, 1)

    def points() -> list[float]:
        return [volts(2.0) for _ in range(draw.randint(1, 3))]

    def rate() -> float:
        return draw.choice([10.0, 100.0, 1e5])

    kinds: list[Callable[[], object]] = [
        lambda: array.read(cell(), volts(0.5), average=draw.choice([1, 4, 0, 10**6])),
        lambda: array.pulse(PulseMap(cell(), volts=volts(), width=width(), count=draw.choice([0, 1, 3, 70000]))),
        lambda: sweeps.sweep(row(), 0, points(), compliance=amps(), dwell=draw.choice([0.01, 0.2, width()])),
        lambda: samples.sample(row(), 0, volts(0.5), rate=rate(), seconds=draw.choice([0.5, 1.0, 1e3])),
    ]
    for _ in range(10_000):
        before = len(bench.smu.levels), len(bench.asked)
        try:
            draw.choice(kinds)()
            sent += 1
        except RefusedError:
            refused += 1
            assert (len(bench.smu.levels), len(bench.asked)) == before, "refused, and yet something was sent"
    assert min(sent, refused) > 2_000
    levels, compliances = np.array(bench.smu.levels), np.array(bench.smu.compliances)
    assert levels.min() >= -2.0
    assert levels.max() <= 3.0
    assert np.isfinite(levels).all()
    assert compliances.max() <= 2e-3
    assert levels.size > 20_000
