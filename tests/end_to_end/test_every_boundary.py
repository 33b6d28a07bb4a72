"""Every runbook with several steps, cut at the end of each step and resumed: what was measured stays as it was."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from support.small_runs import SMALL
from xbarlab.mockhw.bench.bench import forget_bench
from xbarlab.protocols.keeping.run import Run
from xbarlab.runbooks.runner.resume import resume_run
from xbarlab.runbooks.runner.runner import run_runbook
from xbarlab.runbooks.runner.schema import find_runbook, list_runbooks, load_runbook
from xbarlab.runbooks.stations import find_station, in_process_benches

HOW_TO_READ = {"headline", "baseline", "better"}
OF_THE_RUN = {"seconds", "steps_done", "steps_planned", "transactions", "slots", "pulses", "chip_seconds"}
BY_DEFAULT = "train_lstm_simulator"


@pytest.mark.parametrize(
    "name", [name if name == BY_DEFAULT else pytest.param(name, marks=pytest.mark.slow) for name in list_runbooks()]
)
def test_what_was_measured_stays_whatever_comes_after_it(name: str, tmp_path: Path) -> None:
    if name.startswith(("train_", "infer_")):
        pytest.importorskip("torch")
    out, book = tmp_path / "out", load_runbook(name, preset="quick")
    steps = [step.id for step in book.steps]
    last = ""
    note = Run.note

    def cut(self: Run, event: str, **fields: Any) -> None:
        note(self, event, **fields)
        if event == "step_done" and fields["step"] != last:
            raise KeyboardInterrupt

    def go() -> None:
        if not out.exists():
            run_runbook(name, out=out, seed=2, preset="quick", overrides=SMALL[name], quiet=True)
        else:
            forget(name)  # as when its process has ended
            resume_run(out, quiet=True)

    kept: dict[str, float] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "note", cut)
        for number, step in enumerate(steps, start=1):
            last = steps[-1]
            if step == last:
                go()
            else:
                with pytest.raises(KeyboardInterrupt):
                    go()
            journal = [json.loads(line) for line in (out / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
            done = {e["step"]: e["metrics"] for e in journal if e["event"] == "step_done"}
            assert list(done) == steps[:number], "each is done once"
            now = {f"{owner}.{key}": _number(value) for owner, given in done.items() for key, value in given.items()}
            assert {key: now[key] for key in kept} == pytest.approx(kept, nan_ok=True, rel=0, abs=0)
            kept = now
    forget(name)
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    for key, value in summary.items():
        owners = [step for step in steps if f"{step}.{key}" in kept]
        if key not in OF_THE_RUN | HOW_TO_READ | {"seed"}:
            told = kept[key] if "." in key else kept[f"{owners[0]}.{key}"]
            assert _number(value) == pytest.approx(told, nan_ok=True, rel=0, abs=0), key
    report = (out / "report.html").read_text(encoding="utf-8")
    assert report.count("data:image/png") >= len(steps)
    assert summary["steps_done"] == len(steps)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def forget(name: str) -> None:
    from xbarlab.instruments.station.station_file import read_station

    station = load_runbook(name).station
    assert station is not None
    for bench in in_process_benches(read_station(find_station(station, beside=find_runbook(name).parent))):
        forget_bench(bench)
