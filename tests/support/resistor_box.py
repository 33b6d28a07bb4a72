"""A two-channel Keithley 2600B whose channels are at the ends of a resistor."""

from __future__ import annotations

from support.resistor_bench import ADDRESSES, Resistor
from xbarlab.mockhw.instrument import BenchLog
from xbarlab.mockhw.instruments.keithley_2600.instrument import Keithley2600
from xbarlab.mockhw.probe_circuit.circuit import ProbeCircuit
from xbarlab.mockhw.sim_clock import SimClock

ADDRESS = ADDRESSES[0]


class ResistorBox:
    """Channel A drives a resistor into channel B, which is at 0 V behind a limit of 1 mA while it is off."""

    def __init__(self, ohms: float = 1e4, *, model: str = "2636B", serial: str = "4088888") -> None:
        self.clock, self.log = SimClock(), BenchLog()
        self.chip = Resistor(ohms)
        self.circuit = ProbeCircuit(
            self.chip,  # pyright: ignore[reportArgumentType]
            self.clock,
            self.log,
            inputs={1: "a", 2: "b"},
            outputs=(1, 2),
            relay_ohms=0.0,
        )
        self.box = Keithley2600(
            ADDRESS,
            self.clock,
            self.log,
            circuit=self.circuit,
            terminals=(self.circuit.terminal("a"), self.circuit.terminal("b")),
            model=model,
            serial=serial,
            seed=5,
            info=lambda: b"#12{}",
        )
        self.instruments = {ADDRESS: self.box}
        self.circuit.switch(0.0, close=[(1, 1), (2, 2)])

    def ask(self, *lines: str) -> str:
        """Send lines and return what they print, letting time pass for them."""
        self.box.receive("".join(f"{line}\n" for line in lines).encode("latin-1"))
        out = b""
        while (reply := self.box.wait_for_reply()) is not None:
            out += reply
        return out.decode("latin-1").removesuffix("\n")

    def numbers(self, *lines: str) -> list[float]:
        """Return the numbers that lines print."""
        return [float(text) for text in self.ask(*lines).replace(",", "\t").split("\t")]

    def error(self) -> tuple[int, str]:
        """Return number and text of the oldest error."""
        code, text, _, _ = self.ask("print(errorqueue.next())").split("\t")
        return int(float(code)), text
