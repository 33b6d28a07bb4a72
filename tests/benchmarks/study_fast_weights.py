"""Fast weights: LSTM, fast-weight RNN and fast-weight LSTM against the pairs to remember, over seeds.

    python tests/benchmarks/study_fast_weights.py twin --seeds 5 --keep twin.json    # 10 minutes of one core
    python tests/benchmarks/study_fast_weights.py array --seeds 1 --keep array.json  # 12 minutes of one core
    python tests/benchmarks/study_fast_weights.py ladder --seeds 1 --keep ladder.json  # 8 minutes of one core
    python tests/benchmarks/study_fast_weights.py show --keep twin.json array.json --figure curves.png

``ladder`` trains the fast-weight RNN at K = 4 on the array with the settings that left it on the plateau, and with one
thing changed at a time: a setting, or what the simulated chip does.

Every training is kept as it ends; the same command goes on with what is missing. What is learned by float twins is
theirs: it is printed and drawn apart from what the array learned.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from kept_trainings import kept_in, learn

from xbarlab.analysis.estimates.estimates import mean_estimate
from xbarlab.analysis.networks.learning_speed import effect_said, learning_curves, per_doubling
from xbarlab.analysis.plots.plots import save
from xbarlab.protocols.training.steps.classification import steps_to
from xbarlab.protocols.training.steps.train_fast_weights import ARMS, FastWeightsPlan, train_fast_weights
from xbarlab.runbooks.runner.schema import load_runbook

TASKS: dict[str, dict[str, Any]] = {
    "2": {"pairs": 2}, "4": {"pairs": 4, "order": "pairs"}, "8": {"pairs": 8},
    "mart": {"pairs": 4, "order": "keys_first"},
}  # fmt: skip
SAID = {"2": "K = 2", "4": "K = 4", "8": "K = 8", "mart": "K = 4, keys first"}

PLATEAU: dict[str, Any] = {
    "input_gain": 1.0, "rule_options": {}, "least": 0.03, "siemens": 100e-6,
    "gate_low": 1.6, "gate_start": 2.4, "gate_high": 3.2,
}  # fmt: skip
WIDE = {"siemens": 150e-6, "gate_low": 0.6, "gate_start": 0.8}
QUIET = {f"read_noise.{key}": 0.0 for key in ("scale", "relative", "flicker", "one_trap_fraction", "two_trap_fraction")}
SURE = {
    **{f"cycle_noise.{key}": 0.0 for key in ("sigL", "sigH", "gS", "ptail")},
    **{f"relaxation.{key}": 0.0 for key in ("mean", "sd")},
}
RUNGS: dict[str, tuple[dict[str, Any], dict[str, float]]] = {
    "as it was": (PLATEAU, {}),
    "… reads without noise": (PLATEAU, QUIET),
    "… writes without scatter": (PLATEAU, SURE),
    "… neither": (PLATEAU, {**QUIET, **SURE}),
    "… inputs of 3": ({**PLATEAU, "input_gain": 3.0}, {}),
    "… weights up to 1.4": ({**PLATEAU, **WIDE}, {}),
    "… both": ({**PLATEAU, **WIDE, "input_gain": 3.0}, {}),
    "… and pairs that rest low": ({"least": 0.03}, {}),
    "the runbook's": ({}, {}),
}
"""What is changed of the plan, and of the chip, by what is said of it."""


def plan_of(arm: str, task: str, given: Mapping[str, Any]) -> FastWeightsPlan:
    """Return the runbook's plan for an arm and a task."""
    book = load_runbook("train_fast_weights", overrides=[])
    plans = [step.plan for step in book.steps if isinstance(step.plan, FastWeightsPlan) and step.plan.arm == arm]
    shipped = next(plan for plan in plans if TASKS[task].items() <= plan.model_dump().items())
    return FastWeightsPlan(**{**shipped.model_dump(), **given})


def climb(numbers: Sequence[int], seeds: Sequence[int], keep: Path) -> None:
    """Train what is missing of some rungs of the ladder, from 1; print all that are there."""
    for number, (said, (plan, device)) in enumerate(RUNGS.items(), 1):
        if number in numbers:
            wanted = [(said, plan_of("fast_rnn", "4", plan), seed) for seed in seeds]
            learn("ladder", wanted, train_fast_weights, keep, device)
    kept = kept_in([keep])
    for said in RUNGS:
        runs = [one for name, one in kept.items() if name.startswith(f"ladder {said} ")]
        if runs:
            right = [one["test_accuracy"] for one in runs]
            print(f"{said:28s} {np.median(right):.1%} ({min(right):.1%} … {max(right):.1%}); {len(right)} seeds")


def show(files: Sequence[Path], figure: Path | None) -> None:
    """Print errors, steps to criterion and what fast weights gain over the LSTM, by seed; draw the curves."""
    kept = kept_in(files)
    panels: dict[str, dict[str, Any]] = {}
    criterion = float(next(iter(kept.values()))["criterion"])
    for who, title in (("twin", "float twins"), ("array", "on the array")):
        runs = {tuple(name.split()[1:]): one for name, one in kept.items() if name.startswith(who)}
        gains: dict[str, dict[str, dict[int, float]]] = {arm: {} for arm in ARMS}
        for task, said in SAID.items():
            arms = [arm for arm in ARMS if any(run[:2] == (arm, task) for run in runs)]
            seeds = sorted({int(run[2]) for run in runs if all((arm, task, run[2]) in runs for arm in arms)})
            if not arms or not seeds:
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
                    print(f"  {ARMS[arm]} below the LSTM's error, in points: {effect_said(mean_estimate(points))}")
        for arm, found in gains.items():
            levels = [task for task in ("2", "4", "8") if task in found]
            both = sorted(set.intersection(*(set(found[task]) for task in levels))) if len(levels) > 1 else []
            if len(both) > 1:
                table = [[found[task][seed] for task in levels] for seed in both]
                effect = per_doubling([float(task) for task in levels], table)
                print(
                    f"\n{title}: a doubling of K changes the gain of the {ARMS[arm]} in points by {effect_said(effect)}"
                )
    if figure is not None and panels:
        save(learning_curves(panels, criterion=criterion, what="Values said right (%)"), figure)
        print(f"drawn: {figure}")


def main() -> None:
    """Train, or show what was kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("twin", "array", "ladder", "show"))
    parser.add_argument("--seeds", type=int, default=5, help="how many, from --first")
    parser.add_argument("--first", type=int, default=1, help="first seed")
    parser.add_argument("--arms", nargs="+", choices=tuple(ARMS), default=list(ARMS))
    parser.add_argument("--tasks", nargs="+", choices=tuple(TASKS), default=list(TASKS))
    parser.add_argument("--rungs", type=int, nargs="+", default=range(1, len(RUNGS) + 1), help="of the ladder, from 1")
    parser.add_argument("--epochs", type=int, help="passes over the training set; the runbook's by default")
    parser.add_argument("--keep", type=Path, nargs="+", required=True, help="JSON file, several to show")
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    if given.what == "show":
        show(given.keep, given.figure)
        return
    if given.what == "ladder":
        climb(given.rungs, range(given.first, given.first + given.seeds), given.keep[0])
        return
    more = {} if given.epochs is None else {"epochs": given.epochs}
    wanted = [
        (f"{arm} {task}", plan_of(arm, task, more), seed)
        for seed in range(given.first, given.first + given.seeds)
        for task in given.tasks
        for arm in given.arms
    ]
    learn(given.what, wanted, train_fast_weights, given.keep[0])
    show(given.keep[:1], given.figure)


if __name__ == "__main__":
    main()
