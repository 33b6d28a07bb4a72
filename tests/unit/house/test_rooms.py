"""The house keeps its rooms: how much lies in a folder, how long a module is, who knows whom, and what is declared."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ROOMS = ("common", "conformance", "instruments", "protocols", "analysis", "mockhw", "runbooks", "twin")
ENTRIES_MAX = {"mockhw": 15, "instruments": 15, "protocols": 12}
MODULES_MAX = 20
LINES_MAX = 400


@cache
def modules() -> dict[tuple[str, ...], Path]:
    """Return every module of the package by its name below the root; a folder is called after itself."""
    found = [*ROOT.glob("*.py"), *(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))]
    named: dict[tuple[str, ...], Path] = {}
    for path in found:
        parts = path.relative_to(ROOT).with_suffix("").parts
        named[parts[:-1] if parts[-1] == "__init__" else parts] = path
    return named


@cache
def imports(path: Path) -> tuple[ast.Import | ast.ImportFrom, ...]:
    """Return every import of a module: at its head, in functions, for type checking."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return tuple(node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))


# -- counts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", ENTRIES_MAX)
def test_a_room_shows_few_entries(room: str) -> None:
    entries = sorted(path.name for path in (ROOT / room).iterdir() if path.name != "__pycache__")
    assert len(entries) <= ENTRIES_MAX[room], entries


def test_no_folder_has_more_modules_than_one_can_look_through() -> None:
    folders: dict[Path, list[str]] = {}
    for path in modules().values():
        folders.setdefault(path.parent, []).append(path.name)
    assert len(folders) > 30
    assert not {str(folder): names for folder, names in folders.items() if len(names) > MODULES_MAX}


def test_a_module_can_be_read_in_one_go() -> None:
    lines = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in modules().values()}
    assert not {name: count for name, count in lines.items() if count >= LINES_MAX}


# -- circles -----------------------------------------------------------------------------------------------------------


def imported(path: Path) -> Iterator[Path]:
    """Yield the own modules that a module imports anywhere."""
    known, package = modules(), path.relative_to(ROOT).parent.parts
    for node in imports(path):
        names: list[tuple[str, ...]] = []
        if isinstance(node, ast.ImportFrom):
            inside = tuple(node.module.split(".")) if node.module else ()
            if node.level:
                base = package[: len(package) - (node.level - 1)] + inside
            elif inside[:1] == ("xbarlab",):
                base = inside[1:]
            else:
                continue
            names = [(*base, alias.name) if (*base, alias.name) in known else base for alias in node.names]
        else:
            dotted = [tuple(alias.name.split(".")) for alias in node.names]
            names = [name[1:] for name in dotted if name[0] == "xbarlab"]
        yield from (known[name] for name in names if known.get(name, path) != path)


def circles(edges: dict[Path, set[Path]]) -> list[list[str]]:
    """Return the groups of modules that reach each other: what each reaches, cut with what reaches it."""
    reach: dict[Path, set[Path]] = {}
    for start in edges:
        seen, left = set[Path](), [start]
        while left:
            new = edges[left.pop()] - seen
            seen |= new
            left += new
        reach[start] = seen
    groups = {frozenset(b for b in reach[a] if a in reach[b]) for a in edges if a in reach[a]}
    return sorted(sorted(str(path.relative_to(ROOT)) for path in group) for group in groups)


def test_a_circle_is_found() -> None:
    a, b, c, d = (ROOT / f"{name}.py" for name in "abcd")
    assert circles({a: {b}, b: {c}, c: {a}, d: {a}}) == [["a.py", "b.py", "c.py"]]
    assert circles({a: {b, c}, b: {c}, c: set(), d: {c}}) == []


def test_imports_are_seen_wherever_they_stand() -> None:
    seen = {str(path.relative_to(ROOT)) for path in imported(ROOT / "cli.py")}
    assert "runbooks/runner/runner.py" in seen, "cli.py imports it inside a function"
    assert sum(len(set(imported(path))) for path in modules().values()) > 1000


def test_no_modules_know_each_other_in_a_circle() -> None:
    found = circles({path: set(imported(path)) for path in modules().values()})
    assert not found, "\n".join(f"circle: {', '.join(group)}" for group in found)


# -- what is imported is declared --------------------------------------------------------------------------------------


def plain(name: str) -> str:
    """Return the name of a distribution as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared() -> set[str]:
    """Return the distributions that pyproject.toml asks for, those of the extras of users included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [name for name in project["optional-dependencies"] if name not in ("test", "docs")]
    asked = [*project["dependencies"], *(line for name in extras for line in project["optional-dependencies"][name])]
    return {plain(re.split(r"[\s\[<>=!~;]", line, maxsplit=1)[0]) for line in asked}


def third_party() -> dict[str, set[str]]:
    """Return by import name which modules import what is neither ours nor Python's."""
    found: dict[str, set[str]] = {}
    for path in modules().values():
        for node in imports(path):
            dotted: list[str] = []
            if isinstance(node, ast.Import):
                dotted = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                dotted = [str(node.module)]
            for name in {one.split(".")[0] for one in dotted} - {"xbarlab", "pyvisa_xbarlab"}:
                if name not in sys.stdlib_module_names:
                    found.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    return found


def test_what_is_imported_is_declared() -> None:
    offered, asked = packages_distributions(), declared()
    missing = {
        name: sorted(where)
        for name, where in third_party().items()
        if not {plain(distribution) for distribution in offered.get(name, [name])} & asked
    }
    assert not missing, f"declare in pyproject.toml: {missing}"


def test_what_is_declared_is_imported() -> None:
    offered = packages_distributions()
    used = {plain(distribution) for name in third_party() for distribution in offered.get(name, [name])}
    # PyVISA loads pyvisa-py by name, xarray h5netcdf and pandas pyarrow, and an ArC TWO's station names pyarc2;
    # threadpoolctl is used where it is installed.
    assert declared() - used == {"pyvisa-py", "h5netcdf", "pyarrow", "xarray", "threadpoolctl", "pyarc2"} - used
