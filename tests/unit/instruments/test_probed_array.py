"""The probe station as an array: what it ties, in which order, what it refuses, and what it takes off a sweep."""

from __future__ import annotations

import numpy as np
import pytest

from support.fake_probe import CHIP, Bench
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.abilities import Samples, Sweeps
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import CrossbarArray, PulseMap
from xbarlab.instruments.errors import InstrumentError, UnsupportedError
from xbarlab.instruments.limits import NamedLimits
from xbarlab.instruments.probe.mate_current import MateCurrent


@pytest.fixture
def bench() -> Bench:
    return Bench()


def paths_of(bench: Bench) -> list[frozenset[tuple[int, int]]]:
    return [words[2] for words in bench.said if words[0] == "matrix" and len(words) == 3]


def test_it_is_an_array(bench: Bench) -> None:
    array = bench.array()
    assert isinstance(array, CrossbarArray)
    assert array.spec.cell == "passive"
    assert array.spec.slot_serves == "cell"
    assert bench.row.limits is not None
    assert bench.row.limits.set_volts_max == 3.0
    assert bench.row.share == 0.5


def test_a_read_holds_the_column_at_0_v_and_grounds_the_rest(bench: Bench) -> None:
    reading = bench.array().read(Block(1, 1, 2, 1))
    (paths,) = paths_of(bench)
    # row 1 is output 2, column 2 is output 7; all else on the ground input 12
    assert paths == {(1, 2), (2, 7)} | {(12, port) for port in (1, 3, 4, 5, 6, 8)}
    assert ("column", "on", 0.0, 2e-3) in bench.said
    assert ("row", "level", 0.2) in bench.said
    assert ("column", "measure") in bench.said
    assert bench.said[-1] == ("row", "level", 0.0), "sources are left at 0 V"
    assert reading.conductance[0, 0] == pytest.approx(100e-6)


def test_no_relay_moves_under_voltage(bench: Bench) -> None:
    array = bench.array()
    array.read(Block(0, 2, 0, 2))
    array.pulse(PulseMap(Block(0, 2, 0, 2), 1.5, 200e-9))
    array.ability(Sweeps).sweep(0, 0, [0.1, 0.2], compliance=1e-3, dwell=1e-2)
    array.read(Block(0, 1, 0, 1), scheme="row_sense")
    assert all(words[1] == "cold" for words in bench.said if words[0] == "matrix")
    assert len(paths_of(bench)) == 4 + 4 + 1 + 1


def test_the_same_cell_again_moves_no_relay(bench: Bench) -> None:
    array = bench.array()
    array.read(Block(0, 1, 0, 1))
    array.read(Block(0, 1, 0, 1))
    assert len(paths_of(bench)) == 1


def test_the_wrong_schemes_are_there_to_be_seen(bench: Bench) -> None:
    array = bench.array()
    array.read(Block(0, 1, 0, 1), scheme="float")
    array.read(Block(0, 1, 0, 1), scheme="row_sense")
    floating, row_sense = paths_of(bench)
    assert floating == {(1, 1), (2, 5)}
    assert row_sense == {(1, 1)} | {(12, port) for port in range(2, 9)}
    assert bench.said[-2] == ("row", "measure")


def test_a_pulse_is_split_over_row_and_column(bench: Bench) -> None:
    delivered = bench.array().pulse(PulseMap(Block(0, 1, 0, 2), [[1.5, -1.6]], 200e-9, count=[[100, 3]]))
    assert ("pulser", 0.75, -0.75, 200e-9, 100) in bench.said
    assert ("pulser", -0.8, 0.8, 200e-9, 3) in bench.said
    assert delivered.volts.tolist() == [[1.5, -1.6]]
    assert (delivered.pulses, delivered.slots) == (103, 103)
    first, _ = paths_of(bench)
    assert first == {(9, 1), (10, 5)} | {(12, port) for port in (2, 3, 4, 6, 7, 8)}


