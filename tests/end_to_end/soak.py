"""The soak: hours of bench time on both mock benches in one process, faults at random, and nothing may pile up.

``python tests/end_to_end/soak.py`` runs mixed runbooks through the command line until the two benches have lived
through ``--hours`` of simulated time, most runs with one to three faults at random moments. After every run it asks the
mock whether everything is safe and the process what it holds: memory, open files, threads, locks, children. It prints a
table, draws ``docs/figures/soak.png`` with ``--figure`` and exits with 1 when something grew beyond its bound.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import sys
import tempfile
import threading
import time
import tracemalloc
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import fault_matrix as matrix
from xbarlab.instruments.station.bench_lock import lock_folder
from xbarlab.mockhw.faults import Fault

WALL_MINUTES = 15.0
WARM_UP = 0.25
"""Part of the bench time after which nothing may grow any more."""
BOUNDS = {"rss": 40.0, "traced": 4.0, "files": 2.0, "threads": 0.0, "locks": 0.0, "children": 0.0}
"""Largest growth after warm-up, median of the last quarter over median of the first after it: MB, MB, and counts."""
RUNS_PER_CHIP = 8
LONG_SHARE = 0.5
"""Part of the runs that also have a step of ten minutes of bench time."""

_LONG = {
    "mock_ta_hfo2": 'read_verify: {cells: "0:2,0:2", reread_after: 600, levels: {count: 4, low: 10e-6, high: 185e-6}}',
    "mock_tio2": 'dc_sweep: {cells: "0,0", cycles: 3, positive: 1.4, negative: -1.6, step: 0.05, dwell: 0.5,'
    " compliance: 650e-6, reset_compliance: 2e-3}",
}


@dataclass(frozen=True)
class Sample:
    """What the process holds after a run: ``hours`` of bench time, ``rss`` and ``traced`` in MB, and counts."""

    hours: float
    rss: float
    traced: float
    files: int
    threads: int
    locks: int
    children: int


@dataclass
class Soak:
    """Everything a soak found out."""

    samples: list[Sample] = field(default_factory=list)
    codes: Counter[int] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    mistakes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def growth(self) -> dict[str, tuple[float, float, float]]:
        """Return of every quantity its level after warm-up, at the end, and by how much it grew."""
        hours = np.array([sample.hours for sample in self.samples])
        after = np.flatnonzero(hours >= WARM_UP * hours[-1])
        quarter = max(len(after) // 4, 1)
        found: dict[str, tuple[float, float, float]] = {}
        for name in BOUNDS:
            values = np.array([float(getattr(self.samples[k], name)) for k in after])
            first, last = float(np.median(values[:quarter])), float(np.median(values[-quarter:]))
            found[name] = first, last, last - first
        return found

    @property
    def failures(self) -> list[str]:
        grown = [f"{name} grew by {by:.3g}" for name, (_, _, by) in self.growth().items() if by > BOUNDS[name]]
        return self.mistakes + grown


def measure(hours: float) -> Sample:
    """Look at this process; garbage is collected first, for what is only waiting for that is no leak."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()
    return Sample(
        hours,
        pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
        tracemalloc.get_traced_memory()[0] / 1e6,
        len(list(Path("/proc/self/fd").iterdir())),
        threading.active_count(),
        _locks_held(),
        len(children),
    )


def _locks_held() -> int:
    """Count the locks that name this process as their holder."""
    held = 0
    for owner in lock_folder().glob("*.json"):
        try:
            held += json.loads(owner.read_text())["pid"] == os.getpid()
        except (OSError, ValueError):
            continue
    return held


def run_soak(folder: Path, hours: float, *, seed: int = 1, minutes: float = WALL_MINUTES, show: bool = False) -> Soak:
    """Run until ``hours`` of bench time have passed, or ``minutes`` of wall time."""
    soak, rng, begun = Soak(), np.random.default_rng(seed), time.perf_counter()
    rigs = [matrix.Rig(name, folder / name) for name in matrix.BENCHES]
    mocks: dict[str, Any] = {}
    lived, runs = 0.0, 0
    tracemalloc.start()
    try:
        with matrix.quick_reports():
            while lived < 3600.0 * hours and time.perf_counter() - begun < 60.0 * minutes:
                rig = rigs[runs % len(rigs)]
                if runs // len(rigs) % RUNS_PER_CHIP == 0:
                    mocks[rig.name] = rig.fresh()
                mock = mocks[rig.name]
                before = mock.clock.now
                _script(mock, rng)
                steps = list(rig.what["steps"].values())
                chosen = [steps[rng.integers(len(steps))], *([_LONG[rig.name]] if rng.random() < LONG_SHARE else [])]
                code, said, out = rig.run(*chosen)
                lived += mock.clock.now - before
                _judge(soak, rig, mock, code, said, f"run {runs}: {chosen}")
                shutil.rmtree(out, ignore_errors=True)
                soak.samples.append(measure(lived / 3600.0))
                runs += 1
                if show:
                    print(f"{lived / 3600.0:6.2f} h  exit {code}  {soak.samples[-1]}", flush=True)
    finally:
        tracemalloc.stop()
        for rig in rigs:
            rig.close()
    if lived < 3600.0 * hours:
        soak.mistakes.append(f"only {lived / 3600.0:.2f} of {hours:g} h of bench time in {minutes:g} min")
    soak.seconds = time.perf_counter() - begun
    return soak


