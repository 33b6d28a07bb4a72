"""A rule is refused, by name and before its first pulse, when the chip is known not to give the steps it needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.training_bench import write_bench

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from xbarlab.analysis.measurements.pulse_answer import PulseAnswer, PulsePair, judge, summarise  # noqa: E402
from xbarlab.cli import main  # noqa: E402
from xbarlab.common.errors import RefusedError  # noqa: E402
from xbarlab.protocols.measure.pulse_answer import PulseAnswerPlan, known_answer, pulse_answer  # noqa: E402
from xbarlab.protocols.training.convert import convert  # noqa: E402
from xbarlab.protocols.training.layers.array_layers import ArrayLinear  # noqa: E402
from xbarlab.protocols.training.layers.array_weights import ArrayWeights  # noqa: E402
from xbarlab.protocols.training.layers.weight_mapping import LayerRequest, plan_floor  # noqa: E402
from xbarlab.protocols.training.rules.answers import (  # noqa: E402
    answer_plan,
    measure_answer,
    require_answer,
)
from xbarlab.protocols.training.rules.by_name import name_of  # noqa: E402
from xbarlab.protocols.training.rules.equal_pulses import Manhattan  # noqa: E402
from xbarlab.protocols.training.steps.train_convlstm_sequence import ConvLstmPlan  # noqa: E402
from xbarlab.protocols.training.trainer import ArrayTrainer  # noqa: E402
from xbarlab.runbooks.stations import open_bench  # noqa: E402

WITHIN = {"low": 40e-6, "high": 70e-6, "set_volts": 1.2, "reset_volts": 1.2, "volts_step": 0.0, "attempts": 200}
STEP = 0.002 * 90e-6  # of the ideal devices


def answered(array: Any, rule: object, **more: Any) -> PulseAnswerPlan:
    """Measure how the cells of an ideal chip answer a rule's pulses."""
    plan = answer_plan(rule, array.spec)
    assert plan is not None
    known = {name: value for name, value in plan.model_dump().items() if name not in ("within", "span")}
    plan = PulseAnswerPlan(**{**known, "within": WITHIN, "starts": 1, "average": 64, **more})
    pulse_answer(array, plan)
    return plan


def trainer_of(array: Any, rule: Any) -> ArrayTrainer:
    weights = ArrayWeights(array, plan_floor(16, 12, [LayerRequest("w", 4, 5, "stacked")]))
    model = nn.Sequential(ArrayLinear(weights, "w", bias=False))
    return ArrayTrainer(
        model, weights, rule, lambda p: torch.optim.SGD(p, lr=0.1), lambda m, x, y: ((m(x) - y) ** 2).mean()
    )


@pytest.mark.parametrize("name", ["manhattan", "mixed_precision", "row_parallel"])
def test_a_chip_with_small_equal_steps_suits_the_rules_that_count_them(name: str, tmp_path: Path) -> None:
    with open_bench(write_bench(tmp_path, "soft_bounds_1t1r")) as bench:
        rule = _made(name)
        plan = answered(bench.array, rule)
        found = known_answer(bench.array, plan.pulses(bench.array.spec))
        assert found is not None
        span = WITHIN["high"] - WITHIN["low"]
        assert found[0].up.value == pytest.approx(STEP / span, rel=0.1)
        assert found[0].down.value == pytest.approx(STEP / span, rel=0.1)
        said = require_answer(bench.array, rule)
        assert f"rule {name}: one SET of 1.2 V" in said
        assert "it can learn with these" in said
        before = bench.array.cost.pulses
        trainer_of(bench.array, rule).start()
        assert bench.array.cost.pulses == before


def _made(name: str) -> Any:
    from xbarlab.common import plugins

    return plugins.load(plugins.UPDATE_RULES, name)()


