"""The probe station from outside: what a read is worth, what half-selected cells see, and the same runbooks on it.

The mock's own truth is asked here and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xbarlab import FormingPlan, form, open_bench
from xbarlab.cli import main
from xbarlab.instruments.abilities import Sweeps
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import PulseMap
from xbarlab.mockhw.bench.bench import MockBench, fresh_bench
from xbarlab.mockhw.front_ends.tcp_host import serve
from xbarlab.mockhw.front_ends.visa_library import XbarlabVisaLibrary
from xbarlab.mockhw.passive_chip.chip import PassiveChip
from xbarlab.protocols.keeping.run import Run
from xbarlab.runbooks.runner.runner import run_runbook
from xbarlab.runbooks.runner.schema import Runbook, load_runbook
from xbarlab.runbooks.stations import find_bench, find_station, mock_bench

SEED = 1
ROWS = COLS = 8
STATION = "mock_tio2"


@contextmanager
def probe_station(seed: int = SEED) -> Iterator[tuple[Any, MockBench, PassiveChip]]:
    with open_bench(STATION, seed=seed) as bench:
        mock = mock_bench(find_bench(STATION))
        assert isinstance(mock.chip, PassiveChip)
        yield bench.array, mock, mock.chip


def cell(row: int, col: int) -> Block:
    return Block(row, 1, col, 1)


# --- Must show 2: reads -----------------------------------------------------------------------------------------------


def read_errors(array: Any, chip: PassiveChip, cells: list[tuple[int, int]], scheme: str) -> np.ndarray:
    """Relative error of one HRS cell among LRS neighbours, for every healthy position."""
    errors: list[float] = []
    for row, col in cells:
        state = np.ones((ROWS, COLS))
        state[row, col] = 0.0
        chip.assume_formed(state)
        if not chip.truth()["stuck"][row, col]:
            found = array.read(cell(row, col), average=16, scheme=scheme).conductance[0, 0]
            truth = chip.truth()  # only now: the cell has relaxed since it was declared formed
            errors.append(found / truth["conductance"][row, col] - 1.0)
    return np.array(errors)


def test_only_the_virtual_ground_reads_a_high_resistance_cell_among_low_ones() -> None:
    everywhere = list(product(range(ROWS), range(COLS)))
    corners = [(0, 0), (0, 7), (3, 4), (7, 0), (7, 7)]
    with probe_station() as (array, _, chip):
        errors = {
            scheme: read_errors(array, chip, everywhere if scheme == "virtual_ground" else corners, scheme)
            for scheme in ("virtual_ground", "float", "row_sense")
        }
    for scheme, found in errors.items():
        size = np.abs(found)
        print(f"{scheme}: {found.size} positions, median {np.median(found):+.2%}, worst {size.max():.2%}")
    assert errors["virtual_ground"].size > 60
    assert np.abs(errors["virtual_ground"]).max() < 0.02
    assert errors["float"].min() > 5.0
    assert errors["row_sense"].min() > 5.0


@pytest.mark.slow
def test_every_position_of_three_chips_in_every_scheme() -> None:
    everywhere = list(product(range(ROWS), range(COLS)))
    for seed in (1, 2, 3):
        with probe_station(seed) as (array, _, chip):
            for scheme, largest, least in (
                ("virtual_ground", 0.02, 0.0),
                ("float", np.inf, 5.0),
                ("row_sense", np.inf, 5.0),
            ):
                found = np.abs(read_errors(array, chip, everywhere, scheme))
                print(f"seed {seed} {scheme}: median {np.median(found):.2%}, worst {found.max():.2%}")
                assert found.max() < largest
                assert found.min() > least


# --- Must show 3: half-selected cells ---------------------------------------------------------------------------------


class CellVoltages:
    """Every cell's voltage at the top of every pulse and at every level of a sweep, solved in the mock's network."""

    def __init__(self, chip: PassiveChip, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pulses: list[np.ndarray] = []
        self.holds: list[np.ndarray] = []
        play, hold = chip.play, chip.hold

        def played(bias: Any, volts: np.ndarray, seconds: np.ndarray, repeats: int = 1) -> None:
            top = volts[np.argmax(np.ptp(volts, axis=1))]
            self.pulses.append(chip.solve(replace(bias, volts=top)).cell_volts.copy())
            play(bias, volts, seconds, repeats)

        def held(bias: Any, seconds: float) -> None:
            if np.ptp(bias.volts) > 0.0:
                self.holds.append(chip.solve(bias).cell_volts.copy())
            hold(bias, seconds)

        monkeypatch.setattr(chip, "play", played)
        monkeypatch.setattr(chip, "hold", held)


def split(volts: np.ndarray, row: int, col: int) -> tuple[float, np.ndarray, np.ndarray]:
    """Voltage of the selected cell, of its row- and column-mates, of everybody else."""
    mate = np.zeros(volts.shape, dtype=bool)
    mate[row, :] = mate[:, col] = True
    mate[row, col] = False
    other = ~mate
    other[row, col] = False
    return float(volts[row, col]), volts[mate], volts[other]


@pytest.mark.parametrize("volts", [2.2, -2.0, 2.8])
def test_pulses_put_half_the_voltage_on_the_mates_and_nothing_on_the_rest(
    monkeypatch: pytest.MonkeyPatch, volts: float
) -> None:
    """On a virgin chip, whose cells take no current that would cost voltage in the lines."""
    with probe_station() as (array, _, chip):
        stuck = chip.truth()["stuck"].astype(bool)
        seen = CellVoltages(chip, monkeypatch)
        done = 0
        for row, col in product(range(ROWS), range(COLS)):
            if stuck[row].any() or stuck[:, col].any():
                continue  # one that conducts takes its 2 % of the generator's 50 Ω
            if done and volts > 2.5:
                break  # so would one that the first strong pulse has formed
            seen.pulses.clear()
            given = array.pulse(PulseMap(cell(row, col), volts, 200e-9)).volts[0, 0]
            assert given == pytest.approx(volts, abs=1e-3)
            (top,) = seen.pulses
            selected, mates, others = split(top, row, col)
            assert selected == pytest.approx(volts, rel=0.02)
            assert mates.size == 14
            np.testing.assert_allclose(mates, volts / 2, rtol=0.02)
            assert np.abs(others).max() < 0.01 * abs(volts)
            done += 1
        assert done == (1 if volts > 2.5 else 49)


def test_no_cell_but_the_selected_sees_more_than_half_in_forming_and_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first forming pulse to the last proof, formed neighbours and all."""
    amplitudes: list[tuple[int, int, float]] = []
    with probe_station() as (array, _, chip):
        seen = CellVoltages(chip, monkeypatch)
        pulse = array.pulse

        def pulsed(pulses: PulseMap) -> Any:
            given = pulse(pulses)
            amplitudes.append((pulses.block.row0, pulses.block.col0, float(given.volts[0, 0])))
            return given

        monkeypatch.setattr(array, "pulse", pulsed)
        result = form(array, FORMING.model_copy(update={"cells": "0:2,0:2"}))
        assert result.metrics()["formed_fraction"] == 1.0
        formed = chip.truth()["formed"].astype(bool)
    assert formed.sum() == 4, "nobody was formed by accident"
    assert len(seen.pulses) == len(amplitudes) > 40
    for (row, col, volts), top in zip(amplitudes, seen.pulses, strict=True):
        selected, mates, others = split(top, row, col)
        assert abs(selected) <= abs(volts) * 1.001
        assert np.abs(mates).max() <= abs(volts) / 2 * 1.001
        assert np.abs(mates).min() > 0.25 * abs(volts), "the mates of a cell that conducts keep most of their half"
        assert np.abs(others).max() < 0.1 * abs(volts)


