"""Files of users: one reader each for YAML, JSON and arrays, and nothing immense gets past it."""

from __future__ import annotations

import ast
import io
import json
import re
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xbarlab.common.errors import RefusedError
from xbarlab.common.files import read_array, read_arrays, read_json, read_text
from xbarlab.common.yaml_files import ENTRIES_MAX, YamlError, parse_yaml, read_yaml
from xbarlab.instruments.chip.chip_file import load_chip
from xbarlab.instruments.station.station_file import read_station
from xbarlab.mockhw.bench.file import BenchFileError, load_bench_file
from xbarlab.mockhw.chip.profile import ProfileError, load_profile
from xbarlab.runbooks.runner.schema import load_runbook

ROOT = Path(__file__).parents[3]
ROOMS = ("cli.py", "__init__.py", "common", "instruments", "protocols", "analysis", "mockhw", "runbooks")
READER = "common/yaml_files.py"
REFUSALS = (RefusedError, BenchFileError, ProfileError)

KINDS: dict[str, Callable[[Path], object]] = {
    "chip file": load_chip,
    "station file": read_station,
    "bench file": load_bench_file,
    "profile": load_profile,
    "runbook": load_runbook,
}


def written(folder: Path, kind: str, content: str) -> Path:
    path = folder / ("own.md" if kind == "runbook" else "own.yaml")
    path.write_text(f"---\n{content}\n---\n" if kind == "runbook" else f"{content}\n", encoding="utf-8")
    return path


def lists(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    return "\n".join(lines + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)])


def maps(levels: int) -> str:
    lines = ["a0: &a0 {k: x}"]
    inner = [", ".join(f"k{i}: *a{n - 1}" for i in range(10)) for n in range(1, levels)]
    return "\n".join(lines + [f"a{n}: &a{n} {{{each}}}" for n, each in enumerate(inner, start=1)])


def merges(levels: int) -> str:
    lines = ["a0: &a0 {k: x}"]
    each = [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}], y{n}: 1}}" for n in range(1, levels)]
    return "\n".join(lines + each)


def keys(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join([*lines, f"? *a{levels - 1}\n: x"])


@pytest.mark.parametrize("make", [lists, maps, merges, keys])
@pytest.mark.parametrize("kind", KINDS)
def test_an_alias_bomb_is_refused_at_once(tmp_path: Path, kind: str, make: Callable[[int], str]) -> None:
    with pytest.raises(REFUSALS):
        KINDS[kind](written(tmp_path, kind, "a: ["))  # what is imported late is imported now
    path = written(tmp_path, kind, make(9))
    begun = time.process_time()
    with pytest.raises(REFUSALS, match=r"own\.(yaml|md).*more than [\d,]+ entries, aliases counted"):
        KINDS[kind](path)
    assert time.process_time() - begun < 1.0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: &a [*a]", "line 1|inside of what it stands for"),
        ("a: " + "[" * 5_000, "nested deeper"),
        ("- " * 5_000, "nested deeper"),
        ("a: " + "9" * 5_000, "999…' looks like a number or a date and is none"),
        ("a: 2020-99-99", "'2020-99-99' looks like"),
        ("a: !!int x", "'x' looks like"),
        ("a: !!bool x", "x"),
        ("a: !!python/name:os.mkdir x", "the tag .*os.mkdir.* is neither text"),
        ("a: \0", "control character"),
        ("a: b: c", "put the text in quotes, or correct the indentation"),
        ("\ta: 1", "a tab indents this line"),
        ("a: 1\na: 2", 'duplicate key "a"'),
    ],
)
def test_text_that_is_no_yaml_of_ours_is_one_error(text: str, says: str) -> None:
    with pytest.raises(YamlError, match=says) as caught:
        parse_yaml(text, lines=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        ("a:\n    b: 1\n   c: 2\n", 3, 4, "indented otherwise"),
        ("a: 1\n  b: 2\n", 2, 4, "correct the indentation"),
        ("a: 1\n- b\n", 2, 1, "'-' is indented otherwise"),
        (" a: 1\nb: 2\n", 2, 1, "correct its indentation"),
        ("a: 1\nb: 'x\nc: 2\n", 2, 4, "a quote is not closed"),
        ("a: 1\nb: [1, 2\nc: 2\n", 3, 2, "the ']' that ends it"),
        ("a: 1\nb: @x\n", 2, 4, "'@' cannot begin a value"),
        ("a: 1\nb: 2020-99-99\n", 2, 4, "looks like a number or a date"),
        ("a: 1\nb: \x07\n", 2, 4, "control character"),
        ("a: *x", 1, 4, "the alias *x has no anchor"),
    ],
)
def test_what_is_wrong_is_said_in_our_words_with_line_and_column(
    tmp_path: Path, text: str, line: int, column: int, says: str
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RefusedError) as caught:
        read_yaml(path, "chip file")
    said = str(caught.value)
    assert said.startswith(f"{path}:{line}: not readable as YAML at column {column}: "), said
    assert says in said


