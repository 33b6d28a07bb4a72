"""Train an MbLSTM in situ, its activations the array's own output circuits, its updates row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ....analysis.estimates.estimates import flatten, mean_estimate
from ....analysis.networks.circuits import SaturationCurves, fit_curves
from ....common.errors import RefusedError
from ....instruments.abilities import Saturates
from ....instruments.array_spec import ArraySpec
from ....instruments.capabilities import CrossbarArray, FloatArray
from ...keeping.run import Run
from ...plan import RuleName
from ..layers.floor_plan import FloorPlan
from ..layers.weight_mapping import LayerRequest
from ..rules.small_steps import SmallSteps
from ..tasks.labelled import Examples, LabelledData
from ..tasks.sequences import RIVALS, SequenceTask, load_sequences
from ..threads import one_thread
from .classification import ClassifierPlan, ClassifierResult, classes, train_classifier
from .training_record import Measure

if TYPE_CHECKING:
    from torch import nn

    from ....analysis.report.report import Section
    from ..layers.array_weights import ArrayWeights
    from ..layers.recurrent_cells import LstmCell

Activation = Literal["circuit", "clipped", "smooth"]
_POINTS = 41
"""Points of a circuit's curve."""
_CIRCUITS, _SLOTS = "circuits", "update slots"
_MEASURED, _IDEAL = "circuits as measured", "ideal activations"
_PARTS = (0.25, 0.5, 0.75, 1.0)
"""Of the rows, and of the columns, that an update is counted on."""
OTHERWISE = "activation 'clipped' lets the host do the same to linear products"


class MbLstmPlan(ClassifierPlan):
    """Row-parallel updates and circuits that saturate; sizes that fit one board."""

    task: SequenceTask = Field(default="iris", description="which data")
    activation: Activation = Field(
        default="circuit",
        description="'circuit': the array's output circuits saturate; 'clipped': the host clips linear products; "
        "'smooth': sigmoid and tanh on the host",
    )
    hidden: int = Field(default=12, ge=1, description="LSTM units")
    rule: RuleName = Field(
        default="row_parallel", description="how changes of weights become pulses: xbarlab list rules"
    )
    optimiser: Literal["rmsprop", "sgd", "adam"] = Field(default="adam", description="on the host")
    siemens: float = Field(default=60e-6, gt=0, description="conductance difference of a weight of 1 [S]")
    rate: float = Field(default=0.01, gt=0, description="learning rate")
    start_pulses: int = Field(default=100, ge=0, description="largest number of pulses of a random start, either way")
    epochs: int = Field(default=20, ge=1, description="passes over the training set")
    checkpoint_every: int = Field(default=40, ge=1, description="steps from one checkpoint to the next")
    variation: list[Annotated[float, Field(ge=0, le=1)]] = Field(
        default=[0.0, 0.05, 0.1, 0.15, 0.2],
        min_length=1,
        description="standard deviations that every conductance is put off by, over itself [fraction]",
    )
    draws: int = Field(default=20, ge=2, le=10_000, description="draws of every variation")

    def measures(self) -> frozenset[str]:
        """Return what it gives."""
        found = super().measures() | {
            "ideal_activation_accuracy", "varied_accuracy", "varied_accuracy_ci95_low", "varied_accuracy_ci95_high",
            "conductance_variation",
        }  # fmt: skip
        if self.activation == "circuit":
            found |= {
                "computed_accuracy", "activation_error", "activation_gain_spread", "activation_offset_spread",
            }  # fmt: skip
        if isinstance(self.update_rule(), SmallSteps) and not self.update_rule().needs_samples:
            found |= {"update_slots", "update_rows", "update_slots_per_row"}
        return found | RIVALS.get(self.task, frozenset())

    def data(self) -> LabelledData:
        """Return the task's data."""
        return load_sequences(self.task)

    def layers(self) -> list[LayerRequest]:
        """Return [x, h, 1] → 4·hidden and [h, 1] → classes; pairs in rows, so that an output is one column."""
        data = self.data()
        inputs = data.train.x.shape[2] + self.hidden + 1
        return [
            LayerRequest("lstm", inputs, 4 * self.hidden, copies_down=self.copies),
            LayerRequest("dense", self.hidden + 1, data.classes, copies_down=self.copies),
        ]

    def network(self, weights: ArrayWeights) -> nn.Module:
        """Return the network on the array."""
        from ..networks.mblstm import array_network

        smooth, circuits = self.activation == "smooth", self.activation == "circuit"
        return array_network(weights, self.data().train.x.shape[2], self.hidden, smooth=smooth, circuits=circuits)

    def twin_network(self, seed: int, cell: LstmCell | None = None) -> nn.Module:
        """Return its float twin: ideal activations, or those of ``cell``."""
        from ..networks.mblstm import twin_network

        data = self.data()
        smooth = self.activation == "smooth"
        return twin_network(data.train.x.shape[2], self.hidden, data.classes, smooth=smooth, seed=seed, cell=cell)

    def vectors_per_example(self) -> int:
        """Return one product per step, and one of the dense layer for each thing that is to be told."""
        data = self.data().train
        return data.x.shape[1] + data.label[0].size

    def check(self, spec: ArraySpec) -> None:
        """Refuse an array without the circuits it is to use."""
        if self.activation == "circuit":
            spec.require(Saturates, otherwise=OTHERWISE)
        super().check(spec)
        if self.activation != "circuit":
            return
        for tile in self.floor(spec).of("lstm"):
            if tile.inputs.stop - tile.inputs.start < self.layers()[0].inputs:
                raise RefusedError(
                    f"{self.layers()[0].inputs} inputs do not fit one piece of this array: the sum of two columns "
                    f"cannot saturate as one; a smaller hidden, fewer copies, or {OTHERWISE}"
                )

    def more_measures(self, net: nn.Module, test: Examples, seed: int) -> Mapping[str, Measure]:
        """Return the circuits' curves, and the slots of updates of several sizes, which disturb the weights."""
        del test
        found: dict[str, Measure] = {}
        if self.activation == "circuit":
            found[_CIRCUITS] = lambda: _circuits(net)
        rule = self.update_rule()
        if isinstance(rule, SmallSteps) and not rule.needs_samples:
            found[_SLOTS] = lambda: _update_slots(net, rule, seed)
        return found


