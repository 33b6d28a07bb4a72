"""The second channel as a digitiser: it holds a line at 0 V and records the current into it, from 10 ns a sample on."""

from __future__ import annotations

import numpy as np

from ....common.errors import RefusedError
from ...capabilities import FloatArray
from ...limits import refuse_bad_number
from ...wire.doors import alone
from .calls import RECORD_SECONDS
from .output import WgfmuOutput
from .shapes import AVERAGE_MAX, GRID, INTERVAL_MAX, POINTS_MAX, RANGES, Look, Waveform, amps_range, on_grid

_FIRST = 1e-6  # how long the current is averaged that chooses the range
_HEADROOM = 1.5


class WgfmuDigitiser(WgfmuOutput):
    """Records at 0 V; the row's source is another instrument."""

    rate_max = 1.0 / GRID
    points_max = POINTS_MAX
    shares_pulser_column = True
    """It is behind the same RSU as the pulser's second channel."""

    @alone
    def record(self, *, rate: float, points: int) -> FloatArray:
        """Return ``points`` currents [points] A into the terminal, ``rate`` [1/s], on the range that holds them.

        The first microsecond on the 10 mA range chooses the range; a sample is averaged for as long as its interval,
        20 ms at most.
        """
        who = self.name
        refuse_bad_number("rate", rate, 1.0 / INTERVAL_MAX, self.rate_max * (1.0 + 1e-9), "Hz", channel=who)
        refuse_bad_number("points", points, 1, self.points_max, "samples", channel=who)
        interval = on_grid(1.0 / rate)
        if abs(interval * rate - 1.0) > 1e-3:
            raise RefusedError(
                f"{who}: rate {rate:g} Hz: samples lie on a grid of 10 ns; choose one sample in a multiple of it, as "
                f"{1.0 / interval:g} Hz"
            )
        # Settling and the first look come on top.
        self.check_length(points * interval, RECORD_SECONDS - 1.0)
        (seen,) = self._seen(Look(begin=amps_range(RANGES[-1])[2], average=_FIRST, amps=RANGES[-1]))
        span = next((full for full in RANGES if _HEADROOM * abs(seen) <= full), RANGES[-1])
        begin = amps_range(span)[2]
        average = min(interval, AVERAGE_MAX)
        return -self._seen(Look(begin=begin, points=int(points), interval=interval, average=average, amps=span))

    def _seen(self, look: Look) -> FloatArray:
        """Hold both channels at 0 V and return what the second one measured [A]."""
        seconds = on_grid(look.end + look.interval)
        waveform = Waveform(np.zeros((2, 2)), np.array([seconds]), 1, (look,))
        self.check_looks(waveform.looks, seconds)
        self.execute(waveform)
        return self._calls.values(self._box.numbers[1], look.points)[1]
