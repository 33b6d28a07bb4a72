"""A B1500A at the ends of a resistor, and what people send to one."""

from __future__ import annotations

from typing import Any

from support.resistor_analyser import PulsedResistor
from xbarlab.mockhw.instrument import BenchLog
from xbarlab.mockhw.instruments.keysight_b1500.instrument import KeysightB1500
from xbarlab.mockhw.probe_circuit.circuit import ProbeCircuit
from xbarlab.mockhw.sim_clock import SimClock

ADDRESS = "TCPIP0::127.0.0.1::5025::SOCKET"
OHMS = 1e4


class Mainframe:
    """A B1500A whose SMU in slot 1 is at one end of a resistor, that in slot 2 at the other; slot 3 has a WGFMU."""

    def __init__(self, *, serial: str = "0") -> None:
        self.clock, self.log = SimClock(), BenchLog()
        self.chip = PulsedResistor(OHMS)
        chip: Any = self.chip
        self.circuit = ProbeCircuit(
            chip, self.clock, self.log, inputs={1: "s1", 2: "s2"}, outputs=(1, 2), relay_ohms=0.0
        )
        t = self.circuit.terminal
        self.box = KeysightB1500(
            ADDRESS, self.clock, self.log, circuit=self.circuit, smus={1: t("s1"), 2: t("s2")}, wgfmus=(3,),
            serial=serial, seed=5, info=lambda: b"#12{}",
        )  # fmt: skip
        self.instruments = {ADDRESS: self.box}
        self.circuit.switch(0.0, close=[(1, 1), (2, 2)])

    def tell(self, *messages: str) -> None:
        """Send messages, none of which may be refused."""
        for message in messages:
            self.box.receive(message.encode() + b"\n")
        assert self.error() == '+0,"No Error."'

    def ask(self, message: str) -> str:
        """Send one and return its reply."""
        self.box.receive(message.encode() + b"\n")
        reply = self.box.wait_for_reply()
        assert reply is not None, message
        assert reply.endswith(b"\r\n")
        return reply[:-2].decode()

    def error(self) -> str:
        """Return the oldest error."""
        return self.ask("ERRX?")
