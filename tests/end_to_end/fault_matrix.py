"""The fault matrix: every protocol step × every fault on both mock benches, each with the proof that its fault struck.

``python tests/end_to_end/fault_matrix.py`` prints the table. A combination is a run of three steps through the command
line, in a process of its own bench: a read, the step under test with one fault in the middle of it, and a read again.
It is judged by what the mock itself says: its fault struck; sources off or at 0 V, relays open, board OFF; the read
before the fault opens as a QCoDeS dataset; the exit code is 0 (the driver absorbed the fault: then everything read and
measured is right) or 3 with one sentence that names instrument, address and command and says what to do; and it was
over within ``WALL_SECONDS``.

Only the drawing of the report is left out: it has tests of its own and would be nine tenths of the time.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import functools
import io
import json
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from xbarlab import cli
from xbarlab.mockhw.bench.bench import MockBench, forget_bench, fresh_bench
from xbarlab.mockhw.chip import profile
from xbarlab.mockhw.faults import Fault
from xbarlab.protocols.keeping.run import Run
from xbarlab.runbooks import stations
from xbarlab.runbooks.runner.ending import INTERRUPTED
from xbarlab.runbooks.runner.record import RunRecord

WALL_SECONDS = 30.0
"""No combination may take longer [s]; one that hangs ends the process with a traceback at twice that."""
ZERO = 2e-3  # a 2450 at 0 V is off by part of a millivolt [V]

SHIPPED = Path(stations.__file__).parent
PASSIVE_BAND = "set_volts: 1.3, reset_volts: 1.3, volts_step: 0.05, steps: 16, width: 200e-9"
PASSIVE = (
    "{set_volts: 2.0, reset_volts: 2.0, width: 200e-9, attempts: 8, attempt_step: 0.1, on_above: 300e-6,"
    " off_below: 120e-6}"
)
PASSIVE_FORMING = (
    "one_by_one: true, formed_above: 30e-6, virgin_below: 5e-6, short_above: 3e-3, set_volts: 2.0, reset_volts: 2.0, "
    "switch_width: 200e-9, attempts: 8, off_below: 120e-6"
)
PASSIVE_RAMPS = "set: {volts: [1.0, 2.2], gate: [0, 0], step: 0.1}, reset: {volts: [1.0, 2.4], gate: [0, 0], step: 0.1}"
PASSIVE_LEVELS = "levels: {count: 2, low: 150e-6, high: 600e-6}"

# What is read before and after, which cells are formed beforehand, and the steps, small.
BENCHES: dict[str, dict[str, Any]] = {
    "mock_ta_hfo2": {
        "cells": "0:2,0:2",
        "form": 'forming: {cells: "0:2,0:2"}',
        "steps": {
            "read_array": 'read_array: {cells: "0:2,0:2", average: 2}',
            "yield_map": 'yield_map: {cells: "0:2,0:2"}',
            "forming_pulses": 'forming: {cells: "4:5,4:6", start_volts: 2.0, step_volts: 0.2}',
            "forming_ramp": 'forming: {cells: "6,6", method: ramp, start_volts: 1.5, step_volts: 0.1}',
            "dc_sweep": 'dc_sweep: {cells: "0:1,0:2", cycles: 1, step: 0.05}',
            "ispp": 'ispp: {cells: "0:2,0:2", set_starts: [1.2], set_steps: [0.15], reset_steps: [0.1],'
            " levels: {count: 4, low: 10e-6, high: 185e-6}, reverify_rounds: 1}",
            "compare_programming": 'compare_programming: {cells: "0:2,0:2", bits: [2], reverify_rounds: 1,'
            " ispp: {set_starts: [1.0], set_steps: [0.15], reset_steps: [0.1], gates: [2.6]},"
            " gate_staircase: {set_starts: [1.2], set_steps: [0.15], reset_steps: [0.4]}}",
            "read_verify": 'read_verify: {cells: "0:2,0:2", levels: {count: 4, low: 10e-6, high: 185e-6}}',
            "read_verify_board": 'read_verify: {cells: "0:2,0:2", engine: board,'
            " levels: {count: 4, low: 10e-6, high: 185e-6}}",
            "pulse_response": 'pulse_response: {cells: "0,0:2", pulses: 20, cycles: 1, read_every: 4}',
            "pulsed_iv": 'pulsed_iv: {cells: "0,0:2", points: 6, cycles: 1, cutoff_above: 80e-6}',
            "pulse_answer": 'pulse_answer: {cells: "0:2,0:2", starts: 2, repeats: 1}',
            "switching_kinetics": 'switching_kinetics: {cells: "0:2,0:2", set_volts: [0.6, 1.2], reset_volts: [0.6],'
            " longest: 1e-6}",
            "stress_disturb": 'stress_disturb: {cells: "0:2,0:2", volts: [0.5, 1.0], pulses: 100}',
            "wire_resistance": 'wire_resistance: {cells: "0:3,0:3", repeats: 1, average: 1}',
            "vmm_accuracy": "vmm_accuracy: {vectors: 4, repeats: 2, average: 1, active_rows: [1, 128]}",
            "half_select_disturb": 'half_select_disturb: {cells: "0,0", pulses: 100}',
            "read_schemes": 'read_schemes: {cells: "0,0", among: "0:2,0:2"}',
            "retention": 'retention: {cells: "0:2,0:2", levels: {count: 2, low: 20e-6, high: 120e-6}, last: 100}',
            "multilevel": 'multilevel: {cells: "0:2,0:2", levels: {count: 2, low: 20e-6, high: 120e-6}, cycles: 2}',
            "endurance": 'endurance: {cells: "0:2,0:2", cycles: 20, per_decade: 2}',
            "read_noise": 'read_noise: {cells: "0,0:2", seconds: 0.5, floor_seconds: 0.3}',
        },
    },
    "mock_tio2": {
        "cells": "0:2,0:1",
        "form": f'forming: {{cells: "0:2,0:2", start_volts: 2.2, stop_volts: 4.0, step_volts: 0.1, width: 200e-9,'
        f" park_volts: 1.6, {PASSIVE_FORMING}}}",
        "steps": {
            "read_array": 'read_array: {cells: "0:2,0:2"}',
            "yield_map": 'yield_map: {cells: "0,0:2", set_volts: 2.4, reset_volts: 2.4, width: 200e-9, attempts: 3,'
            " borders: {open_below: 0.05e-6, unformed_below: 5e-6, hrs_max: 150e-6, lrs_min: 150e-6, lrs_max: 1.2e-3,"
            " short_above: 3e-3}}",
            "forming_pulses": f'forming: {{cells: "4,4", start_volts: 2.2, stop_volts: 4.0, step_volts: 0.2,'
            f" width: 200e-9, {PASSIVE_FORMING}}}",
            "forming_ramp": f'forming: {{cells: "6,6", method: ramp, start_volts: 1.4, stop_volts: 2.4,'
            f" step_volts: 0.05, compliance: 100e-6, {PASSIVE_FORMING}}}",
            "dc_sweep": 'dc_sweep: {cells: "0,0", cycles: 1, positive: 1.4, negative: -1.6, step: 0.1,'
            " compliance: 650e-6, reset_compliance: 2e-3}",
            "dc_sweep_floating": 'dc_sweep: {cells: "5,5", cycles: 1, positive: 0.8, negative: -0.8, step: 0.1,'
            " prepare: false, scheme: float}",
            "ispp": f'ispp: {{cells: "0,0:2", set_starts: [1.2], set_steps: [0.2], reset_steps: [0.1], {PASSIVE_RAMPS},'
            f" {PASSIVE_LEVELS}, on_above: 300e-6, width: 200e-9, pulses_max: 12, reverify_rounds: 1}}",
            "compare_programming": f'compare_programming: {{cells: "0,0:2", bits: [2], {PASSIVE_RAMPS}, width: 200e-9,'
            " levels: {low: 150e-6, high: 600e-6}, pulses_max: 12, reverify_rounds: 1,"
            " ispp: {set_starts: [1.2], set_steps: [0.2], reset_steps: [0.1]}}",
            "read_verify": f'read_verify: {{cells: "0,0:2", {PASSIVE_LEVELS}, {PASSIVE_RAMPS}, width: 200e-9,'
            " pulses_max: 12, reverify_rounds: 1}",
            "pulse_response": 'pulse_response: {cells: "0,0", set_volts: 1.6, reset_volts: 1.7, width: 200e-9,'
            " pulses: 12, cycles: 1, read_every: 3}",
            "pulsed_iv": 'pulsed_iv: {cells: "0,0", smallest: 0.4, positive: 2.2, negative: -2.2, points: 4, cycles: 1,'
            " average: 2}",
            "pulse_answer": 'pulse_answer: {cells: "0,0", set_volts: 1.6, reset_volts: 1.7, width: 200e-9, starts: 1,'
            f" repeats: 1, average: 2, within: {{low: 60e-6, high: 600e-6, {PASSIVE_BAND}}}}}",
            "switching_kinetics": 'switching_kinetics: {cells: "0,0", set_volts: [1.2, 1.8], reset_volts: [1.6],'
            f" longest: 1e-7, set_from: {{low: 40e-6, high: 120e-6, {PASSIVE_BAND}}},"
            f" reset_from: {{low: 250e-6, high: 800e-6, {PASSIVE_BAND}}}}}",
            "wire_resistance": f'wire_resistance: {{cells: "0:3,0:3", repeats: 1, average: 1, prepare: {PASSIVE}}}',
            "stress_disturb": f'stress_disturb: {{cells: "0,0", volts: [0.5, 0.8], pulses: 10, average: 4,'
            f" prepare: {PASSIVE}}}",
            "half_select_disturb": f'half_select_disturb: {{cells: "0,0", set_volts: 1.6, reset_volts: 1.7,'
            f" width: 200e-9, pulses: 10, per_decade: 1, average: 4, prepare: {PASSIVE}}}",
            "read_schemes": f'read_schemes: {{cells: "0,0", among: "0:2,0:2", average: 4, prepare: {PASSIVE}}}',
            "retention": f'retention: {{cells: "0,0:2", {PASSIVE_LEVELS}, {PASSIVE_RAMPS}, width: 200e-9,'
            " pulses_max: 12, last: 100, read_average: 2}",
            "multilevel": f'multilevel: {{cells: "0,0:2", {PASSIVE_LEVELS}, {PASSIVE_RAMPS}, cycles: 2,'
            " pulses_max: 12, read_average: 2}",
            "endurance": 'endurance: {cells: "0,0", cycles: 10, per_decade: 1, set_volts: 2.0, reset_volts: 2.0,'
            " width: 200e-9}",
            "read_noise": 'read_noise: {cells: "0,0", seconds: 0.5, floor_seconds: 0.3}',
        },
    },
}

SLOW_PULSES = "set_volts: 1.2, reset_volts: 1.6, width: 5e-3"
# Beside the others: what a single source-measure unit does on a device that stays connected.
SINGLE: dict[str, dict[str, Any]] = {
    "mock_single_2400": {
        "cells": "0:1,0:1",
        "form": 'forming: {cells: "0,0", method: ramp, start_volts: 1.4, stop_volts: 2.4, step_volts: 0.05,'
        " compliance: 100e-6, formed_above: 30e-6, virgin_below: 5e-6, short_above: 3e-3, set_volts: 1.0,"
        " reset_volts: 1.0, switch_width: 5e-3, attempts: 13, off_below: 120e-6}",
        "steps": {
            "read_array": 'read_array: {cells: "0,0"}',
            "dc_sweep": 'dc_sweep: {cells: "0,0", cycles: 1, positive: 1.4, negative: -1.6, step: 0.1,'
            " compliance: 650e-6, reset_compliance: 2e-3}",
            "forming_ramp": 'forming: {cells: "1,0", method: ramp, start_volts: 1.4, stop_volts: 2.4, step_volts: 0.05,'
            " compliance: 100e-6, formed_above: 30e-6, virgin_below: 5e-6, short_above: 3e-3, confirm: false,"
            " reset_after: false, switch_width: 5e-3}",
            "pulse_response": f'pulse_response: {{cells: "0,0", {SLOW_PULSES}, pulses: 12, cycles: 1, read_every: 3}}',
            "endurance": f'endurance: {{cells: "0,0", cycles: 10, per_decade: 1, {SLOW_PULSES}}}',
            "retention": 'retention: {cells: "0,0", prepare: found, last: 100, read_average: 2}',
            "read_noise": 'read_noise: {cells: "0,0", rate: 100, seconds: 3, floor_seconds: 2.6}',
        },
    },
}
# Beside the others: a probe station on KXCI, whose every message is answered. An ArC TWO has no wire: what its library
# may raise, in every kind of step, is in test_arc_two.py; the lines of a 2600B are in test_probe_station_2600.py.
ANALYSER: dict[str, dict[str, Any]] = {
    "mock_tio2_4200": {
        **BENCHES["mock_tio2"],
        "steps": {
            step: BENCHES["mock_tio2"]["steps"][step]
            for step in ("read_array", "forming_pulses", "dc_sweep", "dc_sweep_floating", "pulse_response")
        },
    },
}
ALL = {**BENCHES, **SINGLE, **ANALYSER}

# Name in the table: (fault, where it must strike).
FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "late_reply": ({"kind": "late_reply"}, "query"),
    "late_reply_1s": ({"kind": "late_reply", "seconds": 1.0}, "query"),
    "garbled_reply": ({"kind": "garbled_reply"}, "query"),
    "truncated_reply": ({"kind": "truncated_reply"}, "query"),
    "double_reply": ({"kind": "double_reply"}, "query"),
    "no_reply_before": ({"kind": "no_reply"}, "any"),
    "no_reply_after": ({"kind": "no_reply", "where": "after"}, "query"),
    "delay": ({"kind": "delay", "seconds": 30.0}, "any"),
    "drop_before": ({"kind": "drop_connection"}, "any"),
    "drop_inside": ({"kind": "drop_connection", "where": "inside"}, "any"),
    "drop_after": ({"kind": "drop_connection", "where": "after"}, "any"),
    "full_error_queue": ({"kind": "full_error_queue"}, "any"),
    "error": ({"kind": "error"}, "any"),
    "overflow": ({"kind": "overflow"}, "reading"),
    "compliance": ({"kind": "compliance"}, "reading"),
    "brown_out": ({"kind": "brown_out"}, "any"),
    "stuck_cell": ({"kind": "stuck_cell", "cell": (0, 0)}, "any"),
    "offset_shift": ({"kind": "offset_shift", "amps": 1e-6}, "reading"),
}
# What changes the chip or what is seen of it: the run may be right and its numbers others.
TRUE_CHANGES = {"overflow", "compliance", "stuck_cell", "offset_shift"}
KXCI_READINGS = {"TI", "TV", "DO"}
READINGS = {"READ:MAP?", "SWEep:RUN", "READ?", "PROGram:VERify", "FETCh:SWEep?", "INITiate[:IMMediate]", *KXCI_READINGS}
# Common to every message: picked seldom, or they would be all there is.
DULL = {"SYSTem:ERRor[:NEXT]?", "SIMulation:CLOCk:ADVance", "SIMulation:CLOCk?"}
COMMAND = re.compile(r"[A-Z*]{3,4}[?:A-Za-z]*|\b[A-Z]{2}\d?\b")  # KXCI has words of two letters, too
REMEDY = re.compile(r"check |open the bench again|choose |repeat |run .*again|switch |resume|look at")


@dataclass(frozen=True)
class Combination:
    """One fault at one moment of one step."""

    bench: str
    step: str
    fault: str
    instrument: str
    header: str
    at: int

    @property
    def text(self) -> str:
        return f"{self.bench} {self.step} {self.fault} {self.instrument} at {self.header} #{self.at}"


@dataclass
class Judged:
    """What came of a combination."""

    combination: Combination
    exit_code: int
    seconds: float
    sentence: str
    mistakes: list[str] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        return "failed" if self.mistakes else "absorbed" if self.exit_code == 0 else "ended"


class Recorder:
    """Takes the place of a fault plan and writes down which commands come in which step."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.step = ""

    def due(self, header: str) -> list[Any]:
        self.lines.append((self.step, header))
        return []