def test_a_sweep_keeps_everybody_else_at_half(monkeypatch: pytest.MonkeyPatch) -> None:
    """Host-stepped: both units move, one after the other, and no moment in between is worse."""
    with probe_station() as (array, _, chip):
        seen = CellVoltages(chip, monkeypatch)
        peak = 1.2
        points = np.concatenate([np.linspace(0.0, peak, 13), np.linspace(peak, -peak, 25), [0.0]])
        array.ability(Sweeps).sweep(2, 6, points, compliance=1e-3, dwell=1e-2)
        assert not seen.pulses
        tops = [split(volts, 2, 6) for volts in seen.holds]
    largest = max(tops, key=lambda one: one[0])
    assert largest[0] == pytest.approx(peak, rel=0.02)
    np.testing.assert_allclose(largest[1], peak / 2, rtol=0.02)
    assert min(one[0] for one in tops) == pytest.approx(-peak, rel=0.02)
    assert max(np.abs(mates).max() for _, mates, _ in tops) < peak / 2 * 1.02
    assert max(np.abs(others).max() for _, _, others in tops) < 0.01 * peak


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_neighbour_is_set_by_accident_in_64_formings(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before each cell's own first pulse the chip itself says whether it was formed."""
    too_early: list[tuple[int, int]] = []
    started: set[tuple[int, int]] = set()
    with probe_station(seed) as (array, _, chip):
        pulse = array.pulse

        def pulsed(pulses: PulseMap) -> Any:
            at = (pulses.block.row0, pulses.block.col0)
            if at not in started:
                started.add(at)
                if chip.truth()["formed"][at]:
                    too_early.append(at)
            return pulse(pulses)

        monkeypatch.setattr(array, "pulse", pulsed)
        result = form(array, FORMING)
        metrics = result.metrics()
        truth = chip.truth()
    healthy = ~truth["stuck"].astype(bool)
    print(f"seed {seed}: {metrics}")
    assert len(started) >= healthy.sum()
    assert too_early == []
    assert metrics["disturbed_cells"] == 0
    assert truth["formed"].astype(bool)[healthy].mean() >= 0.95
    assert (truth["kind"] > 0).sum() == (~healthy).sum(), "none was broken"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [13, 17])
