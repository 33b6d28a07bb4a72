"""Fast weights: LSTM, fast-weight RNN and fast-weight LSTM against the pairs to remember, over seeds.

    python tests/benchmarks/study_fast_weights.py twin --seeds 5 --keep twin.json    # 10 minutes of one core
    python tests/benchmarks/study_fast_weights.py array --seeds 1 --keep array.json  # 40 minutes of one core
    python tests/benchmarks/study_fast_weights.py show --keep twin.json array.json --figure curves.png

Every training is kept as it ends; the same command goes on with what is missing. What is learned by float twins is
theirs: it is printed and drawn apart from what the array learned.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xbarlab.analysis.networks.learning_speed import learning_curves, mean_effect, per_doubling
from xbarlab.protocols.forming.forming import FormingPlan, form
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.measure.yield_map import YieldMapPlan, yield_map
from xbarlab.protocols.training.steps.classification import learn_as_twin, steps_to
from xbarlab.protocols.training.steps.train_fast_weights import ARMS, FastWeightsPlan, train_fast_weights
from xbarlab.runbooks.runner.schema import load_runbook
from xbarlab.runbooks.stations import open_bench

TASKS: dict[str, dict[str, Any]] = {
    "2": {"pairs": 2}, "4": {"pairs": 4}, "8": {"pairs": 8}, "mart": {"pairs": 4, "order": "keys_first"}
}  # fmt: skip
SAID = {"2": "K = 2", "4": "K = 4", "8": "K = 8", "mart": "K = 4, keys first"}


def plan_of(arm: str, task: str, given: Mapping[str, Any]) -> FastWeightsPlan:
    """Return the runbook's plan for an arm and a task."""
    book = load_runbook("train_fast_weights", overrides=[])
    shipped = next(step.plan for step in book.steps if isinstance(step.plan, FastWeightsPlan))
    return FastWeightsPlan(**{**shipped.model_dump(), **TASKS[task], **given, "arm": arm})


def on_array(plan: FastWeightsPlan, seed: int) -> dict[str, Any]:
    """Train on a fresh mock chip, formed and mapped; return curve and cost."""
    with tempfile.TemporaryDirectory() as name, open_bench("mock_ta_hfo2", seed=seed) as bench:
        run = Run(Path(name) / "run", quiet=True, seed=seed)
        form(bench.array, FormingPlan(cells="all", start_volts=1.5, stop_volts=3.3, gate=1.3, width=10e-6), run)
        yield_map(bench.array, YieldMapPlan(cells="all"), run)
        with run.step("train", bench.array) as keep:
            result = train_fast_weights(bench.array, plan.model_copy(update={"twin": False}), keep)
    record, figures = result.record, result.metrics()
    cost = {key: figures[key] for key in figures if key.endswith("_per_step")}
    return {
        "curve_step": record.curve_step.tolist(),
        "curve": record.curve.tolist(),
        "test_accuracy": figures["test_accuracy"],
        **cost,
    }


def learn(
    who: str, arms: Sequence[str], tasks: Sequence[str], seeds: Sequence[int], keep: Path, given: Mapping[str, Any]
) -> None:
    """Train what is missing, and keep it."""
    kept: dict[str, Any] = json.loads(keep.read_text(encoding="utf-8")) if keep.exists() else {}
    for seed in seeds:
        for task in tasks:
            for arm in arms:
                name = f"{who} {arm} {task} {seed}"
                plan, began = plan_of(arm, task, given), time.process_time()
                if name in kept and kept[name]["curve_step"][-1] == plan.steps_max():
                    continue
                if who == "twin":
                    found: dict[str, Any] = {key: value.tolist() for key, value in learn_as_twin(plan, seed).items()}
                else:
                    found = on_array(plan, seed)
                found["criterion"] = plan.criterion
                kept[name] = found
                keep.write_text(json.dumps(kept), encoding="utf-8")
                reached = steps_to(found["criterion"], np.asarray(found["curve_step"]), np.asarray(found["curve"]))
                print(
                    f"{who:5s} {ARMS[arm]:16s} {SAID[task]:17s} seed {seed}: {found['curve'][-1]:.1%} at the end, "
                    f"criterion after {reached:.0f}  ({time.process_time() - began:.0f} s of a core)",
                    flush=True,
                )


