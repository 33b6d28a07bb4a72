"""Pretrained networks onto the default 1T1R station: float, blind, programmed, fine-tuned; one command, it resumes.

    python tests/benchmarks/study_pretrained.py [--seeds 5] [--networks mlp cnn lstm] [--resume FILE]

For every seed a chip is formed and mapped, its error of writing measured (``measure_noise``), and each network trained
on the host twice, without and with that error. ``blind`` is ``convert`` with the two-pulse rule and the gates of the
runbooks; ``programmed`` is ``program``, of the network trained without and with the error, 25 s after it; ``tuned``
goes on with ``ArrayOptimizer`` as long as examples of the training set say that it helps. Accuracies are of the same
test examples, multiplied on the array. One line of JSON per case goes to ``--resume``, and what is there is not run
again.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from xbarlab import ArrayOptimizer, convert, measure_noise, open_bench, program
from xbarlab.common.progress import ProgressBar
from xbarlab.protocols.forming.forming import form
from xbarlab.protocols.forming.plan import FormingPlan
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.measure.yield_map import YieldMapPlan, yield_map
from xbarlab.protocols.pretrained.chip_noise import ChipNoise
from xbarlab.protocols.pretrained.host_training import train_on_host
from xbarlab.protocols.pretrained.inference_plan import InferencePlan
from xbarlab.protocols.pretrained.program import Programmed, lines_for
from xbarlab.protocols.pretrained.program_plan import ProgramPlan
from xbarlab.protocols.training.rules.update_rules import TwoPulse
from xbarlab.protocols.training.steps.classification import accuracy
from xbarlab.protocols.training.tasks.digits import load_digits
from xbarlab.protocols.training.tasks.labelled import LabelledData
from xbarlab.protocols.training.threads import one_thread

STATION = "mock_ta_hfo2"
GATES: dict[str, Any] = {"slope": 80e-6, "gate_low": 1.6, "gate_start": 2.4, "gate_high": 3.2}
EPOCHS = {"mlp": 4, "cnn": 4, "lstm": 40}
FORMING: dict[str, Any] = {
    "cells": "all", "start_volts": 1.5, "stop_volts": 3.3, "step_volts": 0.05, "gate": 1.3, "width": 10e-6
}  # fmt: skip
TEST, TUNING, TUNING_BATCH, TUNING_RATE, HELD_OUT = 2000, 10, 500, 5e-4, 1000
COLUMNS = ("float", "blind", "programmed", "float_aware", "programmed_aware", "tuned")


def task(network: str) -> LabelledData:
    """Return a network's data."""
    return load_digits() if network == "mlp" else InferencePlan(network=network).data()  # pyright: ignore[reportArgumentType]


def float_model(network: str, seed: int) -> nn.Module:
    """Return a network, initialised at random."""
    if network != "mlp":
        return InferencePlan(network=network).model(seed)  # pyright: ignore[reportArgumentType]
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 10))


def trained(network: str, seed: int, data: LabelledData, noise: ChipNoise | None) -> nn.Module:
    """Return a network trained on the host."""
    model = float_model(network, seed)
    train_on_host(
        model, data.train, epochs=EPOCHS[network], batch=50, rate=0.01, seed=seed, noise=noise,
        bound=None if noise is None else 2.0,
    )  # fmt: skip
    return model


