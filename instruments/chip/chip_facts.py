"""What is known of a chip beside its wear, kept in its account: a text under a name and a key, with its date."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from pathlib import Path

    from ..capabilities import CrossbarArray

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is known of a chip.

    Attributes
    ----------
    date : str
        When it was measured, UTC.
    content : str
        What, as whoever kept it wrote it.
    birth : str
        Birth id of the chip it was measured on, "" where none was told.
    """

    date: str
    content: str
    birth: str = ""

    def of(self, birth: str) -> bool:
        """Whether it may be of the chip with this birth id: another chip under the same name has another one."""
        return not (birth and self.birth and birth != self.birth)


class KeepsFacts(Protocol):
    """An account that facts are kept in."""

    def keep_fact(self, name: str, key: str, content: str) -> None:
        """Keep ``content`` under ``name`` and ``key`` with the date of now; what was there is replaced."""
        ...

    def fact(self, name: str, key: str) -> Fact | None:
        """Return what is kept, None where that is nothing."""
        ...


class Store(Protocol):
    """Where the accounts of all chips are; its methods raise ``sqlite3.Error``."""

    @property
    def path(self) -> Path:
        """The file."""
        ...

    def keep_fact(self, chip: str, name: str, key: str, fact: Fact) -> None:
        """Keep a fact of a chip."""
        ...

    def fact(self, chip: str, name: str, key: str) -> Fact | None:
        """Return a fact of a chip."""
        ...


class Facts:
    """The facts of one chip; without a store, or where it cannot be written, they last as long as this object.

    Parameters
    ----------
    chip : str
        What its account is kept under.
    store : callable
        Returns where accounts are kept now, None for nowhere.
    birth : str
        Birth id of the chip, "" where none is told.
    """

    def __init__(self, chip: str, store: Callable[[], Store | None], birth: str = "") -> None:
        self._chip, self._store, self._birth = chip, store, birth
        self._held: dict[tuple[str, str], Fact] = {}

    def keep_fact(self, name: str, key: str, content: str) -> None:
        """Keep what was measured now."""
        fact = Fact(f"{datetime.now(UTC):%F %T}", content, self._birth)
        self._held[name, key] = fact
        store = self._store()
        if store is not None:
            try:
                store.keep_fact(self._chip, name, key, fact)
            except sqlite3.Error as error:
                log.warning("the wear ledger %s cannot be written (%s)", store.path, error)

    def fact(self, name: str, key: str) -> Fact | None:
        """Return what is kept of this chip; nothing of another one that went by its id before."""
        found, store = self._held.get((name, key)), self._store()
        if found is None and store is not None:
            with suppress(sqlite3.Error):
                found = store.fact(self._chip, name, key)
        return found if found is not None and found.of(self._birth) else None


class _Joined:
    """Several accounts as one: what all of them have, with the oldest date."""

    def __init__(self, accounts: Sequence[KeepsFacts]) -> None:
        self._accounts = accounts

    def keep_fact(self, name: str, key: str, content: str) -> None:
        for account in self._accounts:
            account.keep_fact(name, key, content)

    def fact(self, name: str, key: str) -> Fact | None:
        found = [account.fact(name, key) for account in self._accounts]
        known = [one for one in found if one is not None]
        alike = len(known) == len(found) and len({one.content for one in known}) == 1
        return min(known, key=lambda one: one.date) if alike else None


def facts_of(array: CrossbarArray) -> KeepsFacts | None:
    """Return the account of the chip on ``array``, of all its boards' chips where it has several; None for none."""
    boards: object = getattr(array, "boards", None)
    if isinstance(boards, tuple):
        joined = cast("tuple[CrossbarArray, ...]", boards)
        accounts = [account for account in map(facts_of, joined) if account is not None]
        return _Joined(accounts) if len(accounts) == len(joined) else None
    wear: Any = getattr(array, "wear", None)
    return cast("KeepsFacts | None", getattr(wear, "facts", None))
