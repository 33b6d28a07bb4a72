"""Ramps made of cells: the simulated board's feature ``ramp`` (board protocol, §10.10)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .....common.arrays import BoolArray
from ....chip.normal_stream import NormalStream
from ....scpi.arguments import Block, Integer, Number
from ....scpi.device import Hold
from ....scpi.errors import ScpiError
from ....scpi.tree import Command, number
from ..adc import OVERFLOW, CodeArray, Float32Array, count_thresholds
from ..core import BoardCore
from ..reads import ReadPoint
from ..slots import Rectangle
from ..spec import block

_LINEAR: Final = 255


@dataclass(frozen=True, slots=True)
class Ramp:
    """Cells (row0, col) to (row0 + steps − 1, col), which are switched in one after the other."""

    col: int
    row0: int
    steps: int
    start: float
    slope: float


@dataclass(frozen=True)
class Ramping:
    """Which columns compare with which ramp in one action.

    ``columns`` are those of each of ``ramps``, ``held`` those that hold cells of one; ``open_columns`` [cols] have
    their gates open, None where columns have none.
    """

    board: BoardCore
    ramps: tuple[Ramp, ...]
    columns: tuple[NDArray[np.int64], ...]
    held: NDArray[np.int64]
    open_columns: BoolArray | None
    offset: Float32Array
    noise: NormalStream

    @property
    def seconds(self) -> float:
        """What a vector takes longer than without a ramp [s]."""
        return max((ramp.steps for ramp in self.ramps), default=0) * self.board.spec.ramp_clock

    def put(self, codes: CodeArray, mean: Float32Array, variance: Float32Array, gate: float) -> bool:
        """Put thresholds counted in place of linear ``codes`` [batch, cols]; return whether a linear one overflowed."""
        spec, batch = self.board.spec, len(codes)
        for ramp, columns in zip(self.ramps, self.columns, strict=True):
            rows = slice(ramp.row0, ramp.row0 + ramp.steps)
            conductance, sigma = self.board.chip.column_moments(rows, ramp.col, spec.ramp_volts, gate)
            swing = np.hypot(ramp.slope * sigma, spec.ramp_errors.ramp_noise).astype(np.float32)
            threshold = np.full((batch, ramp.steps + 1), ramp.start, dtype=np.float32)
            draw = self.noise.draw(batch * ramp.steps).reshape(batch, ramp.steps)
            threshold[:, 1:] += np.cumsum((ramp.slope * conductance).astype(np.float32) + swing * draw, axis=1)
            count_thresholds(
                mean, variance, columns, self.offset, spec.ramp_errors.comparator_noise, threshold,
                self.noise.draw(batch * columns.size), codes,
            )  # fmt: skip
        codes[:, self.held] = 0
        return bool((codes == OVERFLOW).any())


class Ramps:
    """What ``ADC:RAMP`` does."""

    def __init__(self, board: BoardCore) -> None:
        self._board = board
        rng = np.random.default_rng([board.reads.seed, 0x72_6D_70])
        self._offset = (board.spec.ramp_errors.comparator_offset_spread * rng.standard_normal(board.spec.cols)).astype(
            np.float32
        )
        self._noise = NormalStream([board.reads.seed, 0x72_6D_70, 1])
        self.forget()

    def forget(self) -> None:
        """Define and assign no ramp."""
        self._defined: dict[int, Ramp] = {}
        self._of = np.full(self._board.spec.cols, _LINEAR, dtype=np.uint8)

    def commands(self) -> list[Command]:
        """Return the commands; a board of revision 1 has none of them."""
        spec = self._board.spec
        if spec.revision < 2:
            return []
        most = spec.vmm_ranges[-1]
        which, start = Integer("ramp", low=0, high=spec.ramps_max - 1), Number("start", "A", -most, most)
        missing = spec.missing("ramp")
        cells = (
            Integer("column", low=0),
            Integer("row0", low=0),
            Integer("steps", low=1, high=spec.ramp_steps_max),
            start,
            Number("slope", "V", 0.0, spec.ramp_slope_max),
        )
        return [
            Command("ADC:RAMP:DEFine", self.define, (which, *cells), missing=missing),
            Command("ADC:RAMP:DEFine?", self.defined, (which,), missing=missing),
            Command("ADC:RAMP:STARt", self.move, (which, start), missing=missing),
            Command("ADC:RAMP:CLEar", self.forget, missing=missing),
            Command("ADC:RAMP:ASSign", self.assign, (Block("ramps"),), missing=missing),
            Command("ADC:RAMP:ASSign?", lambda: block(self._of.tobytes()), missing=missing),
            Command("ADC:RAMP:LEVels?", self.levels, (which,), missing=missing),
        ]

    def define(self, which: int, col: int, row0: int, steps: int, start: float, slope: float) -> None:
        """``ADC:RAMP:DEFine``."""
        if slope <= 0.0:
            raise ScpiError(-222, f"slope {slope:.6g} not above 0")
        Rectangle(row0, steps, col, 1).check(self._board.spec)
        self._defined[which] = Ramp(col, row0, steps, start, slope)

    def defined(self, which: int) -> str:
        """``ADC:RAMP:DEFine?``."""
        ramp = self._defined.get(which)
        if ramp is None:
            raise ScpiError(-230, f"ramp {which} is not defined")
        return f"{which},{ramp.col},{ramp.row0},{ramp.steps},{number(ramp.start)},{number(ramp.slope)}"

    def move(self, which: int, start: float) -> None:
        """``ADC:RAMP:STARt``."""
        self._defined[which] = replace(self._known(which), start=start)

    def assign(self, payload: memoryview) -> None:
        """``ADC:RAMP:ASSign``."""
        spec = self._board.spec
        if len(payload) != spec.cols:
            raise ScpiError(-161, f"{len(payload)} bytes, {spec.cols} columns need {spec.cols}")
        of = np.frombuffer(payload, dtype=np.uint8).copy()
        bad = np.flatnonzero((of >= spec.ramps_max) & (of != _LINEAR))
        if bad.size:
            raise ScpiError(-222, f"ramp {int(of[bad[0]])} above {spec.ramps_max - 1} at column {int(bad[0])}")
        self._of = of

    def levels(self, which: int) -> Hold:
        """``ADC:RAMP:LEVels?``."""
        board = self._board
        board.may_begin()
        ramp = self._known(which)
        point = ReadPoint(board.spec.ramp_volts, board.vmm_gate, board.read_range, board.average)
        where = Rectangle(ramp.row0, ramp.steps, ramp.col, 1)

        def work() -> bytes:
            current = board.reads.read_map(where, point).current[:, 0]
            rise = np.cumsum(ramp.slope * current / board.spec.ramp_volts)
            return block((ramp.start + np.concatenate(([0.0], rise))).astype("<f4").tobytes())

        slots = point.slots(ramp.steps)
        return board.measure("READ", slots * board.spec.read_slot, slots, work)

    def ramping(self) -> Ramping | None:
        """Return which columns compare with which ramp; None where all are linear."""
        if self._board.adc_mode != "RAMP":
            return None
        used = [int(n) for n in np.unique(self._of) if n != _LINEAR]
        for which in used:
            if which not in self._defined:
                column = int(np.argmax(self._of == which))
                raise ScpiError(-221, f"ramp {which} of column {column} is not defined")
        ramps = tuple(self._defined[which] for which in used)
        held = np.unique(np.array([ramp.col for ramp in ramps], dtype=np.int64))
        closed = np.isin(np.arange(self._board.spec.cols), held)
        columns = tuple(np.flatnonzero((self._of == which) & ~closed).astype(np.int64) for which in used)
        shut = ~closed if self._board.spec.gate_axis == "col" else None
        return Ramping(self._board, ramps, columns, held, shut, self._offset, self._noise)

    def _known(self, which: int) -> Ramp:
        if which not in self._defined:
            raise ScpiError(-221, f"ramp {which} is not defined")
        return self._defined[which]
