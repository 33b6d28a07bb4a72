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
from ...common.files import read_json
from ...common.owned import NotCopied

if TYPE_CHECKING:
    from filelock import BaseFileLock

ENVIRONMENT = "XBARLAB_LOCKS"
_OWNER_MAX = 1 << 16


def lock_folder() -> Path:
    """Return where the locks are: the user's own folder, or that of the environment variable ``XBARLAB_LOCKS``.

    A folder that everybody may write to would let anybody lead us to a file that is not a lock.
    """
    from platformdirs import user_state_path

    chosen = os.environ.get(ENVIRONMENT)
    return Path(chosen).expanduser() if chosen else user_state_path("xbarlab", appauthor=False) / "locks"


class BenchLock(NotCopied):
    """Locks for the instruments of a bench, taken together or not at all.

    Parameters
    ----------
    resources : iterable of str
        Resolved addresses (with their VISA library where that decides what the address means).
    holder : str
        What to tell others: the station file.
    """

    _why_not_copied = "a lock has one holder"

    def __init__(self, resources: tuple[str, ...], *, holder: str, folder: Path | None = None) -> None:
        self._folder = folder or lock_folder()
        self._resources = tuple(sorted(set(resources)))
        self._holder = holder
        self._held: list[tuple[BaseFileLock, Path]] = []

    def acquire(self) -> None:
        """Take every lock or none; a lock that is held is refused at once, naming the process."""
        from filelock import FileLock, Timeout

        self._make_folder()
        for resource in self._resources:
            stem = self._folder / hashlib.sha256(resource.encode()).hexdigest()[:24]
            lock, owner = FileLock(f"{stem}.lock", mode=0o600), Path(f"{stem}.json")
            try:
                self._refuse_link(Path(f"{stem}.lock"))
                lock.acquire(timeout=0)
            except Timeout:
                self.release()
                raise RefusedError(
                    f"{resource} is in use by {_owner(owner)}: end that process or wait for it"
                ) from None
            except OSError as error:
                self.release()
                raise RefusedError(
                    f"the lock of {resource} cannot be taken ({error}): make {self._folder} writable, or name another "
                    f"folder by the environment variable {ENVIRONMENT}"
                ) from error
            except BaseException:
                self.release()
                raise
            self._held.append((lock, owner))
            with suppress(OSError):
                self._tell(owner)

    def release(self) -> None:
        """Give the locks back."""
        while self._held:
            lock, owner = self._held.pop()
            with suppress(OSError):
                owner.unlink()
            lock.release()

    def forget(self) -> None:
        """Let go of what the parent process holds: for a forked child. Nothing is given back."""
        self._held.clear()

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise RefusedError(
                f"the folder of locks {self._folder} cannot be made ({error.strerror}): name one that can by the "
                f"environment variable {ENVIRONMENT}"
            ) from error
        self._refuse_link(self._folder)

    def _refuse_link(self, path: Path) -> None:
        if path.is_symlink():
            raise RefusedError(
                f"{path} leads to another place ({path.readlink()}): locks are kept in no folder or file that "
                f"somebody could point elsewhere; remove it, or name another folder by {ENVIRONMENT}"
            )

    def _tell(self, owner: Path) -> None:
        """Write who holds a lock; a link that stands there is replaced, never followed."""
        said = {"pid": os.getpid(), "station": self._holder, "since": f"{datetime.now():%F %T}"}
        number, partial = tempfile.mkstemp(dir=self._folder, prefix=owner.name, suffix=".tmp")
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                json.dump(said, file)
            Path(partial).replace(owner)
        except OSError:
            with suppress(OSError):
                Path(partial).unlink()
            raise


def _owner(path: Path) -> str:
    try:
        said = read_json(path, "lock", most=_OWNER_MAX)
        return f"process {said['pid']} (station {said['station']}, since {said['since']})"
    except (RefusedError, KeyError, TypeError):
        return "another process"
