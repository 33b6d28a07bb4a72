"""Forming of any bench: how many cells the data say formed, at which voltages, and what they read afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..estimates.estimates import fraction_estimate, mean_estimate, median_estimate, std_estimate
from ..measurements.forming_stats import forming_cdf
from .finding import Finding
from .pictures.distributions import resistance_cdf

if TYPE_CHECKING:
    from ..measured_data.measured import Measured


def analyse_forming(measured: Measured) -> Finding:
    """Return forming voltages and yield.

    The voltages are those at which cells formed, of cells that did; that of a cell that failed is where its staircase
    ended, and bounds its forming voltage from below only.
    """
    table = measured.table
    formed, volts = table["success"].to_numpy(bool), table["volts"].to_numpy(np.float64)
    v_form = np.where(formed, volts, np.nan)
    ohms = 1.0 / table["after"].to_numpy(np.float64)
    said = "The data say of every cell whether it formed."
    if formed.all():
        said = (
            "No cell is said to have failed: the share of cells that formed is that of cells in the data, which may "
            "leave out the others."
        )
    text = (
        f"{len(table):,} cells, of which {int(formed.sum()):,} formed. {said} The curve counts cells that did not form "
        "as never formed. Whether formed cells switch is not in such data."
    )
    return Finding(
        id=measured.id,
        title="Forming",
        text=text,
        numbers={
            "v_form_mean": mean_estimate(v_form),
            "v_form_std": std_estimate(v_form),
            "said_formed_fraction": fraction_estimate(int(formed.sum()), len(table)),
            "r_formed_median": median_estimate(ohms[formed]),
        },
        remarks=[] if formed.any() else [f"no cell formed: the data say so of all {len(table):,}"],
        frame=table.assign(v_form=v_form),
        figures=[
            ("Cells formed at or below a given amplitude.", forming_cdf(v_form, n_attempted=len(table))),
            (
                "Resistance as soon as the cells were formed.",
                resistance_cdf({"formed": ohms[formed], "not formed": ohms[~formed]}, title="Resistance after forming"),
            ),
        ],
    )
