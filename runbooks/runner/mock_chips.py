"""Where the chip of a mock in this process lives, and whether a run that was cut can still find it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import ref

from ...common.errors import RefusedError
from ...protocols.keeping.storage import writing
from ..stations import in_process_benches, mock_bench

if TYPE_CHECKING:
    from ...instruments.station.station_file import StationFile
    from ...mockhw.bench.bench import MockBench

# By run folder: the benches a run was begun on, for as long as this process has them.
_used: dict[Path, list[ref[MockBench]]] = {}


def note_mocks(folder: Path, file: StationFile | None) -> Callable[[], None] | None:
    """Remember on which mock benches of this process a run works.

    Return what saves their chips into the state files their bench files name, None where there are none. Called with
    every unit of work it keeps a chip's life as far as the journal, also when this process is killed.
    """
    mocks = [mock_bench(path) for path in in_process_benches(file)] if file is not None else []
    _used[folder.resolve()] = [ref(mock) for mock in mocks]
    kept = [mock for mock in mocks if mock.state_file is not None]
    if not kept:
        return None

    def save() -> None:
        for mock in kept:
            assert mock.state_file is not None
            with writing(mock.state_file):
                mock.save_state()

    save()
    return save


def refuse_lost_chips(folder: Path, file: StationFile) -> None:
    """Refuse to go on with another chip than the run was begun on, where a mock's has gone with its process."""
    known: Sequence[MockBench | None] = [found() for found in _used.get(folder.resolve(), [])]
    for path in in_process_benches(file):
        mock = mock_bench(path)
        lives_on = mock.state_file is not None and mock.state_file.is_file()
        if not lives_on and not any(mock is one for one in known):
            raise RefusedError(
                f"the chip of the mock bench {path.name} was in the memory of the process that ran this and is gone "
                "with it; going on with a new one would mix two chips. Run anew, and next time serve the mock over TCP "
                f"(xbarlab mock serve {path.name}) or give its bench file a place for the chip (chip: {{state: FILE}})"
            )