def tune(done: Programmed, x: list[torch.Tensor], label: torch.Tensor, seed: int) -> int:
    """Tune in situ until examples that no update saw are recognised worse; then write what was best; return updates.

    Those examples are of the training set.
    """
    rule: Any = done.rule
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(label)))
    held, rest = order[:HELD_OUT], order[HELD_OUT:]

    def loss(index: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(done.model(*(one[index] for one in x)), label[index])

    def held_loss() -> float:
        with torch.no_grad():
            return float(loss(held))

    optimiser = ArrayOptimizer(torch.optim.Adam(done.model.parameters(), lr=TUNING_RATE), done, read_average=8)
    best, wanted, taken = held_loss(), dict(rule.wanted), 0
    for number, index in enumerate(rest[: TUNING * TUNING_BATCH].split(TUNING_BATCH), 1):
        optimiser.zero_grad()
        loss(index).backward()  # pyright: ignore[reportUnknownMemberType]
        optimiser.step()
        now = held_loss()
        if now > best:
            rule.wanted = wanted
            rule.finish(done.weights)
            optimiser.look_again()
            break
        best, wanted, taken = now, {name: value.copy() for name, value in rule.wanted.items()}, number
    return taken


def measure(network: str, seed: int) -> dict[str, Any]:
    """Return the accuracies of a network on one chip, and what writing took."""
    began, data = time.perf_counter(), task(network)
    test, label = data.test.first(TEST), torch.from_numpy(data.train.label)
    x = [torch.from_numpy(one) for one in data.train.inputs]
    example = tuple(one[:200] for one in x)
    with open_bench(STATION, seed=seed) as bench, one_thread():
        array: Any = bench.array
        run = Run(None, seed=seed, quiet=True)
        form(array, FormingPlan(**FORMING), run)
        yield_map(array, YieldMapPlan(cells="all"), run)
        lines = lines_for(array, ProgramPlan(), run)
        noise = measure_noise(array, lines=lines, seed=seed)
        array.idle()
        got: dict[str, Any] = {"noise": [noise.rest, noise.share]}
        model, aware = (trained(network, seed, data, with_noise) for with_noise in (None, noise))
        got["float"], got["float_aware"] = accuracy(model, test), accuracy(aware, test)
        state = {name: value.clone() for name, value in model.state_dict().items()}
        blind = convert(model, array, rule=TwoPulse(**GATES), good_lines=lines, range=example)
        got["blind"] = accuracy(blind.model, test)
        model = float_model(network, seed)
        model.load_state_dict(state)
        plain = program(model, array, run=run, range=example)
        array.clock.wait(25.0)
        got["programmed"], got["error"] = accuracy(plain.model, test), plain.programming.weight_error
        before = array.cost
        done = program(aware, array, run=run, range=example)
        got["pulses"], got["transactions"] = (array.cost - before).pulses, (array.cost - before).transactions
        got["copies"], got["error_aware"] = list(done.programming.copies), done.programming.weight_error
        array.clock.wait(25.0)
        got["programmed_aware"] = accuracy(done.model, test)
        before = array.cost
        got["tuning_steps"] = tune(done, x, label, seed)
        got["tuning_pulses"] = (array.cost - before).pulses
        got["tuned"] = accuracy(done.model, test)
    return {**got, "seconds": time.perf_counter() - began}


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="chips")
    parser.add_argument("--networks", nargs="+", default=list(EPOCHS), choices=list(EPOCHS))
    parser.add_argument("--resume", type=Path, default=None, help="JSON lines that are kept, and gone on from")
    arguments = parser.parse_args()
    done: dict[tuple[str, int], dict[str, Any]] = {}
    if arguments.resume is not None and arguments.resume.is_file():
        for line in arguments.resume.read_text(encoding="utf-8").splitlines():
            one = json.loads(line)
            done[one["network"], one["seed"]] = one
    seeds = range(1, arguments.seeds + 1)
    with tempfile.TemporaryDirectory() as folder, ProgressBar("chips", len(seeds), unit="chips") as bar:
        os.environ["XBARLAB_WEAR"] = folder
        for number, seed in enumerate(seeds):
            for network in arguments.networks:
                bar.update(number, f"seed {seed}, {network}")
                if (network, seed) in done:
                    continue
                done[network, seed] = {"network": network, "seed": seed, **measure(network, seed)}
                if arguments.resume is not None:
                    with arguments.resume.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(done[network, seed]) + "\n")
    print("| network | " + " | ".join(COLUMNS) + " | pulses | transactions |")
    print("|---" * (len(COLUMNS) + 3) + "|")
    for network in arguments.networks:
        rows = [done[network, seed] for seed in seeds]
        values = [np.array([row[name] for row in rows]) for name in COLUMNS]
        said = [f"{np.median(v):.1%} ({v.min():.1%} … {v.max():.1%})" for v in values]
        spent = [f"{np.median([row[name] for row in rows]):,.0f}" for name in ("pulses", "transactions")]
        print(f"| {network} | " + " | ".join([*said, *spent]) + " |")


if __name__ == "__main__":
    main()
