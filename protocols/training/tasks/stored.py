"""The derived arrays of the tasks, and what to do when one is missing."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....common.errors import RefusedError

MAKE = "python -m xbarlab.protocols.training.tasks.make_data FOLDER"


def data_folder() -> Path:
    """Return where the arrays are."""
    return Path(str(resources.files(__package__ or __name__))) / "data"


def load_stored(name: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of ``name``, among them ``source``, ``licence`` and ``script`` as text.

    Raises
    ------
    RefusedError
        When the file is missing or cannot be read, saying how to get it.
    """
    path = data_folder() / f"{name}.npz"
    remedy = f"install xbarlab anew, or make it from the packages it comes from: {MAKE}"
    if not path.is_file():
        raise RefusedError(f"task data {path.name} is missing from {path.parent}: {remedy}")
    try:
        return dict(_arrays(path))
    except (OSError, ValueError, EOFError) as error:
        raise RefusedError(f"task data {path} cannot be read ({error}): {remedy}") from error


@lru_cache(maxsize=8)
def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return a file's arrays, read only; a plan asks for its data many times over."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = {key: stored[key] for key in stored.files}
    for array in arrays.values():
        array.setflags(write=False)
    return arrays
