"""The mock ArC TWO as a station: reads against the chip, the first cell, and every way out down to SIGKILL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.connection import Listener
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.arc_two import comes_of
from support.arc_two_process import KEY, serve
from support.dense_network import line_currents, row_reads
from support.quiet_stations import accuracy_of, bench_file, quiet_copy
from xbarlab import Block, open_bench
from xbarlab.cli import main
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.abilities import Multiplies, MultipliesReversed, Samples, Staircases
from xbarlab.instruments.board.arc_two.array import PIECE_SECONDS
from xbarlab.instruments.board.arc_two.parts import TRAIN_SECONDS
from xbarlab.instruments.capabilities import PulseMap
from xbarlab.instruments.errors import ConnectionLostError, UnconfirmedError
from xbarlab.mockhw.bench.bench import bench_for, forget_bench, fresh_bench
from xbarlab.mockhw.instruments.arc_two.board import RANGES, ArcTwoBoard
from xbarlab.mockhw.instruments.arc_two.kinds import ArC2Error
from xbarlab.mockhw.passive_chip.chip import Bias, PassiveChip
from xbarlab.mockhw.sim_clock import SimClock
from xbarlab.protocols.measure.pulsed_iv import PulsedIvPlan, pulsed_iv
from xbarlab.runbooks.stations import find_bench

STATION = "mock_tio2_arc2"
CELL = Block(3, 1, 1, 1)
TESTS = Path(__file__).parents[1]


@pytest.fixture
def opened() -> Iterator[tuple[Any, ArcTwoBoard]]:
    bench = open_bench(STATION, seed=1)
    yield bench, bench_for(find_bench(STATION)).libraries["pyarc2"].boards[0]
    bench.close()


def assert_safe(board: ArcTwoBoard) -> None:
    """Ask the chip's own lines: none is tied to anything, and no converter stands away from 0 V."""
    assert np.isnan(board.levels()).all()
    assert not board.volts.any()
    assert not board.clients


# -- reads and pulses against the chip ---------------------------------------------------------------------------------

DAC_STEP = 20.0 / 2**16
CHANNEL_OHMS = 1.0
CURVED = 0.1e-2
"""What a cell's curve adds to a linear network: 1 % from 0 to 0.2 V, of a voltage that is 3 % less at most."""


def half_steps(amps: Any) -> Any:
    """Return half a step [A] of the converter, on the range that the board takes for ``amps``."""
    ranges = np.array(RANGES)
    at = np.minimum(np.searchsorted(ranges, np.abs(amps)), ranges.size - 1)
    return 0.5 * ranges[at] / 2**17


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[tuple[Any, Any]]:
    """An array on a chip that neither fluctuates nor relaxes nor has bad cells, behind converters without noise."""
    station = quiet_copy(STATION, tmp_path)
    file = tmp_path / bench_file(STATION).name
    with open_bench(station, seed=1) as bench:
        yield bench.array, bench_for(file).chip
    forget_bench(file)


def expected(chip: Any, volts: Any) -> Any:
    """Return currents [lines] A into lines at ``volts`` [V], by a network that shares nothing with the mock's."""
    return line_currents(chip.truth()["conductance"], volts, wire=chip.wires.row_ohm, ohms=CHANNEL_OHMS)


def test_reads_without_noise_are_within_a_step_of_what_lines_leave_of_the_cells(quiet: tuple[Any, Any]) -> None:
    array, chip = quiet
    chip.assume_formed(np.random.default_rng(2).permutation(np.linspace(0.05, 0.95, 64)).reshape(8, 8))
    true = chip.truth()["conductance"]
    measured = array.read(array.spec.whole, 0.2).conductance
    drops = row_reads(true, 0.2, wire=chip.wires.row_ohm, ohms=CHANNEL_OHMS)
    bound = (CURVED + 0.5 * DAC_STEP / 0.2) * drops + half_steps(0.2 * drops) / 0.2
    assert np.all(np.abs(measured - drops) <= bound), np.abs(measured / drops - 1.0).max()
    # The voltage that wires and channels take, nothing else: the whole row is driven, and read at once.
    lost = 1.0 - measured / true
    assert lost.min() > 0.0
    assert 0.01 < lost.max() < 0.05
    # Whether the others of the row are asked for changes nothing: they are at 0 V in any case.
    (one,) = array.read(Block(6, 1, 2, 1)).conductance.ravel()
    assert one == pytest.approx(measured[6, 2], rel=1e-6)


