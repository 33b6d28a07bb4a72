"""YAML read safely and within bounds, with errors a person can act on: the only YAML reader there is.

A list of ten times the same list of ten times the same … is a few lines of text and gigabytes for whoever walks it, so
aliases are counted as what they stand for, before anything is built from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from .errors import RefusedError, unknown
from .files import read_text

ENTRIES_MAX = 100_000
"""Most keys, values and list items of one file, aliases counted as what they stand for: a bad-cell list of 32,000."""
DEPTH_MAX = 50
"""Deepest nesting of one file."""

KeyPath = tuple[str | int, ...]
_TAB = "a tab indents this line: use spaces"
_PLAIN_WORDS = {
    "mapping values are not allowed here": "a ': ' where none can stand: put the text in quotes, or correct the "
    "indentation of this line",
    "mapping values are not allowed in this context": "a ': ' where none can stand: put the text in quotes, or correct "
    "the indentation of this line",
    "did not find expected key": "this line is indented otherwise than the ones it belongs to",
    "found character '\\t' that cannot start any token": _TAB,
    "expected <block end>, but found '<block mapping start>'": "this line is indented deeper than the ones it belongs "
    "to",
    "expected <block end>, but found '<block sequence start>'": "this '-' is indented otherwise than the list or key "
    "it belongs to",
    "expected <block end>, but found '-'": "this '-' is indented otherwise than the list or key it belongs to",
    "expected <block end>, but found '?'": "this line is indented otherwise than the ones it belongs to",
    "expected <block end>, but found '<scalar>'": "this text follows something that is complete already: put the "
    "whole in quotes",
    "could not find expected ':'": "a key without its ': ', or text that goes on where a key should begin",
    "expected ',' or ']', but got '<stream end>'": "a '[' is not closed by a ']'",
    "expected ',' or '}', but got '<stream end>'": "a '{' is not closed by a '}'",
}


class YamlError(Exception):
    """Text that is no YAML, or not within bounds.

    Attributes
    ----------
    line : int, optional
        Where, counted from 1.
    """

    def __init__(self, said: str, line: int | None = None) -> None:
        super().__init__(said)
        self.line = line

    def sentence(self, name: str, *, is_not: str = "not readable as YAML", line0: int = 0) -> str:
        """Return one sentence that names the file and the line; ``line0`` lines come before the text."""
        at = "" if self.line is None else f":{self.line + line0}"
        return f"{name}{at}: {is_not}: {self}"


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
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import DuplicateKeyError
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    yaml = YAML(typ="safe", pure=True)
    yaml.composer.warn_double_anchors = False
    yaml.max_depth = DEPTH_MAX + 1
    try:
        node: Any = yaml.compose(text)
        if node is None:
            return YamlText(None, {})
        _refuse_immense(node, entries_max)
        data: Any = yaml.constructor.construct_document(node)
        found: dict[KeyPath, int] = {}
        if lines:
            _find_lines(node, (), found)
        return YamlText(data, found)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = " ".join(str(error.problem or error.context).split())
        if isinstance(error, DuplicateKeyError):
            said = said.split(" with value")[0]
        if said.startswith("could not determine a constructor for the tag"):
            tag = said.rpartition(" ")[2]
            said = f"the tag {tag} is neither text, number, true/false, list nor map: put it in quotes if it is text"
        elif said.startswith("maximum depth"):
            said = f"nested deeper than {DEPTH_MAX} levels"
        raise YamlError(_PLAIN_WORDS.get(said, said), None if mark is None else mark.line + 1) from error
    except RecursionError as error:
        raise YamlError(f"nested deeper than {DEPTH_MAX} levels") from error
    # Numbers and dates that look like some and are none: 4,301 digits, the 99th of a month.
    except (YAMLError, ValueError, TypeError, OverflowError, LookupError, AttributeError) as error:
        raise YamlError(" ".join(str(error).split()) or type(error).__name__) from error


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
            raise YamlError("an alias stands inside of what it stands for", node.start_mark.line + 1)
        if len(above) > DEPTH_MAX:
            raise YamlError(f"nested deeper than {DEPTH_MAX} levels", node.start_mark.line + 1)
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
            raise YamlError(f"nested deeper than {DEPTH_MAX} levels", node.start_mark.line + 1)
        sizes[id(node)] = count, depth
        return count, depth

    measured(root)


def _find_lines(node: Any, path: KeyPath, found: dict[KeyPath, int]) -> None:
    if isinstance(node.value, str):
        return
    for index, entry in enumerate(node.value):
        key, value = entry if isinstance(entry, tuple) else (None, entry)
        place = (*path, index if key is None else str(key.value))
        found[place] = (value if key is None else key).start_mark.line + 1
        _find_lines(value, place, found)