def _circuits(net: nn.Module) -> dict[str, FloatArray]:
    """Return what every column of the LSTM gives without and with its circuit, [points, outputs], along its weights."""
    from ..layers.held_columns import ArrayHeld

    (layer,) = (one for one in net.modules() if isinstance(one, ArrayHeld))
    weights, level = layer.array_weights, layer.levels[1]
    matrix = weights.weights(layer.layer)
    reach = np.abs(matrix).sum(0)
    most = np.minimum(weights.largest_input, 2.0 * level / np.maximum(reach, 1e-6))
    share = np.linspace(-1.0, 1.0, _POINTS, dtype=np.float32)
    vectors = (share[:, None, None] * (most * np.sign(matrix)).T).reshape(-1, len(matrix)).astype(np.float32)
    outputs = np.arange(len(level))
    pair: list[FloatArray] = []
    for given in (weights.multiply_checked(layer.layer, vectors), layer.held(vectors)):
        pair.append(given.reshape(_POINTS, len(level), len(level))[:, outputs, outputs].astype(np.float64))
    return {"linear": pair[0], "held": pair[1]}


def _update_slots(net: nn.Module, rule: SmallSteps, seed: int) -> dict[str, NDArray[np.int64]]:
    """Return what updates of random signs cost on parts of the rows and columns; each is taken back."""
    from ..layers.array_layers import array_layers

    weights = array_layers(net)[0].array_weights
    array, used = weights.array, weights.used[weights.block.slices]
    rows, cols = np.flatnonzero(used.any(1)), np.flatnonzero(used.any(0))
    rng = np.random.default_rng([seed, 0x51])
    found: list[tuple[int, int, int]] = []
    for high in _PARTS:
        for wide in _PARTS[:: len(_PARTS) - 1]:
            n, m = max(1, round(high * rows.size)), max(1, round(wide * cols.size))
            signed = np.zeros(used.shape, dtype=np.int64)
            signed[np.ix_(rows[:n], cols[:m])] = rng.choice((-1, 1), (n, m))
            signed *= used
            before = array.cost
            rule.pulse(weights, signed)
            slots = (array.cost - before).slots
            found.append((int(signed.any(1).sum()), int(signed.any(0).sum()), slots))
            rule.pulse(weights, -signed)
    counted = np.array(found, dtype=np.int64).T
    return {"rows": counted[0], "cols": counted[1], "slots": counted[2]}


