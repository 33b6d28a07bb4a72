"""Hold the lines of ``tio2_passive`` against five measured maps of dead 8×8 crossbars, and print the errors.

Run from anywhere: ``python docs/validation/compare_tio2.py``. Needs the maps of the public repository
3it-inpaqt/Hardware-Aware-Article (MIT licence) in ``../shared/measured/tio2_maps`` beside the repository; the data
are not part of it. Writes ``docs/figures/tio2_passive_vs_measured.png``.

How the maps were read is not stated. Here a cell is read between its two lines, all others floating: then what lies
in series in a row and in a column adds in ohms, as it does in the maps.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm
from numpy.typing import NDArray
from ruamel.yaml import YAML

from xbarlab.mockhw import profiles
from xbarlab.mockhw.chip.profile import Profile, parse_profile
from xbarlab.mockhw.passive_chip.chip import Bias, PassiveChip
from xbarlab.mockhw.sim_clock import SimClock

Floats = NDArray[np.float64]

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "measured" / "tio2_maps"
FIGURE = ROOT / "docs" / "figures" / "tio2_passive_vs_measured.png"
OPEN = 1e5  # median [Ω] beyond which a line counts as open
GRADED = 1e3  # [Ω] in series beyond which a line counts as graded
STEP = 0.142e-6  # step [A] of the meter: what the open lines read are multiples of it
DRAWN = 200


@dataclass(frozen=True)
class Fit:
    """R = rows + cols [Ω] where neither line is open: least squares of relative errors, the least column 0."""

    rows: Floats  # NaN: open
    cols: Floats
    open_rows: NDArray[np.bool_]
    open_cols: NDArray[np.bool_]
    series: float  # share of the variance of ln R that it explains
    factors: float  # the same of row and column factors

    @property
    def open_lines(self) -> int:
        """Number of open lines."""
        return int(self.open_rows.sum() + self.open_cols.sum())


def measured() -> dict[str, Floats]:
    """Read the maps [Ω]."""
    found: dict[str, Floats] = {}
    for path in sorted(DATA.glob("dead_xbar_*.csv")):
        text = " ".join(path.read_text(encoding="utf-8").splitlines()[2:])
        found[path.stem.removeprefix("dead_xbar_")] = np.array(
            [float(x) for x in text.split(";") if x.strip()]
        ).reshape(8, 8)
    return found


def explained(ohms: Floats) -> float:
    """Return the share of the variance of ln R that row and column factors explain."""
    y = np.log(ohms)
    rest = y - y.mean(0) - y.mean(1)[:, None] + y.mean()
    return float(1.0 - rest.var() / y.var())


def fit(ohms: Floats) -> Fit:
    """Find what lies in series in every line."""
    closed_rows = np.median(ohms, axis=1) < OPEN
    closed_cols = np.median(ohms[closed_rows], axis=0) < OPEN
    part = ohms[np.ix_(closed_rows, closed_cols)]
    n, m = part.shape
    design = np.zeros((n * m, n + m))
    design[np.arange(n * m), np.repeat(np.arange(n), m)] = 1.0
    design[np.arange(n * m), n + np.tile(np.arange(m), n)] = 1.0
    weight = 1.0 / part.ravel()
    found, *_ = np.linalg.lstsq(design * weight[:, None], np.ones(n * m), rcond=None)
    rows, cols = np.full(8, np.nan), np.full(8, np.nan)
    rows[closed_rows], cols[closed_cols] = found[:n] + found[n:].min(), found[n:] - found[n:].min()
    modelled = found[:n, None] + found[None, n:]
    rest = np.log(part) - np.log(np.maximum(modelled, 1.0))
    series = float(1.0 - rest.var() / np.log(part).var())
    return Fit(rows, cols, ~closed_rows, ~closed_cols, series, explained(part))


def profile(**lines: float) -> Profile:
    """Return the shipped profile without stuck cells, with other numbers for its lines."""
    raw = YAML(typ="safe").load((Path(profiles.__file__).parent / "tio2_passive.yaml").read_text(encoding="utf-8"))
    parameters = raw["parameters"]
    for kind in ("on", "off"):
        parameters["stuck"][f"{kind}_fraction"]["value"] = 0.0
    for name, value in lines.items():
        parameters["lines"][name]["value"] = value
    return parse_profile(raw)


def read_map(chip: PassiveChip) -> Floats:
    """Read every cell [Ω] at 0.2 V between its two lines; less than a step of the meter reads as one."""
    out = np.empty((8, 8))
    for row, col in np.ndindex(8, 8):
        source = np.full(16, -1)
        source[row], source[8 + col] = 0, 1
        bias = Bias(source, np.full(16, 0.3), np.array([0.2, 0.0]), np.full(2, 0.05), np.full(2, np.inf), np.zeros(2))
        out[row, col] = 0.2 / max(-float(chip.solve(bias).line_amps[8 + col]), STEP)
    return out


def with_lines(seen: Fit, state: float, seed: int) -> PassiveChip:
    """Make a chip whose lines have what was fitted, its cells spread around one ``state``."""
    kinds = {f"{kind}_fraction": 0.0 for kind in ("open", "graded", "leaky", "shorted", "lead")}
    chip = PassiveChip(profile(**kinds), seed=seed, clock=SimClock())
    lead = np.concatenate([seen.rows - np.nanmin(seen.rows), seen.cols])
    chip.lay(replace(chip.lines, lead=np.where(np.isnan(lead), 1e9, lead)))
    chip.assume_formed(state)
    return chip


def same_base(seen: Fit, seed: int) -> tuple[PassiveChip, bool]:
    """Return a chip with the fitted lines whose best row reads as the measured one, and whether cells can."""
    wanted = float(np.nanmin(seen.rows))
    low, high, state = -0.3, 1.3, 0.5
    for _ in range(20):
        state = (low + high) / 2.0
        here = fit(read_map(with_lines(seen, state, seed)))
        low, high = (state, high) if float(np.nanmin(here.rows)) > wanted else (low, state)
    return with_lines(seen, (low + high) / 2.0, seed), bool(-0.29 < state < 1.29)


def figures(ohms: Floats) -> dict[str, float]:
    """Return what is compared of a map."""
    seen = fit(ohms)
    ends, middle = seen.cols[[0, 7]], seen.cols[2:6]
    known = np.isfinite(ends).any() and np.isfinite(middle).any()
    edge = np.nanmax(ends) - np.nanmedian(middle) if known else np.nan
    beyond = np.concatenate([seen.rows - np.nanmin(seen.rows), seen.cols]) > GRADED
    return {
        "row and column effects, of the variance of ln R": explained(ohms),
        "sd of ln R": float(np.log(ohms).std()),
        "sd of ln R within lines that conduct, after row and column factors": float(
            np.sqrt(1.0 - seen.factors) * _spread(ohms, seen)
        ),
        "outermost column beyond the middle ones [ohm]": float(edge),
        "open lines": float(seen.open_lines),
        "lines with more than 1 kohm in series": float(beyond.sum()),
    }


def _spread(ohms: Floats, seen: Fit) -> float:
    return float(np.log(ohms[np.ix_(~seen.open_rows, ~seen.open_cols)]).std())


def main() -> int:
    """Print the tables and draw the figure."""
    if not DATA.is_dir():
        print(f"the measured maps are not here: {DATA}")
        return 1
    maps = measured()
    fits = {name: fit(ohms) for name, ohms in maps.items()}
    print("| map | factors explain | series resistances explain | rows beyond the best [kohm] | columns [ohm] | open |")
    print("|---|---|---|---|---|---|")
    for name, seen in fits.items():
        rows = " ".join("–" if np.isnan(x) else f"{x:.2g}" for x in (seen.rows - np.nanmin(seen.rows)) / 1e3)
        cols = " ".join("–" if np.isnan(x) else f"{x:.0f}" for x in seen.cols)
        print(f"| {name} | {seen.factors:.3f} | {seen.series:.3f} | {rows} | {cols} | {seen.open_lines} |")

    print("\n| map | error of R, conducting cells: median | 90 % below | variance explained: real | mock | error |")
    print("|---|---|---|---|---|---|")
    mocks: dict[str, Floats] = {}
    for index, (name, ohms) in enumerate(maps.items()):
        chip, reached = same_base(fits[name], index)
        mocks[name] = read_map(chip)
        off = np.abs(np.log(mocks[name] / ohms))[np.ix_(~fits[name].open_rows, ~fits[name].open_cols)]
        median, most = (np.expm1(np.quantile(off, q)) for q in (0.5, 0.9))
        real, mock = explained(ohms), explained(mocks[name])
        note = "" if reached else " (below what any cell of the model reads)"
        print(f"| {name}{note} | {median:.1%} | {most:.1%} | {real:.3f} | {mock:.3f} | {mock - real:+.3f} |")

    counted = {
        "open_fraction": 4 / 80,
        "graded_fraction": 10 / 80,
        "leaky_fraction": 0.0,
        "shorted_fraction": 0.0,
        "lead_fraction": 0.6,
    }
    dead = profile(**counted)
    rng = np.random.default_rng(1)
    drawn = []
    for seed in range(DRAWN):
        chip = PassiveChip(dead, seed=seed, clock=SimClock())
        chip.assume_formed(rng.uniform(0.0, 1.0, (8, 8)))
        drawn.append(figures(read_map(chip)))
    seen_real = [figures(ohms) for ohms in maps.values()]
    print(f"\n| figure | maps: median (range) | {DRAWN} mock chips with as many faults: median (5 to 95 %) | error |")
    print("|---|---|---|---|")
    for key in seen_real[0]:
        one, other = np.array([r[key] for r in seen_real]), np.array([d[key] for d in drawn])
        low, high = np.nanquantile(other, [0.05, 0.95])
        print(
            f"| {key} | {np.median(one):.3g} ({one.min():.3g} to {one.max():.3g}) | {np.nanmedian(other):.3g} "
            f"({low:.3g} to {high:.3g}) | {np.nanmedian(other) - np.median(one):+.2g} |"
        )

    figure, axes = plt.subplots(2, len(maps), figsize=(3.0 * len(maps), 6.2), layout="constrained")
    norm = LogNorm(1e2, 2e6)
    for column, (name, ohms) in enumerate(maps.items()):
        for row, (title, values) in enumerate(((f"{name}, measured", ohms), ("mock with its lines", mocks[name]))):
            image = axes[row, column].imshow(values, norm=norm, cmap="viridis")
            axes[row, column].set(title=title, xlabel="column", ylabel="row")
    figure.colorbar(image, ax=axes, label="R [Ω]", shrink=0.7)  # pyright: ignore[reportPossiblyUnboundVariable]
    FIGURE.parent.mkdir(exist_ok=True)
    figure.savefig(FIGURE, dpi=110)
    print(f"\n{FIGURE.relative_to(ROOT)} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