@given(text=st.text(alphabet="ab:-?[]{}\"'|>&*!%@` \t\n#,.1<", max_size=40))
def test_no_word_of_the_reader_reaches_anybody(text: str) -> None:
    said = ""
    try:
        parse_yaml(text)
    except YamlError as error:
        said = str(error)
    assert re.search(r"while (scanning|parsing|constructing)|token|<block|expected|\bfound\b", said) is None


def test_aliases_that_stay_small_are_read() -> None:
    read = parse_yaml("base: &b {x: 1, y: [1, 2]}\none: *b\ntwo: {<<: *b, x: 2}\n", lines=True)
    assert read.data["one"] == {"x": 1, "y": [1, 2]}
    assert read.data["two"] == {"x": 2, "y": [1, 2]}
    assert read.lines["two", "x"] == 3
    assert read.lines["base", "y", 1] == 1


def test_a_list_of_bad_cells_of_a_large_chip_is_read() -> None:
    cells = [[row, col] for row in range(128) for col in range(64)]
    assert 3 * len(cells) < ENTRIES_MAX
    assert parse_yaml(json.dumps({"bad_cells": cells[:2000]})).data["bad_cells"][-1] == cells[1999]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a: caf\xe9\n"])
@pytest.mark.parametrize("kind", KINDS)
def test_bytes_that_are_no_text_are_one_sentence(tmp_path: Path, kind: str, content: bytes) -> None:
    path = written(tmp_path, kind, "")
    path.write_bytes(content)
    with pytest.raises(REFUSALS, match="not UTF-8 text"):
        KINDS[kind](path)


def test_a_byte_order_mark_is_no_key(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_bytes(b"\xef\xbb\xbfid: x\n")
    assert read_yaml(path, "chip file") == {"id": "x"}


def test_a_folder_and_a_large_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="is a folder"):
        read_text(tmp_path, "station file")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(3 << 30)  # takes no room on the disk
    begun = time.process_time()
    for reader in (read_text, read_json, read_arrays, read_array):
        with pytest.raises(RefusedError, match=r"3072 MiB: at most \d+ MiB are read"):
            reader(tmp_path / "large", "file")
    assert time.process_time() - begun < 1.0


def test_json_nested_too_deep_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(RefusedError, match=r"x\.json: not readable as a run card: nested too deep"):
        read_json(tmp_path / "x.json", "run card")


def member(shape: tuple[int, ...], content: bytes = b"") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"shape": shape, "fortran_order": False, "descr": "<f8"})
    return file.getvalue() + content


def test_arrays_that_unpack_to_too_much_are_refused_before_they_do(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", member((1 << 20,), bytes(8 << 20)))
    assert path.stat().st_size < 100_000
    with pytest.raises(RefusedError, match=r"bomb\.npz: not readable as a state: it unpacks to 8 MiB: at most 1 MiB"):
        read_arrays(path, "state", most=1 << 20)
    assert read_arrays(path, "state")["a"].shape == (1 << 20,)


def test_arrays_that_claim_more_than_they_hold_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(member((1 << 50,)))
    with pytest.raises(RefusedError, match="claims more numbers than it holds"):
        read_array(tmp_path / "x.npy", "target map")
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("a.npy", member((1 << 50,)))
    with pytest.raises(RefusedError, match="claims more numbers than it holds"):
        read_arrays(tmp_path / "x.npz", "state")


def test_what_somebody_does_with_what_was_read_is_not_what_the_next_one_reads() -> None:
    text = "a: {b: [1, 2], c: &one [3], d: *one}"
    first = parse_yaml(text, lines=True)
    first.data["a"]["b"].append(3)
    first.data["a"]["c"].append(4)
    first.lines.clear()
    second = parse_yaml(text, lines=True)
    assert second.data == {"a": {"b": [1, 2], "c": [3], "d": [3]}}
    assert second.lines[("a", "b")] == 1


def test_no_other_module_reads_yaml_by_itself() -> None:
    looked, found = 0, []
    for room in ROOMS:
        for path in [ROOT / room] if room.endswith(".py") else sorted((ROOT / room).rglob("*.py")):
            looked += 1
            name = path.relative_to(ROOT).as_posix()
            if name != READER:
                found += [f"{name}: {what}" for what in yaml_imports(ast.parse(path.read_text("utf-8")))]
    assert looked > 150
    assert found == []
    assert yaml_imports(ast.parse((ROOT / READER).read_text("utf-8")))  # what is looked for can be found


def yaml_imports(tree: ast.AST) -> list[str]:
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.partition(".")[0] in {"yaml", "ruamel"}]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in {"yaml", "ruamel"}:
            found.append(node.module or "")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"import_module", "__import__"}:
            found += [ast.unparse(word) for word in node.args if "yaml" in ast.unparse(word)]
    return found
