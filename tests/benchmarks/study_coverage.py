"""Whether what the steps report is true: chips drawn at random, the 95 % intervals of every quantity, and their widths.

    python tests/benchmarks/study_coverage.py --chips 40                      the whole table
    python tests/benchmarks/study_coverage.py --only wire --chips 20 --seeds-from 500
    python tests/benchmarks/study_coverage.py --resume coverage.jsonl         goes on where it was cut

Truth is Monte Carlo of the physics with the instruments left out (``truth/``), never an analysis. Ends with 0 if
everything holds that the table judges, otherwise with 1. ``docs/validation/coverage.md`` has its last output.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ.setdefault("XBARLAB_WEAR", tempfile.mkdtemp(prefix="xbarlab-wear-"))

from truth.numbers import Found
from truth.table import coverage_table


def _late(module: str, name: str) -> Callable[[int], Found]:
    """Return a function of ``truth/`` whose module is imported when it is called."""

    def measure(number: int) -> Found:
        return getattr(import_module(f"truth.{module}"), name)(number)

    return measure


QUANTITIES: dict[str, Callable[[int], Found]] = {
    **{name: _late("board", name) for name in ("wire", "stuck", "noise", "vmm", "programming", "drift", "rtn")},
    "iv": _late("iv", "measure"),
    "wire_8x8": _late("passive", "wire"),
    "drift_8x8": _late("passive", "drift"),
}


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chips", type=int, default=40)
    parser.add_argument("--only", nargs="+", choices=list(QUANTITIES), default=list(QUANTITIES), metavar="QUANTITY",
                        help=f"of {', '.join(QUANTITIES)}")  # fmt: skip
    parser.add_argument("--seeds-from", type=int, default=0, metavar="N", help="number of the first chip")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="JSON lines: what is there is not done again")
    return parser.parse_args(argv)


def kept(file: Path | None) -> dict[tuple[int, str], dict[str, Any]]:
    """Return what an earlier session left; a line that was cut off counts as not there."""
    lines: dict[tuple[int, str], dict[str, Any]] = {}
    if file is None or not file.is_file():
        return lines
    for text in file.read_text(encoding="utf-8").splitlines():
        try:
            one = json.loads(text)
        except json.JSONDecodeError:
            continue
        lines[one["chip"], one["quantity"]] = one
    return lines


def main(argv: list[str] | None = None) -> int:
    """Run the study and print its table."""
    told = arguments(argv)
    logging.disable(logging.WARNING)
    done = kept(told.resume)
    lines: list[dict[str, Any]] = []
    began = time.monotonic()
    tasks = [(chip, name) for chip in range(told.seeds_from, told.seeds_from + told.chips) for name in told.only]
    for at, task in enumerate(tasks):
        if task not in done:
            start = time.monotonic()
            result = QUANTITIES[task[1]](task[0])
            spent = time.monotonic() - start
            done[task] = {"chip": task[0], "quantity": task[1], "seconds": round(spent, 2), **result.as_dict()}
            if told.resume is not None:
                with told.resume.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(done[task]) + "\n")
            left = (time.monotonic() - began) / (at + 1) * (len(tasks) - at - 1)
            print(f"chip {task[0]}, {task[1]}: {spent:.1f} s; {at + 1} of {len(tasks)}, {left / 60:.0f} min left",
                  file=sys.stderr, flush=True)  # fmt: skip
        lines.append(done[task])
    text, good = coverage_table(lines)
    print(text)
    minutes = sum(one["seconds"] for one in lines) / 60
    print(f"\n{told.chips} chips from number {told.seeds_from} on, {minutes:.1f} minutes.")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
