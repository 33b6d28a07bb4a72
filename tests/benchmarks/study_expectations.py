"""Whether what a runbook expects holds on chips nobody chose its settings on: it is run once per seed, and counted.

    python tests/benchmarks/study_expectations.py train_lstm_simulator --seeds 101-120 --resume kept.jsonl
    python tests/benchmarks/study_expectations.py train_cnn_mnist --preset quick --seeds 101,105,110-112
    python tests/benchmarks/study_expectations.py train_lstm_airline --set ours.copies=2 --minutes 30 --resume kept.jsonl

Any runbook, shipped or a file, at any station, with any preset. One line of JSON per run goes to ``--resume``: the
summary and every expectation. What is there, of the same runbook, station, preset, changes and code, is not run again;
``--minutes`` begins no further run after so long. A run that ends in an error misses all its expectations. Before it
begins it says how many runs are ahead, and after each how long the rest will take.

Ends with 0 if every expectation held on 19 of 20 of the seeds that were run, otherwise with 1.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("XBARLAB_WEAR", tempfile.mkdtemp(prefix="xbarlab-wear-"))

import numpy as np

from xbarlab.common.errors import XbarlabError
from xbarlab.runbooks.runner.runner import run_runbook
from xbarlab.runbooks.runner.schema import load_runbook

WANTED = 0.95  # share of the seeds that an expectation must hold on


def seeds_of(text: str) -> list[int]:
    """Return the seeds of '1,4,10-12'."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return sorted(set(found))


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runbook", help="path, or the name of a shipped one")
    parser.add_argument("--seeds", type=seeds_of, default=seeds_of("101-120"), help="like 101-120 or 1,4,10-12")
    parser.add_argument("--preset", default="")
    parser.add_argument("--station", default=None, help="the runbook's own by default")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="ID.KEY=VALUE")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="JSON lines: what is there is not run again")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no further run after these")
    parser.add_argument("--show", nargs="+", default=[], metavar="KEY", help="other keys of the summary for the table")
    return parser.parse_args(argv)


def kept(file: Path | None, case: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """Return what earlier sessions left of this case, by seed; a line that was cut off counts as not there."""
    found: dict[int, dict[str, Any]] = {}
    if file is not None and file.is_file():
        for text in file.read_text(encoding="utf-8").splitlines():
            try:
                one = json.loads(text)
            except json.JSONDecodeError:
                continue
            if one["case"] == case:
                found[one["seed"]] = one
    return found


def run(told: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Run the runbook once; return its summary and what became of each expectation."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            outcome = run_runbook(
                told.runbook, station=told.station, preset=told.preset, overrides=told.changes, seed=seed,
                out=Path(folder) / "run", quiet=True,
            )  # fmt: skip
        except XbarlabError as error:
            return {"failed": str(error), "seconds": round(time.monotonic() - began, 1)}
    checks = {check.metric: {"value": check.value, "held": check.passed} for check in outcome.checks}
    return {"checks": checks, "summary": outcome.summary, "seconds": round(time.monotonic() - began, 1)}


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is missing, print the table."""
    told = arguments(argv)
    book = load_runbook(told.runbook, overrides=told.changes, preset=told.preset)
    station = book.station_file(told.station)
    limits = {e.key: (e.minimum, e.maximum) for e in book.expect}
    case = {"runbook": book.name, "preset": told.preset, "station": station.name, "changes": sorted(told.changes)}
    done = kept(told.resume, case)
    ahead = [seed for seed in told.seeds if seed not in done]
    each = float(np.median([one["seconds"] for one in done.values()])) if done else float("nan")
    guess = f", about {each * len(ahead) / 60:.0f} min" if done else ", the first will tell how long they take"
    print(f"{book.name}: {len(ahead)} of {len(told.seeds)} runs ahead{guess}", file=sys.stderr, flush=True)
    began = time.monotonic()
    for number, seed in enumerate(ahead, 1):
        if time.monotonic() - began > 60.0 * told.minutes:
            print(f"{told.minutes:g} min are over: {len(ahead) - number + 1} runs not begun", file=sys.stderr)
            break
        done[seed] = {"case": case, "seed": seed, **run(told, seed)}
        if told.resume is not None:
            with told.resume.open("a", encoding="utf-8") as file:
                file.write(json.dumps(done[seed]) + "\n")
        left = (time.monotonic() - began) / number * (len(ahead) - number)
        said = {key: round(one["value"], 4) for key, one in done[seed].get("checks", {}).items()}
        print(f"seed {seed}: {done[seed].get('failed', said)}; {done[seed]['seconds']:.0f} s, {number} of {len(ahead)},"
              f" {left / 60:.0f} min left", file=sys.stderr, flush=True)  # fmt: skip
    return print_table(limits, [done[seed] for seed in told.seeds if seed in done], told.show)


def print_table(limits: Mapping[str, Any], runs: Sequence[Mapping[str, Any]], also: Sequence[str]) -> int:
    """Print one line per expectation and per further key; return 0 where every expectation held often enough."""
    print("| expectation | held | median (range) | seeds that missed |")
    print("|---|---|---|---|")
    good = bool(runs)
    for key, (low, high) in limits.items():
        bounds = " and ".join([f"≥ {low:g}"] * (low is not None) + [f"≤ {high:g}"] * (high is not None))
        missed = [one["seed"] for one in runs if not one.get("checks", {}).get(key, {"held": False})["held"]]
        values = [one["checks"][key]["value"] for one in runs if key in one.get("checks", {})]
        good &= len(runs) - len(missed) >= WANTED * len(runs)
        print(f"| `{key}` {bounds} | {len(runs) - len(missed)} of {len(runs)} | {spread(values)} | "
              f"{', '.join(map(str, missed)) or '–'} |")  # fmt: skip
    for key in also:
        values = [one["summary"][key] for one in runs if key in one.get("summary", {})]
        print(f"| `{key}` | | {spread(values)} | |")
    for one in runs:
        if "failed" in one:
            print(f"\nseed {one['seed']} ended: {one['failed']}")
    print(f"\n{len(runs)} runs, {sum(one['seconds'] for one in runs) / 60:.1f} minutes.")
    return 0 if good else 1


def spread(values: Sequence[float]) -> str:
    """Return median and range."""
    if not values:
        return "not measured"
    return f"{np.median(values):.4g} ({np.min(values):.4g} … {np.max(values):.4g})"


if __name__ == "__main__":
    sys.exit(main())
