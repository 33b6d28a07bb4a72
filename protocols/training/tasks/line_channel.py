"""A line that smears symbols over their neighbours and a receiver that saturates: Proakis's channel B, NRZ or PAM4.

A transmitter holds every symbol for its time T; the line adds three echoes a time T0 apart (Proakis's channel B); the
receiver integrates over one T, and compresses by tanh; noise comes last. At ``symbol_rate`` 1, T is T0 and
the samples are those of the published FIR channel. At another rate the same line smears symbols otherwise: echoes
fall between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ....common.arrays import FloatArray
from ....common.errors import RefusedError, unknown

Modulation = Literal["nrz", "pam4"]

ECHOES = (0.407, 0.815, 0.407)
LEVELS: dict[str, tuple[float, ...]] = {"nrz": (-1.0, 1.0), "pam4": (-1.0, -1.0 / 3.0, 1.0 / 3.0, 1.0)}
SNR_LOW, SNR_HIGH = -10.0, 50.0
RATE_LOW, RATE_HIGH = 0.5, 2.0


@dataclass(frozen=True)
class LineChannel:
    """One line at one symbol rate.

    Attributes
    ----------
    modulation : how many levels a symbol has
    symbol_rate : symbols in the time from one echo to the next
    drive : what an amplitude of 1 is to the receiver's tanh; 0 leaves the line linear
    """

    modulation: Modulation = "nrz"
    symbol_rate: float = 1.0
    drive: float = 0.5

    def __post_init__(self) -> None:
        if self.modulation not in LEVELS:
            raise RefusedError(unknown("modulation", self.modulation, LEVELS))
        if not RATE_LOW <= self.symbol_rate <= RATE_HIGH:
            raise RefusedError(
                f"a symbol rate of {self.symbol_rate:g} is outside {RATE_LOW:g} to {RATE_HIGH:g} symbols per echo: 1 "
                "is the published channel"
            )
        if not 0.0 <= self.drive <= 5.0:
            raise RefusedError(f"a drive of {self.drive:g} is outside 0 (a linear line) to 5")

    @property
    def levels(self) -> FloatArray:
        """Amplitudes of a symbol, rising."""
        return np.array(LEVELS[self.modulation])

    def taps(self, phase: float = 0.0) -> FloatArray:
        """Return what a sample gets of the symbols around it, [2·reach + 1], the earliest symbol last.

        Parameters
        ----------
        phase : when the sample is taken, in symbols after the middle of the main echo; within ±½
        """
        reach = int(np.ceil(self.symbol_rate - 1e-9)) + int(phase != 0.0)
        n = np.arange(-reach, reach + 1)
        late = (np.arange(len(ECHOES)) - len(ECHOES) // 2) * self.symbol_rate
        overlap = np.clip(1.0 - np.abs(phase + n[:, None] - late), 0.0, None)  # of two square pulses, one symbol long
        taps = overlap @ np.array(ECHOES)
        return taps[1:-1] if phase == 0.0 and taps[0] == taps[-1] == 0.0 else taps

    def compress(self, received: FloatArray) -> FloatArray:
        """Return what the receiver makes of amplitudes: tanh, with slope 1 at 0."""
        return received if self.drive == 0.0 else np.tanh(self.drive * received) / self.drive

    def clean(self, symbols: NDArray[np.integer], phase: float = 0.0) -> FloatArray:
        """Return samples [..., n − 2·reach] without noise of symbols [..., n], numbers of levels.

        The first sample belongs to symbol ``reach``: those at the ends only smear into others.
        """
        sent, taps = self.levels[symbols], self.taps(phase)
        width = len(taps)
        windows = np.lib.stride_tricks.sliding_window_view(sent, width, axis=-1)
        return self.compress(windows @ taps[::-1])

    def states(self) -> FloatArray:
        """Return the sample without noise for every run of symbols, [levels] · width; the latest symbol last."""
        width = len(self.taps())
        runs = np.indices((len(self.levels),) * width).reshape(width, -1)
        return self.clean(runs.T)[:, 0].reshape((len(self.levels),) * width)

    def noise(self, snr: float) -> float:
        """Return the standard deviation of the noise at a ratio [dB] of the samples' mean square to its variance.

        Raises
        ------
        RefusedError
            For a ratio that is out of range.
        """
        check_snr(snr)
        return float(np.sqrt(np.mean(self.states() ** 2)) * 10.0 ** (-snr / 20.0))


def check_snr(snr: float) -> None:
    """Refuse a ratio of signal to noise [dB] that no line has, or that leaves nothing to count."""
    if not SNR_LOW <= snr <= SNR_HIGH:
        raise RefusedError(f"an SNR of {snr:g} dB is outside {SNR_LOW:g} to {SNR_HIGH:g} dB")


@dataclass(frozen=True)
class Reception:
    """Symbols [streams, n] as numbers of levels, and the samples [streams, n] taken of them, noise included."""

    symbols: NDArray[np.int64]
    samples: FloatArray


def receive(
    channel: LineChannel, snr: float, shape: tuple[int, int], rng: np.random.Generator, *, phase: float = 0.0
) -> Reception:
    """Return streams [streams, n] of random symbols and what is received of them at ``snr`` [dB]."""
    streams, n = shape
    reach = len(channel.taps(phase)) // 2
    symbols = rng.integers(len(channel.levels), size=(streams, n + 2 * reach))
    clean = channel.clean(symbols, phase)
    samples = clean + channel.noise(snr) * rng.standard_normal(clean.shape)
    return Reception(symbols[:, reach : reach + n], samples)
