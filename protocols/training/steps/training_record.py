"""Training in units that a killed run can go on from, and what it leaves: curve, maps, cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ....instruments.capabilities import Cost, FloatArray
from ...keeping.array_state import ArrayState
from ...keeping.dataset import Axis, Variable
from ...keeping.run import Run
from ...measure.read_array import map_axes
from ..formed import refuse_unformed
from ..layers.weight_mapping import FloorPlan
from ..rules.answers import measure_answer, require_answer
from .training_plan import TrainingPlan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..trainer import ArrayTrainer

Advance = Callable[[int], "dict[str, float] | None"]
Measure = Callable[[], "Mapping[str, ArrayLike]"]


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """How training went.

    Attributes
    ----------
    losses : [steps]
        Training loss before every update.
    curve : [checkpoints], ``curve_step`` beside it; ``curve_name`` is the summary key of what, ``curve_note`` on what.
    conductance : [rows, cols] [S] of the block, as last read; ``travelled`` how far the cells moved in all [S].
    step_cost : what ``measured_steps`` steps cost, their products and read-back included.
    step_reads : vectors the array multiplied in these steps, those of a read-back by products included.
    measured : what was measured after the last step, by unit of work.
    """

    floor: FloorPlan
    losses: FloatArray
    curve_step: FloatArray
    curve: FloatArray
    curve_name: str
    curve_note: str
    conductance: FloatArray
    travelled: FloatArray
    steps: int
    step_cost: Cost
    step_reads: int
    measured_steps: int
    measured: dict[str, dict[str, NDArray[Any]]]

    @property
    def twin_curve(self) -> tuple[FloatArray, FloatArray]:
        """Updates [checkpoints] and what was measured of the float twin there; none where it was not."""
        twin = self.measured.get("twin", {})
        return np.asarray(twin.get("curve_step", np.empty(0))), np.asarray(twin.get("curve", np.empty(0)))

    def metrics(self) -> dict[str, float]:
        """Return what a step cost, and sizes."""
        n = max(1, self.measured_steps)
        return {
            "steps": float(self.steps),
            "weights": float(self.floor.weights),
            "cells_used": float(self.floor.cells),
            "transactions_per_step": self.step_cost.transactions / n,
            "slots_per_step": self.step_cost.slots / n,
            "reads_per_step": self.step_reads / n,
            "pulses_per_step": self.step_cost.pulses / n,
        }

    def pictures(self, lines: Mapping[str, float]) -> list[tuple[str, Figure]]:
        """Return learning curve, floor plan, conductances and wear.

        ``lines`` are what the curve is to be compared with, by name.
        """
        from ....analysis.measurements.array_maps import conductance_map, value_map
        from ....analysis.networks.training import floor_plan_figure, learning_curve

        block = self.floor.block
        origin = block.row0, block.col0
        used = self.floor.used[block.slices]
        names = [request.name for request in self.floor.requests]
        return [
            (
                "Training loss before every update, and what was measured on the array at every checkpoint"
                f"{', beside ' * bool(lines)}{' and '.join(lines)}.",
                learning_curve(
                    self.losses, self.curve_step, self.curve, name=self.curve_name, lines=lines, note=self.curve_note,
                    twin=self.twin_curve,
                ),
            ),
            ("Which cells hold which layer, and with which sign.", floor_plan_figure(
                self.floor.layer_map(), names, boards=[(p.row0, p.nrows, p.col0, p.ncols) for p in self.floor.parts]
            )),
            (
                "Conductances at the end.",
                conductance_map(
                    np.where(used, self.conductance, np.nan), origin=origin, title="After training", grey="not used"
                ),
            ),
            (
                "How far every cell has moved in all: where the wear is.",
                value_map(
                    np.where(used, self.travelled * 1e6, np.nan), title="Distance travelled", label="Σ|ΔG| (µS)",
                    grey="not used", origin=origin,
                ),
            ),
        ]  # fmt: skip

    def cost_table(self) -> tuple[str, Any]:
        """Return what one step cost."""
        from pandas import DataFrame

        n = max(1, self.measured_steps)
        cost = self.step_cost
        table = DataFrame(
            {
                "per training step": ["transactions", "slots", "vectors multiplied", "pulses", "chip time [ms]"],
                "value": [
                    cost.transactions / n, cost.slots / n, self.step_reads / n, cost.pulses / n,
                    1e3 * cost.chip_seconds / n,
                ],
            }
        )  # fmt: skip
        return "What one training step cost: products, pulses and the read-back.", table


class _History(ArrayState):
    """Losses and curve so far."""

    def __init__(self) -> None:
        self.losses: FloatArray = np.empty(0)
        self.curve: FloatArray = np.empty(0)
        self.curve_step: FloatArray = np.empty(0)
        self.over = False
        self.best = float("inf")
        self.since_best = 0
        self.spent: FloatArray = np.zeros(4)
        self.reads = 0
        self.measured = 0

    def spend(self, cost: Cost, reads: int) -> None:
        """Take in what one step cost."""
        self.spent = self.spent + np.array([cost.transactions, cost.slots, cost.pulses, cost.chip_seconds])
        self.reads += reads
        self.measured += 1

    @property
    def cost(self) -> Cost:
        """What the steps have cost, those of earlier sessions too."""
        transactions, slots, pulses, seconds = self.spent.tolist()
        return Cost(round(transactions), round(slots), round(pulses), seconds)

    def note(self, loss: float, patience: int | None) -> None:
        """Take in a checkpoint's loss; training is over when none of the last ``patience`` was better than before."""
        self.since_best = 0 if loss < self.best else self.since_best + 1
        self.best = min(loss, self.best)
        self.over |= patience is not None and self.since_best >= patience


