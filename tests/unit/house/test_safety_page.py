"""The table of docs/safety.md names files, functions and tests that exist, and every guarantee has a test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "safety.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## 3. Guarantees")[2].partition("## 4.")[0]
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")] for line in SECTION.splitlines() if line.startswith("| ")
]
CODE = ("common", "conformance", "instruments", "protocols", "analysis", "mockhw", "runbooks", "twin")
FILE = re.compile(r"`([\w./]+\.(?:py|j2|png))`(?: \(((?:`[\w.]+`(?:, )?)+)\))?")


def named(cell: str, folders: tuple[str, ...]) -> list[tuple[str, list[Path], list[str]]]:
    """Return of every file in a cell its name, where it is, and the names of what in it is meant."""
    found: list[tuple[str, list[Path], list[str]]] = []
    for name, symbols in FILE.findall(cell):
        places = [path for folder in folders for path in (ROOT / folder).rglob(Path(name).name)]
        places = [path for path in places if path.as_posix().endswith(f"/{name}")]
        found.append((name, places, re.findall(r"`(?:\w+\.)?(\w+)`", symbols)))
    return found


def test_nothing_is_left_to_be_written() -> None:
    assert len(ROWS) > 35
    assert "to be completed" not in PAGE
    assert all(len(row) == 3 for row in ROWS), [row for row in ROWS if len(row) != 3]


@pytest.mark.parametrize("row", ROWS[1:], ids=[row[0][:50] for row in ROWS[1:]])
def test_a_guarantee_names_code_and_tests_that_exist(row: list[str]) -> None:
    _, code, tests = row
    for name, places, symbols in named(code, CODE):
        assert places, f"{name} does not exist"
        text = "".join(place.read_text(encoding="utf-8") for place in places)
        for symbol in symbols:
            assert re.search(rf"\b(def|class) {symbol}\b|^{symbol} =|^    {symbol} =", text, re.MULTILINE), (
                f"{name} has no {symbol}"
            )
    held_by = named(tests, ("tests", "docs"))
    assert any(Path(name).name.startswith("test_") or "matrix" in name or "soak" in name for name, _, _ in held_by)
    for name, places, _ in held_by:
        assert places, f"{name} does not exist"


def test_the_table_of_what_it_came_to_has_every_proof() -> None:
    table = PAGE.partition("## 1.")[0]
    for name in ("limits", "faults", "kills", "files", "fuzz", "host", "soak"):
        assert re.search(rf"^\| {name} \|.*\| yes \|", table, re.MULTILINE), f"{name} is not proved"