@dataclass(frozen=True, kw_only=True)
class MbLstmResult(ClassifierResult):
    """A classifier's result, the circuits behind it, and what cells that are off do to it.

    Attributes
    ----------
    curves : of the circuits, as fitted; None without circuits
    variation : [points]; ``varied``: whose activations -> accuracies [points, draws], computed by the host
    undisturbed : whose activations -> accuracy with the conductances as last read, computed by the host
    """

    curves: SaturationCurves | None
    variation: FloatArray
    varied: dict[str, FloatArray]
    undisturbed: dict[str, float]

    def metrics(self) -> dict[str, float]:
        """Return a classifier's, and of circuits, variation and update what docs/quantities.md defines."""
        found = super().metrics()
        table = next(iter(self.varied.values()))
        worst = int(np.argmax(self.variation))
        found |= {
            "conductance_variation": float(self.variation[worst]),
            **flatten("varied_accuracy", mean_estimate(table[worst])),
            "ideal_activation_accuracy": self.undisturbed[_IDEAL],
        }
        if self.curves is not None:
            found |= {
                "computed_accuracy": self.undisturbed[_MEASURED],
                "activation_error": float(np.sqrt(np.mean(self.curves.error**2))),
                "activation_gain_spread": float(self.curves.gain.std(ddof=1)),
                "activation_offset_spread": float(self.curves.offset.std(ddof=1)),
            }
        counted = self.record.measured.get(_SLOTS)
        if counted is not None:
            found |= {
                "update_slots": float(counted["slots"].max()),
                "update_rows": float(counted["rows"].max()),
                "update_slots_per_row": float((counted["slots"] / counted["rows"]).max()),
            }
        return found

    def section(self) -> Section:
        """Return a classifier's section, with circuits, variation and slots of an update."""
        from ....analysis.networks.circuits import curves_figure, slots_figure, variation_figure

        section, measured = super().section(), self.record.measured
        more = []
        if self.curves is not None:
            pair = measured[_CIRCUITS]
            more.append((
                "Activations of the array's output circuits as measured, every column driven along its own weights, "
                "beside the ideal clip; right, what of their own they have. The host shifts and scales.",
                curves_figure(pair["linear"], pair["held"], self.curves),
            ))  # fmt: skip
        more.append((
            "Cells that are off, computed by the host: conductances last read, each multiplied by 1 + σ·N(0, 1), and "
            "activations as measured or ideal. No cell was written for this.",
            variation_figure(
                self.variation, self.varied, measured=self.figures["test_accuracy"],
                chance=self.figures["majority_accuracy"],
            ),
        ))  # fmt: skip
        if (counted := measured.get(_SLOTS)) is not None:
            more.append((
                "Pulse slots of an update that gives the cells of some rows and columns a pulse of a random sign, as "
                "the array counted them.",
                slots_figure(counted["rows"], counted["cols"], counted["slots"]),
            ))  # fmt: skip
        return replace(section, figures=[*section.figures[:1], *more, *section.figures[1:]])


def train_mblstm(array: CrossbarArray, plan: MbLstmPlan, run: Run | None = None) -> MbLstmResult:
    """Train an MbLSTM in situ to classify sequences; a unit of work is ``checkpoint_every`` steps."""
    who = "MbLSTM" if plan.activation != "smooth" else "LSTM, sigmoid and tanh on the host"
    result = train_classifier(array, plan, run, f"{who}, trained on the array: {plan.task.replace('_', ' ')}")
    record, curves = result.record, None
    if (pair := record.measured.get(_CIRCUITS)) is not None:
        from ..networks.mblstm import level_of

        curves = fit_curves(pair["linear"], pair["held"], level_of(plan.hidden))
    with one_thread():
        off = np.asarray([0.0, *plan.variation])
        computed = _computed(plan, record.floor, record.conductance, curves, off, seed=Run.of(run).seed)
    return MbLstmResult(
        **vars(result),
        curves=curves,
        variation=off[1:],
        varied={name: table[1:] for name, table in computed.items()},
        undisturbed={name: float(table[0, 0]) for name, table in computed.items()},
    )


def _computed(
    plan: MbLstmPlan,
    floor: FloorPlan,
    conductance: FloatArray,
    curves: SaturationCurves | None,
    variation: FloatArray,
    *,
    seed: int,
) -> dict[str, FloatArray]:
    """Return accuracies [variations, draws] that the host works out from conductances [rows, cols] of the block [S].

    Every cell is multiplied by 1 + σ·N(0, 1), and is never below 0; one draw serves all activations.
    """
    from ..networks.mblstm import MeasuredCell, give_weights

    test = plan.data().test.first(plan.test_examples)
    models = {_IDEAL: plan.twin_network(seed)}
    if curves is not None:
        models = {_MEASURED: plan.twin_network(seed, MeasuredCell(curves)), **models}
    found = {name: np.empty((len(variation), plan.draws)) for name in models}
    for at, sigma in enumerate(variation.tolist()):
        for draw in range(plan.draws):
            rng = np.random.default_rng([seed, 0x7A, draw])
            whole = np.zeros((floor.rows, floor.cols))
            whole[floor.block.slices] = conductance * np.maximum(
                1.0 + sigma * rng.standard_normal(conductance.shape), 0.0
            )
            matrices = {one.name: floor.differences(one.name, whole) / plan.siemens for one in floor.requests}
            for name, model in models.items():
                give_weights(model, matrices)
                found[name][at, draw] = (classes(model, test) == test.label).mean()
    return found
