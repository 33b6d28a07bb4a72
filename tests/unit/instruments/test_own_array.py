"""An array of one's own: what is checked before its code is called, what is counted, and how it lets go."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from xbarlab.common.errors import RefusedError
from xbarlab.instruments.abilities import Samples, Sweeps
from xbarlab.instruments.array_spec import ArraySpec
from xbarlab.instruments.block import Block
from xbarlab.instruments.board.own_array import OwnArray
from xbarlab.instruments.capabilities import CrossbarArray, PulseMap
from xbarlab.instruments.chip.chip_file import parse_chip
from xbarlab.instruments.chip.wear_ledger import WearLedger
from xbarlab.instruments.errors import ConnectionLostError, UnconfirmedError, UnsupportedError
from xbarlab.instruments.limits import Limits

CHIP = {"id": "c1", "rows": 4, "cols": 3, "cell": "passive"}
ONE = Block(1, 1, 2, 1)


class Told(OwnArray):
    """Writes down what it is told."""

    def __init__(self, name: str, **station: Any) -> None:
        most = Limits(set_volts_max=3.0, reset_volts_max=2.0)
        spec = ArraySpec(
            name=name, rows=4, cols=3, cell="passive", limits=most, read_ranges=(1e-3,), read_slot_seconds=1e-3
        )
        self.told: list[Any] = []
        super().__init__(name, spec, **station)
        self.fault: Exception | None = None

    def measure(self, cells: Block, look: Any) -> Any:
        self.told.append(look.volts)
        return np.full(cells.shape, 1e-5 * look.volts)

    def give(self, pulses: Any) -> None:
        self.told.append(pulses.volts.tolist())
        if self.fault is not None:
            raise self.fault

    def let_go(self) -> None:
        self.told.append("let go")
        if getattr(self, "fault", None) is not None:
            raise self.fault


@pytest.fixture
def array() -> Iterator[Told]:
    made = Told("own")
    yield made
    made.fault = None
    made.close()


def pulse(volts: float, count: int = 1, block: Block = ONE) -> PulseMap:
    return PulseMap(block=block, volts=volts, width=1e-6, gate=0.0, count=count)


def chip(**changes: Any) -> Any:
    return parse_chip({**CHIP, **changes}, source="c1.chip.yaml")


def test_it_is_an_array_and_lets_go_before_anything_else(array: Told) -> None:
    assert isinstance(array, CrossbarArray)
    assert array.told == ["let go"]
    reading = array.read(Block(0, 2, 0, 3))
    np.testing.assert_allclose(reading.conductance, 1e-5)
    assert (reading.stderr > 0).all()
    assert array.told == ["let go", 0.2]


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda a: a.read(Block(0, 5, 0, 1)), "outside own"),
        (lambda a: a.read(ONE, 0.6), "above the limit"),
        (lambda a: a.read(ONE, float("nan")), "finite"),
        (lambda a: a.read(ONE, gate=1.0), "no gates"),
        (lambda a: a.read(ONE, scheme="V/3"), "V/3"),
        (lambda a: a.pulse(pulse(3.1)), "above the limit 3 V"),
        (lambda a: a.pulse(pulse(-2.1)), "below the limit"),
        (lambda a: a.pulse(pulse(1.0, 10**6)), "count"),
        (lambda a: a.pulse(pulse(1.0, block=Block(0, 1, 3, 1))), "outside own"),
    ],
)
def test_what_is_refused_never_reaches_it(array: Told, ask: Any, says: str) -> None:
    with pytest.raises(RefusedError, match=says):
        ask(array)
    assert array.told == ["let go"]
    assert array.cost.transactions == array.cost.pulses == 0


def test_cost_and_wear_are_counted(array: Told) -> None:
    array.wear = WearLedger("c1", (4, 3))
    given = array.pulse(PulseMap(block=Block(0, 1, 0, 2), volts=[[1.0, -1.0]], width=1e-6, gate=0.0, count=[[3, 0]]))
    assert (given.pulses, array.cost.pulses, array.cost.transactions) == (3, 3, 1)
    assert array.wear.maps()["pulses"][0].tolist() == [3.0, 0.0, 0.0]
    array.pulse(pulse(1.0, 0))
    assert array.cost.transactions == 1, "nothing was to be given"


def test_a_lost_confirmation_says_what_may_have_been_given(array: Told) -> None:
    array.fault = ConnectionLostError("the cable is out")
    with pytest.raises(UnconfirmedError, match="may have had up to 7 pulses"):
        array.pulse(pulse(1.0, 7))
    assert array.wear.maps()["pulses"][1, 2] == 7.0


def test_chip_and_station_narrow_and_turn_round() -> None:
    narrow = chip(limits={"set_volts_max": 2.0}, polarity=-1, bad_cells=[[0, 0]], rows=3)
    array = Told("own", chip=narrow, limits={"set_volts_max": 1.5})
    try:
        assert (array.spec.rows, array.spec.limits.set_volts_max) == (3, 1.5)
        assert not array.spec.healthy_mask(array.spec.whole)[0, 0]
        array.pulse(pulse(1.2))
        reading = array.read(ONE)
        assert array.told == ["let go", [[-1.2]], -0.2]
        assert reading.conductance[0, 0] == pytest.approx(1e-5)
        with pytest.raises(RefusedError, match=r"above the limit 1\.5 V"):
            array.pulse(pulse(1.6))
    finally:
        array.close()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"rows": 9}, "uses board line 8"),
        ({"cell": "1T1R"}, "made for passive"),
        ({"lines": {"rows": [3, 2, 1, 0]}}, "takes them in order"),
        ({"limits": {"set_volts_max": 4.0}}, "wider than"),
    ],
)
def test_a_chip_that_does_not_fit_is_refused(changes: dict[str, Any], says: str) -> None:
    from qcodes.instrument import Instrument

    with pytest.raises(RefusedError, match=says):
        Told("own", chip=chip(**changes))
    if Instrument.exist("own"):
        Instrument.find_instrument("own").close()


def test_every_exit_lets_go_and_a_failure_is_told(array: Told, caplog: pytest.LogCaptureFixture) -> None:
    array.idle()
    assert [step.result for step in array.ending] == ["confirmed"]
    array.fault = OSError("the cable is out")
    with caplog.at_level(logging.WARNING):
        array.idle()
    assert "not confirmed" in array.ending[0].result
    assert "was not made safe" in caplog.text


def test_one_that_cannot_be_made_safe_is_not_opened() -> None:
    from qcodes.instrument import Instrument

    class Stuck(Told):
        def let_go(self) -> None:
            raise OSError("no answer")

    with pytest.raises(OSError, match="no answer"):
        Stuck("stuck")
    assert not Instrument.exist("stuck")


def test_abilities_are_its_parts() -> None:
    part = object()
    array = Told("own", parts={Sweeps: part})
    try:
        assert array.ability(Sweeps) is part
        assert array.spec.supports == {"sweep"}
        with pytest.raises(UnsupportedError, match="own does not support sample"):
            array.ability(Samples)
    finally:
        array.close()
