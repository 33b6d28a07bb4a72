"""A source-measure unit on one device that remembers what it was asked; a resistor, open or shorted as wanted."""

from __future__ import annotations

from typing import Any

import numpy as np

from support.fake_probe import FakeDriver
from xbarlab.instruments.capabilities import FLAG_COMPLIANCE
from xbarlab.instruments.chip.chip_file import parse_chip
from xbarlab.instruments.drivers.roles import MeterFacts
from xbarlab.instruments.errors import InstrumentError
from xbarlab.instruments.limits import NamedLimits
from xbarlab.instruments.probe.single.hand import Request
from xbarlab.instruments.probe.single.probed_devices import ProbedDevices

NAMES = ["A1", "A2", "A3"]
CHIP = {
    "id": "t", "rows": 3, "cols": 1, "cell": "passive", "devices": NAMES,
    "limits": {"set_volts_max": 3.0, "reset_volts_max": 2.0, "current_max": 2e-3},
}  # fmt: skip


class Bench:
    """One unit, and a hand that puts devices on its probes."""

    def __init__(self, **siemens: float) -> None:
        self.said: list[tuple[Any, ...]] = []
        self.siemens = {"A1": 100e-6, "A2": 200e-6, "A3": 300e-6, **siemens}
        self.on = ""
        self.asked: list[Request] = []
        self.comes: list[float] = []
        """Conductance of the next contacts [S], in place of the devices' own."""
        self.contact: float | None = None
        self.fail = ""
        self.smu = FakeUnit(self)

    def array(self, **settings: Any) -> ProbedDevices:
        chip = settings.pop("chip", CHIP)
        made = ProbedDevices(
            "devices", smu=self.smu, chip=parse_chip(chip, source="t.chip.yaml"),  # pyright: ignore[reportArgumentType]
            limits=NamedLimits({}, "test"), **settings,
        )  # fmt: skip
        made.hand = self.connect
        self.said.clear()
        return made

    def connect(self, request: Request) -> None:
        self.say("asked", request.device)
        assert (self.smu.level, self.smu.connected) == (0.0, False), "devices change at 0 V, disconnected"
        self.asked.append(request)
        self.on = request.device
        self.contact = self.comes.pop(0) if self.comes else None

    def say(self, *words: Any) -> None:
        self.said.append(words)
        if self.fail and self.fail in words:
            raise InstrumentError("broken on purpose")

    @property
    def conductance(self) -> float:
        return self.siemens[self.on or "A1"] if self.contact is None else self.contact


class FakeUnit(FakeDriver):
    name = "smu"
    facts = MeterFacts(delay_min=50e-6, points_max=500)
    is_on = False

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)  # pyright: ignore[reportArgumentType]
        self.bench: Any = bench
        self.level, self.connected, self.nplc = 0.0, True, 1.0
        self.levels: list[float] = []
        self.compliances: list[float] = []
        self.longest = 0.0

    def __getattr__(self, name: str) -> Any:
        # Verbs of the role that single devices have no use for.
        if name in {"halve", "whole", "on", "off", "measure", "step"}:
            raise AssertionError(f"{name} is no list")
        raise AttributeError(name)

    halve = whole = on = off = measure = step = None

    @property
    def point_seconds(self) -> float:
        return self.reading_seconds(self.nplc)

    def configure(self, *, nplc: float) -> None:
        self.nplc = nplc
        self.bench.say("configure", nplc)

    def integrate(self, nplc: float) -> None:
        self.nplc = nplc

    def reading_seconds(self, nplc: float) -> float:
        return 0.04 * nplc + 5e-3

    def timed_seconds(self, nplc: float) -> float:
        return 0.04 * nplc + 1e-3

    def disconnect(self) -> None:
        self.connected = False
        self.bench.say("disconnect")

    def connect(self) -> None:
        self.connected = True
        self.bench.say("connect")

    def sweep(self, volts: Any, *, compliance: float, dwell: float) -> Any:
        return self._swept(volts, compliance, dwell, self.point_seconds)

    def timed_sweep(self, volts: Any, *, compliance: float, dwell: float, largest: float) -> Any:
        each = dwell + self.timed_seconds(self.nplc)
        found = self._swept(volts, compliance, dwell, self.timed_seconds(self.nplc))
        return np.arange(len(found[0])) * each, *found

    def _swept(self, volts: Any, compliance: float, dwell: float, reading: float) -> Any:
        assert self.connected
        levels = np.asarray(volts, dtype=float)
        assert levels.size <= self.facts.points_max
        assert levels[-1] == 0.0, "a list ends at 0 V"
        self.levels += levels.tolist()
        self.compliances.append(compliance)
        self.longest = max(self.longest, levels.size * (dwell + reading))
        self.bench.say("list", levels.size, float(np.abs(levels).max()))
        current = levels * self.bench.conductance
        limited = np.abs(current) > compliance
        flags = np.where(limited, FLAG_COMPLIANCE, 0).astype(np.uint8)
        return levels, np.clip(current, -compliance, compliance), flags

    def idle(self, *, reconnect: bool = True) -> None:
        self.bench.say("idle")
