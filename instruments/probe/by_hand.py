"""What a chip gets from the instruments of a probe station outside of the array's own actions, cell by cell."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...common.errors import RefusedError, XbarlabError
from ..block import Block
from ..chip.unattributed import Unattributed
from ..chip.wear_summary import stays

if TYPE_CHECKING:
    from ..chip.wear_ledger import WearLedger
    from ..drivers.roles import Path
    from ..limits import Limits
    from .lines import ProbeLines

log = logging.getLogger(__name__)

_NOTHING = 1e-6
"""Below it a voltage is the rounding of a difference [V]."""

Levels = dict[int, float]
Volts = NDArray[np.float64]
Cells = NDArray[np.bool_]


class ByHand:
    """Counts what the drivers tell, whoever asked for it: methods of a driver, QCoDeS parameters, text.

    A cell is tied when a path of the matrix leads from both of its lines to an instrument or to ground; between them it
    has the difference of their levels. Where a cell is tied between two instruments, that cell is meant: its mates on
    grounded lines are half-selected, and like those of the array's own actions not counted, unless they have more than
    half of what a cell may have. Otherwise every cell between an instrument and ground counts. What is driven when no
    cell is tied to it goes into the account's unattributed part.

    While the array acts, levels are kept and nothing is counted: it counts its own actions.

    Parameters
    ----------
    lines : ProbeLines
    polarity : +1 or -1
        Sign of a SET.
    limits : Limits
        What may be applied to a cell.
    account : callable
        The chip's account now.
    acting : callable
        Whether it is the array's own action that asks.
    paths : callable
        The closed paths of the matrix, None where nobody knows.
    """

    def __init__(
        self,
        lines: ProbeLines,
        *,
        polarity: int,
        limits: Limits,
        account: Callable[[], WearLedger],
        acting: Callable[[], bool],
        paths: Callable[[], frozenset[Path] | None],
    ) -> None:
        self._lines, self._polarity, self.limits = lines, polarity, limits
        self.account, self._acting, self._paths = account, acting, paths
        inputs = lines.inputs
        sources = (inputs.row_smu, inputs.column_smu, inputs.pulser_row, inputs.pulser_column)
        self._ends = np.array([port for port in (*sources, inputs.digitiser) if port is not None])
        self._levels: Levels = dict.fromkeys(sources, 0.0)
        self._boundless = replace(limits, pulses_total_max=sys.maxsize)
        self._lock = threading.RLock()

    def of(self, *ports: int) -> HandOf:
        """Return who is told by the instrument at these matrix inputs."""
        return HandOf(self, ports)

    # -- what is told ------------------------------------------------------------------------------------------------

    def level(self, port: int, volts: float) -> None:
        """Take in what is about to be held at a matrix input [V]."""
        with self._lock:
            before = self._levels[port]
            after = {**self._levels, port: volts}
            if not self._acting() and volts != before:
                try:
                    # Nobody is kept from 0 V, whatever the budget says or the disk.
                    self._hold(port, after, self.limits if volts else self._boundless)
                except RefusedError as error:
                    if volts:
                        raise
                    log.warning("%s", error)
            self._levels = after

    def sweep(self, port: int, volts: Volts) -> None:
        """Take in a sweep at a matrix input [points] [V]; the input is at 0 V after it."""
        with self._lock:
            if not self._acting() and volts.size:
                self._sweep(port, volts)
            self._levels[port] = 0.0

    def pulses(self, ports: Sequence[int], volts: Sequence[float], count: int) -> None:
        """Take in a train of pulses at matrix inputs [V]."""
        with self._lock:
            if self._acting():
                return
            paths = self._known()
            given = {**self._levels, **dict(zip(ports, volts, strict=True))}
            tied = self._tied(paths)
            mine = self._at(paths, ports)
            if not (tied & mine).any():
                self.account().add_unattributed(max(map(abs, volts)), count, self.limits)
                return
            before, after = self._across(paths, self._levels), self._across(paths, given)
            hit = self._counted(tied, after) & (np.abs(after - before) > _NOTHING)
            self.account().add(self._whole, np.where(hit, after, 0.0), np.where(hit, count, 0), self.limits)

    def ties(self, before: frozenset[Path] | None, after: frozenset[Path]) -> None:
        """Take in that relays are about to move: a level that is held meanwhile reaches other cells."""
        with self._lock:
            if not self._acting() and any(self._levels.values()):
                self._begin((before or frozenset(), self._levels), (after, self._levels), self.limits)

    # -- what it comes to --------------------------------------------------------------------------------------------

    def _hold(self, port: int, after: Levels, limits: Limits) -> None:
        paths = self._known()
        if not (self._tied(paths) & self._at(paths, (port,))).any():
            Unattributed(self.account, limits).change(self._levels[port], after[port])
        self._begin((paths, self._levels), (paths, after), limits)

    def _begin(
        self, before: tuple[frozenset[Path], Levels], after: tuple[frozenset[Path], Levels], limits: Limits
    ) -> None:
        """Count the stays that begin with a change of paths or levels."""
        had, gets = (
            np.where(self._counted(self._tied(paths), volts), volts, 0.0)
            for paths, volts in ((paths, self._across(paths, levels)) for paths, levels in (before, after))
        )
        begun = (gets != 0.0) & (np.sign(gets) != np.sign(had))
        if gets.any():
            self.account().hold(gets, begun, limits)

    def _sweep(self, port: int, volts: Volts) -> None:
        paths, account = self._known(), self.account()
        tied, mine = self._tied(paths), self._at(paths, (port,))
        if not (tied & mine).any():
            account.add_unattributed(float(np.abs(volts).max()), stays(volts).size, self.limits)
            return
        low, high = (self._across(paths, {**self._levels, port: float(end)}) for end in (volts.min(), volts.max()))
        cells = np.argwhere((self._counted(tied, low) | self._counted(tied, high)) & mine)
        rest = self._across(paths, {**self._levels, port: 0.0})
        own = self._across(paths, {**dict.fromkeys(self._levels, 0.0), port: 1.0})
        through = {(int(row), int(col)): rest[row, col] + own[row, col] * volts for row, col in cells}
        for (row, col), points in through.items():
            account.require(Block(row, 1, col, 1), stays(points).size, self.limits)
        for (row, col), points in through.items():
            account.add_sweep(row, col, points, self.limits)

    # -- the lines ---------------------------------------------------------------------------------------------------

    @property
    def _whole(self) -> Block:
        return Block(0, len(self._lines.rows), 0, len(self._lines.cols))

    def _known(self) -> frozenset[Path]:
        """Return what is closed; nothing where the matrix does not say."""
        try:
            return self._paths() or frozenset()
        except XbarlabError as error:
            log.warning("what the sources drive is not known: %s", error)
            return frozenset()

    def _inputs(self, paths: frozenset[Path]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the input at every row [rows, 1] and at every column [1, cols], 0 where there is none."""
        at = {line: port for port, line in paths}
        rows, cols = (np.array([at.get(line, 0) for line in lines]) for lines in (self._lines.rows, self._lines.cols))
        return rows[:, None], cols[None, :]

    def _at(self, paths: frozenset[Path], ports: Sequence[int]) -> Cells:
        """Return which cells have a line at one of these inputs."""
        rows, cols = self._inputs(paths)
        return np.isin(rows, ports) | np.isin(cols, ports)

    def _tied(self, paths: frozenset[Path]) -> Cells:
        """Return the cells that are meant: between two instruments where there are such, else at any."""
        rows, cols = self._inputs(paths)
        some = (rows > 0) & (cols > 0) & (rows != cols)
        two = some & np.isin(rows, self._ends) & np.isin(cols, self._ends)
        return two if two.any() else some & (np.isin(rows, self._ends) | np.isin(cols, self._ends))

    def _counted(self, tied: Cells, volts: Volts) -> Cells:
        """Return the cells that count at these voltages: what is meant, and mates that get more than half."""
        half = self.limits.halved()
        beyond = (volts > half.set_volts_max + _NOTHING) | (volts < -half.reset_volts_max - _NOTHING)
        return (tied & (np.abs(volts) > _NOTHING)) | beyond

    def _across(self, paths: frozenset[Path], levels: Levels) -> Volts:
        """Return the voltage across every cell [rows, cols] [V], positive SETs; 0 where it is not tied."""
        rows, cols = self._inputs(paths)
        of = np.zeros(1 + max((*levels, int(rows.max()), int(cols.max()))))
        for port, volts in levels.items():
            of[port] = volts
        return np.where((rows > 0) & (cols > 0), self._polarity * (of[rows] - of[cols]), 0.0)


class HandOf:
    """What one instrument tells :class:`ByHand`: it is the ``Stress`` of a driver, at its matrix inputs."""

    def __init__(self, hand: ByHand, ports: Sequence[int]) -> None:
        self._hand, self._ports = hand, tuple(ports)

    def level(self, volts: float) -> None:
        """Take in a level [V]."""
        self._hand.level(self._ports[0], volts)

    def sweep(self, volts: Volts) -> None:
        """Take in a sweep [points] [V]."""
        self._hand.sweep(self._ports[0], volts)

    def pulses(self, volts: Sequence[float], count: int) -> None:
        """Take in a train of pulses [V]."""
        self._hand.pulses(self._ports, volts, count)

    def ties(self, before: frozenset[Path] | None, after: frozenset[Path]) -> None:
        """Take in that paths change."""
        self._hand.ties(before, after)
