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

from support.arc_two_process import KEY, serve
from xbarlab import Block, open_bench
from xbarlab.cli import main
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.abilities import Multiplies, MultipliesReversed, Samples
from xbarlab.instruments.board.arc_two.array import PIECE_SECONDS
from xbarlab.instruments.board.arc_two.parts import TRAIN_SECONDS
from xbarlab.instruments.capabilities import PulseMap
from xbarlab.instruments.errors import ConnectionLostError, UnconfirmedError
from xbarlab.mockhw.bench.bench import bench_for, fresh_bench
from xbarlab.mockhw.instruments.arc_two.board import ArcTwoBoard
from xbarlab.mockhw.instruments.arc_two.kinds import ArC2Error
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


def test_reads_agree_with_the_chip_and_products_with_reads(opened: tuple[Any, ArcTwoBoard]) -> None:
    bench, board = opened
    with bench:
        chip: Any = board.chip
        chip.assume_formed(np.linspace(0.1, 0.9, 64).reshape(8, 8))
        healthy = chip.truth()["kind"] == 0
        true = chip.truth()["conductance"]
        array = bench.array
        measured = array.read(array.spec.whole, 0.2, average=4).conductance
        # Cells fluctuate by a few percent; lines and channels of 1 Ω take one or two.
        off = measured[healthy] / true[healthy] - 1.0
        assert abs(np.median(off)) < 0.03
        assert np.abs(off).max() < 0.15
        (one,) = array.read(CELL).conductance.ravel()
        assert one == pytest.approx(true[3, 1], rel=0.15)
        vectors = np.array([[0.1, -0.1, 0.2, 0.0, 0.05, 0.1, -0.2, 0.1]])
        currents = array.ability(Multiplies).vmm(vectors)
        assert currents == pytest.approx(vectors @ measured, abs=0.06 * float((np.abs(vectors) @ measured).max()))
        back = array.ability(MultipliesReversed).vmm_reversed(vectors)
        assert back == pytest.approx(vectors @ measured.T, abs=0.06 * float((np.abs(vectors) @ measured.T).max()))
        trace = array.ability(Samples).sample(3, 1, 0.2, rate=1e3, seconds=0.05)
        assert trace.current.mean() / 0.2 == pytest.approx(true[3, 1], rel=0.15)
    assert_safe(board)


def test_a_pulse_moves_the_cell_it_is_for(opened: tuple[Any, ArcTwoBoard]) -> None:
    bench, board = opened
    with bench:
        chip: Any = board.chip
        chip.assume_formed(0.3)
        before = chip.truth()["state"]
        bench.array.pulse(PulseMap(CELL, volts=1.8, width=1e-6))
        moved = chip.truth()["state"] - before
        assert moved[3, 1] > 0.2
        assert np.abs(np.delete(moved.ravel(), 3 * 8 + 1)).max() < 0.05
        bench.array.pulse(PulseMap(CELL, volts=-1.8, width=1e-6))
        assert chip.truth()["state"][3, 1] < before[3, 1] + moved[3, 1] - 0.2
    assert_safe(board)


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

    try:
        with bench:
            bench.array.pulse(PulseMap(CELL, volts=1.0, width=1e-6))
            if why is not None:
                monkeypatch.setattr(board, "_do_pulse", strike)  # in the middle of a program
                bench.array.pulse(PulseMap(CELL, volts=1.0, width=1e-6))
    except BaseException as error:
        assert why is not None
        said: BaseException | None = error
        while said is not None and said is not why:
            said = said.__cause__
        assert said is why
    assert_safe(board)
    assert [step.result for step in bench.ending] == ["confirmed"]
    modes = [program for program in board.programs if any(op[0] == "arb" for op in program)][-1]
    assert modes[-1][0] == "arb"  # soft ground
    assert board.programs[-1][-1][0] == "open"  # then float


@pytest.mark.parametrize("step", ["pulse", "read", "product", "train"])
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

            patched.setattr(board, "_do_pulse" if step == "pulse" else "_do_read", strike)
            with pytest.raises(UnconfirmedError if step == "pulse" else ConnectionLostError, match=str(fault)):
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
@pytest.mark.parametrize("doing", ["pulse", "read", "product", "train"])
def test_after_a_sigkill_of_the_host_no_line_stays_away_from_zero(doing: str, tmp_path: Path) -> None:
    board = fresh_bench(find_bench(STATION), seed=1).libraries["pyarc2"].boards[0]
    address = str(tmp_path / "arc")
    rng = np.random.default_rng(len(doing))
    for _ in range(2):
        board.driven_longest = 0.0
        with Listener(address, authkey=KEY) as listener:
            host = subprocess.Popen(
                [sys.executable, "-m", "support.arc_two_process", address, doing],
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
