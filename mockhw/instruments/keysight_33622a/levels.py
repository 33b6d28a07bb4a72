"""Voltages of one channel of a 33622A: what is displayed, what is behind the 50 Ω, and the limits between them.

After the 33500/33600 Operating and Service Guide. What has to give way is adjusted and an error says so: -222 when
the value itself is impossible, -221 when it is possible but another setting had to change. The texts are those of
the 33220A's list of errors, whose family this is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from ...scpi.errors import ScpiError

OUTPUT_OHMS: Final = 50.0
OPEN_PEAK: Final = 10.0
"""Largest open-circuit voltage [V]: ±5 V into 50 Ω."""
SMALLEST_VPP: Final = 2e-3  # open circuit; 1 mVpp into 50 Ω
_CREST: Final = {"SIN": 2.0 * math.sqrt(2.0), "RAMP": 2.0 * math.sqrt(3.0), "TRI": 2.0 * math.sqrt(3.0), "NOIS": 6.0}
_LEVEL_STEP: Final = 1e-3

Warn = Callable[[int, str], None]


class Levels:
    """Voltage settings of one channel.

    They are kept as open-circuit values: the load setting only changes what is displayed and read.

    Parameters
    ----------
    warn : callable
        Puts an error number and a text into the queue.
    """

    def __init__(self, warn: Warn) -> None:
        self._warn = warn
        self.function = "SIN"
        self.reset_levels()

    def reset_levels(self) -> None:
        """Go to the state of ``*RST``: 100 mVpp around 0 V for 50 Ω."""
        self.open_vpp = 0.2
        self.open_offset = 0.0
        self.unit = "VPP"
        self.load = 50.0
        self.limits_on = False
        self.limit_high, self.limit_low = 5.0, -5.0
        self.autorange = True
        self.polarity = "NORM"

    @property
    def swing(self) -> float:
        """Open-circuit voltage of level +1 above the offset [V]; negative for an inverted output."""
        return (-0.5 if self.polarity == "INV" else 0.5) * self.open_vpp

    @property
    def share(self) -> float:
        """Displayed voltage per open-circuit voltage."""
        return 1.0 if math.isinf(self.load) else self.load / (self.load + OUTPUT_OHMS)

    @property
    def peak(self) -> float:
        """Largest displayed voltage [V]."""
        return OPEN_PEAK * self.share

    @property
    def vpp(self) -> float:
        """Displayed amplitude [Vpp]."""
        return self.open_vpp * self.share

    @property
    def offset(self) -> float:
        """Displayed offset [V]."""
        return self.open_offset * self.share

    @property
    def high(self) -> float:
        """Displayed high level [V]."""
        return self.offset + 0.5 * self.vpp

    @property
    def low(self) -> float:
        """Displayed low level [V]."""
        return self.offset - 0.5 * self.vpp

    def amplitude(self, vpp: float, unit: str) -> float:
        """Return an amplitude [Vpp] in ``unit``."""
        if unit == "VPP":
            return vpp
        rms = vpp / _CREST.get(self.function, 2.0)
        return rms if unit == "VRMS" else 10.0 * math.log10(rms**2 / self.load / 1e-3)

    def peak_to_peak(self, value: float, unit: str) -> float:
        """Return an amplitude in ``unit`` as [Vpp]."""
        if unit == "VPP":
            return value
        if unit == "DBM":
            if math.isinf(self.load):
                raise ScpiError(-221, "dBm needs a finite output load")
            value = math.sqrt(1e-3 * 10.0 ** (value / 10.0) * self.load)
        return value * _CREST.get(self.function, 2.0)

    def set_amplitude(self, value: float, unit: str) -> None:
        """Set the amplitude; the offset gives way."""
        vpp = self.clip(self.peak_to_peak(value, unit), SMALLEST_VPP * self.share, 2.0 * self.peak)
        offset = self.offset
        room = self.peak - 0.5 * vpp
        if abs(offset) > room + 1e-12:
            offset = math.copysign(room, offset)
            self._warn(-221, "offset changed due to amplitude")
        if self.limits_on:
            most = 2.0 * max(0.0, min(self.limit_high - offset, offset - self.limit_low))
            if vpp > most + 1e-12:
                vpp = max(most, SMALLEST_VPP * self.share)
                self._warn(-221, "amplitude limited by voltage limits")
        self._store(vpp, offset)

    def set_offset(self, value: float) -> None:
        """Set the offset, as far as the amplitude allows."""
        half = 0.0 if self.function == "DC" else 0.5 * self.vpp
        offset = self.clip(value, -(self.peak - half), self.peak - half)
        if self.limits_on:
            low, high = self.limit_low + half, self.limit_high - half
            if not low - 1e-12 <= offset <= high + 1e-12:
                offset = min(max(offset, low), high)
                self._warn(-221, "offset limited by voltage limits")
        self._store(self.vpp, offset)

    def set_high(self, value: float) -> None:
        """Set the high level; the low level gives way."""
        high = self._limited_level(value)
        low = self.low
        if high - low < _LEVEL_STEP - 1e-12:
            bottom = self.limit_low if self.limits_on else -self.peak
            low = max(high - _LEVEL_STEP, bottom)
            high = max(high, low + _LEVEL_STEP)
            self._warn(-221, "low level changed due to high level")
        self._store(high - low, 0.5 * (high + low))

    def set_low(self, value: float) -> None:
        """Set the low level; the high level gives way."""
        low = self._limited_level(value)
        high = self.high
        if high - low < _LEVEL_STEP - 1e-12:
            top = self.limit_high if self.limits_on else self.peak
            high = min(low + _LEVEL_STEP, top)
            low = min(low, high - _LEVEL_STEP)
            self._warn(-221, "high level changed due to low level")
        self._store(high - low, 0.5 * (high + low))

    def _limited_level(self, value: float) -> float:
        level = self.clip(value, -self.peak, self.peak)
        if self.limits_on and not self.limit_low <= level <= self.limit_high:
            level = min(max(level, self.limit_low), self.limit_high)
            self._warn(-221, "level limited by voltage limits")
        return level

    def _store(self, vpp: float, offset: float) -> None:
        self.open_vpp, self.open_offset = vpp / self.share, offset / self.share

    def set_unit(self, unit: str) -> None:
        """Set the unit amplitudes are in."""
        if unit == "DBM" and math.isinf(self.load):
            raise ScpiError(-221, "dBm needs a finite output load")
        self.unit = unit

    def set_load(self, ohms: float) -> None:
        """Say what the output is loaded with: the open-circuit voltages stay, what is displayed changes."""
        if self.limits_on:
            raise ScpiError(-221, "output load cannot change while voltage limits are enabled")
        self.load = ohms
        if math.isinf(ohms) and self.unit == "DBM":
            self.unit = "VPP"
            self._warn(-221, "amplitude units changed to Vpp due to high-Z load")
        self.limit_high = min(self.limit_high, self.peak)
        self.limit_low = max(self.limit_low, -self.peak)

    def set_limit_high(self, value: float) -> None:
        """Set the upper voltage limit, not below the present high level while limits are enabled."""
        self.limit_high = self.clip(value, self._top if self.limits_on else self.limit_low, self.peak)

    def set_limit_low(self, value: float) -> None:
        """Set the lower voltage limit, not above the present low level while limits are enabled."""
        self.limit_low = self.clip(value, -self.peak, self._bottom if self.limits_on else self.limit_high)

    def set_limits(self, on: bool) -> None:
        """Enable the limits, unless the present levels are outside them."""
        if on and (self._top > self.limit_high + 1e-12 or self._bottom < self.limit_low - 1e-12):
            raise ScpiError(-221, "present levels are outside the voltage limits; limits stay off")
        self.limits_on = on

    @property
    def _top(self) -> float:
        return self.offset if self.function == "DC" else self.high

    @property
    def _bottom(self) -> float:
        return self.offset if self.function == "DC" else self.low

    def clip(self, value: float, low: float, high: float) -> float:
        """Return ``value`` within its limits, with an error if it was outside."""
        if value > high * (1.0 + 1e-12) + 1e-15 * (high == 0.0):
            self._warn(-222, "value clipped to upper limit")
            return high
        if value < low - 1e-12 * abs(low):
            self._warn(-222, "value clipped to lower limit")
            return low
        return value
