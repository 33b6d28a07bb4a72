"""What files from others may do: nothing but say what they say. No code, no memory, no path, no markup of theirs."""

from __future__ import annotations

import ast
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.fake_array import FakeBench
from xbarlab import cli
from xbarlab.analysis.report.report import Section, render_report
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.block import Block
from xbarlab.instruments.chip.chip_file import load_chip
from xbarlab.instruments.station.station_file import read_station
from xbarlab.mockhw.bench.bench import fresh_bench
from xbarlab.mockhw.bench.file import BenchFileError, load_bench_file
from xbarlab.mockhw.chip.profile import ProfileError, load_profile
from xbarlab.protocols.programming.targets import load_target
from xbarlab.runbooks.runner import runner
from xbarlab.runbooks.runner.front_matter import scalar
from xbarlab.runbooks.runner.record import safe_name
from xbarlab.runbooks.runner.schema import load_runbook

ROOT = Path(__file__).parents[3]
CODE = ("instruments", "protocols", "analysis", "mockhw", "runbooks")
# A tool for who makes the data sets that are shipped, never run from what is installed; it refuses every class.
TOOLS = {"protocols/training/tasks/make_data.py"}

# -- YAML builds nothing -----------------------------------------------------------------------------------------------

READERS: dict[str, Callable[[Path], object]] = {
    "chip file": load_chip,
    "station file": read_station,
    "bench file": load_bench_file,
    "profile": load_profile,
    "runbook": load_runbook,
}
TAGS = [
    '!!python/object/apply:os.mkdir ["{there}"]',
    '!!python/object/new:os.mkdir [["{there}"]]',
    "!!python/object:pathlib.Path {{}}",
    "!!python/name:os.mkdir x",
    "!!python/module:os x",
    '!<tag:yaml.org,2002:python/object/apply:os.mkdir> ["{there}"]',
]


