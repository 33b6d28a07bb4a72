"""A thin handle on a device model: one voltage, one gate, all cells."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from ruamel.yaml import YAML

from xbarlab.mockhw import profiles
from xbarlab.mockhw.chip.profile import make_model, parse_profile

Floats = NDArray[np.float64]


class Chip:
    """A model with its profile; every call acts on all cells unless told otherwise."""

    def __init__(self, raw: dict[str, Any], size: int, seed: int) -> None:
        self.profile = parse_profile(raw)
        self.model = make_model(self.profile, size, seed)
        self.size = size
        self.now = 0.0

    def pulse(self, volts: Any, gate: Any, width: Any = 500e-9, count: Any = 1, cells: Any = None) -> None:
        index = np.arange(self.size) if cells is None else np.asarray(cells)
        k = len(index)

        def full(value: Any) -> Floats:
            return np.broadcast_to(np.asarray(value, float), (k,)).copy()

        number = np.broadcast_to(np.asarray(count), (k,)).astype(np.int64)
        self.model.pulse(index, full(volts), full(width), full(gate), number, np.zeros(k), self.now)

    def read(self) -> Floats:
        """Noise-free conductance [S] at the profile's read point."""
        point = self.profile.read
        return self.model.conductance(np.arange(self.size), point.volts, point.gate, self.now)

    @property
    def healthy(self) -> NDArray[np.bool_]:
        return ~self.model.truth()["stuck"].astype(bool)

    def formed_at(self, siemens: Any) -> Chip:
        self.model.assume_formed(siemens, self.now)  # type: ignore[attr-defined]
        return self


@cache
def _shipped(name: str) -> dict[str, Any]:
    return YAML(typ="safe").load(Path(profiles.__file__).parent / f"{name}.yaml")


def raw_profile(name: str, **changes: float) -> dict[str, Any]:
    """A shipped profile as nested dicts, some parameters changed (``section__key=value``)."""
    raw = deepcopy(_shipped(name))
    for key, value in changes.items():
        section, _, parameter = key.partition("__")
        target = raw["parameters"][section][parameter] if parameter else raw["parameters"][section]
        target["value"] = value
    return raw


@pytest.fixture
def make_chip() -> Callable[..., Chip]:
    def make(name: str = "ta_hfo2_1t1r", size: int = 1024, seed: int = 1, **changes: float) -> Chip:
        return Chip(raw_profile(name, **changes), size, seed)

    return make


@pytest.fixture
def raw() -> Callable[..., dict[str, Any]]:
    return raw_profile
