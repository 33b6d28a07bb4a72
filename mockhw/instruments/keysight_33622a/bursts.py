"""Triggered bursts of a 33622A: what keeps it busy until ``*OPC?`` answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...probe_circuit.circuit import ProbeCircuit


@dataclass(frozen=True, slots=True)
class Burst:
    """``cycles`` periods of ``period`` [s] from ``start`` [s] on; ``cycles`` may be infinite."""

    start: float
    period: float
    cycles: float

    @property
    def ends_at(self) -> float:
        """When its last period is over [s]."""
        return self.start + self.cycles * self.period


class BurstAction:
    """The bursts of both channels.

    Parameters
    ----------
    circuit : ProbeCircuit
        What lives through them.
    ended : callable
        Told the channel whose burst is over.
    """

    kind = "BURST"

    def __init__(self, circuit: ProbeCircuit, ended: Callable[[int, float], None]) -> None:
        self._circuit = circuit
        self._ended = ended
        self.bursts: dict[int, Burst] = {}
        self._last_end = 0.0

    @property
    def next_event(self) -> float:
        """When the first burst is over [s]."""
        return min((burst.ends_at for burst in self.bursts.values()), default=self._last_end)

    @property
    def ends_at(self) -> float:
        """When the last burst is over [s]."""
        return max((burst.ends_at for burst in self.bursts.values()), default=self._last_end)

    def run_to(self, now: float) -> bool:
        """Live up to ``now`` [s]; return whether all bursts are over."""
        self._circuit.settle(now)
        for channel, burst in list(self.bursts.items()):
            if burst.ends_at <= now:
                self._last_end = max(self._last_end, burst.ends_at)
                del self.bursts[channel]
                self._ended(channel, burst.ends_at)
        return not self.bursts

    def cut(self, now: float) -> float:
        """Leave the rest undone, in the middle of a pulse if need be."""
        self._circuit.settle(now)
        for channel in list(self.bursts):
            del self.bursts[channel]
            self._ended(channel, now)
        return now
