"""One output of an instrument, as the cables of a probe station see it."""

from __future__ import annotations

import math
from typing import Protocol


class Circuit(Protocol):
    """What a terminal tells when it changes."""

    def settle(self, now: float) -> None:
        """Let the chip live under the present bias up to ``now`` [s]."""
        ...

    def changed(self, *, ties: bool = True) -> None:
        """Forget the bias: a terminal has moved, or with ``ties`` what is tied to what."""
        ...


class Terminal:
    """One output of an instrument.

    Attributes
    ----------
    name : str
        As the bench file's wiring names it.
    on : bool
        False: high impedance.
    volts : float [V]
        Open-circuit voltage.
    ohms : float [Ω]
        Output resistance.
    limit : float [A]
        Largest current it delivers or sinks.
    delay : float [s]
        How late the limit acts: until then the charge of the cable is unlimited.
    """

    def __init__(self, circuit: Circuit, name: str, *, ohms: float = 0.0, delay: float = 0.0, on: bool = False) -> None:
        self._circuit = circuit
        self.name = name
        self.on = on
        self.volts = 0.0
        self.ohms = ohms
        self.limit = math.inf
        self.delay = delay

    def set(self, now: float, **changes: float | bool) -> None:
        """Change ``on``, ``volts``, ``ohms`` or ``limit`` at time ``now`` [s]."""
        self._circuit.settle(now)
        for name, value in changes.items():
            if not hasattr(self, name):
                raise AttributeError(name)
            setattr(self, name, value)
        self._circuit.changed(ties="on" in changes)
