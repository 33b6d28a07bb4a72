"""Files say their format: none is 1, a newer one is refused by name with the remedy."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xbarlab.common.errors import RefusedError
from xbarlab.instruments.block import Block
from xbarlab.instruments.chip.chip_file import load_chip
from xbarlab.instruments.chip.wear_ledger import WearLedger
from xbarlab.instruments.chip.wear_store import FORMAT, WearStore
from xbarlab.instruments.limits import Limits
from xbarlab.instruments.station.station_file import read_station
from xbarlab.mockhw.bench.file import BenchFileError, load_bench_file
from xbarlab.mockhw.chip.profile import ProfileError, load_profile
from xbarlab.runbooks.runner.schema import load_runbook

ROOT = Path(__file__).parents[3]
STATIONS = ROOT / "runbooks" / "stations"
READERS: dict[str, tuple[Callable[[Path], Any], Path]] = {
    "station file": (read_station, STATIONS / "mock_ta_hfo2.station.yaml"),
    "chip file": (load_chip, STATIONS / "mock_ta_hfo2.chip.yaml"),
    "bench file": (load_bench_file, STATIONS / "mock_ta_hfo2.bench.yaml"),
    "profile": (load_profile, ROOT / "mockhw" / "profiles" / "ta_hfo2_1t1r.yaml"),
}
REFUSALS = (RefusedError, BenchFileError, ProfileError)


def written(folder: Path, kind: str, line: str) -> Path:
    for beside in STATIONS.glob("mock_ta_hfo2.*.yaml"):
        (folder / beside.name).write_bytes(beside.read_bytes())
    path = folder / READERS[kind][1].name
    path.write_text(line + READERS[kind][1].read_text(encoding="utf-8"), encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", READERS)
def test_a_file_without_a_format_is_one_of_format_1(tmp_path: Path, kind: str) -> None:
    reader, _ = READERS[kind]
    without = reader(written(tmp_path, kind, ""))
    said = reader(written(tmp_path, kind, "format: 1\n"))
    if kind != "station file":
        assert said == without


@pytest.mark.parametrize("kind", READERS)
def test_a_newer_format_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    with pytest.raises(REFUSALS, match=rf"a {kind} of format 7: this xbarlab reads format 1; use the xbarlab it was"):
        READERS[kind][0](written(tmp_path, kind, "format: 7\nkeys_of_the_future: {}\n"))


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("value", ["0", "-1", "one", "1.0", "true", "[1]", "null"])
def test_a_format_is_a_whole_number(tmp_path: Path, kind: str, value: str) -> None:
    with pytest.raises(REFUSALS, match=r"format is .*: a whole number from 1 on"):
        READERS[kind][0](written(tmp_path, kind, f"format: {value}\n"))


def test_shipped_runbooks_have_a_format_that_is_read() -> None:
    assert load_runbook("first_light_1t1r").steps


# -- the wear ledger ---------------------------------------------------------------------------------------------------

OLD = """
CREATE TABLE chips (
    id TEXT PRIMARY KEY, rows INTEGER NOT NULL, cols INTEGER NOT NULL, first_use TEXT, last_use TEXT,
    reserved REAL NOT NULL DEFAULT 0, uncertain REAL NOT NULL DEFAULT 0, crashes INTEGER NOT NULL DEFAULT 0,
    budget REAL, budget_source TEXT
);
CREATE TABLE cells (
    chip TEXT NOT NULL REFERENCES chips (id), row INTEGER NOT NULL, col INTEGER NOT NULL,
    set_pulses REAL NOT NULL DEFAULT 0, reset_pulses REAL NOT NULL DEFAULT 0, alternations REAL NOT NULL DEFAULT 0,
    sweeps REAL NOT NULL DEFAULT 0, set_stress REAL NOT NULL DEFAULT 0, reset_stress REAL NOT NULL DEFAULT 0,
    last_sign REAL NOT NULL DEFAULT 0, PRIMARY KEY (chip, row, col)
) WITHOUT ROWID;
INSERT INTO chips (id, rows, cols, uncertain) VALUES ('W12', 4, 3, 2.0);
INSERT INTO cells (chip, row, col, set_pulses, set_stress) VALUES ('W12', 1, 2, 17.0, 2.5);
"""


def test_a_ledger_of_format_1_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "wear.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(OLD)
    connection.close()
    with WearLedger("W12", (4, 3), store=WearStore(path), limits=Limits(), birth="b1") as ledger:
        assert ledger.maps()["pulses"][1, 2] == 17.0
        ledger.add(Block(1, 1, 2, 1), 1.0, 3, Limits())
        ledger.note_run("run-1", "session", "folder")
    store = WearStore(path)
    (account,) = store.accounts()
    assert (account.chip, account.birth, account.uncertain) == ("W12", "b1", 2.0)
    assert store.planes(account)["set_pulses"][1, 2] == 20.0
    assert store.run_session("W12", "run-1") is not None
    store.close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (FORMAT,)
    connection.close()


def test_a_ledger_of_a_newer_format_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "wear.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(f"{OLD}; PRAGMA user_version = 9;")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(RefusedError, match=r"wear ledger .* has format 9: this xbarlab reads formats 1 to 2; use the"):
        WearStore(path)
    assert path.read_bytes()[100:] == before[100:]  # behind the header, where SQLite keeps its own counters


def test_another_chip_under_the_same_id_is_told(tmp_path: Path) -> None:
    path = tmp_path / "wear.sqlite"
    for birth, notes in (("b1", 0), ("b1", 0), ("", 0), ("b2", 1), ("b2", 0)):
        with WearLedger("W12", (4, 3), store=WearStore(path), limits=Limits(), birth=birth) as ledger:
            assert len(ledger.notes) == notes
            if notes:
                assert "chip W12 is another one than before (birth id b2, was b1)" in ledger.notes[0]
            assert np.isfinite(ledger.maps()["pulses"]).all()
