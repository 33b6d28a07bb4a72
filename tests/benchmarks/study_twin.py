"""How honest a fit is: twins of mock chips whose numbers are known.

    python tests/benchmarks/study_twin.py recover --chips 20

draws chips with other numbers than the profile's, makes data by forming, sweeps and ISPP on them, fits each in mode
calibrate, and prints how many of the 90 % intervals hold the number that the chip was drawn with.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from xbarlab.mockhw.chip.profile import load_profile
from xbarlab.twin.coordinates import CHIP, FULL_1T1R
from xbarlab.twin.fitting import candidates
from xbarlab.twin.fitting.evaluation import without_blocks
from xbarlab.twin.fitting.fit import FitPlan, fit
from xbarlab.twin.objective import with_values

SPREAD = {"transistor.Vt": 0.12, "series.Rs": 0.10, "set.US": 0.15, "reset.UR": 0.20}
"""Standard deviation of what is drawn about the profile's values: of the logarithm, for Vt in volts."""
INSIDE = 2.2
"""Nothing is drawn nearer to a bound than this, in coordinates: a tenth of the range."""
RESET_VOLTS = "protocol.ispp.algorithm.reset.volts"


def draw(parameters: Any, seed: int) -> dict[str, float]:
    """Return the numbers of a chip, inside of the bounds of a fit."""
    rng = np.random.default_rng([20261129, seed])
    made: dict[str, float] = {}
    for name in CHIP:
        section, key = name.split(".")
        value = float(getattr(getattr(parameters, section), key))
        z = float(np.clip(rng.standard_normal(), -2.0, 2.0)) * SPREAD[name]
        bounds = FULL_1T1R[name]
        value = value * math.exp(z) if bounds.log else value + z
        made[name] = bounds.decode(min(max(bounds.encode(value), -INSIDE), INSIDE))
    made[RESET_VOLTS] = float(rng.uniform(2.2, 3.2))
    return made


def recover(task: tuple[int, argparse.Namespace]) -> dict[str, Any]:
    """Return what a fit says of one chip, and what is true."""
    seed, told = task
    parameters: Any = without_blocks(load_profile(told.profile).parameters)  # pyright: ignore[reportArgumentType]
    true = draw(parameters, seed)
    chip = with_values(parameters, {name: true[name] for name in CHIP})
    began = time.monotonic()
    data = [
        candidates.forming(chip, told.cells, 11 * seed + 1),
        candidates.set_volts(chip, told.cells, 11 * seed + 2),
        candidates.reset_volts(chip, told.cells, 11 * seed + 3),
        candidates.ispp(chip, told.cells, 11 * seed + 4, true[RESET_VOLTS]),
    ]
    plan = FitPlan(
        base=told.profile, jobs=1, size=told.size, generations=told.generations, seeds=told.seeds, draws=told.draws,
        minutes=1000.0, seed=seed, suggest=False, quiet=True,
    )  # fmt: skip
    result = fit(data, plan)
    return {
        "chip": seed,
        "seconds": round(time.monotonic() - began, 1),
        "cost": [result.cost_before, result.cost_after],
        "numbers": [
            {
                "name": one.name, "true": true[one.name], "value": one.value, "low": one.low, "high": one.high,
                "identified": one.identified, "inside": one.low <= true[one.name] <= one.high,
                "z": _z(one, true[one.name]),
            }
            for one in result.numbers
        ],
    }  # fmt: skip


def _z(number: Any, true: float) -> float:
    return (math.log(number.value / true) if number.log else number.value - true) / number.sd


def main() -> None:
    """Run the study and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["recover"])
    parser.add_argument("--chips", type=int, default=20)
    parser.add_argument("--cells", type=int, default=256, help="of each measurement; half of them is held out")
    parser.add_argument("--size", type=int, default=128, help="cells of a replay")
    parser.add_argument("--generations", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--profile", default="hfo2_1t1r")
    parser.add_argument("--out", type=Path, help="JSON of every number of every chip")
    told = parser.parse_args()
    tasks = [(seed, told) for seed in range(told.first, told.first + told.chips)]
    found: list[dict[str, Any]] = []
    with ProcessPoolExecutor(told.jobs, mp_context=get_context("spawn")) as pool:
        for one in pool.map(recover, tasks):
            found.append(one)
            inside = [number["inside"] for number in one["numbers"] if number["identified"]]
            print(f"chip {one['chip']}: {sum(inside)} of {len(inside)} inside, {one['seconds']} s", flush=True)
            if told.out is not None:
                told.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print("\n| number | chips | identified | inside their 90 % interval | rms of z |\n|---|---|---|---|---|")
    names = list(dict.fromkeys(number["name"] for one in found for number in one["numbers"]))
    every: list[bool] = []
    for name in names:
        mine = [number for one in found for number in one["numbers"] if number["name"] == name]
        good = [number for number in mine if number["identified"]]
        inside = [bool(number["inside"]) for number in good]
        every += inside
        z = np.asarray([number["z"] for number in good])
        share = f"{100 * np.mean(inside):.0f} %" if inside else "–"
        print(f"| {name} | {len(mine)} | {len(good)} | {share} | {np.sqrt((z**2).mean()) if len(z) else 0:.2f} |")
    print(f"\n{100 * np.mean(every):.0f} % of {len(every)} identified numbers are inside; wanted are 80 to 99 %")


if __name__ == "__main__":
    main()
