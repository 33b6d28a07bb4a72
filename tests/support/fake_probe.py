"""Four drivers of a probe station that do nothing but remember what they were asked; a resistive cell everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np

from xbarlab.instruments.capabilities import Identity
from xbarlab.instruments.chip.chip_file import parse_chip
from xbarlab.instruments.drivers.roles import MeterFacts
from xbarlab.instruments.errors import InstrumentError
from xbarlab.instruments.limits import Limits, NamedLimits
from xbarlab.instruments.probe.probed_array import ProbedArray

ROWS = COLS = 4
CHIP = parse_chip(
    {"id": "t", "rows": ROWS, "cols": COLS, "cell": "passive", "limits": {"set_volts_max": 3.0, "current_max": 2e-3}},
    source="test",
)


class Bench:
    """Everything four drivers were asked, in order; a resistive cell everywhere."""

    def __init__(self, siemens: float = 100e-6) -> None:
        self.said: list[tuple[object, ...]] = []
        self.g = siemens
        self.fail: str = ""
        self.row = FakeSmu(self, "row")
        self.column = FakeSmu(self, "column")
        self.pulser = FakePulser(self)
        self.matrix = FakeMatrix(self)

    def say(self, *words: object) -> None:
        self.said.append(words)
        if self.fail and self.fail in words:
            raise InstrumentError("broken on purpose")

    def array(self, **settings: object) -> ProbedArray:
        """Return the probe station; ``settings`` may put other drivers into its roles."""
        settings = {"chip": CHIP, "limits": NamedLimits({"read_volts_max": 0.3}, "test"), **settings}
        drivers = {"row_smu": self.row, "column_smu": self.column, "pulser": self.pulser, "matrix": self.matrix}
        made = ProbedArray("probe", **{**drivers, **settings})
        self.said.clear()
        return made


class FakeDriver:
    simulated = False
    place = "nowhere"
    ending = ()
    transactions = 0
    identity = Identity("A", "B", "1", "0")

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.clock = None
        self.limits: Limits | None = None

    is_idle = True
    power_failed = False

    def set_limits(self, limits: Limits) -> None:
        self.limits = limits

    def require_power(self, doing: str) -> None:
        """Never without."""

    def restore(self) -> None:
        self.bench.say(self.name, "restore")


class FakeSmu(FakeDriver):
    facts = MeterFacts(delay_min=50e-6)
    point_seconds = 0.04

    def __init__(self, bench: Bench, name: str) -> None:
        super().__init__(bench)
        self.name = name
        self.is_on = False
        self.volts = 0.0
        self.share = 1.0

    def halve(self) -> None:
        self.share = 0.5

    @contextmanager
    def whole(self) -> Iterator[None]:
        self.share = 1.0
        yield
        self.share = 0.5

    def configure(self, *, nplc: float) -> None:
        self.bench.say(self.name, "configure", nplc)

    def integrate(self, nplc: float) -> None:
        self.point_seconds = 0.04 * nplc

    def reading_seconds(self, nplc: float) -> float:
        return 0.04 * nplc

    def on(self, volts: float, *, compliance: float) -> None:
        self.is_on, self.volts = True, volts
        self.bench.say(self.name, "on", volts, compliance)

    def off(self) -> None:
        self.is_on, self.volts = False, 0.0
        self.bench.say(self.name, "off")

    def level(self, volts: float, *, compliance: float | None = None) -> None:
        assert self.limits is not None
        assert abs(volts) <= self.share * self.limits.set_volts_max
        self.volts = volts
        self.bench.say(self.name, "level", volts)

    def measure(self) -> SimpleNamespace:
        self.bench.say(self.name, "measure")
        return SimpleNamespace(volts=self.volts, current=self._amps(), flags=0)

    def step(self, volts: float, *, compliance: float, dwell: float = 0.0) -> SimpleNamespace:
        self.volts = volts
        self.bench.say(self.name, "step", volts, compliance)
        return SimpleNamespace(volts=volts, current=self._amps(), flags=0)

    def _amps(self) -> float:
        """Selected cell, and on the column three half-selected ones."""
        bench = self.bench
        cell = bench.g * (bench.row.volts - bench.column.volts)
        return cell if self.name == "row" else 3 * bench.g * bench.column.volts - cell

    def sweep(self, volts: np.ndarray, *, compliance: float, dwell: float) -> tuple[np.ndarray, ...]:
        self.bench.say(self.name, "sweep", len(volts))
        return volts, self.bench.g * volts, np.zeros(len(volts), dtype=np.uint8)

    def idle(self, *, reconnect: bool = True) -> None:
        self.is_on, self.volts = False, 0.0
        self.bench.say(self.name, "idle")


class FakePulser(FakeDriver):
    name = "pulser"
    edge_range = (3e-9, 1e-6)

    def plan(self, first: float, second: float, **train: float) -> None:
        assert train["count"] >= 1

    def pulses(self, first: float, second: float, **train: float) -> SimpleNamespace:
        self.bench.say("pulser", first, second, train["width"], train["count"])
        seconds = train["count"] * train["period"]
        return SimpleNamespace(first=first, second=second, width=train["width"], seconds=seconds)

    def idle(self, *, reconnect: bool = True) -> None:
        self.bench.say("pulser", "idle")


class FakeMatrix(FakeDriver):
    name = "matrix"
    ports = (14, 48)

    def connect_only(self, paths: frozenset[tuple[int, int]]) -> None:
        on = self.bench.row.is_on or self.bench.column.is_on
        self.bench.say("matrix", "HOT" if on else "cold", paths)

    def idle(self, *, reconnect: bool = True) -> None:
        self.bench.say("matrix", "idle")
