"""The mock ArC TWO with a 1T1R chip as a station: reads and pulses against the chip's physics, every way out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.arc_two import comes_of
from support.quiet_stations import bench_file, quiet_copy
from xbarlab import Block, open_bench
from xbarlab.cli import main
from xbarlab.instruments.abilities import Multiplies, MultipliesReversed, Samples
from xbarlab.instruments.capabilities import PulseMap
from xbarlab.instruments.errors import ConnectionLostError, UnconfirmedError
from xbarlab.mockhw.bench.bench import bench_for, forget_bench
from xbarlab.mockhw.instruments.arc_two.board import ArcTwoBoard
from xbarlab.mockhw.instruments.arc_two.kinds import ArC2Error
from xbarlab.runbooks.stations import find_bench

STATION = "mock_ta_hfo2_arc2"
CELL = Block(3, 1, 1, 1)
CALM = 1e6
"""After so long [s] cells do not relax any more while they are looked at."""


@pytest.fixture
def opened() -> Iterator[tuple[Any, ArcTwoBoard]]:
    bench = open_bench(STATION, seed=1)
    yield bench, bench_for(find_bench(STATION)).libraries["pyarc2"].boards[0]
    bench.close()


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[tuple[Any, Any]]:
    """An array on a chip that does not fluctuate, behind converters without noise."""
    station = quiet_copy(STATION, tmp_path)
    file = tmp_path / bench_file(STATION).name
    with open_bench(station, seed=1) as bench:
        yield bench.array, bench_for(file).chip
    forget_bench(file)


def assert_safe(board: ArcTwoBoard) -> None:
    """Ask the chip's own lines and gates: none is tied to anything, no gate is on, no supply stands away from 0 V."""
    assert np.isnan(board.levels()).all()
    assert not board.volts.any()
    assert not board.gates().any()
    assert not board.selected.any()
    assert not any(board.supplies.values())
    assert not board.clients


# -- reads and pulses against the chip ---------------------------------------------------------------------------------


def test_reads_without_noise_are_what_lines_and_transistors_leave_of_the_cells(quiet: tuple[Any, Any]) -> None:
    array, chip = quiet
    chip.model.assume_formed(np.random.default_rng(2).permutation(np.linspace(5e-6, 150e-6, 1024)))
    array.clock.wait(CALM)
    cells = np.arange(1024)
    for gate in (None, 1.5):
        through = chip.model.conductance(cells, 0.2, 5.0 if gate is None else gate, chip.now).reshape(32, 32)
        measured = array.read(array.spec.whole, 0.2, gate=gate, average=2).conductance
        # The wires of the chip and its ends, as the network of one driven row has them.
        lost = 1.0 - measured[through > 5e-6] / through[through > 5e-6]
        assert lost.min() > -1e-3
        assert 0.01 < lost.max() < 0.05
    # Whether the others of the row are asked for changes what the row's wire loses, and no more.
    (one,) = array.read(Block(6, 1, 2, 1), 0.2, average=2).conductance.ravel()
    assert one == pytest.approx(array.read(array.spec.whole, 0.2).conductance[6, 2], rel=0.05)


def test_products_and_trains_without_noise_are_sums_of_reads(quiet: tuple[Any, Any]) -> None:
    array, chip = quiet
    chip.model.assume_formed(np.random.default_rng(2).uniform(5e-6, 150e-6, 1024))
    array.clock.wait(CALM)
    read = array.read(array.spec.whole, 0.2).conductance
    vector = np.random.default_rng(3).uniform(-0.2, 0.2, 32)
    forward = array.ability(Multiplies).vmm(vector)
    back = array.ability(MultipliesReversed).vmm_reversed(vector)
    for told, matrix in ((forward, read), (back, read.T)):
        share = np.abs(vector) @ matrix  # all lines at once lose more in the wires than one
        assert np.all(np.abs(told - vector @ matrix) <= 0.1 * share)
    trace = array.ability(Samples).sample(3, 1, 0.2, rate=1e3, seconds=0.05)
    assert trace.current / 0.2 == pytest.approx(array.read(CELL, 0.2).conductance.item(), rel=1e-3)


