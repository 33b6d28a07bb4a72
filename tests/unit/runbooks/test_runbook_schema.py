"""A runbook is validated as a whole; what is wrong is one sentence with file, line and the alternatives."""

from __future__ import annotations

from pathlib import Path

import pytest

from xbarlab.common.errors import RefusedError
from xbarlab.protocols.forming.forming import FormingPlan
from xbarlab.protocols.measure.dc_sweep import DcSweepPlan
from xbarlab.protocols.programming.read_verify import ReadVerifyPlan
from xbarlab.runbooks.runner.schema import Expectation, find_runbook, list_runbooks, load_runbook

GOOD = """---
title: First light
station: stations/bench.station.yaml
steps:
  - {id: form, forming: {stop_volts: 3.0, width: 200e-9}}
  - id: iv
    dc_sweep:
      cells: "0:2,0:2"
      cycles: 3
  - {id: map, yield_map: }
  - {id: program, read_verify: {levels: {count: 4}}}
expect:
  formed_fraction: {min: 0.95}
  iv.v_set_mean: {min: 0.4, max: 1.2}
---
# When to run this
Text.
"""


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "first.md"
    path.write_text(GOOD, encoding="utf-8")
    return path


def write(path: Path, old: str, new: str) -> Path:
    assert old in GOOD
    path.write_text(GOOD.replace(old, new), encoding="utf-8")
    return path


def refusal(path: Path, overrides: list[str] | None = None) -> str:
    with pytest.raises(RefusedError) as caught:
        load_runbook(path, overrides=overrides or ())
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_good_runbook_is_read_with_types(book: Path) -> None:
    runbook = load_runbook(book)
    assert (runbook.title, runbook.station, runbook.name) == ("First light", "stations/bench.station.yaml", "first")
    assert [(step.id, step.kind.name) for step in runbook.steps] == [
        ("form", "forming"),
        ("iv", "dc_sweep"),
        ("map", "yield_map"),
        ("program", "read_verify"),
    ]
    form, iv = runbook.steps[0].plan, runbook.steps[1].plan
    assert isinstance(form, FormingPlan)
    assert isinstance(iv, DcSweepPlan)
    assert form.width == 200e-9
    assert iv.cycles == 3
    assert runbook.expect == (
        Expectation(key="formed_fraction", minimum=0.95, maximum=None),
        Expectation(key="iv.v_set_mean", minimum=0.4, maximum=1.2),
    )
    assert runbook.body.startswith("# When to run this")


