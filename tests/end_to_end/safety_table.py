"""The proofs of docs/safety.md, one after the other, and one table of what they came to.

    python tests/end_to_end/safety_table.py                       # everything: about an hour on two cores
    python tests/end_to_end/safety_table.py --only limits,files   # some of it: limits faults kills files fuzz host soak
    python tests/end_to_end/safety_table.py --figure docs/figures/soak.png

Every proof runs in a process of its own. One whose numbers cannot be found has failed, and so has one that ends early;
the exit code is then 1.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
HOURS_MAX = 3.0
"""No proof may take longer [h]."""
REQUESTS_MIN, COMBINATIONS_MIN, FUZZ_MIN = 10_000, 300, 1_000_000

# What has to be tried, and the beginning of the tests that try it.
TROUBLES = {
    "disk full": ("test_a_full_disk_says_so", "test_a_full_database_says_so"),
    "read-only": ("test_a_folder_that_became_read_only", "test_an_output_folder_that_cannot_be_made"),
    "database locked": ("test_a_database_that_another_program_holds",),
    "journal cut mid-line": ("test_a_torn_last_line_is_ignored", "test_zeros_that_a_power_cut_left"),
    "checkpoint damaged": ("test_a_damaged_state_is_refused",),
    "clock set back": ("test_a_clock_that_was_set_back",),
}
ATTACKS = {
    "a block of 999,999,999 bytes": ("test_a_block_of_a_gigabyte",),
    "200 connections": ("test_two_hundred_connections",),
    "a byte now and then": ("test_a_client_that_sends_a_byte_now_and_then",),
    "never reads": ("test_a_client_that_never_reads",),
    "no token": ("test_nothing_acts_before_the_token", "test_no_host_beyond_this_computer_without_a_token"),
}


@dataclass(frozen=True)
class Proof:
    """A row of the table."""

    name: str
    ran: str
    number: str
    bound: str
    met: bool
    seconds: float = 0.0


@dataclass(frozen=True)
class Tests:
    """What pytest said: its output, and the names of the tests that passed, failed and were skipped."""

    said: str
    passed: list[str]
    failed: list[str]
    skipped: list[str]

    @property
    def clean(self) -> bool:
        """Whether something ran and nothing failed."""
        return bool(self.passed) and not self.failed

    @property
    def counts(self) -> str:
        skipped = f", {len(self.skipped)} skipped" if self.skipped else ""
        return f"{len(self.passed)} tests passed, {len(self.failed)} failed{skipped}"

    def number(self, pattern: str) -> list[float]:
        """Return the numbers of every place that matches; an empty list is a proof that was not given."""
        found = re.findall(pattern, self.said, re.MULTILINE)
        return [float(text.replace(",", "")) for text in found]

    def missing(self, wanted: dict[str, tuple[str, ...]]) -> list[str]:
        """Return what of ``wanted`` has no test that passed."""
        return [
            what
            for what, tests in wanted.items()
            if not all(any(name.startswith(test) for name in self.passed) for test in tests)
        ]


def run_tests(*arguments: str) -> Tests:
    """Run pytest and read what it kept, not what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "kept.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", f"--junitxml={kept}"]
        done = subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        cases = ElementTree.parse(kept).iter("testcase") if kept.is_file() else []
        outcomes: dict[str, list[str]] = {"passed": [], "failed": [], "skipped": []}
        for case in cases:
            tags = {child.tag for child in case}
            outcome = "failed" if tags & {"failure", "error"} else "skipped" if "skipped" in tags else "passed"
            outcomes[outcome].append(str(case.get("name")))
    if done.returncode and not outcomes["failed"]:
        outcomes["failed"].append(f"pytest ended with {done.returncode}")
    for name in outcomes["failed"]:
        print(f"  failed: {name}")
    if outcomes["failed"]:
        print(done.stdout[-3000:])
    return Tests(done.stdout, **outcomes)


# -- the proofs --------------------------------------------------------------------------------------------------------


def limits(_: argparse.Namespace) -> Proof:
    tests = run_tests("tests/unit/instruments/test_limits_everywhere.py", "tests/wire/test_limits_on_the_wire.py")
    asked = tests.number(r"limits everywhere: ([\d,]+) requests")
    total = asked[0] if len(asked) == 1 else 0.0
    return Proof(
        "limits",
        "test_limits_everywhere.py, test_limits_on_the_wire.py",
        f"{total:,.0f} requests, none outside; {tests.counts}",
        f"≥ {REQUESTS_MIN:,}, none",
        tests.clean and total >= REQUESTS_MIN,
    )