def test_the_runbook_expects_what_the_spread_of_cells_gives(seed: int) -> None:
    # Two of the chips, one in ten, of which one cell is so weak that a half-select SETs it (decision 0016).
    book = load_runbook("first_light_tio2")
    (expected,) = [one for one in book.expect if one.key == "form.disturbed_cells"]
    virgin, forming = book.steps[:2]
    with open_bench(STATION, seed=seed) as bench:
        virgin.kind.run(bench.array, virgin.plan, None)
        found = forming.kind.run(bench.array, forming.plan, None).metrics()["disturbed_cells"]
    assert expected.maximum is not None
    assert 1 <= found <= expected.maximum


# --- Must show 6: one loop --------------------------------------------------------------------------------------------


def test_a_loop_of_200_points_is_a_dozen_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted on the wire, and by the driver itself; the simulator's clock is not a message of the bench."""
    volts = np.concatenate([np.linspace(0.0, 0.5, 50), np.linspace(0.5, -0.5, 100), np.linspace(-0.5, 0.0, 50)])
    with probe_station() as (array, _, chip):
        chip.assume_formed(0.5)
        array.read(cell(0, 0))
        array.row_smu.off()
        before = array.row_smu.transactions
        sent: list[bytes] = []
        write = XbarlabVisaLibrary.write

        def recorded(self: Any, session: Any, data: bytes) -> Any:
            sent.append(bytes(data))
            return write(self, session, data)

        monkeypatch.setattr(XbarlabVisaLibrary, "write", recorded)
        found, current, flags = array.row_smu.sweep(volts, compliance=5e-3, dwell=1e-2)
        used = array.row_smu.transactions - before
        monkeypatch.undo()
        row = chip.truth()["conductance"][0].sum()  # all other lines are at 0 V
    messages = [data for data in sent if not data.startswith(b"SIM:")]
    assert len(messages) == used <= 12
    assert all(data.endswith(b"\n") and data.count(b"\n") == 1 for data in messages)
    np.testing.assert_allclose(found, volts, atol=2e-3)
    assert not flags.any()
    small = (np.abs(volts) > 0.1) & (np.abs(volts) < 0.25)
    assert np.median(current[small] / volts[small]) == pytest.approx(row, rel=0.05)


# --- Must show 7: the runbook of the 1T1R board -----------------------------------------------------------------------

