"""What an ArC TWO can do besides reading and pulsing: products of all rows at once, and trains of reads.

The library hands over 2048 instructions at once, and what is beyond only when the board has done those (``execute`` of
libarc2's source). A program that a killed host must not leave in the middle is no longer than that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...capabilities import Trace
from ...chip.requests import checked_vectors, one_cell, refuse_vectors, vmm_range
from ...limits import Quantity
from .slots import on_steps, read_level

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ...array_spec import ArraySpec
    from .calls import Calls
    from .channels import Channels
    from .gates import Gates

VECTORS = 32
"""Vectors in one program: some 50 instructions each at most."""
PERIOD_MIN = 60e-6
"""Least time [s] of a read in a train: 30 µs to settle and a conversion; estimated, not measured."""
_OWN_NANOS = 51_000  # of that period, what the library and the board take before the gap
TRAIN_POINTS = 250
"""Reads in a train, which is one program: 7 instructions each."""
TRAIN_SECONDS = 5.0
"""Longest train of reads [s]: the cell stays at the read voltage that long if the host is killed."""


class Driven(Protocol):
    """What these need of the array they belong to."""

    calls: Calls
    channels: Channels
    gates: Gates | None

    @property
    def name(self) -> str:
        """Of the array."""
        ...

    @property
    def spec(self) -> ArraySpec:
        """The array in numbers."""
        ...

    @property
    def polarity(self) -> int:
        """+1 where a SET is positive at the row."""
        ...

    def acting(self) -> AbstractContextManager[object]:
        """Return what makes the array safe if the body fails."""
        ...

    def go_on(self) -> None:
        """Let whoever asked for an end in."""
        ...

    def add_cost(self, *, slots: int, seconds: float, pulses: int = 0) -> None:
        """Add to the bill."""
        ...


class ArcTwoProducts:
    """Drives all lines of one side and reads all of the other."""

    def __init__(self, array: Driven) -> None:
        self._array = array

    def vmm(self, volts: ArrayLike, *, full_scale: float | None = None) -> NDArray[np.float32]:
        """Return currents [batch, cols] A for row voltages [batch, rows] V."""
        return self._product(volts, full_scale, reverse=False)

    def vmm_reversed(self, volts: ArrayLike, *, full_scale: float | None = None) -> NDArray[np.float32]:
        """Return currents [batch, rows] A for column voltages [batch, cols] V."""
        return self._product(volts, full_scale, reverse=True)

    def _product(self, volts: ArrayLike, full_scale: float | None, *, reverse: bool) -> NDArray[np.float32]:
        array, spec, channels = self._array, self._array.spec, self._array.channels
        vectors = checked_vectors(spec, volts, reverse=reverse)
        refuse_vectors(spec, vectors)
        most = max(spec.vmm_ranges) if full_scale is None else vmm_range(spec, full_scale)
        driven, read = (channels.cols, channels.rows) if reverse else (channels.rows, channels.cols)
        told: list[NDArray[np.float64]] = []
        batch = on_steps(np.atleast_2d(vectors), spec.limits.vmm_volts_max)
        with array.acting():
            array.calls.forget()
            for first in range(0, len(batch), VECTORS):
                array.go_on()
                part = batch[first : first + VECTORS]
                array.calls.rest()
                if array.gates is not None:
                    array.calls.open_gates(array.gates.lines, spec.read_gate, spec.limits)
                for vector in part:
                    levels = list(zip(driven, (array.polarity * vector).tolist(), strict=True))
                    array.calls.drive([*levels, *((line, 0.0) for line in read)], spec.limits, Quantity.VMM_VOLTS)
                    array.calls.look(read)
                array.calls.run()
                told.append(array.calls.picked(len(part))[:, list(read)])
        currents = -array.polarity * np.concatenate(told)
        currents[np.abs(currents) >= most] = np.nan
        array.add_cost(slots=len(batch), seconds=len(batch) * spec.vmm_slot_seconds)
        return (currents if np.ndim(volts) == 2 else currents[0]).astype(np.float32)


class ArcTwoSamples:
    """A train of reads of one cell."""

    def __init__(self, array: Driven) -> None:
        self._array = array

    def sample(self, row: int, col: int, volts: float, *, rate: float, seconds: float) -> Trace:
        """Measure one cell at ``rate`` [1/s] for ``seconds`` [s] at ``volts`` [V]; times are those commanded."""
        array, spec = self._array, self._array.spec
        cell = one_cell(spec, row, col)
        where = f"cell ({cell.row0}, {cell.col0})"
        amplitude = read_level(spec.limits.one("read_volts", volts, channel=where), spec.limits)
        spec.check_sample(rate, seconds, channel=where)
        points, nanos = round(rate * seconds), round(1e9 / rate)
        low, high = array.channels.rows[cell.row0], array.channels.cols[cell.col0]
        gap = max(nanos - _OWN_NANOS, 0) // 10 * 10
        with array.acting():
            array.calls.forget()
            array.calls.rest()
            if array.gates is not None:
                array.calls.open_gates(array.gates.of(cell.row0, (cell.col0,)), spec.read_gate, spec.limits)
            array.calls.train(low, high, array.polarity * amplitude, points, gap, nanos, spec.limits)
            array.calls.run()
            told = array.calls.picked(points)[:, high]
        array.add_cost(slots=points, seconds=points / rate)
        return Trace(
            row=cell.row0,
            col=cell.col0,
            volts=amplitude,
            time=np.arange(1, points + 1) / rate,
            current=-array.polarity * told,
        )
