"""How late the current meter of a pulse channel is."""

from __future__ import annotations

import math
from typing import Final

from .specs import PULSE_AMPS, SETTLING, range_for

_SETTLED: Final = math.log(100.0)


class Meter:
    """The current meter of one channel, on its range; it follows late."""

    def __init__(self, amps: float) -> None:
        self.on = range_for(PULSE_AMPS, amps)
        self._tau = SETTLING[PULSE_AMPS.index(self.on)] / _SETTLED
        self._seen = 0.0

    def follow(self, amps: float, seconds: float) -> float:
        """Return what it has come to when ``amps`` [A] have flown for ``seconds`` [s]."""
        self._seen += (amps - self._seen) * -math.expm1(-seconds / self._tau)
        return self._seen