def test_windows_line_ends_and_a_byte_order_mark_are_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "crlf.md"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load_runbook(path).title == "First light"


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        (
            "title:",
            "titel:",
            2,
            ["unknown key 'titel'", "expect, format, headline, paper, plugin, presets", "did you mean 'title'"],
        ),
        ("title: First light", "title: 7", 2, ["'title' = 7 must be text"]),
        ("forming:", "formin:", 5, ["unknown step 'formin'", "dc_sweep", "did you mean 'forming'"]),
        ("stop_volts", "stop_volt", 5, ["unknown parameter 'stop_volt'", "start_volts", "did you mean 'stop_volts'"]),
        ("cycles", "cycle", 9, ["step 'iv' (dc_sweep)", "unknown parameter 'cycle'", "did you mean 'cycles'"]),
        ("cycles: 3", "cycles: many", 9, ["'cycles' = 'many'", "a number is wanted", "loops per cell"]),
        ("cycles: 3", "cycles: true", 9, ["'cycles' = true", "a number is wanted"]),
        ("cycles: 3", 'cycles: "3"', 9, ["'cycles' = '3'", "wrong type"]),
        ("cycles: 3", "cycles: 2.5", 9, ["'cycles' = 2.5", "integer"]),
        ("cycles: 3", "cycles: 2026-01-01", 9, ["2026-01-01", "quotes"]),
        ("stop_volts: 3.0", "stop_volts: .nan", 5, ["'stop_volts' = nan", "last amplitude"]),
        ("stop_volts: 3.0", "stop_volts: .inf", 5, ["'stop_volts' = inf", "finite"]),
        ("stop_volts: 3.0", "stop_volts: nan", 5, ["'stop_volts' = nan", "only finite numbers"]),
        ("width: 200e-9", "width: -200e-9", 5, ["'width' = -2e-07", "greater than 0"]),
        ("stop_volts: 3.0", "stop_volts: 1.0", 5, ["stop_volts 1.0 V is below start_volts 1.5 V"]),
        ("stop_volts: 3.0", "confirm: 1", 5, ["'confirm' = 1", "true or false"]),
        ("{count: 4}", "{count: 1}", 11, ["greater than or equal to 2"]),
        ("{count: 4}", '{count: "4"}', 11, ["'levels.count' = '4'", "a number is wanted"]),
        ("{count: 4}", "{cuont: 4}", 11, ["unknown parameter", "cuont", "count, high, low"]),
        ("{id: map, yield_map: }", "{id: iv, yield_map: }", 10, ["step id 'iv' is used twice"]),
        ("{id: map, yield_map: }", "{yield_map: }", 10, ["step 'yield_map' has no id"]),
        ("{id: map, yield_map: }", "{id: map}", 10, ["exactly one thing to do", "this one has none", "yield_map"]),
        ("{id: map, yield_map: }", "{id: map, yield_map: , ispp: }", 10, ["this one has yield_map and ispp"]),
        ("{id: map, yield_map: }", "{id: map, yield_map: 3}", 10, ["must be a map, not 3"]),
        ("{id: map, yield_map: }", "{id: a.b, yield_map: }", 10, ["'a.b' must be a word"]),
        ("{id: map, yield_map: }", "yield_map", 10, ["step 'yield_map' must be a map"]),
        ("{id: map, yield_map: }", "{id: map, yield_map: ", 10, ["not valid YAML"]),
        ("{min: 0.95}", "{mim: 0.95}", 13, ["unknown limit 'mim'", "max, min", "did you mean 'min'"]),
        ("{min: 0.95}", "{min: .nan}", 13, ["min = nan must be a finite number"]),
        ("{min: 0.95}", "{min: high}", 13, ["min: 'high' is no number: wanted is a share, like 0.95 or 95 %"]),
        ("{min: 0.95}", "0.95", 13, ["must be a map with min or max"]),
        ("{min: 0.4, max: 1.2}", "{min: 2, max: 1}", 14, ["min 2 is above max 1"]),
        ("iv.v_set_mean", "vi.v_set_mean", 14, ["unknown step id 'vi'", "form, iv, map, program"]),
        ("station:", "title:", 3, ["not valid YAML", 'duplicate key "title"']),
    ],
)
def test_what_is_wrong_is_said_with_its_line(book: Path, old: str, new: str, line: int, says: list[str]) -> None:
    message = refusal(write(book, old, new))
    # A broken bracket is only noticed where the next line begins.
    lines = {line} if "yield_map: " not in new or new.endswith("}") else {line, line + 1}
    assert any(message.startswith(f"{book}:{number}: ") for number in lines), message
    for words in says:
        assert words in message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("# no front matter\n", "begins with a line '---'"),
        ("---\ntitle: x\n", "not ended by another '---'"),
        ("---\n- a\n---\n", "must be keys and values"),
        ("---\nstation: x\nsteps: [{id: a, read_array: }]\n---\n", "'title' is missing"),
        ("---\ntitle: x\nsteps: []\n---\n", "'steps' must be a list"),
        ("---\ntitle: x\n---\n", "'steps' must be a list"),
        ("---\ntitle: x\nsteps: [{id: a, read_array: !!python/object:os.system x}]\n---\n", "is neither text, number"),
    ],
)
def test_a_file_that_is_no_runbook_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "odd.md"
    path.write_text(text, encoding="utf-8")
    assert says in refusal(path)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.md"
    path.write_bytes(b"---\ntitle: \xff\n---\n")
    assert "not UTF-8" in refusal(path)


