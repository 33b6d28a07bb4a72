"""Every step has a picture while it lasts, those of plug-ins too; what it costs is bounded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from support.fake_array import FakeArray
from xbarlab.instruments.block import Block
from xbarlab.protocols.keeping import live_picture
from xbarlab.protocols.keeping.dataset import Axis, Variable
from xbarlab.protocols.keeping.live_picture import LivePicture
from xbarlab.protocols.keeping.live_rows import LiveRows
from xbarlab.protocols.keeping.run import Run


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """Draw at once, and tell what is drawn."""
    from xbarlab.analysis.plots import so_far

    found: list[dict[str, object]] = []
    draw = so_far.so_far

    def told(**what: object) -> object:
        found.append(what)
        return draw(**what)  # type: ignore[arg-type]

    monkeypatch.setattr(so_far, "so_far", told)
    monkeypatch.setattr(live_picture, "WATCH_SECONDS", 0.0)
    monkeypatch.setattr(live_picture, "DRAWN_SHARE", 1e9)
    return found


def test_a_step_of_anybody_has_a_picture_while_it_lasts(
    tmp_path: Path, drawn: list[dict[str, object]], capsys: pytest.CaptureFixture[str]
) -> None:
    array = FakeArray()
    with Run(tmp_path / "run") as run, run.step("mine", array):
        block = Block(1, 3, 2, 2)
        with run.measure("read", range(3), block, conductance="S") as work:
            for _ in work:
                work.keep(conductance=array.read(block).conductance)
                assert (tmp_path / "run" / "live_mine.png").read_bytes().startswith(b"\x89PNG")
    assert len(drawn) == 4, "one for every unit, and how it ended"
    assert drawn[-1]["corner"] == (1, 2)
    assert np.shape(drawn[-1]["latest"]) == (3, 2)
    assert capsys.readouterr().err.count("mine: watch ") == 1


def test_cells_that_come_one_by_one_become_a_map(tmp_path: Path, drawn: list[dict[str, object]]) -> None:
    axes = [Axis("row", "Row"), Axis("col", "Column"), Axis("step", "Step")]
    variables = [Variable("volts", "Voltage", "V"), Variable("conductance", "Conductance", "S")]
    rows = LiveRows(LivePicture(tmp_path), "form", axes, variables)
    for row, col, value in ((0, 1, 1e-6), (2, 0, 3e-6), (0, 1, 2e-6)):
        rows.took({"row": row, "col": col, "step": 0}, {"volts": 1.0, "conductance": value})
    latest = np.asarray(drawn[-1]["latest"])
    assert latest.shape == (3, 2)
    assert (latest[0, 1], latest[2, 0]) == (2e-6, 3e-6)
    assert np.isnan(latest).sum() == 4


def test_a_curve_is_drawn_against_its_volts(tmp_path: Path, drawn: list[dict[str, object]]) -> None:
    axes = [Axis("row", "Row"), Axis("col", "Column"), Axis("point", "Point", values=np.arange(4))]
    variables = [Variable("volts", "Voltage", "V"), Variable("current", "Current", "A")]
    rows = LiveRows(LivePicture(tmp_path), "iv", axes, variables)
    rows.took({"row": 0, "col": 0}, {"volts": [0.0, 1.0, 0.5, 0.0], "current": [0.0, 1e-4, np.nan, 0.0]})
    name, volts = drawn[-1]["x"]  # type: ignore[misc]
    assert name == "Voltage [V]"
    assert list(volts) == [0.0, 1.0, 0.5, 0.0]


def test_a_picture_that_cannot_be_drawn_ends_nothing(tmp_path: Path, drawn: list[dict[str, object]]) -> None:
    rows = LiveRows(LivePicture(tmp_path), "odd", [Axis("n", "N")], [Variable("text", "Text")])
    rows.took({"n": 0}, {"text": "none"})
    rows.took({"n": 1}, {})
    rows.took({"n": 2}, {"text": [[[1.0]]]})


def test_pictures_take_a_twentieth_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(live_picture.time, "monotonic", lambda: now[0])
    picture, times = LivePicture(tmp_path, quiet=True), []

    def draw() -> object:
        times.append(now[0])
        now[0] += 4.0
        raise ValueError("no picture")

    for second in range(400):
        now[0] = max(now[0], float(second))
        picture.show("slow", draw)  # type: ignore[arg-type]
    assert times[0] >= live_picture.WATCH_SECONDS
    assert 4.0 * len(times) <= 0.06 * 400.0