def faults(_: argparse.Namespace) -> Proof:
    import fault_matrix as matrix

    with tempfile.TemporaryDirectory() as folder:
        os.environ["XBARLAB_WEAR"] = folder
        judged = matrix.run_matrix(Path(folder))
    print(matrix.table(judged))
    for one in judged:
        if one.mistakes:
            print(f"  failed: {one.combination.text}: exit {one.exit_code}; {'; '.join(one.mistakes)}")
    counts = Counter(one.outcome for one in judged)
    steps = {(one.combination.bench, one.combination.step) for one in judged}
    whole = {(bench, step) for bench, what in matrix.BENCHES.items() for step in what["steps"]}
    kinds = {one.combination.fault for one in judged}
    longest = max((one.seconds for one in judged), default=0.0)
    return Proof(
        "faults",
        f"fault_matrix.py: {len(steps)} steps × {len(kinds)} faults × instruments",
        f"{len(judged)} combinations: {counts['absorbed']} absorbed, {counts['ended']} ended safely, "
        f"{counts['failed']} failed; longest {longest:.1f} s",
        f"≥ {COMBINATIONS_MIN}, 0 failed, ≤ {matrix.WALL_SECONDS:g} s each",
        len(judged) >= COMBINATIONS_MIN and not counts["failed"] and steps == whole and kinds == set(matrix.FAULTS),
    )


def kills(chosen: argparse.Namespace) -> Proof:
    from kill_matrix import kill_matrix

    cases = kill_matrix(chosen.kills, 0, show=True)
    passed = sum(case.passed for case in cases)
    lost, twice = sum(case.missing for case in cases), sum(case.repeated for case in cases)
    return Proof(
        "kills",
        f"kill_matrix.py: {len({case.runbook for case in cases})} runbooks over TCP",
        f"{passed} of {len(cases)} SIGKILLs resumed to the end, {sum(case.resumes for case in cases)} resumes; "
        f"{lost} units missing, {twice} twice",
        f"all of ≥ {chosen.kills}, 0, 0",
        len(cases) >= chosen.kills and passed == len(cases) and lost == twice == 0,
    )


def files(_: argparse.Namespace) -> Proof:
    tests = run_tests(
        "tests/unit/runbooks/test_output_trouble.py", "tests/unit/protocols/test_work.py", "-m", "slow or not slow"
    )
    missing = tests.missing(TROUBLES)
    return Proof(
        "files",
        f"test_output_trouble.py, test_work.py: {', '.join(TROUBLES)}",
        tests.counts + (f"; NOT TRIED: {', '.join(missing)}" if missing else ""),
        "all, each trouble tried",
        tests.clean and not missing,
    )


def fuzz(_: argparse.Namespace) -> Proof:
    tests = run_tests("tests/wire/test_fuzz_scpi.py", "-m", "long or slow or not slow")
    rows = re.findall(r"^\w+ +(\d+) +(\d+) +[\d.]+ +([\d.]+)$", tests.said.partition("fuzz, long")[2], re.MULTILINE)
    commands, size = sum(int(row[0]) for row in rows), sum(int(row[1]) for row in rows)
    kept = max((float(row[2]) for row in rows), default=float("inf"))
    return Proof(
        "fuzz",
        f"test_fuzz_scpi.py: {len(rows)} instruments, parser and framing",
        f"{commands:,} commands in {size:,} bytes, at most {kept:.1f} MB kept; {tests.counts}",
        f"≥ {FUZZ_MIN:,} each, < 20 MB",
        tests.clean and not tests.skipped and len(rows) >= 4 and min(commands, size) >= FUZZ_MIN and kept < 20.0,
    )


def host(_: argparse.Namespace) -> Proof:
    tests = run_tests("tests/unit/mockhw/test_tcp_host_hostile.py", "tests/unit/instruments/test_token.py")
    peaks = tests.number(r"([\d.]+) MiB at most$")
    missing = tests.missing(ATTACKS)
    return Proof(
        "host",
        f"test_tcp_host_hostile.py, test_token.py: {', '.join(ATTACKS)}",
        f"{tests.counts}; at most {max(peaks, default=float('nan')):.1f} MiB under attack"
        + (f"; NOT TRIED: {', '.join(missing)}" if missing else ""),
        "all, *IDN? answered after each, 16 to 64 MiB",
        tests.clean and len(peaks) >= 4 and not missing,
    )


