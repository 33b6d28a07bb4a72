"""Where the chip of a mock in this process lives, so that a run that was cut can find it again.

A bench file may name a place for it. Where it does not, the chip lives in the memory of the process, and the run keeps
it in its own folder with every unit of work: a run that goes on takes it up from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import ref

from ...common.errors import RefusedError
from ...protocols.keeping.run import STATE
from ...protocols.keeping.storage import writing
from ..stations import NEXT_BENCH, in_process_benches, mock_bench

if TYPE_CHECKING:
    from ...instruments.station.station_file import StationFile
    from ...mockhw.bench.bench import MockBench

# By run folder: the benches a run was begun on, for as long as this process has them.
_used: dict[Path, list[ref[MockBench]]] = {}


def note_mocks(folder: Path, file: StationFile | None) -> Callable[[], None] | None:
    """Remember on which mock benches of this process a run works.

    Return what saves their chips, into the state files their bench files name or into the run's folder; None where
    there are none. Called with every unit of work it keeps a chip's life as far as the journal, also when this process
    is killed.
    """
    mocks = [mock_bench(path) for path in in_process_benches(file)] if file is not None else []
    _used[folder.resolve()] = [ref(mock) for mock in mocks]
    if not mocks:
        return None

    def save() -> None:
        for number, mock in enumerate(mocks):
            path = mock.state_file or kept_chip(folder, number)
            with writing(path):
                if mock.state_file is not None:
                    mock.save_state()
                else:
                    path.parent.mkdir(exist_ok=True)
                    mock.chip.save(path, settle=False)

    save()
    return save


def kept_chip(folder: Path, number: int) -> Path:
    """Return where a run keeps the chip of the mock bench with a number."""
    return folder / STATE / f"chip_{number}.chip.npz"


def take_up_chips(folder: Path, file: StationFile, seed: int | None) -> None:
    """Let the mock benches of this process hold the chips a run was begun on.

    Parameters
    ----------
    seed : of the run

    Raises
    ------
    RefusedError
        A chip has gone with its process, and the run kept none.
    """
    known: Sequence[MockBench | None] = [found() for found in _used.get(folder.resolve(), [])]
    for number, path in enumerate(in_process_benches(file)):
        mock = mock_bench(path)
        lives_on = mock.state_file is not None and mock.state_file.is_file()
        if lives_on or any(mock is one for one in known):
            continue
        kept = kept_chip(folder, number)
        if mock.state_file is not None or not kept.is_file():
            raise RefusedError(
                f"the chip of the mock bench {path.name} was in the memory of the process that ran this and is gone "
                "with it; going on with a new one would mix two chips. Run anew, and next time serve the mock over TCP "
                f"(xbarlab mock serve {path.name}) or give its bench file a place for the chip (chip: {{state: FILE}})"
            )
        mock = mock_bench(path, seed=None if seed is None else seed + number * NEXT_BENCH, new_chip=True)
        try:
            mock.chip.load(kept)
        except (ValueError, OSError) as error:
            raise RefusedError(f"the chip this run was begun on cannot be taken up: {error}") from error