def test_a_high_ohmic_chip_reads_what_it_is(quiet: tuple[Any, Any]) -> None:
    array, chip = quiet
    true = chip.truth()["conductance"]
    assert true.max() < 1e-6
    measured = array.read(array.spec.whole, 0.2).conductance
    assert np.all(np.abs(measured - true) <= accuracy_of(STATION).bound(true))


def test_products_and_trains_without_noise_are_those_of_the_network(quiet: tuple[Any, Any]) -> None:
    array, chip = quiet
    chip.assume_formed(np.linspace(0.1, 0.9, 64).reshape(8, 8))
    vector = np.array([0.1, -0.1, 0.2, 0.0, 0.05, 0.1, -0.2, 0.1])
    for kind, sent in ((Multiplies, 0), (MultipliesReversed, 8)):
        part = array.ability(kind)
        told = (part.vmm if kind is Multiplies else part.vmm_reversed)(vector[None])[0]
        volts = np.zeros(16)
        volts[sent : sent + 8] = vector
        wanted = -expected(chip, volts)[8 - sent : 16 - sent]
        # A cell conducts 1 % less near 0 V than at the 0.2 V its conductance is given for.
        share = np.abs(vector) @ (chip.truth()["conductance"] if not sent else chip.truth()["conductance"].T)
        bound = (1.1e-2 + 0.5 * DAC_STEP / 0.2) * share + half_steps(wanted)
        assert np.all(np.abs(told - wanted) <= bound), (kind, told - wanted, bound)
    trace = array.ability(Samples).sample(3, 1, 0.2, rate=1e3, seconds=0.05)
    wanted = -expected(chip, [0.2 if line == 3 else 0.0 for line in range(16)])[9]
    bound = (CURVED + 0.5 * DAC_STEP / 0.2) * wanted + half_steps(wanted)
    assert np.all(np.abs(trace.current - wanted) <= bound)


def test_what_a_read_differs_by_with_noise_is_what_cells_fluctuate(opened: tuple[Any, ArcTwoBoard]) -> None:
    """Conversions of 20 µs see more of the cells' noise than the 20 ms that the profile states it for."""
    bench, board = opened
    with bench:
        chip: Any = board.chip
        chip.assume_formed(np.linspace(0.1, 0.9, 64).reshape(8, 8))
        healthy = chip.truth()["kind"] == 0
        reads = np.array([bench.array.read(bench.array.spec.whole, 0.2).conductance for _ in range(40)])
        drops = row_reads(chip.truth()["conductance"], 0.2, wire=chip.wires.row_ohm, ohms=CHANNEL_OHMS)
        off, noise = np.median(reads, axis=0) / drops - 1.0, reads.std(axis=0) / drops
        # Slow noise and traps do not average away: a cell may stay within what its single reads differ by.
        assert np.all(np.abs(off[healthy]) <= 4.0 * noise[healthy] + 2e-3)
        assert abs(np.median(off[healthy])) < 2e-3 + np.median(noise[healthy])
        assert 2e-3 < np.median(noise[healthy]) < 5e-2
    assert_safe(board)


@pytest.mark.parametrize("cell", [(3, 1), (2, 2), (0, 7)])
def test_a_pulse_moves_its_cell_as_the_physics_does_and_no_other(
    opened: tuple[Any, ArcTwoBoard], cell: tuple[int, int]
) -> None:
    """A slow cell hardly answers, and that is the cell: (2, 2) of this chip needs a good deal more than 1.8 V."""
    bench, board = opened
    block = Block(cell[0], 1, cell[1], 1)
    with bench:
        chip: Any = board.chip
        twin = PassiveChip(chip.profile, seed=1, clock=SimClock())
        for volts in (1.8, -1.8, 2.2):
            for one in (chip, twin):
                one.assume_formed(0.3)
            bench.array.pulse(PulseMap(block, volts=volts, width=1e-6))
            source = np.zeros(16, dtype=np.int64)
            source[cell[0]], source[8 + cell[1]] = 1, 2
            ohms = np.full(3, CHANNEL_OHMS)
            levels = np.array([0.0, 0.5 * volts, -0.5 * volts])
            bias = Bias(source, np.zeros(16), levels, ohms, np.full(3, np.inf), np.zeros(3))
            twin.play(bias, levels[None], np.array([1e-6]))
            moved, wanted = (one.truth()["state"] - 0.3 for one in (chip, twin))
            assert moved[cell] == pytest.approx(wanted[cell], abs=0.02 + 0.25 * abs(wanted[cell]))
            assert np.sign(moved[cell]) == np.sign(volts)
            bystanders = np.ones((8, 8), dtype=np.bool_)
            bystanders[cell] = False
            assert np.abs(moved[bystanders & (chip.truth()["kind"] == 0)]).max() < 0.01
    assert_safe(board)


