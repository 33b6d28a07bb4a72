"""Data of any bench: what was put into a table is found in it, and what is not in it is not made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from xbarlab import analyse
from xbarlab.analysis.own_data.array_map import line_effects
from xbarlab.analysis.own_data.endurance import first_failures
from xbarlab.analysis.own_data.finding import Finding
from xbarlab.common.errors import RefusedError


def loop(v_set: float, v_reset: float, *, on: float = 1e-3, off: float = 1e-5, peak: float = 1.5) -> pd.DataFrame:
    """Return one loop of a cell that switches abruptly at two voltages."""
    up = np.linspace(0.0, peak, 151)
    volts = np.concatenate([up, up[-2::-1], -up[1:], -up[-2::-1]])
    state, current = off, []
    for v in volts:
        state = on if v >= v_set else off if v <= v_reset else state
        current.append(v * state)
    return pd.DataFrame({"volts": volts, "current": current})


def many_loops(seed: int, cells: int = 12, cycles: int = 6) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    v_set = 0.9 + 0.08 * rng.standard_normal((cells, 1)) + 0.04 * rng.standard_normal((cells, cycles))
    parts = [
        loop(v_set[cell, k], -0.8).assign(cell=cell, loop=k) for cell in range(cells) for k in range(cycles)
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True), v_set


def one(found: Finding | list[Finding]) -> Finding:
    assert isinstance(found, Finding)
    return found


def holds(found: Finding, name: str, value: float) -> bool:
    """Whether the interval of a number holds a value."""
    metrics = found.metrics()
    return metrics[f"{name}_ci95_low"] <= value <= metrics[f"{name}_ci95_high"]


def test_switching_voltages_and_their_spreads_are_found() -> None:
    means, within, between = [], [], []
    for seed in range(10):
        frame, truth = many_loops(seed)
        found = one(analyse.iv(frame))
        assert found.metrics()["v_set_mean"] == pytest.approx(truth.mean(), abs=0.011), "a step is 10 mV"
        means.append(holds(found, "v_set_mean", 0.895))  # crossed half a step before on average
        within.append(holds(found, "v_set_c2c_std", 0.04))
        between.append(holds(found, "v_set_d2d_std", 0.08))
    assert min(map(sum, (means, within, between))) >= 7
    assert found.metrics()["r_on_median"] == pytest.approx(1e3, rel=0.01)
    assert found.metrics()["r_off_median"] == pytest.approx(1e5, rel=0.01)


def test_one_curve_is_enough_and_loops_are_told_apart_by_the_voltage() -> None:
    single = one(analyse.iv(loop(0.8, -0.6)))
    assert single.metrics()["v_set_mean"] == pytest.approx(0.8, abs=0.011)
    assert single.metrics()["v_reset_mean"] == pytest.approx(-0.6, abs=0.011)
    assert np.isnan(single.metrics()["v_set_mean_ci95_low"]), "one curve has no spread"
    three = pd.concat([loop(v, -0.6) for v in (0.7, 0.8, 0.9)], ignore_index=True)
    found = one(analyse.iv(three))
    np.testing.assert_allclose(found.frame["v_set"], [0.7, 0.8, 0.9], atol=0.011)
    negative_first = one(analyse.iv(pd.concat([loop(0.7, -0.6).iloc[301:], three.iloc[:301]], ignore_index=True)))
    assert len(negative_first.frame) == 1


def test_a_half_sweep_has_no_reset_and_says_so() -> None:
    up = loop(0.8, -0.6).iloc[:301]
    found = one(analyse.iv(up))
    assert found.metrics()["v_set_mean"] == pytest.approx(0.8, abs=0.011)
    assert any("no RESET could be looked for" in remark for remark in found.remarks)
    twice = one(analyse.iv(pd.concat([up, loop(1.0, -0.6).iloc[:301]], ignore_index=True)))
    np.testing.assert_allclose(twice.frame["v_set"], [0.8, 1.0], atol=0.011)


def test_what_never_switches_has_no_switching_voltage() -> None:
    volts = np.concatenate([np.linspace(0, 1, 50), np.linspace(1, -1, 100), np.linspace(-1, 0, 50)])
    found = one(analyse.iv(pd.DataFrame({"volts": volts, "current": 1e-4 * volts})))
    assert np.isnan(found.metrics()["v_set_mean"])
    assert np.isnan(found.metrics()["v_reset_mean"])
    assert [remark[:18] for remark in found.remarks] == ["no switching found"] * 2
    assert "No switching found, SET" in found.section().text
    assert found.metrics()["no_set_fraction"] == 1.0


def test_a_periodic_trace_is_cut_averaged_and_freed_of_its_offsets() -> None:
    rng = np.random.default_rng(0)
    time = np.arange(16_000) * 6.25e-6
    phase = (time / 1e-3 + 0.37) % 1.0
    triangle = 0.15 * (1.0 - 4.0 * np.abs((phase + 0.25) % 1.0 - 0.5))
    current = triangle / 5e3 * np.where((np.gradient(triangle) < 0) & (triangle > 0), 1.1, 1.0)
    frame = pd.DataFrame(
        {"time": time, "volts": triangle, "current": current + 3e-6 + 2e-7 * rng.standard_normal(time.size)}
    )
    found = one(analyse.iv(frame, period="1 ms"))
    assert found.metrics()["set_opening"] == pytest.approx(1.1, abs=0.01), "the offset alone is a tenth of the current"
    assert found.metrics()["reset_opening"] == pytest.approx(1.0, abs=0.01)
    assert "A loop is the mean of 9 periods" in found.text
    with pytest.raises(RefusedError, match="shorter than its period"):
        analyse.iv(frame.iloc[:100], period="1 ms")


@pytest.mark.parametrize("name", ["U (mV)", "U [mV]", "U/mV", "volts_mV"])
def test_units_are_taken_from_the_header(name: str) -> None:
    frame = loop(0.8, -0.6)
    other = pd.DataFrame({name: frame["volts"] * 1e3, "I": frame["current"] * 1e6})
    found = one(analyse.iv(other, volts=name, amps="I:uA"))
    assert found.metrics()["v_set_mean"] == pytest.approx(0.8, abs=0.011)
    assert found.metrics()["r_on_median"] == pytest.approx(1e3, rel=0.01)
    with pytest.raises(RefusedError, match="unknown unit 'ohm': choose from V, mV"):
        analyse.iv(other, volts=f"{name}:ohm", amps="I:uA")
    with pytest.raises(RefusedError, match="is in volts, and amperes are needed"):
        analyse.iv(other, volts=name, amps=name)
    with pytest.raises(RefusedError, match=r"unknown column 'J': choose from I, "):
        analyse.iv(other, volts=name, amps="J")


def test_tables_of_our_own_results_are_taken_as_they_are() -> None:
    frame = loop(0.8, -0.6)
    own = pd.DataFrame({"row": 0, "col": 1, "cycle": 0, "volts_V": frame["volts"], "current_A": frame["current"]})
    assert one(analyse.iv(own)).metrics()["v_set_mean"] == pytest.approx(0.8, abs=0.011)
    with pytest.raises(RefusedError, match="where is an iv_sweep in it"):
        analyse.iv(own.drop(columns="current_A"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.assign(current=1e-6), "current is constant"),
        (lambda t: t.assign(volts=0.5), "volts is constant"),
        (lambda t: t.assign(current=t["current"].where(t.index != 7)), "current in line 7 .* 1 of 601 in all"),
        (lambda t: t.iloc[:0], "has no line"),
        (lambda t: t.iloc[[0, 80]], "no loop: 3 points"),
        (lambda t: t.assign(time=np.arange(601)[::-1]), "time runs back"),
    ],
)
def test_what_cannot_be_analysed_is_refused_in_one_sentence(change, message: str) -> None:
    table = change(loop(0.8, -0.6))
    with pytest.raises(RefusedError, match=message) as refused:
        analyse.iv(table)
    assert refused.value.exit_code == 2
    assert "\n" not in str(refused.value)


def test_forming_counts_cells_that_never_formed() -> None:
    rng = np.random.default_rng(1)
    volts = np.round(3.0 + 0.2 * rng.standard_normal(200), 2)
    formed = np.arange(200) >= 30
    frame = pd.DataFrame({"V": np.where(formed, volts, 4.0), "R (kohm)": np.where(formed, 8.0, 900.0), "ok": formed})
    found = one(analyse.forming(frame, volts="V", after="R", success="ok"))
    assert found.metrics()["said_formed_fraction"] == pytest.approx(0.85)
    assert found.metrics()["v_form_mean"] == pytest.approx(volts[formed].mean()), "of cells that formed"
    assert holds(found, "v_form_std", 0.2)
    by_reading = one(analyse.forming(frame, volts="V", after="R", formed_above="20uS"))
    assert by_reading.metrics() == pytest.approx(found.metrics())
    with pytest.raises(RefusedError, match="which cells formed"):
        analyse.forming(frame, volts="V", after="R")


def programmed(seed: int, cells: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    parts = []
    for low, high in ((10.0, 20.0), (50.0, 60.0), (100.0, 110.0)):
        after = rng.uniform(low, high, cells)
        after[: cells // 20] = low + 30.0  # as the next level
        parts.append(
            pd.DataFrame({"cell": np.arange(cells), "lo (uS)": low, "hi (uS)": high, "G (uS)": after,
                          "n": rng.poisson(7.0, cells) + 1, "ok": after <= high})
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def test_pulses_success_and_levels_of_programming() -> None:
    names = {"low": "lo", "high": "hi", "after": "G"}
    covered = 0
    for seed in range(20):
        frame = programmed(seed)
        found = one(analyse.verify(frame, **names, pulses="n", success="ok", cell="cell"))
        covered += holds(found, "pulses_per_cell", 8.0)
    assert covered >= 16
    metrics = found.metrics()
    assert metrics["said_success_fraction"] == pytest.approx(0.95)
    assert metrics["level_0.said_success_fraction"] == pytest.approx(0.95)
    assert list(found.frame["window"]) == ["100 … 110 µS", "50.0 … 60.0 µS", "10.0 … 20.0 µS"]
    levels = one(analyse.levels(frame, **names, cell="cell", success="ok"))
    metrics = levels.metrics()
    assert metrics["levels"] == 3
    assert metrics["inside_fraction"] == pytest.approx(0.95)
    assert metrics["level_2.misread_fraction"] == pytest.approx(0.05), "40 µS is nearer to 50 than to 20"
    assert metrics["level_0.misread_fraction"] == 0.0, "there is none above"
    assert metrics["level_2.level_g_median"] == pytest.approx(15e-6, rel=0.1)
    with pytest.raises(RefusedError, match="how many pulses"):
        analyse.verify(frame, **names, success="ok")


def test_the_window_of_cycling_its_spreads_and_the_first_failure() -> None:
    rng = np.random.default_rng(3)
    cells, cycles = 30, 50
    on = 5e3 * np.exp(0.1 * rng.standard_normal((cells, 1)) + 0.05 * rng.standard_normal((cells, cycles)))
    off = 1e5 * np.exp(0.5 * rng.standard_normal((cells, 1)) + 0.3 * rng.standard_normal((cells, cycles)))
    off[4, 20:23] = on[4, 20:23]
    off[5, 30:32] = on[5, 30:32]
    frame = pd.DataFrame({"cell": np.repeat(np.arange(cells), cycles), "n": np.tile(np.arange(cycles), cells),
                          "Ron (kohm)": on.ravel() / 1e3, "Roff (kohm)": off.ravel() / 1e3})  # fmt: skip
    found = one(analyse.endurance(frame, cell="cell", cycle="n", hrs="Roff", lrs="Ron"))
    metrics = found.metrics()
    assert metrics["endurance_first_failure"] == 21, "cycles count from 1, and two in a row are none"
    assert metrics["failed_cell_fraction"] == pytest.approx(1 / 30)
    assert metrics["cycles_measured"] == 50
    assert holds(found, "on_d2d_std", 0.1)
    assert holds(found, "on_c2c_std", 0.05)
    assert metrics["window_median"] == pytest.approx(20.0, rel=0.3)
    fine = one(analyse.endurance(frame[frame["cell"] > 5], cell="cell", cycle="n", hrs="Roff", lrs="Ron"))
    assert np.isnan(fine.metrics()["endurance_first_failure"])
    assert fine.remarks[0].startswith("no failure found")
    with pytest.raises(RefusedError, match="hrs and lrs belong together"):
        analyse.endurance(frame, cell="cell", lrs="Ron")


def test_a_failure_is_three_cycles_in_a_row() -> None:
    window = np.array([[9.0, 1.0, 1.0, 9.0, 1.0], [1.0, 1.0, 1.0, 9.0, 9.0], [9.0, 1.0, np.nan, 1.0, 1.0]])
    np.testing.assert_array_equal(first_failures(window, np.arange(1, 6)), [np.nan, 1.0, np.nan])
    np.testing.assert_array_equal(first_failures(window, [10, 100, 101, 102, 1000]), [np.nan, 10.0, np.nan])
    assert np.isnan(first_failures(window[:, :2], [1, 2])).all()


def test_readings_that_have_no_resistance_are_left_out_and_counted() -> None:
    n = np.arange(60)
    frame = pd.DataFrame({"n": n, "lrs": 1e-3 + 1e-6 * (n % 7), "hrs": 1e-5 + 1e-7 * (n % 5)})
    frame.loc[[3, 9], "hrs"] = [-2e-6, 0.0]
    found = one(analyse.endurance(frame, cycle="n", hrs="hrs:S", lrs="lrs:S"))
    assert found.metrics()["cycles_measured"] == 58
    assert any("2 of 120 readings are not above 0 S" in remark for remark in found.remarks)
    with pytest.raises(RefusedError, match="no reading of LRS is above 0 S"):
        analyse.endurance(frame.assign(lrs=-frame["lrs"]), cycle="n", hrs="hrs:S", lrs="lrs:S")


def test_states_the_wrong_way_round_are_noticed() -> None:
    n = np.arange(60)
    frame = pd.DataFrame({"n": n, "a": 1e-3 + 1e-6 * (n % 7), "b": 1e-5 + 1e-7 * (n % 5)})
    question = "are HRS and LRS the right way round"
    swapped = one(analyse.endurance(frame, cycle="n", hrs="a:S", lrs="b:S"))
    assert any(question in remark for remark in swapped.remarks)
    right = one(analyse.endurance(frame, cycle="n", hrs="b:S", lrs="a:S"))
    assert not any(question in remark for remark in right.remarks)


@pytest.mark.parametrize("first", [0.0, 1.0])
def test_a_bake_whose_time_runs_back_is_refused(first: float) -> None:
    time = np.tile([first, 10.0, 100.0, 1000.0, 1e4], 3)
    frame = pd.DataFrame({"cell": np.repeat(np.arange(3), 5), "t": time, "G": 1e-4 - 1e-6 * np.arange(15)})
    assert "retention_drift_nu" in one(analyse.retention(frame, cell="cell", time="t", siemens="G")).metrics()
    frame.loc[7, "t"] = 5.0
    with pytest.raises(RefusedError, match="time runs back, from 10 to 5 s in reading 8"):
        analyse.retention(frame, cell="cell", time="t", siemens="G")
    ovens = frame.assign(oven=np.where(frame.index % 5 < 2, 300.0, 400.0))
    analyse.retention(ovens, cell="cell", time="t", siemens="G", temperature="oven")


@pytest.mark.parametrize("rate", ["0 Hz", "-5 Hz"])
def test_a_rate_that_is_none_is_refused(rate: str) -> None:
    frame = pd.DataFrame({"G": 1e-4 + 1e-7 * np.random.default_rng(2).standard_normal(600)})
    with pytest.raises(RefusedError, match=r"rate: .*greater than 0"):
        analyse.noise(frame, siemens="G", rate=rate)


def test_positions_of_columns_count_from_one() -> None:
    frame = loop(0.8, -0.6)
    with pytest.raises(RefusedError, match="there is no column 0: their positions count from 1 to 2"):
        analyse.iv(frame, volts="0", amps="current")


@pytest.mark.filterwarnings("error")
def test_one_formed_cell_is_drawn_without_a_warning() -> None:
    found = one(
        analyse.forming(pd.DataFrame({"V": [3.0], "G (uS)": [10.0], "ok": [True]}), volts="V", after="G", success="ok")
    )
    assert found.metrics()["v_form_mean"] == 3.0
    assert found.figures


def test_a_column_without_any_number_is_not_called_unknown(tmp_path: Path) -> None:
    file = tmp_path / "sweep.csv"
    file.write_text("V,I,\n" + "".join(f"{v:.2f},,\n" for v in np.linspace(0.0, 1.0, 20)))
    with pytest.raises(RefusedError, match="current in line 2 is empty, infinite or no number, 20 of 20"):
        analyse.iv(file, volts="V", amps="I")


def test_shift_spread_and_drift_of_resting_cells() -> None:
    rng = np.random.default_rng(4)
    before = rng.uniform(50e-6, 200e-6, 500)
    frame = pd.DataFrame(
        {"R0 (kohm)": 1e-3 / before, "R1 (kohm)": 1e-3 / (before + 4e-6 * rng.standard_normal(500) - 3e-6)}
    )
    found = one(analyse.retention(frame, before="R0", after="R1", time="=1800 s", temperature="=80 °C"))
    assert holds(found, "shift_median", -3e-6)
    assert holds(found, "shift_std", 4e-6)
    assert found.remarks[0].startswith("no drift exponent")
    time = np.array([1.0, 10.0, 100.0, 1e3, 1e4])
    nu = 0.02 + 0.005 * rng.standard_normal(40)
    g = 1e-4 * time ** -nu[:, None] * (1 + 1e-4 * rng.standard_normal((40, 5)))
    long = pd.DataFrame({"cell": np.repeat(np.arange(40), 5), "t": np.tile(time, 40), "G": g.ravel()})
    found = one(analyse.retention(long, cell="cell", time="t", siemens="G"))
    assert holds(found, "retention_drift_nu", 0.02)
    assert found.metrics()["after_2_78h.shift_relative_median"] == pytest.approx(1e4**-0.02 - 1.0, rel=0.1)
    with pytest.raises(RefusedError, match="times count from the reading before"):
        analyse.retention(long.assign(t=long["t"] - 5.0), cell="cell", time="t", siemens="G")


def test_noise_of_a_trace_and_the_slope_of_its_spectrum() -> None:
    rng = np.random.default_rng(5)
    count = 1 << 15
    white = 1e-4 * (1.0 + 0.01 * rng.standard_normal((4, count)))
    frame = pd.DataFrame({"cell": np.repeat(np.arange(4), count), "G": white.ravel()})
    found = one(analyse.noise(frame, cell="cell", siemens="G", rate="400 Hz"))
    assert found.metrics()["noise_rel"] == pytest.approx(0.01, rel=0.02)
    assert np.isnan(found.metrics()["one_over_f_exponent"]), "white noise has none"
    shape = np.fft.rfft(rng.standard_normal((4, count)), axis=1)
    shape[:, 1:] /= np.sqrt(np.arange(1, shape.shape[1]))
    shape[:, 0] = 0.0
    pink = np.fft.irfft(shape, axis=1)
    frame["G"] = (1e-4 * (1.0 + 0.02 * pink / pink.std(axis=1, keepdims=True))).ravel()
    frame["t"] = np.tile(np.arange(count) / 400.0, 4)
    found = one(analyse.noise(frame, cell="cell", siemens="G", time="t"))
    assert found.metrics()["noise_rel"] == pytest.approx(0.02, rel=0.01)
    assert found.metrics()["one_over_f_exponent"] == pytest.approx(1.0, abs=0.05)
    with pytest.raises(RefusedError, match="how many samples per second"):
        analyse.noise(frame, cell="cell", siemens="G")
    with pytest.raises(RefusedError, match="a spectrum needs at least 64"):
        analyse.noise(frame.iloc[:10], siemens="G", rate="400 Hz")
    with pytest.raises(RefusedError, match="needs a steady rate"):
        analyse.noise(frame.iloc[:4000].assign(t=np.cumsum(rng.uniform(0.1, 1.0, 4000))), siemens="G", time="t")


def test_lines_of_a_map_that_stand_out_are_named_and_no_others() -> None:
    rng = np.random.default_rng(6)
    r = 1e3 * np.exp(0.1 * rng.standard_normal((8, 8)))
    r[2] *= 50.0
    r[:, 5] *= 1e3
    row, col = np.indices(r.shape)
    frame = pd.DataFrame({"r": row.ravel(), "c": col.ravel(), "R (ohm)": r.ravel()})
    found = one(analyse.map(frame, row="r", col="c", ohms="R"))
    assert "row 2 (" in found.remarks[0]
    assert "column 5 (" in found.remarks[0]
    assert found.metrics()["lines_apart"] == 2
    assert holds(found, "cell_spread", 0.1)
    alike = one(
        analyse.map(
            frame.assign(**{"R (ohm)": 1e3 * np.exp(0.1 * rng.standard_normal(64))}), row="r", col="c", ohms="R"
        )
    )
    assert alike.metrics()["lines_apart"] == 0
    assert alike.metrics()["open_fraction"] == 0.0
    with pytest.raises(RefusedError, match="stands twice"):
        analyse.map(pd.concat([frame, frame.iloc[:1]]), row="r", col="c", ohms="R")


def test_the_spreads_of_lines_are_covered() -> None:
    hits = np.zeros(3)
    for seed in range(40):
        rng = np.random.default_rng(seed)
        rows, cols = 0.3 * rng.standard_normal((10, 1)), 0.2 * rng.standard_normal((1, 12))
        found = line_effects(rows + cols + 0.1 * rng.standard_normal((10, 12)))
        truth = (0.3, 0.2, 0.1)
        hits += [estimate.low <= value <= estimate.high for estimate, value in zip(found, truth, strict=True)]
    assert hits.min() >= 34, hits


def test_thresholds_of_single_pulses_and_cells_that_never_move() -> None:
    rng = np.random.default_rng(7)
    lines = []
    for cell in range(20):
        for _ in range(5):
            threshold = 1.0 + 0.1 * (cell % 2) + 0.03 * rng.standard_normal()
            g = 1e-4
            for volts in np.arange(0.0, 2.0, 0.05):
                before, g = g, g * (1.15 if volts >= threshold and cell else 1.0) * (1 + 1e-3 * rng.standard_normal())
                lines.append((cell, volts, before, g))
    frame = pd.DataFrame(lines, columns=["cell", "volts", "before", "after"])
    found = one(analyse.pulses(frame))
    metrics = found.metrics()
    assert metrics["pulse_threshold_mean"] == pytest.approx(1.075, abs=0.02), "half a step late on average"
    assert holds(found, "pulse_threshold_c2c_std", 0.033)
    assert metrics["no_pulse_move_fraction"] == pytest.approx(0.05)
    never = one(analyse.pulses(frame[frame["cell"] == 0]))
    assert np.isnan(never.metrics()["pulse_threshold_mean"])
    assert never.remarks[0].startswith("no switching found")


def test_trains_of_equal_pulses_are_fitted_and_others_say_why_not() -> None:
    n = np.arange(1, 51)
    up, down = 1e-5 + 9e-5 * (1 - np.exp(-n / 20.0)) / (1 - np.exp(-2.5)), 1e-4 - 9e-5 * n / 50.0
    cell = np.concatenate([[1e-5], up, down, up, down])
    volts = np.concatenate([[0.0], *([np.full(50, 1.2), np.full(50, -1.2)] * 2)])
    frame = pd.concat([pd.DataFrame({"cell": k, "volts": volts, "conductance": cell}) for k in range(3)])
    found = one(analyse.pulses(frame))
    assert found.metrics()["ltp_nonlinearity"] == pytest.approx(2.5, abs=0.1)
    assert found.metrics()["ltd_nonlinearity"] == pytest.approx(0.0, abs=0.1)
    assert found.metrics()["potentiation_ratio"] == pytest.approx(10.0, rel=0.01)
    one_way = one(analyse.pulses(frame[frame["volts"] >= 0.0]))
    assert one_way.remarks == ["no potentiation and depression to fit: the pulses are of one polarity"]


def test_other_things_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="a int is no data"):
        analyse.iv(7)  # type: ignore[arg-type]
    with pytest.raises(RefusedError, match="does not exist"):
        analyse.iv(tmp_path / "gone.csv", volts="V", amps="I")
    with pytest.raises(RefusedError, match="an iv_sweep has no number 'rate'"):
        analyse.iv(loop(0.8, -0.6), rate="3 Hz")
