"""What is tied to the lines of a passive array, as arrays for the compiled network."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..device_models.graded.types import Floats, Integers

UNUSED, OWN, STIFF, SHARED = 0, 1, 2, 3
"""Kinds of sources: drives nothing; drives one line; ideal, drives several; drives several through a resistance."""

LEAST_OHMS = 1e-3
"""Resistance [Ω] below which a connection is not told from none."""


class Drive(NamedTuple):
    """Sources and their ties, with what the network finds out about them.

    Lines are counted rows first. ``source`` is −1 on floating lines; ``tie`` [Ω] lies between a line's outermost
    crosspoint and its source's terminal, or its electromotive force when the source is the line's own.
    """

    source: Integers
    line_ohms: Floats
    volts: Floats
    ohms: Floats
    limit: Floats
    delay: Floats
    tie: Floats
    shared_ohms: Floats  # ``ohms`` when the lines were tied
    kind: Integers
    cap: Floats  # limit in force [A]: infinite while it is late
    terminal: Floats  # [V]
    excess: Floats  # residual current of a shared terminal [A]
    shift: Floats  # step of a shared terminal [V]
    emitted: Floats  # current into the chip [A]
    slope: Floats  # of the source's characteristic [S]: 0 in limit
    limited: Integers
    known: Integers  # ``limited`` when the network was last factorised
    columns: Floats  # [sources, nodes] response of the nodes to each shared terminal
    small: Floats  # [sources, sources] Schur complement
    engaged: Integers  # limit has caught up
    late: Floats  # seconds until an exceeded limit acts


def make_drive(lines: int, sources: int, nodes: int) -> Drive:
    """Return a drive with room for ``sources`` sources, all lines floating."""

    def real(*shape: int) -> Floats:
        return np.zeros(shape)

    def whole(size: int) -> NDArray[np.int64]:
        return np.zeros(size, np.int64)

    s = sources
    return Drive(
        source=whole(lines) - 1,
        line_ohms=real(lines),
        volts=real(s),
        ohms=real(s),
        limit=real(s),
        delay=real(s),
        tie=real(lines),
        shared_ohms=real(s),
        kind=whole(s),
        cap=real(s),
        terminal=real(s),
        excess=real(s),
        shift=real(s),
        emitted=real(s),
        slope=real(s),
        limited=whole(s),
        known=whole(s),
        columns=real(s, nodes),
        small=real(s, s),
        engaged=whole(s),
        late=real(s),
    )


@njit(cache=True, error_model="numpy")
def tie_lines(drive: Any, net: Any) -> bool:
    """Work out the kinds of the sources and the resistances to the outermost crosspoints; return what is new."""
    source = drive.source
    kind = np.zeros(drive.kind.size, np.int64)
    for line in range(source.size):
        s = source[line]
        if s >= 0:
            kind[s] = OWN if kind[s] == UNUSED else SHARED
    changed = False
    for s in range(kind.size):
        if kind[s] == SHARED and drive.ohms[s] < LEAST_OHMS and drive.limit[s] == np.inf:
            kind[s] = STIFF
        if kind[s] != drive.kind[s] or (kind[s] == SHARED and drive.ohms[s] != drive.shared_ohms[s]):
            changed = True
        drive.kind[s] = kind[s]
        drive.shared_ohms[s] = drive.ohms[s]
        drive.cap[s] = drive.limit[s]
    for line in range(source.size):
        s = source[line]
        tie = np.inf
        if s >= 0:
            tie = drive.line_ohms[line] + net.lead[line] + (net.row_ohm if line < net.rows else net.col_ohm)
            if kind[s] == OWN:
                tie += drive.ohms[s]
            tie = max(tie, LEAST_OHMS)
        if tie != drive.tie[line]:
            changed = True
        drive.tie[line] = tie
    return changed
