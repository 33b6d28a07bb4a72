"""Hold the ``hfo2_1t1r`` profile against measurements, and print every bar that it is to keep.

Run from anywhere: ``python docs/validation/check_hfo2.py [PROFILE]``; some minutes. Needs the public data in
``../shared/measured`` beside the repository (``hfo2_1t1r``, ``hfo2_relaxation``), which are not part of it. Replays
all protocols as ``xbarlab twin check`` does, on the half of the cells that the fit of the profile has not seen (of
bakes: the temperature), and copies the figures to ``docs/figures/hfo2_1t1r``.
"""

from __future__ import annotations

import argparse
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from xbarlab.analysis.estimates.spectra import noise_figures
from xbarlab.analysis.plots.plots import save
from xbarlab.twin.fit_report.figures import figures
from xbarlab.twin.fit_report.words import table
from xbarlab.twin.fitting.fit import FitPlan, check
from xbarlab.twin.fitting.result import FitResult, Row
from xbarlab.twin.fitting.sources import read_data
from xbarlab.twin.panels import NOISE_LEAST

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "measured"
FIGURES = ROOT / "docs" / "figures" / "hfo2_1t1r"
SWEEPS = ("set_volts", "reset_volts", "reset_gate")

GENERATIONS = 8
"""Of the search for what nobody wrote down of the protocols; it begins where the fit of the profile ended."""

Bar = tuple[str, str, str, bool]


def _checked(name: str, profile: str, hold_out: str) -> FitResult:
    data = read_data([name], folder=DATA / name, only=())
    # An end by count: on a busy machine two minutes of searching are not two minutes.
    return check(data, FitPlan(mode="check", base=profile, hold_out=hold_out, minutes=60.0, generations=GENERATIONS))


def _by_name(result: FitResult) -> dict[str, Row]:
    return {row.panel.name: row for row in result.rows}


def bars(cells: FitResult, bakes: FitResult) -> Iterator[Bar]:
    """Return what is asked, what it came to, and whether it is kept."""
    rows = _by_name(cells)
    for way in ("ispp", "coarse_fine"):
        for level in range(4):
            error = math.expm1(rows[f"{way} level {level} pulses"].panel.error)
            yield f"{way} level {level}: mean pulses", "± 20 %", f"{error:+.0%}", abs(error) <= 0.2
        for level in (1, 2):
            for what, top in (("pulses", 0.15), ("G", 0.10)):
                ks = rows[f"{way} level {level} {what}"].panel.distance
                yield f"{way} level {level}: KS of {what}", f"< {top:.2f}", f"{ks:.3f}", ks < top
    for state in ("HRS", "LRS"):
        panel = rows[f"cycling {state}"].panel
        error = math.expm1(panel.error)
        yield f"cycling {state}: median", "± 20 %", f"{error:+.0%}", abs(error) <= 0.2
        yield f"cycling {state}: KS", "< 0.20", f"{panel.distance:.3f}", panel.distance < 0.2
    for sweep in SWEEPS:
        steps = [row.panel for row in cells.rows if row.group == sweep]
        worst = max((step.error for step in steps), key=abs)
        inside = sum(abs(step.error) <= 0.1 for step in steps)
        said = f"{inside} of {len(steps)} steps, worst {worst:+.2f}"
        yield f"{sweep}: median ln G", "± 0.1", said, inside == len(steps)
        close = sum(1 / 1.3 <= step.spreads <= 1.3 for step in steps)
        said = (
            f"{close} of {len(steps)} steps, {min(s.spreads for s in steps):.2f} to {max(s.spreads for s in steps):.2f}"
        )
        yield f"{sweep}: spread", "× 0.77 to 1.3", said, close == len(steps)
    for what in ("voltage", "G after"):
        ks = rows[f"forming {what}"].panel.distance
        yield f"forming {what}: KS", "< 0.10", f"{ks:.3f}", ks < 0.1
    other = _by_name(bakes)
    for name, row in other.items():
        if row.held and name.endswith("°C"):
            yield f"bake, left out {name}: KS", "< 0.15", f"{row.panel.distance:.3f}", row.panel.distance < 0.15
    for name, real in _measured_noise().items():
        mock = next(row.panel.mock for row in bakes.rows if row.panel.name == f"noise {name}, above 130 µS")
        inside = float(((mock >= real.min()) & (mock <= real.max())).mean())
        said = f"{real.min():.2f} to {real.max():.2f}; mock: median {np.median(mock):.2f}, {inside:.0%} of cells inside"
        kept = bool(real.min() <= np.median(mock) <= real.max())
        unit = "ln sd/G" if name == "sd" else "1/f exponent"
        yield f"noise above 130 µS, {unit}", "in the range of the measured cells", said, kept


def _measured_noise() -> dict[str, Any]:
    """Return the noise of every measured cell of 130 µS or more."""
    (noise,) = read_data(["hfo2_relaxation"], folder=DATA / "hfo2_relaxation", only=("noise",))
    protocol: Any = noise.protocol
    table: Any = noise.table
    figures_of = [noise_figures(one["conductance"], float(protocol.rate)) for _, one in table.groupby("cell")]
    high = [one for one in figures_of if one["conductance"] >= NOISE_LEAST]
    return {"sd": np.log([one["sd"] for one in high]), "exponent": np.asarray([one["exponent"] for one in high])}


def main() -> None:
    """Check and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profile", nargs="?", default="hfo2_1t1r")
    parser.add_argument("--no-figures", action="store_true")
    told = parser.parse_args()
    cells = _checked("hfo2_1t1r", told.profile, "cells")
    bakes = _checked("hfo2_relaxation", told.profile, "temperatures=180 °C")
    for one in cells.numbers:
        print(f"searched on the other half: {one.name} {one.value:.3g}")
    print("\n| what | bar | came to | |", "|---|---|---|---|", sep="\n")
    for what, bar, came, kept in bars(cells, bakes):
        print(f"| {what} | {bar} | {came} | {'' if kept else '**missed**'} |")
    print("\n" + "\n".join(table(cells.rows)))
    print("\n" + "\n".join(table(bakes.rows)))
    if told.no_figures:
        return
    shutil.rmtree(FIGURES, ignore_errors=True)
    FIGURES.mkdir(parents=True)
    for name, figure in {**figures(cells.rows), **figures([row for row in bakes.rows if row.held])}.items():
        save(figure, FIGURES / f"{name}.png")


if __name__ == "__main__":
    main()
