"""Programming a 1T1R chip to levels: how many pulses three ways take, and how few an oracle would.

    python tests/benchmarks/study_programming.py                          # hfo2_1t1r, 2 bits, seeds 0 to 4
    python tests/benchmarks/study_programming.py --bits 3
    python tests/benchmarks/study_programming.py --profile my_chip.profile.yaml --cells 16

All begin in one state, on the same cells with the same windows: cycled 8,000 times, left after a SET. Then

* ISPP and the coarse–fine method as the measured chip was programmed by them (``analysis/measured_data/shipped``),
* our ``read_verify`` through the board driver, accepting at one reading as they do, and
* an oracle that knows the numbers and the present state of every cell and not its luck: of a grid of SET and RESET
  pulses it takes the one after which it expects to need the fewest, by simulating each many times on copies of that
  very cell, and by value iteration for what comes after. Cells it expects to take more than 100 pulses it leaves alone.

Prints pulses per cell (SET and RESET, all counted) and the share of cells that ended in their window, by level, and
what the oracle expected before (lower than carried out: it chooses among lucky samples).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from xbarlab import PulseMap
from xbarlab.analysis.measured_data.description import read_description
from xbarlab.analysis.measured_data.measured import find_description
from xbarlab.analysis.measured_data.write_algorithms import FineLevel, Staircase
from xbarlab.instruments.block import Block
from xbarlab.mockhw.bench.bench import bench_for
from xbarlab.mockhw.chip.profile import profile_file
from xbarlab.mockhw.device_models.filament.model import FilamentModel
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.programming.programming_plan import RampPlan
from xbarlab.protocols.programming.read_verify import ReadVerifyPlan, read_verify
from xbarlab.protocols.programming.targets import Levels
from xbarlab.runbooks.stations import find_station, open_bench
from xbarlab.twin.rehearsal.socket import BENCH, socket_of
from xbarlab.twin.replay.cells import Cells
from xbarlab.twin.replay.write_verify import program

WIDTH = 200e-9
CYCLES, CYCLE_RESET, CYCLE_SET = 8000, (-2.3, 4.0, 100e-9), (3.3, 3.0, 100e-9)
"""How the measured chip was cycled: V, V of the gate, s."""
MOST = 60
"""Pulses after which a cell counts as failed by the oracle; read–verify has ``--most``. The measured ways go on for 200
and more: twenty fine attempts, or 200 RESETs."""
WINDOWS: dict[int, tuple[tuple[float | None, float | None], ...]] = {
    2: ((None, 12.5e-6), (107.4e-6, 117.5e-6), (166.4e-6, 173.3e-6), (200e-6, None)),
    3: (
        (None, 12.5e-6), (70e-6, 80e-6), (107.4e-6, 117.5e-6), (130e-6, 140e-6), (151e-6, 158e-6),
        (166.4e-6, 173.3e-6), (184e-6, 190e-6), (200e-6, None),
    ),
}  # fmt: skip
"""Of 2 bits as measured; of 3 bits those and between them as wide ones: assumed."""
GATES_3 = (3.00, 2.68, 2.48, 2.40, 2.32, 2.23, 2.13)
"""Coarse gates of the seven upper levels of 3 bits, highest first: on a line through those of 2 bits, assumed."""
FINE_3 = ((0.6, 0.18, 0.26),) * 4 + ((0.8, 0.10, 0.34),) * 2
"""Start, step of SETs, step of RESETs of the six between: those of the nearest level of 2 bits."""
SET_GATES = np.arange(1.6, 3.61, 0.05)
RESET_VOLTS = np.arange(0.4, 3.01, 0.1)
STATES = np.concatenate([np.geomspace(3e-6, 60e-6, 12, endpoint=False), np.linspace(60e-6, 250e-6, 39)])
SAMPLES = 16
"""Of value iteration: states [S], simulated transitions of each pulse from each."""
HOPELESS = 100.0
CHUNK = 400_000


def algorithms(bits: int, reset: dict[str, float]) -> dict[str, Any]:
    """Return the two ways of the measured chip, with every number."""
    told = {one.id: one.protocol for one in read_description(find_description("hfo2_1t1r")).data}
    made: dict[str, Any] = {}
    for name in ("ispp", "coarse_fine"):
        algorithm: Any = getattr(told[name], "algorithm")  # noqa: B009 - of one kind of protocol only
        pulse = algorithm.reset.model_copy(update={"volts": reset[name]})
        made[name] = algorithm.model_copy(update={"reset": pulse})
    if bits == 3:
        first = made["coarse_fine"].levels[0].model_copy(update={"gate": GATES_3[0]})
        between = [
            FineLevel(
                gate=gate,
                set_volts=Staircase(start=start, step=up, below=4.0),
                reset_volts=Staircase(start=0.6, step=down, below=4.0),
            )
            for gate, (start, up, down) in zip(GATES_3[1:], FINE_3, strict=True)
        ]
        made["coarse_fine"] = made["coarse_fine"].model_copy(update={"levels": (first, *between, None)})
    return made


class Copies:
    """Many cells, each a copy of one of another model as it is now, each with luck of its own."""

    def __init__(self, of: Cells, which: Any, seed: int) -> None:
        self.model = FilamentModel(of.model.parameters, len(which), 0)
        state = {name: np.ascontiguousarray(values[which]) for name, values in of.model.state().items()}
        rng = np.random.default_rng(seed)
        state["key"] = rng.integers(1, 2**63, len(which), dtype=np.uint64)
        self.model.restore(state)
        self._all = np.arange(len(which))

    def after(self, volts: Any, gate: Any, now: float, conductance: Any = None) -> Any:
        """Return what they read after one pulse each; from ``conductance`` [S] if given, else from where they are."""
        n = len(self._all)
        if conductance is not None:
            self.model.assume_formed(conductance, now)
        self.model.pulse(self._all, volts, np.full(n, WIDTH), gate, np.ones(n, np.int64), np.zeros(n), now)
        g = self.model.conductance(self._all, 0.2, 3.0, now)
        return g + self.model.noise(self._all, g, 1, now)


class Oracle:
    """The best next pulse of every cell."""

    def __init__(self, cells: Cells, which: Any, low: Any, high: Any, seed: int) -> None:
        self.volts = np.concatenate([np.full(len(SET_GATES), 2.0), -RESET_VOLTS])
        self.gates = np.concatenate([SET_GATES, np.full(len(RESET_VOLTS), 4.0)])
        self.cells, self.which, self.low, self.high, self.seed = cells, which, low, high, seed
        self.cost = np.empty((len(which), len(STATES)))
        each = len(STATES) * len(self.volts) * SAMPLES
        state, kind, _ = (one.ravel() for one in np.indices((len(STATES), len(self.volts), SAMPLES)))
        per = max(CHUNK // each, 1)
        for begin in range(0, len(which), per):
            mine = which[begin : begin + per]
            copies = Copies(cells, np.repeat(mine, each), seed + begin)
            tiled = [np.tile(one, len(mine)) for one in (self.volts[kind], self.gates[kind], STATES[state])]
            g = copies.after(tiled[0], tiled[1], cells.now, tiled[2])
            g = g.reshape(len(mine), len(STATES), len(self.volts), SAMPLES)
            for at in range(len(mine)):
                self.cost[begin + at] = self._solved(begin + at, g[at])

    def _solved(self, at: int, g: Any) -> Any:
        done = (g >= self.low[at]) & (g <= self.high[at])
        below, share = _between(g)
        cost = np.full(len(STATES), 5.0)
        for _ in range(200):
            ahead = (1.0 - share) * cost[below] + share * cost[below + 1]
            new = np.minimum(1.0 + np.where(done, 0.0, ahead).mean(axis=2).min(axis=1), 1e3)
            if np.abs(new - cost).max() < 1e-3:
                break
            cost = new
        return cost

    def expected(self, at: Any, conductance: Any) -> Any:
        """Return how many pulses it expects cells ``at`` to need from ``conductance`` [S]."""
        below, share = _between(conductance)
        return (1.0 - share) * self.cost[at, below] + share * self.cost[at, below + 1]

    def pulse(self, at: Any, turn: int) -> tuple[Any, Any]:
        """Return amplitude and gate of the next pulse of cells ``at``, tried on copies of them as they are."""
        kinds = len(self.volts)
        copies = Copies(self.cells, np.repeat(self.which[at], kinds * SAMPLES), self.seed + 7919 * (turn + 1))
        volts, gates = (np.tile(np.repeat(one, SAMPLES), len(at)) for one in (self.volts, self.gates))
        g = copies.after(volts, gates, self.cells.now).reshape(len(at), kinds, SAMPLES)
        done = (g >= self.low[at, None, None]) & (g <= self.high[at, None, None])
        ahead = self.expected(at[:, None, None], g)
        best = np.where(done, 0.0, ahead).mean(axis=2).argmin(axis=1)
        return self.volts[best], self.gates[best]


def _between(g: Any) -> tuple[Any, Any]:
    """Return the state below each conductance, and how far it is to the next."""
    place = np.interp(np.log(np.maximum(g, 1e-9)), np.log(STATES), np.arange(len(STATES)))
    below = np.minimum(place.astype(np.int64), len(STATES) - 2)
    return below, place - below


def by_oracle(cells: Cells, which: Any, low: Any, high: Any, seed: int) -> tuple[pd.DataFrame, Any]:
    """Program by the oracle; return sets + resets, success, and what it expected at the start."""
    oracle = Oracle(cells, which, low, high, seed)
    pulses, success = np.zeros(len(which), np.int64), np.zeros(len(which), np.bool_)
    g = cells.read(which)
    inside = (g >= low) & (g <= high)
    expected = np.where(inside, 0.0, oracle.expected(np.arange(len(which)), g))
    success |= inside
    for turn in range(MOST):
        todo = np.flatnonzero(~success & (expected < HOPELESS))
        if not len(todo):
            break
        volts, gate = oracle.pulse(todo, turn)
        cells.pulse(which[todo], volts, gate, WIDTH)
        pulses[todo] += 1
        g[todo] = cells.read(which[todo])
        success[todo] = (g[todo] >= low[todo]) & (g[todo] <= high[todo])
    return pd.DataFrame({"cell": which, "pulses": pulses, "success": success}), expected


def plan_of(bits: int, told: argparse.Namespace) -> ReadVerifyPlan:
    """Return the plan of our read–verify: one reading decides, no look afterwards, as on the measured chip."""
    return ReadVerifyPlan(
        cells=f"0:{told.rows},0:64",
        levels=Levels(windows=WINDOWS[bits]),
        set=RampPlan(knob="gate", volts=(1.0, told.set_volts), gate=(1.6, 3.6), step=0.03),
        reset=RampPlan(knob=told.reset_knob, volts=(0.4, told.reset_volts), gate=(2.0, 4.0), step=0.1),
        width=WIDTH, hits=1, reads=1, average=1, pulses_max=told.most, reversals_max=told.most, stalls_max=told.stalls,
        iterations_max=told.most, reverify_rounds=0, reread_after=0.0,
    )  # fmt: skip


def study(told: argparse.Namespace, seed: int) -> pd.DataFrame:
    """Return a line per cell and way."""
    bits = told.bits
    made: list[pd.DataFrame] = []
    with tempfile.TemporaryDirectory() as folder:
        socket = socket_of(find_station(told.station))
        place = socket.with_chip(Path(folder), profile_file(told.profile), {}, seed)
        with open_bench(place) as bench:
            array, chip = bench.array, bench_for(Path(folder) / BENCH).chip
            model: Any = chip.model
            model.assume_formed(200e-6, 0.0)
            model.assume_cycled(CYCLES)
            block = Block(0, told.rows, 0, 64)
            for volts, gate, width in (CYCLE_RESET, CYCLE_SET):
                array.pulse(PulseMap(block=block, volts=volts, width=width, gate=gate, count=1))
            start = model.state()
            now = array.clock.now() if callable(getattr(array.clock, "now", None)) else 0.0
            result = read_verify(array, plan_of(bits, told), Run(Path(folder) / "run", seed=seed))
        target = result.target.ravel()
        which = np.arange(target.size)  # the block has all columns, so its cells are the first of the chip
        levels = Levels(windows=WINDOWS[bits])
        level = len(levels.values) - 1 - np.searchsorted(levels.values, target * (1.0 - 1e-9))
        edges = np.asarray(levels.edges)[::-1][level]
        accepted = result.verdict.ravel() == 0
        made.append(
            pd.DataFrame(
                {
                    "way": "read_verify",
                    "cell": which,
                    "level": level,
                    "pulses": result.pulses.ravel(),
                    "success": accepted,
                }
            )
        )

        def copy() -> Cells:
            cells = Cells(model.parameters, model.size, seed)
            cells.model.restore(start)
            cells.now = now
            return cells

        for name, algorithm in algorithms(bits, {"ispp": told.ispp_reset, "coarse_fine": told.coarse_reset}).items():
            cells = copy()
            for one in np.unique(level):
                mine = which[level == one]
                table = program(cells, mine, algorithm, *edges[level == one][0], int(one))
                made.append(
                    table[["cell", "level", "success"]].assign(way=name, pulses=table["sets"] + table["resets"])
                )
        if not told.no_oracle:
            some = which[:: max(1, which.size // told.oracle_cells)]
            table, expected = by_oracle(copy(), some, edges[some, 0], edges[some, 1], seed)
            made.append(table.assign(way="oracle", level=level[some]))
            hoped = table.assign(way="oracle expects", level=level[some], pulses=expected)
            made.append(hoped)
    return pd.concat(made, ignore_index=True).assign(seed=seed)


def main() -> None:
    """Run the study and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="hfo2_1t1r")
    parser.add_argument("--station", default="mock_hfo2")
    parser.add_argument("--bits", type=int, choices=[2, 3], default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--rows", type=int, default=16, help="of 64 cells each")
    parser.add_argument("--most", type=int, default=200, help="pulses after which a cell counts as failed, read–verify")
    parser.add_argument("--stalls", type=int, default=60, help="pulses without a move after which it does")
    parser.add_argument("--oracle-cells", type=int, default=128)
    parser.add_argument("--no-oracle", action="store_true")
    parser.add_argument("--ispp-reset", type=float, default=1.88, help="of the profile's protocol: [V]")
    parser.add_argument("--coarse-reset", type=float, default=2.26, help="of the profile's protocol: [V]")
    parser.add_argument("--set-volts", type=float, default=2.0)
    parser.add_argument("--reset-volts", type=float, default=3.0)
    parser.add_argument("--reset-knob", choices=["volts", "gate"], default="volts")
    told = parser.parse_args()
    every = pd.concat([study(told, seed) for seed in told.seeds], ignore_index=True)
    by = every.groupby(["way", "level"])[["pulses", "success"]].mean().unstack("level")
    whole = every.groupby(["way", "seed"])[["pulses", "success"]].mean()
    print(
        f"profile {told.profile}, {told.bits} bits, {told.rows * 64} cells, seeds {told.seeds}; level 0 conducts best"
    )
    for what in ("pulses", "success"):
        print(f"\n{what}, mean by level; median and range of the seeds' means")
        for way, line in by[what].iterrows():
            seeds = whole.loc[way, what]
            said = " ".join(f"{value:8.2f}" if what == "pulses" else f"{value:8.1%}" for value in line)
            ends = seeds.median(), seeds.min(), seeds.max()
            form = "{:.2f} ({:.2f}…{:.2f})" if what == "pulses" else "{:.1%} ({:.1%}…{:.1%})"
            print(f"{way:<16s} {said}   {form.format(*ends)}")


if __name__ == "__main__":
    main()
