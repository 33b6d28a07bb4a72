"""A passive chip that conducts nothing and writes down what it lives through; and a bench around it."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from xbarlab.mockhw.instrument import BenchLog, SimulatedInstrument
from xbarlab.mockhw.probe_circuit.circuit import ProbeCircuit
from xbarlab.mockhw.sim_clock import SimClock

LINES = 4


@dataclass
class Lived:
    """One call: ``volts`` of every line over ``seconds``, NaN where nothing is tied."""

    how: str
    volts: np.ndarray  # [segments, lines]
    seconds: np.ndarray
    repeats: int = 1

    @property
    def total(self) -> float:
        return float(self.seconds.sum()) * self.repeats


class NotebookChip:
    rows = cols = LINES // 2

    def __init__(self) -> None:
        self.lived: list[Lived] = []
        self.amps = np.zeros(LINES)

    def hold(self, bias: Any, seconds: float) -> None:
        self.lived.append(Lived("hold", _on_lines(bias, bias.volts[None, :]), np.array([seconds])))

    def play(self, bias: Any, volts: np.ndarray, seconds: np.ndarray, repeats: int) -> None:
        self.lived.append(Lived("play", _on_lines(bias, volts), seconds, repeats))

    def solve(self, bias: Any) -> Any:
        return SimpleNamespace(line_volts=np.zeros(LINES), line_amps=self.amps)

    measure = solve


def _on_lines(bias: Any, volts: np.ndarray) -> np.ndarray:
    return np.where(bias.source < 0, np.nan, volts[:, bias.source])


class Bench:
    """A circuit with two pulser channels on inputs 9 and 10, and ground on 12; lines on outputs 1 to 4."""

    def __init__(self) -> None:
        self.clock, self.log, self.chip = SimClock(), BenchLog(), NotebookChip()
        self.circuit = ProbeCircuit(
            self.chip,  # pyright: ignore[reportArgumentType]
            self.clock,
            self.log,
            inputs={9: "p.1", 10: "p.2", 12: "ground"},
            outputs=range(1, LINES + 1),
            relay_ohms=1.0,
        )
        self.terminals = (self.circuit.terminal("p.1", ohms=50.0), self.circuit.terminal("p.2", ohms=50.0))
        self.instrument: SimulatedInstrument

    def now(self, message: str) -> str:
        """Send and return what is ready without any time passing."""
        self.instrument.receive(message.encode() + b"\n")
        return (self.instrument.session.take() or b"").decode().rstrip("\n")

    def ask(self, message: str) -> str:
        """Send and wait for the reply."""
        self.instrument.receive(message.encode() + b"\n")
        return (self.instrument.wait_for_reply() or b"").decode().rstrip("\n")

    def errors(self) -> list[int]:
        """Empty the error queue and return its numbers."""
        numbers: list[int] = []
        while (number := int(self.ask("SYST:ERR?").split(",")[0])) != 0:
            numbers.append(number)
        return numbers

    def live(self, seconds: float) -> list[Lived]:
        """Let time pass and return what the chip lived through meanwhile."""
        self.circuit.settle(self.clock.now)
        self.chip.lived.clear()
        self.clock.advance(seconds)
        self.circuit.settle(self.clock.now)
        return self.chip.lived