class Rig:
    """A folder with a station of its own, whose formed chip is taken up anew for every combination."""

    def __init__(self, bench: str, folder: Path) -> None:
        self.name, self.what, self.folder = bench, ALL[bench], folder
        folder.mkdir(parents=True, exist_ok=True)
        self.runs = 0
        # Several stations share a chip file.
        shipped = (SHIPPED / f"{bench}.station.yaml").read_text(encoding="utf-8")
        (chip,) = re.findall(r"chip: (\w+)\.chip\.yaml", shipped)
        for name, kind in ((bench, "bench"), (chip, "chip"), (bench, "station")):
            text = (SHIPPED / f"{name}.{kind}.yaml").read_text(encoding="utf-8")
            text = text.replace(f"{bench}.", "own.").replace(f"{chip}.chip", "own.chip")
            (folder / f"own.{kind}.yaml").write_text(text, encoding="utf-8")
        self.bench_file, self.state = folder / "own.bench.yaml", folder / "formed.npz"
        self.names = self._instrument_names()
        mock = fresh_bench(self.bench_file, seed=1)
        code, said, _ = self.run(self.what["form"])
        assert code == 0, said
        mock.chip.save(self.state)
        self.clean: dict[str, tuple[dict[str, list[tuple[str, str]]], dict[str, float]]] = {}

    def _instrument_names(self) -> dict[str, str]:
        """Name in the station file → address."""
        text = (self.folder / "own.station.yaml").read_text(encoding="utf-8")
        return dict(re.findall(r"^  (\w+):\n(?:    .*\n)*?    address: (\S+)", text, re.MULTILINE))

    def fresh(self) -> MockBench:
        mock = fresh_bench(self.bench_file, seed=1)
        mock.chip.load(self.state)
        return mock

    def run(self, *steps: str) -> tuple[int, str, Path]:
        """Run a runbook of these steps by the command line; return exit code, stderr, and its folder."""
        self.runs += 1
        book, out = self.folder / "small.md", self.folder / f"out{self.runs}"
        lines = "".join(f"  - {{id: s{n}, {step}}}\n" for n, step in enumerate(steps))
        book.write_text(f"---\ntitle: Small\nstation: own.station.yaml\nsteps:\n{lines}---\nFor faults.\n")
        said, told = io.StringIO(), io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(told):
            code = cli.main(["run", str(book), "--out", str(out), "--quiet"])
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        return code, said.getvalue(), out

    def steps(self, step: str) -> tuple[str, str, str]:
        look = f'read_array: {{cells: "{self.what["cells"]}", average: 4}}'
        return look, self.what["steps"][step], look

    def record(self, step: str) -> tuple[dict[str, list[tuple[str, str]]], dict[str, float]]:
        """Run a step without faults; return the commands of each instrument, with their step, and the summary."""
        if step not in self.clean:
            mock = self.fresh()
            recorders = {name: Recorder() for name in self.names}
            for name, address in self.names.items():
                mock.instruments[address].session.faults = recorders[name]  # pyright: ignore
            with _steps_told(recorders.values()):
                code, said, out = self.run(*self.steps(step))
            assert code == 0, f"{self.name} {step} without a fault: {said}"
            summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
            self.clean[step] = {name: recorder.lines for name, recorder in recorders.items()}, summary
        return self.clean[step]

    def try_out(self, combination: Combination) -> Judged:
        """Run a combination and judge it."""
        mock = self.fresh()
        address = self.names[combination.instrument]
        how = dict(FAULTS[combination.fault][0])
        mock.script_faults(address, [Fault(after=combination.at, times=1, **how)], seed=3)
        begun = time.perf_counter()
        faulthandler.dump_traceback_later(2 * WALL_SECONDS, exit=True)
        try:
            code, said, out = self.run(*self.steps(combination.step))
        finally:
            faulthandler.cancel_dump_traceback_later()
        judged = Judged(combination, code, time.perf_counter() - begun, said.strip())
        judged.mistakes += self._mistakes(combination, mock, judged, out)
        return judged

    def _mistakes(self, combination: Combination, mock: MockBench, judged: Judged, out: Path) -> Iterator[str]:
        address = self.names[combination.instrument]
        struck = [event for event in mock.log.faults() if event.address == address]
        if len(struck) != 1 or combination.header not in struck[0].what:
            yield f"the fault did not strike where it should: {[event.what for event in struck]}"
        if struck and struck[0].what.endswith("not supported"):
            yield "the instrument does not know the fault"
        yield from unsafe(mock)
        yield from _unreadable(out)
        if judged.seconds > WALL_SECONDS:
            yield f"took {judged.seconds:.1f} s"
        if judged.exit_code == 0:
            yield from self._wrong(combination, mock, out)
        elif judged.exit_code != 3:
            yield f"exit code {judged.exit_code}"
        else:
            yield from _unclear(judged.sentence, combination.instrument, address)

    def _wrong(self, combination: Combination, mock: MockBench, out: Path) -> Iterator[str]:
        """What is not right although the run says it is."""
        clean = self.record(combination.step)[1]
        summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
        if summary["steps_done"] != 3:
            yield f"{summary['steps_done']} steps done"
        if combination.fault in TRUE_CHANGES:
            return
        missing = sorted(set(clean) - set(summary))
        if missing:
            yield f"not measured: {missing}"
        before, after = read_maps(out)
        if not _alike(before, clean["s0.g_read_median"], np.median):
            yield f"the read before the fault is {np.median(before):.3g} S, {clean['s0.g_read_median']:.3g} S without"
        truth = self._truth(mock)
        # Their noise is theirs: a stale reply or a cell beside is off by a factor of ten.
        if not np.allclose(after.ravel(), truth.ravel(), rtol=0.3, atol=2e-5):
            yield f"the last read says {after.ravel()}, the chip {truth.ravel()}"

    def _truth(self, mock: MockBench) -> np.ndarray:
        rows, cols = (slice(*map(int, part.split(":"))) for part in self.what["cells"].split(","))
        return np.asarray(mock.chip.truth()["conductance"])[rows, cols]

    def combinations(self, step: str, turn: int) -> Iterator[Combination]:
        """Yield one combination per fault and instrument of the step; ``turn`` picks among the commands."""
        commands, _ = self.record(step)
        for name, lines in commands.items():
            for number, (fault, (how, place)) in enumerate(FAULTS.items()):
                places: dict[str, list[int]] = {}
                for at, (during, header) in enumerate(lines):
                    if during == "s1" and header not in DULL and _fits(place, header):
                        places.setdefault(header, []).append(at)
                if not places or (place == "reading" and how["kind"] != "stuck_cell" and not _suffers(lines)):
                    continue
                headers = sorted(places)
                header = headers[(turn + number) % len(headers)]
                yield Combination(self.name, step, fault, name, header, places[header][len(places[header]) // 2])

    def close(self) -> None:
        forget_bench(self.bench_file)


def _suffers(lines: Sequence[tuple[str, str]]) -> bool:
    return any(header in READINGS for _, header in lines)


def _fits(place: str, header: str) -> bool:
    if place == "query":
        return header.endswith("?") or _is_kxci(header)
    return header in READINGS if place == "reading" else True


def _is_kxci(header: str) -> bool:
    """Whether a command is one of KXCI's two letters, all of which are answered."""
    return len(header) == 2


@contextlib.contextmanager
def _steps_told(recorders: Any) -> Iterator[None]:
    """Tell recorders which step of a run is under way."""
    original = Run.step

    @contextlib.contextmanager
    def step(self: Run, step_id: str, array: Any) -> Iterator[Run]:
        for recorder in recorders:
            recorder.step = step_id
        try:
            with original(self, step_id, array) as run:
                yield run
        finally:
            for recorder in recorders:
                recorder.step = ""

    Run.step = step  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        Run.step = original


def unsafe(mock: MockBench) -> Iterator[str]:
    """Say what of a mock bench is not in its safe state, by its own word."""
    for address, instrument in mock.instruments.items():
        kind, thing = instrument.kind, instrument
        at: Any = thing
        if kind == "array_board" and at.output:
            yield f"board {address} is still connected"
        elif kind == "keithley_2600" and any(one.output or abs(one.terminal.volts) > ZERO for one in at.channels):
            yield f"{kind} {address} is on"
        elif kind in {"keithley_2400", "keithley_2450"} and (at.output or abs(at.terminal.volts) > ZERO):
            yield f"{kind} {address} is {'on' if at.output else 'off'} at {at.terminal.volts:.3g} V"
        elif kind == "keithley_4200":
            if any(smu.output for smu in at.smus.values()) or any(one.on for one in at.card.terminals):
                yield f"{kind} {address} is on"
        elif kind == "keysight_33622a" and any(channel.output for channel in at.channels):
            yield f"33622A {address} is on"
        if instrument.clients:
            yield f"{instrument.clients} connections to {address} are open"
    if mock.circuit is not None:
        # The probes of a single device stay where somebody has put them.
        if mock.circuit.relays.closed and mock.hand is None:
            yield f"relays are closed: {sorted(mock.circuit.relays.closed)}"
        if mock.circuit.relays.hot:
            yield f"relays were switched hot: {mock.circuit.relays.hot}"


def _unreadable(out: Path) -> Iterator[str]:
    try:
        before = read_maps(out)[0]
    except Exception as error:  # whatever QCoDeS says
        yield f"the dataset of the step before cannot be read: {error!r}"
        return
    if not np.isfinite(before).all() or not before.size:
        yield f"the dataset of the step before holds {before}"


def read_maps(out: Path) -> list[np.ndarray]:
    """Return the conductance maps of the reads before and (if the run got there) after, as QCoDeS opens them."""
    from qcodes.dataset import connect, load_by_id

    connection = connect(out / "data.db")
    try:
        rows = connection.execute("SELECT run_id, name FROM runs ORDER BY run_id").fetchall()
        maps: list[np.ndarray] = []
        for run_id, name in rows:
            if str(name).startswith(("s0", "s2")):
                data = load_by_id(int(run_id), conn=connection).get_parameter_data("conductance")
                maps.append(np.asarray(data["conductance"]["conductance"]).squeeze())
        return maps
    finally:
        connection.close()


def _alike(values: np.ndarray, wanted: float, of: Any) -> bool:
    return bool(np.isclose(of(values), wanted, rtol=0.1))


def _unclear(sentence: str, name: str, address: str) -> Iterator[str]:
    if "\n" in sentence or not sentence.startswith("xbarlab: "):
        yield f"not one sentence: {sentence!r}"
    for what, found in (
        ("instrument", name in sentence),
        ("address", address in sentence),
        ("command", COMMAND.search(sentence.replace(address, "").replace(name, "")) is not None),
        ("remedy", REMEDY.search(sentence) is not None),
    ):
        if not found:
            yield f"the sentence names no {what}: {sentence!r}"


@contextlib.contextmanager
def quick_reports() -> Iterator[None]:
    """Leave the drawing of reports out, and read every profile once: half of the time otherwise."""
    report, load = RunRecord.write_report, profile.load_profile
    RunRecord.write_report = lambda self, failure=None: self.directory / "report.html"  # pyright: ignore
    known = functools.cache(load)
    profile.load_profile = lambda name, changes=None: load(name, changes) if changes else known(name)
    try:
        yield
    finally:
        RunRecord.write_report, profile.load_profile = report, load


def run_matrix(
    folder: Path,
    *,
    only: str = "",
    every: int = 1,
    benches: Sequence[str] = tuple(BENCHES),
    steps: Sequence[str] | None = None,
    show: bool = False,
) -> list[Judged]:
    """Run the combinations of ``benches`` and ``steps`` whose text matches ``only``, of those every ``every``-th."""
    judged, number = list[Judged](), 0
    with quick_reports():
        for name in benches:
            rig = Rig(name, folder / name)
            for turn, step in enumerate(ALL[name]["steps"]):
                if steps is not None and step not in steps:
                    continue
                for combination in rig.combinations(step, turn):
                    if only and not re.search(only, combination.text):
                        continue
                    number += 1
                    if number % every:
                        continue
                    judged.append(rig.try_out(combination))
                    if show:
                        one = judged[-1]
                        print(f"{one.outcome:8} {one.seconds:6.2f} s  {combination.text}", flush=True)
                        for mistake in one.mistakes:
                            print(f"         - {mistake}", flush=True)
            rig.close()
    return judged


def table(judged: Sequence[Judged]) -> str:
    """Return the matrix as text: steps down, faults across; a = absorbed, e = ended, F = failed, one letter each."""
    letters = {"absorbed": "a", "ended": "e", "failed": "F"}
    cells: dict[tuple[str, str], str] = {}
    for one in judged:
        key = (f"{one.combination.bench} {one.combination.step}", one.combination.fault)
        cells[key] = cells.get(key, "") + letters[one.outcome]
    rows = list(dict.fromkeys(row for row, _ in cells))
    faults = [fault for fault in FAULTS if any(fault == column for _, column in cells)]
    width = max(map(len, rows), default=0)
    lines = [f"{number:3} = {fault}" for number, fault in enumerate(faults, start=1)]
    lines += ["", " " * width + "".join(f"{number:>5}" for number in range(1, len(faults) + 1))]
    lines += [f"{row:<{width}}" + "".join(f"{cells.get((row, fault), '·'):>5}" for fault in faults) for row in rows]
    counts = Counter(one.outcome for one in judged)
    lines += [
        "",
        "one letter per instrument: a absorbed (exit 0, the result is right), e ended (exit 3, safe), F failed",
        f"{len(judged)} combinations: {counts['absorbed']} absorbed, {counts['ended']} ended, {counts['failed']} failed"
        f"; longest {max((one.seconds for one in judged), default=0.0):.1f} s of {WALL_SECONDS:g} s allowed",
    ]
    return "\n".join(lines)


def main() -> int:
    """Print the matrix; exit with 1 when a combination failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="regular expression on 'bench step fault instrument at header'")
    parser.add_argument("--every", type=int, default=1, help="only every n-th combination")
    parser.add_argument("--bench", choices=list(ALL), help="only this bench")
    parser.add_argument("--step", help="only this step")
    parser.add_argument("--show", action="store_true", help="print every combination as it is judged")
    arguments = parser.parse_args()
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XBARLAB_WEAR"] = folder
        judged = run_matrix(
            Path(folder),
            only=arguments.only,
            every=arguments.every,
            benches=list(ALL) if arguments.bench is None else [arguments.bench],
            steps=None if arguments.step is None else [arguments.step],
            show=arguments.show,
        )
    print(table(judged))
    for one in judged:
        if one.mistakes:
            print(f"FAILED {one.combination.text}: exit {one.exit_code}; {'; '.join(one.mistakes)}")
    print(f"{time.perf_counter() - begun:.0f} s")
    return int(any(one.mistakes for one in judged))


if __name__ == "__main__":
    sys.exit(main())
