"""Stress by hand, at the drivers of a station's instruments, is in the chip's account: once, and at its cell."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xbarlab.common.errors import RefusedError
from xbarlab.instruments.abilities import Sweeps
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import PulseMap
from xbarlab.instruments.chip import wear_ledger
from xbarlab.instruments.chip.wear_ledger import WearLedger
from xbarlab.instruments.chip.wear_store import WearStore
from xbarlab.instruments.drivers.stress import Unheard
from xbarlab.instruments.station.station import Bench, load_station
from xbarlab.runbooks.runner.chip_wear import bench_wear, show_chip
from xbarlab.runbooks.stations import find_station

ROW, COLUMN, FIRST, SECOND, GROUND = 1, 2, 9, 10, 12
TRAIN: dict[str, Any] = {"width": 1e-6, "edge": 1e-8, "period": 1e-5}


@pytest.fixture
def bench() -> Iterator[Bench]:
    with load_station(find_station("mock_tio2")) as opened:
        yield opened


def hands(bench: Bench) -> list[Any]:
    """Row SMU, column SMU, pulser, matrix."""
    return [bench.station.components[name] for name in ("row_smu", "column_smu", "pulser", "matrix")]


def cell(bench: Bench, row: int, col: int) -> dict[str, float]:
    return {name: float(plane[row, col]) for name, plane in bench.wear.maps().items()}


def total(bench: Bench, name: str = "pulses") -> float:
    return float(bench.wear.maps()[name].sum())


def grounded(row: int, col: int) -> set[tuple[int, int]]:
    return {(GROUND, line) for line in range(1, 17) if line not in {row + 1, col + 9}}


# -- the source-measure units ------------------------------------------------------------------------------------------


def test_a_cell_formed_through_stock_parameters_is_in_the_account(bench: Bench) -> None:
    row, column, _, matrix = hands(bench)
    matrix.connect(ROW, 3)  # all of these are QCoDeS's own
    matrix.connect(COLUMN, 9 + 4)
    row.output_enabled(True)
    column.output_enabled(True)
    for half in np.linspace(0.0, 1.2, 13):
        row.source.voltage(float(half))
        column.source.voltage(float(-half))
    row.output_enabled(False)
    column.output_enabled(False)
    assert cell(bench, 2, 4) == {
        "pulses": 1, "set_pulses": 1, "reset_pulses": 0, "cycles": 0, "sweeps": 0, "set_stress": 2.4, "reset_stress": 0,
    }  # fmt: skip
    assert bench.wear.summary()["cells_used"] == 1
    assert bench.wear.summary()["unattributed"] == 0


def test_levels_switched_on_and_off_and_turned_over(bench: Bench) -> None:
    row, column, _, matrix = hands(bench)
    matrix.connect_only({(ROW, 1), (COLUMN, 9)} | grounded(0, 0))
    row.source.voltage(1.0)
    assert total(bench) == 0, "an output that is off gives nothing"
    row.output_enabled(True)
    row.output_enabled(False)
    row.output_enabled(True)
    row.write(":source1:volt:level:imm:ampl -0.5")
    row.write("SOUR:VOLT 0.7;:OUTP OFF")
    row.on(0.0, compliance=1e-4)
    column.on(0.0, compliance=1e-4)
    row.level(0.4)
    column.step(0.4)
    row.level(0.0)
    told = cell(bench, 0, 0)
    assert (told["set_pulses"], told["reset_pulses"]) == (4, 2)
    assert (told["set_stress"], told["reset_stress"]) == (1.0, 0.5)
    assert bench.wear.summary()["cells_used"] == 1, "half-selected cells are not counted"


def test_sweeps_by_hand_buffered_stock_and_as_text(bench: Bench) -> None:
    row, _, _, matrix = hands(bench)
    matrix.connect_only([(ROW, 1), (COLUMN, 9)])
    row.sweep([0.0, 0.8, 0.0, -0.6, 0.0], compliance=1e-4, dwell=1e-3)
    assert cell(bench, 0, 0)["pulses"] == 2
    assert cell(bench, 0, 0)["sweeps"] == 1
    row.source.sweep_setup(0.0, 1.0, 5, sweep_count=2)
    row.source.sweep_start()
    assert (cell(bench, 0, 0)["set_pulses"], cell(bench, 0, 0)["sweeps"]) == (2, 2), "0 to 1 twice is one stay"
    row.write("SOUR:SWE:VOLT:LIN -0.2,0.3,11,1e-3,1,AUTO,ON,ON")
    row.write("INIT;*WAI")
    told = cell(bench, 0, 0)
    assert (told["set_pulses"], told["reset_pulses"], told["sweeps"]) == (3, 3, 3), "there and back"
    assert (told["set_stress"], told["reset_stress"]) == (1.0, 0.6)
    row.sweep([0.1], compliance=1e-4, dwell=1e-3)
    row.write("SOUR:LIST:VOLT 0.1;:SOUR:LIST:VOLT:APP 1.1")
    row.write("INIT;*WAI")  # once more through the list, as it is now
    assert (cell(bench, 0, 0)["sweeps"], cell(bench, 0, 0)["set_stress"]) == (5, 1.1)


def test_one_unit_against_ground_counts_every_cell_between(bench: Bench) -> None:
    row, _, _, matrix = hands(bench)
    matrix.connect_only([(ROW, 2), (GROUND, 9), (GROUND, 12)])
    row.on(0.9, compliance=1e-4)
    assert np.argwhere(bench.wear.maps()["pulses"]).tolist() == [[1, 0], [1, 3]]


def test_a_level_that_meets_another_cell_by_a_relay_counts_there(bench: Bench) -> None:
    row, _, _, matrix = hands(bench)
    matrix.connect_only([(ROW, 1), (COLUMN, 9)])
    row.on(0.5, compliance=1e-4)
    matrix.connect(COLUMN, 10)
    matrix.connect_only([(ROW, 1), (COLUMN, 11)])
    assert np.argwhere(bench.wear.maps()["pulses"] == 1).tolist() == [[0, 0], [0, 1], [0, 2]]


# -- the pulse generator -----------------------------------------------------------------------------------------------


def test_trains_by_hand(bench: Bench) -> None:
    _, _, pulser, matrix = hands(bench)
    matrix.connect_only({(FIRST, 1), (SECOND, 9)} | grounded(0, 0))
    pulser.pulses(1.5, -1.5, count=7, **TRAIN)
    pulser.pulses(-1.0, 1.0, count=2, **TRAIN)
    told = cell(bench, 0, 0)
    assert (told["set_pulses"], told["set_stress"], told["reset_pulses"], told["reset_stress"]) == (7, 3.0, 2, 2.0)
    assert total(bench) == 9
    before = bench.wear.summary()
    pulser.write("*TRG")  # the outputs are off
    for text in ("OUTP1 ON", "OUTP2:STAT 1", "APPL:PULS 1e3,1"):
        with pytest.raises(RefusedError):
            pulser.write(text)
    assert bench.wear.summary() == before


# -- what is not known -------------------------------------------------------------------------------------------------


def test_what_reaches_no_known_cell_is_unattributed_and_shown(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, _, pulser, matrix = hands(bench)
    store = WearStore(tmp_path / "wear.sqlite")
    bench.array.wear = bench._wear = WearLedger("hand", (8, 8), store=store)  # type: ignore[attr-defined]
    row.on(0.0, compliance=1e-4)
    row.level(1.3)
    row.level(1.4)
    row.off()
    matrix.connect(ROW, 1)
    row.sweep([0.1, -0.1, 0.1], compliance=1e-4, dwell=0.0)
    pulser.pulses(0.5, 0.0, count=10, **TRAIN)
    summary = bench.wear.summary()
    assert (summary["unattributed"], summary["unattributed_stress_max"]) == (14, 1.4)
    assert total(bench) == 0
    (_, table) = bench_wear(bench).tables[0]
    assert "14 pulses of at most 1.40 V" in table.to_string(max_colwidth=200)
    bench.close()
    monkeypatch.setenv("XBARLAB_WEAR", str(tmp_path))
    (line,) = [line for line in show_chip("hand", None) if line.startswith("unattributed")]
    assert "14 pulses of at most 1.40 V" in line
    with WearLedger("hand", (8, 8), store=WearStore(tmp_path / "wear.sqlite")) as again:
        assert again.summary()["unattributed"] == 14
        assert again.summary()["uncertain"] == 0


def test_an_instrument_beside_the_array_is_unattributed(tmp_path: Path) -> None:
    (tmp_path / "b.bench.yaml").write_text(
        "chip: {profile: ta_hfo2_1t1r}\n"
        'instruments: [{kind: array_board, address: "TCPIP0::127.0.0.1::5025::SOCKET"}]\n'
    )
    (tmp_path / "s.station.yaml").write_text(
        "instruments:\n"
        "  board: {type: CrossbarBoard, address: TCPIP0::127.0.0.1::5025::SOCKET,"
        " init: {visalib: b.bench.yaml@xbarlab}}\n"
        "  gates: {type: Keithley2450, address: TCPIP0::127.0.0.1::5031::SOCKET,"
        f" init: {{visalib: '{find_station('mock_tio2').parent / 'mock_tio2.bench.yaml'}@xbarlab'}}}}\n"
        "xbarlab: {array: board}\n"
    )
    with load_station(tmp_path / "s.station.yaml") as bench:
        gates: Any = bench.station.components["gates"]
        gates.source.voltage(0.3)
        gates.output_enabled(True)
        gates.output_enabled(False)
        bench.array.pulse(PulseMap(Block(0, 1, 0, 1), 1.0, 1e-6, 1.0, 5))
        assert bench.wear.summary()["unattributed"] == 1
        assert bench.wear.summary()["set_pulses_total"] == 5


# -- budget, cost, and counting once -------------------------------------------------------------------------------


def test_by_hand_too_a_worn_cell_gets_nothing_more_and_0_v_is_never_refused(bench: Bench) -> None:
    row, column, _, matrix = hands(bench)
    matrix.connect_only([(ROW, 1), (COLUMN, 9)])
    full = bench.array.spec.limits.pulses_total_max
    row.on(1.0, compliance=1e-4)
    column.on(0.5, compliance=1e-4)
    bench.wear.add(Block(0, 1, 0, 1), 1.0, full - 1, bench.array.spec.limits)  # type: ignore[union-attr]
    row.off()  # turns the cell over: to −0.5 V
    assert cell(bench, 0, 0)["reset_pulses"] == 1
    column.off()
    with pytest.raises(RefusedError, match=r"cell \(0, 0\).*its wear budget is used up"):
        row.on(0.1, compliance=1e-4)
    assert row.ask("OUTP?").strip("+") == "0", "nothing was sent"


def test_a_run_counts_once_and_costs_no_message_and_no_write_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(heard: bool) -> tuple[Any, ...]:
        writes: list[float] = []
        write = WearStore.write

        def counted(self: WearStore, chip: str, changes: Any, at: Any, reserved: float) -> None:
            writes.append(reserved)
            write(self, chip, changes, at, reserved)

        with load_station(find_station("mock_tio2")) as bench, monkeypatch.context() as patch:
            patch.setattr(WearStore, "write", counted)
            patch.setattr(wear_ledger, "_FLUSH_SECONDS", 1e9)
            book = WearLedger(
                "c", (8, 8), store=WearStore(tmp_path / f"{heard}.sqlite"), limits=bench.array.spec.limits
            )
            bench.array.wear = book  # type: ignore[attr-defined]
            if not heard:
                for driver in hands(bench):
                    driver.stress = Unheard()
            array = bench.array
            array.read(Block(0, 2, 0, 2))
            array.pulse(PulseMap(Block(0, 2, 0, 2), 1.5, 200e-9, 0.0, 3))
            array.ability(Sweeps).sweep(0, 0, np.linspace(0.0, 0.4, 9), compliance=1e-4, dwell=1e-2)
            array.ability(Sweeps).sweep(1, 1, [0.2, -0.2], compliance=1e-4, dwell=1e-2, scheme="float")
            array.read(Block(0, 2, 0, 2), scheme="row_sense")
            cost = array.cost.transactions
            array.idle()
            maps, summary = book.maps(), book.summary()
            book.close()
            return cost, len(writes), {name: plane.tolist() for name, plane in maps.items()}, summary["unattributed"]

    with_hand, without = run(True), run(False)
    assert with_hand == without
    assert with_hand[1] <= 3
    assert with_hand[2]["pulses"][0][0] == 4
    assert with_hand[2]["pulses"][1][1] == 5


def test_a_thousand_levels_by_hand_are_a_few_writes(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, _, _, matrix = hands(bench)
    writes: list[float] = []
    write = WearStore.write

    def counted(self: WearStore, chip: str, changes: Any, at: Any, reserved: float) -> None:
        writes.append(reserved)
        write(self, chip, changes, at, reserved)

    monkeypatch.setattr(WearStore, "write", counted)
    monkeypatch.setattr(wear_ledger, "_FLUSH_SECONDS", 1e9)
    book = WearLedger("c", (8, 8), store=WearStore(tmp_path / "w.sqlite"), limits=bench.array.spec.limits)
    bench.array.wear = book  # type: ignore[attr-defined]
    matrix.connect_only([(ROW, 1), (COLUMN, 9)])
    row.on(0.0, compliance=1e-4)
    for k in range(500):
        row.source.voltage(0.1 if k % 2 else 1e-3 * k)
    book.close()
    assert len(writes) <= 3
    connection = sqlite3.connect(tmp_path / "w.sqlite")
    assert connection.execute("SELECT set_pulses, set_stress FROM cells").fetchall() == [(1.0, 0.498)]
    connection.close()
