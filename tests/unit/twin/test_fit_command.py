"""``xbarlab twin fit`` from the command line: what it writes, and one sentence for what cannot be done."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xbarlab.cli import main
from xbarlab.mockhw.chip.profile import load_profile
from xbarlab.twin.fitting import candidates
from xbarlab.twin.fitting.evaluation import without_blocks

DESCRIPTION = """\
format: xbarlab-data/1
title: "a chip of a test"
source: "made here"
licence: "none"
structure: 1T1R
data:
  - id: reset_volts
    files: reset.csv
    columns:
      cell: cell
      volts: {column: volts, unit: V}
      gate: {value: 3.5 V}
      width: {value: 200 ns}
      before: {column: before, unit: UNIT}
      after: {column: after, unit: UNIT}
    protocol:
      kind: pulse_sweep
      polarity: reset
      swept: volts
      stop_beyond: 10 uS
"""
MAP = """\
  - id: map
    files: map.csv
    columns: {row: cell, col: cell, conductance: {column: after, unit: S}}
    protocol: {kind: map}
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    made = candidates.reset_volts(without_blocks(load_profile("hfo2_1t1r").parameters), 40, 3).table
    made.to_csv(folder / "reset.csv", index=False)
    made[["cell", "after"]].drop_duplicates("cell").to_csv(folder / "map.csv", index=False)
    return folder


def described(bench: Path, name: str, text: str) -> str:
    path = bench / f"{name}.data.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_description_becomes_a_profile_with_its_report(
    bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = described(bench, "mine", DESCRIPTION.replace("UNIT", "S"))
    out = tmp_path / "mine.profile.yaml"
    line = ["twin", "fit", told, "--free", "reset.UR", "--minutes", "0.05", "--jobs", "1", "-o", str(out)]
    assert main(line) == 0
    said = capsys.readouterr()
    assert said.out.startswith("a chip of a test: fitted on every second group of 4 cells, held against the rest.\n")
    profile = load_profile(out)
    assert profile.posterior is not None
    assert profile.posterior.parameters == ("reset.UR",)
    assert np.isfinite(profile.posterior.covariance[0][0])
    assert (tmp_path / "mine.fit" / "report.md").is_file()
    assert main(line) == 2
    assert "mine.profile.yaml is there already: give another name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        ({"UNIT": "mS"}, [], "is the column in"),
        ({"UNIT": "S", "pulse_sweep": "pulse_swep"}, [], "unknown kind 'pulse_swep'"),
        ({"UNIT": "S"}, ["--only", "rest_volts"], "unknown measurement 'rest_volts': choose from reset_volts"),
        ({"UNIT": "S"}, ["--free", "set.VOS"], "the model has no set.VOS"),
        ({"UNIT": "S"}, ["--profile", "hfo2"], "profile 'hfo2' is neither a file nor shipped"),
        ({"UNIT": "S", "structure: 1T1R": "structure: passive"}, [], "replayed are of 1T1R cells pulse_sweep"),
        ({"UNIT": "S", "column: after": "column: before"}, [], "hold"),
    ],
)
def test_what_cannot_be_fitted_is_one_sentence(
    bench: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, str],
    options: list[str],
    said: str,
) -> None:
    text = DESCRIPTION
    for old, new in change.items():
        text = text.replace(old, new)
    if said == "hold":
        options, said = ["--hold-out", "chips"], "all data are of one chip"
    code = main(["twin", "fit", described(bench, "bad", text), *options, "-o", str(tmp_path / "x.profile.yaml")])
    err = capsys.readouterr().err
    assert code == 2
    assert said in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_data_of_which_nothing_is_replayed_are_refused_with_what_is(
    bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = DESCRIPTION.partition("  - id")[0] + MAP
    assert main(["twin", "fit", described(bench, "map", text), "-o", str(tmp_path / "x.profile.yaml")]) == 2
    said = capsys.readouterr().err
    assert (
        "no measurement has a protocol that can be replayed: map (map); replayed are of 1T1R cells pulse_sweep, forming"
        in said
    )


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["twin", "fit", "nothing", "-o", str(tmp_path / "mine")]) == 2
    assert "a profile is a YAML file: call it mine.profile.yaml" in capsys.readouterr().err
    assert main(["twin", "fit", "nothing", "-o", str(tmp_path / "no" / "mine.yaml")]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_a_profile_is_held_against_data_as_it_is(
    bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = described(bench, "checked", DESCRIPTION.replace("UNIT", "S"))
    line = ["twin", "check", told, "--profile", "hfo2_1t1r", "--jobs", "1", "--quiet", "-o", str(tmp_path / "report")]
    assert main(line) == 0
    said = capsys.readouterr().out
    assert "profile hfo2_1t1r as it is" in said
    page = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "| panel | measured | mock | error | KS | KS by luck |\n" in page
    assert "before" not in page.partition("## How it was done")[0]
    assert (tmp_path / "report" / "reset_volts.png").is_file()
    assert main(line) == 2
    assert "give another name" in capsys.readouterr().err
