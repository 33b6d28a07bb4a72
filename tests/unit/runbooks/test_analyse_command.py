"""``xbarlab analyse``: files of every kind it reads, what it writes, and bad input in one sentence."""

from __future__ import annotations

import gzip
import json
import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from xbarlab.analysis.measured_data.array_files import read_array_file
from xbarlab.cli import main
from xbarlab.common.errors import RefusedError

TWO = "volts,amps\n0,0\n0.5,1e-6\n"
COLUMNS = ("--volts", "volts", "--amps", "amps")


@pytest.fixture
def table() -> pd.DataFrame:
    up = np.linspace(0.0, 1.0, 51)
    volts = np.concatenate([up, up[-2::-1], -up[1:], -up[-2::-1]])
    on = np.concatenate([up >= 0.6, np.ones(50, bool), up[1:] < 0.5, np.zeros(50, bool)])
    return pd.DataFrame({"volts": volts, "amps": volts * np.where(on, 1e-3, 1e-5)})


def write(table: pd.DataFrame, path: Path) -> None:
    if path.name.endswith(".csv"):
        table.to_csv(path, index=False)
    elif path.name.endswith(".tsv.gz"):
        path.write_bytes(gzip.compress(table.to_csv(index=False, sep="\t").encode()))
    elif path.name.endswith(".parquet"):
        table.to_parquet(path)
    elif path.name.endswith(".nc"):
        table.rename_axis("point").to_xarray().to_netcdf(path, engine="h5netcdf")
    elif path.name.endswith(".h5"):
        import h5py

        with h5py.File(path, "w") as file:
            for name in table.columns:
                file[f"sweep/{name}"] = table[name].to_numpy()
            file["comment"] = "no table"
    else:
        from qcodes.dataset import Measurement, initialised_database_at, load_or_create_experiment

        with initialised_database_at(path):
            meas = Measurement(load_or_create_experiment("other", "bench"), name="loop")
            meas.register_custom_parameter("point", paramtype="numeric")
            for name in table.columns:
                meas.register_custom_parameter(name, setpoints=("point",))
            with meas.run() as saver:
                for k, line in enumerate(table.itertuples()):
                    saver.add_result(("point", k), ("volts", line.volts), ("amps", line.amps))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.csv", "a.tsv.gz", "a.parquet", "a.nc", "a.h5", "a.db"])
