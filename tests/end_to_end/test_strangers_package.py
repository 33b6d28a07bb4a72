"""A stranger's package, installed in a fresh environment: it is listed, and all of it runs in runbooks."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tests" / "strangers_lab"
OFFERS = ("twice_read", "StrangersBox", "timid", "sticky", "longest")
BOX = """instruments:
  box: {type: StrangersBox, init: {ohms: 2.0e+5}}
xbarlab: {array: box}
"""
SMALL = """---
title: A box of somebody else's
station: box.station.yaml
steps:
  - {id: twice, twice_read: {}}
expect:
  read_scatter: {min: 1.0e-10, max: 1.0e-7}
---
A stranger's step on a stranger's instrument.
"""
TRAINING = """---
title: A rule of somebody else's on cells of somebody else's
station: sticky.station.yaml
steps:
  - {id: twice, twice_read: {cells: "0:4,0:4"}}
  - id: cnn
    train_cnn_mnist:
      {rule: timid, rule_options: {share_written: 0.2}, pulse_volts: 1.5, pulse_step: 1.0e-6, epochs: 1,
       train_examples: 60, test_examples: 40, checkpoint_every: 5, evaluations: 1, twin: false}
---
A stranger's update rule and step on a mock chip of a stranger's device model.
"""

pytestmark = pytest.mark.slow


def said(value: float, unit: str = "1") -> dict[str, Any]:
    return {"value": value, "unit": unit, "source": "assumed: a test"}


STICKY = {
    "share": said(0.01),
    "G_min": said(1e-6, "S"),
    "G_max": said(2e-4, "S"),
    "threshold": said(1.0, "V"),
    "gate_threshold": said(0.5, "V"),
    "read_noise": said(0.005),
    "stuck_fraction": said(0.0),
}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment that sees what is installed here, and the stranger's package."""
    place = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    bin_folder = place / ("Scripts" if os.name == "nt" else "bin")
    (python,) = [path for path in (bin_folder / "python", bin_folder / "python.exe") if path.exists()]
    ask = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    site = Path(subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip())
    here = sysconfig.get_paths()["purelib"]
    (site / "here.pth").write_text(f"import site; site.addsitedir({here!r})\n", encoding="utf-8")
    source = place / "source"
    subprocess.run(
        [sys.executable, "-c", f"import shutil; shutil.copytree({str(PACKAGE)!r}, {str(source)!r})"], check=True
    )
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--no-deps", "--target", str(site), str(source)], check=True)
    return python


def xbarlab(python: Path, folder: Path, *arguments: str) -> str:
    env = {**os.environ, "XBARLAB_WEAR": str(folder / "wear")}
    done = subprocess.run(
        [python, "-m", "xbarlab.cli", *arguments], cwd=folder, env=env, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_each_part_is_short() -> None:
    for path in (PACKAGE / "strangers_lab").glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) < 40, path.name


def test_it_is_listed_with_where_it_comes_from(python: Path, tmp_path: Path) -> None:
    shown = xbarlab(python, tmp_path, "list")
    for name in OFFERS:
        assert re.search(rf"^  {name} +strangers-lab 1\.0  \w", shown, re.MULTILINE), name


def test_its_step_runs_on_its_instrument(python: Path, tmp_path: Path) -> None:
    (tmp_path / "box.station.yaml").write_text(BOX, encoding="utf-8")
    (tmp_path / "small.md").write_text(SMALL, encoding="utf-8")
    assert "twice_read" in xbarlab(python, tmp_path, "run", "small.md", "--dry-run")
    xbarlab(python, tmp_path, "run", "small.md", "--check", "--out", "out")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert summary["read_scatter"] == pytest.approx(5e-6 * 0.001 * 0.5, rel=1.0)
    card = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert "strangers-lab 1.0" in card["versions"]
    assert "Strangers, Box" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_its_rule_trains_cells_of_its_device_model(python: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    stations, yaml = ROOT / "runbooks" / "stations", YAML(typ="safe", pure=True)
    profile = yaml.load((ROOT / "mockhw" / "profiles" / "gate_voltage_1t1r.yaml").read_text(encoding="utf-8"))
    profile |= {"model": "sticky", "name": "sticky", "parameters": STICKY}
    with (tmp_path / "sticky.profile.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(profile, file)
    for kind in ("bench", "chip", "station"):
        text = (stations / f"mock_gate_voltage.{kind}.yaml").read_text(encoding="utf-8")
        text = text.replace("profile: gate_voltage_1t1r", "profile: sticky.profile.yaml")
        text = text.replace("mock_gate_voltage", "sticky")
        (tmp_path / f"sticky.{kind}.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "training.md").write_text(TRAINING, encoding="utf-8")
    xbarlab(python, tmp_path, "run", "training.md", "--out", "out")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert summary["steps"] > 0
    assert summary["pulses"] > 0
    assert summary["read_scatter"] > 0
    assert "The slowest step" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
