"""What one chip gives: true and found numbers, and counts of cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Number:
    """A true value, and what was found with its 95 % interval."""

    key: str
    true: float
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Found:
    """Numbers with intervals, counts that add up over chips, and cells told one by one."""

    numbers: list[Number] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return what a line of the file holds."""
        return asdict(self)


def found(metrics: Mapping[str, float], true: Mapping[str, float], suffix: str = "") -> Found:
    """Pair the metrics of a step with true values."""
    return Found(
        [
            Number(key + suffix, value, metrics[key], metrics[f"{key}_ci95_low"], metrics[f"{key}_ci95_high"])
            for key, value in true.items()
        ]
    )
