"""How many cells change while others are formed: the first two steps of first_light_tio2, on many simulated chips.

    python tests/benchmarks/study_disturbed.py                      # seeds 0 to 23, a third of a minute each
    python tests/benchmarks/study_disturbed.py 13 14                # these
    python tests/benchmarks/study_disturbed.py --park 1.5 13        # another park_volts

Prints for every seed how many cells formed, how many changed by a factor of 1.5 while only others were written, and of
each of these what it read before and after, and whose forming or proof it was. Then how many chips had at most 0, 1, 2,
… of them (decision 0016). The numbers of a seed are those of `xbarlab run first_light_tio2 --seed N`.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from xbarlab.analysis.estimates.estimates import fraction_estimate
from xbarlab.protocols.forming import cells as forming_cells
from xbarlab.protocols.measure.neighbours import NeighbourWatch
from xbarlab.runbooks.runner.schema import load_runbook
from xbarlab.runbooks.stations import open_bench

RUNBOOK, SEEDS = "first_light_tio2", 24


class _Telling(NeighbourWatch):
    """Notes what it sees: (cell, before [S], after [S], cell written, times that one had been written by then)."""

    seen: list[tuple[tuple[int, int], float, float, tuple[int, int] | None, int]]
    turns: dict[tuple[int, int], int]

    def own(self, row: int, col: int, conductance: float) -> None:
        self.turns[row, col] = self.turns.get((row, col), 0) + 1
        super().own(row, col, conductance)

    def _compare(self, cells: Any, written: tuple[int, int] | None) -> None:
        known, marked = self._known.copy(), self.disturbed.copy()
        super()._compare(cells, written)
        for row, col in np.argwhere(self.disturbed & ~marked).tolist():
            turn = self.turns.get(written, 0) if written else 0
            self.seen.append(((row, col), float(known[row, col]), float(self._known[row, col]), written, turn))


def main() -> None:
    """Form a chip per seed and count."""
    parser = argparse.ArgumentParser()
    parser.add_argument("seeds", nargs="*", type=int)
    parser.add_argument("--park", type=float)
    asked = parser.parse_args()
    forming_cells.NeighbourWatch = _Telling
    changes = () if asked.park is None else (f"form.park_volts={asked.park}",)
    virgin, form = load_runbook(RUNBOOK, overrides=changes).steps[:2]
    counts: list[int] = []
    for seed in asked.seeds or range(SEEDS):
        _Telling.seen, _Telling.turns = [], {}
        with open_bench("mock_tio2", seed=seed) as bench:
            virgin.kind.run(bench.array, virgin.plan, None)
            result: Any = form.kind.run(bench.array, form.plan, None)
        counts.append(int(result.disturbed.sum()))
        print(f"seed {seed}: {int(result.works.sum())} of {result.works.size} work, {counts[-1]} disturbed", flush=True)
        for at, before, after, by, turn in _Telling.seen:
            doing = (
                "the last look"
                if by is None
                else f"{('forming', 'proof')[turn - 1]} of {by} at {result.v_form[by]:.2f} V"
            )
            print(
                f"    {at}, formed at {result.v_form[at]:.2f} V: {1e6 * before:.1f} -> {1e6 * after:.1f} uS, {doing}",
                flush=True,
            )
    for most in range(max(counts) + 1):
        share = fraction_estimate(sum(count <= most for count in counts), len(counts))
        print(f"at most {most}: {share.value:.1%} of {len(counts)} chips, 95 %: {share.low:.1%} to {share.high:.1%}")


if __name__ == "__main__":
    main()