# What the material wants; the protocols are told by their plans and by nothing else.
ON_TIO2 = [
    "form.cells=0:3,0:3",
    "form.one_by_one=true",
    "form.start_volts=2.2",
    "form.stop_volts=4.0",
    "form.width=200e-9",
    "form.formed_above=30e-6",
    "form.virgin_below=5e-6",
    "form.short_above=3e-3",
    "form.set_volts=2.0",
    "form.reset_volts=2.0",
    "form.switch_width=200e-9",
    "form.attempts=8",
    "form.park_volts=1.6",
    "form.off_below=120e-6",
    "yield.cells=0:3,0:3",
    "yield.set_volts=2.0",
    "yield.reset_volts=2.2",
    "yield.width=200e-9",
    "yield.attempts=4",
    "yield.borders={open_below: 0.05e-6, unformed_below: 5e-6, hrs_max: 150e-6, lrs_min: 200e-6, "
    "lrs_max: 2e-3, short_above: 3e-3}",
    "iv.cells=0:1,0:2",
    "iv.cycles=2",
    "iv.positive=1.4",
    "iv.negative=-1.6",
    "iv.step=0.04",
    "iv.compliance=650e-6",
    "iv.reset_compliance=2e-3",
    "baseline.cells=0:2,0:2",
    "baseline.levels={count: 4, low: 150e-6, high: 450e-6}",
    "baseline.set={volts: [1.0, 2.0], gate: [0.5, 2.6]}",
    "baseline.reset={volts: [1.0, 2.2], gate: [5.0, 5.0]}",
    "baseline.set_starts=[1.0]",
    "baseline.set_steps=[0.05]",
    "baseline.reset_steps=[0.05]",
    "baseline.on_above=200e-6",
    "baseline.width=200e-9",
    "program.cells=0:3,0:3",
    "program.levels={count: 4, low: 150e-6, high: 450e-6}",
    "program.set={volts: [1.0, 2.0], gate: [0.5, 2.6]}",
    "program.reset={volts: [1.0, 2.2], gate: [5.0, 5.0]}",
    "program.width=200e-9",
]
FORMING = FormingPlan(
    one_by_one=True,
    start_volts=2.2,
    stop_volts=4.0,
    width=200e-9,
    formed_above=30e-6,
    virgin_below=5e-6,
    short_above=3e-3,
    set_volts=2.0,
    reset_volts=2.0,
    switch_width=200e-9,
    attempts=8,
    park_volts=1.6,
    off_below=120e-6,
)
PROMISED = (
    "formed_fraction",
    "v_form_mean",
    "disturbed_cells",
    "yield_fraction",
    "v_set_mean",
    "v_reset_mean",
    "r_on_median",
    "r_off_median",
    "ispp_pulses_per_cell",
    "programmed_fraction",
    "programmed_fraction_60s",
    "pulses_per_cell",
    "transactions",
    "slots",
    "chip_seconds",
    "seconds",
    "seed",
)


@pytest.mark.slow
def test_first_light_1t1r_runs_here_with_another_station_and_fewer_cells(tmp_path: Path) -> None:
    book = load_runbook("first_light_1t1r")
    assert {step.kind.name for step in book.steps} == {
        "read_array",
        "forming",
        "yield_map",
        "dc_sweep",
        "ispp",
        "read_verify",
    }
    outcome = run_runbook(
        "first_light_1t1r", station=STATION, out=tmp_path / "out", seed=SEED, overrides=ON_TIO2, quiet=True
    )
    assert outcome.directory is not None
    summary = json.loads((outcome.directory / "summary.json").read_text(encoding="utf-8"))
    print({key: summary[key] for key in PROMISED if key in summary})
    assert [key for key in PROMISED if key not in summary] == []
    assert summary["steps_done"] == 6
    assert summary["formed_fraction"] == 1.0
    assert summary["disturbed_cells"] == 0
    assert 2.2 < summary["v_form_mean"] < 3.5
    assert summary["yield_fraction"] > 0.5
    assert 0.7 < summary["v_set_mean"] < 1.4
    assert -1.6 < summary["v_reset_mean"] < -0.7
    assert summary["r_off_median"] > 3 * summary["r_on_median"]
    assert summary["programmed_fraction_60s"] > 0.7
    chip = mock_bench(find_bench(STATION)).chip
    truth = chip.truth()
    assert truth["formed"].sum() == 9
    stuck = int(truth["stuck"].sum())
    with probe_station() as (_, _, fresh):
        assert stuck == fresh.truth()["stuck"].sum(), "the runbook broke no cell"


# --- the same seed ----------------------------------------------------------------------------------------------------

SMALL = """---
title: A little of everything
station: mock_tio2
steps:
  - {id: virgin, read_array: {cells: "0:2,0:2"}}
  - id: form
    forming: {cells: "0:2,0:2", one_by_one: true, start_volts: 2.2, stop_volts: 4.0, width: 200e-9, formed_above: 30e-6,
              virgin_below: 5e-6, short_above: 3e-3, set_volts: 2.0, reset_volts: 2.0, switch_width: 200e-9,
              attempts: 8, park_volts: 1.6, off_below: 120e-6}
  - {id: iv, dc_sweep: {cells: "0,0", positive: 1.4, negative: -1.6, step: 0.05, cycles: 1, compliance: 650e-6,
                        reset_compliance: 2e-3}}
  - {id: pulses, pulse_response: {cells: "1,1", set_volts: 1.6, reset_volts: 1.7, pulses: 20, cycles: 1, read_every: 5}}
---
All kinds of actions, a few cells.
"""


def measure(station: str | Path, book: Runbook, folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, float]]]:
    """Carry out the steps without a report; return their datasets and metrics."""
    from qcodes.dataset import connect, load_by_id

    with open_bench(station, seed=5) as bench:
        run = Run(folder, title=book.title, sample="chip", seed=5, quiet=True, station=bench.station)
        metrics: list[dict[str, float]] = []
        for step in book.steps:
            with run.step(step.id, bench.array):
                metrics.append(step.kind.run(bench.array, step.plan, run).metrics())
    conn = connect(folder / "data.db")
    try:
        return [load_by_id(run_id, conn).get_parameter_data() for run_id in range(1, len(metrics) + 1)], metrics
    finally:
        conn.close()