def test_a_staircase_is_what_single_pulses_and_reads_are(tmp_path: Path) -> None:
    """Amplitudes that both can give: even numbers of steps."""
    found: list[Any] = []
    for by_itself in (True, False):
        folder = tmp_path / str(by_itself)
        folder.mkdir()
        station = quiet_copy(STATION, folder)
        file = folder / bench_file(STATION).name
        with open_bench(station, seed=1) as bench:
            array = bench.array
            chip: Any = bench_for(file).chip
            chip.assume_formed(0.3)
            read: list[float] = []
            for sign in (1.0, -1.0):
                volts = sign * 2 * DAC_STEP * np.arange(1600, 3700, 100)
                if by_itself:
                    told = array.ability(Staircases).staircase(3, 1, volts[0], volts[-1], volts.size, width=1e-6)
                    assert told.volts == pytest.approx(volts, abs=1e-12)
                    read += told.conductance.tolist()
                    continue
                for volt in volts:
                    assert array.pulse(PulseMap(CELL, volts=volt, width=1e-6)).volts.item() == volt
                    read.append(array.read(CELL).conductance.item())
            found.append((np.array(read), chip.truth()["state"][3, 1]))
            assert chip.truth()["pulses"][3, 1] >= 42
        forget_bench(file)
    (stepped, here), (single, there) = found
    assert np.ptp(single) > 0.5 * single.min(), "the cell switches"
    assert here == pytest.approx(there, abs=0.01)
    assert stepped == pytest.approx(single, rel=0.01)


def test_loops_without_a_cut_off_go_as_ramps(opened: tuple[Any, ArcTwoBoard]) -> None:
    bench, board = opened
    cells = {"cells": "3:5,1:3", "points": 12, "cycles": 2, "smallest": 0.8, "positive": 2.2, "negative": -2.2}
    with bench:
        chip: Any = board.chip
        chip.assume_formed(0.3)
        programs = {}
        for average in (1, 2):
            before = len(board.programs)
            result = pulsed_iv(bench.array, PulsedIvPlan(**cells, average=average))
            programs[average] = len(board.programs) - before
            assert result.cells == [(3, 1), (3, 2), (4, 1), (4, 2)]
            assert np.isfinite(result.loops.conductance).all()
            last = bench.array.read(Block(3, 2, 1, 2), average=16).conductance.ravel()
            assert np.median(np.abs(result.loops.conductance[:, -1, -1, -1] / last - 1.0)) < 0.2, "cell by cell"
            assert result.metrics()["v_set_pulse_mean"] > 0.8
        assert programs[1] < programs[2] / 5
        watched = PulsedIvPlan(**cells, average=1, cutoff_current=1e-3)
        assert not watched.by_staircase(bench.array.spec)
    assert_safe(board)


def test_a_slow_cell_answers_to_a_higher_pulse(opened: tuple[Any, ArcTwoBoard]) -> None:
    bench, board = opened
    with bench:
        chip: Any = board.chip
        chip.assume_formed(0.3)
        moved: list[float] = []
        for volts in (1.8, 2.4):
            before = float(chip.truth()["state"][2, 2])
            bench.array.pulse(PulseMap(Block(2, 1, 2, 1), volts=volts, width=1e-6))
            moved.append(float(chip.truth()["state"][2, 2]) - before)
    assert abs(moved[0]) < 0.05
    assert moved[1] > 0.2


@pytest.mark.slow
def test_the_first_cell_is_formed_swept_and_pulsed(tmp_path: Path) -> None:
    assert (
        main(["run", "first_cell_pulsed", "--seed", "1", "--check", "--preset", "quick", "--out", str(tmp_path)]) == 0
    )
    (found,) = tmp_path.rglob("summary.json")
    metrics = json.loads(found.read_text(encoding="utf-8"))
    assert (metrics["formed_fraction"], metrics["steps_done"]) == (1.0, metrics["steps_planned"])
    assert 1.2 < metrics["v_set_pulse_mean"] < 1.9
    assert -2.0 < metrics["v_reset_pulse_mean"] < -1.2
    assert_safe(bench_for(find_bench(STATION)).libraries["pyarc2"].boards[0])


