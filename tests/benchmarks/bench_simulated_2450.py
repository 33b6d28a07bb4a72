"""What the simulated 2450 itself costs: a list sweep on a chip that answers at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from xbarlab.mockhw.instrument import BenchLog
from xbarlab.mockhw.instruments.keithley_2450.instrument import Keithley2450
from xbarlab.mockhw.probe_circuit.circuit import Measured
from xbarlab.mockhw.sim_clock import SimClock


class Anything:
    """A terminal on a circuit that is always the same."""

    on, volts, limit = False, 0.0, 0.0

    def set(self, now: float, **changes: Any) -> None:
        self.__dict__.update(changes)

    def measure(self, terminal: object, now: float, *, aperture: float | None = None) -> Measured:
        return Measured(0.5, 50e-6, False)


def test_sweep_of_200_points(benchmark: Any) -> None:
    cable: Any = Anything()
    smu = Keithley2450(
        "GPIB0::18::INSTR", SimClock(), BenchLog(), circuit=cable, terminal=cable, serial="1", seed=1, info=lambda: b""
    )
    for at, part in enumerate(np.linspace(0.0, 1.0, 200).reshape(2, 100)):
        smu.receive(f"SOUR:LIST:VOLT{':APP' if at else ''} {','.join(map('{:.6g}'.format, part))}\n".encode())
    smu.receive(b"SOUR:SWE:VOLT:LIST 1, 0.001, 1, OFF\n")

    def sweep() -> bytes | None:
        smu.receive(b"INIT;*OPC?\n")
        return smu.wait_for_reply()

    assert benchmark(sweep) == b"1\n"
