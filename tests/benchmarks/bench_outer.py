"""Outer products one by one and in batches: CPU time of one, on the simulated board of the shipped station.

    python tests/benchmarks/bench_outer.py [--products 2000] [--density 0.1]

One by one, over all lines, is what a board of revision 1 is given, and what rules did before the batches of revision 2.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from typing import Any

import numpy as np

from xbarlab import open_bench
from xbarlab.instruments.abilities import UpdatesByOuterProduct
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import OuterProducts, PulseDrive

BLOCK, TURNS = Block(0, 58, 0, 20), 31  # the gates of the 850-weight network


def main() -> None:
    """Time both and print the ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--products", type=int, default=2000)
    parser.add_argument("--density", type=float, default=0.1, help="mean probability with which a line fires")
    asked = parser.parse_args()
    rng, most, drive = np.random.default_rng(0), 2.0 * asked.density, PulseDrive(1.2, 1.2, 1.2, 5.0, 200e-9)
    x, d = (rng.uniform(-most, most, (asked.products, lines)) for lines in BLOCK.shape)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XBARLAB_WEAR"] = folder
        with open_bench("mock_soft_bounds", seed=1) as bench:
            update: Any = bench.array.ability(UpdatesByOuterProduct)
            rows, cols = np.zeros((len(x), bench.array.spec.rows)), np.zeros((len(d), bench.array.spec.cols))
            rows[:, BLOCK.slices[0]], cols[:, BLOCK.slices[1]] = x, d

            def apart(n: int) -> None:
                for one, other in zip(rows[:n], cols[:n], strict=True):
                    update.outer_update(one, other, pulses=TURNS, drive=drive)

            def together(n: int) -> None:
                update.outer_updates([OuterProducts(BLOCK, x[:n], d[:n])], pulses=TURNS, drive=drive)

            spent: dict[str, float] = {}
            for name, way in (("one by one", apart), ("in a batch", together)):
                way(20)  # what is compiled or opened once
                began = time.process_time()
                way(asked.products)
                spent[name] = (time.process_time() - began) / asked.products
    for name, seconds in spent.items():
        print(f"{name:<12s} {1e6 * seconds:8.1f} µs per product")
    print(f"ratio        {spent['one by one'] / spent['in a batch']:8.2f}")


if __name__ == "__main__":
    main()
