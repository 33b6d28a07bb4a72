"""A board without a chip behind the stand-in for ``pyarc2``: it writes down what reaches it, and knows its levels."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from xbarlab.instruments.board.arc_two.array import ArcTwo
from xbarlab.instruments.chip.chip_file import Chip, parse_chip
from xbarlab.mockhw.instruments.arc_two.library import Pyarc2
from xbarlab.mockhw.sim_clock import SimClock

CHANNELS = 64
CHIP: dict[str, Any] = {
    "id": "c",
    "rows": 4,
    "cols": 4,
    "cell": "passive",
    "lines": {"rows": [0, 9, 33, 47], "cols": [16, 17, 30, 63]},
}


class Recorder:
    """Runs programs by writing them down; reads return ``siemens`` times what a channel's neighbours are at."""

    def __init__(self) -> None:
        self.programs: list[list[tuple[Any, ...]]] = []
        self.volts = np.zeros(CHANNELS)
        self.floating = np.ones(CHANNELS, dtype=np.bool_)
        self.ends: list[float] = []
        self.seconds: list[float] = []
        self.clients = 0
        self.serial = "R"
        self.chip = SimpleNamespace(seed=0, birth="")
        self.results: dict[int, Any] = {}
        self.current = 1e-6
        self.trouble: Exception | None = None

    def run(self, program: Sequence[tuple[Any, ...]]) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.programs.append(list(program))
        nanos = 0.0
        for name, *arguments in program:
            if name == "set":
                for channel, volts in arguments[0]:
                    self.volts[channel], self.floating[channel] = volts, False
            elif name == "arb":
                self.floating[list(arguments[0])] = False
            elif name == "zero":
                self.volts[list(arguments[0])] = 0.0
            elif name == "open":
                self.floating[list(arguments[0])] = True
            elif name == "delay":
                nanos += arguments[0]
            elif name in ("read", "vread"):
                told = np.full(CHANNELS, self.current if name == "read" else 0.0, dtype=np.float32)
                self.results[arguments[0]] = told
        self.ends.append(float(np.abs(self.volts).max()))
        self.seconds.append(1e-9 * nanos)

    def fetch(self, key: int) -> Any:
        return self.results.pop(key)

    def detach(self) -> None:
        self.clients -= 1


def library() -> tuple[Any, Recorder]:
    """Return a stand-in with a recorder on port 0."""
    board: Any = Recorder()
    return Pyarc2({0: board}, SimClock(), "none"), board


def array(
    monkeypatch: Any, *, name: str = "arc", chip: dict[str, Any] | None = None, **station: Any
) -> tuple[ArcTwo, Recorder]:
    """Return an array on a recorder, its programs of opening forgotten."""
    made, board = library()

    def recorded(*_: object, **__: object) -> Any:
        return made

    monkeypatch.setattr("xbarlab.instruments.board.arc_two.array.vendor_library", recorded)
    known: Chip = parse_chip({**CHIP, **(chip or {})}, source="chip")
    opened = ArcTwo(name, library="recorded", chip=known, **station)
    board.programs.clear()
    return opened, board