@pytest.mark.parametrize("cell", [(3, 1), (31, 31), (0, 17)])
def test_what_reaches_the_cell_is_what_was_delivered_and_no_other_moves(
    opened: tuple[Any, ArcTwoBoard], cell: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, board = opened
    block = Block(cell[0], 1, cell[1], 1)
    with bench:
        chip: Any = board.chip
        had: list[dict[tuple[float, float, float], int]] = []
        pulse = chip.pulse

        def spy(slot: Any, cells: Any, volts: Any, width: Any, gate: Any, count: Any) -> None:
            assert cells.tolist() == [32 * cell[0] + cell[1]]
            key = round(volts.item(), 9), round(width.item(), 12), round(gate.item(), 9)
            had[-1][key] = had[-1].get(key, 0) + int(count.item())
            pulse(slot, cells, volts, width, gate, count)

        monkeypatch.setattr(chip, "pulse", spy)
        for volts, gate in ((2.5, 1.2), (2.5, 1.8), (-1.7, 5.0)):
            had.append({})
            chip.model.assume_formed(20e-6, chip.now)
            before = chip.truth()["conductance"].copy()
            given = bench.array.pulse(PulseMap(block, volts=volts, width=1e-6, gate=gate, count=100))
            key = round(given.volts.item(), 9), round(given.width.item(), 12), round(given.gate.item(), 9)
            assert had[-1] == {key: 100}
            moved = chip.truth()["conductance"] - before
            assert np.sign(moved[cell]) == np.sign(volts)
            moved[cell] = 0.0
            assert not moved.any()
    assert_safe(board)


def test_the_gate_says_how_far_a_cell_is_set(opened: tuple[Any, ArcTwoBoard]) -> None:
    bench, board = opened
    with bench:
        chip: Any = board.chip
        chip.model.assume_formed(5e-6, chip.now)
        healthy = chip.truth()["kind"][5] == 0
        gates = np.linspace(0.9, 2.0, 32)
        bench.array.pulse(PulseMap(Block(5, 1, 0, 32), volts=2.5, width=1e-6, gate=gates))
        read = bench.array.read(Block(5, 1, 0, 32)).conductance[0]
        assert np.corrcoef(gates[healthy], read[healthy])[0, 1] > 0.9
        others = np.delete(chip.truth()["conductance"], 5, axis=0)[:, healthy]
        assert np.median(others) < 6e-6
    assert_safe(board)


def test_gates_along_rows_give_every_column_its_own_amplitude(tmp_path: Path) -> None:
    station = quiet_copy(STATION, tmp_path)
    file = tmp_path / bench_file(STATION).name
    content = json.loads(file.read_text(encoding="utf-8"))
    content["chip"]["changes"]["gate_axis"] = {"value": "row", "source": "test"}
    content["instruments"][0]["gates"] = list(range(32))[::-1]
    file.write_text(json.dumps(content), encoding="utf-8")
    record = tmp_path / f"{STATION}.chip.yaml"
    lines = f"gate_axis: row\nlines: {{gates: {list(range(32))[::-1]}}}"
    record.write_text(record.read_text(encoding="utf-8").replace("gate_axis: col", lines), encoding="utf-8")
    with open_bench(station, seed=1) as bench:
        array, chip = bench.array, bench_for(file).chip
        assert (array.spec.gate_axis, chip.gate_axis) == ("row", "row")
        chip.model.assume_formed(np.random.default_rng(2).uniform(15e-6, 60e-6, 1024), chip.now)
        array.clock.wait(CALM)
        read = array.read(array.spec.whole, 0.2, average=2).conductance
        through = chip.model.conductance(np.arange(1024), 0.2, 5.0, chip.now).reshape(32, 32)
        assert np.quantile(np.abs(read / through - 1.0), 0.99) < 0.05
        vector = np.full(32, 0.1)
        assert array.ability(Multiplies).vmm(vector) == pytest.approx(vector @ read, rel=0.1)
        before, healthy = chip.truth()["conductance"].copy(), chip.truth()["kind"][7] == 0
        volts = np.where(np.arange(32) % 2, 2.5, -1.7)
        given = array.pulse(PulseMap(Block(7, 1, 0, 32), volts=volts, width=1e-6, gate=2.0))
        assert given.slots == 2, "columns of a cluster share a sign"
        moved = chip.truth()["conductance"] - before
        assert np.all(moved[7, healthy & (volts > 0.0)] > 0.0)
        assert np.median(moved[7, healthy & (volts < 0.0)]) < 0.0
        moved[7] = 0.0
        assert not moved.any()
        # A pulse that one column alone has reaches no other of its row, whose gate is on.
        before = chip.truth()["conductance"].copy()
        array.pulse(PulseMap(Block(9, 1, 4, 1), volts=2.5, width=1e-6, gate=2.0))
        assert np.argwhere(chip.truth()["conductance"] != before).tolist() == [[9, 4]]
    forget_bench(file)


@pytest.mark.slow
def test_first_light_forms_and_programs_cells_and_leaves_loops_out(tmp_path: Path) -> None:
    command = ["run", "first_light_1t1r", "--station", STATION, "--preset", "quick", "--seed", "1", "--check"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    metrics = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert metrics["steps_done"] == metrics["steps_planned"]
    assert metrics["iv.left_out"] == 1
    assert metrics["pulses_per_cell"] < metrics["ispp_pulses_per_cell"]
    assert_safe(bench_for(find_bench(STATION)).libraries["pyarc2"].boards[0])


# -- ways out ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("why", [None, ValueError("mine"), KeyboardInterrupt(), SystemExit(3)])
def test_every_exit_ends_with_lines_open_and_gates_off(
    opened: tuple[Any, ArcTwoBoard], why: BaseException | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, board = opened

    def strike(*_: object) -> None:
        assert board.gates().any()
        raise why if why is not None else AssertionError

    raised: BaseException | None = None
    try:
        with bench:
            bench.array.pulse(PulseMap(CELL, volts=1.0, width=1e-6, gate=1.5))
            if why is not None:
                monkeypatch.setattr(board, "_do_pulse", strike)  # in the middle of a program, gates on
                bench.array.pulse(PulseMap(CELL, volts=1.0, width=1e-6, gate=1.5))
    except BaseException as error:
        raised = error
    assert raised is None if why is None else comes_of(raised, why)
    assert_safe(board)
    assert [step.result for step in bench.ending] == ["confirmed"]


@pytest.mark.parametrize("step", ["pulse", "read", "product", "train"])
@pytest.mark.parametrize("fault", [ArC2Error("fifo"), OSError("usb pulled")])
def test_a_fault_in_any_step_leaves_lines_and_gates_safe(
    opened: tuple[Any, ArcTwoBoard], step: str, fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, board = opened

    def do() -> None:
        if step == "pulse":
            bench.array.pulse(PulseMap(CELL, volts=1.0, width=1e-6, gate=1.5))
        elif step == "read":
            bench.array.read(CELL)
        elif step == "product":
            bench.array.ability(Multiplies).vmm(np.full(32, 0.1))
        else:
            bench.array.ability(Samples).sample(0, 0, 0.2, rate=1e3, seconds=0.01)

    with bench:
        with monkeypatch.context() as patched:

            def strike(*_: object) -> None:
                assert board.gates().any()
                patched.undo()
                raise fault

            patched.setattr(board, "_do_pulse" if step == "pulse" else "_do_read", strike)
            with pytest.raises(UnconfirmedError if step == "pulse" else ConnectionLostError, match=str(fault)):
                do()
        assert np.isnan(board.levels()).all()
        assert not board.gates().any()
        do()  # and it goes on
    assert_safe(board)


def test_whoever_left_gates_on_is_cleaned_up_after(opened: tuple[Any, ArcTwoBoard]) -> None:
    bench, board = opened
    bench.close()
    board.selected[4] = True
    board.supplies["SELH"] = 3.3
    with open_bench(STATION):
        board = bench_for(find_bench(STATION)).libraries["pyarc2"].boards[0]
        assert not board.gates().any()
