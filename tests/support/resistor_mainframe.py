"""A B1500A at the ends of a resistor, and what people send to one."""

from __future__ import annotations

from typing import Any

from support.resistor_analyser import PulsedResistor
from xbarlab.mockhw.instrument import BenchLog
from xbarlab.mockhw.instruments.keysight_b1500.instrument import KeysightB1500
from xbarlab.mockhw.instruments.keysight_b1530.library import Simulation, Wgfmu
from xbarlab.mockhw.instruments.keysight_b1530.module import WgfmuModule
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
            chip, self.clock, self.log, inputs={1: "s1", 2: "s2", 3: "w1", 4: "w2"}, outputs=(1, 2), relay_ohms=0.0
        )
        t = self.circuit.terminal
        self.box = KeysightB1500(
            ADDRESS, self.clock, self.log, circuit=self.circuit, smus={1: t("s1"), 2: t("s2")}, wgfmus=(3,),
            serial=serial, seed=5, info=lambda: b"#12{}",
        )  # fmt: skip
        self.instruments = {ADDRESS: self.box}
        self.module = WgfmuModule(
            self.circuit,
            [(301, t("w1")), (302, t("w2"))],
            self.clock,
            seed=9,
            told=lambda now, what: self.log.add(now, "w", what),
        )
        self.library = Wgfmu(self.module, ADDRESS, Simulation(self.clock, lambda: {"birth": ""}, serial))
        self.circuit.switch(0.0, close=[(1, 1), (2, 2)])

    def pulses(self) -> None:
        """Tie the resistor to the WGFMU."""
        self.circuit.switch(self.clock.now, open=[(1, 1), (2, 2)], close=[(3, 1), (4, 2)])

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
