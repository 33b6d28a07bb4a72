"""Arrays to blocks and back, as ``docs/board-protocol.md`` §4 lays them out (little-endian, plane after plane)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_CODE_MAX = 32767
VMM_OVERFLOW = -32768


@dataclass(frozen=True, slots=True)
class PulsePlanes:
    """A pulse map in the board's own units, one value per cell, shape (nrows, ncols)."""

    volts: NDArray[np.int16]
    gate: NDArray[np.int16]
    count: NDArray[np.uint32]
    ticks: NDArray[np.uint32]

    def payload(self, *, long: bool = False) -> bytes:
        """Return the block of ``PULSe:MAP``, 10 bytes a cell; with ``long`` of ``PULSe:MAP:LONG``, 12 bytes."""
        return b"".join(
            (
                self.volts.astype("<i2", copy=False).tobytes(),
                self.gate.astype("<i2", copy=False).tobytes(),
                self.count.astype("<u4" if long else "<u2", copy=False).tobytes(),
                self.ticks.astype("<u4", copy=False).tobytes(),
            )
        )


@dataclass(frozen=True, slots=True)
class Last:
    """The reply to ``PULSe:LAST?``; seconds in [s]."""

    kind: str
    slots_planned: int
    slots_done: int
    pulses_done: int
    seconds_planned: float
    seconds_done: float


def largest_code(limit: float, lsb: float) -> int:
    """Return the largest code that does not exceed ``limit`` in magnitude."""
    return min(_CODE_MAX, int(limit / lsb * (1 + 1e-12)))


def to_codes(values: NDArray[np.float64], lsb: float, low: int, high: int) -> NDArray[np.int16]:
    """Return the nearest codes, rounded toward zero where rounding would exceed a limit."""
    return np.clip(np.rint(values * (1.0 / lsb)), low, high).astype(np.int16)


def to_float32(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float32]:
    """Return the nearest single-precision numbers, rounded toward zero where rounding would exceed a limit."""
    bounds = np.array([low, high], dtype="<f4")
    bounds = np.where(
        np.abs(bounds.astype(np.float64)) > np.abs([low, high]), np.nextafter(bounds, np.float32(0)), bounds
    )
    return np.clip(values.astype("<f4"), bounds[0], bounds[1])


def decode_map(
    payload: memoryview, shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.uint8]]:
    """Return currents [A], standard errors [A] and flags of a ``READ:MAP?`` block."""
    n = shape[0] * shape[1]
    current = np.frombuffer(payload, "<f4", n).astype(np.float64).reshape(shape)
    stderr = np.frombuffer(payload, "<f4", n, 4 * n).astype(np.float64).reshape(shape)
    flags = np.frombuffer(payload, np.uint8, n, 8 * n).reshape(shape).copy()
    return current, stderr, flags


def decode_sweep(payload: memoryview) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.uint8]]:
    """Return volts [V], currents [A] and flags of a ``FETCh:SWEep?`` block."""
    n = len(payload) // 9
    volts = np.frombuffer(payload, "<f4", n).astype(np.float64)
    current = np.frombuffer(payload, "<f4", n, 4 * n).astype(np.float64)
    return volts, current, np.frombuffer(payload, np.uint8, n, 8 * n).copy()


def decode_program(
    payload: memoryview, shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.uint8]]:
    """Return conductances [S], pulses and status of a ``FETCh:PROGram?`` block."""
    n = shape[0] * shape[1]
    conductance = np.frombuffer(payload, "<f4", n).astype(np.float64).reshape(shape)
    pulses = np.frombuffer(payload, "<u2", n, 4 * n).astype(np.int64).reshape(shape)
    return conductance, pulses, np.frombuffer(payload, np.uint8, n, 6 * n).reshape(shape).copy()


def decode_last(reply: str) -> Last:
    """Read the reply to ``PULSe:LAST?``; ValueError when it is none."""
    kind, planned, done, pulses, seconds_planned, seconds_done = reply.split(",")
    return Last(kind.strip(), int(planned), int(done), int(pulses), float(seconds_planned), float(seconds_done))
