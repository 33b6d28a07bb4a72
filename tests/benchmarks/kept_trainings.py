"""Trainings that studies of learning compare: each on a fresh mock chip or as a float twin, kept one by one."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from xbarlab import open_bench
from xbarlab.protocols.forming.forming import form
from xbarlab.protocols.forming.plan import FormingPlan
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.measure.yield_map import YieldMapPlan, yield_map
from xbarlab.protocols.training.steps.classification import ClassifierPlan, learn_as_twin, steps_to
from xbarlab.runbooks import stations

Train = Callable[[Any, Any, Run], Any]
SHIPPED = Path(stations.__file__).parent


def write_station(
    folder: Path, name: str, device: Mapping[str, Any], converters: Mapping[str, Any] | None = None
) -> Path:
    """Write a shipped station whose chip has other ``parameters.…``, and other converters; return its file."""
    yaml = YAML(typ="safe", pure=True)
    for kind in ("chip", "station"):
        text = (SHIPPED / f"{name}.{kind}.yaml").read_text(encoding="utf-8")
        (folder / f"{name}.{kind}.yaml").write_text(text, encoding="utf-8")
    bench = yaml.load((SHIPPED / f"{name}.bench.yaml").read_text(encoding="utf-8"))
    bench["chip"]["changes"] = {
        f"parameters.{key}": {"value": value, "source": "assumed: varied by a study"} for key, value in device.items()
    }
    if converters:
        bench["instruments"][0]["converters"] |= converters
    with (folder / f"{name}.bench.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(bench, file)
    return folder / f"{name}.station.yaml"


def on_array(plan: ClassifierPlan, train: Train, seed: int, device: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Train on a fresh mock chip, formed and mapped; return curve and cost.

    ``device`` are ``parameters.…`` of the chip's profile that are other than shipped.
    """
    with tempfile.TemporaryDirectory() as name:
        station = write_station(Path(name), "mock_ta_hfo2", device) if device else "mock_ta_hfo2"
        return _on_array(plan, train, seed, station, Path(name))


def _on_array(plan: ClassifierPlan, train: Train, seed: int, station: Path | str, folder: Path) -> dict[str, Any]:
    with open_bench(station, seed=seed) as bench:
        run = Run(folder / "run", quiet=True, seed=seed)
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


def learn(
    who: str,
    wanted: Iterable[tuple[str, ClassifierPlan, int]],
    train: Train,
    keep: Path,
    device: Mapping[str, Any] | None = None,
) -> None:
    """Train what is missing of (name, plan, seed), the "twin" of each or on the array; keep each as it ends.

    ``device`` as of :func:`on_array`.
    """
    kept = kept_in([keep])
    for told, plan, seed in wanted:
        name, began = f"{who} {told} {seed}", time.process_time()
        if name in kept and kept[name]["curve_step"][-1] == plan.steps_max():
            continue
        if who == "twin":
            found: dict[str, Any] = {key: value.tolist() for key, value in learn_as_twin(plan, seed).items()}
        else:
            found = on_array(plan, train, seed, device)
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
