"""YAML read safely and within bounds, with errors a person can act on: the only YAML reader there is.

A list of ten times the same list of ten times the same … is a few lines of text and gigabytes for whoever walks it, so
aliases are counted as what they stand for, before anything is built from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from .errors import RefusedError, unknown
from .files import read_text
from .yaml_words import in_our_words

ENTRIES_MAX = 100_000
"""Most keys, values and list items of one file, aliases counted as what they stand for: a bad-cell list of 32,000."""
DEPTH_MAX = 50
"""Deepest nesting of one file."""

KeyPath = tuple[str | int, ...]
_SHOWN = 40
_KEPT_CHARACTERS = 1 << 16
_TOO_DEEP = f"nested deeper than {DEPTH_MAX} levels"


class YamlError(Exception):
    """Text that is no YAML, or not within bounds.

    Attributes
    ----------
    line, column : int, optional
        Where, counted from 1.
    """

    def __init__(self, said: str, mark: Any = None) -> None:
        super().__init__(said)
        self.line: int | None = None if mark is None else mark.line + 1
        self.column: int | None = None if mark is None else mark.column + 1

    def sentence(self, name: str, *, is_not: str = "not readable as YAML", line0: int = 0) -> str:
        """Return one sentence that names file, line and column; ``line0`` lines come before the text."""
        if self.line is None:
            return f"{name}: {is_not}: {self}"
        return f"{name}:{self.line + line0}: {is_not} at column {self.column}: {self}"


@dataclass(frozen=True, slots=True)
class YamlText:
    """What a YAML text holds.

    Attributes
    ----------
    data : plain data
    lines : dict
        Path of a key or list item → its line, counted from 1.
    """

    data: Any
    lines: dict[KeyPath, int]


def parse_yaml(text: str, *, lines: bool = False, entries_max: int = ENTRIES_MAX) -> YamlText:
    """Return what a YAML 1.2 text holds; tags build nothing but plain data.

    Parameters
    ----------
    lines : bool
        Also find the line of every key.

    Raises
    ------
    YamlError
        It is no YAML, holds more than ``entries_max`` entries, is nested deeper than :data:`DEPTH_MAX`, or refers
        to itself.
    """
    parsed = _kept(text, lines, entries_max) if len(text) <= _KEPT_CHARACTERS else _parsed(text, lines, entries_max)
    return YamlText(deepcopy(parsed.data), dict(parsed.lines))


def _parsed(text: str, lines: bool, entries_max: int) -> YamlText:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.reader import ReaderError

    yaml = YAML(typ="safe", pure=True)
    yaml.composer.warn_double_anchors = False
    yaml.max_depth = DEPTH_MAX + 1
    node: Any = None
    try:
        node = yaml.compose(text)
        if node is None:
            return YamlText(None, {})
        _refuse_immense(node, entries_max)
        data: Any = yaml.constructor.construct_document(node)
        found: dict[KeyPath, int] = {}
        if lines:
            _find_lines(node, (), found)
        return YamlText(data, found)
    except MarkedYAMLError as error:
        said = str(error.problem or error.context)
        words = _TOO_DEEP if said.startswith("maximum depth") else in_our_words(said)
        # What is not closed is looked for where it was opened.
        never = "found unexpected" in said and "scalar" in str(error.context)
        marks = (error.context_mark, error.problem_mark) if never else (error.problem_mark, error.context_mark)
        raise YamlError(words, marks[0] or marks[1]) from error
    except ReaderError as error:
        before = text[: int(error.position)]
        place = SimpleNamespace(line=before.count("\n"), column=len(before) - before.rfind("\n") - 1)
        raise YamlError(in_our_words(str(error)), place) from error
    except RecursionError as error:
        raise YamlError(_TOO_DEEP) from error
    # Numbers and dates that look like some and are none: 4,301 digits, the 99th of a month.
    except (YAMLError, ValueError, TypeError, OverflowError, LookupError, AttributeError) as error:
        culprit = _unreadable(yaml, node)
        if culprit is not None:
            shown = culprit.value if len(culprit.value) <= _SHOWN else f"{culprit.value[:_SHOWN]}…"
            said = f"{shown!r} looks like a number or a date and is none: put it in quotes if it is text"
            raise YamlError(said, culprit.start_mark) from error
        raise YamlError(in_our_words(str(error) or type(error).__name__)) from error


_kept = lru_cache(maxsize=64)(_parsed)
"""A profile takes a tenth of a second to parse, and is asked for whenever a bench begins anew."""


def read_yaml(path: Path, kind: str) -> dict[str, Any]:
    """Return the mapping in a YAML file; ``kind`` ("chip file", "station file") is for the message."""
    if not path.is_file():
        suffix = "".join(path.suffixes[-2:]) or ".yaml"
        there = sorted(found.name for found in path.parent.glob(f"*{suffix}")) if path.parent.is_dir() else []
        raise RefusedError(f"{path.parent}: {unknown(kind, path.name, there)}")
    return mapping_of(load_yaml(path, kind), str(path), kind)


def load_yaml(path: Path, kind: str, *, is_not: str = "not readable as YAML") -> Any:
    """Return what a YAML file holds."""
    try:
        return parse_yaml(read_text(path, kind)).data
    except YamlError as error:
        raise RefusedError(error.sentence(str(path), is_not=is_not)) from error


def yaml_text(content: Mapping[str, Any]) -> str:
    """Return plain data as YAML, one key a line."""
    from io import StringIO

    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # pyright: ignore[reportAttributeAccessIssue]
    text = StringIO()
    yaml.dump(dict(content), text)
    return text.getvalue()


def mapping_of(loaded: object, where: str, kind: str) -> dict[str, Any]:
    """Return what was read as a mapping with text for keys; refuse anything else."""
    if not isinstance(loaded, Mapping):
        raise RefusedError(f"{where}: a {kind} is a mapping of keys to values, this holds {type(loaded).__name__}")
    return dict(cast("Mapping[str, Any]", loaded))


def refuse_unknown_keys(found: Iterable[object], known: Iterable[str], *, where: str, kind: str) -> None:
    """Refuse the first key that is not known, listing the alternatives."""
    names = list(known)
    for key in found:
        if key not in names:
            raise RefusedError(f"{where}: {unknown(kind, key, names)}")


def _refuse_immense(root: Any, most: int) -> None:
    """Refuse a tree of nodes that is too large or too deep, shared ones counted wherever they stand."""
    sizes: dict[int, tuple[int, int]] = {}
    above: set[int] = set()

    def measured(node: Any) -> tuple[int, int]:
        known = sizes.get(id(node))
        if known is not None:
            return known
        if id(node) in above:
            raise YamlError("an alias stands inside of what it stands for", node.start_mark)
        if len(above) > DEPTH_MAX:
            raise YamlError(_TOO_DEEP, node.start_mark)
        above.add(id(node))
        count, depth = 1, 0
        if not isinstance(node.value, str):
            for entry in node.value:
                for part in entry if isinstance(entry, tuple) else (entry,):
                    size, deep = measured(part)
                    count, depth = count + size, max(depth, deep + 1)
        above.discard(id(node))
        if count > most:
            raise YamlError(f"it holds more than {most:,} entries, aliases counted")
        if depth > DEPTH_MAX:  # reached through aliases
            raise YamlError(_TOO_DEEP, node.start_mark)
        sizes[id(node)] = count, depth
        return count, depth

    measured(root)


def _unreadable(yaml: Any, node: Any) -> Any:
    """Return the scalar of a tree of nodes that nothing can be made of, None where it is none of them."""
    if node is None:
        return None
    if not isinstance(node.value, str):
        parts = (part for entry in node.value for part in (entry if isinstance(entry, tuple) else (entry,)))
        return next((found for part in parts if (found := _unreadable(yaml, part)) is not None), None)
    try:
        yaml.constructor.construct_document(node)
    except Exception:  # whatever it is, this is the one
        return node
    return None


def _find_lines(node: Any, path: KeyPath, found: dict[KeyPath, int]) -> None:
    if isinstance(node.value, str):
        return
    for index, entry in enumerate(node.value):
        key, value = entry if isinstance(entry, tuple) else (None, entry)
        place = (*path, index if key is None else str(key.value))
        found[place] = (value if key is None else key).start_mark.line + 1
        _find_lines(value, place, found)
