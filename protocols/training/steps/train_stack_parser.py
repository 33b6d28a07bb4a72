"""Train an arc-hybrid parser of two StackLSTMs in situ, beside its float twin and what is commonest for a tag."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ....analysis.networks.parsing import attachment_score, commonest_distance
from ....instruments.capabilities import CrossbarArray
from ...keeping.run import Run
from ..tasks.arc_hybrid import NONE, TAGS, IntArray, Sentences
from ..threads import one_thread
from .batches import train_in_batches
from .stack_parser_plan import StackParserPlan
from .training_record import TrainingRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame
    from torch import Tensor, nn

    from ....analysis.report.report import Section
    from ..networks.stack_parser import StackParser

_CURVE = 200
ARRAY, TWIN, SIMPLE = "on the array", "float twin", "commonest distance of the tag"
KEYS = {ARRAY: "attachment_score", TWIN: "float_twin_attachment_score", SIMPLE: "distance_attachment_score"}


@dataclass(frozen=True, kw_only=True)
class StackParserResult:
    """How sentences were parsed.

    Attributes
    ----------
    test : the sentences, their trees and the oracle's transitions
    found : who -> heads given [sentences, words]; of the array those of the first pass
    """

    record: TrainingRecord
    test: Sentences
    found: dict[str, IntArray]
    figures: dict[str, float]

    @property
    def frame(self) -> DataFrame:
        """One line per word of the test set."""
        from pandas import DataFrame

        sentence, word = np.nonzero(self.test.heads != NONE)
        return DataFrame(
            {
                "sentence": sentence,
                "word": word,
                "tag": np.asarray(TAGS)[self.test.tags[sentence, word]],
                "head": self.test.heads[sentence, word],
                **{who: heads[sentence, word] for who, heads in self.found.items()},
            }
        )

    def plot(self) -> Figure:
        """Return the fraction of right heads by kind of word."""
        from ....analysis.networks.parsing import attachment_figure

        return attachment_figure(TAGS, self.test.tags, self.test.heads, self.found)

    def metrics(self) -> dict[str, float]:
        """Return scores and what a step cost, as docs/quantities.md defines them."""
        return {**self.figures, **self.record.metrics()}

    def section(self) -> Section:
        """Return scores, heads by kind of word and learning curve as a part of the report."""
        from pandas import DataFrame

        from ....analysis.report.report import Section

        scores = {who: self.figures[key] for who, key in KEYS.items() if key in self.figures}
        beside = " and ".join(f"{value:.2%} ({who})" for who, value in scores.items() if who != ARRAY)
        text = (
            f"{scores[ARRAY]:.2%} of the heads of {self.figures['test_words']:,.0f} words in "
            f"{self.figures['test_examples']:,.0f} test sentences are right, parsed by its own transitions, every "
            f"product on the array; {beside}. Given the oracle's transitions so far, "
            f"{self.figures['action_accuracy']:.2%} of the next ones are the oracle's.\n\nAll sentences go in step: "
            "the stack is computed for every one at every transition, and what is not pushed is left to be "
            f"overwritten. Stack and buffer multiply {self.figures['reads_per_useful_push']:.2f} vectors for each that "
            "is pushed.\n\nTrees are drawn from a small grammar; no sequence of tags is both trained on and tested."
        )
        table = DataFrame({"parser": list(scores), "heads right": [f"{value:.2%}" for value in scores.values()]})
        return Section(
            "Arc-hybrid parser of two parallel StackLSTMs, trained on the array",
            text,
            [
                ("Heads by kind of word.", self.plot()),
                *self.record.pictures({who: value for who, value in scores.items() if who != ARRAY}),
            ],
            [("Heads of the test set.", table), self.record.cost_table()],
            leads=True,
        )

    def __repr__(self) -> str:
        return f"<StackParserResult: {self.figures['attachment_score']:.2%} of the heads right>"


def train_stack_parser(array: CrossbarArray, plan: StackParserPlan, run: Run | None = None) -> StackParserResult:
    """Train a parser of two StackLSTMs in situ on the oracle's transitions; a unit is ``checkpoint_every`` steps."""
    plan.check(array.spec)
    with one_thread():
        return _train(array, plan, run)


