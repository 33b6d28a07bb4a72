"""Which steps rules that count them need: accuracy against how many fit into the range, and against asymmetry.

    python tests/benchmarks/study_steps.py [--seeds 2] [--rules …] [--steps …] [--minutes 20] [--resume FILE]
    python tests/benchmarks/study_steps.py --steps 250 --asymmetry 0 0.3 0.6 0.8 0.9

The 850-weight network of the runbook, 150 updates of eight examples, on simulated step devices of 30 % spread whose
step is varied; the range is that of the shipped station, 180 µS. A case takes 3 to 10 s of one core, of rules by outer
products up to a minute.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.training_bench import write_bench
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.training.steps.train_convlstm_sequence import ConvLstmPlan, train_convlstm_sequence
from xbarlab.runbooks.stations import open_bench

STEPS = (2, 4, 8, 16, 32, 64, 250, 1000, 4000, 16000)
RULES = {
    "manhattan": 0.005, "row_parallel": 0.01, "mixed_precision": 0.01, "outer_product": 1.0,
    "streaming_eigenupdate": 1.0, "tiki_taka": 1.0,
}  # fmt: skip
"""Learning rates; of the last three the rate of plain SGD."""
RANGE, HALF = 180e-6, 1.0  # of the shipped station: what it is in conductance, and half of it in weights


def measure(rule: str, steps: int, asymmetry: float, seed: int) -> float:
    """Return the accuracy on the test set; ``asymmetry`` is (RESET − SET)/(RESET + SET) of the steps."""
    size = 2.0 * HALF / steps
    changes = {"law": "soft_bounds", "dw_min": size, "dw_min_d2d": 0.3, "dw_min_c2c": 0.3, "w_max_d2d": 0.3,
               "w_min_d2d": 0.3, "read_noise": 0.002, "up_down": -asymmetry}  # fmt: skip
    plan = ConvLstmPlan(
        rule=rule, rate=RULES[rule], outer_rate=RULES[rule], epochs=1, train_examples=1200, batch=8,
        test_examples=500, evaluations=1, twin=False, measure_answer=False,
        pulse_step=RANGE / steps, start_pulses=max(1, round(0.15 * steps)),
        checkpoint_every=150,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        station = write_bench(Path(folder), "soft_bounds_1t1r", changes=changes, size=(128, 64))
        with open_bench(station, seed=seed) as bench:
            got = train_convlstm_sequence(bench.array, plan, Run(None, seed=seed, quiet=True))
            return float(got.metrics()["test_accuracy"])


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--rules", nargs="+", default=list(RULES), choices=list(RULES))
    parser.add_argument("--steps", nargs="+", type=int, default=list(STEPS), help="over the range")
    parser.add_argument("--asymmetry", nargs="+", type=float, default=[0.0], help="(RESET − SET)/(RESET + SET)")
    parser.add_argument("--minutes", type=float, default=20.0, help="no case is begun after that")
    parser.add_argument("--resume", type=Path, default=None, help="JSON lines that are kept, and gone on from")
    asked = parser.parse_args()
    resume: Path | None = asked.resume
    done: dict[tuple[str, int, float, int], float] = {}
    if resume is not None and resume.is_file():
        for line in resume.read_text(encoding="utf-8").splitlines():
            one: dict[str, Any] = json.loads(line)
            done[one["rule"], one["steps"], one.get("asymmetry", 0.0), one["seed"]] = one["accuracy"]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XBARLAB_WEAR"] = folder
        seeds = range(1, asked.seeds + 1)
        for case in product(asked.rules, asked.steps, asked.asymmetry, seeds):
            if case in done or time.monotonic() - began > 60.0 * asked.minutes:
                continue
            done[case] = measure(*case)
            if resume is not None:
                with resume.open("a", encoding="utf-8") as file:
                    kept = dict(zip(("rule", "steps", "asymmetry", "seed"), case, strict=True))
                    kept["accuracy"] = done[case]
                    file.write(json.dumps(kept) + "\n")
    print("| steps over the range | step / range | asymmetry | " + " | ".join(asked.rules) + " |")
    print("|---|---|---|" + "---|" * len(asked.rules))
    for steps, asymmetry in product(asked.steps, asked.asymmetry):
        found = [
            [v for (r, s, a, _), v in done.items() if (r, s, a) == (rule, steps, asymmetry)] for rule in asked.rules
        ]
        told = (f"{np.median(one):.1%} ({min(one):.1%} … {max(one):.1%})" if one else "not run" for one in found)
        print(f"| {steps:,} | {1.0 / steps:.2g} | {asymmetry:g} | {' | '.join(told)} |")


if __name__ == "__main__":
    main()
