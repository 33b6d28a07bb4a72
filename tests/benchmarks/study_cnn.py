"""How accurate the in situ CNN is, against the chip's flaws and the update policy: tables and figures on the mock.

    python tests/benchmarks/study_cnn.py policies                  # what each change of the update policy buys
    python tests/benchmarks/study_cnn.py noise --figure noise.png  # accuracy against programming noise, 0 to 12 µS
    python tests/benchmarks/study_cnn.py stuck --figure stuck.png  # stuck cells, 0 to 10 % (2 µS noise)

Budget, so that a study takes minutes: 12,000 training images (``--images``), 2 epochs, 2,000 test images, seeds 1 to 3.
``--whole`` takes all 60,000 + 10,000, a minute or two a run. Headline figures come from the runbooks.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from xbarlab.analysis.plots.plots import save
from xbarlab.protocols.forming.forming import FormingPlan, form
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.measure.yield_map import YieldMapPlan, yield_map
from xbarlab.protocols.training.steps.train_cnn_mnist import CnnPlan, train_cnn_mnist
from xbarlab.runbooks.stations import open_bench

STATIONS = Path(__file__).parents[2] / "runbooks" / "stations"
SUBSET = {"train_examples": 12_000, "test_examples": 2_000}
PUBLISHED: dict[str, Any] = {"healthy_lines": True, "evaluations": 1, "checkpoint_every": 10_000}
PHYSICAL = {"gate_low": 1.6, "gate_start": 2.4, "gate_high": 3.2, "slope": 80e-6, "bad_share": 0.05}
OURS = {"rate_end": 0.05, "siemens": 200e-6}
PARAMETER = "parameters."


def station_with(folder: Path, base: str, changes: Mapping[str, float]) -> Path:
    """Write a shipped station into ``folder``, its chip changed; return the station file."""
    yaml = YAML(typ="safe", pure=True)
    for kind in ("bench", "chip", "station"):
        shutil.copy(STATIONS / f"{base}.{kind}.yaml", folder)
    path = folder / f"{base}.bench.yaml"
    content = yaml.load(path)
    held = content["chip"].setdefault("changes", {})
    held.update({key: {"value": value, "source": "assumed: a study"} for key, value in changes.items()})
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
    return folder / f"{base}.station.yaml"


def one(base: str, seed: int, options: Mapping[str, Any], changes: Mapping[str, float]) -> dict[str, float]:
    """Train once on a fresh chip; return the metrics."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with open_bench(station_with(folder, base, changes), seed=seed) as bench:
            run = Run(folder / "run", quiet=True, seed=seed)
            if "hfo2" in base:
                form(bench.array, FormingPlan(cells="all", stop_volts=3.3, gate=1.3, width=10e-6), run)
                yield_map(bench.array, YieldMapPlan(cells="all"), run)
            with run.step("train", bench.array) as keep:
                return train_cnn_mnist(bench.array, CnnPlan(**{**PUBLISHED, **options}), keep).metrics()


def several(title: str, base: str, seeds: Sequence[int], options: Mapping[str, Any], **changes: float) -> list[float]:
    """Train with every seed, print one line; return the accuracies."""
    began = time.perf_counter()
    runs = [one(base, seed, options, changes) for seed in seeds]
    found = [run["test_accuracy"] for run in runs]
    twin = [run["float_twin_accuracy"] for run in runs if "float_twin_accuracy" in run]
    beside = f"twin {np.median(twin):7.2%}" if twin else ""
    pulses = np.median([run["pulses_per_step"] for run in runs])
    print(
        f"{title:<52s} {np.median(found):7.2%}  {min(found):7.2%} … {max(found):7.2%}  {pulses:9,.0f}  {beside}"
        f"  ({time.perf_counter() - began:.0f} s)",
        flush=True,
    )
    return found


