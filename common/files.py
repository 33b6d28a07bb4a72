"""Files of users, read within bounds: what is too large to have been meant is refused before memory is spent on it."""

from __future__ import annotations

import json
import math
import zipfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import RefusedError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .arrays import NamedArrays

TEXT_MAX = 1 << 20
"""Largest file that a person writes by hand: stations, benches, chips, profiles, runbooks [bytes]."""
JSON_MAX = 64 << 20
"""Largest JSON file that a program writes for us [bytes]."""
ARRAYS_MAX = 1 << 30
"""Largest arrays of one file, unpacked [bytes]."""


def read_bytes(path: Path, kind: str, *, most: int = TEXT_MAX) -> bytes:
    """Return the content of a file; refuse one of more than ``most`` bytes before it is read.

    Parameters
    ----------
    kind : str
        "chip file", "runbook": for the message.
    """
    try:
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "is no file" if path.exists() else "does not exist"
            raise RefusedError(f"{kind} {path} {what}: give the path of a {kind}")
        size, content = path.stat().st_size, b""
        if size <= most:
            with path.open("rb") as file:
                content = file.read(most + 1)
            size = max(size, len(content))
    except RefusedError:
        raise
    except (OSError, ValueError) as error:  # a path may hold a NUL, or be too long to exist
        raise RefusedError(f"{kind} {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if size > most:
        raise RefusedError(f"{path}: a {kind} of {_mebibytes(size)}: at most {_mebibytes(most)} are read")
    return content


def read_text(path: Path, kind: str, *, most: int = TEXT_MAX) -> str:
    """Return the text of a UTF-8 file, with or without a byte order mark, within ``most`` bytes."""
    try:
        return read_bytes(path, kind, most=most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RefusedError(
            f"{kind} {path} cannot be read: not UTF-8 text ({error.reason} at byte {error.start}): save it so"
        ) from None


def read_json(path: Path, kind: str, *, most: int = JSON_MAX) -> Any:
    """Return what a JSON file holds; refuse one that is too large, nested too deep, or none."""
    text = read_text(path, kind, most=most)
    try:
        return parse_json(text)
    except ValueError as error:
        raise RefusedError(f"{path}: not readable as a {kind}: {error}") from error


def parse_json(text: str | bytes) -> Any:
    """Return what a JSON text holds.

    Raises
    ------
    ValueError
        It is none, or is nested deeper than anything of ours.
    """
    try:
        loaded: Any = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    return loaded


def read_arrays(path: Path, kind: str, *, most: int = ARRAYS_MAX) -> NamedArrays:
    """Return the arrays of an ``.npz`` file; refuse one whose arrays, unpacked, are larger than ``most`` bytes.

    Raises
    ------
    RefusedError
        Too large, damaged, or holding Python objects.
    """
    return unpack_arrays(read_bytes(path, kind, most=most), f"{path}: not readable as a {kind}", most=most)


def read_array(path: Path, kind: str, *, most: int = ARRAYS_MAX) -> NDArray[Any]:
    """Return the array of an ``.npy`` file within ``most`` bytes; refuse a damaged one, and Python objects."""
    content = read_bytes(path, kind, most=most)
    try:
        return _array(content, path.name)
    except Exception as error:  # as in unpack_arrays
        raise RefusedError(f"{kind} {path} cannot be read: {' '.join(str(error).split())}") from error


def unpack_arrays(content: bytes, where: str, *, most: int = ARRAYS_MAX) -> NamedArrays:
    """Return the arrays of an ``.npz`` file's content; ``where`` begins the sentence of a refusal."""
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            # What the table of contents claims is kept to: zipfile reads no more than that of a member.
            size = sum(member.file_size for member in archive.infolist())
            if size > most:
                raise RefusedError(f"{where}: it unpacks to {_mebibytes(size)}: at most {_mebibytes(most)} are read")
            return {
                member.filename.removesuffix(".npy"): _array(archive.read(member), member.filename)
                for member in archive.infolist()
            }
    except RefusedError:
        raise
    # numpy and zipfile have a dozen ways to say that bytes are missing or wrong
    except Exception as error:
        raise RefusedError(f"{where}: {' '.join(str(error).split()) or type(error).__name__}") from error


def _array(content: bytes, name: str) -> NDArray[Any]:
    """Return the array of one ``.npy`` file; what its header claims must be there."""
    import numpy as np

    header = BytesIO(content)
    version = np.lib.format.read_magic(header)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(header)
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects, which are never loaded (allow_pickle=False)")
    if math.prod(shape) * dtype.itemsize > len(content):
        raise ValueError(f"{name} claims more numbers than it holds")
    return np.lib.format.read_array(BytesIO(content), allow_pickle=False)


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"
