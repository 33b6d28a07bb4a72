"""What a probe station can tell about itself without touching a cell: its offset, and lines that leak."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .lines import ProbeLines

if TYPE_CHECKING:
    from ..drivers.roles import Path, SourceMeter

VOLTS = 0.1
AVERAGE = 4
# Below this the current of a line is the meter's own noise: no resistance above 100 GΩ is claimed.
_LEAST_AMPS = 1e-12


@dataclass(frozen=True, slots=True)
class ProbeDiagnosis:
    """``offset`` [A]; smallest resistance of an ``open`` line [Ω]. There is no reference resistor on this bench."""

    offset: float
    open: float
    reference: float | None = None
    reference_nominal: float | None = None


def diagnose_lines(
    lines: ProbeLines, smu: SourceMeter, tie: Callable[[frozenset[Path]], None], *, smu_input: int
) -> ProbeDiagnosis:
    """Measure the current of ``smu`` at 0 V with every relay open, then at 0.1 V on each line with all others open.

    No cell has a voltage across it: one of its two lines is always open.

    Parameters
    ----------
    smu : SourceMeter
        The one that measures in reads.
    tie : callable
        Closes just these paths, with ``smu`` on at 0 V after it.
    smu_input : int
        Matrix input port of ``smu``.
    """
    tie(frozenset())
    offset = sum(smu.measure().current for _ in range(AVERAGE)) / AVERAGE
    leak = 0.0
    for port in (*lines.rows, *lines.cols):
        tie(frozenset({(smu_input, port)}))
        smu.level(VOLTS)
        leak = max(leak, abs(smu.measure().current - offset))
        smu.level(0.0)
    return ProbeDiagnosis(offset=offset, open=VOLTS / max(leak, _LEAST_AMPS))