def _train(array: CrossbarArray, plan: StackParserPlan, run: Run | None) -> StackParserResult:
    import torch
    from torch.nn import functional

    keep, (train, test) = Run.of(run), plan.data()
    tags, actions = torch.from_numpy(train.tags), torch.from_numpy(train.actions)
    simple = commonest_distance(train.tags, train.heads, test.tags)
    seen = test.first(_CURVE)
    passes = [f"pass {number}" for number in range(plan.evaluations)]

    def loss(model: nn.Module, index: Tensor, step: int) -> Tensor:
        del step
        return functional.cross_entropy(model(tags[index], actions[index]), actions[index], ignore_index=NONE)

    record = train_in_batches(
        array, plan, keep, loss,
        curve_name="attachment_score",
        curve_note=f"first {len(seen):,} test sentences" if len(seen) < len(test) else "",
        lines={SIMPLE: attachment_score(simple, test.heads)},
        evaluate=lambda net: attachment_score(_parsed(net, seen), seen.heads),
        measure=lambda net: {
            **{name: partial(_looked_at, net, test) for name in passes},
            "transitions": partial(_transitions, net, test),
        },
        measure_twin=lambda twin: {"heads": _parsed(twin, test)},
        twin_curve=True,
    )  # fmt: skip
    looked = [record.measured[name] for name in passes]
    found = {ARRAY: looked[0]["heads"]}
    if plan.twin:
        found[TWIN] = record.measured["twin"]["heads"]
    found[SIMPLE] = simple
    pushes = int((test.words * 2 + 1).sum())
    figures = {
        "attachment_score": float(np.median([attachment_score(one["heads"], test.heads) for one in looked])),
        "action_accuracy": float(record.measured["transitions"]["accuracy"]),
        "distance_attachment_score": attachment_score(simple, test.heads),
        "reads_per_useful_push": float(looked[0]["reads"]) / pushes,
        "test_examples": float(len(test)),
        "test_words": float(test.words.sum()),
    }
    if plan.twin:
        figures["float_twin_attachment_score"] = attachment_score(found[TWIN], test.heads)
        figures["attachment_over_twin"] = figures["attachment_score"] / max(
            1e-9, figures["float_twin_attachment_score"]
        )
    return StackParserResult(record=record, test=test, found=found, figures=figures)


def _parser(model: nn.Module) -> StackParser:
    from ..networks.stack_parser import StackParser

    assert isinstance(model, StackParser)
    return model


def _parsed(model: nn.Module, part: Sentences) -> IntArray:
    import torch

    return part.parsed(_parser(model).parse(torch.from_numpy(part.tags), part.actions.shape[1]).numpy())


def _looked_at(net: nn.Module, test: Sentences) -> dict[str, Any]:
    """Return the heads that the network on the array gives, and the vectors its two stacked layers multiplied."""
    from ..layers.array_weights import ArrayWeights

    weights: Any = _parser(net).dense.array_weights
    assert isinstance(weights, ArrayWeights)
    before = {name: weights.products[name] for name in ("stack", "buffer")}
    heads = _parsed(net, test)
    return {"heads": heads, "reads": sum(weights.products[name] - n for name, n in before.items())}


def _transitions(net: nn.Module, test: Sentences) -> dict[str, Any]:
    """Return the fraction of the oracle's transitions that score highest, those before them being the oracle's."""
    import torch

    with torch.no_grad():
        scores: Tensor = net(torch.from_numpy(test.tags), torch.from_numpy(test.actions))
    known = test.actions != NONE
    return {"accuracy": (scores.numpy().argmax(1) == test.actions)[known].mean()}
