"""How late the current meter of a pulse channel is."""

from __future__ import annotations

from ...probe_circuit.meter import Follower
from .specs import PULSE_AMPS, SETTLING, range_for


class Meter(Follower):
    """The current meter of one channel, on its range."""

    def __init__(self, amps: float) -> None:
        self.on = range_for(PULSE_AMPS, amps)
        super().__init__(SETTLING[PULSE_AMPS.index(self.on)])
