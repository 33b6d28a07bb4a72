"""Panels in a few numbers each: shares below fixed thresholds and clipped means, so that their sensitivities exist.

Distances of distributions have corners where they are least; what a number of the model is worth to the data is taken
from these instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...analysis.measured_data.measured import Measured
from ..panels import Panel, robust

if TYPE_CHECKING:
    from pandas import DataFrame

Floats = NDArray[np.float64]

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
REACH = 3.0
"""Clipped means take numbers up to this many spreads beyond the quantiles at 2 and 98 %."""
SHARE_FLOOR, MEAN_FLOOR = 0.02, 0.05
"""What silicon itself does not repeat better: a share, and a mean in units of the spread. Assumed."""


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """One number of a panel: the share up to ``threshold``, or a mean within ``low`` … ``high`` over ``scale``."""

    panel: str
    group: str
    weight: float
    floor: float
    count: int
    threshold: float | None = None
    low: float = 0.0
    high: float = 0.0
    scale: float = 1.0

    def of(self, values: Floats) -> float:
        """Return it for some values; of none: nothing has happened yet."""
        values = values[np.isfinite(values)]
        if self.threshold is not None:
            return float((values <= self.threshold).mean()) if len(values) else 0.0
        if not len(values):
            return self.high / self.scale
        return float(np.clip(values, self.low, self.high).mean()) / self.scale


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The statistics of all panels of a fit; thresholds are those of the measured side and stay."""

    statistics: tuple[Statistic, ...]

    @classmethod
    def of(cls, panels: Sequence[Panel], groups: Sequence[str]) -> Summary:
        """Plan the statistics of panels; ``groups`` says which measurement each belongs to."""
        made: list[Statistic] = []
        for panel, group in zip(panels, groups, strict=True):
            made += _planned(panel, group)
        return cls(statistics=tuple(made))

    def real(self, panels: Sequence[Panel]) -> Floats:
        """Return the statistics of the measured side; NaN where a panel is missing."""
        return self._of({panel.name: panel.real for panel in panels})

    def mock(self, panels: Sequence[Panel]) -> Floats:
        """Return the statistics of the simulated side."""
        return self._of({panel.name: panel.mock for panel in panels})

    def _of(self, values: dict[str, Floats]) -> Floats:
        return np.asarray([one.of(values[one.panel]) if one.panel in values else np.nan for one in self.statistics])

    def ratio(self, panels: Sequence[Panel]) -> Floats:
        """Return for every statistic how many measured numbers stand against one simulated one."""
        sizes = {panel.name: len(panel.real) / max(len(panel.mock), 1) for panel in panels}
        return np.asarray([sizes.get(one.panel, 1.0) for one in self.statistics])

    def least_variance(self, real: Floats) -> Floats:
        """Return the variance that a share has at least: as if two more readings were inside, and two outside.

        (Agresti and Coull, Am. Stat. 52, 119, 1998.) Sixteen cells that all succeeded do not say that none ever fails.
        """
        least: list[float] = []
        for one, share in zip(self.statistics, real, strict=True):
            if one.threshold is None and not (one.scale == 1.0 and 0.0 <= share <= 1.0):
                least.append(1e-12)
                continue
            likely = (share * one.count + 2.0) / (one.count + 4.0)
            least.append(likely * (1.0 - likely) / (one.count + 4.0))
        return np.asarray(least)

    @property
    def floors(self) -> Floats:
        """What of each statistic silicon itself does not repeat."""
        return np.asarray([one.floor for one in self.statistics])

    @property
    def weights(self) -> Floats:
        """Weights of the panels, shared among their statistics."""
        return np.asarray([one.weight for one in self.statistics])

    @property
    def groups(self) -> list[str]:
        """Which measurement every statistic belongs to."""
        return [one.group for one in self.statistics]


def _planned(panel: Panel, group: str) -> list[Statistic]:
    real = panel.real
    spread = max(robust(real), 0.3 * float(np.std(real))) if len(real) > 1 else 0.0
    two_valued = set(np.unique(real)) <= {0.0, 1.0}
    if spread <= 0.0:
        spread = 1.0 if two_valued else max(abs(float(np.median(real))), 1e-3) * 0.1
    low, high = (float(value) for value in np.quantile(real, [0.02, 0.98]))
    mean = Statistic(
        panel=panel.name, group=group, weight=panel.weight, floor=0.005 if two_valued else MEAN_FLOOR, count=len(real),
        low=low - REACH * spread, high=high + REACH * spread, scale=1.0 if two_valued else spread,
    )  # fmt: skip
    if not panel.ks or two_valued:
        return [mean]
    thresholds = sorted({float(value) for value in np.quantile(real, QUANTILES, method="inverted_cdf")})
    each = panel.weight / len(thresholds)
    shares = [
        Statistic(panel=panel.name, group=group, weight=each, floor=SHARE_FLOOR, count=len(real), threshold=t)
        for t in thresholds
        if float((real <= t).mean()) < 1.0
    ]
    return [mean, *shares]


class Resampling:
    """Measurements with their cells drawn anew, with replacement: what else the same chip could have shown.

    A cell that is drawn is drawn in all measurements of its chip.
    """

    def __init__(self, data: Sequence[Measured]) -> None:
        self._data = list(data)
        self._rows: list[dict[object, NDArray[np.int64]]] = [
            {cell: np.asarray(rows, np.int64) for cell, rows in one.table.groupby("cell").indices.items()}
            for one in data
        ]
        self._chips: dict[str, list[object]] = {}
        for one, rows in zip(data, self._rows, strict=True):
            known = self._chips.setdefault(one.chip, [])
            seen = set(known)
            known += [cell for cell in rows if cell not in seen]

    def draw(self, seed: int) -> list[Measured]:
        """Return the data of one draw; a cell drawn twice is two cells."""
        import dataclasses

        counts: dict[str, dict[object, int]] = {}
        for number, (chip, cells) in enumerate(sorted(self._chips.items())):
            rng = np.random.default_rng([seed, number])
            drawn = rng.multinomial(len(cells), np.full(len(cells), 1.0 / len(cells)))
            counts[chip] = dict(zip(cells, drawn.tolist(), strict=True))
        made: list[Measured] = []
        for one, rows in zip(self._data, self._rows, strict=True):
            mine = counts[one.chip]
            chosen = [rows[cell] for cell in rows for _ in range(mine[cell])]
            if not chosen:
                made.append(one)
                continue
            table = one.table.iloc[np.concatenate(chosen)].reset_index(drop=True)
            table["cell"] = np.repeat(np.arange(len(chosen)), [len(part) for part in chosen])
            made.append(dataclasses.replace(one, table=table))
        return made


def drawn_anew(table: DataFrame, seed: int, number: int) -> DataFrame:
    """Return the table of a replay with its cells drawn anew, with replacement; levels have cells of their own."""
    key = ["level", "cell"] if "level" in table else ["cell", "draw"] if "draw" in table else ["cell"]
    rows = [np.asarray(one, np.int64) for one in table.groupby(key).indices.values()]
    if not rows:
        return table
    chosen = [rows[at] for at in np.random.default_rng([seed, number]).integers(0, len(rows), len(rows))]
    made = table.iloc[np.concatenate(chosen)].reset_index(drop=True)
    made["cell"] = np.repeat(np.arange(len(chosen)), [len(part) for part in chosen])
    return made
