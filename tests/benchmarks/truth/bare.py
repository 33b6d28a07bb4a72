"""The physics of a 1T1R chip with all instruments left out: no converters, no noise of theirs, no messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import Cost, Delivered, PulseMap, Reading
from xbarlab.mockhw.chip.crossbar_network import read_rows
from xbarlab.mockhw.chip.profile import Profile
from xbarlab.mockhw.chip.virtual_chip import VirtualChip
from xbarlab.mockhw.sim_clock import SimClock

Floats = NDArray[np.float64]


class BareChip:
    """A chip and its time."""

    def __init__(self, profile: Profile, seed: int) -> None:
        self.time = SimClock()
        self.chip = VirtualChip(profile, seed=seed, clock=self.time)

    def wait(self, seconds: float) -> None:
        """Let time [s] pass."""
        self.time.advance(seconds)

    def pulse(self, pulses: PulseMap) -> None:
        """Pulse a block, row by row."""
        block = pulses.block
        volts, width, gate = (
            np.broadcast_to(np.asarray(part, dtype=np.float64), block.shape).ravel()
            for part in (pulses.volts, pulses.width, pulses.gate)
        )
        count = np.broadcast_to(np.asarray(pulses.count, dtype=np.int64), block.shape).ravel()
        rows, cols = np.indices(block.shape).reshape(2, -1)
        cells = (rows + block.row0) * self.chip.cols + cols + block.col0
        on = (count > 0) & (volts != 0.0)
        self.chip.pulse(rows[on], cells[on], volts[on], width[on], gate[on], count[on])

    def quiet(self, block: Block, volts: float, gate: float) -> Floats:
        """Return what a read of rows gives on average [S]: wires in it, no noise."""
        rows = np.arange(block.row0, block.row0 + block.nrows, dtype=np.int64)
        cols = np.arange(block.col0, block.col0 + block.ncols, dtype=np.int64)
        cells = (rows[:, None] * self.chip.cols + cols).ravel()
        g = self.chip.model.conductance(cells, volts, gate, self.chip.now).reshape(block.shape)
        shape = (self.chip.rows, self.chip.cols)
        return read_rows(g, volts, row=rows, col=cols, shape=shape, wires=self.chip.wires) / volts


class BareClock:
    """The clock of a bare chip, as a protocol takes it."""

    def __init__(self, bare: BareChip) -> None:
        self._bare = bare
        self.wait: Callable[[float], None] = bare.wait

    def now(self) -> float:
        """Return the time [s]."""
        return self._bare.time.now


class BareArray:
    """A bare chip where protocols expect an array: cells fluctuate as they do, nothing is added."""

    def __init__(self, spec: Any, bare: BareChip) -> None:
        self.spec = spec
        self.bare = bare
        self.clock = BareClock(bare)
        self.cost = Cost()

    def read(self, cells: Block, volts: float | None = None, *, average: int = 1, **_: Any) -> Reading:
        """Read a block."""
        v = self.spec.read_volts if volts is None else volts
        rows, cols = cells.slices
        current = self.bare.chip.read(rows, cols, v, self.spec.read_gate, average)
        self.bare.wait(self.spec.read_seconds(cells, average))
        nothing = np.zeros(cells.shape)
        return Reading(cells, v, current, current / v, nothing, nothing.astype(np.uint8))

    def pulse(self, pulses: PulseMap) -> Delivered:
        """Pulse a block."""
        self.bare.pulse(pulses)
        block = pulses.block
        volts, width, gate, count = (
            np.broadcast_to(np.asarray(part), block.shape)
            for part in (pulses.volts, pulses.width, pulses.gate, pulses.count)
        )
        seconds = self.spec.pulse_seconds(block, float(width.max()))
        self.bare.wait(seconds)
        return Delivered(block, volts, width, gate, count.astype(np.int64), block.nrows, int(count.sum()), seconds)