def policies(seeds: Sequence[int], subset: Mapping[str, Any], chips: Sequence[str]) -> None:
    """Print what each change of the update policy buys, on top of the published recipe with a falling learning rate."""
    falling = {"rate_end": 0.05}
    feedback = {"feedback": True, "least": 20e-3, "final_rounds": 5}
    rows: list[tuple[str, dict[str, Any]]] = [
        ("as published", {"twin": True}),
        ("learning rate falls to a twentieth", falling),
        ("… and half the learning rate", {**falling, "rate": 0.005}),
        ("… and a weight of 1 is 200 µS instead of 100", {**falling, "siemens": 200e-6}),
        ("… and each cell moves by half the change", {**falling, "share": 0.5}),
        ("… and changes below 5 mV of gate wait", {**falling, "least": 5e-3}),
        ("… and copies are written in turn", {**falling, "in_turn": True}),
        ("… and what reads show to be off is corrected", {**falling, **feedback}),
        ("… and weights are read back by products", {**falling, "read_back": "products"}),
        ("… and momentum 0.9, a tenth of the rate", {**falling, "momentum": 0.9, "rate": 0.001}),
    ]
    for base in chips:
        physical = PHYSICAL if "hfo2" in base else {}
        print(f"\n{base}\n{'policy':<52s}  median  over seeds {list(seeds)}   pulses/step")
        for title, change in rows:
            several(title, base, seeds, {**physical, **subset, "twin": False, **change})


def curve(
    name: str,
    values: Sequence[float],
    key: str,
    seeds: Sequence[int],
    subset: Mapping[str, Any],
    only: str | None,
    **also: float,
) -> dict[str, list[list[float]]]:
    """Print and return accuracies over one flaw of the published simulator's chip, for both policies."""
    found: dict[str, list[list[float]]] = {}
    for policy, options in (("published", {}), ("ours", OURS)):
        if only not in {None, policy}:
            continue
        print(f"\n{policy}")
        found[policy] = []
        for value in values:
            start = {"start_spread": 0.1} if key.endswith("noise") and value == 0.0 else {}
            found[policy].append(
                several(
                    f"{name} {value:g}", "mock_gate_voltage_cnn", seeds, {**options, **subset, **start, "twin": False},
                    **{**also, key: value},
                )
            )  # fmt: skip
    return found


def draw(path: Path, found: Mapping[str, list[list[float]]], x: Sequence[float], label: str) -> None:
    """Draw medians and ranges."""
    from xbarlab.analysis.networks.training import accuracy_curves

    figure = accuracy_curves(x, {name: np.asarray(rows) for name, rows in found.items()}, label=label, wanted=0.9213)
    save(figure, path)
    print(f"drawn: {path}")


def main() -> None:
    """Run one study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=("policies", "noise", "stuck"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--whole", action="store_true", help="all images; a run then takes one to three minutes")
    parser.add_argument("--chips", nargs="+", default=["mock_gate_voltage_cnn", "mock_ta_hfo2", "mock_ta_hfo2_worn"])
    parser.add_argument("--images", type=int, default=SUBSET["train_examples"], help="training images")
    parser.add_argument("--only", choices=("published", "ours"), help="one of the two policies of a curve")
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    subset: dict[str, Any] = {} if given.whole else {**SUBSET, "train_examples": given.images}
    if given.study == "policies":
        policies(given.seeds, subset, given.chips)
        return
    if given.study == "noise":
        x, key, label = [0.0, 2.0, 4.0, 8.0, 12.0], "parameters.noise", "Programming noise (µS)"
        found = curve("noise [S]", [1e-6 * v for v in x], key, given.seeds, subset, given.only)
    else:
        # With the published 8 µS, noise hides what stuck cells do.
        x, key, label = [0.0, 1.0, 2.0, 5.0, 10.0], "parameters.stuck_fraction", "Stuck cells (%), with 2 µS of noise"
        found = curve(
            "stuck fraction", [1e-2 * v for v in x], key, given.seeds, subset, given.only, **{"parameters.noise": 2e-6}
        )
    if given.figure:
        draw(given.figure, found, x, label)


if __name__ == "__main__":
    main()
