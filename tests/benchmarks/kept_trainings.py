"""Trainings that studies of learning compare: each on a fresh mock chip or as a float twin, kept one by one."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xbarlab import open_bench
from xbarlab.protocols.forming.forming import form
from xbarlab.protocols.forming.plan import FormingPlan
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.measure.yield_map import YieldMapPlan, yield_map
from xbarlab.protocols.training.steps.classification import ClassifierPlan, learn_as_twin, steps_to

Train = Callable[[Any, Any, Run], Any]


def on_array(plan: ClassifierPlan, train: Train, seed: int) -> dict[str, Any]:
    """Train on a fresh mock chip, formed and mapped; return curve and cost."""
    with tempfile.TemporaryDirectory() as name, open_bench("mock_ta_hfo2", seed=seed) as bench:
        run = Run(Path(name) / "run", quiet=True, seed=seed)
        form(bench.array, FormingPlan(cells="all", start_volts=1.5, stop_volts=3.3, gate=1.3, width=10e-6), run)
        yield_map(bench.array, YieldMapPlan(cells="all"), run)
        with run.step("train", bench.array) as keep:
            result = train(bench.array, plan.model_copy(update={"twin": False}), keep)
    record, figures = result.record, result.metrics()
    return {
        "curve_step": record.curve_step.tolist(),
        "curve": record.curve.tolist(),
        "test_accuracy": figures["test_accuracy"],
        **{key: figures[key] for key in figures if key.endswith("_per_step")},
    }


def learn(who: str, wanted: Iterable[tuple[str, ClassifierPlan, int]], train: Train, keep: Path) -> None:
    """Train what is missing of (name, plan, seed), the "twin" of each or on the "array"; keep each as it ends."""
    kept = kept_in([keep])
    for told, plan, seed in wanted:
        name, began = f"{who} {told} {seed}", time.process_time()
        if name in kept and kept[name]["curve_step"][-1] == plan.steps_max():
            continue
        if who == "twin":
            found: dict[str, Any] = {key: value.tolist() for key, value in learn_as_twin(plan, seed).items()}
        else:
            found = on_array(plan, train, seed)
        found["criterion"] = plan.criterion
        kept[name] = found
        keep.write_text(json.dumps(kept), encoding="utf-8")
        reached = steps_to(found["criterion"], np.asarray(found["curve_step"]), np.asarray(found["curve"]))
        print(
            f"{name:24s}: {found['curve'][-1]:.1%} at the end, criterion after {reached:.0f}"
            f"  ({time.process_time() - began:.0f} s of a core)",
            flush=True,
        )


def kept_in(files: Sequence[Path]) -> dict[str, Any]:
    """Return what files hold together, of one that is not there nothing."""
    kept: dict[str, Any] = {}
    for file in files:
        kept |= json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return kept
