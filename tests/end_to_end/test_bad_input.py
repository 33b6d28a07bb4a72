"""Bad input through the whole stack, on the mock bench: one sentence, the right exit code, an untouched chip."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from xbarlab import cli
from xbarlab.instruments.station.station import Bench
from xbarlab.mockhw.bench.bench import MockBench, bench_for, forget_bench
from xbarlab.runbooks import stations

SHIPPED = Path(stations.__file__).parent
NAME = "mock_ta_hfo2"

RUNBOOK = """---
title: Small
station: bench.station.yaml
steps:
  - {id: look, read_array: {cells: "0:2,0:2"}}
  - {id: iv, dc_sweep: {cells: "0:1,0:1", cycles: 1}}
---
"""


class Lab:
    """A folder with a station, a chip, a bench and a runbook of one's own to spoil."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.opened = folder, 0
        self._capsys = capsys
        for kind in ("station", "bench", "chip"):
            text = (SHIPPED / f"{NAME}.{kind}.yaml").read_text(encoding="utf-8")
            (folder / f"bench.{kind}.yaml").write_text(text.replace(f"{NAME}.", "bench."), encoding="utf-8")
        (folder / "small.md").write_text(RUNBOOK, encoding="utf-8")

    @property
    def station(self) -> str:
        return str(self.folder / "bench.station.yaml")

    @property
    def mock(self) -> MockBench:
        return bench_for(self.folder / "bench.bench.yaml")

    def spoil(self, kind: str, old: str, new: str) -> None:
        path = self.folder / (f"bench.{kind}.yaml" if kind != "runbook" else "small.md")
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run the CLI; return its exit code and its one sentence."""
        code = cli.main(arguments)
        lines = self._capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1, lines
        assert lines[0].startswith("xbarlab: ")
        return code, lines[0]

    def run_small(self, *arguments: str) -> tuple[int, str]:
        return self.run("run", str(self.folder / "small.md"), "--out", str(self.folder / "out"), "--quiet", *arguments)


@pytest.fixture
def lab(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Lab:
    made = Lab(tmp_path, capsys)
    really_open = Bench.open

    def counted(self: Bench) -> Bench:
        made.opened += 1
        return really_open(self)

    monkeypatch.setattr(Bench, "open", counted)
    monkeypatch.chdir(tmp_path)
    return made


@pytest.fixture(autouse=True)
def _no_bench_left(tmp_path: Path):
    yield
    forget_bench(tmp_path / "bench.bench.yaml")


@pytest.mark.slow
def test_the_lab_works_when_nothing_is_spoilt(lab: Lab) -> None:
    assert cli.main(["run", str(lab.folder / "small.md"), "--out", str(lab.folder / "out"), "--quiet"]) == 0
    assert lab.opened == 1
    assert (lab.folder / "out" / "summary.json").is_file()


@pytest.mark.parametrize(
    ("kind", "old", "new", "says"),
    [
        ("runbook", "read_array", "read_aray", ["small.md:5", "unknown step 'read_aray'", "did you mean 'read_array'"]),
        ("runbook", "cycles: 1", "cycels: 1", ["small.md:6", "unknown parameter 'cycels'", "did you mean 'cycles'"]),
        ("runbook", "cycles: 1", "cycles: .inf", ["small.md:6", "'cycles' = inf"]),
        ("runbook", "cycles: 1", "dwell: -1e-3", ["small.md:6", "'dwell' = -0.001", "greater than 0"]),
        ("runbook", "bench.station", "bech.station", ["no station file", "mock_ta_hfo2"]),
        ("station", "array: board", "aray: board", ["unknown key 'aray'", "array, chip, clock, limits"]),
        ("station", "array: board", "array: borad", ["unknown instrument 'borad'", "did you mean 'board'"]),
        ("station", "init:", "int:", ["unknown key 'int'", "did you mean 'init'"]),
        ("station", "clock: auto", "clock: fast", ["unknown clock 'fast'", "auto, simulated, wall"]),
        (
            "station",
            "bench.bench.yaml",
            "bech.bench.yaml",
            ["unknown bench file 'bech.bench.yaml'", "bench.bench.yaml"],
        ),
        ("station", "bench.chip.yaml", "chip.chip.yaml", ["unknown chip file 'chip.chip.yaml'", "bench.chip.yaml"]),
        ("station", "clock: auto", "limits: {set_volts: 2}", ["unknown limit 'set_volts'", "set_volts_max"]),
        ("station", "clock: auto", "limits: {set_volts_max: 9}", ["set_volts_max = 9 is wider", "never widen"]),
        ("station", "clock: auto", "limits: {gate_max: .nan}", ["gate_max is nan", "finite"]),
        ("chip", "polarity:", "polarty:", ["polarty", "polarity"]),
        ("chip", "width_max: 1.0e-3", "width_min: 1e-9", ["width_min = 1e-09 is wider", "at or above"]),
        ("chip", "bad_cells: []", "bad_cells: [[128, 0]]", ["(128, 0) is outside", "128 × 64"]),
        ("bench", "ta_hfo2_1t1r", "ta_hfo3_1t1r", ["ta_hfo3_1t1r", "hfo2_1t1r", "ta_hfo2_1t1r"]),
        ("bench", "seed: 0", "sead: 0", ["unknown key 'chip.sead'", "did you mean 'seed'"]),
        ("bench", "kind: array_board", "kind: array_bord", ["'array_bord'", "array_board"]),
        (
            "bench",
            "faults:",
            '  - {kind: array_board, address: "TCPIP::127.0.0.1::5025::SOCKET"}\nfaults:',
            ["two instruments at address TCPIP0::127.0.0.1::5025::SOCKET"],
        ),
    ],
)
def test_mistakes_in_files_are_found_before_a_bench_is_opened(
    lab: Lab, kind: str, old: str, new: str, says: list[str]
) -> None:
    lab.spoil(kind, old, new)
    code, sentence = lab.run_small()
    assert code == 2, sentence
    for words in says:
        assert words in sentence
    assert lab.opened == 0
    assert not (lab.folder / "out").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("iv.cells=0:129,0:1", ["step 'iv' (dc_sweep)", "rows 0:129 are outside", "rows 0:128"]),
        ("look.cells=0,64", ["step 'look' (read_array)", "columns 64:65 are outside", "columns 0:64"]),
        ("iv.positive=6", ["6 V at dc_sweep.volts", "limit 3.5 V (set_volts_max)", "choose"]),
        ("iv.negative=-6", ["-6 V", "reset_volts_max"]),
        ("iv.compliance=0.1", ["current 0.1 A", "limit 0.0007 A (current_max)"]),
        ("iv.set_gate=6", ["gate 6 V", "gate_max"]),
        ("look.volts=0.7", ["read_volts 0.7 V", "limit 0.5 V", "read_volts_max"]),
    ],
)
def test_values_beyond_the_array_or_its_limits_never_act(lab: Lab, change: str, says: list[str]) -> None:
    code, sentence = lab.run_small("--set", change)
    assert code == 2, sentence
    for words in says:
        assert words in sentence
    assert not [what for what in lab.mock.log.texts() if what.startswith("start")]
    assert lab.mock.clock.now < 1e-3  # a read would have moved the simulated clock
    assert not (lab.folder / "out").exists()


def test_a_limit_of_the_station_file_holds_and_is_named(lab: Lab) -> None:
    lab.spoil("station", "clock: auto", "limits: {set_volts_max: 1.2}")
    code, sentence = lab.run_small()
    assert code == 2
    assert "1.5 V" in sentence
    assert "limit 1.2 V (set_volts_max)" in sentence


def test_an_ability_the_board_lacks_is_refused_with_what_it_would_need(lab: Lab) -> None:
    lab.spoil("bench", "serial: MOCK-0001", "serial: MOCK-0001, lacks: [sweep]")
    code, sentence = lab.run_small()
    assert code == 2
    for words in ("step 'iv'", "does not support sweep", "it would need", "it supports"):
        assert words in sentence
    assert not (lab.folder / "out").exists()


def test_an_output_folder_with_data_is_refused_and_left_alone(lab: Lab) -> None:
    (lab.folder / "out").mkdir()
    (lab.folder / "out" / "summary.json").write_text("{}", encoding="utf-8")
    code, sentence = lab.run_small()
    assert code == 2
    assert "already holds data" in sentence
    assert lab.opened == 0
    assert [path.name for path in (lab.folder / "out").iterdir()] == ["summary.json"]


def test_an_instrument_that_does_not_answer_is_exit_3_with_its_address(lab: Lab) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lab.spoil("station", "visalib: bench.bench.yaml@xbarlab", 'visalib: "@py"')
    lab.spoil("station", "::5025::", f"::{port}::")
    code, sentence = lab.run_small()
    assert code == 3, sentence
    assert f"127.0.0.1::{port}::SOCKET" in sentence
    assert not (lab.folder / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--volts", "6", "--gate", "1"], ["6 V", "limit 3.5 V", "set_volts_max"]),
        (["--volts", "nan", "--gate", "1"], ["--volts nan", "finite"]),
        (["--volts", "1", "--gate", "7"], ["7 V", "gate_max"]),
        (["--volts", "1", "--gate", "1", "--width=-1us"], ["-1e-06 s", "width_min"]),
        (["--volts", "1", "--gate", "1", "--count", "2000000000"], ["2e+09", "limit 1e+09 pulses", "count_max"]),
        (["--volts", "1"], ["--gate is missing", "1T1R"]),
        (["--volts", "1", "--gate", "1", "--cell", "0,64"], ["columns 64:65 are outside"]),
    ],
)
def test_a_pulse_by_hand_beyond_the_limits_never_acts(lab: Lab, arguments: list[str], says: list[str]) -> None:
    code, sentence = lab.run("pulse", "--station", lab.station, "--cell", "0,0", "--width", "1us", *arguments)
    assert code == 2, sentence
    for words in says:
        assert words in sentence
    assert not [what for what in lab.mock.log.texts() if what.startswith("start")]
    assert lab.mock.clock.now < 1e-3


def test_serving_an_unknown_bench_names_the_shipped_ones(lab: Lab) -> None:
    code, sentence = lab.run("mock", "serve", "mock_ta_hfo")
    assert code == 2
    assert "unknown bench 'mock_ta_hfo'" in sentence
    assert "did you mean 'mock_ta_hfo2'" in sentence


def test_serving_at_a_taken_port_says_so(lab: Lab) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, sentence = lab.run("mock", "serve", NAME, "--port", str(taken.getsockname()[1]))
    assert code == 2
    assert "choose another port" in sentence
    forget_bench(SHIPPED / f"{NAME}.bench.yaml")


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ('{kind: drop_connection, header: "SWEep:RUN"}', ["127.0.0.1::5025::SOCKET"]),
        ('{kind: error, header: "SWEep:RUN", code: -240}', ["-240"]),
    ],
)
def test_a_fault_in_the_second_step_is_one_sentence_and_keeps_the_first(lab: Lab, fault: str, says: list[str]) -> None:
    lab.spoil("bench", "faults: []", f"faults:\n  - {fault}")
    code, sentence = lab.run_small()
    assert code == 3, sentence
    for words in says:
        assert words in sentence
    summary = json.loads((lab.folder / "out" / "summary.json").read_text(encoding="utf-8"))
    assert (summary["steps_done"], summary["steps_planned"]) == (1, 2)
    assert "g_read_median" in summary
    assert (lab.folder / "out" / "report.html").is_file()
