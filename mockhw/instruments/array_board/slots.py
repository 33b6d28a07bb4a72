"""How the board splits a pulse map into slots and fires them as time passes (board protocol, §2 and §4.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...scpi.errors import ScpiError
from .spec import BoardSpec

if TYPE_CHECKING:
    from ...chip.virtual_chip import VirtualChip

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


class Rectangle(NamedTuple):
    """Part of the array: ``<row0>,<nrows>,<col0>,<ncols>``."""

    row0: int
    nrows: int
    col0: int
    ncols: int

    @property
    def size(self) -> int:
        """Number of cells."""
        return self.nrows * self.ncols

    @property
    def rows(self) -> slice:
        """Rows as a slice."""
        return slice(self.row0, self.row0 + self.nrows)

    @property
    def cols(self) -> slice:
        """Columns as a slice."""
        return slice(self.col0, self.col0 + self.ncols)

    def check(self, spec: BoardSpec) -> Rectangle:
        """Return itself.

        Raises
        ------
        ScpiError
            -222 when it does not lie inside the array.
        """
        for name, first, count, size in (
            ("rows", self.row0, self.nrows, spec.rows),
            ("columns", self.col0, self.ncols, spec.cols),
        ):
            if count < 1 or first < 0 or first + count > size:
                raise ScpiError(-222, f"{name} {first} to {first + count - 1} outside 0 to {size - 1}")
        return self


@dataclass(frozen=True, slots=True)
class PulseCodes:
    """Pulses in the board's own numbers, one entry per cell that gets any."""

    row: IntArray
    col: IntArray
    volts: IntArray
    gate: IntArray
    ticks: IntArray
    count: IntArray

    def check(self, spec: BoardSpec) -> None:
        """Refuse the whole map for one bad value.

        Raises
        ------
        ScpiError
            -222 with value, limit, row and column.
        """
        for name, codes, low, high, lsb in (
            ("volts", self.volts, -32767, 32767, spec.volts_lsb),
            ("gate", self.gate, 0, 32767, spec.gate_lsb),
            ("count", self.count, 1, spec.long_count_max, 1),
            ("width", self.ticks, spec.ticks_min, spec.ticks_max, spec.tick),
        ):
            if not codes.size or (int(codes.min()) >= low and int(codes.max()) <= high):
                continue
            at = int(np.argmax((codes < low) | (codes > high)))
            value = int(codes[at])
            word, bound = ("above", high) if value > high else ("below", low)
            place = f"row {self.row[at]} column {self.col[at]}"
            raise ScpiError(-222, f"{name} {value * lsb:.6g} {word} {bound * lsb:.6g} at {place}")


def parse_map(payload: memoryview, where: Rectangle, *, long: bool = False) -> PulseCodes:
    """Read the planes of a ``PULSe:MAP`` block, or with ``long`` those of ``PULSe:MAP:LONG``.

    Raises
    ------
    ScpiError
        -161 when its length does not fit the rectangle.
    """
    n, each, counts = where.size, *((12, "<u4") if long else (10, "<u2"))
    if len(payload) != each * n:
        raise ScpiError(-161, f"{len(payload)} bytes, {where.nrows} x {where.ncols} cells need {each * n}")
    count = np.frombuffer(payload, dtype=counts, count=n, offset=4 * n)
    cells = np.flatnonzero(count)
    whole = cells.size == n

    def plane(kind: str, offset: int) -> IntArray:
        values = np.frombuffer(payload, dtype=kind, count=n, offset=offset)
        return (values if whole else values[cells]).astype(np.int64)

    row, col = np.divmod(cells, where.ncols)
    return PulseCodes(
        row + where.row0,
        col + where.col0,
        plane("<i2", 0),
        plane("<i2", 2 * n),
        plane("<u4", (each - 4) * n),
        plane(counts, 4 * n),
    )