# -- ways out ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("why", [None, ValueError("mine"), KeyboardInterrupt(), SystemExit(3)])
def test_every_exit_ends_at_soft_ground_then_floats(
    opened: tuple[Any, ArcTwoBoard], why: BaseException | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, board = opened

    def strike(*_: object) -> None:
        raise why if why is not None else AssertionError

    raised: BaseException | None = None
    try:
        with bench:
            bench.array.pulse(PulseMap(CELL, volts=1.0, width=1e-6))
            if why is not None:
                monkeypatch.setattr(board, "_do_pulse", strike)  # in the middle of a program
                bench.array.pulse(PulseMap(CELL, volts=1.0, width=1e-6))
    except BaseException as error:
        raised = error
    assert raised is None if why is None else comes_of(raised, why)
    assert_safe(board)
    assert [step.result for step in bench.ending] == ["confirmed"]
    modes = [program for program in board.programs if any(op[0] == "arb" for op in program)][-1]
    assert modes[-1][0] == "arb"  # soft ground
    assert board.programs[-1][-1][0] == "open"  # then float


@pytest.mark.parametrize("step", ["pulse", "read", "product", "train", "staircase"])
@pytest.mark.parametrize("fault", [ArC2Error("fifo"), OSError("usb pulled"), RuntimeError("panicked")])
def test_a_fault_in_any_step_is_told_and_the_lines_are_left_safe(
    opened: tuple[Any, ArcTwoBoard], step: str, fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, board = opened
    with bench:
        array = bench.array
        with monkeypatch.context() as patched:

            def strike(*_: object) -> None:
                patched.undo()
                raise fault

            pulsed = step in {"pulse", "staircase"}
            patched.setattr(board, "_do_pulse" if pulsed else "_do_read", strike)
            with pytest.raises(UnconfirmedError if pulsed else ConnectionLostError, match=str(fault)):
                _do(array, step)
        assert np.isnan(board.levels()).all()
        _do(array, step)  # and it goes on
    assert_safe(board)


def _do(array: Any, step: str) -> None:
    if step == "pulse":
        array.pulse(PulseMap(CELL, volts=1.0, width=1e-6))
    elif step == "read":
        array.read(CELL)
    elif step == "product":
        array.ability(Multiplies).vmm(np.full(8, 0.1))
    elif step == "staircase":
        array.ability(Staircases).staircase(3, 1, 0.5, 1.0, 5, width=1e-6)
    else:
        array.ability(Samples).sample(0, 0, 0.2, rate=1e3, seconds=0.01)


def test_a_board_in_use_is_refused(opened: tuple[Any, ArcTwoBoard]) -> None:
    bench, board = opened
    board.clients += 1
    with pytest.raises(ConnectionLostError, match="in use"):
        bench.open()
    board.clients -= 1


def test_a_bench_without_the_library_is_refused() -> None:
    from xbarlab.mockhw.front_ends.vendor_libraries import library

    with pytest.raises(RefusedError, match="pyarc2"):
        library("pyarc2", find_bench("mock_tio2"))


class Killing:
    """A board whose host dies as its ``at``-th program begins."""

    def __init__(self, board: ArcTwoBoard, host: subprocess.Popen[bytes], at: int) -> None:
        self._board, self._host, self._left = board, host, at

    def run(self, program: Any) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(self._host.pid, signal.SIGKILL)
            self._host.wait()
        self._board.run(program)

    def fetch(self, key: int) -> Any:
        return self._board.fetch(key)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL, which this system has not")
@pytest.mark.parametrize(
    ("station", "doing"),
    [
        *(
            (station, doing)
            for station in (STATION, "mock_ta_hfo2_arc2")
            for doing in ["pulse", "read", "product", "train"]
        ),
        (STATION, "staircase"),
    ],
)
def test_after_a_sigkill_of_the_host_no_line_and_no_gate_stays_away_from_zero(
    station: str, doing: str, tmp_path: Path
) -> None:
    board = fresh_bench(find_bench(station), seed=1).libraries["pyarc2"].boards[0]
    address = str(tmp_path / "arc")
    rng = np.random.default_rng(len(doing))
    for _ in range(2):
        board.driven_longest = board.gated_longest = 0.0
        with Listener(address, authkey=KEY) as listener:
            host = subprocess.Popen(
                [sys.executable, "-m", "support.arc_two_process", address, doing, station],
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])},
            )
            at = int(rng.integers(6, 25))

            try:
                programs = serve(listener, Killing(board, host, at))
            finally:
                host.kill()
                host.wait()
        assert programs == at
        assert host.returncode == -signal.SIGKILL
        levels = board.levels()
        assert (np.isnan(levels) | (levels == 0.0)).all()
        assert board.driven_longest <= (TRAIN_SECONDS if doing == "train" else PIECE_SECONDS)
        assert board.driven_longest > 0.0
        assert not board.gates().any()
        assert board.gated_longest <= (TRAIN_SECONDS if doing == "train" else PIECE_SECONDS)
        assert (board.gated_longest > board.driven_longest) == (station != STATION)
