"""Ranges of a B1517A high resolution SMU.

From memory of the B1500A data sheet, all of it; noise is assumed.
"""

from __future__ import annotations

from typing import Final

from ...probe_circuit.meter import Range

OVERFLOW: Final = 199.999e99
"""What a reading beyond its range returns."""

VOLTS: Final = (
    Range(2.0, 0.01e-2, 0.1e-3, 0.018e-2, 0.4e-3, 100e-6, 10e-6),
    Range(20.0, 0.01e-2, 1e-3, 0.018e-2, 3e-3, 1e-3, 50e-6),
    Range(40.0, 0.015e-2, 3e-3, 0.018e-2, 6e-3, 2e-3, 100e-6),
    Range(100.0, 0.02e-2, 5e-3, 0.018e-2, 15e-3, 5e-3, 200e-6),
)
AMPS: Final = (
    Range(1e-9, 0.1e-2, 300e-15, noise=30e-15, delay=20e-3),
    Range(1e-8, 0.1e-2, 1e-12, noise=100e-15, delay=10e-3),
    Range(1e-7, 0.05e-2, 20e-12, noise=300e-15, delay=5e-3),
    Range(1e-6, 0.05e-2, 100e-12, noise=2e-12, delay=2e-3),
    Range(1e-5, 0.05e-2, 2e-9, noise=20e-12),
    Range(1e-4, 0.04e-2, 20e-9, noise=200e-12),
    Range(1e-3, 0.04e-2, 200e-9, noise=2e-9),
    Range(1e-2, 0.04e-2, 2e-6, noise=20e-9),
    Range(0.1, 0.1e-2, 20e-6, noise=200e-9),
)
VOLTS_CODES: Final = (2, 5, 20, 50, 200, 400, 1000)
"""Of output ranges, tenths of a volt; 0 is automatic."""
AMPS_CODES: Final = range(8, 20)
"""Of current ranges: 8 is 1 pA, each next ten times as much; negative is fixed, 0 automatic."""
SAMPLES_OF_A_CYCLE: Final = 128
"""That the high-speed converter makes in a mains cycle."""
OVERHEAD: Final = 2e-3
"""Of a reading beside its conversions [s]; assumed."""
LIMIT_AT_FIRST: Final = 1e-4
LIMIT_MAX: Final = 0.1
STEPS_MAX: Final = 1001
SAMPLES_MAX: Final = 100_001


def range_for(ranges: tuple[Range, ...], value: float) -> Range:
    """Return the lowest range that holds ``value``, the highest where none does."""
    return next((each for each in ranges if abs(value) <= each.top * (1.0 + 1e-9)), ranges[-1])


def amps_of(code: int) -> float:
    """Return the full scale [A] of a current range code."""
    return 10.0 ** (abs(code) - 20)
