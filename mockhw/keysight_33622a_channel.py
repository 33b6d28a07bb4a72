"""Settings of one channel of a 33622A and how they push one another about.

After the 33500/33600 Operating and Service Guide. What has to give way is adjusted and an error says so: -222 when
the value itself is impossible, -221 when it is possible but another setting had to change. The texts are those of
the 33220A's list of errors, whose family this is.

Voltages are kept as open-circuit values behind the 50 Ω: the load setting only changes what is displayed and read.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from .keysight_33622a_waveform import ShapeSettings
from .scpi_errors import ScpiError

OUTPUT_OHMS: Final = 50.0
OPEN_PEAK: Final = 10.0
"""Largest open-circuit voltage [V]: ±5 V into 50 Ω."""
SMALLEST_VPP: Final = 2e-3  # open circuit; 1 mVpp into 50 Ω
WIDTH_MIN: Final = 5e-9
EDGE_MIN, EDGE_MAX, EDGE_DEFAULT = 2.9e-9, 1e-6, 4e-9
EDGE_SHARE: Final = 0.625
"""Largest edge per pulse width (33250A guide, p. 168)."""
BURST_GAP: Final = 1e-6
FREQUENCY_MIN: Final = 1e-6
FREQUENCY_MAX: Final = {
    "SIN": 120e6, "SQU": 100e6, "PULS": 100e6, "RAMP": 800e3, "TRI": 800e3, "PRBS": 200e6, "NOIS": 120e6,
    "ARB": 120e6, "DC": 120e6,
}  # fmt: skip
_CREST: Final = {"SIN": 2.0 * math.sqrt(2.0), "RAMP": 2.0 * math.sqrt(3.0), "TRI": 2.0 * math.sqrt(3.0), "NOIS": 6.0}
_LEVEL_STEP: Final = 1e-3

Warn = Callable[[int, str], None]


class Channel:
    """One channel; every attribute is a setting, in SI units and degrees.

    Parameters
    ----------
    warn : callable
        Puts an error number and a text into the queue.
    """

    def __init__(self, warn: Warn) -> None:
        self._warn = warn
        self.reset()

    def reset(self) -> None:
        """Go to the state of ``*RST``: 1 kHz sine of 100 mVpp for 50 Ω, output off."""
        self.function = "SIN"
        self.frequency = 1e3
        self.frequency_mode = "CW"
        self.open_vpp = 0.2
        self.open_offset = 0.0
        self.unit = "VPP"
        self.load = 50.0
        self.limits_on = False
        self.limit_high, self.limit_low = 5.0, -5.0
        self.autorange = True
        self.output = False
        self.polarity = "NORM"
        self.sync_polarity = "NORM"
        self.width = 100e-6
        self.duty = 10.0
        self.hold = "WIDT"
        self.leading = self.trailing = EDGE_DEFAULT
        self.symmetry = 100.0
        self.square_duty = 50.0
        self.phase = 0.0
        self.arbitrary = "INT:\\BUILTIN\\EXP_RISE.ARB"
        self.burst = False
        self.burst_mode = "TRIG"
        self.cycles = 1.0
        self.burst_phase = 0.0
        self.burst_period = 10e-3
        self.gate_polarity = "NORM"
        self.trigger_source = "IMM"
        self.trigger_slope = "POS"
        self.trigger_count = 1.0
        self.trigger_delay = 0.0
        self.trigger_timer = 1.0
        self.continuous = True
        self.armed = math.inf

    # --- what is put out ----------------------------------------------------------------------

    @property
    def period(self) -> float:
        """One period of the waveform [s]."""
        return 1.0 / self.frequency

    def shape(self, seed: int) -> ShapeSettings:
        """Return what one period looks like."""
        phase = self.burst_phase if self.burst else self.phase
        return ShapeSettings(
            self.function,
            self.period,
            self.width,
            self.leading,
            self.trailing,
            self.symmetry,
            self.square_duty,
            phase,
            seed,
        )

    @property
    def swing(self) -> float:
        """Open-circuit voltage of level +1 above the offset [V]; negative for an inverted output."""
        return (-0.5 if self.polarity == "INV" else 0.5) * self.open_vpp

    @property
    def plays_in_burst(self) -> bool:
        """Whether the output rests between bursts."""
        return self.burst and self.function not in ("DC", "NOIS")

    # --- volts --------------------------------------------------------------------------------

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

    # --- time ---------------------------------------------------------------------------------

    def set_function(self, function: str) -> None:
        """Change the waveform; frequency, edges and burst give way."""
        if self.function == "DC" and function != "DC" and abs(self.offset) + 0.5 * self.vpp > self.peak + 1e-12:
            self.open_offset = math.copysign(OPEN_PEAK - 0.5 * self.open_vpp, self.open_offset)
            self._warn(-221, "offset changed on exit from dc function")
        self.function = function
        highest = FREQUENCY_MAX[function]
        if self.frequency > highest:
            self.frequency = highest
            self._warn(-221, f"frequency reduced for {function} function")
        if self.burst and function in ("DC", "NOIS"):
            self.burst = False
            self._warn(-221, "not able to burst this function, burst turned off")
        self.fit_pulse()
        self.fit_burst()

    def set_frequency(self, hertz: float) -> None:
        """Change the frequency; pulse width and edges give way."""
        if self.hold == "DCYC":
            self.width = self.duty / 100.0 / hertz
        self.frequency = hertz
        self.fit_pulse()
        self.fit_burst()

    def set_width(self, seconds: float) -> None:
        """Change the pulse width; edges give way."""
        self.width = seconds
        self.duty = 100.0 * seconds * self.frequency
        self.fit_pulse()

    def set_duty(self, percent: float) -> None:
        """Change the duty cycle of pulses; edges give way."""
        self.set_width(percent / 100.0 * self.period)
        self.duty = percent

    @property
    def width_max(self) -> float:
        """Longest pulse in the present period [s]; only pulses have to fit it."""
        return self.period - WIDTH_MIN if self.function == "PULS" else 1e6

    @property
    def edge_max(self) -> float:
        """Longest edge in the present pulse [s]."""
        if self.function != "PULS":
            return EDGE_MAX
        return max(EDGE_MIN, min(EDGE_MAX, EDGE_SHARE * min(self.width, self.period - self.width)))

    def fit_pulse(self) -> None:
        """Make width and edges fit the period."""
        if self.function != "PULS":
            return
        if self.width > self.width_max * (1.0 + 1e-12):
            self.width = self.width_max
            self._warn(-221, "pulse width decreased due to period")
        elif self.width < WIDTH_MIN:
            self.width = WIDTH_MIN
            self._warn(-221, "pulse width increased to its minimum")
        longest = self.edge_max
        if max(self.leading, self.trailing) > longest * (1.0 + 1e-12):
            self.leading, self.trailing = min(self.leading, longest), min(self.trailing, longest)
            self._warn(-221, "edge time decreased due to pulse width")

    def set_hold(self, what: str) -> None:
        """Say what stays when the period changes: width or duty cycle of pulses."""
        self.hold = what
        self.duty = 100.0 * self.width * self.frequency

    # --- bursts -------------------------------------------------------------------------------

    def set_burst(self, on: bool) -> None:
        """Turn bursts on or off."""
        if on and self.function in ("DC", "NOIS"):
            raise ScpiError(-221, "not able to burst this function")
        self.burst = on
        self.fit_burst()

    def set_cycles(self, count: float) -> None:
        """Set the number of periods of one burst; without end needs a trigger that is not internal."""
        self.cycles = count
        if math.isinf(count) and self.trigger_source == "IMM":
            self.trigger_source = "BUS"
            self._warn(-221, "infinite burst changed trigger source to BUS")
        self.fit_burst()

    def set_trigger_source(self, source: str) -> None:
        """Say what starts a burst."""
        self.trigger_source = source
        if source == "IMM" and math.isinf(self.cycles):
            self.cycles = 1.0
            self._warn(-221, "turned off infinite burst to allow immediate trigger source")
        self.fit_burst()

    def fit_burst(self) -> None:
        """Make the burst period long enough for the burst."""
        if not (self.plays_in_burst and self.trigger_source == "IMM" and math.isfinite(self.cycles)):
            return
        least = self.cycles * self.period + BURST_GAP
        if self.burst_period < least:
            self.burst_period = min(least, 8000.0)
            self._warn(-221, "burst period increased to fit entire burst")

    def set_continuous(self, on: bool) -> None:
        """Say whether the trigger system waits for triggers all the time."""
        self.continuous = on
        self.armed = math.inf if on else 0.0

    def apply(
        self,
        function: str,
        frequency: float | str = "DEF",
        amplitude: tuple[float | str, str] = ("DEF", ""),
        offset: float | str = "DEF",
    ) -> None:
        """``APPLy``: a waveform in one go; ends bursts, takes the internal trigger and turns the output on."""
        self.burst = False
        self.trigger_source = "IMM"
        self.function = function
        bounds = {"MIN": FREQUENCY_MIN, "MAX": FREQUENCY_MAX[function], "DEF": 1e3}
        hertz = bounds[frequency] if isinstance(frequency, str) else frequency
        self.set_frequency(self.clip(hertz, FREQUENCY_MIN, FREQUENCY_MAX[function]))
        size, unit = amplitude
        if isinstance(size, str):
            size, unit = {"MIN": SMALLEST_VPP * self.share, "MAX": 2.0 * self.peak, "DEF": 0.1}[size], "VPP"
        self.open_offset = 0.0
        self.set_amplitude(size, unit or self.unit)
        middle = {"MIN": -self.peak, "MAX": self.peak, "DEF": 0.0}
        self.set_offset(middle[offset] if isinstance(offset, str) else offset)
        self.output = True

    def clip(self, value: float, low: float, high: float) -> float:
        """Return ``value`` within its limits, with an error if it was outside."""
        if value > high * (1.0 + 1e-12) + 1e-15 * (high == 0.0):
            self._warn(-222, "value clipped to upper limit")
            return high
        if value < low - 1e-12 * abs(low):
            self._warn(-222, "value clipped to lower limit")
            return low
        return value
