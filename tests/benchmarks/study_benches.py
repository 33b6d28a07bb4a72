"""The same chips on different benches: what a first cell comes to on each, beside Monte Carlo of the physics.

    python tests/benchmarks/study_benches.py --seeds 20 --resume benches.jsonl
    python tests/benchmarks/study_benches.py --stations mock_tio2_2400 mine.station.yaml --seeds 5

On every station ``first_cell`` runs unchanged over chips of seeds 1, 2, …; where the bench cannot sweep,
``first_cell_pulsed``. Beside it stand chips without any instrument (``truth/bare_passive.py``): the same plans, the
time of a point of a sweep as a cell sees it on that bench, no noise of instruments; ``--chips`` others, and the same
seeds once more. The median over the chips of the bench has to lie where 99 % of the medians of as many chips of the
Monte Carlo lie. Then virgin cells that do not fluctuate are read everywhere, and held against what the instruments
state (``ACCURACY`` of ``tests/support/quiet_stations.py``).

One line of JSON per chip goes to ``--resume``; what is there, of the same plans at the same station, is not run again.
Ends with 0 if everything lies where it should, otherwise with 1. ``docs/validation/benches.md`` has its last output.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("XBARLAB_WEAR", tempfile.mkdtemp(prefix="xbarlab-wear-"))

import numpy as np
from study_runbook import digest_of, lines_kept, one_chip
from truth.bare_passive import BareCrossbar

from support.quiet_stations import accuracy_of, bench_file, virgin
from xbarlab import open_bench
from xbarlab.analysis.measurements.forming_loops import without_forming
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.abilities import Sweeps
from xbarlab.instruments.errors import UnsupportedError
from xbarlab.mockhw.bench.bench import bench_for, forget_bench
from xbarlab.protocols.forming.result import FormingResult
from xbarlab.protocols.keeping.run import Run
from xbarlab.runbooks.runner.schema import Runbook, load_runbook

STATIONS = (
    "mock_tio2", "mock_tio2_2400", "mock_tio2_2600", "mock_tio2_4200", "mock_tio2_b1500", "mock_tio2_arc2",
    "mock_single_2400", "mock_single_2450",
)  # fmt: skip
RUNBOOKS = ("first_cell", "first_cell_pulsed")
KINDS = ("forming", "dc_sweep", "pulsed_iv")
Chips = Sequence[dict[str, Any]]
HEAD = (
    "| station | | bench: chips, median (range) | physics: median (5 … 95 %) | 99 % of such medians "
    "| same chips, median difference | inside |\n|---|---|---|---|---|---|---|"
)
CELLS_HEAD = (
    "| station | cell | reads [nS] | is [nS] | off by [nS] | may be off by [nS] | stated by |",
    "|---|---|---|---|---|---|---|",
)
OTHERS = 1000  # seeds of chips of the Monte Carlo begin here
LIKELY = 0.99  # share of the medians of as many chips of the Monte Carlo
SAYS = {
    "v_form": ("V_form", "V", 1.0), "v_set": ("V_SET", "V", 1.0), "v_reset": ("V_RESET", "V", 1.0),
    "hrs": ("HRS", "kΩ", 1e-3), "lrs": ("LRS", "kΩ", 1e-3),
}  # fmt: skip


@dataclass(frozen=True)
class Placed:
    """A station, the runbook it can do, why steps or another runbook are left out there, and what it is like."""

    station: str
    book: Runbook
    skips: tuple[str, ...]
    spec: Any
    profile: Any
    point: float | None
    asked: dict[str, Any]


def placed(station: str, preset: str = "") -> Placed:
    """Ask a bench what it can do, and how long a point of a sweep takes there."""
    skips: list[str] = []
    with open_bench(station, seed=OTHERS) as bench:
        array, chip = bench.array, bench_for(bench_file(station)).chip
        profile = chip.profile
        for name in RUNBOOKS:
            book = load_runbook(name, preset=preset)
            try:
                left = {step.id: step.left_out(array.spec) for step in book.steps}
            except UnsupportedError as error:
                skips.append(f"`{name}`: {error}")
                continue
            skips += [f"step `{step}`: {why}" for step, why in left.items() if why]
            swept = next((step.plan for step in book.steps if step.kind.name == "dc_sweep"), None)
            point = None if swept is None else point_seconds(bench, chip, swept.dwell)
            spec = array.spec
            break
        else:
            raise RefusedError(f"{station} can do none of {', '.join(RUNBOOKS)}: {'; '.join(skips)}")
    forget_bench(bench_file(station))
    asked = {"runbook": book.name, "station": book.station_file(station).name, "plans": digest_of(book)}
    return Placed(station, book, tuple(skips), spec, profile, point, asked)


def point_seconds(bench: Any, chip: Any, dwell: float) -> float:
    """Return how long [s] a cell stays at a point of a sweep on a bench, as the cell sees it, at harmless voltages."""
    levels, stays = np.linspace(0.0, 0.05, 26), list[tuple[float, float]]()
    hold = chip.hold

    def seen(bias: Any, seconds: float) -> None:
        stays.append((float(chip.solve(bias).cell_volts[0, 0]), seconds))
        hold(bias, seconds)

    sweep = bench.array.ability(Sweeps).sweep
    sweep(0, 0, levels, compliance=1e-4, dwell=dwell)  # finds ranges
    chip.hold = seen
    try:
        sweep(0, 0, levels, compliance=1e-4, dwell=dwell)
    finally:
        chip.hold = hold
    within = levels[8:-4]
    low, high = within[0] - 1e-3, within[-1] + 1e-3
    return sum(seconds for volts, seconds in stays if low < volts < high) / within.size


def switching(results: Sequence[Any]) -> dict[str, float]:
    """Return what one chip gave: V_form, V_SET, V_RESET [V], HRS and LRS [Ω], nan where there is none."""
    found = dict.fromkeys(SAYS, float("nan"))
    for result in results:
        if isinstance(result, FormingResult):
            found["v_form"] = _middle(result.v_form)
        table = getattr(result, "switching", None)
        if table is not None and not isinstance(table, dict):
            table = without_forming(table)
            for branch, state in (("set", "lrs"), ("reset", "hrs")):
                volts = table[f"v_{branch}"].to_numpy(dtype=np.float64)
                found[f"v_{branch}"] = _middle(volts)
                after = table[f"g_after_{branch}"].to_numpy(dtype=np.float64)[np.isfinite(volts)]
                found[state] = 1.0 / _middle(after)
    return found


def _middle(values: Any) -> float:
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    return float(np.median(known)) if known.size else float("nan")


def on_the_bench(at: Placed, seed: int) -> dict[str, Any]:
    """Run the runbook on a chip in the bench's socket."""
    results: list[Any] = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["XBARLAB_WEAR"] = str(Path(folder, "wear"))
        summary = one_chip(at.book, seed, Path(folder, "run"), at.station, results)
    return {**switching(results), "ended": summary.get("ended", ""), "cpu_seconds": summary["cpu_seconds"]}


