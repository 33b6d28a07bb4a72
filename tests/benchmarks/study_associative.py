"""Associative LSTM: copies against learning speed, for float twins over many seeds and on the array.

    python tests/benchmarks/study_associative.py twin --seeds 5 --epochs 7 --keep twin.json   # 3 minutes of one core
    python tests/benchmarks/study_associative.py array --seeds 1 --keep array.json            # 8 minutes of one core
    python tests/benchmarks/study_associative.py show --keep twin.json array.json --figure curves.png

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
from xbarlab.protocols.training.steps.train_associative_lstm import AssociativePlan, train_associative_lstm
from xbarlab.runbooks.runner.schema import load_runbook

COPIES = (1, 2, 4, 8)
LSTM = "LSTM"


def plan_of(arm: str, given: Mapping[str, Any]) -> AssociativePlan:
    """Return the runbook's plan for an arm."""
    book = load_runbook("train_associative_lstm", overrides=[])
    shipped = next(step.plan for step in book.steps if isinstance(step.plan, AssociativePlan))
    own = {"arm": "lstm"} if arm == LSTM else {"arm": "associative", "memory_copies": int(arm)}
    return AssociativePlan(**{**shipped.model_dump(), **given, **own})


def show(files: Sequence[Path], figure: Path | None) -> None:
    """Print steps to criterion and effects, and draw the curves."""
    kept = kept_in(files)
    panels: dict[str, dict[str, Any]] = {}
    criterion = float(next(iter(kept.values()))["criterion"])
    for who, title in (("twin", "Float twins (host, no array)"), ("array", "On the array (mock chip)")):
        runs = {tuple(name.split()[1:]): one for name, one in kept.items() if name.startswith(who)}
        if not runs:
            continue
        arms = [arm for arm in (*map(str, COPIES), LSTM) if any(arm == run[0] for run in runs)]
        seeds = sorted({int(run[1]) for run in runs if all((arm, run[1]) in runs for arm in arms)})
        print(f"\n{title}: seeds {seeds}; updates to {criterion:.0%} of the symbols")
        steps = np.full((len(seeds), len(arms)), np.nan)
        for n, arm in enumerate(arms):
            curves = [runs[arm, str(seed)] for seed in seeds]
            at = np.asarray(curves[0]["curve_step"])
            values = np.asarray([one["curve"] for one in curves])
            label = LSTM if arm == LSTM else f"{arm} cop{'y' if arm == '1' else 'ies'}"
            panels.setdefault(title, {})[label] = (at, values)
            steps[:, n] = [steps_to(criterion, at, one) for one in values]
            missed = int(np.isnan(steps[:, n]).sum())
            steps[np.isnan(steps[:, n]), n] = at[-1]
            missed_said = f", {missed} never: counted at the end, which is a bound" if missed else ""
            print(
                f"  {label:9s} median {np.median(steps[:, n]):5.0f} ({steps[:, n].min():.0f} … {steps[:, n].max():.0f})"
                f"{missed_said}; at the end {np.median(values[:, -1]):.1%}"
            )
        several = [n for n, arm in enumerate(arms) if arm != LSTM]
        if len(seeds) > 1 and len(several) > 1:
            effect = per_doubling([float(arms[n]) for n in several], steps[:, several])
            print(f"  a doubling of the copies: {effect_said(effect)}, in updates")
        if len(seeds) > 1 and LSTM in arms and several:
            against = mean_estimate(steps[:, several].mean(1) - steps[:, arms.index(LSTM)])
            print(f"  Associative, mean of its arms, minus LSTM: {effect_said(against)}")
    if figure is not None and panels:
        save(learning_curves(panels, criterion=criterion), figure)
        print(f"drawn: {figure}")


def main() -> None:
    """Train, or show what was kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("twin", "array", "show"))
    parser.add_argument("--seeds", type=int, default=5, help="how many, from --first")
    parser.add_argument("--first", type=int, default=1, help="first seed")
    parser.add_argument("--arms", nargs="+", default=[*map(str, COPIES), LSTM])
    parser.add_argument("--epochs", type=int, help="passes over the training set; the runbook's by default")
    parser.add_argument("--keep", type=Path, nargs="+", required=True, help="JSON file, several to show")
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    if given.what == "show":
        show(given.keep, given.figure)
        return
    more = {} if given.epochs is None else {"epochs": given.epochs}
    seeds = range(given.first, given.first + given.seeds)
    wanted = [(arm, plan_of(arm, more), seed) for seed in seeds for arm in given.arms]
    learn(given.what, wanted, train_associative_lstm, given.keep[0])
    show(given.keep[:1], given.figure)


if __name__ == "__main__":
    main()
