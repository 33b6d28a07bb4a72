"""The kinds of measurement and the columns of their tables: SI units, one line per reading.

=============  =====================================================================================
pulse_sweep    cell, repeat, step, volts [V], gate [V], width [s], before, after [S]
forming        cell, volts, gate [V], after [S], success
cycling        cell, cycle, state ("HRS", "LRS"), conductance [S]
write_verify   cell, level, low, high [S], reads, sets, resets, pulses, coarse, fine, after [S], success
bake           cell, before, after [S], time [s], temperature [K]
noise          cell, index, conductance [S], time [s]
iv_sweep       cell, loop, point, volts [V], current [A], time [s]
pulse_train    cell, step, volts, gate [V], width [s], conductance [S]
map            cell, row, col, conductance [S]
=============  =====================================================================================

``volts`` are across cell and transistor and positive where they SET. ``row`` and ``col`` are there where the data have
them. A gate is NaN where there is none, and so is a count that the data do not have. ``count`` is how many such pulses
led to a reading; ``pulses`` are SETs and RESETs together.
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
    """

    unit: str = ""
    holds: Literal["numbers", "counts", "cells", "states", "flags"] = "numbers"
    needed: bool = True
    open: bool = False


_CELL = {
    "cell": Quantity(holds="cells", needed=False),
    "row": Quantity(holds="counts", needed=False),
    "col": Quantity(holds="counts", needed=False),
}
_SIEMENS, _VOLTS, _SECONDS = Quantity("S"), Quantity("V"), Quantity("s")
_GATE = Quantity("V", needed=False)
_COUNT = Quantity(holds="counts", needed=False)
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
        **_CELL, "level": _COUNT, "low": Quantity("S", open=True), "high": Quantity("S", open=True), "reads": _COUNT,
        "sets": _COUNT, "resets": _COUNT, "pulses": _COUNT, "coarse": _COUNT, "fine": _COUNT,
        "after": _SIEMENS, "success": _FLAG,
    },
    "bake": {
        **_CELL, "before": Quantity("S", needed=False), "after": Quantity("S", needed=False),
        "conductance": Quantity("S", needed=False), "time": _SECONDS, "temperature": Quantity("K"),
    },
    "noise": {**_CELL, "index": _COUNT, "conductance": _SIEMENS, "time": Quantity("s", needed=False)},
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


def a_kind(kinds: Sequence[str]) -> str:
    """Return names of kinds for a sentence: ``a bake``, ``an iv_sweep or a pulse_train``."""
    return " or ".join(f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}" for kind in kinds)