def without_instruments(at: Placed, seed: int) -> dict[str, Any]:
    """Do the same plans to a chip between ideal sources."""
    bare: Any = BareCrossbar(at.spec, at.profile, seed, dwell=at.point)
    begun = time.process_time()
    results = [
        step.kind.run(bare, step.plan, Run(None, quiet=True)) for step in at.book.steps if step.kind.name in KINDS
    ]
    return {**switching(results), "ended": "", "cpu_seconds": round(time.process_time() - begun, 2)}


@dataclass(frozen=True)
class Compared:
    """One figure of one station: of the bench, of the Monte Carlo, and of the same chips without instruments."""

    bench: np.ndarray
    truth: np.ndarray
    same: np.ndarray

    @property
    def likely(self) -> tuple[float, float]:
        """Where medians of as many chips of the Monte Carlo lie."""
        known, size = self.truth[np.isfinite(self.truth)], int(np.isfinite(self.bench).sum())
        if not known.size or not size:
            return float("nan"), float("nan")
        medians = np.median(np.random.default_rng(0).choice(known, (4000, size)), axis=1)
        low, high = np.quantile(medians, [(1.0 - LIKELY) / 2.0, (1.0 + LIKELY) / 2.0])
        return float(low), float(high)

    @property
    def holds(self) -> bool:
        """Whether the bench's median is one of those."""
        low, high = self.likely
        return bool(np.isfinite(low) and low <= np.nanmedian(self.bench) <= high)


def compared(key: str, bench: Chips, truth: Chips, same: Chips) -> Compared:
    """Return one figure of chips."""
    return Compared(*(np.array([chip[key] for chip in chips], dtype=np.float64) for chips in (bench, truth, same)))