@pytest.mark.slow
def test_the_same_seed_gives_identical_data_in_process_and_over_tcp(tmp_path: Path) -> None:
    path = tmp_path / "small.md"
    path.write_text(SMALL, encoding="utf-8")
    book = load_runbook(path)
    here, metrics = measure(STATION, book, tmp_path / "here")
    with serve(fresh_bench(find_bench(STATION), seed=5), port=0) as addresses:
        shipped = find_station("tcp_tio2")
        text = shipped.read_text(encoding="utf-8")
        for address, (host, port) in addresses.items():
            assert address in text
            text = text.replace(address, f"TCPIP0::{host}::{port}::SOCKET")
        chip = shipped.with_name("mock_tio2.chip.yaml")
        station = tmp_path / "tcp.station.yaml"
        station.write_text(text.replace("mock_tio2.chip.yaml", chip.as_posix()), encoding="utf-8")
        there, other_metrics = measure(station, book, tmp_path / "there")
    assert metrics[1]["formed_fraction"] == 1.0
    assert metrics[3]["potentiation_ratio"] > 1.1
    np.testing.assert_equal(other_metrics, metrics)
    for one, other in zip(here, there, strict=True):
        assert one.keys() == other.keys()
        for variable, columns in one.items():
            for name, values in columns.items():
                np.testing.assert_array_equal(values, other[variable][name], err_msg=f"{variable} {name}")


# --- by hand ----------------------------------------------------------------------------------------------------------


def by_hand(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(arguments)
    said = capsys.readouterr()
    assert all(" so far, " in line for line in said.err.splitlines()), "only the progress of a slow machine"
    return code, said.out


def test_one_cell_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    """A person forms, writes and sweeps the cell (0, 0); the state stays on the chip between the commands."""
    mock_bench(find_bench(STATION), seed=SEED)
    at = ("--station", STATION, "--cell", "0,0")
    code, virgin = by_hand(capsys, "read", *at)
    assert code == 0
    assert virgin.startswith("cell (0, 0) at 0.2 V: G = (0.4")
    assert " µS, R = 2." in virgin
    code, pulsed = by_hand(capsys, "pulse", *at, "--volts", "3.0", "--width", "200ns", "--count", "3")
    assert code == 0
    assert "delivered: 3 × 3.0000 V for 200.0 ns; 3 pulses in 3 slots" in pulsed
    _, formed = by_hand(capsys, "read", *at)
    assert float(formed.split("G = (")[1].split(" ")[0]) > 100.0
    code, swept = by_hand(
        capsys, "sweep", *at, "--positive", "1.4", "--negative=-1.8", "--step", "0.05", "--compliance", "650uA",
        "--reset-compliance", "3mA",
    )  # fmt: skip
    assert code == 0
    assert "cell (0, 0) loop 1: V_SET " in swept
    assert "V_RESET −1." in swept
    assert "not found" not in swept
    assert "gate" not in virgin + pulsed + formed + swept


def test_a_gate_is_refused_where_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["pulse", "--station", STATION, "--cell", "0,0", "--volts", "1", "--width", "200ns", "--gate", "1"])
    assert code == 2
    assert "has no gates: leave gate at 0 V" in capsys.readouterr().err


def test_the_station_checks_itself(capsys: pytest.CaptureFixture[str]) -> None:
    mock = mock_bench(find_bench(STATION), seed=SEED)
    before = mock.chip.truth()
    code, out = by_hand(capsys, "station", "check", STATION)
    assert code == 0
    for instrument in ("row_smu", "column_smu", "pulser", "matrix"):
        assert f"identity of {instrument}" in out
    assert "not ok" not in out
    assert out.count("not checked") == 1
    assert "known resistor: this bench has none" in out
    assert "gate" not in out
    np.testing.assert_array_equal(mock.chip.truth()["state"], before["state"])


def test_the_station_finds_a_line_that_a_welded_relay_grounds(capsys: pytest.CaptureFixture[str]) -> None:
    mock = mock_bench(find_bench(STATION), seed=SEED)
    assert mock.circuit is not None
    relays = mock.circuit.relays
    relays.welded.add((12, 3))
    relays.closed.add((12, 3))
    code, out = by_hand(capsys, "station", "check", STATION)
    assert code == 3
    assert "not ok" in out
    assert "open lines: a line leaks" in out
