"""Every layer of torch that stands on an array against its float twin, on a bench without noise; and what does not.

    python tests/benchmarks/study_layers.py [--bits 14] [--seeds 3]

Prints for every layer the largest difference from its float twin, as a share of the twin's largest value: of what it
returns, of the gradients of its inputs and states, of those of its weights (worst of the seeds); and the transactions
and vectors of one forward pass, counted at the array. Then the closed list of torch's modules. Takes half a minute.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.exact_cells import CASES, compare, exact_chip
from xbarlab.protocols.training.layers.placement import torch_modules


def main() -> None:
    """Print both tables."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--bits", type=int, default=14, help="of the product converters (2 to 16)")
    options.add_argument("--seeds", type=int, default=3)
    asked = options.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)
    print(f"{'layer':<40s} {'out':>9s} {'d input':>9s} {'d weight':>9s} {'transactions':>13s} {'vectors':>8s}")
    with tempfile.TemporaryDirectory() as folder, exact_chip(Path(folder), bits=asked.bits) as chip:
        for case in CASES:
            runs = [compare(chip, case, seed=seed) for seed in range(asked.seeds)]
            out, back, weight = (max(getattr(run, part) for run in runs) for part in ("out", "back", "weight"))
            print(
                f"{case.name:<40s} {out:9.5f} {back:9.5f} {weight:9.5f} {runs[0].transactions:13d} {runs[0].vectors:8d}"
            )
    print()
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


if __name__ == "__main__":
    main()
