"""Every runbook with several steps, cut at the end of each step and resumed: what was measured stays as it was."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from xbarlab.mockhw.bench.bench import forget_bench
from xbarlab.protocols.keeping.run import Run
from xbarlab.runbooks.runner.resume import resume_run
from xbarlab.runbooks.runner.runner import run_runbook
from xbarlab.runbooks.runner.schema import find_runbook, list_runbooks, load_runbook
from xbarlab.runbooks.stations import find_station, in_process_benches

# Smaller still than the preset quick, on top of it.
SMALLER: dict[str, dict[str, Any]] = {
    # The quick presets as they are: a minute each, and every step of theirs is one to go on after.
    "characterise_1t1r": {"levels.cycles": 2, "endurance.cycles": 100, "noise.seconds": 1},
    "characterise_tio2": {"levels.cycles": 2, "endurance.cycles": 20, "half_select.pulses": 100, "reading.pulses": 100},
    "first_cell_tio2": {"iv.step": 0.1, "pulses.pulses": 20},
    "first_light_1t1r": {"form.cells": "0:4,0:8", "yield.cells": "0:4,0:8", "program.cells": "0:4,0:8",
                         "baseline.cells": "0:1,0:8", "iv.cells": "0:1,0:2", "iv.cycles": 2},
    "first_light_tio2": {"virgin.cells": "0:2,0:2", "form.cells": "0:2,0:2", "iv.cells": "0:1,0:2", "iv.cycles": 2,
                         "iv.step": 0.1, "pulses.cells": "0:1,0:2", "pulses.pulses": 20, "pulses.read_every": 5,
                         "schemes.cells": "0,0",
                         "schemes.among": "0:2,0:2", "disturb.cells": "0,0", "disturb.pulses": 10,
                         "yield.cells": "0:2,0:2"},
    "train_lstm_simulator": {"airline.epochs": 6, "airline.hidden": 4, "vowels.epochs": 1, "vowels.train_examples": 100,
                             "vowels.test_examples": 60, "vowels.hidden": 4},
    "train_cnn_simulator": {"published.train_examples": 300, "published.test_examples": 60, "ours.test_examples": 60,
                            "ours.train_examples": 300},
    "train_lstm_airline": {"published.epochs": 6, "ours.epochs": 6},
    "train_lstm_sequences": {"vowels.train_examples": 50, "vowels.test_examples": 40, "vowels.epochs": 1,
                             "digits.train_examples": 50, "digits.test_examples": 40, "persons.train_examples": 50,
                             "persons.test_examples": 40, "persons.epochs": 1},
    "train_cnn_mnist": {"cnn.train_examples": 300, "cnn.test_examples": 60},
    "train_associative_lstm": {f"{arm}.{key}": value for arm in ("copies_1", "copies_2", "copies_4", "copies_8", "lstm")
                               for key, value in (("sequences", 100), ("tested", 60))},
    "train_equalizer": {f"{step}.{key}": value for step in ("nrz", "nrz_fast", "pam4", "pam4_fast")
                        for key, value in (("train_examples", 128), ("epochs", 1), ("streams", 20), ("copies", 1),
                                           ("stream_symbols", 50), ("sweep", []))},
    "train_convlstm_sequence": {"convlstm.train_examples": 300, "convlstm.test_examples": 60},
}  # fmt: skip
OF_THE_RUN = {"seconds", "steps_done", "steps_planned", "transactions", "slots", "pulses", "chip_seconds"}
BY_DEFAULT = "train_lstm_simulator"


@pytest.mark.parametrize(
    "name", [name if name == BY_DEFAULT else pytest.param(name, marks=pytest.mark.slow) for name in list_runbooks()]
)
def test_what_was_measured_stays_whatever_comes_after_it(name: str, tmp_path: Path) -> None:
    if name.startswith("train_"):
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
            run_runbook(name, out=out, seed=2, preset="quick", overrides=SMALLER[name], quiet=True)
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
        if key not in OF_THE_RUN | {"seed"}:
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
