"""Single devices at one simulated source-measure unit: who connects them; runs, faults, and how they end."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xbarlab import (
    Block,
    EndurancePlan,
    ReadNoisePlan,
    RetentionPlan,
    endurance,
    open_bench,
    read_noise,
    retention,
)
from xbarlab.cli import main
from xbarlab.common.errors import RefusedError, XbarlabError
from xbarlab.instruments.abilities import Samples, Sweeps
from xbarlab.instruments.capabilities import PulseMap
from xbarlab.instruments.probe.single.hand import Request
from xbarlab.mockhw.bench.bench import MockBench, bench_for, forget_bench
from xbarlab.mockhw.faults import Fault
from xbarlab.protocols.keeping.journal import read_journal
from xbarlab.runbooks.runner.schema import list_runbooks
from xbarlab.runbooks.stations import find_bench

BOTH = ["mock_single_2400", "mock_single_2450"]
ZERO = 3e-3  # a 2400 set to 0 V on its 20 V range may be off by 2.4 mV
CELL = Block(0, 1, 0, 1)
LOOP = np.concatenate([np.linspace(0.0, 0.8, 9), np.linspace(0.8, -0.8, 17)])


def nobody(file: object) -> None:
    """Connect nothing: nobody is there."""


def mock_of(station: str) -> MockBench:
    return bench_for(find_bench(station))


@pytest.fixture(autouse=True)
def fresh_benches() -> Iterator[None]:
    yield
    for station in BOTH:
        forget_bench(find_bench(station))


@pytest.fixture(params=BOTH)
def opened(request: pytest.FixtureRequest) -> Iterator[tuple[Any, MockBench]]:
    bench = open_bench(request.param, seed=1)
    yield bench, mock_of(request.param)
    bench.close()


def assert_safe(mock: MockBench) -> None:
    (smu,) = mock.instruments.values()
    terminal: Any = smu.terminal  # pyright: ignore[reportAttributeAccessIssue]
    assert not smu.output  # pyright: ignore[reportAttributeAccessIssue]
    assert abs(terminal.volts) <= ZERO
    assert not smu.busy
    assert mock.circuit is not None
    assert mock.circuit.relays.hot == {}, "probes were moved under voltage"


def test_what_is_read_is_what_the_chip_is(opened: tuple[Any, MockBench]) -> None:
    bench, mock = opened
    with bench:
        virgin = bench.array.read(bench.array.spec.whole, average=4)
        chip: Any = mock.chip
        np.testing.assert_allclose(virgin.conductance, chip.truth()["conductance"], atol=4 * virgin.stderr.max())
        chip.assume_formed(0.5)
        (formed,) = bench.array.read(CELL, average=4).conductance.ravel()
        # 2 Ω of contacts, 0.5 mV of source, the noise of the cell
        assert formed == pytest.approx(chip.truth()["conductance"][0, 0], rel=0.01)
    assert_safe(mock)


def test_pulses_of_milliseconds_move_the_cell_and_are_as_long_as_the_instrument_says(
    opened: tuple[Any, MockBench],
) -> None:
    bench, mock = opened
    with bench:
        chip: Any = mock.chip
        chip.assume_formed(0.2)
        before = bench.array.read(CELL).conductance[0, 0]
        start = mock.clock.now
        given = bench.array.pulse(PulseMap(CELL, volts=1.2, width=5e-3, count=3))
        took = mock.clock.now - start
        assert bench.array.read(CELL).conductance[0, 0] > 2.0 * before
        assert given.width[0, 0] == pytest.approx(5e-3, rel=0.1)
        assert took < 0.3
        assert bench.wear.maps()["set_pulses"][0, 0] == 3
        bench.array.pulse(PulseMap(CELL, volts=-1.5, width=5e-3, count=3))
        assert bench.array.read(CELL).conductance[0, 0] < 1.5 * before
    assert_safe(mock)


def test_endurance_retention_and_read_noise_run_there(opened: tuple[Any, MockBench]) -> None:
    bench, mock = opened
    with bench:
        chip: Any = mock.chip
        chip.assume_formed(0.0)
        cycled = endurance(
            bench.array, EndurancePlan(cells="0,0", cycles=20, set_volts=1.3, reset_volts=1.7, width="5 ms")
        )
        assert cycled.metrics()["endurance_window_last"] > 2.0
        kept = retention(bench.array, RetentionPlan(cells="0,0", prepare="found", last=1000.0, read_average=4))
        assert np.isfinite(kept.metrics()["retention_drift_nu"])
        noise = read_noise(bench.array, ReadNoisePlan(cells="0,0", rate=100.0, seconds=20.0, floor_seconds=3.0))
        assert 1e-5 < noise.metrics()["read_noise_rel"] < 0.1
    assert_safe(mock)


# -- who is asked ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["2400", "2450"])
def test_the_person_at_the_terminal_is_asked_while_nothing_is_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, unit: str
) -> None:
    for kind in ("bench", "chip", "station"):
        shipped = find_bench("mock_single_2400").with_name(f"mock_single_2400.{kind}.yaml")
        text = shipped.read_text(encoding="utf-8").replace("keithley_2400", f"keithley_{unit}")
        text = text.replace("type: Keithley2400", f"type: Keithley{unit}")
        (tmp_path / shipped.name).write_text(text, encoding="utf-8")

    class Person(io.StringIO):
        """Puts the probes where they are wanted; looks at the instrument first."""

        seen: list[tuple[bool, float]]

        def isatty(self) -> bool:
            return True

        def readline(self, size: int = -1) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
            (smu,) = mock.instruments.values()
            terminal: Any = smu.terminal  # pyright: ignore[reportAttributeAccessIssue]
            self.seen.append((terminal.on, terminal.volts))
            assert mock.hand is not None
            mock.hand.connect(said.getvalue().rpartition("on device ")[2].partition(" ")[0])
            return "\n"

    person, said = Person(), Person()
    person.seen = []
    bench = open_bench(tmp_path / "mock_single_2400.station.yaml", seed=1)
    mock = bench_for(tmp_path / "mock_single_2400.bench.yaml")
    with bench:
        array: Any = bench.array
        array.offer_hand(None)
        monkeypatch.setattr(sys, "stdin", person)
        monkeypatch.setattr(sys, "stderr", said)
        array.read(array.spec.whole)
    assert said.getvalue().count("Press return") == 3
    assert person.seen == [(False, 0.0)] * 3, "0 V, and the relay of the output open"
    assert_safe(mock)
    forget_bench(tmp_path / "mock_single_2400.bench.yaml")


def test_without_a_terminal_the_run_is_refused_in_one_sentence_that_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setattr("xbarlab.runbooks.stations._mock_hand", nobody)
    out = tmp_path / "run"
    code = main(["run", "first_cell", "--station", "mock_single_2400", "--out", str(out), "--quiet"])
    said = capsys.readouterr().err
    assert code == 2
    assert "no terminal to ask at" in said
    assert "--hand COMMAND" in said
    assert_safe(mock_of("mock_single_2400"))


def test_clumsy_probes_are_noticed_and_asked_for_again() -> None:
    bench = open_bench("mock_single_2400", seed=1)
    mock = mock_of("mock_single_2400")
    assert mock.hand is not None
    mock.hand.script = ["open", "short", "right"]
    troubles: list[str] = []

    def connect(request: Request) -> None:
        troubles.append(request.trouble)
        assert mock.hand is not None
        mock.hand.connect(request.device)

    with bench:
        array: Any = bench.array
        array.hand = connect
        array.read(CELL)
    assert [trouble.partition(":")[0] for trouble in troubles] == [
        "",
        "the contact of device A1 is open",
        "the contact of device A1 is a short",
    ]
    assert_safe(mock)


# -- runs that are cut -------------------------------------------------------------------------------------------------


def test_a_run_that_was_cut_asks_for_the_device_it_was_at(tmp_path: Path) -> None:
    """Sweeps of three devices, cut in those of the second: the first is not asked for again, wear goes on."""
    book = tmp_path / "loops.md"
    book.write_text(
        "---\ntitle: Loops\nstation: mock_single_2400\nsteps:\n"
        '  - {id: iv, dc_sweep: {cells: "0:3,0", cycles: 2, step: 0.1, positive: 0.3, negative: -0.3}}\n---\nx\n',
        encoding="utf-8",
    )
    out = tmp_path / "run"
    mock = mock_of("mock_single_2400")
    mock.script_faults(
        next(iter(mock.instruments)), [Fault(kind="drop_connection", header="INIT", after=15, where="after", times=99)]
    )
    assert main(["run", str(book), "--out", str(out), "--quiet"]) == 3
    assert mock.hand is not None
    assert mock.hand.asked == ["A1", "A2"]
    assert_safe(mock)
    mock.script_faults(next(iter(mock.instruments)), [])
    assert main(["resume", str(out), "--quiet"]) == 0
    assert mock.hand.asked == ["A1", "A2", "A2", "A3"]
    units = [entry["unit"] for entry in read_journal(out / "journal.jsonl") if entry["event"] == "unit_done"]
    assert len(units) == len(set(units)) == 6
    assert_safe(mock)


def test_ctrl_c_while_a_list_runs(opened: tuple[Any, MockBench]) -> None:
    bench, mock = opened
    with pytest.raises(KeyboardInterrupt), bench:  # noqa: PT012
        array: Any = bench.array
        array.read(CELL)

        def interrupt(seconds: float) -> None:
            array.smu.advance_simulation(0.3 * seconds)
            (smu,) = mock.instruments.values()
            terminal: Any = smu.terminal  # pyright: ignore[reportAttributeAccessIssue]
            if abs(terminal.volts) > 0.1:
                raise KeyboardInterrupt

        array.clock.wait = interrupt
        array.ability(Sweeps).sweep(0, 0, LOOP, compliance=1e-3, dwell=0.5)
    assert_safe(mock)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="no_reply", header="TRACe:DATA?", where="after"),
        Fault(kind="no_reply", header="INIT"),
        Fault(kind="garbled_reply", header="TRACe:DATA?"),
        Fault(kind="error", header="INIT", code=803),
        Fault(kind="drop_connection", header="TRACe:DATA?", where="after"),
        Fault(kind="overflow", header="INIT"),
        Fault(kind="compliance", header="INIT"),
        Fault(kind="brown_out", header="INIT"),
        Fault(kind="full_error_queue", header="TRACe:CLEar"),
    ],
    ids=lambda fault: f"{fault.kind} at {fault.header} {fault.where}",
)
@pytest.mark.parametrize("station", BOTH)
def test_a_fault_is_got_over_or_said_and_everything_ends_safe(station: str, fault: Fault) -> None:
    bench, mock = open_bench(station, seed=1), mock_of(station)
    said: list[str] = []
    try:
        with bench:
            array: Any = bench.array
            array.read(CELL)
            mock.script_faults(next(iter(mock.instruments)), [fault])
            array.read(CELL)
            array.ability(Sweeps).sweep(0, 0, LOOP, compliance=1e-3, dwell=1e-2)
            array.pulse(PulseMap(CELL, volts=0.3, width=5e-3, count=2))
            array.ability(Samples).sample(0, 0, 0.2, rate=50.0, seconds=1.0)
    except XbarlabError as error:
        said.append(str(error))
    assert all("smu" in sentence and "\n" not in sentence for sentence in said)
    assert mock.log.faults(), "the fault never struck"
    assert_safe(mock)


def test_a_unit_that_does_not_let_go_of_a_device_ends_the_action_and_nobody_is_asked() -> None:
    bench, mock = open_bench("mock_single_2400", seed=1), mock_of("mock_single_2400")
    with pytest.raises(XbarlabError, match="smu at"), bench:  # noqa: PT012
        mock.script_faults(
            next(iter(mock.instruments)), [Fault(kind="no_reply", header="OUTPut:SMODe", where="before", times=9)]
        )
        bench.array.read(CELL)
    assert mock.hand is not None
    assert mock.hand.asked == []
    assert_safe(mock)


def test_stress_by_hand_is_counted_at_the_device_that_is_connected(opened: tuple[Any, MockBench]) -> None:
    bench, mock = opened
    with bench:
        array: Any = bench.array
        array.read(CELL)
        array.smu.on(0.0, compliance=1e-4)
        array.smu.level(0.5)
        array.smu.off()
        assert bench.wear.maps()["set_pulses"].ravel()[0] == 1
        array.smu.sweep([0.0, 0.3, -0.3, 0.0], compliance=1e-4, dwell=0.0)
        assert bench.wear.maps()["sweeps"].ravel()[0] == 1
        with pytest.raises(RefusedError, match="above the limit"):
            array.smu.on(4.5, compliance=1e-4)
    assert_safe(mock)


def test_before_anybody_has_said_which_device_stress_is_unattributed() -> None:
    bench = open_bench("mock_single_2400", seed=1)
    with bench:
        array: Any = bench.array
        array.smu.on(0.0, compliance=1e-4)
        array.smu.level(0.5)
        array.smu.off()
        assert bench.wear.summary()["unattributed"] == 1
        assert bench.wear.summary()["cells_used"] == 0


def test_by_hand_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read", "--station", "mock_single_2400", "--cell", "1,0", "--seed", "1"]) == 0
    assert "S" in capsys.readouterr().out
    pulse = ["pulse", "--station", "mock_single_2400", "--cell", "1,0", "--seed", "1", "--volts", "1.0", "--width"]
    assert main([*pulse, "200ns"]) == 2
    assert "would need a pulse generator" in capsys.readouterr().err
    assert main([*pulse, "5ms"]) == 0


@pytest.mark.parametrize("station", BOTH)
def test_a_runbook_for_a_crossbar_is_refused_and_the_one_that_runs_is_named(
    station: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["run", "characterise_tio2", "--station", station, "--preset", "quick", "--out", str(tmp_path)]) == 2
    assert "single devices, no crossbar; the runbook for those is first_cell" in " ".join(
        capsys.readouterr().err.split()
    )
    assert "first_cell" in list_runbooks()


def test_the_schemas_know_it() -> None:
    from xbarlab.runbooks.commands.schemas import schema

    assert "ProbedDevices" in "".join(schema("station"))
    assert "devices" in json.loads("".join(schema("chip")))["properties"]
    assert "hand" in json.loads("".join(schema("bench")))["properties"]
