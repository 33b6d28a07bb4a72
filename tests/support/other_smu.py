"""Another make of source-measure unit, as a stranger would write it: a QCoDeS instrument with the verbs of the role."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
from qcodes.instrument import Instrument

from xbarlab.common.errors import RefusedError
from xbarlab.instruments.clock import WallClock
from xbarlab.instruments.drivers.roles import MeterFacts
from xbarlab.instruments.limits import Limits
from xbarlab.instruments.wire.safe_state import CONFIRMED, SafeStep


class OtherSmu(Instrument):
    """``load`` says what current [A] flows out at its level [V]."""

    facts = MeterFacts(ranges=(1e-6, 1e-3), points_max=100, adc_bits=16, relative_noise=1e-3)
    place = "GPIB0::9::INSTR"
    simulated = False
    power_failed = False
    transactions = 0
    is_on = is_idle = False
    ending: tuple[SafeStep, ...] = ()
    point_seconds = 1e-3

    def __init__(self, name: str, load: Callable[[float], float], said: list[str]) -> None:
        super().__init__(name)
        self.clock, self.load, self.said = WallClock(), load, said
        self.limits, self.volts, self.share, self.compliance = Limits(), 0.0, 1.0, 1.0

    def set_limits(self, limits: Limits) -> None:
        self.limits = limits

    def halve(self) -> None:
        self.share = 0.5

    @contextmanager
    def whole(self) -> Iterator[None]:
        self.share = 1.0
        yield
        self.share = 0.5

    def configure(self, *, nplc: float) -> None:
        self.point_seconds = 1e-3 * nplc

    integrate = lambda self, nplc: self.configure(nplc=nplc)  # noqa: E731

    def reading_seconds(self, nplc: float) -> float:
        return 1e-3 * nplc

    def on(self, volts: float = 0.0, *, compliance: float) -> None:
        self.compliance, self.is_on, self.is_idle = compliance, True, False
        self.level(volts)

    def off(self) -> None:
        self.volts, self.is_on = 0.0, False

    def level(self, volts: float) -> None:
        if abs(volts) > self.share * self.limits.set_volts_max:
            raise RefusedError(f"{volts} V is too much for {self.name}")
        self.said.append(f"{self.name} {volts:g} V")
        self.transactions += 1
        self.volts = volts

    def measure(self) -> SimpleNamespace:
        amps = self.load(self.volts)
        limited = abs(amps) > self.compliance
        return SimpleNamespace(
            volts=self.volts, current=np.clip(amps, -self.compliance, self.compliance), flags=2 * limited
        )

    def step(self, volts: float, *, compliance: float | None = None, dwell: float = 0.0) -> SimpleNamespace:
        self.compliance = self.compliance if compliance is None else compliance
        self.level(volts)
        return self.measure()

    def sweep(self, volts: np.ndarray, *, compliance: float, dwell: float) -> tuple[np.ndarray, ...]:
        points = [self.step(float(level), compliance=compliance) for level in volts]
        self.off()
        return np.asarray(volts), np.array([one.current for one in points]), np.array([one.flags for one in points])

    def idle(self, *, reconnect: bool = True) -> None:
        self.off()
        self.is_idle, self.ending = True, (SafeStep(self.name, "output off", CONFIRMED),)

    def restore(self) -> None:
        self.off()

    def require_power(self, doing: str) -> None:
        """It cannot tell."""
