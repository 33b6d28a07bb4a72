"""How much of a weight a product sees: cells read alone against weights by products, on the mock's Ta/HfO2 chip.

    python tests/benchmarks/study_read_back.py

Prints, for an LSTM's 26 × 56 weights: the slope of products against each of the two, what of a product neither
explains, and the factor of the first and the last row (decision 0020).
"""

from __future__ import annotations

import numpy as np

from xbarlab.protocols.forming.forming import FormingPlan, form
from xbarlab.protocols.training.layers.array_weights import ArrayWeights
from xbarlab.protocols.training.layers.weight_mapping import LayerRequest, plan_floor
from xbarlab.protocols.training.rules.update_rules import TwoPulse
from xbarlab.runbooks.stations import open_bench

INPUTS, OUTPUTS, SEED = 26, 56, 0


def main() -> None:
    """Form a chip, SET all cells alike and compare."""
    with open_bench("mock_ta_hfo2", seed=SEED) as bench:
        array = bench.array
        form(array, FormingPlan(cells="all", stop_volts=3.3, gate=1.3, width=10e-6))
        plan = plan_floor(array.spec.rows, array.spec.cols, [LayerRequest("w", INPUTS, OUTPUTS, "stacked")])
        TwoPulse(gate_low=1.6, gate_start=2.4, gate_high=3.2).start(
            ArrayWeights(array, plan), np.random.default_rng(SEED)
        )
        x = np.random.default_rng(SEED).uniform(-1.0, 1.0, (400, INPUTS)).astype(np.float32)
        print(f"{'weights by':<12s} {'slope':>7s} {'unexplained':>12s}")
        for way in ("cells", "products"):
            weights = ArrayWeights(array, plan, read_back=way)  # pyright: ignore[reportArgumentType]
            weights.read(16)
            out, wanted = weights.multiply("w", x), x @ weights.weights("w")
            slope = float((out * wanted).sum() / (wanted**2).sum())
            print(f"{way:<12s} {slope:7.3f} {float(np.std(out - wanted) / np.std(out)):12.1%}")
        alone = np.zeros((2 * INPUTS, array.spec.rows), np.float32)
        np.fill_diagonal(alone, array.spec.read_volts)
        current = np.mean([array.vmm(alone, full_scale=1e-4) for _ in range(30)], axis=0)[:, :OUTPUTS]
        cells = weights.conductance[: 2 * INPUTS, :OUTPUTS]
        share = np.median(current / array.spec.read_volts / cells, axis=1)
        print(f"one row driven, others at 0 V, over the cell read alone: row 0 {share[0]:.2f}, row {len(share) - 1} "
              f"{share[-1]:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