class _Memory:
    """What a trainer goes on from, taken up without touching the array: a step that is done is only looked at."""

    def __init__(self, trainer: ArrayTrainer) -> None:
        self._trainer = trainer

    def arrays(self) -> dict[str, NDArray[Any]]:
        return self._trainer.arrays()

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._trainer.remember(arrays)


def train_in_units(
    keep: Run,
    trainer: ArrayTrainer,
    plan: TrainingPlan,
    advance: Advance,
    losses: list[float],
    *,
    curve_name: str,
    curve_note: str = "",
    lines: Mapping[str, float] | None = None,
    evaluate: Callable[[], float],
    measure: Mapping[str, Measure],
    compare: Mapping[str, Measure],
) -> TrainingRecord:
    """Go through all steps, keeping the state every ``checkpoint_every``; a run that goes on reads the chip back.

    Parameters
    ----------
    advance : makes step n and returns its figures, None when training is over
    losses : of every step so far; the caller's, filled here with what an earlier session saw
    curve_name, evaluate : what is measured on the array at every checkpoint, by its summary key; ``curve_note`` says on
        what, ``lines`` what it is compared with in the picture of a training that goes on
    measure : what is measured on the array after the last step, a unit of work each: once done it is never asked of the
        chip again
    compare : what the host works out after that, the array idle
    """
    block = trainer.weights.block
    axes = [Axis("step", "Training step"), *map_axes(block)]
    variables = [
        Variable("conductance", "Conductance", "S"),
        Variable("travelled", "Distance travelled", "S"),
        Variable("train_loss", "Training loss"),
    ]
    history = _History()
    total = plan.steps_max()
    array = trainer.weights.array
    said = curve_name.replace("_", " ")
    value_said = ""
    with keep.work(
        "training", axes, variables, {"rule": type(trainer.rule).__name__}, label="steps", total=total, drawn=False
    ) as work:

        def begin(unit: str) -> bool:
            if not work.begin(unit):
                return False
            if work.interrupted and unit != "start":
                trainer.look_again()
            return True

        work.hold("trainer", _Memory(trainer))
        work.hold("history", history)
        losses[:] = history.losses.tolist()
        if begin("start"):
            refuse_unformed(trainer.weights, trainer.rule)
            taken = trainer.weights.used | ~keep.chip.healthy_of(array)
            ask = measure_answer if plan.measure_answer else require_answer
            if told := ask(array, trainer.rule, taken):
                keep.tell(told)
            trainer.start()
            work.done("", 0)
        for first in range(0, total, plan.checkpoint_every):
            if history.over:
                break
            if not begin(f"step {first}"):
                continue
            for step in range(first, min(total, first + plan.checkpoint_every)):
                before, read = array.cost, trainer.weights.products.total()
                if advance(step) is None:
                    history.over = True
                    break
                history.spend(array.cost - before, trainer.weights.products.total() - read)
                work.moved(step + 1, f"loss {losses[-1]:.4g}{value_said}")
            last = len(losses)
            value = evaluate()
            history.losses = np.asarray(losses)
            history.curve = np.append(history.curve, value)
            history.curve_step = np.append(history.curve_step, last)
            work.add(
                {"step": last},
                conductance=trainer.weights.conductance[block.slices],
                travelled=trainer.travelled,
                train_loss=losses[-1],
            )
            history.note(float(np.median(losses[first:])), plan.patience)
            value_said = f", {said} {value:.4g}"
            work.done(f"loss {losses[-1]:.4g}{value_said}", last)
            keep.live.show(keep.step_id, partial(_view, trainer, history, curve_name, lines, total))
        if begin("finish"):
            trainer.finish()
            work.done("", len(losses), conductance=trainer.weights.conductance[block.slices])
        keep.live.show(keep.step_id, partial(_view, trainer, history, curve_name, lines, len(losses)), last=True)
        looked = False
        for name, look in measure.items():
            if begin(name):
                work.done(name, total, **look())
                looked = True
        if looked:
            array.idle()  # the host is busy with itself from here on
        for name, look in compare.items():
            if work.begin(name):
                work.done(name, total, **look())
        measured = {name: work.all_of(name) for name in [*measure, *compare]}
        kept = work.all_of("finish").get("conductance")  # older run folders have none
    whole = trainer.weights.conductance[block.slices].copy() if kept is None else kept
    return TrainingRecord(
        floor=trainer.weights.plan,
        losses=history.losses,
        curve_step=history.curve_step,
        curve=history.curve,
        curve_name=curve_name,
        curve_note=curve_note,
        conductance=whole,
        travelled=trainer.travelled.copy(),
        steps=trainer.steps,
        step_cost=history.cost,
        step_reads=history.reads,
        measured_steps=history.measured,
        measured=measured,
    )


def _view(trainer: ArrayTrainer, history: _History, name: str, lines: Mapping[str, float] | None, steps: int) -> Figure:
    from ....analysis.networks.training import training_view

    block = trainer.weights.block
    used = np.where(trainer.weights.used, trainer.weights.conductance, np.nan)[block.slices]
    return training_view(history.losses, history.curve_step, history.curve, used, name=name, lines=lines, steps=steps)