class SlotPlan:
    """Pulses in firing order, and how much of them has been fired.

    Parameters
    ----------
    pulses : PulseCodes
        Checked codes.
    spec : BoardSpec
        Limits and timing of the board.

    Attributes
    ----------
    slots, seconds : int, float [s]
        What firing everything costs.
    slots_done, pulses_done, seconds_done : int, int, float [s]
        What has been fired so far.
    """

    def __init__(self, pulses: PulseCodes, spec: BoardSpec) -> None:
        shared = pulses.volts + 32768 if spec.gate_axis == "col" else pulses.gate
        key = (pulses.row << 48) | (shared << 32) | pulses.ticks
        order: IntArray | None = None
        if key.size > 1 and bool((key[1:] < key[:-1]).any()):
            order = np.argsort(key, kind="stable")
            key = key[order]

        def sort(values: IntArray) -> IntArray:
            return values if order is None else values[order]

        self._cells = sort(pulses.row * spec.cols + pulses.col)
        self._volts: FloatArray = sort(pulses.volts) * np.float64(spec.volts_lsb)
        self._width: FloatArray = sort(pulses.ticks) * np.float64(spec.tick)
        self._gate: FloatArray = sort(pulses.gate) * np.float64(spec.gate_lsb)
        self._count = sort(pulses.count)
        self._group: IntArray = np.zeros(key.size, dtype=np.int64)
        np.cumsum(key[1:] != key[:-1], out=self._group[1:])
        groups = int(self._group[-1]) + 1 if key.size else 0
        self._first = np.append(np.flatnonzero(np.r_[True, key[1:] != key[:-1]])[:groups], key.size)
        self._shots = np.maximum.reduceat(self._count, self._first[:-1]) if groups else np.zeros(0, dtype=np.int64)
        self._shot_seconds = self._width[self._first[:-1]] + spec.slot_overhead
        self._ends = np.cumsum(self._shots * self._shot_seconds)
        self.slots = int(self._shots.sum())
        self.seconds = float(self._ends[-1]) if groups else 0.0
        self.slots_done = 0
        self.pulses_done = 0
        self.seconds_done = 0.0
        self._at = (0, 0)

    def cells_fired(self) -> IntArray:
        """Return the cells, flat, of all groups that have had every pulse."""
        return self._cells[: int(self._first[self._at[0]])]

    def shots_finished(self, elapsed: float) -> tuple[int, int]:
        """Return (groups, shots of the next group) that are over after ``elapsed`` [s]."""
        if elapsed >= self.seconds * (1.0 - 1e-12):
            return self._shots.size, 0
        group = int(np.searchsorted(self._ends, elapsed, side="right"))
        begun = float(self._ends[group - 1]) if group else 0.0
        shots = int((elapsed - begun) / float(self._shot_seconds[group]) + 1e-6)
        return group, min(shots, int(self._shots[group]))

    def end_of_shot_under_way(self, elapsed: float) -> float:
        """Return when the shot that is being fired after ``elapsed`` [s] ends; ``elapsed`` between two shots."""
        group, shots = self.shots_finished(elapsed)
        if group >= self._shots.size:
            return self.seconds
        begun = (float(self._ends[group - 1]) if group else 0.0) + shots * float(self._shot_seconds[group])
        return begun + float(self._shot_seconds[group]) if elapsed > begun + 1e-12 else max(elapsed, begun)

    def progress(self, elapsed: float) -> tuple[int, int, float]:
        """Return slots, pulses and seconds [s] that are over after ``elapsed`` [s]."""
        group, shots = self.shots_finished(elapsed)
        span = slice(int(self._first[group]), int(self._first[min(group + 1, self._shots.size)]))
        pulses = int(self._count[: span.start].sum()) + int(np.minimum(self._count[span], shots).sum())
        return self._slots_of(group, shots), pulses, self._seconds_of(group, shots)

    def _slots_of(self, group: int, shots: int) -> int:
        return int(self._shots[:group].sum()) + shots

    def _seconds_of(self, group: int, shots: int) -> float:
        begun = float(self._ends[group - 1]) if group else 0.0
        return begun + (shots * float(self._shot_seconds[group]) if shots else 0.0)

    def fire(self, chip: VirtualChip, elapsed: float) -> None:
        """Fire everything that is over after ``elapsed`` [s] and has not been fired."""
        group, shots = self.shots_finished(elapsed)
        old_group, old_shots = self._at
        if (group, shots) == (old_group, old_shots):
            return
        self._at = (group, shots)
        if (old_group, old_shots, group) == (0, 0, self._shots.size):
            count, chosen = self._count, slice(None)
        else:
            span = slice(int(self._first[old_group]), int(self._first[min(group + 1, self._shots.size)]))
            count = self._count[span]
            of = self._group[span]
            after = np.where(of < group, count, np.minimum(count, shots))
            before = np.where(of == old_group, np.minimum(count, old_shots), 0)
            count = after - before
            chosen = np.flatnonzero(count) + span.start
            count = count[count > 0]
        if count.size:
            chip.pulse(
                self._group[chosen],
                self._cells[chosen],
                self._volts[chosen],
                self._width[chosen],
                self._gate[chosen],
                count,
            )
        self.pulses_done += int(count.sum())
        self.slots_done = self._slots_of(group, shots)
        self.seconds_done = self._seconds_of(group, shots)