def show(files: Sequence[Path], figure: Path | None) -> None:
    """Print errors, steps to criterion and what fast weights gain over the LSTM, by seed; draw the curves."""
    kept: dict[str, Any] = {}
    for file in files:
        kept |= json.loads(file.read_text(encoding="utf-8"))
    panels: dict[str, dict[str, Any]] = {}
    criterion = float(next(iter(kept.values()))["criterion"])
    for who, title in (("twin", "float twins"), ("array", "on the array")):
        runs = {tuple(name.split()[1:]): one for name, one in kept.items() if name.startswith(who)}
        gains: dict[str, dict[str, dict[int, float]]] = {arm: {} for arm in ARMS}
        for task, said in SAID.items():
            arms = [arm for arm in ARMS if any(run[:2] == (arm, task) for run in runs)]
            seeds = sorted({int(run[2]) for run in runs if all((arm, task, run[2]) in runs for arm in arms)})
            if not seeds:
                continue
            print(f"\n{said}, {title}: seeds {seeds}; updates to {criterion:.0%} of the values")
            last: dict[str, Any] = {}
            for arm in arms:
                curves = [runs[arm, task, str(seed)] for seed in seeds]
                at = np.asarray(curves[0]["curve_step"])
                values = np.asarray([one["curve"] for one in curves])
                panels.setdefault(f"{said}, {title}", {})[ARMS[arm]] = (at, values)
                steps = np.asarray([steps_to(criterion, at, one) for one in values])
                missed, last[arm] = int(np.isnan(steps).sum()), 1.0 - values[:, -1]
                steps = np.nan_to_num(steps, nan=at[-1])
                never = f", {missed} never: counted at the end, which is a bound" if missed else ""
                error = f"error {np.median(last[arm]):.1%} ({last[arm].min():.1%} … {last[arm].max():.1%})"
                speed = f"median {np.median(steps):.0f} ({steps.min():.0f} … {steps.max():.0f}){never}"
                print(f"  {ARMS[arm]:16s} {error}; {speed}")
            for arm in arms:
                if arm == "lstm" or "lstm" not in last:
                    continue
                points = 100.0 * (last["lstm"] - last[arm])
                gains[arm][task] = dict(zip(seeds, points.tolist(), strict=True))
                if len(seeds) > 1:
                    print(f"  {ARMS[arm]} below the LSTM's error, in points: {mean_effect(points)}")
        for arm, found in gains.items():
            levels = [task for task in ("2", "4", "8") if task in found]
            both = sorted(set.intersection(*(set(found[task]) for task in levels))) if len(levels) > 1 else []
            if len(both) > 1:
                table = [[found[task][seed] for task in levels] for seed in both]
                effect = per_doubling([float(task) for task in levels], table)
                null = " (null: the interval holds 0)" * effect.is_null
                print(f"\n{title}: a doubling of K changes the gain of the {ARMS[arm]} by {effect} points{null}")
    if figure is not None and panels:
        learning_curves(panels, criterion=criterion, what="Values said right (%)").savefig(figure, dpi=150)
        print(f"drawn: {figure}")


def main() -> None:
    """Train, or show what was kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("twin", "array", "show"))
    parser.add_argument("--seeds", type=int, default=5, help="how many, from --first")
    parser.add_argument("--first", type=int, default=1, help="first seed")
    parser.add_argument("--arms", nargs="+", choices=tuple(ARMS), default=list(ARMS))
    parser.add_argument("--tasks", nargs="+", choices=tuple(TASKS), default=list(TASKS))
    parser.add_argument("--epochs", type=int, help="passes over the training set; the runbook's by default")
    parser.add_argument("--keep", type=Path, nargs="+", required=True, help="JSON file, several to show")
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    if given.what == "show":
        show(given.keep, given.figure)
        return
    more = {} if given.epochs is None else {"epochs": given.epochs}
    seeds = range(given.first, given.first + given.seeds)
    learn(given.what, given.arms, given.tasks, seeds, given.keep[0], more)
    show(given.keep[:1], given.figure)


if __name__ == "__main__":
    main()
