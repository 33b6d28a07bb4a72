"""What limits a 5-bit ramp of cells, and what choosing the truest of several gains, on one mock chip.

    python tests/benchmarks/study_ramp_candidates.py --seed 41                  # half a minute of one core
    python tests/benchmarks/study_ramp_candidates.py --seed 41 --tolerance 8e-6

48 ramps of the sigmoid are programmed once. After 10 s, and again 60 s and 600 s later, thresholds are measured with 64
conversions a cell: how far cells are off their targets, and the largest |INL| left by one-point calibration. The
truest of n is chosen after 10 s and looked at again later; medians over 2,000 choices of n ramps.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from xbarlab import open_bench
from xbarlab.analysis.networks.ramp_adc import activation, ramp_design
from xbarlab.protocols.converters.ramp_plan import PlacedRamp, RampCellsPlan, program_ramps, room_for, target_map
from xbarlab.protocols.forming.forming import form
from xbarlab.protocols.forming.plan import FormingPlan
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.measure.yield_map import YieldMapPlan, yield_map

RAMPS, AMPS, AVERAGE, WAITS, CHOICES = 48, 14e-6, 64, (10.0, 60.0, 600.0), 2000


def main() -> None:
    """Program, wait, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=41)
    parser.add_argument("--tolerance", type=float, default=4e-6, help="half-width of the window of read-verify [S]")
    told = parser.parse_args()
    cells, design = RampCellsPlan(tolerance=told.tolerance), ramp_design(activation("sigmoid"), 5)
    low, high = cells.levels.low, cells.levels.high
    wanted, errors = design.conductances(low, high), list[np.ndarray]()
    with tempfile.TemporaryDirectory() as name, open_bench("mock_ta_hfo2", seed=told.seed) as bench:
        array, run = bench.array, Run(Path(name, "run"), quiet=True, seed=told.seed)
        form(array, FormingPlan(cells="all", start_volts=1.5, stop_volts=3.3, gate=1.3, width=10e-6), run)
        yield_map(array, YieldMapPlan(cells="all"), run)
        free = run.chip.healthy_of(array).copy()
        free[:, :40] = False
        places = room_for(free, [design.steps], RAMPS)
        ramps = [PlacedRamp.at(design, spot, high=high, amps=AMPS) for (spot,) in places]
        done = program_ramps(array, cells, target_map(free.shape, ramps, low, high), erase=True)
        print(f"{len(ramps)} ramps, {done.accepted:.0%} of their cells accepted")
        for wait in WAITS:
            array.clock.wait(wait)
            seen = np.array([one.inputs(array, AVERAGE) for one in ramps])
            off = (np.diff(seen, axis=1) / np.diff(design.thresholds) - 1.0) * wanted
            errors.append(np.array([one.error(inputs) for one, inputs in zip(ramps, seen, strict=True)]))
            size = f"{1e6 * off.std():.1f} µS rms, median |error| {1e6 * np.median(np.abs(off)):.1f} µS"
            print(f"{wait:g} s later: cells off by {size}; INL {np.median(errors[-1]):.2f} LSB (median)", flush=True)
        again = np.array([one.inputs(array, AVERAGE) for one in ramps])
        moved = np.diff(again - seen, axis=1) / np.diff(design.thresholds) * wanted
        print(f"two looks one after the other differ by {1e6 * moved.std():.1f} µS rms")
    rng = np.random.default_rng(0)
    for n in (2, 4, 6, 8):
        drawn = (rng.choice(len(ramps), n, replace=False) for _ in range(CHOICES))
        best = np.array([of[np.argmin(errors[0][of])] for of in drawn])
        left = ", ".join(f"{np.median(one[best]):.2f}" for one in errors)
        print(f"the truest of {n}: INL {left} LSB, when chosen and later")


if __name__ == "__main__":
    main()
