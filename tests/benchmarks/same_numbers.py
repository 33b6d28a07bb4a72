"""Are a run's numbers the same as before a change? Runs every shipped runbook and compares two checkouts key by key.

    python tests/benchmarks/same_numbers.py record before.json --checkout OLD --python OLD_ENV/bin/python
    python tests/benchmarks/same_numbers.py record after.json
    python tests/benchmarks/same_numbers.py compare before.json after.json

Each runbook runs in process and over TCP, with the chip served by ``xbarlab mock serve``. Only the command line is
used, so any two versions of this package can be compared. A runbook that takes more than ``--most`` seconds is left out
and named. Wall-clock keys are not compared.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SEED = 1
# What a clock on the wall says.
TIMES = re.compile(r"(^|[._])(seconds|wall_\w+)$")


def cli(python: str, *arguments: str) -> list[str]:
    return [python, "-m", "xbarlab.cli", *arguments]


def station_of(checkout: Path, runbook: Path) -> Path:
    found = re.search(r"^station:\s*(\S+)", runbook.read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None, runbook
    return checkout / "runbooks" / "stations" / f"{found[1]}.station.yaml"


def run(command: list[str], out: Path, most: float) -> dict[str, object] | None:
    """Return the summary of a run; None when it takes longer than ``most`` [s]."""
    try:
        done = subprocess.run(command, timeout=most, capture_output=True, text=True, check=False)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode not in {0, 1}:
        raise SystemExit(
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-1000:]}{done.stderr[-1000:]}"
        )
    return json.loads((out / "summary.json").read_text(encoding="utf-8"))


def over_tcp(python: str, station: Path, runbook: Path, folder: Path, most: float) -> dict[str, object] | None:
    text = station.read_text(encoding="utf-8")
    found = re.search(r"visalib:\s*(\S+?)\.bench\.yaml@xbarlab", text)
    assert found is not None, station
    bench = station.parent / f"{found[1]}.bench.yaml"
    server = subprocess.Popen(
        cli(python, "mock", "serve", str(bench), "--port", "0", "--seed", str(SEED)),
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        for line in server.stdout:
            served = re.match(r"(\S+) is served at (\S+)", line)
            if served is None:
                break
            text = text.replace(served[1], served[2])
        text = re.sub(r"visalib:\s*[^\s}]+@xbarlab", 'visalib: "@py"', text)
        text = re.sub(r"chip:\s*(\S+\.chip\.yaml)", lambda match: f"chip: {station.parent / match[1]}", text)
        own = folder / "own.station.yaml"
        own.write_text(text, encoding="utf-8")
        out = folder / "tcp"
        command = cli(
            python, "run", str(runbook), "--station", str(own), "--out", str(out), "--quiet", "--seed", str(SEED)
        )
        return run(command, out, most)
    finally:
        server.terminate()
        server.wait(30)


def record(arguments: argparse.Namespace) -> int:
    checkout = arguments.checkout.resolve()
    book: dict[str, dict[str, object]] = {}
    for runbook in sorted((checkout / "runbooks").glob("*.md")):
        if arguments.only and runbook.stem not in arguments.only.split(","):
            continue
        station = station_of(checkout, runbook)
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "in_process"
            began = time.perf_counter()
            command = cli(arguments.python, "run", str(runbook), "--out", str(out), "--quiet", "--seed", str(SEED))
            summary = run(command, out, arguments.most)
            took = time.perf_counter() - began
            if summary is None:
                print(f"{runbook.stem}: left out, takes more than {arguments.most:g} s", flush=True)
                continue
            book[f"{runbook.stem} in process"] = summary
            print(f"{runbook.stem} in process: {len(summary)} keys, {took:.0f} s", flush=True)
            began = time.perf_counter()
            summary = over_tcp(arguments.python, station, runbook, Path(folder), 4 * arguments.most)
            if summary is None:
                print(f"{runbook.stem} over TCP: left out", flush=True)
                continue
            book[f"{runbook.stem} over TCP"] = summary
            print(f"{runbook.stem} over TCP: {len(summary)} keys, {time.perf_counter() - began:.0f} s", flush=True)
        arguments.file.write_text(json.dumps(book, indent=1), encoding="utf-8")
    return 0


def compare(arguments: argparse.Namespace) -> int:
    before, after = (json.loads(file.read_text(encoding="utf-8")) for file in (arguments.before, arguments.after))
    differ = 0
    for name in sorted(before.keys() | after.keys()):
        if name not in before or name not in after:
            print(f"{name}: only in {'the first' if name in before else 'the second'}")
            differ += 1
            continue
        one, other = before[name], after[name]
        keys = [key for key in sorted(one.keys() | other.keys()) if TIMES.search(key) is None]
        changed = [key for key in keys if one.get(key) != other.get(key) and one.get(key) == one.get(key)]
        differ += len(changed)
        print(f"{name}: {len(keys) - len(changed)} of {len(keys)} numbers identical")
        for key in changed:
            print(f"    {key}: {one.get(key, 'not there')} -> {other.get(key, 'not there')}")
    return int(differ > 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("record", help="run the runbooks and keep their summaries")
    one.add_argument("file", type=Path)
    one.add_argument("--checkout", type=Path, default=Path(__file__).parents[2])
    one.add_argument("--python", default=sys.executable, help="of the environment that checkout is installed in")
    one.add_argument("--only", default="", help="runbooks, comma between them")
    one.add_argument("--most", type=float, default=120.0, help="leave out what takes longer in process [s]")
    one.set_defaults(do=record)
    two = commands.add_parser("compare", help="list the keys that differ; exit 1 when there are any")
    two.add_argument("before", type=Path)
    two.add_argument("after", type=Path)
    two.set_defaults(do=compare)
    arguments = parser.parse_args()
    return int(arguments.do(arguments))


if __name__ == "__main__":
    raise SystemExit(main())
