"""The name of a build of compiled physics: it changes with the source of any kernel."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_SHARED: Final = ("random_streams", "fluctuations", "relaxation")
"""Modules of this folder that the kernels of several models call."""


def build_name(own: Iterable[Path]) -> str:
    """Return a name that changes with the source of the kernels in the files ``own`` and of those all models share.

    Numba renews a cached function when its own file changes, not when a function it calls does. As a field
    of the record types, which are part of every signature, this name makes stale machine code unfindable.
    """
    here = Path(__file__).parent
    check = 0
    for path in (*(here / f"{name}.py" for name in _SHARED), *own):
        check = zlib.crc32(path.read_bytes(), check)
    return f"build_{check:08x}"
