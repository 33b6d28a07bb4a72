"""Settings of one channel of a 33622A and how they push one another about.

After the 33500/33600 Operating and Service Guide; the limits of pulse width and edges are those of its data sheet.
Settings that have to give way do so with an error, as :mod:`.keysight_33622a_levels` says.
"""

from __future__ import annotations

import math
from typing import Final

from ...scpi.errors import ScpiError
from .levels import OPEN_PEAK, SMALLEST_VPP, Levels, Warn
from .waveform import BUILT_IN, ArbitraryWave, ShapeSettings

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


class Channel(Levels):
    """One channel; every attribute is a setting, in SI units and degrees."""

    def __init__(self, warn: Warn) -> None:
        super().__init__(warn)
        self.memory: dict[str, ArbitraryWave] = {}
        """Waveforms that were loaded; ``*RST`` leaves them."""
        self.reset()

    def reset(self) -> None:
        """Go to the state of ``*RST``: 1 kHz sine of 100 mVpp for 50 Ω, output off."""
        self.function = "SIN"
        self.frequency = 1e3
        self.frequency_mode = "CW"
        self.reset_levels()
        self.output = False
        self.sync_polarity = "NORM"
        self.width = 100e-6
        self.duty = 10.0
        self.hold = "WIDT"
        self.leading = self.trailing = EDGE_DEFAULT
        self.symmetry = 100.0
        self.square_duty = 50.0
        self.phase = 0.0
        self.wave: ArbitraryWave | None = None
        self.sample_rate = 40e3
        self.filter, self.advance = "NORM", "SRAT"
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
            self.wave if self.function == "ARB" else None,
        )

    @property
    def plays_in_burst(self) -> bool:
        """Whether the output rests between bursts."""
        return self.burst and self.function not in ("DC", "NOIS")

    # --- time ---------------------------------------------------------------------------------

    def set_function(self, function: str) -> None:
        """Change the waveform; frequency, edges and burst give way."""
        if self.function == "DC" and function != "DC" and abs(self.offset) + 0.5 * self.vpp > self.peak + 1e-12:
            self.open_offset = math.copysign(OPEN_PEAK - 0.5 * self.open_vpp, self.open_offset)
            self._warn(-221, "offset changed on exit from dc function")
        self.function = function
        if function == "ARB" and self.wave is not None:
            self.frequency = self.sample_rate / self.wave.points.size
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
        if self.function == "ARB" and self.wave is not None:
            self.sample_rate = hertz * self.wave.points.size
        self.fit_pulse()
        self.fit_burst()

    def set_sample_rate(self, hertz: float) -> None:
        """Say how many points a second an arbitrary waveform plays; its frequency follows."""
        self.sample_rate = hertz
        if self.function == "ARB" and self.wave is not None:
            self.set_frequency(hertz / self.wave.points.size)

    def select(self, wave: ArbitraryWave | None) -> None:
        """Choose what ARB plays; None is the waveform that is always there."""
        self.wave = wave
        self.set_sample_rate(self.sample_rate)

    @property
    def arbitrary(self) -> str:
        """Name of the arbitrary waveform."""
        return BUILT_IN if self.wave is None else self.wave.name

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
