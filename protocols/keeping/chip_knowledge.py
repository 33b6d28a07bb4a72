"""What the steps of a run learn of the chip, for the steps after them: working cells, shorts, a baseline to beat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...instruments.array_spec import ArraySpec
from ...instruments.block import Block
from ...instruments.capabilities import CrossbarArray


@dataclass
class ChipKnowledge:
    """What is known so far; ``None`` where no step has looked.

    Attributes
    ----------
    healthy : bool [rows, cols]
        Cells that switch.
    shorted : bool [rows, cols]
    baseline_pulses : [cells]
        Pulses per cell that the staircase of ``ispp`` needed.
    target : [rows, cols] [S]
        What the cells were programmed to, nan elsewhere; ``None`` once a later step has written to cells.
    """

    healthy: NDArray[np.bool_] | None = None
    shorted: NDArray[np.bool_] | None = None
    baseline_pulses: NDArray[np.float64] | None = None
    target: NDArray[np.float64] | None = None

    def note_yield(self, spec: ArraySpec, block: Block, healthy: NDArray[np.bool_], shorted: NDArray[np.bool_]) -> None:
        """Take in a yield map of one block; blocks mapped before keep what was found there."""
        before = self.healthy if self.healthy is not None else spec.healthy_mask(spec.whole)
        shorts = self.shorted if self.shorted is not None else np.zeros(before.shape, np.bool_)
        self.healthy, self.shorted = before.copy(), shorts.copy()
        self.healthy[block.slices] = healthy
        self.shorted[block.slices] = shorted

    def note_target(self, spec: ArraySpec, block: Block, target: NDArray[np.float64]) -> None:
        """Take in what the cells of a block were programmed to [S]; what was known of others still holds."""
        whole = np.full((spec.rows, spec.cols), np.nan) if self.target is None else self.target.copy()
        whole[block.slices] = target
        self.target = whole

    def healthy_of(self, array: CrossbarArray) -> NDArray[np.bool_]:
        """Return the healthy map [rows, cols]: what yield maps found, elsewhere what the chip file knows."""
        return self.healthy if self.healthy is not None else array.spec.healthy_mask(array.spec.whole)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what is known, by name."""
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in known.items() if value is not None}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Know what ``arrays`` returned earlier, and nothing else."""
        for field in fields(self):
            setattr(self, field.name, arrays.get(field.name))
