"""Shipped descriptions of public data: they read what is beside the repository, and small files of the same shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xbarlab.analysis.measured_data.description import read_description
from xbarlab.analysis.measured_data.measured import Measured, list_descriptions, read_measured
from xbarlab.analysis.measured_data.protocols import Forming, PulseSweep, WriteVerify
from xbarlab.analysis.measured_data.stop_rule import stop_beyond
from xbarlab.analysis.measured_data.write_algorithms import CoarseFine
from xbarlab.common.errors import RefusedError

MEASURED = Path(__file__).resolve().parents[3].parent / "shared" / "measured"
beside = pytest.mark.skipif(not MEASURED.is_dir(), reason="the measured data are not beside the repository")


def read(name: str) -> dict[str, Measured]:
    return {measured.id: measured for measured in read_measured(name, MEASURED / name)}


def test_a_shipped_description_asks_for_the_folder_of_its_data(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"data of 'hfo2_1t1r' are not shipped: say in which folder.*RADAR"):
        read_measured("hfo2_1t1r")
    with pytest.raises(RefusedError, match=r"unknown data description 'hfo2_1t1'.*did you mean 'hfo2_1t1r'"):
        read_measured("hfo2_1t1")
    with pytest.raises(RefusedError, match=r"no file 'set_bl_sweep_200ns.csv.gz' in .*: there is no file$"):
        read_measured("hfo2_1t1r", tmp_path)
    with pytest.raises(RefusedError, match=r"there is no folder .*gone"):
        read_measured("hfo2_1t1r", tmp_path / "gone")
    with pytest.raises(RefusedError, match=r"unknown measurement 'isp'.*did you mean 'ispp'"):
        read_measured("hfo2_1t1r", tmp_path, only=["isp"])


def test_every_shipped_number_that_was_not_published_says_where_it_is_from() -> None:
    found = {path.name: read_description(path) for path in list_descriptions().values()}
    assert len(found) >= 4
    for told in found.values():
        for entry in told.data:
            protocol = entry.protocol
            if isinstance(protocol, WriteVerify) and isinstance(protocol.algorithm, CoarseFine):
                assert {"algorithm.levels", "algorithm.gate_step", "algorithm.fine_most"} <= set(protocol.sources)
            if isinstance(protocol, PulseSweep):
                assert protocol.stop_beyond is None or protocol.sources["stop_beyond"].startswith("inferred")
            if isinstance(protocol, Forming):
                assert "formed_above" in protocol.unknown()


def test_maps_and_traces_of_the_shape_of_the_public_ones(tmp_path: Path) -> None:
    ohms = np.linspace(200.0, 9000.0, 64)
    for chip in "AB":
        line = "; ".join(f"{x:.3f}" for x in ohms)
        text = f"n_rows; n_columns; vread\n8; 8; 0.200000000\n{line};\n"
        (tmp_path / f"dead_xbar_{chip}.csv").write_text(text, encoding="utf-8")
    maps = read_measured("tio2_maps", tmp_path)
    assert [(m.id, m.chip, m.cells, m.structure) for m in maps] == [
        ("map.dead_xbar_A", "dead_xbar_A", 64, "passive"),
        ("map.dead_xbar_B", "dead_xbar_B", 64, "passive"),
    ]
    table = maps[0].table.set_index(["row", "col"])["conductance"]
    assert table[1, 2] == pytest.approx(1.0 / ohms[10], rel=1e-5)
    time = np.arange(640) * 6.25e-6 - 1e-3
    applied, across = 0.15 * np.sin(2e3 * np.pi * time), 0.03 * np.sin(2e3 * np.pi * time)
    for device in ("a", "b"):
        lines = [f"{t:.6E},{x:.6E},{y:.6E}" for t, x, y in zip(time, across, applied, strict=True)]
        text = "\n".join(["x-axis,1,2", "second,Volt,Volt", *lines])
        (tmp_path / f"triangle_{device}.csv").write_text(text, encoding="utf-8")
    with pytest.raises(RefusedError, match=r"no file 'triangle_\*.csv.gz'"):
        read_measured("sdc", tmp_path)
    import gzip

    for path in tmp_path.glob("triangle_*.csv"):
        path.with_suffix(".csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    (loops,) = read_measured("sdc", tmp_path)
    assert loops.cells == 2
    assert loops.table.groupby(["cell", "loop"]).size().tolist() == [160] * 8
    assert loops.table["volts"].max() == pytest.approx(0.12, rel=1e-3)
    assert loops.table["current"].max() == pytest.approx(0.03, rel=1e-3), "in volts across the resistor"
    assert "series_resistor" in loops.protocol.unknown()


@beside
def test_the_foundry_array_is_read_with_the_counts_its_source_has() -> None:
    found = read("hfo2_1t1r")
    assert {name: (m.kind, m.cells) for name, m in found.items()} == {
        "set_volts": ("pulse_sweep", 50),
        "reset_volts": ("pulse_sweep", 50),
        "reset_gate": ("pulse_sweep", 50),
        "forming": ("forming", 8192),
        "cycling": ("cycling", 100),
        "ispp": ("write_verify", 8192),
        "coarse_fine": ("write_verify", 8192),
        "bake_80c": ("bake", 1024),
    }
    ispp = found["ispp"].table
    # facts/hfo2-1t1r.md: 14.2/31.0/31.3/24.9 pulses by level, HRS 9.9 µS and LRS 201.5 µS.
    np.testing.assert_allclose(ispp.groupby("level")["pulses"].mean(), [14.2, 31.0, 31.3, 24.9], atol=0.06)
    medians = found["cycling"].table.groupby("state")["conductance"].median()
    np.testing.assert_allclose(medians[["HRS", "LRS"]], [9.9e-6, 201.5e-6], rtol=0.01)
    for name, bound in (("set_volts", 250e-6), ("reset_volts", 10e-6), ("reset_gate", 10e-6)):
        protocol = found[name].protocol.model_copy(update={"stop_beyond": None})
        assert isinstance(protocol, PulseSweep)
        assert stop_beyond(found[name].table, protocol) == pytest.approx(bound, rel=1e-3)


@beside
def test_the_ladders_are_as_long_as_the_cells_that_failed_count_them() -> None:
    measured = read_measured("hfo2_1t1r", MEASURED / "hfo2_1t1r", only=["coarse_fine"])[0]
    assert isinstance(measured.protocol, WriteVerify)
    algorithm = measured.protocol.algorithm
    assert isinstance(algorithm, CoarseFine)
    failed = measured.table[~measured.table["success"]]
    for number, level in enumerate(algorithm.levels[:3]):
        assert level is not None
        assert level.set_volts is not None
        assert None not in (level.gate, algorithm.gate_below, algorithm.gate_step)
        gates = round((algorithm.gate_below - level.gate) / algorithm.gate_step)  # type: ignore[operator]
        sets = failed[(failed["level"] == number) & (failed["resets"] == 1) & (failed["fine"] == algorithm.fine_most)]
        assert set(sets["sets"]) == {1 + 20 * (len(level.set_volts.values()) + gates)}
        if level.reset_volts is not None:
            resets = failed[(failed["level"] == number) & (failed["sets"] <= 1)]["resets"]
            assert resets.mode()[0] == 1 + 20 * len(level.reset_volts.values())


@beside
def test_bakes_noise_maps_and_traces_are_read() -> None:
    bakes = read_measured("hfo2_relaxation", MEASURED / "hfo2_relaxation", only=["bakes"])[0].table
    assert bakes.groupby("temperature").size().to_dict() == {373.15: 16384, 453.15: 16384, 533.15: 16384}
    assert (bakes["time"] > 5000).all()
    assert [m.cells for m in read("tio2_maps").values()] == [64] * 5
    loops = read("sdc")["loops"].table
    assert loops.groupby("cell")["loop"].nunique().tolist() == [100] * 4


@beside
@pytest.mark.slow
def test_the_noise_is_read() -> None:
    noise = read_measured("hfo2_relaxation", MEASURED / "hfo2_relaxation", only=["noise"])[0].table
    assert noise.groupby("cell").size().tolist() == [100_000] * 5
    assert noise.groupby("cell")["conductance"].mean().is_monotonic_increasing
