"""How a cell answers one pulse: the step of conductance against conductance in both directions, and who can use it.

A step is told from two reads, so it has the noise of both; what two reads differ by without a pulse is measured beside
it. Numbers are of cells: each cell's mean step, then the median over cells.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..estimates.estimates import (
    Estimate,
    Floats,
    clustered_fraction_estimate,
    median_estimate,
    std_estimate,
)
from ..plots.plots import FAINT, INK, PALETTE, new_figure, note, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

UP, DOWN = 0, 1
NAMES = ("SET", "RESET")
WRONG_BEYOND = 2.0
"""A step goes the wrong way when it does so by more than so many standard deviations of the reads' difference."""
_BINS = 8
_RESAMPLES = 2000


@dataclass(frozen=True)
class PulsePair:
    """The two pulses a rule writes with: magnitudes [V], gates [V] (0 where there are none), width [s]."""

    set_volts: float
    set_gate: float
    reset_volts: float
    reset_gate: float
    width: float

    @property
    def key(self) -> str:
        """What an answer to these pulses is kept under."""
        return " ".join(f"{name}={value:.6g}" for name, value in asdict(self).items())

    def said(self, way: int) -> str:
        """Return one of them in words: "SET of 1.2 V at gate 1.2 V"."""
        volts, gate = (self.set_volts, self.set_gate) if way == UP else (self.reset_volts, self.reset_gate)
        return f"{NAMES[way]} of {volts:g} V" + (f" at gate {gate:g} V" if gate else "")


@dataclass(frozen=True)
class PulseAnswer:
    """Reads around single pulses.

    Parameters
    ----------
    low, high : float [S]
        Range of conductance the cells were brought to.
    first, before, after : ndarray [2, repeats, starts, cells] [S]
        SET and RESET. Two reads before the pulse and one after it; nan where the cell was outside the range.
    """

    low: float
    high: float
    first: Floats
    before: Floats
    after: Floats

    @property
    def span(self) -> float:
        """Width of the range [S]."""
        return self.high - self.low

    @property
    def step(self) -> Floats:
        """ΔG of every pulse [S], signed."""
        return self.after - self.before

    @property
    def null(self) -> Floats:
        """What the two reads before every pulse differ by [S]."""
        return self.before - self.first

    def wanted(self, way: int) -> Floats:
        """Return the steps of one direction over the range, positive where they go the way they should."""
        return (1.0 if way == UP else -1.0) * self.step[way] / self.span

    def of_cells(self, way: int) -> Floats:
        """Return the mean of :meth:`wanted` of every cell [cells], over starts first, each start alike."""
        per_start = _mean(self.wanted(way), axis=0)
        return _mean(per_start, axis=0)


@dataclass(frozen=True)
class AnswerSummary:
    """What is kept of an answer: steps over the range, in the direction they should have.

    ``noise`` is the standard deviation of the difference of two reads over the range, ``cells`` and ``samples`` what
    the numbers are of, ``missed`` the share of pulses before which a cell was outside the range.
    """

    pulses: PulsePair
    low: float
    high: float
    up: Estimate
    down: Estimate
    up_wrong: Estimate
    down_wrong: Estimate
    asymmetry: Estimate
    noise: Estimate
    cells: int
    samples: int
    missed: float

    @property
    def steps(self) -> Estimate:
        """How many of the larger of both steps the range holds."""
        return max(self.up, self.down, key=lambda one: abs(one.value)).inverse()

    def plain(self) -> dict[str, Any]:
        """Return it as plain numbers and text."""
        return asdict(self)

    @classmethod
    def of_plain(cls, content: dict[str, Any]) -> AnswerSummary:
        """Return what :meth:`plain` gave."""
        made: dict[str, Any] = {**content, "pulses": PulsePair(**content["pulses"])}
        for name in ("up", "down", "up_wrong", "down_wrong", "asymmetry", "noise"):
            made[name] = Estimate(**content[name])
        return cls(**made)


def summarise(answer: PulseAnswer, pulses: PulsePair) -> AnswerSummary:
    """Return the numbers of an answer; intervals are of cells."""
    up, down = answer.of_cells(UP), answer.of_cells(DOWN)
    null = answer.null[np.isfinite(answer.null)] / answer.span
    noise = std_estimate(null)
    known = np.isfinite(answer.step)
    return AnswerSummary(
        pulses=pulses,
        low=answer.low,
        high=answer.high,
        up=median_estimate(up),
        down=median_estimate(down),
        up_wrong=_wrong(answer, UP, noise.value),
        down_wrong=_wrong(answer, DOWN, noise.value),
        asymmetry=_asymmetry(up, down),
        noise=noise,
        cells=int((np.isfinite(up) | np.isfinite(down)).sum()),
        samples=int(known.sum()),
        missed=float(1.0 - known.mean()) if known.size else float("nan"),
    )


