"""The accounts of several chips, looked at as those of one array: each chip keeps its own, under its own id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..chip.wear_ledger import WearLedger
from ..chip.wear_store import RunSession

if TYPE_CHECKING:
    from ..array_spec import ArraySpec
    from ..limits import Limits


class JoinedWear:
    """What is asked of a ``WearLedger``, answered for several; counting goes on in each board's own.

    Parameters
    ----------
    ledgers : of the boards, in their order
    spec : of the joined array; ``spec.parts`` says where the boards are
    """

    def __init__(self, ledgers: Sequence[WearLedger], spec: ArraySpec) -> None:
        self.ledgers = tuple(ledgers)
        self.limits: Limits | None = spec.limits
        self._parts, self._shape = spec.parts, (spec.rows, spec.cols)

    @property
    def chip(self) -> str:
        """The accounts' names."""
        return " + ".join(ledger.chip for ledger in self.ledgers)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for who watches."""
        return tuple(note for ledger in self.ledgers for note in ledger.notes)

    def maps(self) -> dict[str, NDArray[np.float64]]:
        """Return the maps of a ledger, [rows, cols] of the joined array, 0 where there is no cell."""
        return self._joined([ledger.maps() for ledger in self.ledgers])

    def summary(self) -> dict[str, float | str]:
        """Return the accounts in a few numbers: sums over all cells, and what the cell that has most has."""
        found = [ledger.summary() for ledger in self.ledgers]
        first = [str(one["first_use"]) for one in found if one["first_use"]]
        made: dict[str, float | str] = {
            "chip": self.chip,
            "rows": self._shape[0],
            "cols": self._shape[1],
            "cells": sum(part.size for part in self._parts),
            "first_use": min(first, default=""),
            "why_unwritten": next((str(one["why_unwritten"]) for one in found if one["why_unwritten"]), ""),
            "last_use": max(str(one["last_use"]) for one in found),
        }
        for key in found[0].keys() - made.keys():
            values = [float(one[key]) for one in found]
            made[key] = max(values) if key.endswith("_max") or key in {"uncertain", "unattributed"} else sum(values)
        return made

    def remaining(self, limits: Limits) -> NDArray[np.float64]:
        """Return the pulses every cell may still get, [rows, cols], 0 where there is none."""
        return self._joined([{"left": ledger.remaining(limits)} for ledger in self.ledgers])["left"]

    def _joined(self, found: Sequence[dict[str, NDArray[np.float64]]]) -> dict[str, NDArray[np.float64]]:
        made = {name: np.zeros(self._shape) for name in found[0]}
        for part, one in zip(self._parts, found, strict=True):
            for name, plane in one.items():
                made[name][part.slices] = plane
        return made

    def note_run(self, run: str, session: str, folder: str) -> None:
        """Note which session of a run works on these chips now."""
        for ledger in self.ledgers:
            ledger.note_run(run, session, folder)

    def run_session(self, run: str) -> RunSession | None:
        """Return the last session of a run on any of the chips."""
        found = [session for ledger in self.ledgers if (session := ledger.run_session(run)) is not None]
        return max(found, key=lambda session: session.begun, default=None)

    def add_unattributed(self, volts: float, count: int, limits: Limits) -> None:
        """Count pulses of which it is not known to which cell they go, nor on which chip: every one may have them."""
        for ledger in self.ledgers:
            ledger.add_unattributed(volts, count, limits)

    def flush(self) -> None:
        """Write what is not written yet."""
        for ledger in self.ledgers:
            ledger.flush()

    def close(self) -> None:
        """Write everything and let go of the databases."""
        for ledger in self.ledgers:
            ledger.close()

    def disown(self) -> None:
        """Forget the databases without closing them: for a forked child."""
        for ledger in self.ledgers:
            ledger.disown()
