"""Every layer of torch and every idiom of a loop on an array against its float twin, without noise; what is refused.

    python tests/benchmarks/study_layers.py [--bits 14] [--seeds 3] [--quick]

Prints for every layer the largest difference from its float twin, as a share of the twin's largest value: of what it
returns, of the gradients of its inputs and states, of those of its weights (worst of the seeds); and the transactions
and vectors of one forward pass, counted at the array. Then the same of loops: the largest difference of a weight after
the loop, as a share of the twin's largest; and the vectors and pulses it took. Then the closed lists of torch's modules
and of what is refused in loops, each with its sentence. Takes half a minute; ``--quick`` takes every fourth layer
and one seed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.exact_cells import CASES, NO_NOISE, compare, exact_chip
from support.loop_idioms import IDIOMS, refusals, run_idiom, run_two_models
from support.training_bench import write_bench
from xbarlab.protocols.training.layers.placement import torch_modules
from xbarlab.runbooks.stations import open_bench


def main() -> None:
    """Print both tables."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--bits", type=int, default=14, help="of the product converters (2 to 16)")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--quick", action="store_true", help="every fourth layer, one seed")
    asked = options.parse_args()
    cases, seeds = (CASES[::4], 1) if asked.quick else (CASES, asked.seeds)
    warnings.filterwarnings("ignore", category=UserWarning)
    print(f"{'layer':<40s} {'out':>9s} {'d input':>9s} {'d weight':>9s} {'transactions':>13s} {'vectors':>8s}")
    with tempfile.TemporaryDirectory() as folder, exact_chip(Path(folder), bits=asked.bits) as chip:
        for case in cases:
            runs = [compare(chip, case, seed=seed) for seed in range(seeds)]
            out, back, weight = (max(getattr(run, part) for run in runs) for part in ("out", "back", "weight"))
            print(
                f"{case.name:<40s} {out:9.5f} {back:9.5f} {weight:9.5f} {runs[0].transactions:13d} {runs[0].vectors:8d}"
            )
    _loops()
    placed = torch_modules()
    for place, title in (
        ("array", "on the array"),
        ("refused", "refused: convert says"),
        ("host", "left on the host, and said by left_on_host(model)"),
    ):
        print(f"{title}:")
        reasons: dict[str, list[str]] = {}
        for name, where in placed.items():
            if where.place == place:
                reasons.setdefault(where.why, []).append(name)
        for why, names in reasons.items():
            shown = names if why != "has no weights" else [f"{len(names)} others"]
            print(f"    {', '.join(shown)}: {why}")


def _loops() -> None:
    """Print the idioms of loops, and what is refused in them."""
    print()
    print(f"{'in a loop':<80s} {'weights':>9s} {'vectors':>8s} {'pulses':>8s}")
    with tempfile.TemporaryDirectory() as folder:
        station = write_bench(Path(folder), "gate_voltage_1t1r", size=(64, 40), converters=NO_NOISE)
        with open_bench(station, seed=1) as bench:
            found = {(idiom.__doc__ or "").rstrip("."): run_idiom(bench.array, idiom) for idiom in IDIOMS}
            found["Two models beside each other, in turn"] = run_two_models(bench.array)
            sentences = refusals(bench.array)
    for name, one in found.items():
        print(f"{name:<80s} {one.error:9.5f} {one.vectors:8d} {one.pulses:8d}")
    print()
    print("refused in a loop:")
    for name, sentence in sentences.items():
        print(f"    {name}: {sentence}")
    print()


if __name__ == "__main__":
    main()
