"""The machine's half of a runbook: YAML front matter as plain data that remembers its lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...common.errors import RefusedError
from ...common.files import read_text
from ...common.yaml_files import KeyPath, YamlError, parse_yaml

FENCE = "---"
_ENTRIES_MAX = 10_000


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
    text = read_text(path, "runbook")
    lines = text.splitlines()
    if not lines or lines[0].rstrip() != FENCE:
        raise RefusedError(f"{shown}:1: a runbook begins with a line '---', then title, station and steps, then '---'")
    end = next((number for number, line in enumerate(lines[1:], start=1) if line.rstrip() == FENCE), None)
    if end is None:
        raise RefusedError(f"{shown}: the front matter that '---' begins on line 1 is not ended by another '---'")
    try:
        tree = parse_yaml("\n".join(lines[1:end]) + "\n", lines=True, entries_max=_ENTRIES_MAX)
    except YamlError as error:
        raise RefusedError(error.sentence(shown, is_not="the front matter is not valid YAML", line0=1)) from None
    if not isinstance(tree.data, dict):
        raise RefusedError(f"{shown}:2: the front matter must be keys and values like 'title: First light'")
    places = {path: line + 1 for path, line in tree.lines.items()}
    data: Any = _plain(tree.data, (), places, shown)
    return FrontMatter(shown, data, places, "\n".join(lines[end + 1 :]).strip() + "\n")


def scalar(text: str) -> Any:
    """Return what YAML makes of a value typed on the command line; text that is no YAML stays text."""
    try:
        return _plain(parse_yaml(text).data, (), {}, "value")
    except (YamlError, RefusedError):
        return text


def _plain(node: Any, path: KeyPath, places: Mapping[KeyPath, int], name: str) -> Any:
    if isinstance(node, Mapping):
        return {str(key): _plain(value, (*path, str(key)), places, name) for key, value in node.items()}
    if node is None or isinstance(node, str | bool | int | float):
        return node
    if isinstance(node, list):
        return [_plain(value, (*path, index), places, name) for index, value in enumerate(node)]
    at = f"{name}:{places[path]}" if path in places else name
    raise RefusedError(
        f"{at}: {node} is neither text, number, true/false, list nor map: put it in quotes if it is text"
    )
