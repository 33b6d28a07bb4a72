"""How well the exponent of 1/f noise is found: synthetic traces of known exponent, with and without white noise.

``python tests/benchmarks/study_noise_slope.py [TRACES]`` prints bias and spread of
``analysis.estimates.spectra.power_law`` and of the straight line through the logarithms of Welch's spectrum, which it
has replaced, and how often the 95 % interval of the first holds the exponent (the line has none).
"""

from __future__ import annotations

import sys
import time

import numpy as np
from scipy.signal import welch

from xbarlab.analysis.estimates.spectra import band_of, power_law, spectrum

RATE, POINTS = 400.0, 16384


def flicker(rng: np.random.Generator, exponent: float, points: int = POINTS) -> np.ndarray:
    """Return noise of variance 1 whose spectrum is f^−exponent also below what the trace sees."""
    f = np.fft.rfftfreq(8 * points)
    f[0] = f[1]
    shaped = (rng.normal(size=f.size) + 1j * rng.normal(size=f.size)) * f ** (-0.5 * exponent)
    x = np.fft.irfft(shaped)[:points]
    return x / x.std()


def line(values: np.ndarray, rate: float) -> float:
    """Return minus the slope of a straight line through ln of Welch's spectrum, 0.05 Hz to a quarter of the rate."""
    f, power = welch(values, rate, nperseg=min(len(values), 16384))
    use = (f > 0.05) & (f < rate / 4)
    return -float(np.polyfit(np.log(f[use]), np.log(power[use]), 1)[0])


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    print(f"{count} traces of {POINTS:,} samples at {RATE:g} Hz; white: its σ over that of the flicker noise\n")
    print("| exponent | white | fit: bias | spread | interval holds it | CPU | line: bias | spread | CPU |")
    print("|---|---|---|---|---|---|---|---|---|")
    for exponent in (0.7, 1.0, 1.4, 1.8):
        for white in (0.0, 0.1, 0.3, 1.0):
            found, lines, held, spent = [], [], [], [0.0, 0.0]
            for seed in range(count):
                rng = np.random.default_rng([round(10 * exponent), round(10 * white), seed])
                x = flicker(rng, exponent) + white * rng.normal(size=POINTS)
                begun = time.process_time()
                beta = power_law(spectrum(x, RATE).inside(band_of(RATE, POINTS / RATE))).exponent
                between = time.process_time()
                lines.append(line(x, RATE))
                spent = [spent[0] + between - begun, spent[1] + time.process_time() - between]
                found.append(beta.value)
                held.append(beta.low <= exponent <= beta.high)
            known = np.isfinite(found)
            print(
                f"| {exponent} | {white} | {np.nanmean(found) - exponent:+.3f} | {np.nanstd(found):.3f} | "
                f"{np.mean(held):.0%}{'' if known.all() else f', none of {(~known).sum()}'} | "
                f"{1e3 * spent[0] / count:.1f} ms | {np.mean(lines) - exponent:+.3f} | {np.std(lines):.3f} | "
                f"{1e3 * spent[1] / count:.1f} ms |"
            )


if __name__ == "__main__":
    main()
