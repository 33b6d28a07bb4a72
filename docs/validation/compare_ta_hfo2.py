"""Hold ``ta_hfo2_1t1r`` against the published facts of the 128×64 Ta/HfO2 array, and print the errors.

Run from anywhere: ``python docs/validation/compare_ta_hfo2.py [--seeds 5]``; some seconds, no data. Measurements of
that array are not public: what is held here are the numbers its publications state. Writes
``docs/figures/ta_hfo2_1t1r.png``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from xbarlab.analysis.plots.plots import save
from xbarlab.mockhw.chip.profile import load_profile, make_model
from xbarlab.mockhw.device_models.filament.model import FilamentModel

Floats = NDArray[np.float64]

FIGURE = Path(__file__).resolve().parents[2] / "docs" / "figures" / "ta_hfo2_1t1r.png"
CELLS = 8192
GATES = np.linspace(0.7, 1.6, 10)  # gate of the SET [V] over which the published slope holds
SET_VOLTS, RESET_VOLTS, RESET_GATE, WIDTH = 2.5, 1.7, 5.0, 500e-9  # published: V, V, V; width assumed
SLOPE, YIELD = 98e-6, 0.998  # published: S/V, share of cells
OFF = 7e-6  # what the tuning came to [S]: no publication was found that states it


class Array:
    """One mock array of healthy and stuck cells, all pulsed alike."""

    def __init__(self, seed: int) -> None:
        self.profile = load_profile("ta_hfo2_1t1r")
        model = make_model(self.profile, CELLS, seed)
        assert isinstance(model, FilamentModel)
        self.model = model
        self.model.assume_formed(100e-6)
        self.healthy = ~self.model.truth()["stuck"].astype(bool)

    def pulse(self, volts: float, gate: float) -> None:
        """Give every cell a pulse of ``volts`` [V] at ``gate`` [V]."""
        one = np.ones(CELLS)
        cells, count = np.arange(CELLS), np.ones(CELLS, np.int64)
        self.model.pulse(cells, volts * one, WIDTH * one, gate * one, count, 0.0 * one, 0.0)

    def read(self) -> Floats:
        """Return conductances of the healthy cells at the published read point, without noise [S]."""
        point = self.profile.read
        g = self.model.conductance(np.arange(CELLS), float(point.volts), float(point.gate), 0.0)
        return g[self.healthy]


def two_pulses(array: Array) -> tuple[Floats, Floats]:
    """RESET, then SET at each gate; return quartiles [S] (rows 25 %, 50 %, 75 %) and standard deviations [S]."""
    quartiles, spread = np.empty((3, GATES.size)), np.empty(GATES.size)
    for j, gate in enumerate(GATES):
        array.pulse(-RESET_VOLTS, RESET_GATE)
        array.pulse(SET_VOLTS, float(gate))
        g = array.read()
        quartiles[:, j] = np.quantile(g, [0.25, 0.5, 0.75])
        spread[j] = g.std()
    return quartiles, spread


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    seeds = parser.parse_args().seeds
    slopes, offs, good, curved, spreads = [], [], [], [], []
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.6), layout="constrained")
    for seed in range(seeds):
        array = Array(seed)
        good.append(float(array.healthy.mean()))
        quartiles, spread = two_pulses(array)
        slope, offset = np.polyfit(GATES, quartiles[1], 1)
        slopes.append(slope)
        spreads.append(spread)
        curved.append(float(np.abs(quartiles[1] - np.polyval([slope, offset], GATES)).max()))
        array.pulse(-RESET_VOLTS, RESET_GATE)
        low = array.read()
        offs.append(float(np.median(low)))
        if seed == 0:
            left.fill_between(GATES, *(1e6 * quartiles[[0, 2]]), alpha=0.3, label="mock, middle half of the cells")
            left.plot(GATES, 1e6 * quartiles[1], label="mock, median")
            middle = 1e6 * (float(quartiles[1].mean()) + SLOPE * (GATES - GATES.mean()))
            left.plot(GATES, middle, "k--", label="published slope, 98 µS/V (its offset is not published)")
            right.plot(np.sort(1e6 * low), np.linspace(0.0, 1.0, low.size), label="mock, after RESET")
            right.axvline(1e6 * OFF, color="k", ls="--", label="as tuned, 7 µS")
    left.set(xlabel="gate of the SET (V)", ylabel="conductance (µS)", title="RESET, then SET at a gate")
    right.set(xlabel="conductance (µS)", ylabel="share of cells below", xscale="log", title="1.7 V RESET at gate 5 V")
    for axes in (left, right):
        axes.legend(fontsize=7)
    save(figure, FIGURE)

    print("| what | value | mock, mean of seeds (least – most) | error |\n|---|---|---|---|")
    for what, value, found, scale, unit in (
        ("slope of the conductance over the gate of the SET", SLOPE, slopes, 1e6, "µS/V"),
        ("off state after the RESET, median (as tuned)", OFF, offs, 1e6, "µS"),
        ("cells that work", YIELD, good, 100.0, "%"),
    ):
        mean = float(np.mean(found))
        said = f"{scale * mean:.4g} ({scale * min(found):.4g} – {scale * max(found):.4g}) {unit}"
        print(f"| {what} | {scale * value:.4g} {unit} | {said} | {mean / value - 1.0:+.1%} |")
    print(f"\nfrom a straight line: at most {1e6 * max(curved):.2g} µS")
    flat = 1e6 * np.concatenate(spreads)
    print(f"standard deviation after one SET: {flat.min():.2g} to {flat.max():.2g} µS (no published value to hold)")


if __name__ == "__main__":
    main()
