"""A runbook on many simulated chips: how often each expectation holds, and what its metrics come to.

    python tests/benchmarks/study_runbook.py characterise_1t1r --seeds 20 --resume runs/characterise_1t1r.jsonl
    python tests/benchmarks/study_runbook.py characterise_tio2 --preset quick --seeds 20 --show levels_200ns
    python tests/benchmarks/study_runbook.py characterise_1t1r --only form compare --seeds 5 --show pulses_per_cell_3bit
    python tests/benchmarks/study_runbook.py train_lstm_simulator --seeds-from 101 --minutes 30 --resume kept.jsonl

Chips are seeds N, N + 1, … (``--seeds-from``), each a run of its own; figures and reports are left out, as they are
most of the time of a small run. One line of JSON per chip goes to ``--resume``, and what is there, of the same plans at
the same station, is not run again. ``--until STEP`` leaves out the steps after one: what was measured up to it is the
same then, and expectations of later steps are not listed. ``--only form levels`` runs these two on a fresh chip.
``--minutes`` begins no further chip after so long. It says first how many chips are ahead, and how long they take
where that is known. Printed are, for every expectation (or metric of ``--show``), how many chips hold it, with the 95 %
interval of that share, and median and range of the value; and which chips missed it. Ends with 0 when every expectation
holds on 19 of 20 chips, otherwise with 1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from xbarlab.analysis.estimates.estimates import fraction_estimate
from xbarlab.common.errors import RefusedError, XbarlabError, unknown
from xbarlab.common.progress import ProgressBar
from xbarlab.runbooks.runner.expectations import Expectation, metrics_of
from xbarlab.runbooks.runner.record import RunRecord
from xbarlab.runbooks.runner.runner import run_runbook
from xbarlab.runbooks.runner.schema import Runbook, load_runbook

WANTED = 0.95  # share of the chips that an expectation must hold on


def cut(book: Runbook, until: str, only: Sequence[str] = ()) -> Runbook:
    """Return a runbook that ends with the step ``until``, or has ``only`` these, and expectations they can meet."""
    if not until and not only:
        return book
    ids = [step.id for step in book.steps]
    for name in (*only, *([until] if until else [])):
        if name not in ids:
            raise RefusedError(unknown("step id", name, ids))
    steps = book.steps[: ids.index(until) + 1] if until else book.steps
    steps = tuple(step for step in steps if not only or step.id in only)
    known = frozenset[str]().union(*(metrics_of(step) or () for step in steps))
    kept = tuple(one for one in book.expect if one.key in known or one.key.partition(".")[0] in {s.id for s in steps})
    return replace(book, steps=steps, expect=kept)


def one_chip(
    book: Runbook, seed: int, folder: Path, station: str | None = None, results: list[Any] | None = None
) -> dict[str, Any]:
    """Run once; return the summary, or what ended the run. What the steps return is added to ``results``."""
    begun = time.process_time()
    seen: list[Any] = [] if results is None else results
    with (
        patch.object(RunRecord, "write_report", lambda self, failure=None: self.directory / "report.html"),
        patch.object(RunRecord, "drawn", lambda self, result: seen.append(result)),
    ):
        try:
            outcome = run_runbook(book, station=station, out=folder, seed=seed, quiet=True)
            # A summary has a metric that one step measures without the step's id; an expectation may have it.
            found: dict[str, Any] = {**outcome.summary, **{check.metric: check.value for check in outcome.checks}}
        except XbarlabError as error:
            found = {"ended": str(error)}
    return {**found, "cpu_seconds": round(time.process_time() - begun, 1)}


def measured(chip: dict[str, Any], key: str) -> Any:
    """Return a metric by its summary key, or as ``id.key``, where only that step measures it; None without."""
    return chip.get(key, chip.get(key.partition(".")[2]))


def holds(expectation: Expectation, value: object) -> bool:
    """Whether a value is inside the limits; one that was not measured is not."""
    if not isinstance(value, int | float):
        return False
    low = -np.inf if expectation.minimum is None else expectation.minimum
    high = np.inf if expectation.maximum is None else expectation.maximum
    return bool(low <= value <= high)


def share_kept(expectation: Expectation, chips: Sequence[dict[str, Any]]) -> float:
    """Return on which share of the chips an expectation holds."""
    return sum(holds(expectation, measured(chip, expectation.key)) for chip in chips) / max(1, len(chips))


def digest_of(book: Runbook) -> str:
    """Return a digest of the steps and their plans; prose and limits may change without another run."""
    plans = [(step.id, step.plan.model_dump(mode="json")) for step in book.steps]
    return hashlib.sha256(json.dumps(plans).encode()).hexdigest()[:12]


def table(expected: Sequence[Expectation], shown: Sequence[str], chips: Sequence[dict[str, Any]]) -> str:
    """Return the table as Markdown, a line per expectation and per metric shown besides."""
    lines = ["| key | wanted | chips that hold it | share, 95 % | median (range) |", "|---|---|---|---|---|"]
    for one in (*expected, *(Expectation(key=key, minimum=None, maximum=None) for key in shown)):
        values = [measured(chip, one.key) for chip in chips]
        known = np.array([value for value in values if isinstance(value, int | float)], dtype=np.float64)
        known = known[np.isfinite(known)]
        spread = f"{np.median(known):.4g} ({known.min():.4g} … {known.max():.4g})" if known.size else "never measured"
        if one.minimum is None and one.maximum is None:
            lines.append(f"| {one.key} | – | measured on {known.size} of {len(chips)} | – | {spread} |")
            continue
        kept = sum(holds(one, value) for value in values)
        share = fraction_estimate(kept, len(chips))
        limits = (("≥", one.minimum), ("≤", one.maximum))
        wanted = " and ".join(f"{sign} {limit:g}" for sign, limit in limits if limit is not None)
        lines.append(
            f"| {one.key} | {wanted} | {kept} of {len(chips)} | {share.value:.0%} ({share.low:.0%} … {share.high:.0%}) "
            f"| {spread} |"
        )
    return "\n".join(lines)


def lines_kept(file: Path | None, asked: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """Return what earlier sessions left of the same, by seed."""
    if file is None or not file.is_file():
        return {}
    kept = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return {one["seed"]: one["found"] for one in kept if {key: one.get(key) for key in asked} == asked}


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is missing and print the table; return 1 where an expectation is missed too often."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runbook")
    parser.add_argument("--preset", default="")
    parser.add_argument("--station", default=None, help="the runbook's own by default")
    parser.add_argument("--set", action="append", default=[], metavar="id.key=value", dest="changes")
    parser.add_argument("--until", default="", metavar="STEP", help="leave out the steps after this one")
    parser.add_argument("--only", nargs="+", default=[], metavar="STEP", help="run these steps and no other")
    parser.add_argument("--seeds", type=int, default=20, help="chips")
    parser.add_argument("--seeds-from", type=int, default=1, metavar="N", help="seed of the first chip")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no further chip after these")
    parser.add_argument("--show", nargs="+", default=[], metavar="KEY", help="metrics to list besides")
    parser.add_argument("--resume", type=Path, default=None, help="JSON lines that are kept, and gone on from")
    told = parser.parse_args(argv)
    book = cut(load_runbook(told.runbook, preset=told.preset, overrides=told.changes), told.until, told.only)
    asked = {"runbook": book.name, "station": book.station_file(told.station).name, "plans": digest_of(book)}
    done = lines_kept(told.resume, asked)
    seeds = range(told.seeds_from, told.seeds_from + told.seeds)
    ahead = [seed for seed in seeds if seed not in done]
    each = f", {np.median([one['cpu_seconds'] for one in done.values()]):.0f} s of CPU each" if done else ""
    print(f"{book.name}: {len(ahead)} of {len(seeds)} chips ahead{each}", file=sys.stderr, flush=True)
    begun = time.monotonic()
    with ProgressBar("chips", len(ahead), unit="chips") as bar:
        for number, seed in enumerate(ahead):
            bar.update(number, f"seed {seed}")
            if time.monotonic() - begun > 60.0 * told.minutes:
                print(f"{told.minutes:g} minutes are over: {len(ahead) - number} chips were not begun", file=sys.stderr)
                break
            with tempfile.TemporaryDirectory() as folder:
                os.environ["XBARLAB_WEAR"] = str(Path(folder, "wear"))
                done[seed] = one_chip(book, seed, Path(folder, "run"), told.station)
            if told.resume is not None:
                with told.resume.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({**asked, "seed": seed, "found": done[seed]}) + "\n")
    ran = [seed for seed in seeds if seed in done]
    if not ran:
        return 1
    chips = [done[seed] for seed in ran]
    cpu = [chip["cpu_seconds"] for chip in chips]
    ends = f", up to {told.until}" if told.until else f", only {', '.join(told.only)}" if told.only else ""
    print(f"{told.runbook}, preset {told.preset or 'none'}{ends}, seeds {ran[0]} to {ran[-1]}")
    print(f"{np.median(cpu):.0f} s of CPU a chip ({min(cpu):.0f} … {max(cpu):.0f})")
    print(table(book.expect, told.show, chips))
    for one in book.expect:
        if missed := [seed for seed in ran if not holds(one, measured(done[seed], one.key))]:
            print(f"{one.key} missed by seeds {', '.join(map(str, missed))}")
    for seed in ran:
        if "ended" in done[seed]:
            print(f"seed {seed} ended early: {done[seed]['ended']}")
    return int(any(share_kept(one, chips) < WANTED for one in book.expect))


if __name__ == "__main__":
    sys.exit(main())
