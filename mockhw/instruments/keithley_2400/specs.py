"""Ranges, resolution and accuracy of a Keithley 2400.

Sources: SPEC-2400 Rev. H (2004), pages 1 and 2: accuracy, resolution, source noise 0.1 to 10 Hz, of which a sixth of
the peak-to-peak value is taken as RMS. It gives no noise of readings: assumed to equal that of the source of the range
at 1 PLC and to fall as 1/sqrt(NPLC). User's Manual 2400S-900-01 Rev. K, page 7-2: readings go to 105.5 % of a range.
Which current range has which of the automatic delays of 1, 2 and 3 ms is from memory.
"""

from __future__ import annotations

from typing import Final

from ...probe_circuit.meter import Range
from ...scpi.errors import ScpiError

OVERFLOW: Final = 9.91e37
"""What a reading beyond its range returns, and what stands where nothing is measured."""

_SPARE: Final = 1.055

VOLTS: Final = (
    Range(0.2, 0.012e-2, 300e-6, 0.02e-2, 600e-6, 5e-6, 0.8e-6, digits=5e-6, spare=_SPARE),
    Range(2.0, 0.012e-2, 300e-6, 0.02e-2, 600e-6, 50e-6, 8e-6, digits=5e-6, spare=_SPARE),
    Range(20.0, 0.015e-2, 1.5e-3, 0.02e-2, 2.4e-3, 500e-6, 80e-6, digits=5e-6, spare=_SPARE),
    Range(200.0, 0.015e-2, 10e-3, 0.02e-2, 24e-3, 5e-3, 0.8e-3, digits=5e-6, spare=_SPARE),
)
AMPS: Final = (
    Range(1e-6, 0.029e-2, 300e-12, 0.035e-2, 600e-12, 50e-12, 0.8e-12, 3e-3, digits=1e-5, spare=_SPARE),
    Range(1e-5, 0.027e-2, 700e-12, 0.033e-2, 2e-9, 500e-12, 8e-12, 2e-3, digits=1e-5, spare=_SPARE),
    Range(1e-4, 0.025e-2, 6e-9, 0.031e-2, 20e-9, 5e-9, 80e-12, digits=1e-5, spare=_SPARE),
    Range(1e-3, 0.027e-2, 60e-9, 0.034e-2, 200e-9, 50e-9, 0.8e-9, digits=1e-5, spare=_SPARE),
    Range(1e-2, 0.035e-2, 600e-9, 0.045e-2, 2e-6, 500e-9, 8e-9, digits=1e-5, spare=_SPARE),
    Range(0.1, 0.055e-2, 6e-6, 0.066e-2, 20e-6, 5e-6, 80e-9, digits=1e-5, spare=_SPARE),
    Range(1.0, 0.22e-2, 570e-6, 0.27e-2, 900e-6, 50e-6, 0.8e-6, digits=1e-5, spare=_SPARE),
)
RANGES: Final = {"VOLT": VOLTS, "CURR": AMPS}


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


def scientific(value: float) -> str:
    """Return a number as the instrument prints it."""
    return f"{value:+.6E}"
