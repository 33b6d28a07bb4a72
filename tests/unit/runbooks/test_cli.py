"""The command line: exit codes, one sentence on stderr, nothing heavy at import, commands on a fake bench."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from support.fake_array import HIGH, FakeArray, FakeBench
from xbarlab import __version__, cli
from xbarlab.instruments.errors import ConnectionLostError
from xbarlab.protocols.keeping.dataset import Axis, DatasetWriter, Variable
from xbarlab.runbooks import stations
from xbarlab.runbooks.commands import by_hand
from xbarlab.runbooks.runner import runner


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> FakeBench:
    fake = FakeBench()
    monkeypatch.setattr(stations, "open_bench", fake.opener())
    monkeypatch.setattr(runner, "open_bench", fake.opener())
    return fake


def run_cli(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def one_sentence(err: str) -> str:
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("xbarlab: ")
    assert "Traceback" not in err
    return lines[0]


def test_importing_the_cli_and_asking_for_help_loads_nothing_heavy() -> None:
    heavy = [
        "numpy",
        "scipy",
        "qcodes",
        "pandas",
        "matplotlib",
        "pydantic",
        "numba",
        "rich",
        "pyvisa",
        "ruamel.yaml",
        "xarray",
    ]
    script = (
        "import sys\nimport xbarlab.cli\n"
        "code = xbarlab.cli.main(['--help'])\n"
        f"loaded = [name for name in {heavy!r} if name in sys.modules]\n"
        "print('LOADED', loaded, code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED [] 0"


def test_help_teaches_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    commands = [
        ["demo"],
        ["run"],
        ["read"],
        ["pulse"],
        ["sweep"],
        ["station", "check"],
        ["mock", "serve"],
        ["export"],
        ["list"],
    ]
    for command in commands:
        code, out, _ = run_cli(capsys, *command, "--help")
        assert code == 0
        assert f"  xbarlab {' '.join(command)}" in out


def test_a_sweep_of_far_too_many_points_is_refused_before_they_are_made(
    bench: FakeBench, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run_cli(capsys, "sweep", "--station", "x", "--cell", "1,1", "--step", "1e-5")
    assert code == 2
    assert "300001 points in one sweep; this array takes 1 to 10000" in one_sentence(err)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(capsys, "--version") == (0, f"xbarlab {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rnu"], ["rnu"]),
        (["run"], ["RUNBOOK"]),
        (["run", "x", "--sed", "3"], ["--sed"]),
        (["run", "x", "--seed", "three"], ["--seed", "integer", "see xbarlab run --help"]),
        (["run", "first_ligth"], ["unknown runbook 'first_ligth'", "first_light_1t1r"]),
        (["run", "no/such.md"], ["no runbook file", "first_light_1t1r"]),
        (["run", "first_light_1t1r", "--set", "form.volts=3"], ["unknown parameter 'volts'", "stop_volts"]),
        (["run", "first_light_1t1r", "--set", "from.stop_volts=3"], ["unknown step id 'from'", "did you mean 'form'"]),
        (["run", "first_light_1t1r", "--set", "form.stop_volts=inf"], ["--set form.stop_volts=inf", "number"]),
        (["run", "first_light_1t1r", "--station", "mock_ta"], ["unknown station 'mock_ta'"]),
        (["run", "first_light_1t1r", "--station", "no/such.station.yaml"], ["no station file"]),
        (["read", "--station", "x"], ["--cell"]),
        (["read", "--station", "x", "--cell", "3"], ["--cell 3 is not one cell", "row,column"]),
        (["read", "--station", "x", "--cell", "-1,3"], ["--cell -1,3 is not one cell"]),
        (["read", "--station", "x", "--cell", "0:2,3"], ["is not one cell"]),
        (["read", "--station", "x", "--cell", "0,0", "--volts", "nan"], ["--volts nan", "finite"]),
        (
            ["read", "--station", "x", "--cell", "0,0", "--volts", "lots"],
            ["--volts lots", "wanted is a voltage in V, like 1.2, 1.2V or 200mV"],
        ),
        (["pulse", "--station", "x", "--cell", "0,0", "--volts", "1", "--width", "inf"], ["--width inf", "finite"]),
        (
            [
                "pulse",
                "--station",
                "x",
                "--cell",
                "0,0",
                "--volts",
                "1",
                "--width",
                "1us",
                "--gate",
                "1",
                "--count",
                "0",
            ],
            ["--count", "equal to 1"],
        ),
        (["sweep", "--station", "x", "--cell", "0,0", "--positive=-1"], ["'positive' = -1.0", "greater than 0"]),
        (["sweep", "--station", "x", "--cell", "0,0", "--dwell", "-1ms"], ["'dwell' = -0.001", "greater than 0"]),
        (["list", "stepps"], ["unknown kind 'stepps'", "did you mean 'steps'"]),
        (["export", "no_such_folder"], ["there is no folder no_such_folder"]),
        (["export", ".", "--to", "xlsx"], ["unknown export format 'xlsx'", "csv, netcdf, parquet"]),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2_with_no_bench_opened(
    capsys: pytest.CaptureFixture[str],
    bench: FakeBench,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    says: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run_cli(capsys, *arguments)
    assert code == 2
    sentence = one_sentence(err)
    for words in says:
        assert words in sentence
    assert bench.opened == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["read", "--cell", "8,0"], ["rows 8:9 are outside", "rows 0:8"]),
        (["read", "--cell", "0,0", "--volts", "0.7"], ["0.7 V", "limit 0.5 V", "read_volts_max"]),
        (
            ["pulse", "--cell", "0,0", "--volts", "6", "--width", "1us", "--gate", "1"],
            ["6 V", "limit 5 V", "set_volts_max", "cell (0, 0)"],
        ),
        (["pulse", "--cell", "0,0", "--volts=-6", "--width", "1us", "--gate", "1"], ["-6 V", "reset_volts_max"]),
        (
            ["pulse", "--cell", "0,0", "--volts", "1", "--width", "1ns", "--gate", "1"],
            ["below the limit 5e-08 s", "width_min"],
        ),
        (["pulse", "--cell", "0,0", "--volts", "1", "--width=-1us", "--gate", "1"], ["-1e-06 s", "width_min"]),
        (["pulse", "--cell", "0,0", "--volts", "1", "--width", "1us", "--gate", "9"], ["9 V", "gate_max"]),
        (
            ["pulse", "--cell", "0,0", "--volts", "1", "--width", "1us", "--gate", "1", "--count", "70000"],
            ["70000", "count_max"],
        ),
        (["sweep", "--cell", "0,0", "--positive", "7"], ["7 V", "set_volts_max"]),
        (["sweep", "--cell", "0,0", "--compliance", "20mA"], ["0.02 A", "current_max"]),
    ],
)
def test_values_beyond_the_limits_are_refused_before_any_action(
    capsys: pytest.CaptureFixture[str], bench: FakeBench, arguments: list[str], says: list[str]
) -> None:
    code, _, err = run_cli(capsys, arguments[0], "--station", "any", *arguments[1:])
    assert code == 2
    sentence = one_sentence(err)
    for words in says:
        assert words in sentence
    assert bench.array.actions == []
    assert bench.closed == bench.opened == 1


def test_read_prints_conductance_with_its_uncertainty(capsys: pytest.CaptureFixture[str], bench: FakeBench) -> None:
    bench.array.g[3, 5] = HIGH
    code, out, _ = run_cli(capsys, "read", "--station", "any", "--cell", "3,5", "--volts", "100mV", "--seed", "4")
    assert code == 0
    assert out == "cell (3, 5) at 0.1 V: G = (100.000 ± 0.020) µS, R = 10.0 kΩ, I = 10.00 µA\n"
    assert bench.seeds == [4]


def test_pulse_prints_before_delivered_and_after(capsys: pytest.CaptureFixture[str], bench: FakeBench) -> None:
    arguments = ["--cell", "1,2", "--volts", "2.5", "--width", "500ns", "--gate", "1.6", "--count", "3"]
    code, out, _ = run_cli(capsys, "pulse", "--station", "any", *arguments)
    assert code == 0
    before, delivered, after, change = out.splitlines()
    assert "G = (1.000 ± 0.020) µS" in before
    assert "3 × 2.5000 V for 500.0 ns at gate 1.6000 V; 3 pulses" in delivered
    assert "G = (100.000 ± 0.020) µS" in after
    assert "+99 µS" in change
    assert bench.array.actions == ["read", "pulse", "read"]
    assert bench.array.g[1, 2] == HIGH
    assert (bench.array.g != HIGH).sum() == bench.array.g.size - 1


def test_sweep_finds_both_voltages_and_saves_them(
    capsys: pytest.CaptureFixture[str], bench: FakeBench, tmp_path: Path
) -> None:
    bench.array.g[0, 0] = 5e-6
    out_folder = tmp_path / "cell"
    code, out, _ = run_cli(
        capsys, "sweep", "--station", "any", "--cell", "0,0", "--cycles", "2", "--out", str(out_folder)
    )
    assert code == 0
    lines = out.splitlines()
    assert lines[1].startswith("cell (0, 0) loop 2: V_SET ")
    set_volts, reset_volts = (float(part.split()[-2].replace("−", "-")) for part in lines[0].split(":")[1].split(","))
    unit = 1e-3 if "mV" in lines[0] else 1.0
    assert set_volts * unit == pytest.approx(0.8, abs=0.02)
    assert reset_volts * unit == pytest.approx(-0.8, abs=0.02)
    assert (out_folder / "sweep.csv").read_text(encoding="utf-8").startswith("row,col,cycle,point,volts_V,current_A")
    assert (out_folder / "sweep.png").stat().st_size > 5000


def test_a_virgin_cell_says_that_it_did_not_switch(capsys: pytest.CaptureFixture[str], bench: FakeBench) -> None:
    _, out, _ = run_cli(capsys, "sweep", "--station", "any", "--cell", "0,0")
    assert "V_SET not found" in out
    assert "V_RESET not found" in out


def test_an_instrument_that_does_not_answer_is_exit_3(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_answer(name: str, *, seed: int | None = None) -> FakeBench:
        raise ConnectionLostError("nothing answers at TCPIP0::10.0.0.9::5025::SOCKET: tried *IDN? for 2 s")

    monkeypatch.setattr(stations, "open_bench", no_answer)
    code, _, err = run_cli(capsys, "read", "--station", "any", "--cell", "0,0")
    assert code == 3
    assert "10.0.0.9" in one_sentence(err)


def test_an_instrument_fault_is_exit_3_and_the_bench_is_closed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeBench(FakeArray(fail_at=1))
    monkeypatch.setattr(stations, "open_bench", fake.opener())
    code, _, err = run_cli(capsys, "read", "--station", "any", "--cell", "0,0")
    assert code == 3
    assert "-365" in one_sentence(err)
    assert fake.closed == 1


def test_ctrl_c_ends_with_130_and_an_idle_bench(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeBench(FakeArray(fail_at=2, error=KeyboardInterrupt()))
    monkeypatch.setattr(stations, "open_bench", fake.opener())
    code, _, err = run_cli(
        capsys, "pulse", "--station", "any", "--cell", "0,0", "--volts", "1", "--width", "1us", "--gate", "1"
    )
    assert code == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert fake.array.idled == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send itself SIGTERM without ending at once")
def test_sigterm_ends_like_ctrl_c(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import signal

    class Terminated(FakeArray):
        def read(self, *arguments, **options):
            os.kill(os.getpid(), signal.SIGTERM)
            return super().read(*arguments, **options)

    fake = FakeBench(Terminated())
    monkeypatch.setattr(stations, "open_bench", fake.opener())
    before = signal.getsignal(signal.SIGTERM)
    code, _, _ = run_cli(capsys, "read", "--station", "any", "--cell", "0,0")
    assert code == 130
    assert fake.array.idled == 1
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_defect_is_not_dressed_up_as_bad_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_hand, "read_cell", lambda *_: {}["missing"])
    monkeypatch.setattr(stations, "open_bench", FakeBench().opener())
    code, _, err = run_cli(capsys, "read", "--station", "any", "--cell", "0,0")
    assert code == 70
    assert "KeyError" in err
    assert "defect" in err


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [("0.2", "V", 0.2), ("200e-9", "s", 200e-9), ("200ns", "s", 200e-9), ("1.5 us", "s", 1.5e-6), ("-1.7V", "V", -1.7),
     ("100µA", "A", 100e-6), ("2mA", "A", 2e-3), ("-50mV", "V", -0.05), (".5", "V", 0.5), ("1e-3s", "s", 1e-3)],
)  # fmt: skip
def test_numbers_may_carry_their_unit(text: str, unit: str, value: float) -> None:
    assert by_hand.number("--x", text, unit) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("text", ["", "V", "1 s", "1m", "1Ms", "one", "1e", "0x10", "1,5", "--", "1_0", "inf", "nan"])
def test_what_is_no_number_is_refused(text: str) -> None:
    from xbarlab.common.errors import RefusedError

    with pytest.raises(RefusedError, match="--x"):
        by_hand.number("--x", text, "V")


def test_list_shows_what_is_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run_cli(capsys, "list")
    assert code == 0
    for words in (
        "runbooks:",
        "first_light_1t1r First light",
        "stations:",
        "profiles:",
        "ta_hfo2_1t1r",
        "steps:",
        "read_verify xbarlab",
        "instruments:",
        "CrossbarBoard xbarlab",
    ):
        assert words in " ".join(out.split())
    _, out, _ = run_cli(capsys, "list", "steps", "--verbose")
    assert "stop_volts: float = 3.3" in out
    assert "the stop rule for cells that do not form" in " ".join(out.split())
    assert "prepare.set_volts: float = 2.5" in out, "parts under the names that --set takes"
    assert "average: int = 16" in out
    assert max(map(len, out.splitlines())) <= 120


def test_no_line_of_a_list_breaks_off(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run_cli(capsys, "list")
    lines = [line for line in out.splitlines() if line.startswith("  ")]
    assert [line for line in lines if line.endswith((":", ",", "("))] == []
    assert "in another terminal: xbarlab mock serve mock_ta_hfo2.bench.yaml" in out
    assert "``" not in out


@pytest.mark.parametrize("where", [0, 1, 2])
def test_debug_shows_the_traceback_and_keeps_the_exit_code(capsys: pytest.CaptureFixture[str], where: int) -> None:
    arguments = ["list", "nothing"]
    arguments.insert(where, "--debug")
    code, _, err = run_cli(capsys, *arguments)
    assert code == 2
    assert err.startswith("Traceback")
    assert err.splitlines()[-1].startswith("xbarlab: unknown kind 'nothing': choose from")


@pytest.mark.parametrize("form", ["netcdf", "csv", "parquet"])
def test_export_writes_every_dataset(capsys: pytest.CaptureFixture[str], tmp_path: Path, form: str) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    import pandas
    import xarray

    grid = np.arange(6.0).reshape(3, 2)
    axes = [Axis("cycle", "Cycle"), Axis("row", "Row", values=np.arange(3)), Axis("col", "Column", values=np.arange(2))]
    for name in ("first", "second"):
        variables = [Variable("conductance", "Conductance", "S")]
        with DatasetWriter(
            tmp_path / "data.db",
            experiment="x",
            sample="y",
            name=name,
            axes=axes,
            variables=variables,
            metadata={"seed": 1},
        ) as data:
            for cycle in range(2):
                data.add({"cycle": cycle}, conductance=grid + 10 * cycle)
    capsys.readouterr()
    code, out, _ = run_cli(capsys, "export", str(tmp_path), "--to", form)
    assert code == 0
    files = [Path(line) for line in out.splitlines()]
    assert [path.stem for path in files] == ["001_first", "002_second"]
    if form == "netcdf":
        with xarray.open_dataset(files[1], engine="h5netcdf") as data:
            assert data["conductance"].dims == ("cycle", "row", "col")
            assert data["conductance"].attrs["unit"] == "S"
            np.testing.assert_array_equal(data["conductance"].values[1], grid + 10)
        return
    frame = pandas.read_csv(files[1]) if form == "csv" else pandas.read_parquet(files[1])
    assert list(frame.columns) == ["cycle", "row", "col", "conductance_S", "seed"]
    np.testing.assert_array_equal(frame["conductance_S"], [*grid.ravel(), *(grid.ravel() + 10)])


def test_exporting_a_folder_without_data_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = run_cli(capsys, "export", str(tmp_path))
    assert code == 2
    assert "holds no data" in one_sentence(err)
    assert list(tmp_path.iterdir()) == []


def test_station_check_finds_a_leak_and_says_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import SimpleNamespace

    class Measured(FakeArray):
        lines = 5e6

        def diagnose(self) -> SimpleNamespace:
            return SimpleNamespace(offset=1e-10, reference=10010.0, reference_nominal=1e4, open=self.lines)

    fake = FakeBench(Measured())
    monkeypatch.setattr(stations, "open_bench", fake.opener())
    code, out, _ = run_cli(capsys, "station", "check", "any")
    assert code == 0
    assert "not ok" not in out
    assert "FAKE ARRAY, serial 0001" in out
    assert "set_volts_max 5" in out
    Measured.lines = 2e5
    code, out, _ = run_cli(capsys, "station", "check", "any")
    assert code == 3
    assert "200.0 kΩ" in out
    assert "remove the chip" in out


def test_station_check_does_not_call_ok_what_it_could_not_measure(
    capsys: pytest.CaptureFixture[str], bench: FakeBench
) -> None:
    code, out, _ = run_cli(capsys, "station", "check", "any")
    assert code == 0
    assert out.count("not checked") == 3


def test_an_old_type_in_a_station_is_answered_with_the_new_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = Path(stations.__file__).parent / "mock_hfo2.station.yaml"
    text = shipped.read_text(encoding="utf-8")
    assert "type: CrossbarBoard" in text
    text = text.replace("type: CrossbarBoard", "type: xbarlab.instruments.crossbar_board.CrossbarBoard")
    for kind in ("bench", "chip"):
        text = text.replace(f"mock_hfo2.{kind}.yaml", str(shipped.with_name(f"mock_hfo2.{kind}.yaml")))
    (tmp_path / "old.station.yaml").write_text(text, encoding="utf-8")
    assert cli.main(["read", "--station", str(tmp_path / "old.station.yaml"), "--cell", "0,0"]) == 0
    assert "is called CrossbarBoard now: write type: CrossbarBoard" in capsys.readouterr().err
