"""What the authors' airline LSTM needs on the mock's physical 1T1R chip: their network, optimiser and two-pulse rule.

    python tests/benchmarks/study_airline.py gates --seeds 0       # what a SET leaves, gate by gate, and what follows
    python tests/benchmarks/study_airline.py settings --seeds 11-15 --resume kept.jsonl --figure settings.png
    python tests/benchmarks/study_airline.py chip --seeds 11-13 --resume kept.jsonl     # the chip without one property

``gates`` RESETs and SETs 1,024 formed cells at every gate voltage, as one would on a bench, and derives from it where
the two-pulse rule should work: slope, window, conductance of a weight of 1. ``settings`` trains with the steps
``published`` and ``adapted`` of the runbook ``train_lstm_airline``, and with ``adapted`` less one of its changes.
``chip`` trains with the settings of the publication on chips that lack one property of the profile each: throw-away
chips, to see which property it is; no setting comes from there.

A training takes half a minute of one core, forming a chip a quarter; the trainings of a seed share their chip. It says
how many are ahead, one line of JSON each goes to ``--resume``, and what is there is not run again; ``--minutes`` begins
no further one after so long.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("XBARLAB_WEAR", tempfile.mkdtemp(prefix="xbarlab-wear-"))

import numpy as np
from study_cnn import station_with

from xbarlab.analysis.plots.plots import save
from xbarlab.analysis.programming.gate_window import GateWindow, gate_window
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import PulseMap
from xbarlab.protocols.forming.forming import FormingPlan, form
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.measure.yield_map import YieldMapPlan, yield_map
from xbarlab.protocols.training.steps.train_lstm_airline import AirlinePlan, train_lstm_airline
from xbarlab.runbooks.runner.schema import load_runbook
from xbarlab.runbooks.stations import open_bench

CELLS, SAMPLE = "0:48,0:64", "0:32,0:32"
GATES = np.round(np.arange(0.6, 4.9, 0.2), 2)
SETS = 6
LARGEST = 0.88  # published: gates 0.7 to 1.6 V at 98 µS/V, a weight of 1 being 100 µS
CHIP: dict[str, dict[str, float]] = {
    "scatter from SET to SET": {f"parameters.cycle_noise.{k}": 0.0 for k in ("sigL", "gS", "ptail", "sigH", "lam")},
    "noise of reads": {
        f"parameters.read_noise.{k}": 0.0
        for k in ("scale", "relative", "flicker", "one_trap_fraction", "two_trap_fraction")
    },
    "relaxation": {f"parameters.relaxation.{k}": 0.0 for k in ("mean", "sd", "strong_mean")},
    "resistance of lines": {"wiring.row_segment": 1e-4, "wiring.col_segment": 1e-4, "wiring.driver": 1e-3,
                            "wiring.sense": 1e-3},
    "spread from cell to cell": {f"parameters.device_spread.{k}": 0.0 for k in ("ln_Rs", "ln_US", "ln_UR")},
    "stuck cells": {f"parameters.stuck.{k}": 0.0 for k in ("open_fraction", "on_fraction", "short_fraction")},
}  # fmt: skip
"""What ``chip`` leaves out."""


def seeds_of(text: str) -> list[int]:
    """Return the seeds of '1,4,10-12'."""
    ends = (part.partition("-") for part in text.split(","))
    return sorted({seed for first, _, last in ends for seed in range(int(first), int(last or first) + 1)})


def plan_of(step: str, **changes: Any) -> AirlinePlan:
    """Return the plan of a step of the runbook, changed; one measurement of the curve is enough here."""
    (found,) = (one.plan for one in load_runbook("train_lstm_airline").steps if one.id == step)
    assert isinstance(found, AirlinePlan)
    return AirlinePlan(**{**found.model_dump(), "bad_share": 0.05, "checkpoint_every": 400, **changes})


def settings() -> dict[str, AirlinePlan]:
    """Return the trainings of ``settings``, by what is said of them."""
    published = plan_of("published")
    theirs = {name: getattr(published, name) for name in ("gate_low", "gate_start", "gate_high", "slope", "siemens")}
    return {
        "as published": published,
        "adapted to this chip": plan_of("adapted"),
        "… but gates, slope and scale as published": plan_of("adapted", **theirs),
        "… but a weight of 1 is 100 µS": plan_of("adapted", siemens=published.siemens),
        "… but read back cell by cell": plan_of("adapted", read_back="cells", read_average=1),
    }


def measured_window(seed: int) -> GateWindow:
    """RESET and SET a sample of cells at every gate voltage; return what follows."""
    with open_bench("mock_ta_hfo2", seed=seed) as bench:
        array: Any = bench.array
        block = Block.parse(SAMPLE, array.spec)
        healthy = form(array, FormingPlan(cells=SAMPLE, stop_volts=3.3, gate=1.3, width=10e-6)).works
        plan = plan_of("published")
        count = np.asarray(healthy).astype(np.int64).reshape(block.shape)
        first, second = np.empty((2, len(GATES), SETS, int(count.sum())))
        for at in np.random.default_rng(seed).permutation(len(GATES)).tolist():
            for k in range(SETS):
                for volts, gate in ((-plan.reset_volts, plan.reset_gate), (plan.set_volts, float(GATES[at]))):
                    array.pulse(PulseMap(block=block, volts=volts, width=plan.width, gate=gate, count=count))
                first[at, k], second[at, k] = (array.read(block).conductance[count > 0] for _ in range(2))
    return gate_window(GATES, first, second)


def train(seed: int, changes: Mapping[str, float], plans: Mapping[str, AirlinePlan]) -> Any:
    """Form one chip and train on it with one plan after the other; yield (name, figures)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with open_bench(station_with(folder, "mock_ta_hfo2", changes), seed=seed) as bench:
            run = Run(folder / "run", quiet=True, seed=seed)
            form(bench.array, FormingPlan(cells=CELLS, stop_volts=3.3, gate=1.3, width=10e-6), run)
            yield_map(bench.array, YieldMapPlan(cells=CELLS), run)
            for number, (title, plan) in enumerate(plans.items()):
                began = time.process_time()
                with run.step(f"train {number}", bench.array) as keep:
                    figures = train_lstm_airline(bench.array, plan, keep).metrics()
                yield title, {**figures, "cpu_seconds": round(time.process_time() - began, 1)}


