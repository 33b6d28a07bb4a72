"""A linear crossbar with all its nodes in one dense matrix: what the mock's network is held against."""

from __future__ import annotations

from typing import Any

import numpy as np

from xbarlab.mockhw.passive_chip.factors import LEAK

RS = 180.0


def dense(
    g: Any,
    source: Any,
    volts: Any,
    wire: float,
    ohms: float,
    line: float,
    *,
    lead: Any = None,
    leak: Any = None,
    bridge: Any = None,
    rs: Any = RS,
) -> Any:
    """Return all nodes [rows, cols, 2] V of a linear array from one dense matrix.

    Cells are ``rs`` [Ω] and 1/``g`` in series; lines have a ``lead``, a ``leak`` beside each cell, a ``bridge`` to
    the next line.
    """
    rows, cols = g.shape
    lead, bridge = (np.zeros(rows + cols) if values is None else values for values in (lead, bridge))
    leak = np.zeros(g.shape) if leak is None else leak
    sources = len(volts)
    size = 2 * rows * cols + sources
    a = np.zeros((size, size))
    rhs = np.zeros(size)

    def join(p, q, siemens):
        a[p, p] += siemens
        a[q, q] += siemens
        a[p, q] -= siemens
        a[q, p] -= siemens

    def node(i, j, k):
        return 2 * (i * cols + j) + k

    for i in range(rows):
        for j in range(cols):
            join(node(i, j, 0), node(i, j, 1), 1 / (rs + 1 / g[i, j]) + leak[i, j])
            if j:
                join(node(i, j, 0), node(i, j - 1, 0), 1 / wire)
            if i:
                join(node(i, j, 1), node(i - 1, j, 1), 1 / wire)
    ends = [node(i, 0, 0) for i in range(rows)] + [node(rows - 1, j, 1) for j in range(cols)]
    for n, (at, s) in enumerate(zip(ends, source, strict=True)):
        if s >= 0:
            join(at, 2 * rows * cols + s, 1 / (wire + line + lead[n]))
        if bridge[n]:
            join(at, ends[n + 1], bridge[n])
    for s, v in enumerate(volts):
        p = 2 * rows * cols + s
        a[p, p] += 1 / ohms
        rhs[p] += v / ohms
    a[np.arange(size - sources), np.arange(size - sources)] += LEAK
    return np.linalg.solve(a, rhs)[: 2 * rows * cols].reshape(rows, cols, 2)


def line_currents(g: Any, volts: Any, *, wire: float, ohms: float) -> Any:
    """Return the currents [rows + cols] A into lines that are all driven, at ``volts`` [V] behind ``ohms`` each.

    ``g`` [rows, cols] S are whole cells.
    """
    lines = sum(g.shape)
    nodes = dense(g, np.arange(lines), volts, wire, ohms, 0.0, rs=0.0)
    through = g * (nodes[..., 0] - nodes[..., 1])
    return np.concatenate([through.sum(axis=1), -through.sum(axis=0)])


def row_reads(g: Any, volts: float, *, wire: float, ohms: float) -> Any:
    """Return what every cell reads [S] when its row alone is at ``volts`` [V] and all other lines are at 0 V."""
    rows, cols = g.shape
    levels = volts * np.eye(rows, rows + cols)
    return np.array([-line_currents(g, level, wire=wire, ohms=ohms)[rows:] for level in levels]) / volts