@pytest.mark.parametrize("name", ["manhattan", "mixed_precision", "row_parallel"])
def test_a_chip_that_jumps_is_refused_by_name_before_the_first_pulse(name: str, tmp_path: Path) -> None:
    station = write_bench(tmp_path, "gate_voltage_1t1r")
    with open_bench(station) as bench:
        rule = _made(name)
        rule.start_pulses = 3
        trainer = trainer_of(bench.array, rule)
        assert "not measured: step pulse_answer with rule" in require_answer(bench.array, rule)
        wide = {"low": 20e-6, "high": 350e-6, "set_volts": 2.5, "reset_volts": 1.7, "set_gate": 1.1}
        answered(bench.array, rule, within={**wide, "volts_step": 0.0})
        before = bench.array.cost
        with pytest.raises(RefusedError) as refused:
            trainer.start()
        assert bench.array.cost == before
        with pytest.raises(RefusedError, match=f"rule {name} needs SETs"):
            trainer.optimiser.step()
        with pytest.raises(RefusedError, match=f"rule {name} needs SETs"):
            convert(nn.Linear(3, 2), bench.array, rule=rule)
        assert bench.array.cost == before
        text = str(refused.value)
        assert text.startswith(f"rule {name} needs SETs and RESETs that move a cell by ")
        assert "one SET of 1.2 V at gate 1.2 V moves the median cell by" in text
        assert "the RESET step is too large" in text
        assert "two_pulse" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("station", "name", "refusal"),
    [
        ("mock_gate_voltage", "two_pulse", ""),
        ("mock_gate_voltage", "manhattan", "the SET step is too large"),
        ("mock_gate_voltage", "mixed_precision", "the SET step is too large"),
        ("mock_gate_voltage", "tiki_taka", "the SET step is too large"),
        ("mock_soft_bounds", "two_pulse", "the SET step is too small, the RESET step is too small"),
        ("mock_soft_bounds", "manhattan", ""),
        ("mock_soft_bounds", "mixed_precision", ""),
        ("mock_soft_bounds", "tiki_taka", ""),
    ],
)
def test_shipped_chips_are_refused_for_what_their_pulses_do(
    station: str, name: str, refusal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The range is where the cells are and the rule's pulses take them: nobody is refused for a range of ours."""
    monkeypatch.setenv("XBARLAB_WEAR", str(tmp_path / "wear.sqlite"))
    for seed in (1, 2):
        with open_bench(station, seed=seed) as bench:
            rule = _made(name)
            plan = answer_plan(rule, bench.array.spec)
            assert plan is not None
            before = bench.array.cost.pulses
            summary = pulse_answer(bench.array, plan).summary
            assert bench.array.cost.pulses - before <= plan.forecast(bench.array.spec).pulses
            assert summary.cells == 32
            assert summary.missed < 0.1
            assert summary.high - summary.low >= rule.needs().span * (1 - 1e-9)
            if not refusal:
                assert "it can learn with these" in require_answer(bench.array, rule)
                continue
            with pytest.raises(RefusedError, match=refusal) as refused:
                require_answer(bench.array, rule)
            instead = "mixed_precision" if name == "two_pulse" else "two_pulse"
            assert instead in str(refused.value).rpartition(";")[2]


@pytest.mark.parametrize(
    ("steps", "fit"),
    [(4, ""), (16, "mixed_precision row_parallel"), (250, "manhattan mixed_precision row_parallel"),
     (3000, "mixed_precision"), (16000, "")],
)  # fmt: skip
def test_every_counting_rule_has_a_need_of_its_own(steps: int, fit: str) -> None:
    reads = np.full((2, 1, 1, 8), 50e-6)
    moved = reads + np.array([1.0, -1.0])[:, None, None, None] * 100e-6 / steps
    rules = {name: _made(name) for name in ("manhattan", "mixed_precision", "row_parallel")}
    for name, rule in rules.items():
        summary = summarise(PulseAnswer(20e-6, 120e-6, reads, reads, moved), PulsePair(1.2, 1.2, 1.2, 5.0, 5e-7))
        assert judge(summary, rule.needs()).works == (name in fit.split()), name


@pytest.mark.parametrize("kept", ["both", "RESET"])
def test_an_answer_that_says_nothing_refuses_nobody(kept: str, tmp_path: Path) -> None:
    with open_bench(write_bench(tmp_path, "soft_bounds_1t1r")) as bench:
        rule = _made("manhattan")
        pulses = rule.pulses(bench.array.spec)
        reads = np.full((2, 1, 1, 8), 50e-6)
        reads[: 2 if kept == "both" else 1] = np.nan
        moved = reads + np.array([1e-6, -1e-6])[:, None, None, None]
        summary = summarise(PulseAnswer(20e-6, 120e-6, reads, reads, moved), pulses)
        bench.wear.facts.keep_fact("pulse_answer", pulses.key, json.dumps(summary.plain()))
        said = require_answer(bench.array, rule)
        assert "whether it can learn with these is not sure" in said
        assert "nothing is known of the SET step" in said
        assert "nan" not in said
        if kept == "both":
            assert rule.siemens == rule.usual_step


def test_names_of_rules() -> None:
    assert name_of(Manhattan()) == "manhattan"
    assert name_of(object()) == "object"
    assert answer_plan(object(), None) is None  # type: ignore[arg-type]


def test_a_rule_that_names_no_pulses_is_asked_nothing(tmp_path: Path) -> None:
    with open_bench(write_bench(tmp_path, "soft_bounds_1t1r")) as bench:
        assert require_answer(bench.array, object()) == ""


@pytest.mark.parametrize("name", ["manhattan", "outer_product", "tiki_taka"])
def test_a_training_measures_what_it_does_not_know_beside_its_weights(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XBARLAB_WEAR", str(tmp_path / "wear.sqlite"))
    with open_bench(write_bench(tmp_path, "soft_bounds_1t1r")) as bench:
        array, rule = bench.array, _made(name)
        taken = np.zeros((16, 12), dtype=bool)
        taken[:8] = True
        before = array.cost.pulses
        assert "not measured" in require_answer(array, rule, taken)
        assert array.cost.pulses == before
        assert rule.siemens == rule.usual_step
        said = measure_answer(array, rule, taken)
        assert f"rule {name}: one SET of 1.2 V" in said
        spent = array.cost.pulses - before
        plan = answer_plan(rule, array.spec, taken)
        assert plan is not None
        assert 0 < spent <= plan.forecast(array.spec).pulses
        assert rule.siemens == pytest.approx(STEP, rel=0.1), "the step is what was measured"
        maps = bench.wear.maps()
        assert maps["pulses"][8:].sum() == spent
        assert not maps["pulses"][:8].any(), "cells of weights are left alone"
        before = array.cost.pulses
        assert measure_answer(array, _made(name), taken) == said, "known: not measured again"
        assert array.cost.pulses == before


def test_convert_says_what_would_tell_and_measures_when_it_is_asked_to(tmp_path: Path) -> None:
    with open_bench(write_bench(tmp_path, "soft_bounds_1t1r")) as bench:
        pulses = bench.array.cost.pulses
        told = convert(nn.Linear(3, 2), bench.array, rule=_made("manhattan"), program="read").report.answer
        assert "is not measured: step pulse_answer with rule manhattan would tell, by " in told
        assert bench.array.cost.pulses == pulses
        rule = _made("manhattan")
        told = convert(nn.Linear(3, 2), bench.array, rule=rule, program="read", measure=True).report.answer
        assert "it can learn with these" in told
        assert bench.array.cost.pulses > pulses
        assert rule.siemens == pytest.approx(STEP, rel=0.1)


def test_a_forecast_has_the_measuring_pulses(tmp_path: Path) -> None:
    with open_bench(write_bench(tmp_path, "soft_bounds_1t1r", size=(128, 64))) as bench:
        spec = bench.array.spec
        plans = [ConvLstmPlan(rule="manhattan", measure_answer=measure) for measure in (True, False)]
        asked, plain = (plan.forecast(spec) for plan in plans)
        own = answer_plan(plans[0].update_rule(), spec)
        assert own is not None
        assert asked.pulses - plain.pulses == own.forecast(spec).pulses
        assert "the training measures it first (measure_answer)" in plans[0].known(bench.array)
        two_pulse = [ConvLstmPlan(measure_answer=measure).forecast(spec) for measure in (True, False)]
        assert two_pulse[0] == two_pulse[1], "the gate sets how far its pulses go"


RUNBOOK = """---
title: Training with a rule
station: {station}
steps:
{steps}
---
Text.
"""
TRAIN = "  - {id: train, train_lstm_airline: {rule: manhattan, epochs: 1}}"
ASK = "  - {id: ask, pulse_answer: {rule: manhattan, cells: '0:2,0:4', width: 500ns}}"


STATIONS = Path(__file__).parents[3] / "runbooks" / "stations"


def write_book(folder: Path, *steps: str) -> Path:
    """Write a runbook for a mock chip that lives on in a state file: a fresh one each time would be another chip."""
    for kind in ("station", "bench", "chip"):
        text = (STATIONS / f"mock_ta_hfo2.{kind}.yaml").read_text(encoding="utf-8")
        text = text.replace("mock_ta_hfo2.", "own.").replace("state: null", "state: own_chip.npz")
        (folder / f"own.{kind}.yaml").write_text(text, encoding="utf-8")
    book = folder / "book.md"
    book.write_text(RUNBOOK.format(station="own.station.yaml", steps="\n".join(steps)), encoding="utf-8")
    return book


def test_a_dry_run_says_what_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XBARLAB_WEAR", str(tmp_path / "wear.sqlite"))
    book = write_book(tmp_path, TRAIN)
    assert main(["run", str(book), "--dry-run"]) == 0
    assert "not measured: step pulse_answer with rule manhattan would tell" in " ".join(capsys.readouterr().out.split())
    with open_bench(tmp_path / "own.station.yaml") as bench:
        plan = PulseAnswerPlan(rule="manhattan", cells="0:2,0:4")
        pulses = plan.pulses(bench.array.spec)
        reads = np.full((2, 1, 1, 8), 50e-6)
        jump = np.array([0.0, -40e-6])[:, None, None, None]
        summary = summarise(PulseAnswer(20e-6, 120e-6, reads, reads, reads + jump), pulses)
        bench.wear.facts.keep_fact("pulse_answer", pulses.key, json.dumps(summary.plain()))
    assert main(["run", str(book), "--dry-run"]) != 0
    out = capsys.readouterr()
    said = " ".join((out.out + out.err).split())
    assert "rule manhattan needs" in said
    assert "the SET step is too small, the RESET step is too large" in said
    book = write_book(tmp_path, ASK, TRAIN)
    assert main(["run", str(book), "--dry-run"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "step ask: answered on" in said
    assert "step train: will be refused unless the answer has changed by then" in said
