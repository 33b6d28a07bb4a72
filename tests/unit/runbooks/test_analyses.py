"""Analyses of a whole run: the report gets a section of each, and is never lost for one that fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pandas import DataFrame

from support.fake_array import FakeBench
from xbarlab.analysis.report.report import Section
from xbarlab.analysis.report.run_tables import RunTables, StepTable
from xbarlab.common import plugins
from xbarlab.common.errors import RefusedError
from xbarlab.runbooks.runner import runner
from xbarlab.runbooks.runner.analyses import sections_of
from xbarlab.runbooks.runner.runner import run_runbook
from xbarlab.runbooks.runner.schema import load_runbook

COST = {"transactions": 3, "slots": 4, "pulses": 5, "chip_seconds": 0.5, "seconds": 1.0}
STEP = StepTable(
    id="read", step="read_array", plan={"cells": "all"}, metrics={"g_read_median": 1e-6}, cost=COST,
    make_frame=lambda: DataFrame({"row": [0, 1]}),
)  # fmt: skip
RUN = RunTables(title="A run", steps=(STEP,), summary={"g_read_median": 1e-6})
RUNBOOK = """---
title: A small first light
station: bench.station.yaml
steps:
  - {id: look, read_array: {cells: all}}
---
Text for a person.
"""


@pytest.fixture(autouse=True)
def _nothing_is_kept() -> Iterator[None]:
    with plugins.scope():
        yield


def offer(name: str, analysis: Any) -> None:
    plugins.register(plugins.ANALYSES, name, analysis)


def test_the_shipped_one_says_what_each_step_cost() -> None:
    ((_, table),) = sections_of(RUN)["cost"].tables
    assert table["pulses"].tolist() == [5]
    assert sections_of(RunTables(title="", steps=(), summary={})) == {}


def test_one_of_somebody_else_is_given_tables_and_numbers() -> None:
    def rows(run: RunTables) -> Section:
        return Section("Rows", f"{len(run.steps[0].frame)} rows, {run.summary['g_read_median']} S")

    offer("rows", rows)
    assert sections_of(RUN)["rows"].text == "2 rows, 1e-06 S"
    offer("rows", lambda run: None)
    assert "rows" not in sections_of(RUN)


@pytest.mark.parametrize(
    ("analysis", "said"),
    [(lambda run: 1 / 0, "ZeroDivisionError"), (lambda run: "text", "returned str"), (lambda: None, "TypeError")],
)
def test_one_that_fails_says_so_in_its_place(analysis: Any, said: str) -> None:
    offer("mine", analysis)
    found = sections_of(RUN)
    assert said in found["mine"].text
    assert "this session" in found["mine"].text
    assert "cost" in found


def test_a_report_has_its_section_and_figure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(runner, "open_bench", FakeBench().opener())
    (tmp_path / "bench.station.yaml").write_text("# a fake\n", encoding="utf-8")
    (tmp_path / "small.md").write_text(RUNBOOK, encoding="utf-8")

    def mine(run: RunTables) -> Section:
        """Say what was done."""
        from xbarlab.analysis.plots.plots import new_figure

        return Section("What was done", str(run.steps[0].plan["cells"]), [("Nothing.", new_figure()[0])])

    offer("mine", mine)
    run_runbook(tmp_path / "small.md", out=tmp_path / "out", quiet=True)
    assert "What was done" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert {path.name for path in (tmp_path / "out" / "figures").iterdir()} >= {"look.png", "cost.png", "mine.png"}


def test_a_name_taken_twice_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from support.packages import install

    install(tmp_path, "one", "[xbarlab.analyses]\ncost = one:cost\n", one="def cost(run): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "small.md").write_text(RUNBOOK, encoding="utf-8")
    with pytest.raises(RefusedError, match="analysis 'cost' is offered twice, by xbarlab"):
        load_runbook(tmp_path / "small.md")
