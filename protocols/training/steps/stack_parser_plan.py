"""What training a parser of two stacks is asked with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ....instruments.array_spec import ArraySpec
from ..layers.array_weights import ReadBack
from ..layers.weight_mapping import LayerRequest
from ..tasks.arc_hybrid import TAGS, TRANSITIONS, Sentences, sentences
from .batches import BatchPlan

if TYPE_CHECKING:
    from ..layers.array_weights import ArrayWeights
    from ..networks.stack_parser import StackParser


class StackParserPlan(BatchPlan):
    """Arc-hybrid transitions scored from the tops of a stack and a buffer; sizes that fit one board."""

    words: int = Field(default=9, ge=2, le=1000, description="most words of a sentence")
    hidden: int = Field(default=8, ge=1, description="LSTM units of the stack, and as many of the buffer")
    sentences: int = Field(default=4000, ge=1, le=1_000_000, description="sentences that are drawn to train on")
    tested: int = Field(default=400, ge=1, le=1_000_000, description="sentences of other kinds, drawn to test on")
    evaluations: int = Field(default=3, ge=1, description="passes over the test set behind the scores, their median")
    epochs: int = Field(default=4, ge=1, description="passes over the training set")
    optimiser: Literal["rmsprop", "sgd", "adam"] = Field(default="adam", description="on the host")
    rate: float = Field(default=0.03, gt=0, description="learning rate")
    rate_end: float = Field(
        default=0.1, gt=0, le=1, description="learning rate of the last step, as a share of the first; a straight line"
    )
    start_weights: Literal["rule", "twin"] = Field(
        default="twin", description="weights of the first step: as the rule starts, or the float twin's, written first"
    )
    read_back: ReadBack = Field(default="products", description="as of every training step")
    checkpoint_every: int = Field(default=40, ge=1, description="steps from one checkpoint to the next")

    def measures(self) -> frozenset[str]:
        """Return what it gives."""
        twin = {"float_twin_attachment_score", "attachment_over_twin"} if self.twin else set[str]()
        own = {"attachment_score", "action_accuracy", "distance_attachment_score", "test_examples", "test_words"}
        return super().measures() | own | twin | {"reads_per_useful_push"}

    def data(self) -> tuple[Sentences, Sentences]:
        """Return sentences to train on, and others to test on."""
        return sentences(self.words, self.sentences, self.tested)

    def examples(self) -> int:
        """Return the training sentences."""
        return self.sentences

    def layers(self) -> list[LayerRequest]:
        """Return [x, h, 1] → gates of stack and of buffer, and [h, h, 1] → transitions."""
        inputs = len(TAGS) + self.hidden + 1
        return [
            LayerRequest("stack", inputs, 4 * self.hidden, copies_down=self.copies),
            LayerRequest("buffer", inputs, 4 * self.hidden, copies_down=self.copies),
            LayerRequest("dense", 2 * self.hidden + 1, len(TRANSITIONS), copies_down=self.copies),
        ]

    def network(self, weights: ArrayWeights) -> StackParser:
        """Return the network on the array."""
        from ..networks.stack_parser import array_parser

        return array_parser(weights, TRANSITIONS, len(TAGS), self.words)

    def twin_network(self, seed: int) -> StackParser:
        """Return its float twin."""
        from ..networks.stack_parser import twin_parser

        return twin_parser(TRANSITIONS, len(TAGS), self.hidden, self.words, seed=seed)

    def vectors_per_example(self) -> int:
        """Return one product per word and the root, and two per transition."""
        return self.words + 1 + 4 * self.words

    def check(self, spec: ArraySpec) -> None:
        """Refuse sentences that there are not, too."""
        self.data()
        super().check(spec)
