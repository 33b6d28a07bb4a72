"""What a chip has borne, shown: ``xbarlab chip``, the maps and the section of a report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xbarlab.analysis.report.report import render_report
from xbarlab.analysis.report.wear import pulses_map, stress_map, wear_lines
from xbarlab.cli import main
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import PulseMap
from xbarlab.instruments.chip.wear_ledger import WearLedger
from xbarlab.instruments.chip.wear_store import WearStore, wear_file
from xbarlab.instruments.limits import Limits
from xbarlab.instruments.station.station import load_station
from xbarlab.runbooks.runner.chip_wear import bench_wear

STATION = """
instruments:
  board:
    type: xbarlab.instruments.board.crossbar_board.CrossbarBoard
    address: TCPIP0::127.0.0.1::5025::SOCKET
    init: {visalib: b.bench.yaml@xbarlab}
xbarlab: {chip: c.chip.yaml, limits: {pulses_total_max: 100}}
"""
CHIP = "id: W7\nrows: 128\ncols: 64\ncell: 1T1R\n"
MOCK = (
    "chip: {{profile: ta_hfo2_1t1r{state}}}\n"
    'instruments: [{{kind: array_board, address: "TCPIP0::127.0.0.1::5025::SOCKET"}}]\n'
)
LIMITS = Limits().narrowed({"pulses_total_max": 1000}, source="w12.chip.yaml: limits")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XBARLAB_WEAR", str(tmp_path / "ledger"))
    return tmp_path


@pytest.fixture
def station(folder: Path) -> Path:
    (folder / "s.station.yaml").write_text(STATION)
    (folder / "c.chip.yaml").write_text(CHIP)
    (folder / "b.bench.yaml").write_text(MOCK.format(state=", state: chip.npz"))
    return folder / "s.station.yaml"


def use(chip: str = "W12-C3", count: int = 900) -> None:
    with WearLedger(chip, (8, 4), store=WearStore(wear_file()), limits=LIMITS) as ledger:
        ledger.add(Block(0, 2, 0, 2), [[2.5, 2.0], [-1.5, 2.0]], [[count, 3], [4, 5]], LIMITS)


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(["chip", *arguments]) == code
    printed = capsys.readouterr()
    return printed.out if code == 0 else printed.err


def test_show_prints_the_table_and_draws_the_maps(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    use()
    told = said(capsys, "show", "W12-C3", "--out", str(folder / "maps" / "wear.png"))
    budget = "1,000 pulses a cell, 90.00% of it used by the cell that had most (the limit is set by w12.chip.yaml"
    for words in ("chip W12-C3", "8 × 4 cells", "4 of 32", "908", "2.50 V", "1.50 V", "900", budget):
        assert words in told
    for name in ("wear.png", "wear_stress.png"):
        assert (folder / "maps" / name).read_bytes().startswith(b"\x89PNG")


def test_list_names_every_chip(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no chip has been used yet" in said(capsys, "list")
    use()
    use("W9", 3)
    lines = said(capsys, "list").splitlines()
    assert lines[0].split()[:3] == ["chip", "size", "pulses"]
    assert {line.split()[0] for line in lines[1:]} == {"W12-C3", "W9"}


def test_who_only_reads_begins_no_account(folder: Path, station: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with load_station(station) as bench:
        bench.array.read(Block(3, 1, 5, 1))
    assert "no chip has been used yet" in said(capsys, "list")
    with load_station(station) as bench:
        bench.array.pulse(PulseMap(Block(3, 1, 5, 1), 1.0, 1e-6, 1.0, 7))
    (_, line) = said(capsys, "list").splitlines()
    assert line.startswith("W7 (simulated, ")
    assert line.split()[-5:-2] == ["8", "7", "7"] or " 7 " in line


def test_an_unknown_chip_is_one_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no wear ledger" in said(capsys, "show", "W12-C3", code=2)
    use()
    assert "unknown chip 'W12-C4': choose from W12-C3; did you mean" in said(capsys, "show", "W12-C4", code=2)
    assert "ends in .png" in said(capsys, "show", "W12-C3", "--out", "x.pdf", code=2)


def test_a_station_s_chip_and_the_section_of_its_report(
    folder: Path, station: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "nothing is known of the chip of" in said(capsys, "show", str(station), code=2)
    with load_station(station) as bench:
        bench.array.pulse(PulseMap(Block(3, 1, 5, 1), 1.0, 1e-6, 1.0, 85))
    section = bench_wear(bench)
    assert section.text.startswith("cell (3, 5) of chip W7 (simulated")
    html = render_report(title="t", summary={}, sections=[section])
    for words in ("Wear", "85.00% of it used", "xbarlab.limits", "Pulses every cell has had"):
        assert words in html
    told = said(capsys, "show", str(station))
    assert "chip W7 (simulated, " in told
    assert "100 pulses a cell, 85.00%" in told
    assert "chip W7 (simulated, " in said(capsys, "show", "W7"), "the only one of that name"


def test_a_mock_chip_that_lives_nowhere_says_so(
    folder: Path, station: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "b.bench.yaml").write_text(MOCK.format(state=""))
    use()
    assert "is a fresh one each time, nothing is kept" in said(capsys, "show", str(station), code=2)


def test_figures_of_a_chip_that_had_nothing() -> None:
    assert pulses_map(np.zeros((4, 3))).axes
    assert stress_map(np.zeros((4, 3)), np.zeros((4, 3))).axes
    lines = dict(wear_lines(WearLedger("c", (4, 3)).summary()))
    assert lines["cells used"] == "0 of 12"
    assert "wear budget" not in lines
