"""What stands for a vendor's library on a mock bench: ``library: bench.yaml@xbarlab`` in a station file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...common.errors import RefusedError, unknown
from ..bench.bench import bench_for
from ..bench.file import BenchFileError

if TYPE_CHECKING:
    from pathlib import Path


def library(name: str, bench_file: str | Path) -> Any:
    """Return what stands for the library ``name`` on the bench of a bench file.

    Raises
    ------
    RefusedError
        A mistake in the file, or nothing on that bench is driven by this library.
    """
    try:
        found = bench_for(bench_file).libraries
    except BenchFileError as error:
        raise RefusedError(str(error)) from error
    if name not in found:
        raise RefusedError(f"bench file {bench_file}: {unknown('library', name, found)}")
    return found[name]