def _script(mock: Any, rng: np.random.Generator) -> None:
    """Let one to three faults strike somewhere in two runs of three."""
    for instrument in mock.instruments.values():
        instrument.session.faults = None
    if rng.random() < 1 / 3:
        return
    addresses = list(mock.instruments)
    for _ in range(rng.integers(1, 4)):
        name = list(matrix.FAULTS)[rng.integers(len(matrix.FAULTS))]
        how = dict(matrix.FAULTS[name][0])
        if how["kind"] == "stuck_cell":
            how["cell"] = (int(rng.integers(8)), int(rng.integers(8)))
        fault = Fault(after=int(rng.integers(400)), times=1, **how)
        mock.script_faults(addresses[rng.integers(len(addresses))], [fault], seed=int(rng.integers(1 << 30)))


def _judge(soak: Soak, rig: Any, mock: Any, code: int, said: str, what: str) -> None:
    soak.codes[code] += 1
    for event in mock.log.faults():
        soak.faults[event.what.split()[1]] += 1
    mock.log.events.clear()
    soak.mistakes += [f"{what}: {mistake}" for mistake in matrix.unsafe(mock)]
    if code not in (0, 3):
        soak.mistakes.append(f"{what}: exit code {code}: {said.strip()[-300:]}")


def table(soak: Soak) -> str:
    """Return the soak as text."""
    lines = [f"{'':10} {'after warm-up':>14} {'at the end':>11} {'growth':>8} {'bound':>7}"]
    for name, (first, last, by) in soak.growth().items():
        unit = "MB" if name in ("rss", "traced") else ""
        lines.append(f"{name:10} {first:11.1f} {unit:2} {last:8.1f} {unit:2} {by:8.2f} {BOUNDS[name]:7.1f}")
    struck = sum(soak.faults.values())
    lines += [
        "",
        f"{len(soak.samples)} runs, {soak.samples[-1].hours:.2f} h of bench time in {soak.seconds / 60.0:.1f} min; "
        f"exit codes {dict(sorted(soak.codes.items()))}",
        f"{struck} faults struck: {', '.join(f'{kind} {count}' for kind, count in sorted(soak.faults.items()))}",
    ]
    return "\n".join(lines)


def draw(soak: Soak) -> Any:
    """Return the figure of memory and open files against bench time."""
    from xbarlab.analysis.plots.plots import PALETTE, new_figure, styled

    @styled
    def figure() -> Any:
        figure, (memory, files) = new_figure(9.0, 3.6, 2)
        hours = [sample.hours for sample in soak.samples]
        memory.plot(hours, [sample.rss for sample in soak.samples], color=PALETTE[0], label="resident")
        memory.plot(hours, [sample.traced for sample in soak.samples], color=PALETTE[1], label="Python objects")
        files.plot(hours, [sample.files for sample in soak.samples], color=PALETTE[0], label="open files")
        files.plot(hours, [sample.threads for sample in soak.samples], color=PALETTE[1], label="threads")
        files.plot(hours, [sample.locks for sample in soak.samples], color=PALETTE[2], label="locks held")
        for axes, title, label in ((memory, "Memory", "memory [MB]"), (files, "Handles", "count")):
            axes.axvline(WARM_UP * hours[-1], color="#5b6875", linewidth=0.8, linestyle=":")
            axes.set(title=title, xlabel="bench time [h]", ylabel=label, ylim=(0, None), xlim=(0, hours[-1]))
            axes.legend(loc="center right")
        return figure

    return figure()


def main() -> int:
    """Run, print, draw; exit with 1 when something was unsafe or grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=8.0, help="simulated bench time [h]")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=WALL_MINUTES, help="wall time it may take")
    parser.add_argument("--figure", type=Path, help="draw memory and open files into this PNG file")
    parser.add_argument("--show", action="store_true", help="print every run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XBARLAB_WEAR"] = folder
        soak = run_soak(
            Path(folder), arguments.hours, seed=arguments.seed, minutes=arguments.minutes, show=arguments.show
        )
    print(table(soak))
    if arguments.figure is not None:
        from xbarlab.analysis.plots.plots import save

        save(draw(soak), arguments.figure)
    for failure in soak.failures:
        print(f"FAILED {failure}")
    return int(bool(soak.failures))


if __name__ == "__main__":
    sys.exit(main())
