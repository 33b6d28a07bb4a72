"""A simulated ArC TWO in a process of its own, and a driver in another that may be killed: programs go over a pipe."""

from __future__ import annotations

import sys
from multiprocessing.connection import Client, Listener
from typing import Any

KEY = b"arc"


class Remote:
    """A board at the other end of a pipe; it has a program whole, or not at all."""

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe
        self.clients = 0
        self.serial = "SIM"

    def run(self, program: Any) -> None:
        self._pipe.send(("run", list(program)))
        self._pipe.recv()

    def fetch(self, key: int) -> Any:
        self._pipe.send(("fetch", key))
        return self._pipe.recv()

    def detach(self) -> None:
        self.clients -= 1


def serve(listener: Listener, board: Any) -> int:
    """Run what a client sends until it is gone; return how many programs that were."""
    programs = 0
    with listener.accept() as pipe:
        while True:
            try:
                what, told = pipe.recv()
            except (EOFError, ConnectionError):
                return programs
            if what == "run":
                board.run(told)
                programs += 1
            try:
                pipe.send(board.fetch(told) if what == "fetch" else None)
            except (BrokenPipeError, ConnectionError):
                return programs


def drive(address: str, doing: str, station: str) -> None:
    """Be the host: pulses, reads, products or a train on the board of ``station`` at ``address``, for ever."""
    from types import SimpleNamespace
    from unittest.mock import patch

    import numpy as np

    from xbarlab.instruments.abilities import Multiplies, Samples, Staircases
    from xbarlab.instruments.block import Block
    from xbarlab.instruments.board.arc_two.array import ArcTwo
    from xbarlab.instruments.capabilities import PulseMap
    from xbarlab.instruments.chip.chip_file import load_chip
    from xbarlab.mockhw.instruments.arc_two.library import Pyarc2
    from xbarlab.mockhw.sim_clock import SimClock
    from xbarlab.runbooks.stations import find_bench

    remote: Any = Remote(Client(address, authkey=KEY))
    remote.chip = SimpleNamespace(seed=0, birth="")
    library = Pyarc2({0: remote}, SimClock(), "")
    chip = load_chip(find_bench(station).with_name(f"{station}.chip.yaml"))
    with patch("xbarlab.instruments.board.arc_two.array.vendor_library", return_value=library):
        array = ArcTwo("arc", library="remote", chip=chip)
    print("open", flush=True)
    while True:
        if doing == "pulse":
            gate = array.spec.pulse_gate(1.5)
            array.pulse(PulseMap(Block(0, 8, 0, 8), volts=1.2, width=1e-3, gate=gate, count=200))
        elif doing == "staircase":
            array.ability(Staircases).staircase(1, 2, 0.5, 1.2, 200, width=1e-3)
        elif doing == "read":
            array.read(array.spec.whole, 0.2, average=5)
        elif doing == "product":
            array.ability(Multiplies).vmm(np.full((100, array.spec.rows), 0.2))
        else:
            array.ability(Samples).sample(0, 0, 0.2, rate=250.0, seconds=1.0)


if __name__ == "__main__":
    drive(*sys.argv[1:])
