"""Whether the cells that a model is to stand on are formed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np

from ...common.errors import RefusedError
from ...instruments.array_spec import ArraySpec
from ...instruments.capabilities import PulseMap
from .layers.array_weights import ArrayWeights

CONDUCTS = 1e-6
"""Ours: below this a cell does not conduct [S]."""
_ASKED = 8  # cells asked by one pulse whether they are formed


def refuse_unformed(weights: ArrayWeights, rule: object) -> None:
    """Refuse cells of which most do not conduct, and do not either after one SET of a few: they are not formed."""
    array, block = weights.array, weights.block
    used = weights.used[block.slices]
    dark = used & (array.read(block).conductance < CONDUCTS)
    pulses = cast("Callable[[ArraySpec], Any] | None", getattr(rule, "pulses", None))
    if dark.sum() <= 0.5 * used.sum() or pulses is None:
        return
    pair = pulses(array.spec)
    at = np.flatnonzero(dark)
    asked = np.zeros(block.shape, np.int64)
    asked.ravel()[at[np.linspace(0, len(at) - 1, min(_ASKED, len(at))).astype(int)]] = 1
    array.pulse(PulseMap(block=block, volts=pair.set_volts, width=pair.width, gate=pair.set_gate, count=asked))
    answered = array.read(block).conductance[asked > 0] >= CONDUCTS
    if answered.mean() < 0.5:
        raise RefusedError(
            f"{int(dark.sum())} of {int(used.sum())} cells do not conduct, and {int((~answered).sum())} of "
            f"{len(answered)} that were asked do not answer a SET: the chip is not formed there; "
            "run the step forming on them first, or leave out dead lines (good_lines, or a yield_map of all cells "
            "and healthy_lines)"
        )
