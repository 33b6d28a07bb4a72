"""The box *what this means for training*: sentences that follow from numbers, and what is missing named."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pandas import DataFrame

from xbarlab.analysis.quantities import QUANTITIES
from xbarlab.analysis.report.report import Section, render_report
from xbarlab.analysis.report.run_tables import RunTables, StepTable
from xbarlab.analysis.report.training_box import LINES, TITLE, training_box

ROOT = Path(__file__).parents[3]


def with_interval(name: str, value: float, low: float, high: float) -> dict[str, float]:
    return {name: value, f"{name}_ci95_low": low, f"{name}_ci95_high": high}


def step(kind: str, metrics: Mapping[str, float], frame: DataFrame | None = None, **plan: Any) -> StepTable:
    return StepTable(id=kind[:4], step=kind, plan=plan, metrics=metrics, cost={}, make_frame=lambda: frame)


def box(*steps: StepTable) -> dict[str, tuple[str, str, str]]:
    """Return value, interval and sentence of every line by what it is from."""
    summary = {key: value for one in steps for key, value in one.metrics.items()}
    found = training_box(RunTables(title="x", steps=steps, summary=summary))
    assert found is not None
    assert found.box
    ((_, table),) = found.tables
    return {
        row["from"]: (row["value"].replace("\xa0", " "), row["95 % interval"].replace("\xa0", " "), row["what follows"])
        for _, row in table.iterrows()
    }


SIGMA = step(
    "read_verify",
    with_interval("programming_sigma", 5e-6, 4e-6, 6e-6),
    DataFrame({"target_S": [10e-6, 110e-6, 50e-6]}),
)
DRIFT = step(
    "retention", {**with_interval("retention_drift_nu", 0.02, 0.01, 0.03), "retention_sigma": 2e-6}, first=10.0
)


def test_a_run_that_characterises_nothing_has_no_box() -> None:
    assert training_box(RunTables(title="", steps=(), summary={})) is None
    assert training_box(RunTables(title="", steps=(SIGMA,), summary=SIGMA.metrics)) is None


def test_every_line_is_there_measured_or_with_the_step_that_would_measure_it() -> None:
    found = box(SIGMA, DRIFT)
    assert len(found) == len(LINES)
    assert found["vmm_effective_bits"] == ("–", "", "Not measured: step vmm_accuracy would.")
    assert found["half_select_safe_volts"][2] == "Not measured: step stress_disturb would."
    assert found["levels_200ns"][2] == "Not measured: step multilevel would."


def test_levels_of_fewer_cycles_are_levels() -> None:
    found = box(SIGMA, DRIFT, step("multilevel", with_interval("separable_levels", 4.0, 3.0, 4.0)))
    assert "levels_200ns" not in found
    assert found["separable_levels"][2].startswith("A cell holds 2.0 bits.")


def test_a_step_that_gave_no_number_is_not_called_missing() -> None:
    found = box(SIGMA, DRIFT, step("stress_disturb", {"half_select_safe_volts": math.nan}))
    assert found["half_select_safe_volts"][2] == "Step stress_disturb was done, and gave no number."


def test_levels_follow_from_sigma_and_the_range_of_the_targets() -> None:
    value, interval, said = box(SIGMA, DRIFT)["programming_sigma"]
    assert (value, interval) == ("5.000 µS", "4.000 … 6.000 µS")
    assert (
        said == "Levels have to stand 20.00 µS apart. The range of the targets, 100.0 µS, then holds 6 of them (5 … 7)."
    )


def test_drift_over_a_day_is_the_power_law_from_the_first_read() -> None:
    value, interval, said = box(SIGMA, DRIFT)["retention_drift_nu"]
    day, low, high = ((86400.0 / 10.0) ** -nu - 1.0 for nu in (0.02, 0.03, 0.01))
    assert value == f"−{-100 * day:.2f} %"
    assert interval == f"−{-100 * low:.2f} … −{-100 * high:.2f} %"
    assert f"multiplied by {1 + day:.3f}" in said
    assert "σ(ΔG) 2.000 µS" in said


@pytest.mark.parametrize(
    ("count", "bits", "pair"), [(8.0, "3.0", "15 values, 3.9 bits"), (5.0, "2.3", "9 values, 3.2")]
)
def test_levels_as_bits_of_a_cell_and_of_a_pair(count: float, bits: str, pair: str) -> None:
    found = box(SIGMA, step("multilevel", {"levels_200ns": count, "bits_200ns": math.log2(count)}))
    assert "bits_200ns" not in found
    assert found["levels_200ns"][2].startswith(f"A cell holds {bits} bits.")
    assert pair in found["levels_200ns"][2]


def test_a_drift_that_may_be_none_is_not_told_as_one() -> None:
    found = box(SIGMA, step("retention", with_interval("retention_drift_nu", 0.002, -0.001, 0.005), first=1.0))
    assert found["retention_drift_nu"][2] == (
        "No drift is seen that all cells share: the interval holds 0, from 1 s to a day."
    )


def test_symmetric_is_only_said_where_the_interval_holds_the_middle() -> None:
    sure = box(SIGMA, step("pulse_response", with_interval("symmetry_point", 0.3, 0.25, 0.35)))["symmetry_point"][2]
    assert "0.30 of its range, 0.20 from the middle" in sure
    unsure = box(SIGMA, step("pulse_response", with_interval("symmetry_point", 0.45, 0.3, 0.6)))["symmetry_point"][2]
    assert "cannot be told from symmetric" in unsure
    alone = box(SIGMA, step("pulse_response", {"symmetry_point": 0.5}))["symmetry_point"][2]
    assert "cannot be told" not in alone


def test_asymmetry_of_steps_is_a_ratio() -> None:
    pulses = {**with_interval("symmetry_point", 0.3, 0.2, 0.4), **with_interval("step_asymmetry", 0.4, 0.2, 0.6)}
    found = box(SIGMA, step("pulse_response", pulses))
    assert "1.50 times as far as one down (1.22 … 1.86)" in found["step_asymmetry"][2]
    assert "symmetry_point" in found
    none = with_interval("step_asymmetry", 0.1, -0.2, 0.4)
    assert "cannot be told apart" in box(SIGMA, step("pulse_response", none))["step_asymmetry"][2]


@pytest.mark.parametrize(("volts", "verdict"), [(0.8, "beyond"), (1.0, "within")])
def test_half_selects_are_held_against_the_pulses_of_the_run(volts: float, verdict: str) -> None:
    pulses = step("pulse_response", {}, set_volts=1.7, reset_volts=1.9)
    stress = step("stress_disturb", with_interval("half_select_safe_volts", volts, 0.7, 1.1))
    said = box(SIGMA, stress, pulses)["half_select_safe_volts"][2]
    assert f"up to {2 * volts:.2f} V" in said
    assert f"Half of the 1.9 V of step puls is {verdict} that." in said
    bound = step("stress_disturb", {"half_select_safe_volts": 1.0})
    assert "at least 2.00 V" in box(SIGMA, bound)["half_select_safe_volts"][2]


def test_effective_bits_say_what_a_converter_is_worth() -> None:
    said = box(SIGMA, step("vmm_accuracy", with_interval("vmm_effective_bits", 5.2, 5.0, 5.4)))["vmm_effective_bits"][2]
    assert "37 values" in said
    assert "more than 6 bits" in said


def test_two_steps_of_a_kind_have_a_line_each() -> None:
    steps = tuple(StepTable(id=name, step="read_verify", plan={}, metrics={"programming_sigma": sigma}, cost={},
                            make_frame=lambda: None) for name, sigma in (("coarse", 5e-6), ("fine", 1e-6)))  # fmt: skip
    summary = {"coarse.programming_sigma": 5e-6, "fine.programming_sigma": 1e-6, "retention_drift_nu": 0.01}
    found = training_box(RunTables(title="", steps=steps, summary=summary))
    assert found is not None
    assert [key for key in found.tables[0][1]["from"] if "sigma" in key] == [
        "coarse.programming_sigma", "fine.programming_sigma",
    ]  # fmt: skip


def test_its_keys_are_defined_and_its_steps_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    steps = project["entry-points"]["xbarlab.steps"]
    assert {line.step for line in LINES} <= set(steps)
    assert {key for line in LINES for key in line.keys} <= set(QUANTITIES)


def test_a_box_stands_before_the_numbers() -> None:
    page = render_report(
        title="t",
        summary={"yield_fraction": 0.5},
        sections=[Section("Step one"), Section(TITLE, "It is so.", box=True)],
    )
    assert page.index(f"<h2>{TITLE}</h2>") < page.index("<h2>Numbers</h2>") < page.index("Step one</h2>")
    assert page.count('class="box"') == 1
