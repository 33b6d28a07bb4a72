"""The maker's library as the shipped ctypes code loads it: what is refused by name, and one that cc builds."""

from __future__ import annotations

import ctypes
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.wgfmu_stub import build, signatures, tie
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.clock import SimulatedClock
from xbarlab.instruments.drivers.keysight_b1530.box import KeysightB1530Box
from xbarlab.instruments.drivers.keysight_b1530.library import SIGNATURES, wgfmu_library
from xbarlab.instruments.drivers.keysight_b1530.shapes import Look
from xbarlab.instruments.errors import ConnectionLostError, InstrumentError
from xbarlab.mockhw.bench.bench import MockBench, fresh_bench
from xbarlab.mockhw.instruments.keysight_b1530.library import Wgfmu
from xbarlab.runbooks.stations import find_bench

SESSION = "GPIB0::17::INSTR"
WINDOWS = sys.platform == "win32"
_C = {
    "int": ctypes.c_int, "double": ctypes.c_double, "int *": ctypes.POINTER(ctypes.c_int),
    "double *": ctypes.POINTER(ctypes.c_double), "char *": ctypes.POINTER(ctypes.c_char),
    "const char *": ctypes.c_char_p,
}  # fmt: skip


def pe(machine: int) -> bytes:
    return b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0" + struct.pack("<H", machine) + bytes(64)


def test_a_library_that_is_not_there_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.util.find_library", lambda _: None)
    with pytest.raises(RefusedError, match=r"fast: the library wgfmu is not found .*wgfmu\.dll"):
        wgfmu_library("wgfmu", who="fast")
    with pytest.raises(RefusedError, match=r"library is '/no/wgfmu\.dll', and there is no such file"):
        wgfmu_library("/no/wgfmu.dll", who="fast")
    with pytest.raises(RefusedError, match="library is 'wgfmupy': write wgfmu, a file, or"):
        wgfmu_library("wgfmupy", who="fast")


@pytest.mark.parametrize(("machine", "bits"), [(0x14C, 32), (0x8664, 64)])
def test_a_library_of_the_wrong_bitness_or_system_is_refused_by_name(tmp_path: Path, machine: int, bits: int) -> None:
    file = tmp_path / "wgfmu.dll"
    file.write_bytes(pe(machine))
    mine = 64 if sys.maxsize > 2**32 else 32
    wrong = f"is for {bits}-bit programs and this Python has {mine} bits"
    expected = wrong if bits != mine else "cannot be loaded" if WINDOWS else "runs on Windows and this is"
    with pytest.raises(RefusedError, match=expected) as refused:
        wgfmu_library(str(file), who="fast")
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.skipif(WINDOWS, reason="built by cc")
def test_another_library_is_refused_by_the_function_it_lacks() -> None:
    import _ctypes

    with pytest.raises(RefusedError, match="has no function WGFMU_openSession"):
        wgfmu_library(_ctypes.__file__, who="fast")


def test_the_shipped_types_are_those_of_the_c_file_and_the_stand_in_has_every_function() -> None:
    """Three hands wrote them: the driver's table, the C file, the stand-in."""
    declared = {name: tuple(_C[one] for one in types) for name, types in signatures().items()}
    assert declared == dict(SIGNATURES)
    for name, takes in SIGNATURES.items():
        method = getattr(Wgfmu, f"WGFMU_{name}")
        assert method.__wrapped__.__code__.co_argcount == len(takes) + 1, name


@pytest.fixture
def through_c(tmp_path: Path) -> Iterator[tuple[Any, MockBench]]:
    """The shipped ctypes code on a shared library, whose functions end at the stand-in on the mock chip."""
    mock = fresh_bench(find_bench("mock_tio2_b1500"), seed=3)
    stand_in: Any = mock.libraries["wgfmu"]
    library = build(tmp_path)
    kept = tie(library, stand_in)
    box = KeysightB1530Box("fast", session=SESSION, library=str(library), limits={"current_max": 1e-3})
    box.clock = SimulatedClock(stand_in.simulation)
    yield box, mock
    box.close()
    assert not stand_in.is_open
    del kept


@pytest.mark.skipif(WINDOWS, reason="built by cc")
def test_pulses_and_reads_go_through_c(through_c: tuple[Any, MockBench]) -> None:
    box, mock = through_c
    assert not box.simulated, "a library that is loaded is taken for the maker's"
    assert box.numbers == (301, 302)
    chip: Any = mock.chip
    chip.assume_formed(0.5)
    assert mock.circuit is not None
    paths = [(9, 3), (10, 12), *((12, port) for port in range(1, 17) if port not in (3, 12))]
    mock.circuit.switch(mock.clock.now, close=paths)
    true = chip.truth()["conductance"][2, 3]
    given = box.pulser.pulses(0.05, -0.05, width=2e-7, edge=2e-8, period=1e-6, count=3)
    assert (given.width, given.count) == (2e-7, 3)
    assert given.first == pytest.approx(0.05, abs=5e-5)
    first, second = box.pulser.waveform(
        [0, 0.2, 0.2, 0], [0, 0, 0, 0], [1e-7, 1e-4, 1e-7],
        looks=[Look(begin=2e-5, points=20, interval=2e-6, average=2e-6, amps=1e-3)],
    )  # fmt: skip
    assert first.current.shape == second.current.shape == (20,)
    # The column carries the cell's current; the row drives its other cells, too, whose columns are at 0 V.
    assert -second.current.mean() / 0.2 == pytest.approx(true, rel=0.05)
    row = float(chip.truth()["conductance"][2].sum())
    assert first.current.mean() / 0.2 == pytest.approx(row, rel=0.05)
    np.testing.assert_allclose(np.diff(first.seconds), 2e-6)


@pytest.mark.skipif(WINDOWS, reason="built by cc")
def test_an_error_comes_back_through_c_with_its_number_and_text(
    tmp_path: Path, through_c: tuple[Any, MockBench]
) -> None:
    box, _ = through_c
    with pytest.raises(InstrumentError, match=r"WGFMU_connect returned -9 \(WGFMU_connect: there is no channel 999"):
        box.calls._call("connect", 999)
    with pytest.raises(ConnectionLostError, match=r"returned -5 \(WGFMU_openSession: nothing answers at GPIB0::3"):
        KeysightB1530Box("other", session="GPIB0::3::INSTR", library=str(tmp_path / "libwgfmu.so"))
