"""Benches whose chips are the behavioural models without noise, for tests of training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

PROFILES = Path(__file__).parents[2] / "mockhw" / "profiles"
NOISELESS: dict[str, dict[str, Any]] = {
    "gate_voltage_1t1r": {"noise": 0.0, "read_noise": 0.0},
    "soft_bounds_1t1r": {
        "law": "constant",
        "dw_min_d2d": 0.0,
        "dw_min_c2c": 0.0,
        "up_down_d2d": 0.0,
        "w_max_d2d": 0.0,
        "w_min_d2d": 0.0,
        "read_noise": 0.0,
    },
}


def write_bench(
    folder: Path,
    profile: str,
    *,
    changes: Mapping[str, Any] | None = None,
    size: tuple[int, int] = (16, 12),
    chip_id: str = "ideal",
    segment_ohms: float = 0.0,
    converters: Mapping[str, Any] | None = None,
    instrument: str = "board",
    board: Mapping[str, Any] | None = None,
) -> Path:
    """Write profile, bench, chip and station files of a small ideal chip into ``folder``; return the station's.

    ``board`` is what its entry in the bench file has besides.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    content = yaml.load((PROFILES / f"{profile}.yaml").read_text(encoding="utf-8"))
    for name, value in {**NOISELESS[profile], **(changes or {})}.items():
        entry = content["parameters"][name]
        content["parameters"][name] = {**entry, "value": value} if isinstance(entry, dict) else value
    for name, value in zip(("rows", "cols"), size, strict=True):
        content["geometry"][name]["value"] = value
    for name in ("row_segment", "col_segment"):
        content["wiring"][name]["value"] = segment_ohms
    entry: dict[str, Any] = {
        "kind": "array_board",
        "address": "TCPIP0::127.0.0.1::5025::SOCKET",
        "serial": "MOCK-0009",
        **(board or {}),
    }
    if converters is not None:
        entry["converters"] = dict(converters)
    bench = {"chip": {"profile": "ideal.profile.yaml", "seed": 0, "state": None}, "instruments": [entry], "faults": []}
    chip = {"id": chip_id, "rows": size[0], "cols": size[1], "cell": "1T1R", "polarity": 1}
    station = {
        "instruments": {
            instrument: {
                "type": "xbarlab.instruments.board.crossbar_board.CrossbarBoard",
                "address": entry["address"],
                "init": {"visalib": "ideal.bench.yaml@xbarlab"},
            }
        },
        "xbarlab": {"array": instrument, "chip": "ideal.chip.yaml", "clock": "auto"},
    }
    files = {"profile": content, "bench": bench, "chip": chip, "station": station}
    for kind, data in files.items():
        with (folder / f"ideal.{kind}.yaml").open("w", encoding="utf-8") as file:
            yaml.dump(data, file)
    return folder / "ideal.station.yaml"


def write_two_boards(
    folder: Path,
    profile: str,
    *,
    sizes: tuple[tuple[int, int], tuple[int, int]] = ((16, 12), (16, 12)),
    changes: Mapping[str, Any] | None = None,
) -> Path:
    """Write a station of two small ideal chips on boards "left" and "right" that are one array; return its path."""
    yaml = YAML(typ="safe", pure=True)
    station: dict[str, Any] = {"instruments": {}, "xbarlab": {"array": ["left", "right"], "chip": [], "clock": "auto"}}
    for name, size in zip(("left", "right"), sizes, strict=True):
        (folder / name).mkdir()
        alone = yaml.load(write_bench(folder / name, profile, size=size, chip_id=name, changes=changes))
        board = alone["instruments"]["board"]
        board["init"]["visalib"] = f"{name}/{board['init']['visalib']}"
        station["instruments"][name] = board
        station["xbarlab"]["chip"].append(f"{name}/ideal.chip.yaml")
    with (folder / "two.station.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(station, file)
    return folder / "two.station.yaml"
