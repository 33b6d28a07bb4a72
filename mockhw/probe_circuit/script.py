"""What keeps a source-measure unit busy: scripts that say when they go on."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Protocol

from ..scpi.device import Hold, Reply
from ..sim_clock import SimClock

Script = Generator[float, None, None]
"""Yields the simulated time [s] at which it wants to go on."""


class Busy(Protocol):
    """An instrument that does one thing at a time."""

    clock: SimClock

    def start(self, action: Run) -> None:
        """Start it."""
        ...

    def settle(self, now: float) -> None:
        """Do what has finished by ``now`` [s]."""
        ...


def run_script(instrument: Busy, script: Script, first: float, *, prints: bool) -> Run:
    """Keep an instrument busy with a script of a person's; one that ``prints`` is waited for by who reads."""
    run = Run("script", script, first, (lambda: None) if prints else None)
    instrument.start(run)
    instrument.settle(instrument.clock.now)
    return run


class Run(Hold):
    """A script on its way: at once what keeps the instrument busy and what the parser may wait for.

    Parameters
    ----------
    kind : str
        What the instrument says it is doing.
    script : Script
    start : float [s]
        When it begins.
    finish : callable, optional
        Makes the reply when it is over.
    """

    def __init__(
        self, kind: str, script: Script, start: float, finish: Callable[[], Reply | None] | None = None
    ) -> None:
        super().__init__(finish=None if finish is None else self._deliver)
        self.kind = kind
        self.next_event = start
        self.complete = False
        self._script = script
        self._reply = finish
        self._at = start

    @property
    def ends_at(self) -> float:
        """When it ended, once it has; how far it has got before that [s]."""
        return self._at

    def run_to(self, now: float) -> bool:
        """Go on as far as ``now`` [s]."""
        while self.next_event <= now:
            self._at = self.next_event
            try:
                self.next_event = next(self._script)
            except StopIteration:
                self.complete = True
                return True
        return False

    def cut(self, now: float) -> float:
        """Leave the rest undone; what the source does stays as it is."""
        self._script.close()
        return now

    def _deliver(self) -> Reply | None:
        return self._reply() if self.complete and self._reply is not None else None
