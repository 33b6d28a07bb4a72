"""Wear: what every cell of a chip has borne over its life, counted below every protocol and held to its budget."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...common.errors import RefusedError
from ...common.owned import NotCopied
from ..block import Block
from ..wire.forked import keep
from ..wire.interrupts import uninterrupted
from .chip_facts import Facts
from .giving import Giving
from .wear_counting import count_mixed, count_pulses, count_sweep
from .wear_store import COUNTS, PLANES, STRESSES, UNATTRIBUTED, Account, RunSession, WearStore, unreadable
from .wear_summary import stays, wear_maps, wear_summary

if TYPE_CHECKING:
    from ..limits import Limits

log = logging.getLogger(__name__)

WARN_AT = 0.8
"""Part of the budget from which on it is said."""

_FLUSH_SECONDS = 5.0
# What is lost when a process dies is at most a hundredth of the budget, and little where there is none.
_RESERVE_MIN, _RESERVE_MAX, _RESERVE_PART = 256.0, 1e4, 0.01
# A batch holds so many of the largest trains at least, or long trains would each cost a transaction.
_RESERVE_ADDS = 4.0


class WearLedger(NotCopied):
    """The account of one chip; without a ``store`` it lasts as long as this object.

    Pulses are counted before they leave, whole: one whose confirmation was lost has been given. Counts are written in
    batches, every few seconds and when the array idles. What one batch may hold is reserved in the database before it
    is given, so that a process that dies leaves an upper bound behind, never pulses nobody counted.

    A sweep counts as one pulse for every stay at one polarity. Half-selected cells are not counted. Pulses of an
    outer-product update are counted by their expectation, those of an on-board read-verify half as SETs, half as
    RESETs: which cell got which only the board knows.

    Parameters
    ----------
    chip : str
        Its id, or what else the account is kept under.
    shape : (rows, cols)
    limits : Limits
        Where the budget stands that is shown; what holds is handed over with every pulse.
    birth : str
        Birth id of the chip, where its instrument tells one.

    Attributes
    ----------
    facts : Facts
        What else is known of the chip.

    Raises
    ------
    RefusedError
        The ledger knows a chip of this id that has another shape.
    """

    _why_not_copied = "the account of a chip has one book"

    def __init__(
        self,
        chip: str,
        shape: tuple[int, int],
        *,
        store: WearStore | None = None,
        limits: Limits | None = None,
        birth: str = "",
    ) -> None:
        self._chip, self._store, self.limits = chip, store, limits
        self._lock = threading.RLock()
        self._account = Account(chip, *shape)
        self._total = {name: np.zeros(shape) for name in PLANES}
        if store is not None:
            budget = None if limits is None else float(limits.pulses_total_max)
            source = "" if limits is None else limits.whose("pulses_total_max")
            try:
                self._account = store.open_account(chip, shape, budget, source)
                if (self._account.rows, self._account.cols) != shape:
                    raise RefusedError(
                        f"chip {chip} has {shape[0]} × {shape[1]} cells, but {self._account.rows} × "
                        f"{self._account.cols} in the wear ledger {store.path}: give each chip an id of its own"
                    )
                self._total = store.planes(self._account)
            except sqlite3.Error as error:
                store.close()
                raise unreadable(store.path, error) from error
            except RefusedError:
                store.close()
                raise
        self._written = {name: plane.copy() for name, plane in self._total.items()}
        self._pulses = self._total["set_pulses"] + self._total["reset_pulses"]
        self._most = float(self._pulses.max())
        self._touched = np.zeros(shape, dtype=np.bool_)
        self._stray = self._account.unattributed
        self._failure: sqlite3.Error | None = None
        self._pending = self._reserved = 0.0
        self._flushed = time.monotonic()
        self._notes: list[str] = []
        self.facts = Facts(chip, lambda: self._store, birth)
        if birth and store is not None:
            self._note_birth(store, birth)

    @property
    def chip(self) -> str:
        """What the account is kept under."""
        return self._chip

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for who watches: the budget that runs out, a ledger that cannot be written."""
        return tuple(self._notes)

    # -- counting ----------------------------------------------------------------------------------------------------

    def add(self, block: Block, volts: ArrayLike, count: ArrayLike, limits: Limits) -> None:
        """Count pulses that are about to be given.

        Parameters
        ----------
        volts : array [V]
            Signed; positive SETs.
        count : array
            Pulses per cell, broadcast with ``volts`` to the block's shape.

        Raises
        ------
        RefusedError
            A cell would go beyond its budget, ``limits.pulses_total_max`` (``where`` of the error says so), or the
            ledger cannot be written: nothing was counted.
        """
        with self._lock:
            given, sign = np.asarray(count, dtype=np.float64), np.asarray(volts, dtype=np.float64)
            largest = self._admit(block, given, limits)
            count_pulses(self._total, block.slices, sign, given)
            self._book(block, np.where(sign != 0.0, given, 0.0), largest)

    def add_mixed(
        self,
        block: Block,
        up: NDArray[np.float64],
        down: NDArray[np.float64],
        volts: tuple[float, float],
        limits: Limits,
    ) -> None:
        """Count SETs ``up`` and RESETs ``down`` per cell, about to be given in an order that is not known.

        ``volts`` are the largest magnitudes (RESET, SET) [V].
        """
        with self._lock:
            given = up + down
            largest = self._admit(block, given, limits)
            count_mixed(self._total, block.slices, up, down, volts)
            self._book(block, given, largest)

    def add_sweep(self, row: int, col: int, volts: NDArray[np.float64], limits: Limits) -> None:
        """Count a sweep of one cell through ``volts`` [V] about to run: a pulse for every stay at a polarity."""
        block = Block(row, 1, col, 1)
        signs = stays(volts)
        with self._lock:
            largest = self._admit(block, np.full((1, 1), float(signs.size)), limits)
            count_sweep(self._total, (row, col), signs, volts)
            self._book(block, np.full((1, 1), float(signs.size)), largest)

    def hold(self, volts: NDArray[np.float64], begun: NDArray[np.bool_], limits: Limits) -> None:
        """Count levels that are about to be held: a pulse for every stay that begins.

        Parameters
        ----------
        volts : array [rows, cols] [V]
            What every cell will have; 0 where that is none of its own.
        begun : array [rows, cols]
            Where that is a new stay at a polarity; elsewhere only the largest voltage is kept.
        """
        whole = Block(0, self._account.rows, 0, self._account.cols)
        with self._lock:
            if begun.any():
                self.add(whole, volts, begun, limits)
            for plane, sign in zip(("set_stress", "reset_stress"), (1.0, -1.0), strict=True):
                more = sign * volts > self._total[plane]
                self._total[plane][more] = np.abs(volts[more])
                self._touched |= more

    def add_unattributed(self, volts: float, count: int, limits: Limits) -> None:
        """Count ``count`` pulses about to be given of at most ``volts`` [V], when it is not known to which cell.

        They are no part of any cell's budget.
        """
        with self._lock:
            self._reserve(float(count), limits)
            had = self._account
            self._account = replace(
                had,
                unattributed=had.unattributed + count,
                unattributed_stress=max(had.unattributed_stress, abs(volts)),
            )
            self._pending += count

    def giving(self, block: Block, most: NDArray[np.float64], stress: tuple[float, float], limits: Limits) -> Giving:
        """Count what a loop on the board is about to give: ``most`` pulses per cell, until it says how many they were.

        Parameters
        ----------
        stress : (RESET, SET) [V]
            Largest magnitudes.
        """
        with self._lock:
            self._admit(block, most, limits)
        return Giving(self.settle, block, most, stress)

    def settle(self, block: Block, count: NDArray[np.float64], stress: tuple[float, float]) -> None:
        """Count ``count`` pulses of unknown polarity per cell; :class:`Giving` calls this."""
        with self._lock:
            at = block.slices
            for counts, plane, volts in zip(("reset_pulses", "set_pulses"), reversed(STRESSES), stress, strict=True):
                self._total[counts][at] += 0.5 * count
                np.maximum(self._total[plane][at], np.where(count > 0.0, volts, 0.0), out=self._total[plane][at])
            self._book(block, count, float(count.max()))

    def require(self, block: Block, count: ArrayLike, limits: Limits) -> None:
        """Refuse pulses that would take a cell beyond its budget, without counting them: for maps given in parts."""
        with self._lock:
            self._refuse_overdraft(block, np.asarray(count, dtype=np.float64), limits)

    def _admit(self, block: Block, given: NDArray[np.float64], limits: Limits) -> float:
        """Refuse what is beyond the budget, reserve what is not; return the largest count."""
        self._refuse_overdraft(block, given, limits)
        largest = float(given.max())
        self._reserve(largest, limits)
        return largest

    def _reserve(self, largest: float, limits: Limits) -> None:
        overdue = time.monotonic() > self._flushed + _FLUSH_SECONDS
        if self._store is not None and (overdue or self._pending + largest > self._reserved):
            must = self._pending + largest > self._reserved
            usual = min(max(_RESERVE_PART * limits.pulses_total_max, _RESERVE_MIN), _RESERVE_MAX)
            error = self._write(max(usual, _RESERVE_ADDS * largest))
            if error is not None and must:
                raise RefusedError(f"no pulse is given that cannot be counted: {error}")

    def _refuse_overdraft(self, block: Block, given: NDArray[np.float64], limits: Limits) -> None:
        budget = float(limits.pulses_total_max)
        # All of the chip, not the block: right, and quick for the usual case of a chip far from its end.
        if self._most + self._account.uncertain + float(given.max()) < WARN_AT * budget:
            return
        had = self._pulses[block.slices] + self._account.uncertain
        after = np.where(given > 0.0, had + given, 0.0)
        place = np.unravel_index(int(np.argmax(after)), after.shape)
        cell = f"cell ({block.row0 + int(place[0])}, {block.col0 + int(place[1])}) of chip {self._chip}"
        borne = f"{float(had[place]):,.0f} of its {budget:,.0f} pulses"
        if after[place] > budget:
            raise RefusedError(
                f"{cell} has had {borne} (pulses_total_max) and would now get "
                f"{float(np.broadcast_to(given, after.shape)[place]):,.0f} more: its wear budget is used up; "
                f"{limits.whose('pulses_total_max')}; use other cells",
                where="pulses_total_max",
                value=float(after[place]),
                limit=budget,
            )
        if after[place] >= WARN_AT * budget and not any("pulses_total_max" in note for note in self._notes):
            sentence = f"{cell} will have had more than {WARN_AT:.0%} of its {budget:,.0f} pulses (pulses_total_max)"
            self._notes.append(sentence)
            log.warning("%s", sentence)

    def _book(self, block: Block, given: NDArray[np.float64], largest: float) -> None:
        at = block.slices
        self._pulses[at] += given
        self._touched[at] |= given > 0.0
        self._pending += largest
        self._most = max(self._most, float(self._pulses[at].max()))

    # -- keeping -----------------------------------------------------------------------------------------------------

    def flush(self) -> bool:
        """Write what is not written yet and close the books until the next pulse; logs when that cannot be done.

        Returns whether everything is written.
        """
        with self._lock, uninterrupted():
            if self._store is None or (self._reserved == 0.0 and self._pending == 0.0 and not self._touched.any()):
                return True
            error = self._write(0.0)
            if error is not None:
                log.error("%s; what was reserved there stands in for it", error)
            return error is None

    def _write(self, reserve: float) -> str | None:
        """Write and reserve anew; return what is wrong when that cannot be done, with everything as it was."""
        assert self._store is not None
        at = np.argwhere(self._touched | (self._total["sweeps"] != self._written["sweeps"]))
        index = at[:, 0], at[:, 1]
        changes = {name: self._total[name][index] for name in PLANES}
        for name in COUNTS:
            changes[name] = changes[name] - self._written[name][index]
        stray = self._account.unattributed, self._account.unattributed_stress
        changes[UNATTRIBUTED] = np.array([stray[0] - self._stray, stray[1]])
        try:
            with uninterrupted():
                self._store.write(self._chip, changes, at, reserve)
                for name in PLANES:
                    self._written[name][index] = self._total[name][index]
                self._touched[...] = False
                self._stray = stray[0]
                self._pending, self._reserved = 0.0, reserve
        except sqlite3.Error as error:
            self._failure = error
            sentence = f"the wear ledger {self._store.path} cannot be written ({error})"
            if sentence not in self._notes:
                self._notes.append(sentence)
                log.warning("%s: close what else uses it, or make room on its disk", sentence)
            return sentence
        finally:
            self._flushed = time.monotonic()
        return None

    def close(self) -> None:
        """Write everything and let go of the database."""
        written = self.flush()
        if self._store is not None:
            if not written:
                self._store.mark_unwritten(self._chip, self._failure)
            self._store.close()
            self._store = None

    def disown(self) -> None:
        """Forget the database without closing it: for a forked child, whose parent writes there."""
        keep(self._store)
        self._store = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- asking ------------------------------------------------------------------------------------------------------

    def maps(self) -> dict[str, NDArray[np.float64]]:
        """Return pulses, SETs, RESETs, cycles, sweeps and largest |V| [V] of every cell, [rows, cols] each."""
        with self._lock:
            return wear_maps(self._total)

    def summary(self) -> dict[str, float | str]:
        """Return the account in a few numbers; those of cells are of the cell that has most."""
        with self._lock:
            return wear_summary(self._account, self._total)

    def _note_birth(self, store: WearStore, birth: str) -> None:
        """Say it where another chip has been put under this id: its account is that of the one before."""
        try:
            before = store.note_birth(self._chip, birth)
        except sqlite3.Error as error:
            self._notes.append(f"the wear ledger {store.path} cannot be written ({error})")
            return
        if before and before != birth:
            self._notes.append(
                f"chip {self._chip} is another one than before (birth id {birth}, was {before}), and goes on in the "
                "same account: give each chip an id of its own"
            )
            log.warning("%s", self._notes[-1])

    def note_run(self, run: str, session: str, folder: str) -> None:
        """Note which session of a run works on this chip now; logs when that cannot be done."""
        with self._lock:
            if self._store is not None:
                try:
                    self._store.note_run(self._chip, run, session, folder)
                except sqlite3.Error as error:
                    log.warning("the wear ledger %s cannot be written (%s)", self._store.path, error)

    def run_session(self, run: str) -> RunSession | None:
        """Return the last session of a run on this chip, None where nothing is known of it."""
        with self._lock, suppress(sqlite3.Error):
            return None if self._store is None else self._store.run_session(self._chip, run)
        return None

    def remaining(self, limits: Limits) -> NDArray[np.float64]:
        """Return the pulses every cell may still get, [rows, cols]."""
        with self._lock:
            return np.maximum(limits.pulses_total_max - self._pulses - self._account.uncertain, 0.0)
