"""A mock 1T1R chip behind lines and gates that are driven apart: what channels do to its cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ...passive_chip.bias import Bias, Solution

if TYPE_CHECKING:
    from ...chip.virtual_chip import VirtualChip

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]

QUIET_VOLTS: Final = 0.5
"""Steady voltages [V] up to this move no cell, as reads of the mock's 1T1R chips do not."""


class GatedCells:
    """The cells of a chip with transistors, on lines that are each at a voltage, or float.

    A line that floats carries nothing. Currents of one driven row go through the chip's wires, and so do those of
    products, all rows against columns that are alike or the other way round; of any other pattern they are those of
    cells without wires.

    Parameters
    ----------
    chip : VirtualChip
    gates : callable
        Returns what each gate line of the chip is at [V], in its order.
    """

    def __init__(self, chip: VirtualChip, gates: Callable[[], Floats]) -> None:
        self._chip, self._gates = chip, gates
        self._cells = np.arange(chip.rows * chip.cols, dtype=np.int64).reshape(chip.rows, chip.cols)

    def hold(self, bias: Bias, seconds: float) -> None:
        """Let the cells live under what is steady on their lines for ``seconds`` [s]."""
        volts, _ = self._across(bias, bias.volts)
        if np.abs(volts).max() > QUIET_VOLTS:
            self._pulse(volts, np.full(volts.shape, seconds), 1)

    def play(self, bias: Bias, volts: Floats, seconds: Floats, repeats: int = 1) -> None:
        """Play piecewise constant voltages [segments, sources] V, [segments] s, ``repeats`` times over."""
        across = np.array([self._across(bias, one)[0] for one in volts])
        acting = across != 0.0
        width = (seconds[:, None, None] * acting).sum(axis=0)
        level = np.where(acting, across, 0.0)
        highest = level.max(axis=0) + level.min(axis=0)
        # A cell that is at one voltage and at 0 V otherwise has had a pulse, and equal ones over and over.
        if np.all((across == highest) | ~acting):
            self._pulse(highest, width, repeats)
            return
        for _ in range(repeats):
            for one, span in zip(across, seconds, strict=True):
                self._pulse(one, np.full(one.shape, span), 1)

    def measure(self, bias: Bias, *, aperture: float | None = None) -> Solution:
        """Return currents of lines and sources with one draw of every cell's read noise."""
        del aperture  # the chip's noise is that of one read, however long
        volts, tied = self._across(bias, bias.volts)
        rows, cols = self._levels(bias, bias.volts)
        into = np.zeros(rows.size), np.zeros(cols.size)
        lit, off = np.flatnonzero(np.nan_to_num(rows)), not np.nan_to_num(cols).any()
        gate, open_ = self._opened()
        if lit.size == 1 and off:
            (row,) = lit
            on = np.flatnonzero(tied[row] & open_[row])
            if on.size:
                amps = self._chip.read(np.array([row]), on, float(rows[row]), gate, 1)[0]
                into[1][on] -= amps
                into[0][row] = amps.sum()
        elif lit.size and off and tied.all():
            into[1][:] -= self._product(rows, gate, reverse=False)
            into[0][:] = np.nansum(self._plain(volts, gate, open_), axis=1)
        elif not lit.size and tied.all() and not off:
            into[0][:] -= self._product(cols, gate, reverse=True)
            into[1][:] = np.nansum(self._plain(-volts, gate, open_), axis=0)
        elif volts.any():
            plain = self._plain(volts, gate, open_)
            into[0][:], into[1][:] = plain.sum(axis=1), -plain.sum(axis=0)
        line_amps = np.concatenate(into)
        source_amps = np.zeros(bias.volts.size)
        held = bias.source >= 0
        np.add.at(source_amps, bias.source[held], line_amps[held])
        line_volts = np.nan_to_num(np.concatenate([rows, cols]))
        return Solution(
            line_volts, line_amps, bias.volts.copy(), source_amps, np.zeros(bias.volts.size, dtype=np.bool_), volts
        )

    # --- of cells -----------------------------------------------------------------------------

    def _levels(self, bias: Bias, sources: Floats) -> tuple[Floats, Floats]:
        """Return what rows and columns are at [V], NaN where they float."""
        lines = np.where(bias.source >= 0, sources[bias.source], np.nan)
        return lines[: self._chip.rows], lines[self._chip.rows :]

    def _across(self, bias: Bias, sources: Floats) -> tuple[Floats, Bools]:
        """Return row minus column [rows, cols] V, 0 V where one of them floats, and where neither does."""
        rows, cols = self._levels(bias, sources)
        volts = rows[:, None] - cols
        return np.nan_to_num(volts), np.isfinite(volts)

    def _gate(self) -> Floats:
        """Return what the gate of every cell is at [rows, cols] V."""
        lines = self._gates()
        return np.broadcast_to(lines if self._chip.gate_axis == "col" else lines[:, None], self._cells.shape)

    def _opened(self) -> tuple[float, Bools]:
        """Return the voltage [V] of gates that are on, and which are; the board has one for all."""
        gate = self._gate()
        highest = float(gate.max())
        return highest, (gate == highest) & (gate > 0.0)

    def _plain(self, volts: Floats, gate: float, on: Bools) -> Floats:
        """Return the currents of cells without wires [rows, cols] A."""
        amps = np.zeros(volts.shape)
        for level in np.unique(volts[on & (volts != 0.0)]):
            at = on & (volts == level)
            amps[at] = level * self._chip.model.conductance(self._cells[at], float(level), gate, self._chip.now)
        return amps

    def _product(self, driven: Floats, gate: float, *, reverse: bool) -> Floats:
        vector = np.ascontiguousarray(driven[None], dtype=np.float32)
        return self._chip.vmm(vector, gate, reverse=reverse, lines=self._gates() > 0.0)[0].astype(np.float64)

    def _pulse(self, volts: Floats, width: Floats, count: int) -> None:
        """Give cells a pulse each, those of a row and of one sign together."""
        if count <= 0:
            return
        gate = self._gate()
        at = np.argwhere((volts != 0.0) & (width > 0.0) & (gate > 0.0))
        if not len(at):
            return
        row, col = at.T
        slot = 2 * row + (volts[row, col] < 0.0)
        order = np.argsort(slot, kind="stable")
        row, col, slot = row[order], col[order], slot[order]
        self._chip.pulse(
            slot.astype(np.int64), self._cells[row, col], volts[row, col], width[row, col],
            np.ascontiguousarray(gate[row, col]), np.full(slot.size, count, dtype=np.int64),
        )  # fmt: skip
