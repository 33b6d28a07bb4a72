"""Ways of programming side by side: pulses, success and energy of each, and which part of the work took the pulses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..estimates.estimates import Estimate, Floats, flatten, fraction_estimate, mean_estimate
from ..plots.plots import PALETTE, note, styled
from ..quantities import FRACTION, format_value
from .levels import error_cdf, programmed_fraction

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

EQUAL_SUCCESS = 0.02
"""Staircases whose success differs by less are taken as equally successful: about two standard errors on 512 cells."""
OURS = "read_verify"
WAYS = {OURS: ("", "read–verify"), "ispp": ("ispp_", "ISPP"), "gate_staircase": ("gate_staircase_", "gate staircase")}
"""Of every way, what its keys begin with and what it is called."""
PARTS = ("initialisation", "approach", "last approach", "re-opened")
"""Kinds of pulses: :func:`split_of_pulses` says which is which."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Attempt:
    """One staircase on all cells once, from the common start; arrays are [cells], of those that were tried.

    Attributes
    ----------
    bits, way, setting : bits per cell, a key of :data:`WAYS`, the staircase in words
    target, start, final : G wanted, found before the first pulse, and read at the end [S]
    low, high : between which conductances a cell stands for its level [S]
    closed : where the window has both its ends, so that an error has a meaning
    split : pulses [parts, cells], as :data:`PARTS`
    sets : SET pulses; the others are RESETs
    reversals : changes of polarity
    energy : of all pulses [J]
    accepted : in the window at the last delayed re-verify, more or less (``success_fraction``)
    reasons : how each cell ended, in words
    """

    bits: int
    way: str
    setting: str
    target: Floats
    start: Floats
    final: Floats
    low: Floats
    high: Floats
    closed: NDArray[np.bool_]
    split: NDArray[np.int64]
    sets: NDArray[np.int64]
    reversals: NDArray[np.int64]
    energy: Floats
    accepted: NDArray[np.bool_]
    reasons: tuple[str, ...]

    @property
    def pulses(self) -> NDArray[np.int64]:
        """All pulses of each cell."""
        return self.split.sum(axis=0)

    @property
    def success(self) -> Estimate:
        """Share of cells that were accepted."""
        return fraction_estimate(int(self.accepted.sum()), int(self.accepted.size))

    @property
    def name(self) -> str:
        """What the way is called."""
        return WAYS[self.way][1]

    def numbers(self) -> dict[str, Estimate]:
        """Return pulses per cell, success and energy per cell [J]."""
        return {
            "pulses_per_cell": mean_estimate(self.pulses),
            "success": self.success,
            "energy_per_cell": mean_estimate(self.energy),
        }


def split_of_pulses(volts: ArrayLike, rounds: ArrayLike) -> NDArray[np.int64]:
    """Return how many pulses of each of :data:`PARTS` every cell got, [parts, cells].

    *Initialisation* are the RESETs by which cells above their window begin, those between the first and the second
    reading. *Re-opened* is what came after the first delayed re-verify. Of the others, *last approach* are those after
    the cell's last change of polarity, *approach* those before.

    Parameters
    ----------
    volts : [readings, cells]
        Signed amplitude of the pulse that came before each reading, 0 for none [V].
    rounds : [readings]
        How many delayed re-verifies were over when it was given.
    """
    sign = np.sign(np.asarray(volts, dtype=np.float64)).astype(np.int64)
    given = sign != 0
    number = np.arange(len(sign))[:, None]
    late = given & (np.asarray(rounds) > 0)[:, None]
    first = given & (number == 1) & ~late
    rest = np.where(first | late, 0, sign)
    last = np.where(rest != 0, number, -1).max(axis=0, initial=-1)
    polarity = rest[last, np.arange(sign.shape[1])]
    turned = np.where((rest != 0) & (rest != polarity), number, -1).max(axis=0, initial=-1)
    final = (rest != 0) & (number > turned)
    return np.stack([part.sum(axis=0) for part in (first, (rest != 0) & ~final, final, late)]).astype(np.int64)


def pulse_energy(volts: ArrayLike, conductance: ArrayLike, width: float) -> Floats:
    """Return Σ V²·G·width of every cell [J], G the mean of the readings before and after each pulse.

    Parameters
    ----------
    volts, conductance : [readings, cells]
        Amplitude of the pulse before each reading [V], and the reading [S].
    width : float [s]
    """
    amplitude, g = np.asarray(volts, dtype=np.float64), np.asarray(conductance, dtype=np.float64)
    middle = 0.5 * (g[1:] + g[:-1])
    return (amplitude[1:] ** 2 * np.where(amplitude[1:] != 0.0, middle, 0.0) * width).sum(axis=0)


