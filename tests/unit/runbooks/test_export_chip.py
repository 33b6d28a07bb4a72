"""``xbarlab export --to chip|aihwkit|crosssim`` and ``xbarlab report A B``: whole runs, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray

from support.fake_array import FakeBench
from xbarlab import cli
from xbarlab.runbooks.commands.export_chip import CHIP_FORMATS, export_chip
from xbarlab.runbooks.runner import runner
from xbarlab.runbooks.runner.runner import run_runbook

RUNBOOK = """---
title: {title}
station: bench.station.yaml
steps:
  - {{id: virgin, read_array: {{cells: all}}}}
  - {{id: after, read_array: {{cells: "0:2,0:2"}}}}
---
Text.
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two runs."""
    folder = tmp_path_factory.mktemp("measured")
    (folder / "bench.station.yaml").write_text("# a fake\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "open_bench", FakeBench().opener())
        for seed, name in enumerate(("one", "two")):
            book = folder / f"{name}.md"
            book.write_text(RUNBOOK.format(title=f"Reads of {name}"), encoding="utf-8")
            run_runbook(book, out=folder / "runs" / name, seed=seed, quiet=True)
    return folder / "runs"


@pytest.fixture
def runs(measured: Path, tmp_path: Path) -> tuple[Path, Path]:
    folder = shutil.copytree(measured, tmp_path / "runs")
    return folder / "one", folder / "two"


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = cli.main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, " ".join(err.split())


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_becomes_one_file_of_its_chip(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "export", str(runs[0]), "--to", "chip")
    assert (code, out.split()) == (0, [str(runs[0] / "export" / "chip.nc")])
    with xarray.open_dataset(runs[0] / "export" / "chip.nc", engine="h5netcdf") as data:
        assert data["virgin_conductance"].dims == ("row", "col")
        assert data["after_conductance"].shape == data["virgin_conductance"].shape
        assert np.isfinite(data["after_conductance"].values).sum() == 4
        assert data["step"].values.tolist() == ["virgin", "after"]
        assert data.attrs["xbarlab_limits"].startswith("set_volts_max ")
        summary = json.loads((runs[0] / "summary.json").read_text(encoding="utf-8"))
        assert float(data["summary_virgin_g_read_median"]) == summary["virgin.g_read_median"]
    assert [path.name for path in (runs[0] / "export").iterdir()] == ["chip.nc"]


@pytest.mark.parametrize("form", ["aihwkit", "crosssim"])
def test_a_run_without_the_steps_is_refused_and_they_are_named(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str], form: str
) -> None:
    before = files(runs[0])
    code, _, err = said(capsys, "export", str(runs[0]), "--to", form)
    assert code == 2
    assert "a step pulse_response would give it, and this run has none" in err
    assert ("a step read_verify would give it" in err) == (form == "aihwkit")
    assert "Traceback" not in err
    assert files(runs[0]) == before


@pytest.mark.parametrize("form", sorted(CHIP_FORMATS))
def test_what_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    code, _, err = said(capsys, "export", str(tmp_path), "--to", form)
    assert (code, "it is not the folder of a run" in err) == (2, True)
    code, _, err = said(capsys, "export", str(tmp_path / "gone"), "--to", form)
    assert (code, "there is no folder" in err) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_is_refused_with_all_there_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = said(capsys, "export", str(tmp_path), "--to", "crossim")
    assert code == 2
    assert "aihwkit, chip, crosssim, csv, netcdf, parquet; did you mean 'crosssim'?" in err


def test_a_file_that_cannot_be_written_leaves_no_half(
    runs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    export_chip(runs[0], "chip")
    before = files(runs[0])

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xarray.Dataset, "to_netcdf", full)
    code, _, err = said(capsys, "export", str(runs[0]), "--to", "chip")
    assert code == 2
    assert "chip.nc cannot be written: No space left on device" in err
    assert "then export it again" in err
    assert files(runs[0]) == before


def test_two_runs_are_put_side_by_side(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    before = [files(folder) for folder in runs]
    code, out, _ = said(capsys, "report", str(runs[0]), str(runs[1]))
    page = runs[0].with_name("one_beside_two.html")
    assert (code, out.strip()) == (0, str(page))
    text = page.read_text(encoding="utf-8")
    assert "Reads of one · Reads of two" in text
    assert text.count("data:image/png") >= 4
    assert "virgin.g_read_median" in text
    assert "FAKE, ARRAY, 0001" in text
    assert "http" not in text.replace("http://www.w3.org", "")
    assert [files(folder) for folder in runs] == before
    other = runs[0].parent / "page.html"
    assert said(capsys, "report", str(runs[0]), str(runs[1]), "--out", str(other))[:2] == (0, f"{other}\n")


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["one", "two", "one"], "3 folders are given: a report is of one run, or of two side by side; choose two"),
        (["one", "two/../one"], "are the same run: give the folders of two runs"),
        (["one", "gone"], "there is no folder"),
        (["one", "."], "it is not the folder of a run"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str], names: list[str], sentence: str
) -> None:
    code, _, err = said(capsys, "report", *(str(runs[0].parent / name) for name in names))
    assert code == 2
    assert sentence in err
    assert not list(runs[0].parent.glob("*.html"))


def test_one_run_has_its_report_in_its_folder(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "report", str(runs[0]))[:2] == (0, f"{runs[0] / 'report.html'}\n")
    text = (runs[0] / "report.html").read_text(encoding="utf-8")
    assert "<dt>Limits</dt><dd>set_volts_max " in text
    code, _, err = said(capsys, "report", str(runs[0]), "--out", "x.html")
    assert (code, "--out names the page of two runs" in err) == (2, True)
