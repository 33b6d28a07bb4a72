"""Presets and expectations of a runbook: what they may say, and that shipped ones can come true."""

from __future__ import annotations

from pathlib import Path

import pytest

from xbarlab.common.errors import RefusedError
from xbarlab.protocols.plan import ParameterError
from xbarlab.protocols.registry import step_kind, step_names
from xbarlab.runbooks.runner.expectations import metrics_of
from xbarlab.runbooks.runner.schema import list_runbooks, load_runbook
from xbarlab.runbooks.runner.step import Step

HEAD = """---
title: Two reads and loops
station: mock_ta_hfo2
steps:
  - {id: before, read_array: {cells: "0:2,0:2"}}
  - {id: iv, dc_sweep: {cells: "0:1,0:2", cycles: 5}}
  - {id: after, read_array: {}}
"""


def book(folder: Path, rest: str) -> Path:
    path = folder / "own.md"
    path.write_text(f"{HEAD}{rest}---\nText.\n", encoding="utf-8")
    return path


def test_a_preset_changes_values_and_what_is_typed_goes_on_top(tmp_path: Path) -> None:
    path = book(
        tmp_path,
        "expect: {v_set_mean: {min: 0.4}, no_set_fraction: {max: 0.1}}\npresets:\n  quick:\n    iv.cycles: 2\n"
        '    iv.cells: "0,0"\n    expect: {v_set_mean: {min: 0.2}, no_set_fraction: null}\n',
    )
    plain, quick = load_runbook(path), load_runbook(path, preset="quick")
    typed = load_runbook(path, preset="quick", overrides=["iv.cycles=3"])
    assert [one.steps[1].plan.model_dump()["cycles"] for one in (plain, quick, typed)] == [5, 2, 3]
    assert quick.steps[1].plan.model_dump()["cells"] == "0,0"
    assert quick.steps[0] == plain.steps[0]
    assert [(e.key, e.minimum) for e in plain.expect] == [("v_set_mean", 0.4), ("no_set_fraction", None)]
    assert [(e.key, e.minimum) for e in quick.expect] == [("v_set_mean", 0.2)]
    assert (plain.preset, quick.preset) == ("", "quick")


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("presets: {quick: {iv.cycle: 2}}\n", r"own\.md:8: preset 'quick': iv\.cycle = 2: .*did you mean 'cycles'"),
        ("presets: {quick: {vi.cycles: 2}}\n", r"own\.md:8: preset 'quick': vi\.cycles = 2: unknown step id 'vi'"),
        ("presets: {quick: {cycles: 2}}\n", r"own\.md:8: preset 'quick': 'cycles': write id\.key: value"),
        ("presets: {quick: {iv.cycles: many}}\n", r"own\.md:8: preset 'quick': iv\.cycles = 'many'"),
        ("presets: {quick: 3}\n", r"own\.md:8: preset 'quick' must be a map"),
        ("presets: [quick]\n", r"own\.md:8: 'presets' must be a map"),
        (
            "presets: {quick: {expect: {v_set_maen: {min: 1}}}}\n",
            r"own\.md:8: .*'v_set_maen'.*did you mean 'v_set_mean'",
        ),
        ("presets: {quick: {expect: {v_set_mean: null}}}\n", r"own\.md:8: .*unknown expectation 'v_set_mean'"),
    ],
)
def test_mistakes_in_a_preset_are_found_also_when_it_is_not_asked_for(tmp_path: Path, rest: str, said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        load_runbook(book(tmp_path, rest))


def test_an_unknown_preset_is_refused(tmp_path: Path) -> None:
    path = book(tmp_path, "presets: {quick: {iv.cycles: 2}, thorough: {iv.cycles: 50}}\n")
    with pytest.raises(
        RefusedError, match=r"--preset quik: unknown preset 'quik': choose from quick, thorough; did you"
    ):
        load_runbook(path, preset="quik")
    with pytest.raises(RefusedError, match="--preset quick: runbook own has no presets"):
        load_runbook(book(tmp_path, ""), preset="quick")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (
            "v_set_maen",
            r"own\.md:8: expectation 'v_set_maen': no step of this runbook gives .*did you mean 'v_set_mean'",
        ),
        ("programmed_fraction", r"no step of this runbook gives a metric 'programmed_fraction'"),
        ("iv.yield_fraction", r"step 'iv' \(dc_sweep\) gives no metric 'yield_fraction': choose from"),
        ("g_read_median", r"several steps give it: write before\.g_read_median or after\.g_read_median"),
        ("vi.v_set_mean", "unknown step id 'vi'"),
        ("second", "did you mean 'seconds'"),
    ],
)
def test_what_no_step_measures_cannot_be_expected(tmp_path: Path, key: str, said: str) -> None:
    """Found after the run it would be found after hours."""
    with pytest.raises(RefusedError, match=said):
        load_runbook(book(tmp_path, f"expect: {{{key}: {{min: 0}}}}\n"))


@pytest.mark.parametrize(
    "key", ["v_set_mean", "iv.v_set_mean", "v_set_mean_ci95_low", "before.g_read_median", "pulses"]
)
def test_what_a_step_measures_can_be_expected(tmp_path: Path, key: str) -> None:
    assert load_runbook(book(tmp_path, f"expect: {{{key}: {{min: 0}}}}\n")).expect[0].key == key


def test_a_metric_that_depends_on_a_parameter_is_known_by_it(tmp_path: Path) -> None:
    path = tmp_path / "own.md"
    steps = "steps:\n  - {id: p, read_verify: {reread_after: %s}}\n"
    text = f"---\ntitle: T\n{steps}expect: {{programmed_fraction_60s: {{min: 0}}}}\n---\n"
    path.write_text(text % 60, encoding="utf-8")
    load_runbook(path)
    path.write_text(text % 10, encoding="utf-8")
    with pytest.raises(RefusedError, match="did you mean 'programmed_fraction_10s'"):
        load_runbook(path)
    with pytest.raises(RefusedError, match="programmed_fraction_60s"):
        load_runbook("first_light_1t1r", overrides=["program.reread_after=10"])


@pytest.mark.parametrize("name", sorted(list_runbooks()))
def test_every_shipped_runbook_has_a_quick_preset(name: str) -> None:
    assert load_runbook(name, preset="quick").preset == "quick"


@pytest.mark.parametrize("name", step_names())
def test_every_shipped_step_says_what_it_measures(name: str) -> None:
    kind = step_kind(name)
    assert metrics_of(Step("one", kind, kind.plan()))


def test_an_error_of_a_plan_says_by_itself_which_parameter_it_is_about() -> None:
    plan = step_kind("read_verify").plan
    with pytest.raises(ParameterError) as refused:
        plan(levels={"count": 8, "low": -1.0})
    assert refused.value.where == "levels.low"
    assert str(refused.value).startswith("parameter 'levels.low' = -1.0 is refused")
    with pytest.raises(ParameterError) as refused:
        plan(levels={"cuont": 8})
    assert refused.value.where == "levels.cuont"
    assert "did you mean 'count'" in str(refused.value)
