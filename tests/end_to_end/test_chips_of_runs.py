"""Whose chip a run goes on with: kept in its folder, alive in a state file, lost with its server, or another one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xbarlab.common.errors import RefusedError
from xbarlab.mockhw.bench.bench import bench_for, forget_bench, fresh_bench
from xbarlab.mockhw.front_ends.tcp_host import serve
from xbarlab.protocols.keeping.run import Run
from xbarlab.runbooks import stations
from xbarlab.runbooks.runner.resume import resume_run
from xbarlab.runbooks.runner.runner import RunRecord, run_runbook
from xbarlab.runbooks.stations import open_bench

SHIPPED = Path(stations.__file__).parent
BOOK = """---
title: Forming and reading a corner
station: own.station.yaml
steps:
  - {id: virgin, read_array: {cells: "0:4,0:8"}}
  - {id: form, forming: {cells: "0:4,0:8", start_volts: 1.5, stop_volts: 3.3, step_volts: 0.1, gate: 1.3, width: 10e-6}}
  - {id: after, read_array: {cells: "0:4,0:8"}}
  - {id: again, read_array: {cells: "0:4,0:8"}}
---
A test.
"""


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunRecord, "_sections", lambda _: [])
    monkeypatch.setattr(RunRecord, "drawn", lambda *_: None)


def own(folder: Path, state: str) -> Path:
    """A bench of its own with a runbook; return the runbook."""
    for kind in ("bench", "chip", "station"):
        text = (SHIPPED / f"mock_ta_hfo2.{kind}.yaml").read_text(encoding="utf-8")
        text = text.replace("state: null", f"state: {state}").replace("mock_ta_hfo2.", "own.")
        (folder / f"own.{kind}.yaml").write_text(text, encoding="utf-8")
    (folder / "own.md").write_text(BOOK, encoding="utf-8")
    return folder / "own.md"


def cut_after(step: str, go: Callable[[], Any]) -> None:
    """Interrupt a run at the end of a step."""
    note = Run.note

    def cut(self: Run, event: str, **fields: Any) -> None:
        note(self, event, **fields)
        if event == "step_done" and fields["step"] == step:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "note", cut)
        with pytest.raises(KeyboardInterrupt):
            go()


def told(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def test_a_chip_in_memory_is_kept_with_the_run(tmp_path: Path) -> None:
    book, out = own(tmp_path, "null"), tmp_path / "out"
    whole = run_runbook(book, out=tmp_path / "whole", seed=3, quiet=True).summary
    cut_after("form", lambda: run_runbook(book, out=out, seed=3, quiet=True))
    born = bench_for(tmp_path / "own.bench.yaml").chip.birth
    forget_bench(tmp_path / "own.bench.yaml")  # as when its process has ended
    summary = resume_run(out, quiet=True).summary
    assert bench_for(tmp_path / "own.bench.yaml").chip.birth == born
    kept = [key for key in whole if key.startswith(("virgin.", "v_form", "formed"))]
    assert len(kept) >= 8
    assert [summary[key] for key in kept] == [whole[key] for key in kept]
    # The chip is the same one; the noise of the board's converter begins anew with its process.
    assert summary["again.g_read_median"] == pytest.approx(whole["again.g_read_median"], rel=5e-3)
    forget_bench(tmp_path / "own.bench.yaml")


def test_a_seed_on_the_command_line_and_a_state_file_go_together(tmp_path: Path) -> None:
    """B12: the chip's own identity is compared, not what a bench file says about the next one."""
    book, out, bench, state = (
        own(tmp_path, "chip.npz"),
        tmp_path / "out",
        tmp_path / "own.bench.yaml",
        tmp_path / "chip.npz",
    )
    cut_after("form", lambda: run_runbook(book, out=out, seed=3, quiet=True))
    forget_bench(bench)
    assert resume_run(out, quiet=True).summary["steps_done"] == 4
    aged = state.read_bytes()
    forget_bench(bench)
    said = r"state file of own\.bench\.yaml was made with seed 3, not 5.*--new-chip"
    for attempt in (
        lambda: run_runbook(book, out=tmp_path / "other", seed=5, quiet=True),
        lambda: open_bench(tmp_path / "own.station.yaml", seed=5),
    ):
        with pytest.raises(RefusedError, match=said):
            attempt()
    assert state.read_bytes() == aged
    assert not (tmp_path / "other").exists()
    assert run_runbook(book, out=tmp_path / "same", seed=3, quiet=True).summary["formed_fraction"] == 1.0
    assert run_runbook(book, out=tmp_path / "new", seed=5, new_chip=True, quiet=True).summary["seed"] == 5
    assert (tmp_path / "chip.npz.old1").is_file(), "nothing is lost"
    forget_bench(bench)


def served(folder: Path, addresses: dict[str, tuple[str, int]]) -> Path:
    text = (SHIPPED / "tcp_ta_hfo2.station.yaml").read_text(encoding="utf-8").replace("mock_ta_hfo2.", "own.")
    for address, (host, port) in addresses.items():
        text = text.replace(address, f"TCPIP0::{host}::{port}::SOCKET")
    (folder / "own.station.yaml").write_text(text, encoding="utf-8")
    return folder / "own.station.yaml"


def test_a_chip_lost_with_its_server_is_refused_though_seed_and_profile_are_the_same(tmp_path: Path) -> None:
    """A4: the chip has a birth id, and tells it."""
    book, out, bench = own(tmp_path, "null"), tmp_path / "out", tmp_path / "own.bench.yaml"
    with serve(fresh_bench(bench, seed=4), port=0) as addresses:
        served(tmp_path, dict(addresses))
        cut_after("form", lambda: run_runbook(book, out=out, quiet=True))
    before = (out / "journal.jsonl").read_bytes()
    with serve(fresh_bench(bench, seed=4), port=0) as addresses:
        station = served(tmp_path, dict(addresses))
        with pytest.raises(RefusedError, match="the simulated chip behind board is another one"):
            resume_run(out, station=station, quiet=True)
    assert (out / "journal.jsonl").read_bytes() == before
    forget_bench(bench)
