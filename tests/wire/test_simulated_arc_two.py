"""The stand-in for ``pyarc2``: the library's own names and arguments, its rules, and a script written for it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.arc_two import library
from support.dense_network import row_reads
from support.quiet_stations import bench_file, quiet_copy
from xbarlab.instruments.board.arc_two import calls
from xbarlab.mockhw.bench.bench import forget_bench, fresh_bench
from xbarlab.mockhw.instruments.arc_two.board import CHANNEL_OHMS, CONVERSION, SETTLE, ArcTwoBoard
from xbarlab.mockhw.instruments.arc_two.instrument import SimulatedInstrument
from xbarlab.mockhw.instruments.arc_two.kinds import ArC2Error
from xbarlab.runbooks.stations import find_bench

STATION = "mock_tio2_arc2"
COLS = range(16, 24)
STEPS = 2e-3
"""Half a step of 305 µV on 0.2 V, and 0.1 % for the curve of a cell where lines take 3 % of its voltage."""
NOT_HERE = "pyarc2 is not installed (extra arc2): there is nothing to hold the stand-in against"


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[Any]:
    """The library before a chip that does not fluctuate, and converters without noise."""
    quiet_copy(STATION, tmp_path)
    file = tmp_path / bench_file(STATION).name
    yield fresh_bench(file, seed=1).libraries["pyarc2"]
    forget_bench(file)


@pytest.fixture
def pyarc2() -> Any:
    return fresh_bench(find_bench(STATION), seed=1).libraries["pyarc2"]


def board_of(pyarc2: Any) -> ArcTwoBoard:
    return pyarc2.boards[0]


# -- held against the installed library --------------------------------------------------------------------------------


def public(thing: Any) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


def arguments(call: Any) -> list[tuple[str, Any]]:
    """Return names and defaults of what a call takes, besides ``self``."""
    parameters = inspect.signature(call).parameters.values()
    return [(one.name, one.default) for one in parameters if one.name != "self"]


def test_every_call_is_that_of_the_installed_library() -> None:
    real = pytest.importorskip("pyarc2", reason=NOT_HERE)
    assert public(SimulatedInstrument) == public(real.Instrument)
    for name in sorted(public(real.Instrument)):
        assert arguments(getattr(SimulatedInstrument, name)) == arguments(getattr(real.Instrument, name)), name
    assert arguments(SimulatedInstrument.__init__) == arguments(real.Instrument.__init__)


def test_every_kind_is_that_of_the_installed_library() -> None:
    real = pytest.importorskip("pyarc2", reason=NOT_HERE)
    ours, _ = library()
    for name in ("AuxDACFn", "BiasOrder", "ControlMode", "DataMode", "IdleMode", "IODir", "LogicLevel", "OutputRange",
                 "ReadType"):  # fmt: skip
        mine: type[Enum] = getattr(ours, name)
        assert {one.name for one in mine} <= public(getattr(real, name)), name
        known = getattr(real, name)
        theirs = {one.name for one in known} if name == "IdleMode" else public(known)
        assert {one.name for one in mine} == theirs, name
    for name in ("ReadAt", "ReadAfter", "WaitFor"):
        assert [one for one in public(getattr(real, name)) if not hasattr(getattr(ours, name), one)] == [], name
    assert {mode.name: mode.value for mode in ours.IdleMode} == {mode.name: mode.value for mode in real.IdleMode}
    assert ours.LIBARC2_VERSION == real.LIBARC2_VERSION


def test_what_the_driver_calls_is_in_the_installed_library() -> None:
    real = pytest.importorskip("pyarc2", reason=NOT_HERE)
    called = set(re.findall(r"self\._arc\.(\w+)\(", inspect.getsource(calls)))
    assert {
        "pulse_slice_fast_open", "read_slice_masked", "finalise_operation", "config_selectors", "config_aux_channels",
        "generate_ramp",
    } <= called  # fmt: skip
    assert real.ReadAt.Arb(-0.2).voltage() == pytest.approx(-0.2)
    assert sorted(called - public(real.Instrument)) == []


# -- a script as the library's documentation has them ------------------------------------------------------------------


def test_a_script_for_the_library_runs(quiet: Any) -> None:
    board_of(quiet).chip.assume_formed(0.5)
    # What the lines' and the channels' own ohms leave of the cells, by a network that is not the mock's.
    true = row_reads(board_of(quiet).chip.truth()["conductance"], 0.2, wire=1.0, ohms=CHANNEL_OHMS)
    arc = quiet.Instrument(quiet.find_ids()[0], "arc2fw.bin")
    current = arc.read_one(0, 16, 0.2)  # channel 0 at −0.2 V, the current out of channel 16
    assert current / 0.2 == pytest.approx(true[0, 0], rel=STEPS)
    row = arc.read_slice(0, 0.2)
    assert row.shape == (32,)
    assert row[:8] / 0.2 == pytest.approx(true[0], rel=STEPS)
    everything = arc.read_all(0.2, quiet.BiasOrder.Cols)
    assert everything.shape == (32, 32)
    assert everything[3, 5] / 0.2 == pytest.approx(true[3, 5], rel=STEPS)
    masked = arc.read_slice_masked(3, [17], 0.2)
    assert masked[1] / 0.2 == pytest.approx(true[3, 1], rel=STEPS)
    before = arc.read_one(3, 17, 0.2)
    arc.pulse_one(3, 17, -1.8, 1_000).execute()  # V(low) − V(high) = 1.8 V: a SET where the row is low
    arc.wait()
    after = arc.pulseread_one(3, 17, -1.8, 1_000, 0.2)
    assert after > 1.2 * before
    arc.generate_ramp(
        4, 20, 0.2, 0.2, 1.0, 1_000, 10_000, 2, quiet.ReadAt.Arb(0.2), quiet.ReadAfter.Block
    ).execute().finalise_operation(quiet.IdleMode.SoftGnd)
    arc.wait()
    ramp = [datum[0] for datum in arc.get_iter(quiet.DataMode.All)]
    assert len(ramp) == 4
    assert all(np.isfinite(one[20]) and np.isnan(one[21]) for one in ramp)
    arc.generate_read_train([5], [21], 0.2, 10, 1_000, True).execute()
    train = list(arc.get_iter(quiet.DataMode.Words))
    assert len(train) == 10
    assert train[0][0][5] / 0.2 == pytest.approx(true[5, 5], rel=STEPS)
    arc.config_channels([(7, 0.1)], 0.0).execute()
    assert arc.vread_channels([7, 16], True) == pytest.approx([0.1, 0.0], abs=2e-3)
    # At 0.1 V a cell conducts 0.8 % less than at 0.2 V, and the converter's step is twice as much of it.
    assert -arc.read_slice_open(list(COLS), True)[16] / 0.1 == pytest.approx(true[7, 0], rel=0.01 + 2 * STEPS)
    arc.finalise_operation(quiet.IdleMode.Float)
    assert np.isnan(board_of(quiet).levels()).all()


@pytest.mark.parametrize(("mode", "left"), [("SoftGnd", 0.0), ("Float", np.nan), ("HardGnd", 0.0)])
def test_what_each_idle_mode_leaves_on_the_lines(pyarc2: Any, mode: str, left: float) -> None:
    board, arc = board_of(pyarc2), pyarc2.Instrument(0, "fw")
    arc.config_channels([(0, 0.3)], 0.0).execute()
    assert board.levels()[0] == pytest.approx(0.3, abs=1e-3)
    arc.finalise_operation(pyarc2.IdleMode[mode])
    assert np.array_equal(board.levels(), np.full(16, left), equal_nan=True)
    assert board.grounded.any() == (mode == "HardGnd")


def test_what_the_library_refuses(pyarc2: Any) -> None:
    arc = pyarc2.Instrument(0, "fw")
    with pytest.raises(ValueError, match="8 items"):
        arc.pulse_slice_fast_open([(0, 1.0, 0.0)], [100], True)
    with pytest.raises(ArC2Error, match="no timing for cluster 0"):
        arc.pulse_slice_fast_open([(0, 1.0, 0.0)], [None] * 8, True)
    with pytest.raises(ArC2Error, match="polarity"):
        arc.pulse_slice_fast_open([(0, 1.0, 0.0), (1, -1.0, 0.0)], [100] * 8, True)
    with pytest.raises(ArC2Error, match="500 ms"):
        arc.pulse_slice_fast_open([(0, 1.0, 0.0)], [600_000_000] * 8, True)
    with pytest.raises(ArC2Error, match="ramp"):
        arc.generate_ramp(0, 16, 1.0, 0.1, 0.0, 100, 0, 1, pyarc2.ReadAt.Bias, pyarc2.ReadAfter.Pulse)
    with pytest.raises(ArC2Error, match="in use"):
        pyarc2.Instrument(0, "fw")
    with pytest.raises(ArC2Error, match="no ArC TWO"):
        pyarc2.Instrument(7, "fw")


def test_clusters_keep_their_own_time_and_the_clock_knows(pyarc2: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    board, arc = board_of(pyarc2), pyarc2.Instrument(0, "fw")
    played: list[Any] = []

    def play(_: object, volts: Any, seconds: Any, repeats: int) -> None:
        assert repeats == 1
        played.append((volts, seconds))

    monkeypatch.setattr(board.chip, "play", play)
    arc.config_channels([], 0.0).execute()
    start = board.clock.now
    arc.pulse_slice_fast_open([(0, 1.0, 0.0), (16, -1.0, 0.0)], [1_000, None, 25, *[None] * 5], True).execute()
    ((volts, seconds),) = played
    assert seconds == pytest.approx([40e-9, 960e-9])  # shorter ones last 40 ns
    assert volts[0][[0, 16]] == pytest.approx([1.0, -1.0], abs=1e-3)
    assert volts[1][[0, 16]] == pytest.approx([1.0, 0.0], abs=1e-3)
    assert board.clock.now - start == pytest.approx(SETTLE + 1e-6)
    arc.read_slice_open([17], False)
    assert board.clock.now - start == pytest.approx(SETTLE + 1e-6 + CONVERSION, abs=110e-6)


def test_equal_pulses_are_one_call_of_the_chip_and_what_single_ones_are(
    pyarc2: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    board, arc = board_of(pyarc2), pyarc2.Instrument(0, "fw")
    played: list[tuple[float, float, int]] = []

    def play(_: object, volts: Any, seconds: Any, repeats: int) -> None:
        played.append((float(np.abs(volts).max(axis=1) @ seconds), float(seconds.sum()), repeats))

    monkeypatch.setattr(board.chip, "play", play)
    arc.config_channels([], 0.0).execute()
    spent: list[float] = []
    for often in (1, 100):  # programs of as many pulses
        start, board.driven_longest = board.clock.now, 0.0
        for _ in range(100 // often):
            for _ in range(often):
                arc.pulse_slice_fast_open([(0, 1.0, 0.0)], [1_000, *[None] * 7], True).delay(2_000)
            arc.execute()
        spent.append(board.clock.now - start)
        assert board.driven_longest == pytest.approx(1e-6)
    assert spent[1] == pytest.approx(spent[0]) == pytest.approx(100 * (SETTLE + 3e-6))
    apart, train = played[:100], played[100:]
    assert [repeats for *_, repeats in train] == [1, 99]
    for kind in (apart, train):  # volt-seconds, and pulses
        assert sum(share * repeats for share, _, repeats in kind) == pytest.approx(100 * 1e-6, rel=1e-3)
        assert sum(repeats for *_, repeats in kind) == 100


def test_a_pulse_that_differs_ends_a_train(pyarc2: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    board, arc = board_of(pyarc2), pyarc2.Instrument(0, "fw")
    given: list[tuple[float, int]] = []

    def play(_: object, volts: Any, seconds: Any, repeats: int) -> None:
        given.append((round(float(volts.max()), 1), repeats))

    monkeypatch.setattr(board.chip, "play", play)
    arc.config_channels([], 0.0)
    for volts in (1.0, 1.0, 1.5, 1.0):
        arc.pulse_slice_fast_open([(0, volts, 0.0)], [1_000, *[None] * 7], True).delay(1_000)
    arc.pulse_slice_fast_open([(0, 1.0, 0.0)], [1_000, *[None] * 7], True).delay(5_000).execute()
    assert given == [(1.0, 1), (1.0, 1), (1.5, 1), (1.0, 1), (1.0, 1)]


def test_nothing_runs_before_execute(pyarc2: Any) -> None:
    board, arc = board_of(pyarc2), pyarc2.Instrument(0, "fw")
    count = len(board.programs)
    arc.config_channels([(0, 0.3)], 0.0).pulse_one(0, 16, 1.0, 100)
    assert len(board.programs) == count
    assert np.isnan(board.levels()).all()
    arc.execute()
    assert len(board.programs) == count + 1


# -- supplies, selectors and the gates behind them ---------------------------------------------------------------------


@pytest.fixture
def gated(tmp_path: Path) -> Iterator[Any]:
    """The library before a chip with transistors that does not fluctuate, and converters without noise."""
    quiet_copy("mock_ta_hfo2_arc2", tmp_path)
    file = tmp_path / bench_file("mock_ta_hfo2_arc2").name
    yield fresh_bench(file, seed=1).libraries["pyarc2"]
    forget_bench(file)


def test_supplies_are_set_together_and_selectors_switch_between_two_of_them(gated: Any) -> None:
    board, arc, which = board_of(gated), gated.Instrument(0, "fw"), gated.AuxDACFn
    assert not board.gates().any()
    arc.config_aux_channels([(which.SELL, 0.25), (which.SELH, 3.3)]).config_selectors([9, 12]).execute()
    wanted = np.full(32, 0.25)
    wanted[[9, 12]] = 3.3
    assert board.gates() == pytest.approx(wanted, abs=2e-4)
    arc.ground_all().execute()
    arc.finalise_operation(gated.IdleMode.Float)
    assert board.gates() == pytest.approx(wanted, abs=2e-4)  # neither ground nor float reaches them
    arc.config_selectors([1]).execute()
    assert np.flatnonzero(board.selected).tolist() == [1]
    arc.config_aux_channels([(which.ARB1, 1.0)]).execute()  # those not named go to 0 V
    assert not board.gates().any()
    with pytest.raises(ArC2Error, match="selector 32"):
        arc.config_selectors([32])
    for wrong in ([(which.CSET, 1.0)], [(which.CSET, 3.0), (which.CREF, 1.0)]):
        with pytest.raises(ArC2Error, match="CREF/CSET"):
            arc.config_aux_channels(wrong)


def test_a_script_reads_and_pulses_through_gates(gated: Any) -> None:
    board, which = board_of(gated), gated.AuxDACFn
    chip: Any = board.chip
    chip.model.assume_formed(60e-6)
    true = chip.truth()["conductance"]
    arc = gated.Instrument(gated.find_ids()[0], "arc2fw.bin")
    assert abs(arc.read_one(0, 16, 0.2)) < 1e-11  # every gate is off
    arc.config_aux_channels([(which.SELL, 0.0), (which.SELH, 5.0)]).config_selectors([0]).execute()
    # A transistor that is on, and the wires, take a few percent.
    assert arc.read_one(0, 16, 0.2) / 0.2 == pytest.approx(true[0, 0], rel=0.05)
    assert abs(arc.read_one(0, 17, 0.2)) < 1e-11  # the gate of the next column is off
    arc.pulse_one(3, 16, -2.0, 1_000).execute()  # 2 V on the cell of row 3, and half of it on others of the column
    arc.wait()
    moved = chip.truth()["conductance"] - true
    assert moved[3, 0] == moved.max() > 0.2 * true[3, 0]
    assert not moved[:, 1:].any()  # gates of other columns are off
    everything = arc.read_all(0.2, gated.BiasOrder.Cols)
    assert np.isnan(everything).sum() == 0
    assert np.count_nonzero(np.abs(everything) > 1e-11) == 32  # one column
    arc.config_selectors(range(32)).config_channels([(0, 0.1), (1, 0.1)], 0.0).execute()
    both = -arc.read_slice_open([16, 20], True)[[16, 20]]
    assert both == pytest.approx(0.1 * chip.truth()["conductance"][:2, [0, 4]].sum(axis=0), rel=0.06)
    arc.config_channels([(16, 0.1)], 0.0).execute()
    assert -arc.read_slice_open([0, 1], True)[[0, 1]] == pytest.approx(
        0.1 * chip.truth()["conductance"][:2, 0], rel=0.06
    )
