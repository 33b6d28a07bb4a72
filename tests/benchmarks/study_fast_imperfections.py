"""What of the array keeps the fast-weight RNN on its plateau: the float twin with one imperfection at a time.

    python tests/benchmarks/study_fast_imperfections.py --seeds 1    # 2 minutes of one core

K = 4, 800 updates, computed on the host: no array is asked, nothing here is what the array learned
(``study_fast_weights.py array`` is). Weights are wanted, written and read apart, as under the two-pulse rule with
feedback: gradients are taken at what was read, changes are added to what is wanted, and what is off by more than
``dead`` is written with an error. All sizes are in weights.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from study_fast_weights import plan_of
from torch import Tensor, nn
from torch.nn import functional

from xbarlab.protocols.training.steps.batches import _Schedule  # pyright: ignore[reportPrivateUsage]
from xbarlab.protocols.training.steps.classification import accuracy


@dataclass(frozen=True)
class Imperfect:
    """How an array falls short: largest weight, noise of a weight in a product, error of a write, of a read."""

    largest: float = 1e9
    noise: float = 0.0
    write: float = 0.0
    read: float = 0.0
    dead: float = 0.0


BEFORE = Imperfect(0.87, 0.07, 0.05, 0.04, 0.034)
NOW = Imperfect(1.0, 0.03, 0.03, 0.02, 0.02)
"""Sizes as looked at on one chip of ``mock_ta_hfo2``, with settings that left it on the plateau; about half of them."""
RUNGS: dict[str, tuple[float, Imperfect]] = {
    "float": (1.0, Imperfect()),
    "weights up to 0.87": (1.0, Imperfect(largest=BEFORE.largest)),
    "noise of 0.07 in products": (1.0, Imperfect(noise=BEFORE.noise)),
    "writes of 0.05, reads of 0.04": (1.0, Imperfect(write=BEFORE.write, read=BEFORE.read, dead=BEFORE.dead)),
    "all of these": (1.0, BEFORE),
    "all of these, inputs of 3": (3.0, BEFORE),
    "inputs of 3, weights up to 0.87": (3.0, Imperfect(largest=BEFORE.largest)),
    "inputs of 3, all at half the size": (3.0, NOW),
}
"""What the letters are driven with, and what is imperfect."""
ROUNDS = 2


class Written(nn.Module):
    """A linear layer whose products are those of what was written, and whose gradients are of what was read."""

    def __init__(self, given: nn.Linear, size: Imperfect, seed: int) -> None:
        super().__init__()
        whole = torch.cat([given.weight.T, given.bias[None]]).detach()
        self.size, self.drawn = size, torch.Generator().manual_seed(seed)
        self.wanted = whole.clamp(-size.largest, size.largest)
        self.held = self.wanted + size.write * self.normal(whole)
        self.weight = nn.Parameter(self.seen())

    def normal(self, like: Tensor) -> Tensor:
        """Return normal numbers in the shape of ``like``."""
        return torch.randn(like.shape, generator=self.drawn)

    def seen(self) -> Tensor:
        """Return the weights as a read shows them."""
        return self.held + self.size.read * self.normal(self.held)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the array makes of ``x`` [n, inputs]."""
        x = torch.cat([x, torch.ones(len(x), 1)], 1)
        out = x @ self.weight
        with torch.no_grad():
            noise = self.size.noise * x.norm(dim=1, keepdim=True) * self.normal(out)
            more = x @ (self.held - self.weight) + noise
        return out + more

    def change(self, before: Tensor) -> None:
        """Take up what the optimiser did to the weights since ``before``, write, and read."""
        self.wanted = (self.wanted + self.weight.detach() - before).clamp(-self.size.largest, self.size.largest)
        seen = before
        for _ in range(ROUNDS):
            off = self.wanted - seen
            written = self.held + off + self.size.write * self.normal(off)
            self.held = torch.where(off.abs() > self.size.dead, written, self.held)
            seen = self.seen()
        self.weight.data = seen


def learn(gain: float, size: Imperfect, seed: int) -> float:
    """Return the test accuracy after the runbook's updates."""
    plan: Any = plan_of("fast_rnn", "4", {"input_gain": gain})
    data, net, schedule = plan.data(), plan.twin_network(seed), _Schedule.of(plan, seed)
    x, label = torch.from_numpy(data.train.x), torch.from_numpy(data.train.label)
    cell = net.recurrent.recurrence
    cell.product, net.dense = (Written(one, size, 10 * seed + n) for n, one in enumerate((cell.product, net.dense)))
    layers = [cell.product, net.dense]
    optimiser = torch.optim.Adam([one.weight for one in layers], lr=plan.rate)
    for step in range(schedule.total):
        optimiser.param_groups[0]["lr"] = plan.rate * schedule.share_of(step)
        optimiser.zero_grad()
        chosen = schedule.batch_of(step)
        functional.cross_entropy(net(x[chosen]), label[chosen]).backward()
        before = [one.weight.detach().clone() for one in layers]
        optimiser.step()
        for one, was in zip(layers, before, strict=True):
            one.change(was)
    return accuracy(net, data.test)


def main() -> None:
    """Print what every imperfection leaves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    seeds = parser.parse_args().seeds
    torch.set_num_threads(1)
    for said, (gain, size) in RUNGS.items():
        right = [learn(gain, size, seed) for seed in range(1, seeds + 1)]
        told = ", ".join(f"{one:.1%}" for one in right)
        print(f"{said:36s} {np.median(right):.1%} of the values said right; seeds 1 to {seeds}: {told}", flush=True)


if __name__ == "__main__":
    main()
