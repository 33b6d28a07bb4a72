"""What can be wrong with somebody's data, for every analysis: one sentence, or a number that is not there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from xbarlab import analyse
from xbarlab.analysis.own_data.finding import Finding
from xbarlab.common.errors import RefusedError

RNG = np.random.default_rng(11)


@dataclass(frozen=True)
class Kind:
    """A table that is analysed as it is, and what of it can go wrong.

    Attributes
    ----------
    measured : column that holds what was measured, whose unit and scatter matter
    time : column of times, where there is one
    up, down : whether numbers a thousand times too large, or too small, are told from cells there are
    """

    analysis: str
    frame: pd.DataFrame
    columns: dict[str, str]
    measured: str
    time: str | None = None
    up: bool = True
    down: bool = True

    def run(self, frame: pd.DataFrame | Path, **more: Any) -> Finding:
        found = getattr(analyse, self.analysis)(frame, **{**self.columns, **more})
        assert isinstance(found, Finding)
        return found


def _loop() -> pd.DataFrame:
    up = np.linspace(0.0, 1.5, 61)
    volts = np.concatenate([up, up[-2::-1], -up[1:], -up[-2::-1]])
    g, current = 1e-5, []
    for v in volts:
        g = 1e-3 if v >= 0.9 else 1e-5 if v <= -0.8 else g
        current.append(v * g)
    return pd.DataFrame({"t": np.arange(volts.size) * 1e-3, "V": volts, "I": current})


def _sweep() -> pd.DataFrame:
    volts = np.tile(np.arange(0.1, 2.0, 0.1), 8)
    before = np.full(volts.size, 1e-4) * (1 + 1e-3 * RNG.standard_normal(volts.size))
    return pd.DataFrame(
        {"cell": np.repeat(np.arange(8), 19), "V": volts, "w": 2e-7, "G0": before, "G1": before * (1 + (volts > 1.0))}
    )


def _cycles() -> pd.DataFrame:
    n = np.tile(np.arange(1, 31), 8)
    off, on = (r * np.exp(0.1 * RNG.standard_normal(n.size)) for r in (1e5, 5e3))
    return pd.DataFrame({"cell": np.repeat(np.arange(8), 30), "n": n, "Roff": off, "Ron": on})


def _rest() -> pd.DataFrame:
    time = np.tile([1.0, 10.0, 100.0, 1e3, 1e4], 10)
    g = 1e-4 * time**-0.01 * (1 + 1e-3 * RNG.standard_normal(time.size))
    return pd.DataFrame({"cell": np.repeat(np.arange(10), 5), "t": time, "G": g})


def _trace() -> pd.DataFrame:
    return pd.DataFrame({"t": np.arange(600) / 400.0, "I": 2e-5 * (1 + 0.01 * RNG.standard_normal(600))})


def _programmed() -> pd.DataFrame:
    low = np.repeat([10e-6, 50e-6, 100e-6], 20)
    return pd.DataFrame(
        {"lo": low, "hi": low + 1e-5, "G": low + 1e-5 * RNG.random(60), "n": RNG.integers(1, 20, 60), "ok": 1}
    )


def _again() -> pd.DataFrame:
    cell, cycle, level = (one.ravel() for one in np.indices((8, 20, 4)))
    g = 20e-6 + 40e-6 * level + 2e-6 * RNG.standard_normal(level.size)
    return pd.DataFrame({"cell": cell, "n": cycle, "level": level, "G": g})


def _forming() -> pd.DataFrame:
    ok = np.arange(30) > 3
    return pd.DataFrame({"V": np.where(ok, 3.0 + 0.1 * RNG.standard_normal(30), 4.0), "G": np.where(ok, 1e-4, 1e-7) *
                         (1 + 0.1 * RNG.random(30)), "ok": ok.astype(int)})  # fmt: skip


def _map() -> pd.DataFrame:
    row, col = (one.ravel() for one in np.indices((8, 8)))
    return pd.DataFrame({"r": row, "c": col, "R": 1e4 * np.exp(0.1 * RNG.standard_normal(64))})


WINDOW = {"low": "lo", "high": "hi", "after": "G", "success": "ok"}
KINDS: dict[str, Kind] = {
    # Of a current alone nobody can say that it is too small; of a map or a trace not that cells conduct too little.
    "iv": Kind("iv", _loop(), {"volts": "V", "amps": "I", "time": "t"}, "I", "t", down=False),
    "pulses": Kind(
        "pulses", _sweep(), {"cell": "cell", "volts": "V", "width": "w", "before": "G0", "after": "G1"}, "G1"
    ),
    "endurance": Kind(
        "endurance", _cycles(), {"cell": "cell", "cycle": "n", "hrs": "Roff:ohm", "lrs": "Ron:ohm"}, "Ron"
    ),
    "retention": Kind("retention", _rest(), {"cell": "cell", "time": "t", "siemens": "G"}, "G", "t"),
    "noise": Kind("noise", _trace(), {"amps": "I", "time": "t", "read_volts": "0.2 V"}, "I", "t", down=False),
    "levels": Kind("levels", _again(), {"cell": "cell", "cycle": "n", "level": "level", "siemens": "G"}, "G"),
    "windows": Kind("levels", _programmed(), WINDOW, "G"),
    "verify": Kind("verify", _programmed(), {**WINDOW, "pulses": "n"}, "G"),
    "forming": Kind("forming", _forming(), {"volts": "V", "after": "G", "success": "ok"}, "G"),
    "map": Kind("map", _map(), {"row": "r", "col": "c", "ohms": "R"}, "R", down=False),
}
EVERY = pytest.mark.parametrize("name", list(KINDS))


def refused(call: Callable[[], object], match: str = ".") -> str:
    """Return the one sentence that a call is refused with."""
    with pytest.raises(RefusedError, match=match) as caught:
        call()
    said = str(caught.value)
    assert caught.value.exit_code == 2
    assert "\n" not in said
    return said


def columns_of(kind: Kind) -> list[str]:
    return [text.partition(":")[0] for text in kind.columns.values() if text.partition(":")[0] in kind.frame.columns]


@EVERY
def test_the_table_itself_is_analysed(name: str) -> None:
    assert KINDS[name].run(KINDS[name].frame).metrics()


@EVERY
def test_a_column_that_is_not_there_is_named_with_those_that_are(name: str) -> None:
    kind = KINDS[name]
    for column in columns_of(kind):
        said = refused(lambda c=column: kind.run(kind.frame.drop(columns=c)), "unknown column")
        assert repr(column) in said
        assert next(one for one in kind.frame.columns if one != column) in said


@EVERY
@pytest.mark.parametrize("factor", [1e3, 1e-3])
def test_numbers_off_by_a_thousand_are_refused(name: str, factor: float) -> None:
    kind = KINDS[name]
    resistance = kind.measured.startswith("R")
    seen = kind.down if (factor < 1.0) != resistance else kind.up
    frame = kind.frame.assign(**{kind.measured: kind.frame[kind.measured] * factor})
    for other in {"pulses": "G0", "endurance": "Roff"}.get(name, "").split():  # both readings are in one unit
        frame[other] = frame[other] * factor
    if seen:
        said = refused(lambda: kind.run(frame), "is expected|outside of their windows")
        assert "µ" in said or " A" in said or "windows" in said
    else:
        assert kind.run(frame).metrics()
    if "V" in kind.frame:
        refused(lambda: kind.run(kind.frame.assign(V=kind.frame["V"] * factor)), r"volts of .* is expected")


@EVERY
def test_who_has_such_cells_says_so_and_goes_on(name: str) -> None:
    kind = KINDS[name]
    if kind.measured.startswith("I") or name in ("windows", "verify"):
        pytest.skip("currents have one range, and windows stand beside what was read")
    factor = 1e3 if kind.measured.startswith("R") else 1e-3
    frame = kind.frame.assign(**{c: kind.frame[c] * factor for c in kind.frame if c[0] in "GR"})
    assert kind.run(frame, plausible={"conductance": ("1 pS", "1 S")}).metrics()


@EVERY
def test_a_constant_column_is_refused(name: str) -> None:
    kind = KINDS[name]
    frame = kind.frame.assign(**{kind.measured: float(kind.frame[kind.measured].iloc[40 % len(kind.frame)])})
    refused(lambda: kind.run(frame), "is constant|every one of .* readings of|two levels have the same")


@EVERY
@pytest.mark.parametrize("bad", [np.nan, np.inf, "n/a", "1,5"])
def test_empty_infinite_and_text_is_refused_or_left_out_and_counted(name: str, bad: object) -> None:
    kind = KINDS[name]
    values = kind.frame[kind.measured].astype(object)
    values.iloc[3] = bad
    frame = kind.frame.assign(**{kind.measured: values})
    if bad == np.inf and kind.measured.startswith("R"):
        assert kind.run(frame).metrics(), "a resistance beyond what a meter measures is a conductance of 0"
        return
    refused(lambda: kind.run(frame), "is empty, infinite or no number, 1 of")
    kept = kind.run(frame, missing="drop").metrics()
    assert kept
    assert not any(np.isinf(value) for value in kept.values())
    nothing = kind.frame.assign(**{kind.measured: bad})
    refused(lambda: kind.run(nothing), "is empty, infinite or no number|and no number in any line")
    refused(lambda: kind.run(nothing, missing="drop"), "no line has a number in every column|only HRS was read")


@EVERY
def test_time_that_runs_back_is_refused(name: str) -> None:
    kind = KINDS[name]
    if kind.time is None:
        assert "time" not in kind.columns
        return
    time = kind.frame[kind.time].to_numpy().copy()
    time[[2, 3]] = time[[3, 2]]
    refused(lambda: kind.run(kind.frame.assign(**{kind.time: time})), "time runs back, from .* to")


@EVERY
def test_no_line_no_file_and_an_empty_file(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    refused(lambda: kind.run(kind.frame.iloc[:0]), "has no line")
    empty, header = tmp_path / "empty.csv", tmp_path / "header.csv"
    empty.touch()
    kind.frame.iloc[:0].to_csv(header, index=False)
    refused(lambda: kind.run(empty), "is empty")
    refused(lambda: kind.run(header), "holds no line of numbers")
    refused(lambda: kind.run(tmp_path / "gone.csv"), "does not exist")


@EVERY
def test_one_line_has_no_interval(name: str) -> None:
    kind = KINDS[name]
    line = kind.frame.iloc[[20]]
    if name in ("iv", "noise", "levels"):
        refused(lambda: kind.run(line))
        return
    found = kind.run(line)
    for key, value in found.metrics().items():
        share = "fraction" in key  # of one cell a share has an interval, nearly all of 0 to 1
        assert share or not key.endswith(("_low", "_high")) or np.isnan(value), key
    assert found.section().text


@EVERY
def test_a_name_that_two_columns_have_is_refused(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    twice = pd.concat([kind.frame, kind.frame[[kind.measured]]], axis=1)
    refused(lambda: kind.run(twice), f"column '{kind.measured}' stands several times: give its position, one of")
    file = tmp_path / "twice.csv"
    twice.to_csv(file, index=False)
    refused(lambda: kind.run(file), f"column '{kind.measured}' stands several times")
    one = list(kind.frame.columns).index(kind.measured) + 1
    key = next(key for key, text in kind.columns.items() if text.partition(":")[0] == kind.measured)
    unit = ":ohm" if kind.measured.startswith("R") else ""
    assert kind.run(twice, **{key: f"{one}{unit}"}).metrics() == pytest.approx(
        kind.run(kind.frame).metrics(), nan_ok=True
    )


def test_one_state_in_another_unit_is_noticed() -> None:
    kind = KINDS["endurance"]
    found = kind.run(kind.frame.assign(Ron=kind.frame["Ron"] * 1e3))
    assert any("are HRS and LRS the right way round" in remark for remark in found.remarks)


def test_one_column_for_two_quantities_is_refused() -> None:
    kind = KINDS["pulses"]
    refused(lambda: kind.run(kind.frame, after="G0"), "before and after are both column 'G0'")


@pytest.mark.parametrize("name", ["iv", "pulses", "endurance", "forming", "retention", "noise", "levels"])
def test_cells_that_do_nothing_give_no_number_for_it(name: str) -> None:
    kind, rng = KINDS[name], np.random.default_rng(3)
    frame = kind.frame
    if name == "iv":
        found = kind.run(frame.assign(I=frame["V"] * 1e-4))
        gone, remark = ["v_set_mean", "v_reset_mean"], "no switching found"
    elif name == "pulses":
        found = kind.run(frame.assign(G1=frame["G0"] * (1 + 1e-3 * rng.standard_normal(len(frame)))))
        gone, remark = ["pulse_threshold_mean"], "no switching found"
    elif name == "endurance":
        found = kind.run(frame)
        gone, remark = ["endurance_first_failure"], "no failure found"
    elif name == "forming":
        found = kind.run(frame.assign(ok=0))
        gone, remark = ["v_form_mean", "r_formed_median"], "no cell formed"
    elif name == "retention":
        found = kind.run(frame[frame["t"] < 1e3])
        gone, remark = ["retention_drift_nu"], "no drift exponent"
        assert "retention_drift_nu" not in found.metrics()
        assert any(one.startswith(remark) for one in found.remarks)
        return
    elif name == "noise":
        found = kind.run(frame)
        gone, remark = ["rtn_amplitude_rel", "rtn_stay_low", "one_over_f_exponent"], "no telegraph noise found"
    else:
        found = kind.run(frame[frame["n"] < 3])
        assert "separable_levels" not in found.metrics()
        assert any("how many levels are separable is not told" in one for one in found.remarks)
        return
    for key in gone:
        assert np.isnan(found.metrics()[key]), key
    assert any(one.startswith(remark) for one in found.remarks), found.remarks
