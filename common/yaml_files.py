"""YAML read safely, with errors a person can act on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from .errors import RefusedError, unknown

FILE_MAX = 1 << 20
"""Largest station, chip file or runbook [bytes]."""


def read_yaml(path: Path, kind: str) -> dict[str, Any]:
    """Return the mapping in a YAML file; ``kind`` ("chip file", "station file") is for the message."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if not path.is_file():
        suffix = "".join(path.suffixes[-2:]) or ".yaml"
        there = sorted(found.name for found in path.parent.glob(f"*{suffix}")) if path.parent.is_dir() else []
        raise RefusedError(f"{path.parent}: {unknown(kind, path.name, there)}")
    refuse_large(path, kind)
    try:
        loaded: object = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (YAMLError, RecursionError) as error:
        raise RefusedError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(loaded, Mapping):
        raise RefusedError(f"{path}: a {kind} is a mapping of keys to values, this holds {type(loaded).__name__}")
    return dict(cast("Mapping[str, Any]", loaded))


def refuse_large(path: Path, kind: str) -> None:
    """Refuse a file that is larger than anything a person writes by hand."""
    size = path.stat().st_size
    if size > FILE_MAX:
        raise RefusedError(f"{path}: a {kind} of {size / 2**20:.0f} MiB: at most {FILE_MAX / 2**20:.0f} MiB are read")


def refuse_unknown_keys(found: Iterable[object], known: Iterable[str], *, where: str, kind: str) -> None:
    """Refuse the first key that is not known, listing the alternatives."""
    names = list(known)
    for key in found:
        if key not in names:
            raise RefusedError(f"{where}: {unknown(kind, key, names)}")
