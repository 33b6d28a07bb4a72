"""Kill runs at random moments, resume them, and prove that nothing is lost or doubled.

    python tests/end_to_end/kill_matrix.py --kills 100
    python tests/end_to_end/kill_matrix.py --kills 8 --step multilevel pulse_answer    # of small runs of these steps

The mock bench is served over TCP by this process, so its chip lives on; the client is a process of its own that gets
SIGKILL. Every third resume is killed too.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))  # as a script: support/ is beside this folder

from fault_matrix import BENCHES
from support.small_runs import as_options
from xbarlab.mockhw.bench.bench import MockBench, forget_bench, fresh_bench
from xbarlab.mockhw.chip.profile import load_profile
from xbarlab.mockhw.front_ends.tcp_host import serve
from xbarlab.mockhw.passive_chip.chip import PassiveChip
from xbarlab.mockhw.sim_clock import SimClock
from xbarlab.protocols.keeping.joined import database, joined, step_parts
from xbarlab.protocols.keeping.journal import read_journal, step_histories
from xbarlab.runbooks.stations import find_bench, find_station

RUNBOOKS = {
    "first_light_1t1r": ("mock_ta_hfo2", "tcp_ta_hfo2"),
    "first_light_tio2": ("mock_tio2", "tcp_tio2"),
    "first_cell": ("mock_tio2", "tcp_tio2"),
    "characterise_1t1r": ("mock_ta_hfo2", "tcp_ta_hfo2"),
    "characterise_tio2": ("mock_tio2", "tcp_tio2"),
}
"""Bench and station of each."""
TIMEOUT = 180.0
WITHIN_LINE = 0.3  # s: more than nearly every unit of work takes


@dataclass(frozen=True)
class Target:
    """What is run: a shipped runbook made small, or one of a forming and a step (``text``)."""

    name: str
    bench: str
    station: str
    text: str = ""
    step: str = ""
    """Where kills strike; anywhere by default."""

    def arguments(self, station: Path, out: Path) -> list[str]:
        """Return the command line of a run; a runbook of its own is written beside its station."""
        runbook, changes = self.name, [] if self.text else as_options(self.name)
        if self.text:
            runbook = str(station.with_name("small.md"))
            Path(runbook).write_text(self.text, encoding="utf-8")
        return ["run", runbook, "--station", str(station), "--out", str(out), "--seed", "3", "--quiet", *changes]


@dataclass(frozen=True)
class Reference:
    """What a run gives that nobody kills: its summary, and the lines of its journal (of a step, from there on)."""

    summary: dict[str, object]
    length: int


def runbook_target(name: str) -> Target:
    """Return a shipped runbook."""
    return Target(name, *RUNBOOKS[name])


def step_targets(step: str) -> list[Target]:
    """Return a run of a step on every bench that the fault matrix has it on, as small as it is there."""
    found: list[Target] = []
    for bench, told in BENCHES.items():
        if step in told["steps"]:
            steps = "".join(f"  - {{id: s{n}, {one}}}\n" for n, one in enumerate((told["form"], told["steps"][step])))
            text = f"---\ntitle: Small\nsteps:\n{steps}---\nFor kills.\n"
            found.append(Target(f"{step} {bench[5:]}", bench, f"tcp_{bench[5:]}", text, "s1"))
    if not found:
        known = sorted({name for told in BENCHES.values() for name in told["steps"]})
        raise SystemExit(f"unknown step {step!r}: choose from {', '.join(known)}")
    return found


Ports = dict[str, tuple[str, int]]


@dataclass
class Case:
    """What became of one kill."""

    runbook: str
    killed_in: str = "–"
    journaled: int = 0
    missing: int = 0
    repeated: int = 0
    resumes: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.problems


def chip_seed(bench_name: str, chance: random.Random) -> int:
    """Draw a chip; of a passive one the first cell works, or a runbook that forms only this cell forms nothing."""
    while True:
        seed = chance.randrange(1000)
        if bench_name != "mock_tio2":
            return seed
        chip = PassiveChip(load_profile("tio2_passive"), seed=seed, clock=SimClock())
        lines = chip.lines.kind
        if not (chip.truth()["kind"].ravel()[0] or lines[0] or lines[chip.rows]):
            return seed


@contextmanager
def served(bench_name: str, station_name: str, folder: Path, seed: int) -> Iterator[tuple[MockBench, Ports, Path]]:
    """Serve a fresh chip and give the bench and a station that reaches it."""
    shipped = find_bench(bench_name)
    bench_file = folder / "own.bench.yaml"
    bench_file.write_text(shipped.read_text(encoding="utf-8"), encoding="utf-8")
    mock = fresh_bench(bench_file, seed=seed)
    chip = shipped.with_name(f"{bench_name}.chip.yaml")
    text = find_station(station_name).read_text(encoding="utf-8")
    with serve(mock, port=0) as addresses:
        for address, (host, port) in addresses.items():
            text = text.replace(address, f"TCPIP0::{host}::{port}::SOCKET")
        station = folder / "own.station.yaml"
        station.write_text(text.replace(chip.name, chip.as_posix()), encoding="utf-8")
        yield mock, dict(addresses), station
    forget_bench(bench_file)


# Figures take most of the time of a run this small; one case in FIGURES_EVERY draws them all.
LIGHT = (
    "import sys; from xbarlab.runbooks.runner.record import RunRecord; RunRecord._sections = lambda self: []; "
    "RunRecord.drawn = lambda self, result: None; "
    "from xbarlab import cli; sys.exit(cli.main(sys.argv[1:]))"
)
FIGURES_EVERY = 5


def command(*arguments: str, figures: bool = True) -> list[str]:
    return [sys.executable, *(["-m", "xbarlab.cli"] if figures else ["-c", LIGHT]), *arguments]


def start(*arguments: str, figures: bool = True) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*arguments, figures=figures), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def lines(out: Path, since: str = "") -> int:
    """Return how many lines the journal has; with ``since`` from the one on that begins this step, 0 before it."""
    journal = out / "journal.jsonl"
    text = journal.read_bytes() if journal.is_file() else b""
    if since:
        began = re.search(rb'"step_started"[^\n]*"' + since.encode() + b'"', text)
        text = text[began.start() :] if began else b""
    return text.count(b"\n")


def killed_after(process: subprocess.Popen[str], out: Path, least: int, seconds: float, since: str = "") -> bool:
    """SIGKILL a session ``seconds`` after the journal has ``least`` lines; False if it had ended by then.

    Told by lines, a moment falls into every step however busy this computer is.
    """
    end = time.monotonic() + TIMEOUT
    while process.poll() is None and time.monotonic() < end and lines(out, since) < least:
        time.sleep(0.002)
    time.sleep(seconds)
    process.kill()
    process.communicate()
    return process.returncode < 0


def units_of(out: Path) -> Counter[tuple[str, str]]:
    entries = read_journal(out / "journal.jsonl")
    return Counter((entry["step"], entry["unit"]) for entry in entries if entry["event"] == "unit_done")


def step_in_flight(out: Path) -> str:
    begun = [entry for entry in read_journal(out / "journal.jsonl") if entry["event"] in {"step_started", "step_done"}]
    return str(begun[-1]["step"]) + (" (after)" if begun[-1]["event"] == "step_done" else "") if begun else "start"


def board_is_off(mock: MockBench) -> bool:
    """Whether the board let go of the array, 0 V first, when its client was lost."""
    end = time.monotonic() + 10.0
    while time.monotonic() < end:
        texts = mock.log.texts()
        if texts and "client lost" in texts[-6:] and texts[-1] == "disconnected":
            return texts[-2] == "volts 0"
        if texts and texts[-1] == "client lost" and "disconnected" in texts[-4:]:
            return True  # idle before its client went
        if texts and texts[-1] == "client lost" and "connected" not in texts:
            return True  # its client went before the array was ever connected
        time.sleep(0.02)
    return False


def outputs_on(mock: MockBench, ports: Ports) -> list[str]:
    """Return the instruments that still drive something, asked over the wire."""
    queries = {"keithley_2450": ["OUTP?"], "keysight_33622a": ["OUTP1?", "OUTP2?"], "array_board": ["OUTP?"]}
    return [
        f"{address} {query}"
        for address, instrument in mock.instruments.items()
        for query in queries.get(instrument.kind, [])
        if ask(ports[address], query) != "0"
    ]


def ask(where: tuple[str, int], query: str) -> str:
    with socket.create_connection(where, timeout=10.0) as connection:
        connection.sendall(f"{query}\n".encode())
        return connection.makefile("r").readline().strip()


def check(case: Case, out: Path, before: Counter[tuple[str, str]], reference: dict[str, object]) -> None:
    """Note everything that is not as it must be after the last resume."""
    entries = read_journal(out / "journal.jsonl")
    units = units_of(out)
    case.missing = sum(1 for unit in before if unit not in units)
    case.repeated = sum(count - 1 for count in units.values())
    expect(case, case.missing == 0, f"{case.missing} units missing")
    expect(case, case.repeated == 0, f"{case.repeated} units twice")
    expect(case, entries[-1]["event"] == "run_done", "run not done")
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    expect(case, set(summary) == set(reference), f"summary keys {set(summary) ^ set(reference)}")
    expect(case, summary["steps_done"] == summary["steps_planned"], "steps missing")
    expect(case, (out / "report.html").is_file(), "no report")
    histories = step_histories(entries)
    with database(out) as connection:
        from qcodes.dataset import load_by_guid

        for step, parts in step_parts(out).items():
            history = histories[step]
            journaled = sum(history.datasets.values())
            sizes: list[int] = []
            for part in parts:
                data = load_by_guid(part.guid, connection)
                blocks = history.datasets[part.guid]
                groups = data.get_parameter_data(end=blocks) if blocks else {}
                sizes.append(next(iter(next(iter(groups.values())).values())).size if groups else 0)
                parent = data.metadata.get("xbarlab_parent")
                place = parts.index(part)
                expect(case, parent == (parts[place - 1].guid if place else None), f"{step}: parent tag {parent}")
            table = joined(out, step)
            setpoints = list(table.columns[: len(axes_of(connection, parts[0].guid))])
            expect(case, not table.duplicated(setpoints).any(), f"{step}: rows twice in the joined table")
            expect(case, len(table) == sum(sizes), f"{step}: {len(table)} rows, journaled units have {sum(sizes)}")
            expect(case, journaled > 0, f"{step}: nothing journaled")


def axes_of(connection: object, guid: str) -> list[str]:
    from qcodes.dataset import load_by_guid

    dependencies = load_by_guid(guid, connection).description.interdeps.dependencies  # pyright: ignore
    return [axis.name for axis in next(iter(dependencies.values()))]


def expect(case: Case, holds: bool, problem: str) -> None:
    if not holds:
        case.problems.append(problem)


def one_kill(target: Target, chance: random.Random, folder: Path, reference: Reference, *, figures: bool) -> Case:
    """Kill one run somewhere in its journal (that of a step, in the step), resume it until it is done, and check."""
    bench, station_name = target.bench, target.station
    case = Case(target.name)
    started = time.monotonic()
    with served(bench, station_name, folder, chip_seed(bench, chance)) as (mock, ports, station):
        out = folder / "out"
        before: Counter[tuple[str, str]] = Counter()
        arguments = target.arguments(station, out)
        while True:
            # From the line on that says that run.json is there: before it nothing was begun.
            first = max(1 if target.step else 2, lines(out, target.step))
            moment = chance.randrange(first, max(reference.length, first + 1)), chance.uniform(0.0, WITHIN_LINE)
            process = start(*arguments, figures=figures)
            again = case.resumes > 0 and (case.resumes >= 3 or chance.random() > 0.33)
            if not again and killed_after(process, out, *moment, target.step):
                if case.killed_in == "–":
                    case.killed_in, case.journaled = step_in_flight(out), sum(units_of(out).values())
                before = units_of(out)
                if bench != "mock_tio2":
                    off = board_is_off(mock)
                    expect(case, off, f"the board still drives the array after the kill: {mock.log.texts()[-8:]}")
            else:
                said, _ = process.communicate(timeout=TIMEOUT)
                if process.returncode == 0:
                    break
                expect(case, False, f"exit {process.returncode}: {said.strip().splitlines()[-1:]}")
                break
            case.resumes += 1
            arguments = ["resume", str(out), "--quiet"]
        if case.passed:
            check(case, out, before, reference.summary)
            on = outputs_on(mock, ports)
            expect(case, not on, f"outputs still on: {on}")
    case.seconds = time.monotonic() - started
    return case


def reference_run(target: Target, folder: Path) -> Reference:
    """Run once undisturbed."""
    with served(target.bench, target.station, folder, 1) as (_, _, station):
        # While the server compiles its physics for the first time, a client may lose patience.
        for name in ("cold", "warm"):
            out = folder / name
            process = start(*target.arguments(station, out), figures=False)
            said, _ = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 0, said
    return Reference(json.loads((out / "summary.json").read_text(encoding="utf-8")), lines(out, target.step))


def kill_matrix(
    kills: int, seed: int, *, runbooks: Sequence[str] = tuple(RUNBOOKS), steps: Sequence[str] = (), show: bool = False
) -> list[Case]:
    """Kill ``kills`` runs, taking the runbooks in turn; or runs of single ``steps``, on each of their benches."""
    targets = [one for step in steps for one in step_targets(step)] or [runbook_target(name) for name in runbooks]
    chance = random.Random(seed)
    cases: list[Case] = []
    with TemporaryDirectory() as temporary:
        references: dict[str, Reference] = {}
        for number in range(kills):
            target = targets[number % len(targets)]
            if target.name not in references:
                folder = Path(temporary) / f"reference_{target.name.replace(' ', '_')}"
                folder.mkdir()
                references[target.name] = reference_run(target, folder)
            case = Case(target.name, problems=["ended before it could be killed"])
            for attempt in range(5):  # one that struck too late is no kill
                folder = Path(temporary) / f"kill_{number}_{attempt}"
                folder.mkdir()
                case = one_kill(target, chance, folder, references[target.name], figures=number % FIGURES_EVERY == 0)
                if case.killed_in != "–":
                    break
            cases.append(case)
            if show:
                print(row(number, case), flush=True)
    return cases


def row(number: int, case: Case) -> str:
    verdict = "ok" if case.passed else "; ".join(case.problems)
    return (
        f"{number:4d} {case.runbook:28s} {case.killed_in:18s} {case.journaled:9d} {case.missing:7d} {case.repeated:8d} "
        f"{case.resumes:7d} {case.seconds:7.1f}  {verdict}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=sorted(RUNBOOKS), help="kill runs of this runbook only")
    parser.add_argument(
        "--step", nargs="+", default=[], help="kill small runs of these steps, on each of their benches"
    )
    arguments = parser.parse_args()
    runbooks = [arguments.only] if arguments.only else tuple(RUNBOOKS)
    print("   # what is run                  killed in step     journaled missing repeated resumes seconds  resumed")
    cases = kill_matrix(arguments.kills, arguments.seed, runbooks=runbooks, steps=arguments.step, show=True)
    passed = sum(case.passed for case in cases)
    where = Counter(case.killed_in for case in cases)
    print(
        f"{passed} of {len(cases)} kills passed, {sum(case.resumes for case in cases)} resumes; killed in {dict(where)}"
    )
    return 0 if passed == len(cases) else 1


if __name__ == "__main__":
    sys.exit(main())
