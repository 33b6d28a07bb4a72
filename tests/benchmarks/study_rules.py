"""Every update rule by its name on every shipped 1T1R station: what it learns, what it costs, or why it is refused.

    python tests/benchmarks/study_rules.py [--seeds 3] [--stations …] [--rules …] [--minutes 60] [--resume FILE]

The task is the convolutional LSTM of the runbook (six orders of three digits, chance one in six), 150 updates of eight
examples each. Every rule's pulses are measured first by the step ``pulse_answer``; those the chip is then known not to
suit are refused before the first training pulse, and the sentence is printed. One line of JSON per case goes to
``--resume``, and what is there is not run again: begin another file when the rules have changed. Baseline is the float
twin of the same optimiser: RMSprop, for rules by outer products plain SGD. A case takes 10 to 60 s of one core; after
``--minutes`` no new one is begun, and the table has what there is.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from xbarlab import open_bench
from xbarlab.common import plugins
from xbarlab.common.errors import XbarlabError
from xbarlab.common.progress import ProgressBar
from xbarlab.instruments.capabilities import CrossbarArray
from xbarlab.protocols.forming.forming import form
from xbarlab.protocols.forming.plan import FormingPlan
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.measure.pulse_answer import pulse_answer
from xbarlab.protocols.measure.yield_map import YieldMapPlan, yield_map
from xbarlab.protocols.training.rules.answers import answer_plan
from xbarlab.protocols.training.steps.train_convlstm_sequence import ConvLstmPlan, train_convlstm_sequence

FORMING: dict[str, dict[str, Any]] = {
    "mock_ta_hfo2": {"start_volts": 1.5, "stop_volts": 3.3, "step_volts": 0.05, "gate": 1.3, "width": 10e-6},
    "mock_hfo2": {"stop_volts": 4.3, "gate": 2.0, "set_volts": 3.0, "set_gate": 2.4, "reset_volts": 2.4},
}
"""Stations whose cells must be formed; the abstract devices are as they are."""
YIELD: dict[str, dict[str, Any]] = {"mock_hfo2": {"set_volts": 3.0, "set_gate": 2.4, "reset_volts": 2.4}}
"""Pulses that ask whether cells switch, where they are not the step's own."""
GATES: dict[str, dict[str, Any]] = {
    "mock_ta_hfo2": {"slope": 80e-6, "gate_low": 1.6, "gate_start": 2.4, "gate_high": 3.2, "share": 0.5, "least": 3e-3},
    "mock_gate_voltage": {"slope": 98e-6, "gate_low": 0.7, "gate_start": 1.0, "gate_high": 1.6, "start_spread": 0.1},
    "mock_hfo2": {
        "slope": 300e-6, "gate_low": 1.5, "gate_start": 1.8, "gate_high": 2.15, "reset_volts": 2.0, "share": 0.5,
        "least": 1e-3,
    },
    "mock_soft_bounds": {},
}  # fmt: skip
"""Two-pulse settings; those of mock_hfo2 from SETs of 2.5 V on 32 cells: 16, 141 and 260 µS at 1.4, 1.8 and 2.2 V."""
START: dict[str, dict[str, Any]] = {"mock_soft_bounds": {"start_pulses": 150}}
"""150 pulses either way are what starts weights as far apart as torch does: ±0.2 to ±0.3."""
RATES = {"two_pulse": 0.005, "manhattan": 0.005, "mixed_precision": 0.01, "row_parallel": 0.01}
OUTER = {"outer_product": 1.0, "streaming_eigenupdate": 1.0, "tiki_taka": 1.0}
"""Plain SGD: the float twin learns with it as well (0.5 to 2 do)."""
DATA: dict[str, Any] = {
    "epochs": 1, "train_examples": 1200, "batch": 8, "test_examples": 500, "evaluations": 1, "copies": 1,
}  # fmt: skip


def plan_for(station: str, rule: str) -> ConvLstmPlan:
    """Return the training plan of a rule on a station."""
    chosen: dict[str, Any] = {**DATA, **GATES[station], **START.get(station, {}), "rule": rule}
    if rule != "two_pulse":
        chosen.pop("share", None)
    if rule in OUTER:
        chosen["outer_rate"] = OUTER[rule]
    chosen |= {"rate": RATES.get(rule, 0.01), "healthy_lines": True, "bad_share": 0.05}
    return ConvLstmPlan(**chosen)


