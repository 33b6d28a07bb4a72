"""What ``XE`` runs: the staircase sweep (``MM 2``) and sampling (``MM 10``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from ...probe_circuit.script import Script
from ...scpi.errors import ScpiError
from .session import CHANNEL, NOT_SET_UP, PARAMETER
from .smu import FlexSmu, told
from .specs import SAMPLES_MAX, STEPS_MAX

STAIRCASE, SAMPLING = 2, 10
_AT_START, _AT_STOP = 1, 2
_NO_ABORT: Final = 1


@dataclass(slots=True)
class Sweep:
    """``WV``: a staircase of one channel."""

    channel: int
    mode: int
    code: int
    start: float
    stop: float
    steps: int
    limit: float | None

    def levels(self) -> list[float]:
        """Return the levels [V] in order."""
        up = np.linspace(self.start, self.stop, self.steps)
        if self.mode in (2, 4):
            up = np.sign(self.start) * np.geomspace(abs(self.start), abs(self.stop), self.steps)
        return [*up, *up[::-1]] if self.mode in (3, 4) else list(up)


@dataclass(slots=True)
class Bias:
    """``MV``: what a channel is at before and behind a sampling, and in it."""

    code: int
    base: float
    bias: float
    limit: float | None


@dataclass(slots=True)
class Setup:
    """What measurements are set up with; ``*RST`` brings these back."""

    mode: int = 1
    channels: tuple[int, ...] = ()
    form: tuple[int, int] = (1, 0)
    cycles: float = 1.0 / 128.0
    average: str = "1,0"
    waits: list[float] = field(default_factory=lambda: [0.0] * 5)
    abort: int = _NO_ABORT
    post: int = _AT_START
    sweep: Sweep | None = None
    times: tuple[float, float, int] = (0.0, 0.002, 1000)
    biases: dict[int, Bias] = field(default_factory=dict[int, Bias])
    after: int = 1
    stamps: bool = False

    # --- taking settings in -------------------------------------------------------------------

    def measure(self, mode: str, *channels: str) -> None:
        """``MM``."""
        if int(mode) not in (1, STAIRCASE, SAMPLING):
            raise ScpiError(PARAMETER, f"measurement mode {mode} is not built")
        self.mode, self.channels = int(mode), tuple(int(one) for one in channels)

    def output_format(self, form: str, mode: str = "0") -> None:
        """``FMT``: ASCII with a header."""
        if int(form) != 1 or int(mode) not in (0, 1):
            raise ScpiError(PARAMETER, f"format {form},{mode} is not built")
        self.form = (1, int(mode))

    def wait(self, *seconds: str) -> None:
        """``WT``: hold, delay, step delay, trigger delays [s]."""
        told = [float(one) for one in seconds]
        if not 2 <= len(told) <= 5 or not all(0.0 <= one <= 655.35 for one in told):
            raise ScpiError(PARAMETER, "WT")
        self.waits = [*told, *([0.0] * (5 - len(told)))]

    def ending(self, abort: str, post: str = "1") -> None:
        """``WM``: automatic abort, and where the source is afterwards."""
        if int(abort) not in (1, 2) or int(post) not in (_AT_START, _AT_STOP):
            raise ScpiError(PARAMETER, f"WM {abort},{post}")
        self.abort, self.post = int(abort), int(post)

    def staircase(self, channel: str, mode: str, code: str, start: str, stop: str, steps: str, *limit: str) -> None:
        """``WV``."""
        count, kind = int(float(steps)), int(mode)
        if not 1 <= count <= STEPS_MAX or kind not in (1, 2, 3, 4) or len(limit) > 2:
            raise ScpiError(PARAMETER, f"WV with {steps} steps")
        if kind in (2, 4) and not float(start) * float(stop) > 0.0:
            raise ScpiError(PARAMETER, "a logarithmic sweep through 0 V")
        self.sweep = Sweep(
            int(channel), kind, int(code), float(start), float(stop), count, float(limit[0]) if limit else None
        )

    def timing(self, hold: str, interval: str, number: str, base: str = "0") -> None:
        """``MT``."""
        del base
        if not (1e-4 <= float(interval) <= 65.535 and 1 <= int(number) <= SAMPLES_MAX):
            raise ScpiError(PARAMETER, f"MT {hold},{interval},{number}")
        self.times = (float(hold), float(interval), int(number))

    def bias(self, channel: str, code: str, base: str, bias: str, *limit: str) -> None:
        """``MV``."""
        self.biases[int(channel)] = Bias(int(code), float(base), float(bias), float(limit[0]) if limit else None)

    def behind(self, abort: str, post: str = "1") -> None:
        """``MSC``: where sources are behind a sampling: 1 at the base, 2 at the bias."""
        if int(abort) not in (1, 2) or int(post) not in (1, 2):
            raise ScpiError(PARAMETER, f"MSC {abort},{post}")
        self.after = int(post)

    # --- running it ---------------------------------------------------------------------------

    def script(
        self, smus: Mapping[int, FlexSmu], start: float, seconds: float, hertz: float, data: list[str]
    ) -> Script:
        """Return what ``XE`` does from ``start`` [s] on; a reading takes ``seconds`` [s].

        Raises
        ------
        ScpiError
            Nothing is set up, or a channel is there that is not.
        """
        for channel in self.channels:
            if channel not in smus:
                raise ScpiError(CHANNEL, f"CH{channel}")
        if self.mode == STAIRCASE and self.sweep is not None and self.sweep.channel in smus:
            smus[self.sweep.channel].force(start, self.sweep.code, self.sweep.start, self.sweep.limit)
            return self._stairs(smus, self.sweep, start, seconds, hertz, data)
        if self.mode == SAMPLING and self.biases:
            return self._samples(smus, start, hertz, data)
        raise ScpiError(NOT_SET_UP, f"MM {self.mode}")

    def _stairs(
        self, smus: Mapping[int, FlexSmu], sweep: Sweep, start: float, seconds: float, hertz: float, data: list[str]
    ) -> Script:
        now = start + self.waits[0]
        yield now
        source, levels = smus[sweep.channel], sweep.levels()
        for level in levels:
            source.force(now, sweep.code, level, sweep.limit)
            now += self.waits[1] + max(seconds * max(len(self.channels), 1), self.waits[2])
            yield now
            stop = False
            for channel in self.channels:
                found = smus[channel].read(now, self.cycles, hertz)
                stop |= found.status != "N" and self.abort != _NO_ABORT
                data.append(told(smus[channel].letter, "I", found.status, found.amps))
            if self.form[1]:
                data.append(told(source.letter, "V", "E" if level is levels[-1] else "W", level))
            if stop:
                break
        source.force(now, sweep.code, sweep.start if self.post == _AT_START else sweep.stop, sweep.limit)

    def _samples(self, smus: Mapping[int, FlexSmu], start: float, hertz: float, data: list[str]) -> Script:
        hold, interval, number = self.times
        for channel, bias in self.biases.items():
            smus[channel].force(start, bias.code, bias.bias, bias.limit)
        now = start + max(hold, 0.0)
        for _ in range(number):
            now += interval
            yield now
            for channel in self.channels:
                smu = smus[channel]
                found = smu.read(now, min(self.cycles, interval * hertz), hertz)
                if self.stamps:
                    data.append(told(smu.letter, "T", "N", now - start))
                data.append(told(smu.letter, "I", found.status, found.amps))
        for channel, bias in self.biases.items():
            smus[channel].force(now, bias.code, bias.base if self.after == 1 else bias.bias, bias.limit)
