"""Where on a chip measurements were made: those of other cells may see another threshold and other series resistance.

Regions of one chip differ (a second chip of the RADAR data by 0.26 V; block_Vt and block_ln_Rs of a profile), and dates
do. Measurements that share cells share a block; the block with the most cells is what the profile is of, and every
other one has an offset of its own, which a fit estimates with the numbers of the cells.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ...analysis.measured_data.measured import Measured
from ..objective import PROTOCOL, with_values

WRITTEN = ("pulse_sweep", "cycling", "write_verify")
"""Kinds whose figures stand on threshold and series resistance."""
SHARED = 0.3
"""Measurements share a block when this share of the cells of the smaller one is in the other, too."""
NUMBERS = ("block.Vt", "block.ln_Rs")


def blocks_of(data: Sequence[Measured]) -> dict[str, str]:
    """Return for every measurement that is not of the largest block the first one of its block, by their ids."""
    written = [one for one in data if one.kind in WRITTEN and one.structure == "1T1R"]
    groups: list[list[Measured]] = []
    for one in written:
        cells = set(one.table["cell"])
        for group in groups:
            if group[0].chip == one.chip and any(_share(cells, set(other.table["cell"])) for other in group):
                group.append(one)
                break
        else:
            groups.append([one])
    largest = max(groups, key=lambda group: max(one.cells for one in group), default=None)
    return {one.id: group[0].id for group in groups if group is not largest for one in group}


def _share(a: set[Any], b: set[Any]) -> bool:
    return len(a & b) >= SHARED * min(len(a), len(b))


def block_numbers(data: Sequence[Measured]) -> list[str]:
    """Return the names of the offsets of all blocks but the largest."""
    return [f"{PROTOCOL}.{first}.{name}" for first in dict.fromkeys(blocks_of(data).values()) for name in NUMBERS]


def in_block(parameters: Any, block: str | None, values: Mapping[str, float]) -> Any:
    """Return the parameters as the cells of a block have them; unchanged in the largest."""
    if block is None:
        return parameters
    vt, ln_rs = (values.get(f"{PROTOCOL}.{block}.{name}", 0.0) for name in NUMBERS)
    if vt == 0.0 and ln_rs == 0.0:
        return parameters
    return with_values(
        parameters,
        {
            "transistor.Vt": float(parameters.transistor.Vt) + vt,
            "series.Rs": float(parameters.series.Rs) * math.exp(ln_rs),
        },
        "the block of a measurement",
    )
