"""Data of any bench get the figures of the steps ``read_noise``, ``retention`` and ``multilevel``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from xbarlab import analyse
from xbarlab.analysis.measurements.read_noise import NoiseTraces, noise_metrics
from xbarlab.analysis.own_data.finding import Finding
from xbarlab.analysis.programming.multilevel import LevelReads, level_metrics
from xbarlab.analysis.programming.retention import RetentionReads, retention_metrics
from xbarlab.common.errors import RefusedError

RATE, POINTS, VOLTS = 500.0, 3000, 0.2


def one(found: Finding | list[Finding]) -> Finding:
    assert isinstance(found, Finding)
    return found


def flicker(rng: np.random.Generator) -> np.ndarray:
    f = np.fft.rfftfreq(4 * POINTS)
    f[0] = f[1]
    x = np.fft.irfft((rng.normal(size=f.size) + 1j * rng.normal(size=f.size)) * f**-0.5)[:POINTS]
    return x / x.std()


def sampled(seed: int, cells: int = 4) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return traces of 1/f noise of 1 % on an instrument of σ 60 nA, cell 0 with a telegraph of 10 %; and the floor."""
    rng = np.random.default_rng(seed)
    mean = 1e-5 * np.arange(1, cells + 1)[:, None]
    state = (np.cumsum(rng.random(POINTS) < 0.02) % 2).astype(float)
    current = mean * (1.0 + 0.01 * np.stack([flicker(rng) for _ in range(cells)]))
    current[0] += 0.1 * mean[0] * state
    current += 6e-8 * rng.standard_normal(current.shape)
    floor = 6e-8 * rng.standard_normal((cells, 1000))
    tables = [
        pd.DataFrame({"die": np.repeat(np.arange(cells), one.shape[1]), "I (nA)": one.ravel() * 1e9})
        for one in (current, floor)
    ]
    return tables[0], tables[1]


def test_noise_is_that_of_the_step_its_floor_taken_off(tmp_path: Path) -> None:
    trace, floor = sampled(0)
    names = {"amps": "I (nA)", "cell": "die", "read_volts": "0.2 V", "rate": "500 Hz"}
    found = one(analyse.noise(trace, floor=floor, **names))
    current, nothing = (table["I (nA)"].to_numpy().reshape(4, -1) * 1e-9 for table in (trace, floor))
    expected = noise_metrics(
        NoiseTraces(
            volts=VOLTS, rate=np.full(4, RATE), current=current, floor=nothing, band=(8 * RATE / POINTS, RATE / 4)
        )
    )
    for name, value in expected.items():
        assert found.metrics()[name] == pytest.approx(value.value, rel=1e-6), name
    assert found.metrics()["read_noise_floor_rel"] == pytest.approx(6e-8 / 2.5e-5, rel=0.1)
    assert found.frame["rtn"].tolist() == [True, False, False, False]
    assert found.metrics()["rtn_amplitude_rel"] == pytest.approx(0.1 / 1.05, rel=0.1)
    assert found.metrics()["rtn_stay_low"] == pytest.approx(0.1, rel=0.5)
    assert found.metrics()["rtn_stay_low_ci95_low"] < found.metrics()["rtn_stay_low"]
    assert "BIC is lower by 10" in found.text
    trace.to_csv(tmp_path / "trace.csv", index=False)
    floor.to_csv(tmp_path / "floor.csv", index=False)
    of_files = one(analyse.noise(tmp_path / "trace.csv", floor=tmp_path / "floor.csv", **names))
    assert of_files.metrics() == pytest.approx(found.metrics(), nan_ok=True)


def test_a_floor_may_be_one_for_all_a_column_or_missing() -> None:
    trace, floor = sampled(1)
    names = {"amps": "I (nA)", "cell": "die", "read_volts": "0.2 V", "rate": "500 Hz"}
    apart = one(analyse.noise(trace, floor=floor, **names)).metrics()
    alone = one(analyse.noise(trace, floor=floor[floor["die"] == 2].drop(columns="die"), **names)).metrics()
    assert alone["read_noise_rel"] == pytest.approx(apart["read_noise_rel"], rel=0.05)
    beside = trace.assign(nothing=np.where(trace.groupby("die").cumcount() < 1000, np.nan, np.nan))
    beside.loc[beside.groupby("die").cumcount() < 1000, "nothing"] = floor["I (nA)"].to_numpy()
    column = one(analyse.noise(beside, floor_current="nothing:nA", **names)).metrics()
    assert column == pytest.approx(apart, nan_ok=True)
    without = one(analyse.noise(trace, **names))
    assert "read_noise_rel" not in without.metrics()
    assert without.metrics()["noise_rel"] > apart["read_noise_rel"]
    assert "instrument's floor is in σ" in without.text
    with pytest.raises(RefusedError, match="the floor has no trace of cell 3"):
        analyse.noise(trace, floor=floor[floor["die"] < 3], **names)
    with pytest.raises(RefusedError, match="at how many volts was the current read"):
        analyse.noise(trace, amps="I (nA)", cell="die", rate="500 Hz")
    with pytest.raises(RefusedError, match="a floor is that of noise"):
        analyse.map(pd.DataFrame({"row": [0, 1], "col": [0, 1], "ohms": [1e4, 2e4]}), ohms="ohms", row="row", col="col",
                    floor=floor)  # fmt: skip


