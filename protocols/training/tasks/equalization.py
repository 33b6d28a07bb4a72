"""Streams of symbols for an equalizer that sees a window of samples and its own last decisions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....common.arrays import FloatArray
from ....common.errors import RefusedError
from .line_channel import LineChannel, check_snr, receive

MARGIN = 32
"""Symbols around every stream that are received and not counted: filters and detectors have no ends there."""


@dataclass(frozen=True)
class Streams:
    """What is received of streams, each of n symbols and ``MARGIN`` more on both sides.

    Attributes
    ----------
    samples : [streams, n + 2·MARGIN]
    sent : [streams, n + 2·MARGIN]
        Symbols, as numbers of levels.
    windows : [streams, n, window], float32
        The samples an equalizer sees of each symbol, scaled to about ±1.
    known : [streams, decisions]
        The symbols before the first.
    """

    samples: FloatArray
    sent: NDArray[np.int64]
    windows: NDArray[np.float32]
    known: NDArray[np.int64]

    @property
    def symbols(self) -> NDArray[np.int64]:
        """The symbols that count [streams, n]."""
        return self.sent[:, MARGIN:-MARGIN]

    @property
    def fed(self) -> NDArray[np.int64]:
        """The symbols before the first one, and all that count [streams, decisions + n]."""
        return np.concatenate([self.known, self.symbols], axis=1)


@dataclass(frozen=True)
class EqualizerTask:
    """A channel, and what an equalizer is given of it.

    Attributes
    ----------
    window : samples it sees of each symbol
    ahead : how many of them come after the symbol's own
    decisions : how many of the last decisions it sees
    """

    channel: LineChannel
    window: int = 8
    ahead: int = 5
    decisions: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.window <= MARGIN:
            raise RefusedError(f"a window of {self.window} samples is outside 1 to {MARGIN}")
        if not 0 <= self.ahead < self.window:
            raise RefusedError(
                f"of a window of {self.window} samples {self.ahead} cannot come after the symbol's own: give ahead 0 "
                f"to {self.window - 1}"
            )
        if not 0 <= self.decisions <= MARGIN:
            raise RefusedError(f"{self.decisions} past decisions are outside 0 to {MARGIN}")

    def streams(self, snr: float, shape: tuple[int, int], rng: np.random.Generator, *, phase: float = 0.0) -> Streams:
        """Return streams [streams, n] of random symbols at an SNR [dB]; ``phase`` as of :meth:`LineChannel.taps`."""
        check_snr(snr)
        count, n = shape
        found = receive(self.channel, snr, (count, n + 2 * MARGIN), rng, phase=phase)
        first = MARGIN + self.ahead - self.window + 1
        near = found.samples[:, first : first + n + self.window - 1]
        seen = np.lib.stride_tricks.sliding_window_view(near, self.window, axis=1) / self.unit(snr)
        known = found.symbols[:, MARGIN - self.decisions : MARGIN]
        return Streams(found.samples, found.symbols, seen.astype(np.float32), known)

    def unit(self, snr: float) -> float:
        """Return the sample that an equalizer is given as 1: the largest without noise, and two sigmas of it."""
        return float(np.abs(self.channel.states()).max() + 2.0 * self.channel.noise(snr))
