"""Models, ranges and accuracy of the Series 2600B.

Ranges are those of QCoDeS's driver. Accuracies, one year, are from memory of the data sheet (SPEC-2600B), readings and
sources are taken to have the same; noise and settling are assumed. To be checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ...probe_circuit.meter import OVERRANGE, Range
from ...tsp.names import TOO_BIG, TspError

OVERFLOW: Final = 9.91e37
"""What a reading beyond its range returns."""
LEAST_LIMIT: Final = {"limitv": 10e-3, "limiti": 100e-12}

_SPARE: Final = OVERRANGE
_VOLTS: Final = (
    (0.1, 0.02e-2, 250e-6), (0.2, 0.02e-2, 375e-6), (1.0, 0.02e-2, 400e-6), (2.0, 0.02e-2, 600e-6),
    (6.0, 0.02e-2, 1.8e-3), (20.0, 0.02e-2, 5e-3), (40.0, 0.02e-2, 12e-3), (200.0, 0.02e-2, 50e-3),
)  # fmt: skip
_AMPS: Final = (
    (1e-9, 0.15e-2, 240e-15), (1e-8, 0.15e-2, 3e-12), (1e-7, 0.05e-2, 100e-12), (1e-6, 0.025e-2, 500e-12),
    (1e-5, 0.025e-2, 1.5e-9), (1e-4, 0.02e-2, 25e-9), (1e-3, 0.02e-2, 200e-9), (1e-2, 0.02e-2, 2.5e-6),
    (0.1, 0.02e-2, 20e-6), (1.0, 0.03e-2, 1.5e-3), (1.5, 0.05e-2, 3.5e-3), (3.0, 0.05e-2, 3.5e-3),
)  # fmt: skip
# Settling of a voltage source that measures on this current range: low ranges are slow (assumed).
_SETTLING: Final = {1e-9: 50e-3, 1e-8: 10e-3, 1e-7: 2e-3}


@dataclass(frozen=True, slots=True)
class Model:
    """What one model has.

    Attributes
    ----------
    volts, amps : tuple of Range
        From the lowest.
    """

    volts: tuple[Range, ...]
    amps: tuple[Range, ...]

    def range_for(self, function: str, value: float) -> Range:
        """Return the lowest range of ``"v"`` or ``"i"`` that holds ``value``.

        Raises
        ------
        TspError
            None does.
        """
        size = abs(value) * (1.0 - 1e-9)
        ranges = self.volts if function == "v" else self.amps
        for each in ranges:
            if size <= each.top:
                return each
        raise TspError(TOO_BIG, "Parameter too big")


def _model(volts: tuple[float, ...], amps: tuple[float, ...]) -> Model:
    return Model(
        tuple(
            Range(full, gain, offset, gain, offset, full * 5e-6, full * 1e-6, spare=_SPARE)
            for full, gain, offset in _VOLTS
            if full in volts
        ),
        tuple(
            Range(full, gain, offset, gain, offset, full * 2e-5, full * 2e-6, _SETTLING.get(full, 0.2e-3), spare=_SPARE)
            for full, gain, offset in _AMPS
            if full in amps
        ),
    )


_LOW: Final = (0.1, 1.0, 6.0, 40.0)
_HIGH: Final = (0.2, 2.0, 20.0, 200.0)
_DECADES: Final = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)
MODELS: Final = {
    "2602B": _model(_LOW, (*_DECADES, 3.0)),
    "2612B": _model(_HIGH, (*_DECADES, 1.5)),
    "2634B": _model(_HIGH, (1e-9, 1e-8, *_DECADES, 1.5)),
    "2636B": _model(_HIGH, (1e-9, 1e-8, *_DECADES, 1.5)),
}
