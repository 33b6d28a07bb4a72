"""Train a network in situ by batches of examples, beside its float twin: the same whatever it learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ....instruments.capabilities import CrossbarArray
from ...keeping.run import Run
from .training_plan import TrainingPlan, host_optimiser
from .training_record import Measure, TrainingRecord, train_in_units

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..layers.array_weights import ArrayWeights

BatchLoss = Callable[["nn.Module", "Tensor", int], "Tensor"]
"""``(model, examples [batch] by their numbers, step) -> scalar``: of the network on the array and of its twin alike."""


class BatchPlan(TrainingPlan):
    """Epochs of batches."""

    epochs: int = Field(default=2, ge=1, description="passes over the training set")
    batch: int = Field(default=50, ge=1, description="examples per update")
    optimiser: Literal["rmsprop", "sgd", "adam"] = Field(default="rmsprop", description="on the host")
    rate: float = Field(default=0.01, gt=0, description="learning rate")
    rate_end: float = Field(
        default=1.0, gt=0, le=1, description="learning rate of the last step, as a share of the first; a straight line"
    )
    momentum: float = Field(default=0.0, ge=0, lt=1, description="momentum of the host's RMSprop or SGD")
    halvings: int = Field(
        default=0,
        ge=0,
        le=8,
        description="bound management: how often the inputs of a product beyond the converters' largest range are "
        "halved, and it is sent again",
    )
    start_weights: Literal["rule", "twin"] = Field(
        default="rule", description="weights of the first step: as the rule starts, or the float twin's, written first"
    )

    def network(self, weights: ArrayWeights) -> nn.Module:
        """Return the network on the array."""
        raise NotImplementedError

    def twin_network(self, seed: int) -> nn.Module:
        """Return its float twin."""
        raise NotImplementedError

    def layer_siemens(self) -> Mapping[str, float]:
        """Return the conductance difference of a weight of 1, of layers that have one of their own [S]."""
        return {}

    def examples(self) -> int:
        """Return how many examples an epoch has."""
        raise NotImplementedError

    def vectors_per_example(self) -> int:
        """Return the products of one example."""
        raise NotImplementedError

    def starts(self) -> int:
        """Return how often all cells are written before the first step."""
        return 1 if self.start_weights == "rule" else 2

    def steps_per_epoch(self) -> int:
        """Return the updates of one epoch."""
        return -(-self.examples() // self.batch)

    def steps_max(self) -> int:
        """Return all updates."""
        return self.epochs * self.steps_per_epoch()

    def vectors_per_step(self) -> int:
        """Return the vectors of one batch."""
        return self.batch * self.vectors_per_example()


@dataclass(frozen=True)
class _Schedule:
    """Which examples and what learning rate a step has; worked out once, the data behind it are large."""

    examples: int
    batch: int
    per_epoch: int
    total: int
    rate_end: float
    seed: int

    @classmethod
    def of(cls, plan: BatchPlan, seed: int) -> _Schedule:
        """Return the schedule of a plan."""
        per_epoch = plan.steps_per_epoch()
        return cls(plan.examples(), plan.batch, per_epoch, plan.epochs * per_epoch, plan.rate_end, seed)

    def batch_of(self, step: int) -> Tensor:
        """Return the examples of a step by their numbers, in an order that depends on seed and epoch alone."""
        import torch

        order = np.random.default_rng([self.seed, 0x0D, step // self.per_epoch]).permutation(self.examples)
        at = step % self.per_epoch * self.batch
        return torch.from_numpy(order[at : at + self.batch])

    def share_of(self, step: int) -> float:
        """Return what is left of the learning rate."""
        return 1.0 + (self.rate_end - 1.0) * step / max(1, self.total - 1)


def train_in_batches(
    array: CrossbarArray,
    plan: BatchPlan,
    keep: Run,
    loss: BatchLoss,
    *,
    curve_name: str,
    curve_note: str = "",
    lines: Mapping[str, float] | None = None,
    evaluate: Callable[[nn.Module], float],
    measure: Callable[[nn.Module], Mapping[str, Measure]],
    measure_twin: Callable[[nn.Module], Mapping[str, Any]],
    twin_curve: bool = False,
    compare: Mapping[str, Measure] | None = None,
) -> TrainingRecord:
    """Train a plan's network on the array, and its twin on the host; a unit of work is ``checkpoint_every`` steps.

    Parameters
    ----------
    loss : of one batch
    curve_name, curve_note, lines : as of ``train_in_units``
    evaluate : gives of the network on the array what the curve shows
    measure : names what is measured of the trained network on the array, a unit of work each
    measure_twin : gives what is measured of the trained twin; the record has it as ``twin``
    twin_curve : ``evaluate`` the twin at every checkpoint, too; ``twin`` then has ``curve`` and ``curve_step``
    compare : what else the host works out when the array is done with
    """
    import torch

    from ..layers.array_weights import ArrayWeights
    from ..trainer import ArrayTrainer

    losses, schedule = list[float](), _Schedule.of(plan, keep.seed)
    floor = plan.floor(array.spec, keep.chip.healthy_of(array), keep.chip.shorted)
    scale = {**{request.name: plan.siemens for request in floor.requests}, **plan.layer_siemens()}
    weights = ArrayWeights(array, floor, siemens=scale, read_back=plan.read_back, halvings=plan.halvings)
    net = plan.network(weights)
    make, rate = host_optimiser(plan, plan.optimiser, plan.rate, plan.momentum)
    trainer = ArrayTrainer(
        net, weights, plan.update_rule(), make, lambda model, index, step: loss(model, index, int(step)),
        seed=keep.seed, read_average=plan.read_average, reverse=plan.backward == "array",
        first=plan.twin_network(keep.seed) if plan.start_weights == "twin" else None,
    )  # fmt: skip

    def advance(step: int) -> dict[str, float]:
        trainer.optimiser.param_groups[0]["lr"] = rate * schedule.share_of(step)
        losses.append(trainer.step(schedule.batch_of(step), torch.tensor(step)))
        return {"train_loss": losses[-1]}

    def twin() -> Mapping[str, Any]:
        model, curve = train_twin(plan, keep.seed, loss, evaluate if twin_curve else None)
        return {**measure_twin(model), **curve}

    return train_in_units(
        keep, trainer, plan, advance, losses,
        curve_name=curve_name, curve_note=curve_note, lines=lines,
        evaluate=lambda: evaluate(net),
        measure=measure(net),
        compare={**({"twin": twin} if plan.twin else {}), **(compare or {})},
    )  # fmt: skip


def train_twin(
    plan: BatchPlan, seed: int, loss: BatchLoss, evaluate: Callable[[nn.Module], float] | None = None
) -> tuple[nn.Module, dict[str, NDArray[np.float64]]]:
    """Return a plan's float twin after all steps on the host, and its ``curve`` over ``curve_step`` if evaluated."""
    schedule, points = _Schedule.of(plan, seed), list[tuple[int, float]]()
    model = plan.twin_network(seed)
    make, rate = host_optimiser(plan, plan.optimiser, plan.rate, plan.momentum)
    optimiser = make(list(model.parameters()))
    for step in range(schedule.total):
        optimiser.param_groups[0]["lr"] = rate * schedule.share_of(step)
        optimiser.zero_grad()
        loss(model, schedule.batch_of(step), step).backward()  # pyright: ignore[reportUnknownMemberType]
        optimiser.step()
        if evaluate is not None and ((step + 1) % plan.checkpoint_every == 0 or step + 1 == schedule.total):
            points.append((step + 1, evaluate(model)))
    at, value = np.asarray(points, dtype=np.float64).reshape(-1, 2).T
    return model, {} if evaluate is None else {"curve_step": at, "curve": value}
