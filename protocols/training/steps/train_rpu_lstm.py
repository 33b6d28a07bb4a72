"""Train an LSTM in situ by stochastic pulse trains to say which character comes next, beside twin and tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from ....analysis.networks.character_tables import table_floor, table_loss
from ....common.errors import RefusedError
from ....instruments.array_spec import ArraySpec
from ....instruments.capabilities import CrossbarArray
from ...keeping.run import Run
from ...plan import RuleName
from ..layers.array_weights import ArrayWeights
from ..layers.weight_mapping import FloorPlan, LayerRequest
from ..tasks.character_text import SHIPPED, SYMBOLS_MAX, CharacterText, Codes, character_text, windows
from ..threads import one_thread
from .batches import BatchPlan, train_in_batches
from .training_record import TrainingRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from pandas import DataFrame
    from torch import Tensor, nn

    from ....analysis.report.report import Section
    from ..networks.character_lstm import CharacterLstm

_STREAMS = 100
"""Pieces of a text that are read at the same time where it is only looked at."""
NAMES = {
    "test_loss": "LSTM on the array",
    "float_twin_test_loss": "its float twin",
    "unigram_floor": "unigram floor",
    "bigram_floor": "bigram floor",
    "bigram_loss": "bigram table of the training text",
    "trigram_loss": "trigram table of the training text",
}


class RpuLstmPlan(BatchPlan):
    """One board: 30 symbols, 16 units and a bias are 47 of 64 inputs; stochastic pulse trains of 10 turns."""

    own_files: ClassVar[Mapping[str, tuple[str, ...]]] = {"text": (SHIPPED,)}

    text: str = Field(default=SHIPPED, description=f"which text: {SHIPPED}, or the path of one in UTF-8")
    fold: bool = Field(default=True, description="lower case, and every run of white space one blank")
    characters: int = Field(
        default=30, ge=2, le=SYMBOLS_MAX, description="most symbols; where a text has more, the rarest share the last"
    )
    validation_share: float = Field(
        default=0.1, gt=0, lt=0.5, description="share of the text, before the test, that checkpoints look at [fraction]"
    )
    test_share: float = Field(
        default=0.1, gt=0, lt=0.5, description="share of the text, its end, to test on [fraction]"
    )
    train_characters: int | None = Field(
        default=None, ge=2, description="only the first so many characters train; all by default"
    )
    hidden: int = Field(default=16, ge=1, description="units of each LSTM")
    depth: int = Field(default=1, ge=1, le=8, description="LSTMs on top of each other")
    sequence: int = Field(default=32, ge=1, description="characters of a training example")
    batch: int = Field(default=8, ge=1, description="examples per update")
    epochs: int = Field(default=4, ge=1, description="passes over the training text")
    rule: RuleName = Field(
        default="outer_product", description="how changes of weights become pulses: xbarlab list rules"
    )
    outer_turns: int = Field(default=10, ge=1, description="turns of a pulse train of rules by outer products")
    outer_rate: float = Field(
        default=6.0,
        gt=0,
        description="learning rate of rules by outer products, of the mean loss of a batch; the twin has it too",
    )
    rate_end: float = Field(
        default=0.1, gt=0, le=1, description="learning rate of the last step, as a share of the first; a straight line"
    )
    backward: Literal["host", "array"] = Field(
        default="array", description="errors go back by the conductances last read, or by products in reverse"
    )
    siemens: float = Field(default=60e-6, gt=0, description="conductance difference of a weight of 1 [S]")
    start_pulses: int = Field(default=150, ge=0, description="largest number of pulses of a random start, either way")
    halvings: int = Field(
        default=3,
        ge=0,
        le=8,
        description="bound management: how often the inputs of a product beyond the converters' largest range are "
        "halved, and it is sent again",
    )
    evaluations: int = Field(default=3, ge=1, description="passes over the test text behind the loss, its median")

    def measures(self) -> frozenset[str]:
        """Return what it gives."""
        own = {
            "test_loss", "train_text_loss", "validation_loss", "unigram_floor", "bigram_floor", "bigram_loss",
            "trigram_loss", "below_bigram_floor", "symbols", "characters_trained", "characters_tested",
            "folded_fraction", "products_halved", "products_saturated",
        }  # fmt: skip
        twin = {"float_twin_test_loss", "float_twin_train_text_loss"} if self.twin else set[str]()
        return super().measures() | own | twin

    def data(self) -> CharacterText:
        """Return the text."""
        return character_text(
            self.text,
            fold=self.fold,
            characters=self.characters,
            validation=self.validation_share,
            test=self.test_share,
        )

    def trained(self) -> Codes:
        """Return what of the text is trained on."""
        return self.data().train[: self.train_characters]

    def examples(self) -> int:
        """Return the training examples: windows beside each other."""
        return len(windows(self.trained(), self.sequence)[0])

    def vectors_per_example(self) -> int:
        """Return a product per character and layer, and as many back where the array takes errors back."""
        return self.sequence * (self.depth + 1) * (2 if self.backward == "array" else 1)

    def layers(self) -> list[LayerRequest]:
        """Return [x, h, 1] → 4·hidden for each LSTM and [h, 1] → symbols."""
        from ..networks.character_lstm import lstm_names

        symbols = len(self.data().symbols)
        lstms = [
            LayerRequest(name, (self.hidden if n else symbols) + self.hidden + 1, 4 * self.hidden)
            for n, name in enumerate(lstm_names(self.depth))
        ]
        return [*lstms, LayerRequest("dense", self.hidden + 1, symbols)]

    def floor(
        self, spec: ArraySpec, healthy: NDArray[np.bool_] | None = None, shorted: NDArray[np.bool_] | None = None
    ) -> FloorPlan:
        """Return where the layers go; refuse an alphabet that is too large for the array in a sentence of its own."""
        try:
            return super().floor(spec, healthy, shorted)
        except RefusedError as error:
            symbols, inputs = len(self.data().symbols), self.layers()[0].inputs
            raise RefusedError(
                f"{symbols} symbols, {self.hidden} units and a bias are {inputs} inputs of two rows each: fewer "
                f"characters or hidden units, or boards joined into a larger array; {error}"
            ) from error

    def network(self, weights: ArrayWeights) -> nn.Module:
        """Return the network on the array."""
        from ..networks.character_lstm import array_characters

        return array_characters(weights, len(self.data().symbols), self.hidden, self.depth)

    def twin_network(self, seed: int) -> nn.Module:
        """Return its float twin."""
        from ..networks.character_lstm import twin_characters

        return twin_characters(len(self.data().symbols), self.hidden, self.depth, seed=seed)

    def check(self, spec: ArraySpec) -> None:
        """Refuse a text that cannot be read, and one too short for an example, too."""
        self.examples()
        super().check(spec)


@dataclass(frozen=True, kw_only=True)
class RpuLstmResult:
    """How well the next character was predicted; losses in nats per character."""

    plan: RpuLstmPlan
    record: TrainingRecord
    text: CharacterText
    figures: dict[str, float]

    @property
    def frame(self) -> DataFrame:
        """One line per predictor: its loss on the test text."""
        from pandas import DataFrame

        rows = {name: self.figures[key] for key, name in NAMES.items() if key in self.figures}
        values = np.array(list(rows.values()))
        return DataFrame({"predictor": list(rows), "loss [nats/character]": values, "perplexity": np.exp(values)})

    def plot(self) -> Figure:
        """Return the learning curve between the floors."""
        return self.record.pictures(self._lines())[0][1]

    def metrics(self) -> dict[str, float]:
        """Return losses and what a step cost, as docs/quantities.md defines them."""
        return {**self.figures, **self.record.metrics()}

    def section(self) -> Section:
        """Return losses, learning curve and floor plan as a part of the report."""
        from ....analysis.report.report import Section

        said = self.figures
        side = "below" if said["below_bigram_floor"] > 0.0 else "not below"
        twin = f"; its float twin {said['float_twin_test_loss']:.3f}" if self.plan.twin else ""
        text = (
            f"{said['test_loss']:.3f} nats per character on the test text, {side} the bigram floor of "
            f"{said['bigram_floor']:.3f} (counted on the test text itself, so that no bigram table can be better) and "
            f"the unigram floor of {said['unigram_floor']:.3f}{twin}. Every product, errors "
            f"{'sent back by the array' if self.plan.backward == 'array' else 'taken back by the host'}.\n\n"
            f"{self.text.about}."
        )
        title = f"{self.plan.depth} × LSTM {self.plan.hidden} of characters, trained on the array by pulse trains"
        return Section(
            title,
            text,
            self.record.pictures(self._lines()),
            [("Loss on the test text.", self.frame.round(4)), self.record.cost_table()],
            leads=True,
        )

    def _lines(self) -> dict[str, float]:
        return _lines(self.figures)

    def __repr__(self) -> str:
        return (
            f"<RpuLstmResult {self.text.name}: {self.figures['test_loss']:.3f} nats per character, bigram floor "
            f"{self.figures['bigram_floor']:.3f}>"
        )


def train_rpu_lstm(array: CrossbarArray, plan: RpuLstmPlan, run: Run | None = None) -> RpuLstmResult:
    """Train a character LSTM in situ by outer products; a unit of work is ``checkpoint_every`` steps."""
    plan.check(array.spec)
    with one_thread():
        return _train(array, plan, Run.of(run))


def _train(array: CrossbarArray, plan: RpuLstmPlan, keep: Run) -> RpuLstmResult:
    text, test = plan.data(), "pass"
    floors = floors_of(plan)
    passes = [f"{test} {number}" for number in range(plan.evaluations)]
    again = plan.trained()[: len(text.test)]

    def measure(net: nn.Module) -> dict[str, Any]:
        each = {name: lambda: {"loss": text_loss(net, text.test)} for name in passes}
        return {**each, "training text": lambda: {"loss": text_loss(net, again)}, "bounds": partial(_bounds, net)}

    record = train_in_batches(
        array, plan, keep, loss_of(plan),
        curve_name="validation_loss",
        curve_note=f"{len(text.validation):,} characters",
        lines=_lines(floors),
        evaluate=lambda net: text_loss(net, text.validation),
        measure=measure,
        measure_twin=lambda twin: {"loss": text_loss(twin, text.test), "again": text_loss(twin, again)},
        twin_curve=True,
    )  # fmt: skip
    found = record.measured
    figures = {
        "test_loss": float(np.median([found[name]["loss"] for name in passes])),
        "train_text_loss": float(found["training text"]["loss"]),
        "validation_loss": float(record.curve[-1]),
        **floors,
        "symbols": float(len(text.symbols)),
        "characters_trained": float(len(plan.trained())),
        "characters_tested": float(len(text.test)),
        "folded_fraction": text.rest,
        "products_halved": float(found["bounds"]["halved"]),
        "products_saturated": float(found["bounds"]["saturated"]),
    }
    figures["below_bigram_floor"] = figures["bigram_floor"] - figures["test_loss"]
    if plan.twin:
        figures["float_twin_test_loss"] = float(found["twin"]["loss"])
        figures["float_twin_train_text_loss"] = float(found["twin"]["again"])
    return RpuLstmResult(plan=plan, record=record, text=text, figures=figures)


def floors_of(plan: RpuLstmPlan) -> dict[str, float]:
    """Return what counting characters comes to on the test text, without a network [nats per character]."""
    text, trained = plan.data(), plan.trained()
    symbols = len(text.symbols)
    tables = {
        f"{name}_loss": table_loss(trained, text.test, symbols, before, validation=text.validation)
        for before, name in ((1, "bigram"), (2, "trigram"))
    }
    floors = {f"{name}_floor": table_floor(text.test, symbols, n) for n, name in enumerate(("unigram", "bigram"))}
    return floors | tables


def loss_of(plan: RpuLstmPlan) -> Any:
    """Return the loss of a batch of windows of the training text."""
    import torch

    seen, following = (torch.from_numpy(one.copy()) for one in windows(plan.trained(), plan.sequence))

    def loss(model: nn.Module, index: Tensor, step: int) -> Tensor:
        del step
        return _lstm(model).loss(seen[index], following[index])

    return loss


def text_loss(model: nn.Module, codes: Codes) -> float:
    """Return the cross-entropy [nats per character] of a text, read in a hundred pieces at the same time."""
    import torch

    seen, following = windows(codes, max(1, (len(codes) - 1) // _STREAMS))
    with torch.no_grad():
        return float(_lstm(model).loss(torch.from_numpy(seen.copy()), torch.from_numpy(following.copy())))


def _bounds(net: nn.Module) -> dict[str, float]:
    from ..layers.array_layers import array_layers

    ranges = array_layers(net)[0].array_weights.ranges().values()
    return {"halved": float(sum(one.halved for one in ranges)), "saturated": float(sum(r.saturated for r in ranges))}


def _lines(figures: dict[str, float]) -> dict[str, float]:
    return {key.replace("_", " "): figures[key] for key in ("unigram_floor", "bigram_floor")}


def _lstm(model: nn.Module) -> CharacterLstm:
    from ..networks.character_lstm import CharacterLstm

    assert isinstance(model, CharacterLstm)
    return model
