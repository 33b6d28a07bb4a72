"""The second channel as a digitiser: it holds a line at 0 V and records the current into it, from 10 ns a sample on."""

from __future__ import annotations

import numpy as np

from ....common.errors import RefusedError
from ...capabilities import FloatArray
from ...limits import refuse_bad_number
from ...wire.doors import alone
from .calls import RECORD_SECONDS
from .output import WgfmuOutput
from .shapes import AVERAGE_MAX, GRID, INTERVAL_MAX, POINTS_MAX, RANGES, SETTLING, Look, Waveform, amps_range, on_grid

_FIRST = 1e-5  # how long the current is averaged that chooses the range [s]
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

        Looks from the 10 mA range downwards choose it; a sample is averaged for as long as its interval, 20 ms at most.
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
        span = self._span()
        begin = amps_range(span)[2]
        average = min(interval, AVERAGE_MAX)
        return -self._seen(Look(begin=begin, points=int(points), interval=interval, average=average, amps=span))

    def _span(self) -> float:
        """Return the range [A]: gone down to one after the other, for a high one's offset hides a small current."""
        for at in range(len(RANGES) - 1, 0, -1):
            (seen,) = self._seen(Look(begin=SETTLING[at], average=_FIRST, amps=RANGES[at]))
            if _HEADROOM * abs(seen) > RANGES[at - 1]:
                return RANGES[at]
        return RANGES[0]

    def _seen(self, look: Look) -> FloatArray:
        """Hold both channels at 0 V and return what the second one measured [A]."""
        seconds = on_grid(look.end + look.interval)
        waveform = Waveform(np.zeros((2, 2)), np.array([seconds]), 1, (look,))
        self.check_looks(waveform.looks, seconds)
        self.execute(waveform)
        return self._calls.values(self._box.numbers[1], look.points)[1]
