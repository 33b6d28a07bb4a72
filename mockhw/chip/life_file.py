"""The file a mock chip lives on in, and the birth id that tells apart two chips of one seed and profile."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from ...common.files import parse_json, read_arrays

FORMAT: Final = 2
"""Format 2 has the birth id; a chip saved in format 1 gets one when it is taken up."""
_READS: Final = (1, 2)
_BIRTH_CHARACTERS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_BIRTH_LONGEST: Final = 64


def new_birth() -> str:
    """Return an id no other chip has; it draws nothing from any seeded stream."""
    return secrets.token_hex(8)


def save_life(path: Path, life: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Write a life and its arrays to an ``.npz`` file, whole or not at all."""
    told = {"format": FORMAT, **life}
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, suffix=".tmp", delete=False) as file:
        try:
            np.savez(file, life=np.array(json.dumps(told)), **cast("Any", arrays))
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            file.close()
            Path(file.name).unlink()
            raise
    Path(file.name).replace(path)


def load_life(path: Path, chip: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, NDArray[np.generic]]]:
    """Return the life saved in ``path`` and its arrays.

    Parameters
    ----------
    path : Path
    chip : mapping
        What the file must say: profile, rows and columns of the chip that takes it up.

    Raises
    ------
    ValueError
        When the file is damaged, of another format, or holds another chip.
    """
    arrays: dict[str, NDArray[np.generic]] = {**read_arrays(path, "chip's state")}
    if "life" not in arrays:
        raise ValueError(f"{path} holds no chip; give a file that a mock bench has written")
    try:
        life: object = parse_json(str(arrays.pop("life")))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: its record: {error}; delete it for a new chip") from error
    if not isinstance(life, dict):
        raise ValueError(f"{path} is damaged: its record is no mapping; delete it for a new chip")
    told = cast("dict[str, Any]", life)
    number = told.get("format")
    if type(number) is not int or number not in _READS:
        raise ValueError(
            f"{path} holds a chip in format {number!r}; this version reads " + " and ".join(map(str, _READS))
        )
    for name, value in chip.items():
        if told.get(name) != value:
            raise ValueError(f"{path} holds a chip with {name} {told.get(name)!r}, this one has {value!r}")
    told["birth"] = _birth(path, told)
    for name in ("seed", "now"):
        if type(told.get(name)) not in (int, float):
            raise ValueError(f"{path} is damaged: {name} is {told.get(name)!r}; delete it for a new chip")
    return told, arrays


def read_seed(path: Path) -> int:
    """Return the seed of the chip saved in ``path``, whichever chip it is."""
    life, _ = load_life(path, {})
    return int(life["seed"])


def _birth(path: Path, life: Mapping[str, Any]) -> str:
    if life["format"] == 1:
        return new_birth()
    birth: object = life.get("birth")
    if not isinstance(birth, str) or not 0 < len(birth) <= _BIRTH_LONGEST or not _BIRTH_CHARACTERS.issuperset(birth):
        raise ValueError(f"{path} is damaged: birth is {birth!r}; delete it for a new chip")
    return birth
