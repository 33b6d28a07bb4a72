"""Files of a run that must survive a kill or a power cut, and the one sentence when they cannot be written."""

from __future__ import annotations

import json
import math
import os
import sqlite3
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import numpy as np

from ...common.errors import XbarlabError
from ...common.text import reason


class StorageError(XbarlabError):
    """What a run keeps cannot be written or read any more; nothing that was kept before is harmed."""

    exit_code = 2


@contextmanager
def writing(path: Path, *, then: str = "") -> Generator[None]:
    """Turn whatever keeps ``path`` from being written into one sentence that says what to do.

    QCoDeS wraps what SQLite reports in a RuntimeError of its own, hence the look at the causes.

    Parameters
    ----------
    then : str
        What to do when that is put right; going on with the run unless given.
    """
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        why = _reason(error)
        if why is None:
            raise
        raise StorageError(
            f"{path} cannot be written: {why}. What was kept before is unharmed; put that right, then "
            f"{then or f'go on with: xbarlab resume {_run_of(path)}'}"
        ) from error


def _reason(error: BaseException | None) -> str | None:
    """Return what the disk or the database said, None where it is not they who complain."""
    while error is not None:
        if isinstance(error, OSError):
            return reason(error)
        if isinstance(error, sqlite3.OperationalError):
            held = ": another program holds it open for writing" if "locked" in str(error) else ""
            return f"{error}{held}"
        error = error.__cause__ or error.__context__
    return None


def _run_of(path: Path) -> Path:
    return path.parent.parent if path.parent.name in {"state", "figures"} else path.parent


def replace_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: on disk when this returns, the old one until then."""
    partial = path.with_name(f"{path.name}.part")
    with writing(path):
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            with suppress(OSError):
                partial.unlink()
            raise


def append_file(path: Path, content: bytes) -> tuple[int, int]:
    """Append to a file, on disk when this returns; return where the content begins and ends.

    What a full disk let through of it is taken back, so that the file ends as it did.
    """
    with writing(path), path.open("ab") as file:
        start = file.seek(0, os.SEEK_END)
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            with suppress(OSError, ValueError):
                os.truncate(path, start)
            raise
        return start, start + len(content)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return a value as strict JSON: what is no number is null, and numpy's numbers and arrays are plain ones."""
    return json.dumps(_strict(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _strict(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = cast("Any", value).tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _strict(part) for key, part in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_strict(part) for part in cast("list[Any]", value)]
    return value if value is None or isinstance(value, str | bool | int) else str(value)