def test_a_count_of_zero_touches_nothing(bench: Bench) -> None:
    bench.array().pulse(PulseMap(Block(0, 2, 0, 2), 1.5, 200e-9, count=0))
    assert bench.said == []


@pytest.mark.parametrize(
    ("scheme", "why"),
    [
        ("V/3", "two more sources"),
        ("ground", "full voltage on every other cell"),
        ("virtual_ground", "full voltage on every other cell"),
        ("nothing", "no sources"),
    ],
)
def test_writes_never_ground_the_other_lines_of_a_full_voltage(bench: Bench, scheme: str, why: str) -> None:
    array = bench.array()
    with pytest.raises(UnsupportedError, match=rf"{why}.*choose from V/2, float"):
        array.pulse(PulseMap(Block(0, 1, 0, 1), 1.0, 200e-9, scheme=scheme))
    with pytest.raises(UnsupportedError, match="choose from V/2, float"):
        array.ability(Sweeps).sweep(0, 0, [0.1], compliance=1e-4, dwell=1e-2, scheme=scheme)
    assert bench.said == []


def test_a_sweep_steps_both_units_and_takes_the_mates_off(bench: Bench) -> None:
    volts = np.array([0.0, 0.5, 1.0, 0.5, 0.0, -0.6])
    trace = bench.array().ability(Sweeps).sweep(1, 1, volts, compliance=1e-3, dwell=1e-2)
    assert trace.volts == pytest.approx(volts)
    assert trace.current == pytest.approx(100e-6 * volts, abs=1e-12), "the three mates of the column are taken off"
    rows = [words[2] for words in bench.said if words[:2] == ("row", "level")]
    columns = [words[2] for words in bench.said if words[:2] == ("column", "step")]
    assert max(abs(volt) for volt in rows + columns) == pytest.approx(0.5), "no line sees more than half"
    limits = [words[3] for words in bench.said if words[:2] == ("column", "step")]
    assert max(limits[-6:]) == pytest.approx(1e-3 + 3 * 100e-6 * 0.5), "the limit leaves the mates their share"
    assert bench.said[-2:] == [("column", "level", 0.0), ("row", "level", 0.0)]


def test_a_floating_sweep_runs_in_the_instrument(bench: Bench) -> None:
    bench.array().ability(Sweeps).sweep(0, 0, np.linspace(0, 1, 200), compliance=1e-3, dwell=1e-2, scheme="float")
    assert ("row", "sweep", 200) in bench.said
    assert not [words for words in bench.said if words[1] == "step"]


@pytest.mark.parametrize("broken", ["measure", "on", "cold"])
def test_whatever_breaks_ends_at_0_v_then_open(bench: Bench, broken: str) -> None:
    array = bench.array()
    bench.fail = broken
    with pytest.raises(InstrumentError):
        array.read(Block(0, 1, 0, 1))
    assert [words[0] for words in bench.said[-4:]] == ["row", "column", "pulser", "matrix"]
    assert {words[1] for words in bench.said[-4:]} == {"idle"}


def test_refusals_send_nothing(bench: Bench) -> None:
    array = bench.array()
    cell = Block(0, 1, 0, 1)
    for refused in (
        lambda: array.read(cell, 0.5),
        lambda: array.read(cell, float("nan")),
        lambda: array.read(cell, 0.0),
        lambda: array.read(cell, gate=1.0),
        lambda: array.read(Block(0, 5, 0, 1)),
        lambda: array.read(cell, average=0),
        lambda: array.pulse(PulseMap(cell, 3.1, 200e-9)),
        lambda: array.pulse(PulseMap(cell, 1.0, 1e-9)),
        lambda: array.pulse(PulseMap(cell, 1.0, 200e-9, gate=1.0)),
        lambda: array.pulse(PulseMap(cell, 1.0, 200e-9, count=1.5)),
        lambda: array.pulse(PulseMap(cell, np.ones((2, 2)), 200e-9)),
        lambda: array.ability(Sweeps).sweep(0, 0, [3.5], compliance=1e-3, dwell=1e-2),
        lambda: array.ability(Sweeps).sweep(0, 0, [1.0], compliance=3e-3, dwell=1e-2),
        lambda: array.ability(Sweeps).sweep(0, 9, [1.0], compliance=1e-3, dwell=1e-2),
        lambda: array.ability(Sweeps).sweep(0, 0, [[1.0]], compliance=1e-3, dwell=1e-2),
        lambda: array.ability(Samples),
        lambda: array.vmm(np.zeros((1, 4))),
    ):
        with pytest.raises(RefusedError):
            refused()
    assert bench.said == []


