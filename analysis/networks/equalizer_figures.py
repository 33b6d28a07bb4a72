"""Figures of an equalizer: errors against noise, eyes before and after, how long an error goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..estimates.estimates import Floats
from ..plots.plots import FAINT, PALETTE, new_figure, styled
from .bit_errors import ENOUGH, ErrorCount

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def error_rates(
    snr: Sequence[float], counts: Mapping[str, Sequence[ErrorCount]], *, title: str, trained_at: float
) -> Figure:
    """Draw bit error rates against SNR [dB]: full marks with 95 % intervals, open ones where a rate is only bounded.

    Parameters
    ----------
    snr : [points]
    counts : name -> [points]
    trained_at : the SNR that a network was trained at
    """
    figure, ax = new_figure(7.6, 5.0)
    at = np.asarray(snr, dtype=np.float64)
    for n, (name, points) in enumerate(counts.items()):
        rates = [count.rate() for count in points]
        sure = np.array([count.measured for count in points])
        value = np.array([one.value if ok else one.high for one, ok in zip(rates, sure, strict=True)])
        ends = np.array([[one.value - one.low, one.high - one.value] for one in rates]).T
        colour = PALETTE[n % len(PALETTE)]
        ax.plot(at, value, color=colour, lw=1.3, ls="--" if "twin" in name else "-", label=name)
        if sure.any():
            ax.errorbar(at[sure], value[sure], yerr=ends[:, sure], color=colour, marker="o", ms=4.5, ls="", capsize=3)
        ax.plot(at[~sure], value[~sure], color=colour, marker="v", mfc="white", ms=6, ls="")
    ax.axvline(trained_at, color=FAINT, ls=":", lw=1.0)
    ax.annotate("trained here", (trained_at, 0.02), xycoords=("data", "axes fraction"), fontsize=9, color=FAINT,
                rotation=90, ha="right")  # fmt: skip
    ax.set_yscale("log")
    ax.set(title=title, xlabel="Signal to noise of the samples (dB)", ylabel="Bit error rate")
    ax.plot([], [], color=FAINT, marker="v", mfc="white", ls="", label=f"upper end: fewer than {ENOUGH} errors")
    ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0.0)
    return figure


@styled
def eyes(
    phase: ArrayLike, before: ArrayLike, after: ArrayLike, symbols: ArrayLike, levels: ArrayLike, *, title: str
) -> Figure:
    """Draw how samples and an equalizer's outputs spread around each level, over the time they are taken at.

    Parameters
    ----------
    phase : [phases], in symbols
    before, after : [phases, n]
    symbols : [phases, n], numbers of levels
    levels : [levels]
    """
    figure, axes = new_figure(10.6, 4.6, 2)
    at, sent, heights = np.asarray(phase), np.asarray(symbols), np.asarray(levels)
    for ax, values, name in zip(axes, (before, after), ("Before: samples", "After: outputs on the array"), strict=True):
        _eye(ax, at, np.asarray(values), sent, heights)
        ax.set(title=f"{name}, {title}", xlabel="Time of the sample (symbols)", ylabel="Amplitude")
    axes[1].legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0.0, title="symbol sent")
    return figure


def _eye(ax: Axes, phase: Floats, values: Floats, sent: Floats, levels: Floats) -> None:
    for n, level in enumerate(levels):
        colour = PALETTE[n % len(PALETTE)]
        bands = [
            [np.quantile(values[k][sent[k] == n], q) for q in (0.01, 0.25, 0.5, 0.75, 0.99)] for k in range(len(phase))
        ]
        low, lower, middle, upper, high = np.array(bands).T
        ax.fill_between(phase, low, high, color=colour, alpha=0.18, lw=0)
        ax.fill_between(phase, lower, upper, color=colour, alpha=0.35, lw=0)
        ax.plot(phase, middle, color=colour, lw=1.6, label=f"{level:+.2f}")
    ax.axvline(0.0, color=FAINT, ls=":", lw=1.0)


@styled
def burst_lengths(lengths: Mapping[str, ArrayLike], *, quiet: int) -> Figure:
    """Draw which share of the bursts of errors lasts longer than so many symbols.

    Parameters
    ----------
    lengths : name -> [bursts]
    quiet : right symbols that end a burst, once more than these follow
    """
    from matplotlib.ticker import MaxNLocator

    figure, ax = new_figure(9.6, 4.2)
    for n, (name, found) in enumerate(lengths.items()):
        each = np.asarray(found, dtype=np.int64)
        if not each.size:
            continue
        at = np.arange(1, int(each.max()) + 1)
        share = np.array([(each >= k).mean() for k in at])
        label = f"{name}: mean {each.mean():.2f}, {each.size:,} bursts"
        ax.step(at, share, color=PALETTE[n % len(PALETTE)], where="mid", lw=1.5, label=label)
    ax.set_yscale("log")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(
        title="How long an error goes on",
        xlabel=f"Symbols from the first wrong one to the last, ≤ {quiet} right ones between",
        ylabel="Share of bursts at least as long",
    )
    ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0.0)
    return figure
