"""Masked, boolean, object, date and complex arrays are refused by name wherever values or cells come in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from support.fake_board import FakeBoard
from support.fake_probe import Bench
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.abilities import (
    Multiplies,
    MultipliesReversed,
    Samples,
    Sweeps,
    UpdatesByOuterProduct,
    VerifiesOnBoard,
)
from xbarlab.instruments.block import Block
from xbarlab.instruments.board.crossbar_board import CrossbarBoard
from xbarlab.instruments.capabilities import PulseMap, VerifyRequest
from xbarlab.instruments.joined.array import JoinedArrays
from xbarlab.protocols.measure.read_array import ReadArrayPlan
from xbarlab.protocols.programming.programming_plan import ProgrammingPlan
from xbarlab.protocols.programming.targets import check_target
from xbarlab.runbooks.stations import open_bench

CELLS = Block(0, 2, 0, 2)
TARGET = np.full((2, 2), 1e-5)
REQUEST = VerifyRequest(
    block=CELLS, target=TARGET, tolerance=1e-6, pulses_max=5, width=1e-6, set_volts=1.0, set_gate=(1.0, 2.0, 0.1),
    reset_volts=(0.5, 1.0, 0.1), reset_gate=2.0,
)  # fmt: skip

Odd = Callable[[tuple[int, ...]], Any]
ODD: dict[str, tuple[Odd, str]] = {
    "masked": (lambda shape: np.ma.masked_array(np.full(shape, 0.1), np.ones(shape, bool)), "a masked array"),
    "masked, float32": (lambda shape: np.ma.masked_all(shape, np.float32), "a masked array"),
    "masked, nothing hidden": (lambda shape: np.ma.masked_array(np.full(shape, 0.1)), "a masked array"),
    "list of masked": (lambda shape: list(np.ma.masked_all(shape or (1,))), "a masked array"),
    "boolean": (lambda shape: np.ones(shape, bool), "true and false|True"),
    "list of booleans": (lambda shape: np.ones(shape or (1,), bool).tolist(), "True among numbers"),
    "object": (lambda shape: np.full(shape, 0.1, dtype=object), "an array of objects|array"),
    "date": (lambda shape: np.full(shape, "2026-01-01", dtype="datetime64[D]"), "an array of dates|2026"),
    "span": (lambda shape: np.full(shape, 1, dtype="timedelta64[ms]"), "spans of time|milliseconds|timedelta"),
    "complex": (lambda shape: np.full(shape, 0.1j), "complex numbers|j"),
    "text": (lambda shape: np.full(shape, "0.1"), "'0.1'"),
    "with a unit": (lambda shape: SimpleNamespace(magnitude=np.full(shape, 0.1), units="mV"), "with a unit"),
}


def sweep(array: Any, volts: Any, **given: Any) -> object:
    return array.ability(Sweeps).sweep(0, 0, volts, **{"compliance": 1e-4, "dwell": 0.1, **given})


def sample(array: Any, **given: Any) -> object:
    return array.ability(Samples).sample(0, 0, **{"volts": 0.1, "rate": 1e3, "seconds": 0.01, **given})


def update(array: Any, x: Any, d: Any, pulses: Any = 3) -> object:
    return array.ability(UpdatesByOuterProduct).outer_update(x, d, pulses=pulses)


def verify(array: Any, **given: Any) -> object:
    return array.ability(VerifiesOnBoard).program_verify(replace(REQUEST, **given))


ENTRIES: dict[str, tuple[tuple[int, ...], Callable[[Any, Any], object]]] = {
    "read volts": ((), lambda array, odd: array.read(CELLS, odd)),
    "read average": ((), lambda array, odd: array.read(CELLS, average=odd)),
    "read gate": ((), lambda array, odd: array.read(CELLS, gate=odd)),
    "pulse volts": ((2, 2), lambda array, odd: array.pulse(PulseMap(CELLS, odd, 1e-6))),
    "pulse volts, one": ((), lambda array, odd: array.pulse(PulseMap(CELLS, odd, 1e-6))),
    "pulse width": ((2, 2), lambda array, odd: array.pulse(PulseMap(CELLS, 1.0, odd))),
    "pulse gate": ((2, 2), lambda array, odd: array.pulse(PulseMap(CELLS, 1.0, 1e-6, odd))),
    "pulse count": ((2, 2), lambda array, odd: array.pulse(PulseMap(CELLS, 1.0, 1e-6, 0.0, odd))),
    "sweep volts": ((3,), sweep),
    "sweep compliance": ((), lambda array, odd: sweep(array, [0.1], compliance=odd)),
    "sweep dwell": ((), lambda array, odd: sweep(array, [0.1], dwell=odd)),
    "sweep gate": ((1,), lambda array, odd: sweep(array, [0.1], gate=odd)),
    "block": ((), lambda array, odd: array.read(Block(odd, 1, 0, 1))),
    "block, many": ((2,), lambda array, odd: array.read(Block(0, 1, odd, 1))),
    "sweep row": ((), lambda array, odd: array.ability(Sweeps).sweep(odd, 0, [0.1], compliance=1e-4, dwell=0.1)),
}
MORE: dict[str, tuple[tuple[int, ...], Callable[[Any, Any], object]]] = {
    "sample volts": ((), lambda array, odd: sample(array, volts=odd)),
    "sample rate": ((), lambda array, odd: sample(array, rate=odd)),
    "sample seconds": ((), lambda array, odd: sample(array, seconds=odd)),
    "sample col": ((), lambda array, odd: array.ability(Samples).sample(0, odd, 0.1, rate=1e3, seconds=0.01)),
    "product": ((-1,), lambda array, odd: array.vmm(odd)),
    "products": ((2, -1), lambda array, odd: array.ability(Multiplies).vmm(odd)),
    "full scale": ((), lambda array, odd: array.vmm(np.zeros(array.spec.rows), full_scale=odd)),
    "product reversed": ((-2,), lambda array, odd: array.ability(MultipliesReversed).vmm_reversed(odd)),
    "update x": ((-1,), lambda array, odd: update(array, odd, np.zeros(array.spec.cols))),
    "update d": ((-2,), lambda array, odd: update(array, np.zeros(array.spec.rows), odd)),
    "update pulses": ((), lambda array, odd: update(array, np.zeros(array.spec.rows), np.zeros(array.spec.cols), odd)),
    "verify target": ((2, 2), lambda array, odd: verify(array, target=odd)),
    "verify tolerance": ((), lambda array, odd: verify(array, tolerance=odd)),
    "verify width": ((), lambda array, odd: verify(array, width=odd)),
    "verify pulses": ((), lambda array, odd: verify(array, pulses_max=odd)),
    "verify gates": ((), lambda array, odd: verify(array, set_gate=(odd, 2.0, 0.1))),
}


def refusal(call: Callable[[], object], what: str) -> str:
    """Return the sentence with which ``call`` is refused."""
    try:
        call()
    except RefusedError as error:
        return str(error)
    raise AssertionError(f"{what} was taken")


def board(name: str) -> CrossbarBoard:
    return CrossbarBoard(name, resource=FakeBoard())


@pytest.fixture(params=["board", "probe station", "joined boards"])
def opened(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Callable[[], int]]]:
    """An array, and how many messages have arrived at its instruments."""
    if request.param == "probe station":
        bench = Bench()
        yield bench.array(), lambda: len(bench.said)
        return
    boards = [board(name) for name in ("odd_one", "odd_two")[: 2 if request.param == "joined boards" else 1]]
    for one in boards:
        for name, value in (("update_width", 1e-6), ("update_set_volts", 1.0), ("update_reset_volts", 1.0)):
            one.parameters[name](value)
    array = boards[0] if len(boards) == 1 else JoinedArrays(boards)
    yield array, lambda: sum(len(one.visa_handle.sent) for one in boards)
    for one in boards:
        one.close()


def test_odd_arrays_are_refused_by_name_and_nothing_is_sent(opened: tuple[Any, Callable[[], int]]) -> None:
    array, sent = opened
    before = sent()
    can = {**ENTRIES, **(MORE if len(array.spec.supports) > 1 else {})}
    for entry, (shape, call) in can.items():
        full = tuple({-1: array.spec.rows, -2: array.spec.cols}.get(size, size) for size in shape)
        for kind, (make, named) in ODD.items():
            said = refusal(partial(call, array, make(full)), f"{entry}: {kind}")
            cells = "must be a whole number" in said or "is not a whole number" in said
            assert cells or "give plain numbers in SI units" in said, (entry, kind, said)
            if full and not cells:
                assert any(word in said for word in named.split("|")), (entry, kind, said)
            assert sent() == before, (entry, kind)


def test_small_integers_do_not_wrap(opened: tuple[Any, Callable[[], int]]) -> None:
    array, sent = opened
    before = sent()
    with pytest.raises(RefusedError, match=r"cells 100:200,0:1 are outside"):
        array.read(Block(np.int8(100), np.int8(100), 0, 1))
    with pytest.raises(RefusedError, match=r"cells 127:128,3:4 are outside"):
        array.ability(Sweeps).sweep(np.int8(127), np.uint8(3), [0.1], compliance=1e-4, dwell=0.1)
    assert sent() == before


def test_odd_targets_are_refused() -> None:
    for kind, (make, named) in ODD.items():
        with pytest.raises(RefusedError, match=r"(?s)a target is .* at the map: give plain numbers") as caught:
            check_target(make((2, 2)), CELLS, "the map")
        assert any(word in str(caught.value) for word in named.split("|")), kind


@pytest.mark.parametrize("odd", [True, np.True_, np.ma.masked, np.ma.masked_array(0.1, True)], ids=repr)
def test_plans_take_no_truth_for_a_number(odd: Any) -> None:
    for key in ("volts", "average"):
        with pytest.raises(
            RefusedError, match=f"(?s)parameter '{key}' = .* is refused: give plain numbers, not true and"
        ):
            ReadArrayPlan(**{key: odd})
    with pytest.raises(RefusedError, match="give plain numbers"):
        ProgrammingPlan(levels={"count": odd})
    assert ReadArrayPlan(average=np.int64(2), volts=np.float32(0.25)).average == 2


def test_instruments_by_hand_refuse_odd_arrays_too() -> None:
    with open_bench("mock_tio2") as bench:
        array: Any = bench.array
        smu, pulser, matrix = array.row_smu, array.pulser, array.matrix
        smu.on(0.0, compliance=1e-4)
        train = {"first": 0.5, "second": -0.5, "width": 1e-6, "edge": 1e-8, "period": 3e-6, "count": 3}
        calls: list[tuple[tuple[int, ...], Callable[[Any], object]]] = [
            ((), lambda odd: smu.on(odd, compliance=1e-4)),
            ((), lambda odd: smu.on(0.0, compliance=odd)),
            ((), smu.level),
            ((), smu.step),
            ((), lambda odd: smu.step(0.1, dwell=odd)),
            ((3,), lambda odd: smu.sweep(odd, compliance=1e-4, dwell=1e-2)),
            ((), smu.integrate),
            *(((), lambda odd, name=name: pulser.pulses(**{**train, name: odd})) for name in train),
            ((), lambda odd: matrix.connect_only([(odd, 1)])),
            ((), lambda odd: matrix.connect_only([(1, odd)])),
        ]
        before = array.cost.transactions
        for number, (shape, call) in enumerate(calls):
            for kind, (make, _) in ODD.items():
                assert refusal(partial(call, make(shape)), f"call {number}: {kind}")
                assert array.cost.transactions == before, (number, kind)