def test_a_station_is_refused_in_one_sentence(bench: Bench) -> None:
    with pytest.raises(RefusedError, match=r"unknown matrix input 'smu'.*row_smu"):
        bench.array(inputs={"smu": 1})
    with pytest.raises(RefusedError, match="share a matrix input"):
        bench.array(inputs={"row_smu": 2})
    with pytest.raises(RefusedError, match="1 to 14"):
        bench.array(inputs={"row_smu": 15})
    with pytest.raises(RefusedError, match="nplc"):
        bench.array(nplc=100.0)


def test_a_chip_that_sets_at_negative_volts_is_turned_round(bench: Bench) -> None:
    array = bench.array(chip=CHIP.model_copy(update={"polarity": -1}))
    array.pulse(PulseMap(Block(0, 1, 0, 1), 1.5, 200e-9))
    assert ("pulser", -0.75, 0.75, 200e-9, 1) in bench.said
    assert array.read(Block(0, 1, 0, 1)).conductance[0, 0] == pytest.approx(100e-6)
    assert ("row", "level", -0.2) in bench.said


def test_mates_of_one_level_are_a_constant() -> None:
    mates = MateCurrent(lambda volts: (0.0, 1e-9), np.zeros(3))
    assert mates(0.3) == 1e-9


def test_mates_are_a_smooth_curve() -> None:
    def hold(volts: float) -> tuple[float, float]:
        return volts, 1e-4 * float(np.sinh(1.24 * volts))

    mates = MateCurrent(hold, np.linspace(-0.9, 0.9, 50))
    for volts in (-0.83, -0.2, 0.05, 0.51):
        assert mates(volts) == pytest.approx(1e-4 * np.sinh(1.24 * volts), rel=5e-3)


def test_between_two_messages_the_cell_sees_no_more_than_the_sweep_asks_for(bench: Bench) -> None:
    """Row and column are moved one after the other: from one side of 0 V to the other that was all of the voltage."""
    bench.array(limits=NamedLimits({"reset_volts_max": 1.2}, "test")).ability(Sweeps).sweep(
        1, 1, np.concatenate([np.linspace(0, 2.0, 9), np.linspace(2.0, -1.0, 9)]), compliance=1e-3, dwell=1e-2
    )
    row = column = 0.0
    seen: list[float] = []
    for words in bench.said:
        if words[:2] in {("row", "level"), ("column", "level"), ("column", "step")}:
            row, column = (words[2], column) if words[0] == "row" else (row, words[2])
            seen.append(float(row) - float(column))
    assert min(seen) >= -1.0
    assert max(seen) == 2.0
    first = next(k for k, volts in enumerate(seen) if volts > 0.2)
    assert np.abs(seen[:first]).max() <= 0.126, "while the mates are measured, it sees their steps"


def test_all_trains_are_planned_before_a_relay_moves(bench: Bench) -> None:
    array = bench.array()

    def refuse(first: float, second: float, **train: float) -> None:
        if train["count"] == 3:
            raise RefusedError("too much")

    bench.pulser.plan = refuse  # type: ignore[method-assign]
    with pytest.raises(RefusedError, match="too much"):
        array.pulse(PulseMap(Block(0, 2, 0, 2), 1.5, 200e-9, count=[[1, 1], [1, 3]]))
    assert bench.said == []
    assert array.wear.maps()["pulses"].sum() == 0
