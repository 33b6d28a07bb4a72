"""Throughput of a parallel StackLSTM on the mock array over the batch, beside a plain one, sequence by sequence.

    python tests/benchmarks/bench_stack.py --figure stack.png     # half a minute of one core

The plain one multiplies for pushes alone, with a list and branches for every sequence; the parallel one multiplies at
every step of every sequence, all sequences in one message. Both are asked the same. Seconds are those of CPU, of host
and mock together, so that a busy machine tells the same; what a cable would take for a message comes on top.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.plain_stack import plain_batch
from xbarlab import open_bench
from xbarlab.analysis.plots.plots import FAINT, PALETTE, new_figure, save, styled
from xbarlab.protocols.forming.forming import FormingPlan, form
from xbarlab.protocols.training.layers.array_weights import ArrayWeights
from xbarlab.protocols.training.layers.recurrent import ArrayRecurrent
from xbarlab.protocols.training.layers.stack import StackedRecurrent
from xbarlab.protocols.training.layers.weight_mapping import LayerRequest, plan_floor
from xbarlab.protocols.training.tasks.stack_tops import features_of, stack_tops

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SYMBOLS, HIDDEN, DEPTH, STEPS = 4, 12, 6, 16
_PLAIN_MAX = 32
"""Sequences the plain one is timed with: each costs the same."""


def quickest(work: Callable[[], Any], often: int) -> float:
    """Return the seconds of CPU, mock and host, of the quickest of ``often``: other processes do not count."""
    taken: list[float] = []
    for _ in range(often):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return min(taken)


def measured(array: Any, often: int) -> list[dict[str, float]]:
    """Return a row for every batch."""
    spec, features = array.spec, features_of(SYMBOLS)
    floor = plan_floor(spec.rows, spec.cols, [LayerRequest("stack", features + HIDDEN + 1, 4 * HIDDEN)])
    weights = ArrayWeights(array, floor)
    net = StackedRecurrent(ArrayRecurrent(weights, "stack", features=features, bias=True), DEPTH)
    weights.read()
    inputs, ops = (
        torch.from_numpy(one)
        for one in stack_tops(symbols=SYMBOLS, depth=DEPTH, steps=STEPS, train=max(BATCHES), test=1).train.inputs
    )
    x, ops = inputs.transpose(0, 1).contiguous(), ops.T.contiguous()
    rows: list[dict[str, float]] = []
    with torch.no_grad(), weights.choosing_ranges():
        net(x, ops)
    with torch.no_grad():
        for batch in BATCHES:
            own, moves, few = x[:, :batch], ops[:, :batch], min(batch, _PLAIN_MAX)
            before = array.cost
            net(own, moves)
            cost = array.cost - before
            seconds = quickest(lambda own=own, moves=moves: net(own, moves), often)
            plain = quickest(
                lambda few=few: plain_batch(net.recurrent.recurrence, HIDDEN, x[:, :few], ops[:, :few]), 1 + often // 4
            )
            rows.append(
                {
                    "batch": batch,
                    "seconds": seconds,
                    "plain": plain * batch / few,
                    "messages": cost.transactions,
                    "vectors": cost.slots,
                    "array": cost.chip_seconds,
                    "pushes": int((moves > 0).sum()),
                }
            )
    return rows


def show(rows: list[dict[str, float]], slot: float, figure: Path | None) -> None:
    """Print the table and what bounds it; draw it."""
    print(f"StackLSTM {features_of(SYMBOLS)} → {HIDDEN}, {STEPS} steps; steps of one sequence a second of CPU")
    print("batch   parallel   × batch 1  share of linear   plain   parallel/plain   messages  reads/push  array time")
    at = np.asarray([row["batch"] for row in rows])
    rate = {key: np.asarray([STEPS * row["batch"] / row[key] for row in rows]) for key in ("seconds", "plain")}
    for row, own, plain in zip(rows, rate["seconds"], rate["plain"], strict=True):
        gain = own / rate["seconds"][0]
        told = f"{row['batch']:5.0f} {own:10,.0f} {gain:9.1f} {gain / row['batch']:14.0%} {plain:10,.0f}"
        more = f"{row['messages']:12.0f} {row['vectors'] / max(1, row['pushes']):10.2f} {1e3 * row['array']:9.2f} ms"
        print(f"{told} {own / plain:13.1f} {more}")
    # Seconds of a step = message + vector·batch, each point by its relative error.
    step = np.asarray([row["seconds"] / STEPS for row in rows])
    columns = np.stack([np.ones_like(step), at], 1) / step[:, None]
    message, vector = np.linalg.lstsq(columns, np.ones_like(step), rcond=None)[0].tolist()
    print(
        f"\nA step takes {1e6 * message:.0f} µs a message and {1e6 * vector:.2f} µs a vector, the mock's arithmetic: "
        f"linear as long as the batch\nis small against {message / vector:.0f}, where half is lost; never above "
        f"{1 / vector:,.0f} steps a second. On the array's own clock\nvectors take a slot of {1e6 * slot:g} µs each, "
        f"one after another: a batch saves messages and no array time,\nand {1 / slot:,.0f} steps a second is what the "
        "array itself can do."
    )
    if figure is not None:
        save(drawn(at, rate, message, vector), figure)
        print(f"drawn: {figure}")


@styled
def drawn(at: Any, rate: dict[str, Any], message: float, vector: float) -> Figure:
    """Return throughput over the batch, beside what is linear in it."""
    figure, ax = new_figure(6.4, 4.8)
    ax.plot(at, rate["seconds"], color=PALETTE[0], marker="o", ms=4, label="parallel, always computing")
    ax.plot(at, rate["plain"], color=PALETTE[1], marker="s", ms=4, label="one sequence after another")
    ax.plot(at, rate["seconds"][0] * at, color=FAINT, ls="--", lw=1.2, label="linear in the batch")
    ax.plot(at, at / (message + vector * at), color=PALETTE[0], ls=":", lw=1.2, label="message + vectors")
    ax.axhline(1 / vector, color=FAINT, ls=":", lw=1.2, label="vectors alone")
    ax.set(
        xscale="log", yscale="log", xlabel="Sequences in the batch", ylabel="Steps of one sequence per second of CPU"
    )
    ax.set_xticks(at, [f"{n:.0f}" for n in at])
    ax.minorticks_off()
    ax.set_ylim(0.04 * float(rate["seconds"].min()), 2.0 / vector)
    ax.set_title("StackLSTM on the mock array")
    ax.legend(loc="lower right", fontsize=8)
    return figure


def main() -> None:
    """Measure on a formed mock chip."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--often", type=int, default=40, help="times each is measured, the quickest counts")
    parser.add_argument("--station", default="mock_ta_hfo2")
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with open_bench(given.station, seed=1) as bench:
        form(bench.array, FormingPlan(cells="all"))
        show(measured(bench.array, given.often), bench.array.spec.vmm_slot_seconds, given.figure)


if __name__ == "__main__":
    main()
