"""Forming: how many cells formed, and at what voltage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..estimates.estimates import Estimate, fraction_estimate, mean_estimate
from ..plots.iv_family import limit_label
from ..plots.plots import INK, PALETTE, new_figure, note, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BAND_FROM = 8  # cells: the band of fewer fills the picture and says nothing
JUMP = 1.5  # I/V of a virgin cell rises by less per step of 0.1 V, that of a forming one by far more


def forming_metrics(v_form: ArrayLike, formed: ArrayLike, attempted: ArrayLike | None = None) -> dict[str, Estimate]:
    """Return `v_form_mean` and `formed_fraction`.

    Parameters
    ----------
    v_form : array_like [V]
        Per cell, source voltage of the pulse or step at which it first read formed; nan where it did not, or was formed
        before the first pulse.
    formed : array_like of bool
        Cell reads above the formed conductance and completed one RESET and one SET.
    attempted : array_like of bool, optional
        Cells that forming was tried on; all of them without it.
    """
    volts, done = np.asarray(v_form, dtype=np.float64), np.asarray(formed, dtype=bool)
    tried = np.ones(done.shape, dtype=bool) if attempted is None else np.asarray(attempted, dtype=bool)
    return {
        "v_form_mean": mean_estimate(volts[tried]),
        "formed_fraction": fraction_estimate(int((done & tried).sum()), int(tried.sum())),
    }


def forming_voltage(
    volts: ArrayLike, current: ArrayLike, limited: ArrayLike, formed_above: float, *, first: int = 0
) -> float:
    """Return the source voltage [V] of the step at which a cell formed, on a ramp after which it read formed.

    That is the first step whose I/V is above ``formed_above`` [S], or whose current is limited, and has jumped by
    ``JUMP`` from the step before: a virgin cell's I/V may pass ``formed_above`` by its curvature alone. Without a jump
    it is the first such step, without any the last one of the ramp.

    Parameters
    ----------
    volts, current : array_like [points] [V], [A]
    limited : array_like of bool [points]
        True where the source limited the current.
    first : int
        Index of the first step that may be it; those before are only compared with.
    """
    v, i, held = np.asarray(volts, np.float64), np.abs(np.asarray(current, np.float64)), np.asarray(limited, bool)
    g = i / np.where(v != 0.0, np.abs(v), np.nan)
    candidate = (g > formed_above) | held
    candidate[:first] = False
    known = np.maximum(np.nan_to_num(g), 1e-12)
    jumped = candidate & np.append(first == 0, known[1:] >= JUMP * known[:-1])
    for found in (jumped, candidate):
        if found.any():
            return float(v[int(np.argmax(found))])
    return float(v[-1])


@styled
def forming_traces(
    ramps: Sequence[tuple[ArrayLike, ArrayLike]],
    *,
    v_form: Sequence[float],
    compliance_amps: float | None = None,
    limit_acts_on: str = "",
    title: str = "Forming ramps",
) -> Figure:
    """Draw |I| of every cell's ramp on a logarithmic axis against the source voltage, and a dot where it formed.

    Parameters
    ----------
    ramps : sequence of (volts [V], current [A]), one per cell
    v_form : sequence of float [V], one per cell
        nan where a cell did not form.
    compliance_amps, limit_acts_on
        The limit, and what it is of where that is not the current that is drawn.
    """
    from matplotlib.collections import LineCollection
    from matplotlib.ticker import EngFormatter

    figure, ax = new_figure(8.6, 4.6)
    ax.set(title=title, xlabel="Source voltage (V)", ylabel="|Current|", yscale="log")
    lines: list[np.ndarray] = []
    dots: list[tuple[float, float]] = []
    for (volts, current), formed_at in zip(ramps, v_form, strict=True):
        v, i = np.asarray(volts, dtype=np.float64), np.abs(np.asarray(current, dtype=np.float64))
        seen = np.isfinite(i) & (i > 0.0)
        lines.append(np.column_stack((v[seen], i[seen])))
        if np.isfinite(formed_at) and seen.any():
            nearest = int(np.argmin(np.abs(v[seen] - formed_at)))
            dots.append((float(v[seen][nearest]), float(i[seen][nearest])))
    points = np.concatenate(lines) if lines else np.empty((0, 2))
    if not points.size:
        note(ax, "no ramp was measured")
        return figure
    ax.add_collection(LineCollection(lines, colors=[PALETTE[0]], linewidths=0.8, alpha=0.45))
    ax.plot([], [], color=PALETTE[0], linewidth=1.4, label=f"{len(lines)} cell{'s' if len(lines) > 1 else ''}")
    if dots:
        ax.scatter(*np.transpose(dots), s=16, color=PALETTE[1], zorder=3, label=f"formed ({len(dots)})")
    if compliance_amps is not None:
        label = limit_label(compliance_amps, float(points[:, 1].max()), limit_acts_on)
        ax.axhline(compliance_amps, color=INK, linestyle="--", linewidth=1.2, label=label)
    top = max(float(points[:, 1].max()), compliance_amps or 0.0)
    span = max(float(np.ptp(points[:, 0])), 0.1)
    ax.set_xlim(float(points[:, 0].min()) - 0.03 * span, float(points[:, 0].max()) + 0.03 * span)
    ax.set_ylim(max(float(points[:, 1].min()), top * 1e-8) / 2.0, top * 3.0)
    ax.yaxis.set_major_formatter(EngFormatter("A"))
    figure.legend(loc="outside lower left", ncols=1)
    return figure


@styled
def forming_cdf(
    v_form: ArrayLike, *, n_attempted: int | None = None, n_before: int = 0, title: str = "Forming voltage"
) -> Figure:
    """Draw the cumulative fraction of attempted cells formed against voltage, with a 95 % band.

    Cells that never formed hold the curve below 1 instead of vanishing from it. The band is that of Dvoretzky, Kiefer
    and Wolfowitz: it holds for the whole curve at once; fewer than ``BAND_FROM`` cells have none.

    Parameters
    ----------
    v_form : array_like [V]
        Per cell; nan where it did not form, or was formed before.
    n_attempted : int, optional
        Cells the curve is the fraction of; all of ``v_form`` without it.
    n_before : int
        Cells found formed already, which the curve leaves out: said beside it.
    """
    values = np.asarray(v_form, dtype=np.float64).ravel()
    volts = np.sort(values[np.isfinite(values)])
    n = int(n_attempted if n_attempted is not None else values.size)
    figure, ax = new_figure(6.4, 4.2)
    ax.set(title=title, xlabel="Forming voltage (V)", ylabel="Cells formed, cumulative (%)", ylim=(-2, 104))
    if volts.size == 0:
        note(ax, "no cell formed by a pulse" + (f"; {n_before:,} were formed before" if n_before else ""))
        return figure
    # Pulses come in steps, so many cells share one voltage: one point per step, drawn as a staircase.
    steps, counts = np.unique(volts, return_counts=True)
    pad = max(0.05, 0.06 * float(steps[-1] - steps[0]))
    x = np.concatenate(([steps[0] - pad], steps, [steps[-1] + pad]))
    share = np.concatenate(([0.0], np.cumsum(counts), [volts.size])) / n
    reach = float(np.sqrt(np.log(2 / 0.05) / (2 * n)))
    band = np.clip([share - reach, share + reach], 0.0, 1.0) * 100
    if n >= BAND_FROM:
        ax.fill_between(x, band[0], band[1], step="post", color=PALETTE[0], alpha=0.18, linewidth=0, label="95 % band")
    label = f"formed: {volts.size:,} of {n:,} cell{'s' if n > 1 else ''}"
    ax.step(x, share * 100, where="post", color=PALETTE[0], linewidth=2, label=label)
    if n_before:
        ax.plot([], [], " ", label=f"formed before: {n_before:,}, not shown")
    mean = float(volts.mean())
    ax.axvline(mean, color=PALETTE[1], linewidth=1.5, linestyle="--", label=f"mean {mean:.2f} V")
    ax.set_xlim(float(x[0]), float(x[-1]))
    ax.legend(loc="lower right")
    return figure
