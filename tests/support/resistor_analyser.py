"""A 4200A at the ends of a resistor, and what people send to one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from support.resistor_bench import Resistor
from xbarlab.mockhw.instrument import BenchLog, advance_to
from xbarlab.mockhw.instruments.keithley_4200.instrument import Keithley4200
from xbarlab.mockhw.probe_circuit.circuit import ProbeCircuit
from xbarlab.mockhw.sim_clock import SimClock

ADDRESS = "TCPIP0::127.0.0.1::1225::SOCKET"
OHMS = 1e4


class PulsedResistor(Resistor):
    """A resistor that keeps the stairs it goes through."""

    def play(self, bias: Any, waves: Any, seconds: Any, repeats: int) -> None:
        ends = [int(bias.source[line]) for line in (0, 1)]
        for levels, each in zip(waves, seconds, strict=True):
            across = float(levels[ends[0]] - levels[ends[1]]) if min(ends) >= 0 else 0.0
            self.lived.append((across, float(each) * repeats))


class Analyser:
    """A 4200A whose SMU1 and pulse channel 1 can be at one end of a resistor, SMU2 and pulse channel 2 at the other."""

    def __init__(self, *, serial: str = "4200") -> None:
        self.clock, self.log = SimClock(), BenchLog()
        self.chip = PulsedResistor(OHMS)
        chip: Any = self.chip
        self.circuit = ProbeCircuit(
            chip, self.clock, self.log, inputs={1: "s1", 2: "s2", 3: "p1", 4: "p2"}, outputs=(1, 2), relay_ohms=0.0
        )
        t = self.circuit.terminal
        self.box = Keithley4200(
            ADDRESS, self.clock, self.log, circuit=self.circuit, smus=(t("s1"), t("s2")),
            pulses=(t("p1", ohms=50.0), t("p2", ohms=50.0)), serial=serial, seed=5, info=lambda: b"#12{}",
        )  # fmt: skip
        self.instruments = {ADDRESS: self.box}
        self.circuit.switch(0.0, close=[(1, 1), (2, 2)])

    def pulses(self) -> None:
        self.circuit.switch(self.clock.now, open=[(1, 1), (2, 2)], close=[(3, 1), (4, 2)])

    def ask(self, message: str) -> str:
        self.box.receive(message.encode() + b"\0")
        reply = self.box.wait_for_reply()
        assert reply is not None, message
        assert reply.endswith(b"\0")
        return reply[:-1].decode()

    def tell(self, *messages: str) -> None:
        for message in messages:
            assert self.ask(message) == "ACK", message
        assert self.error() == "No error. (0)"

    def error(self) -> str:
        said = self.ask(":ERROR:LAST:GET")
        assert self.ask(":ERROR:LAST:CLEAR") == "ACK"
        return said

    def rows(self, channel: int) -> NDArray[np.float64]:
        count = int(self.ask(f":PMU:DATA:COUNT? {channel}"))
        text = ";".join(self.ask(f":PMU:DATA:GET {channel}, {start}, 2048") for start in range(0, count, 2048))
        return np.array([[float(word) for word in row.split(",")] for row in text.split(";")])

    def execute(self) -> None:
        self.tell(":PMU:OUTPUT:STATE 1, 1", ":PMU:OUTPUT:STATE 2, 1", ":PMU:EXECUTE")
        while self.ask(":PMU:TEST:STATUS?") == "1":
            advance_to(self.clock, self.clock.now + 1e-3)
