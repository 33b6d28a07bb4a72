"""Shipped stations, and the one door to a bench: ``open_bench(name or path)``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...instruments.errors import RefusedError, unknown

if TYPE_CHECKING:
    from ...instruments.station import Bench

SUFFIX = ".station.yaml"


def list_stations() -> dict[str, Path]:
    """Return the shipped stations, name to file."""
    return {path.name.removesuffix(SUFFIX): path for path in sorted(Path(__file__).parent.glob(f"*{SUFFIX}"))}


def find_station(name: str | Path, *, beside: Path | None = None) -> Path:
    """Return the file of a station given by path or by the name of a shipped one.

    Parameters
    ----------
    beside : folder from which a relative path is looked up first (a runbook's own folder)
    """
    shipped, text = list_stations(), str(name)
    if text in shipped:
        return shipped[text]
    path = Path(name)
    tried = [path] if beside is None or path.is_absolute() else [beside / path, path]
    for candidate in tried:
        if candidate.is_file():
            return candidate.resolve()
    if path.name == text and not path.suffix:
        raise RefusedError(f"{unknown('station', text, shipped)}, or give the path of a station file")
    raise RefusedError(
        f"there is no station file {' or '.join(map(str, tried))}; shipped stations are {', '.join(shipped) or 'none'}"
    )


def open_bench(name: str | Path, *, seed: int | None = None) -> Bench:
    """Open a station as a ``Bench``: a context manager whose every exit leaves the array at 0 V, then disconnected.

    Parameters
    ----------
    name : shipped station or path of a station file
    seed : a mock bench in this process starts over with a fresh chip of this seed; other benches are untouched

    Raises
    ------
    RefusedError
        Unknown station, a mistake in its file, or in the bench or profile it names.
    ConnectionLostError
        An instrument did not answer.
    """
    from ...instruments.station import load_station

    path = find_station(name)
    _prepare_mock(path, seed)
    return load_station(path)


def _prepare_mock(station: Path, seed: int | None) -> None:
    raise NotImplementedError
