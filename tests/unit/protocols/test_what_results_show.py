"""What results say in their figures and their part of the report: limits, median loops, training to its end."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from xbarlab.analysis.plots.plots import new_figure
from xbarlab.analysis.report.report import Section
from xbarlab.instruments.array_spec import ArraySpec
from xbarlab.protocols.keeping.finished import FinishedStep, drawn
from xbarlab.protocols.keeping.live_picture import LivePicture
from xbarlab.protocols.measure.dc_sweep import DcSweepResult
from xbarlab.protocols.measure.neighbours import SHARED, limit_acts_on


def sweeps(cells: int, cycles: int, **changes: Any) -> DcSweepResult:
    up = np.concatenate([np.linspace(0.0, 1.4, 15), np.linspace(1.3, 0.0, 14)])
    volts = np.broadcast_to(np.concatenate([up, -up]), (cells, cycles, 58)).copy()
    fields: dict[str, Any] = {
        "cells": [(0, k) for k in range(cells)],
        "volts": volts,
        "current": 6e-4 * volts,
        "flags": np.zeros(volts.shape, np.uint8),
        "read_volts": 0.2,
        "compliance": 650e-6,
        "reset_compliance": 2e-3,
    }
    return DcSweepResult(**(fields | changes))


def legends(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


@pytest.mark.parametrize(("cells", "cycles"), [(1, 1), (1, 2), (3, 1), (12, 2)])
def test_the_caption_names_a_median_loop_where_there_is_one(cells: int, cycles: int) -> None:
    caption, figure = sweeps(cells, cycles).section().figures[0]
    assert isinstance(figure, Figure)
    assert ("median" in caption) is ("median loop" in legends(figure)) is (cells * cycles > 1)


def test_a_limit_that_other_cells_share_is_explained_where_the_cell_exceeds_it() -> None:
    shared = sweeps(2, 1, limit_acts_on=SHARED)
    assert f"compliance 650 µA (up to 840 µA measured: the limit is of {SHARED})" in legends(shared.plot())
    assert "compliance 2.00 mA" in legends(shared.plot())
    assert "Its own current" in shared.section().text
    assert "Its own current" not in sweeps(2, 1).section().text


def test_which_schemes_share_a_limit() -> None:
    passive = ArraySpec(name="p", rows=8, cols=8, cell="passive", write_schemes=("V/2", "float"))
    assert limit_acts_on(passive, None) == SHARED
    assert limit_acts_on(passive, "float") == ""
    assert limit_acts_on(ArraySpec(name="t", rows=8, cols=8, cell="1T1R"), None) == ""


def test_a_live_picture_shows_how_its_step_ended_however_short_ago_it_was_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xbarlab.protocols.keeping.live_picture.WATCH_SECONDS", 0.0)
    live, asked = LivePicture(tmp_path, quiet=True), list[str]()

    def draw(name: str) -> Figure:
        asked.append(name)
        figure, ax = new_figure(2.0, 1.0)
        ax.set_title(name)
        return figure

    live.show("train", lambda: draw("update 50"))
    monkeypatch.setattr("xbarlab.protocols.keeping.live_picture.WATCH_SECONDS", 1e9)
    live.show("another step", lambda: draw("never drawn before"), last=True)
    before = (tmp_path / "live_train.png").read_bytes()
    live.show("train", lambda: draw("update 55"))
    live.show("train", lambda: draw("update 60"), last=True)
    assert asked == ["update 50", "update 60"]
    assert (tmp_path / "live_train.png").read_bytes() != before


@pytest.mark.parametrize("leads", [True, False])
def test_a_kept_section_still_leads(tmp_path: Path, leads: bool) -> None:
    figure, _ = new_figure(2.0, 1.0)
    kept = FinishedStep(tmp_path, "train")
    kept.save_section(drawn(Section("Training", "x", [("c", figure)], leads=leads)))
    section = kept.section()
    assert section is not None
    assert section.leads is leads
