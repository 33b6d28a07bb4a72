"""Chips that differ from a profile by a random draw, as bench files for the mock and as profiles for the physics."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from xbarlab import open_bench
from xbarlab.mockhw.bench.bench import MockBench, bench_for, forget_bench
from xbarlab.mockhw.chip.profile import Profile, load_profile
from xbarlab.runbooks.stations import find_bench, find_station

ENTROPY = 20261130

LN_SD: dict[str, dict[str, float]] = {
    "mock_ta_hfo2": {
        "wiring.row_segment": 0.4, "wiring.col_segment": 0.4,
        "parameters.series.Rs": 0.05, "parameters.set.US": 0.05, "parameters.reset.UR": 0.1,
        "parameters.cycle_noise.sigL": 0.3, "parameters.cycle_noise.sigH": 0.3, "parameters.cycle_noise.lam": 0.3,
        "parameters.cycle_noise.gS": 0.3,
        "parameters.device_spread.ln_Rs": 0.3, "parameters.device_spread.ln_US": 0.3,
        "parameters.device_spread.ln_UR": 0.3,
        "parameters.relaxation.mean": 0.3, "parameters.relaxation.sd": 0.2, "parameters.relaxation.ln_gain": 0.2,
        "parameters.read_noise.scale": 0.3, "parameters.read_noise.relative": 0.3, "parameters.read_noise.flicker": 0.3,
        "parameters.read_noise.flicker_ln_sd": 0.2, "parameters.read_noise.one_trap_fraction": 0.3,
        "parameters.read_noise.trap_amplitude": 0.3,
        "parameters.forming.mean": 0.03,
    },
    "mock_tio2": {
        "parameters.conduction.Gon": 0.1, "parameters.conduction.Goff": 0.1, "parameters.conduction.Rs": 0.1,
        "parameters.device_spread.ln_Gon": 0.3, "parameters.device_spread.ln_Goff": 0.3,
        "parameters.read_noise.slope": 0.3, "parameters.read_noise.floor": 0.3,
        "parameters.retention.drift": 0.3, "parameters.retention.weak_sd": 0.3,
    },
}  # fmt: skip
"""Standard deviation of the logarithm of every number that is drawn about the profile's own, cut at two of them."""
STUCK = {"open": (1e-3, 1e-2), "on": (5e-4, 5e-3), "short": (5e-4, 5e-3)}
"""Fractions of stuck cells are drawn evenly in the logarithm between these."""
PROFILES = {"mock_ta_hfo2": "ta_hfo2_1t1r", "mock_tio2": "tio2_passive"}
OTHERS = 1000
"""Seeds of chips of the Monte Carlo are so far from those that are measured."""


@dataclass(frozen=True)
class Drawn:
    """One chip of the study.

    Parameters
    ----------
    bench : str
        Shipped bench it is put into.
    number : int
        Decides the draw.
    changes : dict
        Dotted key of the profile -> value and source.
    """

    bench: str
    number: int
    changes: dict[str, dict[str, Any]]

    @cached_property
    def profile(self) -> Profile:
        """The profile with what was drawn."""
        return load_profile(PROFILES[self.bench], self.changes)

    def value(self, key: str) -> float:
        """Return a number that was drawn."""
        return float(self.changes[key]["value"])

    def rng(self, what: str) -> np.random.Generator:
        """Return the randomness of one purpose."""
        return np.random.default_rng([ENTROPY, self.number, *what.encode()])

    @contextmanager
    def opened(self) -> Iterator[tuple[Any, MockBench]]:
        """Open a bench with this chip in its socket; yields its array, and the mock behind it."""
        with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            station = self._station(Path(folder))
            with open_bench(station, seed=self.number) as bench:
                yield bench.array, bench_for(station.with_name(f"{self.bench}.bench.yaml"))
            forget_bench(station.with_name(f"{self.bench}.bench.yaml"))

    def _station(self, folder: Path) -> Path:
        shipped, station = find_bench(self.bench), find_station(self.bench)
        yaml = YAML(typ="safe", pure=True)
        content = yaml.load(shipped.read_text(encoding="utf-8"))
        content["chip"]["changes"] = self.changes
        with (folder / shipped.name).open("w", encoding="utf-8") as file:
            yaml.dump(content, file)
        for other in (station, station.with_name(f"{self.bench}.chip.yaml")):
            shutil.copy(other, folder)
        return folder / station.name


def drawn_chip(bench: str, number: int, **fixed: float) -> Drawn:
    """Draw a chip; ``fixed`` are numbers of the wiring that are given instead."""
    profile = load_profile(PROFILES[bench])
    rng = np.random.default_rng([ENTROPY, number, len(bench)])
    values: dict[str, float] = {}
    for key, sd in LN_SD[bench].items():
        part: Any = profile
        for name in key.split("."):
            part = getattr(part, name)
        values[key] = float(part) * math.exp(sd * float(np.clip(rng.standard_normal(), -2.0, 2.0)))
    if bench == "mock_ta_hfo2":
        for kind, (low, high) in STUCK.items():
            values[f"parameters.stuck.{kind}_fraction"] = float(low * (high / low) ** rng.random())
    values |= {f"wiring.{name}": value for name, value in fixed.items()}
    changes = {key: {"value": value, "source": "drawn by the study"} for key, value in values.items()}
    return Drawn(bench, number, changes)
