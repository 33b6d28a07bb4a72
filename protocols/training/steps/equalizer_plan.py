"""What training an equalizer is asked with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ....instruments.array_spec import ArraySpec
from ...plan import with_intervals
from ..layers.array_weights import ReadBack
from ..layers.weight_mapping import LayerRequest
from ..tasks.equalization import EqualizerTask
from ..tasks.labelled import check_drawn
from ..tasks.line_channel import RATE_HIGH, RATE_LOW, SNR_HIGH, SNR_LOW, LineChannel, Modulation
from .batches import BatchPlan

if TYPE_CHECKING:
    from torch import Tensor

    from ..layers.array_weights import ArrayWeights
    from ..networks.equalizer import FeedbackEqualizer

Snr = Annotated[float, Field(ge=SNR_LOW, le=SNR_HIGH)]
RATES = ("bit_error_rate", "ffe_bit_error_rate", "ffe_dfe_bit_error_rate", "mlse_bit_error_rate")
TWIN_RATE = "float_twin_bit_error_rate"


class EqualizerPlan(BatchPlan):
    """8 samples and 2 past decisions → LSTM 14 → 1, trained in situ with written weights corrected by what is read."""

    modulation: Modulation = Field(default="nrz", description="nrz has two levels, pam4 four")
    symbol_rate: float = Field(
        default=1.0, ge=RATE_LOW, le=RATE_HIGH, description="symbols from one echo of the line to the next"
    )
    drive: float = Field(default=0.5, ge=0, le=5, description="what an amplitude of 1 is to the receiver's tanh")
    snr: Snr = Field(default=12.0, description="signal to noise of the samples trained on [dB]")
    sweep: tuple[Snr, ...] = Field(default=(), description="other ratios that are measured, without training anew [dB]")
    window: int = Field(default=8, ge=1, le=32, description="samples seen of every symbol")
    ahead: int = Field(default=5, ge=0, description="how many of them come after the symbol's own")
    decisions: int = Field(default=2, ge=0, le=32, description="how many of its last decisions it sees")
    hidden: int = Field(default=14, ge=1, description="LSTM units")
    sequence: int = Field(default=24, ge=1, le=1000, description="symbols of a training example")
    train_examples: int = Field(default=12_800, ge=1, le=1_000_000, description="training examples")
    own_feedback: float = Field(
        default=0.25, ge=0, le=1, description="share of the training in which the symbols sent are fed back; "
        "from then on it learns with its own decisions [fraction]"
    )  # fmt: skip
    streams: int = Field(default=250, ge=2, le=10_000, description="streams received at the same time in an evaluation")
    stream_symbols: int = Field(default=400, ge=8, le=100_000, description="symbols of each")
    passes_max: int = Field(
        default=10, ge=1, description="times that all streams are received, until 100 bit errors are seen"
    )
    epochs: int = Field(default=7, ge=1, description="passes over the training set")
    batch: int = Field(default=64, ge=1, description="examples per update")
    optimiser: Literal["rmsprop", "sgd", "adam"] = Field(default="adam", description="on the host")
    rate: float = Field(default=0.02, gt=0, description="learning rate")
    rate_end: float = Field(
        default=0.05, gt=0, le=1, description="learning rate of the last step, as a share of the first; a straight line"
    )
    # What follows carries a training there on the array's own noise; docs of the runbook say what each is for.
    read_back: ReadBack = Field(default="products", description="as of every training step")
    read_average: int = Field(default=4, ge=1, description="conversions per cell of the read after every step")
    feedback: bool = Field(default=True, description="correct what the last read shows to be off")
    rounds: int = Field(default=2, ge=1, description="writes and reads in one step, at most")
    final_rounds: int = Field(default=15, ge=0, description="writes and reads after the last step")
    refresh: bool = Field(default=False, description="SET all cells in every step, or only those that change")
    least: float = Field(default=0.03, ge=0, description="gate voltage changes up to this wait for the next step [V]")
    copies: int = Field(default=2, ge=1, description="copies of every layer over other rows, averaged in the column")
    copies_across: int = Field(
        default=1, ge=1, description="how often these copies are there, over other columns or boards"
    )
    siemens: float = Field(default=70e-6, gt=0, description="conductance difference of a weight of 1 [S]")
    slope: float = Field(default=80e-6, gt=0, description="conductance per gate voltage of a SET [S/V]")
    gate_low: float = Field(default=1.6, gt=0, description="lowest gate voltage of a SET [V]")
    gate_start: float = Field(default=2.4, gt=0, description="gate voltage of the first SET [V]")
    gate_high: float = Field(default=3.2, gt=0, description="highest gate voltage of a SET [V]")
    healthy_lines: bool = Field(
        default=True, description="leave out rows and columns with bad cells, as this run's yield map has them"
    )
    bad_share: float = Field(
        default=0.05, ge=0, lt=1, description="with healthy_lines: share of bad cells a line may have if need be"
    )

    def measures(self) -> frozenset[str]:
        """Return what it gives."""
        rates = with_intervals(*RATES, *((TWIN_RATE,) if self.twin else ()))
        ratios = {"bit_error_rate_over_ffe_dfe", "bit_errors", "bits_tested", "true_feedback_bit_error_rate"}
        eyes = {"eye_opening_before", "eye_opening_after"}
        return super().measures() | rates | ratios | eyes | with_intervals("error_burst_length")

    def task(self) -> EqualizerTask:
        """Return the channel and what the equalizer is given of it."""
        channel = LineChannel(self.modulation, self.symbol_rate, self.drive)
        return EqualizerTask(channel, self.window, self.ahead, self.decisions)

    def ratios(self) -> list[float]:
        """Return all SNRs that are measured [dB], rising."""
        return sorted({self.snr, *self.sweep})

    def examples(self) -> int:
        """Return the training examples."""
        return self.train_examples

    def layers(self) -> list[LayerRequest]:
        """Return [samples, decisions, h, 1] → 4·hidden and [h, 1] → 1, plus rows above minus rows."""
        inputs = self.window + self.decisions + self.hidden + 1
        sizes = {"lstm": (inputs, 4 * self.hidden), "dense": (self.hidden + 1, 1)}
        return [
            LayerRequest(name, *size, "stacked", copies_down=self.copies, copies_across=self.copies_across)
            for name, size in sizes.items()
        ]

    def network(self, weights: ArrayWeights) -> FeedbackEqualizer:
        """Return the network on the array."""
        from ..networks.equalizer import array_equalizer

        return array_equalizer(weights, self.window, self.decisions, self._levels())

    def twin_network(self, seed: int) -> FeedbackEqualizer:
        """Return its float twin."""
        from ..networks.equalizer import twin_equalizer

        return twin_equalizer(self.window, self.decisions, self.hidden, self._levels(), seed=seed)

    def vectors_per_example(self) -> int:
        """Return two products per symbol, twice where its own decisions are made first."""
        return 2 * self.sequence * (1 + int(self.own_feedback < 1.0))

    def check(self, spec: ArraySpec) -> None:
        """Refuse a window that does not fit its symbol, and more symbols than fit a machine, too."""
        self.task()
        for streams, symbols in ((self.train_examples, self.sequence), (self.streams, self.stream_symbols)):
            check_drawn(streams, symbols, self.window + self.decisions)
        super().check(spec)

    def _levels(self) -> Tensor:
        import torch

        return torch.from_numpy(self.task().channel.levels.astype("float32"))
