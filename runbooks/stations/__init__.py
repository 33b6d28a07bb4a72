"""Shipped stations, and the one door to a bench: ``open_bench(name or path)``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...common.errors import RefusedError, require_home, unknown
from ...common.text import printable

if TYPE_CHECKING:
    from ...instruments.station.station import Bench
    from ...instruments.station.station_file import StationFile
    from ...mockhw.bench.bench import MockBench

# Far enough apart that the seeds people choose, which are small, give no chip twice.
NEXT_BENCH = 1_000_003
SUFFIX, BENCH, IN_PROCESS = ".station.yaml", ".bench.yaml", "@xbarlab"


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


def open_bench(
    name: str | Path, *, seed: int | None = None, new_chip: bool = False, trace: Path | str | None = None
) -> Bench:
    """Open a station as a ``Bench``: a context manager whose every exit leaves the array at 0 V, then disconnected.

    Parameters
    ----------
    name : shipped station or path of a station file
    seed : a mock bench in this process starts over with a fresh chip of this seed; other benches are untouched. Where a
        station has several such benches, the chip on each is another one. A chip that lives in a state file is not
        replaced by one of another seed
    new_chip : set a chip that lives in a state file aside, and begin with a new one
    trace : a wire log is written to this file: every message of every instrument (``xbarlab trace show FILE``)

    Raises
    ------
    RefusedError
        Unknown station, a mistake in its file, or in the bench or profile it names.
    ConnectionLostError
        An instrument did not answer.
    """
    from ...instruments.station.station import Bench
    from ...instruments.station.station_file import read_station

    if seed is not None and not (isinstance(seed, Integral) and seed >= 0):
        raise RefusedError(f"seed {seed!r} is not a whole number of at least 0")
    require_home()
    file = read_station(find_station(name))
    for note in file.notes:
        print(f"xbarlab: {printable(note)}", file=sys.stderr)
    for n, path in enumerate(in_process_benches(file)):
        mock_bench(path, seed=None if seed is None else seed + n * NEXT_BENCH, new_chip=new_chip)
    return Bench(file, trace=trace, hand=_mock_hand(file))


def _mock_hand(file: StationFile) -> Callable[[Any], None] | None:
    """Return who puts devices of a mock bench in this process on its probes; None where nobody does."""
    benches = [path for path in in_process_benches(file) if mock_bench(path).hand is not None]
    if not benches:
        return None

    def connect(request: Any) -> None:
        hand = mock_bench(benches[0]).hand
        assert hand is not None
        try:
            hand.connect(request.device)
        except ValueError as error:
            raise RefusedError(f"{benches[0].name}: hand: {error}") from error

    return connect


def in_process_benches(file: StationFile) -> list[Path]:
    """Return the bench files of the mock benches in this process that a station uses."""
    inits = [settings["init"] for settings in file.instruments.values()]
    visalibs = {str(init.get(key) or "") for init in inits for key in ("visalib", "library")}
    return [Path(name.removesuffix(IN_PROCESS)) for name in sorted(visalibs) if name.endswith(IN_PROCESS)]


def list_benches() -> dict[str, Path]:
    """Return the shipped bench files of mock benches, name to file."""
    return {path.name.removesuffix(BENCH): path for path in sorted(Path(__file__).parent.glob(f"*{BENCH}"))}


def find_bench(name: str | Path) -> Path:
    """Return the bench file given by path or by the name of a shipped one."""
    shipped, text = list_benches(), str(name)
    for candidate in (text, text.removesuffix(BENCH)):
        if candidate in shipped and not Path(name).is_file():
            return shipped[candidate]
    if not Path(name).is_file():
        raise RefusedError(f"{unknown('bench', text, shipped)}, or give the path of a bench file")
    return Path(name)


def mock_bench(path: Path, *, seed: int | None = None, new_chip: bool = False) -> MockBench:
    """Return the mock bench of a bench file in this process; with a ``seed``, or for a ``new_chip``, a fresh one.

    Raises
    ------
    RefusedError
        A mistake in the file, or a chip made with another seed lives in its state file.
    """
    from ...mockhw.bench.bench import bench_for, fresh_bench, living_seed, set_chip_aside
    from ...mockhw.bench.file import BenchFileError

    try:
        if new_chip:
            set_chip_aside(path)
        elif seed is not None and (living := living_seed(path)) not in {None, seed}:
            raise RefusedError(
                f"the chip that lives in the state file of {path.name} was made with seed {living}, not {seed}: leave "
                "--seed away to go on with it, or say --new-chip, which sets it aside and begins with a new one"
            )
        return fresh_bench(path, seed=seed) if seed is not None or new_chip else bench_for(path)
    except BenchFileError as error:
        raise RefusedError(str(error)) from error
