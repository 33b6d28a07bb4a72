"""The 2 × 64 character LSTM of Gokmen, Rasch, Haensch (2018) over joined boards: CPU time of an update, and training.

    python tests/benchmarks/bench_rpu.py [--boards 24] [--steps 2] [--batch 32] [--sequence 100] [--profile]
    python tests/benchmarks/bench_rpu.py train --epochs 2 --batch 8 --sequence 32 --rate 0.0156  # 25 min of a core

87 characters, 77,591 weights in pieces of at most 64 × 64, two cells each. The text is the shipped one with the
characters that it lacks of 87 behind it, so that an epoch is that of the text. ``train`` prints losses beside the
float twin's and those of tables.
"""

from __future__ import annotations

import argparse
import copy
import cProfile
import os
import pstats
import string
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from ruamel.yaml import YAML

from xbarlab import open_bench
from xbarlab.instruments.capabilities import CrossbarArray
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.training.layers.array_weights import ArrayWeights
from xbarlab.protocols.training.steps.batches import BatchPlan
from xbarlab.protocols.training.steps.train_rpu_lstm import RpuLstmPlan, loss_of, train_rpu_lstm
from xbarlab.protocols.training.steps.training_plan import host_optimiser
from xbarlab.protocols.training.tasks.stored import load_stored
from xbarlab.protocols.training.threads import one_thread
from xbarlab.protocols.training.trainer import ArrayTrainer
from xbarlab.runbooks import stations

CHARACTERS = 87


def write_boards(folder: Path, count: int, station: str = "mock_rpu") -> Path:
    """Write a station of ``count`` boards with the shipped station's chip and converters, joined; return its file."""
    yaml, shipped = YAML(typ="safe", pure=True), Path(stations.__file__).parent
    yaml.default_flow_style = False
    kinds = {kind: yaml.load((shipped / f"{station}.{kind}.yaml").read_text(encoding="utf-8"))
             for kind in ("bench", "chip", "station")}  # fmt: skip
    (instrument,) = kinds["station"]["instruments"].values()
    whole: dict[str, Any] = {"instruments": {}, "xbarlab": {"array": [], "chip": [], "clock": "auto"}}
    for n in range(count):
        address = f"TCPIP0::127.0.0.1::{5100 + n}::SOCKET"
        bench, chip = (copy.deepcopy(kinds[kind]) for kind in ("bench", "chip"))
        bench["chip"]["seed"] = n
        bench["instruments"][0] |= {"address": address, "serial": f"MOCK-1{n:03d}"}
        chip["id"] = f"{chip['id']}-{n}"
        for kind, content in (("bench", bench), ("chip", chip)):
            with (folder / f"board{n}.{kind}.yaml").open("w", encoding="utf-8") as file:
                yaml.dump(content, file)
        init = {"visalib": f"board{n}.bench.yaml@xbarlab"}
        whole["instruments"][f"board{n}"] = {"type": instrument["type"], "address": address, "init": init}
        whole["xbarlab"]["array"].append(f"board{n}")
        whole["xbarlab"]["chip"].append(f"board{n}.chip.yaml")
    path = folder / "joined.station.yaml"
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(whole, file)
    return path


def write_text(folder: Path) -> Path:
    """Write the shipped text with the characters behind it that it lacks of 87; return its file."""
    text = load_stored("hamlet")["text"].tobytes().decode("ascii")
    more = [one for one in string.ascii_letters + string.digits + string.punctuation if one not in text]
    path = folder / "text.txt"
    path.write_text(text + "".join(more[: CHARACTERS - len(set(text))]), encoding="utf-8")
    return path


class Timed:
    """Adds up the CPU time of what is called through it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def over(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``call``, timed."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.process_time()
            try:
                return call(*args, **kwargs)
            finally:
                self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - began

        return timed


def main() -> None:
    """Time steps, print their parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("steps", "train"), nargs="?", default="steps")
    parser.add_argument("--epochs", type=int, default=4, help="of train: passes over the training text")
    parser.add_argument("--boards", type=int, default=24)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--sequence", type=int, default=100)
    parser.add_argument("--rate", type=float, default=0.01, help="learning rate of a single character")
    parser.add_argument("--profile", action="store_true", help="print where the time of the last step goes")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, one_thread():
        folder = Path(name)
        os.environ["XBARLAB_WEAR"] = str(folder / "wear")
        plan = RpuLstmPlan(
            text=str(write_text(folder)), fold=False, characters=CHARACTERS, hidden=64, depth=2,
            sequence=asked.sequence, batch=asked.batch, siemens=180e-6,
            outer_rate=asked.rate * asked.sequence * asked.batch, epochs=asked.epochs, evaluations=1,
            checkpoint_every=68,
        )  # fmt: skip
        with open_bench(write_boards(folder, asked.boards), seed=1) as bench:
            array: Any = bench.array
            if asked.what == "train":
                learn(array, plan, folder)
            else:
                run(array, plan, asked.steps, profiled=asked.profile)


def learn(array: CrossbarArray, plan: RpuLstmPlan, folder: Path) -> None:
    """Train, and print the curve, the losses and what they are beside."""
    began = time.process_time()
    keep = Run(folder / "run", seed=1)
    with keep.step("train", array) as step:
        result = train_rpu_lstm(array, plan, step)
    spent = (time.process_time() - began) / 60
    for at, loss in zip(result.record.curve_step, result.record.curve, strict=True):
        print(f"after {at:.0f} updates: {loss:.3f} nats per character of the validation text")
    print(result.frame.to_string(index=False))
    print(f"{spent:.0f} min of CPU")


def run(array: Any, plan: BatchPlan, steps: int, *, profiled: bool) -> None:
    """Make steps on an array, and print what they took."""
    assert isinstance(plan, RpuLstmPlan)
    floor = plan.floor(array.spec)
    weights = ArrayWeights(array, floor, siemens=plan.siemens, halvings=plan.halvings)
    make, _ = host_optimiser(plan, plan.optimiser, plan.rate, plan.momentum)
    loss = loss_of(plan)
    trainer = ArrayTrainer(
        plan.network(weights), weights, plan.update_rule(), make, lambda model, index, step: loss(model, index, 0),
        reverse=plan.backward == "array",
    )  # fmt: skip
    trainer.start()
    print(f"{floor.weights:,} weights in {len(floor.tiles)} pieces, {array.spec.rows} × {array.spec.cols} lines")
    timed = Timed()
    rule: Any = trainer.rule
    rule.apply, weights.read = timed.over("updates", rule.apply), timed.over("read-back", weights.read)  # pyright: ignore
    whole: list[float] = []
    for step in range(steps):
        index = torch.arange(step * plan.batch, (step + 1) * plan.batch)
        before, timed.seconds, began = array.cost, {}, time.process_time()
        profile = cProfile.Profile()
        if profiled and step == steps - 1:
            profile.enable()
        told = trainer.step(index, torch.tensor(step))
        profile.disable()
        whole.append(time.process_time() - began)
        spent, rest = array.cost - before, whole[-1] - sum(timed.seconds.values())
        parts = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in {"products": rest, **timed.seconds}.items())
        print(
            f"step {step}: loss {told:.3f}; {whole[-1]:.2f} s of CPU ({parts}); {spent.transactions} transactions, "
            f"{spent.slots:,} slots, {spent.pulses:,} pulses",
            flush=True,
        )
    best = min(whole)
    print(
        f"a step {best:.2f} s, an epoch of {plan.steps_per_epoch()} steps {best * plan.steps_per_epoch() / 60:.1f} min"
    )
    if profiled:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
