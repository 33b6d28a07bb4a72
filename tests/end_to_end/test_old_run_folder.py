"""A run folder that commit 0b7d48c left behind, killed over TCP: it opens, exports and goes on where its chip lives."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path

import pytest

from xbarlab.common.errors import RefusedError
from xbarlab.mockhw.bench.bench import bench_for, forget_bench
from xbarlab.mockhw.front_ends.tcp_host import serve
from xbarlab.protocols.keeping.joined import joined
from xbarlab.protocols.keeping.journal import read_journal
from xbarlab.runbooks.commands.export import export_run
from xbarlab.runbooks.runner.resume import resume_run
from xbarlab.runbooks.runner.run_card import read_card

KEPT = Path(__file__).parents[1] / "data" / "run_0b7d48c" / "run.zip"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    with zipfile.ZipFile(KEPT) as archive:
        archive.extractall(tmp_path)
    return tmp_path


def test_an_old_run_folder_opens_and_exports(old: Path) -> None:
    entries = read_journal(old / "run" / "journal.jsonl")
    assert "format" not in entries[0], "it is of the first format"
    assert sum(entry["event"] == "unit_done" for entry in entries) == 9
    assert read_card(old / "run").format == 1
    assert len(joined(old / "run", "virgin")) == 4
    assert [path.suffix for path in export_run(old / "run", "csv")] == [".csv"] * 4


@pytest.mark.slow
def test_an_old_run_goes_on_where_its_chip_lives(old: Path) -> None:
    bench, station = old / "own.bench.yaml", old / "own.station.yaml"
    text = station.read_text(encoding="utf-8")
    try:
        with serve(bench_for(bench), port=0) as addresses:
            for address, (host, port) in addresses.items():
                text = text.replace(f"::{int(address.split('::')[2]) + 10400}::", f"::{port}::")
                assert f"{host}::{port}::SOCKET" in text
            text = text.replace("instruments.keysight", "instruments.drivers.keysight")
            text = text.replace("instruments.keithley", "instruments.drivers.keithley")
            text = text.replace("instruments.probed_array", "instruments.probe.probed_array")
            station.write_text(text, encoding="utf-8")
            outcome = resume_run(old / "run", station=station, quiet=True)
    finally:
        forget_bench(bench)
    assert outcome.summary["steps_done"] == 4
    assert outcome.summary["formed_fraction"] == 1.0
    entries = read_journal(old / "run" / "journal.jsonl")
    assert entries[-1]["event"] == "run_done"
    units = Counter((entry["step"], entry["unit"]) for entry in entries if entry["event"] == "unit_done")
    assert set(units.values()) == {1}
    numbered = next(entry for entry in entries if entry["event"] == "run_resumed")
    assert numbered["format"] == 2
    assert numbered["n"] == entries.index(numbered) + 1


def test_changed_parameters_of_an_old_run_are_noticed(old: Path) -> None:
    card = old / "run" / "run.json"
    card.write_text(card.read_text(encoding="utf-8").replace('"set_volts": 1.6', '"set_volts": 1.7'), encoding="utf-8")
    with pytest.raises(RefusedError, match=r"run\.json was changed.*pulses\.set_volts was 1\.6 and is 1\.7"):
        resume_run(old / "run", station=old / "own.station.yaml", quiet=True)
