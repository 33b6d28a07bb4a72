"""Ranges of a 4200-SMU and of a 4225-PMU with 4225-RPM.

From memory of the 4200A-SCS data sheet, all of it; settling of the pulse card's current ranges is assumed in size, the
lower the slower. Noise is assumed.
"""

from __future__ import annotations

from typing import Final

from ...probe_circuit.meter import Range

OVERFLOW: Final = 9.9e37
"""What a reading beyond its range returns."""

VOLTS: Final = (
    Range(20.0, 0.01e-2, 1e-3, 0.02e-2, 2e-3, 500e-6, 20e-6),
    Range(200.0, 0.015e-2, 3e-3, 0.02e-2, 15e-3, 5e-3, 200e-6),
)
"""Of an SMU; source range codes 1 and 2."""
AMPS: Final = (
    Range(1e-7, 0.05e-2, 30e-12, noise=0.3e-12, delay=5e-3),
    Range(1e-6, 0.05e-2, 200e-12, noise=2e-12, delay=2e-3),
    Range(1e-5, 0.05e-2, 1.5e-9, noise=20e-12),
    Range(1e-4, 0.035e-2, 15e-9, noise=200e-12),
    Range(1e-3, 0.035e-2, 200e-9, noise=2e-9),
    Range(1e-2, 0.04e-2, 1.5e-6, noise=20e-9),
    Range(0.1, 0.045e-2, 15e-6, noise=200e-9),
)

PULSE_VOLTS: Final = Range(10.0, 0.25e-2, 10e-3, 0.25e-2, 2e-3, 250e-6, 1e-3)
PULSE_AMPS: Final = (
    Range(1e-7, 0.5e-2, 1e-9, noise=0.4e-9),
    Range(1e-6, 0.5e-2, 1e-9, noise=1e-9),
    Range(1e-5, 0.5e-2, 30e-9, noise=5e-9),
    Range(1e-4, 0.5e-2, 100e-9, noise=50e-9),
    Range(1e-3, 0.5e-2, 1e-6, noise=0.3e-6),
    Range(1e-2, 0.5e-2, 10e-6, noise=3e-6),
    Range(0.2, 0.5e-2, 250e-6, noise=50e-6),
)
SETTLING: Final = (100e-6, 15e-6, 5e-6, 1e-6, 300e-9, 130e-9, 100e-9)
"""Time in which the ranges of ``PULSE_AMPS`` settle to 1 % [s]."""
PULSE_OHMS: Final = 50.0
GRID: Final = 1e-8
SEGMENT_MIN: Final = 20e-9
SEGMENTS_MAX: Final = 2048
BURST_MAX: Final = 10_000
POINTS_MAX: Final = 65_536
BLOCK_MAX: Final = 2048


def range_for(ranges: tuple[Range, ...], value: float) -> Range:
    """Return the lowest range that holds ``value``, the highest where none does."""
    return next((each for each in ranges if abs(value) <= each.top * (1.0 + 1e-9)), ranges[-1])
