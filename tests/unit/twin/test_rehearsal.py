"""Rehearsals on a small ideal chip: which chips are drawn, what is kept, what is refused, and what is outside."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from support.training_bench import write_bench, write_two_boards
from xbarlab.cli import main
from xbarlab.common.errors import RefusedError
from xbarlab.runbooks.runner.runner import run_runbook
from xbarlab.twin.rehearsal import workers
from xbarlab.twin.rehearsal.compare import compare
from xbarlab.twin.rehearsal.draw import Task
from xbarlab.twin.rehearsal.record import Draw, read_rehearsal
from xbarlab.twin.rehearsal.rehearse import rehearse

RUNBOOK = """---
title: A small look
station: ideal.station.yaml
steps:
  - {id: virgin, read_array: {cells: all}}
  - {id: yield, yield_map: {cells: "0:4,0:4", set_volts: 2.5, set_gate: 1.5}}
presets: {less: {yield.cells: "0:2,0:2"}}
expect:
  yield_fraction: {min: 0.5}
  pulse_r_on_median: {max: 1.0}
---
Text.
"""
SLOPE = {"parameters": ["slope"], "scale": ["log"], "covariance": [[0.01]]}


@pytest.fixture
def book(tmp_path: Path) -> Path:
    write_bench(tmp_path, "gate_voltage_1t1r")
    path = tmp_path / "small.md"
    path.write_text(RUNBOOK, encoding="utf-8")
    return path


def fitted(folder: Path, posterior: dict[str, Any] | None = None, **size: int) -> Path:
    """Write a profile beside the station's own that has a posterior."""
    yaml = YAML(typ="safe", pure=True)
    content = yaml.load((folder / "ideal.profile.yaml").read_text(encoding="utf-8"))
    content["name"] = "fitted"
    content["posterior"] = SLOPE if posterior is None else posterior
    for name, value in size.items():
        content["geometry"][name]["value"] = value
    path = folder / "my_chip.profile.yaml"
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
    return path


def lived(draw: Draw) -> dict[str, Any]:
    """Return all of a draw but the time it took on the wall."""
    told = draw.model_dump()
    return {**told, "metrics": {key: value for key, value in told["metrics"].items() if key != "seconds"}}


def test_every_draw_is_a_chip_of_its_own_from_the_posterior(book: Path, tmp_path: Path) -> None:
    chip, out = fitted(tmp_path), tmp_path / "out"
    done = rehearse(book, chip=chip, draws=3, out=out, jobs=0, quiet=True, preset="less", seed=5)
    record = read_rehearsal(out)
    assert record == done.record
    assert [draw.failure for draw in record.draws] == ["", "", ""]
    slopes = [draw.chip["slope"] for draw in record.draws]
    resistance = record.values("pulse_r_on_median")
    assert len({draw.seed for draw in record.draws}) == len(set(slopes)) == 3
    assert list(resistance.argsort()) == sorted(range(3), key=lambda k: -slopes[k]), "steeper chips conduct more"
    first = record.draws[0]
    assert first.wear is not None
    assert first.wear.pulses_max > 0
    assert first.wear.worst_cell[0] < 2
    assert first.metrics["pulses"] == 2 * 4 * round(first.metrics["pulses"] / 8)
    assert first.metrics["transactions"]
    assert first.bench_seconds > 0.0
    assert first.missed == ("pulse_r_on_median",)
    assert (record.runbook.name, record.runbook.preset, record.chip.name) == ("small", "less", "fitted")
    assert record.steps[1].plan["cells"] == "0:2,0:2"
    assert {path.name for path in out.iterdir()} == {"rehearsal.json", "chip.profile.yaml"}, "runs are not kept"
    again = rehearse(book, chip=chip, draws=2, out=tmp_path / "b", jobs=0, quiet=True, preset="less", seed=5).record
    # The first draws of a longer rehearsal are those of a shorter one.
    assert [lived(draw) for draw in again.draws] == [lived(draw) for draw in record.draws[:2]]


