"""How far a set of numbers is from the data: every measured protocol replayed, every panel compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from ..analysis.measured_data.measured import Measured
from ..mockhw.device_models.filament.parameters import FilamentParameters
from ..mockhw.device_models.quantity import Quantity
from .replay.passive import replay_loops, replay_map, replay_train
from .replay.sweeps import replay_cycling, replay_forming, replay_sweep
from .replay.waits import replay_bake, replay_noise
from .replay.write_verify import replay_write_verify

Replay = Callable[[Measured, Any, int, int], pd.DataFrame]

REPLAYS: dict[str, Replay] = {
    "pulse_sweep": replay_sweep,
    "forming": replay_forming,
    "cycling": replay_cycling,
    "write_verify": replay_write_verify,
    "bake": replay_bake,
    "noise": replay_noise,
    "pulse_train": replay_train,
    "iv_sweep": replay_loops,
    "map": replay_map,
}
"""Kind of measurement -> how it is done again."""
PROTOCOL = "protocol"
"""Section of the names that belong to what was done, not to the cells: ``protocol.<measurement>.<dotted name>``."""
BLOCK = "block."
"""What of them says where it was done: offsets of the cells of a measurement."""


def with_values(
    parameters: FilamentParameters, values: Mapping[str, float], source: str = "trial"
) -> FilamentParameters:
    """Return parameters with some numbers replaced: dotted names, SI units."""
    sections: dict[str, dict[str, Quantity]] = {}
    for name, value in values.items():
        section, key = name.split(".")
        old = getattr(getattr(parameters, section), key)
        sections.setdefault(section, {})[key] = Quantity(value, old.unit, source)
    changed = {
        section: getattr(parameters, section).model_copy(update=numbers) for section, numbers in sections.items()
    }
    return parameters.model_copy(update=changed)


def with_protocol(measured: Measured, values: Mapping[str, float]) -> Measured:
    """Return the measurement with numbers of its protocol that nobody wrote down filled in by ``values``."""
    import dataclasses

    before = f"{PROTOCOL}.{measured.id}."
    mine = {name.removeprefix(before): value for name, value in values.items() if name.startswith(before)}
    mine = {name: value for name, value in mine.items() if not name.startswith(BLOCK)}
    protocol: Any = measured.protocol
    for path, value in mine.items():
        protocol = _replaced(protocol, path.split("."), value)
    return dataclasses.replace(measured, protocol=protocol)


def _replaced(record: Any, path: list[str], value: float) -> Any:
    here = path[0]
    if len(path) == 1:
        return record.model_copy(update={here: value})
    return record.model_copy(update={here: _replaced(getattr(record, here), path[1:], value)})
