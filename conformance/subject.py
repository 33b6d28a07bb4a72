"""The array that is held to the contract, the few cells it is tried on, and what is done to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..common.errors import RefusedError
from ..instruments.abilities import (
    Multiplies,
    MultipliesReversed,
    Samples,
    Saturates,
    Staircases,
    Sweeps,
    UpdatesByOuterProduct,
)
from ..instruments.block import Block
from ..instruments.capabilities import Cost, CrossbarArray, Reading

if TYPE_CHECKING:
    from ..instruments.array_spec import ArraySpec
    from ..instruments.station.station import Bench

WIDTH = 1e-6
"""Pulses of the checks [s], where the array allows it."""
COUNT = 3
"""Pulses per cell of one map."""
AVERAGE = 16
"""Conversions per cell where a current is compared."""
LOOKS = 4
"""Reads that say whether a cell is steady."""
SIGMAS = 5.0
"""So many standard errors above zero a current counts as one."""


class NotHereError(Exception):
    """A check says nothing about this array; the message says why."""


class BrokenError(AssertionError):
    """The array does not keep the contract; the message says what was found, and what it should be."""


def require(holds: object, sentence: str) -> None:
    """Raise :class:`BrokenError` with ``sentence`` unless ``holds``."""
    __tracebackhide__ = True  # pytest shows the check, not this
    if not holds:
        raise BrokenError(sentence)


def require_volts(told: float, asked: float, spec: ArraySpec) -> None:
    """Refuse a record of a read at another voltage [V] than asked: nearer than a step of the array it may be."""
    __tracebackhide__ = True
    require(
        abs(told - asked) <= spec.volts_lsb * (1.0 + 1e-9),
        f"the record says {told:g} V, asked were {asked:g} V, and a step of the array is {spec.volts_lsb:g} V",
    )


@dataclass
class Subject:
    """An open bench and the cells the checks may touch.

    Attributes
    ----------
    bench : Bench
        Open.
    cells : Block
        The only cells that get pulses and sweeps.
    log : Path, optional
        Wire log of the bench: how it is known that nothing was sent. Without one its cost alone tells.
    """

    bench: Bench
    cells: Block
    log: Path | None = None
    _seen: tuple[Reading, NDArray[np.bool_]] | None = None

    @classmethod
    def on(cls, bench: Bench, cells: str | None = None, log: Path | None = None) -> Subject:
        """Return the subject of an open bench: ``cells`` as ``"0:2,0:2"``, or the first four that are known as good."""
        spec = bench.array.spec
        return cls(bench, first_healthy(spec) if cells is None else Block.parse(cells, spec), log)

    @property
    def array(self) -> CrossbarArray:
        """The array under test."""
        return self.bench.array

    @property
    def spec(self) -> ArraySpec:
        """What it says of itself."""
        return self.array.spec

    @property
    def volts(self) -> float:
        """Voltage of every read, pulse and sweep of the checks [V]: that of a read, so that no cell is moved."""
        limits = self.spec.limits
        return min(self.spec.read_volts, limits.set_volts_max, limits.reset_volts_max)

    @property
    def width(self) -> float:
        """Width of their pulses [s]."""
        limits = self.spec.limits
        return min(self.spec.width_at_least(max(WIDTH, limits.width_min)), limits.width_max)

    @property
    def average(self) -> int:
        """Conversions per cell where currents are compared."""
        return min(AVERAGE, self.spec.average_max)

    @property
    def cell(self) -> tuple[int, int]:
        """The first of the cells."""
        return self.cells.row0, self.cells.col0

    def steady(self) -> tuple[Reading, NDArray[np.bool_]]:
        """Return a read, and where [block.shape] its cells stay within a tenth of it over a few more; measured once.

        Raises
        ------
        NotHereError
            None does, as virgin cells do not: then sizes say nothing of the instrument.
        """
        if self._seen is None:
            looks = [self.array.read(self.cells, self.volts, average=self.average) for _ in range(LOOKS)]
            found = np.array([look.conductance for look in looks])
            calm = np.ptp(found, axis=0) < 0.1 * np.abs(found.mean(axis=0))
            self._seen = looks[-1], calm & carries(looks[-1])
        if not self._seen[1].any():
            raise NotHereError(
                f"no cell of {self.cells} carries a current at {self.volts:g} V that stays within a tenth over {LOOKS} "
                "reads: name some that do, formed ones, with --cells"
            )
        return self._seen

    def sent(self) -> tuple[Cost, int]:
        """Return what tells whether anything was sent: what was spent, and how long the wire log is [bytes]."""
        return self.array.cost, self.log.stat().st_size if self.log is not None else 0

    def announced(self) -> list[str]:
        """Return in sentences what the checks will do to the chip."""
        spec, cells = self.spec, self.cells
        chip = self.bench.chip.id if self.bench.chip is not None else "no chip file"
        pulses = 8 * COUNT
        lines = [
            f"{spec.name}: {spec.rows} × {spec.cols} {spec.cell} cells, chip {chip}; declared abilities: "
            f"{', '.join(sorted(spec.supports)) or 'none'}",
            f"To the chip: reads of cells {cells} at ±{self.volts:g} V at most; up to {pulses} pulses of "
            f"±{self.volts:g} V, {self.width:g} s, on each of these {cells.size} cells.",
        ]
        looks = {
            Sweeps: f"swept between ±{self.volts:g} V",
            Staircases: f"given a staircase of {COUNT} pulses up to {self.volts:g} V",
            Samples: f"sampled at {self.volts:g} V",
        }
        done = [said for kind, said in looks.items() if spec.can(kind)]
        if done:
            lines.append(f"Cell {self.cell} is {' and '.join(done)}.")
        if any(spec.can(kind) for kind in (Multiplies, MultipliesReversed, Saturates)):
            lines.append(f"Products put up to {min(self.volts, spec.limits.vmm_volts_max):g} V on all lines.")
        if spec.can(UpdatesByOuterProduct):
            lines.append(f"Outer products give cell {self.cell} pulses of {self.volts:g} V; no other line fires.")
        lines.append(f"Nothing is above {self.volts:g} V: no cell is formed or switched on purpose.")
        return lines


def carries(reading: Reading) -> NDArray[np.bool_]:
    """Return True [block.shape] where a cell's conductance is above its noise."""
    return np.abs(reading.conductance) > SIGMAS * np.maximum(reading.stderr, 1e-15)


def first_healthy(spec: ArraySpec) -> Block:
    """Return the first 2 × 2 cells nothing bad is known of, a single one where there are no four."""
    good = spec.healthy_mask(spec.whole)
    if min(good.shape) > 1:
        four = good[:-1, :-1] & good[1:, :-1] & good[:-1, 1:] & good[1:, 1:]
        if four.any():
            row, col = np.argwhere(four)[0].tolist()
            return Block(row, 2, col, 2)
    if not good.any():
        raise RefusedError(f"{spec.name} has no cell that is not known as bad: name one with --cells")
    row, col = np.argwhere(good)[0].tolist()
    return Block(row, 1, col, 1)