def main(argv: Sequence[str] | None = None) -> None:
    """Run one study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=("gates", "settings", "chip"))
    parser.add_argument("--seeds", type=seeds_of, default=seeds_of("11-15"), help="like 11-15 or 1,4,10-12")
    parser.add_argument("--only", nargs="+", default=[], metavar="WORDS", help="cases with one of these in their name")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="JSON lines: what is there is not run again")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no further training after these")
    parser.add_argument("--figure", type=Path)
    told = parser.parse_args(argv)
    if told.study == "gates":
        for seed in told.seeds:
            window = measured_window(seed)
            print(f"\nchip {seed}\n{window}")
            print(f"as published, {window.within(0.7, 1.6).told}")
            one = 1e6 * window.siemens(LARGEST)
            print(f"a weight of 1, where {LARGEST:g} is the largest, as published: {one:.0f} µS", flush=True)
        return
    cases: dict[str, tuple[Mapping[str, float], AirlinePlan]]
    if told.study == "settings":
        cases = {name: ({}, plan) for name, plan in settings().items()}
    else:
        published = plan_of("published")
        cases = {"as it is": ({}, published), **{f"without {what}": (how, published) for what, how in CHIP.items()}}
    cases = {k: v for k, v in cases.items() if not told.only or any(words in k for words in told.only)}
    done = run_missing(told, cases)
    rows = {name: [done[name, seed] for seed in told.seeds if (name, seed) in done] for name in cases}
    print_table(rows)
    if told.figure is not None:
        draw(told.figure, rows)


def run_missing(told: argparse.Namespace, cases: Mapping[str, Any]) -> dict[tuple[str, int], dict[str, float]]:
    """Train what ``--resume`` does not have; return figures by case and seed."""
    done: dict[tuple[str, int], dict[str, float]] = {}
    if told.resume is not None and told.resume.is_file():
        for text in told.resume.read_text(encoding="utf-8").splitlines():
            one = json.loads(text)
            if one["study"] == told.study and one["plan"] == plain(cases.get(one["case"])):
                done[one["case"], one["seed"]] = one["figures"]
    ahead = [(seed, name) for seed in told.seeds for name in cases if (name, seed) not in done]
    print(f"{len(ahead)} trainings ahead, about {0.6 * len(ahead):.0f} min of one core", file=sys.stderr, flush=True)
    began = time.monotonic()
    for seed in told.seeds:
        chips: dict[str, dict[str, AirlinePlan]] = {}
        for name in (name for at, name in ahead if at == seed):
            chips.setdefault(json.dumps(cases[name][0]), {})[name] = cases[name][1]
        for changes, plans in chips.items():
            if time.monotonic() - began > 60.0 * told.minutes:
                print(f"{told.minutes:g} minutes are over: no further chip is begun", file=sys.stderr)
                return done
            for name, figures in train(seed, json.loads(changes), plans):
                done[name, seed] = figures
                if told.resume is not None:
                    line = {"study": told.study, "case": name, "seed": seed, "plan": plain(cases[name])}
                    with told.resume.open("a", encoding="utf-8") as file:
                        file.write(json.dumps({**line, "figures": figures}) + "\n")
                print(f"seed {seed}, {name}: {figures['test_rmse_over_twin']:.2f} of the twin", file=sys.stderr,
                      flush=True)  # fmt: skip
    return done


def plain(case: Any) -> Any:
    """Return a case as JSON has it."""
    return None if case is None else json.loads(json.dumps([case[0], case[1].model_dump(mode="json")]))


def print_table(rows: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    """Print errors over the twin's, median and range."""
    print("| | error over the twin's: median (range) | test RMSE [thousand] | training RMSE | float twin's | chips |")
    print("|---|---|---|---|---|---|")
    for name, found in rows.items():
        if found:
            over = [one["test_rmse_over_twin"] for one in found]
            keys = ("test_rmse", "train_rmse", "float_twin_test_rmse")
            rest = " | ".join(f"{np.median([one[key] for one in found]):.1f}" for key in keys)
            print(f"| {name} | {np.median(over):.2f} ({min(over):.2f} … {max(over):.2f}) | {rest} | {len(found)} |")


def draw(path: Path, rows: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    """Draw every chip's error over its twin's."""
    from xbarlab.analysis.networks.training import over_twin_figure

    over = {name: [one["test_rmse_over_twin"] for one in found] for name, found in rows.items() if found}
    save(over_twin_figure(over, wanted=1.1), path)
    print(f"drawn: {path}")


if __name__ == "__main__":
    main()
