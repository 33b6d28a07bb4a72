"""Character LSTM by stochastic pulse trains: what asymmetry, input bits, variation and noise cost, over seeds.

    python tests/benchmarks/study_rpu.py asymmetry bits overfit --seeds 3 --keep rpu.json   # 40 minutes of one core
    python tests/benchmarks/study_rpu.py show --keep rpu.json --figures FOLDER

A training takes about half a minute of one core, on a mock chip of its own; it is kept as it ends, and the same
command goes on with what is missing. The runbook's plan holds, but for a single pass (``asymmetry``, ``bits``) or 40
passes over 4,000 characters (``overfit``). A pair of cells takes back the asymmetry that both have: what is varied is
that of each cell, device to device.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from kept_trainings import kept_in, write_station

from xbarlab import open_bench
from xbarlab.analysis.networks.character_figures import loss_against, training_and_test
from xbarlab.analysis.plots.plots import save
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.training.steps.train_rpu_lstm import RpuLstmPlan, floors_of, train_rpu_lstm
from xbarlab.runbooks.runner.schema import load_runbook

ASYMMETRY = (0.0, 0.01, 0.02, 0.05, 0.1)
BITS = (4, 5, 6, 7, None)
ALIKE = dict.fromkeys(("dw_min_d2d", "dw_min_c2c", "up_down_d2d", "w_max_d2d", "w_min_d2d"), 0.0)
QUIET = {"noise": 0.0, "bits": 16, "input_bits": None}
ARMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "neither": (ALIKE, QUIET), "noise": (ALIKE, {}), "variation": ({}, QUIET), "both": ({}, {})
}  # fmt: skip
SAID = {
    "neither": "neither variation nor noise", "noise": "noise and bits of outputs and inputs",
    "variation": "variation of devices and steps", "both": "both, as baseline",
}  # fmt: skip
SAME = {"bits 7 nearest": "asymmetry 0.01", "asymmetry 0.01": "bits 7 nearest"}
"""The baseline, which is in both figures and is trained once."""
SAID_OF = {"nearest": "rounded to the nearest", "stochastic": "rounded stochastically"}
FLOAT = 8
"""Where inputs that are not rounded stand in the figure of bits."""


def cases(what: str) -> Iterator[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """Yield name, changes of the plan, of the profile and of the converters."""
    if what == "asymmetry":
        for value in ASYMMETRY:
            yield f"asymmetry {value:g}", {"epochs": 1}, {"up_down_d2d": value}, {}
    elif what == "bits":
        for bits in BITS:
            for rounding in ("nearest", "stochastic"):
                if bits is not None or rounding == "nearest":
                    changed = {"input_bits": bits, "input_rounding": rounding}
                    yield f"bits {bits or 'float'} {rounding}", {"epochs": 1}, {}, changed
    else:
        for arm, (device, converters) in ARMS.items():
            yield f"overfit {arm}", {"epochs": 40, "train_characters": 4000}, device, converters


def plan_of(changes: dict[str, Any]) -> RpuLstmPlan:
    """Return the runbook's plan with changes."""
    book = load_runbook("train_rpu_lstm", overrides=[])
    shipped = next(step.plan for step in book.steps if isinstance(step.plan, RpuLstmPlan))
    return RpuLstmPlan(**{**shipped.model_dump(), **changes, "twin": False, "evaluations": 1, "checkpoint_every": 100})


def learn(
    name: str, plan: RpuLstmPlan, device: dict[str, Any], converters: dict[str, Any], seed: int
) -> dict[str, Any]:
    """Train on a fresh mock chip; return losses and curve."""
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XBARLAB_WEAR"] = str(Path(folder) / "wear")
        with open_bench(write_station(Path(folder), "mock_rpu", device, converters), seed=seed) as bench:
            run = Run(Path(folder) / "run", quiet=True, seed=seed)
            with run.step("train", bench.array) as keep:
                result = train_rpu_lstm(bench.array, plan, keep)
    found = {key: result.figures[key] for key in ("test_loss", "train_text_loss", "validation_loss")}
    spent = time.process_time() - began
    told = f"test {found['test_loss']:.3f}, training {found['train_text_loss']:.3f}"
    print(f"{name:28s} {told}  ({spent:.0f} s of a core)", flush=True)
    return {**found, "curve_step": result.record.curve_step.tolist(), "curve": result.record.curve.tolist()}