def test_a_draw_that_is_kept_can_be_run_again(book: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    record = rehearse(book, chip=fitted(tmp_path), draws=2, out=out, jobs=0, quiet=True, keep=True).record
    second = record.draws[1]
    station = out / "draws" / "0002" / "drawn.station.yaml"
    again = run_runbook(book, station=station, seed=second.seed, out=tmp_path / "again", quiet=True).summary
    told = {key: value for key, value in lived(second)["metrics"].items() if value is not None}
    assert {key: again[key] for key in told} == told


def test_the_command_tells_chances_wear_and_that_there_is_no_posterior(
    book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xbarlab.twin.rehearsal.rehearse.run_draws", in_this_process)
    line = ["twin", "rehearse", str(book), "--chip", str(tmp_path / "ideal.profile.yaml"), "--draws", "2"]
    assert main([*line, "-o", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "no posterior" in said
    assert "chance to miss it" in said
    assert "100 % (34 … 100 %)" in said, "2 of 2: Wilson"
    assert "Worst cell of all: (" in said
    assert "2 draws are too few for a 90 % interval" in said
    assert (tmp_path / "out" / "predictions.png").is_file()
    assert main([*line, "-o", str(tmp_path / "out")]) == 2, "a folder that holds data is refused"


def in_this_process(tasks: Any, *, jobs: int, keep: bool) -> Any:
    from xbarlab.twin.rehearsal.workers import run_draws

    del jobs
    return run_draws(tasks, jobs=0, keep=keep)


def test_a_draw_that_fails_is_counted_and_told(
    book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def sometimes(*args: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("the sky fell")
        return conduct(*args, **more)

    from xbarlab.twin.rehearsal import draw

    conduct = draw.conduct
    monkeypatch.setattr(draw, "conduct", sometimes)
    monkeypatch.setattr("xbarlab.twin.rehearsal.rehearse.run_draws", in_this_process)
    line = ["twin", "rehearse", str(book), "--chip", str(fitted(tmp_path)), "--draws", "3", "-o", str(tmp_path / "out")]
    assert main(line) == 0
    record = read_rehearsal(tmp_path / "out")
    assert [bool(one.failure) for one in record.draws] == [False, True, False]
    assert record.chances["yield_fraction"].n == 2
    said = capsys.readouterr().out
    assert "1 of 3 draws FAILED" in said
    assert "RuntimeError: the sky fell (test_rehearsal.py:" in said


def test_where_every_draw_fails_nothing_is_predicted(
    book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: Any, **more: Any) -> Any:
        raise RuntimeError("no")

    monkeypatch.setattr("xbarlab.twin.rehearsal.draw.conduct", never)
    monkeypatch.setattr("xbarlab.twin.rehearsal.rehearse.run_draws", in_this_process)
    line = ["twin", "rehearse", str(book), "--chip", str(fitted(tmp_path)), "--draws", "2", "-o", str(tmp_path / "out")]
    assert main(line) == 3
    assert "2 of 2 draws FAILED" in capsys.readouterr().err


def test_an_interruption_keeps_the_draws_that_are_done(
    book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(tasks: Any, **more: Any) -> Any:
        yield from in_this_process(tasks[:1], **more)
        raise KeyboardInterrupt

    monkeypatch.setattr("xbarlab.twin.rehearsal.rehearse.run_draws", interrupted)
    with pytest.raises(KeyboardInterrupt):
        rehearse(book, chip=fitted(tmp_path), draws=4, out=tmp_path / "out", quiet=True)
    record = read_rehearsal(tmp_path / "out")
    assert (len(record.draws), record.draws_wanted) == (1, 4)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"chip": "tio2_passive"}, r"tio2_passive has 8 × 8 passive cells, station ideal\.station\.yaml takes 16 × 12"),
        ({"chip": "hfo2_1t1r"}, "128 × 64 1T1R cells, station .* takes 16 × 12 1T1R"),
        ({"chip": "hfo3"}, "neither a file nor shipped"),
        ({"draws": 1}, "at least 2"),
        ({"preset": "mroe"}, "unknown preset"),
        ({"station": "board_example"}, "has board outside of this process, and a rehearsal touches no real instrument"),
        ({"overrides": ["yield.cells=0:40,0:4"]}, r"step 'yield' \(yield_map\)"),
    ],
)  # fmt: skip
def test_what_cannot_be_rehearsed_is_one_sentence(book: Path, tmp_path: Path, given: dict[str, Any], said: str) -> None:
    asked: dict[str, Any] = {"chip": tmp_path / "ideal.profile.yaml", "draws": 2, "out": tmp_path / "out", **given}
    with pytest.raises(RefusedError, match=said):
        rehearse(book, jobs=0, quiet=True, **asked)
    assert not (tmp_path / "out" / "rehearsal.json").exists()


def test_a_station_of_two_chips_is_refused(book: Path, tmp_path: Path) -> None:
    station = write_two_boards(tmp_path, "gate_voltage_1t1r")
    with pytest.raises(RefusedError, match="joins 2 mock benches with a chip each"):
        rehearse(book, chip=tmp_path / "ideal.profile.yaml", draws=2, station=station, out=tmp_path / "out", jobs=0)


@pytest.fixture
def rehearsed(book: Path, tmp_path: Path) -> Path:
    rehearse(book, chip=fitted(tmp_path), draws=4, out=tmp_path / "rehearsed", jobs=0, quiet=True, preset="less")
    return tmp_path / "rehearsed"


def test_a_run_is_put_beside_its_rehearsal(
    book: Path, rehearsed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_runbook(book, preset="less", out=tmp_path / "run", seed=3, quiet=True)
    beside = {one.key: one for one in compare(tmp_path / "run", rehearsed).quantities}
    summary = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    assert beside["pulse_r_on_median"].measured == summary["pulse_r_on_median"]
    assert "seconds" not in beside
    assert "yield_fraction_ci95_low" not in beside
    # A chip that is far from what the profile says is seen to be.
    summary["pulse_r_on_median"] *= 10.0
    del summary["yield_fraction"]
    (tmp_path / "run" / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    comparison = compare(tmp_path / "run", rehearsed / "rehearsal.json")
    assert comparison.outside[0].key == "pulse_r_on_median"
    assert math.isnan(next(one.measured for one in comparison.quantities if one.key == "yield_fraction"))
    assert 0.0 <= comparison.chance <= comparison.most <= len(comparison.measured)
    assert main(["twin", "compare", str(tmp_path / "run"), str(rehearsed)]) == 0
    said = capsys.readouterr().out
    assert "OUTSIDE" in said
    assert "Outside, farthest first: pulse_r_on_median" in said
    assert (rehearsed / "compared_run.png").is_file()


@pytest.mark.slow
def test_another_runbook_or_other_parameters_are_refused_by_name(
    book: Path, rehearsed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_runbook(book, out=tmp_path / "full", quiet=True)
    with pytest.raises(
        RefusedError, match=r"not what was rehearsed: yield\.cells was 0:2,0:2 and is 0:4,0:4; .*--anyway"
    ):
        compare(tmp_path / "full", rehearsed)
    other = tmp_path / "other.md"
    other.write_text(RUNBOOK[: RUNBOOK.index("  - {id: yield")] + "---\nText.\n", encoding="utf-8")
    run_runbook(other, out=tmp_path / "other", quiet=True)
    with pytest.raises(RefusedError, match="is of runbook other, the rehearsal of small"):
        compare(tmp_path / "other", rehearsed)
    assert main(["twin", "compare", str(tmp_path / "full"), str(rehearsed), "--anyway"]) == 0
    assert "compares unlike things" in capsys.readouterr().out


def test_prose_may_change_between_rehearsal_and_run(book: Path, rehearsed: Path, tmp_path: Path) -> None:
    book.write_text(RUNBOOK.replace("Text.", "More text."), encoding="utf-8")
    run_runbook(book, preset="less", out=tmp_path / "run", quiet=True)
    assert "text was changed" in compare(tmp_path / "run", rehearsed).notes[0]


@pytest.mark.parametrize(
    ("content", "said"),
    [("[]", "no rehearsal"), ('{"format": "xbarlab-rehearsal/9"}', "reads xbarlab-rehearsal/1"), ("{", "not readable")],
)
def test_what_is_no_rehearsal_is_refused(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(RefusedError, match="there is no rehearsal"):
        read_rehearsal(tmp_path)
    (tmp_path / "rehearsal.json").write_text(content, encoding="utf-8")
    with pytest.raises(RefusedError, match=said):
        read_rehearsal(tmp_path)


def die(task: Task, keep: bool) -> Draw:
    """Stand in for a draw whose process is killed."""
    os._exit(9)


@pytest.mark.slow
def test_a_process_that_is_killed_is_a_draw_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_one", die)
    task = Task(
        number=1, seed=7, folder=tmp_path, runbook=tmp_path, preset="", overrides=(), plugins=(), chip={"slope": 1.0}
    )
    (draw,) = workers.run_draws([task], jobs=1, keep=True)
    assert (draw.number, draw.seed, draw.chip) == (1, 7, {"slope": 1.0})
    assert "its process was killed" in draw.failure


@pytest.mark.slow
def test_processes_give_what_one_gives(book: Path, tmp_path: Path) -> None:
    chip = fitted(tmp_path)
    alone = rehearse(book, chip=chip, draws=3, out=tmp_path / "a", jobs=0, quiet=True).record
    together = rehearse(book, chip=chip, draws=3, out=tmp_path / "b", jobs=2, quiet=True).record
    assert [lived(draw) for draw in alone.draws] == [lived(draw) for draw in together.draws]
