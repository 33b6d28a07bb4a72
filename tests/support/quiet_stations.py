"""Shipped stations whose chip does not fluctuate, and how accurate each instrument says it is."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarlab import Block, open_bench
from xbarlab.common.errors import RefusedError
from xbarlab.common.yaml_files import read_yaml
from xbarlab.instruments.station.station_file import read_station
from xbarlab.mockhw.bench.bench import bench_for, forget_bench
from xbarlab.runbooks.stations import find_station, in_process_benches

READ_VOLTS = 0.2

TIO2 = {
    "parameters.read_noise.slope": 0.0, "parameters.read_noise.floor": 0.0,
    **{f"parameters.retention.{name}": 0.0 for name in ("drift", "weak_sd", "strong_sd")},
    "parameters.stuck.on_fraction": 0.0, "parameters.stuck.off_fraction": 0.0,
    **{f"parameters.lines.{kind}_fraction": 0.0 for kind in ("lead", "open", "graded", "leaky", "shorted")},
    **{f"parameters.device_spread.{name}": 0.0 for name in ("ln_Gv", "ln_b", "ln_Rs")},
}  # fmt: skip
HFO2 = {
    f"parameters.read_noise.{name}": 0.0
    for name in ("scale", "relative", "flicker", "one_trap_fraction", "two_trap_fraction")
}
BOARDS = ("mock_ta_hfo2", "mock_hfo2")


@dataclass(frozen=True)
class Accuracy:
    """What a read may be off by: ``gain`` [1] of the reading, and ``amps`` [A]; ``source`` says who states it."""

    gain: float
    amps: float
    source: str

    def bound(self, siemens: float | NDArray[np.float64]) -> Any:
        """Return the largest error [S] of a read of ``siemens``."""
        return self.gain * np.abs(siemens) + self.amps / READ_VOLTS


def _metered(gain: float, volts: float, amps: float, source: str) -> Accuracy:
    """Return what the gain, the volts that a reading is divided by and the offset at 0 V make of a read."""
    return Accuracy(gain + volts / READ_VOLTS, 2 * amps, source)


ACCURACY = {
    "mock_tio2": _metered(0.06e-2, 2.4e-3, 150e-12, "2450: SPEC-2450 Rev. A"),
    "mock_tio2_2400": _metered(0.029e-2, 2.4e-3, 300e-12, "2400: SPEC-2400 Rev. H"),
    "mock_tio2_2600": _metered(0.07e-2, 5e-3, 100e-12, "2636B: from memory of SPEC-2600B"),
    "mock_tio2_4200": _metered(0.07e-2, 2e-3, 30e-12, "4200-SMU: from memory of its data sheet"),
    "mock_tio2_b1500": _metered(0.068e-2, 0.4e-3, 20e-12, "B1517A: from memory of its data sheet"),
    "mock_tio2_arc2": _metered(
        0.0, 0.5 * 20.0 / 2**16, 2 * 0.683e-6 / 2**17, "ArC TWO: steps of its converters; no accuracy is known to us"
    ),
    "mock_single_2400": _metered(0.044e-2, 2 * 0.5e-3, 300e-12, "2400: SPEC-2400 Rev. H"),
    "mock_single_2450": _metered(0.075e-2, 2 * 0.5e-3, 150e-12, "2450: SPEC-2450 Rev. A"),
    "mock_ta_hfo2": _metered(0.0, 0.0, 2e-6 / 2**16, "array board: 16 bits over ±1 µA"),
    "mock_hfo2": _metered(0.0, 0.0, 2e-6 / 2**16, "array board: 16 bits over ±1 µA"),
}  # fmt: skip
"""One year, of a cell of some 0.5 µS read with 0.2 V: the current range of 0.1 µA (a board's lowest, an ArC TWO's
0.68 µA), and the volts it is divided by, as programmed (probe stations) or measured (single devices)."""


def accuracy_of(station: str) -> Accuracy:
    """Return what the instruments of a station state.

    Raises
    ------
    RefusedError
        Nobody has written it down.
    """
    if station not in ACCURACY:
        raise RefusedError(f"{station}: nobody has written down how accurate its instruments are (ACCURACY)")
    return ACCURACY[station]


def bench_file(station: str | Path) -> Path:
    """Return the bench file of a mock station in this process."""
    (found,) = in_process_benches(read_station(find_station(station)))
    return found


def quiet_copy(station: str, folder: Path) -> Path:
    """Return a station whose chip does not fluctuate, nor its converters; of passive chips all virgin cells are alike.

    Noise of source-measure units stays, as there is no switch for it; reads average it away.
    """
    shipped = find_station(station)
    for path in shipped.parent.glob("*.yaml"):
        shutil.copy(path, folder / path.name)
    file = folder / bench_file(station).name
    content = read_yaml(file, "bench file")
    changes = HFO2 if station.startswith(BOARDS) else TIO2
    content["chip"].setdefault("changes", {}).update(
        {key: {"value": value, "source": "nothing fluctuates"} for key, value in changes.items()}
    )
    for entry in content["instruments"]:
        if entry["kind"] == "array_board":
            entry["converters"] = {"noise": 0.0, "gain_spread": 0.0, "offset_spread": 0.0}
        if entry["kind"] == "arc_two":
            entry["noise"] = 0.0
    file.write_text(json.dumps(content), encoding="utf-8")  # JSON is YAML
    return folder / shipped.name


def virgin(station: str, folder: Path, *, seed: int = 1, average: int = 16) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return what virgin cells of the first column read, three at most, and what they are [S]."""
    copy = quiet_copy(station, folder)
    file = folder / bench_file(station).name
    with open_bench(copy, seed=seed) as bench:
        rows = min(bench.array.spec.rows, 3)
        read = bench.array.read(Block(0, rows, 0, 1), average=average).conductance.ravel()
        chip: Any = bench_for(file).chip
        true = chip.truth()["conductance"][:rows, 0] if "conductance" in chip.truth() else None
        if true is None:
            cells = np.arange(rows) * chip.cols
            true = chip.model.conductance(cells, bench.array.spec.read_volts, bench.array.spec.read_gate, chip.now)
    forget_bench(file)
    return read, np.asarray(true)