def rested(seed: int) -> tuple[pd.DataFrame, RetentionReads]:
    rng = np.random.default_rng(seed)
    time = np.geomspace(1.0, 1e4, 9)
    level = np.repeat(np.arange(3), 8)
    start = 30e-6 + 50e-6 * level + 2e-6 * rng.standard_normal(24)
    nu = 0.01 + 0.004 * rng.standard_normal(24)
    g = start * time[:, None] ** -nu * (1.0 + 2e-3 * rng.standard_normal((9, 24)))
    frame = pd.DataFrame({"cell": np.tile(np.arange(24), 9), "level": np.tile(level, 9), "t (s)": np.repeat(time, 24),
                          "G (uS)": 1e6 * g.ravel()})  # fmt: skip
    levels = np.array([np.median(g[0, level == k]) for k in range(3)])
    edges = np.concatenate([[-np.inf], (levels[1:] + levels[:-1]) / 2, [np.inf]])
    seconds = np.repeat(time[:, None], 24, axis=1)
    return frame, RetentionReads(
        seconds=seconds, conductance=g, level=level, levels=levels, low=edges[level], high=edges[level + 1]
    )


def test_retention_is_that_of_the_step() -> None:
    frame, reads = rested(2)
    found = one(analyse.retention(frame, cell="cell", level="level", time="t", siemens="G", extrapolate_to="1e6 s"))
    for name, value in retention_metrics(reads, 1e6).items():
        assert found.metrics()[name] == pytest.approx(value.value, rel=1e-6), name
        assert found.metrics()[f"{name}_ci95_low"] == pytest.approx(value.low, rel=1e-6), name
    assert "extrapolation to" in found.text
    bare = one(analyse.retention(frame.drop(columns="level"), cell="cell", time="t", siemens="G"))
    assert "retained_fraction" not in bare.metrics(), "nobody said which levels there are"
    assert bare.metrics()["retention_drift_nu"] == pytest.approx(found.metrics()["retention_drift_nu"])
    assert "3 groups of equal size" in bare.text
    fewer = frame[(frame["cell"] != 5) | (frame["t (s)"] < 100.0)]
    assert any("read less often than most" in remark for remark in one(
        analyse.retention(fewer, cell="cell", level="level", time="t", siemens="G")
    ).remarks)  # fmt: skip


def reprogrammed(seed: int, cycles: int = 20) -> tuple[pd.DataFrame, LevelReads]:
    rng = np.random.default_rng(seed)
    levels = np.array([10e-6, 30e-6, 50e-6, 70e-6, 90e-6])
    shape = (10, cycles, 5)
    end = levels + 2e-6 * rng.standard_normal(shape)
    final = end + 5e-6 * rng.standard_normal(shape)
    again = final + 0.5e-6 * rng.standard_normal(shape)
    accepted, pulses = rng.random(shape) > 0.05, rng.integers(1, 30, shape)
    cell, cycle, level = (index.ravel() for index in np.indices(shape))
    frame = pd.DataFrame(
        {"cell": cell, "cycle": cycle, "level": level, "target": levels[level], "conductance": final.ravel(),
         "end": end.ravel(), "again": again.ravel(), "accepted": accepted.ravel(), "pulses": pulses.ravel()}
    )  # fmt: skip
    return frame, LevelReads(
        levels=levels, at_end=end, final=final, again=again, accepted=accepted, pulses=pulses.astype(np.int64)
    )


def test_levels_are_those_of_the_step() -> None:
    frame, reads = reprogrammed(3)
    found = one(analyse.levels(frame.sample(frac=1.0, random_state=1), width="=200 ns", **{c: c for c in frame}))
    for name, value in level_metrics(reads).items():
        assert found.metrics()[name] == pytest.approx(value.value, rel=1e-9), name
    assert found.metrics()["levels_200ns"] == reads.separable.value
    assert 2 <= reads.separable.value < 5
    assert found.metrics()["separable_bits"] == pytest.approx(np.log2(reads.separable.value))
    assert "What limits it" in found.text
    assert len(found.figures) == 3


def test_levels_say_what_data_lack() -> None:
    frame, _ = reprogrammed(4)
    bare = one(analyse.levels(frame, cell="cell", cycle="cycle", level="level", siemens="conductance"))
    assert "separable_levels" in bare.metrics()
    assert "level_settling_sigma" not in bare.metrics()
    assert "which no read at the end of programming tells apart" in bare.text
    assert "the data name no targets" in bare.text
    few = one(analyse.levels(frame[frame["cycle"] < 5]))
    assert "separable_levels" not in few.metrics()
    assert few.metrics()["levels"] == 5
    assert "5 cycles of every cell" in few.remarks[0]
    hole = frame[(frame["cell"] != 2) | (frame["level"] != 1)]
    assert any("left out: 1" in remark for remark in one(analyse.levels(hole)).remarks)
    apart = frame[frame["cell"] % 5 == frame["level"]]
    with pytest.raises(RefusedError, match="no cell was programmed to every one of 5 levels"):
        analyse.levels(apart)
    with pytest.raises(RefusedError, match="in cycle 0 twice"):
        analyse.levels(pd.concat([frame, frame.iloc[:1]]))
