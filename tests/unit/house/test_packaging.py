"""The package list in pyproject.toml against the tree, and the wheel against a hyphenated directory."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
NOT_CODE = {"tests", "docs", "build", "dist", "runs"}


def test_every_package_of_the_tree_is_listed() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    places = {folder: name for name, folder in settings["package-dir"].items()}
    found = set()
    for init in ROOT.rglob("__init__.py"):
        folder = init.parent.relative_to(ROOT)
        parts = folder.parts
        if parts and (parts[0] in NOT_CODE or parts[0].startswith(".") or "venv" in parts[0]):
            continue
        place = folder.as_posix()
        found.add(places.get(place) or ".".join(("xbarlab", *parts)))
    assert found == set(settings["packages"])


def test_quantities_of_reports_are_documented() -> None:
    from xbarlab.analysis.quantities import QUANTITIES

    documented = (ROOT / "docs" / "quantities.md").read_text(encoding="utf-8")
    missing = [name for name in QUANTITIES if f"`{name}`" not in documented]
    assert not missing, f"define {missing} in docs/quantities.md"


def test_the_command_line_imports_nothing_heavy() -> None:
    heavy = {"numpy", "qcodes", "pandas", "matplotlib", "numba", "pydantic"}
    code = f"import sys, xbarlab.cli; print(sorted({heavy} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    assert out.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_wheel_runs_a_runbook_from_a_directory_with_a_hyphen(tmp_path: Path) -> None:
    place = tmp_path / "a-lab-computer"
    place.mkdir()
    source = tmp_path / "source"  # pip leaves a build folder beside what it builds
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".git", "build", "runs", "*.egg-info", "__pycache__"))
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(source)], check=True)
    (wheel,) = tmp_path.glob("xbarlab-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(place), str(wheel)], check=True)
    env = {**os.environ, "PYTHONPATH": str(place)}
    where = subprocess.run(
        [sys.executable, "-c", "import xbarlab, pyvisa_xbarlab; print(xbarlab.__file__, pyvisa_xbarlab.__file__)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=place,
        env=env,
    ).stdout
    assert where.count("a-lab-computer") == 2
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "xbarlab.cli",
            "run",
            "first_light_1t1r",
            "--out",
            "out",
            "--set",
            "form.cells=0:8,0:8",
            "--set",
            "yield.cells=0:8,0:8",
            "--set",
            "iv.cells=0:1,0:2",
            "--set",
            "baseline.cells=0:4,0:8",
            "--set",
            "program.cells=0:8,0:8",
        ],
        capture_output=True,
        text=True,
        cwd=place,
        env=env,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert (place / "out" / "report.html").stat().st_size > 100_000