def fewest_at_equal_success(pulses: ArrayLike, success: ArrayLike) -> int:
    """Return which staircase took the fewest pulses among those within :data:`EQUAL_SUCCESS` of the best success."""
    share = np.asarray(success, dtype=np.float64)
    good = np.isnan(share) | (share >= np.nanmax(share, initial=0.0) - EQUAL_SUCCESS)
    return int(np.nanargmin(np.where(good, np.asarray(pulses, dtype=np.float64), np.nan)))


def best_of_each(attempts: Sequence[Attempt]) -> list[Attempt]:
    """Return, by bits and way, the best staircase of each."""
    best: list[Attempt] = []
    for bits in sorted({one.bits for one in attempts}):
        for way in WAYS:
            mine = [one for one in attempts if one.bits == bits and one.way == way]
            if mine:
                at = fewest_at_equal_success([one.pulses.mean() for one in mine], [one.success.value for one in mine])
                best.append(mine[at])
    return best


def comparison_metrics(best: Iterable[Attempt]) -> dict[str, float]:
    """Return ``pulses_per_cell_2bit``, ``ispp_success_3bit`` and the like, with their intervals."""
    found: dict[str, float] = {}
    for one in best:
        for name, estimate in one.numbers().items():
            found |= flatten(f"{WAYS[one.way][0]}{name}_{one.bits}bit", estimate)
    return found


def saved_pulses(ours: Attempt, other: Attempt) -> Estimate:
    """Return by how many pulses per cell ``other`` needs more; both programmed the same cells to the same levels."""
    return mean_estimate(other.pulses - ours.pulses)


def success_told_apart(ours: Attempt, other: Attempt) -> bool:
    """Return whether one succeeded on more cells beyond chance: McNemar's exact test on the same cells, 5 %."""
    from scipy.stats import binomtest

    won, lost = (int((a.accepted & ~b.accepted).sum()) for a, b in ((ours, other), (other, ours)))
    return won + lost > 0 and float(binomtest(won, won + lost).pvalue) < 0.05


def fewest_with_success(attempts: Iterable[Attempt], least: float) -> Attempt | None:
    """Return the attempt with the fewest pulses among those that succeeded on at least this share, None where none."""
    good = [one for one in attempts if one.success.value >= least]
    return min(good, key=lambda one: float(one.pulses.mean())) if good else None


def comparison_words(attempts: Sequence[Attempt]) -> str:
    """Return for every number of bits how ours stands against each of the others, whichever way it went."""
    best = best_of_each(attempts)
    said: list[str] = []
    for ours in (one for one in best if one.way == OURS):
        least = ours.success.value
        parts = [f"{ours.bits} bits: read–verify {ours.pulses.mean():.2f} pulses per cell, success {_share(least)}"]
        for other in (one for one in best if one.bits == ours.bits and one.way != OURS):
            saved = saved_pulses(ours, other)
            verdict = "more" if saved.low > 0.0 else "fewer" if saved.high < 0.0 else "not clearly more or fewer"
            word = "another" if success_told_apart(ours, other) else "no clearly other"
            text = (
                f"{other.name} takes {verdict} ({saved.value:+.2f} pulses, {saved.low:+.2f} to {saved.high:+.2f}) at "
                f"{word} success, {_share(other.success.value)}"
            )
            scan = [one for one in attempts if one.bits == ours.bits and one.way == other.way]
            alike = fewest_with_success(scan, least)
            if alike is None:
                text += "; none of its staircases succeeds as often as read–verify"
            elif alike is not other:
                text += f"; the fewest with at least read–verify's success are {alike.pulses.mean():.2f}"
            parts.append(text)
        said.append("; ".join(parts).replace("-", "−") + ".")
    return " ".join(said)


def _share(value: float) -> str:
    return format_value(value, FRACTION)


def side_by_side(best: Iterable[Attempt]) -> DataFrame:
    """Return one line per number of bits and way: what it took and what came of it."""
    from pandas import DataFrame

    rows: list[dict[str, float | str]] = []
    for one in best:
        found = one.numbers()
        pulses, success, energy = (found[name] for name in ("pulses_per_cell", "success", "energy_per_cell"))
        rows.append(
            {
                "bits": one.bits,
                "way": one.name,
                "staircase": one.setting,
                "pulses per cell": pulses.value,
                "95 % of pulses": _interval(pulses),
                "success [fraction]": success.value,
                "95 % of success": _interval(success, FRACTION),
                "read as its level [fraction]": programmed_fraction(one.low, one.high, one.final).value,
                "energy [J]": energy.value,
                "95 % of energy": _interval(energy, "J"),
            }
        )
    return DataFrame(rows)


def _interval(estimate: Estimate, unit: str = "") -> str:
    low, high = (format_value(end, unit, 3, like=estimate.value) for end in (estimate.low, estimate.high))
    return f"{low} … {high}"


