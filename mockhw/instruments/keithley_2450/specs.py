"""Ranges, resolution and accuracy of a Keithley 2450.

Sources: datasheet SPEC-2450 Rev. A / July 2013, page 2 (accuracy, resolution, source noise < 10 Hz) and
Reference Manual 2450-901-01 Rev. B, page 2-111 (automatic source delays). The datasheet gives no noise of
readings: it is assumed to equal the source noise of the range at 1 PLC and to fall as 1/sqrt(NPLC).
"""

from __future__ import annotations

from typing import Final

from ...probe_circuit.meter import Range
from ...scpi.errors import ScpiError

OVERFLOW: Final = 9.9e37
"""What a reading beyond its range returns."""

VOLTS: Final = (
    Range(0.02, 0.1e-2, 150e-6, 0.1e-2, 200e-6, 500e-9, 1e-6),
    Range(0.2, 0.012e-2, 200e-6, 0.015e-2, 200e-6, 5e-6, 1e-6),
    Range(2.0, 0.012e-2, 300e-6, 0.02e-2, 300e-6, 50e-6, 10e-6),
    Range(20.0, 0.015e-2, 1e-3, 0.015e-2, 2.4e-3, 500e-6, 100e-6),
    Range(200.0, 0.015e-2, 10e-3, 0.015e-2, 24e-3, 5e-3, 1e-3),
)
AMPS: Final = (
    Range(1e-8, 0.1e-2, 50e-12, 0.1e-2, 100e-12, 500e-15, 500e-15, 50e-3, 100e-3),
    Range(1e-7, 0.06e-2, 100e-12, 0.06e-2, 150e-12, 5e-12, 500e-15, 50e-3, 100e-3),
    Range(1e-6, 0.025e-2, 300e-12, 0.025e-2, 400e-12, 50e-12, 5e-12, 3e-3, 20e-3),
    Range(1e-5, 0.025e-2, 700e-12, 0.025e-2, 1.5e-9, 500e-12, 40e-12, 2e-3, 10e-3),
    Range(1e-4, 0.02e-2, 6e-9, 0.02e-2, 15e-9, 5e-9, 400e-12, 1e-3, 10e-3),
    Range(1e-3, 0.02e-2, 60e-9, 0.02e-2, 150e-9, 50e-9, 5e-9, 1e-3, 10e-3),
    Range(1e-2, 0.02e-2, 600e-9, 0.02e-2, 1.5e-6, 500e-9, 40e-9),
    Range(0.1, 0.025e-2, 6e-6, 0.025e-2, 15e-6, 5e-6, 100e-9),
    Range(1.0, 0.03e-2, 500e-6, 0.067e-2, 900e-6, 50e-6, 3e-6),
)
# Ohms are a quotient of the two; their ranges only say where readings overflow.
OHMS: Final = tuple(Range(2.0 * 10.0**decade, 0.0, 0.0) for decade in range(1, 9))

RANGES: Final = {"VOLT": VOLTS, "CURR": AMPS, "RES": OHMS}
UNITS: Final = {"VOLT": "Volt DC", "CURR": "Amp DC", "RES": "Ohm", "OHM": "Ohm", "WATT": "Watt DC"}


def range_for(function: str, value: float) -> Range:
    """Return the lowest range of ``function`` that holds ``value``.

    Raises
    ------
    ScpiError
        -222 when none does.
    """
    size = abs(value) * (1.0 - 1e-9)
    for each in RANGES[function]:
        if size <= each.top:
            return each
    raise ScpiError(-222, f"{value:.6g} above {RANGES[function][-1].top:.6g}")
