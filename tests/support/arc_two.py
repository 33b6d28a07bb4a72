"""A board without a chip behind the stand-in for ``pyarc2``: it writes down what reaches it, and knows its levels."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from xbarlab.common.errors import RefusedError
from xbarlab.instruments.abilities import Multiplies, Samples, Staircases
from xbarlab.instruments.block import Block
from xbarlab.instruments.board.arc_two.array import ArcTwo
from xbarlab.instruments.capabilities import PulseMap
from xbarlab.instruments.chip.chip_file import Chip, parse_chip
from xbarlab.mockhw.instruments.arc_two.library import Pyarc2
from xbarlab.mockhw.sim_clock import SimClock


def comes_of(error: BaseException | None, why: BaseException) -> bool:
    """Return whether ``why`` is an error or what it was raised from."""
    said = error
    while said is not None and said is not why:
        said = said.__cause__
    return said is why


CHANNELS, SELECTORS = 64, 32
AT_ONCE = 2048
"""Instructions that libarc2 hands to the board at once; of a longer program it sends the rest when these are done."""
CHIP: dict[str, Any] = {
    "id": "c",
    "rows": 4,
    "cols": 4,
    "cell": "passive",
    "lines": {"rows": [0, 9, 33, 47], "cols": [16, 17, 30, 63]},
}
GATED: dict[str, Any] = {
    **CHIP, "cell": "1T1R", "lines": {**CHIP["lines"], "gates": [3, 0, 31, 8]}, "limits": {"gate_max": 3.3}
}  # fmt: skip
"""The same with transistors, its gates on selectors of their own."""


class Recorder:
    """Runs programs by writing them down; reads return ``siemens`` times what a channel's neighbours are at."""

    def __init__(self) -> None:
        self.programs: list[list[tuple[Any, ...]]] = []
        self.volts = np.zeros(CHANNELS)
        self.floating = np.ones(CHANNELS, dtype=np.bool_)
        self.ends: list[float] = []
        self.supplies: dict[str, float] = {}
        self.selected: tuple[int, ...] = ()
        self.gate_ends: list[float] = []
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
            elif name == "supplies":
                self.supplies = dict(arguments[0])
            elif name == "select":
                self.selected = tuple(arguments[0])
            elif name == "delay":
                nanos += arguments[0]
            elif name in ("read", "vread"):
                told = np.full(CHANNELS, self.current if name == "read" else 0.0, dtype=np.float32)
                self.results[arguments[0]] = told
        self.ends.append(float(np.abs(self.volts).max()))
        self.gate_ends.append(max([abs(volts) for volts in self.supplies.values()] + [len(self.selected)], default=0))
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
    monkeypatch: Any, *, name: str = "arc", chip: dict[str, Any] | None = None, gated: bool = False, **station: Any
) -> tuple[ArcTwo, Recorder]:
    """Return an array on a recorder, its programs of opening forgotten; ``gated``: with transistors."""
    made, board = library()

    def recorded(*_: object, **__: object) -> Any:
        return made

    monkeypatch.setattr("xbarlab.instruments.board.arc_two.array.vendor_library", recorded)
    known: Chip = parse_chip({**(GATED if gated else CHIP), **(chip or {})}, source="chip")
    opened = ArcTwo(name, library="recorded", chip=known, **station)
    board.programs.clear()
    return opened, board


def instructions(program: Sequence[tuple[Any, ...]]) -> int:
    """Return how many instructions libarc2 makes of a program, by its source: as many as it may be, not fewer."""
    amplifiers = 30  # made ready once: what goes before and behind

    def converters(levels: Sequence[tuple[Any, ...]]) -> int:
        """Return how many times voltages are loaded: once for all groups of four channels with the same."""
        groups: dict[int, set[tuple[Any, ...]]] = {}
        for channel, *volts in levels:
            groups.setdefault(channel // 4, set()).add((channel % 4, *volts))
        return len(set(map(frozenset, groups.values())))

    def one(name: str, *told: Any) -> int:
        if name == "set":
            return 3 + converters(told[0])
        if name == "pulse":
            return 8 + converters(told[0])
        if name == "zero":
            return 4 + converters([(channel, 0.0) for channel in told[0]])
        return {"arb": 6, "delay": 2, "read": 1, "supplies": 4, "select": 1}[
            name
        ]  # with what a look does to the amplifiers it was ready for

    return amplifiers + sum(one(*op) for op in program)


NARROW = {
    "set_volts_max": 3.0, "reset_volts_max": 2.0, "read_volts_max": 0.25, "vmm_volts_max": 0.125, "width_min": 1e-7,
    "width_max": 1e-3, "count_max": 20,
}  # fmt: skip
"""Limits for requests at random."""
_AWKWARD = [np.nan, np.inf, -np.inf, 1e300, -1e300, 0.0, 3.0, 3.0002, -2.0, -2.0002, 0.25, 0.2501, 0.125, 10.0, 40.0]


def ask_at_random(array: ArcTwo, board: Recorder, rng: np.random.Generator, requests: int) -> int:
    """Ask for whatever comes, half of it nonsense; what is refused has sent nothing, and how many that were is told."""
    gated = array.spec.gate_axis is not None
    refused = 0

    def some(scale: float) -> float:
        return float(rng.choice(_AWKWARD)) if rng.random() < 0.3 else float(scale * rng.standard_normal())

    def gate() -> float:
        return abs(some(1.2)) if rng.random() < 0.9 else some(1.0)

    for _ in range(requests):
        sent = len(board.programs)
        corner = int(rng.integers(0, 5)), int(rng.integers(0, 5))
        block = Block(corner[0], int(rng.integers(1, 3)), corner[1], int(rng.integers(1, 3)))
        width = float(rng.choice([5e-8, 1e-7, 1e-6, 1e-3, 1.1e-3, np.nan, -1e-6, 40e-9]))
        gates: dict[str, Any] = {"gate": gate()} if gated else {}
        try:
            match int(rng.integers(0, 6 if array.spec.can(Staircases) else 5)):
                case 0:
                    array.read(block, some(0.2), average=int(rng.integers(0, 3)), **gates)
                case 1:
                    array.pulse(PulseMap(block, some(2.0), width, count=int(rng.integers(-1, 23)), **gates))
                case 2:
                    scheme = str(rng.choice(["V/3", "V/2", "ground"]))
                    array.pulse(PulseMap(block, some(2.0), width, count=1, scheme=scheme, **gates))
                case 3:
                    array.ability(Multiplies).vmm([some(0.05) for _ in range(4)])
                case 4:
                    array.ability(Samples).sample(
                        block.row0, block.col0, some(0.2), rate=float(rng.choice([1e3, 1e9, np.nan])), seconds=0.004
                    )
                case _:
                    points = int(rng.integers(0, 23))
                    array.ability(Staircases).staircase(
                        block.row0, block.col0, some(1.2), some(1.2), points, width=width
                    )
        except RefusedError:
            refused += 1
            assert len(board.programs) == sent
    return refused