def lines_of(at: Placed, bench: Chips, truth: Chips, same: Chips) -> tuple[list[str], bool]:
    """Return the lines of the table of one station, and whether all of it holds."""
    lines, well = [], True
    for key, (name, unit, scale) in SAYS.items():
        one = compared(key, bench, truth, same)
        known = scale * one.bench[np.isfinite(one.bench)]
        if not known.size:
            lines.append(f"| `{at.station}` | {name} [{unit}] | never measured | | | | no |")
            well = False
            continue
        low, high = one.likely
        p5, p50, p95 = scale * np.nanquantile(one.truth, [0.05, 0.5, 0.95])
        apart = np.nanmedian(one.bench / one.same - 1.0)
        lines.append(
            f"| `{at.station}` | {name} [{unit}] "
            f"| {known.size}: {np.median(known):.4g} ({known.min():.4g} … {known.max():.4g}) "
            f"| {p50:.4g} ({p5:.4g} … {p95:.4g}) | {scale * low:.4g} … {scale * high:.4g} | {apart:+.1%} "
            f"| {'yes' if one.holds else '**no**'} |"
        )
        well &= one.holds
    return lines, well


def cells_table(stations: Sequence[str]) -> tuple[list[str], bool]:
    """Return the table of virgin cells that do not fluctuate, as each station reads them, and whether all hold."""
    lines = list(CELLS_HEAD)
    well, all_read, bounds = True, list[float](), list[float]()
    for station in stations:
        try:
            accuracy = accuracy_of(station)
        except RefusedError as error:
            lines.append(f"| `{station}` | {error} | | | | | |")
            continue
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            read, true = virgin(station, Path(folder))
        for row, (got, real) in enumerate(zip(read.tolist(), true.tolist(), strict=True)):
            bound = accuracy.bound(real)
            held = abs(got - real) <= bound
            well &= held
            all_read.append(got)
            bounds.append(bound)
            lines.append(
                f"| `{station}` | ({row}, 0) | {1e9 * got:.2f} | {1e9 * real:.2f} | {1e9 * (got - real):+.2f} | "
                f"{1e9 * bound:.2f}{'' if held else ' **no**'} | {accuracy.source} |"
            )
    two = combinations(zip(all_read, bounds, strict=True), 2)
    alike = all(abs(a - b) <= x + y for (a, x), (b, y) in two)
    lines += [
        "",
        f"Largest and smallest reading differ by {1e9 * np.ptp(all_read):.2f} nS; every two are "
        f"{'' if alike else '**not** '}within the sum of what both may be off by.",
    ]
    return lines, well and alike


def gone_on(
    kept: Path | None, asked: dict[str, Any], seeds: Sequence[int], do: Callable[[int], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Do what is not on file yet; return it all, by seed."""
    done = lines_kept(kept, asked)
    for seed in seeds:
        if seed not in done:
            done[seed] = do(seed)
            if kept is not None:
                with kept.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({**asked, "seed": seed, "found": done[seed]}) + "\n")
    return [done[seed] for seed in seeds]


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stations", nargs="+", default=list(STATIONS), metavar="STATION")
    parser.add_argument("--seeds", type=int, default=20, help="chips on each bench")
    parser.add_argument("--seeds-from", type=int, default=1, metavar="N", help="seed of the first chip")
    parser.add_argument("--chips", type=int, default=200, help="chips of the Monte Carlo")
    parser.add_argument("--preset", default="", help="of the runbook")
    parser.add_argument("--resume", type=Path, default=None, help="JSON lines that are kept, and gone on from")
    told = parser.parse_args(argv)
    well, skips, table = True, list[str](), list[str]()
    for station in told.stations:
        at = placed(station, told.preset)
        seeds = range(told.seeds_from, told.seeds_from + told.seeds)
        others = range(OTHERS, OTHERS + told.chips)
        print(f"{station}: {at.book.name}, {len(seeds)} chips", file=sys.stderr, flush=True)
        bench = gone_on(told.resume, {**at.asked, "of": "bench"}, seeds, lambda seed, at=at: on_the_bench(at, seed))
        bare = {**at.asked, "of": "physics", "point": None if at.point is None else f"{at.point:.6f}"}
        physics = gone_on(told.resume, bare, [*seeds, *others], lambda seed, at=at: without_instruments(at, seed))
        lines, held = lines_of(at, bench, physics[len(seeds) :], physics[: len(seeds)])
        table += lines
        well &= held
        pace = "" if at.point is None else f" ({1e3 * at.point:.3g} ms at a point of a sweep)"
        skips += [f"- `{station}`: `{at.book.name}`{pace}", *(f"  - {why}" for why in at.skips)]
        ended = [(seed, one["ended"]) for seed, one in zip(seeds, bench, strict=True) if one["ended"]]
        skips += [f"  - seed {seed} ended early: {why}" for seed, why in ended]
    print("\n".join(["What is left out:", "", *skips, ""]))
    print("\n".join([HEAD, *table, ""]))
    cells, held = cells_table(told.stations)
    print("\n".join(cells))
    return int(not (well and held))


if __name__ == "__main__":
    sys.exit(main())
