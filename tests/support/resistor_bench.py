"""A probe station whose chip is one resistor: SMUs, cables and a notebook of what the resistor lived through."""

from __future__ import annotations

import numpy as np

from xbarlab.mockhw.instrument import BenchLog
from xbarlab.mockhw.instruments.keithley_2400.instrument import Keithley2400
from xbarlab.mockhw.instruments.keithley_2450.instrument import Keithley2450
from xbarlab.mockhw.passive_chip.chip import Bias, Solution
from xbarlab.mockhw.probe_circuit.circuit import ProbeCircuit
from xbarlab.mockhw.sim_clock import SimClock

ADDRESSES = ("TCPIP0::127.0.0.1::5031::SOCKET", "TCPIP0::127.0.0.1::5032::SOCKET")


class Resistor:
    """A chip of one row and one column with a resistor between them; both sources may limit."""

    rows, cols = 1, 1

    def __init__(self, ohms: float) -> None:
        self.ohms = ohms
        self.lived: list[tuple[float, float]] = []
        """(volts between the lines, seconds), as they came."""

    def hold(self, bias: Bias, seconds: float) -> None:
        self.lived.append((float(self.solve(bias).cell_volts[0, 0]), seconds))

    def measure(self, bias: Bias, *, aperture: float | None = None) -> Solution:
        return self.solve(bias)

    def solve(self, bias: Bias) -> Solution:
        row, col = int(bias.source[0]), int(bias.source[1])
        volts, amps = bias.volts.copy(), np.zeros(bias.volts.size)
        limited = np.zeros(bias.volts.size, dtype=bool)
        current = 0.0
        if row >= 0 and col >= 0:
            path = self.ohms + bias.line_ohms.sum() + bias.ohms[row] + bias.ohms[col]
            current = (volts[row] - volts[col]) / path
            weaker = row if bias.limit[row] <= bias.limit[col] else col
            if abs(current) > bias.limit[weaker]:
                current = float(np.copysign(bias.limit[weaker], current))
                limited[weaker] = True
                drop = current * path
                volts[weaker] = volts[col] + drop if weaker == row else volts[row] - drop
            amps[row], amps[col] = current, -current
        cell = np.array([[current * self.ohms]])
        lines = np.array([volts[row] if row >= 0 else 0.0, volts[col] if col >= 0 else 0.0])
        return Solution(lines, np.array([current, -current]), volts, amps, limited, cell)


class ResistorBench:
    """SMUs on the ends of a resistor; with one SMU the other end is grounded."""

    def __init__(
        self,
        ohms: float = 1e4,
        *,
        smus: int = 1,
        seed: int = 5,
        kind: type[Keithley2400 | Keithley2450] = Keithley2450,
    ) -> None:
        self.clock = SimClock()
        self.log = BenchLog()
        self.chip = Resistor(ohms)
        names = ["smu", "ground"] if smus == 1 else ["smu", "smu2"]
        self.circuit = ProbeCircuit(
            self.chip,  # pyright: ignore[reportArgumentType]
            self.clock,
            self.log,
            inputs={1: names[0], 2: names[1]},
            outputs=(1, 2),
            relay_ohms=0.0,
        )
        self.instruments = {
            address: kind(
                address,
                self.clock,
                self.log,
                circuit=self.circuit,
                terminal=self.circuit.terminal(name),
                serial=f"0412345{index}",
                seed=seed + index,
                info=lambda: b"#12{}",
            )
            for index, (address, name) in enumerate(zip(ADDRESSES[:smus], names, strict=False))
        }
        self.smu, self.other = next(iter(self.instruments.values())), list(self.instruments.values())[-1]
        self.circuit.switch(0.0, close=[(1, 1), (2, 2)])

    def ask(self, *messages: str, smu: Keithley2400 | Keithley2450 | None = None) -> str:
        """Send messages and return all replies, letting time pass for them."""
        instrument = smu or self.smu
        out = b""
        for message in messages:
            instrument.receive(message.encode() + b"\n")
            while (reply := instrument.wait_for_reply()) is not None:
                out += reply
        return out.decode("latin-1").removesuffix("\n")

    def numbers(self, *messages: str) -> list[float]:
        """Return the numbers of a reply."""
        return [float(text) for text in self.ask(*messages).split(",")]

    def error(self) -> str:
        """Return number and text of the oldest error, without the time."""
        return self.ask("SYST:ERR?").partition(";")[0].replace('"', "")
