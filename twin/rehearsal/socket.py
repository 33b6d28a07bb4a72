"""Another chip in the socket of a mock bench: the station and its bench file, copied with the chip replaced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...common.errors import RefusedError
from ...common.yaml_files import read_yaml, yaml_text
from ...instruments.station.station_file import read_station
from ...mockhw.bench.bench import profile_of
from ...mockhw.bench.file import BenchFileError, load_bench_file
from ...mockhw.chip.profile import Profile
from ...runbooks.stations import IN_PROCESS, in_process_benches

STATION, BENCH = "drawn.station.yaml", "drawn.bench.yaml"


@dataclass(frozen=True, kw_only=True)
class Socket:
    """A station on the one mock bench of this process that its instruments are on.

    Attributes
    ----------
    station, bench : their files
    profile : of the chip that is there
    """

    station: Path
    bench: Path
    profile: Profile

    def require_kind(self, chip: Profile, name: str) -> None:
        """Refuse a chip, from the profile ``name``, that does not fit: another kind of cell, or another size."""
        here = self.profile
        size, wanted = f"{chip.rows} × {chip.cols} {chip.cell}", f"{here.rows} × {here.cols} {here.cell}"
        if size != wanted:
            raise RefusedError(
                f"the chip of {name} has {size} cells, station {self.station.name} takes {wanted} ones: name a station "
                "with a mock bench of that kind by --station"
            )

    def with_chip(self, folder: Path, profile: Path, changes: Mapping[str, Mapping[str, Any]], seed: int) -> Path:
        """Write a copy of station and bench file into ``folder`` that has another chip; return the station's.

        The chip is a new one each time: it lives in no state file, and nobody's wear ledger hears of it.

        Parameters
        ----------
        profile : its profile
        changes : dotted key of the profile → value and source, as a bench file has them
        seed : of the chip
        """
        here = self.station.parent
        station, bench = read_yaml(self.station, "station file"), read_yaml(self.bench, "bench file")
        chip = {"profile": str(profile.resolve()), "seed": seed, "state": None, "changes": dict(changes)}
        for entry in station["instruments"].values():
            init = entry["init"] = dict(entry.get("init") or {})
            if str(init.get("visalib") or "").endswith(IN_PROCESS):
                init["visalib"] = f"{(folder / BENCH).resolve()}{IN_PROCESS}"
            if isinstance(init.get("chip"), str):
                init["chip"] = str((here / init["chip"]).resolve())
        ours = station["xbarlab"] = dict(station.get("xbarlab") or {})
        if isinstance(ours.get("chip"), str):
            ours["chip"] = str((here / ours["chip"]).resolve())
        ours.pop("wear", None)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / BENCH).write_text(yaml_text({**bench, "chip": chip}), encoding="utf-8")
        (folder / STATION).write_text(yaml_text(station), encoding="utf-8")
        return folder / STATION


def socket_of(station: Path) -> Socket:
    """Return the socket of a station's mock bench.

    Raises
    ------
    RefusedError
        A real instrument is among them, there is no mock bench in this process, or more than one.
    """
    file = read_station(station)
    benches = in_process_benches(file)
    real = [
        name
        for name, settings in file.instruments.items()
        if not str(settings["init"].get("visalib") or "").endswith(IN_PROCESS)
    ]
    if real or not benches:
        raise RefusedError(
            f"station {station.name} has {', '.join(real)} outside of this process, and a rehearsal touches no real "
            "instrument: name a station with a mock bench of the same kind by --station, like mock_ta_hfo2"
        )
    if len(benches) > 1:
        raise RefusedError(
            f"station {station.name} joins {len(benches)} mock benches with a chip each, and --chip is one chip: name "
            "a station with a single one by --station"
        )
    (bench,) = benches
    try:
        return Socket(station=station, bench=bench, profile=profile_of(load_bench_file(bench), bench))
    except BenchFileError as error:
        raise RefusedError(str(error)) from error
