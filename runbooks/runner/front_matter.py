"""The machine's half of a runbook: YAML front matter as plain data that remembers its lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from ...common.errors import RefusedError
from ...common.yaml_files import refuse_large

FENCE = "---"
_ENTRIES_MAX = 10_000
KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class FrontMatter:
    """Plain data (dict, list, str, int, float, bool, None), the line of every key, and the text below.

    Attributes
    ----------
    name : str
        The file as errors name it.
    """

    name: str
    data: dict[str, Any]
    lines: dict[KeyPath, int]
    body: str

    def where(self, *path: str | int) -> str:
        """Return ``file:line`` of a key, or of the nearest one above it."""
        keys = path
        while keys and keys not in self.lines:
            keys = keys[:-1]
        return f"{self.name}:{self.lines[keys]}" if keys in self.lines else self.name

    def refuse(self, sentence: str, *path: str | int) -> RefusedError:
        """Return the error for what stands at ``path``."""
        return RefusedError(f"{self.where(*path)}: {sentence}")


def read_front_matter(path: Path, name: str | None = None) -> FrontMatter:
    """Read a Markdown file with YAML front matter between two ``---`` lines."""
    shown = name or str(path)
    try:
        refuse_large(path, "runbook")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RefusedError(
            f"{shown} is not UTF-8 text ({error.reason} at byte {error.start}): save it as UTF-8"
        ) from None
    except OSError as error:
        raise RefusedError(f"{shown} cannot be read: {error.strerror}") from None
    lines = text.splitlines()
    if not lines or lines[0].rstrip() != FENCE:
        raise RefusedError(f"{shown}:1: a runbook begins with a line '---', then title, station and steps, then '---'")
    end = next((number for number, line in enumerate(lines[1:], start=1) if line.rstrip() == FENCE), None)
    if end is None:
        raise RefusedError(f"{shown}: the front matter that '---' begins on line 1 is not ended by another '---'")
    tree = _load("\n".join(lines[1:end]) + "\n", shown, first_line=2)
    places: dict[KeyPath, int] = {}
    data = _plain(tree, (), places, shown, first_line=2)
    if not isinstance(data, dict):
        raise RefusedError(f"{shown}:2: the front matter must be keys and values like 'title: First light'")
    return FrontMatter(shown, data, places, "\n".join(lines[end + 1 :]).strip() + "\n")


def scalar(text: str) -> Any:
    """Return what YAML makes of a value typed on the command line; text that is no YAML stays text."""
    try:
        tree = _load(text, "value", first_line=1)
        return _plain(tree, (), {}, "value", first_line=1)
    except RefusedError:
        return text


def _load(text: str, name: str, *, first_line: int) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import DuplicateKeyError
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        # The round-trip loader builds no Python objects from tags, and it alone keeps line numbers.
        return YAML(typ="rt").load(StringIO(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + first_line}" if mark is not None else ""
        problem = " ".join(str(error.problem or error.context).split())
        if isinstance(error, DuplicateKeyError):
            problem = problem.split(" with value")[0]
        raise RefusedError(f"{name}{line}: the front matter is not valid YAML: {problem}") from None
    except (YAMLError, RecursionError) as error:
        raise RefusedError(f"{name}: the front matter is not valid YAML: {' '.join(str(error).split())}") from None


def _plain(node: Any, path: KeyPath, places: dict[KeyPath, int], name: str, *, first_line: int) -> Any:
    # A list of ten lists of ten of the same, nine deep, is a few lines and a gigabyte.
    if len(places) > _ENTRIES_MAX:
        raise RefusedError(f"{name}: the front matter holds more than {_ENTRIES_MAX:,} entries, aliases counted")
    if isinstance(node, Mapping):
        for key in node:
            places[(*path, str(key))] = _line(node, key, first_line)
        return {
            str(key): _plain(value, (*path, str(key)), places, name, first_line=first_line)
            for key, value in node.items()
        }
    if isinstance(node, str):
        return str(node)
    if isinstance(node, Sequence):
        for index in range(len(node)):
            places[(*path, index)] = _line(node, index, first_line)
        return [_plain(value, (*path, index), places, name, first_line=first_line) for index, value in enumerate(node)]
    if node is None or isinstance(node, bool):
        return node
    # ruamel's own ScalarBoolean, ScalarInt and ScalarFloat keep how a number was written; only its value counts here.
    if type(node).__name__ == "ScalarBoolean":
        return bool(node)
    if isinstance(node, int):
        return int(node)
    if isinstance(node, float):
        return float(node)
    at = f"{name}:{places[path]}" if path in places else name
    raise RefusedError(
        f"{at}: {node} is neither text, number, true/false, list nor map: put it in quotes if it is text"
    )


def _line(node: Any, key: Any, first_line: int) -> int:
    marks: Any = node.lc
    try:
        spot = marks.key(key) if isinstance(node, Mapping) else marks.item(key)
    except (KeyError, TypeError):
        spot = None
    # ruamel keeps no marks for the entries of tagged nodes; the node's own line is near enough.
    return int(spot[0] if spot else marks.line or 0) + first_line
