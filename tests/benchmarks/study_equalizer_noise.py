"""What of the array stands between the equalizer's float twin and the array: the twin with weights that are off.

    python tests/benchmarks/study_equalizer_noise.py --seed 41 --sizes 0 0.015 0.021 0.03 0.045  # 2 minutes of one core

Computed on the host: no array is asked. The twin of a step of the runbook is trained with weights that are off by a
normal number, drawn anew at every update, and cut at the largest weight that cells hold; then it decides on its own
with weights that are off alike, three times. A mean over n times as many cells is off by 1/√n of it.
"""

from __future__ import annotations

import argparse
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xbarlab.protocols.training.steps.batches import _Schedule  # pyright: ignore[reportPrivateUsage]
from xbarlab.protocols.training.steps.equalizer_plan import EqualizerPlan
from xbarlab.protocols.training.steps.train_equalizer import (
    _counted,  # pyright: ignore[reportPrivateUsage]
    _decided,  # pyright: ignore[reportPrivateUsage]
    _received,  # pyright: ignore[reportPrivateUsage]
)
from xbarlab.runbooks.runner.schema import load_runbook

DRAWS = 3


def plan_of(step: str, given: dict[str, Any]) -> EqualizerPlan:
    """Return the plan of a step of the runbook, with other settings."""
    book = load_runbook("train_equalizer", overrides=[])
    shipped = next(one.plan for one in book.steps if one.id == step)
    return EqualizerPlan(**{**shipped.model_dump(), "passes_max": 1, "stream_symbols": 200, **given})


@contextmanager
def off(model: torch.nn.Module, size: float, most: float, drawn: torch.Generator) -> Generator[None]:
    """Cut a model's weights at ``most`` and let them be off by ``size`` within; what they were is given back."""
    kept = [one.detach().clone() for one in model.parameters()]
    with torch.no_grad():
        for one in model.parameters():
            one.clamp_(-most, most).add_(size * torch.randn(one.shape, generator=drawn))
    yield
    with torch.no_grad():
        for one, was in zip(model.parameters(), kept, strict=True):
            one.copy_(was)


def learn(plan: EqualizerPlan, seed: int, size: float, most: float) -> Any:
    """Return the twin, trained with weights that are off by ``size``."""
    lesson = plan.task().streams(plan.snr, (plan.train_examples, plan.sequence), np.random.default_rng([seed, 0xE0]))
    windows, fed = torch.from_numpy(lesson.windows), torch.from_numpy(lesson.fed)
    model, schedule = plan.twin_network(seed), _Schedule.of(plan, seed)
    drawn, optimiser = torch.Generator().manual_seed(seed), torch.optim.Adam(model.parameters(), lr=plan.rate)
    for step in range(schedule.total):
        optimiser.param_groups[0]["lr"] = plan.rate * schedule.share_of(step)
        optimiser.zero_grad()
        chosen = schedule.batch_of(step)
        sent: Tensor = fed[chosen]
        wanted, known = sent[:, plan.decisions :], sent[:, : plan.decisions]
        with off(model, size, most, drawn):
            if step >= plan.own_feedback * schedule.total:
                sent = torch.cat([known, model.operate(windows[chosen], known)[1]], 1)
            model.loss(windows[chosen], sent, wanted).backward()
        optimiser.step()
    return model


def main() -> None:
    """Print bit error rates, in percent, over how far weights are off."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--step", default="pam4", help="of the runbook")
    parser.add_argument("--seed", type=int, default=41)
    parser.add_argument("--sizes", type=float, nargs="+", default=[0.0, 0.015, 0.021, 0.03, 0.045])
    parser.add_argument("--own-feedback", type=float, default=None, help="the runbook's by default")
    parser.add_argument("--hidden", type=int, default=None, help="the runbook's by default")
    told = parser.parse_args()
    torch.set_num_threads(1)
    asked = {"own_feedback": told.own_feedback, "hidden": told.hidden}
    plan = plan_of(told.step, {name: value for name, value in asked.items() if value is not None})
    most = plan.slope * (plan.gate_high - plan.gate_low) / plan.siemens
    for size in told.sizes:
        model = learn(plan, told.seed, size, most)
        rates: list[float] = []
        for draw in range(DRAWS if size else 1):
            with off(model, size, most, torch.Generator().manual_seed(100 + draw)):
                found = _counted(partial(_decided, model), plan, _received(plan, told.seed, plan.snr))
            rates.append(100.0 * float(found["errors"].sum() / found["bits"].sum()))
        print(f"weights off by {size:5.3f}: {', '.join(f'{one:.2f} %' for one in rates)} of the bits wrong", flush=True)


if __name__ == "__main__":
    main()
