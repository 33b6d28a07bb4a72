"""Every file of the public measurements beside the repository is analysed, with figures that their sources know."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xbarlab import analyse
from xbarlab.analysis.own_data.finding import Finding

MEASURED = Path(__file__).resolve().parents[3].parent / "shared" / "measured"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not MEASURED.is_dir(), reason="the measured data are not beside the repository"),
]


def found(subject: str, name: str) -> dict[str, Finding]:
    made = getattr(analyse, subject)(name, folder=MEASURED / name)
    return {one.id: one for one in (made if isinstance(made, list) else [made])}


def test_forming_of_the_foundry_array() -> None:
    (forming,) = found("forming", "hfo2_1t1r").values()
    metrics = forming.metrics()
    assert metrics["v_form_mean"] == pytest.approx(3.12, abs=0.01)
    assert metrics["v_form_mean_ci95_high"] - metrics["v_form_mean_ci95_low"] < 0.02
    assert metrics["said_formed_fraction"] == 1.0


def test_programming_of_the_foundry_array() -> None:
    programs = found("verify", "hfo2_1t1r")
    ispp, fine = programs["ispp"].metrics(), programs["coarse_fine"].metrics()
    # facts/hfo2-1t1r.md: 14.2/31.0/31.3/24.9 pulses by level.
    means = [ispp[f"level_{k}.pulses_per_cell"] for k in range(4)]
    np.testing.assert_allclose(means, [14.2, 31.0, 31.3, 24.9], atol=0.15)
    assert 8.0 < fine["pulses_per_cell"] < 10.5
    assert ispp["said_success_fraction"] > 0.96 < fine["said_success_fraction"]
    levels = found("levels", "hfo2_1t1r")
    assert all(one.metrics()["misread_fraction"] < 0.02 for one in levels.values())


def test_cycling_of_the_foundry_array() -> None:
    (cycling,) = found("endurance", "hfo2_1t1r").values()
    metrics = cycling.metrics()
    assert metrics["cycles_measured"] == 300
    assert metrics["cycle_r_on_median"] == pytest.approx(4.9e3, rel=0.05)
    assert metrics["off_d2d_std"] > metrics["on_d2d_std"] > 0.0
    assert metrics["off_c2c_std"] > metrics["on_c2c_std"] > 0.0


def test_sweeps_of_the_foundry_array() -> None:
    sweeps = found("pulses", "hfo2_1t1r")
    assert sweeps["set_volts"].metrics()["pulse_threshold_mean"] == pytest.approx(0.88, abs=0.03)
    assert sweeps["reset_volts"].metrics()["pulse_threshold_mean"] == pytest.approx(0.87, abs=0.03)
    assert sweeps["reset_gate"].metrics()["pulse_threshold_mean"] == pytest.approx(2.41, abs=0.05)


def test_bakes_and_relaxation() -> None:
    (bake,) = found("retention", "hfo2_1t1r").values()
    assert bake.metrics()["shift_median_ci95_high"] < 0.0
    (bakes,) = found("retention", "hfo2_relaxation").values()
    spread = [bakes.metrics()[f"at_{name}.shift_std"] for name in ("100C_119min", "180C_87_7min", "260C_86_6min")]
    assert spread == sorted(spread), "the hotter the further apart"


def test_noise_falls_with_conductance() -> None:
    (noise,) = found("noise", "hfo2_relaxation").values()
    frame = noise.frame.sort_values("conductance_S")
    assert frame["noise_rel"].iloc[0] > 10.0 * frame["noise_rel"].iloc[-1]
    assert 0.6 < noise.metrics()["one_over_f_exponent"] < 1.4


def test_triangle_traces_do_not_switch_and_no_voltage_is_made_up() -> None:
    (loops,) = found("iv", "sdc").values()
    metrics = loops.metrics()
    assert np.isnan(metrics["v_set_mean"])
    assert [remark.split(":")[0] for remark in loops.remarks] == [
        "no switching found, SET",
        "no switching found, RESET",
    ]
    assert 1.02 < metrics["set_opening"] < 1.10
    assert "r_on_median" not in metrics, "the resistor is not known, so there are no ohms"


def test_dead_lines_of_maps() -> None:
    maps = found("map", "tio2_maps")
    first = maps["map.dead_xbar_P464EC_HD"]
    assert all(f"{line} (" in first.remarks[0] for line in ("row 3", "column 3", "column 4"))
    assert first.metrics()["lines_apart"] == 3
    assert maps["map.dead_xbar_P464ED_BG"].metrics()["lines_apart"] == 0