def test_overrides_are_typed_by_the_plan_they_change(book: Path) -> None:
    runbook = load_runbook(
        book,
        overrides=[
            "form.stop_volts=2.5",
            "form.width=1e-6",
            "iv.cells=3,5",
            "form.confirm=false",
            "program.set.step=0.1",
        ],
    )
    form, iv, program = runbook.steps[0].plan, runbook.steps[1].plan, runbook.steps[3].plan
    assert isinstance(form, FormingPlan)
    assert isinstance(iv, DcSweepPlan)
    assert isinstance(program, ReadVerifyPlan)
    assert (form.stop_volts, form.width, form.confirm) == (2.5, 1e-6, False)
    assert (iv.cells, iv.cycles) == ("3,5", 3)
    assert program.set.step == 0.1
    assert program.set.gate == ReadVerifyPlan().set.gate
    assert program.levels.count == 4


def test_overrides_inside_a_record_keep_what_the_file_says(book: Path) -> None:
    program = load_runbook(book, overrides={"program.levels.high": 150e-6}).steps[3].plan
    assert isinstance(program, ReadVerifyPlan)
    assert (program.levels.count, program.levels.high) == (4, 150e-6)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("form.stop_volts", ["write id.key=value"]),
        ("stop_volts=3", ["write id.key=value"]),
        ("fomr.stop_volts=3", ["unknown step id 'fomr'", "form, iv, map, program", "did you mean 'form'"]),
        ("form.stop_volt=3", ["--set form.stop_volt=3", "unknown parameter 'stop_volt'", "did you mean 'stop_volts'"]),
        ("form.stop_volts=high", ["--set form.stop_volts=high", "'high' is no number: wanted is a voltage in V"]),
        ("form.stop_volts=.nan", ["--set form.stop_volts=.nan", "finite number"]),
        ("form.stop_volts=nan", ["--set form.stop_volts=nan", "only finite numbers"]),
        ("form.stop_volts=-1", ["--set form.stop_volts=-1", "greater than 0"]),
        ("form.confirm=7", ["true or false is wanted"]),
        ("form.cells.rows=7", ["unknown parameter with parts 'cells'"]),
        ("program.levels.low=-inf", ["--set program.levels.low=-inf", "'levels.low' = -inf", "only finite numbers"]),
        ("program.levels.count=1", ["--set program.levels.count=1: parameter 'levels.count' = 1 is refused: input"]),
        ("program.levels.low=1", ["parameter 'levels' is refused: the highest level", "must be above the lowest 1 S"]),
        (
            "program.set.gate=0.5,9",
            ["--set program.set.gate=0.5,9", "'set.gate' = '0.5,9'", "in brackets, like [1, 2]"],
        ),
        ("program.levls.low=1", ["--set program.levls.low=1: unknown parameter", "did you mean 'levels'"]),
        ("program.levels.counts=7", ["--set program.levels.counts=7", "count, high, low"]),
    ],
)
def test_a_bad_override_is_refused_and_named(book: Path, override: str, says: list[str]) -> None:
    message = refusal(book, [override])
    for words in says:
        assert words in message


def test_an_unknown_runbook_lists_the_shipped_ones() -> None:
    with pytest.raises(RefusedError, match=r"unknown runbook 'frist_light_1t1r'.*did you mean 'first_light_1t1r'"):
        find_runbook("frist_light_1t1r")
    with pytest.raises(RefusedError, match=r"no runbook file nowhere/x\.md.*first_light_1t1r"):
        find_runbook("nowhere/x.md")


def test_every_shipped_runbook_is_valid_and_tells_an_operator_something() -> None:
    shipped = list_runbooks()
    assert "first_light_1t1r" in shipped
    for name in shipped:
        runbook = load_runbook(name)
        assert runbook.station is not None
        assert len(runbook.body) > 500