def show(kept: dict[str, Any], figures: Path | None) -> None:
    """Print median and range of every case; draw the three figures."""
    found: dict[str, dict[str, list[float]]] = {}
    for name, one in kept.items():
        case = name.rpartition(" ")[0]
        for key in ("test_loss", "train_text_loss"):
            found.setdefault(case, {}).setdefault(key, []).append(one[key])
    for case, losses in found.items():
        told = ", ".join(
            f"{said} {np.median(losses[key]):.3f} ({min(losses[key]):.3f} … {max(losses[key]):.3f})"
            for key, said in (("test_loss", "test"), ("train_text_loss", "training"))
        )
        print(f"{case:28s} {told}; {len(losses['test_loss'])} seeds")
    for case, same in SAME.items():
        if same in found:
            found.setdefault(case, found[same])
    lines = {key.replace("_", " "): value for key, value in floors_of(plan_of({})).items() if key == "bigram_floor"}
    drawn: dict[str, Any] = {}
    asymmetry = {100 * value: found[f"asymmetry {value:g}"]["test_loss"] for value in ASYMMETRY
                 if f"asymmetry {value:g}" in found}  # fmt: skip
    if asymmetry:
        drawn["asymmetry"] = loss_against(
            {"LSTM on the array": asymmetry}, title="Up and down steps of a device that differ", lines=lines,
            label="Up/down asymmetry, standard deviation over devices (%)",
        )  # fmt: skip
    bits: dict[str, dict[float, Any]] = {}
    for rounding in ("nearest", "stochastic"):
        for number in BITS:
            case = f"bits {number or 'float'} {rounding if number else 'nearest'}"
            if case in found:
                bits.setdefault(rounding, {})[number or FLOAT] = found[case]["test_loss"]
    bits = {SAID_OF[name]: points for name, points in bits.items()}
    if any(bits.values()):
        ticks = {float(number or FLOAT): str(number or "float") for number in BITS}
        drawn["bits"] = loss_against(
            {name: one for name, one in sorted(bits.items()) if one}, title="Resolution of inputs",
            label="Bits of the inputs of products, forward and back", ticks=ticks, lines=lines,
        )  # fmt: skip
    arms = [(SAID[arm], found[f"overfit {arm}"]["train_text_loss"], found[f"overfit {arm}"]["test_loss"])
            for arm in ARMS if f"overfit {arm}" in found]  # fmt: skip
    if arms:
        drawn["overfit"] = training_and_test(arms, title="4,000 characters, 40 times over")
    for name, figure in drawn.items() if figures else ():
        assert figures is not None
        save(figure, figures / f"rpu_{name}.png")
        print(f"drawn: {figures / f'rpu_{name}.png'}")


def main() -> None:
    """Train what is missing, or show what was kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", choices=("asymmetry", "bits", "overfit", "show"))
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 1")
    parser.add_argument("--keep", type=Path, required=True, help="JSON file")
    parser.add_argument("--figures", type=Path, help="folder")
    given = parser.parse_args()
    kept = kept_in([given.keep])
    for seed in range(1, given.seeds + 1):
        for what in given.what:
            for case, changes, device, converters in cases(what) if what != "show" else ():
                name = f"{case} {seed}"
                same = f"{SAME.get(case, case)} {seed}"
                if name not in kept and same in kept:
                    kept[name] = kept[same]
                if name not in kept:
                    kept[name] = learn(name, plan_of(changes), device, converters, seed)
                    given.keep.write_text(json.dumps(kept), encoding="utf-8")
    show(kept, given.figures)


if __name__ == "__main__":
    main()
