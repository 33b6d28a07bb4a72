"""Measured data: what a description says becomes a table in SI units; what does not fit is one sentence."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from xbarlab.analysis.measured_data.measured import Measured, read_measured
from xbarlab.analysis.measured_data.stop_rule import stop_beyond
from xbarlab.common.errors import RefusedError

DOCS = Path(__file__).resolve().parents[3] / "docs"
PULSE_SWEEP = {"kind": "pulse_sweep", "polarity": "set", "swept": "volts"}
SWEEP_COLUMNS = {
    "cell": "chip_cell",
    "volts": {"column": "U", "unit": "mV"},
    "gate": {"value": "1.2 V"},
    "width": {"value": "200 ns"},
    "before": {"column": "R0", "unit": "kohm"},
    "after": {"column": "R1", "unit": "kohm"},
}
CELLS, POINTS, REPEATS = 9, 6, 2
Describe = Callable[..., Path]


@pytest.fixture
def describe(tmp_path: Path) -> Describe:
    """Return what writes a description of one measurement, with changes, and gives its path."""

    def write(protocol: Any, columns: Any, **changes: Any) -> Path:
        entry = {"id": "one", "files": "data.csv", "columns": columns, "protocol": protocol, **changes}
        content = {
            "format": "xbarlab-data/1", "title": "Made up", "source": "a test", "licence": "none",
            "structure": "1T1R", "data": [{key: value for key, value in entry.items() if value is not None}],
        }  # fmt: skip
        path = tmp_path / "mine.data.yaml"
        YAML().dump(content, path)
        return path

    return write


def sweeps() -> pd.DataFrame:
    """Return SET sweeps of cells in the units of a stranger: mV and kΩ."""
    cell, _, step = (grid.ravel() for grid in np.indices((CELLS, REPEATS, POINTS)))
    g = 20e-6 + 10e-6 * step + 1e-6 * cell
    return pd.DataFrame({"chip_cell": cell + 40, "U": 100.0 * step + 500, "R0": 1e-3 / g, "R1": 1e-3 / (g + 5e-6)})


def write(folder: Path, frame: pd.DataFrame, name: str = "data.csv", **how: Any) -> None:
    frame.to_csv(folder / name, index=False, **how)


def one(path: Path, **how: Any) -> Measured:
    (measured,) = read_measured(path, **how)
    return measured


# -- layouts -----------------------------------------------------------------------------------------------------------


def test_a_long_table_becomes_si_units_and_its_order_becomes_sweeps(tmp_path: Path, describe: Describe) -> None:
    write(tmp_path, sweeps())
    measured = one(describe(PULSE_SWEEP, SWEEP_COLUMNS))
    table = measured.table
    assert list(table) == ["cell", "repeat", "step", "volts", "gate", "width", "before", "after"]
    assert (measured.kind, measured.cells, len(table)) == ("pulse_sweep", CELLS, CELLS * REPEATS * POINTS)
    assert table["repeat"].tolist()[: 2 * POINTS] == [0] * POINTS + [1] * POINTS
    assert table["step"].tolist()[: 2 * POINTS] == [*range(POINTS)] * 2
    first = table.iloc[0]
    assert (first["volts"], first["gate"], first["width"]) == (0.5, 1.2, 200e-9)
    np.testing.assert_allclose([first["before"], first["after"]], [20e-6, 25e-6])


def test_a_reset_is_negative_whichever_sign_the_file_has(tmp_path: Path, describe: Describe) -> None:
    protocol = {**PULSE_SWEEP, "polarity": "reset"}
    for sign in (1.0, -1.0):
        frame = sweeps()
        write(tmp_path, frame.assign(U=sign * frame["U"]))
        volts = one(describe(protocol, SWEEP_COLUMNS)).table["volts"]
        assert volts.tolist()[:3] == [-0.5, -0.6, -0.7]


def test_positions_decimal_commas_and_lines_to_skip(tmp_path: Path, describe: Describe) -> None:
    write(tmp_path, sweeps())
    by_name = one(describe(PULSE_SWEEP, SWEEP_COLUMNS)).table
    text = sweeps().to_csv(sep=";", decimal=",", index=False, header=False)
    (tmp_path / "data.csv").write_text(f"Messung 7\nnoch eine Zeile\n{text}", encoding="utf-8")
    columns = {
        **SWEEP_COLUMNS,
        "cell": 1,
        **{
            name: {**SWEEP_COLUMNS[name], "column": at}  # type: ignore[dict-item]
            for name, at in (("volts", 2), ("before", 3), ("after", 4))
        },
    }
    changes = {"header": False, "skip": 2, "decimal": ","}
    pd.testing.assert_frame_equal(one(describe(PULSE_SWEEP, columns, **changes)).table, by_name)


@pytest.mark.parametrize("suffix", [".tsv", ".csv.gz", ".parquet"])
def test_the_same_numbers_from_every_kind_of_file(tmp_path: Path, describe: Describe, suffix: str) -> None:
    write(tmp_path, sweeps())
    expected = one(describe(PULSE_SWEEP, SWEEP_COLUMNS)).table
    name, frame = f"data2{suffix}", sweeps()
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
        frame.to_parquet(tmp_path / name)
    elif suffix == ".tsv":
        write(tmp_path, frame, name, sep="\t")
    else:
        (tmp_path / name).write_bytes(gzip.compress(frame.to_csv(index=False).encode()))
    pd.testing.assert_frame_equal(one(describe(PULSE_SWEEP, SWEEP_COLUMNS, files=name)).table, expected)


def test_a_wide_table_of_alternate_states(tmp_path: Path, describe: Describe) -> None:
    cell, at = np.indices((CELLS, 8))
    ohms = np.where(at % 2, 5e3, 2e5) + cell + 10 * at
    frame = pd.DataFrame(np.column_stack([np.arange(CELLS) + 7, ohms]))
    write(tmp_path, frame, header=False)
    pulse = {"volts": "2 V", "gate": "unknown", "width": "100 ns"}
    protocol = {"kind": "cycling", "reset": pulse, "set": pulse}
    wide = {"over": "states", "first": 2, "unit": "ohm"}
    measured = one(describe(protocol, {"cell": 1}, layout="wide", header=False, wide=wide))
    last = measured.table.iloc[-1]
    assert (last["cell"], last["cycle"], last["state"]) == (7 + CELLS - 1, 3, "LRS")
    np.testing.assert_allclose(last["conductance"], 1.0 / ohms[-1, -1])
    assert (measured.table.groupby("state")["conductance"].median() < [1e-5, 1e-3]).all()
    assert measured.protocol.unknown() == ["read_volts", "start.cycles", "reset.gate", "set.gate"]


def test_two_files_whose_lines_belong_together(tmp_path: Path, describe: Describe) -> None:
    ohms = np.arange(CELLS) * 1e3 + 5e3
    write(tmp_path, pd.DataFrame({"R": ohms}))
    write(tmp_path, pd.DataFrame({"R": 1.1 * ohms}), "after.csv")
    columns = {
        "before": {"column": "R", "unit": "ohm"},
        "time": {"value": "600 s"},
        "temperature": {"value": "80 °C"},
    }
    beside = [{"files": "after.csv", "columns": {"after": {"column": "R", "unit": "ohm"}}}]
    path = describe({"kind": "bake"}, columns, beside=beside)
    table = one(path).table
    np.testing.assert_allclose(table["before"] / table["after"], 1.1)
    assert (table["time"].iloc[0], table["temperature"].iloc[0]) == (600.0, 353.15)
    write(tmp_path, pd.DataFrame({"R": ohms[1:]}), "after.csv")
    with pytest.raises(RefusedError, match=r"after.csv has 8 lines, data.csv 9"):
        read_measured(path)


def test_a_bake_in_one_line_per_reading_pairs_a_cell_with_its_own_start(tmp_path: Path, describe: Describe) -> None:
    cell, time, warm = (grid.ravel() for grid in np.indices((CELLS, 2, 2)))
    g = 1e-6 * (cell + 10 + 100 * warm + 50 * time)
    frame = pd.DataFrame({"cell": cell, "t": 3600.0 * time, "G": g * 1e6, "T": 100 + 50 * warm})
    write(tmp_path, frame.sample(frac=1.0, random_state=1))
    columns = {
        "cell": "cell",
        "time": {"column": "t", "unit": "s"},
        "conductance": {"column": "G", "unit": "µS"},
        "temperature": {"column": "T", "unit": "°C"},
    }
    table = one(describe({"kind": "bake"}, columns)).table
    assert len(table) == 2 * CELLS
    np.testing.assert_allclose(table["after"] - table["before"], 50e-6)
    assert set(table["temperature"]) == {373.15, 423.15}


def test_windows_written_as_resistances_and_levels_by_conductance(tmp_path: Path, describe: Describe) -> None:
    windows = [(0.0, 5e3), (8e3, 9e3), (8e4, 1e10)]
    lines = [(cell, *windows[cell % 3], 2, 1, ohms) for cell, ohms in enumerate([4e3, 8.5e3, 1e5] * 4)]
    write(tmp_path, pd.DataFrame(lines, columns=["c", "lo", "hi", "s", "r", "R"]))
    columns = {
        "cell": "c", "sets": "s", "resets": "r", "after": {"column": "R", "unit": "ohm"},
        "low": {"column": "lo", "unit": "ohm"}, "high": {"column": "hi", "unit": "ohm"},
    }  # fmt: skip
    algorithm = {
        "method": "ispp", "gate": {"start": "1.9 V", "step": "0.1 V", "below": "2.45 V"}, "set_volts": "2 V",
        "set_width": "200 ns", "reset": {"volts": "unknown", "gate": "4 V", "width": "200 ns"},
    }  # fmt: skip
    measured = one(describe({"kind": "write_verify", "algorithm": algorithm}, columns))
    table = measured.table
    assert table["level"].tolist()[:3] == [0, 1, 2]
    assert table["success"].all()
    assert np.isinf(table["high"].iloc[0])
    np.testing.assert_allclose(table[["low", "high"]].iloc[1], [1 / 9e3, 1 / 8e3])
    assert measured.protocol.algorithm.gate.values() == [1.9, 2.0, 2.1, 2.2, 2.3, 2.4]  # type: ignore[union-attr]
    assert "algorithm.reset.volts" in measured.protocol.unknown()


# -- the stop rule -----------------------------------------------------------------------------------------------------


def test_the_stop_rule_is_found_from_sweeps_that_ended(tmp_path: Path, describe: Describe) -> None:
    rng = np.random.default_rng(3)
    rows = []
    for cell in range(40):
        g = 20e-6
        for step in range(30):
            g *= 1.0 + rng.uniform(0.0, 0.25)
            rows.append((cell, 100.0 * step, 1e-3 / (20e-6 + 1e-7 * cell), 1e-3 / g))
            if g > 200e-6:
                break
    write(tmp_path, pd.DataFrame(rows, columns=["chip_cell", "U", "R0", "R1"]))
    measured = one(describe(PULSE_SWEEP, SWEEP_COLUMNS))
    assert "stop_beyond" in measured.protocol.unknown()
    found = stop_beyond(measured.table, measured.protocol)  # type: ignore[arg-type]
    assert found == pytest.approx(200e-6, rel=0.03)
    few = measured.table[measured.table["cell"] < 4]
    assert stop_beyond(few, measured.protocol) is None  # type: ignore[arg-type]


# -- bad input ---------------------------------------------------------------------------------------------------------

R0 = SWEEP_COLUMNS["before"]
BAD: list[tuple[str, Any, Any, dict[str, Any], str]] = [
    ("no protocol", None, SWEEP_COLUMNS, {}, r"'one' names no protocol.*pulse_sweep, forming, cycling"),
    ("another kind", {"kind": "pulse_sweeps"}, SWEEP_COLUMNS, {},
     r"unknown kind 'pulse_sweeps'.*did you mean 'pulse_sweep'"),
    ("no kind", {"polarity": "set"}, SWEEP_COLUMNS, {}, r"data.0.protocol.kind is missing: choose from bake, cycling"),
    ("mistyped key", {**PULSE_SWEEP, "swep": 1}, SWEEP_COLUMNS, {}, r"data.0.protocol: unknown key 'swep'.*'swept'"),
    ("no such file", PULSE_SWEEP, SWEEP_COLUMNS, {"files": "dta.csv"}, r"no file 'dta.csv' in .*data.csv"),
    ("no such column", PULSE_SWEEP, {**SWEEP_COLUMNS, "before": {"column": "R2", "unit": "kohm"}}, {},
     r"unknown column 'R2': choose from R0, R1, U, chip_cell"),
    ("unknown unit", PULSE_SWEEP, {**SWEEP_COLUMNS, "before": {**R0, "unit": "kOhms/sq"}}, {},
     r"unknown unit 'kOhms/sq': choose from S, mS, uS, nS, ohm, kohm, Mohm"),
    ("no unit", PULSE_SWEEP, {**SWEEP_COLUMNS, "volts": "U"}, {}, r"its unit is missing: say unit: V"),
    ("no such quantity", PULSE_SWEEP, {**SWEEP_COLUMNS, "current": "U"}, {}, r"a pulse_sweep has no 'current'"),
    ("a quantity is missing", PULSE_SWEEP, {k: v for k, v in SWEEP_COLUMNS.items() if k != "width"}, {},
     r"width \[s\] of a pulse_sweep is missing"),
    ("no cell", PULSE_SWEEP, {k: v for k, v in SWEEP_COLUMNS.items() if k != "cell"}, {}, r"which cell is it"),
    ("ohm and not kohm", PULSE_SWEEP,
     {**SWEEP_COLUMNS, "before": {**R0, "unit": "ohm"}, "after": {"column": "R1", "unit": "ohm"}}, {},
     r"before of .* is the column in kohm and not in ohm\?"),
    ("V and not mV", PULSE_SWEEP, {**SWEEP_COLUMNS, "volts": {"column": "U", "unit": "V"}}, {},
     r"volts of 1e\+03 V at the largest, where 0.05 V to 20 V is expected: is the column in mV and not in V\?"),
    ("positions of nothing", PULSE_SWEEP, {**SWEEP_COLUMNS, "cell": 0}, {},
     r"columns.cell.*greater than or equal to 1"),
    ("names without a header", PULSE_SWEEP, SWEEP_COLUMNS, {"skip": 3, "header": False},
     r"has no header, so there is no column 'chip_cell': give its position, 1 to 4"),
]  # fmt: skip


@pytest.mark.parametrize(("protocol", "columns", "changes", "said"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_what_does_not_fit_is_one_sentence(
    tmp_path: Path, describe: Describe, protocol: Any, columns: Any, changes: dict[str, Any], said: str
) -> None:
    write(tmp_path, sweeps())
    with pytest.raises(RefusedError, match=said) as caught:
        read_measured(describe(protocol, columns, **changes))
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def _few(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["chip_cell"] < 43]


def _constant(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(R1=6.0)


def _hole(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(R1=frame["R1"].astype(object).mask(frame.index == 4, "OVER"))


def _mixed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(U=frame["U"].mask(frame.index == 4, -700.0))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_few, r"3 cells: a distribution over cells needs at least 8"),
        (_constant, r"after is constant: every one of 108 lines has 167 µS"),
        (_hole, r"after in line 6 is empty, infinite or no number, 1 of 108 in all.*missing: drop"),
        (_mixed, r"volts of both signs in a sweep of SET pulses"),
    ],
)
def test_numbers_that_cannot_be_meant_are_refused(
    tmp_path: Path, describe: Describe, spoil: Callable[[pd.DataFrame], pd.DataFrame], said: str
) -> None:
    write(tmp_path, spoil(sweeps()))
    with pytest.raises(RefusedError, match=said):
        read_measured(describe(PULSE_SWEEP, SWEEP_COLUMNS))


def test_lines_without_a_number_are_dropped_when_that_is_said(tmp_path: Path, describe: Describe) -> None:
    write(tmp_path, _hole(sweeps()))
    measured = one(describe(PULSE_SWEEP, SWEEP_COLUMNS, missing="drop"))
    assert (measured.dropped, len(measured.table)) == (1, CELLS * REPEATS * POINTS - 1)


def test_cells_of_another_kind_are_read_when_the_description_says_so(tmp_path: Path, describe: Describe) -> None:
    frame = sweeps()
    write(tmp_path, frame.assign(R0=frame["R0"] * 1e4, R1=frame["R1"] * 1e4))
    with pytest.raises(RefusedError, match=r"widen plausible.conductance"):
        read_measured(describe(PULSE_SWEEP, SWEEP_COLUMNS))
    measured = one(describe(PULSE_SWEEP, SWEEP_COLUMNS, plausible={"conductance": ["1 nS", "100 nS"]}))
    assert measured.table["after"].max() < 1e-8


def test_a_source_of_nothing_is_refused(tmp_path: Path, describe: Describe) -> None:
    write(tmp_path, sweeps())
    with pytest.raises(RefusedError, match=r"sources names 'stop', and there is no 'stop' in it"):
        read_measured(describe({**PULSE_SWEEP, "sources": {"stop": "a deck"}}, SWEEP_COLUMNS))


def test_a_damaged_file_is_one_sentence(tmp_path: Path, describe: Describe) -> None:
    (tmp_path / "data.csv.gz").write_bytes(gzip.compress(sweeps().to_csv().encode())[:-20])
    with pytest.raises(RefusedError, match=r"data.csv.gz cannot be unpacked"):
        read_measured(describe(PULSE_SWEEP, SWEEP_COLUMNS, files="data.csv.gz"))


def test_a_format_of_tomorrow_and_none(tmp_path: Path, describe: Describe) -> None:
    path = describe(PULSE_SWEEP, SWEEP_COLUMNS)
    text = path.read_text("utf-8")
    path.write_text(text.replace("xbarlab-data/1", "xbarlab-data/2"), encoding="utf-8")
    with pytest.raises(RefusedError, match=r"has format 'xbarlab-data/2': begin it with format: xbarlab-data/1"):
        read_measured(path)
    path.write_text(text.replace("format: xbarlab-data/1\n", ""), encoding="utf-8")
    with pytest.raises(RefusedError, match=r"does not say its format: begin it with"):
        read_measured(path)


# -- the page ----------------------------------------------------------------------------------------------------------


def test_the_example_of_the_page_works_as_it_stands_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (DOCS / "measured-data.md").read_text("utf-8")
    shown = {
        name: text
        for kind in ("text", "yaml", "python")
        for name, text in re.findall(rf"```{kind}\n# (\S+)\n(.*?)```", page, re.DOTALL)
    }
    rows = [f"{cell};{u};{50 - cell:.1f};{40 - u / 50 - cell:.1f}" for cell in range(1, 10) for u in (500, 600, 700)]
    head = "\n".join(shown["sweep_chip7.csv"].splitlines()[:3])
    body = "\n".join(rows).replace(".", ",")
    (tmp_path / "sweep_chip7.csv").write_text(f"{head}\n{body}\n", encoding="utf-8")
    (tmp_path / "chip7.data.yaml").write_text(shown["chip7.data.yaml"], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    exec(compile(shown["read_chip7.py"], "read_chip7.py", "exec"), {})
    out = capsys.readouterr().out
    assert out.startswith("pulse_sweep 9\n")
    unknown = ["read_volts", "start.cycles", "preparation.0.gate", "preparation.0.width"]
    assert str(unknown) in out
    (tmp_path / "chip7.data.yaml").write_text(shown["chip7.data.yaml"].replace("kohm}", "ohm}"), encoding="utf-8")
    with pytest.raises(RefusedError, match=r"before of .* expected: is the column in kohm and not in ohm\?"):
        read_measured("chip7.data.yaml")
