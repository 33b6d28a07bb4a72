"""What a step needs to go on and to build its result, on disk: a snapshot that is replaced, pieces that are appended.

``state/<step>.npz`` holds the arrays a step goes on from, and to which unit they belong; it is rewritten whole with
every unit. ``state/<step>.pieces`` holds what each unit alone measured, one ``.npz`` after the other, never rewritten.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from ...common.arrays import NamedArrays
from ...common.files import parse_json
from .journal_lines import Entry, odd
from .storage import StorageError, append_file, json_text, replace_file

UNIT = "__unit__"


class Checkpoint:
    """The two files of one step.

    Parameters
    ----------
    folder : the run's ``state`` folder
    step : id of the step, which names the files
    run : id of the run, which its snapshots say, too
    """

    def __init__(self, folder: Path, step: str, run: str = "") -> None:
        self.step, self.run = step, run
        self.snapshot_file = folder / f"{step}.npz"
        self.pieces_file = folder / f"{step}.pieces"

    def save(self, arrays: NamedArrays, line: Entry) -> str:
        """Replace the snapshot and return its digest.

        Parameters
        ----------
        line : journal line of the unit after which it was taken
        """
        content = packed({**arrays, UNIT: np.array(json_text({"run": self.run, **line}))})
        replace_file(self.snapshot_file, content)
        return digest(content)

    def add_pieces(self, pieces: NamedArrays) -> tuple[tuple[int, int], str]:
        """Append what a unit measured; return where it stands in the file, and its digest."""
        content = packed(pieces)
        return append_file(self.pieces_file, content), digest(content)

    def load(self, snapshots: Mapping[str, str]) -> tuple[NamedArrays, Entry] | None:
        """Return the snapshot and the journal line of the unit it belongs to; None where there is none.

        Parameters
        ----------
        snapshots : digest by unit, as the journal has it; it may end before the unit of the snapshot
        """
        if not self.snapshot_file.is_file():
            return None
        content = self.snapshot_file.read_bytes()
        arrays = self._unpacked(self.snapshot_file, content)
        if UNIT not in arrays:
            raise self.damaged(self.snapshot_file, "it does not say to which unit it belongs")
        try:
            line: Any = parse_json(str(arrays.pop(UNIT)))
        except ValueError as error:
            raise self.damaged(self.snapshot_file, f"its record: {error}") from error
        wrong = odd({"event": "unit_done", "seconds": 0.0, **line}) if isinstance(line, dict) else "it holds no unit"
        if wrong:
            raise self.damaged(self.snapshot_file, f"its record: {wrong}")
        told: Entry = line
        if told.pop("run", self.run) != self.run:
            raise self.damaged(self.snapshot_file, "it belongs to another run")
        if digest(content) != snapshots.get(told["unit"], digest(content)):
            raise self.damaged(self.snapshot_file, "it is not the one the journal was written with")
        return arrays, told

    def load_pieces(self, places: dict[str, tuple[int, int]], digests: Mapping[str, str]) -> dict[str, NamedArrays]:
        """Return the pieces of the units that stand at ``places`` in the file, with these ``digests``."""
        if not places:
            return {}
        try:
            content = self.pieces_file.read_bytes()
        except OSError as error:
            raise self.damaged(self.pieces_file, error.strerror or str(error)) from error
        for unit, (start, end) in places.items():
            if digest(content[start:end]) != digests.get(unit, digest(content[start:end])):
                raise self.damaged(self.pieces_file, f"what unit {unit!r} measured is not as it was written")
        return {unit: self._unpacked(self.pieces_file, content[start:end]) for unit, (start, end) in places.items()}

    def cut_pieces(self, end: int) -> None:
        """Forget what a unit that was never completed left behind the byte ``end``."""
        if self.pieces_file.is_file() and self.pieces_file.stat().st_size > end:
            os.truncate(self.pieces_file, end)

    def discard(self) -> None:
        """Set both files aside: the step begins anew."""
        for path in (self.snapshot_file, self.pieces_file):
            if path.exists():
                path.replace(path.with_name(f"{path.name}.old"))

    def _unpacked(self, path: Path, content: bytes) -> NamedArrays:
        try:
            with np.load(BytesIO(content), allow_pickle=False) as saved:
                return {name: saved[name] for name in saved.files}
        except Exception as error:  # numpy and zipfile have a dozen ways to say that bytes are missing
            raise self.damaged(path, str(error)) from error

    def damaged(self, path: Path, why: str) -> StorageError:
        """Return the sentence for a file that a step cannot go on from."""
        return StorageError(
            f"{path} is damaged ({' '.join(why.split())}): step {self.step!r} cannot go on from it. What it measured "
            f"is in data.db; to do this step again from its beginning: xbarlab resume {path.parent.parent} "
            f"--repeat {self.step}"
        )


def digest(content: bytes) -> str:
    """Return the sha256 of what is kept."""
    return hashlib.sha256(content).hexdigest()


def packed(arrays: NamedArrays) -> bytes:
    """Return arrays as the content of an ``.npz`` file."""
    buffer = BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()
