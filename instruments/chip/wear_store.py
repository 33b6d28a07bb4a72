"""Where wear is kept: one small SQLite database per user, a row per chip and one per cell that was ever stressed."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...common.errors import RefusedError
from .chip_facts import Fact

if TYPE_CHECKING:
    from collections.abc import Mapping

Planes = dict[str, NDArray[np.float64]]

ENVIRONMENT = "XBARLAB_WEAR"
COUNTS = ("set_pulses", "reset_pulses", "alternations", "sweeps")
STRESSES = ("set_stress", "reset_stress")
LAST_SIGN = "last_sign"
UNATTRIBUTED = "unattributed"
PLANES = (*COUNTS, *STRESSES, LAST_SIGN)
_FILE = "wear.sqlite"
_BUSY_SECONDS = 2.0
FORMAT = 2
"""Format 1 had no runs and no birth ids; it is taken over. Columns and tables that format 2 got later are added when
they are missing: who does not know them reads and writes the rest as before."""
_ADDED = {
    "birth": "TEXT",
    "unattributed": "REAL NOT NULL DEFAULT 0",
    "unattributed_stress": "REAL NOT NULL DEFAULT 0",
    "unwritten": "INTEGER NOT NULL DEFAULT 0",
    "why_unwritten": "TEXT NOT NULL DEFAULT ''",
}
# What of an account could not be written when its books were closed is said by a file without content: there is room
# for its name where there is none for a row.
DISK_FULL, NOT_WRITABLE = "disk full", "not writable"
_TABLES = f"""
CREATE TABLE IF NOT EXISTS chips (
    id TEXT PRIMARY KEY, rows INTEGER NOT NULL, cols INTEGER NOT NULL, first_use TEXT, last_use TEXT,
    reserved REAL NOT NULL DEFAULT 0, uncertain REAL NOT NULL DEFAULT 0, crashes INTEGER NOT NULL DEFAULT 0,
    budget REAL, budget_source TEXT, {", ".join(f"{name} {kind}" for name, kind in _ADDED.items())}
);
CREATE TABLE IF NOT EXISTS cells (
    chip TEXT NOT NULL REFERENCES chips (id), row INTEGER NOT NULL, col INTEGER NOT NULL,
    {", ".join(f"{name} REAL NOT NULL DEFAULT 0" for name in PLANES)}, PRIMARY KEY (chip, row, col)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (
    chip TEXT NOT NULL REFERENCES chips (id), name TEXT NOT NULL, key TEXT NOT NULL, date TEXT NOT NULL,
    birth TEXT NOT NULL DEFAULT '', content TEXT NOT NULL, PRIMARY KEY (chip, name, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (
    chip TEXT NOT NULL REFERENCES chips (id), run TEXT NOT NULL, session TEXT NOT NULL, folder TEXT NOT NULL,
    begun TEXT NOT NULL, PRIMARY KEY (chip, run)
) WITHOUT ROWID;
"""
_ADD = (
    f"INSERT INTO cells (chip, row, col, {', '.join(PLANES)}) VALUES (?, ?, ?, {', '.join('?' * len(PLANES))}) "
    "ON CONFLICT DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in COUNTS)
    + ", "
    + ", ".join(f"{name} = max({name}, excluded.{name})" for name in STRESSES)
    + f", {LAST_SIGN} = excluded.{LAST_SIGN}"
)


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of a chip beside its cells.

    Attributes
    ----------
    first_use, last_use : str
        UTC, empty when it was never used.
    uncertain : float
        Pulses any one cell may have had beyond its count, because a process died before it wrote them down.
    crashes : int
        How often that happened.
    unwritten : int
        How often they could not be written when the books were closed; ``why_unwritten`` says why, the last time.
    unattributed, unattributed_stress : float, float [V]
        Pulses, and the largest of their voltages, given when it was not known to which cell.
    budget : float, optional
        ``pulses_total_max`` of whoever used it last, and ``budget_source`` who set that.
    birth : str
        Birth id of the chip used last under this id, "" where none was told.
    """

    chip: str
    rows: int
    cols: int
    first_use: str = ""
    last_use: str = ""
    uncertain: float = 0.0
    crashes: int = 0
    budget: float | None = None
    budget_source: str = ""
    birth: str = ""
    unattributed: float = 0.0
    unattributed_stress: float = 0.0
    unwritten: int = 0
    why_unwritten: str = ""


@dataclass(frozen=True, slots=True)
class RunSession:
    """The last session of a run on a chip: its id, the folder it was kept in, and when it began (UTC)."""

    session: str
    folder: str
    begun: str


def wear_file(setting: str | None = None, *, beside: Path | None = None) -> Path:
    """Return the database: of the environment variable ``XBARLAB_WEAR``, of a station file, or the user's own.

    Parameters
    ----------
    setting : str
        ``xbarlab.wear`` of a station file, a folder or a file that ends in ``.sqlite``, relative to ``beside``.
    """
    chosen = os.environ.get(ENVIRONMENT) or None
    if chosen is None and setting is not None:
        chosen = str((beside or Path()) / Path(setting).expanduser())
    path = Path(chosen).expanduser() if chosen is not None else _user_data_folder() / "xbarlab"
    return path if path.suffix == ".sqlite" else path / _FILE


def _user_data_folder() -> Path:
    """Return where programs keep a user's data on this system."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")


def unreadable(path: Path, error: sqlite3.Error) -> RefusedError:
    """Return what to say of a ledger that is damaged, or none of ours."""
    return RefusedError(
        f"the wear ledger {path} cannot be read ({error}): it is damaged, or no ledger of xbarlab; put back a "
        f"copy of before, or name another one by {ENVIRONMENT}"
    )


class WearStore:
    """The accounts of all chips of one user.

    Raises
    ------
    RefusedError
        The file cannot be opened or is no ledger; ``sqlite3.Error`` from the other methods.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # QCoDeS and Ctrl-C close from other threads than the one that opened.
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            # Commits reach the disk in batches, so that they cost no wait; a process that dies loses none of them.
            self._connection.execute("PRAGMA journal_mode=WAL").fetchall()
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._take_over()
            self._connection.executescript(_TABLES)
            self._connection.execute(f"PRAGMA user_version = {FORMAT}")
        except RefusedError:
            self.close()
            raise
        except (sqlite3.Error, OSError) as error:
            raise RefusedError(
                f"the wear ledger {path} cannot be opened ({error}): make its folder writable and room on its disk, or "
                f"name another one by xbarlab.wear in the station file or by the environment variable {ENVIRONMENT}"
            ) from error

    def _take_over(self) -> None:
        """Bring a ledger of an older format up to date; refuse a newer one."""
        number = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        if number > FORMAT:
            raise RefusedError(
                f"the wear ledger {self.path} has format {number}: this xbarlab reads formats 1 to {FORMAT}; use the "
                f"xbarlab that wrote it, or a newer one, or name another ledger by {ENVIRONMENT}"
            )
        columns = {str(row[1]) for row in self._connection.execute("PRAGMA table_info(chips)")}
        for name, kind in _ADDED.items():
            if columns and name not in columns:
                # Of two processes that open an old ledger at once, one is second.
                with suppress(sqlite3.OperationalError):
                    self._connection.execute(f"ALTER TABLE chips ADD COLUMN {name} {kind}")

    def note_birth(self, chip: str, birth: str) -> str:
        """Keep which chip of this id it is that is used now; return the birth id of the one before, "" if unknown."""
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            row = self._connection.execute("SELECT coalesce(birth, '') FROM chips WHERE id = ?", (chip,)).fetchone()
            self._connection.execute("UPDATE chips SET birth = ? WHERE id = ?", (birth, chip))
        return str(row[0]) if row is not None else ""

    def used_accounts(self) -> list[Account]:
        """Return every chip that has borne anything, the one used last first; whoever only reads wears nothing."""
        return [account for account in self.accounts() if account.last_use or account.uncertain]

    def accounts(self) -> list[Account]:
        """Return every chip that is known, the one used last first."""
        rows = self._connection.execute(
            "SELECT id, rows, cols, coalesce(first_use, ''), coalesce(last_use, ''), uncertain + reserved, crashes, "
            "budget, coalesce(budget_source, ''), coalesce(birth, ''), unattributed, unattributed_stress, unwritten, "
            "why_unwritten, reserved > 0 FROM chips ORDER BY last_use DESC, id"
        ).fetchall()
        accounts: list[Account] = []
        for *row, reserved in rows:
            account = Account(*row)
            why = self._why_unwritten(account.chip) if reserved else None
            if why is not None:
                account = replace(account, unwritten=account.unwritten + 1, why_unwritten=why)
            elif reserved:
                account = replace(account, crashes=account.crashes + 1)
            accounts.append(account)
        return accounts

    def mark_unwritten(self, chip: str, error: sqlite3.Error | None) -> None:
        """Keep that the books of a chip were closed and could not be written: no process died."""
        full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL or "is full" in str(error)
        with suppress(OSError):
            self._mark(chip, DISK_FULL if full else NOT_WRITABLE).touch()

    def _why_unwritten(self, chip: str) -> str | None:
        return next((why for why in (DISK_FULL, NOT_WRITABLE) if self._mark(chip, why).exists()), None)

    def _mark(self, chip: str, why: str) -> Path:
        name = sha256(chip.encode()).hexdigest()[:16]
        return self.path.with_name(f"{self.path.name}.{name}.{why.replace(' ', '-')}")

    def open_account(self, chip: str, shape: tuple[int, int], budget: float | None, budget_source: str) -> Account:
        """Return a chip's account, opened when there was none; what a dead process had reserved becomes uncertain."""
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("INSERT OR IGNORE INTO chips (id, rows, cols) VALUES (?, ?, ?)", (chip, *shape))
            why = self._why_unwritten(chip)
            counts = "crashes" if why is None else "unwritten"
            self._connection.execute(
                f"UPDATE chips SET uncertain = uncertain + reserved, {counts} = {counts} + (reserved > 0), "
                "reserved = 0, budget = ?, budget_source = ?, why_unwritten = coalesce(?, why_unwritten) "
                "WHERE id = ? AND rows = ? AND cols = ?",
                (budget, budget_source, why, chip, *shape),
            )
        for reason in (DISK_FULL, NOT_WRITABLE):
            with suppress(OSError):
                self._mark(chip, reason).unlink()
        return next(account for account in self.accounts() if account.chip == chip)

    def planes(self, account: Account) -> Planes:
        """Return what every cell has had, [rows, cols] each."""
        planes = {name: np.zeros((account.rows, account.cols)) for name in PLANES}
        found = self._connection.execute(
            f"SELECT row, col, {', '.join(PLANES)} FROM cells WHERE chip = ?", (account.chip,)
        ).fetchall()
        if found:
            table = np.array(found, dtype=np.float64)
            at = table[:, 0].astype(np.intp), table[:, 1].astype(np.intp)
            for column, name in enumerate(PLANES, start=2):
                planes[name][at] = table[:, column]
        return planes

    def write(
        self, chip: str, changes: Mapping[str, NDArray[np.float64]], at: NDArray[np.intp], reserved: float
    ) -> None:
        """Add what cells have had since the last time, and reserve what they may get before the next; all or nothing.

        Parameters
        ----------
        changes : mapping
            Counts to add, stresses and signs to set: [n] each.
        at : array [n, 2]
            Rows and columns.
        Under :data:`UNATTRIBUTED` pulses to add and their largest voltage [V], where there were any.
        reserved : float
            Pulses per cell that may be given before the next call; 0 when the books are closed.
        """
        now = f"{datetime.now(UTC):%F %T}"
        rows = zip(
            *(plane.tolist() for plane in (at[:, 0], at[:, 1], *(changes[name] for name in PLANES))), strict=True
        )
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(_ADD, ((chip, *row) for row in rows))
            # A clock that was set back makes no use undone.
            self._connection.execute(
                "UPDATE chips SET reserved = ?, first_use = min(coalesce(first_use, ?), ?), "
                "last_use = max(coalesce(last_use, ''), ?) WHERE id = ?",
                (reserved, now, now, now, chip),
            )
            if UNATTRIBUTED in changes:
                count, most = changes[UNATTRIBUTED].tolist()
                self._connection.execute(
                    "UPDATE chips SET unattributed = unattributed + ?, "
                    "unattributed_stress = max(unattributed_stress, ?) WHERE id = ?",
                    (count, most, chip),
                )

    def note_run(self, chip: str, run: str, session: str, folder: str) -> None:
        """Note which session of a run works on a chip now: a copy of the run's folder knows nothing of it."""
        with self._connection:
            self._connection.execute(
                "INSERT OR REPLACE INTO runs (chip, run, session, folder, begun) VALUES (?, ?, ?, ?, ?)",
                (chip, run, session, folder, f"{datetime.now(UTC):%F %T}"),
            )

    def run_session(self, chip: str, run: str) -> RunSession | None:
        """Return the last session of a run on a chip."""
        found = self._connection.execute(
            "SELECT session, folder, begun FROM runs WHERE chip = ? AND run = ?", (chip, run)
        ).fetchone()
        return None if found is None else RunSession(*found)

    def keep_fact(self, chip: str, name: str, key: str, fact: Fact) -> None:
        """Keep what is known of a chip under a name and a key; what was there is replaced."""
        with self._connection:
            self._connection.execute(
                "INSERT OR REPLACE INTO facts (chip, name, key, date, birth, content) VALUES (?, ?, ?, ?, ?, ?)",
                (chip, name, key, fact.date, fact.birth, fact.content),
            )

    def fact(self, chip: str, name: str, key: str) -> Fact | None:
        """Return what is known of a chip under a name and a key."""
        found = self._connection.execute(
            "SELECT date, content, birth FROM facts WHERE chip = ? AND name = ? AND key = ?", (chip, name, key)
        ).fetchone()
        return None if found is None else Fact(*found)

    def close(self) -> None:
        """Close the database."""
        with closing(self._connection):
            pass