def test_every_kind_of_file_gives_the_same_numbers(
    table: pd.DataFrame, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(table, tmp_path / name)
    capsys.readouterr()  # what QCoDeS says of its run
    out = tmp_path / "out"
    assert main(["analyse", "iv", str(tmp_path / name), *COLUMNS, "--json", "--out", str(out)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["v_set_mean"] == pytest.approx(0.6, abs=0.021)
    assert printed["v_reset_mean"] == pytest.approx(-0.5, abs=0.021)
    assert printed["v_set_mean_ci95_low"] is None
    assert json.loads((out / "summary.json").read_text("utf-8")) == printed
    assert len(list((out / "figures").glob("a_*.png"))) == 3
    assert "V_SET" in (out / "report.html").read_text("utf-8")
    assert len(pd.read_csv(out / "tables" / "a.csv")) == 1


def test_a_file_of_several_tables_is_asked_which(table: pd.DataFrame, tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "two.h5", "w") as file:
        for group in ("first", "second"):
            file[f"{group}/volts"], file[f"{group}/amps"] = table["volts"], table["amps"]
    with pytest.raises(RefusedError, match="several tables: say which, with dataset: first, second"):
        read_array_file(tmp_path / "two.h5", None)
    assert len(read_array_file(tmp_path / "two.h5", "second")) == len(table)
    with pytest.raises(RefusedError, match="unknown dataset 'third'"):
        read_array_file(tmp_path / "two.h5", "third")
    (tmp_path / "no.h5").write_text("volts,amps", encoding="utf-8")
    with pytest.raises(RefusedError, match="not readable as HDF5"):
        read_array_file(tmp_path / "no.h5", None)
    (tmp_path / "no.nc").write_text("volts,amps", encoding="utf-8")
    with pytest.raises(RefusedError, match="not readable as netCDF"):
        read_array_file(tmp_path / "no.nc", None)
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE runs (x)").close()
    with pytest.raises(RefusedError, match="not readable as a QCoDeS database"):
        read_array_file(tmp_path / "other.db", None)


@pytest.mark.parametrize(
    ("content", "arguments", "said"),
    [
        (TWO, ["--volts", "U", "--amps", "amps"], "unknown column 'U': choose from amps, volts"),
        (TWO, ["--volts", "volts:mA", "--amps", "amps"], "unknown unit 'mA': choose from V, mV"),
        ("volts,amps\n0,1e-3\n0.5,1e-3\n1,1e-3\n", COLUMNS, "current is constant"),
        ("volts,amps\n0,1\n0.5,\n1,2\n", COLUMNS, "current in line 3 is empty"),
        ("", COLUMNS, "a.csv is empty"),
        ("volts,amps\n", COLUMNS, "holds no line of numbers"),
        ("PK\x03\x04", COLUMNS, "an Excel sheet: save it as CSV"),
        ("t,volts,amps\n0,0,0\n2,1,1\n1,2,2\n", ["--time", "t", *COLUMNS], "time runs back, from 2 to 1 s"),
        (TWO, [*COLUMNS, "--rate", "3Hz"], "has no number 'rate'"),
        (TWO, ["--column", "volts"], "write NAME=COL"),
        (TWO, ["--description", "hfo2_1t1r"], "none of its measurements is an iv_sweep"),
        (TWO, ["--description", "sdc"], "a.csv is none of its files"),
        (TWO, ["--description", "sdc", *COLUMNS], "says where the columns are"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(
    content: str, arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.csv").write_text(content, encoding="utf-8")
    assert main(["analyse", "iv", str(tmp_path / "a.csv"), *arguments, "--out", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert len(printed.err.splitlines()) == 1
    assert not printed.out
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_there_is_not_written_into(table: pd.DataFrame, tmp_path: Path) -> None:
    write(table, tmp_path / "a.csv")
    assert main(["analyse", "iv", str(tmp_path / "a.csv"), *COLUMNS, "--out", str(tmp_path)]) == 2
    assert main(["analyse", "iv", str(tmp_path), "--out", str(tmp_path / "out")]) == 2


def test_several_files_are_several_cells_and_lines_may_be_dropped(
    table: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "abcdefgh":
        write(table, tmp_path / f"{name}.csv")
    holed = table.copy()
    holed.loc[70, "amps"] = np.nan
    write(holed, tmp_path / "a.csv")
    files = [str(tmp_path / f"{name}.csv") for name in "abcdefgh"]
    assert main(["analyse", "iv", *files, *COLUMNS, "--missing", "drop", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert printed.err == "a: 1 lines without a number were left out\n"
    assert "r_on_median" in printed.out
    assert len(pd.read_csv(tmp_path / "out" / "tables" / "a.csv")) == 8


@pytest.mark.parametrize(
    "subject", ["iv", "pulses", "retention", "endurance", "noise", "levels", "forming", "verify", "map"]
)
def test_without_a_file_it_says_what_it_needs(subject: str, capsys: pytest.CaptureFixture[str]) -> None:
    from xbarlab.analysis.own_data.subjects import SUBJECTS

    assert main(["analyse", subject]) == 0
    printed = capsys.readouterr().out
    assert f"xbarlab analyse {subject} {SUBJECTS[subject].example}" in printed
    assert "needed" in printed


def test_one_file_of_a_description_is_analysed_alone_and_one_beside_it_with_its_own(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    g = rng.uniform(2e-5, 2e-4, 64)
    for name, values in (("before", g), ("after", g - 2e-6)):
        text = "r_ohm\n" + "\n".join(f"{1.0 / x:.6g}" for x in values)
        (tmp_path / f"relaxation_{name}_bake.csv.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "forming.csv.gz").write_bytes(gzip.compress(b"not looked at"))
    for number, name in enumerate(("before", "after")):
        out, file = tmp_path / f"out{number}", tmp_path / f"relaxation_{name}_bake.csv.gz"
        assert main(["analyse", "retention", str(file), "--description", "hfo2_1t1r", "--out", str(out)]) == 0
        found = json.loads((out / "summary.json").read_text("utf-8"))
        assert found["shift_median"] == pytest.approx(-2e-6, rel=1e-3)
    assert "No drift exponent" in (tmp_path / "out0" / "report.html").read_text("utf-8")


def test_an_export_of_easyexpert_is_recognised(
    table: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = "SetupTitle, loop\nPrimitiveTest, I/V Sweep\nTestParameter, Channel.UnitType, SMU, SMU\nDataName, V1, I1\n"
    values = "".join(f"DataValue, {line.volts:.4g}, {line.amps:.6g}\n" for line in table.itertuples())
    file = tmp_path / "export.csv"
    file.write_text(head + values, encoding="utf-8")
    arguments = ["analyse", "iv", str(file), "--volts", "V1", "--amps", "I1", "--out", str(tmp_path / "out")]
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["v_set_mean"] == pytest.approx(0.6, abs=0.021)
    for content, said in (
        (head, "without a line DataValue"),
        (head + values + "DataName, V2, I1\n", "tests with different columns, in line 206"),
        (head + "DataValue, 1\n", "line 5 has 1 values under 2 names"),
    ):
        file.write_text(content, encoding="utf-8")
        assert main([*arguments[:-1], str(tmp_path / "no")]) == 2
        assert said in capsys.readouterr().err
