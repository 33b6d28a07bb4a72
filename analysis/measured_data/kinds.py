"""The kinds of measurement and the columns of their tables: SI units, one line per reading.

=============  =====================================================================================
pulse_sweep    cell, repeat, step, volts [V], gate [V], width [s], before, after [S]
forming        cell, volts, gate [V], after [S], success
cycling        cell, cycle, state ("HRS", "LRS"), conductance [S]
write_verify   cell, level, low, high [S], reads, sets, resets, pulses, coarse, fine, after [S], success
bake           cell, level, before, after [S], time [s], temperature [K]
reprogramming  cell, cycle, level, target, conductance, end, again [S], accepted, pulses, width [s]
noise          cell, index, conductance, floor [S], time [s]
iv_sweep       cell, loop, point, volts [V], current [A], time [s]
pulse_train    cell, step, volts, gate [V], width [s], conductance [S]
map            cell, row, col, conductance [S]
=============  =====================================================================================

``volts`` are across cell and transistor and positive where they SET. ``row`` and ``col`` are there where the data have
them. A gate is NaN where there is none, and so is a count that the data do not have. ``count`` is how many such pulses
led to a reading; ``pulses`` are SETs and RESETs together. ``floor`` is what the instrument reads with no voltage at
the cells, as a conductance, and NaN once that trace has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Quantity:
    """A column: its unit in the table, what it holds, and whether the data must have it.

    Attributes
    ----------
    open : bool
        It may be infinite: the edge of a window that is open to one side.
    ends : bool
        It may end before the others do: lines without it count.
    """

    unit: str = ""
    holds: Literal["numbers", "counts", "labels", "cells", "states", "flags"] = "numbers"
    needed: bool = True
    open: bool = False
    ends: bool = False


_CELL = {
    "cell": Quantity(holds="cells", needed=False),
    "row": Quantity(holds="counts", needed=False),
    "col": Quantity(holds="counts", needed=False),
}
_SIEMENS, _VOLTS, _SECONDS = Quantity("S"), Quantity("V"), Quantity("s")
_GATE = Quantity("V", needed=False)
_COUNT = Quantity(holds="counts", needed=False)
_LABEL = Quantity(holds="labels", needed=False)
_FLAG = Quantity(holds="flags", needed=False)

COLUMNS: dict[str, dict[str, Quantity]] = {
    "pulse_sweep": {
        **_CELL, "repeat": _COUNT, "step": _COUNT, "volts": _VOLTS, "gate": _GATE, "width": _SECONDS,
        "before": _SIEMENS, "after": _SIEMENS,
    },
    "forming": {**_CELL, "volts": _VOLTS, "gate": _GATE, "after": _SIEMENS, "success": _FLAG},
    "cycling": {
        **_CELL, "cycle": _COUNT, "state": Quantity(holds="states", needed=False), "conductance": _SIEMENS,
    },
    "write_verify": {
        **_CELL, "level": _LABEL, "low": Quantity("S", open=True), "high": Quantity("S", open=True), "reads": _COUNT,
        "sets": _COUNT, "resets": _COUNT, "pulses": _COUNT, "coarse": _COUNT, "fine": _COUNT,
        "after": _SIEMENS, "success": _FLAG,
    },
    "bake": {
        **_CELL, "level": _LABEL, "before": Quantity("S", needed=False), "after": Quantity("S", needed=False),
        "conductance": Quantity("S", needed=False), "time": _SECONDS, "temperature": Quantity("K"),
    },
    "reprogramming": {
        **_CELL, "cycle": _COUNT, "level": _LABEL, "target": Quantity("S", needed=False), "conductance": _SIEMENS,
        "end": Quantity("S", needed=False), "again": Quantity("S", needed=False), "accepted": _FLAG, "pulses": _COUNT,
        "width": Quantity("s", needed=False),
    },
    "noise": {
        **_CELL, "index": _COUNT, "conductance": Quantity("S", needed=False), "current": Quantity("A", needed=False),
        "floor": Quantity("S", needed=False, ends=True), "floor_current": Quantity("A", needed=False, ends=True),
        "time": Quantity("s", needed=False),
    },
    "iv_sweep": {
        **_CELL, "loop": _COUNT, "point": _COUNT, "volts": _VOLTS, "current": Quantity("A"),
        "time": Quantity("s", needed=False),
    },
    "pulse_train": {
        **_CELL, "step": _COUNT, "volts": _VOLTS, "gate": _GATE, "width": _SECONDS, "count": _COUNT,
        "conductance": _SIEMENS,
    },
    "map": {**_CELL, "conductance": _SIEMENS},
}  # fmt: skip
"""Kind of protocol -> quantity -> column."""
EITHER: dict[str, tuple[tuple[str, ...], ...]] = {
    "bake": (("before", "after"), ("conductance",)),
    "noise": (("conductance",), ("current",)),
    "reprogramming": (("level",), ("target",)),
}
"""Kind of protocol -> columns one group of which the data must have, besides those that are needed in any case."""
MAY_LACK: dict[str, tuple[str, ...]] = {
    "bake": ("conductance",), "noise": ("current", "floor_current", "floor"),
}  # fmt: skip
"""Kind of protocol -> columns that are not in its table: others are made of them, or the data do not have them."""


def a_kind(kinds: Sequence[str]) -> str:
    """Return names of kinds for a sentence: ``a bake``, ``an iv_sweep or a pulse_train``."""
    return " or ".join(f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}" for kind in kinds)