def written(folder: Path, kind: str, content: str) -> Path:
    path = folder / ("own.md" if kind == "runbook" else "own.yaml")
    path.write_text(f"---\n{content}\n---\n" if kind == "runbook" else f"{content}\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("where", ["{tag}", "id: {tag}", "title: {tag}", "steps: [{{id: a, read_array: {tag}}}]"])
@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("kind", READERS)
def test_tags_of_yaml_build_nothing(tmp_path: Path, kind: str, tag: str, where: str) -> None:
    there = tmp_path / "made"
    path = written(tmp_path, kind, where.format(tag=tag.format(there=there.as_posix())))
    with pytest.raises((RefusedError, BenchFileError, ProfileError)) as caught:
        READERS[kind](path)
    assert "\n" not in str(caught.value)
    assert not there.exists()


@pytest.mark.parametrize("tag", TAGS)
def test_values_of_the_command_line_build_nothing(tmp_path: Path, tag: str) -> None:
    there = tmp_path / "made"
    assert isinstance(scalar(tag.format(there=there.as_posix())), str | list | dict)
    assert not there.exists()


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize(
    "content", [bomb(12), "a: " + "[" * 5_000, "a: " + "x" * (2 << 20)], ids=["aliases", "depth", "size"]
)
def test_a_file_that_is_too_much_is_one_sentence(tmp_path: Path, kind: str, content: str) -> None:
    begun = time.monotonic()
    with pytest.raises((RefusedError, BenchFileError, ProfileError)) as caught:
        READERS[kind](written(tmp_path, kind, content))
    assert time.monotonic() - begun < 20.0
    assert len(str(caught.value)) < 1000


# -- nothing is unpickled ----------------------------------------------------------------------------------------------


class Trap:
    """Leaves a trace where it is unpickled."""

    def __init__(self, there: Path) -> None:
        self.there = there

    def __reduce__(self) -> Any:
        return Path.mkdir, (self.there,)


def trap(folder: Path) -> np.ndarray:
    made = np.empty((1, 1), dtype=object)
    made[0, 0] = Trap(folder / "made")
    return made


def test_the_trap_works(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(trap(tmp_path)))
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize("name", ["target.npy", "target.csv"])
def test_a_target_map_is_not_unpickled(tmp_path: Path, name: str) -> None:
    with (tmp_path / name).open("wb") as file:
        np.save(file, trap(tmp_path), allow_pickle=True)
    with pytest.raises(RefusedError, match="cannot be read"):
        load_target(tmp_path / name, Block(0, 1, 0, 1))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("profile", ["ta_hfo2_1t1r", "tio2_passive"])
def test_the_state_of_a_mock_chip_is_not_unpickled(tmp_path: Path, profile: str) -> None:
    name = {"ta_hfo2_1t1r": "mock_ta_hfo2", "tio2_passive": "mock_tio2"}[profile]
    chip = fresh_bench(ROOT / "runbooks" / "stations" / f"{name}.bench.yaml").chip
    chip.save(tmp_path / "chip.npz")
    with np.load(tmp_path / "chip.npz") as saved:
        arrays = {key: trap(tmp_path) for key in saved.files}
    np.savez(tmp_path / "chip.npz", allow_pickle=True, **arrays)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        chip.load(tmp_path / "chip.npz")
    assert not (tmp_path / "made").exists()


def test_no_module_can_unpickle_or_run_text() -> None:
    looked, found = 0, []
    for folder in CODE:
        for path in (ROOT / folder).rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            looked += 1
            if name not in TOOLS:
                found += [f"{name}:{line} {what}" for line, what in dangers(ast.parse(path.read_text("utf-8")))]
    assert looked > 150
    assert found == []


def dangers(tree: ast.AST) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            found += [(node.lineno, n) for n in names if n.partition(".")[0] in {"pickle", "dill", "joblib", "shelve"}]
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            options = {word.arg: ast.unparse(word.value) for word in node.keywords}
            if called in {"eval", "exec", "torch.load", "os.system"} or called.endswith("read_pickle"):
                found.append((node.lineno, called))
            if called in {"np.load", "numpy.load"} and options.get("allow_pickle") != "False":
                found.append((node.lineno, f"{called} without allow_pickle=False"))
            if called.endswith("YAML") and options.get("typ") not in {"'safe'", "'rt'"}:
                found.append((node.lineno, f"{called} that may build objects"))
            if options.get("shell") == "True":
                found.append((node.lineno, f"{called} in a shell"))
    return found


@pytest.mark.parametrize(
    "text",
    ["import pickle", "from pickle import loads", "np.load(x)", "np.load(x, allow_pickle=True)", "YAML(typ='unsafe')",
     "YAML()", "eval(x)", "torch.load(x)", "pd.read_pickle(x)", "run(x, shell=True)"],
)  # fmt: skip
def test_dangers_are_seen(text: str) -> None:
    assert dangers(ast.parse(text))


# -- nothing is written beside --out -----------------------------------------------------------------------------------

RUNBOOK = """---
title: {title}
station: bench.station.yaml
steps:
  - {{id: {step}, read_array: {{cells: all}}}}
---
Text for a person. {title}
"""
MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> FakeBench:
    fake = FakeBench()
    monkeypatch.setattr(runner, "open_bench", fake.opener())
    return fake


def run(folder: Path, name: str, *, step: str = "look", title: str = "A title") -> tuple[int, set[str]]:
    """Run a runbook into ``folder/in/out``; return the exit code and what appeared outside of that."""
    (folder / "in").mkdir()
    (folder / "bench.station.yaml").write_text("# a fake\n", encoding="utf-8")
    book = folder / name
    book.write_text(RUNBOOK.format(step=step, title=title), encoding="utf-8")
    before = set(folder.rglob("*"))
    code = cli.main(["run", str(book), "--out", str(folder / "in" / "out"), "--quiet"])
    new = {path for path in set(folder.rglob("*")) - before if folder / "in" / "out" not in (path, *path.parents)}
    return code, {str(path) for path in new}


@pytest.mark.parametrize("step", ["../escaped", "a/b", "..", "'C:x'", "'a\\b'", "/tmp/x", '"a\\0b"', "ab.", "é"])
def test_a_step_s_id_is_no_path(bench: FakeBench, tmp_path: Path, step: str) -> None:
    code, outside = run(tmp_path, "small.md", step=step)
    assert code == 2
    assert bench.opened == 0
    assert outside == set()


def test_names_of_files_stay_in_the_folder_of_the_run(bench: FakeBench, tmp_path: Path) -> None:
    code, outside = run(tmp_path, "..odd name.md", title="'../../title'")
    assert code == 0
    assert outside == set()
    assert (tmp_path / "in" / "out" / "report.html").is_file()


@pytest.mark.parametrize(
    "text", ["../../x", "/etc/passwd", "..", ".", "", "C:\\x", "a/../../b", "x\0y", "\\\\host\\share", "..\\..\\x", "~"]
)
def test_names_from_data_are_made_safe(tmp_path: Path, text: str) -> None:
    made = safe_name(text)
    assert made
    assert not set(made) & set('/\\:\0<>"|?*~')
    assert made not in {".", ".."}
    assert (tmp_path / made).resolve().parent == tmp_path.resolve()


def test_a_dataset_s_name_is_no_path(bench: FakeBench, tmp_path: Path) -> None:
    import sqlite3

    run(tmp_path, "small.md")
    out = tmp_path / "in" / "out"
    with sqlite3.connect(out / "data.db") as connection:
        connection.execute("UPDATE runs SET name = '../../../escaped'")
    before = set(tmp_path.rglob("*"))
    assert cli.main(["export", str(out), "--to", "csv"]) == 0
    new = {path for path in set(tmp_path.rglob("*")) - before if path.is_file()}
    assert new
    assert all(path.parent == out / "export" for path in new)


# -- nothing in a report is markup of a file ---------------------------------------------------------------------------


def test_text_of_files_is_escaped_in_a_report(bench: FakeBench, tmp_path: Path) -> None:
    code, _ = run(tmp_path, "small.md", title=f"'{MARKUP}'")
    html = (tmp_path / "in" / "out" / "report.html").read_text(encoding="utf-8")
    assert code == 0
    assert "&lt;script&gt;alert(1)" in html
    assert "<script" not in html
    assert "<img src=x" not in html


def test_every_text_of_a_report_is_escaped() -> None:
    from pandas import DataFrame

    table = DataFrame({MARKUP: [MARKUP]})
    html = render_report(
        title=MARKUP,
        lead=MARKUP,
        summary={MARKUP: 1.0, f"step.{MARKUP}": 2.0},
        sections=[Section(MARKUP, MARKUP, [], [(MARKUP, table)])],
        provenance={MARKUP: MARKUP},
        failures={MARKUP: 1},
    )
    assert html.count("&lt;script&gt;") >= 8
    assert "<script" not in html
    assert "<img src=x" not in html
    assert "onerror=alert(2)>" not in html
