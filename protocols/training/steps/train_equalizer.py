"""Train an LSTM in situ to equalize a line, beside its float twin and equalizers that need no network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ....analysis.estimates.estimates import flatten, mean_estimate
from ....analysis.networks.bit_errors import ENOUGH, ErrorCount, bit_errors, bursts, eye_opening
from ....analysis.networks.equalizers import LinearEqualizer, most_likely, tuned_lms
from ....instruments.capabilities import CrossbarArray
from ...keeping.run import Run
from ..tasks.equalization import MARGIN, Streams
from ..threads import one_thread
from .batches import train_in_batches
from .equalizer_plan import EqualizerPlan
from .training_record import TrainingRecord

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure
    from pandas import DataFrame
    from torch import Tensor, nn

    from ....analysis.report.report import Section
    from ..networks.equalizer import FeedbackEqualizer

LSTM, TWIN = "bit_error_rate", "float_twin_bit_error_rate"
NAMES = {
    LSTM: "LSTM on the array",
    TWIN: "its float twin",
    "ffe_bit_error_rate": "FFE, LMS",
    "ffe_dfe_bit_error_rate": "FFE + DFE, LMS",
    "mlse_bit_error_rate": "MLSE, channel known",
}
BASELINES = {"ffe": "ffe_bit_error_rate", "dfe": "ffe_dfe_bit_error_rate", "mlse": "mlse_bit_error_rate"}
# Taps that are tried, symbols they are adapted and judged on; a curve's streams; the times an eye is looked at.
_FORWARD, _FEEDBACK, _TUNING = (8, 16, 24), (2, 4), (20, 2000)
_CURVE_STREAMS, _CURVE_SYMBOLS = 100, 200
_PHASES = np.linspace(-0.5, 0.5, 17)
_EYE = (16, 64)
Pieces = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class EqualizerResult:
    """How many bits were wrong.

    Attributes
    ----------
    snr : [points] [dB]
    counts : summary key of a rate -> [points]
    lengths : summary key of a rate -> [bursts] symbols, at the SNR trained at
    eye : ``before``, ``after`` and ``symbols`` [phases, n]
    taps : what tuning chose for the equalizers that need no network, at the SNR trained at
    """

    plan: EqualizerPlan
    record: TrainingRecord
    snr: list[float]
    counts: dict[str, list[ErrorCount]]
    lengths: dict[str, NDArray[np.int64]]
    eye: Pieces
    figures: dict[str, float]
    taps: dict[str, str]

    @property
    def frame(self) -> DataFrame:
        """One line per equalizer and SNR."""
        from pandas import DataFrame

        rows: list[dict[str, Any]] = []
        for key, points in self.counts.items():
            for snr, count in zip(self.snr, points, strict=True):
                rate = count.rate()
                rows.append(
                    {"equalizer": NAMES[key], "snr [dB]": snr, "bit errors": count.total, "bits": int(count.bits.sum()),
                     "bit error rate": rate.value, "ci95 low": rate.low, "ci95 high": rate.high,
                     "is": "measured" if count.measured else "a bound: fewer than 100 errors"}
                )  # fmt: skip
        return DataFrame(rows)

    def plot(self) -> Figure:
        """Return bit error rates against SNR."""
        from ....analysis.networks.equalizer_figures import error_rates

        counts = {NAMES[key]: points for key, points in self.counts.items()}
        return error_rates(self.snr, counts, title=self._line(), trained_at=self.plan.snr)

    def metrics(self) -> dict[str, float]:
        """Return rates at the SNR trained at, with what they are compared with, as docs/quantities.md defines them."""
        return {**self.figures, **self.record.metrics()}

    def section(self) -> Section:
        """Return error rates, eyes, bursts and learning curve as a part of the report."""
        from pandas import DataFrame

        from ....analysis.networks.equalizer_figures import burst_lengths, eyes
        from ....analysis.report.report import Section

        here = self.snr.index(self.plan.snr)
        lines = {
            NAMES[key].removeprefix("its "): points[here].rate().value
            for key, points in self.counts.items()
            if key in {TWIN, "ffe_dfe_bit_error_rate"}
        }
        told = ", ".join(f"{value:.2e} of the {name}" for name, value in lines.items())
        table = self.frame
        shown = DataFrame(
            {
                "equalizer": table["equalizer"],
                "SNR [dB]": table["snr [dB]"],
                "bit errors": table["bit errors"],
                "bits": table["bits"],
                "bit error rate": [
                    f"{rate:.2e} ({low:.2e} … {high:.2e})" if known == "measured" else f"below {high:.2e}"
                    for rate, low, high, known in zip(
                        table["bit error rate"], table["ci95 low"], table["ci95 high"], table["is"], strict=True
                    )
                ],
            }
        )
        text = (
            f"{self._line()}, {self.plan.snr:g} dB: bit error rate {self.figures[LSTM]:.2e} on the array, trained in "
            f"situ, its own decisions fed back; {told}. FFE and DFE were tuned at every SNR, the LSTM was trained at "
            f"{self.plan.snr:g} dB alone. The MLSE is told the channel, its nonlinearity included: a bound. "
            f"An error goes on for {self.figures['error_burst_length']:.2f} symbols in the mean."
        )
        levels = self.plan.task().channel.levels
        title = f"{self.plan.snr:g} dB"
        return Section(
            f"LSTM equalizer trained on the array: {self._line()}",
            text,
            [
                ("Bit error rates against SNR, 95 % intervals over streams.", self.plot()),
                ("Samples of the line and outputs of the equalizer by the symbol sent, over the time of the sample: "
                 "bands hold 98 % and 50 %, lines are medians.",
                 eyes(_PHASES, self.eye["before"], self.eye["after"], self.eye["symbols"], levels, title=title)),
                (f"Bursts of errors at {title}.",
                 burst_lengths({NAMES[key]: found for key, found in self.lengths.items()}, quiet=self._quiet())),
                *self.record.pictures(lines),
            ],
            [
                ("Errors counted.", shown),
                ("What tuning chose at the SNR trained at.",
                 DataFrame({"equalizer": list(self.taps), "chosen": list(self.taps.values())})),
                self.record.cost_table(),
            ],
            leads=True,
        )  # fmt: skip

    def _line(self) -> str:
        return f"{self.plan.modulation.upper()} at symbol rate {self.plan.symbol_rate:g}, drive {self.plan.drive:g}"

    def _quiet(self) -> int:
        return max(1, self.plan.decisions)

    def __repr__(self) -> str:
        return f"<EqualizerResult {self._line()}: bit error rate {self.figures[LSTM]:.2e} at {self.plan.snr:g} dB>"


def train_equalizer(array: CrossbarArray, plan: EqualizerPlan, run: Run | None = None) -> EqualizerResult:
    """Train an LSTM decision-feedback equalizer in situ; a unit of work is ``checkpoint_every`` steps."""
    plan.check(array.spec)
    with one_thread():
        return _train(array, plan, Run.of(run))


def _train(array: CrossbarArray, plan: EqualizerPlan, keep: Run) -> EqualizerResult:
    import torch

    task, seed, total = plan.task(), keep.seed, plan.steps_max()
    lesson = task.streams(plan.snr, (plan.train_examples, plan.sequence), np.random.default_rng([seed, 0xE0]))
    windows, fed = torch.from_numpy(lesson.windows), torch.from_numpy(lesson.fed)

    def loss(model: nn.Module, index: Tensor, step: int) -> Tensor:
        equalizer, seen, sent = _equalizer(model), windows[index], fed[index]
        wanted = sent[:, plan.decisions :]
        if step >= plan.own_feedback * total:
            known = sent[:, : plan.decisions]
            sent = torch.cat([known, equalizer.operate(seen, known)[1]], 1)
        return equalizer.loss(seen, sent, wanted)

    curve = task.streams(plan.snr, (_CURVE_STREAMS, _CURVE_SYMBOLS), np.random.default_rng([seed, 0xE1]))
    points = {f"{snr:g} dB": snr for snr in plan.ratios()}

    def counted(model: nn.Module, snr: float) -> Pieces:
        return _counted(partial(_decided, model), plan, _received(plan, seed, snr))

    def true_feedback(model: nn.Module) -> Pieces:
        streams = next(_received(plan, seed, plan.snr))
        with torch.no_grad():
            out = _equalizer(model)(torch.from_numpy(streams.windows), torch.from_numpy(streams.fed))
        decided = torch.bucketize(out.contiguous(), _equalizer(model).thresholds).numpy()
        found = bit_errors(decided, streams.symbols, len(task.channel.levels))
        return {"errors": found.errors, "bits": found.bits}

    def measure(net: nn.Module) -> dict[str, Any]:
        each = {name: partial(counted, net, snr) for name, snr in points.items()}
        return {**each, "true feedback": lambda: true_feedback(net), "eye": lambda: _eye(net, plan, seed)}

    def measure_twin(twin: nn.Module) -> Pieces:
        return {f"{name}/{key}": value for name, snr in points.items() for key, value in counted(twin, snr).items()}

    def evaluate(net: nn.Module) -> float:
        return bit_errors(_decided(net, curve), curve.symbols, len(task.channel.levels)).rate().value

    simple = {f"{name} without a network": partial(_baselines, plan, seed, snr) for name, snr in points.items()}
    record = train_in_batches(
        array, plan, keep, loss,
        curve_name=LSTM,
        curve_note=f"{curve.symbols.size:,} symbols",
        evaluate=evaluate,
        measure=measure,
        measure_twin=measure_twin,
        compare=simple,
    )  # fmt: skip
    found = {LSTM: [record.measured[name] for name in points]}
    if plan.twin:
        found[TWIN] = [
            {
                key.partition("/")[2]: value
                for key, value in record.measured["twin"].items()
                if key.startswith(f"{name}/")
            }
            for name in points
        ]
    for short, key in BASELINES.items():
        found[key] = [
            {key.partition("/")[2]: value for key, value in one.items() if key.startswith(f"{short}/")}
            for one in (record.measured[name] for name in simple)
        ]
    counts = {key: [ErrorCount(one["errors"], one["bits"]) for one in ones] for key, ones in found.items()}
    here = list(points.values()).index(plan.snr)
    lengths = {key: ones[here]["lengths"] for key, ones in found.items()}
    eye, told = record.measured["eye"], record.measured["true feedback"]
    middle = len(_PHASES) // 2
    opening = {
        f"eye_opening_{when}": eye_opening(eye[when][middle], eye["symbols"][middle], task.channel.levels)
        for when in ("before", "after")
    }
    chosen = record.measured[f"{plan.snr:g} dB without a network"]
    mine, other = counts[LSTM][here], counts["ffe_dfe_bit_error_rate"][here]
    figures = {
        **{name: value for key, ones in counts.items() for name, value in flatten(key, ones[here].rate()).items()},
        "bit_error_rate_over_ffe_dfe": mine.rate().value / max(1e-12, other.rate().value),
        "bit_errors": float(mine.total),
        "bits_tested": float(mine.bits.sum()),
        "true_feedback_bit_error_rate": ErrorCount(told["errors"], told["bits"]).rate().value,
        **flatten("error_burst_length", mean_estimate(lengths[LSTM])),
        **opening,
    }
    return EqualizerResult(
        plan=plan, record=record, snr=list(points.values()), counts=counts, lengths=lengths, eye=eye, figures=figures,
        taps={NAMES[BASELINES[name]]: _said(chosen[f"{name}/chosen"]) for name in ("ffe", "dfe")},
    )  # fmt: skip


def _equalizer(model: nn.Module) -> FeedbackEqualizer:
    from ..networks.equalizer import FeedbackEqualizer

    assert isinstance(model, FeedbackEqualizer)
    return model


def _received(plan: EqualizerPlan, seed: int, snr: float) -> Iterator[Streams]:
    """Give the test streams, pass by pass: the same for everyone who is to decide them."""
    for number in range(plan.passes_max):
        rng = np.random.default_rng([seed, 0xE2, round(1000 * (snr + 100)), number])
        yield plan.task().streams(snr, (plan.streams, plan.stream_symbols), rng)


def _decided(model: nn.Module, streams: Streams) -> NDArray[np.int64]:
    import torch

    return _equalizer(model).operate(torch.from_numpy(streams.windows), torch.from_numpy(streams.known))[1].numpy()


def _counted(
    decide: Callable[[Streams], NDArray[np.int64]], plan: EqualizerPlan, received: Iterator[Streams]
) -> Pieces:
    """Count wrong bits until there are enough, or no more streams; and how long their bursts last."""
    levels = len(plan.task().channel.levels)
    errors: list[NDArray[np.int64]] = []
    bits: list[NDArray[np.int64]] = []
    lengths: list[NDArray[np.int64]] = []
    for streams in received:
        decided = decide(streams)
        found = bit_errors(decided, streams.symbols, levels)
        errors.append(found.errors)
        bits.append(found.bits)
        lengths.append(bursts(decided != streams.symbols, max(1, plan.decisions))[0])
        if sum(int(one.sum()) for one in errors) >= ENOUGH:
            break
    return {"errors": np.concatenate(errors), "bits": np.concatenate(bits), "lengths": np.concatenate(lengths)}


def _baselines(plan: EqualizerPlan, seed: int, snr: float) -> Pieces:
    """Tune FFE and DFE on streams of their own, and count the bits that they and the MLSE get wrong."""
    task = plan.task()
    levels = task.channel.levels
    rng = np.random.default_rng([seed, 0xE3, round(1000 * (snr + 100))])
    training, validation = (
        (one.samples, one.sent) for one in (task.streams(snr, _TUNING, rng), task.streams(snr, _TUNING, rng))
    )
    tuned = {
        "ffe": tuned_lms(training, validation, levels, forward=_FORWARD, feedback=(0,)),
        "dfe": tuned_lms(training, validation, levels, forward=_FORWARD, feedback=_FEEDBACK),
    }
    states = task.channel.states()

    def filtered(equalizer: LinearEqualizer, streams: Streams) -> NDArray[np.int64]:
        return equalizer.decide(streams.samples, streams.sent)[:, MARGIN:-MARGIN]

    decide: dict[str, Callable[[Streams], NDArray[np.int64]]] = {
        **{name: partial(filtered, equalizer) for name, equalizer in tuned.items()},
        "mlse": lambda streams: most_likely(streams.samples, states)[:, MARGIN:-MARGIN],
    }
    pieces: Pieces = {}
    for name, one in decide.items():
        counted = _counted(one, plan, _received(plan, seed, snr))
        pieces |= {f"{name}/{key}": value for key, value in counted.items()}
    for name, one in tuned.items():
        pieces[f"{name}/chosen"] = np.array([len(one.forward), len(one.feedback), one.ahead, one.step])
    return pieces


def _said(chosen: NDArray[np.float64]) -> str:
    forward, back, ahead, step = chosen.tolist()
    return f"{forward:.0f} samples, {ahead:.0f} of them after the symbol; {back:.0f} decisions; step {step:g}"


def _eye(net: nn.Module, plan: EqualizerPlan, seed: int) -> Pieces:
    """Look at samples and outputs at times from half a symbol too early to half a symbol too late."""
    import torch

    task = plan.task()
    parts = [task.streams(plan.snr, _EYE, np.random.default_rng([seed, 0xE4]), phase=float(phase)) for phase in _PHASES]
    windows, known = (np.concatenate([getattr(one, name) for one in parts]) for name in ("windows", "known"))
    out = _equalizer(net).operate(torch.from_numpy(windows), torch.from_numpy(known))[0].numpy()
    flat = len(_PHASES), _EYE[0] * _EYE[1]
    before: Mapping[str, Any] = {"before": np.stack([one.samples[:, MARGIN:-MARGIN].ravel() for one in parts])}
    symbols = np.stack([one.symbols.ravel() for one in parts])
    return {**before, "after": out.reshape(flat), "symbols": symbols}
