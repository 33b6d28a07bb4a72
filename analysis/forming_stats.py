"""Forming: how many cells formed, and at what voltage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from .estimates import Estimate, fraction_estimate, mean_estimate
from .plots import PALETTE, new_figure, note, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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


@styled
def forming_cdf(v_form: ArrayLike, *, n_attempted: int | None = None, title: str = "Forming voltage") -> Figure:
    """Draw the cumulative fraction of attempted cells formed against voltage, with a 95 % band.

    Cells that never formed hold the curve below 1 instead of vanishing from it. The band is that of Dvoretzky, Kiefer
    and Wolfowitz: it holds for the whole curve at once.
    """
    values = np.asarray(v_form, dtype=np.float64).ravel()
    volts = np.sort(values[np.isfinite(values)])
    n = int(n_attempted if n_attempted is not None else values.size)
    figure, ax = new_figure(6.4, 4.2)
    ax.set(title=title, xlabel="Forming voltage (V)", ylabel="Cells formed, cumulative (%)", ylim=(-2, 104))
    if volts.size == 0:
        note(ax, "no cell formed by a pulse")
        return figure
    # Pulses come in steps, so many cells share one voltage: one point per step, drawn as a staircase.
    steps, counts = np.unique(volts, return_counts=True)
    pad = max(0.05, 0.06 * float(steps[-1] - steps[0]))
    x = np.concatenate(([steps[0] - pad], steps, [steps[-1] + pad]))
    share = np.concatenate(([0.0], np.cumsum(counts), [volts.size])) / n
    reach = float(np.sqrt(np.log(2 / 0.05) / (2 * n)))
    band = np.clip([share - reach, share + reach], 0.0, 1.0) * 100
    ax.fill_between(x, band[0], band[1], step="post", color=PALETTE[0], alpha=0.18, linewidth=0, label="95 % band")
    ax.step(x, share * 100, where="post", color=PALETTE[0], linewidth=2, label=f"{volts.size} of {n} cells")
    mean = float(volts.mean())
    ax.axvline(mean, color=PALETTE[1], linewidth=1.5, linestyle="--", label=f"mean {mean:.2f} V")
    ax.set_xlim(float(x[0]), float(x[-1]))
    ax.legend(loc="lower right")
    return figure