def split_table(best: Iterable[Attempt]) -> DataFrame:
    """Return pulses per cell by part of the work and by polarity, and from where they began, one line per way."""
    from pandas import DataFrame

    return DataFrame(
        [
            {
                "bits": one.bits,
                "way": one.name,
                **dict(zip(PARTS, one.split.mean(axis=1).tolist(), strict=True)),
                "SETs": float(one.sets.mean()),
                "RESETs": float((one.pulses - one.sets).mean()),
                "reversals": float(one.reversals.mean()),
                "start, median [S]": float(np.median(one.start)),
            }
            for one in best
        ]
    )


def reasons_table(best: Sequence[Attempt]) -> DataFrame:
    """Return how cells ended: one line per reason, one column per number of bits and way, counts of cells."""
    from pandas import DataFrame

    counts = {f"{one.bits} bits, {one.name}": Counter(one.reasons) for one in best}
    total = sum(counts.values(), Counter[str]())
    every = [reason for reason, _ in total.most_common()]
    columns = {name: [found[reason] for reason in every] for name, found in counts.items()}
    return DataFrame({"cells ended": every, **columns})


def scan_table(attempts: Iterable[Attempt], best: Sequence[Attempt]) -> DataFrame:
    """Return one line per staircase of the scans, the chosen ones marked."""
    from pandas import DataFrame

    rows = [
        {
            "bits": one.bits,
            "way": one.name,
            "staircase": one.setting,
            "pulses per cell": float(one.pulses.mean()),
            "success [fraction]": one.success.value,
            "read as its level [fraction]": programmed_fraction(one.low, one.high, one.final).value,
            "energy [J]": float(one.energy.mean()),
            "chosen": "best" if any(one is chosen for chosen in best) else "",
        }
        for one in attempts
        if one.way != OURS
    ]
    return DataFrame(rows)


@styled
def comparison_figure(best: Sequence[Attempt], *, title: str = "Ways of programming") -> Figure:
    """Draw, for every number of bits, success against pulses and the split of pulses, one colour per way."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    every = sorted({one.bits for one in best})
    figure = Figure(figsize=(max(4.9 * len(every), 6.4), 7.2), layout=ConstrainedLayoutEngine(w_pad=0.09, h_pad=0.09))
    for column, bits in enumerate(every):
        mine = [one for one in best if one.bits == bits]
        _success_curve(figure.add_subplot(2, len(every), column + 1), mine, bits)
        _split_bars(figure.add_subplot(2, len(every), len(every) + column + 1), mine, legend=column == 0)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return figure


def _success_curve(ax: Axes, best: Sequence[Attempt], bits: int) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.set(title=f"{bits} bits", xlabel="Pulses per cell", ylabel="Cells in their window (%)")
    if not any(one.accepted.any() for one in best):
        note(ax, "no cell reached its window")
        return
    most = 1.05 * max(float(np.percentile(one.pulses[one.accepted], 99)) for one in best if one.accepted.any())
    for one in best:
        taken = np.sort(one.pulses[one.accepted])
        share = 100.0 * np.arange(1, taken.size + 1) / one.accepted.size
        colour = PALETTE[list(WAYS).index(one.way)]
        end = max(most, float(taken[-1])) if taken.size else most
        x, y = (
            np.concatenate([[0.0], taken, [end]]),
            np.concatenate([[0.0], share, share[-1:] if taken.size else [0.0]]),
        )
        label = f"{one.name}: mean {one.pulses.mean():.1f}, {100.0 * one.success.value:.1f} %"
        ax.step(x, y, where="post", color=colour, linewidth=1.9, label=label)
    ax.set_xlim(0.0, max(most, 1.0))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylim(0.0, 102.0)
    ax.legend(loc="lower right")


def _split_bars(ax: Axes, best: Sequence[Attempt], *, legend: bool) -> None:
    ax.set(ylabel="Pulses per cell, mean")
    base = np.zeros(len(best))
    for part, name in enumerate(PARTS):
        height = np.array([one.split[part].mean() for one in best])
        ax.bar(np.arange(len(best)), height, bottom=base, width=0.62, color=PALETTE[part + 3], label=name)
        base = base + height
    for place, total in enumerate(base):
        ax.annotate(f"{total:.1f}", (place, total), xytext=(0, 3), textcoords="offset points", ha="center", fontsize=9)
    ax.set_xticks(np.arange(len(best)), [one.name for one in best])
    ax.set_ylim(0.0, 1.32 * max(float(base.max(initial=0.0)), 1.0))
    ax.grid(visible=False, axis="x")
    if legend:
        ax.legend(loc="upper left", ncols=2)


def error_figures(best: Sequence[Attempt], spacing: Callable[[int], float]) -> list[tuple[str, Figure]]:
    """Return for every number of bits the distribution of errors at the end, windows with an open end left out."""
    made: list[tuple[str, Figure]] = []
    for bits in sorted({one.bits for one in best}):
        errors = {one.name: np.where(one.closed, one.final - one.target, np.nan) for one in best if one.bits == bits}
        title = f"Error at the end, {bits} bits"
        made.append((f"{title}; the line marks half a level.", error_cdf(errors, spacing=spacing(bits), title=title)))
    return made
