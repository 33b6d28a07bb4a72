"""Abilities: a part for each, names that cannot disagree with them, a sentence for what is missing."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from itertools import count
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Protocol

import pytest
from qcodes.instrument import Instrument

import xbarlab
from support.fake_array import FakeArray, GatelessArray
from support.fake_board import FakeBoard
from support.fake_probe import Bench
from xbarlab.common.errors import RefusedError
from xbarlab.instruments import abilities
from xbarlab.instruments.abilities import SHIPPED, Multiplies, Parts, Samples, Sweeps
from xbarlab.instruments.array_spec import ability, ability_of
from xbarlab.instruments.board.arc_two.array import ArcTwo
from xbarlab.instruments.board.crossbar_board import CrossbarBoard
from xbarlab.instruments.capabilities import CrossbarArray
from xbarlab.instruments.chip.chip_file import parse_chip
from xbarlab.instruments.errors import UnsupportedError
from xbarlab.instruments.joined.array import JoinedArrays
from xbarlab.instruments.probe.probed_array import ProbedArray
from xbarlab.instruments.probe.single.probed_devices import ProbedDevices
from xbarlab.runbooks.stations import find_bench

ROOT = Path(__file__).parents[3]


class Dances(Protocol):
    def dance(self) -> None: ...


class Sweeper:
    def sweep(self, *_: object, **__: object) -> str:
        return "swept"


def test_a_part_is_returned_and_what_is_missing_refused_with_what_it_would_take() -> None:
    parts = Parts("bench", {Sweeps: Sweeper()})
    assert parts.names == {"sweep"}
    assert parts.ability(Sweeps).sweep(0, 0, [0.1], compliance=1e-3, dwell=1e-3) == "swept"
    with pytest.raises(
        UnsupportedError, match=r"^bench does not support vmm: it would need drivers .*; it supports sweep$"
    ):
        parts.ability(Multiplies)
    with pytest.raises(UnsupportedError, match="it supports reads and pulses only"):
        Parts("bare").ability(Samples)
    with pytest.raises(RefusedError, match="Sweeper is no kind of ability: choose from Sweeps, "):
        parts.ability(Sweeper)


def verbs_of(kind: type) -> list[str]:
    return [name for name in vars(kind) if not name.startswith("_")]


def test_every_kind_has_verbs_a_name_and_what_it_needs() -> None:
    names = [ability_of(kind).name for kind in SHIPPED]
    assert names == [
        "sweep",
        "staircase",
        "sample",
        "vmm",
        "reverse",
        "outer_update",
        "onboard_verify",
        "ramp",
        "saturate",
    ]
    assert all(ability_of(kind).needs for kind in SHIPPED)
    for kind in SHIPPED:
        assert verbs_of(kind), kind
        assert getattr(xbarlab, kind.__name__) is kind
    own = [one for one in vars(abilities).values() if isinstance(one, type) and one.__module__ == abilities.__name__]
    assert {one for one in own if issubclass(one, Protocol)} == set(SHIPPED)


def test_a_name_taken_twice_is_refused_naming_both() -> None:
    with pytest.raises(RefusedError, match=r"'sweep' of .*Dances is that of .*Sweeps already"):
        ability("sweep", needs="feet")(Dances)


_NUMBERS = count()


RAMPS = {
    "ramps_max": 8, "ramp_steps_max": 127, "ramp_slope_max": 10.0, "ramp_volts": 0.2, "ramp_clock_seconds": 1e-8,
}  # fmt: skip


def board(**changes: object) -> CrossbarBoard:
    return CrossbarBoard(f"able_{next(_NUMBERS)}", resource=FakeBoard(**changes))


def arrays() -> Iterator[Any]:
    """Every kind of array there is, and boards that say they can do less."""
    every = ["sample", "sweep", "vmm", "reverse", "outer_update", "onboard_verify"]
    for supports in (every, [], ["sweep"], ["vmm"], ["reverse"], ["vmm", "reverse", "stranger"]):
        yield board(supports=supports)
    yield board(cell="1R", supports=every)
    yield board(protocol="xbarlab-board/2", supports=["vmm", "saturate"])
    yield board(protocol="xbarlab-board/2", supports=["vmm", "ramp"], adc=RAMPS)
    yield board(protocol="xbarlab-board/2", supports=["saturate"])
    turned = parse_chip({"id": "t", "rows": 8, "cols": 4, "cell": "1T1R", "polarity": -1}, source="test")
    yield CrossbarBoard("able_turned", resource=FakeBoard(), chip=turned)
    yield Bench().array()
    yield ArcTwo("able_arc", library=f"{find_bench('mock_tio2_arc2')}@xbarlab")
    yield FakeArray()
    yield GatelessArray()
    yield JoinedArrays([board(), board(supports=["sweep", "vmm"])])
    yield JoinedArrays([board(), board()])
    one, two = FakeArray(), FakeArray()
    yield JoinedArrays([one, two], name="fakes")


def test_limits_that_leave_a_single_value_leave_a_board_that_opens() -> None:
    limits = {"gate_max": 0.0, "reset_volts_max": 0.0, "read_volts_max": 0.0, "width_min": 1e-6, "width_max": 1e-6}
    only = CrossbarBoard("able_narrow", resource=FakeBoard(), limits=limits)
    only.update_width(1e-6)
    with pytest.raises(ValueError, match="1e-06"):
        only.update_width(2e-6)
    only.close()


def test_what_an_array_supports_are_its_parts() -> None:
    seen: set[str] = set()
    try:
        for array in arrays():
            assert isinstance(array, CrossbarArray)
            for kind in SHIPPED:
                wanted = ability_of(kind)
                assert array.spec.can(kind) == (wanted.name in array.spec.supports)
                if wanted.name in array.spec.supports:
                    assert all(callable(getattr(array.ability(kind), verb)) for verb in verbs_of(kind)), (array, kind)
                else:
                    sentence = re.escape(
                        f"{array.spec.name} does not support {wanted.name}: it would need {wanted.needs}"
                    )
                    for refuses in (array.ability, array.spec.require):
                        with pytest.raises(UnsupportedError, match=sentence):
                            refuses(kind)
            assert array.spec.supports <= {ability_of(kind).name for kind in SHIPPED}
            seen |= array.spec.supports
            with pytest.raises(RefusedError, match="Dances is no kind of ability"):
                array.ability(Dances)
        assert len(seen) == len(SHIPPED)
    finally:
        Instrument.close_all()


ROOMS = (ROOT / "instruments", ROOT / "tests" / "support" / "fake_array.py")


def test_no_method_only_says_that_it_is_not_there() -> None:
    files = [file for room in ROOMS for file in (room.rglob("*.py") if room.is_dir() else [room])]
    assert len(files) > 60
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                last = node.body[-1]
                assert not (isinstance(last, ast.Raise) and "NotImplemented" in ast.dump(last)), f"{file}: {node.name}"


@pytest.mark.parametrize("kind", [ProbedArray, ProbedDevices, JoinedArrays, CrossbarBoard])
def test_arrays_hold_their_parts(kind: type) -> None:
    """No class of their rooms stands on more than one other of ours."""
    room = import_module(kind.__module__).__package__
    assert room is not None
    for found in iter_modules(import_module(room).__path__, f"{room}."):
        for one in vars(import_module(found.name)).values():
            if inspect.isclass(one) and one.__module__ == found.name:
                own = [base.__name__ for base in one.__mro__ if base.__module__.startswith("xbarlab.")]
                assert len(own) <= 2, f"{one.__name__} stands on {own}"