def answer_metrics(summary: AnswerSummary) -> dict[str, Estimate]:
    """Return the estimates of a summary by their keys."""
    return {
        "answer_up_median": summary.up,
        "answer_down_median": summary.down,
        "answer_asymmetry": summary.asymmetry,
        "answer_up_wrong_fraction": summary.up_wrong,
        "answer_down_wrong_fraction": summary.down_wrong,
        "answer_noise": summary.noise,
        "answer_steps": summary.steps,
    }


def _wrong(answer: PulseAnswer, way: int, noise: float) -> Estimate:
    step = answer.wanted(way)
    known = np.isfinite(step)
    off = known & (step < -WRONG_BEYOND * noise)
    cells = step.shape[-1]
    return clustered_fraction_estimate(off.reshape(-1, cells).sum(axis=0), known.reshape(-1, cells).sum(axis=0))


def _asymmetry(up: Floats, down: Floats) -> Estimate:
    """Return (down − up)/(down + up) of the medians over cells, with a percentile bootstrap over cells."""
    from scipy.stats import bootstrap

    both = np.isfinite(up) & np.isfinite(down)
    up, down = up[both], down[both]
    n = int(both.sum())
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)

    def share(a: Floats, b: Floats, axis: int = -1) -> Any:
        rise, fall = np.median(a, axis=axis), np.median(b, axis=axis)
        total = np.abs(rise) + np.abs(fall)
        return np.where(total > 0.0, (fall - rise) / np.where(total > 0.0, total, 1.0), 0.0)

    value = float(share(up, down))
    if n < 3:
        return Estimate(value, np.nan, np.nan, n)
    found = bootstrap(
        (up, down), share, paired=True, vectorized=True, n_resamples=_RESAMPLES, method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return Estimate(value, float(found.low), float(found.high), n)


def _mean(values: Floats, axis: int) -> Floats:
    known = np.isfinite(values)
    count = known.sum(axis=axis)
    return np.where(count > 0, np.where(known, values, 0.0).sum(axis=axis) / np.maximum(count, 1), np.nan)


# -- can a rule learn with it? ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StepNeeds:
    """What a rule needs of one pulse, in both directions.

    Parameters
    ----------
    least, most : float
        Step of the median cell over the range; ``most`` is one over the least number of steps that must fit.
    span : float [S]
        Width of the range that its weights take of a cell: an answer is of a range at least as wide.
    wrong_most : float
        Share of steps that go the wrong way beyond the noise of the reads, above which learning is in doubt: with
        enough of them the mean step still counts, so it is no reason to refuse.
    """

    least: float
    most: float
    span: float
    wrong_most: float = 0.25


@dataclass(frozen=True)
class Verdict:
    """Whether a rule can work: ``failing`` says what it cannot get, ``unsure`` what the reads cannot tell."""

    failing: tuple[str, ...]
    unsure: tuple[str, ...]

    @property
    def works(self) -> bool:
        """Nothing is known to be missing."""
        return not self.failing


def judge(summary: AnswerSummary, needs: StepNeeds) -> Verdict:
    """Hold an answer against what a rule needs.

    Something is failing when the whole interval says so (the value, where there is no interval), and unsure when a part
    of it does, or when nothing could be measured.
    """
    failing: list[str] = []
    unsure: list[str] = []
    for way, step, wrong in ((UP, summary.up, summary.up_wrong), (DOWN, summary.down, summary.down_wrong)):
        name = NAMES[way]
        if not np.isfinite(step.value):
            unsure.append(f"nothing is known of the {name} step, before which no cell was in the range")
            continue
        low, high = _ends(step)
        for certain, possible, what in (
            (high < needs.least, low < needs.least, "too small"),
            (low > needs.most, high > needs.most, "too large"),
            (False, _ends(wrong)[0] > needs.wrong_most, "too often of the wrong sign to learn fast"),
        ):
            if certain:
                failing.append(f"the {name} step is {what}")
            elif possible:
                unsure.append(f"the {name} step may be {what}")
    return Verdict(tuple(failing), tuple(unsure))


def _ends(estimate: Estimate) -> tuple[float, float]:
    if np.isfinite(estimate.low) and np.isfinite(estimate.high):
        return estimate.low, estimate.high
    return estimate.value, estimate.value


def what_it_gives(summary: AnswerSummary) -> str:
    """Return, in words, what one pulse of either kind does on this chip."""
    span = summary.high - summary.low
    parts: list[str] = []
    for way, step, sign in ((UP, summary.up, 1.0), (DOWN, summary.down, -1.0)):
        moved = step.scaled(sign * span)
        between = f" ({_us(moved.low)} to {_us(moved.high)})" if np.isfinite(moved.low) else ""
        moves = f"moves the median cell by {_us(moved.value)} µS{between}"
        found = moves if np.isfinite(moved.value) else "was given to no cell, as none was in the range"
        parts.append(f"one {summary.pulses.said(way)} {found}")
    told = f"{parts[0]}, {parts[1]}, pulses of {summary.pulses.width * 1e9:g} ns, {summary.cells} cells"
    if not np.isfinite(summary.noise.value):
        return told
    return f"{told}; two reads differ by {summary.noise.value * span * 1e6:.2g} µS (1 σ) without a pulse"


def what_is_needed(summary: AnswerSummary, needs: StepNeeds) -> str:
    """Return, in words, which steps a rule needs on the range of this answer."""
    span = (summary.high - summary.low) * 1e6
    most = f" to {needs.most * span:.3g}" if np.isfinite(needs.most) else " or more"
    ends = f"{summary.low * 1e6:.3g} to {summary.high * 1e6:.3g} µS"
    return f"SETs and RESETs that move a cell by {needs.least * span:.2g}{most} µS in a range of {ends}"


def _us(siemens: float) -> str:
    text = f"{siemens * 1e6:+.2f}" if abs(siemens) < 10e-6 else f"{siemens * 1e6:+.0f}"
    return text.replace("-", "−")


# -- tables and figures ----------------------------------------------------------------------------------------------


def answer_table(answer: PulseAnswer) -> DataFrame:
    """Return a row per direction and tenth of the range: steps, median ΔG with its interval, middle half [S]."""
    from pandas import DataFrame

    rows: list[dict[str, object]] = []
    for way in (UP, DOWN):
        for low, high, step in _binned(answer, way):
            middle = median_estimate(step)
            quarter, three = np.quantile(step, (0.25, 0.75)).tolist()
            rows.append(
                {
                    "pulse": NAMES[way], "from [µS]": low * 1e6, "to [µS]": high * 1e6, "steps": step.size,
                    "median ΔG [µS]": middle.value * 1e6, "95 % low": middle.low * 1e6, "95 % high": middle.high * 1e6,
                    "25 %": quarter * 1e6, "75 %": three * 1e6,
                }
            )  # fmt: skip
    return DataFrame(rows)


def _binned(answer: PulseAnswer, way: int) -> list[tuple[float, float, Floats]]:
    """Return ends [S] and steps [S] of every bin of G that holds any.

    G is the first of the two reads: the second one is a part of the step, and its noise would tilt the line.
    """
    g, step = answer.first[way].ravel(), answer.step[way].ravel()
    known = np.isfinite(g) & np.isfinite(step)
    g, step = g[known], step[known]
    if not g.size:
        return []
    edges = np.linspace(min(answer.low, float(g.min())), max(answer.high, float(g.max())) * (1 + 1e-9), _BINS + 1)
    number = np.digitize(g, edges) - 1
    return [(edges[k], edges[k + 1], step[number == k]) for k in range(_BINS) if (number == k).any()]


@styled
def answer_figure(answer: PulseAnswer, summary: AnswerSummary, *, title: str = "Answer to one pulse") -> Figure:
    """Draw ΔG against G, SETs and RESETs side by side: every step, the median with the middle half, the read noise."""
    figure, axes = new_figure(11.0, 4.6, 2)
    for way, ax in enumerate(axes):
        _panel(ax, answer, summary, way)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return figure


def _panel(ax: Axes, answer: PulseAnswer, summary: AnswerSummary, way: int) -> None:
    colour = PALETTE[way]
    ax.set(title=f"One {summary.pulses.said(way)}", xlabel="G before (µS)", ylabel="ΔG (µS)")
    g, step = answer.first[way].ravel() * 1e6, answer.step[way].ravel() * 1e6
    if not np.isfinite(step).any():
        note(ax, "no cell could be brought into the range")
        return
    sigma = summary.noise.value * answer.span * 1e6
    ax.axhspan(-2 * sigma, 2 * sigma, color=FAINT, alpha=0.25, lw=0, label=f"two reads, ±2 σ (σ {sigma:.2g} µS)")
    ax.axhline(0.0, color=INK, linewidth=0.8)
    ax.plot(g, step, ".", color=colour, markersize=3.0, alpha=0.35, label=f"every pulse ({np.isfinite(step).sum():,})")
    bins = _binned(answer, way)
    at = [0.5e6 * (low + high) for low, high, _ in bins]
    low, middle, high = (np.array([np.quantile(one, q) for _, _, one in bins]) * 1e6 for q in (0.25, 0.5, 0.75))
    ax.fill_between(at, low, high, color=colour, alpha=0.25, lw=0, label="middle half")
    ax.plot(at, middle, "o-", color=colour, markersize=4.0, linewidth=1.8, label="median")
    ax.axvspan(answer.low * 1e6, answer.high * 1e6, color=FAINT, alpha=0.06, lw=0)
    reach = float(np.nanmax(np.abs(step)))
    if reach > 30.0 * max(float(np.nanmedian(np.abs(step))), sigma, 1e-12):
        # A whole decade, or ticks crowd at zero.
        linear = 10.0 ** np.ceil(np.log10(max(2 * sigma, 1e-3 * reach)))
        ax.set_yscale("symlog", linthresh=linear, linscale=0.7)
        ax.yaxis.set_major_formatter("{x:g}")
    ax.legend(loc="best")