def soak(chosen: argparse.Namespace) -> Proof:
    import soak as module

    with tempfile.TemporaryDirectory() as folder:
        os.environ["XBARLAB_WEAR"] = folder
        lived = module.run_soak(Path(folder), chosen.hours, minutes=60.0)
    print(module.table(lived))
    for failure in lived.failures:
        print(f"  failed: {failure}")
    if chosen.figure is not None:
        from xbarlab.analysis.plots.plots import save

        save(module.draw(lived), chosen.figure)
    growth = {name: by for name, (_, _, by) in lived.growth().items()}
    handles = ", ".join(f"{name} {growth[name]:+.0f}" for name in ("files", "threads", "locks", "children"))
    return Proof(
        "soak",
        f"soak.py: {len(lived.samples)} runs, {sum(lived.faults.values())} faults",
        f"{lived.samples[-1].hours:.1f} h of bench time; memory {growth['rss']:+.1f} MB, {handles}",
        f"≥ {chosen.hours:g} h, ≤ {module.BOUNDS['rss']:g} MB, no handle more than {module.BOUNDS['files']:g}",
        not lived.failures and lived.samples[-1].hours >= chosen.hours,
    )


PROOFS: dict[str, Callable[[argparse.Namespace], Proof]] = {
    "limits": limits, "faults": faults, "kills": kills, "files": files, "fuzz": fuzz, "host": host, "soak": soak,
}  # fmt: skip


# -- the table ---------------------------------------------------------------------------------------------------------


def in_a_process(name: str, arguments: Sequence[str]) -> Proof:
    """Carry a proof out in a process of its own; one that leaves no row behind has failed."""
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        row = Path(folder) / "row.json"
        command = [sys.executable, __file__, *arguments, "--only", name, "--row", str(row)]
        try:
            code: object = subprocess.run(command, check=False, timeout=3600.0 * HOURS_MAX).returncode
        except subprocess.TimeoutExpired:
            code = f"its time of {HOURS_MAX:g} h"
        seconds = time.perf_counter() - begun
        if code != 0 or not row.is_file():
            return Proof(name, "–", f"it ended with {code} and no numbers", "numbers", False, seconds)
        return dataclasses.replace(Proof(**json.loads(row.read_text(encoding="utf-8"))), seconds=seconds)


def table(proofs: Sequence[Proof]) -> str:
    """Return the proofs as a table in Markdown."""
    lines = ["| proof | what ran | came to | bound | met | took |", "|---|---|---|---|---|---|"]
    for proof in proofs:
        met = "yes" if proof.met else "**NO**"
        cells = (proof.name, proof.ran, proof.number, proof.bound, met, f"{proof.seconds:.0f} s")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Print the table; exit with 1 when a proof failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PROOFS), help=f"some of {','.join(PROOFS)}")
    parser.add_argument("--kills", type=int, default=100, help="how many runs are killed")
    parser.add_argument("--hours", type=float, default=8.0, help="bench time of the soak [h]")
    parser.add_argument("--figure", type=Path, help="draw the soak into this PNG file")
    parser.add_argument("--row", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    names = chosen.only.split(",")
    if unknown := [name for name in names if name not in PROOFS]:
        parser.error(f"unknown proof {', '.join(unknown)}: choose from {', '.join(PROOFS)}")
    if chosen.row is not None:
        proof = PROOFS[names[0]](chosen)
        chosen.row.write_text(json.dumps(dataclasses.asdict(proof)), encoding="utf-8")
        return 0
    passed_on = ["--kills", str(chosen.kills), "--hours", str(chosen.hours)]
    if chosen.figure is not None:
        passed_on += ["--figure", str(chosen.figure)]
    proofs: list[Proof] = []
    for name in names:
        print(f"\n== {name}", flush=True)
        proofs.append(in_a_process(name, passed_on))
        print(table(proofs[-1:]), flush=True)
    print(f"\n{table(proofs)}")
    return int(not all(proof.met for proof in proofs))


if __name__ == "__main__":
    sys.exit(main())