def measure(station: str, rule: str, seed: int) -> dict[str, Any]:
    """Form, look at one pulse of the rule, train; return accuracy, the twin's, cost, or the refusal."""
    with open_bench(station, seed=seed) as bench:
        array: Any = bench.array
        run = Run(None, seed=seed, quiet=True)
        if station in FORMING:
            form(array, FormingPlan(cells="0:96,0:32", **FORMING[station]), run)
            yield_map(array, YieldMapPlan(cells="0:96,0:32", **YIELD.get(station, {})), run)
        plan = plan_for(station, rule)
        try:
            plan.check(array.spec)
            answered = _answer(array, plan)
            before = array.cost
            got = train_convlstm_sequence(array, plan, run).metrics()
        except XbarlabError as refusal:
            return {"refused": str(refusal)}
        spent = array.cost - before
    return {
        "accuracy": got["test_accuracy"],
        "twin": got["float_twin_accuracy"],
        "pulses": spent.pulses,
        "transactions": spent.transactions,
        "measuring_pulses": answered,
    }


def _answer(array: CrossbarArray, plan: ConvLstmPlan) -> int:
    """Measure how the chip answers the rule's pulses, where it names any; return what that took."""
    asked = answer_plan(plan.update_rule(), array.spec)
    if asked is None:
        return 0
    before = array.cost
    pulse_answer(array, asked)
    return (array.cost - before).pulses


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="chips per case")
    parser.add_argument("--stations", nargs="+", default=list(GATES), choices=list(GATES))
    parser.add_argument("--rules", nargs="+", default=plugins.names(plugins.UPDATE_RULES))
    parser.add_argument("--minutes", type=float, default=60.0, help="no case is begun after that")
    parser.add_argument("--resume", type=Path, default=None, help="JSON lines that are kept, and gone on from")
    arguments = parser.parse_args()
    began = time.monotonic()
    done: dict[tuple[str, str, int], dict[str, Any]] = {}
    resume: Path | None = arguments.resume
    if resume is not None and resume.is_file():
        for line in resume.read_text(encoding="utf-8").splitlines():
            one = json.loads(line)
            done[one["station"], one["rule"], one["seed"]] = one
    cases = [(s, r, n) for n in range(1, arguments.seeds + 1) for s in arguments.stations for r in arguments.rules]
    with tempfile.TemporaryDirectory() as folder, ProgressBar("rules", len(cases), unit="cases") as bar:
        os.environ["XBARLAB_WEAR"] = folder
        for number, case in enumerate(cases):
            bar.update(number, " ".join(map(str, case)))
            if case in done or time.monotonic() - began > 60.0 * arguments.minutes:
                continue
            station, rule, seed = case
            done[case] = {"station": station, "rule": rule, "seed": seed, **measure(station, rule, seed)}
            if resume is not None:
                with resume.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(done[case]) + "\n")
    print("| station | rule | accuracy: median (range) | float twin | pulses | transactions |")
    print("|---|---|---|---|---|---|")
    for station in arguments.stations:
        for rule in arguments.rules:
            cases = [done.get((station, rule, n)) for n in range(1, arguments.seeds + 1)]
            print(row(station, rule, [case for case in cases if case is not None], arguments.seeds))


def row(station: str, rule: str, found: list[dict[str, Any]], seeds: int) -> str:
    """Return one line of the table; of several refusals the first."""
    if not found:
        return f"| {station} | {rule} | not run | | | |"
    learned = [one for one in found if "accuracy" in one]
    if not learned:
        return f"| {station} | {rule} | refused: {found[0]['refused']} | | | |"
    accuracy, twin = (np.array([one[key] for one in learned]) for key in ("accuracy", "twin"))
    spent = (np.median([one[key] for one in learned]) for key in ("pulses", "transactions"))
    short = f", {len(found)} of {seeds} seeds" if len(found) < seeds else ""
    less = f", refused on {len(found) - len(learned)} of {len(found)}" if len(learned) < len(found) else ""
    spread = f"{np.median(accuracy):.1%} ({accuracy.min():.1%} … {accuracy.max():.1%}){less}{short}"
    return f"| {station} | {rule} | {spread} | {np.median(twin):.1%} | {' | '.join(f'{one:,.0f}' for one in spent)} |"


if __name__ == "__main__":
    main()
