"""A passive chip between ideal sources, where protocols expect an array: no instrument adds or takes anything."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import FLAG_COMPLIANCE, Cost, Delivered, IVTrace, PulseMap, Reading
from xbarlab.mockhw.chip.profile import Profile
from xbarlab.mockhw.passive_chip.chip import Bias, PassiveChip, Solution
from xbarlab.mockhw.sim_clock import SimClock

GROUND, ROW, COLUMN = range(3)
FLOATING = -1
_OHMS = 0.01
_CABLE_OHMS = 200.0
"""Behind which the charge of a cable feeds a cell before any limit acts, as the profile says."""


class BareCrossbar:
    """One cell at a time: half the voltage on its row, minus half on its column, all other lines at 0 V.

    A read is free of noise, with the voltage on the row and all other lines at 0 V. Where cells share no line (``spec``
    says so) the others float. Positive voltages SET.

    Parameters
    ----------
    spec : ArraySpec
        Of the bench whose physics is asked for.
    profile : Profile
    seed : int
    dwell : float, optional [s]
        Time of a point of a sweep as that bench takes it; None for what a plan asks for.
    """

    def __init__(self, spec: Any, profile: Profile, seed: int, *, dwell: float | None = None) -> None:
        self.spec, self.cost = spec, Cost()
        self.time = SimClock()
        self.chip = PassiveChip(profile, seed=seed, clock=self.time)
        self.clock = SimpleNamespace(now=lambda: self.time.now, wait=self.time.advance)
        self._dwell = dwell
        self._delay = _CABLE_OHMS * float(profile.wiring.cable_capacitance or 0.0)

    def ability(self, _: type) -> Any:
        """Return what sweeps."""
        return self

    def idle(self) -> None:
        """Nothing is left tied anyway."""

    def read(self, cells: Block, volts: float | None = None, *, average: int = 1, **_: Any) -> Reading:
        """Read a block without noise."""
        volts = self.spec.read_volts if volts is None else volts
        self.time.advance(self.spec.read_seconds(cells, average))
        rows, cols = cells.slices
        current = np.empty(cells.shape)
        for at, row in enumerate(range(rows.start, rows.stop)):
            for to, col in enumerate(range(cols.start, cols.stop)):
                found = self.chip.solve(self._tied(row, col, volts, 0.0))
                current[at, to] = -found.line_amps[self.chip.rows + col]
        nothing = np.zeros(cells.shape)
        return Reading(cells, volts, current, current / volts, nothing, nothing.astype(np.uint8))

    def pulse(self, pulses: PulseMap) -> Delivered:
        """Give rectangular pulses, cell by cell."""
        block = pulses.block
        volts, width, count = (
            np.broadcast_to(np.asarray(part), block.shape) for part in (pulses.volts, pulses.width, pulses.count)
        )
        spent, gap = 0.0, float(self.spec.slot_overhead)
        for row, col in np.argwhere(count > 0):
            level, times = float(volts[row, col]), int(count[row, col])
            bias = self._written(block.row0 + int(row), block.col0 + int(col), level)
            seconds = np.array([float(width[row, col]), gap])
            self.chip.play(bias, np.array([bias.volts, np.zeros(3)]), seconds, times)
            self.time.advance(times * float(seconds.sum()))
            spent += times * float(seconds.sum())
        return Delivered(block, volts, width, np.zeros(block.shape), count, block.nrows, int(count.sum()), spent)

    def sweep(
        self, row: int, col: int, volts: ArrayLike, *, compliance: float, dwell: float, **_: Any
    ) -> IVTrace:  # fmt: skip
        """Step one cell through ``volts`` [V]; the current is read at the end of each step."""
        points = np.asarray(volts, dtype=np.float64)
        seconds = self._dwell or dwell
        applied, current, flags = np.empty_like(points), np.empty_like(points), np.zeros(points.size, np.uint8)
        for k, level in enumerate(points.tolist()):
            half_selected = self._mates(self.chip.solve(self._written(row, col, level)), row)
            bias = self._written(row, col, level, limit=compliance + abs(half_selected))
            self.time.advance(seconds)
            self.chip.hold(bias, seconds)
            found = self.chip.solve(bias)
            applied[k] = found.source_volts[ROW] - found.source_volts[COLUMN]
            current[k] = -float(found.line_amps[self.chip.rows + col]) - self._mates(found, row)
            flags[k] = FLAG_COMPLIANCE if found.limited.any() else 0
        return IVTrace(row, col, applied, np.zeros_like(points), current, flags, compliance, seconds)

    def _mates(self, found: Solution, row: int) -> float:
        """Return what the half-selected cells of a column carry [A]: it comes out of the other rows."""
        return float(np.delete(found.line_amps[: self.chip.rows], row).sum())

    def _written(self, row: int, col: int, volts: float, *, limit: float = np.inf) -> Bias:
        share = 0.0 if self.spec.separate else 0.5
        return self._tied(row, col, (1.0 - share) * volts, -share * volts, limit)

    def _tied(self, row: int, col: int, up: float, down: float, limit: float = np.inf) -> Bias:
        rows, lines = self.chip.rows, self.chip.rows + self.chip.cols
        source = np.full(lines, FLOATING if self.spec.separate else GROUND)
        source[row], source[rows + col] = ROW, COLUMN
        return Bias(
            source=source, line_ohms=np.zeros(lines), volts=np.array([0.0, up, down]), ohms=np.full(3, _OHMS),
            limit=np.array([np.inf, np.inf, limit]), delay=np.array([0.0, 0.0, self._delay]),
        )  # fmt: skip
