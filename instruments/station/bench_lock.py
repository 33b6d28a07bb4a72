"""One process owns a bench: a file lock per instrument address, and who holds it."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ...common.errors import RefusedError

if TYPE_CHECKING:
    from filelock import BaseFileLock


class BenchLock:
    """Locks for the instruments of a bench, taken together or not at all.

    Parameters
    ----------
    resources : iterable of str
        Resolved addresses (with their VISA library where that decides what the address means).
    holder : str
        What to tell others: the station file.
    """

    def __init__(self, resources: tuple[str, ...], *, holder: str, folder: Path | None = None) -> None:
        # In the shared temporary folder, not the user's: two people at one lab computer share its benches.
        self._folder = folder or Path(tempfile.gettempdir()) / "xbarlab-locks"
        self._resources = tuple(sorted(set(resources)))
        self._holder = holder
        self._held: list[tuple[BaseFileLock, Path]] = []

    def acquire(self) -> None:
        """Take every lock or none; a lock that is held is refused at once, naming the process."""
        from filelock import FileLock, Timeout

        self._folder.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):
            self._folder.chmod(0o777)
        for resource in self._resources:
            stem = self._folder / hashlib.sha256(resource.encode()).hexdigest()[:24]
            lock, owner = FileLock(f"{stem}.lock", mode=0o666), Path(f"{stem}.json")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                self.release()
                raise RefusedError(
                    f"{resource} is in use by {_owner(owner)}: end that process or wait for it"
                ) from None
            except OSError as error:
                self.release()
                raise RefusedError(
                    f"the lock of {resource} cannot be taken ({error}): another user holds it, or "
                    f"{self._folder} is not writable"
                ) from error
            self._held.append((lock, owner))
            with suppress(OSError):
                owner.write_text(
                    json.dumps({"pid": os.getpid(), "station": self._holder, "since": f"{datetime.now():%F %T}"}),
                    encoding="utf-8",
                )

    def release(self) -> None:
        """Give the locks back."""
        while self._held:
            lock, owner = self._held.pop()
            with suppress(OSError):
                owner.unlink()
            lock.release()


def _owner(path: Path) -> str:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return f"process {said['pid']} (station {said['station']}, since {said['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
